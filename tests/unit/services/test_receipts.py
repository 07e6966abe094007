"""Notes of what was sent: only the same file, unchanged, to the same peer is left out."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from isocenter.archive.media import Found
from isocenter.services.receipts import Receipts

PEER = "ARCHIVE@pacs:104"
FILE = Found("/images/a b\n\u00e9.dcm", 1000, 1_700_000_000_000_000_001, lambda: BytesIO(b""))


def noted(path: Path, peer: str = PEER) -> Receipts:
    return Receipts(path, peer)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    path = tmp_path / "sent"
    receipts = noted(path)
    receipts.note(FILE, "1.2.3")
    receipts.close()
    return path


def test_what_was_noted_is_known_to_the_next_run(notes: Path) -> None:
    receipts = noted(notes)

    assert receipts.has(FILE)
    receipts.close()


@pytest.mark.parametrize(
    "other", [{"name": "/images/b.dcm"}, {"size": 1001}, {"modified": FILE.modified + 1}]
)
def test_another_or_changed_file_is_not(notes: Path, other: dict[str, int]) -> None:
    receipts = noted(notes)

    assert not receipts.has(replace(FILE, **other))
    receipts.close()


def test_another_peer_has_not_got_it(notes: Path) -> None:
    receipts = noted(notes, "OTHER@pacs:104")

    assert not receipts.has(FILE)
    receipts.close()


def test_a_line_that_was_cut_short_counts_as_not_there(notes: Path) -> None:
    notes.write_bytes(notes.read_bytes()[:-5])

    receipts = noted(notes)
    assert not receipts.has(FILE)
    receipts.note(FILE, "1.2.3")
    receipts.close()

    again = noted(notes)
    assert again.has(FILE)
    again.close()


@pytest.mark.parametrize("garbage", [b"\0\xff\xfe", b"[]\n", b"{}\n", b"null\n", b'{"peer": 1}\n'])
def test_what_is_no_note_is_passed_over(notes: Path, garbage: bytes) -> None:
    notes.write_bytes(garbage + b"\n" + notes.read_bytes())

    receipts = noted(notes)

    assert receipts.has(FILE)
    receipts.close()
