"""Pages of encapsulated documents as pictures (PS3.3 A.45)."""

from typing import Final

from isocenter.archive.frames import OpenInstance
from isocenter.errors import Unsupported
from isocenter.imaging import pdf_pages
from isocenter.imaging.finishing import Finish
from isocenter.imaging.workers import Workers

ENCAPSULATED_PDF: Final = "1.2.840.10008.5.1.4.1.1.104.1"
LARGEST: Final = 64 << 20
"""Bytes of a document that is drawn."""
_DOCUMENT: Final = (0x00420011,)


async def first_page(opened: OpenInstance, workers: Workers, finish: Finish) -> bytes:
    """Give the first page of a PDF document. Raises: NotFound, Malformed, Unsupported."""
    document = await opened.value(await opened.find(_DOCUMENT))
    if document.size > LARGEST:
        raise Unsupported(f"a document of {document.size} bytes is not drawn")
    data = [piece async for piece in opened.content(document)]
    return await workers.run(pdf_pages.first_page, data, finish)
