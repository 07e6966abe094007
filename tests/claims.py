"""What the registry of DICOMweb claims, and how to see each claim come true.

For every method of every resource, and every status code it says it may answer, ``probes`` has
requests that ought to bring it about. A new transaction adds what is its own: bodies to ``BODIES``,
what stands in its path to ``FILLED``, and to ``PROBES`` what the general ways do not provoke.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
from pydicom.dataset import Dataset

from isocenter.archive.archive import Archive
from isocenter.archive.commitment import Reference
from isocenter.config import ArchiveConfig, Config, DicomwebConfig
from isocenter.dicom import xml_model
from isocenter.dicomweb import bodies, commitment, routing, targets
from isocenter.dicomweb.media_types import MediaType
from isocenter.dicomweb.non_patient import CATEGORIES
from isocenter.dicomweb.resources import Method, Resource, merged
from isocenter.storage.blobs import StorageFull
from made_instances import Kept, image, part10

BOUNDARY = "a-boundary"
LONG = "1." * 40
"""No UID: too long (PS3.5 9.1)."""
NOWHERE = "1.2.999"

OF_NO_PATIENT = dict.fromkeys(
    ("StudyInstanceUID", "SeriesInstanceUID", "PatientID", "PatientName", "StudyDate"), None
)


def of_category(name: str, uid: str) -> Dataset:
    """An instance of a category of those that belong to no patient."""
    return image(uid, SOPClassUID=min(CATEGORIES[name]), **OF_NO_PATIENT)


FILLED: Mapping[str, str] = {
    "study": "1.2",
    "series": "1.2.3",
    "instance": "1.2.3.4",
    "frames": "1",
    "transaction": "1.2.4.1",
}
"""What stands in paths for what is there; ``uid`` is that of the category."""

EXPIRED = "1.2.4.2"
"""A Transaction UID of storage commitment whose result is not kept any more."""

UIDS = {name: f"1.2.5.{number}" for number, name in enumerate(CATEGORIES)}


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A request, and what must be the case for it."""

    headers: Mapping[str, str] = field(default_factory=dict)
    query: str = ""
    filled: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    state: Callable[[World, pytest.MonkeyPatch], None] | None = None
    config: DicomwebConfig = field(default_factory=DicomwebConfig)


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
    transactions: Iterator[int] = field(default_factory=itertools.count)

    async def ask(self, resource: Resource, method: str, probe: Probe) -> Seen:
        """Send one request; hold the answer against what any answer must be."""
        filled = {**FILLED, "uid": UIDS.get(resource.path.split("/")[1], ""), **probe.filled}
        if method == "POST" and "transaction" not in probe.filled:
            filled["transaction"] = f"1.2.4.3.{next(self.transactions)}"  # each may be used once
        path = re.sub(r"\{(\w+)(:\w+)?\}", lambda found: filled[found[1]], resource.path)
        url = f"{path}?{probe.query}" if probe.query else path
        served = routing.application(self.archive, Config(dicomweb=probe.config))
        transport = httpx.ASGITransport(served, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://archive") as web:
            answer = await web.request(method, url, headers=dict(probe.headers), content=probe.body)
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


REFERENCES = [Reference(image().SOPClassUID, "1.2.3.4"), Reference(image().SOPClassUID, NOWHERE)]


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    """Make an archive in ``folder``."""
    archive = await Archive.open(folder, ArchiveConfig(file_threads=2))
    try:
        kept = Kept(archive)
        await kept.store_all(("1.2.3.4", "1.2.3.5"), NumberOfFrames=1, BitsAllocated=16)
        for name, uid in UIDS.items():
            await kept.store(of_category(name, uid))
        await archive.commitments.request(FILLED["transaction"], REFERENCES, 10)
        await archive.index.commitments.enter(EXPIRED, b"", 3600)
        yield World(archive, kept)
    finally:
        await archive.close()


# --- states


def lost(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """No blob can be found."""
    for key in list(world.archive.store.all_keys()):
        world.archive.store.delete(key)


def full(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full."""

    def begin() -> Any:
        raise StorageFull("storage: no space left")

    monkeypatch.setattr(world.archive.store, "begin", begin)


def small(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer takes no instance."""
    monkeypatch.setattr(targets, "MOST_INSTANCES", 0)


def impatient(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that stops is not waited for."""
    monkeypatch.setattr(bodies, "PATIENCE", 0.05)


def tiny(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request for commitment may be hardly anything."""
    monkeypatch.setattr(commitment, "LARGEST", 10)


def slow(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commitment takes long."""

    async def nothing_yet(*_: Any) -> None:
        return None

    monkeypatch.setattr(world.archive.commitments, "request", nothing_yet)
    monkeypatch.setattr(world.archive.commitments, "result", nothing_yet)


# --- bodies


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


def _alone(resource: Resource) -> bytes:
    return instance_for(resource)


def _in_parts(resource: Resource) -> bytes:
    return parts(instance_for(resource))


def _model(resource: Resource) -> Dataset:
    """A data set that may be sent to a resource as metadata."""
    if "commitment" in resource.path:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image().SOPClassUID, "1.2.3.4"
        module = Dataset()
        module.ReferencedSOPSequence = [item]
        return module
    return pydicom.dcmread(BytesIO(instance_for(resource)))


def _as_json(resource: Resource) -> bytes:
    return json.dumps([_model(resource).to_json_dict()]).encode()


def _as_xml(resource: Resource) -> bytes:
    return b"".join(xml_model.write(_model(resource).to_json_dict()))


def _json_in_parts(resource: Resource) -> bytes:
    return parts(_as_json(resource), kind="application/dicom+json")


def _xml_in_parts(resource: Resource) -> bytes:
    return parts(_as_xml(resource), kind="application/dicom+xml")


BODIES: dict[str, Callable[[Resource], bytes]] = {
    "application/dicom": _alone,
    'multipart/related; type="application/dicom"': _in_parts,
    "application/dicom+json": _as_json,
    "application/dicom+xml": _as_xml,
    'multipart/related; type="application/dicom+json"': _json_in_parts,
    'multipart/related; type="application/dicom+xml"': _xml_in_parts,
}
"""A good body of each media type that is taken."""


def content_type(media_type: str) -> str:
    """What to send as Content-Type."""
    return f"{media_type}; boundary={BOUNDARY}" if "multipart" in media_type else media_type


async def _stopping() -> AsyncIterator[bytes]:
    import asyncio

    yield b"--a-boundary\r\n"
    await asyncio.sleep(5)


# --- probes

Prober = Callable[[Resource, Method], Iterator[Probe]]


def _sent(resource: Resource, method: Method) -> Probe:
    """A good body of the first kind that is taken; nothing, where nothing is."""
    if not method.takes:
        return Probe()
    taken = method.takes[0]
    return Probe(headers={"content-type": content_type(taken)}, body=BODIES[taken](resource))


def _good(resource: Resource, method: Method) -> Iterator[Probe]:
    for given in method.gives:
        sent = _sent(resource, method)
        yield replace(sent, headers={"accept": given, **sent.headers})
    for taken in method.takes:
        headers = {"content-type": content_type(taken)}
        yield Probe(headers=headers, body=BODIES[taken](resource))
    if not (method.gives or method.takes):
        yield Probe()


def _nothing(resource: Resource, method: Method) -> Iterator[Probe]:
    yield Probe(query=f"SOPInstanceUID={NOWHERE}" if method.parameters else "")
    yield Probe(query=f"StudyInstanceUID={NOWHERE}" if method.parameters else "")


def _with(**headers: str) -> Prober:
    told = {name.replace("_", "-"): value for name, value in headers.items()}

    def probes(resource: Resource, method: Method) -> Iterator[Probe]:
        sent = _sent(resource, method)
        yield replace(sent, headers={**sent.headers, **told})

    return probes


def _malformed(resource: Resource, method: Method) -> Iterator[Probe]:
    names = re.findall(r"\{(\w+)", resource.path)
    for name in names:
        yield replace(_sent(resource, method), filled={name: LONG})
    if any(each.name == "limit" for each in method.parameters):
        yield Probe(query="limit=many")
    if method.takes:
        yield replace(_sent(resource, method), body=b"nonsense")


def _absent(resource: Resource, method: Method) -> Iterator[Probe]:
    for name in re.findall(r"\{(\w+)", resource.path):
        yield replace(_sent(resource, method), filled={name: NOWHERE})


def _unavailable(resource: Resource, method: Method) -> Iterator[Probe]:
    yield replace(_sent(resource, method), state=full if method.takes else lost)


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


def _too_much(resource: Resource, method: Method) -> Iterator[Probe]:
    if "commitment" in resource.path:
        yield replace(_sent(resource, method), state=tiny)
    elif method.takes:
        config = DicomwebConfig(max_store_size=1 << 20)
        yield replace(_sent(resource, method), body=bytes(2 << 20), config=config)
    else:
        yield Probe(state=small)


def _stalled(resource: Resource, method: Method) -> Iterator[Probe]:
    yield replace(_sent(resource, method), body=_stopping(), state=impatient)


def _still_working(resource: Resource, method: Method) -> Iterator[Probe]:
    if "commitment" in resource.path:
        yield replace(_sent(resource, method), state=slow)
    else:
        yield from _partly(resource, method)


def _again(resource: Resource, method: Method) -> Iterator[Probe]:
    if "commitment" in resource.path:
        used = {"transaction": FILLED["transaction"]}
        yield replace(_sent(resource, method), filled=used)
    else:
        yield from _none(resource, method)


def _expired(resource: Resource, method: Method) -> Iterator[Probe]:
    yield Probe(filled={"transaction": EXPIRED})


PROBES: dict[int, tuple[Prober, ...]] = {
    200: (_good,),
    202: (_still_working,),
    204: (_nothing,),
    206: (_with(range="bytes=0-0"),),
    304: (_with(if_none_match="*"),),
    400: (_malformed,),
    404: (_absent,),
    406: (_with(accept="application/x-nothing"),),
    408: (_stalled,),
    409: (_again,),
    410: (_expired,),
    412: (_with(if_match='"other"'),),
    413: (_too_much,),
    415: (_with(content_type="image/x-nothing"),),
    416: (_with(range="bytes=999999999-"),),
    501: (_good,),
    503: (_unavailable,),
}
"""Ways to provoke a status; it is enough that one of them does."""


def probes(resource: Resource, method: Method, status: int) -> Iterator[Probe]:
    """Yield requests that ought to be answered with ``status``."""
    for prober in PROBES.get(status, ()):
        yield from prober(resource, method)
