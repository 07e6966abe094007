"""How many slices of 512 KB a second are taken, by one sender and by four."""

from pathlib import Path

from bench.contestants import (
    alternating,
    contestant,
    make_folders,
    run_together,
    storescu,
)
from bench.report import Report

NAMES = ("Isocenter", "Orthanc", "storescp")
DEFAULT_NAMES = ("Isocenter", "default storescp")
COUNT = 1000
DEFAULT_COUNT = 300
ASKED = {(1, "Orthanc"): 5.0, (1, "storescp"): 1.0, (4, "Orthanc"): 8.0}
ASKED_DEFAULT = 20.0


def measure(report: Report, folder: Path, rounds: int) -> None:
    for senders in (1, 4):
        sources = make_folders(folder / f"from{senders}", COUNT, senders)
        rates = _rates(folder, sources, rounds)
        what = f"receive {COUNT:,} CT of 512 KB, {senders} sender{'s' * (senders > 1)}"
        for rival in ("Orthanc", "storescp"):
            report.compare(
                what, rates["Isocenter"], rival, rates[rival], ASKED.get((senders, rival))
            )
    sources = make_folders(folder / "slow", DEFAULT_COUNT)
    rates = _rates(folder, sources, 1, names=DEFAULT_NAMES, is_default=True)
    what = f"receive {DEFAULT_COUNT} from a storescu without TCP_NODELAY"
    report.compare(what, rates["Isocenter"], "storescp", rates[DEFAULT_NAMES[1]], ASKED_DEFAULT)


def _rates(
    folder: Path,
    sources: list[Path],
    rounds: int,
    names: tuple[str, ...] = NAMES,
    *,
    is_default: bool = False,
) -> dict[str, list[float]]:
    """Instances a second, a list of rounds for each contestant."""
    count = sum(len(list(source.iterdir())) for source in sources)
    rates: dict[str, list[float]] = {name: [] for name in names}
    for name in alternating(names, rounds):
        with contestant(name, folder / "to") as (_, port):
            commands = [storescu(port, source) for source in sources]
            seconds = run_together(commands, is_default=is_default)
        rates[name].append(count / seconds)
        print(f"    {name}: {rates[name][-1]:.0f}/s", flush=True)
    return rates
