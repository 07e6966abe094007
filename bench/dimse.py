"""Receiving and sending C-STORE, side by side with DCMTK in one run: ``python -m bench.dimse``.

Receivers drop what they get on both sides, so that the network code alone is measured.
"""

import asyncio
import contextlib
import mmap
import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import uvloop
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRLittleEndian

from isocenter.address import Address
from isocenter.dimse.client import associate
from isocenter.dimse.negotiation import IMPLICIT_LITTLE_ENDIAN, Offer, Proposal
from isocenter.dimse.operation import Operation, Service
from isocenter.dimse.server import DimseServer
from isocenter.dimse.settings import Limits
from isocenter.dimse.slabs import Fragment
from isocenter.dimse.status import Response

DCMTK = os.environ.get("DCMTK_BIN", "/usr/bin")
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = str(ExplicitVRLittleEndian)


class Drop:
    """Takes a data set and forgets it."""

    def write(self, fragment: Fragment) -> None:
        fragment.release()

    async def finish(self) -> Response:
        return Response(0)

    def abort(self) -> None:
        pass


def receive(operation: Operation) -> Drop:
    return Drop()


SERVICES = (
    Service(
        offer=Offer(
            abstract_syntax=CT_IMAGE_STORAGE,
            transfer_syntaxes=(EXPLICIT, IMPLICIT_LITTLE_ENDIAN),
        ),
        receive=receive,
    ),
)


def make_instances(folder: Path, count: int) -> None:
    """CT instances of 512 x 512 x 16 bits."""
    source = get_testdata_file("CT_small.dcm", read=True)
    for number in range(count):
        source.Rows = source.Columns = 512
        source.PixelData = random.randbytes(512 * 1024)
        source.SOPInstanceUID = source.file_meta.MediaStorageSOPInstanceUID = f"2.25.{number + 1}"
        source.save_as(folder / f"{number:05}.dcm")


def instances(folder: Path) -> list[str]:
    return [str(path) for path in sorted(folder.iterdir())]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def start(tool: str, *arguments: str, nodelay: bool = True) -> asyncio.subprocess.Process:
    environment = {**os.environ, "TCP_NODELAY": "1"} if nodelay else dict(os.environ)
    return await asyncio.create_subprocess_exec(
        f"{DCMTK}/{tool}",
        *arguments,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment,
    )


@contextlib.asynccontextmanager
async def storescp(pdu_size: int, *, nodelay: bool = True) -> AsyncIterator[int]:
    port = free_port()
    process = await start("storescp", "--ignore", "-pdu", str(pdu_size), str(port), nodelay=nodelay)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            await asyncio.sleep(0.05)
        yield port
    finally:
        process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def ours() -> AsyncIterator[int]:
    server = DimseServer(SERVICES)
    await server.start()
    try:
        yield server.port
    finally:
        await server.close()


async def storescu(port: int, files: list[str], *options: str, nodelay: bool = True) -> float:
    begun = time.perf_counter()
    process = await start("storescu", *options, "127.0.0.1", str(port), *files, nodelay=nodelay)
    if await process.wait():
        raise SystemExit("storescu failed")
    return len(files) / (time.perf_counter() - begun)


async def send(port: int, files: list[str]) -> float:
    """As a user would: open, skip the meta information, send slices of the file."""
    begun = time.perf_counter()
    async with associate(
        Address("ANY", "127.0.0.1", port),
        calling_ae_title="BENCH",
        proposals=[
            Proposal(abstract_syntax=CT_IMAGE_STORAGE, transfer_syntaxes=(EXPLICIT,)),
        ],
        limits=Limits(),
    ) as association:
        for name in files:
            with open(name, "rb") as file:  # noqa: ASYNC230 as a blob store would have it mapped
                data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            length = int.from_bytes(data[140:144], "little")
            start_of_dataset = 144 + length
            await association.store(CT_IMAGE_STORAGE, "2.25.1", [data[start_of_dataset:]])
    return len(files) / (time.perf_counter() - begun)


async def best(times: int, run: Callable[[], Awaitable[float]]) -> float:
    return max([await run() for _ in range(times)])


async def receiving(files: list[str]) -> None:
    async with ours() as port, storescp(131072) as theirs:
        mine = await best(3, lambda: storescu(port, files))
        other = await best(3, lambda: storescu(theirs, files))
    report("receive, storescu with NODELAY", mine, other)
    few = files[:50]
    async with ours() as port, storescp(131072, nodelay=False) as theirs:
        mine = await storescu(port, files, nodelay=False)
        other = await storescu(theirs, few, nodelay=False)
    report("receive, storescu with its defaults", mine, other)
    async with ours() as port:
        begun = time.perf_counter()
        await asyncio.gather(*(storescu(port, files[at::4]) for at in range(4)))
        print(f"{'receive, 4 senders':42} {len(files) / (time.perf_counter() - begun):7.0f}/s")


async def sending(files: list[str]) -> None:
    for size in (16384, 131072):
        async with storescp(size) as port:
            mine = await best(3, lambda port=port: send(port, files))
            other = await best(3, lambda port=port: storescu(port, files))
        report(f"send, receiver takes {size}", mine, other)


def report(what: str, mine: float, other: float) -> None:
    print(f"{what:42} {mine:7.0f}/s  DCMTK {other:7.0f}/s  ratio {mine / other:.2f}")


async def main(files: list[str]) -> None:
    await sending(files)
    await receiving(files)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        uvloop.run(main(instances(Path(sys.argv[1]))))
    else:
        with tempfile.TemporaryDirectory() as made:
            make_instances(Path(made), 1000)
            uvloop.run(main(instances(Path(made))))
