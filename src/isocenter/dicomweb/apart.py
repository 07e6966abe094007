"""A request to store that brings metadata and bulk data apart (PS3.18 8.6.1.2, 10.5.1.4).

Bulk data goes to scratch as it comes, for it may be of any size. When the body is complete the data
sets are put together, each is taken like a file, and each has a fate of its own.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar
from urllib.parse import urljoin

from isocenter.archive.assembly import OPAQUE, BulkData, Dataset, Piece, assemble, names_of
from isocenter.dicom.layout import Buffer
from isocenter.dicomweb import metadata_bodies
from isocenter.dicomweb.intake import Intake, fault_of_coding, too_many
from isocenter.dicomweb.metadata_bodies import MODELS
from isocenter.dicomweb.negotiation import DICOM_JSON, DICOM_XML
from isocenter.errors import IsocenterError, Malformed
from isocenter.storage.blobs import Scratch
from isocenter.web import bodies, multipart
from isocenter.web.media_types import MediaType

T = TypeVar("T")

LARGEST_METADATA: Final = 32 << 20
"""Bytes of all the metadata of a request: it is held in memory."""
STEP: Final = 1 << 20
"""Bytes that are written to scratch, or read from it, at a time."""
SMALL: Final = 1 << 14
"""Bytes below which pieces are joined."""


async def take_metadata(intake: Intake, body: AsyncIterator[bytes], media_type: MediaType) -> None:
    """Take a body that is metadata and nothing else. Raises: Malformed; as ``bodies.pieces``."""
    held = bytearray()
    async for piece in body:
        held += piece
        _check_size(len(held))
    datasets = await asyncio.to_thread(metadata_bodies.read, bytes(held), media_type.type)
    scratch = await _in_worker(intake, intake.archive.store.scratch)
    try:
        await _store(intake, datasets, BulkData(scratch, str))
    finally:
        scratch.close()


async def take_parts(
    intake: Intake, body: AsyncIterator[bytes], content_type: MediaType, most: int, base: str
) -> None:
    """Take a multipart body of metadata and bulk data, up to ``most`` parts.

    ``base`` is what relative URIs are relative to. Raises: Malformed, if it is no such body, and
    then nothing is stored; HTTPException 413; Unavailable; and as ``bodies.pieces``.
    """
    parser = multipart.Parser(multipart.boundary_of(content_type))
    scratch = await _in_worker(intake, intake.archive.store.scratch)
    try:
        parts = _Parts(intake, scratch, content_type, base)
        async for piece in body:
            for event in parser.feed(piece):
                await parts.take(event)
                if parts.count > most:
                    raise too_many(most)
        parser.finish()
        if not parts.datasets:
            raise Malformed("there is no metadata in the body")
        await _store(intake, parts.datasets, parts.bulk)
        for _ in parts.bulk.unused:
            intake.refuse(Malformed("bulk data came that no metadata refers to"))
    finally:
        scratch.close()


class _Parts:
    """What has come of the parts of one request."""

    def __init__(
        self, intake: Intake, scratch: Scratch, content_type: MediaType, base: str
    ) -> None:
        self.count = 0
        self.datasets: list[Dataset] = []
        self.bulk = BulkData(scratch, partial(_resolve, base))
        self._intake = intake
        self._scratch = scratch
        self._root_type = content_type.of_parts
        self._metadata_size = 0
        self._held: list[memoryview] = []
        self._held_size = 0
        self._written = 0  # bytes of this part that are in scratch
        self._media_type = MediaType("")
        self._location = ""
        self._is_metadata = False

    async def take(self, event: multipart.Event) -> None:
        """Raises: Malformed, Unsupported, Unavailable."""
        if isinstance(event, multipart.PartBegin):
            self._begin(event.headers)
        elif isinstance(event, multipart.PartEnd):
            await self._end()
        else:
            self._held.append(event.data)
            self._held_size += len(event.data)
            if self._is_metadata:
                _check_size(self._metadata_size + self._held_size)
            elif self._held_size >= STEP:
                await self._spool()

    def _begin(self, headers: Mapping[str, str]) -> None:
        self.count += 1
        if fault := fault_of_coding(headers):
            raise fault
        named = headers.get("content-type") or (self._root_type if self.count == 1 else OPAQUE)
        self._media_type = MediaType.parse(named)
        self._location = headers.get("content-location", "").strip()
        self._is_metadata = self._may_be_metadata()
        self._written = 0

    def _may_be_metadata(self) -> bool:
        kind = self._media_type.type
        if kind in (DICOM_JSON, DICOM_XML):
            return True
        # The plain names may also be those of bulk data: of a document in XML, say.
        return kind in MODELS and not (self._location and self.datasets)

    async def _end(self) -> None:
        if self._is_metadata:
            content = b"".join(self._held)
            self._metadata_size += len(content)
            self._let_go()
            read = metadata_bodies.read
            self.datasets += await asyncio.to_thread(read, content, self._media_type.type)
            return
        await self._spool()
        if not self._location:
            raise Malformed("bulk data has no Content-Location to say what it is")
        syntax = self._media_type.parameters.get("transfer-syntax", "")
        end = self._scratch.size
        piece = Piece(self._media_type.type, syntax, end - self._written, end)
        self.bulk.add(self._location, piece)

    async def _spool(self) -> None:
        if self._held:
            held = self._held
            await _in_worker(self._intake, self._scratch.write, held)
            self._written += self._held_size
            self._let_go()

    def _let_go(self) -> None:
        self._held, self._held_size = [], 0


async def _store(intake: Intake, datasets: Sequence[Dataset], bulk: BulkData) -> None:
    """Put the data sets together and take them in, one after the other."""
    for dataset in datasets:
        upload = intake.begin()
        pieces = assemble(dataset, bulk)
        try:
            while not upload.has_failed and (some := await _in_worker(intake, _some, pieces)):
                for piece in some:
                    upload.write(memoryview(piece))
                await intake.room()
        except IsocenterError as error:
            intake.refuse(error, names_of(dataset))
        else:
            await intake.end()


def _some(pieces: Iterator[Buffer]) -> list[Buffer]:
    """The next pieces, about ``STEP`` bytes of them; small ones are joined."""
    found: list[Buffer] = []
    small = bytearray()
    size = 0
    for piece in pieces:
        size += len(piece)
        if len(piece) < SMALL:
            small += piece
        else:
            found += [bytes(small), piece]
            small.clear()
        if size >= STEP:
            break
    return [each for each in (*found, bytes(small)) if len(each)]


async def _in_worker(intake: Intake, work: Callable[..., T], *arguments: object) -> T:
    workers = intake.archive.ingest.workers
    return await asyncio.get_running_loop().run_in_executor(workers, work, *arguments)


def _resolve(base: str, uri: str) -> str:
    """Make a URI absolute; what is no URI names itself."""
    try:
        return urljoin(base, uri)
    except ValueError:
        return uri


def _check_size(size: int) -> None:
    if size > LARGEST_METADATA:
        raise bodies.too_large(LARGEST_METADATA)
