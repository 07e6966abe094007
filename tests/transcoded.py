"""Files turned into another transfer syntax in memory, and the pixels pydicom finds in them."""

import asyncio
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.pixels import pixel_array

from isocenter.archive.transcode import Transcoding
from isocenter.dicom import part10
from isocenter.dicom.syntax import lookup
from isocenter.imaging.workers import Workers
from isocenter.storage.scratch import FileScratch
from made_pixels import InMemory


class Transcoder:
    """Turns files into files."""

    def __init__(self, folder: Path, codecs: Workers) -> None:
        self._folder = folder
        self._codecs = codecs
        self._files = ThreadPoolExecutor(1)

    def __call__(self, data: bytes, target: str, *, is_loss_allowed: bool = False) -> bytes:
        """Give the file in ``target``. Raises: what transcoding raises."""
        return asyncio.run(self._run(data, target, is_loss_allowed=is_loss_allowed))

    async def _run(self, data: bytes, target: str, *, is_loss_allowed: bool) -> bytes:
        header = part10.read(data)
        work = Transcoding(
            InMemory(memoryview(data)[header.dataset_offset :]),
            header.syntax,
            lookup(target),
            codecs=self._codecs,
            files=self._files,
            scratch=lambda: FileScratch(str(self._folder / "scratch")),
            is_loss_allowed=is_loss_allowed,
        )
        body = [bytes(piece) async for piece in work.pieces()]
        uid = work.sop_instance or header.sop_instance
        sop_class = str(read(data).get("SOPClassUID", "") or header.sop_class)
        uid = work.sop_instance or str(read(data).get("SOPInstanceUID", "") or uid)
        return b"".join((part10.header(sop_class, uid, target), *body))

    def close(self) -> None:
        self._files.shutdown()


@contextmanager
def transcoder(folder: Path) -> Iterator[Transcoder]:
    codecs = Workers(2)
    made = Transcoder(folder, codecs)
    try:
        yield made
    finally:
        made.close()
        codecs.close()


def read(data: bytes) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(BytesIO(data), force=True)


def pixels(data: bytes) -> Any:
    """The stored values as pydicom decodes them, colours untouched; None where it cannot."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return np.asarray(pixel_array(read(data), raw=True))
        except Exception:  # whatever pydicom raises
            return None
