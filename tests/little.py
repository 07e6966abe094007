"""A little archive in memory, to be the other end of DIMSE tests, and programs to talk to it."""

import asyncio
import contextlib
import io
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from isocenter.address import Address
from isocenter.dimse import status
from isocenter.dimse.client import associate
from isocenter.dimse.command import Verb
from isocenter.dimse.negotiation import IMPLICIT_LITTLE_ENDIAN, Context, Offer, Proposal
from isocenter.dimse.operation import Operation, Service
from isocenter.dimse.server import DimseServer
from isocenter.dimse.settings import Timeouts
from isocenter.dimse.slabs import Fragment
from isocenter.dimse.status import Response

VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{last}" for last in (1, 2, 3))
PROCEDURE_STEP = "1.2.840.10008.3.1.2.3.3"
EXPLICIT = "1.2.840.10008.1.2.1"
UNCOMPRESSED = (EXPLICIT, IMPLICIT_LITTLE_ENDIAN)


class InMemory:
    """One reception of the little archive."""

    def __init__(self, archive: "LittleArchive", operation: Operation) -> None:
        self._archive = archive
        self._operation = operation
        self._data = bytearray()
        archive.open += 1

    def write(self, fragment: Fragment) -> None:
        self._data += fragment.view
        fragment.release()

    async def finish(self) -> Response:
        self._archive.open -= 1
        await asyncio.sleep(0)
        instance = self._operation.command.sop_instance
        syntax = self._operation.context.transfer_syntax
        self._archive.stored[instance] = (syntax, bytes(self._data))
        self._archive.originators.append(
            self._operation.command.text("MoveOriginatorApplicationEntityTitle")
        )
        return Response(status.SUCCESS)

    def abort(self) -> None:
        self._archive.open -= 1
        self._archive.aborted += 1


class LittleArchive:
    """Keeps what it gets; finds and gives back all of it, whatever is asked."""

    def __init__(self) -> None:
        self.stored: dict[str, tuple[str, bytes]] = {}
        self.destinations: dict[str, Address] = {}
        self.originators: list[str] = []
        self.operations: list[Operation] = []
        self.open = 0
        self.aborted = 0
        self.endless = False  # C-FIND answers until cancelled

    def services(self) -> list[Service]:
        def offer(syntax: str, **more: Any) -> Offer:
            return Offer(abstract_syntax=syntax, transfer_syntaxes=UNCOMPRESSED, **more)

        return [
            Service(offer=offer(VERIFICATION), perform=self.echo),
            Service(offer=offer(CT, as_user=True), receive=self.receive),
            Service(offer=offer(FIND, extended=lambda said: said[:2]), perform=self.find),
            Service(offer=offer(MOVE), perform=self.move),
            Service(offer=offer(GET), perform=self.get),
            Service(offer=offer(PROCEDURE_STEP), perform=self.normalized),
        ]

    def receive(self, operation: Operation) -> InMemory:
        self.operations.append(operation)
        return InMemory(self, operation)

    async def echo(self, operation: Operation) -> Response:
        self.operations.append(operation)
        return Response(status.SUCCESS)

    async def find(self, operation: Operation) -> Response:
        self.operations.append(operation)
        decode(operation.dataset, operation.context)
        for instance in self._instances():
            answer = Dataset()
            answer.QueryRetrieveLevel = "IMAGE"
            answer.SOPInstanceUID = instance
            if operation.is_cancelled:
                return Response(status.CANCEL)
            await operation.respond(status.PENDING, encode(answer, operation.context))
            await asyncio.sleep(0)
        return Response(status.SUCCESS)

    def _instances(self) -> list[str] | Any:
        while self.endless:
            yield "1.2.3"
        yield from self.stored

    async def move(self, operation: Operation) -> Response:
        self.operations.append(operation)
        destination = self.destinations.get(operation.command.text("MoveDestination"))
        if destination is None:
            return Response(0xA801)
        origin = (operation.association.peer.ae_title, operation.message_id)
        proposals = [Proposal(abstract_syntax=CT, transfer_syntaxes=(EXPLICIT,))]
        async with associate(
            destination, calling_ae_title="LITTLE", proposals=proposals
        ) as association:
            for number, (instance, (_, data)) in enumerate(self.stored.items(), 1):
                answer = await association.store(CT, instance, [data], move_originator=origin)
                assert answer.is_success
                await operation.respond(status.PENDING, **counts(self.stored, number))
        return Response(status.SUCCESS, None, counts(self.stored, len(self.stored)))

    async def get(self, operation: Operation) -> Response:
        self.operations.append(operation)
        association = operation.association
        for number, (instance, (syntax, data)) in enumerate(self.stored.items(), 1):
            if operation.is_cancelled:
                return Response(status.CANCEL, None, counts(self.stored, number - 1))
            context = association.context_for(CT, syntax)
            answer = await association.store(CT, instance, [data], context=context)
            assert answer.is_success
            await operation.respond(status.PENDING, **counts(self.stored, number))
        return Response(status.SUCCESS, None, counts(self.stored, len(self.stored)))

    async def normalized(self, operation: Operation) -> Response:
        self.operations.append(operation)
        if operation.command.verb is Verb.N_DELETE:
            return Response(status.SUCCESS)
        return Response(status.SUCCESS, operation.dataset or None)


def counts(stored: dict[str, Any], done: int) -> dict[str, int]:
    return {
        "NumberOfRemainingSuboperations": len(stored) - done,
        "NumberOfCompletedSuboperations": done,
        "NumberOfFailedSuboperations": 0,
        "NumberOfWarningSuboperations": 0,
    }


@contextlib.asynccontextmanager
async def serving(archive: LittleArchive, **options: Any) -> AsyncIterator[DimseServer]:
    options.setdefault("timeouts", Timeouts(artim=5, idle=5, dimse=5, network=5))
    server = DimseServer(archive.services(), **options)
    await server.start()
    try:
        yield server
    finally:
        await server.close()
        assert server.associations == 0
        assert not server._per_address
        assert archive.open == 0


def encode(dataset: Dataset, context: Context) -> bytes:
    buffer = pydicom.filebase.DicomBytesIO()
    buffer.is_little_endian = True
    buffer.is_implicit_VR = context.transfer_syntax == IMPLICIT_LITTLE_ENDIAN
    write_dataset(buffer, dataset)
    return bytes(buffer.getvalue())


def decode(data: bytes, context: Context) -> Dataset:
    implicit = context.transfer_syntax == IMPLICIT_LITTLE_ENDIAN
    return read_dataset(io.BytesIO(data), implicit, True)


def make_files(folder: Path, count: int) -> dict[str, bytes]:
    """CT instances, explicit little endian; returns their data sets by SOP Instance UID."""
    source = get_testdata_file("CT_small.dcm", read=True)
    del source[0xFFFCFFFC]  # DCMTK leaves the padding at the end out
    made = {}
    for number in range(1, count + 1):
        uid = f"1.2.826.0.1.{number}"
        source.SOPInstanceUID = source.file_meta.MediaStorageSOPInstanceUID = uid
        path = folder / f"{number:04}.dcm"
        source.save_as(path)
        made[uid] = dataset_of(path)
    return made


def dataset_of(path: Path) -> bytes:
    """The bytes behind the file meta information."""
    raw = path.read_bytes()
    return raw[144 + int.from_bytes(raw[140:144], "little") :]


async def dcmtk(tool: str, *arguments: str | Path, expect: int = 0, cwd: Path | None = None) -> str:
    """Run a DCMTK tool; return what it printed. Fails unless it exits with ``expect``."""
    process = await start_dcmtk(tool, *arguments, cwd=cwd)
    try:
        output, _ = await asyncio.wait_for(process.communicate(), timeout=30)
    except BaseException:
        process.kill()
        raise
    assert process.returncode == expect, output.decode("latin-1")
    return output.decode("latin-1")


async def start_dcmtk(
    tool: str, *arguments: str | Path, cwd: Path | None = None
) -> asyncio.subprocess.Process:
    # Not PATH: pynetdicom installs programs of the same names.
    path = shutil.which(tool, path=os.environ.get("DCMTK_BIN", "/usr/bin"))
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"DCMTK {tool} is not installed")
        pytest.skip(f"DCMTK {tool} is not installed")
    return await asyncio.create_subprocess_exec(
        path,
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=cwd,
        env={**os.environ, "TCP_NODELAY": "1"},
    )


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait for another program; fails after ``seconds``."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 another program sets no event of ours
            await asyncio.sleep(0.01)
