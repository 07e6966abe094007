"""``python -m bench [PART ...] [--rounds N] [--record]``."""

import argparse
from collections.abc import Callable
from pathlib import Path

from bench import (
    big,
    codecs,
    disk,
    give_back,
    index,
    many,
    ohif,
    pages,
    receive,
    rendered,
    send,
    web,
)
from bench.contestants import fresh_folder, workspace
from bench.report import Report, surroundings

Part = Callable[[Report, Path, int], None]
PARTS: dict[str, Part] = {
    "disk": disk.measure,
    "receive": receive.measure,
    "give_back": give_back.measure,
    "send": send.measure,
    "many": many.measure,
    "big": big.measure,
    "web": web.measure,
    "rendered": rendered.measure,
    "ohif": ohif.measure,
    "codecs": codecs.measure,
    "index": index.measure,
    "pages": pages.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("part", nargs="*", choices=[[], *PARTS], help="all of them by default")
    parser.add_argument("--rounds", type=int, default=3, help="medians are of so many")
    parser.add_argument("--record", action="store_true", help="write to docs/benchmarks.md")
    chosen = parser.parse_args()
    report = Report()
    print(surroundings())
    with workspace() as folder:
        for name in chosen.part or PARTS:
            print(f"\n{name}")
            PARTS[name](report, fresh_folder(folder), chosen.rounds)
    print("\n" + report.table())
    if chosen.record:
        report.record()


if __name__ == "__main__":
    main()
