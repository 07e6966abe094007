"""Every file of the corpus: in by C-STORE, back by C-GET and C-MOVE, the data set bit for bit.

What names its class, instance and transfer syntax is sent, but for what lies under ``malformed``:
that is for ``tests/faults``. Files that share a SOP Instance UID go to servers of their own.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE, evt
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import register_uid, uid_to_service_class

import wire
from instances import Instance, corpus_instances, corpus_rows, write_files
from peers import Isocenter
from programs import Command, ServerFactory
from questions import LEVEL, STUDY, Got, get, store_all

KINDS_AT_ONCE = 60

pytestmark = pytest.mark.skipif(not corpus_rows(), reason="the corpus is not here")


def groups() -> list[list[Instance]]:
    """The corpus, split so that no SOP Instance UID is twice in a group."""
    split: list[dict[str, Instance]] = []
    for one in corpus_instances(without="malformed"):
        if one.study and one.series:
            free = next((group for group in split if one.sop_instance not in group), None)
            if free is None:
                split.append(free := {})
            free[one.sop_instance] = one
    return [list(group.values()) for group in split]


def batches(instances: list[Instance]) -> Iterator[list[Instance]]:
    """Split so that each batch has few enough kinds for one association."""
    by_kind: dict[tuple[str, str], list[Instance]] = defaultdict(list)
    for one in instances:
        by_kind[one.sop_class, one.transfer_syntax].append(one)
    kinds = list(by_kind.values())
    for start in range(0, len(kinds), KINDS_AT_ONCE):
        yield [one for kind in kinds[start : start + KINDS_AT_ONCE] for one in kind]


def store_everything(server: Isocenter, instances: list[Instance]) -> None:
    for batch in batches(instances):
        statuses = store_all(server, batch)
        refused = [
            f"{hex(status)} {one.sop_instance}"
            for status, one in zip(statuses, batch, strict=True)
            if status != wire.SUCCESS
        ]
        assert refused == []


def get_everything(server: Isocenter, instances: list[Instance]) -> Got:
    by_study: dict[str, list[Instance]] = defaultdict(list)
    for one in instances:
        by_study[one.study].append(one)
    got: Got = {}
    for study, members in by_study.items():
        kinds = {(one.sop_class, one.transfer_syntax) for one in members}
        got |= get(server, wire.identifier({LEVEL: "STUDY", STUDY: study}), kinds)
    return got


def sent(instances: list[Instance]) -> Got:
    """What must come back: as sent, but padded where a file is of odd length (PS3.5 7.1.1, A.5)."""
    return {one.sop_instance: (one.transfer_syntax, padded(one.data_set)) for one in instances}


def padded(data_set: bytes) -> bytes:
    return data_set + bytes(len(data_set) % 2)


def receiver_of(instances: list[Instance]) -> AE:
    """A pynetdicom application that takes exactly these kinds, retired and private ones too."""
    ae = AE(ae_title="MOVEDTO")
    for sop_class in {one.sop_class for one in instances}:
        if uid_to_service_class(sop_class) is not StorageServiceClass:
            register_uid(sop_class, f"Kept{sop_class.replace('.', '_')}", StorageServiceClass)
        syntaxes = {one.transfer_syntax for one in instances if one.sop_class == sop_class}
        ae.add_supported_context(sop_class, sorted(syntaxes))
    return ae


def different(got: Got, expected: Got) -> list[str]:
    """The UIDs of what is missing, too much or not the same: short, where data sets are long."""
    return sorted(uid for uid in got.keys() | expected if got.get(uid) != expected.get(uid))


def test_what_went_in_comes_back_by_get(start_server: ServerFactory) -> None:
    for group in groups():
        server = start_server()

        store_everything(server, group)
        got = get_everything(server, group)

        assert different(got, sent(group)) == []
        server.stop()


def test_what_went_in_comes_back_by_move(start_server: ServerFactory) -> None:
    received: Got = {}

    def on_store(event: Any) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        received[uid] = (str(event.context.transfer_syntax), event.request.DataSet.getvalue())
        return wire.SUCCESS

    for group in groups():
        received.clear()
        ae = receiver_of(group)
        handlers = [(evt.EVT_C_STORE, on_store)]
        scp = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        assert scp is not None
        try:
            port = scp.socket.getsockname()[1]
            server = start_server(peers=[f"MOVEDTO@127.0.0.1:{port}"])
            store_everything(server, group)
            for study in {one.study for one in group}:
                _move(server, study)
        finally:
            scp.shutdown()

        assert different(received, sent(group)) == []
        server.stop()


def _move(server: Isocenter, study: str) -> None:
    keys = wire.identifier({LEVEL: "STUDY", STUDY: study})
    with wire.Association(
        server.dicom_port, [(wire.STUDY_ROOT_MOVE, (wire.IMPLICIT,))]
    ) as association:
        association.send_query(wire.C_MOVE_RQ, wire.STUDY_ROOT_MOVE, keys, destination="MOVEDTO")
        message = association.receive_message()
        while message.status in wire.PENDING:
            message = association.receive_message()
    assert message.status == wire.SUCCESS, f"{message.status:04x} {study}"


def test_what_our_send_command_sends_comes_back(
    start_server: ServerFactory, isocenter: Command, tmp_path: Path
) -> None:
    for number, group in enumerate(groups()):
        server = start_server()
        folder = tmp_path / str(number)
        write_files(group, folder)

        isocenter("send", server.address, folder, "--jobs", "2")
        got = get_everything(server, group)

        assert different(got, sent(group)) == []
        server.stop()


def test_an_index_rebuilt_from_the_blobs_is_the_same(
    start_server: ServerFactory, isocenter: Command
) -> None:
    group = groups()[0]
    server = start_server()
    store_everything(server, group)
    before = _everything_found(server, group)
    server.stop()

    isocenter("reindex", "--data", server.data)
    server.restart()

    assert _everything_found(server, group) == before


def _everything_found(server: Isocenter, group: list[Instance]) -> list[bytes]:
    """Every answer at the study level, with many keys, sorted."""
    tags = (0x00080020, 0x00080030, 0x00080050, 0x00080061, 0x00100010, 0x00100020, 0x00100030)
    wanted = dict.fromkeys((*tags, 0x00081030, 0x00200010, 0x00201206, 0x00201208, STUDY), "")
    keys = wire.identifier({**wanted, LEVEL: "STUDY"})
    contexts = [(wire.STUDY_ROOT_FIND, (wire.IMPLICIT,))]
    with wire.Association(server.dicom_port, contexts) as association:
        found = [message.data_set for message in association.find(keys)]
    assert len(found) > len({one.study for one in group})
    return sorted(found)
