"""Data sets in requests and answers of the worklist: one at a time, in JSON or XML.

Source: PS3.18 11.1.3.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from isocenter.dicom import xml_model
from isocenter.dicom.dictionary import dictionary_vr
from isocenter.dicom.encoding import encode
from isocenter.dicom.json_model import person_name
from isocenter.dicom.layout import DEFAULT_LIMITS, LONG_VRS, SHORT_VRS
from isocenter.dicom.syntax import EXPLICIT_LE
from isocenter.dicomweb.negotiation import DICOM_JSON, DICOM_XML, Chosen, Offer
from isocenter.errors import Malformed
from isocenter.storage.workitem_records import Dataset
from isocenter.web import bodies, multipart
from isocenter.web.delivery import Stream
from isocenter.web.media_types import MULTIPART, MediaType

LARGEST: Final = 4 << 20
"""Bytes of a request's body."""
OFFERS: Final = (Offer(DICOM_JSON), Offer(DICOM_XML, is_multipart=True))
GIVES: Final = (DICOM_JSON, f'{MULTIPART}; type="{DICOM_XML}"')
TAKES: Final = (*GIVES, DICOM_XML, "application/json")
"""Media types of bodies; single-part XML and plain JSON are what some clients send."""

_JSON_NAMES: Final = frozenset({DICOM_JSON, "application/json"})
_XML_NAMES: Final = frozenset({DICOM_XML, "application/xml", "text/xml"})
_TAG: Final = re.compile("[0-9A-Fa-f]{8}")
_VRS: Final = frozenset(SHORT_VRS.values()) | frozenset(LONG_VRS.values())
_CHARACTER_SET: Final = "00080005"


async def read(request: Request, *, is_optional: bool = False) -> Dataset:
    """Read the data set of a request; empty, if it has none and ``is_optional``.

    Raises: HTTPException 408, 413, 415; Malformed.
    """
    written = request.headers.get("content-type", "")
    body = await bodies.whole(request, LARGEST)
    if not body and is_optional:
        return {}
    if not written:
        raise HTTPException(415, f"Content-Type is missing; it is one of {', '.join(TAKES)}")
    return await asyncio.to_thread(_read, MediaType.parse(written), body)


def _read(content_type: MediaType, body: bytes) -> Dataset:
    if content_type.is_multipart:
        kind, body = _only_part(content_type, body)
    else:
        kind = content_type.type
    if kind in _JSON_NAMES:
        return clean(_only(_json(body)))
    if kind in _XML_NAMES:
        return clean(xml_model.read(body))
    raise HTTPException(415, f"cannot read {kind[:80]}; send one of {', '.join(TAKES)}")


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"the body is not JSON: {error.msg}", offset=error.pos) from None


def _only(found: Any) -> Any:
    """The data set itself: it may stand in an array of its own."""
    if isinstance(found, list):
        if len(found) != 1:
            raise Malformed(f"the body has {len(found)} data sets, not 1")
        return found[0]
    return found


def _only_part(content_type: MediaType, body: bytes) -> tuple[str, bytes]:
    parser = multipart.Parser(content_type.parameters.get("boundary", ""))
    kinds: list[str] = []
    content = bytearray()
    for event in parser.feed(body):
        if isinstance(event, multipart.PartBegin):
            named = event.headers.get("content-type") or content_type.of_parts or DICOM_XML
            kinds.append(MediaType.parse(named).type)
        elif isinstance(event, multipart.PartData):
            content += event.data
    parser.finish()
    if len(kinds) != 1:
        raise Malformed(f"the body has {len(kinds)} parts, not 1")
    return kinds[0], bytes(content)


# --- the model


def clean(given: Any) -> Dataset:
    """A data set of the DICOM JSON model as the archive keeps it.

    Tags are in capitals, VRs are those of the dictionary, and every value can be encoded. Raises:
    Malformed, with what is wrong.
    """
    found = _dataset(given, 0)
    encode(found, EXPLICIT_LE)
    return found


def _dataset(given: Any, depth: int) -> Dataset:
    if not isinstance(given, Mapping):
        raise Malformed("a data set is a JSON object")
    if depth > DEFAULT_LIMITS.nesting:
        raise Malformed("sequences are nested too deep")
    found: Dataset = {}
    for key, element in given.items():
        tag8 = _tag(key)
        if tag8 in found:
            raise Malformed(f"{tag8} is given twice")
        if not isinstance(element, Mapping):
            raise Malformed(f"{tag8} is no JSON object")
        if tag8 != _CHARACTER_SET:  # JSON and XML are Unicode
            found[tag8] = _element(tag8, element, depth)
    return dict(sorted(found.items()))


def _tag(key: object) -> str:
    if not isinstance(key, str) or not _TAG.fullmatch(key):
        raise Malformed(f"{str(key)[:64]!a} is no tag of eight hexadecimal digits")
    tag = int(key, 16)
    if tag >> 16 in (0x0000, 0x0002, 0xFFFE) or not tag & 0xFFFF:
        raise Malformed(f"{key.upper()} cannot stand in a data set")
    return key.upper()


def _element(tag8: str, element: Mapping[str, Any], depth: int) -> dict[str, Any]:
    if "BulkDataURI" in element:
        raise Malformed(f"{tag8} is elsewhere: workitems have no bulk data")
    vr = _vr(tag8, element)
    kept: dict[str, Any] = {"vr": vr}
    if "InlineBinary" in element and vr != "SQ":
        binary = element["InlineBinary"]  # Peer quirk: in a list, as PS3.18 F.4 has it once
        kept["InlineBinary"] = binary[0] if isinstance(binary, list) and binary else binary
    values = element.get("Value")
    if values is None:
        return kept
    if not isinstance(values, list):
        raise Malformed(f"the Value of {tag8} is no array")
    if vr == "SQ":
        values = [_dataset(item or {}, depth + 1) for item in values]
    elif vr == "PN":
        # Peer quirk: some give names as they are encoded. Nobody else is to be given them so.
        values = [person_name(each) if isinstance(each, str) else each for each in values]
    if values:
        kept["Value"] = values
    return kept


def _vr(tag8: str, element: Mapping[str, Any]) -> str:
    """The dictionary's, where it has one; clients are careless of it, the standard's example too"""
    known = dictionary_vr(int(tag8, 16))
    if known in _VRS:
        return str(known)
    vr = element.get("vr")
    if vr not in _VRS:
        raise Malformed(f"{tag8} needs a VR")
    return str(vr)


# --- answers


def answer(chosen: Chosen, dataset: Dataset) -> Response:
    """One data set, in the media type that was chosen."""
    if not chosen.is_multipart:
        return Response(orjson.dumps([dataset]), media_type=chosen.called)
    boundary = multipart.boundary()
    body = b"".join([*_part(dataset, boundary, is_first=True), multipart.end(boundary)])
    return Response(body, headers={"content-type": multipart.content_type(boundary, DICOM_XML)})


def stream(chosen: Chosen, pages: AsyncIterator[list[Dataset]]) -> Response:
    """Data sets as an array or as parts, in the media type that was chosen."""
    if not chosen.is_multipart:
        return Stream(_array(pages), media_type=chosen.called)
    boundary = multipart.boundary()
    kind = multipart.content_type(boundary, DICOM_XML)
    return Stream(_parts(pages, boundary), headers={"content-type": kind})


async def _array(pages: AsyncIterator[list[Dataset]]) -> AsyncIterator[bytes]:
    before = b"["
    async for page in pages:
        yield before + orjson.dumps(page)[1:-1]
        before = b","
    yield b"]"


async def _parts(pages: AsyncIterator[list[Dataset]], boundary: str) -> AsyncIterator[bytes]:
    is_first = True
    async for page in pages:
        for dataset in page:
            yield b"".join(_part(dataset, boundary, is_first=is_first))
            is_first = False
    yield multipart.end(boundary)


def _part(dataset: Dataset, boundary: str, *, is_first: bool) -> Iterator[bytes]:
    yield multipart.part_head(boundary, {"Content-Type": DICOM_XML}, first=is_first)
    yield from xml_model.write(dataset)
