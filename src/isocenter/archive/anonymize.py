"""Instances without what says whose they are: by the Basic Profile, streaming (PS3.15 Annex E).

A UID or Patient ID becomes another one that is the same each time, so that what belongs together
stays together. Which, only this archive's secret tells; none leads back.
"""

import asyncio
import hmac
import os
import secrets
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from isocenter.archive.frames import OpenInstances
from isocenter.archive.retrieve import Buffer, Opened, each
from isocenter.dicom import part10
from isocenter.dicom.deidentify import Deidentifier
from isocenter.dicom.layout import PIXEL_DATA_TAGS
from isocenter.dicom.reencode import Reencoder
from isocenter.dicom.syntax import EXPLICIT_LE, IMPLICIT_LE, UNCOMPRESSED, TransferSyntax
from isocenter.dicom.values import decode
from isocenter.dicom.windowed import Reader, Walk
from isocenter.errors import Denied, Unavailable
from isocenter.storage.records import InstanceRef

T = TypeVar("T")

SECRET_FILE: Final = "uid-secret"  # noqa: S105 -- the name of a file
SECRET_SIZE: Final = 32
STEP: Final = 1 << 20
"""Bytes that a worker handles at a time."""
LONGEST: Final = 1 << 10
"""Bytes of a value that tells whether pixels show who it is."""

IMAGE_TYPE: Final = 0x00080008
BURNED_IN_ANNOTATION: Final = 0x00280301
RECOGNIZABLE_FEATURES: Final = 0x00280302
LABEL_IN_IMAGE: Final = 0x00480010
_OVERLAY_WIDTHS: Final = frozenset(group << 16 | 0x100 for group in range(0x6000, 0x6020, 2))
"""Overlay Bits Allocated: other than 1, the overlay lies in unused bits of the pixels."""
_TELLING: Final = {
    BURNED_IN_ANNOTATION: "Burned In Annotation",
    RECOGNIZABLE_FEATURES: "Recognizable Visual Features",
    LABEL_IN_IMAGE: "Specimen Label In Image",
}


class Anonymizer:
    """Gives instances out de-identified. Belongs to one event loop."""

    def __init__(self, folder: Path, opened: OpenInstances, workers: Executor) -> None:
        self._folder = folder
        self._opened = opened
        self._workers = workers
        self._secret: bytes | None = None

    async def check(self, instance: InstanceRef) -> bool:
        """Say whether the pixels are known to show nobody; False, if nothing is said of that.

        Raises: Denied, if they are known to show who it is; Unavailable.
        """
        self._secret = self._secret or await self._in_worker(partial(_secret, self._folder))
        opened = await self._opened.open(instance)
        try:
            has_pixels, told = await opened.read(_told)
        finally:
            opened.release()
        for tag, name in _TELLING.items():
            if told.get(tag) == "YES":
                raise Denied(
                    f"the pixels may show who it is ({name} is YES), and they are not cleaned: it "
                    "is not given out anonymized"
                )
        if any(told.get(tag, "1") != "1" for tag in _OVERLAY_WIDTHS):
            raise Denied("an overlay lies within the pixels, and they are not cleaned")
        if told.get(IMAGE_TYPE) == "LABEL":
            raise Denied(
                "it is the label of a slide, and its pixels are not cleaned: it is not given out "
                "anonymized"
            )
        return not has_pixels or told.get(BURNED_IN_ANNOTATION) == "NO"

    def uid(self, uid: str) -> str:
        """Give the UID that takes the place of another, after ``check`` (PS3.5 B.2)."""
        return f"2.25.{int.from_bytes(self._hash('uid', uid)[:16])}"

    def patient_id(self, patient_id: str) -> str:
        """Give the Patient ID that takes the place of another, after ``check``."""
        return f"ANON{self._hash('patient', patient_id)[:6].hex().upper()}"

    async def file_in(self, opened: Opened, target: TransferSyntax) -> AsyncGenerator[Buffer]:
        """Give a DICOM file in ``target``, after ``check``. Raises: Unsupported, Malformed."""
        instance = opened.instance
        uid = self.uid(instance.sop_instance_uid)
        yield part10.header(instance.sop_class_uid, uid, target.uid)
        # Whatever can be is read in one encoding; an odd native one stays as it is.
        is_plain = target in UNCOMPRESSED
        layout = EXPLICIT_LE if is_plain or target.is_encapsulated else IMPLICIT_LE
        written = target if is_plain else layout
        encoder = Reencoder(EXPLICIT_LE, written) if written != EXPLICIT_LE else None
        identified = Deidentifier(layout, self.uid, self.patient_id)
        async for piece in each(opened.pieces(EXPLICIT_LE if is_plain else target)):
            view = memoryview(piece)
            for at in range(0, len(view), STEP):
                step = view[at : at + STEP]
                yield await self._in_worker(partial(_fed, identified, encoder, step))
        yield await self._in_worker(partial(_fed, identified, encoder, None))

    def _hash(self, kind: str, value: str) -> bytes:
        assert self._secret is not None, "check comes first"
        return hmac.digest(self._secret, f"{kind}\0{value}".encode(), "sha256")

    async def _in_worker(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._workers, work)


def _fed(identified: Deidentifier, encoder: Reencoder | None, piece: Buffer | None) -> bytes:
    """Go on, or, with None, come to an end."""
    given = identified.finish() if piece is None else identified.feed(memoryview(piece))
    if encoder is None:
        return given
    return encoder.feed(given) + (encoder.finish() if piece is None else b"")


def _told(reader: Reader, syntax: TransferSyntax) -> tuple[bool, dict[int, str]]:
    """Read what is said of the pixels, and whether there are any."""
    told: dict[int, str] = {}
    wanted = frozenset({IMAGE_TYPE, *_TELLING}) | _OVERLAY_WIDTHS
    for place in Walk(reader, syntax).elements(wanted | PIXEL_DATA_TAGS):
        if place.tag in PIXEL_DATA_TAGS:
            return True, told
        if place.tag in wanted and (place.length or 0) <= LONGEST:
            value = bytes(reader.window(place.offset, place.offset + (place.length or 0)))
            vr = "US" if place.tag in _OVERLAY_WIDTHS else "CS"
            is_little = place.layout.is_little_endian
            values = decode(vr, value, is_little_endian=is_little)
            found = [str(each).strip() for each in values]
            at = 2 if place.tag == IMAGE_TYPE else 0
            told[place.tag] = found[at] if len(found) > at else ""
    return False, told


def _secret(folder: Path) -> bytes:
    """Read the archive's secret; make it, if there is none yet. Raises: Unavailable."""
    path = folder / SECRET_FILE
    try:
        if not path.exists():
            _make(path)
        found = path.read_bytes()
    except OSError as error:
        raise Unavailable(f"the archive's secret cannot be read: {error}") from error
    if len(found) != SECRET_SIZE:
        raise Unavailable("the archive's secret is not what it was")
    return found


def _make(path: Path) -> None:
    """Write a new secret durably; only the server that owns the archive comes here."""
    draft = path.with_name(f"{SECRET_FILE}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, secrets.token_bytes(SECRET_SIZE))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.replace(path)
