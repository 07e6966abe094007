"""The first page of a PDF document as a small picture: a job of the workers."""

from math import isfinite
from typing import Final

import numpy as np

from isocenter.errors import Malformed
from isocenter.imaging import finishing, pictures
from isocenter.imaging.finishing import Finish
from isocenter.imaging.native import Buffer

LONGEST_SIDE: Final = 64
"""Pixels in which a page is drawn."""
FINEST: Final = LONGEST_SIDE / 792
"""Pixels for each point, at most: layout and figures are seen, what is written cannot be read, for
a thumbnail shall not tell who the patient is (PS3.18 10.4.3.3.4)."""
LARGEST_SIZE: Final = 1e6
"""Points of a side that a page may have."""


def first_page(data: memoryview, finish: Finish) -> Buffer:
    """Give the first page as a picture. Raises: Malformed."""
    import pypdfium2  # loaded by the workers that need it, not by all

    try:
        document = pypdfium2.PdfDocument(bytes(data))
        page = document[0]
        width, height = page.get_size()
        longest = max(width, height)
        if not (isfinite(longest) and min(width, height) >= 1 and longest <= LARGEST_SIZE):
            raise Malformed("the page has no size to be drawn in")
        bitmap = page.render(scale=min(LONGEST_SIDE / longest, FINEST), rev_byteorder=True)
        picture = np.array(bitmap.to_numpy()[..., :3])
    except (pypdfium2.PdfiumError, IndexError, ValueError) as error:
        raise Malformed("the document is no PDF that can be drawn") from error
    return finishing.finished(pictures.scaled(picture, finish.viewport), finish)
