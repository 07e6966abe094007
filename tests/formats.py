"""Try every codec on real files beside other programs; note what proved it.

``python tests/formats.py`` writes ``tests/data/formats.json``, from which ``tools/reference.py``
draws the table of formats. It uses the files of pydicom and of the corpus, where that is there, and
DCMTK for what pydicom does not decode.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pydicom

from corpus_files import name, paths
from isocenter.dicom import part10
from isocenter.dicom.syntax import EXPLICIT_VR_LITTLE_ENDIAN
from isocenter.errors import IsocenterError
from isocenter.imaging.codecs import CODECS
from transcoded import Transcoder, pixels, transcoder

OUT: Final = Path(__file__).parent / "data" / "formats.json"
SAMPLES: Final = ("CT_small.dcm", "MR_small.dcm", "SC_rgb_small_odd.dcm")
LARGEST: Final = 20 << 20
Proof = dict[str, str]


def by_others(data: bytes) -> tuple[str, Any]:
    """The pixels of a file, and the program that decoded them."""
    if (found := pixels(data)) is not None:
        return "pydicom", found
    for tool in ("dcmdjpeg", "dcmdjpls"):
        program = shutil.which(tool, path="/usr/bin")
        if program is None:
            continue
        with tempfile.TemporaryDirectory() as folder:
            given, made = Path(folder, "given"), Path(folder, "made")
            given.write_bytes(data)
            options = ["+cn"] if tool == "dcmdjpeg" else []
            subprocess.run([program, *options, given, made], check=False, capture_output=True)
            if made.exists():
                return f"DCMTK {tool}", pixels(made.read_bytes())
    return "", None


def files() -> Iterator[tuple[str, Path]]:
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    for path in sorted(folder.rglob("*.dcm"), key=lambda path: path.stat().st_size):
        yield f"pydicom: {path.name}", path
    for path in sorted(paths(), key=lambda path: path.stat().st_size):
        if not name(path).startswith("malformed/") and path.stat().st_size < LARGEST:
            yield f"corpus: {name(path)}", path


def decoded(transcode: Transcoder) -> dict[str, Proof]:
    """For each transfer syntax, a file that was decoded as another program decodes it."""
    found: dict[str, Proof] = {}
    for label, path in files():
        data = path.read_bytes()
        try:
            uid = part10.read(data).syntax.uid
        except IsocenterError:
            continue
        if uid not in CODECS or found.get(uid, {}).get("by"):
            continue
        proof = _decoded(transcode, data)
        if proof is not None and (proof or uid not in found):
            found[uid] = {"file": label, "by": proof}
    return found


def _decoded(transcode: Transcoder, data: bytes) -> str | None:
    """Who agrees; nobody, where others cannot decode it; None, where we cannot or differ."""
    try:
        made = pixels(transcode(data, EXPLICIT_VR_LITTLE_ENDIAN))
    except IsocenterError:
        return None
    if made is None:
        return None
    by, expected = by_others(data)
    if expected is None:
        return ""
    is_same = made.shape == expected.shape and _difference(made, expected) <= 1
    return by if is_same else None


def _difference(one: Any, other: Any) -> int:
    return int(np.abs(one.astype(np.int64) - other.astype(np.int64)).max())


def encoded(transcode: Transcoder) -> dict[str, Proof]:
    """For each transfer syntax, a file that was encoded, and who decodes it."""
    found: dict[str, Proof] = {}
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    for uid, codec in CODECS.items():
        for sample in SAMPLES:
            data = (folder / sample).read_bytes()
            if codec.encode is None or uid in found:
                continue
            try:
                made = transcode(data, uid, is_loss_allowed=True)
            except IsocenterError:
                continue
            by, seen = by_others(made)
            if seen is None:
                by, seen = "itself", pixels(transcode(made, EXPLICIT_VR_LITTLE_ENDIAN))
            if codec.is_lossy or np.array_equal(seen, pixels(data)):
                found[uid] = {"file": f"pydicom: {sample}", "by": by}
    return found


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, transcoder(Path(folder)) as transcode:
        proofs = {"decoded": decoded(transcode), "encoded": encoded(transcode)}
    OUT.write_text(json.dumps(proofs, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
