"""Upkeep: are the blobs what the index says, and the index made anew from the blobs."""

import asyncio
import itertools
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, TypeVar

import orjson
from blake3 import blake3

from isocenter.archive.archive import INDEX_NAME, Archive
from isocenter.archive.catalogue import Catalogue
from isocenter.archive.ingest import Announced
from isocenter.archive.provenance import Provenance
from isocenter.archive.retrieve import digest_of, windows
from isocenter.dicom import part10
from isocenter.dicom.layout import DEFAULT_LIMITS, Limits
from isocenter.dicom.scanner import Scanner
from isocenter.errors import IsocenterError, Malformed, NotFound, Unavailable
from isocenter.storage.attributes import WANTED
from isocenter.storage.blobs import Blob, BlobStore
from isocenter.storage.carrying import carry_over, removed_before
from isocenter.storage.files import FileStore
from isocenter.storage.index import Index
from isocenter.storage.ordering import Ordering
from isocenter.storage.records import Incoming, InstanceRef, OnConflict, Outcome

T = TypeVar("T")

VERIFIED: Final = "verified"
"""Under this the index keeps what the last verification found (``note_verified``)."""
AT_ONCE: Final = 4
HEADER_SIZE: Final = 1 << 16
SUFFIXES: Final = ("", "-wal", "-shm")
"""Of an index's files: SQLite's own."""


class Fault(Enum):
    """What is wrong with an instance or a blob."""

    MISSING = "the blob is missing"
    UNREADABLE = "the blob cannot be read"
    DAMAGED = "the blob is not what was stored"
    UNKNOWN = "the index does not know this blob"
    DUPLICATE = "the blob is a second copy of an instance"


@dataclass(frozen=True, slots=True)
class Checked:
    """One blob that was looked at; ``fault`` is None where all is well."""

    key: str
    sop_instance: str
    size: int
    fault: Fault | None = None
    reason: str = ""


async def verify(archive: Archive) -> AsyncIterator[Checked]:
    """Read every instance, replaced ones too, and compare its digest.

    Then look for blobs that nobody knows.
    """
    for pages in (archive.index.all_instances(), archive.index.replaced_versions()):
        async for page in pages:
            for start in range(0, len(page), AT_ONCE):
                batch = page[start : start + AT_ONCE]
                for checked in await asyncio.gather(*(_verify(archive, each) for each in batch)):
                    if checked is not None:
                        yield checked
    keys = archive.store.all_keys()
    while (key := await asyncio.to_thread(next, keys, None)) is not None:
        unknown = await _unknown(archive, key)
        if unknown is not None:
            yield unknown


async def note_verified(archive: Archive, *, sound: int, faulty: int) -> None:
    """Keep what a verification of everything found, for whoever looks after the archive."""
    found = {"at": time.time_ns() // 1000, "sound": sound, "faulty": faulty}
    await archive.index.remember(VERIFIED, orjson.dumps(found).decode())


async def _verify(archive: Archive, instance: InstanceRef) -> Checked | None:
    """None where the instance was removed meanwhile."""
    fault, reason = await asyncio.to_thread(_compare, archive.store, instance)
    uid, key = instance.sop_instance_uid, instance.blob_key
    if fault is Fault.MISSING and not await archive.index.has_blob(uid, key):
        return None
    return Checked(key, uid, instance.size, fault, reason)


async def _unknown(archive: Archive, key: str) -> Checked | None:
    """The fault of a blob that the index does not know, and not because it is on its way."""
    store = archive.store
    instance = await asyncio.to_thread(_instance_of, store, key)
    if await archive.index.has_blob(instance, key) or await archive.index.is_to_go(key):
        return None
    if key in await asyncio.to_thread(store.unsettled):  # a server is busy with it
        return None
    if await archive.index.has_blob(instance, key) or not await asyncio.to_thread(_is, store, key):
        return None
    return Checked(key, instance, 0, Fault.UNKNOWN)


def _is(store: BlobStore, key: str) -> bool:
    try:
        store.open(key).close()
    except NotFound:
        return False
    except IsocenterError:
        pass
    return True


def _compare(store: BlobStore, instance: InstanceRef) -> tuple[Fault | None, str]:
    try:
        blob = store.open(instance.blob_key)
    except NotFound as error:
        return Fault.MISSING, str(error)
    except IsocenterError as error:
        return Fault.UNREADABLE, str(error)
    try:
        digest = digest_of(blob, instance.dataset_offset)
        header = part10.read(blob.window(0, HEADER_SIZE))
    except Malformed as error:
        return Fault.DAMAGED, str(error)
    except IsocenterError as error:
        return Fault.UNREADABLE, str(error)
    finally:
        blob.close()
    said = (digest, header.dataset_offset, header.syntax.uid)
    kept = (instance.digest, instance.dataset_offset, instance.transfer_syntax)
    return (None, "") if said == kept else (Fault.DAMAGED, "")


def _instance_of(store: BlobStore, key: str) -> str:
    """The SOP Instance UID a blob says it holds; empty if it says nothing."""
    try:
        blob = store.open(key)
        try:
            return part10.read(blob.window(0, HEADER_SIZE)).sop_instance
        finally:
            blob.close()
    except IsocenterError:
        return ""


def reindex(
    folder: Path, index_path: Path, limits: Limits = DEFAULT_LIMITS
) -> Generator[Checked, None, None]:
    """Make a new index at ``index_path`` from the blobs below ``folder`` alone.

    They are entered in the order in which they were received, so that of two versions of an
    instance the later one is current again. Yields what was read; what cannot be is told and left
    out. Blocks. Raises: Unavailable; NotFound, where ``folder`` is no archive.
    """
    if not (folder / "blobs").is_dir():
        raise NotFound(f"there is no archive in {folder}")
    _remove_index(index_path)
    store = FileStore(folder)
    index = Index.open(index_path)
    try:
        former = folder / INDEX_NAME
        with (
            removed_before(former) as is_removed,
            Ordering(index_path.with_suffix(".order")) as order,
        ):
            kept = (key for key in store.all_keys() if not is_removed(key))
            order.add((_received_at(store, key), key) for key in kept)
            yield from _reenter(_Reader(store, limits), index, order.keys())
    finally:
        index.close()
        store.close()


def put_in_place(made: Path, index_path: Path) -> bool:
    """Make ``made``, an index that nobody has open, the one at ``index_path``; return whether the
    worklist and the corrections, which no blob tells, could be taken over into it.

    The former one stays beside it, named ``….before``. Cut short between, there is none, which the
    next start tells; never one with the write-ahead log of the other. Raises: Unavailable.
    """
    before = index_path.with_name(f"{index_path.name}.before")
    is_whole = carry_over(index_path, made)
    _lay_over(made)
    try:
        with closing(sqlite3.connect(made)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        _remove_index(before)
        for suffix in SUFFIXES:
            with suppress(FileNotFoundError):
                os.replace(f"{index_path}{suffix}", f"{before}{suffix}")
        os.replace(made, index_path)
        _remove_index(made)
    except (OSError, sqlite3.Error) as error:
        raise Unavailable(f"the new index cannot be put in place: {error}") from error
    return is_whole


def _lay_over(made: Path) -> None:
    """Have what was corrected corrected in an index that was made of what came."""
    index = Index.open(made)
    try:
        index.corrections.replay()
    finally:
        index.close()


def _remove_index(path: Path) -> None:
    """Remove an index with what SQLite keeps beside it."""
    for suffix in SUFFIXES:
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _reenter(reader: "_Reader", index: Index, keys: Iterable[str]) -> Iterator[Checked]:
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="reindex") as workers:
        prepared = (workers.submit(reader.prepare, key) for key in keys)
        for future in _ahead(prepared, 4 * AT_ONCE):
            yield _enter(index, future.result())


def _ahead(futures: Iterator["Future[T]"], count: int) -> Iterator["Future[T]"]:
    """Yield futures in their order, with ``count`` of them begun."""
    begun = list(itertools.islice(futures, count))
    while begun:
        yield begun.pop(0)
        begun.extend(itertools.islice(futures, 1))


def _enter(index: Index, prepared: Incoming | Checked) -> Checked:
    if isinstance(prepared, Checked):
        return prepared
    instance = str(prepared.attributes["00080018"]["Value"][0])
    try:
        stored = index.submit(prepared, OnConflict.REPLACE).result()
    except IsocenterError as error:
        return Checked(prepared.blob_key, instance, 0, Fault.UNREADABLE, str(error))
    fault = Fault.DUPLICATE if stored.outcome is Outcome.DUPLICATE else None
    return Checked(prepared.blob_key, instance, prepared.size, fault)


class _Reader:
    """Reads what the index is told out of blobs."""

    def __init__(self, store: BlobStore, limits: Limits) -> None:
        self._store = store
        self._limits = limits
        self._catalogue = Catalogue()

    def prepare(self, key: str) -> Incoming | Checked:
        """What to enter for a blob, or what is wrong with it."""
        try:
            blob = self._store.open(key)
            try:
                return _incoming(blob, self._catalogue, key, self._limits)
            finally:
                blob.close()
        except IsocenterError as error:
            return Checked(key, "", 0, Fault.UNREADABLE, str(error))


def _incoming(blob: Blob, catalogue: Catalogue, key: str, limits: Limits) -> Incoming:
    header = part10.read(blob.window(0, HEADER_SIZE))
    scanner, digest = Scanner(header.syntax, WANTED, limits=limits), blake3()
    for window in windows(blob, header.dataset_offset):
        digest.update(window)
        scanner.feed(window)
    scanner.finish()
    drawn = catalogue.draw(scanner, Announced(header.syntax.uid))
    return Incoming(
        attributes=drawn.attributes,
        upper=drawn.upper,
        transfer_syntax=header.syntax.uid,
        blob_key=key,
        size=blob.size,
        digest=digest.digest(),
        dataset_offset=header.dataset_offset,
        received_digest=Provenance.read(header.meta).digest,
    )


def _received_at(store: BlobStore, key: str) -> str:
    """When a blob was received, as it notes itself; empty sorts first."""
    try:
        blob = store.open(key)
        try:
            return Provenance.read(part10.read(blob.window(0, HEADER_SIZE)).meta).received_at
        finally:
            blob.close()
    except IsocenterError:
        return ""
