"""The worklist against the standard's tables, typed a second time (PS3.4 CC.1.1, CC.2.3)."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from isocenter.archive import workitems
from isocenter.archive.archive import Archive
from isocenter.archive.workitems import Refusal, Refused
from isocenter.archive.worklist import Worklist
from isocenter.config import ArchiveConfig
from isocenter.dicom.procedure_step import StepState
from isocenter.errors import Conflict, NotFound
from isocenter.storage.query import Key
from isocenter.storage.workitem_records import Event, EventKind, Gone
from isocenter.storage.workitem_search import WorkitemQuery
from isocenter.storage.workitems import Retire
from made_workitems import PERFORMED, TRANSACTION, UID, code, element, workitem

DATA = Path(__file__).parents[2] / "data"
WATCHER = "WATCHER"
WRONG = "2.25.999"

CODES = {
    Refusal.NO_LONGER_UPDATED: "C300",
    Refusal.NO_TRANSACTION_UID: "C301",
    Refusal.WRONG_TRANSACTION_UID: "C301",
    Refusal.ALREADY_IN_PROGRESS: "C302",
    Refusal.ONLY_CREATED_SCHEDULED: "C303",
    Refusal.NOT_FINAL: "C304",
    Refusal.NOT_CREATED_SCHEDULED: "C309",
    Refusal.NOT_IN_PROGRESS: "C310",
    Refusal.ALREADY_COMPLETED: "C311",
}


@pytest.fixture
def worklist(archive: Archive) -> Worklist:
    return archive.worklist


async def told(worklist: Worklist, ae: str = WATCHER) -> list[Event]:
    """What a subscriber has been told by now, each event once."""
    store = worklist._store
    events = await store.events(ae, await store.cursor(ae))
    if events:
        await store.delivered(ae, events[-1].seq)
    return events


def states(events: list[Event]) -> list[str]:
    """Reports in the words of the table."""
    return [
        f"-> {each.information['00741000']['Value'][0]}"
        if each.kind is EventKind.STATE_REPORT
        else each.kind.name.lower()
        for each in events
    ]


# --- states


def table(name: str) -> Iterator[list[str]]:
    for line in (DATA / name).read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            yield [cell.strip() for cell in line.split("|")]


STATES = ("null", "SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED")
TRANSITIONS = [
    (event, state, expected)
    for event, *cells in table("workitem_states.txt")
    for state, expected in zip(STATES, cells, strict=True)
]


async def put_in(worklist: Worklist, state: str, *, is_performed: bool = True) -> None:
    if state == "null":
        return
    await worklist.create(UID, workitem())
    if state == "SCHEDULED":
        return
    await worklist.change_state(UID, StepState.IN_PROGRESS, TRANSACTION)
    if is_performed:
        await worklist.update(UID, PERFORMED, TRANSACTION)
    if state != "IN PROGRESS":
        await worklist.change_state(UID, StepState(state), TRANSACTION)


async def happen(worklist: Worklist, event: str, transaction: str) -> str:
    """Make an event of the table happen; return its status code."""
    try:
        if event == "create":
            await worklist.create(UID, workitem())
            return "0000"
        if event == "request cancel":
            changed = await worklist.request_cancellation(UID, {}, "ASKING")
        else:
            changed = await worklist.change_state(UID, StepState(event), transaction)
    except Refused as error:
        return CODES[error.reason]
    except NotFound:
        return "C307"
    except Conflict:
        return "0111"
    if not changed.was_so:
        return "0000"
    return "B306" if event == "COMPLETED" else "B304"


@pytest.mark.parametrize(("event", "state", "expected"), TRANSITIONS)
@pytest.mark.parametrize("transaction", ["", WRONG])
async def test_events_lead_where_the_standard_says(
    worklist: Worklist, event: str, state: str, expected: str, transaction: str
) -> None:
    name, _, demand = event.partition(", ")
    await put_in(worklist, state)
    await worklist.subscribe_to_all(WATCHER, keys=None, is_locking=False)
    given = transaction if demand == "no correct UID" else TRANSACTION
    # Nobody has claimed it: then any Transaction UID is correct.
    if state in ("null", "SCHEDULED") and demand == "no correct UID":
        given = ""

    status = await happen(worklist, name, given)

    events = states(await told(worklist))
    if expected == "final":
        expected = f"-> {name}"
    if expected[0] in "0BC":
        assert status == expected
        assert events == []
    else:
        assert status == "0000"
        wanted = "-> ".join(expected.split("-> ")).replace(" -> ", "|-> ").split("|")
        assert events == [each.replace("cancel request", "cancel_requested") for each in wanted]
    if "->" in expected:
        dataset = await worklist.retrieve(UID)
        assert dataset["00741000"]["Value"] == [expected.rpartition("-> ")[2]]


async def test_completion_waits_for_what_it_needs(worklist: Worklist) -> None:
    await put_in(worklist, "IN PROGRESS", is_performed=False)

    with pytest.raises(Refused) as refused:
        await worklist.change_state(UID, StepState.COMPLETED, TRANSACTION)

    assert refused.value.reason is Refusal.NOT_FINAL


PERFORMED_TAGS = ("00404028", "00404050", "00404019", "00404051", "00404033")


@pytest.mark.parametrize("tag8", PERFORMED_TAGS)
async def test_completion_needs_each_attribute_of_code_p(worklist: Worklist, tag8: str) -> None:
    await put_in(worklist, "IN PROGRESS", is_performed=False)
    [item] = PERFORMED["00741216"]["Value"]
    item = {name: each for name, each in item.items() if name != tag8}
    await worklist.update(UID, {"00741216": element("SQ", item)}, TRANSACTION)

    if tag8 == "00404033":  # of type 2 in N-SET: added empty, which says that there is no output
        await worklist.change_state(UID, StepState.COMPLETED, TRANSACTION)
        return
    with pytest.raises(Refused) as refused:
        await worklist.change_state(UID, StepState.COMPLETED, TRANSACTION)

    assert refused.value.reason is Refusal.NOT_FINAL


# --- subscriptions

SUBSCRIBED = ("not", "lock", "free")
SUBSCRIPTIONS = [
    (event, state, expected)
    for event, *cells in table("workitem_subscriptions.txt")
    for state, expected in zip(SUBSCRIBED, cells, strict=True)
]


async def subscription(archive: Archive, ae: str = WATCHER) -> str:
    """How somebody is subscribed to the workitem."""

    def find() -> str:
        with archive.index._reading.connect() as connection:
            rows = connection.exec_driver_sql(
                "SELECT is_locking FROM workitem_subscription WHERE ae = ?", (ae,)
            ).all()
        return "not" if not rows else "lock" if rows[0][0] else "free"

    return await archive.index._read(find)


async def act(worklist: Worklist, event: str) -> None:
    match event.split():
        case ["globally", "from"]:
            await worklist.unsubscribe_from_all(WATCHER, is_filtered=False)
        case ["globally", way, _]:
            await worklist.subscribe_to_all(WATCHER, keys=None, is_locking=way == "with")
        case ["specific", way, _]:
            await worklist.subscribe(UID, WATCHER, is_locking=way == "with")
        case ["from", "specific"]:
            await worklist.unsubscribe(UID, WATCHER)
        case _:
            await worklist.suspend(WATCHER, is_filtered=False)


@pytest.mark.parametrize(("event", "state", "expected"), SUBSCRIPTIONS)
async def test_subscriptions_change_as_the_standard_says(
    archive: Archive, worklist: Worklist, event: str, state: str, expected: str
) -> None:
    await worklist.create(UID, workitem())
    if state != "not":
        await worklist.subscribe(UID, WATCHER, is_locking=state == "lock")
    await told(worklist)
    after, _, has_event = expected.partition(" ")

    ends_nothing = state == "not" and event in ("from specific", "globally from")
    if event == "suspend" or ends_nothing:
        with pytest.raises(NotFound):
            await act(worklist, event)
    else:
        await act(worklist, event)

    assert await subscription(archive) == after
    assert states(await told(worklist)) == (["-> SCHEDULED"] if has_event else [])


@pytest.mark.parametrize("is_locking", [True, False])
async def test_who_is_subscribed_to_all_is_subscribed_to_what_comes(
    archive: Archive, worklist: Worklist, is_locking: bool
) -> None:
    await worklist.subscribe_to_all(WATCHER, keys=None, is_locking=is_locking)

    await worklist.create(UID, workitem())

    assert await subscription(archive) == ("lock" if is_locking else "free")
    assert states(await told(worklist)) == ["-> SCHEDULED"]


async def test_who_suspended_hears_of_what_was_there_only(worklist: Worklist) -> None:
    await worklist.create("1.2.1", workitem())
    await worklist.subscribe_to_all(WATCHER, keys=None, is_locking=False)

    await worklist.suspend(WATCHER, is_filtered=False)
    await worklist.create("1.2.2", workitem())
    for uid in ("1.2.1", "1.2.2"):
        await worklist.change_state(uid, StepState.IN_PROGRESS, TRANSACTION)

    assert [each.workitem_uid for each in await told(worklist)] == ["1.2.1"]


FILTER = (Key(0x00404025, items=(Key(0x00080100, "CT1"),)),)


async def test_a_filter_lets_through_what_matches_and_what_comes_to_match(
    worklist: Worklist,
) -> None:
    ours, others = element("SQ", code("CT1")), element("SQ", code("MR1"))
    await worklist.create("1.2.1", workitem(t00404025=ours))
    await worklist.create("1.2.2", workitem(t00404025=others))

    await worklist.subscribe_to_all(WATCHER, keys=FILTER, is_locking=False)
    await worklist.create("1.2.3", workitem(t00404025=ours))
    await worklist.create("1.2.4", workitem(t00404025=others))
    await worklist.update("1.2.2", {"00404025": ours}, "")
    for number in range(1, 5):
        await worklist.change_state(f"1.2.{number}", StepState.IN_PROGRESS, TRANSACTION)

    events = await told(worklist)
    assert [
        (each.workitem_uid, state) for each, state in zip(events, states(events), strict=True)
    ] == [
        ("1.2.3", "-> SCHEDULED"),
        ("1.2.3", "assigned"),
        ("1.2.2", "-> SCHEDULED"),
        ("1.2.1", "-> IN PROGRESS"),
        ("1.2.2", "-> IN PROGRESS"),
        ("1.2.3", "-> IN PROGRESS"),
    ]


async def test_ending_a_filter_ends_what_it_made_and_nothing_else(worklist: Worklist) -> None:
    await worklist.create("1.2.1", workitem(t00404025=element("SQ", code("CT1"))))
    await worklist.create("1.2.2", workitem())
    await worklist.subscribe("1.2.2", WATCHER, is_locking=False)
    await worklist.subscribe_to_all(WATCHER, keys=FILTER, is_locking=False)
    await told(worklist)

    await worklist.unsubscribe_from_all(WATCHER, is_filtered=True)
    for uid in ("1.2.1", "1.2.2"):
        await worklist.change_state(uid, StepState.IN_PROGRESS, TRANSACTION)

    assert [each.workitem_uid for each in await told(worklist)] == ["1.2.2"]


async def test_many_workitems_are_subscribed_to_in_steps(worklist: Worklist) -> None:
    for number in range(1_101):
        await worklist._store.create(_made(f"1.2.{number}"), ())

    await worklist.subscribe_to_all(WATCHER, keys=None, is_locking=True)

    seen: list[str] = []
    while events := await told(worklist):
        seen += [each.workitem_uid for each in events]
    assert len(seen) == len(set(seen)) == 1_101
    await worklist.unsubscribe_from_all(WATCHER, is_filtered=False)
    with pytest.raises(NotFound):
        await worklist.unsubscribe_from_all(WATCHER, is_filtered=False)


def _made(uid: str) -> Any:
    return workitems.create(uid, workitem(), 0).workitem


async def test_who_left_a_workitem_is_not_brought_back_to_it(worklist: Worklist) -> None:
    await worklist.subscribe_to_all(WATCHER, keys=None, is_locking=False)
    await worklist.create(UID, workitem(t00404025=element("SQ", code("CT1"))))
    await worklist.subscribe_to_all(WATCHER, keys=FILTER, is_locking=False)
    await worklist.unsubscribe(UID, WATCHER)
    await told(worklist)

    await worklist.update(UID, {"00741204": element("LO", "other")}, "")
    await worklist.change_state(UID, StepState.IN_PROGRESS, TRANSACTION)

    assert await told(worklist) == []


# --- events


async def test_progress_is_reported_as_it_is_now(worklist: Worklist) -> None:
    await worklist.create(UID, workitem())
    await worklist.subscribe(UID, WATCHER, is_locking=False)
    await worklist.change_state(UID, StepState.IN_PROGRESS, TRANSACTION)
    await told(worklist)
    progress = {"00741002": element("SQ", {"00741004": element("DS", 50)})}

    await worklist.update(UID, progress, TRANSACTION)
    await worklist.update(UID, progress, TRANSACTION)
    await worklist.update(UID, {"00741204": element("LO", "other")}, TRANSACTION)

    [event] = await told(worklist)
    assert event.kind is EventKind.PROGRESS_REPORT
    assert event.information == progress


async def test_a_change_of_readiness_is_a_state_report(worklist: Worklist) -> None:
    await worklist.create(UID, workitem())
    await worklist.subscribe(UID, WATCHER, is_locking=False)
    await told(worklist)

    await worklist.update(UID, {"00404041": element("CS", "UNAVAILABLE")}, "")

    [event] = await told(worklist)
    assert event.kind is EventKind.STATE_REPORT
    assert event.information["00404041"]["Value"] == ["UNAVAILABLE"]
    assert event.information["00741000"]["Value"] == ["SCHEDULED"]


async def test_an_assignment_is_reported(worklist: Worklist) -> None:
    await worklist.create(UID, workitem())
    await worklist.subscribe(UID, WATCHER, is_locking=False)
    await told(worklist)
    performer = {
        "00404009": element("SQ", code("DR7")),
        "00404036": element("LO", "Radiology"),
        "00404037": element("PN", {"Alphabetic": "Name^Not^Told"}),
    }

    await worklist.update(UID, {"00404034": element("SQ", performer)}, "")

    [event] = await told(worklist)
    assert event.kind is EventKind.ASSIGNED
    assert event.information == {
        "00404009": element("SQ", code("DR7")),
        "00404036": element("LO", "Radiology"),
    }


async def test_a_request_to_cancel_is_told_with_all_it_said(worklist: Worklist) -> None:
    await put_in(worklist, "IN PROGRESS")
    await worklist.subscribe(UID, WATCHER, is_locking=False)
    await told(worklist)
    said = {
        "00741238": element("LT", "Wrong side"),
        "0074100E": element("SQ", code("110510")),
        "0074100A": element("UR", "tel:112"),
        "0074100C": element("LO", "Desk"),
    }

    await worklist.request_cancellation(UID, said | {"00100010": element("PN")}, "ASKING")

    [event] = await told(worklist)
    assert event.kind is EventKind.CANCEL_REQUESTED
    assert event.information == dict(sorted((said | {"00741236": element("AE", "ASKING")}).items()))


async def test_those_who_listen_are_woken(worklist: Worklist) -> None:
    await worklist.subscribe_to_all(WATCHER, keys=None, is_locking=False)
    async with aclosing(worklist.events(WATCHER)) as pages:
        await worklist.create("1.2.1", workitem())
        first = await anext(pages)
        coming = _next(pages)
        await worklist.create("1.2.2", workitem())
        second = await coming

    assert [each.workitem_uid for each in (*first, *second)] == ["1.2.1", "1.2.2"]
    assert worklist.listeners == 0


def _next(pages: AsyncIterator[list[Event]]) -> Any:
    return asyncio.ensure_future(anext(pages))


async def test_what_nobody_heard_is_told_after_a_restart_once(tmp_path: Path) -> None:
    for turn in range(3):
        archive = await Archive.open(tmp_path / "again", ArchiveConfig())
        if not turn:
            await archive.worklist.subscribe_to_all(WATCHER, keys=None, is_locking=False)
            await archive.worklist.create(UID, workitem())
        events = states(await told(archive.worklist))
        assert events == ([] if turn else ["-> SCHEDULED"])
        await archive.close()


async def test_starting_and_stopping_is_told_to_all_subscribers(
    archive: Archive, worklist: Worklist
) -> None:
    await worklist.create(UID, workitem())
    await worklist.subscribe(UID, WATCHER, is_locking=False)
    await told(worklist)

    await worklist.start(["FALLBACK"])
    await worklist.close()

    for ae, kinds in ((WATCHER, 2), ("FALLBACK", 1)):
        events = await told(worklist, ae)
        assert [each.kind for each in events] == [EventKind.SCP_STATUS_CHANGE] * kinds
        assert events[0].information == {
            "00741242": element("CS", "RESTARTED"),
            "00741244": element("CS", "WARM START"),
            "00741246": element("CS", "WARM START"),
        }
        if kinds == 2:
            assert events[1].information["00741242"]["Value"] == ["GOING DOWN"]


# --- the end


async def tidy(archive: Archive, *, finished: float = 0.0, events: float = 3600.0) -> float:
    config = ArchiveConfig(workitem_retention=finished, event_retention=events)
    return await Worklist(archive.index.worklist, config)._tidy()


async def test_finished_workitems_go_when_their_time_has_come(
    archive: Archive, worklist: Worklist
) -> None:
    await put_in(worklist, "COMPLETED")
    await worklist.create("1.2.2", workitem())

    assert await tidy(archive, finished=3600.0) <= 3600.0
    assert await worklist.retrieve(UID)
    await tidy(archive)

    with pytest.raises(Gone):
        await worklist.retrieve(UID)
    with pytest.raises(Conflict):
        await worklist.create(UID, workitem())
    assert await worklist.count(WorkitemQuery(), 10) == 1


async def test_a_deletion_lock_keeps_a_finished_workitem(
    archive: Archive, worklist: Worklist
) -> None:
    await put_in(worklist, "COMPLETED")
    await worklist.subscribe(UID, WATCHER, is_locking=True)
    await worklist.subscribe(UID, "OTHER", is_locking=False)

    await tidy(archive)
    assert await worklist.retrieve(UID)
    await worklist.subscribe(UID, WATCHER, is_locking=False)
    await tidy(archive)

    with pytest.raises(Gone):
        await worklist.retrieve(UID)


async def test_a_lock_set_at_the_last_moment_holds(archive: Archive, worklist: Worklist) -> None:
    await put_in(worklist, "COMPLETED")
    found = await archive.index.worklist._retirable(2**62, 0)

    await worklist.subscribe(UID, WATCHER, is_locking=True)
    removed = await archive.index._writer.write(Retire(tuple(found)))

    assert len(found) == 1
    assert removed == 0
    assert await worklist.retrieve(UID)


async def test_events_go_when_their_time_has_come(archive: Archive, worklist: Worklist) -> None:
    await worklist.subscribe_to_all(WATCHER, keys=None, is_locking=False)
    await worklist.create("1.2.1", workitem())

    await tidy(archive, events=0.0)
    assert await told(worklist) == []
    await worklist.create("1.2.2", workitem())

    assert [each.workitem_uid for each in await told(worklist)] == ["1.2.2"]
