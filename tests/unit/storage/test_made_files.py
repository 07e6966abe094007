"""Files that were made: bounded, and gone with what they were made of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from isocenter.errors import Unavailable
from isocenter.storage.made_files import MadeFiles

HOUR = 3600.0


def make(files: MadeFiles, group: str, name: str, size: int = 100, age: float = 0.0) -> None:
    draft = files.draft(group)
    draft.write_bytes(name.encode() * size)
    files.keep(draft, group, name)
    if age:
        path = max(files.folder.glob("*/*"), key=lambda each: each.stat().st_mtime)
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))


@pytest.fixture
def files(tmp_path: Path) -> MadeFiles:
    return MadeFiles(tmp_path / "made", 1000)


def test_what_was_kept_is_found(files: MadeFiles) -> None:
    make(files, "study", "x")

    found = files.open("study", "x")

    assert found is not None
    assert bytes(found.window(10, 20)) == b"x" * 10
    assert files.open("study", "y") is None
    assert files.open("other", "x") is None


def test_what_was_not_used_for_the_longest_time_goes_first(files: MadeFiles) -> None:
    for age, name in ((300, "a"), (200, "b"), (100, "c")):
        make(files, "study", name, 300, age)
    make(files, "other", "d", 300)

    assert files.open("study", "a") is None
    assert all(files.open("study", name) for name in "bc")
    assert files.open("other", "d")


def test_it_counts_when_it_was_last_used(files: MadeFiles) -> None:
    for age, name in ((3 * HOUR, "a"), (2 * HOUR, "b")):
        make(files, "study", name, 400, age)
    assert files.open("study", "a")
    make(files, "study", "c", 400)

    assert files.open("study", "a")
    assert files.open("study", "b") is None


def test_whoever_reads_goes_on_when_it_is_removed(files: MadeFiles) -> None:
    make(files, "study", "x")
    found = files.open("study", "x")
    assert found is not None

    files.forget("study")

    assert bytes(found.window(0, 100)) == b"x" * 100
    assert files.open("study", "x") is None
    files.forget("study")


def test_drafts_that_nobody_finished_go_in_time(files: MadeFiles) -> None:
    old, new = files.draft("study"), files.draft("study")
    for each in (old, new):
        each.write_bytes(b"half")
    os.utime(old, (0, 0))

    make(files, "study", "x")

    assert not old.exists()
    assert new.exists()


def test_what_was_removed_meanwhile_is_not_kept(files: MadeFiles) -> None:
    draft = files.draft("study")
    files.forget("study")

    with pytest.raises(Unavailable):
        files.keep(draft, "study", "x")
