"""A large archive of small instances, one a study, made and filled fast."""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from instances import INSTANCE_MARK, SERIES_MARK, as_instance, ct_template, new_uid
from isocenter.archive.archive import INDEX_NAME
from isocenter.archive.catalogue import Catalogue
from isocenter.archive.ingest import Announced
from isocenter.dicom.scanner import Scanner
from isocenter.dicom.syntax import EXPLICIT_LE
from isocenter.storage.attributes import WANTED
from isocenter.storage.blobs import new_key
from isocenter.storage.index import Index
from isocenter.storage.records import Incoming

WRITERS = 4
AHEAD = 500
MODALITIES = ("CT", "MR", "US", "CR", "DX", "MG", "XA", "NM", "PT")
FAMILIES = 4000
PARTS = ("Abdomen", "Ankle", "Breast", "Head", "Hip", "Knee", "Neck", "Spine", "Thorax", "Wrist")
HOW = ("follow-up", "plain", "screening", "with contrast")
GIVEN = ("Anna", "Bert", "Carl", "Dora", "Emil", "Fred", "Gina", "Hans", "Irma", "Jens")
FIRST_DAY = date(2005, 1, 1)
MARKS = {
    "PatientName": "FAMILY00^GIVN",
    "PatientID": "PATIENT00X",
    "PatientBirthDate": "19010203",
    "StudyDate": "19020304",
    "AccessionNumber": "ACCESSN00X",
    "StudyID": "STUDY00X",
    "StudyInstanceUID": "2.25.100000000000000000000000000000000000003",
    "Modality": "ZZ",
    "StudyDescription": "DESCRIPTION OF THIS STUDY 0000",
    "InstitutionName": "INSTITUTION 000",
}


@dataclass(frozen=True)
class Study:
    """What a study of the catalogue is found by; every length is that of its mark."""

    number: int

    def values(self) -> dict[str, str]:
        chance = random.Random(self.number)
        patient = self.number // 3  # three studies a patient
        own = random.Random(patient)
        born = date(1930, 1, 1) + timedelta(days=own.randrange(30_000))
        day = FIRST_DAY + timedelta(days=chance.randrange(7000))
        modality = chance.choice(MODALITIES)
        what = f"{chance.choice(PARTS)} {chance.choice(HOW)}"
        return {
            "PatientName": f"FAM{own.randrange(FAMILIES):05d}^{own.choice(GIVEN)}",
            "PatientID": f"PAT{patient:07d}",
            "PatientBirthDate": f"{born:%Y%m%d}",
            "StudyDate": f"{day:%Y%m%d}",
            "AccessionNumber": f"ACC{self.number:07d}",
            "StudyID": f"S{self.number:07d}",
            "StudyInstanceUID": f"2.25.1{self.number:038d}",
            "Modality": modality,
            "StudyDescription": f"{what:25} {patient % 10_000:04}",
            "InstitutionName": f"Hospital {chance.randrange(40):02}    ",
        }


def _files(start: int, end: int) -> Iterator[tuple[str, bytes]]:
    """SOP Instance UID and data set of each study from ``start`` to ``end``."""
    image = ct_template(8, **MARKS)
    model = as_instance(image).data_set
    for number in range(start, end):
        uid = new_uid()
        data = model.replace(INSTANCE_MARK.encode(), uid.encode())
        data = data.replace(SERIES_MARK.encode(), new_uid().encode())
        for keyword, value in Study(number).values().items():
            data = data.replace(MARKS[keyword].encode(), value.encode())
        yield uid, data


def prepare(data: Path, studies: int) -> float:
    """Fill the index in the data folder with ``studies`` studies; return instances a second.

    Each goes by the scanner, the catalogue and the writer, as when it is received; only its bytes
    are left out, since no query reads them.
    """
    data.mkdir(parents=True, exist_ok=True)
    index = Index.open(data / INDEX_NAME)
    try:
        started = time.perf_counter()
        bounds = [studies * n // WRITERS for n in range(WRITERS + 1)]
        with ThreadPoolExecutor(WRITERS) as pool:
            for job in [pool.submit(_fill, index, *bounds[n : n + 2]) for n in range(WRITERS)]:
                job.result()
        return studies / (time.perf_counter() - started)
    finally:
        index.close()


def _fill(index: Index, start: int, end: int) -> None:
    catalogue, waiting = Catalogue(), 0
    for uid, data_set in _files(start, end):
        scanner = Scanner(EXPLICIT_LE, WANTED)
        scanner.feed(data_set)
        scanner.finish()
        drawn = catalogue.draw(scanner, Announced(EXPLICIT_LE.uid))
        identity, digest = drawn.identity, uid.encode()[-32:]
        entered = index.submit(
            Incoming(
                attributes=drawn.attributes,
                transfer_syntax=EXPLICIT_LE.uid,
                blob_key=new_key(identity.study, identity.series, identity.instance, digest),
                size=len(data_set),
                digest=digest,
                dataset_offset=0,
                upper=drawn.upper,
            )
        )
        if (waiting := waiting + 1) == AHEAD:
            entered.result()
            waiting = 0
