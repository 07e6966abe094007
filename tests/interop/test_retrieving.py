"""C-MOVE and C-GET from us: to everyone, and to those who misbehave.

Source: PS3.4 C.4.2 and C.4.3; statuses, tables C.4-2 and C.4-3.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, StoragePresentationContexts, build_role, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    PatientRootQueryRetrieveInformationModelGet,
    PatientStudyOnlyQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

import wire
from instances import Instance, as_instance, ct_template, data_set_of, make_study, new_uid
from peers import Isocenter, Orthanc, Peer, free_port
from programs import PeerFactory, ServerFactory, Tool
from questions import LEVEL, STUDY, get, store_all

REFUSED_DESTINATION = 0xA801
SUBOPERATIONS_FAILED = 0xA702
WITH_FAILURES = 0xB000
CANCELLED = 0xFE00


def move(
    server: Isocenter, destination: str, keys: dict[int, str]
) -> tuple[list[wire.Message], wire.Message]:
    """C-MOVE; return the pending answers and the final one."""
    with wire.Association(
        server.dicom_port, [(wire.STUDY_ROOT_MOVE, (wire.IMPLICIT,))]
    ) as association:
        association.send_query(
            wire.C_MOVE_RQ, wire.STUDY_ROOT_MOVE, wire.identifier(keys), destination=destination
        )
        answers = [association.receive_message()]
        while answers[-1].status in wire.PENDING:
            answers.append(association.receive_message())
    return answers[:-1], answers[-1]


def move_study(
    server: Isocenter, destination: str, study: str
) -> tuple[list[wire.Message], wire.Message]:
    return move(server, destination, {LEVEL: "STUDY", STUDY: study})


def counts(message: wire.Message) -> tuple[int, int, int]:
    """Completed, failed, with warnings."""
    fields = (wire.COMPLETED, wire.FAILED, wire.WARNING)
    completed, failed, warned = (int(message.command.get(one, 0)) for one in fields)
    return completed, failed, warned


@contextmanager
def pynetdicom_scp(
    on_store: Callable[[Any], int],
    contexts: list[str] | None = None,
) -> Iterator[int]:
    """A storage provider of pynetdicom; yields its port."""
    ae = AE(ae_title="PYNETDICOM")
    for abstract in contexts or [CTImageStorage]:
        ae.add_supported_context(abstract)
    scp = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, on_store)])
    assert scp is not None
    try:
        yield int(scp.socket.getsockname()[1])
    finally:
        scp.shutdown()


def data_sets(peer: Peer) -> list[bytes]:
    return sorted(data_set_of(path) for path in peer.files())


class TestMoving:
    def test_movescu_moves_a_study_to_storescp(
        self, start_server: ServerFactory, storescp: Peer, dcmtk: Tool
    ) -> None:
        server = start_server(peers=[storescp.address])
        study = make_study(5, series=2)
        store_all(server, study)

        output = dcmtk(
            *("movescu", "-v", "-S", "-aem", storescp.aet, "-k", "QueryRetrieveLevel=STUDY"),
            *("-k", f"StudyInstanceUID={study[0].study}", *server.at),
        )

        assert "Success" in output
        assert data_sets(storescp) == sorted(one.data_set for one in study)

    def test_movescu_moves_to_itself(
        self, start_server: ServerFactory, dcmtk: Tool, tmp_path: Path
    ) -> None:
        port = free_port()
        server = start_server(peers=[f"MOVESCU@127.0.0.1:{port}"])
        study = make_study(3)
        store_all(server, study)

        dcmtk(
            *("movescu", "-S", "+P", str(port), "-od", tmp_path),
            *("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study[0].study}"),
            *server.at,
        )

        # In bit-preserving mode movescu would write to its working folder, whatever -od says.
        received = [pydicom.dcmread(path) for path in tmp_path.glob("CT.*")]
        assert {one.SOPInstanceUID: one.PixelData for one in received} == {
            one.sop_instance: one.read().PixelData for one in study
        }

    @pytest.mark.parametrize("level", ["PATIENT", "STUDY", "SERIES", "IMAGE"])
    def test_every_level_of_the_patient_root_moves(
        self, start_server: ServerFactory, storescp: Peer, dcmtk: Tool, level: str
    ) -> None:
        server = start_server(peers=[storescp.address])
        study = make_study(4, series=2, PatientID="MOVED")
        store_all(server, [*study, *make_study(1, PatientID="STAYS")])
        keys = ["PatientID=MOVED", f"StudyInstanceUID={study[0].study}"]
        keys += [f"SeriesInstanceUID={study[0].series}", f"SOPInstanceUID={study[0].sop_instance}"]
        depth = ["PATIENT", "STUDY", "SERIES", "IMAGE"].index(level) + 1
        options = [part for key in keys[:depth] for part in ("-k", key)]

        dcmtk(
            *("movescu", "-P", "-aem", storescp.aet, "-k", f"QueryRetrieveLevel={level}"),
            *(*options, *server.at),
        )

        assert len(storescp.files()) == [4, 4, 2, 1][depth - 1]

    def test_a_list_of_instances_moves(self, start_server: ServerFactory, storescp: Peer) -> None:
        server = start_server(peers=[storescp.address])
        study = make_study(4)
        store_all(server, study)
        wanted = "\\".join(one.sop_instance for one in study[:3])

        keys = {LEVEL: "IMAGE", STUDY: study[0].study, 0x0020000E: study[0].series}
        _, final = move(server, storescp.aet, {**keys, 0x00080018: wanted})

        assert final.status == wire.SUCCESS
        assert counts(final) == (3, 0, 0)
        assert data_sets(storescp) == sorted(one.data_set for one in study[:3])

    def test_orthanc_receives_what_we_move(
        self, start_server: ServerFactory, orthanc: Orthanc
    ) -> None:
        server = start_server(peers=[orthanc.address])
        study = make_study(5, series=2)
        store_all(server, study)

        _, final = move_study(server, orthanc.aet, study[0].study)

        assert final.status == wire.SUCCESS
        assert counts(final) == (5, 0, 0)
        assert orthanc.instance_uids(study[0].study) == {one.sop_instance for one in study}

    def test_orthanc_retrieves_from_us(self, start_server: ServerFactory, orthanc: Orthanc) -> None:
        server = start_server(peers=[orthanc.address])
        study = make_study(3)
        store_all(server, study)
        orthanc.introduce("retrieved", server.aet, server.dicom_port)

        query = {"Level": "Study", "Query": {"StudyInstanceUID": study[0].study}}
        answer = orthanc.call("/modalities/retrieved/query", query)
        retrieve = {"TargetAet": orthanc.aet, "Synchronous": True}
        orthanc.call(f"/queries/{answer['ID']}/answers/0/retrieve", retrieve)

        assert orthanc.instance_uids(study[0].study) == {one.sop_instance for one in study}

    def test_nothing_found_is_a_success(self, start_server: ServerFactory, storescp: Peer) -> None:
        server = start_server(peers=[storescp.address])

        _, final = move_study(server, storescp.aet, new_uid())

        assert final.status == wire.SUCCESS
        assert counts(final) == (0, 0, 0)

    def test_an_unknown_destination_is_refused(self, shared_server: Isocenter) -> None:
        study = make_study(1)
        store_all(shared_server, study)

        _, final = move_study(shared_server, "NOBODY", study[0].study)

        assert final.status == REFUSED_DESTINATION

    def test_a_dead_destination_fails_every_suboperation(self, start_server: ServerFactory) -> None:
        server = start_server(peers=[f"DEAD@127.0.0.1:{free_port()}"])
        study = make_study(3)
        store_all(server, study)

        _, final = move_study(server, "DEAD", study[0].study)

        assert final.status in (SUBOPERATIONS_FAILED, REFUSED_DESTINATION)
        if final.status == SUBOPERATIONS_FAILED:
            assert counts(final) == (0, 3, 0)

    def test_a_destination_that_refuses_us_fails_every_suboperation(
        self, start_server: ServerFactory, start_storescp: PeerFactory
    ) -> None:
        refusing = start_storescp("--refuse")
        server = start_server(peers=[refusing.address])
        study = make_study(2)
        store_all(server, study)

        _, final = move_study(server, refusing.aet, study[0].study)

        assert final.status in (SUBOPERATIONS_FAILED, REFUSED_DESTINATION)

    def test_a_destination_that_refuses_a_context_fails_those_only(
        self, start_server: ServerFactory
    ) -> None:
        image = ct_template(SOPInstanceUID=new_uid(), SeriesInstanceUID=new_uid())
        ct = as_instance(image)
        image.SOPClassUID, image.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.4", new_uid()
        mr = as_instance(image)
        received: list[str] = []

        def on_store(event: Any) -> int:
            received.append(str(event.request.AffectedSOPInstanceUID))
            return wire.SUCCESS

        with pynetdicom_scp(on_store) as port:
            server = start_server(peers=[f"PYNETDICOM@127.0.0.1:{port}"])
            store_all(server, [ct, mr])
            _, final = move_study(server, "PYNETDICOM", ct.study)

        assert final.status == WITH_FAILURES
        assert counts(final) == (1, 1, 0)
        assert received == [ct.sop_instance]
        assert mr.sop_instance.encode() in final.data_set  # Failed SOP Instance UID List

    def test_a_destination_that_dies_midway_fails_the_rest(
        self, start_server: ServerFactory
    ) -> None:
        received: list[str] = []

        def on_store(event: Any) -> int:
            received.append(str(event.request.AffectedSOPInstanceUID))
            if len(received) == 3:
                event.assoc.abort()
            return wire.SUCCESS

        with pynetdicom_scp(on_store) as port:
            server = start_server(peers=[f"PYNETDICOM@127.0.0.1:{port}"])
            study = make_study(6)
            store_all(server, study)
            _, final = move_study(server, "PYNETDICOM", study[0].study)
            with wire.Association(server.dicom_port) as association:
                echo = association.echo()

        completed, failed, warned = counts(final)
        assert final.status in (WITH_FAILURES, SUBOPERATIONS_FAILED)
        assert completed + failed + warned == 6
        assert completed >= 2
        assert failed >= 1
        assert echo == wire.SUCCESS

    def test_a_destination_that_warns_is_counted(self, start_server: ServerFactory) -> None:
        def on_store(event: Any) -> int:
            return 0xB000  # coercion of data elements (PS3.4 B.2.3)

        with pynetdicom_scp(on_store) as port:
            server = start_server(peers=[f"PYNETDICOM@127.0.0.1:{port}"])
            study = make_study(2)
            store_all(server, study)
            _, final = move_study(server, "PYNETDICOM", study[0].study)

        assert final.status in (WITH_FAILURES, wire.SUCCESS)
        assert counts(final) == (0, 0, 2)

    def test_a_move_reports_how_it_goes_and_can_be_cancelled(
        self, start_server: ServerFactory
    ) -> None:
        received: list[str] = []
        released = threading.Event()

        def on_store(event: Any) -> int:
            received.append(str(event.request.AffectedSOPInstanceUID))
            if len(received) > 2:
                released.wait(5)
            return wire.SUCCESS

        with pynetdicom_scp(on_store) as port:
            server = start_server(
                peers=[f"PYNETDICOM@127.0.0.1:{port}"],
                config="[dimse]\npending_interval = 0.05\n",
            )
            study = make_study(50)
            store_all(server, study)
            contexts = [(wire.STUDY_ROOT_MOVE, (wire.IMPLICIT,))]
            with wire.Association(server.dicom_port, contexts) as association:
                keys = wire.identifier({LEVEL: "STUDY", STUDY: study[0].study})
                number = association.send_query(
                    wire.C_MOVE_RQ, wire.STUDY_ROOT_MOVE, keys, destination="PYNETDICOM"
                )
                pending = association.receive_message()
                association.cancel(wire.STUDY_ROOT_MOVE, number)
                released.set()
                final = association.receive_message()
                while final.status in wire.PENDING:
                    final = association.receive_message()

        assert pending.status == 0xFF00
        assert int(pending.command[wire.REMAINING]) + sum(counts(pending)) == 50
        assert final.status == CANCELLED
        assert 0 < int(final.command[wire.REMAINING]) <= 50

    def test_an_aborted_move_stops(self, start_server: ServerFactory) -> None:
        received: list[str] = []
        started, released = threading.Event(), threading.Event()

        def on_store(event: Any) -> int:
            received.append(str(event.request.AffectedSOPInstanceUID))
            started.set()
            released.wait(5)
            return wire.SUCCESS

        with pynetdicom_scp(on_store) as port:
            server = start_server(peers=[f"PYNETDICOM@127.0.0.1:{port}"])
            study = make_study(200)
            store_all(server, study)
            association = wire.Association(
                server.dicom_port, [(wire.STUDY_ROOT_MOVE, (wire.IMPLICIT,))]
            ).connect()
            keys = wire.identifier({LEVEL: "STUDY", STUDY: study[0].study})
            association.send_query(
                wire.C_MOVE_RQ, wire.STUDY_ROOT_MOVE, keys, destination="PYNETDICOM"
            )
            assert started.wait(10)
            association.abort()
            with wire.Association(server.dicom_port) as other:  # the abort was seen by then
                other.echo()
            released.set()

        assert len(received) < 200

    def test_a_destination_that_takes_only_implicit_gets_implicit(
        self, start_server: ServerFactory, start_storescp: PeerFactory
    ) -> None:
        implicit = start_storescp("+xi", "+B")
        server = start_server(peers=[implicit.address])
        (one,) = make_study()
        store_all(server, [one])

        _, final = move_study(server, implicit.aet, one.study)

        (file,) = implicit.files()
        received, sent = pydicom.dcmread(file), one.read()
        assert final.status == wire.SUCCESS
        assert received.file_meta.TransferSyntaxUID == wire.IMPLICIT
        assert received.PixelData == sent.PixelData
        assert received.PatientName == sent.PatientName
        assert received.RescaleIntercept == sent.RescaleIntercept

    def test_a_destination_that_takes_only_big_endian_gets_it(
        self, start_server: ServerFactory
    ) -> None:
        received: list[Dataset] = []

        def on_store(event: Any) -> int:
            received.append(event.dataset)
            return wire.SUCCESS

        ae = AE(ae_title="PYNETDICOM")
        ae.add_supported_context(CTImageStorage, "1.2.840.10008.1.2.2")
        handlers = [(evt.EVT_C_STORE, on_store)]
        scp = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        assert scp is not None
        try:
            port = scp.socket.getsockname()[1]
            server = start_server(peers=[f"PYNETDICOM@127.0.0.1:{port}"])
            (one,) = make_study()
            store_all(server, [one])
            _, final = move_study(server, "PYNETDICOM", one.study)
        finally:
            scp.shutdown()

        sent = one.read()
        swapped = bytearray(sent.PixelData)
        swapped[0::2], swapped[1::2] = swapped[1::2], swapped[0::2]
        assert final.status == wire.SUCCESS
        assert received[0].PixelData == bytes(swapped)
        assert received[0].ImagePositionPatient == sent.ImagePositionPatient


@pytest.fixture(scope="module")
def kept(shared_server: Isocenter) -> list[Instance]:
    """A study to get, stored."""
    study = make_study(6, series=2, PatientID="KEPT")
    assert set(store_all(shared_server, study)) == {wire.SUCCESS}
    return study


class TestGetting:
    @pytest.mark.parametrize("root", ["-P", "-S", "-O"])
    def test_getscu_gets_a_study(
        self,
        shared_server: Isocenter,
        kept: list[Instance],
        dcmtk: Tool,
        tmp_path: Path,
        root: str,
    ) -> None:
        dcmtk(
            *("getscu", root, "+B", "-od", tmp_path, "-k", "QueryRetrieveLevel=STUDY"),
            *("-k", "PatientID=KEPT", "-k", f"StudyInstanceUID={kept[0].study}"),
            *shared_server.at,
        )

        assert sorted(map(data_set_of, tmp_path.iterdir())) == sorted(one.data_set for one in kept)

    def test_one_series_is_got(self, shared_server: Isocenter, kept: list[Instance]) -> None:
        keys = {LEVEL: "SERIES", STUDY: kept[0].study, 0x0020000E: kept[0].series}
        kinds = [(kept[0].sop_class, kept[0].transfer_syntax)]

        got = get(shared_server, wire.identifier(keys), kinds)

        assert {uid: data for uid, (_, data) in got.items()} == {
            one.sop_instance: one.data_set for one in kept if one.series == kept[0].series
        }

    @pytest.mark.parametrize(
        "root",
        [
            PatientRootQueryRetrieveInformationModelGet,
            StudyRootQueryRetrieveInformationModelGet,
            PatientStudyOnlyQueryRetrieveInformationModelGet,
        ],
    )
    def test_pynetdicom_gets_with_role_selection(
        self, shared_server: Isocenter, kept: list[Instance], root: str
    ) -> None:
        received: dict[str, bytes] = {}

        def on_store(event: Any) -> int:
            data_set = event.request.DataSet.getvalue()
            received[str(event.request.AffectedSOPInstanceUID)] = data_set
            return wire.SUCCESS

        ae = AE()
        ae.add_requested_context(root)
        ae.add_requested_context(CTImageStorage, wire.EXPLICIT)
        query = Dataset()
        query.QueryRetrieveLevel, query.PatientID = "STUDY", "KEPT"
        query.StudyInstanceUID = kept[0].study
        association = ae.associate(
            "127.0.0.1",
            shared_server.dicom_port,
            ae_title=shared_server.aet,
            ext_neg=[build_role(CTImageStorage, scp_role=True)],
            evt_handlers=[(evt.EVT_C_STORE, on_store)],
        )
        assert association.is_established
        statuses = [status for status, _ in association.send_c_get(query, root)]
        association.release()

        assert statuses[-1].Status == wire.SUCCESS
        assert statuses[-1].NumberOfCompletedSuboperations == 6
        assert received == {one.sop_instance: one.data_set for one in kept}

    def test_all_the_classes_a_workstation_offers_are_negotiated(
        self, shared_server: Isocenter, kept: list[Instance]
    ) -> None:
        ae = AE()
        ae.requested_contexts = StoragePresentationContexts[:120]
        ae.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
        roles = [
            build_role(one.abstract_syntax, scp_role=True)
            for one in StoragePresentationContexts[:120]
            if one.abstract_syntax
        ]

        association = ae.associate(
            "127.0.0.1", shared_server.dicom_port, ae_title=shared_server.aet, ext_neg=roles
        )
        assert association.is_established
        accepted = len(association.accepted_contexts)
        association.release()

        assert accepted == 121

    def test_a_requestor_without_the_role_gets_nothing(
        self, shared_server: Isocenter, kept: list[Instance]
    ) -> None:
        contexts = [(wire.STUDY_ROOT_GET, (wire.IMPLICIT,)), (kept[0].sop_class, (wire.EXPLICIT,))]
        keys = wire.identifier({LEVEL: "STUDY", STUDY: kept[0].study})

        with wire.Association(shared_server.dicom_port, contexts) as association:
            answers = list(association.get(keys))

        assert {message.command[wire.COMMAND] for message in answers} == {0x8010}
        assert answers[-1].status == SUBOPERATIONS_FAILED
        assert counts(answers[-1]) == (0, 6, 0)

    def test_a_get_can_be_cancelled(self, shared_server: Isocenter) -> None:
        study = make_study(100)
        store_all(shared_server, study)
        contexts = [(wire.STUDY_ROOT_GET, (wire.IMPLICIT,)), (study[0].sop_class, (wire.EXPLICIT,))]
        roles = wire.role_selection(study[0].sop_class, user=False, provider=True)
        keys = wire.identifier({LEVEL: "STUDY", STUDY: study[0].study})
        got = 0

        with wire.Association(shared_server.dicom_port, contexts, user_items=roles) as association:
            for message in association.get(keys):
                final = message
                got += message.command[wire.COMMAND] == wire.C_STORE_RQ
                if got == 1:
                    association.cancel(wire.STUDY_ROOT_GET, 1)

        assert final.status == CANCELLED
        assert got < 100

    def test_an_implicit_only_requestor_gets_implicit(
        self, shared_server: Isocenter, kept: list[Instance], dcmtk: Tool, tmp_path: Path
    ) -> None:
        dcmtk(
            *("getscu", "-S", "+xi", "+B", "-od", tmp_path, "-k", "QueryRetrieveLevel=STUDY"),
            *("-k", f"StudyInstanceUID={kept[0].study}"),
            *shared_server.at,
        )

        received = [pydicom.dcmread(path) for path in tmp_path.iterdir()]
        assert len(received) == 6
        assert {one.PixelData for one in received} == {kept[0].read().PixelData}

    def test_a_requestor_that_refuses_an_instance_is_told_the_count(
        self, shared_server: Isocenter, kept: list[Instance]
    ) -> None:
        def on_store(event: Any) -> int:
            first = event.request.AffectedSOPInstanceUID == kept[0].sop_instance
            return 0xA700 if first else wire.SUCCESS

        root = StudyRootQueryRetrieveInformationModelGet
        ae = AE()
        ae.add_requested_context(root)
        ae.add_requested_context(CTImageStorage, wire.EXPLICIT)
        query = Dataset()
        query.QueryRetrieveLevel, query.StudyInstanceUID = "STUDY", kept[0].study
        association = ae.associate(
            "127.0.0.1",
            shared_server.dicom_port,
            ae_title=shared_server.aet,
            ext_neg=[build_role(CTImageStorage, scp_role=True)],
            evt_handlers=[(evt.EVT_C_STORE, on_store)],
        )
        answers = list(association.send_c_get(query, root))
        association.release()

        status, failures = answers[-1]
        assert status.Status == WITH_FAILURES
        assert status.NumberOfFailedSuboperations == 1
        assert failures is not None
        assert failures.FailedSOPInstanceUIDList == kept[0].sop_instance


def test_pynetdicom_moves(start_server: ServerFactory, storescp: Peer) -> None:
    server = start_server(peers=[storescp.address])
    study = make_study(2)
    store_all(server, study)
    root = StudyRootQueryRetrieveInformationModelMove
    ae = AE()
    ae.add_requested_context(root)
    query = Dataset()
    query.QueryRetrieveLevel, query.StudyInstanceUID = "STUDY", study[0].study

    association = ae.associate("127.0.0.1", server.dicom_port, ae_title=server.aet)
    assert association.is_established
    statuses = [status for status, _ in association.send_c_move(query, storescp.aet, root)]
    association.release()

    assert statuses[-1].Status == wire.SUCCESS
    assert statuses[-1].NumberOfCompletedSuboperations == 2
    assert data_sets(storescp) == sorted(one.data_set for one in study)
