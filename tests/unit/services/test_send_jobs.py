"""What a job sends, and what it makes of the peer's answers."""

from collections.abc import Collection, Sequence

import pytest

from isocenter.archive.archive import Archive
from isocenter.archive.send_requests import SendRequest
from isocenter.dimse.failures import Aborted, NoConnection
from isocenter.errors import IsocenterError, Malformed, NotFound, Unavailable, Unsupported
from isocenter.services.delivery import Fate, Outcome
from isocenter.services.feed import Ready, Refused
from isocenter.services.selection_feed import SelectionFeed
from isocenter.services.send_jobs import _Account
from isocenter.storage import job_records
from isocenter.storage.job_records import Settled
from isocenter.storage.records import Selection
from made_instances import Kept, image

STUDY = Selection(studies=("1.2",))


def feed_of(archive: Archive, done: Collection[str] = ()) -> SelectionFeed:
    async def done_of(uids: Sequence[str]) -> set[str]:
        return set(uids) & set(done)

    return SelectionFeed(archive, STUDY, done_of)


async def given(feed: SelectionFeed) -> list[str]:
    """Take all that is given; what is refused has an exclamation mark."""
    names = []
    while (entry := await feed.next()) is not None:
        if isinstance(entry, Ready):
            entry.opened.close()
        assert isinstance(entry, Ready | Refused)
        names.append(entry.name + "!" * isinstance(entry, Refused))
    await feed.close()
    return names


async def put(kept: Kept, count: int) -> None:
    for number in range(count):
        await kept.store(image(f"1.2.3.{number}", InstanceNumber=number))


async def test_what_is_done_already_is_not_given_out(archive: Archive, kept: Kept) -> None:
    await put(kept, 5)
    feed = feed_of(archive, done=("1.2.3.0", "1.2.3.3"))

    assert await given(feed) == ["1.2.3.1", "1.2.3.2", "1.2.3.4"]
    assert feed.is_through


async def test_what_is_removed_meanwhile_is_passed_by(archive: Archive, kept: Kept) -> None:
    await put(kept, 8)
    feed = feed_of(archive)
    first = await feed.next()
    assert isinstance(first, Ready)
    first.opened.close()

    # Some are opened ahead by now; of these, none that has gone is given either, or it is whole.
    gone = Selection(instances=tuple(f"1.2.3.{number}" for number in range(5, 8)))
    await archive.removals.remove(gone, is_final=True)
    rest = await given(feed)

    assert not any("!" in name for name in rest)
    assert len(rest) + feed.gone == 7


async def test_what_went_to_another_patient_meanwhile_was_not_met(
    archive: Archive, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isocenter.storage.retrieving.PAGE", 2)
    await put(kept, 8)
    feed = feed_of(archive)
    first = await feed.next()
    assert isinstance(first, Ready)
    first.opened.close()

    study, entered = await archive.corrections.study("1.2"), {"PatientID": "4711"}
    looked = await archive.corrections.preview(study, entered, is_of_patient=False)
    await archive.corrections.correct(
        study, entered, is_of_patient=False, reason="mixed up", by="me", seen=looked.seen
    )
    rest = await given(feed)

    assert feed.is_through
    assert feed.met == 1 + len(rest) < 8


async def test_what_is_removed_and_can_be_put_back_is_not_sent(
    archive: Archive, kept: Kept
) -> None:
    await put(kept, 8)
    feed = feed_of(archive)
    first = await feed.next()
    assert isinstance(first, Ready)
    first.opened.close()

    await archive.removals.remove(Selection(instances=("1.2.3.7",)))

    assert "1.2.3.7" not in await given(feed)
    assert (feed.gone, feed.met) == (1, 8)


async def test_bytes_that_are_missing_are_told(archive: Archive, kept: Kept) -> None:
    await put(kept, 1)
    found = await archive.index.lookup("1.2.3.0")
    archive.store.delete(found.blob_key)

    assert await given(feed_of(archive)) == ["1.2.3.0!"]


async def test_nothing_is_given_out_any_more_when_it_is_given_up(
    archive: Archive, kept: Kept
) -> None:
    await put(kept, 3)
    feed = feed_of(archive)
    feed.give_up("lost")

    assert await given(feed) == []
    assert not feed.is_through


SENT = Outcome(Fate.SENT, "1.1", status=0, size=10)
COMMENT = "status A900: JANE DOE IS NOT WELCOME"


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (Outcome(Fate.FAILED, "1.2", COMMENT, status=0xA900), Unsupported),
        (Outcome(Fate.FAILED, "1.2", COMMENT, status=0x0122), Unsupported),
        (Outcome(Fate.FAILED, "1.2", COMMENT, status=0xC001), Unsupported),
        (Outcome(Fate.FAILED, "1.2", "", error=Unsupported("not taken")), Unsupported),
        (Outcome(Fate.FAILED, "1.2", "", error=Malformed("of JANE")), Unsupported),
        (Outcome(Fate.FAILED, "1.2", "", error=NotFound("of JANE")), Unsupported),
        # PS3.4 table B.2-1: out of resources, which may pass.
        (Outcome(Fate.FAILED, "1.2", COMMENT, status=0xA700), Unavailable),
        (Outcome(Fate.FAILED, "1.2", COMMENT, status=0xA7FF), Unavailable),
        (Outcome(Fate.FAILED, "1.2", "", error=Aborted("lost")), Unavailable),
        (Outcome(Fate.FAILED, "1.2", "", error=NoConnection("no route")), Unavailable),
    ],
)
def test_what_may_pass_is_told_from_what_will_not(
    outcome: Outcome, error: type[IsocenterError]
) -> None:
    told: list[Settled] = []
    account = _Account(told.append)
    account.note(SENT)
    account.note(outcome)

    with pytest.raises(error) as raised:
        account.settle(is_whole=True)

    assert [each.fate for each in told] == [job_records.Fate.DONE, job_records.Fate.FAILED]
    assert "JANE" not in f"{raised.value}{told}"


def test_a_warning_is_no_failure() -> None:
    told: list[Settled] = []
    account = _Account(told.append)
    account.note(Outcome(Fate.WARNED, "1.2", COMMENT, status=0xB000, size=10))

    account.settle(is_whole=True)

    assert told[0].fate is job_records.Fate.WARNED
    assert told[0].reason.startswith("status B000")


def test_what_was_cut_short_is_tried_again() -> None:
    account = _Account(lambda _: None)
    account.note(SENT)

    with pytest.raises(Unavailable):
        account.settle(is_whole=False)


@pytest.mark.parametrize("written", [{}, {"peer": "A"}, {"peer": "A", "studies": 5}])
def test_a_request_that_cannot_be_read_is_malformed(written: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        SendRequest.read(written)


def test_a_request_is_read_as_it_was_written() -> None:
    asked = SendRequest("A", Selection(patient_id="1", issuer="B", series=("1.2",)))

    assert SendRequest.read(asked.written()) == asked
