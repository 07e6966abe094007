"""Manifests of Weasis: what it is to fetch and show, as XML of the namespace in ``NAMESPACE``.

Source: Weasis' schema of manifests, ``config/manifest.xsd`` (2.5). A value that its types do not
allow is left out, so that one odd attribute does not keep a study from being seen.
"""

import asyncio
import re
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from xml.sax.saxutils import quoteattr

from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from isocenter.archive.archive import Archive
from isocenter.storage.attributes import Level
from isocenter.storage.query import Key, Query
from isocenter.storage.records import Match
from isocenter.ui import asking
from isocenter.ui.formats import text_of
from isocenter.ui.identifiers import Identifier
from isocenter.web import addresses
from isocenter.web.compression import Compression
from isocenter.web.delivery import Stream

NAMESPACE: Final = "http://www.weasis.org/xsd/2.5"
MOST_STUDIES: Final = 500
"""Studies of one manifest: who asks for more did not mean to."""
MOST_VALUES: Final = 200
"""Values of the parameters together."""
AS_KEPT: Final = "*"
"""As a transfer syntax: the one that it is kept in (PS3.18 8.7.3.5.2)."""

UIDS: Final = {
    "studyUID": asking.STUDY_UID,
    "seriesUID": asking.SERIES_UID,
    "objectUID": asking.INSTANCE_UID,
}
PARAMETERS: Final = (*UIDS, "accessionNumber", "patientID")
"""What a manifest may be asked by; each several times, or with commas between."""

Clean = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a manifest is to be of."""

    patients: tuple[Identifier, ...]
    accessions: tuple[str, ...]
    uids: Mapping[str, tuple[str, ...]]
    """By the parameter's name."""

    @classmethod
    def read(cls, request: Request) -> "Asked":
        """Read the query. Raises: HTTPException 400."""
        given = {name: _values(request, name) for name in PARAMETERS}
        if not any(given.values()):
            raise HTTPException(400, f"say of what: {', '.join(PARAMETERS)}")
        if sum(map(len, given.values())) > MOST_VALUES:
            raise HTTPException(400, f"a manifest is asked for with {MOST_VALUES} values at most")
        uids = {name: given[name] for name in UIDS}
        if not all(asking.is_uid(uid) for each in uids.values() for uid in each):
            raise HTTPException(400, "one of the UIDs is none")
        patients = tuple(map(Identifier.read, given["patientID"]))
        return cls(patients, given["accessionNumber"], uids)

    def studies(self) -> Iterator[Query]:
        """What finds the studies: for each patient apart, as each may have an issuer."""
        keys = [Key(tag, any_of=self.uids[name]) for name, tag in UIDS.items() if self.uids[name]]
        if self.accessions:
            keys.append(Key(0x00080050, any_of=self.accessions))
        for patient in self.patients or (None,):
            of_patient = patient.keys() if patient else ()
            yield Query(level=Level.STUDY, keys=(*keys, *of_patient), limit=MOST_STUDIES + 1)

    def within(self, level: Level) -> tuple[Key, ...]:
        """What of a study is wanted, at ``level``."""
        names = ("seriesUID", "objectUID") if level is Level.SERIES else ("objectUID",)
        return tuple(Key(UIDS[name], any_of=self.uids[name]) for name in names if self.uids[name])


def _values(request: Request, name: str) -> tuple[str, ...]:
    listed = [
        part.strip() for text in request.query_params.getlist(name) for part in text.split(",")
    ]
    return tuple(dict.fromkeys(each for each in listed if each))


async def plain(request: Request) -> Response:
    """GET /weasis/manifest. Raises: HTTPException 400, 404."""
    content = await _made(request)
    return Stream(content, headers={"cache-control": "no-store"}, media_type="application/xml")


async def compressed(request: Request) -> Response:
    """GET /weasis/manifest.gz: as a file in gzip. Raises: HTTPException 400, 404."""
    content = _zipped(await _made(request))
    return Stream(content, headers={"cache-control": "no-store"}, media_type="application/gzip")


async def _made(request: Request) -> AsyncIterator[bytes]:
    """Find the studies, then make the rest while it is sent."""
    archive = asking.archive_of(request)
    asked = Asked.read(request)
    found: dict[str, Match] = {}
    for query in asked.studies():
        async for page in archive.search(query):
            found.update({each.study: each for each in page})
    if not found:
        raise HTTPException(404, "nothing in the archive matches")
    if len(found) > MOST_STUDIES:
        raise HTTPException(400, f"these are more than {MOST_STUDIES} studies: ask for fewer")
    return _written(archive, asked, addresses.root(request), list(found.values()))


async def _written(
    archive: Archive, asked: Asked, base: str, studies: list[Match]
) -> AsyncIterator[bytes]:
    archive_name = {"arcId": "isocenter", "baseUrl": f"{base}/wado"}
    more = {"additionnalParameters": "", "requireOnlySOPInstanceUID": "false"}
    yield b'<?xml version="1.0" encoding="UTF-8"?>\n'
    yield _opened("manifest", {"xmlns": NAMESPACE}) + _opened("arcQuery", {**archive_name, **more})
    for patient in dict.fromkeys(each.patient for each in studies):
        of_patient = [each for each in studies if each.patient == patient]
        yield _opened("Patient", _valued(PATIENT, of_patient[0].attributes))
        for study in of_patient:
            yield _opened("Study", _valued(STUDY, study.attributes))
            async for piece in _series(archive, asked, study):
                yield piece
            yield b"</Study>\n"
        yield b"</Patient>\n"
    yield b"</arcQuery></manifest>\n"


async def _series(archive: Archive, asked: Asked, study: Match) -> AsyncIterator[bytes]:
    uid = Key(asking.STUDY_UID, text_of(study.attributes, asking.STUDY_UID))
    only = Query(level=Level.SERIES, studies=frozenset((study.study,)))
    query = replace(only, keys=(uid, *asked.within(Level.SERIES)))
    async for page in archive.search(query):
        for series in page:
            named = Key(asking.SERIES_UID, text_of(series.attributes, asking.SERIES_UID))
            keys = (uid, named, *asked.within(Level.IMAGE))
            of_series = replace(only, level=Level.IMAGE, keys=keys, returns=_OF_INSTANCE)
            has_begun = False
            async for instances in archive.search(of_series):
                if not has_begun:  # a series without an instance may not be told of
                    yield _opened("Series", _of_series(series.attributes))
                    has_begun = True
                yield b"".join(_instances(instances))
            if has_begun:
                yield b"</Series>\n"


def _of_series(attributes: dict[str, Any]) -> dict[str, str]:
    # It is to ask for what is kept as it is kept: it reads every transfer syntax that it can get.
    return {**_valued(SERIES, attributes), "WadoTransferSyntaxUID": AS_KEPT}


def _instances(page: Iterable[Match]) -> Iterator[bytes]:
    for each in page:
        yield _opened("Instance", _valued(INSTANCE, each.attributes), is_empty=True)


async def _zipped(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    packer = zlib.compressobj(level=1, wbits=16 + zlib.MAX_WBITS)
    async for piece in content:
        if packed := await asyncio.to_thread(packer.compress, piece):
            yield packed
    yield packer.flush()


# --- values, as the schema's types have them


def _opened(name: str, attributes: Mapping[str, str], *, is_empty: bool = False) -> bytes:
    written = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
    return f"<{name}{written}{'/' if is_empty else ''}>\n".encode()


# What XML cannot hold, not even as a reference (XML 1.0, 2.2).
_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _short(longest: int) -> Clean:
    return lambda value: _NO_XML.sub("", value)[:longest]


def _whole(longest: int) -> Clean:
    """What is too long is left out: cut off, it would be another one's."""
    return lambda value: value if len(value) <= longest and not _NO_XML.search(value) else ""


def _like(pattern: str) -> Clean:
    matches = re.compile(pattern, re.ASCII).fullmatch
    return lambda value: value if matches(value) else ""


def _integer(value: str) -> str:
    is_one = re.fullmatch(r"[+-]?[0-9]{1,10}", value, re.ASCII)
    return str(int(value)) if is_one and -(2**31) <= int(value) < 2**31 else ""


def _name(value: str) -> str:
    value = _NO_XML.sub("", value)
    return value if len(value) <= 64 else value.partition("=")[0][:64]


_DATE: Final = _like(r"[1-9][0-9]{3}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])")
_TIME: Final = _like(r"([01][0-9]|2[0-3])([0-5][0-9]([0-5][0-9](\.[0-9]{1,6})?)?)?")
_UID: Final = _short(64)

Values = Mapping[str, tuple[int, Clean]]
PATIENT: Final[Values] = {
    "PatientID": (0x00100020, _short(64)),
    "PatientName": (0x00100010, _name),
    "IssuerOfPatientID": (0x00100021, _short(64)),
    "PatientBirthDate": (0x00100030, _DATE),
    "PatientSex": (0x00100040, _like("[MFO]")),
}
STUDY: Final[Values] = {
    "StudyInstanceUID": (asking.STUDY_UID, _UID),
    "StudyDescription": (0x00081030, _short(64)),
    "StudyDate": (0x00080020, _DATE),
    "StudyTime": (0x00080030, _TIME),
    "AccessionNumber": (0x00080050, _whole(16)),
    "StudyID": (0x00200010, _whole(16)),
    "ReferringPhysicianName": (0x00080090, _name),
}
SERIES: Final[Values] = {
    "SeriesInstanceUID": (asking.SERIES_UID, _UID),
    "SeriesDescription": (0x0008103E, _short(64)),
    "SeriesNumber": (0x00200011, _integer),
    "Modality": (0x00080060, _like("[A-Z0-9 _]{0,16}")),
}
INSTANCE: Final[Values] = {
    "SOPInstanceUID": (asking.INSTANCE_UID, _UID),
    "InstanceNumber": (0x00200013, _integer),
}
REQUIRED: Final = frozenset(
    ("PatientID", "PatientName", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
)
_OF_INSTANCE: Final = frozenset(tag for tag, _ in INSTANCE.values())


def _valued(values: Values, attributes: dict[str, Any]) -> dict[str, str]:
    found = {name: clean(text_of(attributes, tag)) for name, (tag, clean) in values.items()}
    return {name: value for name, value in found.items() if value or name in REQUIRED}


_COMPRESSED: Final = [Middleware(Compression)]
ROUTES = (
    Route("/weasis/manifest", plain, name="manifest", middleware=_COMPRESSED),
    Route("/weasis/manifest.gz", compressed, name="compressed manifest"),
)
