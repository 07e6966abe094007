"""Each component of the pages in each of its states, to look at and to test."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from isocenter.ui.opening import Choice
from isocenter.ui.page import render
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


async def show(request: Request) -> Response:
    """GET /patterns."""
    context = {"rows": [STUDY, EMPTY, LONG], "viewers": [Choice("weasis", "Weasis")]}
    return render(request, "patterns.html", context)


ROUTES = (Route("/patterns", show, name="patterns"),)
