"""Export: instances out of the archive into files, each as the DICOM file it is kept as."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from isocenter.archive.archive import Archive
from isocenter.archive.retrieve import WINDOW
from isocenter.errors import IsocenterError
from isocenter.storage.records import InstanceRef, Selection

AT_ONCE: Final = 4


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
    async for page in archive.instances(selection):
        for instance in page:
            running.add(asyncio.create_task(_write(archive, instance, folder)))
            if len(running) >= AT_ONCE:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
    for rest in asyncio.as_completed(running):
        yield await rest


async def _write(archive: Archive, instance: InstanceRef, folder: Path) -> Exported:
    path = path_of(instance, folder)
    try:
        await asyncio.to_thread(_copy, archive, instance, path)
    except (IsocenterError, OSError) as error:
        return Exported(path, 0, str(error))
    return Exported(path, instance.size)


def path_of(instance: InstanceRef, folder: Path) -> Path:
    """Where an instance is written to; no UID can lead out of ``folder``."""
    study, series, name = (
        "".join(character if character.isalnum() or character == "." else "_" for character in uid)
        for uid in (
            instance.study_instance_uid,
            instance.series_instance_uid,
            instance.sop_instance_uid,
        )
    )
    return folder / _visible(study) / _visible(series) / f"{_visible(name)}.dcm"


def _visible(name: str) -> str:
    return f"_{name}" if name.startswith(".") else name


def _copy(archive: Archive, instance: InstanceRef, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    blob = archive.store.open(instance.blob_key)
    try:
        with unfinished.open("wb") as file:
            for start in range(0, blob.size, WINDOW):
                file.write(blob.window(start, start + WINDOW))
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
        blob.close()
