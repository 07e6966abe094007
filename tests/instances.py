"""Instances to send: CT slices made from pydicom's sample, quickly, and files of the corpus.

One study is encoded once by pydicom; each instance of it is made by exchanging a few identifiers of
fixed length in its bytes.
"""

import copy
import csv
import os
import struct
import uuid
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import pydicom
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

# As long as every identifier of `new_uid`, and none of them.
INSTANCE_MARK = "2.25.100000000000000000000000000000000000001"
SERIES_MARK = "2.25.100000000000000000000000000000000000002"
NUMBER_MARK = "+98765"  # with a sign, as no UID has one


@dataclass(frozen=True)
class Instance:
    """A Part 10 file in memory."""

    sop_class: str
    sop_instance: str
    series: str
    study: str
    transfer_syntax: str
    patient_id: str
    file: bytes
    data_set_start: int

    @property
    def data_set(self) -> bytes:
        """The data set, as encoded in the file."""
        return self.file[self.data_set_start :]

    def read(self) -> Dataset:
        return pydicom.dcmread(BytesIO(self.file))


def new_uid() -> str:
    """A new UID, always 44 characters long (PS3.5 B.2)."""
    return f"2.25.1{uuid.uuid4().int % 10**38:038d}"


@cache
def _sample() -> Dataset:
    sample = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    del sample[0xFFFCFFFC]
    return sample


def ct_template(pixels: int = 128, **attributes: Any) -> Dataset:
    """The sample slice, ``pixels`` square and 16 bits deep, with ``attributes`` put over it."""
    image = copy.deepcopy(_sample())
    image.Rows = image.Columns = pixels
    image.PixelData = (_sample().PixelData * (pixels * pixels // 16384 + 1))[: pixels * pixels * 2]
    image.SOPClassUID = CTImageStorage
    image.SOPInstanceUID = INSTANCE_MARK
    image.SeriesInstanceUID = SERIES_MARK
    image.InstanceNumber = NUMBER_MARK
    image.StudyInstanceUID = new_uid()
    for keyword, value in attributes.items():
        setattr(image, keyword, value)
    return image


def as_file(image: Dataset, transfer_syntax: str = ExplicitVRLittleEndian) -> bytes:
    """``image`` as a Part 10 file."""
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = UID(transfer_syntax)
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    output = BytesIO()
    pydicom.dcmwrite(output, image, enforce_file_format=True)
    return output.getvalue()


def as_instance(image: Dataset, transfer_syntax: str = ExplicitVRLittleEndian) -> Instance:
    """``image``, encoded as it is."""
    return read_instance(as_file(image, transfer_syntax))


def read_instance(file: bytes) -> Instance:
    """What a sender must know of a Part 10 file. Raises: AttributeError, if it lacks that."""
    start = data_set_start(BytesIO(file))
    image = pydicom.dcmread(BytesIO(file), stop_before_pixels=True, force=True)
    return Instance(
        sop_class=str(image.SOPClassUID),
        sop_instance=str(image.SOPInstanceUID),
        series=str(image.get("SeriesInstanceUID", "")),
        study=str(image.get("StudyInstanceUID", "")),
        transfer_syntax=str(image.file_meta.TransferSyntaxUID),
        patient_id=str(image.get("PatientID", "")),
        file=file,
        data_set_start=start,
    )


def stream_study(
    count: int = 1, *, series: int = 1, pixels: int = 128, **attributes: Any
) -> Iterator[Instance]:
    """Yield one study of ``count`` CT slices, spread over ``series`` series, one at a time."""
    template = ct_template(pixels, **attributes)
    model = as_instance(template)
    head, tail = model.file[: -pixels * pixels * 2], model.file[-pixels * pixels * 2 :]
    series_uids = [new_uid() for _ in range(series)]
    for number in range(count):
        uid, series_uid = new_uid(), series_uids[number % series]
        start = head.replace(INSTANCE_MARK.encode(), uid.encode())
        start = start.replace(SERIES_MARK.encode(), series_uid.encode())
        start = start.replace(NUMBER_MARK.encode(), f"{number + 1:06d}".encode())
        yield Instance(
            model.sop_class,
            uid,
            series_uid,
            model.study,
            model.transfer_syntax,
            model.patient_id,
            start + tail,
            model.data_set_start,
        )


def make_study(
    count: int = 1, *, series: int = 1, pixels: int = 128, **attributes: Any
) -> list[Instance]:
    """One study of ``count`` CT slices; 512 ``pixels`` make 512 KB."""
    return list(stream_study(count, series=series, pixels=pixels, **attributes))


def write_files(instances: Iterable[Instance], folder: Path) -> list[Path]:
    """Write each to ``folder``; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, instance in enumerate(instances):
        path = folder / f"{number:06d}.dcm"
        path.write_bytes(instance.file)
        paths.append(path)
    return paths


def data_set_start(file: BinaryIO) -> int:
    """Where the data set begins in a Part 10 file, in bytes."""
    read_preamble(file, force=True)
    _read_file_meta_info(file)
    return file.tell()


def data_set_of(path: Path) -> bytes:
    """The data set of a Part 10 file, as encoded in it."""
    with path.open("rb") as file:
        file.seek(data_set_start(file))
        return file.read()


def read_data_set(data_set: bytes, transfer_syntax: str) -> dict[int, Any]:
    """The values of a data set by tag, without group lengths and trailing padding."""
    syntax = UID(transfer_syntax)
    encoded = zlib.decompress(data_set, -zlib.MAX_WBITS) if syntax.is_deflated else data_set
    image = pydicom.dcmread(BytesIO(_meta(syntax) + encoded), force=True)
    return {
        int(element.tag): element.value
        for element in image
        if element.tag.element != 0 and element.tag != 0xFFFCFFFC
    }


def _meta(syntax: UID) -> bytes:
    """A preamble and meta information that tell how what follows is encoded."""
    implicit, little = syntax.is_implicit_VR, syntax.is_little_endian
    told = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    if not little:
        told = ExplicitVRBigEndian
    elif syntax.is_compressed and not syntax.is_deflated:
        told = syntax
    uid = told.encode() + b"\0" * (len(told) % 2)
    element = struct.pack("<HH2sH", 2, 0x10, b"UI", len(uid)) + uid
    return bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(element)) + element


def corpus_folder() -> Path:
    """Where the corpus of real files is, if it is anywhere."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "corpus"
    return Path(os.environ.get("DICOM_CORPUS", beside))


def corpus_rows() -> list[dict[str, str]]:
    """The lines of the corpus' manifest; none where there is no corpus."""
    manifest = corpus_folder() / "MANIFEST.csv"
    if not manifest.exists():
        return []
    with manifest.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def corpus_files(under: str = "", *, without: str | None = None) -> list[Path]:
    """The files of the corpus in folder ``under``, but not those in ``without``."""
    names = [row["path"] for row in corpus_rows()]
    kept = [name for name in names if without is None or not name.startswith(without)]
    return [corpus_folder() / name for name in kept if name.startswith(under)]


@cache
def corpus_instances(under: str = "", *, without: str | None = None) -> tuple[Instance, ...]:
    """What of `corpus_files` can be sent: it names its class, itself and its transfer syntax."""
    found = []
    for path in corpus_files(under, without=without):
        try:
            instance = read_instance(path.read_bytes())
        except Exception:  # broken on purpose; pydicom may raise anything
            continue
        if instance.sop_class and instance.sop_instance and instance.transfer_syntax:
            found.append(instance)
    return tuple(found)
