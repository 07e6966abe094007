"""What a C-MOVE or C-GET reports of its sub-operations (PS3.4 C.4.2.1, C.4.3.1)."""

# Nobody else is on these loops, and what is waited for sets no event.
# ruff: noqa: ASYNC110

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, strategies as st

from isocenter.archive.archive import Archive
from isocenter.archive.peers import Peers
from isocenter.archive.retrieve import Opened
from isocenter.config import DimseConfig
from isocenter.dimse.association import Association
from isocenter.dimse.command import Verb
from isocenter.dimse.failures import Aborted, NoConnection
from isocenter.dimse.negotiation import Context, Proposal
from isocenter.dimse.settings import Limits, Timeouts
from isocenter.dimse.status import Category, Response
from isocenter.errors import Unavailable, Unsupported
from isocenter.services.retrieve import RetrieveProvider
from isocenter.services.sending import Sending
from isocenter.services.suboperations import SubOperations, Tally
from isocenter.storage.records import InstanceRef, Selection
from made_instances import CT, EXPLICIT, JPEG, MR, Kept, image
from made_operations import Wire, decoded, encoded, identifier, operation

MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
GET = "1.2.840.10008.5.1.4.1.2.2.3"
PATIENT_MOVE = "1.2.840.10008.5.1.4.1.2.1.2"
UIDS = [f"1.2.3.{number}" for number in range(10, 16)]
STUDY = Selection(studies=("1.2",))
REMAINING, COMPLETED, FAILED, WARNINGS = (
    f"NumberOf{what}Suboperations" for what in ("Remaining", "Completed", "Failed", "Warning")
)


def failed_list(response: Response) -> list[str]:
    if response.dataset is None:
        return []
    found = decoded(response.dataset)
    assert [element.keyword for element in found] == ["FailedSOPInstanceUIDList"]
    value = found.FailedSOPInstanceUIDList
    return [str(each) for each in ([value] if isinstance(value, str) else value)]


def counts(response: Response) -> tuple[Any, Any, Any, Any]:
    return tuple(response.elements.get(name) for name in (COMPLETED, FAILED, WARNINGS, REMAINING))  # type: ignore[return-value]


def work(archive: Archive, wire: Wire | None = None, interval: float = 100.0) -> SubOperations:
    return SubOperations(
        archive, operation(Verb.C_MOVE, MOVE, wire=wire), pending_interval=interval
    )


def answering(answers: dict[str, Any]) -> Any:
    async def send_one(opened: Opened) -> Response:
        answer = answers.get(opened.instance.sop_instance_uid, 0)
        if isinstance(answer, Exception):
            raise answer
        return Response(answer)

    return send_one


# Statuses of C-STORE and what they are: PS3.4 B.2.3, PS3.7 annex C.
@pytest.mark.parametrize(
    ("answers", "status", "expected"),
    [
        ([0, 0, 0], 0x0000, (3, 0, 0)),
        ([0, 0xB000, 0], 0xB000, (2, 0, 1)),
        ([0xB007, 0xB006, 0xB000], 0xB000, (0, 0, 3)),
        ([0, 0xA700, 0], 0xB000, (2, 1, 0)),
        ([0xA900, 0xB000, 0xC000], 0xB000, (0, 2, 1)),
        ([0xA700, 0x0122, 0xC123], 0xA702, (0, 3, 0)),
        ([0, Unsupported("no context"), 0], 0xB000, (2, 1, 0)),
        ([0, RuntimeError("a bug"), 0], 0xB000, (2, 1, 0)),
        ([0, OSError("bad disk"), 0], 0xB000, (2, 1, 0)),
        ([Aborted("lost"), 0, 0], 0xA702, (0, 3, 0)),
        ([0, Aborted("lost"), 0], 0xB000, (1, 2, 0)),
        ([0, 0, Aborted("lost")], 0xB000, (2, 1, 0)),
        ([], 0x0000, (0, 0, 0)),
    ],
)
@pytest.mark.parametrize("at_once", [1, 2, 64])
async def test_each_end_is_counted_and_told(
    archive: Archive, kept: Kept, answers: list[Any], status: int, expected: Any, at_once: int
) -> None:
    uids = UIDS[: len(answers)]
    await kept.store_all(uids)
    by_uid = dict(zip(uids, answers, strict=True))

    response = await work(archive).run(STUDY, at_once, answering(by_uid))

    failed = len(failed_list(response))
    assert (response.dataset is None) == (failed == 0)
    if at_once > 1 and any(isinstance(each, Aborted) for each in answers):
        # How many of the others were through by then is left to chance.
        assert sum(counts(response)[:3]) == len(answers)
        assert 1 <= failed <= expected[1]
        return
    assert response.status == status
    assert counts(response) == (*expected, None)
    assert failed == expected[1]


async def test_the_failed_are_named(archive: Archive, kept: Kept) -> None:
    await kept.store_all(UIDS)

    answers = {UIDS[1]: 0xA700, UIDS[3]: Unsupported("no context")}
    response = await work(archive).run(STUDY, 1, answering(answers))

    assert failed_list(response) == [UIDS[1], UIDS[3]]


async def test_one_that_cannot_be_read_fails_alone(archive: Archive, kept: Kept) -> None:
    await kept.store_all(UIDS)
    for ref in await kept.refs():
        if ref.sop_instance_uid == UIDS[2]:
            archive.store.delete(ref.blob_key)

    response = await work(archive).run(STUDY, 1, answering({}))

    assert counts(response) == (5, 1, 0, None)
    assert failed_list(response) == [UIDS[2]]


async def corrected(archive: Archive, **entered: str) -> None:
    """Have the study corrected, as somebody does meanwhile."""
    study = await archive.corrections.study("1.2")
    looked = await archive.corrections.preview(study, entered, is_of_patient=False)
    said: dict[str, Any] = {"is_of_patient": False, "reason": "mixed up", "by": "me"}
    await archive.corrections.correct(study, entered, **said, seen=looked.seen)


async def test_what_is_corrected_meanwhile_goes_corrected(archive: Archive, kept: Kept) -> None:
    await kept.store_all(UIDS)
    names: list[bool] = []

    async def send_one(opened: Opened) -> Response:
        names.append(opened.instance.overlay is not None)
        if len(names) == 1:
            await corrected(archive, PatientName="Roe^Richard")
        return Response(0)

    response = await work(archive).run(STUDY, 1, send_one)

    assert counts(response) == (6, 0, 0, None)
    assert names[0] is False
    assert names[5] is True  # some are opened ahead


async def test_what_is_removed_meanwhile_is_not_sent(archive: Archive, kept: Kept) -> None:
    await kept.store_all(UIDS)
    sent: list[str] = []

    async def send_one(opened: Opened) -> Response:
        sent.append(opened.instance.sop_instance_uid)
        if len(sent) == 1:
            await archive.removals.remove(Selection(instances=(UIDS[5],)))
        return Response(0)

    response = await work(archive).run(STUDY, 1, send_one)

    assert sent == UIDS[:5]
    assert response.status == 0xB000
    assert failed_list(response) == [UIDS[5]]


async def test_what_goes_to_another_patient_meanwhile_is_not_told_to_be_sent(
    archive: Archive, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isocenter.storage.retrieving.PAGE", 2)
    await kept.store_all(UIDS)
    sent: list[str] = []

    async def send_one(opened: Opened) -> Response:
        sent.append(opened.instance.sop_instance_uid)
        if len(sent) == 1:
            await corrected(archive, PatientID="4711")
        return Response(0)

    response = await work(archive).run(STUDY, 1, send_one)

    assert len(sent) < 6
    assert response.status == 0xB000
    assert counts(response) == (len(sent), 6 - len(sent), 0, None)


async def test_a_cancelled_request_says_what_remains(archive: Archive, kept: Kept) -> None:
    await kept.store_all(UIDS)
    asked = operation(Verb.C_MOVE, MOVE)
    sent: list[str] = []

    async def send_one(opened: Opened) -> Response:
        sent.append(opened.instance.sop_instance_uid)
        if len(sent) == 2:
            asked.cancel()
        return Response(0)

    response = await SubOperations(archive, asked, pending_interval=100).run(STUDY, 1, send_one)

    assert response.status == 0xFE00
    assert counts(response) == (2, 0, 0, 4)
    assert response.dataset is None


async def test_a_cancel_that_comes_after_the_last_changes_nothing(
    archive: Archive, kept: Kept
) -> None:
    await kept.store_all(UIDS[:1])
    asked = operation(Verb.C_MOVE, MOVE)

    async def send_one(_: Opened) -> Response:
        asked.cancel()
        return Response(0)

    response = await SubOperations(archive, asked, pending_interval=100).run(STUDY, 1, send_one)

    assert response.status == 0


async def test_whoever_asked_is_told_how_it_goes(archive: Archive, kept: Kept) -> None:
    await kept.store_all(UIDS)
    wire = Wire()

    async def send_one(_: Opened) -> Response:
        async with asyncio.timeout(10):
            while not wire.sent:
                await asyncio.sleep(0)
        return Response(0)

    await work(archive, wire, interval=0.001).run(STUDY, 1, send_one)

    elements, dataset = wire.sent[0]
    assert (elements["Status"], dataset) == (0xFF00, None)
    assert sum(int(str(elements[name])) for name in (REMAINING, COMPLETED)) == 6


async def test_a_requestor_that_leaves_stops_what_is_under_way(
    archive: Archive, kept: Kept
) -> None:
    await kept.store_all(UIDS)
    under_way: set[str] = set()

    async def send_one(opened: Opened) -> Response:
        under_way.add(opened.instance.sop_instance_uid)
        try:
            await asyncio.Event().wait()
        finally:
            under_way.discard(opened.instance.sop_instance_uid)
        return Response(0)

    running = asyncio.create_task(work(archive).run(STUDY, 3, send_one))
    async with asyncio.timeout(10):
        while len(under_way) < 3:
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await asyncio.sleep(0)

    assert under_way == set()


def ref(uid: str = "1.2") -> InstanceRef:
    return InstanceRef(CT, uid, "1", "1", EXPLICIT, "", 0, b"", 0)


@given(st.integers(0, 200_000), st.lists(st.sampled_from(list(Category)), max_size=50))
def test_counts_never_outgrow_their_field(remaining: int, ends: list[Category]) -> None:
    tally = Tally(remaining)
    for end in ends:
        tally.count(ref(), end)

    elements = tally.elements(with_remaining=True)

    assert all(0 <= int(str(value)) <= 0xFFFF for value in elements.values())
    assert tally.completed + tally.failed + tally.warning == len(ends)
    assert tally.remaining == max(0, remaining - len(ends))


def test_the_list_of_the_failed_fits_an_explicit_length() -> None:
    tally = Tally(5000)
    for number in range(5000):
        tally.count(ref(f"1.{number:062d}"), Category.FAILURE)

    assert tally.failed == 5000
    assert len("\\".join(tally.failed_uids)) <= 0xFFFE


# --- associations to a destination


class Destination:
    """Opens associations, or refuses to."""

    def __init__(self, *, most: int = 100) -> None:
        self.opened: list[list[Proposal]] = []
        self.asked = 0
        self.most = most

    @asynccontextmanager
    async def __call__(self, proposals: list[Proposal]) -> AsyncIterator[Association]:
        self.asked += 1
        if len(self.opened) >= self.most:
            raise NoConnection("down")
        self.opened.append(proposals)
        yield Wire()  # type: ignore[misc]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 300).map(lambda number: f"1.2.3.{number}"),
            st.sampled_from([EXPLICIT, JPEG, "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"]),
        ),
        max_size=400,
    )
)
def test_every_kind_has_a_context_and_no_association_too_many(
    kinds: list[tuple[str, str]],
) -> None:
    groups = Sending(Destination(), kinds)._groups

    offered = {
        (each.abstract_syntax, syntax)
        for group in groups
        for each in group
        for syntax in each.transfer_syntaxes
    }
    assert set(kinds) <= offered
    assert all(0 < len(group) <= 128 for group in groups)


async def test_an_association_is_opened_once_for_its_kinds() -> None:
    destination = Destination()
    async with Sending(destination, [(CT, EXPLICIT), (MR, EXPLICIT), (CT, JPEG)]) as sending:
        found = {id(await sending.to(sop_class)) for sop_class in (CT, MR, CT)}

    assert len(found) == len(destination.opened) == 1


async def test_a_destination_that_refuses_is_asked_once() -> None:
    destination = Destination(most=0)
    async with Sending(destination, [(CT, EXPLICIT)]) as sending:
        for _ in range(3):
            with pytest.raises(Unavailable, match="down"):
                await sending.to(CT)

    assert destination.asked == 1


async def test_a_class_that_came_meanwhile_is_not_sent() -> None:
    async with Sending(Destination(), [(CT, EXPLICIT)]) as sending:
        with pytest.raises(Unsupported):
            await sending.to(MR)


async def test_an_association_we_aborted_is_opened_anew() -> None:
    destination = Destination()
    async with Sending(destination, [(CT, EXPLICIT)]) as sending:
        first = await sending.to(CT)
        sending.renew(first)
        second = await sending.to(CT)

    assert first is not second
    assert len(destination.opened) == 2


# --- requests


def provider(archive: Archive, **settings: Any) -> RetrieveProvider:
    peers = Peers(archive.index.peers, ())
    config = DimseConfig(**settings)
    return RetrieveProvider(archive, "ISOCENTER", peers, config, Limits(), Timeouts())


def get_wire(sop_classes: Iterable[str] = (CT,)) -> Wire:
    wire = Wire()
    wire.contexts = {
        2 * number + 3: Context(2 * number + 3, each, EXPLICIT, as_user=True, as_provider=False)
        for number, each in enumerate(sop_classes)
    }
    return wire


async def test_a_study_is_given_back(archive: Archive, kept: Kept) -> None:
    await kept.store_all(UIDS)
    wire = get_wire()
    keys = encoded(identifier("STUDY", StudyInstanceUID="1.2"))

    response = await provider(archive).get(operation(Verb.C_GET, GET, keys, wire=wire))

    assert (response.status, counts(response)) == (0, (6, 0, 0, None))
    assert wire.stored == UIDS


async def test_without_a_context_every_suboperation_fails(archive: Archive, kept: Kept) -> None:
    await kept.store_all(UIDS)
    keys = encoded(identifier("STUDY", StudyInstanceUID="1.2"))

    asked = operation(Verb.C_GET, GET, keys, wire=get_wire(()))
    response = await provider(archive).get(asked)

    assert (response.status, counts(response)) == (0xA702, (0, 6, 0, None))
    assert failed_list(response) == UIDS


async def test_an_unknown_destination_is_told_without_its_odd_letters(archive: Archive) -> None:
    keys = encoded(identifier("STUDY", StudyInstanceUID="1.2"))
    asked = operation(Verb.C_MOVE, MOVE, keys, MoveDestination="NO\\WHERE\x1b\u00e9")

    response = await provider(archive).move(asked)

    comment = str(response.elements["ErrorComment"])
    assert response.status == 0xA801
    assert len(comment) <= 64
    assert comment.isascii()
    assert comment.isprintable()
    assert "\\" not in comment


async def test_an_index_that_cannot_be_read_has_its_own_status(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(_: Selection) -> int:
        raise Unavailable("bad disk")

    monkeypatch.setattr(archive.index, "count_instances", failing)
    keys = encoded(identifier("STUDY", StudyInstanceUID="1.2"))

    response = await provider(archive).get(operation(Verb.C_GET, GET, keys, wire=get_wire()))

    assert response.status == 0xA701


async def test_a_patient_id_of_several_patients_needs_its_issuer(
    archive: Archive, kept: Kept
) -> None:
    for number, issuer in enumerate(("HERE", "THERE")):
        study, series = f"1.{number}", f"1.{number}.1"
        await kept.store(
            image(
                UIDS[number],
                IssuerOfPatientID=issuer,
                StudyInstanceUID=study,
                SeriesInstanceUID=series,
            )
        )
    wire = get_wire()
    sop_class = "1.2.840.10008.5.1.4.1.2.1.3"

    def asked(**more: str) -> Any:
        keys = encoded(identifier("PATIENT", PatientID="P1", **more))
        return operation(Verb.C_GET, sop_class, keys, wire=wire)

    ambiguous = await provider(archive).get(asked())
    clear = await provider(archive).get(asked(IssuerOfPatientID="THERE"))

    assert ambiguous.status >> 12 == 0xC
    assert (clear.status, wire.stored) == (0, [UIDS[1]])
