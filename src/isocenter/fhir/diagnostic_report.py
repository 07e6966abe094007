"""DiagnosticReport: the structured reports of an archive (PS3.3 A.35).

They are found by their SOP classes, one class after the other: an index has each in order.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any, Final

import orjson

from isocenter.errors import NotFound, Unsupported
from isocenter.fhir import demands as asked, imaging_study, patient, patients
from isocenter.fhir.datatypes import (
    Attributes,
    Element,
    concepts,
    filled,
    people,
    text,
    uid_identifier,
)
from isocenter.fhir.dates import moment
from isocenter.fhir.demands import Demands, Given
from isocenter.fhir.gathering import gather
from isocenter.fhir.here import Here
from isocenter.fhir.projection import Projection
from isocenter.fhir.registry import Found, ResourceType, SearchParameter, Wanted, Written
from isocenter.fhir.releases import R4, R5
from isocenter.storage.attributes import Level
from isocenter.storage.query import Key, Query
from isocenter.storage.records import Match

TYPE: Final = "DiagnosticReport"
SECTIONS: Final = "http://terminology.hl7.org/CodeSystem/v2-0074"

SOP_CLASSES: Final = (
    "1.2.840.10008.5.1.4.1.1.88.11",
    "1.2.840.10008.5.1.4.1.1.88.22",
    "1.2.840.10008.5.1.4.1.1.88.33",
    "1.2.840.10008.5.1.4.1.1.88.34",
    "1.2.840.10008.5.1.4.1.1.88.35",
    "1.2.840.10008.5.1.4.1.1.88.50",
    "1.2.840.10008.5.1.4.1.1.88.65",
    "1.2.840.10008.5.1.4.1.1.88.69",
    "1.2.840.10008.5.1.4.1.1.88.72",
)
"""Text, Enhanced, Comprehensive, Comprehensive 3D, Extensible; CAD of breast, chest and colon;
Simplified Adult Echo. Reports of dose and procedure logs, which diagnose nothing, are none."""

_SOP_CLASS, _INSTANCE, _STUDY_DATE, _STUDY_TIME = 0x00080016, 0x00080018, 0x00080020, 0x00080030
_RETURNED: Final = frozenset(
    (
        _SOP_CLASS, _INSTANCE, _STUDY_DATE, _STUDY_TIME, 0x0020000D, 0x0020000E, 0x00080023,
        0x00080033, 0x00080201, 0x0008103E, 0x00100020, 0x00100021, 0x00100024, 0x0040A043,
        0x0040A073, 0x0040A491, 0x0040A493, 0x0040A496,
    )
)  # fmt: skip


def resource(here: Here, match: Match) -> Element:
    """A structured report as the index has it."""
    held = match.attributes
    uid = text(held, "00080018")
    offset = text(held, "00080201")
    titles = concepts(held, "0040A043")
    study = [imaging_study.reference(match)]
    issued = moment(text(held, "00080023"), text(held, "00080033"), offset, here.zone) or ""
    return {
        "resourceType": TYPE,
        "id": uid,
        **filled(
            identifier=[uid_identifier(uid)],
            status=status(held),
            category=[{"coding": [{"system": SECTIONS, "code": "IMG"}]}],
            code=titles[0] if titles else {"text": text(held, "0008103E") or "Structured report"},
            subject=patient.reference(match),
            effectiveDateTime=moment(
                text(held, "00080020"), text(held, "00080030"), offset, here.zone
            ),
            # An instant: without a timezone there is none.
            issued=issued if "T" in issued else "",
            resultsInterpreter=_verifiers(held),
            presentedForm=[_form(here, held, uid)],
            **({"imagingStudy": study} if here.release is R4 else {"study": study}),
        ),
    }


def status(held: Attributes) -> str:
    """What the flags say (PS3.3 C.17.2): a report is final only if somebody has verified it."""
    completion, verification, preliminary = (
        text(held, tag8) for tag8 in ("0040A491", "0040A493", "0040A496")
    )
    if completion == "PARTIAL":
        return "partial"
    if completion != "COMPLETE":
        return "unknown"
    is_final = verification == "VERIFIED" and preliminary != "PRELIMINARY"
    return "final" if is_final else "preliminary"


def _verifiers(held: Attributes) -> list[Element]:
    items = held.get("0040A073", {}).get("Value") or []
    return [each for item in items if isinstance(item, dict) for each in people(item, "0040A075")]


def _form(here: Here, held: Attributes, uid: str) -> Element:
    """The document itself, as it is kept."""
    study, series = text(held, "0020000D"), text(held, "0020000E")
    return {
        "contentType": "application/dicom",
        "url": f"{here.dicom_web}/studies/{study}/series/{series}/instances/{uid}",
    }


# --- finding


async def find(here: Here, demands: Demands, wanted: Wanted) -> Found:
    """One page of reports, class by class. Raises: Malformed."""
    start, *after = wanted.place.after or (0,)
    found: list[Match] = []
    if start < 0:
        return Found()
    for place in range(start, len(SOP_CLASSES)):
        left = wanted.count - len(found)
        query = _query(demands, SOP_CLASSES[place])
        query = replace(query, limit=left, after=tuple(after) or None)
        after = []
        page = await gather(here.archive, query)
        found += page.matches
        if page.behind and page.matches:
            return Found(found, (place, *page.matches[-1].position))
        if len(found) == wanted.count:
            return Found(found, await _next(here, demands, place + 1))
    return Found(found, None, wanted.place.shown + len(found))


async def _next(here: Here, demands: Demands, start: int) -> tuple[Any, ...] | None:
    """Where the following page begins, at a class of its own; None, if there is none."""
    for place in range(start, len(SOP_CLASSES)):
        query = replace(_query(demands, SOP_CLASSES[place]), limit=1)
        if (await here.archive.answer(query)).first:
            return (place, 0, 0, 0)  # before every row
    return None


def _query(demands: Demands, sop_class: str) -> Query:
    # Who asks for instances of other classes asks in vain: each key has to be met.
    key = Key(_SOP_CLASS, any_of=(sop_class,))
    return demands.query(Query(level=Level.IMAGE, keys=(key,), returns=_RETURNED))


async def count(here: Here, demands: Demands) -> int:
    """How many match."""
    return sum([await here.archive.index.count(_query(demands, each)) for each in SOP_CLASSES])


async def one(here: Here, id: str) -> Match:
    """The report with a logical id: its SOP Instance UID. Raises: NotFound."""
    keys = (Key(_INSTANCE, any_of=(id,)), Key(_SOP_CLASS, any_of=SOP_CLASSES))
    query = Query(level=Level.IMAGE, keys=keys, returns=_RETURNED, limit=1)
    found = await here.archive.answer(query)
    if not found.first:
        raise NotFound("no such report")
    return found.first[0]


async def write(
    here: Here, entities: Sequence[Match], projection: Projection
) -> AsyncIterator[Written]:
    """Reports as JSON."""
    for each in entities:
        uid = text(each.attributes, "00080018")
        # Devices break the rules of UIDs; such a report has no logical id, and so is none.
        if asked.is_id(uid):
            yield Written(orjson.dumps(projection.of(resource(here, each))), uid)


# --- search parameters


def _uids(demands: Demands, given: Given) -> None:
    asked.one_of(_INSTANCE, demands, map(asked.uid_of, given.values))


def _ids(demands: Demands, given: Given) -> None:
    asked.one_of(_INSTANCE, demands, (asked.plain(each) for each in given.values))


def _date(demands: Demands, given: Given) -> None:
    asked.dated(_STUDY_DATE, _STUDY_TIME, demands, given)


def _study(demands: Demands, given: Given) -> None:
    if given.chain or given.modifier not in ("", imaging_study.TYPE):
        raise Unsupported("to ask more of a study")
    ids = (asked.reference(each, (imaging_study.TYPE,), demands.base) for each in given.values)
    demands.of_studies(each for each in ids if each is not None)


def _parameter(name: str, type: str, demand: Any, meaning: str, **more: Any) -> SearchParameter:
    definition = more.pop("definition", f"{TYPE}-{name}")
    return SearchParameter(
        name=name, type=type, definition=definition, demand=demand, meaning=meaning, **more
    )


RESOURCE: Final = ResourceType(
    name=TYPE,
    source="PS3.3 A.35: SR documents that report findings",
    find=find,
    count=count,
    one=one,
    write=write,
    is_short=lambda _: True,
    position=(int, int, int, int),
    parameters=(
        _parameter("_id", "token", _ids, "the logical id", definition="Resource-id"),
        _parameter(
            "identifier", "token", _uids, "SOP Instance UID (urn:oid:…)",
            definition="clinical-identifier",
        ),
        _parameter(
            "patient", "reference", patients.of_patient, "the patient, or what is asked of them",
            targets=("Patient",), modifiers=("identifier",), definition="clinical-patient",
        ),
        _parameter(
            "subject", "reference", patients.of_patient, "the same as patient",
            targets=("Patient",), modifiers=("identifier",),
        ),
        _parameter(
            "date", "date", _date, "Study Date and Time", definition="clinical-date"
        ),
        _parameter(
            "study", "reference", _study, "the study that it reports on",
            targets=("ImagingStudy",), releases=(R5,),
        ),
    ),
    mandatory={R4: frozenset({"status", "code"}), R5: frozenset({"status", "code"})},
    left_out_of_summary=frozenset({"imagingStudy", "study", "presentedForm"}),
)  # fmt: skip
