"""What storing makes of instances: rows, warnings, changes."""

from dataclasses import replace
from typing import Any

import pytest

from isocenter.errors import Conflict, Malformed, NotFound, Unavailable
from isocenter.storage.attributes import Level
from isocenter.storage.index import Index
from isocenter.storage.records import ChangeKind, OnConflict, Outcome, Selection, Stored, Warned
from isocenter.storage.removal_records import Order
from isocenter.storage.removing import Remove
from unit.storage.made import (
    CT,
    EXPLICIT,
    MR,
    found,
    incoming,
    query,
    remove_for_good,
    store,
    values,
)

STORED = Stored(Outcome.STORED)


async def test_what_was_stored_is_there(index: Index) -> None:
    instance = incoming(SOPInstanceUID="1.5", StudyInstanceUID="1.3", SeriesInstanceUID="1.4")

    assert await index.store(instance) == STORED

    there = await index.lookup("1.5")
    assert (there.sop_class_uid, there.sop_instance_uid) == (CT, "1.5")
    assert (there.study_instance_uid, there.series_instance_uid) == ("1.3", "1.4")
    assert (there.transfer_syntax, there.dataset_offset) == (EXPLICIT, 400)
    assert (there.blob_key, there.size) == (instance.blob_key, instance.size)
    assert there.digest == instance.digest


async def test_what_was_not_stored_is_not_found(index: Index) -> None:
    with pytest.raises(NotFound):
        await index.lookup("1.5")


@pytest.mark.parametrize(
    "missing", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"]
)
async def test_an_instance_without_a_unique_key_is_malformed(index: Index, missing: str) -> None:
    nothings: list[Any] = [None, [], "", " ", [None]]
    for nothing in nothings:
        with pytest.raises(Malformed, match=missing):
            await index.store(incoming(**{missing: nothing}))


async def test_text_that_is_no_unicode_is_malformed_and_harms_no_other(index: Index) -> None:
    bad = [
        incoming(StudyDescription="\ud800"),
        incoming(PatientID="\ud800"),
        incoming(StationName="\ud800"),
    ]

    for each in bad:
        with pytest.raises(Malformed):
            await index.store(each)

    with pytest.raises(Malformed):
        await index.store(incoming(ImageComments="\ud800"))
    assert await index.count(query()) == 0
    assert await index.store(incoming()) == STORED


async def test_odd_values_are_kept_and_do_not_match(index: Index) -> None:
    await index.store(
        incoming(
            StudyDate="2020-01-01",
            SeriesNumber=10**30,
            InstanceNumber="x",
            PatientBirthDate=[None, "19700101"],
            StudyTime="\0",
        )
    )

    (match,) = await found(index, query(Level.IMAGE))
    assert match.attributes["00080020"] == {"vr": "DA", "Value": ["2020-01-01"]}
    assert await index.count(query(StudyDate="19000101-")) == 0
    assert await index.count(query(StudyDate='""')) == 1


# --- who is who


async def test_patients_are_told_apart_by_id_and_issuer(index: Index) -> None:
    ids: list[dict[str, Any]] = [
        {"PatientID": "1"},
        {"PatientID": "1 ", "IssuerOfPatientID": ""},
        {"PatientID": "1", "IssuerOfPatientID": "A"},
        {"PatientID": "1", "IssuerOfPatientID": "B"},
        {"PatientID": "1", "IssuerOfPatientIDQualifiersSequence": {"UniversalEntityID": "1.2.3"}},
        {"PatientID": "01"},
    ]
    for number, who in enumerate(ids):
        store(index, incoming(StudyInstanceUID=f"1.{number}", SOPInstanceUID=f"2.{number}", **who))

    assert await index.count(query(Level.PATIENT)) == 5
    assert await index.count(query(Level.PATIENT, PatientID="1")) == 4
    assert await index.count(query(Level.PATIENT, PatientID="1", IssuerOfPatientID="A")) == 1


async def test_patients_with_one_id_are_neither_given_back_nor_removed_as_one(index: Index) -> None:
    store(
        index,
        incoming(PatientID="1", IssuerOfPatientID="A", SOPInstanceUID="2.1"),
        incoming(PatientID="1", IssuerOfPatientID="B", SOPInstanceUID="2.2"),
    )

    with pytest.raises(Conflict):
        await index.count_instances(Selection(patient_id="1"))
    with pytest.raises(Conflict):
        await index.remove(Selection(patient_id="1"))
    with pytest.raises(Conflict):
        await index.remove(Selection(studies=("1.2.3.1",)))
    with pytest.raises(Conflict):
        await index.remove(Selection(series=("1.2.3.1.1",)))
    assert await index.count_instances(Selection(patient_id="1", issuer="A")) == 1
    assert (await index.remove(Selection(patient_id="1", issuer="B"))).instances == 1


async def test_strangers_without_an_id_are_never_pooled(index: Index) -> None:
    outcomes = store(
        index,
        incoming(PatientID=None, StudyInstanceUID="1.1", SOPInstanceUID="2.1"),
        incoming(PatientID=None, StudyInstanceUID="1.1", SOPInstanceUID="2.2"),
        incoming(PatientID="", StudyInstanceUID="1.2", SOPInstanceUID="2.3"),
    )

    assert all(each.warnings == (Warned.NO_PATIENT_ID,) for each in outcomes)
    counts = await values(index, query(Level.PATIENT), "NumberOfPatientRelatedInstances")
    assert counts == [1, 2]


async def test_images_of_two_patients_in_one_study_uid_make_two_studies(index: Index) -> None:
    first, second, third = store(
        index,
        incoming(PatientID="1", SOPInstanceUID="2.1"),
        incoming(PatientID="2", SOPInstanceUID="2.2"),
        incoming(PatientID="2", SOPInstanceUID="2.3"),
    )

    assert first.warnings == ()
    assert second.warnings == third.warnings == (Warned.STUDY_OF_TWO_PATIENTS,)
    studies = await found(index, query(StudyInstanceUID="1.2.3.1"))
    assert sorted(
        (each.attributes["00100020"]["Value"][0], each.attributes["00201208"]["Value"][0])
        for each in studies
    ) == [("1", 1), ("2", 2)]
    changes = await index.changes()
    assert changes[1].warnings == (Warned.STUDY_OF_TWO_PATIENTS,)


@pytest.mark.parametrize(
    ("first", "then", "warned"),
    [
        ({"PatientName": "Doe^Jane"}, {"PatientName": "DOE^JANE"}, False),
        ({"PatientName": "Doe^Jane"}, {"PatientName": "Roe^Jane"}, True),
        ({"PatientName": "Doe^Jane"}, {"PatientName": None}, False),
        ({"PatientBirthDate": "19700101"}, {"PatientBirthDate": "19700102"}, True),
        ({"PatientSex": "M"}, {"PatientSex": "F"}, True),
    ],
)
async def test_a_patient_who_differs_from_the_study_is_warned_of(
    index: Index, first: dict[str, Any], then: dict[str, Any], warned: bool
) -> None:
    _, outcome = store(
        index, incoming(SOPInstanceUID="2.1", **first), incoming(SOPInstanceUID="2.2", **then)
    )

    assert outcome.outcome is Outcome.STORED
    assert outcome.warnings == ((Warned.PATIENT_DIFFERS,) if warned else ())


# --- first come, first kept


async def test_later_instances_fill_gaps_and_overwrite_nothing(index: Index) -> None:
    store(
        index,
        incoming(SOPInstanceUID="2.1", StudyDescription="first", PatientName=None, Modality=None),
        incoming(
            SOPInstanceUID="2.2",
            StudyDescription="second",
            StudyDate="20200101",
            PatientName="Doe^Jane",
            SeriesDescription="axial",
            Modality="CT",
        ),
        incoming(SOPInstanceUID="2.3", StudyDate="20210101", PatientName="Roe", Modality="MR"),
    )

    (study,) = await found(index, query(PatientName="doe^jane", StudyDate="20200101"))
    assert study.attributes["00081030"]["Value"] == ["first"]
    assert study.attributes["00080061"]["Value"] == ["CT"]
    assert study.attributes["00080020"]["Value"] == ["20200101"]
    (series,) = await found(index, query(Level.SERIES, Modality="CT"))
    assert series.attributes["0008103E"]["Value"] == ["axial"]
    (patient,) = await found(index, query(Level.PATIENT, PatientName="doe*"))
    assert patient.attributes["00100010"]["Value"] == [{"Alphabetic": "Doe^Jane"}]
    assert await index.count(query(ModalitiesInStudy="CT", StudyDate="20200101")) == 1
    assert await index.count(query(PatientName="roe")) == 0


async def test_gaps_are_filled_also_by_what_the_writer_does_not_remember(
    index: Index, index_path: Any
) -> None:
    store(index, incoming(SOPInstanceUID="2.1"))
    index.close()

    again = Index.open(index_path)
    store(again, incoming(SOPInstanceUID="2.2", StudyDate="20200101"))

    assert await again.count(query(StudyDate="20200101")) == 1
    assert await again.count(query(Level.SERIES)) == 1
    again.close()


async def test_a_backslash_in_a_patient_id_makes_no_two_patients_one(index: Index) -> None:
    # Not allowed in LO (PS3.5 6.2), and yet written: DOMAIN\\NUMBER.
    ids = {"1": ["KH", "4711"], "2": ["KH", "4712"], "3": "KH", "4": "4711"}
    for number, patient in ids.items():
        uids = {"StudyInstanceUID": f"1.{number}", "SOPInstanceUID": f"1.{number}.1"}
        store(index, incoming(PatientID=patient, PatientName=f"Doe^{number}", **uids))

    everybody = await found(index, query(Level.PATIENT))
    asked = await values(index, query(PatientID="KH\\4712"), "StudyInstanceUID")

    assert len(everybody) == 4
    assert asked == ["1.2", "1.3"]  # it is a list of two as well (PS3.4 C.2.2.2.8)
    assert await index.count_instances(Selection(patient_id="KH")) == 1
    assert await index.count_instances(Selection(patient_id="KH\\4711")) == 1


# --- there already


async def test_the_same_bytes_again_change_nothing(index: Index) -> None:
    first, again = store(index, incoming(), incoming())

    assert (first.outcome, again.outcome) == (Outcome.STORED, Outcome.DUPLICATE)
    assert len(await index.changes()) == 1
    assert await values(index, query(), "NumberOfStudyRelatedInstances") == [1]


async def test_the_same_bytes_in_another_transfer_syntax_are_another_instance(
    index: Index,
) -> None:
    wrong = incoming("the same")
    right = replace(wrong, transfer_syntax="1.2.840.10008.1.2.4.70", blob_key="a" * 64)
    store(index, wrong)

    kept = await index.store(right, OnConflict.KEEP)
    with pytest.raises(Conflict):
        await index.store(right, OnConflict.REJECT)
    replaced = await index.store(right, OnConflict.REPLACE)
    again = await index.store(right, OnConflict.REPLACE)

    fates = [each.outcome for each in (kept, replaced, again)]
    assert fates == [Outcome.KEPT, Outcome.REPLACED, Outcome.DUPLICATE]
    assert (await index.lookup("1.2.3.1.1.1")).transfer_syntax == right.transfer_syntax


async def test_other_bytes_are_not_taken_by_default_and_noted(index: Index) -> None:
    first = incoming("first")
    store(index, first)

    outcome = await index.store(incoming("second"))

    assert outcome == Stored(Outcome.KEPT, (Warned.OTHER_BYTES,))
    assert (await index.lookup("1.2.3.1.1.1")).digest == first.digest
    kinds = [change.kind for change in await index.changes()]
    assert kinds == [ChangeKind.STORED, ChangeKind.CONFLICT]


@pytest.mark.parametrize(
    "place",
    [
        {"PatientID": "P2"},
        {"IssuerOfPatientID": "another house"},
        {"PatientID": None},
        {"StudyInstanceUID": "1.2.9"},
        {"SeriesInstanceUID": "1.2.3.9"},
    ],
    ids=lambda place: next(iter(place)),
)
async def test_what_is_of_another_patient_study_or_series_is_not_told_it_was_stored(
    index: Index, place: dict[str, Any]
) -> None:
    first = incoming("first")
    store(index, first)

    with pytest.raises(Conflict, match="another patient"):
        await index.store(incoming("second", **place), OnConflict.KEEP)

    assert (await index.lookup("1.2.3.1.1.1")).digest == first.digest
    assert await index.count(query()) == 1


async def test_other_bytes_are_refused_by_policy(index: Index) -> None:
    store(index, incoming("first"))

    with pytest.raises(Conflict):
        await index.store(incoming("second"), OnConflict.REJECT)

    assert len(await index.changes()) == 1
    assert (await index.store(incoming("first"), OnConflict.REJECT)).outcome is Outcome.DUPLICATE


async def test_other_bytes_replace_by_policy_and_the_old_ones_stay_a_version(index: Index) -> None:
    first, second = incoming("first"), incoming("second!", StudyDescription="corrected")
    store(index, first)

    outcome = await index.store(second, OnConflict.REPLACE)

    assert outcome == Stored(Outcome.REPLACED)
    there = await index.lookup("1.2.3.1.1.1")
    assert (there.digest, there.size) == (second.digest, second.size)
    (study,) = await found(index, query(StudyDescription="corrected"))
    assert study.attributes["00201208"]["Value"] == [1]
    assert [change.kind for change in await index.changes()] == [
        ChangeKind.STORED,
        ChangeKind.REPLACED,
    ]
    gone = await remove_for_good(index, Selection(instances=("1.2.3.1.1.1",)))
    assert set(gone) == {first.blob_key, second.blob_key}


async def test_a_replacement_may_move_to_another_patient_study_and_series(index: Index) -> None:
    store(
        index,
        incoming(SOPInstanceUID="2.1", Modality="CT"),
        incoming(
            SOPInstanceUID="2.2", Modality="MR", SOPClassUID=MR, SeriesInstanceUID="1.2.3.1.2"
        ),
    )

    moved = incoming("moved", SOPInstanceUID="2.2", StudyInstanceUID="1.2.4", PatientID="P2")
    await index.store(moved, OnConflict.REPLACE)

    (old,) = await found(index, query(PatientID="P1"))
    assert old.attributes["00080061"]["Value"] == ["CT"]
    assert old.attributes["00080062"]["Value"] == [CT]
    assert old.attributes["00201206"]["Value"] == old.attributes["00201208"]["Value"] == [1]
    assert await values(index, query(PatientID="P2"), "StudyInstanceUID") == ["1.2.4"]
    assert (await index.lookup("2.2")).study_instance_uid == "1.2.4"


# --- removing


async def test_removal_takes_empty_parents_along(index: Index) -> None:
    keep = incoming(SOPInstanceUID="2.1", PatientID="P1", StudyInstanceUID="1.1")
    gone = [
        incoming(SOPInstanceUID=f"2.{n}", PatientID="P1", StudyInstanceUID="1.2") for n in (2, 3)
    ]
    store(index, keep, *gone)

    removed = await remove_for_good(index, Selection(studies=("1.2",)))

    assert set(removed) == {each.blob_key for each in gone}
    assert await values(index, query(), "StudyInstanceUID") == ["1.1"]
    assert await values(index, query(Level.PATIENT), "NumberOfPatientRelatedStudies") == [1]

    await index.remove(Selection(patient_id="P1"))
    assert await index.count(query(Level.PATIENT)) == 0
    assert await index.count(query(Level.IMAGE)) == 0


async def test_a_removed_patients_name_is_nowhere_left(index: Index) -> None:
    store(
        index,
        incoming(PatientName="Secretive^Sam=秘密", ReferringPhysicianName="Other^One"),
        incoming(
            PatientID="P2", PatientName="Other^One", StudyInstanceUID="1.2", SOPInstanceUID="3"
        ),
    )

    await index.remove(Selection(patient_id="P1"))

    with index._reading.connect() as connection:
        for table in ("person_name", "name_word", "person_name_gram", "patient", "study"):
            dump = str(connection.exec_driver_sql(f"SELECT * FROM {table}").all()).lower()
            assert "secretive" not in dump
    assert await index.count(query(PatientName="*other*")) == 1


async def test_removed_blobs_are_listed_until_they_are_forgotten(index: Index) -> None:
    instance = incoming()
    store(index, instance)
    removed = await index.remove(Selection(instances=("1.2.3.1.1.1",)))
    assert await index.blobs_to_delete() == []
    assert await index.is_to_go(instance.blob_key)

    await index.removals.purge(removed.removal)

    assert await index.blobs_to_delete() == [instance.blob_key]
    with pytest.raises(Unavailable):
        await index.store(instance)

    await index.forget_blobs([instance.blob_key])
    assert await index.blobs_to_delete() == []
    assert (await index.store(instance)).outcome is Outcome.STORED


async def test_a_removal_is_in_the_change_feed(index: Index) -> None:
    instance = incoming()
    store(index, instance)
    await index.remove(Selection(series=("1.2.3.1.1",)))

    first, second = await index.changes()
    assert second.seq > first.seq
    assert (second.kind, second.blob_key) == (ChangeKind.REMOVED, instance.blob_key)
    assert (second.study_instance_uid, second.series_instance_uid, second.sop_instance_uid) == (
        "1.2.3.1",
        "1.2.3.1.1",
        "1.2.3.1.1.1",
    )
    assert await index.changes(since=first.seq) == [second]
    assert await index.changes(limit=1) == [first]


async def test_removing_nothing_removes_nothing(index: Index) -> None:
    store(index, incoming())

    assert (await index.remove(Selection(studies=("9.9",)))).instances == 0
    assert await index.count(query()) == 1


# --- retrieving


async def test_instances_come_by_study_series_number_and_instance_number(index: Index) -> None:
    wanted = []
    for study, date in (("1.1", "20200101"), ("1.2", "20100101")):
        for series in (10, 9, None):
            for number in (2, 1, None):
                uid = f"2.{study}.{series or 0}.{number or 0}"
                wanted.append((date, series or 99, number or 99, uid))
                store(
                    index,
                    incoming(
                        StudyInstanceUID=study,
                        SeriesInstanceUID=f"3.{study}.{series or 0}",
                        SOPInstanceUID=uid,
                        StudyDate=date,
                        SeriesNumber=series,
                        InstanceNumber=number,
                    ),
                )

    selection = Selection(patient_id="P1")
    listed = [ref.sop_instance_uid async for page in index.instances(selection) for ref in page]

    assert listed == [uid for *_, uid in sorted(wanted)]
    assert await index.count_instances(selection) == len(wanted)


async def test_a_series_of_many_instances_comes_whole_and_in_order(index: Index) -> None:
    futures = [
        index.submit(incoming(SOPInstanceUID=f"2.{number}", InstanceNumber=number))
        for number in range(1_200)
    ]
    for future in futures:
        future.result(timeout=10)
    expected = [f"2.{number}" for number in range(1_200)]

    selection = Selection(studies=("1.2.3.1",))
    listed = [ref.sop_instance_uid async for page in index.instances(selection) for ref in page]
    assert listed == expected
    everything = [ref.sop_instance_uid async for page in index.all_instances() for ref in page]
    assert sorted(everything) == sorted(expected)
    found_uids = [
        match.attributes["00080018"]["Value"][0]
        for match in await found(index, query(Level.IMAGE, StudyInstanceUID="1.2.3.1"))
    ]
    assert found_uids == expected
    assert len(set(await remove_for_good(index, selection))) == 1_200


async def test_instances_are_listed_in_the_order_asked_for(index: Index) -> None:
    store(index, *(incoming(SOPInstanceUID=f"2.{n}", PatientID="P1") for n in range(5)))
    selection = Selection(patient_id="P1", instances=("2.3", "2.9", "2.1", "2.3"))

    listed = [ref.sop_instance_uid async for page in index.instances(selection) for ref in page]

    assert listed == ["2.3", "2.1"]
    assert await index.count_instances(selection) == 2
    other = Selection(patient_id="P2", instances=("2.3",))
    assert await index.count_instances(other) == 0


async def test_what_was_looked_up_is_known_until_something_is_removed(index: Index) -> None:
    await index.store(incoming(SOPInstanceUID="1.5"))
    await index.store(incoming(SOPInstanceUID="1.6"))
    assert index.known("1.5") is None

    there = await index.lookup("1.5")

    assert index.known("1.5") == there
    await index.store(incoming(SOPInstanceUID="1.7"))
    assert index.known("1.5") == there
    await index.remove(Selection(instances=("1.6",)))
    assert index.known("1.5") is None
    assert await index.lookup("1.5") == there
    await index.remove(Selection(instances=("1.5",)))
    assert index.known("1.5") is None
    with pytest.raises(NotFound):
        await index.lookup("1.5")


async def test_a_replaced_instance_is_looked_up_anew(index: Index) -> None:
    await index.store(incoming(SOPInstanceUID="1.5"))
    before = await index.lookup("1.5")

    await index.store(incoming("other", SOPInstanceUID="1.5"), OnConflict.REPLACE)

    assert index.known("1.5") is None
    assert (await index.lookup("1.5")).blob_key != before.blob_key


async def test_what_was_removed_while_it_was_looked_up_does_not_become_known(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    await index.store(incoming(SOPInstanceUID="1.5"))
    read = index._one

    def slow(uid: str) -> Any:
        found = read(uid)
        index._writer.submit(
            Remove(Selection(instances=(uid,)), 10, index._writing.dialect, Order())
        )
        return found

    monkeypatch.setattr(index, "_one", slow)
    await index.lookup("1.5")

    assert index.known("1.5") is None
