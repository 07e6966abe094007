"""The pages as a reader gets them, over a large archive: how long until the last byte."""

import random
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import quantiles
from urllib.parse import urlencode

from bench.catalogue import Study, prepare
from bench.report import Report, Result
from instances import INSTANCE_MARK, as_instance, ct_template, new_uid
from peers import Isocenter

STUDIES = 100_000
PAGES = 60
ASKED_MS = 50.0
HUNDREDTH = 100
OPEN = 300
"""Pages that are open and listen."""
ARRIVALS = 20
PAUSE = 1.2
"""Seconds between arrivals: what follows one another quickly is told together."""

Filter = Callable[[dict[str, str]], dict[str, str]]
FILTERS: dict[str, Filter] = {
    "no filter": lambda _: {},
    "a family name": lambda study: {"name": study["PatientName"].partition("^")[0].lower()},
    "part of a name": lambda study: {"name": study["PatientName"][:6]},
    "an ID": lambda study: {"id": study["PatientID"]},
    "the beginning of an ID": lambda study: {"id": study["PatientID"][:-2]},
    "an accession number": lambda study: {"accession": study["AccessionNumber"]},
    "a modality": lambda study: {"modality": study["Modality"]},
    "a modality and a month": lambda study: {
        "modality": study["Modality"],
        **_month(study["StudyDate"]),
    },
    "a month": lambda study: _month(study["StudyDate"]),
    "a word of a description": lambda study: {"description": study["StudyDescription"][:5].lower()},
    "a number in a description": lambda study: {"description": study["StudyDescription"][-4:]},
    "a description that no study has": lambda study: {"description": study["StudyID"]},
    "an institution": lambda study: {"institution": study["InstitutionName"].strip().lower()},
    "an institution that there is not": lambda study: {"institution": study["StudyID"]},
}
ORDERS = ("oldest", "name", "name-backwards", "arrived-last", "arrived-first")


def measure(report: Report, folder: Path, rounds: int, studies: int = STUDIES) -> None:
    home = folder / "pages"
    home.mkdir(parents=True)
    prepare(home / "data", studies)
    server = Isocenter(home, data_folder=home / "data").start()
    try:
        web = HTTPConnection("127.0.0.1", server.http_port, timeout=60)
        among = f"of {studies:,} studies, p95"
        for name, choose in FILTERS.items():
            _told(report, f"worklist by {name} {among}", _pages(web, choose, studies))
        for order in ORDERS:
            for name in ("no filter", "a modality"):
                choose = _in(order, FILTERS[name])
                seconds = _pages(web, choose, studies)
                _told(report, f"worklist by {name}, {order} {among}", seconds)
        for order in ("", *ORDERS):
            far = _hundredth(web, order)
            _told(report, f"worklist, page {HUNDREDTH}, {order or 'newest'} {among}", far)
        web.close()
        _live(report, server)
    finally:
        server.stop()


def _month(day: str) -> dict[str, str]:
    return {"since": f"{day[:4]}-{day[4:6]}-01", "until": f"{day[:4]}-{day[4:6]}-28"}


def _in(order: str, choose: Filter) -> Filter:
    return lambda study: {**choose(study), "order": order}


def _told(report: Report, what: str, seconds: list[float]) -> None:
    report.limit(what, quantiles(seconds, n=20)[-1] * 1000, "ms", ASKED_MS)


def _pages(web: HTTPConnection, choose: Filter, studies: int) -> list[float]:
    chance = random.Random(4)
    return [
        _asked(web, urlencode(choose(Study(chance.randrange(studies)).values())))[0]
        for _ in range(PAGES)
    ]


def _hundredth(web: HTTPConnection, order: str) -> list[float]:
    """The time of a page that has many before it."""
    query = urlencode({"order": order})
    for _ in range(HUNDREDTH - 1):
        _, text = _asked(web, query)
        found = re.search(r'hx-get="/\?([^"]*after=[^"]+)"', text)
        assert found is not None
        query = found[1].replace("&amp;", "&")
    return [_asked(web, query)[0] for _ in range(PAGES)]


def _asked(web: HTTPConnection, query: str) -> tuple[float, str]:
    started = time.perf_counter()
    web.request("GET", f"/?{query}")
    answer = web.getresponse()
    text = answer.read().decode()
    seconds = time.perf_counter() - started
    assert answer.status == 200, text
    return seconds, text


# --- pages that are open


def _live(report: Report, server: Isocenter) -> None:
    """What many open pages cost, and how soon the last of them hears of a study."""
    before = server.process.resident_bytes()
    file = as_instance(ct_template(8, PatientID="LIVE")).file
    with ExitStack() as opened:
        pages = [opened.enter_context(_page(server.http_port, each)) for each in range(OPEN)]
        seconds = []
        for _ in range(ARRIVALS):
            time.sleep(PAUSE)
            started = time.perf_counter()
            _store(server, file.replace(INSTANCE_MARK.encode(), new_uid().encode()))
            for page in pages:
                _until(page, b"event: worklist")
            seconds.append(time.perf_counter() - started)
        grown = max(0, server.process.resident_bytes() - before) / OPEN / 1e3
    heard = quantiles(seconds, n=20)[-1] * 1000
    report.add(Result(f"an instance is stored, and {OPEN} open pages hear of it, p95", heard, "ms"))
    report.add(Result("memory of an open page", grown, "KB"))


@contextmanager
def _page(port: int, number: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as page:
        wanted = "LIVE"[: 1 + number % 4]  # of the pages that are open, some show the same
        query = f"GET /events?topic=worklist&id={wanted} HTTP/1.1\r\nHost: archive\r\n\r\n"
        page.sendall(query.encode())
        _until(page, b"\nid: ")
        yield page


def _until(page: socket.socket, wanted: bytes) -> None:
    seen = b""
    while wanted not in seen:
        data = page.recv(1 << 16)
        assert data, "the connection was closed"
        seen = seen[-len(wanted) :] + data


def _store(server: Isocenter, file: bytes) -> None:
    web = HTTPConnection("127.0.0.1", server.http_port, timeout=60)
    web.request("POST", "/dicom-web/studies", file, {"Content-Type": "application/dicom"})
    answer = web.getresponse()
    answer.read()
    assert answer.status in (200, 202), answer.status
    web.close()
