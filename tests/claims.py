"""What the registry of DICOMweb claims, and how to see each claim come true.

For every method of every resource, and every status code it says it may answer, ``probes`` has
requests that ought to bring it about. A new transaction adds what is its own: what is sent to
``sent_data``, what stands in its path to ``FILLED``, to ``SPECIAL`` what nothing else provokes.
"""

from __future__ import annotations

import asyncio
import io
import json
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest

from datasets import Node
from isocenter.archive.archive import Archive
from isocenter.config import ArchiveConfig, Config, DicomwebConfig
from isocenter.dicom import xml_model
from isocenter.dicomweb import commitment, documents, routing, targets, workitem_payloads
from isocenter.dicomweb.non_patient import CATEGORIES
from isocenter.dicomweb.resources import Method, Resource, merged
from isocenter.errors import Unavailable
from isocenter.imaging.video import MP4
from isocenter.imaging.waveform_drawing import MEDIA_TYPE as SVG
from isocenter.storage.blobs import StorageFull
from isocenter.web import bodies
from isocenter.web.media_types import MediaType
from made_instances import CT, Kept, image, part10
from made_pixels import description, encapsulated
from made_slides import level, picture
from made_waveforms import electrocardiogram
from made_workitems import PERFORMED, TRANSACTION, Dataset, element, state, workitem

BOUNDARY = "a-boundary"
LONG = "1." * 40
"""No UID: too long (PS3.5 9.1)."""
NOWHERE = "1.2.999"
JSON = {"content-type": "application/dicom+json"}

OF_NO_PATIENT = dict.fromkeys(
    ("StudyInstanceUID", "SeriesInstanceUID", "PatientID", "PatientName", "StudyDate"), None
)


def of_category(name: str, uid: str) -> pydicom.Dataset:
    """An instance of a category of those that belong to no patient."""
    return image(uid, SOPClassUID=min(CATEGORIES[name]), **OF_NO_PATIENT)


FILLED: Mapping[str, str] = {
    "study": "1.2",
    "series": "1.2.3",
    "instance": "1.2.3.4",
    "frames": "1",
    "path": "7FE00010",
    "workitem": "1.2.7.1",
    "aetitle": "READER",
    "transaction": "1.2.8.1",
}
"""What stands in paths for what is there; ``uid`` is that of the category."""

UIDS = {name: f"1.2.5.{number}" for number, name in enumerate(CATEGORIES)}


COMPRESSED = "1.2.9"
"""The study of which instance n has its only frame in the nth of these transfer syntaxes."""

KEPT_AS: Mapping[str, str] = {
    kind: f"1.2.840.10008.1.2.{last}"
    for kind, last in (
        ("image/jpeg", "4.50"),
        ("image/jls", "4.80"),
        ("image/jp2", "4.90"),
        ("image/jpx", "4.92"),
        ("image/jphc", "4.201"),
        ("image/jxl", "4.110"),
        ("image/dicom-rle", "5"),
        ("video/mpeg", "4.101"),
        ("video/mp4", "4.102"),
        ("video/h265", "4.107"),
    )
}
"""By the media type that frames so kept are given in (PS3.18 Table 8.7.3-5)."""


FILM = "1.2.11"
"""The study of which the only instance has two frames that are shown one after another."""
DRAWING = "1.2.13"
"""The study of which the only instance is an electrocardiogram."""

DOCUMENTS = "1.2.10"
"""The study of which instance n is a document of the nth of the media types there are."""


ANONYMIZE = "&anonymize=yes"
SLIDE = {"study": "1.2.12", "series": "1.2.12.9", "instance": "1.2.12.1"}
"""A slide of more pixels than one picture has."""


def _slide() -> pydicom.Dataset:
    uids = {"StudyInstanceUID": SLIDE["study"], "SeriesInstanceUID": SLIDE["series"]}
    sizes = {"TotalPixelMatrixColumns": 100_000, "TotalPixelMatrixRows": 100_000}
    return level(SLIDE["instance"], picture(8, 8), 8, **uids, **sizes)


def _document(number: int, sop_class: str) -> pydicom.Dataset:
    uids = {"StudyInstanceUID": DOCUMENTS, "SeriesInstanceUID": f"{DOCUMENTS}.9"}
    content = {"SOPClassUID": sop_class, "EncapsulatedDocument": b"%PDF", "PixelData": None}
    return image(f"{DOCUMENTS}.{number}", **uids, **content)


def _drawing() -> pydicom.Dataset:
    uids = {"StudyInstanceUID": DRAWING, "SeriesInstanceUID": f"{DRAWING}.9"}
    return electrocardiogram(1, SOPInstanceUID=f"{DRAWING}.1", **uids)


def _film() -> pydicom.Dataset:
    uids = {"StudyInstanceUID": FILM, "SeriesInstanceUID": f"{FILM}.9"}
    frames = {"NumberOfFrames": 2, "FrameTime": 40, "PixelData": bytes(2 * 64 * 64 * 2)}
    return image(f"{FILM}.1", **{**FRAME, **frames, **uids})


def _compressed(uid: str) -> bytes:
    uids = {0x00080016: CT, 0x00080018: uid, 0x0020000D: COMPRESSED, 0x0020000E: f"{COMPRESSED}.9"}
    nodes = [Node(tag, "UI", each.encode() + bytes(len(each) % 2)) for tag, each in uids.items()]
    return encapsulated([[b"frame " * 1000]], [*nodes, *description(1)])


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A request, and what must be the case for it."""

    headers: Mapping[str, str] = field(default_factory=dict)
    query: str = ""
    filled: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    state: State | None = None
    config: DicomwebConfig = field(default_factory=DicomwebConfig)


State = Callable[["World", Resource, pytest.MonkeyPatch], Awaitable[None]]
"""Bring something about, for a request to a resource."""


@dataclass(frozen=True)
class Seen:
    """What came."""

    path: str
    method: str
    status: int
    media_type: str
    """As `written`; empty, if there was no content."""
    taken: str
    """The media type of what was sent."""


@dataclass
class World:
    """An archive with something of everything."""

    archive: Archive
    kept: Kept

    async def ask(self, resource: Resource, method: str, probe: Probe) -> Seen:
        """Send one request; hold the answer against what any answer must be."""
        path = path_of(resource, probe.filled)
        url = f"{path}?{probe.query}" if probe.query else path
        answer = await self.send(method, url, probe.body, probe.headers, probe.config)
        media_type = answer.headers.get("content-type", "")
        if method == "HEAD":
            assert not answer.content
            return Seen(resource.path, method, answer.status_code, written(media_type), "")
        assert bool(media_type) == bool(answer.content), (method, url, answer)
        if answer.status_code >= 400 and not is_report(media_type):
            assert media_type == "application/problem+json", (method, url, answer)
            assert answer.json()["status"] == answer.status_code
        taken = written(probe.headers.get("content-type", ""))
        return Seen(resource.path, method, answer.status_code, written(media_type), taken)

    async def send(
        self,
        method: str,
        url: str,
        body: Any = None,
        headers: Mapping[str, str] | Sequence[tuple[str, bytes]] | None = None,
        config: DicomwebConfig | None = None,
    ) -> httpx.Response:
        """Send one request."""
        served = routing.application(self.archive, Config(dicomweb=config or DicomwebConfig()))
        transport = httpx.ASGITransport(served, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://archive") as web:
            return await web.request(method, url, headers=headers or {}, content=body)

    async def put_in(self, method: str, url: str, dataset: Dataset) -> None:
        """Send a data set that must be taken."""
        answer = await self.send(method, url, json.dumps(dataset), JSON)
        assert answer.status_code < 300, answer.text


def path_of(resource: Resource, filled: Mapping[str, str]) -> str:
    """The path, with what is there, or is not, in the places of its parameters."""
    values = {**FILLED, "uid": UIDS.get(resource.path.split("/")[1], ""), **filled}
    return re.sub(r"\{(\w+)(:\w+)?\}", lambda found: values[found[1]], resource.path)


def is_report(media_type: str) -> bool:
    """Say whether a refusal comes with a status report of DICOM's own (PS3.18 8.6.3)."""
    return media_type.startswith(("application/dicom+json", "multipart/related"))


def written(media_type: str) -> str:
    """Leave of a media type what the registry says of it."""
    if not media_type:
        return ""
    parsed = MediaType.parse(media_type)
    return f'{parsed.type}; type="{parsed.of_parts}"' if parsed.is_multipart else parsed.type


def resources() -> tuple[Resource, ...]:
    """What is served."""
    return merged(routing.RESOURCES)


@asynccontextmanager
async def world(folder: Path, seed: Path) -> AsyncIterator[World]:
    """Open a copy of what ``sow`` made in ``seed``."""
    shutil.copytree(seed, folder)
    archive = await Archive.open(folder, ArchiveConfig(file_threads=2))
    try:
        yield World(archive, Kept(archive))
    finally:
        await archive.close()


FRAME = {
    "NumberOfFrames": 1,
    "BitsAllocated": 16,
    "SamplesPerPixel": 1,
    "Rows": 64,
    "Columns": 64,
    "PixelData": bytes(64 * 64 * 2),
}
"""An image whose pixels are no metadata."""


async def sow(folder: Path) -> None:
    """Make an archive with something of everything."""
    archive = await Archive.open(folder, ArchiveConfig(file_threads=2))
    try:
        made = World(archive, Kept(archive))
        await made.kept.store_all(("1.2.3.4", "1.2.3.5"), **FRAME)
        for name, uid in UIDS.items():
            await made.kept.store(of_category(name, uid))
        for number, sop_class in enumerate(documents.MEDIA_TYPES):
            await made.kept.store(_document(number, sop_class))
        await made.kept.store(_film())
        await made.kept.store(_drawing())
        await made.kept.store(_slide())
        await made.kept.store(image("1.2.3.6", **FRAME, BurnedInAnnotation="YES"))
        for number, syntax in enumerate(KEPT_AS.values()):
            uid = f"{COMPRESSED}.{number}"
            await made.kept.begin(_compressed(uid), syntax=syntax, sop_instance=uid).finish()
        await made.put_in("POST", f"/workitems?workitem={FILLED['workitem']}", workitem())
    finally:
        await archive.close()


# --- states


def _each(state: Callable[[World, pytest.MonkeyPatch], None]) -> State:
    async def bring_about(world: World, _: Resource, monkeypatch: pytest.MonkeyPatch) -> None:
        state(world, monkeypatch)

    return bring_about


def _lose(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in list(world.archive.store.all_keys()):
        world.archive.store.delete(key)


def _fill(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def begin() -> Any:
        raise StorageFull("storage: no space left")

    monkeypatch.setattr(world.archive.store, "begin", begin)


def _break_index(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any, **__: Any) -> Any:
        raise Unavailable("the index cannot be written")

    monkeypatch.setattr(world.archive.index, "remove", fail)
    monkeypatch.setattr(world.archive.commitments, "request", fail)
    monkeypatch.setattr(world.archive.commitments, "result", fail)


def _hesitate(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing_yet(*_: Any) -> None:
        return None

    monkeypatch.setattr(world.archive.commitments, "request", nothing_yet)
    monkeypatch.setattr(world.archive.commitments, "result", nothing_yet)


lost = _each(_lose)
"""No blob can be found."""
full = _each(_fill)
"""The disk is full."""
broken = _each(_break_index)
"""The index cannot be used."""
hesitating = _each(_hesitate)
"""What is asked for takes long."""
small = _each(lambda world, patch: patch.setattr(targets, "MOST_INSTANCES", 0))
"""An answer takes no instance."""
impatient = _each(lambda world, patch: patch.setattr(bodies, "PART_OF_TIMEOUT", 0.001))
"""A body that stops is not waited for."""


async def half_lost(world: World, _: Resource, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the blobs of a series cannot be found."""
    first, *_others = await world.kept.refs()
    world.archive.store.delete(first.blob_key)


async def of_two_patients(world: World, _: Resource, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two patients have the same study."""
    await world.kept.store(image("1.2.3.7", PatientID="P2", PatientName="Other"))


async def subscribed(world: World, resource: Resource, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a subscription."""
    path = path_of(resource, {}).removesuffix("/suspend")
    answer = await world.send("POST", f"{path}?{SUBSCRIBING}")
    assert answer.status_code == 201, answer.text


async def claimed(world: World, _: Resource, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody works on the workitem."""
    await world.put_in("PUT", f"{WORKITEM}/state", state("IN PROGRESS"))


async def completed(world: World, of: Resource, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workitem is done."""
    await claimed(world, of, monkeypatch)
    await world.put_in("POST", f"{WORKITEM}?{TRANSACTION}", PERFORMED)
    await world.put_in("PUT", f"{WORKITEM}/state", state("COMPLETED"))


async def retired(world: World, of: Resource, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workitem was done long ago."""
    await completed(world, of, monkeypatch)
    assert await world.archive.index.worklist.retire(1 << 60)


async def asked(world: World, of: Resource, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commitment was asked for."""
    await world.put_in("POST", path_of(of, {}), COMMITMENT)


async def expired(world: World, of: Resource, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commitment was asked for long ago."""
    await world.archive.index.commitments.enter(FILLED["transaction"], b"", 3600)


# --- what is sent

WORKITEM = f"/workitems/{FILLED['workitem']}"
SUBSCRIBING = "filter=PatientID=P1"
COMMITMENT: Dataset = {
    "00081199": element("SQ", {"00081150": element("UI", CT), "00081155": element("UI", "1.2.3.4")})
}


def parts(*contents: bytes, kind: str = "application/dicom") -> bytes:
    """As RFC 2046 5.1 writes it."""
    head = f"--{BOUNDARY}\r\nContent-Type: {kind}\r\n\r\n".encode()
    return b"".join(head + each + b"\r\n" for each in contents) + f"--{BOUNDARY}--".encode()


def instance_for(resource: Resource, number: int = 9, **attributes: Any) -> bytes:
    """A file that may be stored at a resource."""
    category = resource.path.split("/")[1]
    if category not in CATEGORIES:
        return part10(image(f"1.2.3.{number}", **attributes))
    uid = UIDS[category] if resource.path.endswith("{uid}") else f"1.2.6.{number}"
    return part10(of_category(category, uid))


def sent_data(resource: Resource) -> Dataset:
    """A data set that may be sent to a resource as JSON or XML."""
    if resource.path.startswith("/commitment"):
        return COMMITMENT
    if not resource.path.startswith("/workitems"):
        made = pydicom.dcmread(io.BytesIO(instance_for(resource)))
        return {**made.file_meta.to_json_dict(), **made.to_json_dict()}
    match resource.path:
        case "/workitems":
            return workitem()
        case "/workitems/{workitem}/state":
            return state("IN PROGRESS")
        case "/workitems/{workitem}/cancelrequest":
            return {"00741238": element("LT", "Sent home")}
    return {"00741204": element("LO", "Read it at once")}


def body_of(resource: Resource, media_type: str) -> bytes:
    """A good body of a media type."""
    kind = MediaType.parse(media_type).of_parts
    if kind == "application/dicom":
        content = instance_for(resource)
    elif kind.endswith("json"):
        content = json.dumps([sent_data(resource)]).encode()
    else:
        content = b"".join(xml_model.write(sent_data(resource)))
    return parts(content, kind=kind) if "multipart" in media_type else content


def content_type(media_type: str) -> str:
    """What to send as Content-Type."""
    return f"{media_type}; boundary={BOUNDARY}" if "multipart" in media_type else media_type


async def _stopping() -> AsyncIterator[bytes]:
    yield b"--a-boundary\r\n"
    await asyncio.sleep(5)


# --- probes

Prober = Callable[[Resource, Method], Iterator[Probe]]

QUERIES: Mapping[tuple[str, str], str] = {
    ("GET", "/wado"): "requestType=WADO&studyUID=1.2&seriesUID=1.2.3&objectUID=1.2.3.4"
    "&contentType=application/dicom",
    ("POST", "/workitems"): "workitem=1.2.7.2",
    ("POST", "/workitems/1.2.840.10008.5.1.4.34.5.1/subscribers/{aetitle}"): SUBSCRIBING,
}
"""What any good request to a resource asks for."""


def _sent(resource: Resource, method: Method, taken: str | None = None) -> Probe:
    """A good request, with a body of a kind that is taken, the first if no other is named."""
    name = next(name for name, each in resource.methods.items() if each is method)
    query = QUERIES.get((name, resource.path), "")
    if not method.takes:
        return Probe(query=query)
    taken = taken or method.takes[0]
    headers = {"content-type": content_type(taken)}
    return Probe(headers=headers, body=body_of(resource, taken), query=query)


OF_PIXELS = re.compile("/(frames/{frames}|bulkdata(/{path:path})?|pixeldata)$")


def _kept_as(media_type: str) -> Mapping[str, str]:
    """An instance of which there are frames of a media type."""
    kind = MediaType.parse(media_type).of_parts
    if kind not in KEPT_AS:
        return {}
    instance = f"{COMPRESSED}.{list(KEPT_AS).index(kind)}"
    return {"study": COMPRESSED, "series": f"{COMPRESSED}.9", "instance": instance}


def _document_of(media_type: str) -> Mapping[str, str]:
    """A document of a media type."""
    kinds = list(documents.MEDIA_TYPES.values())
    if media_type not in kinds:
        return {}
    instance = f"{DOCUMENTS}.{kinds.index(media_type)}"
    return {"study": DOCUMENTS, "series": f"{DOCUMENTS}.9", "instance": instance}


def _film_of(media_type: str) -> Mapping[str, str]:
    """What moves."""
    if MediaType.parse(media_type).of_parts != MP4:
        return {}
    uids = {"study": FILM, "series": f"{FILM}.9", "instance": f"{FILM}.1"}
    return {**uids, "frames": "1,2"}


def _drawing_of(media_type: str) -> Mapping[str, str]:
    """What is drawn."""
    if media_type != SVG:
        return {}
    return {"study": DRAWING, "series": f"{DRAWING}.9", "instance": f"{DRAWING}.1"}


def _of(media_type: str) -> Mapping[str, str]:
    """What is rendered as a media type that is none of pictures."""
    return _document_of(media_type) or _film_of(media_type) or _drawing_of(media_type)


def _filled_for(resource: Resource, media_type: str) -> Mapping[str, str]:
    """What there is in a media type at a resource."""
    if OF_PIXELS.search(resource.path):
        return _kept_as(media_type)
    if resource.path.endswith("/rendered"):
        return _of(media_type)
    return {}


def _good(resource: Resource, method: Method) -> Iterator[Probe]:
    for given in method.gives:
        sent = _sent(resource, method)
        filled = _filled_for(resource, given)
        yield replace(sent, headers={"accept": given, **sent.headers}, filled=filled)
    for taken in method.takes:
        yield _sent(resource, method, taken)
    if not (method.gives or method.takes):
        yield _sent(resource, method)


def _by_uri(resource: Resource, method: Method) -> Iterator[Probe]:
    """Each rendering that the URI service has."""
    query = QUERIES["GET", "/wado"]
    for given in method.gives[1:]:
        asked = query.replace("application/dicom", given.replace("+", "%2B"))
        if filled := _of(given):
            asked = asked.replace("1.2.3.4", filled["instance"])
            asked = asked.replace("seriesUID=1.2.3&", f"seriesUID={filled['series']}&")
            asked = asked.replace("studyUID=1.2&", f"studyUID={filled['study']}&")
        yield Probe(query=asked)


def _in(state: State, **changes: Any) -> Prober:
    """What is good otherwise, in a state."""

    def probes(resource: Resource, method: Method) -> Iterator[Probe]:
        for probe in _good(resource, method):
            yield replace(probe, state=state, **changes)

    return probes


def _once(**changes: Any) -> Prober:
    """A good request, with changes; header fields come on top."""
    headers = changes.pop("headers", {})

    def probes(resource: Resource, method: Method) -> Iterator[Probe]:
        sent = _sent(resource, method)
        yield replace(sent, headers={**sent.headers, **headers}, **changes)

    return probes


def _range(wanted: str) -> Prober:
    def probes(resource: Resource, method: Method) -> Iterator[Probe]:
        if "application/pdf" in method.gives and (filled := _document_of("application/pdf")):
            yield from _once(headers={"range": wanted}, filled=filled)(resource, method)
        if MP4 in method.gives:
            headers = {"range": wanted, "accept": MP4}
            yield from _once(headers=headers, filled=_film_of(MP4))(resource, method)
        for accept in ("*/*", "application/dicom"):
            yield from _once(headers={"range": wanted, "accept": accept})(resource, method)

    return probes


def _as_json(dataset: Dataset, **changes: Any) -> Prober:
    return _once(body=json.dumps(dataset).encode(), headers=JSON, **changes)


def _nothing(resource: Resource, method: Method) -> Iterator[Probe]:
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "WorklistLabel"):
        yield Probe(query=f"{keyword}={NOWHERE}" if method.parameters else "")


def _malformed(resource: Resource, method: Method) -> Iterator[Probe]:
    for name in re.findall(r"\{(\w+)", resource.path):
        yield replace(_sent(resource, method), filled={name: LONG})
    if any(each.name == "limit" for each in method.parameters):
        yield Probe(query="limit=many")
    if method.takes:
        yield replace(_sent(resource, method), body=b"nonsense")
    else:
        yield Probe()


def _absent(resource: Resource, method: Method) -> Iterator[Probe]:
    for name in re.findall(r"\{(\w+)", resource.path):
        yield replace(_sent(resource, method), filled={name: NOWHERE})


def _unavailable(resource: Resource, method: Method) -> Iterator[Probe]:
    yield replace(_sent(resource, method), state=full if method.takes else lost)
    yield replace(_sent(resource, method), state=broken)


def _partly(resource: Resource, method: Method) -> Iterator[Probe]:
    """Some of what is sent cannot be stored."""
    headers = {"content-type": content_type('multipart/related; type="application/dicom"')}
    spoilt = instance_for(resource).replace(b"1.2.840.10008.5.1.4", b"1.2.840.10008.9.9.9")
    yield Probe(headers=headers, body=parts(instance_for(resource), spoilt))
    yield Probe(headers=headers, body=parts(instance_for(resource), part10(image("1.2.7"))[:300]))


def _none(resource: Resource, method: Method) -> Iterator[Probe]:
    """None of what is sent can be stored, though it is DICOM."""
    headers = {"content-type": "application/dicom"}
    yield Probe(headers=headers, body=part10(image("1.2.3.9", StudyInstanceUID=None)))
    yield Probe(headers=headers, body=part10(image("1.2.3.9", StudyInstanceUID="1.2.8")))


def _stalled(resource: Resource, method: Method) -> Iterator[Probe]:
    yield replace(_sent(resource, method), body=_stopping(), state=impatient)


def _too_much(resource: Resource, method: Method) -> Iterator[Probe]:
    if not method.takes:
        yield Probe(state=small)
        yield Probe(filled={"frames": ",".join("1" * 20_000)})
        return
    config = DicomwebConfig(max_store_size=1 << 20)
    size = max(2 << 20, workitem_payloads.LARGEST + 1)
    if resource.path.startswith("/commitment"):
        size = commitment.LARGEST + 1
    yield replace(_sent(resource, method), body=bytes(size), config=config)


PROBES: Mapping[int, tuple[Prober, ...]] = {
    200: (_good,),
    201: (_good,),
    202: (_good,),
    204: (_nothing,),
    206: (_range("bytes=0-0"), _once(state=half_lost)),
    304: (_once(headers={"if-none-match": "*"}),),
    400: (_malformed,),
    404: (_absent,),
    406: (_once(headers={"accept": "application/x-nothing"}),),
    408: (_stalled,),
    410: (_once(state=retired),),
    412: (_once(headers={"if-match": '"other"'}),),
    413: (_too_much,),
    415: (_once(headers={"content-type": "image/x-nothing"}),),
    416: (_range("bytes=999999999-"),),
    501: (_good,),
    503: (_unavailable,),
}
"""Ways to provoke a status; it is enough that one of them does."""

SPECIAL: Mapping[str, Mapping[int, tuple[Prober, ...]]] = {
    "Store": {202: (_partly,), 409: (_none,)},
    "Remove": {
        204: (_good,),
        403: (_once(config=DicomwebConfig(removal="never")),),
        409: (_once(state=of_two_patients),),
    },
    "Retrieve DICOM Instance or Rendered Instance": {
        200: (_good, _by_uri),
        400: (_once(query="requestType=WADO"),),
        404: (_once(query=QUERIES["GET", "/wado"].replace("1.2.3.4", NOWHERE)),),
        406: (_once(query=QUERIES["GET", "/wado"].replace("application/dicom", "x/y")),),
        413: (
            _once(
                query="requestType=WADO&contentType=image/jpeg&studyUID={study}"
                "&seriesUID={series}&objectUID={instance}".format_map(SLIDE)
            ),
        ),
        403: (_once(query=QUERIES["GET", "/wado"].replace("1.2.3.4", "1.2.3.6") + ANONYMIZE),),
    },
    "Retrieve Rendered": {413: (_too_much, _once(filled=SLIDE))},
    "Request": {202: (_once(state=hesitating),), 409: (_once(state=asked),)},
    "Result Check": {
        200: (_in(asked),),
        202: (_once(state=hesitating),),
        410: (_once(state=expired),),
    },
    "Unsubscribe": {200: (_once(state=subscribed),)},
    "Suspend Global Subscription": {200: (_once(state=subscribed),)},
    "Create Workitem": {409: (_once(query=f"workitem={FILLED['workitem']}"),)},
    "Update Workitem": {409: (_once(query=TRANSACTION),)},
    "Change Workitem State": {409: (_as_json(state("COMPLETED"), state=claimed),)},
    "Request Cancellation": {409: (_once(state=completed),)},
}
"""What the general ways do not provoke, by transaction."""


def probes(resource: Resource, method: Method, status: int) -> Iterator[Probe]:
    """Yield requests that ought to be answered with ``status``."""
    ways = SPECIAL.get(method.transaction, {}).get(status) or PROBES.get(status, ())
    for prober in ways:
        yield from prober(resource, method)
