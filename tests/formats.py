"""Try every codec on real files beside other programs; note what proved it.

``python tests/formats.py`` writes ``tests/data/formats.json``, from which ``tools/reference.py``
draws the table of formats. It uses the files of pydicom and of the corpus, where that is there, and
DCMTK for what pydicom does not decode.
"""

import asyncio
import io
import json
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import imagecodecs
import numpy as np
import pydicom
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID

from corpus_files import name, paths
from isocenter.archive.archive import Archive
from isocenter.archive.rendering import Renderings
from isocenter.config import ArchiveConfig, Config
from isocenter.dicom import part10 as part10_files
from isocenter.dicom.sop_classes import IMAGES
from isocenter.dicom.syntax import EXPLICIT_VR_LITTLE_ENDIAN
from isocenter.dicomweb import routing
from isocenter.errors import IsocenterError
from isocenter.imaging.abilities import images, of_transfer_syntax
from isocenter.imaging.codecs import CODECS
from isocenter.imaging.frames import is_video
from isocenter.imaging.from_files import rendered
from isocenter.imaging.looks import Look
from isocenter.imaging.transcoding import JPEG_XL_RECOMPRESSED
from isocenter.imaging.workers import Workers
from made_instances import part10
from made_pictures import grey, ramp
from transcoded import Transcoder, pixels, transcoder

OUT: Final = Path(__file__).parent / "data" / "formats.json"
SAMPLES: Final = ("CT_small.dcm", "MR_small.dcm", "SC_rgb_small_odd.dcm")
SAMPLES_FOLDER: Final = Path(pydicom.__file__).parent / "data" / "test_files"
RECOMPRESSIBLE: Final = "SC_rgb_jpeg_dcmtk.dcm"
JPEG_BASELINE: Final = "1.2.840.10008.1.2.4.50"
JPEG_XL: Final = "1.2.840.10008.1.2.4.112"
MOST: Final = 5
"""Files of a SOP class that are tried."""
DONE: Final = ("kept", "read", "rendered")
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
    for path in sorted(SAMPLES_FOLDER.rglob("*.dcm"), key=lambda path: path.stat().st_size):
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
            uid = part10_files.read(data).syntax.uid
        except IsocenterError:
            continue
        if is_video(uid) or not of_transfer_syntax(uid).is_decoded or found.get(uid, {}).get("by"):
            continue
        proof = _decoded(transcode, data)
        if proof is not None and (proof or uid not in found):
            found[uid] = {"file": label, "by": proof}
    return {**_decoded_made(transcode), **found}


def _decoded_made(transcode: Transcoder) -> dict[str, Proof]:
    """The same of what was made for the purpose, for transfer syntaxes without a file."""
    found: dict[str, Proof] = {}
    for uid in CODECS:
        for sample in SAMPLES:
            data = (SAMPLES_FOLDER / sample).read_bytes()
            try:
                made = lossy_jpeg_xl(data) if uid == JPEG_XL else None
                made = made or transcode(data, uid, is_loss_allowed=True)
            except IsocenterError:
                continue
            if uid not in found and (proof := _decoded(transcode, made)) is not None:
                found[uid] = {"file": f"made of pydicom: {sample}", "by": proof}
    return found


def lossy_jpeg_xl(data: bytes) -> bytes | None:
    """Make what we do not encode; of 8-bit colours only."""
    image = pydicom.dcmread(io.BytesIO(data))
    if image.get("SamplesPerPixel") != 3:
        return None
    stream = imagecodecs.jpegxl_encode(image.pixel_array, distance=1.0)
    image.PixelData = encapsulate([bytes(stream)])
    image["PixelData"].is_undefined_length = True
    image.file_meta.TransferSyntaxUID = UID(JPEG_BASELINE)  # pydicom writes only what it knows
    out = io.BytesIO()
    image.save_as(out)
    header = part10_files.read(out.getvalue())
    meta = part10_files.header(header.sop_class, header.sop_instance, JPEG_XL)
    return meta + out.getvalue()[header.dataset_offset :]


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
    for uid, codec in CODECS.items():
        for sample in SAMPLES:
            data = (SAMPLES_FOLDER / sample).read_bytes()
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
    if proof := _recompressed(transcode):
        found.setdefault(JPEG_XL_RECOMPRESSED, proof)
    return found


def _recompressed(transcode: Transcoder) -> Proof | None:
    """JPEG into JPEG XL and back: the stream must be the same."""
    data = (SAMPLES_FOLDER / RECOMPRESSIBLE).read_bytes()
    back = transcode(transcode(data, JPEG_XL_RECOMPRESSED), JPEG_BASELINE)
    before, after = (pydicom.dcmread(io.BytesIO(each)).PixelData for each in (data, back))
    if next(generate_frames(before)) != next(generate_frames(after)):
        return None
    return {"file": f"pydicom: {RECOMPRESSIBLE}", "by": "itself"}


# --- SOP classes


def class_files() -> dict[str, list[tuple[str, Path]]]:
    """Real files with pixels, by SOP class, the smallest first."""
    found: dict[str, list[tuple[str, Path]]] = defaultdict(list)
    for label, path in sorted(files(), key=lambda each: each[0].startswith("pydicom")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tags = ["SOPClassUID", "PixelData", "FloatPixelData", "DoubleFloatPixelData"]
            image = pydicom.dcmread(path, force=True, specific_tags=tags)
        if any(image.get(tag) for tag in tags[1:]) and image.get("SOPClassUID") in IMAGES:
            found[image.SOPClassUID].append((label, path))
    return found


async def classes(folder: Path) -> dict[str, dict[str, Any]]:
    """For each SOP class of images, a file that was kept, read and rendered; else one made."""
    real = class_files()
    found: dict[str, dict[str, Any]] = {}
    workers = Workers(2)
    archive = await Archive.open(folder / "data", ArchiveConfig(file_threads=2))
    archive.renderings = Renderings(archive.index, archive.opened, workers)
    serving = httpx.ASGITransport(routing.application(archive, Config()))
    async with httpx.AsyncClient(transport=serving, base_url="http://archive") as web:
        for uid in images():
            tried = [
                await _tried(web, label, path.read_bytes()) for label, path in real[uid][:MOST]
            ]
            if not tried:
                instance = f"2.25.{uid.replace('.', '')}"[:60]
                made = part10(grey(ramp(), instance, SOPClassUID=uid))
                tried = [await _tried(web, "made", made)]
            found[uid] = max(tried, key=lambda each: sum(each[what] for what in DONE))
    await archive.close()
    workers.close()
    return found


async def _tried(web: httpx.AsyncClient, label: str, data: bytes) -> dict[str, Any]:
    """Keep an instance, give its frames and its metadata back, render it."""
    outcome: dict[str, Any] = {"file": label, **dict.fromkeys(DONE, False)}
    headers = {"content-type": "application/dicom"}
    answer = await web.post("/studies", content=data, headers=headers)
    stored = answer.json().get("00081199", {}).get("Value", [{}])[0]
    place = next(iter(stored.get("00081190", {}).get("Value", ())), "")
    if "/instances/" not in str(place):
        return outcome
    back = await web.get(place, headers={"accept": "application/dicom; transfer-syntax=*"})
    header, given = part10_files.read(data), part10_files.read(back.content)
    outcome["kept"] = data[header.dataset_offset :] == back.content[given.dataset_offset :]
    seen = [await web.get(f"{place}/{below}") for below in ("metadata", "frames/1")]
    outcome["read"] = {each.status_code for each in seen} == {200}
    outcome["rendered"] = (await web.get(f"{place}/rendered")).status_code == 200
    return outcome


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, transcoder(Path(folder)) as transcode:
        proofs = {
            "decoded": decoded(transcode),
            "encoded": encoded(transcode),
            "classes": asyncio.run(classes(Path(folder))),
        }
    for path in (path for each in class_files().values() for _, path in each):
        uid = part10_files.read(path.read_bytes()).syntax.uid
        if is_video(uid):
            look = Look(media_type="image/png")
            still = b"".join(bytes(piece) for piece in rendered(path, look))
            assert still.startswith(b"\x89PNG")
            proofs["decoded"][uid] = {"file": f"corpus: {name(path)}", "by": "PyAV"}
    OUT.write_text(json.dumps(proofs, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
