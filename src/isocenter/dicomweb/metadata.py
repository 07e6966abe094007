"""Retrieve Transaction for metadata: all attributes but bulk data (PS3.18 10.4.1.1.2).

Bulk data is named by absolute URLs, which clients can use as they stand; so what is kept ready-made
is kept for the address by which it was asked for.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import quote

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from isocenter import __version__
from isocenter.archive.archive import Archive
from isocenter.archive.gathered import Gathered
from isocenter.archive.metadata import Writer, etag_of
from isocenter.config import Config
from isocenter.dicom import xml_model
from isocenter.dicom.dictionary import tag_of
from isocenter.dicom.paths import AttributePath
from isocenter.dicom.syntax import TransferSyntax
from isocenter.dicom.transcription import Transcriber
from isocenter.dicom.windowed import Reader
from isocenter.dicomweb import addresses, bulkdata, targets
from isocenter.dicomweb.negotiation import DICOM_JSON, DICOM_XML, Chosen, Offer, choose
from isocenter.dicomweb.resources import Endpoint, Method, Parameter, Resource
from isocenter.dicomweb.search_answers import AVAILABLE_TRANSFER_SYNTAXES
from isocenter.imaging.frames import is_video
from isocenter.storage.records import InstanceRef
from isocenter.web import conditional, multipart
from isocenter.web.compression import accepts_gzip
from isocenter.web.conditional import Validator
from isocenter.web.delivery import Stream

OFFERS: Final = (Offer(DICOM_JSON), Offer(DICOM_XML, is_multipart=True))

ALWAYS_INCLUDED: Final = frozenset({"00080005", "00080016", "00080018", "0020000D", "0020000E"})
"""What tells which instance it is, and how to read it."""
ALL: Final = "all"
ENDLESS: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class JsonForm:
    """The JSON model, with the URLs that whoever asks can use."""

    base: str
    """The service's root."""
    inline_size: int

    @property
    def name(self) -> str:
        """A newer Isocenter may write it otherwise."""
        return f"{__version__} {self.inline_size} {self.base}"

    def writer(self) -> Writer:
        """Begin to write."""
        return partial(self._write, Transcriber(inline_size=self.inline_size))

    def _write(
        self,
        transcriber: Transcriber,
        instance: InstanceRef,
        data_set: Reader,
        syntax: TransferSyntax,
    ) -> bytes:
        text = transcriber.text(data_set, syntax, partial(self._uri, instance))
        return _saying_its_syntax(text, syntax) if is_video(syntax.uid) else text

    def _uri(self, instance: InstanceRef, path: AttributePath) -> str:
        study, series = instance.study_instance_uid, instance.series_instance_uid
        uri = bulkdata.uri_of(study, series, instance.sop_instance_uid, path)
        return self.base + quote(uri)


def _saying_its_syntax(text: bytes, syntax: TransferSyntax) -> bytes:
    # Peer quirk: OHIF knows a video by this alone, and otherwise asks for its frames.
    model = orjson.loads(text)
    model[AVAILABLE_TRANSFER_SYNTAXES] = {"vr": "UI", "Value": [syntax.uid]}
    return orjson.dumps(model, option=orjson.OPT_SORT_KEYS)


async def study_or_series(request: Request) -> Response:
    """GET …/metadata of a study, of a series (PS3.18 10.4.1.1.2)."""
    given = _Given.read(request)
    archive: Archive = request.app.state.archive
    selection = targets.selection_of(request.path_params)
    look = await archive.metadata.look(selection, _form(request))
    if look is None:
        raise targets.absent(request.path_params)
    if (settled := conditional.check(request, given.validator(look.etag))) is not None:
        return settled
    return _answer(given, await archive.metadata.gather(look))


async def instance(request: Request) -> Response:
    """GET …/instances/{instance}/metadata (PS3.18 10.4.1.1.2)."""
    given = _Given.read(request)
    (found, *_) = await targets.instances_of(request)
    return await _of_one(request, found, _form(request), given)


async def of_no_patient(request: Request, found: InstanceRef) -> Response:
    """Give an instance that belongs to no patient in one of ``OFFERS`` (PS3.18 12.4).

    It has no resource for bulk data, so all of it is written inline.
    """
    form = JsonForm(addresses.root(request), ENDLESS)
    return await _of_one(request, found, form, _Given.read(request))


async def _of_one(
    request: Request, found: InstanceRef, form: JsonForm, given: "_Given"
) -> Response:
    archive: Archive = request.app.state.archive
    validator = given.validator(etag_of(found, form))
    if (settled := conditional.check(request, validator)) is not None:
        return settled
    return _answer(given, await archive.metadata.of_instance(found, form))


def _form(request: Request) -> JsonForm:
    config: Config = request.app.state.config
    return JsonForm(addresses.root(request), config.dicomweb.inline_size)


@dataclass(frozen=True, slots=True)
class _Given:
    """How an answer is to be given."""

    chosen: Chosen
    fields: frozenset[str] | None
    is_gzip: bool

    @classmethod
    def read(cls, request: Request) -> "_Given":
        """Raises: HTTPException 400, 406."""
        fields = _fields(request)
        chosen = choose(request, OFFERS)
        is_changed = fields is not None or chosen.media_type != DICOM_JSON
        return cls(chosen, fields, is_gzip=not is_changed and accepts_gzip(request.headers))

    def validator(self, etag: str) -> Validator:
        """Tell representations of the same texts apart."""
        fields = () if self.fields is None else sorted(self.fields)
        return Validator(conditional.etag(etag, self.chosen.called, self.is_gzip, *fields))


def _answer(given: _Given, gathered: Gathered) -> Response:
    headers = {"vary": "accept, accept-encoding"}
    status, left_out = 200, gathered.left_out
    if left_out:
        status = 206
        headers["warning"] = f'299 isocenter "{left_out} instances cannot be read"'
    else:
        headers |= given.validator(gathered.etag).headers
    if given.chosen.media_type == DICOM_XML:
        # Of the state alone, so that the same is the same to the last byte.
        boundary = gathered.etag
        media_type = multipart.content_type(boundary, DICOM_XML)
        content = _as_xml(gathered, boundary, given.fields)
        return Stream(content, status, headers, media_type, release=gathered.close)
    if given.fields is not None:
        content = _as_array(gathered, given.fields)
        return Stream(content, status, headers, given.chosen.called, release=gathered.close)
    sizes = gathered.sizes
    size = None if sizes is None else sizes[given.is_gzip]
    content = gathered.text()
    if given.is_gzip:
        headers["content-encoding"] = "gzip"
        content = gathered.gzip()
    return Stream(content, status, headers, given.chosen.called, size=size, release=gathered.close)


async def _as_array(gathered: Gathered, fields: frozenset[str]) -> AsyncIterator[bytes]:
    def convert(text: bytes) -> bytes:
        return orjson.dumps(_narrowed(orjson.loads(text), fields))

    before = b"["
    async for text in gathered.each(convert):
        yield before + text
        before = b",\n"
    yield b"[]" if before == b"[" else b"]"


async def _as_xml(
    gathered: Gathered, boundary: str, fields: frozenset[str] | None
) -> AsyncIterator[bytes]:
    """Give a part for each instance (PS3.18 8.7.3.2)."""

    def convert(text: bytes) -> bytes:
        model = orjson.loads(text)
        return b"".join(xml_model.write(model if fields is None else _narrowed(model, fields)))

    is_first = True
    async for text in gathered.each(convert):
        yield multipart.part_head(boundary, {"Content-Type": DICOM_XML}, first=is_first) + text
        is_first = False
    yield multipart.end(boundary)


def _narrowed(model: dict[str, Any], fields: frozenset[str]) -> dict[str, Any]:
    return {tag: attribute for tag, attribute in model.items() if tag in fields}


def _fields(request: Request) -> frozenset[str] | None:
    """Read which attributes are wanted, None for all. Raises: HTTPException 400.

    The standard has no such parameter here: it is read as in a search (PS3.18 8.3.4.3).
    """
    given = [
        name.strip()
        for value in request.query_params.getlist("includefield")
        for name in value.split(",")
    ]
    if not given or ALL in given:
        return None
    found = set(ALWAYS_INCLUDED)
    for name in given:
        tag = tag_of(name.partition(".")[0])
        if tag is None:
            raise HTTPException(400, f"includefield: there is no attribute {name[:64]!r}")
        found.add(f"{tag:08X}")
    return frozenset(found)


_STATUSES: Final = {
    200: "all of it",
    206: "with a Warning: some instances cannot be read",
    304: "the client has it already",
    400: "a UID or the query is not well formed",
    404: "there is no such thing",
    406: "none of the acceptable media types can be had",
    412: "it is not as If-Match says",
    503: "the instance cannot be read",
}


def _resource(name: str, path: str, endpoint: Endpoint, never: int) -> Resource:
    """``never``: the status that cannot come of it."""
    method = Method(
        transaction=f"Retrieve {name}",
        source="PS3.18 10.4.1.1.2",
        endpoint=endpoint,
        statuses={number: when for number, when in _STATUSES.items() if number != never},
        gives=tuple(map(str, OFFERS)),
        parameters=(
            Parameter(name="accept", source="PS3.18 8.3.3.1"),
            Parameter(name="charset", source="PS3.18 8.3.3.2"),
            Parameter(name="includefield", source="PS3.18 8.3.4.3"),
        ),
    )
    return Resource(name=name, path=f"{path}/metadata", methods={"GET": method})


RESOURCES: Final[tuple[Resource, ...]] = (
    _resource(
        "Instance Metadata",
        "/studies/{study}/series/{series}/instances/{instance}",
        instance,
        never=206,
    ),
    _resource("Series Metadata", "/studies/{study}/series/{series}", study_or_series, never=503),
    _resource("Study Metadata", "/studies/{study}", study_or_series, never=503),
)
