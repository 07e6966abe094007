"""Small instances, made by pydicom or byte by byte, and an archive to put them into."""

from __future__ import annotations

import io
from collections.abc import Iterable
from struct import pack
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

from isocenter.archive.archive import Archive
from isocenter.archive.ingest import Announced, Reception
from isocenter.storage.records import InstanceRef, Selection, Stored

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT = "1.2.840.10008.1.2.1"
JPEG = "1.2.840.10008.1.2.4.50"


class Slab:
    """A part of a data set, of which it is known how many are lent."""

    lent = 0

    def __init__(self, data: bytes) -> None:
        self.view = memoryview(data)
        self.is_lent = True
        Slab.lent += 1

    def release(self) -> None:
        assert self.is_lent, "released twice"
        self.is_lent = False
        Slab.lent -= 1


def image(instance: str = "1.2.3.4", **attributes: Any) -> Dataset:
    """A data set of ours; ``attributes`` of None are left out."""
    dataset = Dataset()
    given: dict[str, Any] = {
        "SOPClassUID": CT,
        "SOPInstanceUID": instance,
        "StudyInstanceUID": "1.2",
        "SeriesInstanceUID": "1.2.3",
        "PatientID": "P1",
        "PatientName": "Doe^Jane",
        "StudyDate": "20240229",
        "Modality": "CT",
        "Rows": 2,
        "Columns": 2,
        **attributes,
    }
    pixels = given.pop("PixelData", b"\1\2\3\4\5\6\7\10")
    for keyword, value in given.items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.add_new(0x7FE00010, "OW", pixels)
    return dataset


def encoded(dataset: Dataset) -> bytes:
    """Explicit little endian."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, implicit_vr=False, little_endian=True)
    return buffer.getvalue()


def part10(dataset: Dataset, syntax: str = EXPLICIT) -> bytes:
    """As a file."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def element(tag: int, vr: str, value: bytes) -> bytes:
    """One element with a short length, explicit little endian."""
    return pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), len(value)) + value


class Kept:
    """Puts instances into an archive."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive

    def begin(
        self,
        data: bytes,
        *,
        syntax: str = EXPLICIT,
        sop_class: str = CT,
        sop_instance: str = "1.2.3.4",
        size: int = 1 << 16,
    ) -> Reception:
        """Send all of ``data``, in slabs, but do not say that it is all."""
        announced = Announced(
            syntax, sop_class, sop_instance, sent_by="SENDER", received_by="ISOCENTER"
        )
        reception = self.archive.receive(announced)
        for start in range(0, len(data), size):
            reception.write(Slab(data[start : start + size]))
        return reception

    async def store(self, dataset: Dataset) -> Stored:
        """Put one in."""
        reception = self.begin(
            encoded(dataset),
            sop_class=str(dataset.SOPClassUID),
            sop_instance=str(dataset.SOPInstanceUID),
        )
        return await reception.finish()

    async def store_all(self, uids: Iterable[str], **attributes: Any) -> None:
        """Put several in."""
        for uid in uids:
            await self.store(image(uid, **attributes))

    async def refs(self, study: str = "1.2") -> list[InstanceRef]:
        """What is in a study."""
        pages = self.archive.instances(Selection(studies=(study,)))
        return [ref async for page in pages for ref in page]
