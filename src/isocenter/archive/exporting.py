"""Export: instances out of the archive into files, in the encoding that they are kept in."""

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from isocenter.archive import corrected
from isocenter.archive.archive import Archive
from isocenter.archive.retrieve import WINDOW
from isocenter.errors import IsocenterError
from isocenter.storage.records import InstanceRef, Selection

AT_ONCE: Final = 4
UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*")
"""As PS3.5 9.1 has it; so it is safe as a name in any file system."""


@dataclass(frozen=True, slots=True)
class Exported:
    """One instance's outcome; ``reason`` is empty where it was written."""

    path: Path
    size: int
    reason: str = ""


async def export(archive: Archive, selection: Selection, folder: Path) -> AsyncIterator[Exported]:
    """Write the selected instances as ``folder/<study>/<series>/<instance>.dcm``.

    A file appears whole or not at all; what is there already is written anew.
    """
    running: set[asyncio.Task[Exported]] = set()
    try:
        async for page in archive.instances(selection):
            for instance in page:
                running.add(asyncio.create_task(_write(archive, instance, folder)))
                if len(running) >= AT_ONCE:
                    done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        yield task.result()
        for rest in asyncio.as_completed(running):
            yield await rest
    finally:
        if running:  # what a thread has begun to write is finished
            await asyncio.wait(running)


async def _write(archive: Archive, instance: InstanceRef, folder: Path) -> Exported:
    path = path_of(instance, folder)
    try:
        await asyncio.to_thread(_copy, archive, instance, path)
    except (IsocenterError, OSError) as error:
        return Exported(path, 0, str(error))
    return Exported(path, path.stat().st_size)


def path_of(instance: InstanceRef, folder: Path) -> Path:
    """Where an instance is written to."""
    return folder / name_of(instance)


def name_of(instance: InstanceRef) -> str:
    """An instance's path among others: ``<study>/<series>/<instance>.dcm``.

    No UID can lead out of the folder it is in, or to another's place.
    """
    study, series, name = (
        _name(uid)
        for uid in (
            instance.study_instance_uid,
            instance.series_instance_uid,
            instance.sop_instance_uid,
        )
    )
    return f"{study}/{series}/{name}.dcm"


def _name(uid: str) -> str:
    """A UID is its own name. What only claims to be one is made harmless, and told apart."""
    if UID.fullmatch(uid):
        return uid
    harmless = "".join(each if each.isascii() and each.isalnum() else "_" for each in uid)
    return f"{harmless}-{hashlib.sha256(uid.encode()).hexdigest()[:16]}"


def _copy(archive: Archive, instance: InstanceRef, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    blob = corrected.opened(archive.store, instance)
    try:
        with unfinished.open("wb") as file:
            for start in range(0, blob.size, WINDOW):
                file.write(blob.window(start, start + WINDOW))
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
        blob.close()
