"""Asking a peer what it has: C-FIND as its user (PS3.4 C.4.1)."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from isocenter.dicom import encoding
from isocenter.dicom.elements import elements
from isocenter.dicom.json_model import to_json
from isocenter.dicom.syntax import lookup
from isocenter.dimse.association import Association
from isocenter.dimse.negotiation import Context, Proposal
from isocenter.dimse.status import CANCEL, Response
from isocenter.errors import Unavailable
from isocenter.services.models import UNIQUE_KEYS, Model, Negotiated
from isocenter.storage.attributes import Level

Document = dict[str, Any]

QUERY_RETRIEVE_LEVEL: Final = "00080052"
SPECIFIC_CHARACTER_SET: Final = "00080005"
LATIN_1: Final = "ISO_IR 100"
CANCEL_PATIENCE: Final = 5.0
"""Seconds that a peer gets to end a query we have cancelled."""


class Refused(Unavailable):
    """The peer answered a request with a failure."""

    def __init__(self, what: str, response: Response) -> None:
        comment = response.elements.get("ErrorComment", "")
        super().__init__(
            f"the peer refuses {what}: status {response.status:04X}"
            f"{f' ({comment})' if comment else ''}"
        )
        self.response = response


def proposal(sop_class: str, wanted: Negotiated) -> Proposal:
    """Return the context for a query, with the options that are wanted of it.

    Their field has one byte or three, and a fourth only for time zones. Source: PS3.4 C.5.1.1.1.
    """
    options = bytes((wanted.relational, wanted.combined_date_time, wanted.fuzzy, wanted.timezone))
    if not any(options):
        return Proposal(abstract_syntax=sop_class)
    size = 4 if wanted.timezone else 3 if any(options[1:]) else 1
    return Proposal(abstract_syntax=sop_class, extended=options[:size])


def is_hierarchical(search: "Search") -> bool:
    """Whether every level above is named by one value, as it must be without relational queries.

    Source: PS3.4 C.4.1.2.1.
    """
    for level in search.model.levels:
        if level < search.level:
            given = search.keys.get(f"{UNIQUE_KEYS[level]:08X}", {}).get("Value", ())
            if len(given) != 1 or set(given[0]) & set("*?"):
                return False
    return True


def identifier(level: Level, keys: Mapping[str, Any], context: Context) -> bytes:
    """Return the data set of a request in the context's transfer syntax.

    Text beyond ASCII goes in the character set that ``keys`` name, else in Latin-1, else in UTF-8.
    Raises: Malformed, if a value does not fit its attribute.
    """
    asked = {
        **keys,
        QUERY_RETRIEVE_LEVEL: {"vr": "CS", "Value": [level.name]},
    }
    named = asked.pop(SPECIFIC_CHARACTER_SET, {}).get("Value")
    terms = tuple(named) if named else (() if _is_ascii(keys) else (LATIN_1,))
    return encoding.encode(asked, lookup(context.transfer_syntax), terms)


def _is_ascii(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_is_ascii(each) for each in value.values())
    if isinstance(value, list):
        return all(_is_ascii(each) for each in value)
    return not isinstance(value, str) or value.isascii()


@dataclass(frozen=True, slots=True)
class Search:
    """What to ask for."""

    model: Model
    level: Level
    keys: Mapping[str, Any]
    """In the DICOM JSON model; the unique keys of the level and those above are added."""
    limit: int | None = None
    """Matches after which to cancel; None for all."""


def with_unique_keys(search: Search) -> Document:
    """Return the keys, those that tell the matches apart included."""
    missing = {
        f"{UNIQUE_KEYS[level]:08X}": {"vr": "LO" if level is Level.PATIENT else "UI"}
        for level in search.model.levels
        if level <= search.level
    }
    return {**missing, **search.keys}


async def find(association: Association, search: Search) -> AsyncIterator[Document]:
    """Yield the matches as they come, in the DICOM JSON model.

    Raises: Refused, Malformed, Unsupported, Aborted.
    """
    context = association.context_for(search.model.find)
    request = identifier(search.level, with_unique_keys(search), context)
    responses = association.find(search.model.find, request, context=context)
    syntax = lookup(context.transfer_syntax)
    count = 0
    async for response in responses:
        if response.is_pending:
            if response.dataset is not None and (search.limit is None or count < search.limit):
                count += 1
                yield to_json(elements(response.dataset, syntax))
            if count == search.limit:
                with suppress(TimeoutError):
                    async with asyncio.timeout(CANCEL_PATIENCE):
                        await responses.cancel()
                        async for _ in responses:
                            pass
                return
        elif not response.is_success and response.status != CANCEL:
            raise Refused("the query", response)
