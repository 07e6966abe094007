"""The upper layer protocol's state machine (PS3.8 §9.2), for requestor and acceptor alike.

Tell it what happened; it says what to do and moves on. It performs nothing itself.
"""

from enum import Enum

from isocenter.errors import OutOfTurn


class State(Enum):
    """Named for what they wait for; the value is the standard's label (PS3.8 §9.2.1)."""

    IDLE = "Sta1"
    AWAITING_REQUEST = "Sta2"
    AWAITING_OUR_ANSWER = "Sta3"
    AWAITING_TRANSPORT = "Sta4"
    AWAITING_ANSWER = "Sta5"
    ESTABLISHED = "Sta6"
    AWAITING_RELEASE = "Sta7"
    AWAITING_OUR_RELEASE = "Sta8"
    COLLISION_REQUESTOR_AWAITING_OUR_RELEASE = "Sta9"
    COLLISION_ACCEPTOR_AWAITING_RELEASE = "Sta10"
    COLLISION_REQUESTOR_AWAITING_RELEASE = "Sta11"
    COLLISION_ACCEPTOR_AWAITING_OUR_RELEASE = "Sta12"
    AWAITING_CLOSE = "Sta13"

    __hash__ = object.__hash__  # by identity, as they compare; Enum's own is slow


class Event(Enum):
    """The rows of PS3.8 table 9-10; ``WE_...`` are local primitives."""

    WE_REQUEST = 1
    TRANSPORT_CONFIRMED = 2
    ACCEPT_RECEIVED = 3
    REJECT_RECEIVED = 4
    TRANSPORT_INDICATED = 5
    REQUEST_RECEIVED = 6
    WE_ACCEPT = 7
    WE_REJECT = 8
    WE_SEND_DATA = 9
    DATA_RECEIVED = 10
    WE_RELEASE = 11
    RELEASE_REQUEST_RECEIVED = 12
    RELEASE_RESPONSE_RECEIVED = 13
    WE_ANSWER_RELEASE = 14
    WE_ABORT = 15
    ABORT_RECEIVED = 16
    TRANSPORT_CLOSED = 17
    ARTIM_EXPIRED = 18
    INVALID_RECEIVED = 19

    __hash__ = object.__hash__


class Effect(Enum):
    """What the transport has to do, in the order given."""

    CONNECT = "open a transport connection"
    SEND_REQUEST = "send A-ASSOCIATE-RQ"
    SEND_ACCEPT = "send A-ASSOCIATE-AC"
    SEND_REJECT = "send A-ASSOCIATE-RJ"
    SEND_DATA = "send P-DATA-TF"
    SEND_RELEASE_REQUEST = "send A-RELEASE-RQ"
    SEND_RELEASE_RESPONSE = "send A-RELEASE-RP"
    SEND_USER_ABORT = "send A-ABORT, source service user"
    SEND_PROVIDER_ABORT = "send A-ABORT, source service provider"
    TELL_REQUEST = "indicate A-ASSOCIATE"
    TELL_ACCEPT = "confirm A-ASSOCIATE, accepted"
    TELL_REJECT = "confirm A-ASSOCIATE, rejected"
    TELL_DATA = "indicate P-DATA"
    TELL_RELEASE_REQUEST = "indicate A-RELEASE"
    TELL_RELEASE_RESPONSE = "confirm A-RELEASE"
    TELL_ABORT = "indicate A-ABORT or A-P-ABORT, as its source says"
    TELL_LOSS = "indicate A-P-ABORT"
    START_ARTIM = "start or restart ARTIM"
    STOP_ARTIM = "stop ARTIM if it runs"
    CLOSE = "close the transport connection"


class Action(Enum):
    """The actions of PS3.8 tables 9-6 to 9-9; values are the standard's labels."""

    AE_1 = "AE-1"
    AE_2 = "AE-2"
    AE_3 = "AE-3"
    AE_4 = "AE-4"
    AE_5 = "AE-5"
    AE_6 = "AE-6"
    AE_7 = "AE-7"
    AE_8 = "AE-8"
    DT_1 = "DT-1"
    DT_2 = "DT-2"
    AR_1 = "AR-1"
    AR_2 = "AR-2"
    AR_3 = "AR-3"
    AR_4 = "AR-4"
    AR_5 = "AR-5"
    AR_6 = "AR-6"
    AR_7 = "AR-7"
    AR_8 = "AR-8"
    AR_9 = "AR-9"
    AR_10 = "AR-10"
    AA_1 = "AA-1"
    AA_2 = "AA-2"
    AA_3 = "AA-3"
    AA_4 = "AA-4"
    AA_5 = "AA-5"
    AA_6 = "AA-6"
    AA_7 = "AA-7"
    AA_8 = "AA-8"


Step = tuple[tuple[Effect, ...], State]

# What an action does and where it leads. Source: PS3.8 tables 9-6 to 9-9.
STEPS: dict[Action, Step] = {
    Action.AE_1: ((Effect.CONNECT,), State.AWAITING_TRANSPORT),
    Action.AE_2: ((Effect.SEND_REQUEST,), State.AWAITING_ANSWER),
    Action.AE_3: ((Effect.TELL_ACCEPT,), State.ESTABLISHED),
    Action.AE_4: ((Effect.TELL_REJECT, Effect.CLOSE), State.IDLE),
    Action.AE_5: ((Effect.START_ARTIM,), State.AWAITING_REQUEST),
    Action.AE_6: ((Effect.STOP_ARTIM, Effect.TELL_REQUEST), State.AWAITING_OUR_ANSWER),
    Action.AE_7: ((Effect.SEND_ACCEPT,), State.ESTABLISHED),
    Action.AE_8: ((Effect.SEND_REJECT, Effect.START_ARTIM), State.AWAITING_CLOSE),
    Action.DT_1: ((Effect.SEND_DATA,), State.ESTABLISHED),
    Action.DT_2: ((Effect.TELL_DATA,), State.ESTABLISHED),
    Action.AR_1: ((Effect.SEND_RELEASE_REQUEST,), State.AWAITING_RELEASE),
    Action.AR_2: ((Effect.TELL_RELEASE_REQUEST,), State.AWAITING_OUR_RELEASE),
    Action.AR_3: ((Effect.TELL_RELEASE_RESPONSE, Effect.CLOSE), State.IDLE),
    Action.AR_4: ((Effect.SEND_RELEASE_RESPONSE, Effect.START_ARTIM), State.AWAITING_CLOSE),
    Action.AR_5: ((Effect.STOP_ARTIM,), State.IDLE),
    Action.AR_6: ((Effect.TELL_DATA,), State.AWAITING_RELEASE),
    Action.AR_7: ((Effect.SEND_DATA,), State.AWAITING_OUR_RELEASE),
    # For the requestor; an acceptor goes on to Sta10.
    Action.AR_8: (
        (Effect.TELL_RELEASE_REQUEST,),
        State.COLLISION_REQUESTOR_AWAITING_OUR_RELEASE,
    ),
    Action.AR_9: ((Effect.SEND_RELEASE_RESPONSE,), State.COLLISION_REQUESTOR_AWAITING_RELEASE),
    Action.AR_10: (
        (Effect.TELL_RELEASE_RESPONSE,),
        State.COLLISION_ACCEPTOR_AWAITING_OUR_RELEASE,
    ),
    Action.AA_1: ((Effect.SEND_USER_ABORT, Effect.START_ARTIM), State.AWAITING_CLOSE),
    Action.AA_2: ((Effect.STOP_ARTIM, Effect.CLOSE), State.IDLE),
    Action.AA_3: ((Effect.TELL_ABORT, Effect.CLOSE), State.IDLE),
    Action.AA_4: ((Effect.TELL_LOSS,), State.IDLE),
    Action.AA_5: ((Effect.STOP_ARTIM,), State.IDLE),
    Action.AA_6: ((), State.AWAITING_CLOSE),
    Action.AA_7: ((Effect.SEND_PROVIDER_ABORT,), State.AWAITING_CLOSE),
    Action.AA_8: (
        (Effect.SEND_PROVIDER_ABORT, Effect.TELL_LOSS, Effect.START_ARTIM),
        State.AWAITING_CLOSE,
    ),
}
REFUSED_BY_PROVIDER: Step = (
    (Effect.STOP_ARTIM, Effect.SEND_REJECT, Effect.START_ARTIM),
    State.AWAITING_CLOSE,
)
COLLISION_AT_ACCEPTOR: Step = (
    (Effect.TELL_RELEASE_REQUEST,),
    State.COLLISION_ACCEPTOR_AWAITING_RELEASE,
)

_STATES = tuple(State)
_ESTABLISHED_ON = _STATES[5:12]  # Sta6 to Sta12


def _row(event: Event, cells: dict[State, Action]) -> dict[tuple[Event, State], Action]:
    return {(event, state): action for state, action in cells.items()}


def _received(event: Event, **usual: Action) -> dict[tuple[Event, State], Action]:
    """A row for a PDU: AA-1 while awaiting a request, AA-6 at the end, AA-8 where it is amiss."""
    cells = dict.fromkeys((State.AWAITING_OUR_ANSWER, State.AWAITING_ANSWER), Action.AA_8)
    cells |= dict.fromkeys(_ESTABLISHED_ON, Action.AA_8)
    cells |= {State.AWAITING_REQUEST: Action.AA_1, State.AWAITING_CLOSE: Action.AA_6}
    cells |= {State[name]: action for name, action in usual.items()}
    return _row(event, cells)


# PS3.8 table 9-10. What is not in it cannot happen, or is a bug of ours.
TABLE: dict[tuple[Event, State], Action] = {
    **_row(Event.WE_REQUEST, {State.IDLE: Action.AE_1}),
    **_row(Event.TRANSPORT_CONFIRMED, {State.AWAITING_TRANSPORT: Action.AE_2}),
    **_received(Event.ACCEPT_RECEIVED, AWAITING_ANSWER=Action.AE_3),
    **_received(Event.REJECT_RECEIVED, AWAITING_ANSWER=Action.AE_4),
    **_row(Event.TRANSPORT_INDICATED, {State.IDLE: Action.AE_5}),
    **_received(Event.REQUEST_RECEIVED, AWAITING_REQUEST=Action.AE_6, AWAITING_CLOSE=Action.AA_7),
    **_row(Event.WE_ACCEPT, {State.AWAITING_OUR_ANSWER: Action.AE_7}),
    **_row(Event.WE_REJECT, {State.AWAITING_OUR_ANSWER: Action.AE_8}),
    **_row(
        Event.WE_SEND_DATA,
        {State.ESTABLISHED: Action.DT_1, State.AWAITING_OUR_RELEASE: Action.AR_7},
    ),
    **_received(Event.DATA_RECEIVED, ESTABLISHED=Action.DT_2, AWAITING_RELEASE=Action.AR_6),
    **_row(Event.WE_RELEASE, {State.ESTABLISHED: Action.AR_1}),
    **_received(
        Event.RELEASE_REQUEST_RECEIVED, ESTABLISHED=Action.AR_2, AWAITING_RELEASE=Action.AR_8
    ),
    **_received(
        Event.RELEASE_RESPONSE_RECEIVED,
        AWAITING_RELEASE=Action.AR_3,
        COLLISION_ACCEPTOR_AWAITING_RELEASE=Action.AR_10,
        COLLISION_REQUESTOR_AWAITING_RELEASE=Action.AR_3,
    ),
    **_row(
        Event.WE_ANSWER_RELEASE,
        {
            State.AWAITING_OUR_RELEASE: Action.AR_4,
            State.COLLISION_REQUESTOR_AWAITING_OUR_RELEASE: Action.AR_9,
            State.COLLISION_ACCEPTOR_AWAITING_OUR_RELEASE: Action.AR_4,
        },
    ),
    **_row(
        Event.WE_ABORT,
        {
            State.AWAITING_OUR_ANSWER: Action.AA_1,
            State.AWAITING_TRANSPORT: Action.AA_2,
            State.AWAITING_ANSWER: Action.AA_1,
            **dict.fromkeys(_ESTABLISHED_ON, Action.AA_1),
        },
    ),
    **_row(
        Event.ABORT_RECEIVED,
        {
            State.AWAITING_REQUEST: Action.AA_2,
            State.AWAITING_OUR_ANSWER: Action.AA_3,
            State.AWAITING_ANSWER: Action.AA_3,
            **dict.fromkeys(_ESTABLISHED_ON, Action.AA_3),
            State.AWAITING_CLOSE: Action.AA_2,
        },
    ),
    **_row(
        Event.TRANSPORT_CLOSED,
        {
            State.AWAITING_REQUEST: Action.AA_5,
            **dict.fromkeys(_STATES[2:12], Action.AA_4),
            State.AWAITING_CLOSE: Action.AR_5,
        },
    ),
    **_row(
        Event.ARTIM_EXPIRED,
        {State.AWAITING_REQUEST: Action.AA_2, State.AWAITING_CLOSE: Action.AA_2},
    ),
    **_received(Event.INVALID_RECEIVED, AWAITING_CLOSE=Action.AA_7),
}


class UpperLayer:
    """One association's state."""

    __slots__ = ("_is_requestor", "state")

    def __init__(self, *, is_requestor: bool) -> None:
        self.state = State.IDLE
        self._is_requestor = is_requestor

    def handle(self, event: Event, *, is_acceptable: bool = True) -> tuple[Effect, ...]:
        """Move on, and return what has to be done about ``event``.

        ``is_acceptable`` counts for a received request only: whether the protocol layer itself
        has nothing against it (PS3.8 action AE-6). Raises: OutOfTurn, where the event has no
        place in this state; nothing has changed then.
        """
        action = TABLE.get((event, self.state))
        if action is None:
            raise OutOfTurn(f"{event.name} has no place in {self.state.name}")
        step = STEPS[action]
        if action is Action.AE_6 and not is_acceptable:
            step = REFUSED_BY_PROVIDER
        elif action is Action.AR_8 and not self._is_requestor:
            step = COLLISION_AT_ACCEPTOR
        effects, self.state = step
        return effects

    def allows(self, event: Event) -> bool:
        """Whether ``event`` has a place in this state."""
        return (event, self.state) in TABLE
