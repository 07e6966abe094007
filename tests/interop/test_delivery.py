"""Sending files over associations that are lost, refused, or have no room: nothing goes missing."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from instances import Instance, make_study, write_files
from isocenter.address import Address
from isocenter.archive.media import walk
from isocenter.dimse.client import connect
from isocenter.dimse.failures import NoConnection, Rejected
from isocenter.dimse.negotiation import Offer
from isocenter.dimse.operation import Operation, Service
from isocenter.dimse.server import DimseServer
from isocenter.dimse.settings import Limits
from isocenter.dimse.slabs import Fragment
from isocenter.dimse.status import Response
from isocenter.dimse.user_information import CommonExtended
from isocenter.services.delivery import Delivery, Fate, Outcome
from isocenter.services.feed import Feed
from peers import free_port

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"


class Receiver:
    """Takes what comes, and does to the association what a test wants at the n-th instance."""

    def __init__(self, syntaxes: tuple[str, ...] = (EXPLICIT, IMPLICIT)) -> None:
        self.syntaxes = syntaxes
        self.stored: dict[str, bytes] = {}
        self.begun = 0
        self.associations: set[int] = set()
        self.trouble: Callable[[Operation, int], None] = lambda operation, number: None
        self.status: Callable[[str], int] = lambda uid: 0

    def service(self, syntax: str, common: CommonExtended | None) -> Service:
        offer = Offer(abstract_syntax=syntax, transfer_syntaxes=self.syntaxes)
        return Service(offer=offer, receive=self.receive)

    def receive(self, operation: Operation) -> "Reception":
        self.begun += 1
        self.associations.add(id(operation.association))
        self.trouble(operation, self.begun)
        return Reception(self, operation)


class Reception:
    def __init__(self, receiver: Receiver, operation: Operation) -> None:
        self._receiver = receiver
        self._operation = operation
        self._data = bytearray()

    def write(self, fragment: Fragment) -> None:
        self._data += fragment.view
        fragment.release()

    async def finish(self) -> Response:
        uid = self._operation.command.sop_instance
        status = self._receiver.status(uid)
        if not status:
            self._receiver.stored[uid] = bytes(self._data)
        return Response(status)

    def abort(self) -> None:
        pass


@asynccontextmanager
async def listening(receiver: Receiver, limits: Limits | None = None) -> AsyncIterator[Address]:
    server = DimseServer((), unknown=receiver.service, limits=limits)
    await server.start()
    try:
        yield Address("PEER", "127.0.0.1", server.port)
    finally:
        await server.close()


@pytest.fixture
def workers() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


async def deliver(
    folder: Path, peer: Address, workers: Executor, *, jobs: int = 1, retries: int = 3
) -> list[Outcome]:
    outcomes: list[Outcome] = []
    open_one = partial(_connect, peer)
    feed = Feed(walk([folder]), workers)
    delivery = Delivery(feed, open_one, outcomes.append, jobs=jobs, retries=retries, pause=0.001)
    await delivery.run()
    return outcomes


async def _connect(peer: Address, proposals: list) -> object:
    return await connect(peer, calling_ae_title="TEST", proposals=proposals)


def fates(outcomes: list[Outcome]) -> list[Fate]:
    return [outcome.fate for outcome in outcomes]


@pytest.fixture
def study(tmp_path: Path) -> list[Instance]:
    made = make_study(12)
    write_files(made, tmp_path / "in")
    return made


async def test_everything_arrives_as_it_was(
    study: list[Instance], tmp_path: Path, workers: Executor
) -> None:
    receiver = Receiver()

    async with listening(receiver) as peer:
        outcomes = await deliver(tmp_path / "in", peer, workers)

    assert receiver.stored == {one.sop_instance: one.data_set for one in study}
    assert fates(outcomes) == [Fate.SENT] * 12
    assert len(receiver.associations) == 1


@pytest.mark.parametrize("jobs", [1, 3])
async def test_a_lost_association_is_opened_anew_and_nothing_is_missing(
    study: list[Instance], tmp_path: Path, workers: Executor, jobs: int
) -> None:
    receiver = Receiver()
    troublesome = {study[at].sop_instance for at in (0, 4, 11)}

    def trouble(operation: Operation, number: int) -> None:
        if (uid := operation.command.sop_instance) in troublesome:
            troublesome.discard(uid)
            operation.association.abort()

    receiver.trouble = trouble
    async with listening(receiver) as peer:
        outcomes = await deliver(tmp_path / "in", peer, workers, jobs=jobs)

    assert receiver.stored == {one.sop_instance: one.data_set for one in study}
    assert sorted(fates(outcomes), key=str) == [Fate.SENT] * 12


async def test_an_instance_that_costs_every_association_is_left_out(
    study: list[Instance], tmp_path: Path, workers: Executor
) -> None:
    poison = study[3].sop_instance
    receiver = Receiver()

    def trouble(operation: Operation, number: int) -> None:
        if operation.command.sop_instance == poison:
            operation.association.abort()

    receiver.trouble = trouble
    async with listening(receiver) as peer:
        outcomes = await deliver(tmp_path / "in", peer, workers)

    assert [one.sop_instance for one in outcomes if one.fate is Fate.FAILED] == [poison]
    assert len(receiver.stored) == 11


@pytest.mark.parametrize("retries", [0, 2])
async def test_a_peer_that_always_aborts_is_given_up(
    study: list[Instance], tmp_path: Path, workers: Executor, retries: int
) -> None:
    receiver = Receiver()
    receiver.trouble = lambda operation, number: operation.association.abort()

    async with listening(receiver) as peer:
        outcomes = await deliver(tmp_path / "in", peer, workers, retries=retries)

    assert fates(outcomes) == [Fate.FAILED] * 12
    assert len({outcome.name for outcome in outcomes}) == 12
    assert receiver.begun == retries + 1


async def test_what_the_peer_refuses_is_told_and_the_rest_goes(
    study: list[Instance], tmp_path: Path, workers: Executor
) -> None:
    receiver = Receiver()
    receiver.status = lambda uid: 0xA700 if uid == study[2].sop_instance else 0

    async with listening(receiver) as peer:
        outcomes = await deliver(tmp_path / "in", peer, workers)

    (failed,) = [one for one in outcomes if one.fate is Fate.FAILED]
    assert failed.sop_instance == study[2].sop_instance
    assert "A700" in failed.reason


async def test_a_warning_is_no_failure(
    study: list[Instance], tmp_path: Path, workers: Executor
) -> None:
    receiver = Receiver()
    receiver.status = lambda uid: 0xB000

    async with listening(receiver) as peer:
        outcomes = await deliver(tmp_path / "in", peer, workers)

    assert fates(outcomes) == [Fate.WARNED] * 12


async def test_a_transfer_syntax_nobody_takes_is_a_failure_of_that_file(
    study: list[Instance], tmp_path: Path, workers: Executor
) -> None:
    async with listening(Receiver(("1.2.840.10008.1.2.4.90",))) as peer:
        outcomes = await deliver(tmp_path / "in", peer, workers)

    assert fates(outcomes) == [Fate.FAILED] * 12
    assert "takes no" in outcomes[0].reason


async def test_a_kind_met_late_gets_an_association_that_has_it(
    study: list[Instance],
    tmp_path: Path,
    workers: Executor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("isocenter.services.feed.SCOUTED", 2)
    other = make_study(2, SOPClassUID="1.2.840.10008.5.1.4.1.1.4")
    write_files(other, tmp_path / "in" / "later")
    receiver = Receiver()

    async with listening(receiver) as peer:
        outcomes = await deliver(tmp_path / "in", peer, workers)

    assert fates(outcomes) == [Fate.SENT] * 14
    assert len(receiver.associations) == 2


async def test_more_kinds_than_an_association_has_room_for(
    tmp_path: Path, workers: Executor
) -> None:
    kinds = [make_study(SOPClassUID=f"1.2.826.0.1.3680043.{number}")[0] for number in range(80)]
    write_files(kinds, tmp_path / "in")
    receiver = Receiver()

    async with listening(receiver) as peer:
        outcomes = await deliver(tmp_path / "in", peer, workers)

    assert fates(outcomes) == [Fate.SENT] * 80
    assert receiver.stored.keys() == {one.sop_instance for one in kinds}


async def test_jobs_that_the_peer_does_not_let_in_are_done_by_the_others(
    study: list[Instance], tmp_path: Path, workers: Executor
) -> None:
    receiver = Receiver()

    async with listening(receiver, Limits(associations=1)) as peer:
        outcomes = await deliver(tmp_path / "in", peer, workers, jobs=4)

    assert fates(outcomes) == [Fate.SENT] * 12


async def test_nobody_there_is_told_at_once(
    study: list[Instance], tmp_path: Path, workers: Executor
) -> None:
    nobody = Address("PEER", "127.0.0.1", free_port())

    with pytest.raises(NoConnection):
        await deliver(tmp_path / "in", nobody, workers)


async def test_a_rejection_is_told_at_once(
    study: list[Instance], tmp_path: Path, workers: Executor
) -> None:
    async with listening(Receiver(), Limits(associations=1)) as peer, _held(peer):
        with pytest.raises(Rejected):
            await deliver(tmp_path / "in", peer, workers)


@asynccontextmanager
async def _held(peer: Address) -> AsyncIterator[None]:
    from isocenter.dimse.negotiation import Proposal

    association = await _connect(peer, [Proposal(abstract_syntax="1.2.840.10008.5.1.4.1.1.2")])
    try:
        yield
    finally:
        association.abort()
        await asyncio.sleep(0)


async def test_a_file_that_changes_on_the_way_is_a_failure_of_that_file(
    study: list[Instance], tmp_path: Path, workers: Executor
) -> None:
    """Its size is not what it was when it was examined: better told than sent in part."""
    receiver = Receiver()
    files = sorted((tmp_path / "in").iterdir())
    outcomes: list[Outcome] = []

    async with listening(receiver) as peer:
        feed = Feed(walk([tmp_path / "in"]), workers)
        await feed.scout()
        files[7].write_bytes(study[7].file[:2000])
        feed.scout = _nothing
        delivery = Delivery(feed, partial(_connect, peer), outcomes.append, pause=0.001)
        await delivery.run()

    assert [Path(one.name) for one in outcomes if one.fate is Fate.FAILED] == [files[7]]
    assert len(receiver.stored) == 11


async def _nothing() -> None:
    pass


async def test_a_report_that_fails_ends_the_delivery(
    study: list[Instance], tmp_path: Path, workers: Executor
) -> None:
    def report(outcome: Outcome) -> None:
        raise OSError("no space left to note what was sent")

    async with listening(Receiver()) as peer:
        feed = Feed(walk([tmp_path / "in"]), workers)
        with pytest.raises(OSError, match="no space"):
            await Delivery(feed, partial(_connect, peer), report).run()
