"""Keeping an instance compressed, instead of as it came.

The compressed copy is written beside the original and read back: turned into Explicit VR Little
Endian, both must be the same bytes, pixels and all else. Only then the index is moved over, in one
transaction, which also lists the original for deletion. Cut short before, the copy is nobody's and
the next start removes it; after, the original is.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import Final, TypeVar

from blake3 import blake3

from isocenter.archive import candidates, frames
from isocenter.archive.candidates import Examined
from isocenter.archive.catalogue import Catalogue
from isocenter.archive.ingest import Announced, drop
from isocenter.archive.provenance import Provenance
from isocenter.archive.retrieve import Buffer, Opened
from isocenter.dicom import part10
from isocenter.dicom.layout import Limits
from isocenter.dicom.scanner import Scanner
from isocenter.dicom.syntax import EXPLICIT_LE, TransferSyntax
from isocenter.errors import IsocenterError, Malformed, Unavailable, Unsupported
from isocenter.imaging.workers import Workers
from isocenter.storage.attributes import WANTED
from isocenter.storage.blobs import BlobStore, new_key
from isocenter.storage.copies import CopyStore
from isocenter.storage.index import Index
from isocenter.storage.records import Incoming, InstanceRef

log = logging.getLogger(__name__)

T = TypeVar("T")

RECEIVING_AE: Final = 0x00020018
GRACE: Final = 3600.0
"""Seconds for which an original stays: a retrieval may be about to open it."""
MOST_MEMORY: Final = 128 << 20
"""Bytes of instances that are compressed at once, unless one is larger."""


class Fate(Enum):
    """What became of an instance that was to be compressed."""

    COMPRESSED = "compressed"
    NO_SMALLER = "left: it would be no smaller"
    UNFIT = "left: such instances are not compressed"
    SUPERSEDED = "left: it was replaced or removed meanwhile"
    FAILED = "not compressed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One instance and its fate."""

    instance: InstanceRef
    fate: Fate
    made: int = 0
    """Bytes it is kept in now."""
    reason: str = ""


class Compression:
    """Compresses instances. Belongs to one event loop."""

    def __init__(
        self,
        store: BlobStore,
        index: Index,
        copies: CopyStore,
        *,
        files: Executor,
        codecs: Workers,
        limits: Limits,
        grace: float = GRACE,
        is_trial: bool = False,
    ) -> None:
        """``is_trial``: find out what it would give, and change nothing."""
        self._store = store
        self._index = index
        self._copies = copies
        self._files = files
        self._codecs = codecs
        self._limits = limits
        self._grace = grace
        self._is_trial = is_trial
        self._catalogue = Catalogue()

    @property
    def at_once(self) -> int:
        """Instances that are worth working on at a time."""
        return 2 * self._codecs.count

    async def compress(self, instance: InstanceRef, target: TransferSyntax) -> Outcome:
        """Have an instance kept in ``target``, if that can be proved to lose nothing.

        Whatever goes wrong, it is kept as it was. Raises: Unavailable, where it may go well later.
        """
        try:
            examined = await self._in_files(
                partial(candidates.examine, self._store, instance), lambda _: None
            )
            if self._is_trial:
                return await self._tried(instance, target)
            return await self._compressed(instance, examined, target)
        except Unsupported as error:
            return Outcome(instance, Fate.UNFIT, reason=str(error))
        except Unavailable:
            raise
        except IsocenterError as error:
            if not await self._index.has_blob(instance.sop_instance_uid, instance.blob_key):
                return Outcome(instance, Fate.SUPERSEDED)
            return Outcome(instance, Fate.FAILED, reason=str(error))

    async def _tried(self, instance: InstanceRef, target: TransferSyntax) -> Outcome:
        opened = await self._opened(instance)
        try:
            work = opened.transcoding(target)
            try:
                await work.begin()
                made = instance.size - work.native_size + work.size
            finally:
                work.close()
        finally:
            opened.close()
        fate = Fate.COMPRESSED if made < instance.size else Fate.NO_SMALLER
        return Outcome(instance, fate, made)

    async def _compressed(
        self, instance: InstanceRef, examined: Examined, target: TransferSyntax
    ) -> Outcome:
        incoming, copy = await self._written(instance, examined, target)
        if incoming is None:
            return Outcome(instance, Fate.NO_SMALLER)
        key = incoming.blob_key
        try:
            await self._prove(instance, incoming)
        except BaseException:
            await self._in_files(partial(drop, self._store, key))
            raise
        # From here on a crash, or a cancellation, is cleared up after by the next start.
        is_done = await self._index.recode(incoming, instance.blob_key, self._grace)
        if not is_done:
            await self._in_files(partial(drop, self._store, key))
            return Outcome(instance, Fate.SUPERSEDED)
        await self._in_files(partial(self._settle, key, copy, target))
        return Outcome(instance, Fate.COMPRESSED, incoming.size)

    async def _written(
        self, instance: InstanceRef, examined: Examined, target: TransferSyntax
    ) -> tuple[Incoming | None, "_Copy"]:
        """Write the compressed copy; None, if it gets no smaller than the original."""
        opened = await self._opened(instance)
        try:
            work = opened.transcoding(target)
            try:
                await work.begin()
            except BaseException:
                work.close()
                raise
            opening = partial(_Copy, self._store, instance, examined, target, self._limits)
            copy = await self._in_files(opening, _Copy.discard)
            try:
                async with aclosing(work.pieces()) as pieces:
                    async for piece in pieces:
                        await self._in_files(partial(copy.write, piece))
                        if copy.size >= instance.size:
                            copy.discard()
                            return None, copy
                publishing = partial(copy.publish, self._catalogue)
                return await self._in_files(publishing, self._withdraw), copy
            except BaseException:
                copy.discard()
                raise
        finally:
            opened.close()

    async def _prove(self, instance: InstanceRef, incoming: Incoming) -> None:
        """Compare the original with what was written. Raises: Malformed, if they differ."""
        made = replace(
            instance,
            transfer_syntax=incoming.transfer_syntax,
            blob_key=incoming.blob_key,
            size=incoming.size,
            digest=incoming.digest,
            dataset_offset=incoming.dataset_offset,
        )
        before, after = await asyncio.gather(self._decoded(instance), self._decoded(made))
        if before != after:
            raise Malformed("what was compressed does not come back as it was")

    async def _decoded(self, instance: InstanceRef) -> bytes:
        """The digest of an instance in Explicit VR Little Endian."""
        opened = await self._opened(instance)
        digest = blake3()
        try:
            async with aclosing(_uncompressed(opened)) as pieces:
                async for piece in pieces:
                    await self._in_files(partial(digest.update, piece))
        finally:
            opened.close()
        return digest.digest()

    async def _opened(self, instance: InstanceRef) -> Opened:
        kept = replace(instance, overlay=None)  # what came is compressed, not what was corrected
        opening = partial(Opened, self._store, self._files, kept, self._codecs)
        return await self._in_files(opening, Opened.close)

    async def _in_files(
        self, work: Callable[[], T], undo: Callable[[T], object] = lambda _: None
    ) -> T:
        """Have a worker do ``work``; who is cancelled meanwhile waits for its end."""
        doing = asyncio.get_running_loop().run_in_executor(self._files, work)
        try:
            return await asyncio.shield(doing)
        except asyncio.CancelledError:
            await asyncio.wait([doing])
            if not doing.cancelled() and doing.exception() is None:
                undo(doing.result())
            raise

    def _settle(self, key: str, copy: "_Copy", target: TransferSyntax) -> None:
        self._store.settle([key])
        frames.note(self._copies, key, copy.scanner, target)

    def _withdraw(self, incoming: Incoming) -> None:
        drop(self._store, incoming.blob_key)


async def _uncompressed(opened: Opened) -> AsyncGenerator[Buffer]:
    async with aclosing(opened.transcoding(EXPLICIT_LE).pieces()) as pieces:
        async for piece in pieces:
            yield piece


class _Copy:
    """A compressed copy on its way to the disk. Its methods block."""

    def __init__(
        self,
        store: BlobStore,
        instance: InstanceRef,
        examined: Examined,
        target: TransferSyntax,
        limits: Limits,
    ) -> None:
        self.scanner = Scanner(target, WANTED, limits=limits)
        self._store = store
        self._instance = instance
        self._target = target
        self._digest = blake3()
        known = examined.provenance
        self._received = known.digest or instance.digest
        header = part10.header(
            instance.sop_class_uid,
            instance.sop_instance_uid,
            target.uid,
            source_ae=examined.header.text(candidates.SOURCE_AE),
            receiving_ae=examined.header.text(RECEIVING_AE),
            private=Provenance(known.received_at, self._received).private(),
        )
        self.size = self._offset = len(header)
        self._draft = store.begin()
        self._draft.write([header])

    def write(self, piece: Buffer) -> None:
        self._draft.write([piece])
        self._draft.hasten()
        self._digest.update(piece)
        self.scanner.feed(memoryview(piece))
        self.size += len(piece)

    def publish(self, catalogue: Catalogue) -> Incoming:
        self.scanner.finish()
        drawn = catalogue.draw(self.scanner, Announced(self._target.uid))
        digest = self._digest.digest()
        identity = drawn.identity
        key = new_key(identity.study, identity.series, identity.instance, digest)
        self._draft.publish(key, identity.instance)
        self._store.sync([key])
        return Incoming(
            attributes=drawn.attributes,
            upper=drawn.upper,
            transfer_syntax=self._target.uid,
            blob_key=key,
            size=self.size,
            digest=digest,
            dataset_offset=self._offset,
            received_digest=self._received,
        )

    def discard(self) -> None:
        self._draft.discard()


Plan = tuple[InstanceRef, TransferSyntax]


async def compress_each(
    plans: AsyncIterator[Plan],
    compress: Callable[[InstanceRef, TransferSyntax], Awaitable[Outcome]],
    at_once: int,
) -> AsyncGenerator[Outcome]:
    """Compress what is planned, some at a time, and give the outcomes as they come.

    Raises: what ``compress`` raises; then no more is begun.
    """
    working: dict[asyncio.Future[Outcome], int] = {}
    try:
        async for instance, target in plans:
            while working and (
                len(working) >= at_once or sum(working.values()) + instance.size > MOST_MEMORY
            ):
                for outcome in await _some(working):
                    yield outcome
            working[asyncio.ensure_future(compress(instance, target))] = instance.size
        while working:
            for outcome in await _some(working):
                yield outcome
    finally:
        for left in working:
            left.cancel()
        await asyncio.gather(*working, return_exceptions=True)


async def _some(working: "dict[asyncio.Future[Outcome], int]") -> list[Outcome]:
    done, _ = await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
    for each in done:
        del working[each]
    return [each.result() for each in done]
