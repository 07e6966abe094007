"""What a term means: all that the dictionary, the registry of UIDs and our tables have of it."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from isocenter.dicom import dictionary, uids
from isocenter.dicom.dictionary import Attribute
from isocenter.dicom.uids import UIDS, Registered
from isocenter.dicom.vrs import VRS

MOST: Final = 20
"""Meanings that are told of one term."""
_TAG: Final = re.compile(r"\(?([0-9A-Fx]{4}),? ?([0-9A-Fx]{4})\)?", re.IGNORECASE)
_UID: Final = re.compile(r"[0-2](\.\d+)+")
_STATUS: Final = re.compile(r"(?:0x)?([0-9A-F]{4})H?", re.IGNORECASE)
_HTTP: Final = re.compile(r"[1-5]\d\d")
_CONTEXT_GROUP: Final = re.compile(r"CID ?(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Meaning:
    """One thing that a term may mean."""

    kind: str
    title: str
    facts: dict[str, str] = field(default_factory=dict)


def meanings(term: str, creator: str = "") -> list[Meaning]:
    """Give what ``term`` means: by its form first, then by name, then by words in names."""
    term = term.strip()
    for look in (_by_form, _by_name, _by_words):
        if found := list(look(term, creator)):
            return found
    return []


def similar(term: str) -> list[str]:
    """Give keywords that ``term`` may be a slip of."""
    from difflib import get_close_matches

    named = {keyword.casefold(): keyword for keyword in _keywords()}
    near = get_close_matches(_squeezed(term), named, n=5, cutoff=0.7)
    return [named[each] for each in near]


@cache
def _keywords() -> list[str]:
    public = [each.keyword for each in dictionary.attributes() if each.keyword]
    return public + [each.keyword for each in UIDS.values() if each.keyword]


def _squeezed(text: str) -> str:
    """Leave what names and keywords have in common."""
    return re.sub(r"[\W_]|'s\b", "", text.replace("\u2019", "'")).casefold()


# --- by the form of the term


def _by_form(term: str, creator: str) -> Iterator[Meaning]:
    if term.upper() in VRS and len(term) == 2:
        yield _vr(term.upper())
    if (form := _TAG.fullmatch(term)) and not _UID.fullmatch(term):
        yield from _tag("".join(form.groups()), creator)
    if _UID.fullmatch(term):
        yield from _uid(term)
    if form := _STATUS.fullmatch(term):
        yield from _status(int(form[1], 16))
    if _HTTP.fullmatch(term):
        yield from _http(int(term))
    if form := _CONTEXT_GROUP.fullmatch(term):
        yield from _context_group(int(form[1]))


def _vr(code: str) -> Meaning:
    known = VRS[code]
    facts = {"name": known.name, "holds": known.holds, "length": known.length}
    return Meaning("value representation", code, {**facts, "source": "PS3.5 6.2"})


def _tag(digits: str, creator: str) -> Iterator[Meaning]:
    if "x" in digits.lower():
        mask = digits.lower()
        for each in dictionary.attributes():
            if "x" in each.tag and _is_same_place(each.tag.lower(), mask):
                yield _of_attribute(each)
        return
    tag = int(digits, 16)
    if (known := dictionary.public_attribute(tag)) is not None:
        yield _of_attribute(known)
    elif dictionary.is_private(tag):
        yield from _private(tag, creator)
    elif name := dictionary.name_of(tag):
        yield Meaning("attribute", f"{_written(digits)} {name}", {"VR": "UL", "VM": "1"})


def _is_same_place(one: str, other: str) -> bool:
    return all(a == b or "x" in (a, b) for a, b in zip(one, other, strict=True))


def _private(tag: int, creator: str) -> Iterator[Meaning]:
    written = _written(f"{tag:08X}")
    if dictionary.is_private_creator(tag):
        block = f"{tag >> 16:04X},{tag & 0xFF:02X}00 to {tag & 0xFF:02X}FF"
        facts = {"VR": "LO", "reserves": block, "source": "PS3.5 7.8.1"}
        yield Meaning("attribute", f"{written} Private Creator", facts)
        return
    known = list(dictionary.private_attributes(tag, creator))
    if not known:
        facts = {"known": "to nobody whose private attributes we know", "source": "PS3.5 7.8"}
        yield Meaning("attribute", f"{written} private", facts)
    for each in known[:MOST]:
        yield _of_attribute(each)
    if len(known) > MOST:
        yield Meaning("attribute", f"… and {len(known) - MOST} more: name one by --creator")


def _of_attribute(known: Attribute) -> Meaning:
    vrs = " or ".join(
        f"{vr} ({VRS[vr].name})" if vr in VRS else vr for vr in known.vr.split(" or ")
    )
    facts = {"name": known.name, "tag": _written(known.tag), "VR": vrs, "VM": known.vm}
    if known.creator:
        facts["private creator"] = known.creator
    if known.is_retired:
        facts["retired"] = "yes"
    title = f"{_written(known.tag)} {known.keyword or known.name}"
    return Meaning("attribute", title, {**facts, "source": _source(known)})


def _source(known: Attribute) -> str:
    if known.creator:
        return "the private dictionary of pydicom"
    parts = {"0000": "PS3.7 E", "0002": "PS3.6 7", "0004": "PS3.6 8"}
    return parts.get(known.tag[:4], "PS3.6 6")


def _written(tag: str) -> str:
    return f"({tag[:4]},{tag[4:]})"


def _uid(uid: str) -> Iterator[Meaning]:
    if known := UIDS.get(uid):
        yield _of_uid(known)
    elif owner := uids.root_of(uid):
        yield Meaning("UID", uid, {"owner": owner, "length": f"{len(uid)} of 64"})


def _of_uid(known: Registered) -> Meaning:
    facts = {"name": known.name, "UID": known.uid, "type": known.kind}
    if known.is_retired:
        facts["retired"] = "yes"
    if known.kind == uids.TRANSFER_SYNTAX:
        facts |= _of_transfer_syntax(known.uid)
    elif known.kind == uids.SOP_CLASS:
        facts |= _of_sop_class(known.uid)
    facts["source"] = "PS3.6 A" if known.uid.startswith("1.2.840.10008.") else "its maker"
    return Meaning(known.kind, f"{known.uid} {known.keyword or known.name}", facts)


def _of_transfer_syntax(uid: str) -> dict[str, str]:
    from isocenter.dicom.syntax import lookup
    from isocenter.imaging.abilities import of_transfer_syntax

    syntax = lookup(uid)
    words = ["implicit VR" if syntax.is_implicit else "explicit VR"]
    words += ["little endian" if syntax.is_little_endian else "big endian"]
    words += ["deflated"] * syntax.is_deflated + ["encapsulated"] * syntax.is_encapsulated
    ability = of_transfer_syntax(uid)
    facts = {"encoding": ", ".join(words), "kept": "yes"}
    facts["decoded"] = f"by {ability.library} ({ability.licence})" if ability.is_decoded else "no"
    facts["encoded"] = "yes" if ability.is_encoded else "no"
    if name := _name_to_convert(uid):
        facts["convert"] = f"isocenter convert IN OUT --to {name}"
    return facts


def _name_to_convert(uid: str) -> str:
    from isocenter.imaging.targets import NAMES

    return next((name for name, named in NAMES.items() if named == uid), "")


def _of_sop_class(uid: str) -> dict[str, str]:
    from isocenter.dicom.sop_classes import IMAGES, NON_PATIENT, SOP_CLASSES
    from isocenter.imaging.states import APPLIED

    known = SOP_CLASSES[uid]
    if not known.is_storage:
        return {}
    if uid in IMAGES:
        return {"kept": "yes", "rendered": "as a picture; where it holds a video, as that"}
    if known.name.startswith("Encapsulated"):
        return {"kept": "yes", "rendered": "as the document it holds"}
    if uid in APPLIED:
        return {"kept": "yes", "rendered": "as the images to which it refers"}
    return {"kept": "as of no patient" if uid in NON_PATIENT else "yes"}


def _status(code: int) -> Iterator[Meaning]:
    from isocenter.dimse.status_meanings import meanings_of

    for each in meanings_of(code):
        facts = {"of": each.service, "category": each.category, "source": each.source}
        yield Meaning("status", f"{code:04X} {each.text}", facts)


def _http(code: int) -> Iterator[Meaning]:
    """Tell what our own web services mean by a status code."""
    from isocenter.dicomweb import routing
    from isocenter.dicomweb.resources import ANY_METHOD, merged

    said: dict[str, list[str]] = {}
    if meant := ANY_METHOD.get(code):
        said[meant] = ["any"]
    for resource in merged(routing.RESOURCES):
        for name, method in resource.methods.items():
            if (meant := method.statuses.get(code)) is not None:
                told = said.setdefault(meant, [])
                if (called := f"{name} {method.transaction}") not in told:
                    told.append(called)
    for meant, transactions in said.items():
        facts = {"of": ", ".join(transactions), "source": "PS3.18 8.5"}
        yield Meaning("HTTP status", f"{code} {meant}", facts)


def _context_group(number: int) -> Iterator[Meaning]:
    from pydicom.sr._cid_dict import cid_concepts, name_for_cid

    if number in name_for_cid:
        name = _spaced(name_for_cid[number])
        facts = {
            "concepts": ", ".join(
                f"{len(keywords)} of {scheme}"
                for scheme, keywords in cid_concepts.get(number, {}).items()
            )
        }
        facts["source"] = "PS3.16 B"
        yield Meaning("context group", f"CID {number} {name}", facts)


def _spaced(keyword: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", keyword)


# --- by name, and by words in names


def _by_name(term: str, creator: str) -> Iterator[Meaning]:
    wanted = _squeezed(term)
    if wanted:
        yield from _named(lambda name, keyword: wanted in (_squeezed(name), keyword.casefold()))


def _by_words(term: str, creator: str) -> Iterator[Meaning]:
    """Give what has all the words, those with the shortest names first."""
    wanted = re.findall(r"\w+", term.casefold())
    if not wanted or max(map(len, wanted)) < 3:
        return

    def has_all(name: str, keyword: str) -> bool:
        text = f"{name} {keyword}".casefold()
        return all(word in text for word in wanted)

    found = sorted(_named(has_all), key=lambda each: len(each.facts["name"]))
    yield from found[:MOST]
    if len(found) > MOST:
        yield Meaning("more", f"… and {len(found) - MOST} more with such a name")


def _named(is_wanted: Callable[[str, str], bool]) -> Iterator[Meaning]:
    for attribute in dictionary.attributes():
        if is_wanted(attribute.name, attribute.keyword):
            yield _of_attribute(attribute)
    for known in UIDS.values():
        if is_wanted(known.name, known.keyword):
            yield _of_uid(known)
