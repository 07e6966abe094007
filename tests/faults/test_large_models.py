"""A file of a gigabyte is dumped and made again in little memory."""

import subprocess
import sys
from pathlib import Path

import pytest

from isocenter.dicom import part10
from isocenter.dicom.syntax import EXPLICIT_LE

resource = pytest.importorskip("resource", reason="no limits on memory here")

GIGABYTE = 1 << 30
LIMIT = 200 << 20
"""Bytes of memory that is not a file's: about 70 MiB are taken before anything is read."""
PIXEL_DATA = b"\xe0\x7f\x10\0OW\0\0" + GIGABYTE.to_bytes(4, "little")
PROGRAM = f"""
import resource
resource.setrlimit(resource.RLIMIT_DATA, ({LIMIT}, {LIMIT}))
from isocenter.cli.main import main
main()
"""


def run(*arguments: object, out: Path) -> None:
    """Run one of Isocenter's commands with little memory."""
    with out.open("wb") as file:
        command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
        done = subprocess.run(
            command, stdout=file, stderr=subprocess.PIPE, timeout=100, check=False
        )
    assert done.returncode == 0, done.stderr.decode()


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file with a gigabyte of pixel data, most of it a hole."""
    path = tmp_path / "large.dcm"
    header = part10.header("1.2.840.10008.5.1.4.1.1.7", "1.2.3", EXPLICIT_LE.uid)
    with path.open("wb") as file:
        file.write(header + PIXEL_DATA)
        file.truncate(len(header) + len(PIXEL_DATA) + GIGABYTE)
    return path


@pytest.mark.parametrize("form", ["--json", "--xml"])
def test_a_gigabyte_is_dumped_and_made_again_in_little_memory(
    form: str, large: Path, tmp_path: Path
) -> None:
    model, made = tmp_path / "model", tmp_path / "made.dcm"

    run("dump", form, large, out=model)
    run("undump", model, out=made)

    assert model.stat().st_size < 10_000
    assert made.stat().st_size == large.stat().st_size


@pytest.mark.parametrize("form", ["--json", "--xml"])
def test_a_gigabyte_is_written_inline_in_little_memory(
    form: str, large: Path, tmp_path: Path
) -> None:
    run("dump", form, "--inline", large, out=Path("/dev/null"))


def test_the_limit_is_one() -> None:
    program = PROGRAM.replace("from isocenter.cli.main import main\nmain()", "bytes(1 << 28)")

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)

    assert b"MemoryError" in done.stderr
