"""DCMTK as the peer, in every role it can play."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from isocenter.address import Address
from isocenter.dimse import status
from isocenter.dimse.client import associate
from isocenter.dimse.failures import NoConnection, Rejected
from isocenter.dimse.negotiation import IMPLICIT_LITTLE_ENDIAN, Proposal
from isocenter.dimse.pdu import CALLED_AE_TITLE_NOT_RECOGNIZED
from isocenter.dimse.settings import Limits
from little import (
    CT,
    EXPLICIT,
    FIND,
    GET,
    MOVE,
    VERIFICATION,
    LittleArchive,
    dataset_of,
    dcmtk,
    encode,
    make_files,
    serving,
    start_dcmtk,
)
from peers import free_port


@contextlib.asynccontextmanager
async def storescp(folder: Path, *options: str) -> AsyncIterator[Address]:
    port = free_port()
    process = await start_dcmtk("storescp", "-od", folder, *options, str(port))
    try:
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.02)
        yield Address("STORESCP", "127.0.0.1", port)
    finally:
        process.kill()
        await process.communicate()


async def test_dcmtk_can_echo_us() -> None:
    async with serving(LittleArchive()) as server:
        output = await dcmtk("echoscu", "-v", "127.0.0.1", str(server.port))

    assert "Received Echo Response (Success)" in output


async def test_dcmtk_can_propose_128_contexts() -> None:
    async with serving(LittleArchive()) as server:
        output = await dcmtk("echoscu", "-v", "-ppc", "128", "127.0.0.1", str(server.port))

    assert "Received Echo Response (Success)" in output


async def test_dcmtk_hears_why_it_is_rejected() -> None:
    async with serving(LittleArchive(), ae_titles=["ME"]) as server:
        output = await dcmtk("echoscu", "-aec", "YOU", "127.0.0.1", str(server.port), expect=1)

    assert "Called AE Title Not Recognized" in output


async def test_dcmtk_hears_that_there_are_too_many() -> None:
    async with serving(LittleArchive(), limits=Limits(associations_per_address=1)) as server:
        me = Address("ANY", "127.0.0.1", server.port)
        async with associate(
            me, calling_ae_title="T", proposals=[Proposal(abstract_syntax=VERIFICATION)]
        ):
            output = await dcmtk("echoscu", "127.0.0.1", str(server.port), expect=1)

        assert "Local Limit Exceeded" in output
        await dcmtk("echoscu", "127.0.0.1", str(server.port))


@pytest.mark.parametrize("pdu_size", ["4096", "16384", "131072"])
async def test_what_dcmtk_stores_arrives_bit_by_bit(tmp_path: Path, pdu_size: str) -> None:
    made = make_files(tmp_path, 5)
    archive = LittleArchive()
    async with serving(archive) as server:
        await dcmtk(
            "storescu", "-xe", "+sd", "--max-send-pdu", pdu_size, "127.0.0.1", str(server.port),
            tmp_path,
        )  # fmt: skip

    assert {uid: data for uid, (_, data) in archive.stored.items()} == made


async def test_dcmtk_finds(tmp_path: Path) -> None:
    archive = LittleArchive()
    archive.stored = dict.fromkeys(("1.2.1", "1.2.2", "1.2.3"), (EXPLICIT, b""))
    async with serving(archive) as server:
        output = await dcmtk(
            "findscu", "-S", "-k", "QueryRetrieveLevel=IMAGE", "-k", "SOPInstanceUID",
            "127.0.0.1", str(server.port),
        )  # fmt: skip

    assert all(uid in output for uid in archive.stored)


async def test_dcmtk_can_cancel_a_find_that_goes_on_for_ever() -> None:
    archive = LittleArchive()
    archive.endless = True
    async with serving(archive) as server:
        output = await dcmtk(
            "findscu", "-v", "-S", "--cancel", "3", "-k", "QueryRetrieveLevel=IMAGE",
            "127.0.0.1", str(server.port),
        )  # fmt: skip

    assert "Cancel" in output
    assert archive.operations[-1].is_cancelled


async def test_dcmtk_gets_what_it_stored(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    made = make_files(tmp_path / "in", 3)
    archive = LittleArchive()
    archive.stored = {uid: (EXPLICIT, data) for uid, data in made.items()}
    async with serving(archive) as server:
        await dcmtk(
            "getscu", "-S", "+B", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2",
            "-od", tmp_path / "out", "127.0.0.1", str(server.port),
        )  # fmt: skip

    got = sorted(dataset_of(path) for path in (tmp_path / "out").iterdir())
    assert got == sorted(made.values())


async def test_dcmtk_has_us_move_to_itself(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    made = make_files(tmp_path / "in", 3)
    archive = LittleArchive()
    archive.stored = {uid: (EXPLICIT, data) for uid, data in made.items()}
    port = free_port()
    archive.destinations["MOVESCU"] = Address("MOVESCU", "127.0.0.1", port)
    async with serving(archive) as server:
        await dcmtk(
            "movescu", "-S", "+B", "+P", str(port),
            "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2",
            "127.0.0.1", str(server.port), cwd=tmp_path / "out",
        )  # fmt: skip

    got = sorted(dataset_of(path) for path in (tmp_path / "out").iterdir())
    assert got == sorted(made.values())


@pytest.mark.parametrize("pdu_size", ["4096", "16384", "131072"])
async def test_dcmtk_gets_our_data_set_bit_by_bit(tmp_path: Path, pdu_size: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    ((uid, data),) = make_files(tmp_path / "in", 1).items()
    async with storescp(tmp_path / "out", "+B", "-pdu", pdu_size) as address:
        proposals = [Proposal(abstract_syntax=CT, transfer_syntaxes=(EXPLICIT,))]
        async with associate(address, calling_ae_title="T", proposals=proposals) as association:
            view = memoryview(data)
            pieces = [view[:7], view[7:7], view[7:20000], view[20000:]]
            answer = await association.store(CT, uid, pieces)

    assert answer.is_success
    (path,) = (tmp_path / "out").iterdir()
    assert dataset_of(path) == data


async def test_storescp_can_refuse_and_abort_and_we_say_so(tmp_path: Path) -> None:
    async with storescp(tmp_path, "--refuse") as address:
        with pytest.raises(Rejected):
            async with associate(
                address, calling_ae_title="T", proposals=[Proposal(abstract_syntax=CT)]
            ):
                pass


async def test_our_client_finds_moves_and_gets_against_our_server(tmp_path: Path) -> None:
    made = make_files(tmp_path, 4)
    archive, other, mine = LittleArchive(), LittleArchive(), LittleArchive()
    archive.stored = {uid: (EXPLICIT, data) for uid, data in made.items()}
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    async with serving(archive) as server, serving(other) as destination:
        archive.destinations["OTHER"] = Address("OTHER", "127.0.0.1", destination.port)
        proposals = [
            Proposal(abstract_syntax=FIND, extended=b"\1\1\1"),
            Proposal(abstract_syntax=MOVE),
            Proposal(abstract_syntax=GET),
            Proposal(abstract_syntax=CT, as_provider=True),
        ]
        async with associate(
            Address("ANY", "127.0.0.1", server.port),
            calling_ae_title="ME",
            proposals=proposals,
            receive=mine.receive,
        ) as association:
            context = association.context_for(FIND, IMPLICIT_LITTLE_ENDIAN, EXPLICIT)
            identifier = encode(query, context)
            found = [one async for one in association.find(FIND, identifier)]
            moved = [one async for one in association.move(MOVE, identifier, "OTHER")]
            nowhere = [one async for one in association.move(MOVE, identifier, "NOWHERE")]
            got = [one async for one in association.get(GET, identifier)]

            assert association.extended == {FIND: b"\1\1"}

    assert [one.status for one in found] == [status.PENDING] * 4 + [status.SUCCESS]
    assert moved[-1].elements["NumberOfCompletedSuboperations"] == 4
    assert other.stored == archive.stored
    assert other.originators == ["ME"] * 4
    assert [one.status for one in nowhere] == [0xA801]
    assert got[-1].is_success
    assert mine.stored == archive.stored


async def test_nobody_listening_and_a_wrong_title_are_told_apart() -> None:
    with pytest.raises(NoConnection):
        async with associate(
            Address("A", "127.0.0.1", free_port()),
            calling_ae_title="T",
            proposals=[Proposal(abstract_syntax=VERIFICATION)],
        ):
            pass
    async with serving(LittleArchive(), ae_titles=["ME"]) as server:
        with pytest.raises(Rejected) as caught:
            async with associate(
                Address("YOU", "127.0.0.1", server.port),
                calling_ae_title="T",
                proposals=[Proposal(abstract_syntax=VERIFICATION)],
            ):
                pass
    assert caught.value.rejection == CALLED_AE_TITLE_NOT_RECOGNIZED
    assert caught.value.is_permanent
