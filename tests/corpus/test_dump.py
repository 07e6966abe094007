"""Every file of the corpus, told by ``isocenter dump`` and made again by ``isocenter undump``."""

import os
import re
import shutil
import subprocess
from base64 import b64decode, b64encode

import pytest
import typer
from typer.testing import CliRunner

from corpus_files import REASON, ROOT, name, paths
from isocenter.cli.dump import dump
from isocenter.cli.dumping import file_lines
from isocenter.cli.undump import undump
from isocenter.dicom import part10
from isocenter.dicom.json_model import to_json
from isocenter.dicom.opened import opened
from isocenter.dicom.syntax import EXPLICIT_LE
from isocenter.errors import Malformed, Unsupported

pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason=REASON)

FILES = paths()
# The transfer syntax says otherwise than the pixel data.
MISLABELLED = {
    "malformed/no-header-explicit.dcm",
    "malformed/wrong-transfer-syntax-jpegls-ct.dcm",
}

program = typer.Typer()
program.command("dump")(dump)
program.command("undump")(undump)


def run(*arguments):
    return CliRunner().invoke(program, [str(each) for each in arguments])


def told(path):
    """Give what a file holds: its transfer syntax and its model."""
    with opened(path) as file:
        named = file.header.text(part10.TRANSFER_SYNTAX)
        return named or EXPLICIT_LE.uid, to_json(file.elements())


def rounded(model):
    """Give a model with what has a standard length: binary is even, a DS has 16 characters."""
    return {tag: _rounded(attribute) for tag, attribute in model.items()}


def _rounded(attribute):
    vr, values = attribute["vr"], attribute.get("Value", [])
    if vr == "SQ" and values:
        return {"vr": vr, "Value": [rounded(item) for item in values]}
    if vr == "DS":
        return {"vr": vr, "Value": [_sixteen(each) for each in values]}
    if data := attribute.get("InlineBinary"):
        binary = b64decode(data)
        return {"vr": vr, "InlineBinary": b64encode(binary + bytes(len(binary) % 2)).decode()}
    return attribute


def _sixteen(value):
    return float(f"{value:.13g}") if isinstance(value, float) else value


@pytest.mark.parametrize("how", [("--json",), ("--json", "--inline"), ("--xml",)], ids=str)
@pytest.mark.parametrize("path", FILES, ids=name)
def test_it_comes_back(path, how, tmp_path):
    try:
        syntax, model = told(path)
    except Malformed:
        assert run("dump", *how, path).exit_code == 1
        return
    model_file, back = tmp_path / "model", tmp_path / "back.dcm"

    dumped = run("dump", *how, path)
    model_file.write_bytes(dumped.stdout_bytes)
    made = run("undump", model_file, back)

    assert dumped.exit_code == 0
    if path.name.startswith("DICOMDIR") or "00041220" in model or name(path) in MISLABELLED:
        assert isinstance(made.exception, Unsupported)
        assert not list(tmp_path.glob("*.dcm")) + list(tmp_path.glob(".*"))
        return
    new_syntax, new_model = told(back)
    assert new_syntax == syntax
    assert rounded(new_model) == rounded(model)


LINE = re.compile(r" *\(([0-9a-fA-F]{4}),([0-9a-fA-F]{4})\) (\S\S)")
READ_OTHERWISE = {
    "images/pt/pt-siemens-jpeg-lossless.dcm",  # an icon whose fragments have no delimiter
    "media/dicomdirtests/DICOMDIR-nooffset",  # its last item is cut short
    "rt/rtdose-rle.dcm",  # dcmdump opens no sequence of VR UN
}


def elements_in(lines):
    """Give the tags in a dump and the VRs, outside and inside of sequences, in their order."""
    found = (LINE.match(line) for line in lines)
    tags = ((int(each[1] + each[2], 16), each[3]) for each in found if each)
    # Items and delimiters, and group lengths, which DCMTK may calculate anew.
    return [(tag, vr) for tag, vr in tags if tag >> 16 != 0xFFFE and tag & 0xFFFF]


SOUND = [path for path in FILES if not name(path).startswith("malformed/")]
BROKEN = [path for path in FILES if name(path).startswith("malformed/")]


@pytest.mark.parametrize(
    "path", [path for path in SOUND if name(path) not in READ_OTHERWISE], ids=name
)
def test_dcmdump_lists_the_same_elements(path):
    dcmdump = shutil.which("dcmdump", path="/usr/bin")
    if dcmdump is None:
        assert not os.environ.get("CI"), "DCMTK dcmdump is not installed"
        pytest.skip("DCMTK dcmdump is not installed")
    done = subprocess.run(
        [dcmdump, "-q", path], capture_output=True, encoding="latin-1", timeout=20
    )

    ours = elements_in(file_lines(path, None, None))

    if done.returncode == 0:
        theirs = elements_in(done.stdout.splitlines())
        assert [tag for tag, _ in ours] == [tag for tag, _ in theirs]


@pytest.mark.parametrize("path", BROKEN, ids=name)
def test_what_is_malformed_is_shown_as_far_as_it_goes(path):
    done = run("dump", path)

    assert done.exit_code in (0, 1)
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert ("! " in done.stdout or not done.stdout) >= (done.exit_code == 1)
