"""A study: its series with a quick look, and what else there is of the patient."""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from isocenter.archive.archive import Archive
from isocenter.archive.removals import may_remove
from isocenter.errors import Conflict, NotFound
from isocenter.storage.attributes import Level
from isocenter.storage.query import Key
from isocenter.storage.records import Match
from isocenter.ui import asking, correction, display, jobs, opening, removed
from isocenter.ui.formats import text_of
from isocenter.ui.page import is_partial, render
from isocenter.ui.worklist import StudyRow, rows_of

MOST_PRIORS: Final = 50
PATIENT_ID, ISSUER = 0x00100020, 0x00100021
WHOSE: Final = "Several patients have this Study Instance UID: choose whose study is meant."
MOVED: Final = "This was moved to another patient, or removed. What is there of its UID:"
"""English texts, the catalogs have the others."""
EMPTY: Final = '""'
"""What matches an empty value (PS3.4 C.2.2.2.7)."""


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """A series as a study's page shows it; values as they are kept."""

    uid: str
    number: str
    modality: str
    description: str
    body_part: str
    instances: int


@dataclass(frozen=True, slots=True)
class QuickLook:
    """Where the quick look finds what it shows: URLs without a host."""

    images: str
    series: str
    """The pictures of its instances are below it, as PS3.18 10.4.1 names them."""
    pages: str = ""
    """The pages of its instances are below it, if a reader may see them."""

    @classmethod
    def of(cls, study: StudyRow, series: str) -> "QuickLook":
        """For the reader of a study's page."""
        path = f"{study.address}/series/{quote(series, safe='')}"
        return cls(f"{path}/images?{study.of}", f"/dicom-web{path}", path)


async def show(request: Request) -> Response:
    """GET /studies/{study}: the page, with ``series`` that one opened; or only the series.

    Where several patients have its UID, ``of`` says whose study is meant; without it, a reader has
    to choose.
    """
    archive = asking.archive_of(request)
    uid = asking.uid_of(request, "study")
    seq = await archive.index.last_change()
    try:
        match = await asking.study(request)
    except NotFound:
        if rows := await _of_uid(archive, uid):
            return render(request, "display.html", {"rows": rows, "notices": [MOVED]}, status=404)
        if (removal := await archive.removals.of_study(uid)) is None:
            raise
        return removed.shown(request, removal, status=410)
    except Conflict:
        rows = await _of_uid(archive, uid)
        return render(request, "display.html", {"rows": rows, "notices": [WHOSE]}, status=300)
    study = match.attributes
    series = await series_rows(archive, match)
    named = request.query_params.get("series", series[0].uid if series else "")
    opened = next((each for each in series if each.uid == named), None)
    if opened is None:
        raise NotFound("the study has no such series")
    (row,) = await rows_of(archive, [match])
    shown = {"study": row, "series": series, "opened": opened}
    if is_partial(request):
        return render(request, "_series.html", shown)
    of_uid = await _of_uid(archive, uid) if row.is_ambiguous else []
    context = {
        **shown,
        "others": [each for each in of_uid if each.handle != row.handle],
        "seq": seq,
        "sent": await jobs.sent(request),
        "may_remove": may_remove(request.app.state.config),
        "viewers": opening.choices(request),
        "notices": display.notices_of(request),
        "look": QuickLook.of(row, opened.uid),
        "priors": await _priors(archive, match),
        "institution": text_of(study, 0x00080080),
        "referring": text_of(study, 0x00080090),
        **await correction.history(request, match),
    }
    return render(request, "study.html", context)


def series_of(attributes: dict[str, Any]) -> SeriesRow:
    """Read what is shown of a series."""
    return SeriesRow(
        uid=text_of(attributes, asking.SERIES_UID),
        number=text_of(attributes, 0x00200011),
        modality=text_of(attributes, 0x00080060),
        description=text_of(attributes, 0x0008103E) or text_of(attributes, 0x00181030),
        body_part=text_of(attributes, 0x00180015),
        instances=int(text_of(attributes, 0x00201209) or 0),
    )


async def series_rows(archive: Archive, study: Match) -> list[SeriesRow]:
    """The series of a study, and not of another patient's of the same UID."""
    found = asking.every(archive, Level.SERIES, of=study)
    return [series_of(each) async for each in found]


async def _of_uid(archive: Archive, uid: str) -> list[StudyRow]:
    """The studies of several patients that have one UID."""
    keys = (Key(asking.STUDY_UID, uid),)
    return await rows_of(archive, await asking.some(archive, Level.STUDY, keys, MOST_PRIORS))


async def _priors(archive: Archive, study: Match) -> list[StudyRow]:
    """Other studies of the same patient; none where nothing tells who that is."""
    patient = text_of(study.attributes, PATIENT_ID)
    # What would be a wild card in a query is not asked for: better none than a stranger's.
    if not patient or any(each in patient for each in '*?\\"'):
        return []
    issuer = text_of(study.attributes, ISSUER)
    keys = (Key(PATIENT_ID, patient), Key(ISSUER, issuer or EMPTY))
    found = await asking.some(archive, Level.STUDY, keys, MOST_PRIORS + 1)
    others = [each for each in found if each.study != study.study]
    return await rows_of(archive, others[:MOST_PRIORS])


ROUTES = (Route("/studies/{study}", show, name="study"),)
