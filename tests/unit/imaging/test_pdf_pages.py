"""First pages of PDF documents as small pictures."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from isocenter.errors import Malformed
from isocenter.imaging import pdf_pages
from isocenter.imaging.finishing import Finish
from isocenter.imaging.pictures import Viewport
from made_pictures import pdf_of, seen

AS_PNG = Finish(media_type="image/png", viewport=Viewport(width=200, height=200))
RED_BELOW = b"1 0 0 rg 0 0 600 400 re f"


def drawn(document: bytes) -> bytes:
    return bytes(pdf_pages.first_page(memoryview(document), AS_PNG))


def test_the_first_page_is_shown_upright_in_its_colours() -> None:
    page = seen(drawn(pdf_of(RED_BELOW, 600, 800)))

    assert page.shape == (200, 150, 3)
    assert page[150, 75].tolist() == [255, 0, 0]
    assert page[50, 75].tolist() == [255, 255, 255]


@pytest.mark.parametrize("side", [100, 600, 14_400])
def test_no_page_is_drawn_finer_than_what_can_be_read(side: int) -> None:
    stripes = b" ".join(b"%d 0 1 %d re f" % (at, side) for at in range(0, side, 2))

    page = seen(drawn(pdf_of(stripes, side, side))).astype(int)

    assert page.max() - page.min() < 128  # lines of a point run into each other


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"%PDF-1.4",
        pdf_of(RED_BELOW, 600, 800)[:200],
        pdf_of(RED_BELOW, 0, 0).replace(b"/MediaBox[0 0 0 0]", b"/MediaBox[0 0 .1 .1]"),
        pdf_of(RED_BELOW, 600, 800).replace(b"/Count 1", b"/Count 0").replace(b"[3 0 R]", b"[]"),
    ],
)
def test_what_cannot_be_drawn_is_refused(document: bytes) -> None:
    with pytest.raises(Malformed):
        drawn(document)


@given(st.binary(max_size=300), st.integers(0, 400))
def test_a_broken_document_is_drawn_or_refused(garbage: bytes, at: int) -> None:
    document = pdf_of(RED_BELOW, 600, 800)
    try:
        drawn(document[:at] + garbage + document[at + len(garbage) :])
    except Malformed:
        return
