"""The studies, newest first, with the filters people use."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final
from urllib.parse import quote

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from isocenter.archive.archive import Archive
from isocenter.storage.attributes import Level
from isocenter.storage.query import Key, Order, Query
from isocenter.storage.records import Match
from isocenter.ui.filters import ORDERS, PERIODS, Filters
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

_UNREADABLE: Final = "the place in the list cannot be read"


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
    handle: str = ""
    """What tells it from others of its UID, while it is in the archive."""
    is_ambiguous: bool = False
    """Another patient has a study of the same UID: what goes by the UID would show both as one."""

    @property
    def address(self) -> str:
        """Its page; and below it, behind a ``/``, what can be done with it."""
        return f"/studies/{quote(self.uid, safe='')}"

    @property
    def of(self) -> str:
        """What of its UID is meant, as a parameter of a URL: it is this study alone."""
        return f"of={self.handle}"

    @property
    def opens(self) -> str:
        """Where a reader who chose it is led."""
        return f"{self.address}?{self.of}" if self.is_ambiguous else self.address


async def rows_found(archive: Archive, query: Query) -> list[StudyRow]:
    """What is shown of all studies that a query finds."""
    return await rows_of(archive, [one async for page in archive.search(query) for one in page])


async def rows_of(archive: Archive, matches: Sequence[Match]) -> list[StudyRow]:
    """What is shown of studies that were found, and whether their UIDs are theirs alone."""
    uids = [text_of(each.attributes, 0x0020000D) for each in matches]
    several = await archive.index.of_several_patients(uids)
    return [
        row_of(each.attributes, each.study, is_ambiguous=uid in several)
        for each, uid in zip(matches, uids, strict=True)
    ]


def row_of(attributes: dict[str, Any], handle: str = "", *, is_ambiguous: bool = False) -> StudyRow:
    """Read what is shown of a study."""
    return StudyRow(
        handle=handle,
        is_ambiguous=is_ambiguous,
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


_POSITIONS: Final[dict[Order, tuple[type, ...]]] = {
    Order.NEWEST: (str, str, int),
    Order.OLDEST: (str, str, int),
    Order.NAME: (str, int, int),
    Order.NAME_BACKWARDS: (str, int, int),
    Order.ARRIVED_LAST: (int,),
    Order.ARRIVED_FIRST: (int,),
}
"""What a position in each order is made of."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of the list begins."""

    shown: int = 0
    """Studies on the pages before."""
    total: int = 0
    """Studies of the list, as they were counted for its first page."""
    is_counted: bool = True
    """Whether they were counted to the end."""
    after: tuple[Any, ...] | None = None
    """The position of the last of them."""

    @classmethod
    def read(cls, text: str, order: Order) -> "Place":
        """Read what ``written`` gave. Raises: HTTPException 400."""
        if not text:
            return cls()
        try:
            found = orjson.loads(base64.b64decode(text, b"-_", validate=True))
        except (binascii.Error, ValueError) as error:
            raise HTTPException(400, _UNREADABLE) from error
        kinds = (int, int, bool, *_POSITIONS[order])
        if not isinstance(found, list) or [type(each) for each in found] != list(kinds):
            raise HTTPException(400, _UNREADABLE)
        if any(type(each) is int and not 0 <= each < 1 << 60 for each in found):
            raise HTTPException(400, _UNREADABLE)
        shown, total, is_counted, *after = found
        return cls(shown, total, is_counted, tuple(after))

    @property
    def written(self) -> str:
        """As a parameter of a URL."""
        told = [self.shown, self.total, self.is_counted, *(self.after or ())]
        return base64.urlsafe_b64encode(orjson.dumps(told)).decode()


async def show(request: Request) -> Response:
    """GET /: the page; or only its rows, for a filter or what follows."""
    archive: Archive = request.app.state.archive
    filters = Filters.read(request.query_params)
    place = Place.read(request.query_params.get("after", ""), filters.sorted_by)
    seq, newest = await archive.index.newest()
    rows, following = await _page(archive, filters, place)
    context = {
        "filters": filters,
        "rows": await rows_of(archive, rows),
        "first": place.shown + 1,
        "last": place.shown + len(rows),
        "total": following.total,
        "is_counted": following.is_counted,
        "following": following.written if following.after is not None else "",
        "is_first": place.after is None,
        "seq": seq,
        "newest": newest,
        "periods": PERIODS,
        "orders": ORDERS,
        "Order": Order,
        "modalities": MODALITIES,
    }
    if not is_partial(request):
        return render(request, "studies.html", context)
    return render(request, "_studies.html" if place.after is None else "_study_rows.html", context)


async def _page(archive: Archive, filters: Filters, place: Place) -> tuple[list[Match], Place]:
    """The studies of a page; and where the next begins, if it has an ``after``.

    All is counted once, for the first page: so the total stays while somebody reads on.
    """
    query = query_of(filters)
    if place.after is None:
        found = await archive.answer(replace(query, limit=PAGE))
        rows, has_more = found.first, found.behind > 0
        total, is_counted = len(rows) + found.behind, found.is_counted
    else:
        one_more = replace(query, after=place.after, limit=PAGE + 1)
        several = [match async for page in archive.search(one_more) for match in page]
        rows, has_more = several[:PAGE], len(several) > PAGE
        total, is_counted = place.total, place.is_counted
    after = rows[-1].position if has_more else None
    return rows, Place(place.shown + len(rows), total, is_counted, after)


def query_of(filters: Filters, *more: Key) -> Query:
    """What finds the studies of a list, of all or of those that meet ``more``."""
    return Query(
        level=Level.STUDY,
        keys=(*filters.keys(date.today()), *more),
        returns=_SHOWN,
        fuzzy=filters.by_words,
        any_case=True,
        order=filters.sorted_by,
    )


ROUTES = (Route("/", show, name="studies"),)
