"""Instances and queries for the tests of the index."""

import hashlib
from collections.abc import Iterable
from typing import Any

from isocenter.storage.attributes import ATTRIBUTES, BY_KEYWORD, Attribute, Level
from isocenter.storage.index import Index
from isocenter.storage.query import Key, Query
from isocenter.storage.records import Incoming, Match, Selection, Stored

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT = "1.2.840.10008.1.2.1"


def element(attribute: Attribute, value: Any) -> dict[str, Any]:
    """An element of the DICOM JSON model; text with backslashes has several values."""
    values = value if isinstance(value, list) else [value]
    if attribute.vr == "PN":
        return {"vr": "PN", "Value": [person(each) for each in values]}
    if attribute.vr == "SQ":
        return {"vr": "SQ", "Value": [data_set(attribute.items, each) for each in values]}
    return {"vr": attribute.vr, "Value": values}


def person(name: str) -> dict[str, str]:
    """A name from its groups parted by ``=``."""
    groups = zip(("Alphabetic", "Ideographic", "Phonetic"), name.split("="), strict=False)
    return {group: each for group, each in groups if each}


def data_set(known: Any, given: dict[str, Any]) -> dict[str, Any]:
    """DICOM JSON from values by keyword."""
    by_keyword = {each.keyword: each for each in known.values()}
    return {
        by_keyword[keyword].tag8: element(by_keyword[keyword], value)
        for keyword, value in given.items()
    }


def attributes(given: dict[str, Any]) -> dict[str, Any]:
    """The attributes of an instance; what is not given is made up, None leaves out."""
    made = {
        "SOPClassUID": CT,
        "SOPInstanceUID": "1.2.3.1.1.1",
        "SeriesInstanceUID": "1.2.3.1.1",
        "StudyInstanceUID": "1.2.3.1",
        "PatientID": "P1",
        "PatientName": "Doe^Jane",
        "Modality": "CT",
    } | given
    return data_set(ATTRIBUTES, {word: value for word, value in made.items() if value is not None})


def incoming(content: str = "", **given: Any) -> Incoming:
    """An instance; ``content`` stands for its bytes."""
    held = attributes(given)
    digest = hashlib.sha256(f"{held.get('00080018')}/{content}".encode()).digest()
    return Incoming(held, EXPLICIT, digest.hex(), 1_000 + len(content), digest, 400)


def store(index: Index, *instances: Incoming) -> list[Stored]:
    """Store one after the other."""
    return [index.submit(each).result(timeout=10) for each in instances]


def keys_of(known: Any, asked: dict[str, Any]) -> Iterable[Key]:
    """Keys from values by keyword; a mapping is the item of a sequence."""
    by_keyword = {each.keyword: each for each in known.values()}
    for keyword, value in asked.items():
        attribute = by_keyword[keyword]
        if isinstance(value, dict):
            yield Key(attribute.tag, items=tuple(keys_of(attribute.items, value)))
        else:
            yield Key(attribute.tag, value)


def query(level: Level = Level.STUDY, /, **asked: Any) -> Query:
    """A query; keywords of attributes are keys, all else are fields of `Query`."""
    keys = {word: value for word, value in asked.items() if word in BY_KEYWORD}
    rest = {word: value for word, value in asked.items() if word not in BY_KEYWORD}
    return Query(level=level, keys=tuple(keys_of(ATTRIBUTES, keys)), **rest)


async def found(index: Index, wanted: Query) -> list[Match]:
    """All matches of a query."""
    return [match async for page in index.search(wanted) for match in page]


async def values(index: Index, wanted: Query, keyword: str) -> list[Any]:
    """The first value of an attribute in all matches, sorted."""
    tag8 = BY_KEYWORD[keyword].tag8
    return sorted(match.attributes[tag8]["Value"][0] for match in await found(index, wanted))


async def remove_for_good(index: Index, selection: Selection) -> list[str]:
    """Remove with no way back; return the keys of the blobs whose bytes were to go."""
    removed = await index.remove(selection)
    if removed.removal:
        await index.removals.purge(removed.removal)
    keys = await index.blobs_to_delete(10_000)
    await index.forget_blobs(keys)
    return keys
