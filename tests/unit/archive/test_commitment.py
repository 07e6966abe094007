"""What the archive answers for, and for how long it remembers having said so (PS3.4 annex J)."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from isocenter.archive.archive import Archive
from isocenter.archive.commitment import AT_A_TIME, Commitments, Reason, Reference, Verdict
from isocenter.config import ArchiveConfig
from isocenter.errors import Conflict, NotFound
from isocenter.storage.commitments import Expired
from isocenter.storage.records import Selection
from made_instances import CT, MR, Kept, image

PATIENCE = 10.0


async def ask(archive: Archive, *references: Reference, uid: str = "1.2.99") -> list[Verdict]:
    verdicts = await archive.commitments.request(uid, references, PATIENCE)
    assert verdicts is not None
    return verdicts


async def reason(archive: Archive, reference: Reference) -> Reason | None:
    (verdict,) = await ask(archive, reference)
    assert verdict.reference == reference
    return verdict.reason


async def test_what_is_kept_is_committed(archive: Archive, kept: Kept) -> None:
    await kept.store(image("1.1"))

    assert await reason(archive, Reference(CT, "1.1")) is None


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (Reference(CT, "1.1", "1.2", "1.2.3"), None),
        (Reference(CT, "1.9"), Reason.NO_SUCH_OBJECT_INSTANCE),
        (Reference(MR, "1.1"), Reason.CLASS_INSTANCE_CONFLICT),
        (Reference(CT, "1.1", "1.9", "1.2.3"), Reason.NO_SUCH_OBJECT_INSTANCE),
        (Reference(CT, "1.1", "1.2", "1.9"), Reason.NO_SUCH_OBJECT_INSTANCE),
        (Reference("1.2.840.10008.5.1.1.9", "1.9"), Reason.REFERENCED_SOP_CLASS_NOT_SUPPORTED),
    ],
)
async def test_each_reference_has_its_own_reason(
    archive: Archive, kept: Kept, reference: Reference, expected: Reason | None
) -> None:
    await kept.store(image("1.1"))

    assert await reason(archive, reference) is expected


@pytest.mark.parametrize("is_cut", [True, False])
async def test_nothing_is_committed_whose_bytes_are_not_there(
    archive: Archive, kept: Kept, is_cut: bool
) -> None:
    await kept.store(image("1.1"))
    (ref,) = await kept.refs()
    path = archive.store.path(ref.blob_key)
    os.truncate(path, ref.size - 1) if is_cut else os.unlink(path)

    assert await reason(archive, Reference(CT, "1.1")) is Reason.PROCESSING_FAILURE


async def test_what_was_removed_is_not_committed(archive: Archive, kept: Kept) -> None:
    await kept.store(image("1.1"))
    await archive.removals.remove(Selection(studies=("1.2",)))

    assert await reason(archive, Reference(CT, "1.1")) is Reason.NO_SUCH_OBJECT_INSTANCE


async def test_many_are_answered_in_their_order(archive: Archive, kept: Kept) -> None:
    uids = [f"1.3.{number}" for number in range(2 * AT_A_TIME + 1)]
    await kept.store_all(uids[::100])

    verdicts = await ask(archive, *(Reference(CT, uid) for uid in uids))

    assert [verdict.reference.sop_instance for verdict in verdicts] == uids
    there = [verdict.reference.sop_instance for verdict in verdicts if verdict.reason is None]
    assert there == uids[::100]


async def test_a_transaction_uid_is_used_once(archive: Archive) -> None:
    await ask(archive, Reference(CT, "1.1"))

    with pytest.raises(Conflict):
        await ask(archive, Reference(CT, "1.1"))


async def test_a_result_stays_what_it_was_also_over_a_restart(
    archive: Archive, kept: Kept, tmp_path: Path
) -> None:
    await kept.store(image("1.1"))
    first = await ask(archive, Reference(CT, "1.1"))
    await archive.removals.remove(Selection(studies=("1.2",)))
    await archive.close()
    archive = await Archive.open(tmp_path / "data", ArchiveConfig())

    again = await archive.commitments.result("1.2.99", PATIENCE)

    await archive.close()
    assert again == first == [Verdict(Reference(CT, "1.1"))]


async def test_nobody_asked_means_nothing_is_found(archive: Archive) -> None:
    with pytest.raises(NotFound):
        await archive.commitments.result("1.2.99", PATIENCE)


class Slow:
    """The archive, as long as it may not answer."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self.goes_on = asyncio.Event()
        self.lost = archive.lost

    async def instances(self, selection: Selection) -> AsyncIterator[list[object]]:
        await self.goes_on.wait()
        async for page in self._archive.instances(selection):
            yield page  # type: ignore[misc]


async def test_what_takes_long_is_asked_for_again(archive: Archive, kept: Kept) -> None:
    await kept.store(image("1.1"))
    slow = Slow(archive)
    commitments = Commitments(
        archive.index.commitments,
        slow,  # type: ignore[arg-type]
        archive.admission,
        ArchiveConfig(),
    )

    assert await commitments.request("1.2.99", [Reference(CT, "1.1")], 0.01) is None
    assert await commitments.result("1.2.99", 0.01) is None
    slow.goes_on.set()

    assert await commitments.result("1.2.99", PATIENCE) == [Verdict(Reference(CT, "1.1"))]


async def test_what_a_stop_interrupted_is_taken_up_again(archive: Archive, kept: Kept) -> None:
    await kept.store(image("1.1"))
    commitments = Commitments(
        archive.index.commitments,
        Slow(archive),  # type: ignore[arg-type]
        archive.admission,
        ArchiveConfig(),
    )
    assert await commitments.request("1.2.99", [Reference(CT, "1.1")], 0.01) is None

    await commitments.close()

    assert await archive.commitments.result("1.2.99", PATIENCE) == [Verdict(Reference(CT, "1.1"))]


async def test_results_are_let_go_of_and_their_uids_later(archive: Archive) -> None:
    store = archive.index.commitments
    for uid in ("1.1", "1.2"):
        await store.enter(uid, b"[]", 3600)
    await store.finish("1.1", b"[1]")

    await store.enter("1.3", b"[]", 0)

    for uid in ("1.1", "1.2"):
        with pytest.raises((Expired, NotFound)):
            await store.find(uid)
    assert (await store.find("1.3")).request == b"[]"


async def test_an_expired_result_is_told_from_one_that_never_was(archive: Archive) -> None:
    store = archive.index.commitments
    await store.enter("1.1", b"[]", 3600)
    await store.finish("1.1", b"[1]")
    await asyncio.sleep(1)

    await store.enter("1.2", b"[]", 0.9)  # long enough for a busy machine to be in time

    with pytest.raises(Expired):
        await store.find("1.1")
