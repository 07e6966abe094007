"""`isocenter send` beside storescu, to a storescp that throws away what it gets.

Both are measured as commands. The time to start is in the first figures; the second are without it:
the time to send a single instance is taken off.
"""

from pathlib import Path
from statistics import median

from bench.contestants import alternating, isocenter_send, make_folders, run_together, storescu
from bench.report import Report
from peers import Peer, start_storescp

COUNT = 1000
ASKED = {16384: 1.0, 131072: 1.8}
NAMES = ("Isocenter", "storescu")


def measure(report: Report, folder: Path, rounds: int) -> None:
    (source,) = make_folders(folder / "from", COUNT)
    (single,) = make_folders(folder / "single", 1)
    for length, asked in ASKED.items():
        receiver = start_storescp(folder / f"to{length}", "--ignore", "-pdu", str(length))
        try:
            whole = _seconds(receiver, source, rounds)
            start = {name: median(some) for name, some in _seconds(receiver, single, 3).items()}
        finally:
            receiver.stop()
        what = f"send {COUNT:,} CT of 512 KB in PDUs of {length // 1024} KB"
        gross = {name: [COUNT / one for one in whole[name]] for name in NAMES}
        net = {name: [(COUNT - 1) / (one - start[name]) for one in whole[name]] for name in NAMES}
        report.compare(f"{what}, start included", gross["Isocenter"], "storescu",
                       gross["storescu"], None)  # fmt: skip
        report.compare(what, net["Isocenter"], "storescu", net["storescu"], asked)


def _seconds(receiver: Peer, source: Path, rounds: int) -> dict[str, list[float]]:
    commands = {
        "Isocenter": isocenter_send(receiver.address, source),
        "storescu": storescu(receiver.port, source, "-aec", receiver.aet),
    }
    seconds: dict[str, list[float]] = {name: [] for name in NAMES}
    for name in alternating(NAMES, rounds):
        seconds[name].append(run_together([commands[name]]))
        print(f"    {name}: {seconds[name][-1]:.2f} s", flush=True)
    return seconds
