"""Metadata in requests and answers: data sets in the JSON and XML models (PS3.18 8.7.3.2)."""

import asyncio
from collections.abc import Iterator
from typing import Final

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from isocenter.dicom import xml_model
from isocenter.dicom.json_model import Dataset
from isocenter.dicomweb.negotiation import DICOM_JSON, DICOM_XML, Chosen
from isocenter.errors import Malformed
from isocenter.web import bodies, multipart
from isocenter.web.media_types import MediaType

# Peer quirk: clients older than PS3.18 2016, and many scripts, use the plain names.
MODELS: Final = {
    DICOM_JSON: DICOM_JSON,
    "application/json": DICOM_JSON,
    DICOM_XML: DICOM_XML,
    "application/xml": DICOM_XML,
    "text/xml": DICOM_XML,
}
"""Which of the two models a media type means."""


def read(content: bytes, media_type: str) -> list[Dataset]:
    """Read a body or a part; in JSON there may be several data sets. Blocks. Raises: Malformed."""
    return _json(content) if MODELS[media_type] == DICOM_JSON else [xml_model.read(content)]


def _json(content: bytes) -> list[Dataset]:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"not JSON: {error.msg}", offset=error.pos) from None
    datasets = found if isinstance(found, list) else [found]
    if not all(isinstance(each, dict) for each in datasets):
        raise Malformed("the JSON is neither a DICOM JSON model object nor an array of them")
    return datasets


async def read_all(request: Request, limit: int) -> list[Dataset]:
    """Read every data set of a request that brings nothing else, in one part or several.

    Raises: HTTPException 408, 413, 415; Malformed.
    """
    content_type = MediaType.parse(request.headers.get("content-type", ""))
    if content_type.of_parts not in MODELS and not (
        content_type.is_multipart and not content_type.of_parts
    ):
        detail = f"send {DICOM_JSON} or {DICOM_XML}, as it is or in multipart/related"
        raise HTTPException(415, detail, bodies.CLOSING)
    content = await bodies.whole(request, limit)
    return await asyncio.to_thread(_read_all, content_type, content)


def _read_all(content_type: MediaType, content: bytes) -> list[Dataset]:
    if not content_type.is_multipart:
        return read(content, content_type.type)
    return [each for kind, part in _parts(content_type, content) for each in read(part, kind)]


def _parts(content_type: MediaType, content: bytes) -> Iterator[tuple[str, bytes]]:
    parser = multipart.Parser(multipart.boundary_of(content_type))
    kind, held = "", bytearray()
    for event in parser.feed(content):
        if isinstance(event, multipart.PartBegin):
            named = event.headers.get("content-type") or content_type.of_parts or DICOM_JSON
            kind = MediaType.parse(named).type
            if kind not in MODELS:
                raise Malformed(f"a part is {kind[:80]}, neither {DICOM_JSON} nor {DICOM_XML}")
            held.clear()
        elif isinstance(event, multipart.PartData):
            held += event.data
        else:
            yield kind, bytes(held)
    parser.finish()


def written(dataset: Dataset, chosen: Chosen) -> tuple[bytes, str]:
    """Give one data set in the representation that was chosen, and its Content-Type. Blocks."""
    if chosen.media_type == DICOM_XML:
        content = b"".join(xml_model.write(dataset))
    else:
        content = orjson.dumps(dataset)
    if not chosen.is_multipart:
        return content, chosen.called
    boundary = multipart.boundary()
    head = multipart.part_head(boundary, {"Content-Type": chosen.called}, first=True)
    whole = head + content + multipart.end(boundary)
    return whole, multipart.content_type(boundary, chosen.called)


async def answer(dataset: Dataset, chosen: Chosen, status: int = 200) -> Response:
    """Answer with one data set."""
    content, content_type = await asyncio.to_thread(written, dataset, chosen)
    return Response(content, status, headers={"content-type": content_type})
