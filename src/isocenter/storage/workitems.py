"""Writing the worklist: each class here is one transaction of the writer.

What may be done to a workitem is decided by whoever calls (``Decide``); that it is decided on the
workitem as it stands, and kept together with the events that follow from it, is done here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Generic

import orjson
from sqlalchemy.engine import Dialect

from isocenter.dicom.procedure_step import StepState
from isocenter.errors import Conflict, NotFound
from isocenter.storage.ledger import Ledger
from isocenter.storage.workitem_records import (
    Answer,
    Decide,
    Done,
    Gone,
    Initial,
    Origin,
    Report,
    Workitem,
)
from isocenter.storage.workitem_search import START, compared, filter_statement, indexed

AT_A_TIME: Final = 500
"""Rows changed in one transaction: others do not wait long for theirs."""
_NEXT_EVENT: Final = "next_event"


@dataclass(frozen=True, slots=True)
class Place:
    """How rows are made: the database's dialect, and minutes east of UTC of times that do not
    say."""

    dialect: Dialect
    offset: int


@dataclass(frozen=True, slots=True)
class Create:
    """Put a new workitem on the list. Raises: Conflict, where its UID is or was taken."""

    workitem: Workitem
    reports: tuple[Report, ...]
    place: Place

    def __call__(self, ledger: Ledger) -> Done[None]:
        """Those subscribed to the worklist are subscribed to it, and told."""
        uid = self.workitem.uid
        if ledger.one(ledger.statements.find_workitem, uid) is not None:
            raise Conflict("there is a workitem with this UID")
        if ledger.one(ledger.statements.find_gone, uid) is not None:
            raise Conflict("there was a workitem with this UID")
        pk = ledger.key()
        _keep(ledger, pk, self.workitem, self.place, is_new=True)
        joined = _join(ledger, pk, {}, self.place)
        emit(ledger, uid, self.reports, joined)
        return Done(None, joined)


@dataclass(frozen=True, slots=True)
class Change(Generic[Answer]):
    """Do to a workitem what ``decide`` says. Raises: NotFound, Gone; what ``decide`` does."""

    uid: str
    decide: Decide[Answer]
    initial: Initial
    place: Place

    def __call__(self, ledger: Ledger) -> Done[Answer]:
        """Those subscribed are told, and those whose filter it has come to match."""
        pk, current = _found(ledger, self.uid)
        decision = self.decide(current, ledger.now)
        receivers = subscribers(ledger, pk)
        emit(ledger, self.uid, decision.reports, receivers)
        if decision.workitem is None:
            return Done(decision.answer, receivers)
        before = _matching(ledger, pk, self.place)
        _keep(ledger, pk, decision.workitem, self.place, is_new=False)
        joined = _join(ledger, pk, before, self.place) if before else frozenset()
        emit(ledger, self.uid, (self.initial(decision.workitem),), joined)
        return Done(decision.answer, receivers | joined)


def _found(ledger: Ledger, uid: str) -> tuple[int, Workitem]:
    row = ledger.one(ledger.statements.find_workitem, uid)
    if row is not None:
        return row[0], workitem_of(row)
    if ledger.one(ledger.statements.find_gone, uid) is not None:
        raise Gone("the workitem has been removed")
    raise NotFound("there is no such workitem")


def workitem_of(row: Any) -> Workitem:
    """A workitem out of its row: key, UID, state, Transaction UID, document."""
    return Workitem(row[1], StepState(row[2]), row[3], orjson.loads(row[4]))


def _keep(ledger: Ledger, pk: int, workitem: Workitem, place: Place, *, is_new: bool) -> None:
    held = compared(workitem.dataset, place.offset)
    start = held.get(START, [""])[0]
    columns = (
        workitem.state.value,
        workitem.transaction_uid,
        start,
        ledger.now if workitem.state.is_final else 0,
        orjson.dumps(workitem.dataset),
        orjson.dumps(held).decode(),
    )
    if is_new:
        ledger.write(ledger.statements.insert_workitem, pk, workitem.uid, *columns)
    else:
        ledger.write(ledger.statements.update_workitem, *columns, pk)
        ledger.write(ledger.statements.delete_values, pk)
    rows = {(path, value, pk) for path, value in indexed(held)}
    ledger.write_many(ledger.statements.insert_value, sorted(rows))


# --- events


def emit(
    ledger: Ledger, workitem_uid: str, reports: Iterable[Report], receivers: Iterable[str]
) -> None:
    """Note what ``receivers`` are to be told."""
    waiting = sorted(receivers)
    made = list(reports)
    if not waiting or not made:
        return
    seq = _take_numbers(ledger, len(made))
    statements = ledger.statements
    for number, report in enumerate(made, seq):
        document = orjson.dumps(report.information)
        ledger.write(
            statements.insert_event, number, int(report.kind), workitem_uid, document, ledger.now
        )
        ledger.write_many(statements.insert_delivery, [(ae, number) for ae in waiting])


def _take_numbers(ledger: Ledger, count: int) -> int:
    # Not keys: events are read with a cursor, so their order must be that of the commits.
    statements = ledger.statements
    row = ledger.one(statements.read_meta, _NEXT_EVENT)
    if row is None:
        ledger.write(statements.insert_meta, _NEXT_EVENT, str(1 + count))
        return 1
    ledger.write(statements.update_meta, str(int(row[0]) + count), _NEXT_EVENT)
    return int(row[0])


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Tell everybody who has any subscription, and ``also``."""

    workitem_uid: str
    report: Report
    also: frozenset[str]

    def __call__(self, ledger: Ledger) -> Done[None]:
        """Once each."""
        rows = ledger.all(ledger.statements.all_subscribers)
        receivers = self.also | {row[0] for row in rows}
        emit(ledger, self.workitem_uid, (self.report,), receivers)
        return Done(None, receivers)


@dataclass(frozen=True, slots=True)
class Delivered:
    """Remember up to which event a subscriber has been told."""

    ae: str
    seq: int

    def __call__(self, ledger: Ledger) -> None:
        """It never goes back."""
        row = ledger.one(ledger.statements.find_cursor, self.ae)
        if row is None:
            ledger.write(ledger.statements.insert_cursor, self.ae, self.seq)
        elif row[0] < self.seq:
            ledger.write(ledger.statements.update_cursor, self.seq, self.ae)


@dataclass(frozen=True, slots=True)
class Expire:
    """Drop events, by their numbers."""

    numbers: tuple[int, ...]

    def __call__(self, ledger: Ledger) -> None:
        """Whether they were told or not."""
        rows = [(number,) for number in self.numbers]
        ledger.write_many(ledger.statements.delete_deliveries, rows)
        ledger.write_many(ledger.statements.delete_event, rows)


# --- who is subscribed


def subscribers(ledger: Ledger, pk: int) -> frozenset[str]:
    """Those subscribed to a workitem."""
    return frozenset(row[0] for row in ledger.all(ledger.statements.subscribers, pk))


_Matched = dict[tuple[str, int], bool]
"""For each subscription to the worklist, by AE title and kind, whether it takes in a workitem."""


def _matching(ledger: Ledger, pk: int, place: Place) -> _Matched:
    return {
        (ae, is_filtered): not is_filtered or _meets(ledger, pk, text, place)
        for ae, is_filtered, _, text, _ in ledger.all(ledger.statements.worklist_subscriptions)
    }


def _meets(ledger: Ledger, pk: int, text: str, place: Place) -> bool:
    sql, parameters, at = filter_statement(text, place.dialect, place.offset)
    values = (*parameters[:at], pk, *parameters[at + 1 :])
    return any(ledger.rows(sql, values))


def _join(ledger: Ledger, pk: int, before: _Matched, place: Place) -> frozenset[str]:
    """Subscribe those whose subscription to the worklist takes in the workitem since ``before``."""
    held = subscribers(ledger, pk)
    joined: dict[str, tuple[int, Origin]] = {}
    for ae, is_filtered, is_locking, text, _ in ledger.all(
        ledger.statements.worklist_subscriptions
    ):
        if ae in held or before.get((ae, is_filtered)):
            continue
        if not is_filtered:
            joined[ae] = is_locking, Origin.WORKLIST
        elif ae not in joined and _meets(ledger, pk, text, place):
            joined[ae] = is_locking, Origin.FILTER
    rows = [(pk, ae, is_locking, int(origin)) for ae, (is_locking, origin) in joined.items()]
    ledger.write_many(ledger.statements.insert_subscription, rows)
    return frozenset(joined)


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Subscribe to one workitem (PS3.4 Table CC.2.3-2). Raises: NotFound, Gone."""

    uid: str
    ae: str
    is_locking: bool
    initial: Initial

    def __call__(self, ledger: Ledger) -> Done[None]:
        """The subscriber is told how the workitem stands."""
        statements = ledger.statements
        pk, workitem = _found(ledger, self.uid)
        origin = int(Origin.ITSELF)
        if ledger.one(statements.find_subscription, pk, self.ae) is None:
            ledger.write(statements.insert_subscription, pk, self.ae, int(self.is_locking), origin)
        else:
            ledger.write(statements.update_subscription, int(self.is_locking), origin, pk, self.ae)
        emit(ledger, self.uid, (self.initial(workitem),), (self.ae,))
        return Done(None, frozenset({self.ae}))


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """End the subscription to one workitem. Raises: NotFound, where there is none; Gone."""

    uid: str
    ae: str

    def __call__(self, ledger: Ledger) -> None:
        """Its deletion lock goes with it."""
        pk, _ = _found(ledger, self.uid)
        if ledger.one(ledger.statements.find_subscription, pk, self.ae) is None:
            raise NotFound("there is no such subscription")
        ledger.write(ledger.statements.delete_subscription, pk, self.ae)


@dataclass(frozen=True, slots=True)
class SubscribeToComing:
    """Subscribe to all workitems to come, or to those that match ``filter_text``."""

    ae: str
    is_filtered: bool
    is_locking: bool
    filter_text: str

    def __call__(self, ledger: Ledger) -> int:
        """The subscription's token, for `SubscribeToHeld`."""
        statements, token = ledger.statements, ledger.key()
        ledger.write(statements.delete_worklist_subscription, self.ae, int(self.is_filtered))
        ledger.write(
            statements.insert_worklist_subscription,
            self.ae,
            int(self.is_filtered),
            int(self.is_locking),
            self.filter_text,
            token,
        )
        return token


@dataclass(frozen=True, slots=True)
class SubscribeToHeld:
    """Subscribe to workitems that are there, by their keys, unless one is already."""

    of: SubscribeToComing
    token: int
    keys: tuple[int, ...]
    initial: Initial

    def __call__(self, ledger: Ledger) -> Done[bool]:
        """Whether the subscription to the worklist stands still. With a lock, each is reported."""
        statements, of = ledger.statements, self.of
        row = ledger.one(statements.find_worklist_subscription, of.ae, int(of.is_filtered))
        if row is None or row[0] != self.token:
            return Done(False)
        origin = Origin.FILTER if of.is_filtered else Origin.WORKLIST
        for pk in self.keys:
            found = ledger.one(statements.workitem_at, pk)
            if found is None or ledger.one(statements.find_subscription, pk, of.ae) is not None:
                continue
            ledger.write(statements.insert_subscription, pk, of.ae, int(of.is_locking), int(origin))
            if of.is_locking:
                workitem = workitem_of(found)
                emit(ledger, workitem.uid, (self.initial(workitem),), (of.ae,))
        return Done(True, frozenset({of.ae}))


@dataclass(frozen=True, slots=True)
class Suspend:
    """Be subscribed to no further workitems. Raises: NotFound, where one would not be anyway."""

    ae: str
    is_filtered: bool

    def __call__(self, ledger: Ledger) -> None:
        """Subscriptions to workitems stay."""
        statements, kind = ledger.statements, int(self.is_filtered)
        if ledger.one(statements.find_worklist_subscription, self.ae, kind) is None:
            raise NotFound("there is no such subscription")
        ledger.write(statements.delete_worklist_subscription, self.ae, kind)


@dataclass(frozen=True, slots=True)
class LeaveComing:
    """Be subscribed to no further workitems, or with ``is_filtered`` not by filter."""

    ae: str
    is_filtered: bool

    def __call__(self, ledger: Ledger) -> bool:
        """Whether one would have been."""
        statements = ledger.statements
        kinds = [row[0] for row in ledger.all(statements.worklist_subscribers, self.ae)]
        ended = [kind for kind in kinds if kind or not self.is_filtered]
        for kind in ended:
            ledger.write(statements.delete_worklist_subscription, self.ae, kind)
        return bool(ended)


@dataclass(frozen=True, slots=True)
class LeaveHeld:
    """End subscriptions to workitems, by their keys."""

    ae: str
    keys: tuple[int, ...]

    def __call__(self, ledger: Ledger) -> None:
        """Their deletion locks go with them."""
        rows = [(pk, self.ae) for pk in self.keys]
        ledger.write_many(ledger.statements.delete_subscription, rows)


# --- the end


@dataclass(frozen=True, slots=True)
class Retire:
    """Remove workitems in a final state that nobody locks, by their keys."""

    keys: tuple[int, ...]

    def __call__(self, ledger: Ledger) -> int:
        """How many went; their UIDs stay taken."""
        statements, removed = ledger.statements, 0
        for pk in self.keys:
            row = ledger.one(statements.workitem_at, pk)
            if row is None or not StepState(row[2]).is_final or ledger.one(statements.locks, pk, 1):
                continue
            ledger.write(statements.delete_values, pk)
            ledger.write(statements.delete_subscriptions, pk)
            ledger.write(statements.delete_workitem, pk)
            ledger.write(statements.insert_gone, row[1], ledger.now)
            removed += 1
        return removed
