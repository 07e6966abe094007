"""The studies, newest first, with the filters people use."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from isocenter.archive.archive import Archive
from isocenter.storage.attributes import Level
from isocenter.storage.query import Key, Query
from isocenter.storage.records import Match
from isocenter.ui.filters import PERIODS, Filters
from isocenter.ui.formats import text_of
from isocenter.ui.page import is_partial, render

PAGE: Final = 50
# fmt: off
MODALITIES: Final = (
    "CR", "CT", "DX", "ECG", "ES", "IVUS", "MG", "MR", "NM", "OCT", "OP", "OPT", "OT",
    "PT", "PX", "RF", "RTDOSE", "RTPLAN", "RTSTRUCT", "SC", "SEG", "SM", "SR", "US", "XA", "XC",
)
# fmt: on

_SHOWN: Final = frozenset(
    (0x00100010, 0x00100020, 0x00100021, 0x00100030, 0x00100040, 0x00080020, 0x00080030,
     0x00080050, 0x00080061, 0x00081030, 0x0020000D, 0x00201206, 0x00201208)
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StudyRow:
    """A study as the worklist shows it; values as they are kept."""

    uid: str
    patient_name: str
    patient_id: str
    birth_date: str
    sex: str
    date: str
    time: str
    accession: str
    modalities: str
    description: str
    series: int
    instances: int


def row_of(attributes: dict[str, Any]) -> StudyRow:
    """Read what is shown of a study."""
    return StudyRow(
        uid=text_of(attributes, 0x0020000D),
        patient_name=text_of(attributes, 0x00100010),
        patient_id=text_of(attributes, 0x00100020),
        birth_date=text_of(attributes, 0x00100030),
        sex=text_of(attributes, 0x00100040),
        date=text_of(attributes, 0x00080020),
        time=text_of(attributes, 0x00080030),
        accession=text_of(attributes, 0x00080050),
        modalities=text_of(attributes, 0x00080061),
        description=text_of(attributes, 0x00081030),
        series=int(text_of(attributes, 0x00201206) or 0),
        instances=int(text_of(attributes, 0x00201208) or 0),
    )


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of the list begins."""

    shown: int = 0
    """Studies on the pages before."""
    after: tuple[Any, ...] | None = None
    """The position of the last of them."""

    @classmethod
    def read(cls, text: str) -> "Place":
        """Read what ``written`` gave. Raises: HTTPException 400."""
        if not text:
            return cls()
        try:
            shown, *after = orjson.loads(base64.b64decode(text, b"-_", validate=True))
            date, time, pk = after
        except (binascii.Error, ValueError, TypeError) as error:
            raise HTTPException(400, "the place in the list cannot be read") from error
        kinds = (int, str, str, int)
        if not all(type(each) is kind for each, kind in zip((shown, *after), kinds, strict=True)):
            raise HTTPException(400, "the place in the list cannot be read")
        if not (0 <= shown < 1 << 60 and abs(pk) < 1 << 63):
            raise HTTPException(400, "the place in the list cannot be read")
        return cls(shown, (date, time, pk))

    @property
    def written(self) -> str:
        """As a parameter of a URL."""
        return base64.urlsafe_b64encode(orjson.dumps([self.shown, *(self.after or ())])).decode()


async def show(request: Request) -> Response:
    """GET /: the page; or only its rows, for a filter or what follows."""
    archive: Archive = request.app.state.archive
    filters = Filters.read(request.query_params)
    place = Place.read(request.query_params.get("after", ""))
    query = replace(query_of(filters), limit=PAGE, after=place.after)
    found = await archive.answer(query)
    shown = place.shown + len(found.first)
    context = {
        "filters": filters,
        "rows": [row_of(match.attributes) for match in found.first],
        "total": shown + found.behind,
        "is_counted": found.is_counted,
        "following": _following(found.first, shown) if found.behind else "",
        "is_first": place.after is None,
        "periods": PERIODS,
        "modalities": MODALITIES,
    }
    if not is_partial(request):
        return render(request, "studies.html", context)
    return render(request, "_studies.html" if place.after is None else "_study_rows.html", context)


def query_of(filters: Filters, *more: Key) -> Query:
    """What finds the studies of a list, of all or of those that meet ``more``."""
    return Query(
        level=Level.STUDY,
        keys=(*filters.keys(date.today()), *more),
        returns=_SHOWN,
        fuzzy=filters.by_words,
        any_case=True,
    )


def _following(rows: Sequence[Match], shown: int) -> str:
    return Place(shown, rows[-1].position).written


ROUTES = (Route("/", show, name="studies"),)
