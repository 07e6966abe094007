"""Whether what is said of a workitem meets the table of its attributes.

Source: PS3.4 5.4, CC.2.5.1.1, Table CC.2.5-3.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from isocenter.dicom.procedure_step import ONE_OF, TABLE, Requirement, StepState, Usage
from isocenter.errors import Malformed
from isocenter.storage import values
from isocenter.storage.workitem_records import Dataset

Table = Mapping[int, Requirement]

MOST_FAULTS: Final = 20
"""Faults told at once."""

_FORMS: Final[dict[str, Callable[[str], str | None]]] = {
    "DA": values.date,
    "DT": values.date_time,
    "TM": values.time,
}
_FINAL: Final = {StepState.COMPLETED: ("R", "P", "P2"), StepState.CANCELED: ("R", "X")}


@dataclass(frozen=True, slots=True)
class Checked:
    """A data set that meets the table."""

    dataset: Dataset
    is_modified: bool
    """Whether attributes were added that were to be there, if only empty (type 2)."""


def to_create(dataset: Dataset) -> Checked:
    """What a workitem is to be created with. Raises: Malformed, with what is wrong."""
    return _checked(dataset, lambda each: each.on_create)


def to_set(changes: Dataset) -> Checked:
    """What is to be set in a workitem. Raises: Malformed, with what is wrong."""
    return _checked(changes, lambda each: each.on_set)


def missing(state: StepState, dataset: Dataset) -> list[str]:
    """What a workitem still needs to be put into a final state."""
    return list(_missing(TABLE, dataset, _FINAL[state], ""))


def _missing(table: Table, dataset: Dataset, codes: tuple[str, ...], path: str) -> Iterator[str]:
    for each in table.values():
        name = path + each.keyword
        element = dataset.get(each.tag8)
        if each.final in codes and not _suffices(each, element):
            yield name
        for item in _items(element) if each.items else ():
            yield from _missing(each.items, item, codes, f"{name}.")


def _suffices(requirement: Requirement, element: dict[str, Any] | None) -> bool:
    if element is None:
        return False
    # Without outputs, an empty sequence says so.
    return requirement.final == "P2" or is_filled(element)


def is_filled(element: dict[str, Any] | None) -> bool:
    """Whether there is a value; an item counts as one."""
    if element is None:
        return False
    return bool(element.get("Value")) if element.get("vr") == "SQ" else values.is_filled(element)


def _items(element: dict[str, Any] | None) -> list[Dataset]:
    return list(element.get("Value", ())) if element else []


@dataclass(slots=True)
class _Check:
    usage_of: Callable[[Requirement], Usage]
    faults: list[str] = field(default_factory=list)
    is_modified: bool = False

    def dataset(self, table: Table, dataset: Dataset, path: str) -> Dataset:
        kept = dict(dataset)
        for each in table.values():
            usage = self.usage_of(each)
            element = kept.get(each.tag8)
            if usage.is_ours:
                kept.pop(each.tag8, None)
            elif element is not None:
                kept[each.tag8] = self._element(each, usage, element, path + each.keyword)
            elif usage.is_required and usage.may_be_empty:
                kept[each.tag8] = {"vr": each.vr}
                self.is_modified = True
            elif usage.is_required:
                self.faults.append(f"{path}{each.keyword} is missing")
        return kept

    def _element(
        self, requirement: Requirement, usage: Usage, element: dict[str, Any], name: str
    ) -> dict[str, Any]:
        if not usage.is_allowed:
            self.faults.append(f"{name} is not allowed here")
        elif not is_filled(element):
            if not usage.may_be_empty:
                self.faults.append(f"{name} has no value")
        elif not usage.may_have_value:
            self.faults.append(f"{name} must be empty here")
        elif requirement.vr == "SQ":
            return {"vr": "SQ", "Value": self._each(requirement, element, name)}
        elif wrong := _wrong(requirement, element):
            self.faults.append(f"{name} {wrong}")
        return element

    def _each(self, requirement: Requirement, element: dict[str, Any], name: str) -> list[Dataset]:
        held = {each.keyword for each in requirement.items.values()}
        groups = [group for group in ONE_OF if group <= held]
        kept = []
        for number, item in enumerate(_items(element), 1):
            kept.append(self.dataset(requirement.items, item, f"{name}[{number}]."))
            for group in groups:
                tags = [each.tag8 for each in requirement.items.values() if each.keyword in group]
                if not any(is_filled(item.get(tag8)) for tag8 in tags):
                    self.faults.append(f"{name}[{number}] has none of {', '.join(sorted(group))}")
        return kept


def _wrong(requirement: Requirement, element: dict[str, Any]) -> str | None:
    texts = [str(each) for each in element.get("Value", ()) if each is not None]
    if requirement.values and not set(texts) <= requirement.values:
        return f"is none of {', '.join(sorted(requirement.values))}"
    form = _FORMS.get(requirement.vr)
    if form is not None and any(form(text.strip(" ")) is None for text in texts):
        return f"is no value of VR {requirement.vr}"
    return None


def _checked(dataset: Dataset, usage_of: Callable[[Requirement], Usage]) -> Checked:
    check = _Check(usage_of)
    kept = check.dataset(TABLE, dataset, "")
    if check.faults:
        told = check.faults[:MOST_FAULTS]
        more = len(check.faults) - len(told)
        raise Malformed("; ".join(told) + (f"; and {more} more" if more else ""))
    return Checked(kept, check.is_modified)
