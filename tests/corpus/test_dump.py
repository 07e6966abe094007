"""Every file of the corpus, told by ``isocenter dump`` and made again by ``isocenter undump``."""

from base64 import b64decode, b64encode

import pytest
import typer
from typer.testing import CliRunner

from corpus_files import REASON, ROOT, name, paths
from isocenter.cli.dump import dump
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
