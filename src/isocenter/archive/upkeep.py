"""Upkeep: are the blobs what the index says, and the index made anew from the blobs."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, TypeVar

from blake3 import blake3

from isocenter.archive.archive import Archive
from isocenter.archive.catalogue import Catalogue
from isocenter.archive.ingest import Announced
from isocenter.archive.retrieve import WINDOW
from isocenter.dicom import part10
from isocenter.dicom.implementation import IMPLEMENTATION_CLASS_UID
from isocenter.dicom.scanner import Scanner
from isocenter.errors import IsocenterError, NotFound
from isocenter.storage.attributes import WANTED
from isocenter.storage.blobs import Blob, BlobStore
from isocenter.storage.files import FileStore
from isocenter.storage.index import Index
from isocenter.storage.ordering import Ordering
from isocenter.storage.records import Incoming, InstanceRef, OnConflict, Outcome

T = TypeVar("T")

AT_ONCE: Final = 4
HEADER_SIZE: Final = 1 << 16
PRIVATE_CREATOR: Final = 0x00020100
PRIVATE: Final = 0x00020102


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
    """Read every instance and compare its digest; then look for blobs that nobody knows."""
    async for page in archive.index.all_instances():
        for start in range(0, len(page), AT_ONCE):
            batch = page[start : start + AT_ONCE]
            for checked in await asyncio.gather(*(_verify(archive, each) for each in batch)):
                yield checked
    keys = archive.store.all_keys()
    while (key := await asyncio.to_thread(next, keys, None)) is not None:
        instance = await asyncio.to_thread(_instance_of, archive.store, key)
        if not await archive.index.has_blob(instance, key):
            yield Checked(key, instance, 0, Fault.UNKNOWN)


async def _verify(archive: Archive, instance: InstanceRef) -> Checked:
    fault, reason = await asyncio.to_thread(_compare, archive.store, instance)
    return Checked(instance.blob_key, instance.sop_instance_uid, instance.size, fault, reason)


def _compare(store: BlobStore, instance: InstanceRef) -> tuple[Fault | None, str]:
    try:
        blob = store.open(instance.blob_key)
    except NotFound as error:
        return Fault.MISSING, str(error)
    except IsocenterError as error:
        return Fault.UNREADABLE, str(error)
    try:
        digest = blake3()
        for window in windows(blob, instance.dataset_offset):
            digest.update(window)
    except IsocenterError as error:
        return Fault.UNREADABLE, str(error)
    finally:
        blob.close()
    return (None, "") if digest.digest() == instance.digest else (Fault.DAMAGED, "")


def windows(blob: Blob, start: int) -> Iterator[memoryview]:
    """Yield a blob from ``start`` on."""
    for at in range(start, blob.size, WINDOW):
        yield blob.window(at, at + WINDOW)


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


def reindex(folder: Path, index_path: Path) -> Generator[Checked, None, None]:
    """Make a new index at ``index_path`` from the blobs below ``folder`` alone.

    They are entered in the order in which they were received, so that of two versions of an
    instance the later one is current again. Yields what was read; what cannot be is told and left
    out. Blocks. Raises: Unavailable.
    """
    store = FileStore(folder)
    index = Index.open(index_path)
    try:
        with Ordering(index_path.with_suffix(".order")) as order:
            order.add((_received_at(store, key), key) for key in store.all_keys())
            yield from _reenter(store, index, order.keys())
    finally:
        index.close()
        store.close()


def _reenter(store: BlobStore, index: Index, keys: Iterable[str]) -> Iterator[Checked]:
    catalogue = Catalogue()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="reindex") as workers:
        prepared = (workers.submit(_prepare, store, catalogue, key) for key in keys)
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


def _prepare(store: BlobStore, catalogue: Catalogue, key: str) -> Incoming | Checked:
    try:
        blob = store.open(key)
        try:
            return _incoming(blob, catalogue, key)
        finally:
            blob.close()
    except IsocenterError as error:
        return Checked(key, "", 0, Fault.UNREADABLE, str(error))


def _incoming(blob: Blob, catalogue: Catalogue, key: str) -> Incoming:
    header = part10.read(blob.window(0, HEADER_SIZE))
    scanner, digest = Scanner(header.syntax, WANTED), blake3()
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
    )


def _received_at(store: BlobStore, key: str) -> str:
    """When a blob was received, as it notes itself; empty sorts first."""
    try:
        blob = store.open(key)
        try:
            meta = part10.read(blob.window(0, HEADER_SIZE)).meta
        finally:
            blob.close()
    except IsocenterError:
        return ""
    creator, noted = meta.get(PRIVATE_CREATOR), meta.get(PRIVATE)
    if creator is None or noted is None:
        return ""
    if creator.value.decode("latin-1").strip("\0 ") != IMPLEMENTATION_CLASS_UID:
        return ""
    return noted.value.decode("latin-1").strip("\0 ")
