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


@dataclass(frozen=True)
class Page:
    """Where a page is; ``{study}``, ``{series}`` and ``{instance}`` stand in for UIDs."""

    path: str
    parameters: tuple[str, ...] = ()
    """Of its query."""
    status: int = 200

    def address(self, **parts: str) -> str:
        """With what the path leaves open filled in; by itself, with what ``hostile`` has."""
        known = {"study": STUDY, "series": SERIES, "instance": INSTANCE, **parts}
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
    Page("/studies/{study}/correct", ("of",)),
    Page("/administration"),
    Page("/patterns"),
)
"""What a reader sees, each with something on it where ``hostile`` is stored."""

DATA: Final = (Page("/studies/{study}/series/{series}/images"), Page("/ohif", status=404))
"""What pages ask for by themselves; and where, on a server with a viewer, that one is."""

STREAMS: Final = (Page("/events"),)
"""What does not end; each has tests of its own."""

CORRECTED: Final = {"PatientName": "Roe^Richard", "PatientID": "4711", "reason": "mixed up"}
FORMS: Final = (
    Form("/preferences", {"theme": "light", "back": "/"}),
    Form("/studies/{study}/correct", {**CORRECTED, "scope": "study", "step": "preview"}),
    Form("/studies/{study}/corrections/undo", {"action": "0" * 32}),
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
