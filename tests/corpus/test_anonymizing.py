"""Every file of the corpus de-identified: nothing that names the patient is left in its bytes."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from corpus_files import name, paths
from isocenter.dicom import part10
from isocenter.dicom.deidentify import Deidentifier
from isocenter.dicom.opened import opened
from isocenter.dicom.syntax import EXPLICIT_LE

FILES = [path for path in paths() if not name(path).startswith(("malformed/", "media/"))]
SAME_BY_CHANCE = {"ANONYMIZED", "REMOVED", "YES", "19000101"}
"""Values in the corpus that anonymized objects hold too, as what we write."""
IDENTIFYING = {"PatientID", "PatientBirthDate", "AccessionNumber", "StudyID", "OtherPatientIDs"}
OF_KINDS = ("Class", "Coding", "Syntax", "Context", "Mapping")
BEYOND_DCIODVFY = {
    "empty-charset-implicit.dcm",  # has no SOP Class UID
    "deflated__image_dfl.dcm",
}
LEAST = 6
"""Characters from which on a value is not found elsewhere by chance."""
AS_THE_TABLE_SAYS = {
    "ReferencedRTPlanSequence",  # removed, though type 1C in RT Dose
    "VerifyingObserverSequence",
}


def deidentified(path: Path) -> bytes:
    with opened(path) as file:
        work = Deidentifier(
            EXPLICIT_LE if file.header.syntax.is_encapsulated else file.syntax,
            lambda uid: f"2.25.{int.from_bytes(sha256(uid.encode()).digest()[:16])}",
            lambda _: "ANON",
        )
        made = work.feed(file.dataset) + work.finish()
        syntax = file.header.syntax if file.header.syntax.is_encapsulated else EXPLICIT_LE
        found = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        sop_class = str(found.get("SOPClassUID", "1.2"))
    made_set = read_dataset(BytesIO(made), is_implicit_VR=False, is_little_endian=True)
    head = part10.header(sop_class, str(made_set.get("SOPInstanceUID", "1.2")), syntax.uid)
    return head + made


def identifying(dataset: Dataset) -> Iterator[tuple[str, bytes]]:
    """Names, identifiers and UIDs, at any depth, as they are encoded in text."""
    for element in dataset.iterall():
        if element.tag.is_private or not element.value or element.VR == "SQ":
            continue
        several = isinstance(element.value, pydicom.multival.MultiValue)
        for value in element.value if several else [element.value]:
            text = _text(element, value)
            if len(text) >= LEAST and text not in SAME_BY_CHANCE:
                yield element.keyword, text.encode("latin-1", "replace")


def _text(element: Any, value: Any) -> str:
    if element.VR == "PN" or element.keyword in IDENTIFYING:
        return str(value).strip("^ =")
    is_thing = element.VR == "UI" and not any(each in element.keyword for each in OF_KINDS)
    return str(value) if is_thing and not str(value).startswith("1.2.840.10008.") else ""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", FILES, ids=name)
def test_nothing_that_names_the_patient_is_left(path: Path) -> None:
    original = pydicom.dcmread(path, force=True, stop_before_pixels=True)

    made = deidentified(path)

    without_pixels = made
    if (at := made.find(b"\xe0\x7f\x10\0")) >= 0:
        without_pixels = made[:at]
    kept = _kept_texts(original)
    for keyword, value in set(identifying(original)):
        if value not in kept:
            assert value not in without_pixels, keyword
    found = pydicom.dcmread(BytesIO(made), force=True)
    assert found.PatientIdentityRemoved == "YES"
    assert not [element for element in found.iterall() if element.tag.is_private]


def _kept_texts(dataset: Dataset) -> bytes:
    """What stays by the table and may happen to hold a name: makers, meanings of codes."""
    texts = (
        str(element.value)
        for element in dataset.iterall()
        if element.keyword
        in {
            "SeriesNumber",
            "Manufacturer",
            "ManufacturerModelName",
            "SoftwareVersions",
            "CodeMeaning",
            "CodeValue",
        }
    )
    return "\n".join(texts).encode("latin-1", "replace")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "path", [each for each in FILES if each.stat().st_size < 100_000], ids=name
)
def test_dciodvfy_finds_no_error_that_was_not_there(path: Path, tmp_path: Path) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dicom3tools dciodvfy is not installed")
    (tmp_path / "made.dcm").write_bytes(deidentified(path))

    if any("read failed" in each for each in errors(path)) or path.name in BEYOND_DCIODVFY:
        pytest.skip("dciodvfy does not read the original to its end")

    new = errors(tmp_path / "made.dcm") - errors(path)

    assert not [each for each in new if not any(known in each for known in AS_THE_TABLE_SAYS)]


def errors(path: Path) -> set[str]:
    """What is wrong, without values, which are others."""
    run = subprocess.run(["dciodvfy", path], capture_output=True, check=False, timeout=60)
    lines = (run.stdout + run.stderr).decode("latin-1").splitlines()
    found = {re.sub(r"[0-9.]+", "", line) for line in lines if line.startswith("Error")}
    return {each.split(" - in ")[0] for each in found}
