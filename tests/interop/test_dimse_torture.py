"""Peers that lie, stall, leave or send rubbish; others are served meanwhile and nothing stays."""

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator
from typing import Any

import psutil
import pytest

from isocenter.address import Address
from isocenter.dimse import pdu, status
from isocenter.dimse.client import associate, connect
from isocenter.dimse.command import Command
from isocenter.dimse.failures import Aborted, TimedOut
from isocenter.dimse.negotiation import Offer, Proposal
from isocenter.dimse.operation import Operation, Service
from isocenter.dimse.server import DimseServer
from isocenter.dimse.settings import Limits, Timeouts
from isocenter.dimse.slabs import Fragment
from isocenter.dimse.status import Response
from isocenter.dimse.user_information import Role, UserInformation, Window
from little import CT, EXPLICIT, FIND, GET, VERIFICATION, LittleArchive, serving, until

SHORT = Timeouts(artim=0.2, idle=0.3, dimse=0.3, network=0.3, establishment=0.3)
REQUEST = pdu.AssociateRequest(
    called_ae_title="A",
    calling_ae_title="B",
    contexts=(
        pdu.ProposedContext(1, CT, (EXPLICIT,)),
        pdu.ProposedContext(3, FIND, (EXPLICIT,)),
        pdu.ProposedContext(5, VERIFICATION, (EXPLICIT,)),
    ),
    information=UserInformation(maximum_length=16384),
).encode()


def message(context_id: int, verb: int, *, message_id: int = 1, data: bool = False) -> bytes:
    command = Command(
        {
            "CommandField": verb,
            "MessageID": message_id,
            "AffectedSOPClassUID": CT,
            "AffectedSOPInstanceUID": "1.2.3",
            "CommandDataSetType": 1 if data else 0x0101,
        }
    )
    value = pdu.DataValue(context_id, True, True, command.encode())
    return pdu.DataTransfer((value,)).encode()


def answer(context_id: int, message_id: int) -> bytes:
    """Success for a C-STORE."""
    elements = {"CommandField": 0x8001, "MessageIDBeingRespondedTo": message_id, "Status": 0}
    command = Command({**elements, "CommandDataSetType": 0x0101})
    value = pdu.DataValue(context_id, True, True, command.encode())
    return pdu.DataTransfer((value,)).encode()


def store(data: bytes = b"", *, is_last: bool = True) -> bytes:
    fragment = pdu.DataTransfer((pdu.DataValue(1, False, is_last, data),)).encode()
    return message(1, 1, data=True) + fragment


class Wire:
    """A peer made of bare bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def unit(self) -> pdu.Unit:
        header = await self.reader.readexactly(6)
        body = await self.reader.readexactly(int.from_bytes(header[2:], "big"))
        return pdu.decode(header[0], body)

    async def command(self) -> Command:
        unit = await self.unit()
        assert isinstance(unit, pdu.DataTransfer), unit
        return Command.decode(unit.values[0].fragment)

    def say(self, *units: bytes) -> None:
        self.writer.write(b"".join(units))

    async def is_closed(self) -> bool:
        with contextlib.suppress(ConnectionError):
            return await self.reader.read() == b""
        return True


@contextlib.asynccontextmanager
async def wire(server: DimseServer, *, associated: bool = True) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        peer = Wire(reader, writer)
        if associated:
            peer.say(REQUEST)
            assert isinstance(await peer.unit(), pdu.AssociateAccept)
        yield peer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.fixture(autouse=True)
async def nothing_is_left(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    before = len(asyncio.all_tasks())
    yield
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) <= before, asyncio.all_tasks()
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]


async def honest(server: DimseServer) -> None:
    async with associate(
        Address("A", "127.0.0.1", server.port),
        calling_ae_title="HONEST",
        proposals=[Proposal(abstract_syntax=VERIFICATION), Proposal(abstract_syntax=CT)],
    ) as association:
        assert (await association.echo()).is_success
        assert (await association.store(CT, "1.2", [bytes(100_000)])).is_success


@pytest.mark.parametrize(
    ("rubbish", "answer"),
    [
        # In Sta2 whatever is wrong is answered by AA-1: source service user.
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", pdu.Abort(0, 0)),
        (b"\x16\x03\x01\x02\x00\x01", pdu.Abort(0, 0)),
        (b"\x01\x00\xff\xff\xff\xff", pdu.Abort(0, 0)),
        (REQUEST[:2] + (40).to_bytes(4, "big") + bytes(40), pdu.Abort(0, 0)),
        (pdu.ReleaseRequest().encode(), pdu.Abort(0, 0)),
        (store(b"abcd"), pdu.Abort(0, 0)),
        (REQUEST[:6] + b"\x00\x02" + REQUEST[8:], pdu.AssociateReject(1, 2, 2)),
        (
            REQUEST.replace(b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.3.1.1.9"),
            pdu.AssociateReject(1, 1, 2),
        ),
    ],
)
async def test_rubbish_instead_of_a_request_is_answered(rubbish: bytes, answer: pdu.Unit) -> None:
    async with serving(LittleArchive(), timeouts=SHORT) as server:
        async with wire(server, associated=False) as peer:
            peer.say(rubbish)

            assert await peer.unit() == answer
            assert await peer.is_closed()
        await honest(server)


@pytest.mark.parametrize(
    ("rubbish", "answer"),
    [
        (b"\x99", pdu.Abort(2, 1)),
        (REQUEST, pdu.Abort(2, 2)),
        (pdu.ReleaseResponse().encode(), pdu.Abort(2, 2)),
        (b"\x04\x00\xff\xff\xff\xff", pdu.Abort(2, 6)),
        (b"\x04\x00\x00\x00\x00\x10\x00\x00\x00\x20\x01\x02", pdu.Abort(2, 6)),
        (b"\x07\x00\x00\x00\x00\x05", pdu.Abort(2, 6)),
        # What is wrong with a message is for the service user to abort.
        (message(99, 0x30), pdu.Abort(0, 0)),
        (store(b"ab", is_last=False) + store(b"cd"), pdu.Abort(0, 0)),
        (store(b"ab", is_last=False) + pdu.ReleaseRequest().encode(), pdu.Abort(0, 0)),
        (
            pdu.DataTransfer((pdu.DataValue(1, False, True, b"x"),)).encode(),
            pdu.Abort(0, 0),
        ),
    ],
)
async def test_rubbish_on_an_association_aborts_it(rubbish: bytes, answer: pdu.Unit) -> None:
    archive = LittleArchive()
    async with serving(archive, timeouts=SHORT) as server:
        async with wire(server) as peer:
            peer.say(rubbish)

            assert await peer.unit() == answer
            assert await peer.is_closed()
        await honest(server)
        await until(lambda: archive.open == 0)


async def test_byte_by_byte_is_slow_but_right() -> None:
    archive = LittleArchive()
    async with serving(archive) as server, wire(server, associated=False) as peer:
        for byte in REQUEST + store(b"abcdef"):
            peer.say(bytes((byte,)))
            await asyncio.sleep(0)

        assert isinstance(await peer.unit(), pdu.AssociateAccept)
        assert (await peer.command()).status == status.SUCCESS
        assert archive.stored["1.2.3"][1] == b"abcdef"


@pytest.mark.parametrize(
    "said",
    [
        pytest.param([], id="nothing"),
        pytest.param([REQUEST[:40]], id="half a request"),
        pytest.param([REQUEST], id="no message"),
        pytest.param([REQUEST, b"\x04\x00"], id="half a header"),
        pytest.param([REQUEST, message(1, 1, data=True)], id="no data set"),
        pytest.param([REQUEST, store(b"ab", is_last=False)], id="half a data set"),
    ],
)
async def test_silence_in_any_state_is_ended(said: list[bytes]) -> None:
    archive = LittleArchive()
    async with serving(archive, timeouts=SHORT) as server:
        async with wire(server, associated=False) as peer:
            peer.say(*said)
            await honest(server)

            async with asyncio.timeout(3):
                with contextlib.suppress(asyncio.IncompleteReadError):
                    while True:
                        await peer.unit()
        await until(lambda: server.associations == 0 and archive.open == 0)


async def test_a_cable_pulled_amid_a_data_set_leaves_nothing() -> None:
    archive = LittleArchive()
    async with serving(archive) as server:
        async with wire(server) as peer:
            peer.say(store(bytes(10_000), is_last=False))
            await until(lambda: archive.open == 1)
            peer.writer.transport.abort()

        await until(lambda: archive.aborted == 1)
        assert archive.stored == {}


async def test_an_abort_amid_a_data_set_leaves_nothing() -> None:
    archive = LittleArchive()
    async with serving(archive) as server, wire(server) as peer:
        peer.say(store(bytes(10_000), is_last=False), pdu.Abort().encode())

        assert await peer.is_closed()
        await until(lambda: archive.aborted == 1)


async def test_a_release_collision_is_settled_as_requestor_and_acceptor_do() -> None:
    # PS3.8 §9.2: the requestor answers first, the acceptor waits.
    async with serving(LittleArchive()) as server, wire(server) as peer:
        (association,) = server._connections
        release = asyncio.create_task(association.release())
        assert await peer.unit() == pdu.ReleaseRequest()
        peer.say(pdu.ReleaseRequest().encode())
        peer.say(pdu.ReleaseResponse().encode())

        assert await peer.unit() == pdu.ReleaseResponse()
        peer.writer.close()
        await release


async def test_a_peer_that_takes_no_answers_is_let_go() -> None:
    archive = LittleArchive()
    archive.endless = True
    timeouts = Timeouts(artim=0.2, idle=9, dimse=9, network=0.3)
    async with serving(archive, timeouts=timeouts) as server:
        async with wire(server) as peer:
            peer.writer.transport.pause_reading()
            identifier = pdu.DataTransfer((pdu.DataValue(3, False, True, b""),)).encode()
            peer.say(message(3, 0x20, data=True), identifier)

            await until(lambda: server.associations == 0, 60)
        await honest(server)


class Hoarder:
    """Keeps what it gets until told otherwise."""

    def __init__(self) -> None:
        self.fragments: list[Fragment] = []
        self.size = 0

    def write(self, fragment: Fragment) -> None:
        self.fragments.append(fragment)
        self.size += len(fragment)

    def let_go(self) -> None:
        for fragment in self.fragments:
            fragment.release()
        self.fragments.clear()

    async def finish(self) -> Response:
        self.let_go()
        return Response(status.SUCCESS)

    def abort(self) -> None:
        self.let_go()


def hoarding(hoarder: Hoarder) -> Service:
    offer = Offer(abstract_syntax=CT, transfer_syntaxes=(EXPLICIT,))
    return Service(offer=offer, receive=lambda operation: hoarder)


async def test_a_slow_receiver_stops_the_sender_and_starts_it_again() -> None:
    hoarder = Hoarder()
    server = DimseServer([hoarding(hoarder)], limits=Limits(backlog=1 << 20))
    await server.start()
    data = bytes(range(256)) * (64 << 10)  # 16 MiB

    most = 0

    async def release_now_and_then() -> None:
        nonlocal most
        while True:
            await asyncio.sleep(0.02)
            most = max(most, sum(map(len, hoarder.fragments)))
            hoarder.let_go()

    releasing = asyncio.create_task(release_now_and_then())
    async with associate(
        Address("A", "127.0.0.1", server.port),
        calling_ae_title="T",
        proposals=[Proposal(abstract_syntax=CT, transfer_syntaxes=(EXPLICIT,))],
    ) as association:
        answer = await association.store(CT, "1.2", [data])
    releasing.cancel()
    await server.close()

    assert answer.is_success
    assert hoarder.size == len(data)
    assert 1 << 20 < most <= 3 << 20  # the bound, and what one read may add to it


async def test_every_slab_comes_back_whatever_happens() -> None:
    hoarder = Hoarder()
    server = DimseServer([hoarding(hoarder)])
    await server.start()
    for _ in range(5):
        async with wire(server) as peer:
            peer.say(store(bytes(50_000), is_last=False))
            await until(lambda: hoarder.fragments)
            peer.writer.transport.abort()
        await until(lambda: not hoarder.fragments and server.associations == 0)

    assert server._pool.free == 1
    await server.close()


@pytest.mark.parametrize("moment", ["open", "write", "finish"])
async def test_what_a_provider_raises_becomes_a_status(
    moment: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Hoarder):
        aborts = 0

        def abort(self) -> None:
            super().abort()
            self.aborts += 1

        def write(self, fragment: Fragment) -> None:
            super().write(fragment)
            if moment == "write":
                raise Aborted("no")

        async def finish(self) -> Response:
            raise Aborted("no")

    def receive(operation: Operation) -> Failing:
        if moment == "open":
            raise Aborted("no")
        return failing

    failing = Failing()
    offer = Offer(abstract_syntax=CT, transfer_syntaxes=(EXPLICIT,))
    server = DimseServer(
        [Service(offer=offer, receive=receive)],
        status_of=lambda error: Response(0xA700, None, {"ErrorComment": str(error)}),
    )
    await server.start()
    async with wire(server) as peer:
        for _ in range(2):  # the association lives on
            peer.say(store(bytes(5000)))
            answer = await peer.command()
            assert (answer.status, answer.text("ErrorComment")) == (0xA700, "no")
            assert failing.aborts == (1 if moment == "write" else 0)
            failing.aborts = 0
    await server.close()


async def test_requests_nobody_performs_get_their_status() -> None:
    async with serving(LittleArchive()) as server, wire(server) as peer:
        peer.say(message(1, 0x0110))  # N-GET of a storage class
        assert (await peer.command()).status == status.UNRECOGNIZED_OPERATION
        peer.say(message(1, 0x0777))
        assert (await peer.command()).status == status.UNRECOGNIZED_OPERATION
        peer.say(message(1, 1))  # C-STORE without a data set
        assert (await peer.command()).status == status.MISTYPED_ARGUMENT


async def test_an_identifier_that_is_too_large_is_refused() -> None:
    limits = Limits(identifier_size=1000)
    async with serving(LittleArchive(), limits=limits) as server, wire(server) as peer:
        fragment = pdu.DataTransfer((pdu.DataValue(3, False, True, bytes(2000)),)).encode()
        peer.say(message(3, 0x20, data=True), fragment)

        assert (await peer.command()).status == status.RESOURCE_LIMITATION


async def test_a_peer_that_pipelines_without_a_window_is_served() -> None:
    limits = Limits(operations=2)
    archive = LittleArchive()
    async with serving(archive, limits=limits) as server, wire(server) as peer:
        peer.say(*(message(5, 0x30, message_id=number) for number in range(1, 501)))

        answers = [(await peer.command()).answers for _ in range(500)]

    assert sorted(answers) == list(range(1, 501))


async def test_retrievals_beyond_the_limit_are_refused_and_hold_up_no_others() -> None:
    archive = LittleArchive()
    archive.stored["1.2.3"] = (EXPLICIT, bytes(100))
    contexts = (pdu.ProposedContext(1, CT, (EXPLICIT,)), pdu.ProposedContext(3, GET, (EXPLICIT,)))
    roles = UserInformation(maximum_length=16384, roles=(Role(CT, False, True),))
    request = pdu.AssociateRequest(
        called_ae_title="A", calling_ae_title="B", contexts=contexts, information=roles
    )
    last: dict[int, int] = {}
    async with (
        asyncio.timeout(5),
        serving(archive, limits=Limits(operations=2)) as server,
        wire(server, associated=False) as peer,
    ):
        peer.say(request.encode())
        assert isinstance(await peer.unit(), pdu.AssociateAccept)
        # All at once: while the first two wait for our answers, those have to be heard.
        peer.say(*(message(3, 0x10, message_id=number) for number in range(1, 6)))

        while len(last) < 5:
            command = await peer.command()
            if command.is_response:
                if command.status != status.PENDING:
                    last[command.answers] = command.status
                continue
            await peer.unit()
            peer.say(answer(1, command.message_id))

    assert [last[number] for number in range(1, 6)] == [0, 0, *[status.RESOURCE_LIMITATION] * 3]


async def test_a_window_lets_several_operations_be_outstanding() -> None:
    async with (
        serving(LittleArchive()) as server,
        associate(
            Address("A", "127.0.0.1", server.port),
            calling_ae_title="T",
            proposals=[Proposal(abstract_syntax=CT), Proposal(abstract_syntax=VERIFICATION)],
            window=Window(4, 1),
        ) as association,
    ):
        assert association.window == Window(4, 1)
        answers = await asyncio.gather(
            *(association.store(CT, f"1.2.{n}", [bytes(300_000)]) for n in range(20)),
            *(association.echo() for _ in range(20)),
        )

    assert all(answer.is_success for answer in answers)


async def test_pieces_that_fail_half_way_abort_the_association_and_are_raised() -> None:
    def pieces() -> Any:
        yield bytes(3 << 20)
        raise KeyError("the disk is gone")

    archive = LittleArchive()
    async with serving(archive) as server:
        with pytest.raises(KeyError):
            async with associate(
                Address("A", "127.0.0.1", server.port),
                calling_ae_title="T",
                proposals=[Proposal(abstract_syntax=CT)],
            ) as association:
                await association.store(CT, "1.2", pieces())
        await until(lambda: archive.aborted == 1)


async def test_a_server_that_never_answers_is_given_up() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    address = Address("A", *server.sockets[0].getsockname())
    with pytest.raises(TimedOut):
        async with associate(
            address,
            calling_ae_title="T",
            proposals=[Proposal(abstract_syntax=CT)],
            timeouts=SHORT,
        ):
            pass
    server.close()


async def test_a_response_that_never_comes_ends_the_association() -> None:
    async def dawdle(operation: Operation) -> Response:
        await asyncio.sleep(60)
        return Response(status.SUCCESS)

    offer = Offer(abstract_syntax=VERIFICATION, transfer_syntaxes=(EXPLICIT,))
    server = DimseServer([Service(offer=offer, perform=dawdle)])
    await server.start()
    with pytest.raises(TimedOut):
        async with associate(
            Address("A", "127.0.0.1", server.port),
            calling_ae_title="T",
            proposals=[Proposal(abstract_syntax=VERIFICATION)],
            timeouts=SHORT,
        ) as association:
            await association.echo()
    await server.close()


async def test_draining_lets_what_is_under_way_finish() -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow(operation: Operation) -> Response:
        begun.set()
        await may_end.wait()
        return Response(status.SUCCESS)

    offer = Offer(abstract_syntax=VERIFICATION, transfer_syntaxes=(EXPLICIT,))
    server = DimseServer([Service(offer=offer, perform=slow)], timeouts=SHORT)
    await server.start()
    async with wire(server) as busy, wire(server) as idle:
        busy.say(message(5, 0x30))
        await begun.wait()
        draining = asyncio.create_task(server.drain(5))
        assert isinstance(await idle.unit(), pdu.Abort)
        may_end.set()
        assert (await busy.command()).status == status.SUCCESS
        busy.say(pdu.ReleaseRequest().encode())
        assert await busy.unit() == pdu.ReleaseResponse()
        busy.writer.close()
        await draining


async def test_two_hundred_store_at_once() -> None:
    archive = LittleArchive()

    async def sender(number: int) -> None:
        async with associate(
            Address("A", "127.0.0.1", server.port),
            calling_ae_title=f"S{number}",
            proposals=[Proposal(abstract_syntax=CT)],
        ) as association:
            for turn in range(3):
                await association.store(CT, f"1.{number}.{turn}", [bytes(20_000)])

    limits = Limits(associations_per_address=0)
    timeouts = Timeouts(artim=20)
    async with serving(archive, limits=limits, timeouts=timeouts) as server:
        await asyncio.gather(*(sender(number) for number in range(200)))

    assert len(archive.stored) == 600


class Dropping(Hoarder):
    def write(self, fragment: Fragment) -> None:
        self.size += len(fragment)
        fragment.release()


async def test_memory_stays_flat_for_a_gigabyte() -> None:
    dropping = Dropping()
    server = DimseServer([hoarding(dropping)])
    await server.start()
    window = bytes(8 << 20)
    gc.collect()
    before = psutil.Process().memory_info().rss
    async with associate(
        Address("A", "127.0.0.1", server.port),
        calling_ae_title="T",
        proposals=[Proposal(abstract_syntax=CT, transfer_syntaxes=(EXPLICIT,))],
    ) as association:
        answer = await association.store(CT, "1.2", (window for _ in range(128)))
    after = psutil.Process().memory_info().rss
    await server.close()

    assert answer.is_success
    assert dropping.size == 1 << 30
    assert after - before < 50 << 20


async def test_an_aborted_association_says_so_to_whoever_waits() -> None:
    async with serving(LittleArchive()) as server:
        association = await connect(
            Address("A", "127.0.0.1", server.port),
            calling_ae_title="T",
            proposals=[Proposal(abstract_syntax=VERIFICATION)],
        )
        association.abort()

        with pytest.raises(Aborted):
            await association.echo()
        with pytest.raises(Aborted):
            await association.release()
