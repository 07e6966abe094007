"""Files that a browser sends become what `isocenter import` makes of them."""

import csv
import io
import random
import re
import struct
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import orjson
import pytest
from hypothesis import given, strategies as st

from isocenter.archive import zips
from isocenter.archive.archive import Archive
from isocenter.archive.importing import Fate, Imported, import_files
from isocenter.config import ArchiveConfig, Config, DicomwebConfig
from isocenter.dicom import part10
from isocenter.storage.records import Selection
from isocenter.ui import upload
from isocenter.ui.application import application
from isocenter.ui.report import Report, line
from made_instances import Kept, image, part10 as file_of


async def send(browser: httpx.AsyncClient, name: str, content: Any) -> list[dict[str, Any]]:
    answer = await browser.post("/upload/file", params={"name": name}, content=content)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [orjson.loads(each) for each in answer.text.splitlines()]


def packed(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


async def kept(archive: Archive) -> set[str]:
    return {each.sop_instance_uid async for page in archive.index.all_instances() for each in page}


def left_over(archive: Archive, tmp_path: Path) -> list[Path]:
    return list((tmp_path / "data").rglob("*.part"))


async def test_a_file_is_stored_once_and_says_who_sent_it(
    browser: httpx.AsyncClient, archive: Archive
) -> None:
    (first,) = await send(browser, "folder/one.dcm", file_of(image("1.2.3")))
    (second,) = await send(browser, "folder/one.dcm", file_of(image("1.2.3")))

    assert first["fate"] == "stored"
    assert first["name"] == "folder/one.dcm"
    assert first["study"]
    assert second["fate"] == "already_there"
    (page,) = [page async for page in archive.instances(Selection(instances=("1.2.3",)))]
    blob = archive.store.open(page[0].blob_key)
    header = part10.read(blob.window(0, 4096))
    blob.close()
    assert header.meta[0x00020016].value.strip(b" \0") == b"127.0.0.1"
    assert header.meta[0x00020018].value.strip(b" \0") == b"ISOCENTER"


@pytest.mark.parametrize(
    ("name", "content", "fate", "reason"),
    [
        ("notes.txt", b"no image at all, but a text of some length", "not_dicom", "DICOM"),
        ("empty", b"", "not_dicom", ""),
        ("cut.dcm", file_of(image("1.2.3"))[:-4], "refused", ""),
        ("not.zip", b"PK\3\4 and nothing more", "refused", "zip archive is broken"),
        ("cut.zip", packed({"1.dcm": file_of(image("1.2.3"))})[:-30], "refused", "broken"),
        ("none.zip", packed({}), "refused", "no files"),
        ("folders.zip", packed({"a/": b"", "DICOMDIR": b"x"}), "refused", "no files"),
        ("other.zip", b"no zip archive", "not_dicom", ""),
        ("as.zip", file_of(image("1.2.4")), "stored", ""),
    ],
    ids=["text", "empty", "cut", "no zip", "cut zip", "none", "folders", "other", "named zip"],
)
async def test_what_became_of_a_file_is_told(
    browser: httpx.AsyncClient, archive: Archive, name: str, content: bytes, fate: str, reason: str
) -> None:
    (told,) = await send(browser, name, content)

    assert told["fate"] == fate
    assert reason in told["reason"]
    assert (await kept(archive)) == ({"1.2.4"} if fate == "stored" else set())


async def test_the_members_of_a_zip_archive_are_told_one_by_one(
    browser: httpx.AsyncClient, archive: Archive, tmp_path: Path
) -> None:
    members = {f"../a/{number}.dcm": file_of(image(f"1.2.{number}")) for number in range(20)}
    inner = packed({"x.dcm": file_of(image("1.9"))})
    content = packed({**members, "a/": b"", "DICOMDIR": b"x", "readme": b"text", "in.zip": inner})

    told = await send(browser, "all.ZIP", content)

    fates = {each["name"]: each["fate"] for each in told}
    assert fates.pop("all.ZIP/readme") == "not_dicom"
    assert fates.pop("all.ZIP/in.zip") == "not_dicom"
    assert fates == {f"all.ZIP/{name}": "stored" for name in members}
    assert len(await kept(archive)) == 20
    assert left_over(archive, tmp_path) == []


async def test_the_browser_and_the_command_make_the_same_of_a_folder(
    browser: httpx.AsyncClient, archive: Archive, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "1.dcm").write_bytes(file_of(image("1.2.1")))
    (source / "1 again.dcm").write_bytes(file_of(image("1.2.1")))
    (source / "deep" / "2").write_bytes(file_of(image("1.2.2")))
    (source / "deep" / "cut.dcm").write_bytes(file_of(image("1.2.3"))[:-4])
    (source / "readme.txt").write_text("no image at all")
    (source / "empty").touch()
    (source / "of nobody.dcm").write_bytes(file_of(image("1.2.9", StudyInstanceUID="")))
    (source / "more.zip").write_bytes(
        packed({"3.dcm": file_of(image("1.2.4")), "x.txt": b"text", "4.zip": packed({"a": b"b"})})
    )
    other = await Archive.open(tmp_path / "other", ArchiveConfig(file_threads=2))
    try:
        imported = [each async for each in import_files(other.ingest, [source], "ISOCENTER")]
        by_command = await kept(other)
    finally:
        await other.close()

    told = []
    for path in sorted(source.rglob("*")):
        if path.is_file():
            told += await send(browser, str(path), path.read_bytes())

    assert (await kept(archive)) == by_command == {"1.2.1", "1.2.2", "1.2.4"}
    refused = {each.name: each.reason for each in imported if each.fate is Fate.REFUSED}
    assert {
        each["name"]: each["reason"] for each in told if each["fate"] in ("refused", "not_dicom")
    } == refused
    assert len(told) == len(imported)


FEW = zips.Limits(size=32 << 20, members=200)


def bomb_of_many_members() -> bytes:
    """Forty megabytes of nothing in forty kilobytes."""
    return packed({f"{number}.dcm": bytes(1 << 20) for number in range(40)})


def members_in_one_another() -> bytes:
    """A list that names the same member over and over."""
    content = packed({"a.dcm": random.Random(1).randbytes(3000)}, zipfile.ZIP_STORED)
    start = content.index(b"PK\1\2")
    end = content.index(b"PK\5\6")
    entry = content[start:end]
    listed = entry * 50
    tail = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 50, 50, len(listed), start, 0)
    return content[:start] + listed + tail


def list_that_is_too_long() -> bytes:
    """A list larger than is read at once."""
    size = zips.LARGEST_DIRECTORY + 1
    return bytes(size) + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, size, 0, 0)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (members_in_one_another(), "lie in one another"),
        (packed({"a": b"b" * 99}, zipfile.ZIP_BZIP2), "unusual way"),
        (packed({"a": b"b" * 99}, zipfile.ZIP_LZMA), "unusual way"),
        (packed({str(number): b"" for number in range(300)}), "more than 200 members"),
        (packed({"a": bytes(33 << 20)}, zipfile.ZIP_DEFLATED), "more than 33554432 bytes"),
        (packed({"a": b"b"})[:-30], ""),
        (b"PK\1\2" * 10 + packed({"a": b"b"})[-22:], ""),
        (list_that_is_too_long(), "too long"),
    ],
    ids=range(8),
)
async def test_a_hostile_zip_archive_is_refused_as_a_whole(
    archive: Archive,
    tmp_path: Path,
    content: bytes,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upload, "_limits", lambda _: FEW)
    transport = httpx.ASGITransport(application(archive, Config()))
    async with httpx.AsyncClient(transport=transport, base_url="http://archive") as browser:
        (told,) = await send(browser, "x.zip", content)

    assert told["fate"] in ("refused", "not_dicom")
    assert reason in told["reason"]
    assert left_over(archive, tmp_path) == []


async def test_a_bomb_is_refused_before_it_is_unpacked(
    browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        zips, "DEFAULT_LIMITS", type("Few", (), {"inflated_grace": 1 << 20, "inflated_ratio": 500})
    )
    bomb = bomb_of_many_members()
    monkeypatch.setattr(zipfile.ZipFile, "open", None)

    (told,) = await send(browser, "x.zip", bomb)

    assert told["reason"] == "zip archive unfolds to too much"


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(1, 8))
def test_no_zip_archive_is_a_surprise(noise: bytes, at: int, length: int) -> None:
    content = bytearray(packed({"a.dcm": b"b" * 50, "c": noise}))
    content[at % len(content) : at % len(content) + length] = noise[:length]

    class Scratch:
        size = len(content)
        file = None

    file = io.BytesIO(content)
    limits = zips.Limits(size=1 << 20, members=10)
    found = list(zips.look_into("x.zip", Scratch(), file, limits))  # type: ignore[arg-type]

    assert found


async def test_a_client_that_vanishes_leaves_nothing_half(archive: Archive, tmp_path: Path) -> None:
    pages = application(archive, Config())
    for name, content in (("a.dcm", file_of(image("1.2.3"))), ("a.zip", packed({"a": b"b"}))):
        pieces: list[Any] = [
            {"type": "http.request", "body": content[:-5] * 99, "more_body": True},
            {"type": "http.disconnect"},
        ]

        async def receive(pieces: list[Any] = pieces) -> Any:
            return pieces.pop(0)

        async def send_(_: Any) -> None:
            return

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/upload/file",
            "root_path": "",
            "headers": [],
            "query_string": f"name={name}".encode(),
            "client": ("::1", 4),
        }
        await pages(scope, receive, send_)

    await archive.in_worker(lambda: None)
    assert await kept(archive) == set()
    assert pages.state.doorway._under_way == 0
    assert left_over(archive, tmp_path) == []


async def test_too_many_at_once_are_asked_to_come_later(
    browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "AT_ONCE", 0)

    answer = await browser.post("/upload/file?name=a", content=b"x")

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"


async def test_a_full_disk_is_no_fault_of_the_file(
    browser: httpx.AsyncClient, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> Any:
        raise upload.Unavailable("storage: no space left")

    monkeypatch.setattr(archive.store, "begin", full)
    monkeypatch.setattr(archive.store, "scratch", full)
    for name in ("a.dcm", "a.zip"):
        answer = await browser.post(f"/upload/file?name={name}", content=file_of(image("1.2")))

        assert answer.status_code == 503
        assert answer.headers["retry-after"]


async def test_a_file_without_a_name_or_too_large_is_refused(
    browser: httpx.AsyncClient, archive: Archive
) -> None:
    assert (await browser.post("/upload/file", content=b"x")).status_code == 400
    small = Config(dicomweb=DicomwebConfig(max_store_size=1 << 20))
    transport = httpx.ASGITransport(application(archive, small))
    async with httpx.AsyncClient(transport=transport, base_url="http://archive") as other:
        answer = await other.post("/upload/file?name=a", content=bytes((1 << 20) + 1))
    assert answer.status_code == 413


async def test_a_form_without_script_gives_a_report_with_links(
    browser: httpx.AsyncClient, archive: Archive
) -> None:
    study = {"StudyInstanceUID": "1.2.77", "PatientName": "Up^Load"}
    files = [
        ("files", ("a.dcm", file_of(image("1.2.1", **study)))),
        ("files", ("b<b>.dcm", file_of(image("1.2.2"))[:-4])),
        ("files", ("=c.zip", packed({"1.dcm": file_of(image("1.2.3")), "x": b"text"}))),
        ("files", ("", b"")),
    ]

    page = await browser.post("/upload", files=files, data={"other": "field"})

    assert page.status_code == 200
    assert (await kept(archive)) == {"1.2.1", "1.2.3"}
    text = re.sub(r"\s+", " ", page.text)
    assert '<div data-fate="stored"><dt>stored</dt><dd>2</dd></div>' in text
    assert '<div data-fate="not_dicom"><dt>not DICOM</dt><dd>1</dd></div>' in text
    assert "b&lt;b&gt;.dcm</th>" in text
    assert 'href="/studies/1.2.77">Up, Load</a>' in text
    (link,) = re.findall(r'download="upload.csv" href="data:text/csv;charset=utf-8,([^"]*)"', text)
    rows = list(csv.reader(io.StringIO(unquote(link))))
    assert {row[0]: row[2] for row in rows[1:]} == {
        "b<b>.dcm": "refused",
        "'=c.zip/x": "not DICOM",
    }


@pytest.mark.parametrize(
    ("content_type", "content", "status"),
    [
        ("application/x-www-form-urlencoded", b"a=b", 415),
        ("multipart/form-data", b"", 400),
        ("multipart/form-data; boundary=x", b"", 400),
        ("multipart/form-data; boundary=x", b"--x\r\nno field\r\n\r\n--x--", 400),
        ("no type", b"", 400),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\ncontent-disposition: form-data; name="f"; filename="a"\r\n\r\nabc',
            400,
        ),
    ],
)
async def test_a_form_that_is_none_is_refused(
    browser: httpx.AsyncClient, content_type: str, content: bytes, status: int
) -> None:
    answer = await browser.post("/upload", content=content, headers={"content-type": content_type})

    assert answer.status_code == status


async def test_a_form_may_bring_only_so_many_files(archive: Archive) -> None:
    few = Config(dicomweb=DicomwebConfig(max_store_parts=2))
    files = [("files", (f"{number}", b"x")) for number in range(3)]
    transport = httpx.ASGITransport(application(archive, few))
    async with httpx.AsyncClient(transport=transport, base_url="http://archive") as browser:
        assert (await browser.post("/upload", files=files)).status_code == 413


@given(st.text(st.characters(codec=None)))
def test_no_name_is_a_surprise(name: str) -> None:
    report = Report()
    cleaned = upload._cleaned(name)
    report.add(Imported(cleaned, 1, Fate.REFUSED, "reason"))

    assert len(cleaned) <= upload.LONGEST_NAME
    assert orjson.loads(line(Imported(name, 1, Fate.REFUSED)))["fate"] == "refused"
    ((_, *told),) = list(csv.reader(io.StringIO(report.csv())))[1:]
    assert told[1:] == ["refused", "reason", ""]
    assert isinstance(upload._file_name(f'form-data; filename="{name}"'), str)


async def test_the_studies_that_came_are_shown(browser: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(image("1.2", StudyInstanceUID="1.2.78"))

    some = await browser.get("/upload/studies?study=1.2.78&study=1.2.79&study=%22")
    none = await browser.get("/upload/studies")

    assert 'data-study="1.2.78"' in some.text
    assert "data-study" not in none.text
