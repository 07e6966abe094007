"""The Store Instances Response Module: what became of each instance (PS3.18 annex I)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from isocenter.archive.catalogue import Identity
from isocenter.dicom.json_model import Dataset
from isocenter.dicomweb import addresses, reasons

WARNINGS_TOLD: Final = 5
"""Different reasons that are put in words."""
LONGEST_WARNING: Final = 200


@dataclass(frozen=True, slots=True)
class Taken:
    """An instance that was stored."""

    identity: Identity
    warning: int | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """An instance that was not, or some part of the request that was none."""

    sop_class: str
    sop_instance: str
    """Both empty, where it could not be told which instance it is."""
    reason: int
    text: str

    @property
    def is_identified(self) -> bool:
        """It can be said which instance it is."""
        return bool(self.sop_class and self.sop_instance)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of the parts of one request, in their order."""

    taken: Sequence[Taken]
    refused: Sequence[Refused]

    def status(self) -> HTTPStatus:
        """Source: PS3.18 Table 10.5.3-1."""
        if self.taken:
            is_clean = not self.refused and not any(one.warning for one in self.taken)
            return HTTPStatus.OK if is_clean else HTTPStatus.ACCEPTED
        return self.status_of_failure()

    def status_of_failure(self) -> HTTPStatus:
        """When nothing was stored."""
        kinds = {one.reason for one in self.refused}
        if kinds == {reasons.CANNOT_UNDERSTAND}:
            return HTTPStatus.BAD_REQUEST
        if kinds == {reasons.OUT_OF_RESOURCES}:
            return HTTPStatus.SERVICE_UNAVAILABLE
        return HTTPStatus.CONFLICT

    def module(self, root: str) -> Dataset:
        """Source: PS3.18 Table I.1-1. ``root`` is the service's."""
        identified = [one for one in self.refused if one.is_identified]
        others = [one for one in self.refused if not one.is_identified]
        module: Dataset = {"00081190": _value("UR", self.study_url(root))}
        if identified:
            module["00081198"] = _sequence([_failed(one) for one in identified])
        if self.taken:
            module["00081199"] = _sequence([_referenced(one, root) for one in self.taken])
        if others:
            module["0008119A"] = _sequence([{"00081197": _value("US", e.reason)} for e in others])
        return module

    def study_url(self, root: str) -> str:
        """Where the study is; empty, if there are several or none."""
        studies = {one.identity.study for one in self.taken}
        study = studies.pop() if len(studies) == 1 else ""
        return addresses.study(root, study) if study else ""

    def location(self, root: str) -> str:
        """Where that is which the request made: the instance, or else the study."""
        if len(self.taken) == 1:
            return _url(self.taken[0].identity, root)
        return self.study_url(root)

    def warnings(self) -> Iterator[str]:
        """The reasons in words, as Warning header fields (PS3.18 10.5.3.2)."""
        told = dict.fromkeys((one.reason, one.text) for one in self.refused)
        for reason, text in list(told)[:WARNINGS_TOLD]:
            plain = "".join(
                each if each.isascii() and each.isprintable() and each not in '"\\' else "?"
                for each in text
            )
            yield f'299 isocenter "{reason:04X}: {plain[:LONGEST_WARNING]}"'


def _failed(one: Refused) -> Dataset:
    return {
        "00081150": _value("UI", one.sop_class),
        "00081155": _value("UI", one.sop_instance),
        "00081197": _value("US", one.reason),
    }


def _referenced(one: Taken, root: str) -> Dataset:
    item: Dataset = {
        "00081150": _value("UI", one.identity.sop_class),
        "00081155": _value("UI", one.identity.instance),
        "00081190": _value("UR", _url(one.identity, root)),
    }
    if one.warning is not None:
        item["00081196"] = _value("US", one.warning)
    return item


def _url(identity: Identity, root: str) -> str:
    return addresses.instance(
        root, identity.sop_class, identity.study, identity.series, identity.instance
    )


def _value(vr: str, value: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": [value]} if value != "" else {"vr": vr}


def _sequence(items: list[Dataset]) -> dict[str, Any]:
    return {"vr": "SQ", "Value": items}
