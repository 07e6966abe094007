"""Invoke Image Display: other systems name a patient or studies, and we show them.

Source: IHE Radiology, Invoke Image Display (IID), transaction RAD-106.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from isocenter.storage.attributes import Level
from isocenter.storage.query import Key, Query
from isocenter.ui import asking, opening
from isocenter.ui.identifiers import Identifier
from isocenter.ui.page import render
from isocenter.ui.worklist import StudyRow, rows_found

PATH: Final = "/IHEInvokeImageDisplay"
PATIENT, STUDY = "PATIENT", "STUDY"
MOST: Final = 200
"""Studies that are listed, and values of one parameter."""
VIEWER_TYPES: Final = ("IHE_BIR", "PATIENT_VIEW")

NOTICES: Final[Mapping[str, str]] = {
    "diagnosticQuality": "Images of diagnostic quality were asked for. The quick look does not show"
    " them so: open the study in a viewer.",
    "keyImagesOnly": "Key images were asked for. All images are shown.",
}
"""What a reader is told of what was asked for and cannot be had, by its parameter."""

_NAME, _BIRTH_DATE, _MODALITIES = 0x00100010, 0x00100030, 0x00080061
_DATE, _TIME, _ACCESSION = 0x00080020, 0x00080030, 0x00080050
_DATE_TIME: Final = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)"
    r"(?:[T ]?(\d\d):?(\d\d)(?::?(\d\d)(?:\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?",
    re.ASCII,
)
_WILD: Final = re.compile(r'[*?\\"=]')


@dataclass(frozen=True, slots=True)
class Moment:
    """An end of a range: to the second, and how many minutes east of UTC it is meant."""

    at: datetime
    offset: int | None

    @classmethod
    def read(cls, name: str, text: str, *, is_end: bool) -> "Moment":
        """Read a date, with or without a time. Raises: HTTPException 400."""
        found = _DATE_TIME.fullmatch(text)
        if found is None:
            raise HTTPException(400, f"{name} is no date and time as in 2024-02-29T12:00:00")
        year, month, day, hour, minute, second, zone = found.groups()
        last = ("23", "59", "59") if is_end else ("0", "0", "0")
        clock = (hour or last[0], minute or last[1], second or last[2])
        try:
            at = datetime(*map(int, (year, month, day, *clock)))  # type: ignore[arg-type]
        except ValueError as error:
            raise HTTPException(400, f"{name}: there is no such date or time") from error
        return cls(at, _minutes(name, zone))

    def in_offset(self, offset: int | None) -> datetime:
        """The same moment on clocks that are ``offset`` minutes ahead of UTC."""
        if self.offset is None or offset is None:
            return self.at
        return self.at + timedelta(minutes=offset - self.offset)


def _minutes(name: str, zone: str | None) -> int | None:
    if zone is None:
        return None
    if zone == "Z":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    if hours > 14 or minutes > 59:
        raise HTTPException(400, f"{name}: there is no such timezone")
    return (hours * 60 + minutes) * (-1 if zone[0] == "-" else 1)


async def invoke(request: Request) -> Response:
    """GET /IHEInvokeImageDisplay: on to the viewer; to a list, where several studies match.

    Raises: HTTPException 400, 404.
    """
    kind = _one(request, "requestType")
    notices = _notices(request)
    if kind == PATIENT:
        found = await _of_patient(request)
    elif kind == STUDY:
        found = await _studies(request)
    else:
        raise HTTPException(400, "requestType must be PATIENT or STUDY")
    if not found:
        raise HTTPException(404, "nothing in the archive matches")
    is_overview = request.query_params.get("viewerType") == "PATIENT_VIEW"
    in_ohif = _has_ohif(request) and not any(each.is_ambiguous for each in found)
    if not is_overview and (len(found) == 1 or (kind == STUDY and in_ohif)):
        return opening.moved(_shown(found, notices, in_ohif=in_ohif))
    return render(request, "display.html", {"rows": found, "notices": _texts(notices)})


def _one(request: Request, name: str) -> str:
    """The value of a parameter, or nothing. Raises: HTTPException 400."""
    given = request.query_params.getlist(name)
    if len(given) > 1:
        raise HTTPException(400, f"{name} is there more than once")
    return given[0].strip() if given else ""


def _several(request: Request, name: str) -> tuple[str, ...]:
    """The values of a parameter, with commas between. Raises: HTTPException 400."""
    values = dict.fromkeys(each.strip() for each in _one(request, name).split(","))
    found = tuple(filter(None, values))
    if len(found) > MOST:
        raise HTTPException(400, f"{name} has more than {MOST} values")
    return found


def _notices(request: Request) -> list[str]:
    """What is asked for that we cannot do. Raises: HTTPException 400."""
    viewer = _one(request, "viewerType")
    if viewer and viewer not in VIEWER_TYPES:
        raise HTTPException(400, f"viewerType must be {' or '.join(VIEWER_TYPES)}")
    found = []
    for name in NOTICES:
        value = _one(request, name)
        if value not in ("", "true", "false"):
            raise HTTPException(400, f"{name} must be true or false")
        if value == "true" and not (name == "diagnosticQuality" and _has_ohif(request)):
            found.append(name)
    return found


def _has_ohif(request: Request) -> bool:
    return any(each.key == opening.OHIF for each in opening.choices(request))


def _shown(studies: Sequence[StudyRow], notices: Sequence[str], *, in_ohif: bool) -> str:
    """Where studies are shown: by OHIF, or by the quick look of the only one."""
    if in_ohif:
        return opening.in_ohif([each.uid for each in studies])
    told = [f"notice={','.join(notices)}"] if notices else []
    of = [studies[0].of] if studies[0].is_ambiguous else []
    return "?".join(filter(None, (studies[0].address, "&".join(of + told))))


def _texts(notices: Sequence[str]) -> list[str]:
    return [NOTICES[name] for name in notices]


def notices_of(request: Request) -> list[str]:
    """What the study's page is to say of how it was come to."""
    given = request.query_params.get("notice", "").split(",")
    return _texts([name for name in NOTICES if name in given])


# --- what is looked for


async def _studies(request: Request) -> list[StudyRow]:
    """RAD-106, Study-based Display: by UIDs or accession numbers. Raises: HTTPException 400."""
    uids, numbers = _several(request, "studyUID"), _several(request, "accessionNumber")
    if not uids and not numbers:
        raise HTTPException(400, "requestType=STUDY needs studyUID or accessionNumber")
    if not all(map(asking.is_uid, uids)):
        raise HTTPException(400, "studyUID: that is not a UID")
    keys = [Key(asking.STUDY_UID, any_of=uids)] if uids else []
    if numbers:
        keys.append(Key(_ACCESSION, any_of=numbers))
    return await rows_found(
        asking.archive_of(request), Query(level=Level.STUDY, keys=tuple(keys), limit=MOST)
    )


async def _of_patient(request: Request) -> list[StudyRow]:
    """RAD-106, Patient-based Display. Raises: HTTPException 400."""
    given = _one(request, "patientID")
    if not given:
        raise HTTPException(400, "requestType=PATIENT needs patientID")
    keys = [*Identifier.read(given).keys(), *_demographics(request)]
    if modalities := _several(request, "modalitiesInStudy"):
        keys.append(Key(_MODALITIES, any_of=modalities))
    dates, offset = _range(request)
    return await rows_found(
        asking.archive_of(request),
        Query(
            level=Level.STUDY,
            keys=(*keys, *dates),
            combined_date_time=True,
            offset=offset,
            limit=_most_recent(request),
        ),
    )


def _demographics(request: Request) -> list[Key]:
    """What has to be true of the patient as well, so that no other one is shown."""
    keys = []
    if name := _one(request, "patientName"):
        # HL7's XPN has more components than a PN: those they share come first.
        parts = [part.partition("&")[0] for part in name.split("^")[:3]]
        if _WILD.search(name) or len(name) > 256:
            raise HTTPException(400, "patientName cannot be read")
        keys.append(Key(_NAME, f"{'^'.join(parts).rstrip('^')}*"))
    if born := _one(request, "patientBirthDate"):
        day = Moment.read("patientBirthDate", born, is_end=False).at
        keys.append(Key(_BIRTH_DATE, f"{day:%Y%m%d}"))
    return keys


def _range(request: Request) -> tuple[list[Key], int | None]:
    """When the studies are from. Raises: HTTPException 400."""
    ends = []
    for name, is_end in (("lowerDateTime", False), ("upperDateTime", True)):
        given = _one(request, name)
        ends.append(Moment.read(name, given, is_end=is_end) if given else None)
    offset = next((each.offset for each in ends if each and each.offset is not None), None)
    try:
        moments = [each.in_offset(offset) if each else None for each in ends]
    except OverflowError as error:
        raise HTTPException(400, "there is no such date") from error
    if moments == [None, None]:
        return [], None
    days, clocks = ("-".join(_written(moments, form)) for form in ("%Y%m%d", "%H%M%S"))
    return [Key(_DATE, days), Key(_TIME, clocks)], offset


def _written(moments: Sequence[datetime | None], form: str) -> list[str]:
    written = []
    for each in moments:
        text = each.strftime(form) if each else ""
        written.append(text.zfill(8) if text and form.startswith("%Y") else text)
    return written


def _most_recent(request: Request) -> int:
    given = _one(request, "mostRecentResults")
    if given and not (given.isascii() and given.isdigit() and len(given) < 10):
        raise HTTPException(400, "mostRecentResults must be a number")
    return min(int(given or 0) or MOST, MOST)


ROUTES = (Route(PATH, invoke, name="display"),)
