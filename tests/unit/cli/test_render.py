"""``isocenter render``: SVG, PDF and pages for a browser."""

import io
import re
import shutil
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pydicom
import pytest
import typer
from hypothesis import given, settings, strategies as some
from PIL import Image as Pillow
from pydicom.data import get_testdata_file
from typer.testing import CliRunner, Result

from isocenter.cli.render import MEDIA_TYPES, render
from isocenter.errors import NotFound
from isocenter.imaging import documents, pages, svg, web_page
from isocenter.imaging.looks import Look
from isocenter.imaging.pages import Page
from isocenter.imaging.pictures import WRITERS
from made_instances import part10
from made_waveforms import electrocardiogram

program = typer.Typer()
program.command("render")(render)

CT = get_testdata_file("CT_small.dcm")
COLOUR = get_testdata_file("SC_rgb_small_odd.dcm")
SVG = "{http://www.w3.org/2000/svg}"
EVIL = '</title></style></script><script>alert(1)</script><img src=x onerror="alert(1)">\'&\x1b'


def run(*arguments: object) -> Result:
    return CliRunner().invoke(program, [str(each) for each in arguments])


def made(target: Path, source: object, *options: object) -> bytes:
    done = run(source, target, *options)
    assert done.exit_code == 0, done.output
    return target.read_bytes()


def pixels(file: bytes) -> np.ndarray:
    with Pillow.open(io.BytesIO(file)) as picture:
        return np.asarray(picture)


@pytest.fixture
def cine(tmp_path: Path) -> Path:
    """Ten frames, each of one grey; 50 ms each; a name that would be script."""
    image = pydicom.dcmread(CT)
    image.NumberOfFrames = 10
    image.FrameTime = 50
    image.PatientName = EVIL[:60]
    image.SeriesDescription = EVIL[:60]
    image.WindowCenter, image.WindowWidth = 500, 1001
    image.RescaleIntercept = 0
    frames = [np.full((128, 128), 100 * number, np.int16) for number in range(10)]
    image.PixelData = np.stack(frames).tobytes()
    path = tmp_path / "cine.dcm"
    image.save_as(path)
    return path


def test_every_format_is_in_one_table() -> None:
    assert set(MEDIA_TYPES.values()) >= {*WRITERS, *documents.MEDIA_TYPES}


def test_a_name_that_no_format_has_is_refused(tmp_path: Path) -> None:
    assert run(CT, tmp_path / "picture.bmp").exit_code == 2
    assert run(CT, tmp_path / "picture.svg", "--annotation", "all").exit_code == 2


# --- SVG


def test_an_svg_holds_the_picture_and_its_text_as_text(tmp_path: Path) -> None:
    root = ElementTree.fromstring(made(tmp_path / "ct.svg", CT))
    png = made(tmp_path / "ct.png", CT)

    image = root.find(f"{SVG}image")
    assert image is not None
    embedded = b64decode(image.attrib["href"].removeprefix("data:image/png;base64,"))
    assert np.array_equal(pixels(embedded), pixels(png))
    texts = [each.text for each in root.iter(f"{SVG}text")]
    assert "CompressedSamples, CT1" in texts
    # 128 pixels of 0.661468 mm, by the file's own Pixel Spacing.
    assert root.attrib["width"] == root.attrib["height"] == "84.6679mm"


def test_annotations_can_be_left_out(tmp_path: Path) -> None:
    for kinds, texts in ((("none",), 0), (("patient",), 3), (("patient", "technique"), 9)):
        options = [part for kind in kinds for part in ("--annotation", kind)]
        root = ElementTree.fromstring(made(tmp_path / "ct.svg", CT, *options, "--force"))
        assert len(list(root.iter(f"{SVG}text"))) == texts


@settings(deadline=None)
@given(some.text(max_size=30))
def test_no_text_breaks_out_of_an_svg(text: str) -> None:
    page = Page(picture=b"", left=(text,), right=(text,))

    root = ElementTree.fromstring(svg.written(page, "image/png", 10, 10, text))

    assert {each.tag.removeprefix(SVG) for each in root.iter()} == {
        *("svg", "title", "image", "g", "text")
    }


# --- PDF


def objects(file: bytes) -> list[bytes]:
    """The objects of a PDF file, found by its cross-reference table (ISO 32000-1 7.5.4)."""
    start = int(re.findall(rb"startxref\n(\d+)\n%%EOF\n$", file)[0])
    rows = re.findall(rb"(\d{10}) 00000 n \n", file[start:])
    assert file[start:].startswith(b"xref\n0 %d\n0000000000 65535 f \n" % (len(rows) + 1))
    found = []
    for number, row in enumerate(rows, 1):
        assert file[int(row) :].startswith(b"%d 0 obj\n" % number)
        found.append(file[int(row) : file.index(b"\nendobj", int(row))])
    return found


def images(file: bytes) -> list[np.ndarray]:
    found = []
    for each in objects(file):
        if b"/DCTDecode" in each:
            length = int(re.findall(rb"/Length (\d+)", each)[0])
            start = each.index(b"stream\n") + 7
            found.append(pixels(each[start : start + length]))
    return found


def test_a_pdf_has_a_page_for_each_frame_in_the_size_that_it_was_taken(
    tmp_path: Path, cine: Path
) -> None:
    file = made(tmp_path / "cine.pdf", cine, "--annotation", "none")

    shown = images(file)
    assert [int(each[64, 64]) for each in shown] == pytest.approx(
        [255 * number / 10 for number in range(10)], abs=2
    )
    # 128 pixels of 0.661468 mm are 240.00 points of 1/72 inch.
    assert file.count(b"/MediaBox [0 0 240.00 240.00]") == 10


def test_a_pdf_of_colours_has_colours(tmp_path: Path) -> None:
    (shown,) = images(made(tmp_path / "rgb.pdf", COLOUR))

    assert shown.shape == (3, 3, 3)


def test_a_frame_may_be_chosen(tmp_path: Path, cine: Path) -> None:
    (shown,) = images(made(tmp_path / "5.pdf", cine, "--frame", 5, "--annotation", "none"))

    assert int(shown[64, 64]) == pytest.approx(102, abs=2)
    done = run(cine, tmp_path / "11.pdf", "--frame", 11)
    assert isinstance(done.exception, NotFound)
    assert not (tmp_path / "11.pdf").exists()


def test_of_too_many_frames_as_many_as_a_document_holds_are_taken(
    cine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MOST", 4)

    frames = [page.frame for page in pages.pages(cine, Look(media_type="image/png"))]

    assert frames == [1, 4, 7, 10]


def test_an_encapsulated_pdf_is_handed_out_as_it_is(tmp_path: Path) -> None:
    document = b"%PDF-1.4\nsome document\n%%EOF\n"
    image = pydicom.dcmread(CT)
    del image.PixelData
    image.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.104.1"
    image.SOPClassUID = "1.2.840.10008.5.1.4.1.1.104.1"
    image.EncapsulatedDocument = document + b"\0" * (len(document) % 2)
    image.EncapsulatedDocumentLength = len(document)
    image.save_as(tmp_path / "doc.dcm")

    assert made(tmp_path / "doc.pdf", tmp_path / "doc.dcm") == document


# --- pages for a browser


class Reader(HTMLParser):
    """What a browser finds in a page."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for each, attributes in self.tags if each == tag]


def test_a_page_shows_every_frame_and_fetches_nothing(tmp_path: Path, cine: Path) -> None:
    page = Reader(made(tmp_path / "cine.html", cine))

    found = page.all("img")
    assert [each["alt"] for each in found] == [f"Frame {n} of 10" for n in range(1, 11)]
    assert {each["data-delay"] for each in found} == {"50"}
    shown = [pixels(b64decode(str(each["src"]).partition(",")[2])) for each in found]
    assert [int(each[64, 64]) for each in shown] == pytest.approx(
        [255 * number / 10 for number in range(10)], abs=3
    )
    assert page.all("input")[0]["max"] == "9"
    policy = page.all("meta")[1]["content"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert not any(each.get("href") for _, each in page.tags)


def test_what_the_patient_is_called_is_never_script(tmp_path: Path, cine: Path) -> None:
    page = Reader(made(tmp_path / "cine.html", cine))

    assert len(page.all("script")) == 1
    assert len(page.all("img")) == 10
    assert "<script>alert" in page.text  # as text


@settings(deadline=None)
@given(some.text(max_size=40))
def test_no_text_breaks_out_of_a_page(text: str) -> None:
    page = Page(picture=b"", left=(text,), right=(text,))
    plain = Page(picture=b"", left=("x",), right=("x",))

    def tags(pages: list[Page], name: str) -> list[str]:
        one = b"".join(web_page.written(pages, "image/png", name))
        many = b"".join(web_page.contact_sheet([(name, each) for each in pages], "image/png", name))
        return [tag for tag, _ in Reader(one + many).tags]

    assert tags([page], text) == tags([plain], "x")


def test_a_still_has_no_slider(tmp_path: Path) -> None:
    page = Reader(made(tmp_path / "ct.html", CT))

    assert len(page.all("img")) == 1
    assert not page.all("input")


def test_a_folder_becomes_a_contact_sheet(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "below").mkdir(parents=True)
    shutil.copy(CT, folder / "a.dcm")
    shutil.copy(COLOUR, folder / "below" / "b.dcm")
    (folder / "notes.txt").write_text("no DICOM file")

    page = Reader(made(tmp_path / "sheet.html", folder))
    (sheet,) = images(made(tmp_path / "sheet.pdf", folder))

    assert [each["alt"] for each in page.all("img")] == ["a.dcm", str(Path("below", "b.dcm"))]
    assert sheet.shape == (1754, 1240, 3)
    assert run(folder, tmp_path / "sheet.png").exit_code == 2
    (folder / "a.dcm").unlink()
    shutil.rmtree(folder / "below")
    assert isinstance(run(folder, tmp_path / "none.html").exception, NotFound)
    assert not (tmp_path / "none.html").exists()


def test_a_waveform_is_drawn(tmp_path: Path) -> None:
    source = tmp_path / "ecg.dcm"
    source.write_bytes(part10(electrocardiogram(2)))

    root = ElementTree.fromstring(made(tmp_path / "ecg.svg", source))

    texts = [each.text or "" for each in root.iter(f"{SVG}text")]
    assert {"I", "aVR", "V6"} <= set(texts)
    assert "Doe, Jane" in texts[0]
