"""How many stored slices of 512 KB a second come back by C-GET and by C-MOVE.

The receivers (getscu, storescp) throw away what they get, for they would else be the limit.
"""

from pathlib import Path

from bench.contestants import (
    alternating,
    fresh_isocenter,
    fresh_orthanc,
    make_folders,
    run_together,
    storescu,
)
from bench.report import Report
from instances import read_instance
from peers import Isocenter, Orthanc, Peer, find_program, start_storescp

COUNT = 500
ASKED = 1.3
NAMES = ("Isocenter", "Orthanc")


def measure(report: Report, folder: Path, rounds: int) -> None:
    (source,) = make_folders(folder / "from", COUNT)
    study = read_instance(next(source.iterdir()).read_bytes()).study
    receiver = start_storescp(folder / "receiver", "--ignore", "-pdu", "131072")
    running: list[Isocenter | Orthanc | Peer] = [receiver]
    try:
        ours = fresh_isocenter(folder / "ours", [receiver.address])
        running.append(ours)
        theirs = fresh_orthanc(folder / "theirs")
        running.append(theirs)
        theirs.introduce("receiver", receiver.aet, receiver.port)
        ports = {"Isocenter": ours.dicom_port, "Orthanc": theirs.port}
        for port in ports.values():
            run_together([storescu(port, source)])
        keys = ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}"]
        commands = {
            "C-GET": ["getscu", "--ignore", "-pdu", "131072", *keys],
            "C-MOVE": ["movescu", "-aem", receiver.aet, *keys],
        }
        for what, (tool, *options) in commands.items():
            rates: dict[str, list[float]] = {name: [] for name in NAMES}
            for name in alternating(NAMES, rounds):
                command = [
                    find_program(tool),
                    *options,
                    "-aec",
                    "ISOCENTER",
                    "127.0.0.1",
                    str(ports[name]),
                ]
                rates[name].append(COUNT / run_together([command]))
                print(f"    {name}: {rates[name][-1]:.0f}/s", flush=True)
            title = f"give back {COUNT} CT of 512 KB by {what}"
            report.compare(title, rates["Isocenter"], "Orthanc", rates["Orthanc"], ASKED)
    finally:
        for one in reversed(running):
            one.stop()
