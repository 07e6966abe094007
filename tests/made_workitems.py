"""Workitems for tests."""

from typing import Any

UID = "1.2.826.0.1.3680043.8.498.1"
TRANSACTION = "2.25.111"
Dataset = dict[str, Any]


def code(value: str, meaning: str = "meaning", scheme: str = "99TEST") -> Dataset:
    return {
        "00080100": {"vr": "SH", "Value": [value]},
        "00080102": {"vr": "SH", "Value": [scheme]},
        "00080104": {"vr": "LO", "Value": [meaning]},
    }


def element(vr: str, *values: Any) -> Dataset:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


REQUIRED: Dataset = {
    "00404005": element("DT", "20240101120000"),
    "00404041": element("CS", "READY"),
    "00741000": element("CS", "SCHEDULED"),
    "00741200": element("CS", "MEDIUM"),
    "00741202": element("LO", "Reading"),
    "00741204": element("LO", "Read the chest"),
}
"""What must have a value."""

EMPTY_ALLOWED: Dataset = {
    tag8: {"vr": vr}
    for tag8, vr in {
        "00081080": "LO",
        "00081084": "SQ",
        "00100010": "PN",
        "00100021": "LO",
        "00100024": "SQ",
        "00100030": "DA",
        "00100040": "CS",
        "00101002": "SQ",
        "00380010": "LO",
        "00380014": "SQ",
        "00400400": "LT",
        "00404018": "SQ",
        "00404021": "SQ",
        "00404025": "SQ",
        "00404026": "SQ",
        "00404027": "SQ",
        "0040A370": "SQ",
        "00741002": "SQ",
        "00741210": "SQ",
        "00741216": "SQ",
    }.items()
}
"""What must be there, with or without a value."""


def workitem(**more: Dataset) -> Dataset:
    """A whole one; keyword arguments are tags behind a ``t``."""
    return EMPTY_ALLOWED | REQUIRED | {name[1:]: each for name, each in more.items()}


PERFORMED: Dataset = {
    "00741216": element(
        "SQ",
        {
            "00404028": element("SQ", code("CT1")),
            "00404050": element("DT", "20240101120100"),
            "00404019": element("SQ", code("110005")),
            "00404051": element("DT", "20240101121500"),
            "00404033": element("SQ"),
        },
    )
}
"""What a workitem needs to be completed."""


def state(state: str, transaction: str = TRANSACTION) -> Dataset:
    made = {"00741000": element("CS", state)}
    if transaction:
        made["00081195"] = element("UI", transaction)
    return made
