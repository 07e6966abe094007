"""What a series holds at one moment, and how its states are told apart."""

import asyncio
import threading

from hypothesis import HealthCheck, given, settings, strategies as st

from isocenter.storage.contents import Snapshot
from isocenter.storage.index import Index
from isocenter.storage.records import OnConflict, Selection
from unit.storage.made import incoming, remove_for_good

ALL = Selection(studies=("1.2.3.1",))


def state_of(snapshot: Snapshot) -> tuple[int, frozenset[str]]:
    """The fingerprint of the only series, and its blobs."""
    found = snapshot.series(ALL)
    if not found:
        return 0, frozenset()
    (series,) = found
    blobs = frozenset(each.blob_key for each in snapshot.blobs(series.pk))
    assert len(blobs) == series.instances
    return series.fingerprint, blobs


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["", "x", None])), max_size=12))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_states_have_the_same_fingerprint_only_if_they_hold_the_same(
    index: Index, steps: list[tuple[str, str | None]]
) -> None:
    async def run() -> None:
        seen: dict[int, frozenset[str]] = {}
        for name, content in steps:
            uid = f"2.{ord(name)}"
            if content is None:
                await remove_for_good(index, Selection(instances=(uid,)))
            else:
                await index.store(incoming(content, SOPInstanceUID=uid), OnConflict.REPLACE)
            fingerprint, blobs = await index.within_snapshot(state_of)
            assert seen.setdefault(fingerprint, blobs) == blobs
        assert len(set(seen.values())) == len(seen)
        await remove_for_good(index, ALL)

    asyncio.run(run())


async def test_a_snapshot_does_not_see_what_is_stored_meanwhile(index: Index) -> None:
    await index.store(incoming(SOPInstanceUID="2.1"))
    begun, stored = threading.Event(), threading.Event()

    def twice(snapshot: Snapshot) -> tuple[object, object]:
        first = state_of(snapshot)
        begun.set()
        assert stored.wait(10)
        return first, state_of(snapshot)

    reading = asyncio.create_task(index.within_snapshot(twice))
    assert await asyncio.to_thread(begun.wait, 10)
    await index.store(incoming(SOPInstanceUID="2.2"))
    stored.set()

    first, second = await reading
    assert first == second
    assert len((await index.within_snapshot(state_of))[1]) == 2


async def test_series_come_in_order_and_their_instances_by_number(index: Index) -> None:
    for number, series in ((2, "9.2"), (1, "9.1")):
        for instance in (3, 1, 2):
            await index.store(
                incoming(
                    SeriesInstanceUID=series,
                    SeriesNumber=number,
                    SOPInstanceUID=f"{series}.{instance}",
                    InstanceNumber=instance,
                )
            )

    def pks(snapshot: Snapshot) -> list[int]:
        return [row.pk for each in snapshot.series(ALL) for row in snapshot.blobs(each.pk)]

    found = await index.within_snapshot(pks)
    references = await index.references(found)
    assert [each.sop_instance_uid for each in references] == [
        *("9.1.1", "9.1.2", "9.1.3"),
        *("9.2.1", "9.2.2", "9.2.3"),
    ]
    await index.remove(Selection(instances=("9.1.2",)))
    assert len(await index.references(found)) == 5
