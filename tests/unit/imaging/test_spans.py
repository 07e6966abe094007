"""Parts of files, read as one."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from isocenter.dicom.opened import FileReader
from isocenter.errors import Unavailable
from isocenter.imaging.spans import SpanFile, Spans

CONTENT = bytes(range(256)) * 3


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("spans") / "file"
    path.write_bytes(b"head" + CONTENT)
    return str(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.integers(0, len(CONTENT)), min_size=2, max_size=12).map(sorted),
    moves=st.lists(st.tuples(st.integers(-20, 900), st.integers(0, 2), st.integers(-1, 900))),
)
def test_spans_are_read_as_a_file_of_their_bytes(
    file: str, cuts: list[int], moves: list[tuple[int, int, int]]
) -> None:
    bounds = cuts[: len(cuts) // 2 * 2]
    joined = b"".join(
        CONTENT[start:end] for start, end in zip(bounds[::2], bounds[1::2], strict=True)
    )
    expected = io.BytesIO(joined)

    spans = Spans.of(file, bounds, 4)
    with SpanFile(spans) as found:
        assert spans.size == found.size == len(joined)
        assert found.seekable()
        for offset, whence, size in moves:
            place = (0, expected.tell(), len(joined))[whence] + offset
            expected.seek(min(max(place, 0), len(joined)))
            assert found.seek(offset, whence) == expected.tell()
            assert found.read(size) == expected.read(size)
            assert found.tell() == expected.tell()


def test_a_file_that_is_gone_cannot_be_read_now() -> None:
    with pytest.raises(Unavailable):
        SpanFile(Spans.of("/nowhere/at/all", [0, 1], 0))


def test_a_file_that_is_cut_short_ends_there(file: str) -> None:
    with SpanFile(Spans.of(file, [len(CONTENT) - 2, len(CONTENT) + 10], 4)) as found:
        assert found.read() == CONTENT[-2:]


def test_a_data_set_is_read_window_by_window(file: str) -> None:
    with Path(file).open("rb") as opened:
        reader = FileReader(opened, 4)

        assert reader.size == len(CONTENT)
        assert bytes(reader.window(10, 20)) == CONTENT[10:20]
        assert bytes(reader.window(len(CONTENT) - 3, len(CONTENT) + 9)) == CONTENT[-3:]
        assert not reader.window(20, 10)
