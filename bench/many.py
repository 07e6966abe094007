"""200 associations that store at once, and one sender beside 500 that are idle."""

import threading
import time
from pathlib import Path

import wire
from bench.contestants import contestant, make_folders, run_together, storescu
from bench.report import Report, Result
from instances import Instance, make_study

CROWD = 200
EACH = 5
IDLE = 490
COUNT = 500
ASKED_BESIDE_IDLE = 0.9


def measure(report: Report, folder: Path, rounds: int) -> None:
    with contestant("Isocenter", folder / "crowd") as (_, port):
        seconds, statuses = _crowd(port)
        stored = statuses.count(wire.SUCCESS)
        what = f"{CROWD} associations at once, each storing {EACH}"
        is_met = stored == CROWD * EACH
        asked = f"{CROWD * EACH:,} stored"
        report.add(Result(what, stored / seconds, "/s", asked=asked, is_met=is_met))
    beside: list[float] = []
    alone: list[float] = []
    for number in range(rounds):
        for is_crowded, rates in ((False, alone), (True, beside)):
            (source,) = make_folders(folder / f"from{number}{is_crowded}", COUNT)
            with contestant("Isocenter", folder / "idle") as (_, port):
                count = IDLE if is_crowded else 0
                idle = [wire.Association(port).connect() for _ in range(count)]
                rates.append(COUNT / run_together([storescu(port, source)]))
                assert {one.echo() for one in idle} <= {wire.SUCCESS}
                for one in idle:
                    one.close()
    what = f"receive {COUNT} CT of 512 KB beside {IDLE} idle associations"
    report.compare(what, beside, "none idle", alone, ASKED_BESIDE_IDLE)


def _crowd(port: int) -> tuple[float, list[int]]:
    """All at once; the seconds it took, and the status of each store."""
    statuses: list[int] = []
    ready = threading.Barrier(CROWD + 1)

    def store(study: list[Instance]) -> None:
        kind = (study[0].sop_class, study[0].transfer_syntax)
        try:
            with wire.storing(port, kind) as association:
                ready.wait(60)
                statuses.extend(
                    association.store(*kind[:1], one.sop_instance, kind[1], one.data_set)
                    for one in study
                )
        except Exception:
            ready.abort()
            raise

    studies = [make_study(EACH, pixels=128) for _ in range(CROWD)]
    threads = [threading.Thread(target=store, args=(one,), daemon=True) for one in studies]
    for thread in threads:
        thread.start()
    ready.wait(60)
    started = time.perf_counter()
    for thread in threads:
        thread.join(120)
    return time.perf_counter() - started, statuses
