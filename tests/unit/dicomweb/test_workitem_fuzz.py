"""Whatever is sent to the worklist: never an error of ours, and nothing half done."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings, strategies as st

from isocenter.archive.archive import Archive
from isocenter.config import ArchiveConfig, Config
from isocenter.dicom.procedure_step import TABLE
from isocenter.dicomweb import routing
from made_workitems import PERFORMED, TRANSACTION, UID, state, workitem

TAGS = st.sampled_from([each.tag8 for each in TABLE.values()]) | st.text(max_size=9)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
JUNK = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TAGS, inner, max_size=3)
)
ELEMENTS = st.fixed_dictionaries(
    {}, optional={"vr": st.sampled_from(["CS", "SQ", "PN", "XX", "DT"]) | JUNK, "Value": JUNK}
)
DATASETS = st.dictionaries(TAGS, ELEMENTS | JUNK, max_size=4)
BODIES = st.one_of(
    st.binary(max_size=40),
    JUNK.map(json.dumps).map(str.encode),
    DATASETS.map(lambda junk: json.dumps([workitem() | junk]).encode()),
    DATASETS.map(lambda junk: json.dumps(PERFORMED | junk).encode()),
    DATASETS.map(lambda junk: json.dumps(state("IN PROGRESS") | junk).encode()),
)
KINDS = st.sampled_from(
    [
        "application/dicom+json",
        "application/dicom+xml",
        'multipart/related; type="application/dicom+xml"; boundary=b',
        "text/plain",
        "x",
    ]
)
PATHS = st.sampled_from(
    [
        ("POST", "/workitems?workitem=1.2.3"),
        ("POST", "/workitems?1.2.3"),
        ("POST", "/workitems"),
        ("POST", f"/workitems/{UID}"),
        ("POST", f"/workitems/{UID}?{TRANSACTION}"),
        ("PUT", f"/workitems/{UID}/state"),
        ("POST", f"/workitems/{UID}/cancelrequest"),
        ("POST", "/workitems/1.2.4/cancelrequest"),
    ]
)
QUERIES = st.lists(
    st.tuples(
        st.sampled_from([each.keyword for each in TABLE.values()])
        | st.sampled_from(["limit", "offset", "includefield", "fuzzymatching", "filter"])
        | st.text(max_size=6),
        st.text(max_size=12) | st.sampled_from(["*", "?", '""', "1-", "20240101-", "\\", "[", "^"]),
    ),
    max_size=4,
)


class Server:
    """One archive for all examples of a test, with a workitem in it."""

    def __init__(self, folder: Path) -> None:
        self.runner = asyncio.Runner()
        self.archive = self.runner.run(Archive.open(folder, ArchiveConfig()))
        transport = httpx.ASGITransport(
            routing.application(self.archive, Config()), raise_app_exceptions=False
        )
        self.web = httpx.AsyncClient(transport=transport, base_url="http://archive")
        self.ask("POST", f"/workitems?workitem={UID}", content=json.dumps(workitem()))

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        more.setdefault("headers", {"Content-Type": "application/dicom+json"})
        return self.runner.run(self.web.request(method, path, **more))

    def close(self) -> None:
        self.runner.run(self.archive.close())
        self.runner.close()


def test_no_body_is_answered_with_an_error_of_ours(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")

    @given(where=PATHS, body=BODIES, kind=KINDS)
    @settings(
        max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
    )
    def check(where: tuple[str, str], body: bytes, kind: str) -> None:
        answer = server.ask(*where, content=body, headers={"Content-Type": kind})

        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["detail"]
        assert server.ask("GET", f"/workitems/{UID}").status_code == 200

    check()
    server.close()


def test_no_query_is_answered_with_an_error_of_ours(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")
    filtered = "/workitems/1.2.840.10008.5.1.4.34.5.1/subscribers/W"

    @given(query=QUERIES)
    @settings(max_examples=300, deadline=None, database=None)
    def check(query: list[tuple[str, str]]) -> None:
        found = server.ask("GET", "/workitems", params=query)
        text = ",".join(f"{name}={value}" for name, value in query)
        subscribed = server.ask("POST", filtered, params={"filter": text})

        assert found.status_code in (200, 204, 400), found.text
        assert subscribed.status_code in (201, 400), subscribed.text
        assert server.ask("DELETE", filtered).status_code in (200, 404)

    check()
    server.close()
