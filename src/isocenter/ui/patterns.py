"""Each component of the pages in each of its states, to look at and to test."""

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from isocenter.address import Address
from isocenter.archive import send_requests
from isocenter.archive.correction import lines
from isocenter.archive.importing import Fate, Imported
from isocenter.archive.send_requests import SendRequest
from isocenter.imaging.waveform_strips import Strip
from isocenter.imaging.waveforms import Annotation, Channel, Multiplex, clock
from isocenter.storage.corrections import Correction
from isocenter.storage.job_records import Job, JobState
from isocenter.storage.records import Selection
from isocenter.ui import language, patterns_of_administration
from isocenter.ui.correction import Entry
from isocenter.ui.formats import Formats
from isocenter.ui.jobs import row_of
from isocenter.ui.opening import Choice
from isocenter.ui.page import render
from isocenter.ui.report import Report
from isocenter.ui.shares import STATES, ShareRow
from isocenter.ui.study import SeriesRow
from isocenter.ui.waveforms import Told, View
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


NAME = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]}}
CORRECTION = Correction(
    action="0" * 32,
    changes={**NAME, "00100030": {"vr": "DA"}},
    before={"00100030": {"vr": "DA", "Value": ["19700131"]}},
    reason="<script>alert(1)</script> mixed up at the scanner",
    corrected_by="127.0.0.1",
    corrected_at=1_709_213_701_000_000,
    revoked_by="",
    revoked_at=0,
)
CORRECTED = Entry(CORRECTION, lines(CORRECTION))
REVOKED = replace(CORRECTION, revoked_by="127.0.0.1", revoked_at=1_709_217_301_000_000)
UNDONE = Entry(REVOKED, lines(REVOKED))
SHARE = ShareRow(
    number=1,
    study="1.2.3",
    series="",
    label="Second opinion <b>",
    created_by="Dr. Roe",
    may_download=True,
    created="2024-02-29 12:00 UTC",
    expires="2024-03-07 12:00 UTC",
    used="",
    uses=1234,
    state="valid",
)
RECORDED = Multiplex(
    label="RHYTHM <b>",
    is_original=True,
    channels=(Channel(name="I", units="uV"), Channel(name="aVR <i>", units="uV")),
    samples=864_000,
    frequency=10,
    interpretation="SS",
    padding=b"",
    offset=0,
    swapped=1,
)
STRIPS = (Strip(), Strip(start=3723, seconds=7, speed=50), Strip(start=86_395))
FOUND = (
    Annotation("Sinus rhythm <b>"),
    Annotation("QT Interval", "368", "ms"),
    Annotation("Heart rate", "69", "/min"),
    Annotation("R wave", at=3725.5),
)


async def show(request: Request) -> Response:
    """GET /patterns."""
    context = {
        "rows": [STUDY, EMPTY, LONG, replace(STUDY, is_ambiguous=True)],
        "others": [STUDY, EMPTY],
        "viewers": [Choice("weasis", "Weasis")],
        "shares": [replace(SHARE, number=n, state=state) for n, state in enumerate(STATES)],
        "report": _report(),
        "corrections": [CORRECTED, UNDONE],
        "jobs": [row_of(replace(each, number=4711 + n)) for n, each in enumerate(JOBS)],
        "now": NOW,
        "recordings": [View(strip, RECORDED, "/patterns") for strip in STRIPS],
        "told": Told.of(FOUND),
        "clock": clock,
        "series": [SeriesRow("1.2.3.1", "2", "CT", "Axial <b>", "CHEST", 1234)],
        "peers": [Address("WORKSTATION", "10.0.0.7", 104), Address("PACS", "pacs.local", 11112)],
        **patterns_of_administration.shown(Formats(language.of(request)), STUDY, LONG),
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
