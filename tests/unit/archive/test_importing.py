"""Files taken in from folders, zip archives and file-sets, and written out again."""

# Nobody else is on these loops, and what is waited for sets no event.

import asyncio
import os
import struct
import zipfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from pydicom.data import get_testdata_file

from isocenter.archive.archive import Archive
from isocenter.archive.exporting import export, path_of
from isocenter.archive.importing import Fate, Imported, import_files
from isocenter.archive.media import Found, Unreadable, walk
from isocenter.config import ArchiveConfig
from isocenter.errors import Malformed
from isocenter.storage.records import InstanceRef, Selection
from made_instances import CT, EXPLICIT, Kept, encoded, image, part10


async def take(archive: Archive, *paths: Path) -> list[Imported]:
    async with asyncio.timeout(20):
        return [each async for each in import_files(archive.ingest, paths, "ISOCENTER")]


def fates(imported: Iterable[Imported]) -> dict[str, Fate]:
    return {Path(each.name).name: each.fate for each in imported}


def write(folder: Path, uids: Iterable[str]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for uid in uids:
        paths.append(folder / f"{uid}.dcm")
        paths[-1].write_bytes(part10(image(uid)))
    return paths


def names(found: Iterable[Found | Unreadable]) -> list[tuple[str, str]]:
    return [
        (Path(each.name).name, each.reason if isinstance(each, Unreadable) else "")
        for each in found
    ]


async def test_what_cannot_be_taken_is_told_and_stops_nothing(
    archive: Archive, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    write(source, ["1.1", "1.2"])
    (source / "readme.txt").write_text("no image at all, but a text of some length")
    (source / "empty").touch()
    (source / "cut.dcm").write_bytes(part10(image("1.3"))[:-4])
    (source / "other.dcm").write_bytes(part10(image("1.1", PatientName="Other")))

    found = fates(await take(archive, source, source / "missing"))

    # Of two files of the same instance, either may come first.
    assert sorted((found.pop("1.1.dcm").value, found.pop("other.dcm").value)) == [
        "refused",
        "stored",
    ]
    assert found == {
        "1.2.dcm": Fate.STORED,
        "readme.txt": Fate.REFUSED,
        "empty": Fate.REFUSED,
        "cut.dcm": Fate.REFUSED,
        "missing": Fate.REFUSED,
    }


async def test_what_no_door_takes_is_not_imported(tmp_path: Path) -> None:
    config = ArchiveConfig(unknown_sop_classes=False)
    archive = await Archive.open(tmp_path / "data", config)
    source = tmp_path / "source"
    source.mkdir()
    (source / "private.dcm").write_bytes(part10(image("1.4", SOPClassUID="1.2.3.4.5")))

    (told,) = await take(archive, source)

    assert told.fate is Fate.REFUSED
    assert "1.2.3.4.5 is not stored here" in told.reason
    await archive.close()


async def test_importing_twice_changes_nothing(archive: Archive, tmp_path: Path) -> None:
    paths = write(tmp_path / "source", ["1.1", "1.2"])

    first, second = await take(archive, *paths), await take(archive, *paths)

    assert {each.fate for each in first} == {Fate.STORED}
    assert {each.fate for each in second} == {Fate.ALREADY_THERE}


@pytest.mark.parametrize("count", [1, 40])
async def test_every_member_of_a_zip_archive_is_taken(
    archive: Archive, tmp_path: Path, count: int
) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for number in range(count):
            packed.writestr(f"../../{number}.dcm", part10(image(f"1.{number}")))

    imported = await take(archive, tmp_path / "all.zip")

    assert [each.fate for each in imported] == [Fate.STORED] * count
    assert {path.name for path in tmp_path.iterdir()} == {"data", "all.zip"}


def test_a_zip_archive_can_be_read_after_all_its_members_were_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as packed:
        packed.writestr("a", b"first")
        packed.writestr("b", b"second")

    found = [each for each in walk([tmp_path / "all.zip"]) if isinstance(each, Found)]

    contents = []
    for each in found:
        with each.open() as file:
            contents.append(file.read())
    assert contents == [b"first", b"second"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
async def test_a_broken_member_is_refused_alone(
    archive: Archive, tmp_path: Path, method: int
) -> None:
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w", method) as packed:
        packed.writestr("1.dcm", part10(image("1.1", PixelData=os.urandom(3_000_000))))
        packed.writestr("2.dcm", part10(image("1.2")))
    data = bytearray(path.read_bytes())
    data[2_000_000:2_000_100] = bytes(100)
    path.write_bytes(data)

    assert fates(await take(archive, path)) == {"1.dcm": Fate.REFUSED, "2.dcm": Fate.STORED}


def test_a_member_without_a_name_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("a", b"first")
        packed.writestr("b", b"second")
    path.write_bytes(path.read_bytes().replace(b"a", b"\0"))

    assert names(walk([path])) == [("b", "")]


@given(st.data())
def test_no_damage_to_a_zip_archive_is_a_surprise(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a\u00e9.dcm", b"first" * 50)
        packed.writestr("b.dcm", b"second" * 50)
    damaged = bytearray(path.read_bytes())
    for at in data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=6)):
        damaged[at] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged)

    for each in walk([path]):
        if isinstance(each, Found):
            with suppress(Malformed, OSError), each.open() as file:
                file.seek(3)
                file.read()


async def test_a_bomb_is_read_no_further_than_it_fails(archive: Archive, tmp_path: Path) -> None:
    start = encoded(image("1.1", StudyInstanceUID=None))
    name = tmp_path / "bomb.zip"
    with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED) as packed, packed.open("1", "w") as out:
        out.write(start[:-20])
        out.write(struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, 400 << 20))
        for _ in range(400):
            out.write(bytes(1 << 20))
    read = 0
    real = zipfile.ZipExtFile.read

    def counting(file: Any, size: int = -1) -> bytes:
        nonlocal read
        data = real(file, size)
        read += len(data)
        return data

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zipfile.ZipExtFile, "read", counting)
        (imported,) = await take(archive, name)

    assert imported.fate is Fate.REFUSED
    assert "StudyInstanceUID" in imported.reason
    assert read < 40 << 20


async def test_an_encrypted_member_is_told(archive: Archive, tmp_path: Path) -> None:
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("1.dcm", b"secret")
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)

    (imported,) = await take(archive, path)

    assert (imported.fate, imported.reason) == (Fate.REFUSED, "encrypted")


@pytest.mark.parametrize("name", ["pipe", "pipe.zip", "DICOMDIR"])
async def test_nobody_waits_at_a_pipe(archive: Archive, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "source"
    write(folder, ["1.1"])
    os.mkfifo(folder / name)

    imported = await take(archive, folder, folder / name)

    assert fates(imported)["1.1.dcm"] is Fate.STORED
    assert {each.reason for each in imported if each.fate is Fate.REFUSED} == {"not a file"}


def test_a_device_is_not_read() -> None:
    assert names(walk([Path("/dev/zero")])) == [("zero", "not a file")]


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"x")
    (tmp_path / "self").symlink_to(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")

    found = names(walk([tmp_path]))

    assert found[0] == ("a.dcm", "")
    assert {name for name, reason in found if reason} == {"loop", "nowhere"}


def test_a_link_to_a_folder_elsewhere_is_told_and_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b.dcm").write_bytes(b"x")
    (tmp_path / "here" / "below").mkdir(parents=True)
    (tmp_path / "here" / "below" / "there").symlink_to(tmp_path / "elsewhere")

    ((name, reason),) = names(walk([tmp_path / "here"]))

    assert name == "there"
    assert "link" in reason


def test_a_folder_that_cannot_be_listed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "z"):
        write(tmp_path / name, ["1.1"])
    real = os.scandir

    def refusing(path: Any) -> Any:
        if os.path.basename(path) in ("b", "z"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refusing)

    assert sorted(names(walk([tmp_path]))) == [
        ("1.1.dcm", ""),
        ("b", "Permission denied"),
        ("z", "Permission denied"),
    ]


async def test_a_file_set_is_taken_by_its_directory(archive: Archive) -> None:
    directory = Path(str(get_testdata_file("DICOMDIR")))

    imported = await take(archive, directory)

    assert imported
    assert {each.fate for each in imported} <= {Fate.STORED, Fate.REFUSED}


async def test_stopping_midway_leaves_nothing_half_done(tmp_path: Path) -> None:
    archive = await Archive.open(tmp_path / "data", ArchiveConfig(file_threads=2))
    paths = write(tmp_path / "source", [f"1.{number}" for number in range(60)])

    async def run() -> None:
        async for _ in import_files(archive.ingest, paths, "ISOCENTER"):
            pass

    task = asyncio.create_task(run())
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await archive.close()
    for _ in range(5):  # what was opened last is closed by the loop
        await asyncio.sleep(0)

    assert not list((tmp_path / "data").rglob("*.part"))


async def test_what_is_exported_can_be_imported_again(
    archive: Archive, kept: Kept, tmp_path: Path
) -> None:
    await kept.store_all(["1.1", "1.2", "1.3"])

    exported = [each async for each in export(archive, Selection(studies=("1.2",)), tmp_path / "x")]

    assert [each.reason for each in exported] == [""] * 3
    assert sorted(path.name for path in (tmp_path / "x" / "1.2" / "1.2.3").iterdir()) == [
        "1.1.dcm",
        "1.2.dcm",
        "1.3.dcm",
    ]
    again = await Archive.open(tmp_path / "again", ArchiveConfig())
    assert {each.fate for each in await take(again, tmp_path / "x")} == {Fate.STORED}
    digests = [{ref.digest for ref in await Kept(each).refs()} for each in (archive, again)]
    assert digests[0] == digests[1]
    await again.close()


async def test_one_that_cannot_be_read_is_told_and_leaves_nothing(
    archive: Archive, kept: Kept, tmp_path: Path
) -> None:
    await kept.store_all(["1.1", "1.2"])
    for ref in await kept.refs():
        if ref.sop_instance_uid == "1.1":
            archive.store.delete(ref.blob_key)

    exported = [each async for each in export(archive, Selection(studies=("1.2",)), tmp_path / "x")]

    assert {each.path.name: bool(each.reason) for each in exported} == {
        "1.1.dcm": True,
        "1.2.dcm": False,
    }
    files = [path for path in (tmp_path / "x").rglob("*") if path.is_file()]
    assert [path.name for path in files] == ["1.2.dcm"]


def ref(study: str, series: str, instance: str) -> InstanceRef:
    return InstanceRef(CT, instance, study, series, EXPLICIT, "", 0, b"", 0)


uids = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=64)


@given(uids, uids, uids)
def test_no_uid_leads_out_of_the_folder(study: str, series: str, instance: str) -> None:
    path = path_of(ref(study, series, instance), Path("/out"))

    assert Path(os.path.normpath(path)).parts[:2] == ("/", "out")
    assert len(path.relative_to("/out").parts) == 3
    assert not any(part.startswith(".") for part in path.relative_to("/out").parts)


@given(uids, uids)
def test_no_two_instances_are_written_to_one_place(one: str, other: str) -> None:
    paths = {str(path_of(ref("1", "2", uid), Path("/out"))).lower() for uid in (one, other)}

    assert len(paths) == len({one, other})


def test_a_true_uid_is_its_own_name() -> None:
    path = path_of(ref("1.2.840", "1.2", "2.25.7"), Path("/out"))

    assert path == Path("/out/1.2.840/1.2/2.25.7.dcm")


async def test_a_part_of_a_zip_archive_that_spans_disks_is_refused(
    archive: Archive, tmp_path: Path
) -> None:
    # APPNOTE 4.3.15, 4.4.19: the locator says that there are two disks.
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 46, 0, 0)
    (tmp_path / "x.zip").write_bytes(bytes(99) + struct.pack("<4sLQL", b"PK\6\7", 0, 0, 2) + end)

    (told,) = await take(archive, tmp_path / "x.zip")

    assert told.fate is Fate.REFUSED
