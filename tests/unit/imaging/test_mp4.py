"""What can be told of an MP4 file by its boxes (ISO/IEC 14496-12)."""

from __future__ import annotations

import io
from struct import pack

import pytest
from hypothesis import given, settings, strategies as st

from isocenter.errors import Malformed
from isocenter.imaging.mp4 import Playable, playable
from made_videos import COLUMNS, H264, HEVC, MPEG2, ROWS, stream


class File(io.BytesIO):
    """Bytes that can be sought in."""

    @property
    def size(self) -> int:
        return len(self.getvalue())


def box(kind: bytes, content: bytes = b"") -> bytes:
    return pack(">I4s", 8 + len(content), kind) + content


ORDERED = stream(is_in_order=True, frames=5)


@pytest.mark.parametrize("syntax", [H264, HEVC])
def test_an_ordered_file_of_a_known_coding_is_playable(syntax: str) -> None:
    data = stream(syntax, is_in_order=True, frames=5, has_sound=True)

    assert playable(File(data)) == Playable(len(data), COLUMNS, ROWS)


@pytest.mark.parametrize("padding", [b"\0", b"\0" * 7, b"\0" * 8, b"\0" * 400])
def test_what_makes_the_length_even_is_no_part_of_it(padding: bytes) -> None:
    found = playable(File(ORDERED + padding))

    assert found is not None
    assert found.size == len(ORDERED)


@pytest.mark.parametrize(
    "data",
    [
        stream(frames=5),  # its index comes last
        stream(MPEG2, "mp4", frames=5),
        stream(HEVC, frames=5),  # tagged hev1
        ORDERED + box(b"moof"),
        ORDERED.replace(b"vide", b"soun", 1),
        ORDERED.replace(b"ftyp", b"free", 1),
        ORDERED.replace(b"avcC\x01\x64", b"avcC\x01\x7a", 1),  # High 4:2:2
        b"",
        box(b"ftyp"),
        box(b"ftyp") + box(b"moov") + box(b"mdat"),
    ],
)
def test_others_are_not(data: bytes) -> None:
    assert playable(File(data)) is None


def test_boxes_of_64_bit_sizes_and_up_to_the_end_are_understood() -> None:
    at = ORDERED.index(b"mdat") - 4
    large = ORDERED[:at] + pack(">I4sQ", 1, b"mdat", len(ORDERED) - at + 8) + ORDERED[at + 8 :]
    endless = ORDERED[:at] + pack(">I", 0) + ORDERED[at + 4 :]

    for data in (large, endless):
        found = playable(File(data))
        assert found is not None
        assert found.size == len(data)


@pytest.mark.parametrize("data", [ORDERED[:-1], ORDERED[:200], box(b"ftyp") * 10_001])
def test_a_file_that_ends_amid_a_box_or_never_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        playable(File(data))


@settings(max_examples=300)
@given(st.data())
def test_broken_files_are_refused_or_left_alone(data: st.DataObject) -> None:
    broken = bytearray(ORDERED[: data.draw(st.integers(0, 1200))])
    for _ in range(data.draw(st.integers(0, 8))):
        if broken:
            broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = playable(File(bytes(broken)))
    except Malformed:
        return
    assert found is None or found.size <= len(broken)
