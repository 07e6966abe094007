"""The index at a size: ``python -m bench.index_rates [--studies N] [--at PATH]``.

Builds an index of N studies, then times the first page of 100 for each key that is searched by
index, storing there against storing into an empty index, and one instance alone.
"""

import argparse
import asyncio
import gc
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from isocenter.storage.attributes import BY_KEYWORD, Level
from isocenter.storage.index import Index
from isocenter.storage.query import Key, Query
from isocenter.storage.records import Incoming

SURNAMES = [
    "Smith",
    "Müller",
    "Nguyen",
    "Kowalski",
    "Øster",
    "García",
    "Andersson",
    "Rossi",
    "Novák",
    "Schmidt",
    "Meyer",
    "Tanaka",
    "Ivanov",
    "Silva",
    "Dubois",
    "Jansen",
    "Papadopoulos",
    "Haddad",
    "Cohen",
    "O'Brien",
    "MacDonald",
    "Fischer",
    "Weber",
    "Schneider",
    "Wagner",
]
FIRST_NAMES = (
    "Anna Jörg Mary José Linh Piotr Åse Chloé Hans Fatima David Yuki Olga Marco Eva Tom".split()  # noqa: SIM905
)
MODALITIES = ("CT", "MR", "CR", "DX", "US", "MG", "NM", "PT")
CLASSES = {each: f"1.2.840.10008.5.1.4.1.1.{number}" for number, each in enumerate(MODALITIES, 2)}


def _element(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)}


def surname(number: int) -> str:
    """A surname out of some thousands."""
    return (
        SURNAMES[number % len(SURNAMES)]
        + "aeiou"[number % 5] * (number % 2)
        + chr(97 + number % 26)
    )


def attributes(study: int, instance: int, patients: int) -> dict[str, Any]:
    """An instance of a study; some 30 attributes."""
    patient = study % patients
    day = random.Random(study)
    modality = MODALITIES[study % 7] if study % 5_000 else "PT"
    date = f"{day.randrange(2015, 2025)}{day.randrange(1, 13):02d}{day.randrange(1, 29):02d}"
    root = f"1.2.826.0.1.3680043.9.{study}"
    return {
        "00080005": _element("CS", "ISO_IR 192"),
        "00080008": _element("CS", "ORIGINAL", "PRIMARY", "AXIAL"),
        "00080016": _element("UI", CLASSES[modality]),
        "00080018": _element("UI", f"{root}.1.{instance}"),
        "00080020": _element("DA", date),
        "00080023": _element("DA", date),
        "00080030": _element("TM", f"{day.randrange(24):02d}{day.randrange(60):02d}00"),
        "00080033": _element("TM", "101501.12"),
        "00080050": _element("SH", f"A{study:08d}"),
        "00080060": _element("CS", modality),
        "00080070": _element("LO", "ACME"),
        "00080080": _element("LO", "General Hospital"),
        "00080090": _element("PN", {"Alphabetic": f"Referrer^{surname(study % 97)}"}),
        "00081030": _element("LO", "Thorax routine"),
        "0008103E": _element("LO", "axial 1 mm"),
        "00100010": _element(
            "PN",
            {"Alphabetic": f"{surname(patient)}^{FIRST_NAMES[patient // 7 % 16]}^{patient}"},
        ),
        "00100020": _element("LO", f"P{patient:07d}"),
        "00100021": _element("LO", "HOSP"),
        "00100030": _element(
            "DA", f"{1930 + patient % 80}{1 + patient % 12:02d}{1 + patient % 28:02d}"
        ),
        "00100040": _element("CS", "MF"[patient % 2]),
        "00180015": _element("CS", "CHEST"),
        "0020000D": _element("UI", root),
        "0020000E": _element("UI", f"{root}.1"),
        "00200010": _element("SH", f"S{study}"),
        "00200011": _element("IS", 1),
        "00200013": _element("IS", instance),
        "00280010": _element("US", 512),
        "00280011": _element("US", 512),
        "00280100": _element("US", 16),
        "00400275": _element("SQ", {"00400009": _element("SH", f"SPS{study}")}),
    }


def incoming(study: int, instance: int, patients: int) -> Incoming:
    """An instance as ingest hands it over."""
    held = attributes(study, instance, patients)
    key = f"{study:08x}/{instance}"
    return Incoming(held, "1.2.840.10008.1.2.1", key, 526_336, key.encode(), 400)


def fill(index: Index, wanted: Iterable[Incoming]) -> float:
    """Store all, 200 in flight; return instances per second."""
    begun, number, waiting = time.perf_counter(), 0, []
    for each in wanted:
        waiting.append(index.submit(each))
        number += 1
        if len(waiting) == 200:
            for future in waiting[:100]:
                future.result()
            del waiting[:100]
    for future in waiting:
        future.result()
    return number / (time.perf_counter() - begun)


def mix(first: int, studies: int, patients: int) -> list[Incoming]:
    """4,000 slices of ``studies`` new series, interleaved as parallel senders interleave them."""
    return [
        incoming(study, instance, patients)
        for instance in range(4_000 // studies)
        for study in range(first, first + studies)
    ]


def rates(empty: Index, there: Index, patients: int) -> None:
    """Store into both by turns, so that what else the machine does falls on both."""
    first = time.time_ns() // 1_000
    for studies in (4, 100):
        pairs = []
        for turn in range(5):
            rate = [fill(each, mix(first, studies, patients)) for each in (empty, there)]
            first += studies
            pairs.append((rate[1] / rate[0], *rate) if turn else (0.0, 0.0, 0.0))
        ratio, _, _ = sorted(pairs[1:])[2]
        best = [max(each[place] for each in pairs) for place in (1, 2)]
        print(
            f"{studies:4} series at once: empty {best[0]:,.0f} instances/s, there {best[1]:,.0f};"
            f" median ratio {ratio:.2f}"
        )


def keys(studies: int, patients: int) -> dict[str, Callable[[random.Random], dict[str, str]]]:
    """What is asked, by name."""

    def uid(pick: random.Random) -> str:
        return f"1.2.826.0.1.3680043.9.{pick.randrange(studies)}"

    def name(pick: random.Random) -> str:
        return surname(pick.randrange(patients))

    return {
        "nothing (newest)": lambda pick: {},
        "PatientID": lambda pick: {"PatientID": f"P{pick.randrange(patients):07d}"},
        "PatientID=P00001*": lambda pick: {"PatientID": f"P{pick.randrange(patients) // 100:05d}*"},
        "PatientName exact": lambda pick: {
            "PatientName": f"{name(pick)}^Anna^{pick.randrange(1_009)}"
        },
        "PatientName=Smi*": lambda pick: {"PatientName": f"{name(pick)[:3]}*"},
        "PatientName=S*": lambda pick: {"PatientName": f"{name(pick)[:1]}*"},
        "PatientName=*mith*": lambda pick: {"PatientName": f"*{name(pick)[1:5]}*"},
        "PatientName=*th*": lambda pick: {"PatientName": f"*{name(pick)[2:4]}*"},
        "PatientName absent": lambda pick: {"PatientName": "*Xqxqx*"},
        "PatientBirthDate": lambda pick: {"PatientBirthDate": f"{1930 + pick.randrange(80)}0101"},
        "StudyDate": lambda pick: {
            "StudyDate": f"20{pick.randrange(15, 25)}0{pick.randrange(1, 10)}11"
        },
        "StudyDate month": lambda pick: {"StudyDate": "20190401-20190430"},
        "AccessionNumber": lambda pick: {"AccessionNumber": f"A{pick.randrange(studies):08d}"},
        "StudyID": lambda pick: {"StudyID": f"S{pick.randrange(studies)}"},
        "StudyInstanceUID": lambda pick: {"StudyInstanceUID": uid(pick)},
        "SeriesInstanceUID": lambda pick: {"SeriesInstanceUID": uid(pick) + ".1"},
        "SOPInstanceUID": lambda pick: {"SOPInstanceUID": uid(pick) + ".1.0"},
        "ModalitiesInStudy=MR": lambda pick: {"ModalitiesInStudy": "MR"},
        "ModalitiesInStudy=PT (rare)": lambda pick: {"ModalitiesInStudy": "PT"},
        "ModalitiesInStudy=XA (absent)": lambda pick: {"ModalitiesInStudy": "XA"},
        "SOPClassesInStudy": lambda pick: {"SOPClassesInStudy": CLASSES["MR"]},
        "ReferringPhysicianName=Ref*": lambda pick: {"ReferringPhysicianName": "Referrer*"},
        "name + month + modality": lambda pick: {
            "PatientName": f"{name(pick)[:3]}*",
            "StudyDate": "20190401-20190430",
            "ModalitiesInStudy": "CT",
        },
        "year + modality": lambda pick: {
            "StudyDate": "20190101-20191231",
            "ModalitiesInStudy": "US",
        },
    }


async def first_page(index: Index, level: Level, asked: dict[str, str]) -> tuple[float, int]:
    """Milliseconds for the first page of 100, and its length."""
    wanted = tuple(Key(BY_KEYWORD[word].tag, value) for word, value in asked.items())
    begun = time.perf_counter()
    found = 0
    async for page in index.search(Query(level=level, keys=wanted, limit=100)):
        found += len(page)
    return (time.perf_counter() - begun) * 1e3, found


async def searches(index: Index, studies: int, patients: int) -> None:
    pick = random.Random(1)
    for level in (Level.STUDY, Level.PATIENT, Level.SERIES, Level.IMAGE):
        print(f"\n{level.name}: first page of 100, ms      median     p95     max    rows")
        for label, ask in keys(studies, patients).items():
            timed = sorted([await first_page(index, level, ask(pick)) for _ in range(30)])
            spent = [each for each, _ in timed]
            median, rows = statistics.median(spent), statistics.mean(found for _, found in timed)
            print(f"  {label:34}{median:10.2f}{spent[28]:8.2f}{spent[29]:8.2f}{rows:8.0f}")


def alone(index: Index, patients: int) -> float:
    """Milliseconds from submit to done of one instance at a time, the median of 300."""
    spent = []
    study = time.time_ns()
    for instance in range(300):
        each = incoming(study, instance, patients)
        begun = time.perf_counter()
        index.submit(each).result()
        spent.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(spent)


def run(folder: Path, studies: int) -> None:
    """Build what is missing, then measure."""
    patients = max(studies * 2 // 5, 1)
    (folder / "empty.sqlite").unlink(missing_ok=True)
    empty, index = Index.open(folder / "empty.sqlite"), Index.open(folder / "index.sqlite")
    gc.collect()
    gc.freeze()
    try:
        if asyncio.run(index.count(Query(level=Level.STUDY))) < studies:
            every = (
                incoming(study, instance, patients)
                for study in range(studies)
                for instance in range(1 + study % 3)
            )
            print(f"building {studies:,} studies: {fill(index, every):,.0f} instances/s")
        rates(empty, index, patients)
        spent = [alone(each, patients) for each in (empty, index)]
        print(f"alone: empty {spent[0]:.3f} ms, there {spent[1]:.3f} ms")
        asyncio.run(searches(index, studies, patients))
    finally:
        empty.close()
        index.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--at", type=Path, help="keep the index in this folder")
    options = parser.parse_args()
    if options.at:
        options.at.mkdir(parents=True, exist_ok=True)
        run(options.at, options.studies)
        return
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), options.studies)


if __name__ == "__main__":
    main()
