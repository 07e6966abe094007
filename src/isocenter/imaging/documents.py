"""Files rendered as documents: SVG, PDF, pages for a browser; and folders, as contact sheets."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
from PIL import Image as Pillow

from isocenter.dicom.opened import Opened, opened
from isocenter.dicom.windowed import Walk
from isocenter.errors import IsocenterError, NotFound, Unsupported
from isocenter.imaging import (
    annotations,
    frame_bytes,
    pages,
    pdf,
    pictures,
    svg,
    waveform_drawing,
    web_page,
)
from isocenter.imaging.looks import Look
from isocenter.imaging.pages import Page
from isocenter.imaging.pdf import Sheet
from isocenter.imaging.pictures import Viewport
from isocenter.imaging.waveform_description import describe
from isocenter.imaging.waveform_samples import lying
from isocenter.imaging.waveform_strips import Strip
from isocenter.imaging.waveforms import is_waveform

SVG: Final = "image/svg+xml"
PDF: Final = "application/pdf"
HTML: Final = "text/html"
STILL: Final = "image/png"
FRAMES: Final = "image/jpeg"
"""As what pictures are put into documents."""
RESOLUTION: Final = 25.4 / 96
"""Millimetres of a pixel where nothing is said."""
PIECE: Final = 1 << 20
TITLE: Final = "DICOM image"

CELL: Final = Viewport(width=280, height=280)
ACROSS, DOWN = 4, 5
A4: Final = (210.0, 297.0)
"""Millimetres."""
SHEET: Final = (1240, 1754)
"""Pixels of an A4 page at 150 to the inch."""
_PDF_CLASS: Final = "1.2.840.10008.5.1.4.1.1.104.1"
_ENCAPSULATED: Final = (0x00420011,)
_LENGTH: Final = (0x00420015,)


def rendered(path: Path, look: Look, frame: int | None = None) -> Iterator[bytes]:
    """Give a file as the document that ``look`` names.

    An encapsulated PDF is handed out as it is. Raises: Malformed, NotFound, Unsupported; OSError.
    """
    return _WRITERS[look.media_type](path, look, frame)


def _svg(path: Path, look: Look, frame: int | None) -> Iterator[bytes]:
    with opened(path) as file:
        if is_waveform(file.header.sop_class):
            yield _drawn(file, look)
            return
    still = replace(look, media_type=STILL)
    page = (
        pages.representative(path, still)
        if frame is None
        else next(iter(pages.pages(path, still, frame)))
    )
    with Pillow.open(io.BytesIO(page.picture)) as picture:
        yield svg.written(page, STILL, *picture.size, TITLE)


def _drawn(file: Opened, look: Look) -> bytes:
    """Give the first seconds of waveforms."""
    recording, strip = describe(file.reader, file.syntax), Strip()
    group = recording.group(strip.group)
    frame = lying(group, *strip.span(group))
    data = b"".join(map(bytes, frame_bytes.content(file.reader, frame)))
    told = recording.told(look.annotations)
    return bytes(waveform_drawing.svg(data, group, recording.sop_class, strip, told))


def _pdf(path: Path, look: Look, frame: int | None) -> Iterator[bytes]:
    with opened(path) as file:
        if file.header.sop_class == _PDF_CLASS:
            yield from _encapsulated(file)
            return
    frames = pages.pages(path, replace(look, media_type=STILL), frame)
    yield from pdf.written(_sheet(page, look.quality) for page in frames)


def _html(path: Path, look: Look, frame: int | None) -> Iterator[bytes]:
    frames = pages.pages(path, replace(look, media_type=FRAMES), frame)
    return web_page.written(frames, FRAMES, TITLE)


Writer = Callable[[Path, Look, int | None], Iterator[bytes]]
_WRITERS: Final[Mapping[str, Writer]] = MappingProxyType({SVG: _svg, PDF: _pdf, HTML: _html})
MEDIA_TYPES: Final = frozenset(_WRITERS)
OF_FOLDERS: Final = frozenset({PDF, HTML})
"""Documents that hold many pictures."""


def _sheet(page: Page, quality: int) -> Sheet:
    """Give a page with its text written on the picture: PDF's own fonts know few scripts."""
    with Pillow.open(io.BytesIO(page.picture)) as picture:
        pixels = np.asarray(picture)
    if page.left or page.right:
        pixels = annotations.written(pixels, page.left, page.right)
    rows, columns = pixels.shape[:2]
    size = page.size or (columns * RESOLUTION, rows * RESOLUTION)
    jpeg = pictures.jpeg(pixels, quality, b"")
    return Sheet(jpeg=jpeg, columns=columns, rows=rows, is_grey=pixels.ndim == 2, size=size)


def _encapsulated(file: Opened) -> Iterator[bytes]:
    """Give the document in a file, without padding (PS3.3 C.24.2)."""
    walk = Walk(file.reader, file.syntax)
    place = walk.find(_ENCAPSULATED)
    length = place.length or 0
    if not length:
        raise NotFound("the document is empty")
    try:
        told = walk.find(_LENGTH)
        size = int.from_bytes(file.reader.window(told.offset, told.offset + 4), "little")
        length = size if length - size in (0, 1) else length
    except NotFound:
        pass
    for at in range(place.offset, place.offset + length, PIECE):
        yield bytes(file.reader.window(at, min(at + PIECE, place.offset + length)))


# --- folders


def contact_sheet(paths: Sequence[Path], names: Sequence[str], look: Look) -> Iterator[bytes]:
    """Give a picture of each file that has one, with its name. Raises: NotFound, if none has."""
    small = replace(look, media_type=FRAMES, viewport=look.viewport or CELL)
    found = _pictured(paths, names, small)
    if look.media_type == HTML:
        return web_page.contact_sheet(found, FRAMES, "Contact sheet")
    if look.media_type == PDF:
        return pdf.written(_contact_pages(found, look.quality))
    raise Unsupported(f"a contact sheet is not written as {look.media_type}")


def _pictured(
    paths: Sequence[Path], names: Sequence[str], look: Look
) -> Iterator[tuple[str, Page]]:
    is_any = False
    for path, name in zip(paths, names, strict=True):
        try:
            page = pages.representative(path, look)
        except (IsocenterError, OSError):
            continue  # no DICOM file, or nothing to be seen in it
        is_any = True
        yield name, page
    if not is_any:
        raise NotFound("there is nothing that can be rendered")


def _contact_pages(found: Iterator[tuple[str, Page]], quality: int) -> Iterator[Sheet]:
    cells: list[tuple[str, Page]] = []
    for each in found:
        cells.append(each)
        if len(cells) == ACROSS * DOWN:
            yield _contact_page(cells, quality)
            cells = []
    if cells:
        yield _contact_page(cells, quality)


def _contact_page(cells: Sequence[tuple[str, Page]], quality: int) -> Sheet:
    canvas = Pillow.new("RGB", SHEET, "white")
    width, height = SHEET[0] // ACROSS, SHEET[1] // DOWN
    for number, (name, page) in enumerate(cells):
        left, top = number % ACROSS * width, number // ACROSS * height
        with Pillow.open(io.BytesIO(page.picture)) as picture:
            small = picture.convert("RGB")
            small.thumbnail((width - 20, height - 60))
            canvas.paste(small, (left + (width - small.width) // 2, top + 10))
        lines = (name[-40:], *page.left[:1], *page.right[:1])
        annotations.captioned(canvas, lines, left + 10, top + height - 48)
    pixels = np.asarray(canvas)
    jpeg = pictures.jpeg(pixels, quality, b"")
    return Sheet(jpeg=jpeg, columns=SHEET[0], rows=SHEET[1], is_grey=False, size=A4)
