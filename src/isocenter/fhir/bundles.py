"""Bundles, written while what is in them is found.

Source: https://hl7.org/fhir/R4/bundle.html#searchset
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import orjson

from isocenter.fhir.here import Here
from isocenter.fhir.outcomes import outcome
from isocenter.fhir.registry import Written

AT_ONCE: Final = 1 << 16
"""Bytes that are handed on together: each piece costs, however small it is."""


async def searchset(
    links: Mapping[str, str], total: int | None, entries: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    """Write a bundle; each entry begins with a comma."""
    head: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
    if total is not None:
        head["total"] = total
    head["link"] = [{"relation": name, "url": url} for name, url in links.items()]
    yield orjson.dumps(head)[:-1]
    has_entries = False
    async for piece in entries:
        yield piece if has_entries else b',"entry":[' + piece[1:]
        has_entries = True
    yield b"]}" if has_entries else b"}"


async def together(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same, in pieces of a size that is worth sending."""
    held = bytearray()
    async for piece in pieces:
        held += piece
        if len(held) >= AT_ONCE:
            yield bytes(held)
            held.clear()
    yield bytes(held)


async def entries(
    here: Here, kind: str, written: AsyncIterator[Written], mode: str
) -> AsyncIterator[bytes]:
    """The entries of one kind of resource; ``mode``: why they are there."""
    end = b',"search":' + orjson.dumps({"mode": mode}) + b"}"
    is_begun = False
    async for each in written:
        if each.id:
            lead = b',{"fullUrl":' + orjson.dumps(here.url(kind, each.id)) + b',"resource":'
            yield (end if is_begun else b"") + lead + each.piece
            is_begun = True
        else:
            yield each.piece
    if is_begun:
        yield end


def warning(text: str) -> bytes:
    """An entry that says what was not heeded."""
    told = outcome("not-supported", text, "warning")
    return b"," + orjson.dumps({"resource": told, "search": {"mode": "outcome"}})
