"""Files to be sent: which instance they hold, with and without meta information."""

import zipfile
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from instances import Instance, as_instance, ct_template, make_study
from isocenter.archive import retrieve
from isocenter.archive.media import Found, Unreadable, walk
from isocenter.errors import Malformed, Unavailable
from isocenter.services.files import examine, examine_and_open


def found(path: Path) -> Found:
    (one,) = walk([path])
    assert isinstance(one, Found)
    return one


def written(path: Path, content: bytes) -> Found:
    path.write_bytes(content)
    return found(path)


@pytest.fixture
def one() -> Instance:
    (instance,) = make_study()
    return instance


def test_a_file_says_what_it_is(one: Instance, tmp_path: Path) -> None:
    outgoing = examine(written(tmp_path / "a", one.file))

    assert outgoing.instance.sop_instance_uid == one.sop_instance
    assert outgoing.instance.sop_class_uid == one.sop_class
    assert outgoing.instance.transfer_syntax == one.transfer_syntax
    assert outgoing.instance.dataset_offset == one.data_set_start


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian],
)
def test_without_meta_information_the_data_set_says_it(syntax: str, tmp_path: Path) -> None:
    image = ct_template()
    whole = as_instance(image, syntax)

    outgoing = examine(written(tmp_path / "bare", whole.data_set))

    assert outgoing.instance.sop_instance_uid == whole.sop_instance
    assert outgoing.instance.sop_class_uid == whole.sop_class
    assert outgoing.instance.transfer_syntax == syntax


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_where_the_two_differ_the_data_set_counts(syntax: str, tmp_path: Path) -> None:
    image = ct_template()
    whole = as_instance(image, syntax)
    liar = whole.file.replace(
        whole.sop_instance.encode(), whole.sop_instance[:-1].encode() + b"9", 1
    )

    assert examine(written(tmp_path / "a", liar)).instance.sop_instance_uid == whole.sop_instance


def test_what_is_no_dicom_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Malformed):
        examine(written(tmp_path / "a", b"This is a letter, not an image." * 30))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Malformed):
        examine(written(tmp_path / "a", b""))


def test_a_file_that_is_gone_is_refused(one: Instance, tmp_path: Path) -> None:
    gone = written(tmp_path / "a", one.file)
    (tmp_path / "a").unlink()

    with pytest.raises(Unavailable):
        examine(gone)


def test_long_meta_information_is_read_to_its_end(one: Instance, tmp_path: Path) -> None:
    image = pydicom.dcmread(written(tmp_path / "a", one.file).name)
    image.file_meta.PrivateInformationCreatorUID = "1.2.3"
    image.file_meta.PrivateInformation = bytes(100_000)
    image.save_as(tmp_path / "long")

    assert examine(found(tmp_path / "long")).instance.sop_instance_uid == one.sop_instance


@pytest.fixture
def workers() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


async def read(file: Found, workers: Executor) -> bytes:
    _, opened = examine_and_open(file, workers)
    try:
        pieces = opened.pieces()
        if isinstance(pieces, tuple):
            return b"".join(bytes(piece) for piece in pieces)
        return b"".join([bytes(piece) async for piece in pieces])
    finally:
        opened.close()


async def test_the_data_set_comes_as_it_is(
    one: Instance, tmp_path: Path, workers: Executor
) -> None:
    assert await read(written(tmp_path / "a", one.file), workers) == one.data_set


async def test_so_does_a_member_of_a_zip_archive(
    one: Instance, tmp_path: Path, workers: Executor
) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside", one.file)

    assert await read(found(tmp_path / "a.zip"), workers) == one.data_set


async def test_a_data_set_of_several_windows_can_be_read_twice(
    one: Instance, tmp_path: Path, workers: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isocenter.services.files.WINDOW", 4096)
    monkeypatch.setattr(retrieve, "WINDOW", 4096)
    _, opened = examine_and_open(written(tmp_path / "a", one.file), workers)

    for _ in range(2):
        pieces = opened.pieces()
        assert not isinstance(pieces, tuple)
        assert b"".join([bytes(piece) async for piece in pieces]) == one.data_set
    opened.close()


async def test_a_retry_amid_a_data_set_begins_at_its_start(
    one: Instance, tmp_path: Path, workers: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isocenter.services.files.WINDOW", 4096)
    monkeypatch.setattr(retrieve, "WINDOW", 4096)
    _, opened = examine_and_open(written(tmp_path / "a", one.file), workers)
    given_up = opened.pieces()
    assert not isinstance(given_up, tuple)
    for _ in range(3):
        await anext(aiter(given_up))

    again = opened.pieces()

    assert b"".join([bytes(piece) async for piece in again]) == one.data_set
    opened.close()


def test_members_of_a_zip_can_be_opened_after_the_walk(tmp_path: Path) -> None:
    study = make_study(3)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number, each in enumerate(study):
            archive.writestr(str(number), each.file)

    members = [member for member in walk([tmp_path / "a.zip"]) if isinstance(member, Found)]

    assert not [member for member in members if isinstance(member, Unreadable)]
    assert [examine(member).instance.sop_instance_uid for member in members] == [
        each.sop_instance for each in study
    ]
