"""Zip archives, read by Python's zipfile; sizes that need 64 bits, by what is known of them."""

from __future__ import annotations

import io
import zipfile
import zlib

import pytest
from hypothesis import given, strategies as st

from isocenter.dicomweb import zipping
from isocenter.dicomweb.zipping import File, Layout


def written(contents: dict[str, bytes]) -> bytes:
    layout = Layout([File(name, len(content)) for name, content in contents.items()])
    checksums = [zlib.crc32(content) for content in contents.values()]
    whole = bytearray()
    for number, content in enumerate(contents.values()):
        whole += layout.before(number, checksums[number]) + content
        whole += layout.behind(number, checksums[number])
    whole += b"".join(layout.directory(checksums))
    assert len(whole) == layout.size
    return bytes(whole)


def read(whole: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


names = st.text("0123456789./", min_size=1, max_size=40)


@given(st.dictionaries(names, st.binary(max_size=200), max_size=6))
def test_what_is_put_in_comes_out(contents: dict[str, bytes]) -> None:
    assert read(written(contents)) == contents


@pytest.mark.parametrize("limit", [0, 3])
@pytest.mark.parametrize("most_long", [0xFFFFFFFF, 5, 1])
@pytest.mark.parametrize("most_short", [0xFFFF, 2])
def test_large_ones_are_written_so_that_they_can_be_read(
    monkeypatch: pytest.MonkeyPatch, limit: int, most_long: int, most_short: int
) -> None:
    monkeypatch.setattr(zipping, "SUMMED_AFTER", limit)
    monkeypatch.setattr(zipping, "_MOST_SHORT", most_short)
    contents = {"a/1.dcm": b"", "a/2.dcm": b"1234", "b/3.dcm": b"12345678"}
    files = [File(name, len(content)) for name, content in contents.items()]
    if most_long != 0xFFFFFFFF:  # then the marks for "see the 64 bits" are not those of the format
        monkeypatch.setattr(File, "is_long", property(lambda file: file.size >= most_long))
    checksums = [zlib.crc32(content) for content in contents.values()]
    layout = Layout(files)

    whole = b"".join(
        part
        for number, content in enumerate(contents.values())
        for part in (
            layout.before(number, checksums[number]),
            content,
            layout.behind(number, checksums[number]),
        )
    ) + b"".join(layout.directory(checksums))

    assert len(whole) == layout.size
    assert read(whole) == contents


def test_more_than_four_gigabytes_are_pointed_to_with_64_bits() -> None:
    large = 5 << 30
    layout = Layout([File("1", large), File("2", 10)])
    first = 30 + 1 + 20 + large + 24

    directory = b"".join(layout.directory([7, 8]))

    assert layout.size == first + 31 + 10 + len(directory)
    assert first.to_bytes(8, "little") in directory
    assert large.to_bytes(8, "little") * 2 in directory
    assert layout.behind(0, 7) == b"PK\x07\x08\x07\0\0\0" + large.to_bytes(8, "little") * 2


def test_the_same_files_make_the_same_bytes() -> None:
    contents = {"1": b"one", "2": b"two"}

    assert written(contents) == written(contents)
