"""C-FIND and QIDO-RS in a large archive, first page of 100 for each key; receiving into it."""

import random
import time
import urllib.parse
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from statistics import median, quantiles

import wire
from bench import fhir
from bench.big import peak
from bench.catalogue import FIRST_DAY, MODALITIES, Study, prepare
from bench.contestants import (
    alternating,
    contestant,
    make_folders,
    run_together,
    storescu,
)
from bench.report import Report, Result
from peers import Isocenter

STUDIES = 100_000
PAGE = 100
QUERIES = 60
ASKED_MS = 20.0
ASKED_MB = 50.0
ASKED_INGEST = 0.8
INGESTED = 500

LEVEL, STUDY_DATE, ACCESSION, MODALITIES_IN_STUDY = 0x00080052, 0x00080020, 0x00080050, 0x00080061
NAME, PATIENT_ID, BIRTH_DATE, STUDY_UID, STUDY_ID = (
    0x00100010, 0x00100020, 0x00100030, 0x0020000D, 0x00200010,
)  # fmt: skip
RETURNED = (
    LEVEL, STUDY_DATE, 0x00080030, ACCESSION, MODALITIES_IN_STUDY, 0x00081030, NAME, PATIENT_ID,
    BIRTH_DATE, STUDY_UID, STUDY_ID, 0x00201206, 0x00201208,
)  # fmt: skip

Chooser = Callable[[dict[str, str]], dict[int, str]]
KEYS: dict[str, Chooser] = {
    "Patient ID": lambda study: {PATIENT_ID: study["PatientID"]},
    "Patient ID, prefix": lambda study: {PATIENT_ID: study["PatientID"][:-3] + "*"},
    "name": lambda study: {NAME: study["PatientName"]},
    "name, prefix": lambda study: {NAME: study["PatientName"][:7].lower() + "*"},
    "name, infix": lambda study: {NAME: f"*{study['PatientName'][2:8]}*"},
    "name, one letter": lambda study: {NAME: "F*"},
    "birth date": lambda study: {BIRTH_DATE: study["PatientBirthDate"]},
    "study date": lambda study: {STUDY_DATE: study["StudyDate"]},
    "study date, range": lambda study: {STUDY_DATE: f"{study['StudyDate']}-20991231"},
    "accession number": lambda study: {ACCESSION: study["AccessionNumber"]},
    "study ID": lambda study: {STUDY_ID: study["StudyID"]},
    "study UID": lambda study: {STUDY_UID: study["StudyInstanceUID"]},
    "modality": lambda study: {MODALITIES_IN_STUDY: study["Modality"]},
    "modality and date": lambda study: {
        MODALITIES_IN_STUDY: study["Modality"],
        STUDY_DATE: study["StudyDate"],
    },
    "nothing (all studies)": lambda study: {},
}
assert FIRST_DAY.year < 2099
assert MODALITIES


def measure(report: Report, folder: Path, rounds: int, studies: int = STUDIES) -> None:
    home = folder / "index"
    home.mkdir(parents=True)
    data = home / "data"
    rate = prepare(data, studies)
    report.remark(f"Filling an index with {studies:,} studies: {rate:,.0f} /s.")
    server = Isocenter(home, data_folder=data).start()
    try:
        contexts = [(wire.STUDY_ROOT_FIND, (wire.IMPLICIT,))]
        with wire.Association(server.dicom_port, contexts) as association:
            for name, choose in KEYS.items():
                seconds = _seconds(association, choose, studies)
                _told(report, f"C-FIND by {name} in {studies:,} studies", seconds)
        web = HTTPConnection("127.0.0.1", server.http_port, timeout=60)
        for name, choose in KEYS.items():
            _told(report, f"QIDO-RS by {name} in {studies:,} studies", _web(web, choose, studies))
        _told(report, f"QIDO-RS, the last page of {studies:,} studies", _last(web, studies))
        fhir.measure(report, server.http_port, studies)
        _all(report, server, web, studies)
        web.close()
        with contestant("Isocenter", folder / "empty") as (_, port):
            full, empty = _ingest((server.dicom_port, port), folder, rounds)
    finally:
        server.stop()
    what = f"receive {INGESTED} CT of 512 KB into {studies:,} studies"
    report.compare(what, full, "empty archive", empty, ASKED_INGEST)


def _told(report: Report, what: str, seconds: list[float]) -> None:
    report.limit(f"{what}, p95", quantiles(seconds, n=20)[-1] * 1000, "ms", ASKED_MS)


def _web(web: HTTPConnection, choose: Chooser, studies: int) -> list[float]:
    """The time of each of many searches, up to the last byte of the first page."""
    chance = random.Random(4)
    return [
        _searched(web, choose(Study(chance.randrange(studies)).values()), limit=str(PAGE))
        for _ in range(QUERIES)
    ]


def _last(web: HTTPConnection, studies: int) -> list[float]:
    """The same of the page that has everything before it."""
    page = {"limit": str(PAGE), "offset": str(studies - PAGE)}
    return [_searched(web, {}, **page) for _ in range(QUERIES)]


def _searched(web: HTTPConnection, keys: dict[int, str], **more: str) -> float:
    query = {f"{tag:08X}": value for tag, value in keys.items()} | more
    started = time.perf_counter()
    web.request("GET", f"/dicom-web/studies?{urllib.parse.urlencode(query)}")
    answer = web.getresponse()
    answer.read()
    assert answer.status in (200, 204), answer.status
    return time.perf_counter() - started


def _all(report: Report, server: Isocenter, web: HTTPConnection, studies: int) -> None:
    """Every study in one answer: how fast, and how much the server's memory grows."""
    before = server.process.resident_bytes()
    with peak(server) as during:
        started = time.perf_counter()
        web.request("GET", "/dicom-web/studies")
        answer = web.getresponse()
        while answer.read(1 << 20):
            pass
        seconds = time.perf_counter() - started
    report.add(Result(f"QIDO-RS, {studies:,} studies in one answer", studies / seconds, "/s"))
    grown = max(0, max(during) - before) / 1e6
    report.limit(f"QIDO-RS, {studies:,} in one answer: memory grows by", grown, "MB", ASKED_MB)


def _seconds(association: wire.Association, choose: Chooser, studies: int) -> list[float]:
    """The time of each of many queries, up to the last answer of the first page."""
    chance = random.Random(4)
    seconds = []
    for _ in range(QUERIES):
        wanted = choose(Study(chance.randrange(studies)).values())
        keys = wire.identifier({**dict.fromkeys(RETURNED, ""), LEVEL: "STUDY", **wanted})
        started = time.perf_counter()
        number = association.send_query(wire.C_FIND_RQ, wire.STUDY_ROOT_FIND, keys)
        found, status = 0, 0xFF00
        while status in wire.PENDING and found < PAGE:
            status = association.receive_message().status
            found += 1
        seconds.append(time.perf_counter() - started)
        if status in wire.PENDING:
            association.cancel(wire.STUDY_ROOT_FIND, number)
        while status in wire.PENDING:
            status = association.receive_message().status
        assert status in (wire.SUCCESS, 0xFE00), hex(status)
    assert median(seconds) > 0
    return seconds


def _ingest(ports: tuple[int, int], folder: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Instances a second into each of two archives, in turns."""
    rates: tuple[list[float], list[float]] = ([], [])
    for which in alternating(("0", "1"), rounds):
        (source,) = make_folders(folder / f"ingest{which}{len(rates[int(which)])}", INGESTED)
        seconds = run_together([storescu(ports[int(which)], source)])
        rates[int(which)].append(INGESTED / seconds)
    return rates
