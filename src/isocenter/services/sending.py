"""Instances on their way to one destination: the associations they need, and the sending."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from typing import Self

from isocenter.archive.retrieve import Opened, can_convert, can_reencode
from isocenter.dicom.sop_classes import STORAGE
from isocenter.dicom.syntax import (
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    TransferSyntax,
    lookup,
)
from isocenter.dimse.association import Association
from isocenter.dimse.negotiation import MOST_CONTEXTS, Context, Proposal
from isocenter.dimse.status import Response
from isocenter.dimse.user_information import CommonExtended
from isocenter.errors import Unavailable, Unsupported

STORAGE_SERVICE = "1.2.840.10008.4.2"
"""What a SOP class's common extended negotiation says if it is one for storage (PS3.4 B.3.1.4)."""

Kind = tuple[str, str]
"""SOP class and transfer syntax."""

Open = Callable[[list[Proposal]], AbstractAsyncContextManager[Association]]

_PLAIN = (EXPLICIT_LE.uid, IMPLICIT_LE.uid, EXPLICIT_BE.uid)


class Sending:
    """Opens what is needed for the kinds of instances there are, and releases it at the end.

    An association has room for 128 presentation contexts; of more kinds, several are opened. One
    that was lost is not opened again: the peer had its reasons.
    """

    def __init__(self, open_association: Open, kinds: Iterable[Kind]) -> None:
        self._open = open_association
        self._groups = list(_groups(kinds))
        self._group_of = {
            proposal.abstract_syntax: number
            for number, group in enumerate(self._groups)
            for proposal in group
        }
        self._associations: dict[int, Association] = {}
        self._failures: dict[int, str] = {}
        self._opening = asyncio.Lock()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Release what is open; a peer that left already is no error any more."""
        with suppress(Unavailable):
            await self._stack.aclose()

    async def to(self, sop_class: str) -> Association:
        """Return an association that proposed ``sop_class``.

        Raises: Unavailable; Unsupported, for a class that was not among the kinds.
        """
        number = self._group_of.get(sop_class)
        if number is None:
            raise Unsupported(f"{sop_class} was not proposed")
        async with self._opening:
            association = self._associations.get(number)
            if association is None:
                association = self._associations[number] = await self._opened(number)
        return association

    def renew(self, association: Association) -> None:
        """Forget one that we had to abort ourselves: another is opened in its place."""
        for number, known in list(self._associations.items()):
            if known is association:
                del self._associations[number]

    async def _opened(self, number: int) -> Association:
        if (reason := self._failures.get(number)) is not None:
            raise Unavailable(reason)  # asked once, not once for each of thousands
        try:
            opening = self._open(self._groups[number])
            return await self._stack.enter_async_context(opening)
        except Unavailable as error:
            self._failures[number] = str(error)
            raise


def _groups(kinds: Iterable[Kind]) -> Iterator[list[Proposal]]:
    by_class: dict[str, list[str]] = {}
    for sop_class, syntax in kinds:
        by_class.setdefault(sop_class, []).append(syntax)
    group: list[Proposal] = []
    for sop_class, syntaxes in sorted(by_class.items()):
        proposals = list(proposals_of(sop_class, syntaxes))[:MOST_CONTEXTS]
        if len(group) + len(proposals) > MOST_CONTEXTS:
            yield group
            group = []
        group += proposals
    if group:
        yield group


def proposals_of(sop_class: str, syntaxes: Iterable[str]) -> Iterator[Proposal]:
    """One context for each syntax as kept, and one to fall back on where decoding can help."""
    related = CommonExtended(sop_class, STORAGE_SERVICE) if sop_class not in STORAGE else None
    kept = sorted(set(syntaxes))
    is_convertible = any(can_convert(lookup(uid), EXPLICIT_LE) for uid in kept)
    for uid in kept:
        yield Proposal(abstract_syntax=sop_class, transfer_syntaxes=(uid,), common_extended=related)
    others = tuple(uid for uid in _PLAIN if uid not in kept)
    if is_convertible and others:
        yield Proposal(abstract_syntax=sop_class, transfer_syntaxes=others, common_extended=related)


async def send(
    association: Association,
    instance: Opened,
    *,
    priority: int = 0,
    move_originator: tuple[str, int] | None = None,
) -> Response:
    """Send ``instance`` as it is kept, or in another encoding that the peer accepted.

    Raises: Unsupported, Unavailable, Aborted.
    """
    ref = instance.instance
    context = context_for(association, ref.sop_class_uid, instance.syntax)
    target = lookup(context.transfer_syntax)
    return await association.store(
        ref.sop_class_uid,
        ref.sop_instance_uid,
        instance.pieces(target),
        context=context,
        priority=priority,
        move_originator=move_originator,
    )


async def prepare(association: Association, instance: Opened) -> None:
    """Decode ahead what will have to be, while others are sent."""
    with suppress(Unsupported):
        context = context_for(association, instance.instance.sop_class_uid, instance.syntax)
        await instance.prepare(lookup(context.transfer_syntax))


def context_for(association: Association, sop_class: str, syntax: TransferSyntax) -> Context:
    """Return the context that takes ``syntax``, or the best one it can be turned into.

    Nothing is lost by that. Raises: Unsupported.
    """
    fitting: list[Context] = []
    for context in association.contexts.values():
        if context.abstract_syntax != sop_class or not context.as_user:
            continue
        if context.transfer_syntax == syntax.uid:
            return context
        fitting.append(context)
    for context in sorted(fitting, key=lambda each: _rank(syntax, each.transfer_syntax)):
        if can_convert(syntax, lookup(context.transfer_syntax)):
            return context
    raise Unsupported(f"the peer takes no {sop_class} in {syntax.name}")


def _rank(syntax: TransferSyntax, target: str) -> tuple[bool, int]:
    """What takes no codec comes first, then what is not compressed."""
    plain = _PLAIN.index(target) if target in _PLAIN else len(_PLAIN)
    return not can_reencode(syntax, lookup(target)), plain
