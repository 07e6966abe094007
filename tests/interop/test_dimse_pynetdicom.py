"""pynetdicom as the peer, in both directions, for what DCMTK's tools cannot negotiate."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.pdu_primitives import (
    AsynchronousOperationsWindowNegotiation,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.sop_class import ModalityPerformedProcedureStep

from isocenter.address import Address
from isocenter.dimse import status
from isocenter.dimse.association import Peer
from isocenter.dimse.client import associate
from isocenter.dimse.failures import Aborted, Rejected
from isocenter.dimse.negotiation import Offer, Proposal
from isocenter.dimse.operation import Service
from isocenter.dimse.pdu import CALLING_AE_TITLE_NOT_RECOGNIZED, AssociateReject
from isocenter.dimse.server import Admission
from isocenter.dimse.user_information import CommonExtended, UserIdentity, Window
from isocenter.errors import Denied
from little import (
    CT,
    FIND,
    GET,
    MOVE,
    PROCEDURE_STEP,
    UNCOMPRESSED,
    VERIFICATION,
    LittleArchive,
    decode,
    encode,
    serving,
)

FILM_SESSION = "1.2.840.10008.5.1.1.1"
PRINTER = "1.2.840.10008.5.1.1.16"
COMMITMENT = "1.2.840.10008.1.20.1"


@contextlib.contextmanager
def listening(handlers: list[Any], *, prepare: Callable[[AE], None]) -> Iterator[Address]:
    ae = AE("THEM")
    prepare(ae)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield Address("THEM", "127.0.0.1", server.socket.getsockname()[1])
    finally:
        server.shutdown()


def associated(port: int, prepare: Callable[[AE], None], **options: Any) -> Any:
    ae = AE("THEM")
    prepare(ae)
    return ae.associate("127.0.0.1", port, ae_title="US", **options)


def role(syntax: str, *, scu: bool, scp: bool) -> SCP_SCU_RoleSelectionNegotiation:
    item = SCP_SCU_RoleSelectionNegotiation()
    item.sop_class_uid, item.scu_role, item.scp_role = syntax, scu, scp
    return item


def image() -> Dataset:
    return get_testdata_file("CT_small.dcm", read=True)


async def test_pynetdicom_stores_finds_and_gets_with_role_selection() -> None:
    archive = LittleArchive()
    got: list[Any] = []

    def run(port: int) -> list[int]:
        def prepare(ae: AE) -> None:
            for syntax in (VERIFICATION, CT, FIND, GET):
                ae.add_requested_context(syntax, list(UNCOMPRESSED))

        def keep(event: Any) -> int:
            got.append(event.dataset)
            return 0

        association = associated(
            port,
            prepare,
            ext_neg=[role(CT, scu=True, scp=True)],
            evt_handlers=[(evt.EVT_C_STORE, keep)],
        )
        assert association.is_established
        query = Dataset()
        query.QueryRetrieveLevel = "IMAGE"
        statuses = [association.send_c_echo().Status]
        statuses.append(association.send_c_store(image()).Status)
        statuses += [answer.Status for answer, _ in association.send_c_find(query, FIND)]
        statuses += [answer.Status for answer, _ in association.send_c_get(query, GET)]
        association.release()
        return statuses

    async with serving(archive) as server:
        statuses = await asyncio.to_thread(run, server.port)

    assert statuses == [0, 0, 0xFF00, 0, 0xFF00, 0]
    assert got[0] == image()


async def test_what_pynetdicom_negotiates_reaches_the_provider() -> None:
    archive = LittleArchive()
    callers: list[Peer] = []

    async def admit(peer: Peer) -> Admission:
        callers.append(peer)
        return Admission(b"welcome")

    def run(port: int) -> Any:
        def prepare(ae: AE) -> None:
            ae.add_requested_context(FIND)
            ae.add_requested_context("1.2.3.4.5")

        identity = UserIdentityNegotiation()
        identity.user_identity_type = 2
        identity.primary_field, identity.secondary_field = b"joe", b"secret"
        identity.positive_response_requested = True
        window = AsynchronousOperationsWindowNegotiation()
        window.maximum_number_operations_invoked = 5
        window.maximum_number_operations_performed = 3
        extended = SOPClassExtendedNegotiation()
        extended.sop_class_uid, extended.service_class_application_information = FIND, b"\1\1\1"
        common = SOPClassCommonExtendedNegotiation()
        common.sop_class_uid, common.service_class_uid = "1.2.3.4.5", "1.2.840.10008.4.2"
        common.related_general_sop_class_identification = [CT]
        association = associated(port, prepare, ext_neg=[identity, window, extended, common])
        established = association.is_established
        acceptor = association.acceptor
        answers = (
            acceptor.sop_class_extended,
            acceptor.asynchronous_operations,
            acceptor.user_identity.server_response,
            [context.abstract_syntax for context in association.accepted_contexts],
        )
        association.release()
        return established, answers

    asked: list[CommonExtended | None] = []

    def unknown(syntax: str, common: CommonExtended | None) -> Service:
        asked.append(common)
        return Service(
            offer=Offer(abstract_syntax=syntax, transfer_syntaxes=UNCOMPRESSED),
            receive=archive.receive,
        )

    async with serving(archive, admit=admit, unknown=unknown) as server:
        established, answers = await asyncio.to_thread(run, server.port)

    assert established
    assert answers == ({FIND: b"\1\1"}, (5, 3), b"welcome", [FIND, "1.2.3.4.5"])
    assert asked == [CommonExtended("1.2.3.4.5", "1.2.840.10008.4.2", (CT,))]
    (caller,) = callers
    assert (caller.ae_title, caller.called_ae_title, caller.host) == ("THEM", "US", "127.0.0.1")
    assert caller.identity == UserIdentity(2, b"joe", b"secret", True)


@pytest.mark.parametrize(
    ("verdict", "heard"),
    [(CALLING_AE_TITLE_NOT_RECOGNIZED, (1, 1, 3)), (None, (1, 2, 1))],
    ids=["calling AE title", "user identity"],
)
async def test_pynetdicom_hears_why_it_may_not_in(
    verdict: AssociateReject | None, heard: tuple[int, int, int]
) -> None:
    async def admit(peer: Peer) -> AssociateReject:
        if verdict is None:
            raise Denied("wrong passcode")
        return verdict

    def run(port: int) -> Any:
        units: list[Any] = []
        association = associated(
            port,
            lambda ae: ae.add_requested_context(CT),
            evt_handlers=[(evt.EVT_PDU_RECV, lambda event: units.append(event.pdu))],
        )
        (unit,) = units
        # Not `is_rejected`: a connection that is closed at once makes it an abort to pynetdicom.
        return association.is_established, (unit.result, unit.source, unit.reason_diagnostic)

    async with serving(LittleArchive(), admit=admit) as server:
        assert await asyncio.to_thread(run, server.port) == (False, heard)


async def test_pynetdicom_uses_the_normalized_services() -> None:
    archive = LittleArchive()

    def run(port: int) -> list[Any]:
        association = associated(
            port, lambda ae: ae.add_requested_context(ModalityPerformedProcedureStep)
        )
        data = Dataset()
        data.PatientID = "1"
        answers = [
            association.send_n_create(data, PROCEDURE_STEP, "1.2.3"),
            association.send_n_set(data, PROCEDURE_STEP, "1.2.3"),
            association.send_n_get([0x00100020], PROCEDURE_STEP, "1.2.3"),
            association.send_n_action(data, 1, PROCEDURE_STEP, "1.2.3"),
            association.send_n_event_report(data, 2, PROCEDURE_STEP, "1.2.3"),
            (association.send_n_delete(PROCEDURE_STEP, "1.2.3"), None),
        ]
        association.release()
        return answers

    async with serving(archive) as server:
        answers = await asyncio.to_thread(run, server.port)

    assert [answer.Status for answer, _ in answers] == [0] * 6
    assert [data.PatientID if data else "" for _, data in answers] == ["1", "1", "", "1", "1", ""]
    heard = [one.command for one in archive.operations]
    assert [one.sop_instance for one in heard] == ["1.2.3"] * 6
    assert heard[2].elements["AttributeIdentifierList"] == (0x00100020,)
    assert heard[3].elements["ActionTypeID"] == 1
    assert heard[4].elements["EventTypeID"] == 2


async def test_we_use_the_normalized_services_of_pynetdicom() -> None:
    heard: list[tuple[str, Any]] = []

    def answering(name: str) -> Callable[[Any], Any]:
        def answer(event: Any) -> Any:
            heard.append((name, event.request))
            reply = Dataset()
            reply.PatientID = name
            return 0 if name == "delete" else (0, reply)

        return answer

    handlers = [
        (evt.EVT_N_CREATE, answering("create")),
        (evt.EVT_N_SET, answering("set")),
        (evt.EVT_N_GET, answering("get")),
        (evt.EVT_N_ACTION, answering("action")),
        (evt.EVT_N_EVENT_REPORT, answering("event")),
        (evt.EVT_N_DELETE, answering("delete")),
    ]
    classes = (FILM_SESSION, PRINTER, COMMITMENT)

    def prepare(ae: AE) -> None:
        for syntax in classes:
            ae.add_supported_context(syntax)

    with listening(handlers, prepare=prepare) as them:
        proposals = [Proposal(abstract_syntax=syntax) for syntax in classes]
        async with associate(them, calling_ae_title="US", proposals=proposals) as association:
            context, printer, commitment = map(association.context_for, classes)
            data = Dataset()
            data.PatientID = "1"
            raw, tags = encode(data, context), (0x00100020, 0x00100010)
            answers = [
                await association.n_create(context, FILM_SESSION, "1.2.3", raw),
                await association.n_set(context, FILM_SESSION, "1.2.3", raw),
                await association.n_get(printer, PRINTER, "1.2.3", tags),
                await association.n_action(context, FILM_SESSION, "1.2.3", 1, raw),
                await association.n_event_report(commitment, COMMITMENT, "1.2.3", 2, raw),
                await association.n_delete(context, FILM_SESSION, "1.2.3"),
            ]

    assert all(answer.is_success for answer in answers)
    names = ["create", "set", "get", "action", "event", "delete"]
    assert [name for name, _ in heard] == names
    replies = [decode(one.dataset, context).PatientID for one in answers if one.dataset]
    assert replies == names[:-1]
    assert tuple(heard[2][1].AttributeIdentifierList) == tags
    assert heard[3][1].ActionTypeID == 1
    assert heard[4][1].EventTypeID == 2


async def test_we_find_cancel_move_and_get_from_pynetdicom() -> None:
    def find(event: Any) -> Iterator[Any]:
        for number in range(100_000):  # until cancelled
            if event.is_cancelled:
                yield 0xFE00, None
                return
            answer = Dataset()
            answer.PatientID = str(number)
            yield 0xFF00, answer
            time.sleep(0.002)  # pynetdicom hears nothing while it has answers to send

    def get(event: Any) -> Iterator[Any]:
        yield 1
        yield 0xFF00, image()

    def move(event: Any) -> Iterator[Any]:
        yield None, None

    def prepare(ae: AE) -> None:
        for syntax in (FIND, MOVE, GET):
            ae.add_supported_context(syntax)
        ae.add_supported_context(CT, list(UNCOMPRESSED), scu_role=True, scp_role=True)

    handlers = [(evt.EVT_C_FIND, find), (evt.EVT_C_GET, get), (evt.EVT_C_MOVE, move)]
    mine = LittleArchive()
    with listening(handlers, prepare=prepare) as them:
        async with associate(
            them,
            calling_ae_title="US",
            proposals=[
                *(Proposal(abstract_syntax=syntax) for syntax in (FIND, MOVE, GET)),
                Proposal(abstract_syntax=CT, transfer_syntaxes=UNCOMPRESSED, as_provider=True),
            ],
            receive=mine.receive,
        ) as association:
            query = Dataset()
            query.QueryRetrieveLevel = "IMAGE"
            identifier = encode(query, association.context_for(FIND))
            responses = association.find(FIND, identifier)
            found = []
            async for response in responses:
                found.append(response.status)
                if len(found) == 3:
                    await responses.cancel()
            moved = [one async for one in association.move(MOVE, identifier, "NOWHERE")]
            got = [one async for one in association.get(GET, identifier)]

    assert found[:3] == [status.PENDING] * 3
    assert found[-1] == status.CANCEL
    assert [one.status for one in moved] == [0xA801]
    assert got[-1].is_success
    assert len(mine.stored) == 1


async def test_pynetdicom_sees_what_we_negotiate() -> None:
    seen: list[Any] = []

    def identify(event: Any) -> tuple[bool, bytes]:
        seen.append((event.user_id_type, event.primary_field, event.secondary_field))
        return True, b"yes"

    def extended(event: Any) -> dict[str, bytes]:
        seen.append(dict(event.app_info))
        return {FIND: b"\1"}

    def common(event: Any) -> dict[str, Any]:
        seen.append(list(event.items))
        return {}

    def asynchronous(event: Any) -> tuple[int, int]:
        seen.append((event.nr_invoked, event.nr_performed))
        return 1, 1  # pynetdicom answers nothing else

    handlers = [
        (evt.EVT_USER_ID, identify),
        (evt.EVT_SOP_EXTENDED, extended),
        (evt.EVT_SOP_COMMON, common),
        (evt.EVT_ASYNC_OPS, asynchronous),
    ]
    with listening(handlers, prepare=lambda ae: ae.add_supported_context(FIND)) as them:
        async with associate(
            them,
            calling_ae_title="US",
            proposals=[
                Proposal(
                    abstract_syntax=FIND,
                    extended=b"\1\1",
                    common_extended=CommonExtended(FIND, "1.2.840.10008.4.2", (CT,)),
                )
            ],
            window=Window(4, 1),
            identity=UserIdentity(4, b"<saml/>", wants_response=True),
        ) as association:
            assert association.window == Window(1, 1)
            assert association.extended == {FIND: b"\1"}
            assert association.peer.identity_response == b"yes"
            assert association.peer.maximum_length == 16382

    assert (4, b"<saml/>", b"") in seen
    assert (4, 1) in seen
    assert {FIND: b"\1\1"} in seen
    assert [FIND] in seen


async def test_a_rejection_and_an_abort_by_pynetdicom_are_told_apart() -> None:
    def abort(event: Any) -> int:
        event.assoc.abort()
        return 0

    def prepare(ae: AE) -> None:
        ae.require_calling_aet = ["US"]
        ae.add_supported_context(VERIFICATION)

    with listening([(evt.EVT_C_ECHO, abort)], prepare=prepare) as them:
        proposals = [Proposal(abstract_syntax=VERIFICATION)]
        with pytest.raises(Rejected, match="calling AE title not recognized"):
            async with associate(them, calling_ae_title="WHO", proposals=proposals):
                pass
        async with associate(them, calling_ae_title="US", proposals=proposals) as association:
            with pytest.raises(Aborted):
                await association.echo()
