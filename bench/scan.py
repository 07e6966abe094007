"""How long the scanner, the JSON model and re-encoding take: ``python -m bench.scan``.

The data set is a CT header of 120 elements, of which 40 are wanted, typed here.
"""

import timeit
from collections.abc import Callable
from functools import partial
from struct import pack

from pydicom._dicom_dict import DicomDictionary

from isocenter.dicom.elements import elements
from isocenter.dicom.encoding import encode
from isocenter.dicom.json_model import raw_to_json, to_json
from isocenter.dicom.reencode import Reencoder
from isocenter.dicom.scanner import Scanner
from isocenter.dicom.syntax import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, TransferSyntax

WANTED_COUNT = 40
ELEMENT_COUNT = 120
PIECE = 16_384
PIXEL_DATA = b"\xe0\x7f\x10\x00OW\0\0" + pack("<I", 0xFFFFFFF0)
SHORT: dict[str, object] = {
    "CS": "ORIGINAL",
    "UI": "1.2.840.113619.2.55.3",
    "LO": "HEAD",
    "DA": "20261122",
    "TM": "120000",
    "DS": 0.5,
    "IS": 100,
    "SH": "A1",
    "US": 512,
}


def header() -> dict[str, dict[str, object]]:
    """Give a header of as many elements as a CT's, in the groups and VRs of one."""
    groups = {0x0008: 30, 0x0010: 15, 0x0018: 40, 0x0020: 17, 0x0028: 18}
    found: dict[str, dict[str, object]] = {}
    for group, count in groups.items():
        tags = [tag for tag in DicomDictionary if tag >> 16 == group and tag & 0xFFFF > 5]
        known = [tag for tag in tags if DicomDictionary[tag][0] in SHORT][:count]
        for tag in known:
            vr = DicomDictionary[tag][0]
            found[f"{tag:08X}"] = {"vr": vr, "Value": [SHORT[vr]]}
    return found


def microseconds(run: Callable[[], object], rounds: int = 300) -> float:
    """Give the best of five, for one run."""
    return min(timeit.repeat(run, number=rounds, repeat=5)) / rounds * 1e6


def show(what: str, run: Callable[[], object], rounds: int = 300) -> None:
    print(f"{what:36}{microseconds(run, rounds):9.2f} us")


def main() -> None:
    model = header()
    data = encode(model, EXPLICIT_LE, "")
    implicit = encode(model, IMPLICIT_LE, "")
    wanted = frozenset(int(tag, 16) for tag in list(model)[:: ELEMENT_COUNT // WANTED_COUNT])

    def scan(content: bytes = data, syntax: TransferSyntax = EXPLICIT_LE) -> Scanner:
        scanner = Scanner(syntax, wanted)
        scanner.feed(content)
        scanner.finish()
        return scanner

    print(f"{len(model)} elements, {len(wanted)} wanted, {len(data)} bytes")
    show("scan, explicit VR", scan)
    show("scan, implicit VR", lambda: scan(implicit, IMPLICIT_LE))
    show("walk, explicit VR", lambda: list(elements(data, EXPLICIT_LE)))
    show("whole header to JSON", lambda: to_json(elements(data, EXPLICIT_LE)))

    scanner = Scanner(EXPLICIT_LE, wanted)
    scanner.feed(data + PIXEL_DATA)
    piece = memoryview(bytes(PIECE))
    show("16 KiB of pixel data", lambda: scanner.feed(piece), 10_000)

    values = scan().values
    twenty = sorted(values)[:20]
    answer = raw_to_json(values, twenty)
    show("20 values to JSON", lambda: raw_to_json(values, twenty))
    show("20 attributes to bytes", lambda: encode(answer, EXPLICIT_LE))

    megabyte = memoryview(bytes(1 << 20))
    for target in (IMPLICIT_LE, EXPLICIT_BE):
        reencoder = Reencoder(EXPLICIT_LE, target)
        reencoder.feed(PIXEL_DATA)
        show(f"1 MiB to {target.name}", partial(reencoder.feed, megabyte), 20)


if __name__ == "__main__":
    main()
