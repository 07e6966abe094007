"""Each component of the pages in each of its states, to look at and to test."""

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from isocenter.address import Address
from isocenter.archive import send_requests
from isocenter.archive.importing import Fate, Imported
from isocenter.archive.send_requests import SendRequest
from isocenter.storage.job_records import Job, JobState
from isocenter.storage.records import Selection
from isocenter.ui.jobs import row_of
from isocenter.ui.page import render
from isocenter.ui.report import Report
from isocenter.ui.study import SeriesRow
from isocenter.ui.worklist import StudyRow

STUDY = StudyRow(
    uid="1.2.3",
    patient_name="Doe^Jane^Q^Dr.",
    patient_id="4711",
    birth_date="19700131",
    sex="F",
    date="20240229",
    time="134501",
    accession="A-1",
    modalities="CT, SR",
    description="CT Abdomen",
    series=3,
    instances=1234,
)
EMPTY = StudyRow("1.2.4", "", "", "", "", "", "", "", "", "", 0, 0)
LONG = StudyRow(
    uid="1.2.5",
    patient_name="Wolfeschlegelsteinhausenbergerdorff^" + "Hubert " * 8,
    patient_id="X" * 64,
    birth_date="unknown",
    sex="O",
    date="20240229",
    time="134501",
    accession="Y" * 16,
    modalities="CT, MR, PT, SEG, SR, US, XA",
    description="<script>alert(1)</script> " + "description " * 5,
    series=9999,
    instances=12345678,
)

NOW = 1_709_211_000_000_000
SEND = SendRequest("WORKSTATION", Selection(studies=("1.2.3",), series=("1.2.3.1", "1.2.3.2")))
JOB = Job(
    number=4711,
    kind=send_requests.KIND,
    request=SEND.written(),
    asked_by="10.0.0.12",
    created_at=NOW,
)
LATER = NOW + 90_000_000
HALF = replace(JOB, total=1234, done=617, bytes=323_000_000, attempts=1)
REFUSED = "3 could not be sent: status A900: <b>the data set does not match</b> " + "x" * 60
JOBS = (
    JOB,
    replace(JOB, due_at=LATER, attempts=3, error="cannot connect to WORKSTATION@10.0.0.7:104"),
    replace(JOB, state=JobState.RUNNING, attempts=1),
    replace(HALF, state=JobState.RUNNING, warned=12),
    replace(HALF, state=JobState.RUNNING, is_canceled=True),
    replace(HALF, state=JobState.DONE, done=1234, finished_at=LATER),
    replace(HALF, state=JobState.FAILED, failed=3, error=REFUSED, finished_at=LATER),
    replace(HALF, state=JobState.CANCELED, finished_at=LATER),
    replace(JOB, kind="unknown <i>", request={}, asked_by=""),
)


async def show(request: Request) -> Response:
    """GET /patterns."""
    context = {
        "rows": [STUDY, EMPTY, LONG],
        "report": _report(),
        "jobs": [row_of(replace(each, number=4711 + n)) for n, each in enumerate(JOBS)],
        "now": NOW,
        "series": [SeriesRow("1.2.3.1", "2", "CT", "Axial <b>", "CHEST", 1234)],
        "peers": [Address("WORKSTATION", "10.0.0.7", 104), Address("PACS", "pacs.local", 11112)],
    }
    return render(request, "patterns.html", context)


def _report() -> Report:
    report = Report()
    for name, fate, reason in (
        ("CD/IMAGES/I1", Fate.STORED, ""),
        ("CD/IMAGES/I2", Fate.ALREADY_THERE, ""),
        ("CD/IMAGES/<b>" + "long " * 40, Fate.REFUSED, "data set is cut short (at byte 162)"),
    ):
        report.add(Imported(name, 1, fate, reason))
    return report


ROUTES = (Route("/patterns", show, name="patterns"),)
