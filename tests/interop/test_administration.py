"""What the pages for administrators show of programs that are not ours."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from pynetdicom import AE

from instances import make_study
from peers import LOCALHOST, Isocenter, Orthanc, Peer, free_port
from programs import Command, PeerFactory, ServerFactory, Tool
from questions import store_all

PEERS = "/administration/peers"
CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT, JPEG_2000 = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90"


def post(server: Isocenter, path: str, **fields: object) -> httpx.Response:
    with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client:
        return client.post(f"{PEERS}{path}", data=fields, follow_redirects=True)


def get(server: Isocenter, path: str) -> str:
    answer = httpx.get(f"{server.url}{path}", trust_env=False, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.text


def add(server: Isocenter, aet: str, port: int) -> None:
    assert post(server, "", aet=aet, host=LOCALHOST, port=port).status_code == 200


def echo(server: Isocenter, aet: str) -> str:
    answer = post(server, "/echo", aet=aet)
    assert answer.status_code == 200, answer.text
    return answer.text


def accepted(server: Isocenter, aet: str) -> set[tuple[str, str]]:
    """Ask; SOP class and transfer syntax of what is accepted, from the table to download."""
    assert post(server, "/accepts", aet=aet).status_code == 200
    lines = get(server, f"{PEERS}/accepts.csv?aet={aet}").splitlines()[1:]
    found = [re.findall(r"\b1\.2\.840[\d.]+", line) for line in lines]
    return {(each[0], each[-1]) for each in found}


@contextmanager
def listening(answers: bytes | None) -> Iterator[int]:
    """Something that takes connections, and answers so or not at all; yields its port."""
    with socket.create_server((LOCALHOST, 0)) as listener:

        def serve() -> None:
            held = []
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                held.append(connection)
                if answers is not None:
                    connection.recv(65536)
                    connection.sendall(answers)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])


def test_storescp_and_orthanc_answer_an_echo(
    server: Isocenter, storescp: Peer, orthanc: Orthanc
) -> None:
    for peer, name in ((storescp, "OFFIS_DCMTK"), (orthanc, "OFFIS_DCMTK")):
        add(server, peer.aet, peer.port)

        page = echo(server, peer.aet)

        assert "Answers" in page
        assert name in page
        assert get(server, PEERS).count("Answers") >= 1


def test_why_a_peer_does_not_answer_is_told(server: Isocenter, orthanc: Orthanc) -> None:
    add(server, "NOBODY", free_port())
    assert "Cannot be reached" in echo(server, "NOBODY")

    picky = AE(ae_title="PICKY")
    picky.require_called_aet = True
    picky.add_supported_context("1.2.840.10008.1.1")
    running = picky.start_server((LOCALHOST, 0), block=False)
    assert running is not None
    add(server, "OTHER", running.socket.getsockname()[1])
    page = echo(server, "OTHER")
    running.shutdown()
    assert "Rejects us" in page
    assert "called AE title" in page

    with listening(b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00") as port:
        add(server, "RUDE", port)
        assert "Breaks off" in echo(server, "RUDE")

    mute = AE(ae_title="MUTE")
    mute.add_supported_context(CT)
    running = mute.start_server((LOCALHOST, 0), block=False)
    assert running is not None
    add(server, "MUTE", running.socket.getsockname()[1])
    page = echo(server, "MUTE")
    running.shutdown()
    assert "Declines" in page or "Breaks off" in page


def test_a_peer_that_says_nothing_keeps_nobody_waiting(start_server: ServerFactory) -> None:
    server = start_server(config="[dimse]\nnetwork_timeout = 1\ndimse_timeout = 1\n")
    with listening(None) as port:
        add(server, "SILENT", port)

        assert "Says nothing" in echo(server, "SILENT")


def test_what_a_peer_takes_is_what_it_takes(
    server: Isocenter, start_storescp: PeerFactory, orthanc: Orthanc
) -> None:
    few = AE(ae_title="FEW")
    few.add_supported_context(CT, [EXPLICIT, JPEG_2000])
    running = few.start_server((LOCALHOST, 0), block=False)
    assert running is not None
    add(server, "FEW", running.socket.getsockname()[1])
    found = accepted(server, "FEW")
    running.shutdown()
    assert found == {(CT, EXPLICIT), (CT, JPEG_2000)}

    # storescp's own default (its manual: +x=): uncompressed only.
    storescp = start_storescp()
    add(server, storescp.aet, storescp.port)
    found = accepted(server, storescp.aet)
    assert {each for sop_class, each in found if sop_class == CT} == {
        "1.2.840.10008.1.2",
        EXPLICIT,
        "1.2.840.10008.1.2.2",
    }
    assert len({sop_class for sop_class, _ in found}) > 100

    add(server, orthanc.aet, orthanc.port)
    found = accepted(server, orthanc.aet)
    assert {(CT, EXPLICIT), (CT, JPEG_2000)} <= found
    assert "SOP classes are accepted" in get(server, f"{PEERS}/one?aet={orthanc.aet}")


def test_a_peer_added_in_the_page_may_be_moved_to_at_once(
    server: Isocenter, storescp: Peer, dcmtk: Tool
) -> None:
    study = make_study(2)
    store_all(server, study)
    arguments = (
        *("movescu", "-v", "-S", "-aem", storescp.aet, "-k", "QueryRetrieveLevel=STUDY"),
        *("-k", f"StudyInstanceUID={study[0].study}", *server.at),
    )
    dcmtk(*arguments, expect=None)
    assert storescp.files() == []

    add(server, storescp.aet, storescp.port)
    dcmtk(*arguments)
    assert len(storescp.files()) == 2

    post(server, "/remove", aet=storescp.aet)
    dcmtk(*arguments, expect=None)
    assert len(storescp.files()) == 2


def test_a_peer_added_by_another_process_may_call_at_once(
    start_server: ServerFactory, dcmtk: Tool, isocenter: Command
) -> None:
    server = start_server(config="[dimse]\nknown_callers_only = true\n")
    assert "rejected" in dcmtk("echoscu", *server.at, "-aet", "LATER", expect=None).lower()

    told = isocenter("peers", "--data", server.data, "--add", f"LATER@{LOCALHOST}:104")

    assert "LATER" in told.stdout
    dcmtk("echoscu", *server.at, "-aet", "LATER")
    page = get(server, "/administration/associations")
    assert "released" in page
    assert "calling AE title not recognized" in page
    assert "LATER" in isocenter("peers", "--data", server.data).stdout
    isocenter("peers", "--data", server.data, "--remove", "LATER")
    dcmtk("echoscu", *server.at, "-aet", "LATER", expect=1)


def soon(server: Isocenter, path: str, wanted: str) -> str:
    """The page, once it says what is ``wanted``: what ends an association is not who asks."""
    end = time.monotonic() + 20
    while wanted not in (page := get(server, path)):
        assert time.monotonic() < end, page
        time.sleep(0.05)
    return page


def test_associations_show_who_is_there_and_can_be_ended(server: Isocenter) -> None:
    caller = AE(ae_title="STAYS")
    caller.add_requested_context("1.2.840.10008.1.1")
    association = caller.associate(LOCALHOST, server.dicom_port, ae_title="ISOCENTER")
    assert association.send_c_echo().Status == 0

    page = get(server, "/administration/associations")

    (number,) = re.findall(r'data-association="(\d+)"', page)
    assert "STAYS" in page
    answer = httpx.post(
        f"{server.url}/administration/associations/abort",
        data={"number": number},
        trust_env=False,
        follow_redirects=True,
    )
    assert answer.status_code == 200
    association.join(10)
    assert association.is_aborted
    page = soon(server, "/administration/associations", "broken off")
    assert "ended by an administrator" in page


def test_what_was_sent_is_counted(
    server: Isocenter, dcmtk: Tool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("sent")
    study = make_study(3)
    for number, each in enumerate(study):
        (folder / f"{number}.dcm").write_bytes(each.file)

    dcmtk("storescu", *server.at, "-aet", "CT1", "+sd", folder)

    page = get(server, "/administration/associations")
    assert "CT1" in page
    (received,) = re.findall(r'data-label="Received">(\d+)', page)
    assert received == "3"
