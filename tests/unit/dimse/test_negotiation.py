"""What is answered to what is proposed."""

from hypothesis import given

from isocenter.dimse import pdu
from isocenter.dimse.negotiation import (
    Context,
    Negotiated,
    Offer,
    Proposal,
    conclude,
    negotiate,
    propose,
    propose_roles,
)
from isocenter.dimse.pdu import AssociateAccept, AssociateRequest, ProposedContext
from isocenter.dimse.user_information import (
    CommonExtended,
    Extended,
    Role,
    UserInformation,
    Window,
)
from unit.dimse.strategies import accepts, requests

CT, MR, PRINT, VERIFICATION = "1.2.3.1", "1.2.3.2", "1.2.3.3", "1.2.840.10008.1.1"
IMPLICIT, EXPLICIT, JPEG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50"

OFFERS = {
    CT: Offer(abstract_syntax=CT, transfer_syntaxes=(EXPLICIT, IMPLICIT), as_user=True),
    MR: Offer(abstract_syntax=MR, transfer_syntaxes=(IMPLICIT,)),
    PRINT: Offer(
        abstract_syntax=PRINT,
        transfer_syntaxes=(IMPLICIT,),
        as_user=True,
        as_provider=False,
        extended=lambda information: information[:1],
    ),
}


def look_up(syntax: str, common: CommonExtended | None) -> Offer | None:
    return OFFERS.get(syntax)


def answer(
    *contexts: tuple[int, str, tuple[str, ...]],
    most_contexts: int = 128,
    most_operations: int = 4,
    **information: object,
) -> Negotiated:
    request = AssociateRequest(
        called_ae_title="A",
        calling_ae_title="B",
        contexts=tuple(ProposedContext(*context) for context in contexts),
        information=UserInformation(**information),  # type: ignore[arg-type]
    )
    return negotiate(request, look_up, most_contexts=most_contexts, most_operations=most_operations)


def results(negotiated: Negotiated) -> dict[int, int]:
    return {one.context_id: one.result for one in negotiated.contexts}


def test_each_context_is_answered_singly_with_the_reason() -> None:
    negotiated = answer(
        (1, CT, (IMPLICIT, EXPLICIT)),
        (3, "9.9.9", (IMPLICIT,)),
        (5, MR, (JPEG,)),
        (7, MR, ()),
        (9, PRINT, (IMPLICIT,)),
    )

    assert results(negotiated) == {1: 0, 3: 3, 5: 4, 7: 4, 9: 1}
    assert negotiated.contexts[0].transfer_syntax == EXPLICIT
    assert negotiated.agreement.contexts == {1: Context(1, CT, EXPLICIT, False, True)}


def test_the_requestors_order_decides_where_we_leave_it_to_it() -> None:
    offer = Offer(
        abstract_syntax=CT, transfer_syntaxes=(EXPLICIT, IMPLICIT), prefers_proposed_order=True
    )
    request = AssociateRequest(
        called_ae_title="A",
        calling_ae_title="B",
        contexts=(ProposedContext(1, CT, (JPEG, IMPLICIT, EXPLICIT)),),
    )

    negotiated = negotiate(request, lambda syntax, common: offer)

    assert negotiated.contexts[0].transfer_syntax == IMPLICIT


def test_even_numbers_and_those_beyond_the_limit_are_rejected_without_a_reason() -> None:
    negotiated = answer(
        (2, CT, (IMPLICIT,)), (1, CT, (IMPLICIT,)), (3, CT, (IMPLICIT,)), most_contexts=2
    )

    assert results(negotiated) == {2: 2, 1: 0, 3: 2}


def test_a_number_that_was_there_already_goes_unanswered() -> None:
    negotiated = answer((1, CT, (IMPLICIT,)), (1, MR, (IMPLICIT,)))

    assert results(negotiated) == {1: 0}
    assert negotiated.agreement.contexts[1].abstract_syntax == CT


def test_all_128_contexts_are_answered() -> None:
    proposed = [(2 * at + 1, CT, (IMPLICIT,)) for at in range(128)]

    assert set(results(answer(*proposed)).values()) == {0}


def test_roles_are_as_in_the_standards_figure() -> None:
    # PS3.7 figure D.3-7: MR both asked and only user granted, CT both granted.
    negotiated = answer(
        (1, MR, (IMPLICIT,)),
        (3, CT, (IMPLICIT,)),
        (5, PRINT, (IMPLICIT,)),
        roles=(Role(MR, True, True), Role(CT, True, True), Role(PRINT, False, True)),
    )

    assert negotiated.roles == (
        Role(MR, True, False),
        Role(CT, True, True),
        Role(PRINT, False, True),
    )
    assert negotiated.agreement.contexts[1] == Context(1, MR, IMPLICIT, False, True)
    assert negotiated.agreement.contexts[3] == Context(3, CT, IMPLICIT, True, True)
    assert negotiated.agreement.contexts[5] == Context(5, PRINT, IMPLICIT, True, False)


def test_a_context_with_no_role_left_is_rejected() -> None:
    assert results(answer((1, MR, (IMPLICIT,)), roles=(Role(MR, False, True),))) == {1: 1}


def test_no_role_is_answered_where_none_was_proposed() -> None:
    negotiated = answer((1, CT, (IMPLICIT,)))

    assert negotiated.roles == ()
    assert negotiated.window is None
    assert negotiated.agreement.window == Window(1, 1)


def test_the_window_is_never_more_than_was_asked() -> None:
    assert answer(window=Window(3, 2)).window == Window(3, 2)
    assert answer(window=Window(30, 20)).window == Window(4, 4)
    assert answer(window=Window(0, 0)).window == Window(4, 4)  # unlimited, negotiated down


def test_extended_negotiation_is_answered_by_its_service() -> None:
    negotiated = answer(
        (1, PRINT, (IMPLICIT,)),
        (3, CT, (IMPLICIT,)),
        extended=(Extended(PRINT, b"\x01\x01"), Extended(CT, b"\x01"), Extended("9.9", b"")),
    )

    assert negotiated.extended == (Extended(PRINT, b"\x01"),)
    assert negotiated.agreement.extended[CT] == b"\x01"


def test_a_policy_may_take_what_nobody_registered() -> None:
    heard = []

    def policy(syntax: str, common: CommonExtended | None) -> Offer:
        heard.append((syntax, common))
        return Offer(abstract_syntax=syntax, transfer_syntaxes=(EXPLICIT,))

    common = CommonExtended("1.9.9", "1.2.840.10008.4.2", ())
    request = AssociateRequest(
        called_ae_title="A",
        calling_ae_title="B",
        contexts=(ProposedContext(1, "1.9.9", (EXPLICIT,)),),
        information=UserInformation(common_extended=(common,)),
    )

    assert results(negotiate(request, policy)) == {1: 0}
    assert heard == [("1.9.9", common)]


def test_the_requestor_concludes_what_both_agreed_on() -> None:
    proposals = [
        Proposal(abstract_syntax=CT, transfer_syntaxes=(IMPLICIT,), as_provider=True),
        Proposal(abstract_syntax=MR, transfer_syntaxes=(IMPLICIT,)),
        Proposal(abstract_syntax=PRINT, transfer_syntaxes=(IMPLICIT,)),
    ]
    request = AssociateRequest(
        called_ae_title="A",
        calling_ae_title="B",
        contexts=propose(proposals),
        information=UserInformation(roles=propose_roles(proposals), window=Window(5, 5)),
    )
    response = AssociateAccept(
        called_ae_title="A",
        calling_ae_title="B",
        contexts=(
            pdu.AnsweredContext(1, 0, IMPLICIT),
            pdu.AnsweredContext(3, 0, JPEG),  # never proposed
            pdu.AnsweredContext(5, 3, IMPLICIT),
            pdu.AnsweredContext(99, 0, IMPLICIT),  # never proposed
        ),
        information=UserInformation(roles=(Role(CT, False, True),), window=Window(2, 1)),
    )

    agreement = conclude(request, response)

    assert agreement.contexts == {1: Context(1, CT, IMPLICIT, False, True)}
    assert agreement.window == Window(2, 1)


@given(requests)
def test_any_request_is_answered(request: AssociateRequest) -> None:
    negotiated = negotiate(request, look_up)

    answered = [one.context_id for one in negotiated.contexts]
    assert answered == list(dict.fromkeys(one.context_id for one in request.contexts))


@given(requests, accepts)
def test_any_answer_can_be_concluded(request: AssociateRequest, response: AssociateAccept) -> None:
    agreement = conclude(request, response)

    assert set(agreement.contexts) <= {one.context_id for one in request.contexts}
