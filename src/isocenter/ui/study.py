"""A study: its series with a quick look, and what else there is of the patient."""

from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from isocenter.archive.archive import Archive
from isocenter.errors import NotFound
from isocenter.storage.attributes import Level
from isocenter.storage.query import Key
from isocenter.ui import asking, jobs
from isocenter.ui.formats import text_of
from isocenter.ui.page import is_partial, render
from isocenter.ui.worklist import StudyRow, row_of

MOST_PRIORS: Final = 50
PATIENT_ID, ISSUER = 0x00100020, 0x00100021
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


async def show(request: Request) -> Response:
    """GET /studies/{study}: the page, with ``series`` that one opened; or only the series."""
    archive = asking.archive_of(request)
    uid = asking.uid_of(request, "study")
    of_study = Key(asking.STUDY_UID, uid)
    seq = await archive.index.last_change()
    study = await asking.one(archive, Level.STUDY, of_study)
    series = [series_of(each) async for each in asking.every(archive, Level.SERIES, of_study)]
    named = request.query_params.get("series", series[0].uid if series else "")
    opened = next((each for each in series if each.uid == named), None)
    if opened is None:
        raise NotFound("the study has no such series")
    shown = {"study": row_of(study), "series": series, "opened": opened}
    if is_partial(request):
        return render(request, "_series.html", shown)
    context = {
        **shown,
        "seq": seq,
        "sent": await jobs.sent(request),
        "priors": await _priors(archive, study),
        "institution": text_of(study, 0x00080080),
        "referring": text_of(study, 0x00080090),
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


async def _priors(archive: Archive, study: dict[str, Any]) -> list[StudyRow]:
    """Other studies of the same patient; none where nothing tells who that is."""
    patient = text_of(study, PATIENT_ID)
    # What would be a wild card in a query is not asked for: better none than a stranger's.
    if not patient or any(each in patient for each in '*?\\"'):
        return []
    issuer = text_of(study, ISSUER)
    keys = (Key(PATIENT_ID, patient), Key(ISSUER, issuer or EMPTY))
    found = map(row_of, await asking.some(archive, Level.STUDY, keys, MOST_PRIORS + 1))
    itself = text_of(study, asking.STUDY_UID)
    return [each for each in found if each.uid != itself][:MOST_PRIORS]


ROUTES = (Route("/studies/{study}", show, name="study"),)
