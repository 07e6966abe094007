"""Encapsulated documents and videos: rendered as what they are (PS3.18 8.7.4; PS3.3 A.45).

They are streamed as they lie, so that any part of them can be had.
"""

from types import MappingProxyType
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from isocenter.archive.archive import Archive
from isocenter.archive.frames import OpenInstance
from isocenter.dicomweb import negotiation
from isocenter.dicomweb.answers import answer
from isocenter.dicomweb.negotiation import Accepted, Offer
from isocenter.dicomweb.pieces import Pieces
from isocenter.errors import NotFound
from isocenter.imaging.frame_bytes import Frame, cut
from isocenter.storage.records import InstanceRef
from isocenter.web.conditional import etag

PDF: Final = "application/pdf"
MEDIA_TYPES: Final = MappingProxyType(
    {
        "1.2.840.10008.5.1.4.1.1.104.1": PDF,
        "1.2.840.10008.5.1.4.1.1.104.2": "text/xml",
        "1.2.840.10008.5.1.4.1.1.104.3": "model/stl",
        "1.2.840.10008.5.1.4.1.1.104.4": "model/obj",
        "1.2.840.10008.5.1.4.1.1.104.5": "model/mtl",
    }
)
"""What the documents of a SOP class are."""

DOCUMENT: Final = (0x00420011,)
LENGTH: Final = (0x00420015,)

ENDINGS: Final = MappingProxyType(
    {
        PDF: "pdf",
        "text/xml": "xml",
        "model/stl": "stl",
        "model/obj": "obj",
        "model/mtl": "mtl",
    }
)
"""Of files that documents are saved to."""

# A document comes from who knows where: no browser is to take it for a page of ours and run it.
# Viewers of PDF do not work in a sandbox, and run nothing on our origin.
_HARMLESS: Final = {"x-content-type-options": "nosniff"}
_SANDBOX: Final = {
    "content-security-policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'"
}


async def given(
    request: Request, instance: InstanceRef, accepted: Accepted | None = None
) -> Response:
    """Answer with the document that ``instance`` holds.

    ``accepted``: what may be given, where the Accept header field alone does not tell. Raises:
    HTTPException 400, 406, 412, 416; NotFound, Unavailable.
    """
    media_type = MEDIA_TYPES[instance.sop_class_uid]
    offers = (Offer(media_type),)
    if not (accepted or negotiation.acceptable(request)).ranked(offers):
        raise negotiation.not_acceptable(offers)
    archive: Archive = request.app.state.archive
    opened = await archive.opened.open(instance)
    try:
        document = await _document(opened)
    finally:
        opened.release()
    body = Pieces(archive, instance, [document])
    name = f"{instance.sop_instance_uid}.{ENDINGS[media_type]}"
    headers = {
        "content-disposition": f'inline; filename="{name}"',
        **_HARMLESS,
        **(_SANDBOX if media_type != PDF else {}),
    }
    return answer(request, body, etag(media_type, instance.state), media_type, headers)


async def _document(opened: OpenInstance) -> Frame:
    """Find the document, without what was added to make its length even."""
    document = await opened.value(await opened.find(DOCUMENT))
    try:
        told = await opened.value(await opened.find(LENGTH))
    except NotFound:
        return document
    if told.size != 4:
        return document
    length = int.from_bytes(
        b"".join([bytes(each) async for each in opened.content(told)]), "little"
    )
    return cut(document, length) if document.size - length == 1 else document
