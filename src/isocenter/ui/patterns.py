"""Each component of the pages in each of its states, to look at and to test."""

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from isocenter.archive.correction import lines
from isocenter.archive.importing import Fate, Imported
from isocenter.storage.corrections import Correction
from isocenter.ui.correction import Entry
from isocenter.ui.page import render
from isocenter.ui.report import Report
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


async def show(request: Request) -> Response:
    """GET /patterns."""
    context = {
        "rows": [STUDY, EMPTY, LONG],
        "report": _report(),
        "corrections": [CORRECTED, UNDONE],
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
