"""Searches by FHIR in a large archive, first page (of 50, the usual) for each parameter."""

import random
import time
import urllib.parse
from collections.abc import Callable
from http.client import HTTPConnection
from statistics import quantiles

import orjson

from bench.catalogue import Study
from bench.report import Report

QUERIES = 60
ASKED_MS = 20.0

Chooser = Callable[[dict[str, str]], dict[str, str]]


def _day(study: dict[str, str], keyword: str = "StudyDate") -> str:
    text = study[keyword]
    return f"{text[:4]}-{text[4:6]}-{text[6:]}"


SEARCHES: dict[str, tuple[str, Chooser]] = {
    "nothing (all studies)": ("ImagingStudy", lambda study: {}),
    "all studies, oldest first": ("ImagingStudy", lambda study: {"_sort": "started"}),
    "all studies, without series": ("ImagingStudy", lambda study: {"_elements": "started"}),
    "study UID": (
        "ImagingStudy",
        lambda study: {"identifier": f"urn:oid:{study['StudyInstanceUID']}"},
    ),
    "accession number": (
        "ImagingStudy",
        lambda study: {"identifier": study["AccessionNumber"]},
    ),
    "patient.identifier": (
        "ImagingStudy",
        lambda study: {
            "patient.identifier": study["PatientID"],
            "_include": "ImagingStudy:patient",
        },
    ),
    "patient.family": (
        "ImagingStudy",
        lambda study: {"patient.family": study["PatientName"].partition("^")[0].lower()},
    ),
    "started": ("ImagingStudy", lambda study: {"started": _day(study)}),
    "started, since": ("ImagingStudy", lambda study: {"started": f"ge{_day(study)}"}),
    "modality": ("ImagingStudy", lambda study: {"modality": study["Modality"]}),
    "modality and started": (
        "ImagingStudy",
        lambda study: {"modality": study["Modality"], "started": f"le{_day(study)}"},
    ),
    "dicom-class": (
        "ImagingStudy",
        lambda study: {"dicom-class": "urn:oid:1.2.840.10008.5.1.4.1.1.2"},
    ),
    "Patient, all": ("Patient", lambda study: {}),
    "Patient by identifier": ("Patient", lambda study: {"identifier": study["PatientID"]}),
    "Patient by family name": (
        "Patient",
        lambda study: {"family": study["PatientName"].partition("^")[0].lower()},
    ),
    "Patient by birth date": (
        "Patient",
        lambda study: {"birthdate": _day(study, "PatientBirthDate")},
    ),
    "Patient by identifier, with studies": (
        "Patient",
        lambda study: {"identifier": study["PatientID"], "_revinclude": "ImagingStudy:patient"},
    ),
    "DiagnosticReport (there are none)": ("DiagnosticReport", lambda study: {}),
}


def measure(report: Report, port: int, studies: int) -> None:
    """Search the archive at ``port``."""
    web = HTTPConnection("127.0.0.1", port, timeout=60)
    for name, (kind, choose) in SEARCHES.items():
        chance = random.Random(4)
        seconds = [
            _searched(web, kind, choose(Study(chance.randrange(studies)).values()))
            for _ in range(QUERIES)
        ]
        what = f"FHIR by {name} in {studies:,} studies, p95"
        report.limit(what, quantiles(seconds, n=20)[-1] * 1000, "ms", ASKED_MS)
    web.close()


def _searched(web: HTTPConnection, kind: str, parameters: dict[str, str]) -> float:
    query = urllib.parse.urlencode(parameters)
    started = time.perf_counter()
    web.request("GET", f"/fhir/R4/{kind}?{query}")
    answer = web.getresponse()
    body = answer.read()
    seconds = time.perf_counter() - started
    assert answer.status == 200, body
    assert kind == "DiagnosticReport" or orjson.loads(body)["entry"]
    return seconds
