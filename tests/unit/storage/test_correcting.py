"""Corrections in the index: shown at once, kept apart from what came, revoked without a trace."""

import asyncio
import contextlib
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from isocenter.errors import Conflict, Denied, NotFound
from isocenter.storage.attributes import NON_PATIENT_STUDY, Level
from isocenter.storage.correcting import Basis, Correct
from isocenter.storage.handles import study_handle
from isocenter.storage.index import Index
from isocenter.storage.records import ChangeKind, Incoming, InstanceRef, Selection
from unit.storage.made import CT, MR, found, incoming, query, remove_for_good, store, values
from unit.storage.test_invariants import differences

NAME = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Roe^Richard"}]}}
INSTITUTION = {"00080080": {"vr": "LO", "Value": ["Elsewhere"]}}
TO_P2 = {"00100020": {"vr": "LO", "Value": ["P2"]}}


def handle(patient: str = "P1", study: str = "1.2.3.1") -> str:
    return study_handle((patient, "", ""), study)


async def correct(index: Index, changes: Any, *handles: str, action: str = "a") -> int:
    basis = Basis(handles or (handle(),))
    return await index.corrections.correct(Correct(action, basis, changes, "mixed up", "somebody"))


async def instances(index: Index) -> list[InstanceRef]:
    return [each async for page in index.all_instances() for each in page]


async def test_a_corrected_name_is_what_is_found_and_the_former_one_is_not(index: Index) -> None:
    store(index, incoming())

    await correct(index, NAME)

    for level in (Level.PATIENT, Level.STUDY):
        (match,) = await found(index, query(level, PatientName="ROE*"))
        assert match.attributes["00100010"]["Value"] == [{"Alphabetic": "Roe^Richard"}]
        assert not await found(index, query(level, PatientName="Doe*"))


async def test_what_a_correction_is_decided_on_is_another_state_once_it_changes(
    index: Index,
) -> None:
    store(index, incoming())
    basis = Basis((handle(),), is_of_patient=True, joins=("P2", ""))
    states = [await index.corrections.state(basis)]

    async def note() -> None:
        states.append(await index.corrections.state(basis))

    store(index, incoming(PatientID="P9", StudyInstanceUID="1.2.3.9", SOPInstanceUID="1.8"))
    await note()
    assert states[0] == states[1]  # that is nobody's business here
    store(index, incoming(PatientID="P1", StudyInstanceUID="1.2.3.2", SOPInstanceUID="1.9"))
    await note()
    store(index, incoming(PatientID="P2", StudyInstanceUID="1.2.3.3", SOPInstanceUID="1.10"))
    await note()
    await correct(index, INSTITUTION)
    await note()
    await correct(index, NAME, handle("P2", "1.2.3.3"), action="b")
    await note()
    assert len({*states}) == len(states) - 1

    late = Correct("c", basis, NAME, "mixed up", "somebody", states[-2])
    with pytest.raises(Conflict, match="changed meanwhile"):
        await index.corrections.correct(late)
    assert await index.corrections.correct(replace(late, seen=states[-1])) == 1


async def test_a_study_moved_to_another_patient_counts_there_and_nowhere_else(
    index: Index,
) -> None:
    store(index, incoming(), incoming(StudyInstanceUID="1.2.3.2", SOPInstanceUID="1.9"))

    await correct(index, TO_P2)

    for patient, study in (("P1", "1.2.3.2"), ("P2", "1.2.3.1")):
        (match,) = await found(index, query(Level.STUDY, PatientID=patient))
        assert match.attributes["0020000D"]["Value"] == [study]
        assert match.study == handle(patient, study)
        (person,) = await found(index, query(Level.PATIENT, PatientID=patient))
        assert person.attributes["00201200"]["Value"] == [1]
        assert person.attributes["00201204"]["Value"] == [1]


async def test_the_last_study_of_a_patient_takes_the_patient_along(index: Index) -> None:
    store(index, incoming())

    await correct(index, TO_P2)

    assert await values(index, query(Level.PATIENT), "PatientID") == ["P2"]


async def test_what_comes_later_into_the_study_is_corrected_too(index: Index) -> None:
    store(index, incoming())
    await correct(index, TO_P2 | NAME)

    later = (incoming(SOPInstanceUID="1.7"), incoming(SOPInstanceUID="1.8", SeriesInstanceUID="1"))
    store(index, *later)

    (match,) = await found(index, query(Level.STUDY))
    assert match.attributes["00100020"]["Value"] == ["P2"]
    assert match.attributes["00201208"]["Value"] == [3]
    assert {each.overlay and each.overlay.token for each in await instances(index)} == {
        (await index.lookup("1.7")).overlay.token  # type: ignore[union-attr]
    }


async def test_other_studies_that_come_later_for_the_patient_are_not_touched(index: Index) -> None:
    store(index, incoming())
    await correct(index, TO_P2)

    store(index, incoming(StudyInstanceUID="1.2.3.9", SOPInstanceUID="1.9"))

    assert (await index.lookup("1.9")).overlay is None
    assert await values(index, query(Level.PATIENT), "PatientID") == ["P1", "P2"]


async def test_the_same_bytes_sent_again_are_the_same_instance(index: Index) -> None:
    store(index, incoming())
    await correct(index, TO_P2)

    (stored,) = store(index, incoming())

    assert stored.outcome.value == "duplicate"


@pytest.mark.parametrize("patient", ["P1", "P2"])
async def test_other_bytes_under_the_former_or_the_corrected_patient_are_of_the_same_place(
    index: Index, patient: str
) -> None:
    store(index, incoming())
    await correct(index, TO_P2)

    (stored,) = store(index, incoming("other", PatientID=patient))

    assert stored.outcome.value == "kept"


async def test_all_removed_and_sent_again_is_corrected_still(index: Index) -> None:
    store(index, incoming())
    await correct(index, TO_P2)
    await remove_for_good(index, Selection(instances=("1.2.3.1.1.1",)))
    assert not await found(index, query(Level.PATIENT))

    store(index, incoming())

    assert await values(index, query(Level.PATIENT), "PatientID") == ["P2"]


async def test_halves_of_a_study_of_two_patients_are_put_together_and_parted_again(
    index: Index,
) -> None:
    right = incoming(PatientID="P2", PatientName="Roe^Richard", SOPInstanceUID="1.9")
    store(index, incoming(), right)
    before = everything(index)

    await correct(index, TO_P2 | NAME)

    (match,) = await found(index, query(Level.STUDY))
    assert match.attributes["00201208"]["Value"] == [2]
    assert match.attributes["00201206"]["Value"] == [1]
    assert (await index.lookup("1.9")).overlay is None

    await index.corrections.revoke("a", "somebody")

    assert everything(index) == before


async def test_revoked_it_is_as_it_was(index: Index) -> None:
    store(index, incoming(StudyDate="20200101"), incoming(SOPInstanceUID="1.9", Modality="MR"))
    before = everything(index)
    institution = {"00080080": {"vr": "LO", "Value": ["Elsewhere"]}}
    date = {"00080020": {"vr": "DA", "Value": ["20210203"]}}
    await correct(index, TO_P2 | NAME | institution | date)
    assert await found(index, query(Level.SERIES, InstitutionName="Elsewhere"))
    assert everything(index) != before

    assert await index.corrections.revoke("a", "another") == 1

    assert everything(index) == before
    (entry,) = await index.corrections.of_study(handle())
    assert (entry.reason, entry.corrected_by, entry.revoked_by) == (
        "mixed up",
        "somebody",
        "another",
    )
    with pytest.raises(NotFound):
        await index.corrections.revoke("a", "another")


async def test_of_two_corrections_each_can_be_revoked(index: Index) -> None:
    store(index, incoming())
    await correct(index, TO_P2)
    await correct(index, NAME, handle("P2"), action="b")

    await index.corrections.revoke("a", "")

    (match,) = await found(index, query(Level.STUDY))
    assert match.attributes["00100020"]["Value"] == ["P1"]
    assert match.attributes["00100010"]["Value"] == [{"Alphabetic": "Roe^Richard"}]
    newest, older = await index.corrections.of_study(handle())
    assert (newest.action, older.action) == ("b", "a")
    assert newest.before == {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]}}


async def test_a_correction_tells_the_feed_and_makes_what_was_known_out_of_date(
    index: Index,
) -> None:
    store(index, incoming())
    assert (await index.lookup("1.2.3.1.1.1")).overlay is None
    state = (await index.lookup("1.2.3.1.1.1")).state

    await correct(index, NAME)

    reference = await index.lookup("1.2.3.1.1.1")
    assert reference.overlay is not None
    assert reference.state != state
    (*_, change) = await index.changes()
    assert (change.kind, change.study_instance_uid) == (ChangeKind.CORRECTED, "1.2.3.1")


async def test_the_series_is_in_another_state_after_each_correction(index: Index) -> None:
    store(index, incoming())
    selection = Selection(studies=("1.2.3.1",))

    async def fingerprint() -> int:
        (state,) = await index.within_snapshot(lambda snapshot: snapshot.series(selection))
        return state.fingerprint

    seen = [await fingerprint()]
    await correct(index, NAME)
    seen.append(await fingerprint())
    await index.corrections.revoke("a", "")
    seen.append(await fingerprint())
    await correct(index, NAME, action="b")
    seen.append(await fingerprint())

    assert len(set(seen)) == 4


async def test_what_is_not_there_or_of_no_patient_is_refused(index: Index) -> None:
    store(index, incoming(StudyInstanceUID=NON_PATIENT_STUDY, PatientID=None))
    with pytest.raises(NotFound):
        await correct(index, NAME, "no such handle")
    with pytest.raises(Denied):
        await correct(index, NAME, study_handle(("", "", NON_PATIENT_STUDY), NON_PATIENT_STUDY))


async def test_a_study_without_patient_id_is_given_one(index: Index) -> None:
    store(index, incoming(PatientID=None))

    await correct(index, TO_P2, study_handle(("", "", "1.2.3.1"), "1.2.3.1"))

    assert await values(index, query(Level.PATIENT), "PatientID") == ["P2"]


async def test_corrected_ones_that_come_where_others_are_leave_them_what_they_are(
    index: Index,
) -> None:
    store(index, incoming())
    await correct(index, TO_P2)
    await remove_for_good(index, Selection(instances=("1.2.3.1.1.1",)))
    theirs = incoming(PatientID="P2", PatientName="Roe", SOPInstanceUID="1.9", StudyDate="20200101")
    store(index, theirs)
    before = everything(index)

    store(index, incoming(StudyDate="20210101", StudyDescription="Head"))

    (match,) = await found(index, query(Level.STUDY))
    assert match.attributes["00100010"]["Value"] == [{"Alphabetic": "Roe"}]
    assert match.attributes["00080020"]["Value"] == ["20200101"]
    assert match.attributes["00081030"]["Value"] == ["Head"]
    with index._reading.connect() as connection:
        assert list(connection.exec_driver_sql(LEFT_OVER).all()) == []

    await remove_for_good(index, Selection(instances=("1.2.3.1.1.1",)))

    assert everything(index) == before


# --- whatever is done

PATIENTS, STUDIES = ("P1", "P2"), ("1.1",)
arrivals = st.builds(
    incoming,
    PatientID=st.sampled_from(PATIENTS),
    PatientName=st.sampled_from(["Doe^Jane", "Roe"]),
    StudyInstanceUID=st.sampled_from(STUDIES),
    SeriesInstanceUID=st.sampled_from(["3.1", "3.2"]),
    SOPInstanceUID=st.sampled_from(["2.1", "2.2", "2.3"]),
    Modality=st.sampled_from(["CT", "MR"]),
    SOPClassUID=st.sampled_from([CT, MR]),
    StudyDate=st.sampled_from(["20200101", "20210101", None]),
    InstitutionName=st.sampled_from(["Here", None]),
)
leavings = st.builds(
    Selection, instances=st.sampled_from(["2.1", "2.2", "2.3"]).map(lambda each: (each,))
)
moves = st.tuples(
    st.sampled_from(PATIENTS),
    st.sampled_from(STUDIES),
    st.sampled_from(
        [
            NAME,
            TO_P2,
            {"00100020": {"vr": "LO", "Value": ["P3"]}, "00080020": {"vr": "DA"}},
            {"00080080": {"vr": "LO", "Value": ["Elsewhere"]}},
        ]
    ),
)
revocations = st.integers(0, 5)
steps = st.lists(st.one_of(arrivals, arrivals, leavings, moves, revocations), max_size=14)

LEFT_OVER = """
    SELECT 'both with and without origin', s.study_fk FROM instance i
        JOIN series s ON s.pk = i.series_fk GROUP BY s.study_fk
        HAVING min(i.origin_fk) = 0 AND max(i.origin_fk) > 0
    UNION ALL SELECT 'elsewhere than its origin', i.pk FROM instance i
        JOIN series s ON s.pk = i.series_fk JOIN origin o ON o.pk = i.origin_fk
        WHERE o.study_fk <> s.study_fk
    UNION ALL SELECT 'no such origin', i.pk FROM instance i
        WHERE i.origin_fk <> 0 AND i.origin_fk NOT IN (SELECT pk FROM origin)
    UNION ALL SELECT 'empty origin', o.pk FROM origin o WHERE o.study_fk <> 0
        AND NOT EXISTS (SELECT 1 FROM instance i WHERE i.origin_fk = o.pk)
"""


def everything(index: Index) -> Any:
    """Where each instance is, and what is said of everything, without keys."""
    with index._reading.connect() as connection:
        placed = connection.exec_driver_sql(
            "SELECT i.sop_instance_uid, p.patient_id, p.issuer, p.lone_study_uid, st.study_uid,"
            " se.series_uid, se.document, se.modality, st.document, st.patient_document,"
            " st.study_date, st.modalities, st.handle, i.origin_fk FROM instance i"
            " JOIN series se ON se.pk = i.series_fk JOIN study st ON st.pk = se.study_fk"
            " JOIN patient p ON p.pk = st.patient_fk ORDER BY 1"
        ).all()
        people = connection.exec_driver_sql(
            "SELECT patient_id, studies, series, instances, bytes FROM patient ORDER BY 1"
        ).all()
    return [tuple(map(_read, row)) for row in placed], [tuple(row) for row in people]


def _read(value: Any) -> Any:
    return orjson.loads(value) if isinstance(value, bytes) else value


async def take(index: Index, step: Any, number: int, *, corrects: bool = True) -> None:
    if isinstance(step, Incoming):
        with contextlib.suppress(Conflict):  # it is there, of another patient
            await index.store(step)
    elif isinstance(step, Selection):
        await remove_for_good(index, step)
    elif corrects and isinstance(step, tuple):
        patient, study, changes = step
        with contextlib.suppress(NotFound):
            await correct(index, changes, handle(patient, study), action=str(number))
    elif corrects:
        with contextlib.suppress(NotFound):
            await index.corrections.revoke(str(step), "")


@given(steps)
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_is_corrected_and_revoked_counts_are_right_and_nothing_stays(
    index: Index, taken: list[Any]
) -> None:
    async def run() -> tuple[Any, Any]:
        for number, step in enumerate(taken):
            await take(index, step, number)
            with index._reading.connect() as connection:
                assert differences(connection) == []
                assert list(connection.exec_driver_sql(LEFT_OVER).all()) == []
        for number in range(len(taken)):
            await take(index, number, 0)
        revoked = everything(index)
        await clear(index)
        for number, step in enumerate(taken):
            await take(index, step, number, corrects=False)
        plain = everything(index)
        await clear(index)
        return revoked, plain

    revoked, plain = asyncio.run(run())

    assert revoked == plain


async def clear(index: Index) -> None:
    for uid in ("2.1", "2.2", "2.3", "2.4", "2.5"):
        await remove_for_good(index, Selection(instances=(uid,)))
    with index._reading.connect() as connection:
        for table in ("patient", "study", "series", "instance", "origin", "origin_series"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 0
