"""The worklist over the network: data sets by pydicom, requests by curl and httpx, event reports
heard by the websockets library.

Source: PS3.18 8.10, 11; PS3.4 CC.
"""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from peers import Isocenter, find_program
from programs import ServerFactory

PATIENCE = 20.0
WORKLIST = "1.2.840.10008.5.1.4.34.5"
JSON = {"Content-Type": "application/dicom+json", "Accept": "application/dicom+json"}


def coded(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodeMeaning = code.value, code.meaning
    item.CodingSchemeDesignator = code.scheme_designator
    return item


def scheduled(label: str = "Read") -> Dataset:
    """A workitem as pydicom has it."""
    made = Dataset()
    made.ProcedureStepState = "SCHEDULED"
    made.ProcedureStepLabel = label
    made.WorklistLabel = "Reading"
    made.ScheduledProcedureStepPriority = "HIGH"
    made.ScheduledProcedureStepStartDateTime = "20240229093000"
    made.InputReadinessState = "READY"
    made.PatientName = "Müller^Änne=山田^太郎"
    made.PatientID = "UPS01"
    made.ScheduledWorkitemCodeSequence = [coded(codes.DCM.ImageProcessing)]
    return made


def performed(transaction: str) -> Dataset:
    item = Dataset()
    item.PerformedStationNameCodeSequence = [coded(Code("CT1", "99HERE", "CT one"))]
    item.PerformedProcedureStepStartDateTime = "20240229093100"
    item.PerformedProcedureStepEndDateTime = "20240229094500"
    item.PerformedWorkitemCodeSequence = [coded(codes.DCM.ImageProcessing)]
    item.OutputInformationSequence = []
    made = Dataset()
    made.UnifiedProcedureStepPerformedProcedureSequence = [item]
    made.TransactionUID = transaction
    return made


def change(state: str, transaction: str) -> Dataset:
    made = Dataset()
    made.ProcedureStepState = state
    made.TransactionUID = transaction
    return made


class Client:
    """A user agent of the Worklist Service."""

    def __init__(self, server: Isocenter) -> None:
        self.root = f"{server.url}/dicom-web"
        self.http = httpx.Client(base_url=self.root, headers=JSON, timeout=PATIENCE)

    def send(self, method: str, path: str, dataset: Dataset | None = None) -> httpx.Response:
        content = None if dataset is None else f"[{dataset.to_json()}]"
        return self.http.request(method, path, content=content)

    def create(self, label: str = "Read") -> str:
        uid = str(generate_uid())
        answer = self.send("POST", f"/workitems?workitem={uid}", scheduled(label))
        assert answer.status_code == 201, answer.text
        return uid

    def retrieve(self, uid: str) -> Dataset:
        answer = self.send("GET", f"/workitems/{uid}").raise_for_status()
        return Dataset.from_json(answer.json()[0])


Clients = Callable[[Isocenter], Client]


@pytest.fixture
def clients() -> Iterator[Clients]:
    """Make clients; they are closed afterwards."""
    with ExitStack() as opened:

        def make(server: Isocenter) -> Client:
            made = Client(server)
            opened.callback(made.http.close)
            return made

        yield make


@pytest.fixture
def client(clients: Clients, shared_server: Isocenter) -> Client:
    return clients(shared_server)


def listen(client: Client, ae: str) -> AbstractContextManager[ClientConnection]:
    """Subscribe, and listen where the answer says."""
    answer = client.send("POST", f"/workitems/{WORKLIST}/subscribers/{ae}")
    assert answer.status_code == 201
    return connect(answer.headers["Content-Location"], open_timeout=PATIENCE)


def reports(connection: ClientConnection, uid: str) -> Iterator[Dataset]:
    """What is told of one workitem, as pydicom reads it."""
    while True:
        told = json.loads(connection.recv(PATIENCE))
        command = {tag: told.pop(tag) for tag in list(told) if tag.startswith("0000")}
        if command["00001000"]["Value"] == [uid]:
            report = Dataset.from_json(told)
            report.EventTypeID = command["00001002"]["Value"][0]
            yield report


def test_a_workitem_goes_its_whole_way(client: Client) -> None:
    transaction = str(generate_uid())
    with listen(client, "WHOLE") as connection:
        uid = client.create()
        for path, method, dataset in (
            (f"/workitems/{uid}/state", "PUT", change("IN PROGRESS", transaction)),
            (f"/workitems/{uid}", "POST", performed(transaction)),
            (f"/workitems/{uid}/state", "PUT", change("COMPLETED", transaction)),
        ):
            assert client.send(method, path, dataset).status_code == 200
        told = reports(connection, uid)
        states = [next(told).ProcedureStepState for _ in range(3)]

    assert states == ["SCHEDULED", "IN PROGRESS", "COMPLETED"]
    found = client.retrieve(uid)
    assert found.PatientName == "Müller^Änne=山田^太郎"
    assert found.SOPClassUID == "1.2.840.10008.5.1.4.34.6.1"
    assert "TransactionUID" not in found
    [item] = found.UnifiedProcedureStepPerformedProcedureSequence
    assert item.PerformedStationNameCodeSequence[0].CodeValue == "CT1"


def test_curl_makes_and_gets_a_workitem(client: Client, tmp_path: Path) -> None:
    uid = str(generate_uid())
    file = tmp_path / "workitem.json"
    file.write_text(scheduled("By curl").to_json())

    def curl(*arguments: str) -> str:
        command = [find_program("curl"), "-sS", "--fail-with-body", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    kind = "Content-Type: application/dicom+json"
    made = curl("-D-", "-H", kind, "-d", f"@{file}", f"{client.root}/workitems?{uid}")
    got = curl(f"{client.root}/workitems/{uid}")
    found = curl(f"{client.root}/workitems?ProcedureStepLabel=By%20curl")

    assert " 201 " in made.splitlines()[0]
    assert f"location: {client.root}/workitems/{uid}" in made.lower()
    assert Dataset.from_json(json.loads(got)[0]).ProcedureStepLabel == "By curl"
    assert [each["00080018"]["Value"] for each in json.loads(found)] == [[uid]]


def test_of_many_clients_one_claims_each_workitem(
    clients: Clients, client: Client, shared_server: Isocenter
) -> None:
    uids = [client.create("Contended") for _ in range(10)]
    claims = {str(generate_uid()): clients(shared_server) for _ in range(8)}
    won: dict[str, list[str]] = {uid: [] for uid in uids}
    together = threading.Barrier(len(claims))

    def claim(transaction: str) -> None:
        for uid in uids:
            together.wait(PATIENCE)
            path, wanted = f"/workitems/{uid}/state", change("IN PROGRESS", transaction)
            answer = claims[transaction].send("PUT", path, wanted)
            if answer.status_code == 200:
                won[uid].append(transaction)
            else:
                assert answer.status_code == 400
                told = f"299 {client.root}: The Transaction UID is incorrect."
                assert answer.headers["warning"] == told

    with ThreadPoolExecutor(len(claims)) as threads:
        list(threads.map(claim, claims))

    for uid, winners in won.items():
        [winner] = winners
        for transaction in claims:
            answer = client.send("POST", f"/workitems/{uid}", performed(transaction))
            assert answer.status_code == (200 if transaction == winner else 400)


def test_two_hundred_listen(client: Client) -> None:
    titles = [f"CROWD{number}" for number in range(200)]
    with ExitStack() as opened:
        connections = [opened.enter_context(listen(client, ae)) for ae in titles]
        uid = client.create("For all")
        for connection in connections:
            assert next(reports(connection, uid)).ProcedureStepState == "SCHEDULED"
    for ae in titles:
        client.send("DELETE", f"/workitems/{WORKLIST}/subscribers/{ae}")


def test_a_title_that_is_none_gets_no_connection(client: Client) -> None:
    address = client.root.replace("http", "ws", 1) + f"/ws/subscribers/{'X' * 17}"

    with pytest.raises(InvalidStatus) as refused, connect(address, open_timeout=PATIENCE):
        pass

    assert refused.value.response.status_code == 400


def next_report(connection: ClientConnection) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(connection.recv(PATIENCE))
    return told


def test_subscribers_hear_of_stop_and_start(start_server: ServerFactory, clients: Clients) -> None:
    server = start_server()
    client = clients(server)
    with listen(client, "WATCHER") as connection:
        uid = client.create()
        assert next(reports(connection, uid)).ProcedureStepState == "SCHEDULED"

        server.stop()

        assert next_report(connection)["00741242"]["Value"] == ["GOING DOWN"]
        with pytest.raises(ConnectionClosed):
            connection.recv(PATIENCE)
    server.start()
    address = clients(server).root.replace("http", "ws", 1) + "/ws/subscribers/WATCHER"
    with connect(address, open_timeout=PATIENCE) as connection:
        report = next_report(connection)
    assert report["00741242"]["Value"] == ["RESTARTED"]
    assert report["00741246"]["Value"] == ["WARM START"]


def test_finished_workitems_are_removed_in_time(
    start_server: ServerFactory, clients: Clients
) -> None:
    server = start_server(config="[archive]\nworkitem_retention = 0\n")
    client = clients(server)
    uid = client.create()
    assert client.send("POST", f"/workitems/{uid}/cancelrequest").status_code == 202

    status = 200
    for _ in range(200):
        status = client.send("GET", f"/workitems/{uid}").status_code
        if status != 200:
            break
        threading.Event().wait(0.05)

    assert status == 410
