"""Instances that arrive by C-STORE, written to files: ``<study>/<series>/<instance>.dcm``."""

import asyncio
import hashlib
import itertools
import os
import re
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from isocenter.dicom import part10
from isocenter.dicom.identity import LONGEST_UID, SERIES, SOP_INSTANCE, STUDY
from isocenter.dicom.scanner import Scanner
from isocenter.dicom.syntax import lookup
from isocenter.dimse.operation import Operation
from isocenter.dimse.slabs import Fragment
from isocenter.dimse.status import SUCCESS, Response
from isocenter.errors import IsocenterError, Mismatch, Unavailable

WANTED: Final = frozenset({STUDY, SERIES, SOP_INSTANCE})
UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*")
WRITE_STEP: Final = 1 << 20
"""Bytes that are handed to a worker at once."""

Received = Callable[[str, Exception | None], None]
"""Told of every instance that came, by its SOP Instance UID, and of what went wrong."""


class Folder:
    """Takes instances; an existing file of the same instance is replaced as a whole."""

    def __init__(self, root: Path, workers: Executor, received: Received) -> None:
        """Raises: Unavailable, if the folder cannot be made."""
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"{root}: {error.strerror}") from error
        self.root = root
        self.workers = workers
        self.received = received
        self._numbers = itertools.count()

    def receive(self, operation: Operation) -> "FileReceiver":
        """Begin to take the data set of one request."""
        draft = self.root / f".{os.getpid()}-{next(self._numbers)}.part"
        return FileReceiver(self, draft, operation)


class FileReceiver:
    """One instance on its way into a file."""

    def __init__(self, folder: Folder, draft: Path, operation: Operation) -> None:
        self._folder = folder
        self._draft = draft
        self._parts: list[Fragment] = []
        self._waiting = 0  # bytes
        self._writing: asyncio.Task[None] | None = None
        self._failure: IsocenterError | None = None
        self._syntax = operation.context.transfer_syntax
        self._sop_class = operation.command.sop_class
        self._sop_instance = operation.command.sop_instance
        self._sent_by = operation.association.peer.ae_title
        # What follows is touched by one worker at a time.
        self._scanner = Scanner(lookup(self._syntax), WANTED)
        self._file: BinaryIO | None = None

    def write(self, fragment: Fragment) -> None:
        """Take the next bytes. Raises: Malformed, Unavailable, once writing has failed."""
        self._parts.append(fragment)
        self._waiting += len(fragment)
        if self._failure is not None:
            raise self._failure
        if self._waiting >= WRITE_STEP and (self._writing is None or self._writing.done()):
            self._writing = asyncio.get_running_loop().create_task(self._write_steps())

    async def finish(self) -> Response:
        """Write the rest and give the file its name. Raises: Malformed, Mismatch, Unavailable."""
        if self._writing is not None:
            await self._writing
        if self._failure is None:
            await self._write(self._complete)
        if self._failure is not None:
            await self._in_worker(self._discard)
        self._folder.received(self._sop_instance, self._failure)
        if self._failure is not None:
            raise self._failure
        return Response(SUCCESS)

    def abort(self) -> None:
        """Leave nothing."""
        self._release(self._take())
        if self._failure is not None:
            self._folder.received(self._sop_instance, self._failure)
        if self._writing is not None and not self._writing.done():
            self._writing.add_done_callback(lambda _: self._discard())
        else:
            self._discard()

    async def _write_steps(self) -> None:
        """Write until little is left: the peer may have to wait for just that."""
        while self._waiting >= WRITE_STEP and self._failure is None:
            await self._write()

    async def _write(self, then: Callable[[], None] = lambda: None) -> None:
        """Write what has come until now, in a worker, and release it."""
        parts = self._take()

        def work() -> None:
            self._append(parts)
            then()

        try:
            await self._in_worker(work)
        except IsocenterError as error:
            self._failure = error
        except OSError as error:
            self._failure = Unavailable(f"cannot be written: {error.strerror}")
        finally:
            self._release(parts)
        if self._failure is not None:
            self._release(self._take())

    def _take(self) -> list[Fragment]:
        parts, self._parts, self._waiting = self._parts, [], 0
        return parts

    def _release(self, parts: list[Fragment]) -> None:
        for part in parts:
            part.release()

    async def _in_worker(self, work: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._folder.workers, work)

    # In a worker.

    def _append(self, parts: list[Fragment]) -> None:
        views = [part.view for part in parts]
        if self._file is None:
            self._file = open(self._draft, "wb")  # noqa: SIM115 closed when complete or discarded
            header = part10.header(
                self._sop_class, self._sop_instance, self._syntax, source_ae=self._sent_by
            )
            self._file.write(header)
            views = part10.behind_strays(views, lookup(self._syntax))
        for view in views:
            self._file.write(view)
            self._scanner.feed(view)

    def _complete(self) -> None:
        self._scanner.finish()
        if self._uid(SOP_INSTANCE) != self._sop_instance:
            raise Mismatch("SOP Instance UID differs from the one announced")
        if self._file is not None:
            self._file.close()
        names = (self._uid(STUDY), self._uid(SERIES), self._sop_instance)
        study, series, instance = (file_name(uid) for uid in names)
        place = self._folder.root / study / series
        place.mkdir(parents=True, exist_ok=True)
        os.replace(self._draft, place / f"{instance}.dcm")

    def _discard(self) -> None:
        if self._file is None:
            return
        with suppress(OSError):  # what is buffered may not fit, either
            self._file.close()
        with suppress(OSError):
            self._draft.unlink(missing_ok=True)

    def _uid(self, tag: int) -> str:
        raw = self._scanner.values.get(tag)
        return raw.value.decode("latin-1").strip(" \0") if raw else ""


def file_name(uid: str) -> str:
    """Return a name for a file: the UID, or a digest of what is none and might lead elsewhere."""
    if UID.fullmatch(uid) and len(uid) <= LONGEST_UID:
        return uid
    return f"no-uid-{hashlib.sha256(uid.encode()).hexdigest()[:32]}" if uid else "no-uid"
