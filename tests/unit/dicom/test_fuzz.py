"""Real headers with a few bytes changed: nothing but Malformed and Unsupported may come out."""

import random
from contextlib import suppress
from pathlib import Path

import pydicom
import pytest

from faults_allowed import nothing_worse_than_malformed
from isocenter.dicom import charset, dump, part10
from isocenter.dicom.elements import elements
from isocenter.dicom.encoding import encode
from isocenter.dicom.json_model import to_json
from isocenter.dicom.reencode import Reencoder
from isocenter.dicom.scanner import Scanner
from isocenter.dicom.syntax import EXPLICIT_BE, EXPLICIT_LE
from isocenter.errors import Malformed, Unsupported

SEED = 20261122
ROUNDS = 40
NAMES = [
    "CT_small.dcm",
    "MR_small_bigendian.dcm",
    "rtplan.dcm",
    "test-SR.dcm",
    "image_dfl.dcm",
    "DICOMDIR",
    "693_J2KI.dcm",
]
INTERESTING = [
    b"\xff\xff\xff\xff",
    b"\0\0",
    b"\xfe\xff\x00\xe0",
    b"\xfe\xff\x0d\xe0",
    b"SQ\0\0",
    b"UN",
]


def mutated(data: bytes, chance: random.Random) -> bytes:
    found = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(128, len(found))
        match chance.randrange(3):
            case 0:
                found[at] = chance.randrange(256)
            case 1:
                new = chance.choice(INTERESTING)
                found[at : at + len(new)] = new
            case _:
                del found[at : at + chance.randint(1, 9)]
    return bytes(found)


def use(data: bytes) -> None:
    header = part10.read(data)
    body = data[header.dataset_offset :]
    with suppress(Malformed):
        scanner = Scanner(header.syntax, frozenset({0x00080005, 0x00100010, 0x0040A730}))
        for at in range(0, len(body), 777):
            scanner.feed(body[at : at + 777])
        scanner.finish()
    with suppress(Malformed):
        for _ in dump.lines(elements(body, header.syntax)):
            pass
    with suppress(Malformed, Unsupported):
        reencoder = Reencoder(header.syntax, EXPLICIT_BE)
        reencoder.feed(body)
        reencoder.finish()
    model = to_json(elements(body, header.syntax))
    with suppress(Malformed, Unsupported):
        encode(model, EXPLICIT_LE, charset.UTF_8)


@pytest.mark.parametrize("name", NAMES)
def test_changed_bytes_give_nothing_worse_than_malformed(name):
    path = pydicom.data.get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"this pydicom comes without {name}")
    whole = Path(path).read_bytes()[:20_000]
    chance = random.Random(f"{SEED} {name}")

    for _ in range(ROUNDS):
        with nothing_worse_than_malformed():
            use(mutated(whole, chance))
