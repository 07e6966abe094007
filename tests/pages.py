"""Every page of the pages: what is looked at by axe, at each width, and walked through by fuzzing.

Whoever adds a page adds it here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from pydicom.dataset import Dataset

from made_instances import image
from made_waveforms import electrocardiogram

SCRIPT: Final = "<script>document.title='ran'</script>"
STUDY, SERIES, INSTANCE = "1.2.77", "1.2.77.1", "1.2.77.1.1"
RECORDING: Final = {"series": "1.2.77.2", "instance": "1.2.77.2.1"}
WAVEFORM: Final = ("recording", "start", "seconds", "speed", "gain", "alone")
NO_JOB: Final = "987654321"
LINK: Final = {"token": "A" * 43, "part": "rendered", "frame": "1", "share": "987654321"}
"""Of a shared study that there is not."""


@dataclass(frozen=True)
class Page:
    """Where a page is; UIDs, and numbers of jobs and removals, are left open: ``{study}``."""

    path: str
    parameters: tuple[str, ...] = ()
    """Of its query."""
    status: int = 200
    of: dict[str, str] = field(default_factory=dict)
    """What it is of, where that is not the image."""

    def address(self, **parts: str) -> str:
        """With what the path leaves open filled in; by itself, with what ``hostile`` has."""
        uids = {"study": STUDY, "series": SERIES, "instance": INSTANCE}
        known = {
            **uids,
            "job": NO_JOB,
            "removal": NO_JOB,
            "viewer": "slicer",
            **LINK,
            **self.of,
            **parts,
        }
        return self.path.format(**{name: quote(each, safe="") for name, each in known.items()})


@dataclass(frozen=True)
class Form:
    """What takes a form, and its fields."""

    path: str
    fields: dict[str, str] = field(default_factory=dict)
    """A value of each that is right."""
    of: dict[str, str] = field(default_factory=dict)

    address = Page.address


MANIFEST: Final = ("patientID", "studyUID", "seriesUID", "objectUID", "accessionNumber")
DISPLAY: Final = (
    "requestType", "patientID", "patientName", "patientBirthDate", "lowerDateTime", "upperDateTime",
    "mostRecentResults", "modalitiesInStudy", "viewerType", "diagnosticQuality", "keyImagesOnly",
    "studyUID", "accessionNumber",
)  # fmt: skip
FILTERS: Final = (
    "name", "id", "accession", "period", "since", "until", "modality", "description",
    "institution", "order", "after",
)  # fmt: skip

PAGES: Final = (
    Page("/", FILTERS),
    Page("/studies/{study}", ("series", "notice")),
    Page("/studies/{study}/series/{series}/instances/{instance}/attributes", ("find",)),
    Page("/studies/{study}/series/{series}/instances/{instance}/waveform", WAVEFORM, of=RECORDING),
    Page("/upload"),
    Page("/studies/{study}/correct", ("of",)),
    Page("/studies/{study}/send", ("series",)),
    Page("/studies/{study}/share"),
    Page("/shares"),
    Page("/administration"),
    Page("/studies/{study}/remove", ("series",)),
    Page("/administration/removed", ("after",)),
    Page("/administration/jobs", ("state", "after")),
    Page("/administration/peers"),
    Page("/administration/peers/one", ("aet",), status=404),
    Page("/administration/associations"),
    Page("/administration/settings"),
    Page("/administration/storage", ("per",)),
    Page("/administration/changes", ("kind", "study", "before")),
    Page("/dashboard", ("of", "days")),
    Page("/patterns"),
)
"""What a reader sees, each with something on it where ``hostile`` is stored."""

DATA: Final = (
    Page("/studies/{study}/series/{series}/images"),
    Page(
        "/studies/{study}/series/{series}/instances/{instance}/waveform.svg",
        WAVEFORM,
        of=RECORDING,
    ),
    Page("/upload/studies", ("study",)),
    Page("/studies/{study}/open/{viewer}", status=303),
    Page("/shared/{token}", ("series",), status=404),
    Page("/shared/{token}/download", status=404),
    Page("/shared/{token}/series/{series}/images", status=404),
    Page("/shared/{token}/series/{series}/thumbnail", ("viewport",), status=404),
    Page("/shared/{token}/series/{series}/instances/{instance}/{part}", ("window",), status=404),
    Page(
        "/shared/{token}/series/{series}/instances/{instance}/frames/{frame}/rendered",
        ("window", "quality"),
        status=404,
    ),
    Page("/IHEInvokeImageDisplay", DISPLAY, status=400),
    Page("/weasis/manifest", MANIFEST, status=400),
    Page("/weasis/manifest.gz", MANIFEST, status=400),
    Page("/administration/peers/accepts.csv", ("aet",), status=404),
    Page("/ohif", status=404),
    Page("/administration/jobs/{job}", status=404),
    Page("/administration/removed/{removal}", status=404),
)
"""What pages ask for by themselves; and what is there on other servers: a viewer, a job."""

STREAMS: Final = (Page("/events"),)
"""What does not end; each has tests of its own."""

CORRECTED: Final = {"PatientName": "Roe^Richard", "PatientID": "4711", "reason": "mixed up"}
FORMS: Final = (
    Form("/preferences", {"theme": "light", "back": "/"}),
    Form("/upload", {"files": "text"}),
    Form("/upload/file", {"name": "text"}),
    Form("/studies/{study}/remove", {"what": "series", "series": SERIES, "code": "113001"}),
    Form("/administration/removed/{removal}/restore"),
    Form("/administration/removed/{removal}/purge", {"sure": "yes"}),
    Form("/studies/{study}/correct", {**CORRECTED, "scope": "study", "step": "preview"}),
    Form("/studies/{study}/corrections/undo", {"action": "0" * 32}),
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
    Form(
        "/studies/{study}/share",
        {"label": SCRIPT, "by": SCRIPT, "days": "7", "series": SERIES, "download": "yes"},
    ),
    Form("/shares/{share}/revoke", {"study": STUDY}),
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


def hostile_recording() -> Dataset:
    """A recording of that study whose texts would run as well."""
    made = electrocardiogram(
        20,
        100,
        StudyInstanceUID=STUDY,
        SeriesInstanceUID=RECORDING["series"],
        SOPInstanceUID=RECORDING["instance"],
        PatientName=f"{SCRIPT}^Jane",
        PatientID='"><img src=x onerror=alert(1)>',
        SeriesDescription=f"'-alert(1)-'{SCRIPT}",
    )
    (group,) = made.WaveformSequence
    group.MultiplexGroupLabel = SCRIPT[:16]
    group.ChannelDefinitionSequence[11].ChannelSourceSequence[0].CodeValue = "X"
    group.ChannelDefinitionSequence[11].ChannelSourceSequence[0].CodeMeaning = SCRIPT
    for each in made.WaveformAnnotationSequence:
        if "UnformattedTextValue" in each:
            each.UnformattedTextValue = SCRIPT
        else:
            each.ConceptNameCodeSequence[0].CodeMeaning = SCRIPT
    return made
