"""What the acceptor makes of a proposal, and what the requestor makes of the answer. Pure.

Source: PS3.7 §D.3, PS3.8 §7.1.1 and §9.3.3.2.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from isocenter.dimse import pdu
from isocenter.dimse.pdu import AnsweredContext, AssociateAccept, AssociateRequest, ProposedContext
from isocenter.dimse.user_information import CommonExtended, Extended, Role, Window
from isocenter.errors import Unsupported

IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
MOST_CONTEXTS = 128  # odd numbers of one byte


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One abstract syntax that we take as acceptor, and how."""

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]
    """The best first; the first that is proposed is taken."""
    as_provider: bool = True
    """Whether we act as SCP, the requestor as SCU: the default roles."""
    as_user: bool = False
    """Whether we may act as SCU, when the requestor proposes to be SCP."""
    extended: Callable[[bytes], bytes | None] | None = None
    """Answers service class application information; None answers nothing."""
    prefers_proposed_order: bool = False
    """Whether the requestor's order decides among the transfer syntaxes, not ours."""
    last_resort: frozenset[str] = frozenset()
    """Transfer syntaxes taken only where nothing else is proposed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One presentation context that we propose as requestor."""

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...] = (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN)
    as_user: bool = True
    as_provider: bool = False
    """Whether to propose that we act as SCP, as C-GET needs it for its storage classes."""
    extended: bytes | None = None
    common_extended: CommonExtended | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """A presentation context that both sides agreed on."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str
    as_user: bool  # whether we may invoke its operations
    as_provider: bool  # whether we may be asked to perform them


@dataclass(frozen=True, slots=True)
class Agreement:
    """What became of the proposal, seen from our side."""

    contexts: dict[int, Context]
    window: Window  # after negotiation; 1, 1 where there was none
    extended: dict[str, bytes]  # by SOP class: what the requestor said, or the acceptor answered


@dataclass(frozen=True, slots=True)
class Negotiated:
    """The acceptor's answer, and what it means."""

    agreement: Agreement
    contexts: tuple[AnsweredContext, ...]
    roles: tuple[Role, ...]
    extended: tuple[Extended, ...]
    window: Window | None


Lookup = Callable[[str, CommonExtended | None], Offer | None]


def negotiate(
    request: AssociateRequest,
    lookup: Lookup,
    *,
    most_contexts: int = MOST_CONTEXTS,
    most_operations: int = 1,
) -> Negotiated:
    """Answer every presentation context singly; ``lookup`` gives what we offer for a syntax.

    A context beyond ``most_contexts``, or with an even number, is rejected without a reason; one
    whose number was there already goes unanswered, for there is no way to tell the two apart.
    """
    common = {one.sop_class: one for one in request.information.common_extended}
    proposed_roles = {role.sop_class: role for role in request.information.roles}
    offers: dict[str, Offer | None] = {}
    agreed: dict[int, Context] = {}
    answers: dict[int, AnsweredContext] = {}
    for proposed in request.contexts:
        syntax, number = proposed.abstract_syntax, proposed.context_id
        if number in answers:
            continue
        if syntax not in offers:
            offers[syntax] = lookup(syntax, common.get(syntax))
        if not number & 1 or len(answers) >= most_contexts:
            answers[number] = _rejected(proposed, pdu.NO_REASON)
            continue
        answer, context = _answer(proposed, offers[syntax], proposed_roles.get(syntax))
        answers[number] = answer
        if context:
            agreed[number] = context
    roles = tuple(
        _answer_role(role, offer)
        for role in proposed_roles.values()
        if (offer := offers.get(role.sop_class)) is not None
    )
    said = {one.sop_class: one.information for one in request.information.extended}
    window = _answer_window(request.information.window, most_operations)
    return Negotiated(
        Agreement(agreed, window or Window(), said),
        tuple(answers.values()),
        roles,
        tuple(_answer_extended(said, offers)),
        window,
    )


def _rejected(proposed: ProposedContext, result: int) -> AnsweredContext:
    # The transfer syntax means nothing here, but an empty one upsets some peers.
    first = proposed.transfer_syntaxes[0] if proposed.transfer_syntaxes else IMPLICIT_LITTLE_ENDIAN
    return AnsweredContext(proposed.context_id, result, first)


def _answer(
    proposed: ProposedContext, offer: Offer | None, role: Role | None
) -> tuple[AnsweredContext, Context | None]:
    if offer is None:
        return _rejected(proposed, pdu.ABSTRACT_SYNTAX_NOT_SUPPORTED), None
    chosen = _choose(proposed.transfer_syntaxes, offer)
    if chosen is None:
        return _rejected(proposed, pdu.TRANSFER_SYNTAXES_NOT_SUPPORTED), None
    answered = _answer_role(role, offer) if role else Role(offer.abstract_syntax, True, False)
    as_provider = offer.as_provider and answered.is_user
    as_user = offer.as_user and answered.is_provider
    if not as_provider and not as_user:
        return _rejected(proposed, pdu.USER_REJECTION), None
    context = Context(proposed.context_id, proposed.abstract_syntax, chosen, as_user, as_provider)
    return AnsweredContext(proposed.context_id, pdu.ACCEPTANCE, chosen), context


def _choose(proposed: Sequence[str], offer: Offer) -> str | None:
    ours: Sequence[str] = offer.transfer_syntaxes
    first, second = (proposed, ours) if offer.prefers_proposed_order else (ours, proposed)
    both = [uid for uid in first if uid in second]
    return next((uid for uid in both if uid not in offer.last_resort), both[0] if both else None)


def _answer_role(role: Role, offer: Offer) -> Role:
    return Role(
        role.sop_class,
        is_user=role.is_user and offer.as_provider,
        is_provider=role.is_provider and offer.as_user,
    )


def _answer_extended(said: dict[str, bytes], offers: dict[str, Offer | None]) -> Iterable[Extended]:
    for sop_class, information in said.items():
        offer = offers.get(sop_class)
        if offer and offer.extended and (answer := offer.extended(information)) is not None:
            yield Extended(sop_class, answer)


def _answer_window(asked: Window | None, most: int) -> Window | None:
    if asked is None:
        return None
    # Zero asks for no limit at all.
    return Window(min(asked.invoked or most, most), min(asked.performed or most, most))


def propose(proposals: Sequence[Proposal]) -> tuple[ProposedContext, ...]:
    """Number the contexts 1, 3, 5 … Raises: Unsupported, if there are more than 128."""
    if len(proposals) > MOST_CONTEXTS:
        raise Unsupported(f"{len(proposals)} presentation contexts; there is room for 128")
    return tuple(
        ProposedContext(2 * at + 1, one.abstract_syntax, tuple(one.transfer_syntaxes))
        for at, one in enumerate(proposals)
    )


def propose_roles(proposals: Iterable[Proposal]) -> tuple[Role, ...]:
    """Role selection for the classes where the default roles are not what we want."""
    roles = {
        one.abstract_syntax: Role(one.abstract_syntax, one.as_user, one.as_provider)
        for one in proposals
        if one.as_provider or not one.as_user
    }
    return tuple(roles.values())


def conclude(request: AssociateRequest, answer: AssociateAccept) -> Agreement:
    """What the requestor may do now. An answer to what was never proposed is ignored."""
    proposed = {context.context_id: context for context in request.contexts}
    asked = {role.sop_class: role for role in request.information.roles}
    granted = {role.sop_class: role for role in answer.information.roles}
    agreed = {}
    for answered in answer.contexts:
        context = proposed.get(answered.context_id)
        if answered.result != pdu.ACCEPTANCE or context is None:
            continue
        if answered.transfer_syntax not in context.transfer_syntaxes:
            continue
        role = Role(context.abstract_syntax, True, False)
        want, got = asked.get(context.abstract_syntax), granted.get(context.abstract_syntax)
        if want and got:
            role = Role(
                context.abstract_syntax,
                want.is_user and got.is_user,
                want.is_provider and got.is_provider,
            )
        agreed[context.context_id] = Context(
            context.context_id,
            context.abstract_syntax,
            answered.transfer_syntax,
            role.is_user,
            role.is_provider,
        )
    asked_window = request.information.window
    window = answer.information.window if asked_window else None
    return Agreement(
        agreed,
        window or Window(),
        {one.sop_class: one.information for one in answer.information.extended},
    )
