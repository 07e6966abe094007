"""A large archive of small instances, one a study, made and filled fast."""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import wire
from instances import INSTANCE_MARK, SERIES_MARK, as_instance, ct_template, new_uid
from peers import Isocenter

SENDERS = 4
MODALITIES = ("CT", "MR", "US", "CR", "DX", "MG", "XA", "NM", "PT")
FAMILIES = 4000
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
        return {
            "PatientName": f"FAM{own.randrange(FAMILIES):05d}^{own.choice(GIVEN)}",
            "PatientID": f"PAT{patient:07d}",
            "PatientBirthDate": f"{born:%Y%m%d}",
            "StudyDate": f"{day:%Y%m%d}",
            "AccessionNumber": f"ACC{self.number:07d}",
            "StudyID": f"S{self.number:07d}",
            "StudyInstanceUID": f"2.25.1{self.number:038d}",
            "Modality": chance.choice(MODALITIES),
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


def fill(port: int, start: int, end: int) -> None:
    """C-STORE the studies from ``start`` to ``end`` over one association."""
    sop_class = ct_template(8).SOPClassUID
    window = wire.operations_window(8, 1)
    contexts = [(str(sop_class), (wire.EXPLICIT,))]
    with wire.Association(port, contexts, user_items=window) as association:
        waiting = 0
        for uid, data_set in _files(start, end):
            association.send_store(1, str(sop_class), uid, data_set)
            waiting += 1
            if waiting == 8:
                assert association.receive_message().status == wire.SUCCESS
                waiting -= 1
        for _ in range(waiting):
            assert association.receive_message().status == wire.SUCCESS


def prepare(data: Path, studies: int) -> float:
    """Fill the data folder with ``studies`` studies; return instances a second.

    Goes in by C-STORE from four senders, as from any modality. May be replaced by something quicker
    that leaves the same index.
    """
    server = Isocenter(data.parent, data_folder=data).start()
    try:
        started = time.perf_counter()
        bounds = [studies * n // SENDERS for n in range(SENDERS + 1)]
        with ProcessPoolExecutor(SENDERS) as pool:
            jobs = [
                pool.submit(fill, server.dicom_port, *bounds[n : n + 2]) for n in range(SENDERS)
            ]
            for job in jobs:
                job.result()
        return studies / (time.perf_counter() - started)
    finally:
        server.stop()
