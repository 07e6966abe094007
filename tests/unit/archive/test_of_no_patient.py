"""Instances of no patient (PS3.4 GG): kept and given back, and in nobody's study."""

import pytest

from isocenter.archive.archive import Archive
from isocenter.dicom.sop_classes import NON_PATIENT
from isocenter.errors import Mismatch
from isocenter.storage.attributes import Level
from isocenter.storage.query import Query
from isocenter.storage.records import Outcome, Selection
from made_instances import Kept, image

HANGING_PROTOCOL = "1.2.840.10008.5.1.4.38.1"
ABSENT = {"StudyInstanceUID": None, "SeriesInstanceUID": None, "PatientID": None}


async def test_an_instance_of_no_patient_is_kept_and_found_by_its_uid_alone(
    archive: Archive, kept: Kept
) -> None:
    stored = await kept.store(image(SOPClassUID=HANGING_PROTOCOL, PatientName=None, **ABSENT))

    assert stored.outcome is Outcome.STORED
    assert await archive.index.count_instances(Selection(instances=("1.2.3.4",))) == 1
    for level in Level:
        assert [page async for page in archive.search(Query(level=level))] == []
        assert await archive.index.count(Query(level=level)) == 0


async def test_it_hides_nobody_else(archive: Archive, kept: Kept) -> None:
    await kept.store(image(SOPClassUID=HANGING_PROTOCOL, PatientName=None, **ABSENT))
    await kept.store(image(instance="1.2.3.5"))

    for level in Level:
        assert await archive.index.count(Query(level=level)) == 1


async def test_an_image_without_a_study_is_refused(kept: Kept) -> None:
    with pytest.raises(Mismatch, match="StudyInstanceUID"):
        await kept.store(image(**ABSENT))


def test_hanging_protocols_are_among_them() -> None:
    assert HANGING_PROTOCOL in NON_PATIENT
