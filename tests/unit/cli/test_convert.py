"""``isocenter convert``: what is written, and what is told of the rest."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import typer
from pydicom.data import get_testdata_file
from typer.testing import CliRunner

from isocenter.cli.convert import convert
from isocenter.cli.network import FAILED
from isocenter.dicom.syntax import lookup
from isocenter.errors import Unsupported
from isocenter.imaging.targets import NAMES, target_named

program = typer.Typer()
program.command("convert")(convert)
program.command("other")(lambda: None)


def run(*arguments: object) -> Any:
    return CliRunner().invoke(program, ["convert", *map(str, arguments)])


def sample(name: str) -> Path:
    found = get_testdata_file(name, download=False)
    assert isinstance(found, str)
    return Path(found)


def test_a_file_becomes_a_file(tmp_path: Path) -> None:
    out = tmp_path / "out.dcm"

    done = run(sample("MR_small.dcm"), out, "--to", "jpeg-ls")

    assert done.exit_code == 0
    assert "1 converted" in done.stderr
    made = pydicom.dcmread(out)
    assert made.file_meta.TransferSyntaxUID == NAMES["jpeg-ls"]
    original = pydicom.dcmread(sample("MR_small.dcm"))
    assert made.SOPInstanceUID == original.SOPInstanceUID
    assert np.array_equal(made.pixel_array, original.pixel_array)


def test_a_folder_becomes_a_folder_and_what_fails_is_told(tmp_path: Path) -> None:
    source = tmp_path / "in" / "deep"
    source.mkdir(parents=True)
    (source / "rle.dcm").write_bytes(sample("MR_small_RLE.dcm").read_bytes())
    (source / "plain.dcm").write_bytes(sample("MR_small.dcm").read_bytes())
    (source / "report.dcm").write_bytes(sample("reportsi.dcm").read_bytes())
    (source / "letter.txt").write_text("no DICOM file")
    out = tmp_path / "out"

    done = run(tmp_path / "in", out, "--to", "RLELossless")

    assert done.exit_code == FAILED
    assert "letter.txt" in done.stderr
    assert "1 copied" in done.stderr
    assert "1 without pixels" in done.stderr
    made = {path.name: pydicom.dcmread(path) for path in (out / "deep").iterdir()}
    syntaxes = {name: each.file_meta.TransferSyntaxUID.name for name, each in made.items()}
    assert syntaxes == {
        "rle.dcm": "RLE Lossless",
        "plain.dcm": "RLE Lossless",
        "report.dcm": "Explicit VR Little Endian",
    }
    assert (out / "deep" / "rle.dcm").read_bytes() == (source / "rle.dcm").read_bytes()


def test_a_zip_archive_is_written_as_files_and_none_leaves_the_folder(tmp_path: Path) -> None:
    source = tmp_path / "in.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.write(sample("MR_small.dcm"), "../../a/one.dcm")

    done = run(source, tmp_path / "out", "--to", "implicit")

    assert done.exit_code == 0
    (made,) = (path for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert made.name == "one.dcm"


def test_what_is_there_stays_unless_it_may_be_written_over(tmp_path: Path) -> None:
    out = tmp_path / "out.dcm"
    out.write_text("precious")

    refused = run(sample("MR_small.dcm"), out, "--to", "rle")
    assert refused.exit_code == FAILED
    assert "--force" in refused.stderr
    assert out.read_text() == "precious"

    assert run(sample("MR_small.dcm"), out, "--to", "rle", "--force").exit_code == 0
    assert pydicom.dcmread(out).file_meta.TransferSyntaxUID.name == "RLE Lossless"


def test_with_loss_it_is_another_instance(tmp_path: Path) -> None:
    out = tmp_path / "out.dcm"

    run(sample("MR_small.dcm"), out, "--to", "htj2k-lossy")

    made, original = pydicom.dcmread(out), pydicom.dcmread(sample("MR_small.dcm"))
    assert made.SOPInstanceUID != original.SOPInstanceUID
    assert made.file_meta.MediaStorageSOPInstanceUID == made.SOPInstanceUID
    assert made.LossyImageCompressionMethod == "ISO_15444_15"
    assert made.SourceImageSequence[0].ReferencedSOPInstanceUID == original.SOPInstanceUID


def test_nothing_is_left_of_what_fails(tmp_path: Path) -> None:
    source = tmp_path / "in.dcm"
    data = sample("MR_small_RLE.dcm").read_bytes()
    source.write_bytes(data[:-2000])
    (tmp_path / "out").mkdir()

    done = run(source, tmp_path / "out" / "made.dcm", "--to", "explicit")

    assert done.exit_code == FAILED
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("name", ["htj2k", "HTJ2KLossless", "1.2.840.10008.1.2.4.201"])
def test_a_transfer_syntax_has_several_names(name: str) -> None:
    assert target_named(name) == lookup("1.2.840.10008.1.2.4.201")


def test_what_is_no_transfer_syntax_is_refused() -> None:
    with pytest.raises(Unsupported, match="called"):
        target_named("zip")
