"""ImagingStudy: a study with its series and instances.

A large study is written while its series are read from the index: memory stays flat.

Source: https://hl7.org/fhir/R4/imagingstudy-mappings.html, https://hl7.org/fhir/R5/imagingstudy.html
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import orjson

from isocenter.errors import Malformed, NotFound, Unsupported
from isocenter.fhir import demands as asked
from isocenter.fhir import endpoint, patient, patients
from isocenter.fhir.datatypes import (
    DCM,
    Attributes,
    Element,
    concepts,
    filled,
    first,
    identifier,
    modality,
    people,
    text,
    uid_identifier,
)
from isocenter.fhir.dates import moment
from isocenter.fhir.demands import Demands, Given
from isocenter.fhir.gathering import gather
from isocenter.fhir.here import Here
from isocenter.fhir.imaging_series import Series
from isocenter.fhir.projection import Projection
from isocenter.fhir.registry import Found, ResourceType, SearchParameter, Wanted, Written
from isocenter.fhir.releases import R4, R5
from isocenter.storage.attributes import Level
from isocenter.storage.outlines import Part
from isocenter.storage.query import Key, Order, Query
from isocenter.storage.records import Match

TYPE: Final = "ImagingStudy"
SHORT: Final = 500
"""Instances up to which a study is made as a whole before it is sent."""

_STUDY_DATE, _STUDY_TIME, _ACCESSION = 0x00080020, 0x00080030, 0x00080050
_MODALITIES, _SOP_CLASSES = 0x00080061, 0x00080062
_STUDY, _SERIES, _INSTANCE = 0x0020000D, 0x0020000E, 0x00080018
_ISSUER_OF_ACCESSION: Final = 0x00080051
_LOCAL, _UNIVERSAL = 0x00400031, 0x00400032

_RETURNED: Final = frozenset(
    (
        _STUDY_DATE, _STUDY_TIME, _ACCESSION, _MODALITIES, _STUDY, _ISSUER_OF_ACCESSION,
        0x00080090, 0x00080201, 0x00081030, 0x00081032, 0x00081060, 0x00081080, 0x00081084,
        0x00100020, 0x00100021, 0x00100024, 0x00201206, 0x00201208, 0x00321060, 0x00321064,
        0x00401012,
    )
)  # fmt: skip


def resource(here: Here, match: Match) -> Element:
    """A study as the index has it, without its series."""
    held = match.attributes
    return {
        "resourceType": TYPE,
        "id": match.study,
        **filled(
            identifier=_identifiers(held),
            status="available",
            modality=[
                each if here.release is R4 else {"coding": [each]}
                for value in held.get("00080061", {}).get("Value") or []
                if (each := modality(value))
            ],
            subject=patient.reference(match),
            started=moment(
                text(held, "00080020"), text(held, "00080030"), text(held, "00080201"), here.zone
            ),
            referrer=next(people(held, "00080090"), None),
            endpoint=endpoint.REFERENCES,
            numberOfSeries=first(held, "00201206"),
            numberOfInstances=first(held, "00201208"),
            description=text(held, "00081030"),
            **_of_release(here, held),
        ),
    }


def _of_release(here: Here, held: Attributes) -> Element:
    """What the releases have under other names."""
    procedures = concepts(held, "00081032") or concepts(held, "00321064")
    reasons = concepts(held, "00401012") or concepts(held, "00081084")
    if not reasons and (said := text(held, "00081080")):
        reasons = [{"text": said}]
    if here.release is R4:
        interpreters = list(people(held, "00081060"))
        return {
            "procedureCode": procedures,
            "reasonCode": reasons,
            "interpreter": interpreters,
        }
    return {
        "procedure": [{"concept": each} for each in procedures],
        "reason": [{"concept": each} for each in reasons],
    }


def _identifiers(held: Attributes) -> list[Element]:
    found = [{"use": "official", **uid_identifier(text(held, "0020000D"))}]
    if accession := text(held, "00080050"):
        issued = first(held, "00080051")
        issued = issued if isinstance(issued, dict) else {}
        issuer = text(issued, "00400032") or text(issued, "00400031")
        found.append({"use": "usual", **identifier("ACSN", accession, issuer)})
    return found


def reference(match: Match) -> Element:
    """The study that a match belongs to."""
    uid = uid_identifier(text(match.attributes, "0020000D"))
    return {"reference": f"{TYPE}/{match.study}", "type": TYPE, "identifier": uid}


# --- finding


async def find(here: Here, demands: Demands, wanted: Wanted) -> Found:
    """One page of studies, the newest first. Raises: Malformed."""
    query = Query(
        level=Level.STUDY,
        returns=_RETURNED,
        limit=wanted.count,
        after=wanted.place.after or None,
        order=Order.OLDEST if wanted.sort == "started" else Order.NEWEST,
    )
    page = await gather(here.archive, demands.query(query))
    known = wanted.place.shown + len(page.matches) + page.behind
    return Found(
        page.matches,
        page.matches[-1].position if page.behind and page.matches else None,
        known if page.is_counted else None,
    )


async def count(here: Here, demands: Demands) -> int:
    """How many match."""
    return await here.archive.index.count(demands.query(Query(level=Level.STUDY)))


async def one(here: Here, id: str) -> Match:
    """The study with a logical id. Raises: NotFound."""
    query = Query(level=Level.STUDY, returns=_RETURNED, studies=frozenset((id,)), limit=1)
    found = await here.archive.answer(query)
    if not found.first:
        raise NotFound("no such study")
    return found.first[0]


async def of(
    here: Here, *, patients: Sequence[str] | None = None, studies: Sequence[str] | None = None
) -> AsyncIterator[list[Match]]:
    """The studies of patients, or those with logical ids, in pages."""
    query = Query(
        level=Level.STUDY,
        returns=_RETURNED,
        patients=None if patients is None else frozenset(patients),
        studies=None if studies is None else frozenset(studies),
    )
    async for page in here.archive.search(query):
        yield page


def is_short(match: Match) -> bool:
    """Whether a study has few instances."""
    return int(first(match.attributes, "00201208") or 0) <= SHORT


# --- writing


async def write(
    here: Here, entities: Sequence[Match], projection: Projection
) -> AsyncIterator[Written]:
    """Studies as JSON, with their series as they are read."""
    if not projection.wants("series"):
        for each in entities:
            yield Written(orjson.dumps(projection.of(resource(here, each))), each.study)
        return
    with_instances = "series.instance" not in projection.left_out
    outline = here.archive.index.outline(
        [each.position[-1] for each in entities], with_instances=with_instances
    )
    coming = aiter(_each(outline))
    part = await anext(coming, None)
    for each in entities:
        yield Written(orjson.dumps(projection.of(resource(here, each)))[:-1], each.study)
        series = Series(here)
        while part is not None and part.study_pk == each.position[-1]:
            yield Written(series.piece(part))
            part = await anext(coming, None)
        yield Written(series.end())


async def _each(pages: AsyncIterator[list[Part]]) -> AsyncIterator[Part]:
    async for page in pages:
        for part in page:
            yield part


# --- search parameters


def _ids(demands: Demands, given: Given) -> None:
    demands.of_studies(asked.plain(each) for each in given.values)


def _identifier(demands: Demands, given: Given) -> None:
    """Study Instance UIDs, or accession numbers. Raises: Unsupported."""
    tokens = [asked.token(each) for each in given.values]
    of_uid = [_is_of_uid(system, value) for system, value in tokens]
    if len(set(of_uid)) > 1 or len({system for system, _ in tokens}) > 1:
        raise Unsupported("identifiers of several systems at once: ask for one after the other")
    if not tokens:
        return
    system = tokens[0][0]
    if of_uid[0]:
        if wanted := [value.removeprefix(asked.URN_OID) for _, value in tokens if value]:
            asked.one_of(_STUDY, demands, wanted)
        return
    _accession(demands, system, [value for _, value in tokens if value])


def _is_of_uid(system: str | None, value: str) -> bool:
    if system is None:
        return value.startswith(asked.URN_OID)
    return system in (asked.UID_SYSTEM, asked.URI_SYSTEM)


def _accession(demands: Demands, system: str | None, values: Sequence[str]) -> None:
    if system == "":
        raise Unsupported("accession numbers without an issuer: leave out the bar to ask for any")
    if values:
        asked.one_of(_ACCESSION, demands, values)
    if system is not None:
        issuer = asked.issuer_of_system(system)
        tag = _LOCAL if system.startswith(asked.LOCAL_ISSUER) else _UNIVERSAL
        item = Key(tag, any_of=(issuer,))
        demands.keys.append(Key(_ISSUER_OF_ACCESSION, items=(item,)))


def _uids(tag: int) -> Any:
    def demand(demands: Demands, given: Given) -> None:
        asked.one_of(tag, demands, map(asked.uid_of, given.values))

    return demand


def _modality(demands: Demands, given: Given) -> None:
    codes = (asked.code_of(each, DCM) for each in given.values)
    asked.one_of(_MODALITIES, demands, (each or None for each in codes))


def _started(demands: Demands, given: Given) -> None:
    asked.dated(_STUDY_DATE, _STUDY_TIME, demands, given)


def _endpoint(demands: Demands, given: Given) -> None:
    if given.chain or given.modifier not in ("", endpoint.TYPE):
        raise Unsupported("to ask more of an endpoint")
    ids = (asked.reference(each, (endpoint.TYPE,), demands.base) for each in given.values)
    if endpoint.OF_STUDIES.isdisjoint(ids):
        demands.is_impossible = True


def _status(demands: Demands, given: Given) -> None:
    known = {"registered", "available", "cancelled", "entered-in-error", "unknown"}
    said = {asked.token(each)[1] for each in given.values}
    if said - known:
        raise Malformed("there is no such status of a study")
    if "available" not in said:
        demands.is_impossible = True


def _parameter(name: str, type: str, demand: Any, meaning: str, **more: Any) -> SearchParameter:
    definition = more.pop("definition", f"{TYPE}-{name}")
    return SearchParameter(
        name=name, type=type, definition=definition, demand=demand, meaning=meaning, **more
    )


_MANDATORY: Final = frozenset({"status", "subject"})

RESOURCE: Final = ResourceType(
    name=TYPE,
    source="PS3.3 A.1: a study of a patient",
    find=find,
    count=count,
    one=one,
    write=write,
    is_short=is_short,
    position=(str, str, int),
    parameters=(
        _parameter("_id", "token", _ids, "the logical id", definition="Resource-id"),
        _parameter(
            "identifier", "token", _identifier,
            "Study Instance UID (urn:oid:…) or accession number",
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
        _parameter("started", "date", _started, "Study Date and Time"),
        _parameter("modality", "token", _modality, "a modality of one of its series"),
        _parameter("series", "token", _uids(_SERIES), "Series Instance UID"),
        _parameter("instance", "token", _uids(_INSTANCE), "SOP Instance UID"),
        *(
            _parameter("dicom-class", type, _uids(_SOP_CLASSES), "SOP Class UID", releases=(of,))
            for type, of in (("uri", R4), ("token", R5))
        ),
        _parameter(
            "endpoint", "reference", _endpoint, "where it can be had", targets=("Endpoint",)
        ),
        _parameter("status", "token", _status, "all are available"),
    ),
    sorts=("started", "-started"),
    mandatory={R4: _MANDATORY, R5: _MANDATORY},
    left_out_of_summary=frozenset({"series.instance"}),
)  # fmt: skip
