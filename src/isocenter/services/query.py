"""Query: C-FIND over the archive (PS3.4 C.4.1)."""

from typing import Any

from isocenter.archive.answers import only
from isocenter.archive.archive import Archive
from isocenter.config import DimseConfig
from isocenter.dicom import charset, dictionary, encoding
from isocenter.dicom.syntax import TransferSyntax, lookup
from isocenter.dimse.command import Verb
from isocenter.dimse.negotiation import Offer
from isocenter.dimse.operation import Operation, Service
from isocenter.dimse.status import (
    CANCEL,
    PENDING,
    PENDING_WARNING,
    SUCCESS,
    UNRECOGNIZED_OPERATION,
    Response,
)
from isocenter.errors import Mismatch
from isocenter.services import identifier as identifiers
from isocenter.services.identifier import TIMEZONE, Identifier
from isocenter.services.models import BY_FIND, UNIQUE_KEYS, Negotiated, answer_find
from isocenter.services.store import ORDINARY
from isocenter.storage.attributes import ATTRIBUTES, Level
from isocenter.storage.query import Query
from isocenter.storage.values import offset_minutes

Document = dict[str, Any]

QUERY_RETRIEVE_LEVEL = "00080052"
RETRIEVE_AE_TITLE = "00080054"
ANSWERS_AT_ONCE = 25
"""Responses that are made before they are sent and anybody else is heard."""
INSTANCE_AVAILABILITY = "00080056"


class FindProvider:
    """Query SCP for the three information models."""

    def __init__(self, archive: Archive, aet: str, config: DimseConfig) -> None:
        self._archive = archive
        self._aet = aet
        self._config = config

    def services(self) -> list[Service]:
        """A service for each information model."""
        return [
            Service(
                offer=Offer(
                    abstract_syntax=sop_class,
                    transfer_syntaxes=ORDINARY,
                    extended=answer_find,
                ),
                perform=self.find,
            )
            for sop_class in BY_FIND
        ]

    async def find(self, operation: Operation) -> Response:
        """Answer with a response for each match. Raises: Malformed, Mismatch, Unavailable."""
        if operation.command.verb is not Verb.C_FIND:
            return Response(UNRECOGNIZED_OPERATION)
        context = operation.context
        model = BY_FIND[context.abstract_syntax]
        syntax = lookup(context.transfer_syntax)
        negotiated = Negotiated.of(operation.association.extended.get(context.abstract_syntax))
        asked = identifiers.read(operation.dataset, syntax, model)
        if not self._config.relational_always:
            identifiers.check_hierarchy(asked, model, negotiated)
        answers = _Answers(asked, model.levels, self._aet, syntax, negotiated)
        query = _query(asked, negotiated, answers.wanted)
        # What is not there to be returned counts, too (PS3.4 C.4.1.1.4).
        is_whole = not query.unsupported and all(key.tag in ATTRIBUTES for key in asked.keys)
        status = PENDING if is_whole else PENDING_WARNING
        async for page in self._archive.search(query):
            for start in range(0, len(page), ANSWERS_AT_ONCE):
                if operation.is_cancelled:
                    return Response(CANCEL)
                some = page[start : start + ANSWERS_AT_ONCE]
                encoded = [answers.encode(match.attributes) for match in some]
                await operation.respond_all(status, encoded)
        return Response(CANCEL if operation.is_cancelled else SUCCESS)


def _query(asked: Identifier, negotiated: Negotiated, wanted: frozenset[int]) -> Query:
    zone = asked.timezone if negotiated.timezone else None
    if zone and offset_minutes(zone) is None:
        raise Mismatch(f"TimezoneOffsetFromUTC {zone!r} is no offset")
    return Query(
        level=asked.level,
        keys=asked.keys,
        returns=wanted,
        fuzzy=negotiated.fuzzy,
        combined_date_time=negotiated.combined_date_time,
        offset=offset_minutes(zone) if zone else None,
    )


class _Answers:
    """Makes the identifiers of the responses to one request."""

    def __init__(
        self,
        asked: Identifier,
        levels: tuple[Level, ...],
        aet: str,
        syntax: TransferSyntax,
        negotiated: Negotiated,
    ) -> None:
        self._syntax = syntax
        terms = tuple(asked.character_set.split("\\"))
        is_known = charset.of_terms(*terms).is_known
        self._character_set = terms if is_known else (charset.UTF_8,)
        self._sequences = {f"{key.tag:08X}": key for key in asked.keys if key.items}
        above = {UNIQUE_KEYS[level] for level in levels if level <= asked.level}
        known = {key.tag for key in asked.keys if key.tag in ATTRIBUTES}
        self._empty: Document = {
            f"{tag:08X}": {"vr": _vr(tag, asked)} for tag in sorted(above | known)
        }
        self._tells_zone = negotiated.timezone or asked.timezone is not None
        zone = {TIMEZONE} if self._tells_zone else set[int]()
        self.wanted = frozenset(above | known | zone)
        self._given: Document = {
            QUERY_RETRIEVE_LEVEL: {"vr": "CS", "Value": [asked.level.name]},
            RETRIEVE_AE_TITLE: {"vr": "AE", "Value": [aet]},
        }
        if INSTANCE_AVAILABILITY in self._empty:
            self._given[INSTANCE_AVAILABILITY] = {"vr": "CS", "Value": ["ONLINE"]}

    def encode(self, match: Document) -> bytes:
        """Return the identifier for one match: what was asked for, and no more."""
        found = {tag: match[tag] for tag in self._empty if tag in match}
        for tag, key in self._sequences.items():
            if tag in found:
                found[tag] = only(found[tag], ATTRIBUTES[key.tag], key)
        if self._tells_zone and f"{TIMEZONE:08X}" in match:
            # Of what was stored with its zone; PS3.4 C.4.1.1.3.2 has no empty one.
            found[f"{TIMEZONE:08X}"] = match[f"{TIMEZONE:08X}"]
        answer = {**self._empty, **found, **self._given}
        return encoding.encode(answer, self._syntax, self._character_set)


def _vr(tag: int, asked: Identifier) -> str:
    known = ATTRIBUTES.get(tag)
    return known.vr if known else asked.vrs.get(tag) or dictionary.dictionary_vr(tag) or "UN"
