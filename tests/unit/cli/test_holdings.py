"""The commands on a data folder, as a person or a script calls them."""

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from isocenter.cli import main
from isocenter.cli.output import printable
from isocenter.storage.lock import FolderLock
from made_instances import image, part10
from made_pictures import grey, ramp


class Isocenter:
    """Runs the program in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str | Path, expect: int = 0) -> tuple[str, str]:
        self._patch.setattr("sys.argv", ["isocenter", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = self._capsys.readouterr()
        assert (ended.value.code or 0) == expect, said
        return said.out, said.err


@pytest.fixture
def isocenter(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Isocenter:
    monkeypatch.setenv("ISOCENTER_DATA", str(tmp_path / "data"))
    return Isocenter(monkeypatch, capsys)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for uid in ("1.1", "1.2"):
        (folder / f"{uid}.dcm").write_bytes(part10(image(uid)))
    return folder


def test_what_goes_in_comes_out_is_sound_and_can_be_removed(
    isocenter: Isocenter, source: Path, tmp_path: Path
) -> None:
    assert isocenter("import", source)[0] == "2 stored\n"
    assert isocenter("verify")[0] == "2 sound, 0 faulty\n"
    assert isocenter("reindex")[0] == "2 entered, 0 faulty\n"
    out = tmp_path / "out"
    assert isocenter("export", "--study", "1.2", "--out", out)[0] == "2 exported, 0 failed\n"
    assert len(list(out.rglob("*.dcm"))) == 2
    said, _ = isocenter("remove", "--study", "1.2", "--reason", "blurred", "--yes")
    number = said.split("`")[1].split()[-1]
    assert said == f"2 removed; `isocenter restore {number}` puts them back\n"
    assert isocenter("verify")[0] == "0 sound, 0 faulty\n"
    listed, _ = isocenter("removed")
    assert listed.split("\t")[0] == number
    assert listed.rstrip().endswith("blurred")
    assert isocenter("restore", number)[0] == "2 put back\n"
    assert isocenter("verify")[0] == "2 sound, 0 faulty\n"
    said, _ = isocenter("remove", "--study", "1.2", "--yes", "--now")
    assert said == "2 removed\n"
    assert "deleted" in isocenter("removed")[0].splitlines()[-1]
    assert isocenter("verify")[0] == "0 sound, 0 faulty\n"


def test_what_was_removed_can_be_deleted_before_its_time(
    isocenter: Isocenter, source: Path
) -> None:
    isocenter("import", source)
    number = isocenter("remove", "--study", "1.2", "--yes")[0].split("`")[1].split()[-1]

    assert isocenter("purge", number, "--yes")[0] == "2 deleted for good\n"

    assert isocenter("purge", number, "--yes")[0] == "deleted already\n"
    assert "no such removal" in isocenter("purge", "987654", "--yes", expect=1)[1]
    assert "nothing can be put back" in isocenter("restore", number, expect=1)[1]


def test_what_was_refused_is_told_and_is_a_failure(isocenter: Isocenter, source: Path) -> None:
    (source / "x\x1b[2J.dcm").write_bytes(b"no image" * 50)

    out, err = isocenter("import", source, expect=1)

    assert "2 stored" in out
    assert "1 refused" in out
    assert "\x1b" not in err


@pytest.mark.parametrize(
    "command", [["verify"], ["export", "--study", "1", "--out", "x"], ["reindex"]]
)
def test_a_mistyped_folder_is_told_and_not_made(
    isocenter: Isocenter, tmp_path: Path, command: list[str]
) -> None:
    _, err = isocenter(*command, "--data", tmp_path / "mistyped", expect=1)

    assert err.count("\n") == 1
    assert "there is no archive" in err
    assert not (tmp_path / "mistyped").exists()


def test_a_folder_in_use_is_told(isocenter: Isocenter, source: Path, tmp_path: Path) -> None:
    with FolderLock(tmp_path / "data"):
        _, err = isocenter("import", source, expect=1)
        _, of_removal = isocenter("restore", "1", expect=1)

    assert err.count("\n") == of_removal.count("\n") == 1
    assert "in use" in err
    assert "/administration/removed" in of_removal


def test_a_lost_index_is_told(isocenter: Isocenter, source: Path, tmp_path: Path) -> None:
    isocenter("import", source)
    for path in (tmp_path / "data").glob("index.sqlite*"):
        path.unlink()

    _, err = isocenter("import", source, expect=1)

    assert "run isocenter reindex" in err


def test_a_damaged_blob_is_a_failure(isocenter: Isocenter, source: Path, tmp_path: Path) -> None:
    isocenter("import", source)
    blob = next(path for path in (tmp_path / "data" / "blobs").rglob("*") if path.is_file())
    blob.write_bytes(blob.read_bytes()[:-1] + b"!")

    out, err = isocenter("verify", expect=1)

    assert out == "1 sound, 1 faulty\n"
    assert "not what was stored" in err


def test_nothing_is_removed_unless_something_is_named(isocenter: Isocenter) -> None:
    isocenter("remove", "--yes", expect=2)


@given(st.text())
def test_no_name_makes_a_terminal_do_anything(text: str) -> None:
    assert printable(text).isprintable() or not text
    printable(text).encode("utf-8")


def test_one_of_two_patients_with_the_same_id_is_told_by_the_issuer(
    isocenter: Isocenter, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number, issuer in enumerate(("NORTH", "SOUTH")):
        study = {"StudyInstanceUID": f"9.{number}", "SeriesInstanceUID": f"9.{number}.1"}
        dataset = image(f"9.{number}.1.1", IssuerOfPatientID=issuer, **study)
        (source / issuer).write_bytes(part10(dataset))
    isocenter("import", source)
    out = tmp_path / "out"

    _, err = isocenter("export", "--patient", "P1", "--out", out, expect=1)
    said, _ = isocenter("export", "--patient", "P1", "--issuer", "NORTH", "--out", out)

    assert "name its issuer" in err
    assert said == "1 exported, 0 failed\n"
    assert [path.name for path in out.iterdir()] == ["9.0"]
    removed = isocenter("remove", "--patient", "P1", "--issuer", "SOUTH", "--yes")[0]
    assert removed.startswith("1 removed; `isocenter restore ")
    isocenter("remove", "--issuer", "NORTH", "--yes", expect=2)


def test_compressing_says_what_it_would_save_and_then_saves_it(
    isocenter: Isocenter, tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for uid in ("1.1", "1.2"):
        (folder / uid).write_bytes(part10(grey(ramp(64, 64), uid)))
    report = image("1.3")
    del report.PixelData
    (folder / "1.3").write_bytes(part10(report))
    isocenter("import", folder)
    blobs = tmp_path / "data" / "blobs"
    before = sorted(blobs.rglob("*"))

    tried = isocenter("compress", "--to", "jpeg-ls", "--dry-run")[0]
    untouched = sorted(blobs.rglob("*"))
    said = isocenter("compress", "--to", "jpeg-ls")[0]

    assert untouched == before
    assert tried.splitlines()[0] == said.splitlines()[0] == "2 compressed"
    assert "would become" in tried
    assert "became" in said
    assert sum(each.is_file() for each in blobs.rglob("*")) == 3
    assert isocenter("verify")[0] == "3 sound, 0 faulty\n"
    assert isocenter("import", folder)[0] == "3 already there\n"
    assert "compressed" not in isocenter("compress", "--to", "rle")[0].replace("not compressed", "")


def test_compressing_needs_to_be_told_into_what(isocenter: Isocenter, source: Path) -> None:
    isocenter("import", source)

    assert "--to" in isocenter("compress", expect=1)[1]
