"""The worklist against a small model of it, whatever happens in whatever order."""

import asyncio
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from isocenter.archive.archive import Archive
from isocenter.archive.workitems import Refused
from isocenter.config import ArchiveConfig
from isocenter.dicom.procedure_step import StepState
from isocenter.errors import Conflict, IsocenterError, NotFound
from isocenter.storage.query import Key
from isocenter.storage.workitem_records import EventKind
from isocenter.storage.workitem_search import WorkitemQuery
from made_workitems import PERFORMED, Dataset, element, workitem

UIDS = st.sampled_from(["1.2.1", "1.2.2", "1.2.3"])
AES = st.sampled_from(["ONE", "TWO"])
TRANSACTIONS = st.sampled_from(["", "2.25.1", "2.25.2"])
ASKED = st.sampled_from(["IN PROGRESS", "COMPLETED", "CANCELED"])


@dataclass
class Item:
    state: str = "SCHEDULED"
    transaction: str = ""
    is_performed: bool = False
    label: str = "Read the chest"
    subscribers: set[str] = field(default_factory=set)


class WorklistMachine(RuleBasedStateMachine):
    """The model is ``items``, who subscribes to what comes, and what each was to be told."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        self.items: dict[str, Item] = {}
        self.coming: set[str] = set()
        self.told: dict[str, list[tuple[str, str]]] = {"ONE": [], "TWO": []}
        self.open()

    def open(self) -> None:
        self.archive = self.runner.run(Archive.open(self.folder, ArchiveConfig()))
        self.worklist = self.archive.worklist

    def teardown(self) -> None:
        self.runner.run(self.archive.close())
        self.runner.close()
        shutil.rmtree(self.folder)

    def attempt(self, coroutine: object) -> type[IsocenterError] | None:
        try:
            self.runner.run(coroutine)  # type: ignore[arg-type]
        except (Refused, NotFound, Conflict) as error:
            return type(error)
        return None

    def report(self, uid: str, what: str) -> None:
        for ae in self.items[uid].subscribers:
            self.told[ae].append((uid, what))

    @rule(uid=UIDS)
    def create(self, uid: str) -> None:
        error = self.attempt(self.worklist.create(uid, workitem()))

        assert (error is Conflict) == (uid in self.items)
        if uid not in self.items:
            self.items[uid] = Item(subscribers=set(self.coming))
            self.report(uid, "SCHEDULED")

    @rule(uid=UIDS, state=ASKED, transaction=TRANSACTIONS)
    def change_state(self, uid: str, state: str, transaction: str) -> None:
        error = self.attempt(self.worklist.change_state(uid, StepState(state), transaction))

        item = self.items.get(uid)
        if item is None:
            assert error is NotFound
        elif item.state == "SCHEDULED":
            if may := bool(transaction) and state == "IN PROGRESS":
                item.state, item.transaction = state, transaction
                self.report(uid, state)
            assert (error is None) == may
        elif item.state == "IN PROGRESS":
            may = transaction == item.transaction and (
                state == "CANCELED" or (state == "COMPLETED" and item.is_performed)
            )
            if may:
                item.state = state
                self.report(uid, state)
            assert (error is None) == may
        else:
            is_same = state == item.state
            owns = bool(transaction) and transaction == item.transaction
            assert (error is None) == (is_same and owns)

    @rule(uid=UIDS)
    def request_cancellation(self, uid: str) -> None:
        error = self.attempt(self.worklist.request_cancellation(uid, {}, "ASKING"))

        item = self.items.get(uid)
        if item is None:
            assert error is NotFound
        elif item.state == "SCHEDULED":
            for state in ("IN PROGRESS", "CANCELED"):
                self.report(uid, state)
            item.state = "CANCELED"
        elif item.state == "IN PROGRESS":
            self.report(uid, "cancel")
        else:
            assert (error is Refused) == (item.state == "COMPLETED")

    @rule(uid=UIDS, transaction=TRANSACTIONS, label=st.sampled_from(["A", "B", ""]))
    def update(self, uid: str, transaction: str, label: str) -> None:
        changes = {"00741204": element("LO", label)} if label else PERFORMED
        error = self.attempt(self.worklist.update(uid, changes, transaction))

        item = self.items.get(uid)
        if item is None:
            assert error is NotFound
            return
        may = item.state in ("SCHEDULED", "IN PROGRESS") and transaction == item.transaction
        assert (error is None) == may
        if may and label:
            item.label = label
        elif may:
            item.is_performed = True

    @rule(uid=UIDS, ae=AES, is_locking=st.booleans())
    def subscribe(self, uid: str, ae: str, is_locking: bool) -> None:
        error = self.attempt(self.worklist.subscribe(uid, ae, is_locking=is_locking))

        assert (error is NotFound) == (uid not in self.items)
        if uid in self.items:
            self.items[uid].subscribers.add(ae)
            self.told[ae].append((uid, self.items[uid].state))

    @rule(uid=UIDS, ae=AES)
    def unsubscribe(self, uid: str, ae: str) -> None:
        error = self.attempt(self.worklist.unsubscribe(uid, ae))

        is_there = uid in self.items and ae in self.items[uid].subscribers
        assert (error is None) == is_there
        if is_there:
            self.items[uid].subscribers.discard(ae)

    @rule(ae=AES, is_locking=st.booleans())
    def subscribe_to_all(self, ae: str, is_locking: bool) -> None:
        self.attempt(self.worklist.subscribe_to_all(ae, keys=None, is_locking=is_locking))

        self.coming.add(ae)
        for uid, item in self.items.items():
            if ae not in item.subscribers:
                item.subscribers.add(ae)
                if is_locking:
                    self.told[ae].append((uid, item.state))

    @rule(ae=AES)
    def suspend(self, ae: str) -> None:
        error = self.attempt(self.worklist.suspend(ae, is_filtered=False))

        assert (error is None) == (ae in self.coming)
        self.coming.discard(ae)

    @rule(ae=AES)
    def unsubscribe_from_all(self, ae: str) -> None:
        error = self.attempt(self.worklist.unsubscribe_from_all(ae, is_filtered=False))

        had = ae in self.coming or any(ae in each.subscribers for each in self.items.values())
        assert (error is None) == had
        self.coming.discard(ae)
        for each in self.items.values():
            each.subscribers.discard(ae)

    @rule()
    def restart(self) -> None:
        self.runner.run(self.archive.close())
        self.open()

    @rule(ae=AES)
    def listen(self, ae: str) -> None:
        assert self.runner.run(self._heard(ae)) == self.told[ae]

    async def _heard(self, ae: str) -> list[tuple[str, str]]:
        events = await self.worklist._store.events(ae, 0)
        return [
            (
                each.workitem_uid,
                each.information["00741000"]["Value"][0]
                if each.kind is EventKind.STATE_REPORT
                else "cancel",
            )
            for each in events
        ][:100]

    async def _found(self, query: WorkitemQuery) -> list[Dataset]:
        return [each async for page in self.worklist.search(query) for each in page]

    @invariant()
    def every_workitem_is_as_the_model_has_it(self) -> None:
        for uid, item in self.items.items():
            dataset = self.runner.run(self.worklist.retrieve(uid))
            assert dataset["00741000"]["Value"] == [item.state]
            assert dataset["00741204"]["Value"] == [item.label]
            assert "00081195" not in dataset

    @rule(state=st.sampled_from(["SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED"]))
    def search(self, state: str) -> None:
        query = WorkitemQuery(keys=(Key(0x00741000, state),))
        found = self.runner.run(self._found(query))

        expected = {uid for uid, item in self.items.items() if item.state == state}
        assert {each["00080018"]["Value"][0] for each in found} == expected


TestWorklist = WorklistMachine.TestCase
TestWorklist.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, database=None
)
