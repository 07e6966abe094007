"""What waits to be written is bounded, and nobody waits for somebody else's network."""

import asyncio

import pytest

from isocenter.archive.backpressure import GUARANTEED, MOST, Budget

MEBI = bytes(1 << 20)


async def is_free(share: object) -> bool:
    try:
        async with asyncio.timeout(0):
            await share.room()  # type: ignore[attr-defined]
    except TimeoutError:
        return False
    return True


async def test_a_share_is_bounded_even_where_there_is_room() -> None:
    share = Budget(1 << 40).share()

    lent = [share.lend(MEBI) for _ in range(MOST >> 20)]

    assert not await is_free(share)
    lent[0].release()
    assert await is_free(share)


async def test_a_share_has_its_own_when_others_took_the_rest() -> None:
    budget = Budget(4 << 20)
    greedy, modest = budget.share(), budget.share()

    for _ in range(5):
        greedy.lend(MEBI)

    assert not await is_free(greedy)
    assert await is_free(modest)
    modest.lend(bytes(GUARANTEED))
    assert not await is_free(modest)


@pytest.mark.parametrize("gives_back", ["the other", "itself"])
async def test_who_waits_goes_on_when_bytes_are_released(gives_back: str) -> None:
    budget = Budget(1 << 20)
    greedy, waiting = budget.share(), budget.share()
    others = [greedy.lend(MEBI), greedy.lend(MEBI)]
    own = [waiting.lend(MEBI)]
    task = asyncio.create_task(waiting.room())
    await asyncio.sleep(0)
    assert not task.done()

    (others if gives_back == "the other" else own)[0].release()

    async with asyncio.timeout(5):
        await task


async def test_who_gives_up_waiting_takes_no_ones_turn() -> None:
    budget = Budget(1 << 20)
    holder, gone, next_one = budget.share(), budget.share(), budget.share()
    held = [holder.lend(MEBI), holder.lend(MEBI)]
    gone.lend(MEBI)
    next_one.lend(MEBI)
    tasks = [asyncio.create_task(share.room()) for share in (gone, next_one)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.sleep(0)

    held[0].release()

    async with asyncio.timeout(5):
        await tasks[1]
