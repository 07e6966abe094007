"""kill -9 while workitems are made and claimed: what was acknowledged holds, and is told."""

import json
import os
import random
import threading
import time
from typing import Any

import httpx
from websockets.sync.client import connect

from made_workitems import state, workitem
from peers import Isocenter
from programs import ServerFactory

ROUNDS = int(os.environ.get("ISOCENTER_KILL_ROUNDS", "3"))
CLIENTS = 4
ALL = "/workitems/1.2.840.10008.5.1.4.34.5/subscribers/WATCHER"
JSON = {"Content-Type": "application/dicom+json"}


class Client(threading.Thread):
    """Makes and claims workitems until the connection breaks; remembers what was acknowledged."""

    def __init__(self, server: Isocenter, number: int) -> None:
        super().__init__(daemon=True)
        self.created: set[str] = set()
        self.claimed: set[str] = set()
        self.failure: BaseException | None = None
        self._root = f"{server.url}/dicom-web"
        self._number = number

    def run(self) -> None:
        try:
            with httpx.Client(base_url=self._root, headers=JSON) as http:
                self._work(http)
        except httpx.TransportError:
            pass  # this is the moment
        except BaseException as error:  # seen by the test
            self.failure = error

    def _work(self, http: httpx.Client) -> None:
        for count in range(1_000_000):
            uid = f"1.2.{self._number}.{time.time_ns()}.{count}"
            made = http.post(f"/workitems?{uid}", content=json.dumps(workitem()))
            assert made.status_code == 201, made.text
            self.created.add(uid)
            claim = json.dumps(state("IN PROGRESS"))
            answer = http.put(f"/workitems/{uid}/state", content=claim)
            assert answer.status_code == 200, answer.text
            self.claimed.add(uid)


def test_nothing_acknowledged_is_lost(start_server: ServerFactory) -> None:
    server = start_server()
    httpx.post(f"{server.url}/dicom-web{ALL}").raise_for_status()
    created: set[str] = set()
    claimed: set[str] = set()
    for _ in range(ROUNDS):
        clients = [Client(server, number) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        time.sleep(random.uniform(0.3, 1.0))
        server.process.kill()
        for client in clients:
            client.join(30)
            assert client.failure is None
            created |= client.created
            claimed |= client.claimed
        server.start()

    assert created
    states = _states(server)
    assert created <= states.keys()
    assert {uid for uid in claimed if states[uid] != "IN PROGRESS"} == set()
    told = _told(server, len(states) + sum(each == "IN PROGRESS" for each in states.values()))
    assert {uid for uid in states if "SCHEDULED" not in told[uid]} == set()
    assert {uid for uid in claimed if told[uid] != ["SCHEDULED", "IN PROGRESS"]} == set()


def _states(server: Isocenter) -> dict[str, str]:
    found: dict[str, str] = {}
    with httpx.Client(base_url=f"{server.url}/dicom-web") as http:
        while True:
            answer = http.get(f"/workitems?limit=500&offset={len(found)}")
            if answer.status_code == 204:
                return found
            for each in answer.json():
                found[each["00080018"]["Value"][0]] = each["00741000"]["Value"][0]


def _told(server: Isocenter, count: int) -> dict[str, list[str]]:
    """What the subscriber is told of workitems; it was not connected before."""
    told: dict[str, list[str]] = {}
    address = f"{server.url.replace('http', 'ws', 1)}/dicom-web/ws/subscribers/WATCHER"
    with connect(address) as connection:
        while count:
            report: dict[str, Any] = json.loads(connection.recv(30))
            if report["00001002"]["Value"] == [1]:
                uid = report["00001000"]["Value"][0]
                told.setdefault(uid, []).append(report["00741000"]["Value"][0])
                count -= 1
    return told
