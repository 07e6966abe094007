"""The state machine against the standard's table, typed a second time in ``tests/data``."""

from itertools import product
from pathlib import Path

import pytest

from isocenter.dimse.upper_layer import Effect, Event, State, UpperLayer
from isocenter.errors import OutOfTurn

TEXT = Path(__file__).parents[2] / "data" / "upper_layer.txt"

EVENTS = {
    "A-ASSOCIATE request": Event.WE_REQUEST,
    "Transport confirm": Event.TRANSPORT_CONFIRMED,
    "A-ASSOCIATE-AC PDU": Event.ACCEPT_RECEIVED,
    "A-ASSOCIATE-RJ PDU": Event.REJECT_RECEIVED,
    "Transport indication": Event.TRANSPORT_INDICATED,
    "A-ASSOCIATE-RQ PDU": Event.REQUEST_RECEIVED,
    "A-ASSOCIATE response accept": Event.WE_ACCEPT,
    "A-ASSOCIATE response reject": Event.WE_REJECT,
    "P-DATA request": Event.WE_SEND_DATA,
    "P-DATA-TF PDU": Event.DATA_RECEIVED,
    "A-RELEASE request": Event.WE_RELEASE,
    "A-RELEASE-RQ PDU": Event.RELEASE_REQUEST_RECEIVED,
    "A-RELEASE-RP PDU": Event.RELEASE_RESPONSE_RECEIVED,
    "A-RELEASE response": Event.WE_ANSWER_RELEASE,
    "A-ABORT request": Event.WE_ABORT,
    "A-ABORT PDU": Event.ABORT_RECEIVED,
    "Transport closed": Event.TRANSPORT_CLOSED,
    "ARTIM expired": Event.ARTIM_EXPIRED,
    "Invalid PDU": Event.INVALID_RECEIVED,
}
EFFECTS = {
    "connect": Effect.CONNECT,
    "send A-ASSOCIATE-RQ": Effect.SEND_REQUEST,
    "send A-ASSOCIATE-AC": Effect.SEND_ACCEPT,
    "send A-ASSOCIATE-RJ": Effect.SEND_REJECT,
    "send P-DATA-TF": Effect.SEND_DATA,
    "send A-RELEASE-RQ": Effect.SEND_RELEASE_REQUEST,
    "send A-RELEASE-RP": Effect.SEND_RELEASE_RESPONSE,
    "send A-ABORT user": Effect.SEND_USER_ABORT,
    "send A-ABORT provider": Effect.SEND_PROVIDER_ABORT,
    "tell request": Effect.TELL_REQUEST,
    "tell accept": Effect.TELL_ACCEPT,
    "tell reject": Effect.TELL_REJECT,
    "tell data": Effect.TELL_DATA,
    "tell release request": Effect.TELL_RELEASE_REQUEST,
    "tell release response": Effect.TELL_RELEASE_RESPONSE,
    "tell abort": Effect.TELL_ABORT,
    "tell loss": Effect.TELL_LOSS,
    "start ARTIM": Effect.START_ARTIM,
    "stop ARTIM": Effect.STOP_ARTIM,
    "close": Effect.CLOSE,
}

Cell = tuple[str, list[str]]


def read_table() -> tuple[dict[tuple[Event, State], Cell], dict[str, list[tuple[Effect, ...]]]]:
    cells: dict[tuple[Event, State], Cell] = {}
    actions: dict[str, list[tuple[Effect, ...]]] = {}
    for line in TEXT.read_text().splitlines():
        if line.startswith("="):
            name, _, rest = line[2:].partition(" ")
            actions[name] = [
                tuple(EFFECTS[word.strip()] for word in half.split(",") if word.strip())
                for half in rest.split("|")
            ]
        elif not line.startswith("#"):
            event, _, row = line.partition(":")
            for cell in row.split(";"):
                where, action, following = cell.split()
                states = range(6, 13) if where == "Sta6-12" else [int(where[3:])]
                for number in states:
                    key = (EVENTS[event.strip()], State(f"Sta{number}"))
                    cells[key] = (action, following.split("|"))
    return cells, actions


CELLS, ACTIONS = read_table()


@pytest.mark.parametrize("is_requestor", [True, False], ids=["requestor", "acceptor"])
@pytest.mark.parametrize("is_acceptable", [True, False], ids=["acceptable", "unacceptable"])
def test_every_cell_is_as_the_standard_has_it(is_requestor: bool, is_acceptable: bool) -> None:
    for event, state in product(Event, State):
        machine = UpperLayer(is_requestor=is_requestor)
        machine.state = state

        if (event, state) not in CELLS:
            with pytest.raises(OutOfTurn):
                machine.handle(event, is_acceptable=is_acceptable)
            assert machine.state is state
            continue
        effects = machine.handle(event, is_acceptable=is_acceptable)

        action, following = CELLS[event, state]
        second = (not is_acceptable) if action == "AE-6" else not is_requestor
        assert machine.state.value == following[-1 if second else 0], (event, state)
        assert effects == ACTIONS[action][-1 if second else 0], (event, state)


def test_the_table_has_as_many_cells_as_the_standard() -> None:
    assert len(EVENTS) == 19
    assert len(ACTIONS) == 28
    assert sum((event, state) in CELLS for event, state in product(Event, State)) == len(CELLS)
    machine = UpperLayer(is_requestor=True)
    for event, state in product(Event, State):
        machine.state = state
        assert machine.allows(event) is ((event, state) in CELLS)
