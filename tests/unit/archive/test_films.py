"""Films are made once, for all who wait, and for nobody if nobody does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import slow_jobs
from isocenter.archive.films import Films
from isocenter.archive.rendering import NotRendered
from isocenter.errors import Unavailable
from isocenter.imaging.workers import Workers
from isocenter.storage.made_files import MadeFile, MadeFiles
from isocenter.storage.records import InstanceRef

INSTANCE = InstanceRef("", "1.2.3.4", "1.2", "1.2.3", "", "aa/study/blob", 0, b"", 0)
CONTENT = b"film of 1000"


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    path = tmp_path / "notes"
    path.touch()
    return path


@pytest.fixture
async def films(tmp_path: Path, workers: Workers) -> AsyncIterator[Films]:
    anything: Any = None
    files = MadeFiles(tmp_path / "videos", 1000)
    with ThreadPoolExecutor(2) as threads:
        films = Films(anything, anything, files, workers, threads, patience=5.0, grace=0.4)
        yield films
        await films.close()


async def asked(films: Films, notes: Path, seconds: float = 0.5) -> bytes:
    file = await films.made(INSTANCE, "name", slow_jobs.film, seconds, str(notes))
    assert isinstance(file, MadeFile)
    return bytes(file.window(0, file.size))


async def begun(notes: Path) -> None:
    while not notes.read_text():  # noqa: ASYNC110 - another process writes
        await asyncio.sleep(0.02)


async def ended(films: Films) -> None:
    async with asyncio.timeout(20):
        while films.count:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.02)


def drafts(films: Films) -> list[Path]:
    return list(films.files.folder.glob("*/*.part"))


async def test_who_asks_meanwhile_waits_and_who_asks_later_finds_it(
    films: Films, notes: Path
) -> None:
    first, second = await asyncio.gather(asked(films, notes), asked(films, notes))
    third = await asked(films, notes)

    assert first == second == third == CONTENT
    assert notes.read_text().count("!") == 1
    assert not drafts(films)


async def test_when_all_leave_it_is_given_up(films: Films, notes: Path) -> None:
    waiting = [asyncio.create_task(asked(films, notes, 30.0)) for _ in range(2)]
    await begun(notes)

    for task in waiting:
        assert films.count == 1
        task.cancel()
        await asyncio.wait({task})
    await ended(films)

    assert await asked(films, notes, 0.0) == CONTENT
    assert notes.read_text().count("!") == 1


async def test_when_one_leaves_it_goes_on_for_the_other(films: Films, notes: Path) -> None:
    one, other = (asyncio.create_task(asked(films, notes)) for _ in range(2))
    await begun(notes)

    one.cancel()

    assert await other == CONTENT


async def test_who_waited_for_long_is_told_to_come_back_and_then_finds_it(
    films: Films, notes: Path
) -> None:
    films.patience = 0.2
    with pytest.raises(Unavailable, match="ask again"):
        await asked(films, notes)
    films.patience = 5.0

    assert await asked(films, notes) == CONTENT
    assert notes.read_text().count("!") == 1


async def test_when_nobody_comes_back_it_is_given_up(films: Films, notes: Path) -> None:
    films.patience = 0.1
    with pytest.raises(Unavailable):
        await asked(films, notes, 30.0)

    await ended(films)

    assert "!" not in notes.read_text()


async def test_what_cannot_be_made_is_tried_once(films: Films, notes: Path) -> None:
    for _ in range(3):
        with pytest.raises(NotRendered, match="broken"):
            await films.made(INSTANCE, "name", slow_jobs.refused, str(notes))

    assert notes.read_text() == "!"
    films.files.forget("aa/study")
    assert not drafts(films)


async def test_not_too_many_are_made_at_a_time(
    films: Films, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isocenter.archive.films.MOST_MAKINGS", 1)
    first = asyncio.create_task(asked(films, notes))
    await begun(notes)

    with pytest.raises(Unavailable, match="many"):
        await films.made(INSTANCE, "other", slow_jobs.film, 0.0, str(notes))

    assert await first == CONTENT
