"""Sending in the background, asked for by the form of a study's page, to programs we did not write.

What the peer acknowledged is not sent again; what it did not, is: whatever ends in between.
"""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pydicom
import pytest
from pynetdicom import AE, StoragePresentationContexts, evt

from instances import Instance, as_instance, ct_template, make_study
from peers import Isocenter, Orthanc, Peer, free_port
from programs import Command, PeerFactory, ServerFactory, Tool
from questions import store_all

PATIENCE = 60.0
JPEG_LS = "1.2.840.10008.1.2.4.80"
IMPATIENT = "[jobs]\npause = 0.2\nlongest_pause = 0.5\n"


def post(server: Isocenter, path: str, **fields: Any) -> httpx.Response:
    return httpx.post(f"{server.url}{path}", data=fields, trust_env=False, timeout=30)


def send(server: Isocenter, study: str, peer: str, **fields: Any) -> int:
    """Ask for it by the page's form; return the job's number."""
    answer = post(server, f"/studies/{study}/send", peer=peer, **fields)
    assert answer.status_code == 303, answer.text
    return int(answer.headers["location"].partition("sent=")[2])


class State:
    """What the page of a job says."""

    def __init__(self, server: Isocenter, job: int) -> None:
        url = f"{server.url}/administration/jobs/{job}"
        self.page = httpx.get(url, trust_env=False, timeout=30).text
        found = re.search(r'class="state (\w+)"', self.page)
        assert found is not None, self.page
        self.state = found[1]
        counted = re.search(r"([\d,]+) of ([\d,]+)", self.page)
        self.done, self.total = (
            (int(each.replace(",", "")) for each in counted.groups()) if counted else (0, 0)
        )


def wait_for(server: Isocenter, job: int, is_so: Callable[[State], bool]) -> State:
    deadline = time.monotonic() + PATIENCE
    while not is_so(state := State(server, job)):
        assert time.monotonic() < deadline, state.page
        time.sleep(0.05)
    return state


def ended(state: State) -> bool:
    return state.state not in ("waiting", "running")


class Workstation:
    """A storage SCP by pynetdicom that counts what it acknowledged."""

    def __init__(self) -> None:
        self.port = free_port()
        self.acknowledged: Counter[str] = Counter()
        self.pause = 0.0
        self.status: Callable[[str], int] = lambda uid: 0
        self.at: dict[int, threading.Event] = {}

    @property
    def address(self) -> str:
        return f"WORKSTATION@127.0.0.1:{self.port}"

    def _store(self, event: Any) -> int:
        time.sleep(self.pause)
        uid = str(event.request.AffectedSOPInstanceUID)
        if status := self.status(uid):
            return status
        self.acknowledged[uid] += 1
        if (reached := self.at.get(sum(self.acknowledged.values()))) is not None:
            reached.set()
        return 0

    def when(self, count: int) -> threading.Event:
        """Set when so many are acknowledged."""
        return self.at.setdefault(count, threading.Event())

    @contextmanager
    def up(self) -> Iterator[None]:
        application = AE("WORKSTATION")
        application.supported_contexts = StoragePresentationContexts
        handlers = [(evt.EVT_C_STORE, self._store)]
        server = application.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=handlers
        )
        try:
            yield
        finally:
            server.shutdown()
            application.shutdown()


@pytest.fixture
def workstation() -> Workstation:
    return Workstation()


def uids(study: list[Instance]) -> set[str]:
    return {each.sop_instance for each in study}


def test_a_study_goes_to_dcmtk(start_server: ServerFactory, storescp: Peer) -> None:
    server = start_server(peers=[storescp.address])
    study = make_study(20, series=2)
    store_all(server, study)

    state = wait_for(server, send(server, study[0].study, storescp.aet), ended)

    assert (state.state, state.done, state.total) == ("done", 20, 20)
    received = {str(pydicom.dcmread(path).SOPInstanceUID) for path in storescp.files()}
    assert received == uids(study)


def test_one_series_goes_to_orthanc(start_server: ServerFactory, orthanc: Orthanc) -> None:
    server = start_server(peers=[orthanc.address])
    study = make_study(20, series=2)
    store_all(server, study)
    chosen = study[0].series

    job = send(server, study[0].study, orthanc.aet, series=chosen)
    state = wait_for(server, job, ended)

    assert (state.state, state.done, state.total) == ("done", 10, 10)
    assert orthanc.instance_uids(study[0].study) == {
        each.sop_instance for each in study if each.series == chosen
    }


def test_a_peer_that_was_added_while_the_server_runs_gets_it(
    server: Isocenter, storescp: Peer
) -> None:
    study = make_study(3)
    store_all(server, study)
    added = {"aet": storescp.aet, "host": "127.0.0.1", "port": str(storescp.port), "note": ""}
    assert post(server, "/administration/peers", **added).status_code == 303

    state = wait_for(server, send(server, study[0].study, storescp.aet), ended)

    assert (state.state, len(storescp.files())) == ("done", 3)


def test_what_the_peer_does_not_take_compressed_is_decoded(
    start_server: ServerFactory, start_storescp: PeerFactory, dcmtk: Tool, tmp_path: Any
) -> None:
    plain = start_storescp("+x=", "+B")
    server = start_server(peers=[plain.address])
    original = as_instance(ct_template(64, SOPInstanceUID="2.25.77", SeriesInstanceUID="2.25.7"))
    file, packed = tmp_path / "plain.dcm", tmp_path / "packed.dcm"
    file.write_bytes(original.file)
    dcmtk("dcmcjpls", file, packed)
    store_all(server, [as_instance(pydicom.dcmread(packed), JPEG_LS)])

    state = wait_for(server, send(server, original.study, plain.aet), ended)

    assert state.state == "done", state.page
    (received,) = plain.files()
    assert pydicom.dcmread(received).PixelData == pydicom.dcmread(file).PixelData


def test_a_peer_that_is_down_gets_it_when_it_is_up_and_nothing_twice(
    start_server: ServerFactory, workstation: Workstation
) -> None:
    server = start_server(peers=[workstation.address], config=IMPATIENT)
    study = make_study(60)
    store_all(server, study)
    job = send(server, study[0].study, "WORKSTATION")
    wait_for(server, job, lambda state: state.state == "waiting" and "cannot connect" in state.page)

    with workstation.up():
        workstation.pause = 0.02
        assert workstation.when(20).wait(PATIENCE)
    before = sum(workstation.acknowledged.values())
    # Until it is no more tried at once, but some time.
    state = wait_for(server, job, lambda state: state.state == "waiting")
    assert state.done >= before - 1
    with workstation.up():
        state = wait_for(server, job, ended)

    assert (state.state, state.done) == ("done", 60)
    assert set(workstation.acknowledged) == uids(study)
    # One answer may have been lost with the association: of that one we cannot know.
    assert sum(workstation.acknowledged.values()) <= 61


def test_after_a_kill_the_job_goes_on_where_it_was(
    start_server: ServerFactory, workstation: Workstation
) -> None:
    server = start_server(peers=[workstation.address], config=IMPATIENT)
    study = make_study(200, pixels=64)
    store_all(server, study)

    with workstation.up():
        workstation.pause = 0.01
        job = send(server, study[0].study, "WORKSTATION")
        assert workstation.when(100).wait(PATIENCE)
        known = State(server, job).done
        server.kill()
        server.start()
        state = wait_for(server, job, ended)

    assert (state.state, state.done, state.total) == ("done", 200, 200)
    assert set(workstation.acknowledged) == uids(study)
    # What it had written down before is not sent again.
    assert known > 0
    assert sum(workstation.acknowledged.values()) <= 200 + (100 - known) + 20


def test_a_server_that_is_stopped_leaves_the_job_to_the_next(
    start_server: ServerFactory, workstation: Workstation
) -> None:
    server = start_server(peers=[workstation.address])
    study = make_study(60, pixels=64)
    store_all(server, study)

    with workstation.up():
        workstation.pause = 0.02
        job = send(server, study[0].study, "WORKSTATION")
        assert workstation.when(20).wait(PATIENCE)
        server.restart()
        state = wait_for(server, job, ended)

    assert (state.state, state.done) == ("done", 60)
    assert set(workstation.acknowledged) == uids(study)
    assert sum(workstation.acknowledged.values()) <= 61


def test_a_study_that_goes_to_another_patient_while_it_is_sent_is_not_told_to_be_sent(
    start_server: ServerFactory, workstation: Workstation
) -> None:
    server = start_server(peers=[workstation.address], config=IMPATIENT)
    study = make_study(600, pixels=16)
    store_all(server, study)
    place = f"/studies/{study[0].study}/correct"

    with workstation.up():
        workstation.pause = 0.005
        job = send(server, study[0].study, "WORKSTATION")
        assert workstation.when(20).wait(PATIENCE)
        page = post(server, place, PatientID="OTHER", reason="mixed up", step="preview").text
        hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page)
        own = {name: value for name, value in hidden if name != "back"}
        assert post(server, place, **own, step="apply").status_code == 303
        state = wait_for(server, job, ended)

    assert len(workstation.acknowledged) < 600
    assert state.state == "failed"
    assert "moved to another patient" in state.page


def test_what_the_peer_refuses_is_told_and_the_rest_is_sent(
    start_server: ServerFactory, workstation: Workstation
) -> None:
    server = start_server(peers=[workstation.address], config=IMPATIENT)
    study = make_study(10)
    store_all(server, study)
    refused, warned = study[3].sop_instance, study[5].sop_instance
    # PS3.4 table B.2-1: the data set does not match the SOP class; coercion of data elements.
    workstation.status = {refused: 0xA900, warned: 0xB000}.get  # type: ignore[assignment]

    with workstation.up():
        job = send(server, study[0].study, "WORKSTATION")
        state = wait_for(server, job, ended)

        assert (state.state, state.done) == ("failed", 9)
        assert "A900" in state.page
        assert re.findall(r'<th scope="row">([\d.]+)</th>', state.page) == sorted([refused, warned])

        workstation.status = lambda uid: 0
        assert post(server, f"/administration/jobs/{job}/retry", state="").status_code == 303
        state = wait_for(server, job, lambda now: now.done == 10 and ended(now))

    assert state.state == "done"
    assert set(workstation.acknowledged.values()) == {1}


def test_a_canceled_job_stops_sending(
    start_server: ServerFactory, workstation: Workstation
) -> None:
    server = start_server(peers=[workstation.address])
    study = make_study(100, pixels=64)
    store_all(server, study)

    with workstation.up():
        workstation.pause = 0.05
        job = send(server, study[0].study, "WORKSTATION")
        assert workstation.when(5).wait(PATIENCE)
        assert post(server, f"/administration/jobs/{job}/cancel", state="").status_code == 303
        state = wait_for(server, job, ended)

    assert state.state == "canceled"
    assert 5 <= sum(workstation.acknowledged.values()) < 60


def test_strangers_pages_cannot_have_anything_sent(
    start_server: ServerFactory, storescp: Peer
) -> None:
    server = start_server(peers=[storescp.address])
    study = make_study(1)
    store_all(server, study)

    answer = httpx.post(
        f"{server.url}/studies/{study[0].study}/send",
        data={"peer": storescp.aet},
        headers={"origin": "https://elsewhere.example"},
        trust_env=False,
    )

    assert answer.status_code == 403


def test_jobs_are_listed_and_stopped_from_the_command_line_while_a_server_runs(
    start_server: ServerFactory, workstation: Workstation, isocenter: Command
) -> None:
    server = start_server(peers=[workstation.address])
    study = make_study(3)
    store_all(server, study)
    job = send(server, study[0].study, "WORKSTATION")
    wait_for(server, job, lambda state: "cannot connect" in state.page)
    where = ("--data", server.data)
    at = ("--http-port", str(server.http_port))

    listed = isocenter("jobs", *where).stdout.splitlines()
    canceled = isocenter("jobs", "cancel", str(job), *where, *at).stdout
    again = isocenter("jobs", "cancel", str(job), *where, *at, expect=1)
    nowhere = isocenter("jobs", "retry", str(job), *where, "--http-port", "1", expect=1)
    with workstation.up():
        isocenter("jobs", "retry", str(job), *where, *at)
        state = wait_for(server, job, ended)

    assert listed[0].split()[:3] == ["JOB", "STATE", "WHAT"]
    assert listed[1].split()[:5] == [str(job), "waiting", "send", "to", "WORKSTATION"]
    assert "state      canceled" in canceled
    assert "ended" in again.stderr
    assert "--http-port" in nowhere.stderr
    assert (state.state, set(workstation.acknowledged)) == ("done", uids(study))


def test_jobs_are_told_to_go_on_from_the_command_line_without_a_server(
    start_server: ServerFactory, workstation: Workstation, isocenter: Command
) -> None:
    server = start_server(peers=[workstation.address])
    study = make_study(3)
    store_all(server, study)
    job = send(server, study[0].study, "WORKSTATION")
    wait_for(server, job, lambda state: "cannot connect" in state.page)
    server.stop()
    where = ("--data", server.data)

    isocenter("jobs", "cancel", str(job), *where)
    shown = json.loads(isocenter("jobs", "show", str(job), "--json", *where).stdout)
    none = isocenter("jobs", "list", "--state", "running", *where).stdout
    missing = isocenter("jobs", "show", "999999", *where, expect=1).stderr
    isocenter("jobs", "retry", str(job), *where)
    with workstation.up():
        server.start()
        state = wait_for(server, job, ended)

    assert (shown["number"], shown["state"], shown["total"]) == (job, "canceled", 3)
    assert none == ""
    assert "no such job" in missing
    assert state.state == "done"
