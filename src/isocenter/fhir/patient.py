"""Patient: who is looked into (PS3.3 C.2)."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Final

import orjson
from starlette.exceptions import HTTPException

from isocenter.errors import NotFound
from isocenter.fhir import patients
from isocenter.fhir.datatypes import Attributes, Element, filled, human_names, identifier, text
from isocenter.fhir.dates import day
from isocenter.fhir.demands import Demands
from isocenter.fhir.gathering import gather
from isocenter.fhir.here import Here
from isocenter.fhir.projection import Projection
from isocenter.fhir.registry import Found, ResourceType, SearchParameter, Wanted, Written
from isocenter.storage.attributes import Level
from isocenter.storage.entry import issuer_of
from isocenter.storage.query import Query
from isocenter.storage.records import Match

TYPE: Final = "Patient"
_GENDERS: Final = {sex: gender for gender, sexes in patients.SEXES.items() for sex in sexes}
_RETURNED: Final = frozenset(
    (0x00100010, 0x00100020, 0x00100021, 0x00100024, 0x00100030, 0x00100040)
)


def resource(match: Match) -> Element:
    """A patient as the index has them."""
    held = match.attributes
    return {
        "resourceType": TYPE,
        "id": match.patient,
        **filled(
            identifier=identifiers(held),
            name=human_names(held, "00100010"),
            gender=_GENDERS.get(text(held, "00100040"), "unknown"),
            birthDate=day(text(held, "00100030")),
        ),
    }


def identifiers(held: Attributes) -> list[Element]:
    """The Patient ID with its issuer, if there is one."""
    value = text(held, "00100020")
    return [{"use": "usual", **identifier("MR", value, issuer_of(held))}] if value else []


def reference(match: Match) -> Element:
    """The patient whom a match belongs to."""
    known = identifiers(match.attributes)
    return {
        "reference": f"{TYPE}/{match.patient}",
        "type": TYPE,
        **({"identifier": known[0]} if known else {}),
    }


async def find(here: Here, demands: Demands, wanted: Wanted) -> Found:
    """One page of patients, by name. Raises: Malformed; HTTPException 410."""
    after = await _after(here, wanted.place.after)
    query = demands.query(
        Query(level=Level.PATIENT, returns=_RETURNED, limit=wanted.count, after=after)
    )
    page = await gather(here.archive, query)
    known = wanted.place.shown + len(page.matches) + page.behind
    # Only the key: the name that the order goes by is nobody's business in a URL.
    return Found(
        page.matches,
        page.matches[-1].position[-1:] if page.behind and page.matches else None,
        known if page.is_counted else None,
    )


async def _after(here: Here, position: tuple[Any, ...]) -> tuple[Any, ...] | None:
    if not position:
        return None
    found = await here.archive.index.place(Level.PATIENT, position[0])
    if found is None:
        raise HTTPException(410, "the patient that this page follows has gone: search anew")
    return found


async def count(here: Here, demands: Demands) -> int:
    """How many match."""
    return await here.archive.index.count(demands.query(Query(level=Level.PATIENT)))


async def one(here: Here, id: str) -> Match:
    """The patient with a logical id. Raises: NotFound."""
    async for found in of(here, (id,)):
        return found[0]
    raise NotFound("no such patient")


async def of(here: Here, handles: Iterable[str]) -> AsyncIterator[list[Match]]:
    """The patients with these logical ids, in pages."""
    query = Query(level=Level.PATIENT, returns=_RETURNED, patients=frozenset(handles))
    async for page in here.archive.search(query):
        yield page


async def write(
    here: Here, entities: Sequence[Match], projection: Projection
) -> AsyncIterator[Written]:
    """Patients as JSON."""
    for each in entities:
        yield Written(orjson.dumps(projection.of(resource(each))), each.patient)


def _parameter(name: str, type: str, definition: str, meaning: str, **more: Any) -> SearchParameter:
    demand = patients.CHAINED[name]
    return SearchParameter(
        name=name, type=type, definition=definition, demand=demand, meaning=meaning, **more
    )


RESOURCE: Final = ResourceType(
    name=TYPE,
    source="PS3.3 C.2: a Patient ID with its issuer; without an ID, every study's own",
    find=find,
    count=count,
    one=one,
    write=write,
    is_short=lambda _: True,
    position=(int,),
    parameters=(
        _parameter("_id", "token", "Resource-id", "the logical id"),
        _parameter(
            "identifier", "token", "Patient-identifier", "the Patient ID, with or without issuer"
        ),
        _parameter(
            "name", "string", "Patient-name", "a part of the name begins with it",
            modifiers=("contains",),
        ),
        _parameter("family", "string", "individual-family", "the family name begins with it"),
        _parameter("given", "string", "individual-given", "a given name begins with it"),
        _parameter("birthdate", "date", "individual-birthdate", "the date of birth"),
        _parameter("gender", "token", "individual-gender", "male, female, other or unknown"),
    ),
    sorts=("family", "name"),
)  # fmt: skip
