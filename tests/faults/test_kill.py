"""kill -9 at a random moment, again and again: what was acknowledged is there, and nothing half.

`ISOCENTER_KILL_ROUNDS` sets how often (six times unless told).
"""

import hashlib
import http.client
import os
import random
import threading
import time
from io import BytesIO
from itertools import islice
from pathlib import Path

import pydicom
import pytest

import web
import wire
from instances import Instance, stream_study
from isocenter.dicom import part10
from peers import Isocenter
from programs import Command, ServerFactory
from questions import fetch, instance_uids

ROUNDS = int(os.environ.get("ISOCENTER_KILL_ROUNDS", "6"))
SENDERS = 4
EXPLICIT = "1.2.840.10008.1.2.1"
JPEG_LS = "1.2.840.10008.1.2.4.80"


class Sender(threading.Thread):
    """Stores one study until the connection breaks; remembers what was acknowledged."""

    def __init__(self, server: Isocenter, number: int) -> None:
        super().__init__(daemon=True)
        self.acknowledged: dict[str, str] = {}
        self.sent: set[str] = set()
        self.study = ""
        self.failure: BaseException | None = None
        self._server = server
        self._instances = stream_study(100_000, series=3, pixels=64, PatientID=f"KILL{number}")

    def run(self) -> None:
        try:
            self._send()
        except (wire.Aborted, http.client.HTTPException, OSError):
            pass  # this is the moment
        except BaseException as error:  # seen by the test
            self.failure = error

    def _send(self) -> None:
        first = next(self._instances)
        self.study = first.study
        with wire.storing(
            self._server.dicom_port, (first.sop_class, first.transfer_syntax)
        ) as association:
            self._store(association, first)
            for one in self._instances:
                self._store(association, one)

    def _store(self, association: wire.Association, one: Instance) -> None:
        self.sent.add(one.sop_instance)
        status = association.store(
            one.sop_class, one.sop_instance, one.transfer_syntax, one.data_set
        )
        assert status == wire.SUCCESS
        self.acknowledged[one.sop_instance] = digest(one.data_set)


class WebSender(Sender):
    """The same by STOW-RS, some instances in each request."""

    def _send(self) -> None:
        while some := list(islice(self._instances, 5)):
            self.study = some[0].study
            self.sent |= {one.sop_instance for one in some}
            status, answer = web.store(self._server.http_port, [one.file for one in some])
            assert status == 200
            acknowledged = web.stored(answer)
            self.acknowledged |= {
                one.sop_instance: digest(one.data_set)
                for one in some
                if one.sop_instance in acknowledged
            }


KINDS = {"DIMSE": Sender, "web": WebSender}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def check(server: Isocenter, sender: Sender) -> None:
    """Everything acknowledged is there whole; everything there is whole, and was sent."""
    if not sender.study:
        return
    got = {uid: digest(data) for uid, (_, data) in fetch(server, sender.study).items()}
    assert sender.acknowledged.items() <= got.items()
    assert got.keys() <= sender.sent
    assert set(instance_uids(server, sender.study)) == set(got)


@pytest.mark.timeout(60 + 30 * ROUNDS)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_acknowledged_is_lost_and_nothing_is_half_there(
    start_server: ServerFactory, isocenter: Command, kind: str
) -> None:
    chance = random.Random(20240711)
    server = start_server()
    everyone: list[Sender] = []

    for number in range(ROUNDS):
        senders = [KINDS[kind](server, SENDERS * number + n) for n in range(SENDERS)]
        for sender in senders:
            sender.start()
        time.sleep(chance.uniform(0.05, 1.5))
        server.kill()
        for sender in senders:
            sender.join(30)
            assert not sender.is_alive()
            assert sender.failure is None, repr(sender.failure)
        server.restart()
        for sender in senders:
            check(server, sender)
        everyone += senders

    for sender in everyone:
        check(server, sender)
    server.stop()
    isocenter("verify", "--data", server.data)
    assert sum(len(sender.acknowledged) for sender in everyone) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_kill_leaves_no_unfinished_files(start_server: ServerFactory, kind: str) -> None:
    server = start_server()
    sender = KINDS[kind](server, 0)
    sender.start()
    time.sleep(0.5)
    server.kill()
    sender.join(30)

    server.restart()
    held = len(instance_uids(server, sender.study))
    server.stop()

    assert len(_blobs(server.data, sender.study)) == held


def _blobs(data: Path, study: str) -> list[Path]:
    """Every file in the data folder that holds a data set, or the start of one, of the study."""
    index = ("index", ".sqlite", ".db", "-wal", "-shm")
    return [
        path
        for path in data.rglob("*")
        if path.is_file() and not any(part in path.name for part in index)
        if study.encode() in path.read_bytes()
    ]


@pytest.mark.timeout(60 + 30 * ROUNDS)
def test_a_kill_amid_compression_leaves_the_old_or_the_new(
    start_server: ServerFactory, isocenter: Command
) -> None:
    chance = random.Random(20240712)
    server = start_server(config='[[compression]]\nto = "jpeg-ls"\n')
    images = {
        one.sop_instance: one
        for one in islice(stream_study(100_000, series=2, pixels=256, PatientID="KILL"), 200)
    }
    study = next(iter(images.values())).study
    first = next(iter(images.values()))
    compressed: list[int] = []

    with wire.storing(server.dicom_port, (first.sop_class, first.transfer_syntax)) as association:
        for one in images.values():
            assert (
                association.store(
                    one.sop_class, one.sop_instance, one.transfer_syntax, one.data_set
                )
                == wire.SUCCESS
            )
    for _ in range(ROUNDS):
        time.sleep(chance.uniform(0.05, 0.6))
        server.kill()
        server.restart()
        got = fetch(server, study, [(first.sop_class, each) for each in (EXPLICIT, JPEG_LS)])
        assert got.keys() == images.keys()
        for uid, (syntax, data) in got.items():
            kept = pydicom.dcmread(BytesIO(part10.header(first.sop_class, uid, syntax) + data))
            assert kept.pixel_array.tobytes() == images[uid].read().PixelData
        compressed.append(sum(syntax == JPEG_LS for syntax, _ in got.values()))

    server.stop()
    isocenter("verify", "--data", server.data)
    assert compressed == sorted(compressed)
    assert compressed[-1] > 0
