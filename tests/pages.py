"""Every page of the pages: what is looked at by axe, at each width, and walked through by fuzzing.

Whoever adds a page adds it here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from pydicom.dataset import Dataset

from made_instances import image

SCRIPT: Final = "<script>document.title='ran'</script>"
STUDY, SERIES, INSTANCE = "1.2.77", "1.2.77.1", "1.2.77.1.1"
NO_JOB: Final = "987654321"


@dataclass(frozen=True)
class Page:
    """Where a page is; ``{study}``, ``{series}``, ``{instance}`` and ``{job}`` are left open."""

    path: str
    parameters: tuple[str, ...] = ()
    """Of its query."""
    status: int = 200

    def address(self, **parts: str) -> str:
        """With what the path leaves open filled in; by itself, with what ``hostile`` has."""
        uids = {"study": STUDY, "series": SERIES, "instance": INSTANCE}
        known = {**uids, "job": NO_JOB, **parts}
        return self.path.format(**{name: quote(each, safe="") for name, each in known.items()})


@dataclass(frozen=True)
class Form:
    """What takes a form, and its fields."""

    path: str
    fields: dict[str, str] = field(default_factory=dict)
    """A value of each that is right."""

    address = Page.address


FILTERS: Final = (
    "name", "id", "accession", "period", "since", "until", "modality", "description",
    "institution", "after",
)  # fmt: skip

PAGES: Final = (
    Page("/", FILTERS),
    Page("/studies/{study}", ("series",)),
    Page("/studies/{study}/series/{series}/instances/{instance}/attributes", ("find",)),
    Page("/studies/{study}/send", ("series",)),
    Page("/administration"),
    Page("/administration/jobs", ("state", "after")),
    Page("/administration/peers"),
    Page("/administration/peers/one", ("aet",), status=404),
    Page("/administration/associations"),
    Page("/administration/settings"),
    Page("/patterns"),
)
"""What a reader sees, each with something on it where ``hostile`` is stored."""

DATA: Final = (
    Page("/studies/{study}/series/{series}/images"),
    Page("/administration/peers/accepts.csv", ("aet",), status=404),
    Page("/ohif", status=404),
    Page("/administration/jobs/{job}", status=404),
)
"""What pages ask for by themselves; and what is there on other servers: a viewer, a job."""

STREAMS: Final = (Page("/events"),)
"""What does not end; each has tests of its own."""

FORMS: Final = (
    Form("/preferences", {"theme": "light", "back": "/"}),
    Form("/studies/{study}/send", {"peer": "WORKSTATION", "series": SERIES}),
    Form("/administration/jobs/{job}/cancel", {"state": "running", "from": "job"}),
    Form("/administration/jobs/{job}/retry", {"state": "failed", "from": "list"}),
    Form(
        "/administration/peers", {"aet": "NEW", "host": "10.0.0.5", "port": "104", "note": SCRIPT}
    ),
    Form(
        "/administration/peers/change",
        {"former": "NEW", "aet": "NEW", "host": "10.0.0.6", "port": "104", "note": ""},
    ),
    Form("/administration/peers/remove", {"aet": "NEW"}),
    Form("/administration/peers/echo", {"aet": "NEW", "back": "list"}),
    Form("/administration/peers/accepts", {"aet": "NEW"}),
    Form("/administration/associations/abort", {"number": "1"}),
)
"""What changes something."""


def hostile() -> Dataset:
    """An instance whose texts would run, were they not written as text."""
    return image(
        StudyInstanceUID=STUDY,
        SeriesInstanceUID=SERIES,
        SOPInstanceUID=INSTANCE,
        PatientName=f"{SCRIPT}^Jane",
        PatientID='"><img src=x onerror=alert(1)>',
        StudyDescription=f"{{{{7*7}}}}{SCRIPT}",
        SeriesDescription=f"'-alert(1)-'{SCRIPT}",
        InstitutionName=SCRIPT,
        ReferringPhysicianName=SCRIPT,
    )
