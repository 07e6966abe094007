"""Starting, being asked whether we are there, stopping."""

from contextlib import closing

import pytest

import wire
from peers import Isocenter, Orthanc, Peer
from programs import Command, PeerFactory, ServerFactory, Tool

NO_ABSTRACT_SYNTAX = 3


def test_dcmtk_can_echo_us(shared_server: Isocenter, dcmtk: Tool) -> None:
    output = dcmtk("echoscu", "-v", *shared_server.at)

    assert "Received Echo Response (Success)" in output


def test_orthanc_can_echo_us(shared_server: Isocenter, orthanc: Orthanc) -> None:
    orthanc.introduce("echoed", shared_server.aet, shared_server.dicom_port)

    orthanc.call("/modalities/echoed/echo", {})


def test_a_hundred_echoes_share_an_association(shared_server: Isocenter) -> None:
    with wire.Association(shared_server.dicom_port) as association:
        statuses = {association.echo() for _ in range(100)}

    assert statuses == {wire.SUCCESS}


def test_the_server_says_that_it_lives_and_is_ready(shared_server: Isocenter) -> None:
    assert shared_server.health("live") == 200
    assert shared_server.health("ready") == 200


def test_a_server_restarts_on_its_ports(start_server: ServerFactory) -> None:
    server = start_server()
    ports = (server.dicom_port, server.http_port)

    server.restart()

    assert (server.dicom_port, server.http_port) == ports
    assert server.health() == 200


def test_a_server_may_leave_the_choice_of_its_ports_to_the_system(
    start_server: ServerFactory,
) -> None:
    server = start_server(options=("--dicom-port", "0", "--http-port", "0"))

    with wire.Association(server.dicom_port) as association:
        assert association.echo() == wire.SUCCESS
    assert server.health() == 200


def test_we_can_echo_dcmtk(isocenter: Command, storescp: Peer) -> None:
    isocenter("echo", storescp.address)


def test_we_can_echo_orthanc(isocenter: Command, orthanc: Orthanc) -> None:
    isocenter("echo", orthanc.address)


def test_we_can_echo_ourselves(isocenter: Command, shared_server: Isocenter) -> None:
    isocenter("echo", shared_server.address)


def test_an_echo_that_is_refused_fails(isocenter: Command, start_storescp: PeerFactory) -> None:
    refusing = start_storescp("--refuse")

    done = isocenter("echo", refusing.address, expect=None)

    assert done.returncode != 0
    assert "Traceback" not in done.stderr


def test_an_echo_to_nobody_fails(isocenter: Command, storescp: Peer) -> None:
    storescp.stop()

    done = isocenter("echo", storescp.address, expect=None)

    assert done.returncode != 0
    assert "Traceback" not in done.stderr


def test_an_unknown_abstract_syntax_is_refused_alone(shared_server: Isocenter) -> None:
    contexts = [("1.2.840.10008.5.1.1.9", (wire.IMPLICIT,)), (wire.VERIFICATION, (wire.IMPLICIT,))]

    with wire.Association(shared_server.dicom_port, contexts) as association:
        status = association.echo()

    assert association.results == {1: NO_ABSTRACT_SYNTAX, 3: 0}
    assert status == wire.SUCCESS


def test_a_context_without_a_known_transfer_syntax_is_refused(shared_server: Isocenter) -> None:
    contexts = [(wire.VERIFICATION, ("1.2.3.4.5",))]

    with wire.Association(shared_server.dicom_port, contexts) as association:
        pass

    assert association.results == {1: 4}


def test_128_contexts_are_negotiated(shared_server: Isocenter) -> None:
    contexts = [(wire.VERIFICATION, (wire.IMPLICIT,))] * 128

    with wire.Association(shared_server.dicom_port, contexts) as association:
        pass

    assert association.results == dict.fromkeys(range(1, 256, 2), 0)


def test_a_foreign_application_context_is_rejected(shared_server: Isocenter) -> None:
    association = wire.Association(shared_server.dicom_port)
    request = wire.associate_request(
        "ISOCENTER", "WIRE", [wire.presentation_context(1, wire.VERIFICATION, (wire.IMPLICIT,))]
    )

    association.socket.sendall(request.replace(b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.3.1.1.9"))
    kind, body = association.receive_pdu()
    association.close()

    assert kind == wire.ASSOCIATE_RJ
    assert tuple(body[1:4]) == (1, 1, 2)  # permanent, service user, application context


def test_an_unknown_protocol_version_is_rejected(shared_server: Isocenter) -> None:
    association = wire.Association(shared_server.dicom_port)
    request = wire.associate_request("ISOCENTER", "WIRE", [])

    association.socket.sendall(request[:6] + b"\x00\x02" + request[8:])
    kind, body = association.receive_pdu()
    association.close()

    assert kind == wire.ASSOCIATE_RJ
    assert tuple(body[1:4]) == (1, 2, 2)  # permanent, ACSE, protocol version


def test_too_many_associations_are_refused_for_now(start_server: ServerFactory) -> None:
    server = start_server(config="[dimse]\nmax_associations = 2\n")

    port = server.dicom_port
    with (
        wire.Association(port),
        wire.Association(port),
        pytest.raises(wire.Refused) as refusal,
        wire.Association(port),
    ):
        pass

    assert refusal.value.result == 2  # transient
    assert (refusal.value.source, refusal.value.reason) == (3, 2)  # local limit exceeded


def test_a_caller_that_is_not_known_is_refused_when_it_must_be(
    start_server: ServerFactory,
) -> None:
    server = start_server(
        peers=["FRIEND@127.0.0.1:104"], config="[dimse]\nknown_callers_only = true\n"
    )

    with wire.Association(server.dicom_port, calling="FRIEND") as association:
        assert association.echo() == wire.SUCCESS
    with pytest.raises(wire.Refused) as refusal, wire.Association(server.dicom_port):
        pass

    assert (refusal.value.result, refusal.value.source, refusal.value.reason) == (1, 1, 3)


def test_silence_ends_an_association(start_server: ServerFactory) -> None:
    server = start_server(config="[dimse]\nidle_timeout = 0.3\nartim_timeout = 0.3\n")

    association = wire.Association(server.dicom_port).connect()
    with closing(association), pytest.raises(wire.Aborted):
        association.receive_pdu()


def test_silence_before_the_request_ends_the_connection(start_server: ServerFactory) -> None:
    server = start_server(config="[dimse]\nartim_timeout = 0.3\n")

    association = wire.Association(server.dicom_port)
    with closing(association), pytest.raises(wire.Aborted):
        association.receive_pdu()
