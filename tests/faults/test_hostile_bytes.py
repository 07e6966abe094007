"""Garbage, silence and lies on the DICOM port, while an honest sender is served."""

import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

import wire
from instances import corpus_files, data_set_of, make_study
from peers import Isocenter
from programs import ServerFactory
from questions import count_instances, store_all

MEGABYTE = 1 << 20
ALLOWED_GROWTH = 60 * MEGABYTE


@pytest.fixture(scope="module")
def server(start_module_server: ServerFactory) -> Isocenter:
    return start_module_server(
        config="[dimse]\nartim_timeout = 0.5\nnetwork_timeout = 2\nidle_timeout = 5\n"
        "dimse_timeout = 2\n"
    )


@pytest.fixture(autouse=True)
def honest_sender(server: Isocenter) -> Iterator[None]:
    """Someone who stores properly during each test, must always succeed, and soon."""
    stopping = threading.Event()
    trouble: list[str] = []
    study = make_study(2, pixels=64)

    def store() -> None:
        while not stopping.wait(0.05):
            started = time.monotonic()
            try:
                statuses = set(store_all(server, study))
            except Exception as error:  # told to the test
                trouble.append(repr(error))
                return
            if statuses != {wire.SUCCESS} or time.monotonic() - started > 10:
                trouble.append(f"{statuses} after {time.monotonic() - started:.1f} s")

    store_all(server, study)
    before = server.process.resident_bytes()
    sender = threading.Thread(target=store, daemon=True)
    sender.start()
    yield
    stopping.set()
    sender.join(30)
    assert trouble == []
    assert count_instances(server, study[0].study) == 2
    assert server.process.exit_code is None
    assert server.process.resident_bytes() - before < ALLOWED_GROWTH


def throw(server: Isocenter, data: bytes, *, wait: float = 10.0) -> bytes:
    """Send ``data``; return what comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", server.dicom_port), 5) as connection:
        connection.settimeout(wait)
        answer = b""
        with contextlib.suppress(ConnectionError, BrokenPipeError):
            connection.sendall(data)
            while piece := connection.recv(65536):
                answer += piece
        return answer


REQUEST = wire.associate_request(
    "ISOCENTER", "HOSTILE", [wire.presentation_context(1, wire.VERIFICATION, (wire.IMPLICIT,))]
)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(512),
        bytes(4096),
        b"\xff" * 4096,
        b"\x04\x00\x00\x00\x00\x04abcd",
        wire.pdu(wire.ASSOCIATE_RQ, b""),
        wire.pdu(wire.ASSOCIATE_RQ, bytes(68)),
        wire.pdu(wire.ASSOCIATE_RQ, REQUEST[6:74] + b"\x10\x00\xff\xff" + b"1.2"),
        wire.pdu(wire.ASSOCIATE_RQ, REQUEST[6:] + b"\x20\x00\x00\x01"),
        wire.pdu(wire.RELEASE_RQ, bytes(4)),
        wire.pdu(wire.ASSOCIATE_AC, bytes(68)),
        wire.pdu(0x99, bytes(20)),
    ],
    ids=[
        "HTTP",
        "TLS",
        "zeroes",
        "ones",
        "P-DATA first",
        "empty request",
        "request of zeroes",
        "item longer than its request",
        "context cut short",
        "release first",
        "acceptance first",
        "unknown PDU",
    ],
)
def test_garbage_is_answered_by_closing(server: Isocenter, data: bytes) -> None:
    answer = throw(server, data)

    assert answer == b"" or answer[0] in (wire.ABORT, wire.ASSOCIATE_RJ)


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5, 6, 7, 0, 255])
@pytest.mark.parametrize("length", [0, 1, 3, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_lie_about_a_pdu_length_costs_nothing(server: Isocenter, kind: int, length: int) -> None:
    with socket.create_connection(("127.0.0.1", server.dicom_port), 5) as connection:
        connection.sendall(struct.pack(">BxI", kind, length) + b"x" * 64)
        time.sleep(0.01)


@pytest.mark.parametrize("length", [0, 1, 2, 5, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_lie_about_a_data_value_length_ends_the_association(
    server: Isocenter, length: int
) -> None:
    association = wire.Association(server.dicom_port).connect()
    body = struct.pack(">IBB", length, 1, 3) + bytes(20)

    association.socket.sendall(wire.pdu(wire.DATA, body))

    with contextlib.closing(association), pytest.raises(wire.Aborted):
        association.receive_pdu()


@pytest.mark.parametrize("context_id", [0, 2, 3, 255])
def test_data_on_a_context_that_was_not_accepted_ends_the_association(
    server: Isocenter, context_id: int
) -> None:
    association = wire.Association(server.dicom_port).connect()
    command: dict[int, int | str] = {wire.COMMAND: wire.C_ECHO_RQ, wire.MESSAGE_ID: 1}

    association.send_message(context_id, command, None)

    with contextlib.closing(association), pytest.raises(wire.Aborted):
        association.receive_pdu()


def test_an_endless_command_set_is_stopped(server: Isocenter) -> None:
    association = wire.Association(server.dicom_port).connect()
    body = struct.pack(">IBB", 16002, 1, 1) + bytes(16000)

    with contextlib.suppress(OSError):
        for _ in range(5_000):
            association.socket.sendall(wire.pdu(wire.DATA, body))

    with contextlib.closing(association), pytest.raises(wire.Aborted):
        association.receive_pdu()


def test_random_bytes_after_a_good_start_never_hurt(server: Isocenter) -> None:
    chance = random.Random(8)
    for _ in range(40):
        association = wire.Association(server.dicom_port, timeout=10).connect()
        noise = chance.randbytes(chance.randrange(1, 2000))
        wrap = chance.random() < 0.7
        with contextlib.closing(association), contextlib.suppress(OSError, wire.Aborted):
            association.socket.sendall(wire.pdu(wire.DATA, noise) if wrap else noise)
            association.socket.shutdown(socket.SHUT_WR)
            association.receive_pdu()


def test_a_request_with_flipped_bytes_never_hurts(server: Isocenter) -> None:
    chance = random.Random(9)
    for _ in range(100):
        broken = bytearray(REQUEST)
        for _ in range(chance.randrange(1, 6)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        with socket.create_connection(("127.0.0.1", server.dicom_port), 5) as connection:
            connection.settimeout(10)
            with contextlib.suppress(ConnectionError):
                connection.sendall(broken)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(65536)


def test_half_open_connections_are_closed(server: Isocenter) -> None:
    address = ("127.0.0.1", server.dicom_port)
    silent = [socket.create_connection(address, 5) for _ in range(50)]
    try:
        for number, connection in enumerate(silent):
            connection.sendall(REQUEST[:number])
        closed = [_closed_within(connection, 10) for connection in silent]
    finally:
        for connection in silent:
            connection.close()

    assert all(closed)


def _closed_within(connection: socket.socket, seconds: float) -> bool:
    connection.settimeout(seconds)
    try:
        while connection.recv(4096):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


def test_a_slow_writer_is_endured_or_ended_but_never_in_the_way(server: Isocenter) -> None:
    (one,) = make_study()
    association = wire.storing(server.dicom_port, (one.sop_class, one.transfer_syntax)).connect()
    pieces = b"".join(association.fragments(1, one.data_set, is_command=False))

    with contextlib.closing(association), contextlib.suppress(OSError):
        for at in range(0, 400, 8):
            association.socket.sendall(pieces[at : at + 8])
            time.sleep(0.01)


def test_a_reader_that_reads_nothing_is_given_up(server: Isocenter) -> None:
    study = make_study(40, pixels=512)
    store_all(server, study)
    contexts = [(wire.STUDY_ROOT_GET, (wire.IMPLICIT,)), (study[0].sop_class, (wire.EXPLICIT,))]
    roles = wire.role_selection(study[0].sop_class, user=False, provider=True)
    association = wire.Association(server.dicom_port, contexts, user_items=roles).connect()
    keys = wire.identifier({0x00080052: "STUDY", 0x0020000D: study[0].study})

    with contextlib.closing(association):
        association.send_query(wire.C_GET_RQ, wire.STUDY_ROOT_GET, keys)
        time.sleep(3)


def _malformed() -> list[tuple[str, bytes]]:
    found = []
    for path in corpus_files("malformed"):
        try:
            data_set = data_set_of(path)
        except Exception:  # broken on purpose: as it is, then
            data_set = path.read_bytes()
        found.append((path.name, data_set))
    return found


@pytest.mark.skipif(not corpus_files("malformed"), reason="the corpus is not here")
@pytest.mark.parametrize(
    "syntax",
    [wire.IMPLICIT, wire.EXPLICIT, "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"],
    ids=["implicit", "explicit", "big endian", "deflated"],
)
def test_every_malformed_file_is_answered_in_time(server: Isocenter, syntax: str) -> None:
    sop_class = make_study()[0].sop_class
    slow = []

    for name, data_set in _malformed():
        started = time.monotonic()
        with (
            contextlib.suppress(wire.Aborted),
            wire.storing(server.dicom_port, (sop_class, syntax)) as association,
        ):
            association.store(sop_class, "1.2.3.4", syntax, data_set)
        if time.monotonic() - started > 3:
            slow.append(name)

    assert slow == []


def _mutations(count: int) -> Iterator[bytes]:
    chance = random.Random(10)
    (one,) = make_study(pixels=16)
    changes: list[Callable[[bytearray], object]] = [
        lambda data: data.__setitem__(chance.randrange(len(data)), chance.randrange(256)),
        lambda data: data.__delitem__(slice(chance.randrange(len(data)), None)),
        lambda data: data.extend(chance.randbytes(chance.randrange(64))),
    ]
    for _ in range(count):
        data = bytearray(one.data_set)
        for _ in range(chance.randrange(1, 4)):
            chance.choice(changes)(data)
            data = data or bytearray(1)
        yield bytes(data)


def test_mutated_data_sets_are_answered_one_by_one(server: Isocenter) -> None:
    (one,) = make_study(pixels=16)
    syntax = (one.sop_class, one.transfer_syntax)

    with wire.storing(server.dicom_port, syntax) as association:
        for data_set in _mutations(200):
            association.store(one.sop_class, one.sop_instance, one.transfer_syntax, data_set)
        status = association.store(
            one.sop_class, one.sop_instance, one.transfer_syntax, one.data_set
        )

    assert status == wire.SUCCESS
