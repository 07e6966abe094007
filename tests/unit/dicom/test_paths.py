"""Paths to attributes."""

import pytest
from hypothesis import given, strategies as st

from isocenter.dicom import paths
from isocenter.errors import Malformed


def test_a_path_is_written_as_tags_and_items() -> None:
    assert paths.written((0x7FE00010,)) == "7FE00010"
    assert paths.written((0x54000100, 0, 0x54001010)) == "54000100/0/54001010"


@given(st.lists(st.integers(0, 10**9 - 1), max_size=8), st.lists(st.integers(0, 2**32 - 1)))
def test_what_is_written_is_read(items: list[int], tags: list[int]) -> None:
    steps = [step for pair in zip(tags, items, strict=False) for step in pair]
    path = (*steps, 0x00420011)

    assert paths.parse(paths.written(path)) == path


@given(st.text(max_size=40))
def test_whatever_is_read_is_a_path_or_malformed(text: str) -> None:
    try:
        path = paths.parse(text)
    except Malformed:
        return
    assert paths.written(path).upper() == paths.written(paths.parse(paths.written(path)))


@pytest.mark.parametrize(
    "text",
    [
        *("", "7FE0001", "7FE000100", "54000100/0", "54000100/x/54001010", "0x7FE0001", "٠٠٢٨٠٠١٠"),
        "/".join(["54000100", "0"] * 65) + "/54001010",
    ],
)
def test_what_is_no_path_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        paths.parse(text)
