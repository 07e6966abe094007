"""``isocenter dump`` in the models, and ``isocenter undump`` back."""

import json
import os
import re
import time
from pathlib import Path

import pydicom
import pytest
import typer
from pydicom.data import get_testdata_file
from typer.testing import CliRunner, Result

from isocenter.cli.dump import dump
from isocenter.cli.undump import undump
from isocenter.dicom.file_bulk import fetch
from isocenter.dicom.xml_model import NAMESPACE
from isocenter.errors import Conflict, IsocenterError, Malformed, NotFound, Unsupported

program = typer.Typer()
program.command("dump")(dump)
program.command("undump")(undump)

JPEG = get_testdata_file("SC_rgb_jpeg_dcmtk.dcm")
CT = get_testdata_file("CT_small.dcm")
BIG_ENDIAN = get_testdata_file("MR_small_bigendian.dcm")
DEFLATED = get_testdata_file("image_dfl.dcm")


def run(*arguments: object, given: bytes | None = None) -> Result:
    return CliRunner().invoke(program, [str(each) for each in arguments], input=given)


def back(tmp_path: Path, model: bytes, *options: object) -> Path:
    """Make a file of a model."""
    made = tmp_path / "made.dcm"
    done = run("undump", "-", made, *options, given=model)
    assert done.exit_code == 0, done.exception
    return made


@pytest.mark.parametrize("path", [JPEG, CT, BIG_ENDIAN, DEFLATED], ids=os.path.basename)
@pytest.mark.parametrize("how", [("--json",), ("--json", "--inline"), ("--xml",)], ids=str)
def test_pydicom_reads_the_same_before_and_after(
    path: str, how: tuple[str], tmp_path: Path
) -> None:
    before = pydicom.dcmread(path)

    after = pydicom.dcmread(back(tmp_path, run("dump", *how, path).stdout_bytes))

    assert after.file_meta.TransferSyntaxUID == before.file_meta.TransferSyntaxUID
    assert after.file_meta.MediaStorageSOPInstanceUID == before.SOPInstanceUID
    assert after.PixelData == before.PixelData
    for dataset in (before, after):
        for tag in [tag for tag in dataset.keys() if not tag.elem or tag == 0x00080005]:  # noqa: SIM118
            del dataset[tag]
    assert after == before


def test_large_values_are_named_by_where_they_are(tmp_path: Path) -> None:
    model = json.loads(run("dump", "--json", CT).stdout)

    uri = model["7FE00010"]["BulkDataURI"]

    assert uri.startswith("file:///")
    value = b"".join(fetch(uri, tmp_path).pieces())
    assert value == pydicom.dcmread(CT).PixelData


def test_words_of_a_big_endian_file_are_named_as_such(tmp_path: Path) -> None:
    model = json.loads(run("dump", "--json", BIG_ENDIAN).stdout)

    value = b"".join(fetch(model["7FE00010"]["BulkDataURI"], tmp_path).pieces())

    little = pydicom.dcmread(get_testdata_file("MR_small.dcm"))
    assert value == little.PixelData


def test_the_file_meta_information_is_told() -> None:
    model = json.loads(run("dump", "--json", JPEG).stdout)

    assert model["00020010"] == {"vr": "UI", "Value": ["1.2.840.10008.1.2.4.50"]}


def test_several_files_are_an_array_and_become_files_in_a_folder(tmp_path: Path) -> None:
    dumped = run("dump", "--json", CT, JPEG).stdout_bytes

    done = run("undump", "-", tmp_path / "made", given=dumped)

    assert done.exit_code == 0
    uids = {pydicom.dcmread(path).SOPInstanceUID for path in (CT, JPEG)}
    assert {path.name for path in (tmp_path / "made").iterdir()} == {f"{uid}.dcm" for uid in uids}


def test_a_file_that_cannot_be_read_whole_leaves_nothing_behind(tmp_path: Path) -> None:
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(Path(CT).read_bytes()[:5000])

    alone, amid = run("dump", "--json", cut), run("dump", "--json", CT, cut, CT)

    assert (alone.exit_code, alone.stdout) == (1, "")
    assert "cut short" in alone.stderr
    assert amid.exit_code == 1
    assert len(json.loads(amid.stdout)) == 2


def test_an_xml_document_holds_one_data_set() -> None:
    assert run("dump", "--xml", CT, JPEG).exit_code == 2
    assert run("dump", "--xml", "--json", CT).exit_code == 2
    assert NAMESPACE in run("dump", "--xml", CT).stdout


@pytest.mark.parametrize("named", ["1.2.840.10008.1.2", "implicit vr little endian"])
def test_the_transfer_syntax_may_be_chosen(named: str, tmp_path: Path) -> None:
    made = back(tmp_path, run("dump", "--json", CT).stdout_bytes, "--transfer-syntax", named)

    read = pydicom.dcmread(made)

    assert read.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2"
    assert read.PixelData == pydicom.dcmread(CT).PixelData


def refused(model: object, *options: object, target: object = "made.dcm") -> BaseException | None:
    done = run("undump", "-", target, *options, given=json.dumps(model).encode())
    assert done.exit_code == 1
    return done.exception


def test_what_cannot_be_made_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "made.dcm"
    jpeg = json.loads(run("dump", "--json", JPEG).stdout)
    plain = {"00080060": {"vr": "CS", "Value": ["CT"]}}

    def refuse(model: object, *options: object) -> BaseException | None:
        return refused(model, *options, target=target)

    assert isinstance(refuse(jpeg, "--transfer-syntax", "1.2.840.10008.1.2"), Unsupported)
    assert isinstance(refuse(plain, "--transfer-syntax", "no such thing"), Unsupported)
    assert isinstance(refuse({"00041220": {"vr": "SQ"}}), Unsupported)
    assert isinstance(refuse({"00280010": {"vr": "US", "Value": ["x"]}}), Malformed)
    assert isinstance(refuse("nonsense"), Malformed)
    assert isinstance(refuse([5]), Malformed)
    for uri in ("https://there/bulk", "file://elsewhere/x"):
        bulk = {"00420011": {"vr": "OB", "BulkDataURI": uri}}
        assert isinstance(refuse(bulk), Unsupported)
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_over_unless_asked(tmp_path: Path) -> None:
    target = tmp_path / "made.dcm"
    target.write_bytes(b"precious")
    plain = {"00080060": {"vr": "CS", "Value": ["CT"]}}

    assert isinstance(refused(plain, target=target), Conflict)
    assert target.read_bytes() == b"precious"
    assert back(tmp_path, json.dumps(plain).encode(), "--force").read_bytes() != b"precious"


def test_a_file_may_be_made_over_the_one_its_values_are_in(tmp_path: Path) -> None:
    target = tmp_path / "made.dcm"
    target.write_bytes(Path(CT).read_bytes())

    made = back(tmp_path, run("dump", "--json", target).stdout_bytes, "--force")

    assert pydicom.dcmread(made).PixelData == pydicom.dcmread(CT).PixelData


def test_names_of_files_are_never_taken_from_a_strangers_text(tmp_path: Path) -> None:
    for uid in ("../../evil", "..", "", "1/2", "x"):
        models = [{"00080018": {"vr": "UI", "Value": [uid]}}] * 2
        assert isinstance(refused(models, target=tmp_path / "made"), Malformed)

    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes here")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    done = run("undump", "-", pipe, given=b'{"00080060":{"vr":"CS","Value":["CT"]}}')

    assert done.exit_code == 0
    assert os.read(reader, 1000)[128:132] == b"DICM"
    assert pipe.is_fifo()
    os.close(reader)


@pytest.mark.parametrize(
    ("uri", "error"),
    [
        ("file:///no/such/file?offset=0&length=1", NotFound),
        ("no-such-file", NotFound),
        ("%00", NotFound),
        (".", Malformed),
        ("value?offset=x", Malformed),
        ("value?length=-1", Malformed),
        ("value?offset=0&length=99", Malformed),
        ("value?offset=9", Malformed),
        ("value?swap=3", Malformed),
        ("value?offset=99999999999999999999", Malformed),
        ("http://host/value", Unsupported),
    ],
)
def test_a_uri_that_names_no_part_of_a_file_is_refused(
    uri: str, error: type[IsocenterError], tmp_path: Path
) -> None:
    (tmp_path / "value").write_bytes(b"12345678")

    with pytest.raises(error):
        fetch(uri, tmp_path)


def test_a_relative_uri_is_looked_up_beside_the_model(tmp_path: Path) -> None:
    (tmp_path / "a value").write_bytes(b"12345678")

    assert b"".join(fetch("a%20value", tmp_path).pieces()) == b"12345678"
    assert b"".join(fetch("a%20value?offset=2&length=3", tmp_path).pieces()) == b"345"
    assert b"".join(fetch("file:a%20value?offset=4&swap=4", tmp_path).pieces()) == b"8765"


def test_a_dump_tells_names_and_what_the_pixel_data_holds() -> None:
    lines = run("dump", JPEG).stdout.splitlines()

    assert any(line.endswith("JPEG Baseline (Process 1)  # 22") for line in lines)
    assert any(
        line.startswith("# data set in JPEG Baseline (Process 1), at byte") for line in lines
    )
    assert "  1 frame" in lines
    assert "  JPEG, baseline, 100 by 100, 3 components of 8 bits" in lines
    assert not any("\x1b" in line for line in lines)


def test_a_file_that_breaks_is_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(Path(CT).read_bytes()[:20_000])

    done = run("dump", cut)

    assert done.exit_code == 1
    assert "cut short" in done.stderr
    assert "PixelRepresentation" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("! a value of 32768 bytes is cut short")
    assert re.search(r"PixelData .* # [0-9]+ of 32768", done.stdout)


def test_what_is_behind_the_pixel_data_is_shown(tmp_path: Path) -> None:
    for path, behind in ((JPEG, "undefined"), (CT, "32768")):
        image = pydicom.dcmread(path)
        image.add_new(0xFFFCFFFC, "OB", b"\0\0")
        image.add_new(0x7FE10010, "LO", "Somebody")
        image.save_as(tmp_path / "more.dcm")

        lines = run("dump", tmp_path / "more.dcm").stdout.splitlines()

        assert any("PixelData" in line and line.endswith(f"# {behind}") for line in lines)
        assert lines[-2].split()[-3:] == ["Somebody", "#", "8"]
        assert "DataSetTrailingPadding" in lines[-1]


def test_a_large_file_is_dumped_without_reading_its_pixels(tmp_path: Path) -> None:
    """14 GB, in 56,000 fragments: a hole with headers of items in it."""
    image = pydicom.dcmread(JPEG)
    image.NumberOfFrames = frames = 56_000
    image.save_as(tmp_path / "large.dcm")
    path = tmp_path / "large.dcm"
    start = path.read_bytes().index(bytes.fromhex("e07f1000")) + 12
    with path.open("r+b") as file:
        file.seek(start)
        file.write(bytes.fromhex("feff00e000000000"))
        for number in range(frames):
            file.seek(start + 8 + number * 250_008)
            file.write(bytes.fromhex("feff00e0") + (250_000).to_bytes(4, "little"))
        file.seek(start + 8 + frames * 250_008)
        file.write(bytes.fromhex("feffdde000000000"))

    before = time.process_time()
    lines = run("dump", path).stdout.splitlines()

    assert "  56000 frames" in lines
    assert lines[-1] == "  … and 55996 more"
    assert time.process_time() - before < 5  # a second when nothing else runs
