"""Whatever is done to the index, its counters and gathered columns equal what is counted anew."""

import asyncio
import contextlib
from pathlib import Path

from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import Connection

from isocenter.errors import Conflict
from isocenter.storage.contents import fingerprint_of
from isocenter.storage.index import Index
from isocenter.storage.records import Incoming, OnConflict, Selection
from unit.storage.made import CT, MR, incoming, remove_for_good

DIFFERENCES = """
    SELECT 'series', pk FROM series s WHERE (instances, bytes) <> (
        SELECT count(*), coalesce(sum(size), 0) FROM instance WHERE series_fk = s.pk)
        OR instances = 0
    UNION ALL SELECT 'study', pk FROM study s WHERE (series, instances, bytes) <> (
        SELECT count(*), coalesce(sum(instances), 0), coalesce(sum(bytes), 0)
        FROM series WHERE study_fk = s.pk) OR series = 0
    UNION ALL SELECT 'patient', pk FROM patient p WHERE (studies, series, instances, bytes) <> (
        SELECT count(*), coalesce(sum(series), 0), coalesce(sum(instances), 0),
        coalesce(sum(bytes), 0) FROM study WHERE patient_fk = p.pk) OR studies = 0
    UNION ALL SELECT 'modalities', pk FROM study s WHERE modalities <> coalesce((
        SELECT group_concat(modality, '\\') FROM (SELECT DISTINCT modality FROM series
        WHERE study_fk = s.pk AND modality <> '' ORDER BY modality)), '')
    UNION ALL SELECT 'modality rows', pk FROM study s WHERE modalities <> coalesce((
        SELECT group_concat(modality, '\\') FROM (SELECT modality FROM study_modality
        WHERE study_fk = s.pk AND study_date = s.study_date AND study_time = s.study_time
        ORDER BY modality)), '')
    UNION ALL SELECT 'classes', pk FROM study s WHERE sop_classes <> coalesce((
        SELECT group_concat(uid, '\\') FROM (SELECT DISTINCT sop_class_uid AS uid FROM instance i
        JOIN series ON series.pk = i.series_fk WHERE study_fk = s.pk ORDER BY uid)), '')
    UNION ALL SELECT 'class rows', pk FROM study s WHERE sop_classes <> coalesce((
        SELECT group_concat(uid, '\\') FROM (SELECT sop_class_uid AS uid FROM study_sop_class
        WHERE study_fk = s.pk ORDER BY uid)), '')
    UNION ALL SELECT 'nameless', pk FROM person_name p WHERE NOT EXISTS (
        SELECT 1 FROM study_name WHERE name_fk = p.pk
        UNION SELECT 1 FROM patient_name WHERE name_fk = p.pk)
    UNION ALL SELECT 'blob both there and removed', instance.pk FROM instance
        JOIN removed ON removed.blob_key = instance.blob_key
"""

PATIENTS = ("P1", "P2", None)
STUDIES = ("1.1", "1.2")
SERIES = ("1.1.1", "1.1.2", "1.2.1")
INSTANCES = ("2.1", "2.2", "2.3", "2.4")

instances = st.builds(
    incoming,
    st.sampled_from(["", "x", "yy"]),
    PatientID=st.sampled_from(PATIENTS),
    PatientName=st.sampled_from(["Doe^Jane", "Roe", None]),
    StudyInstanceUID=st.sampled_from(STUDIES),
    SeriesInstanceUID=st.sampled_from(SERIES),
    SOPInstanceUID=st.sampled_from(INSTANCES),
    Modality=st.sampled_from(["CT", "MR", None]),
    SOPClassUID=st.sampled_from([CT, MR]),
    StudyDate=st.sampled_from(["20200101", "20210101", None]),
)
removals = st.one_of(
    st.builds(Selection, patient_id=st.sampled_from(["P1", "P2"])),
    st.builds(Selection, studies=st.tuples(st.sampled_from(STUDIES))),
    st.builds(Selection, series=st.tuples(st.sampled_from(SERIES))),
    st.builds(Selection, instances=st.lists(st.sampled_from(INSTANCES), min_size=1).map(tuple)),
)
steps = st.lists(
    st.tuples(instances, st.sampled_from([OnConflict.KEEP, OnConflict.REPLACE])) | removals,
    max_size=14,
)


async def take(index: Index, step: tuple[Incoming, OnConflict] | Selection) -> None:
    if isinstance(step, Selection):
        with contextlib.suppress(Conflict):  # the study is of two patients
            await remove_for_good(index, step)
    else:
        with contextlib.suppress(Conflict):  # it is there, of another patient
            await index.store(*step)


def differences(connection: Connection) -> list[object]:
    found: list[object] = list(connection.exec_driver_sql(DIFFERENCES).all())
    found += connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    sums: dict[int, int] = {}
    for pk, blob_key in connection.exec_driver_sql("SELECT series_fk, blob_key FROM instance"):
        sums[pk] = (sums.get(pk, 0) + fingerprint_of(blob_key)) % (1 << 62)
    kept = connection.exec_driver_sql("SELECT pk, fingerprint FROM series").all()
    found += [("fingerprint", pk) for pk, fingerprint in kept if fingerprint != sums.get(pk)]
    return found


@given(steps)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_counters_are_right_after_anything(
    index: Index, taken: list[tuple[Incoming, OnConflict] | Selection]
) -> None:
    async def run() -> None:
        for step in taken:
            await take(index, step)
            with index._reading.connect() as connection:
                assert differences(connection) == []
        for patient in ("P1", "P2"):
            await remove_for_good(index, Selection(patient_id=patient))
        for study in STUDIES:
            await remove_for_good(index, Selection(studies=(study,)))

    asyncio.run(run())

    with index._reading.connect() as connection:
        for table in ("patient", "study", "series", "instance", "person_name", "name_word"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 0


async def test_the_full_text_index_is_in_step_with_the_names(index: Index) -> None:
    for number in range(20):
        await index.store(
            incoming(
                PatientID=f"P{number}",
                PatientName=f"Name{number % 7}^X",
                StudyInstanceUID=f"1.{number}",
                SOPInstanceUID=f"2.{number}",
            )
        )
    await index.remove(Selection(patient_id="P3"))

    with index._writing.connect() as connection:
        connection.exec_driver_sql(
            "INSERT INTO person_name_gram(person_name_gram) VALUES ('integrity-check')"
        )


def test_the_index_opens_where_its_folder_has_an_odd_name(tmp_path: Path) -> None:
    folder = tmp_path / "50% ü?#"
    folder.mkdir()

    Index.open(folder / "index.sqlite").close()

    assert [each.name for each in folder.iterdir()] == ["index.sqlite"]
