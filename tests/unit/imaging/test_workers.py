"""Jobs that take long: they go on as long as they live and somebody waits."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import slow_jobs
from isocenter.errors import Malformed
from isocenter.imaging.workers import Workers, alive


@pytest.fixture
def workers() -> Iterator[Workers]:
    workers = Workers(1, patience=2.0)
    yield workers
    workers.close()


async def test_a_job_that_is_alive_may_take_longer(workers: Workers, tmp_path: Path) -> None:
    assert await workers.run(slow_jobs.lively, [], 3.0, str(tmp_path / "notes")) == b"done"


async def test_a_job_may_say_how_long_its_next_step_takes(workers: Workers) -> None:
    assert await workers.run(slow_jobs.silent, [], 2.5, 2.0) == b"done"
    with pytest.raises(Malformed, match="took more than"):
        await workers.run(slow_jobs.silent, [], 6.0, 0.1)


async def test_a_job_that_nobody_waits_for_is_ended_at_its_next_sign_of_life(
    workers: Workers, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    waiting = asyncio.create_task(workers.run(slow_jobs.lively, [], 60.0, str(notes)))
    while not notes.exists():  # noqa: ASYNC110 - another process writes
        await asyncio.sleep(0.02)

    waiting.cancel()
    # The next job finds the only worker free.
    assert await workers.run(slow_jobs.silent, [], 0.0, 0.0) == b"done"

    assert "!" not in notes.read_text()


async def test_memory_of_a_job_that_failed_is_closed_when_nobody_has_it(
    workers: Workers, capfd: pytest.CaptureFixture[str]
) -> None:
    assert await workers.run(slow_jobs.silent, [], 0.0, 0.0) == b"done"
    for megabytes in range(1, 9):  # each time a larger room, so that older ones go
        with pytest.raises(Malformed, match="broken"):
            await workers.run(slow_jobs.failing, [bytes(megabytes << 20)], 16)
    workers.close()

    assert capfd.readouterr().err == ""


async def test_a_worker_that_dies_costs_its_own_job_only(workers: Workers) -> None:
    assert await workers.run(slow_jobs.echo, [b"before"]) == b"before"
    with pytest.raises(Malformed, match="ended with -9"):
        await workers.run(slow_jobs.dying, [])
    assert await workers.run(slow_jobs.echo, [b"after"]) == b"after"


async def test_a_worker_that_died_while_it_rested_costs_no_job(workers: Workers) -> None:
    number = int(await workers.run(slow_jobs.process, []))

    os.kill(number, signal.SIGKILL)
    while Path(f"/proc/{number}/stat").read_text().split()[2] != "Z":  # noqa: ASYNC110
        await asyncio.sleep(0.01)

    assert int(await workers.run(slow_jobs.process, [])) != number


def test_who_leaves_without_a_word_waits_for_no_worker(tmp_path: Path) -> None:
    script = tmp_path / "leaves.py"
    script.write_text(
        "import slow_jobs\n"
        "from isocenter.imaging.workers import Workers\n"
        "if __name__ == '__main__':\n"
        "    workers = Workers(1)\n"
        "    assert bytes(workers.submit(slow_jobs.echo, [b'x']).result()) == b'x'\n"
        "    raise SystemExit(7)\n"
    )
    paths = os.pathsep.join(sys.path)

    done = subprocess.run(
        [sys.executable, script], env={**os.environ, "PYTHONPATH": paths}, timeout=60, check=False
    )

    assert done.returncode == 7


def test_signs_of_life_mean_nothing_where_nobody_listens() -> None:
    alive()
    alive(10.0)
