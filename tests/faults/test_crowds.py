"""Many at once: each is served, none is mixed up with another."""

import threading

import pytest

import wire
from instances import Instance, make_study
from peers import Isocenter
from questions import fetch, instance_uids, store_all

CROWD = 200
IDLE = 500


def store_together(server: Isocenter, studies: list[list[Instance]]) -> list[object]:
    """Each study over an association of its own, all at once; the statuses, or what went wrong."""
    start = threading.Barrier(len(studies))
    results: list[object] = [None] * len(studies)

    def store(number: int) -> None:
        try:
            one = studies[number][0]
            kind = (one.sop_class, one.transfer_syntax)
            with wire.storing(server.dicom_port, kind) as association:
                start.wait(60)
                results[number] = [
                    association.store(*kind[:1], each.sop_instance, kind[1], each.data_set)
                    for each in studies[number]
                ]
        except Exception as error:  # told to the test
            start.abort()
            results[number] = error

    threads = [threading.Thread(target=store, args=(n,), daemon=True) for n in range(len(studies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def test_two_hundred_associations_store_at_once(server: Isocenter) -> None:
    studies = [make_study(3, PatientID=f"CROWD{n:04d}") for n in range(CROWD)]

    results = store_together(server, studies)

    assert results == [[wire.SUCCESS] * 3] * CROWD
    for study in studies[::20]:
        assert {uid: data for uid, (_, data) in fetch(server, study[0].study).items()} == {
            one.sop_instance: one.data_set for one in study
        }


def test_a_new_study_stored_by_many_at_once_is_one_study(server: Isocenter) -> None:
    study = make_study(48, series=2, PatientID="ONE")

    results = store_together(server, [study[n::16] for n in range(16)])

    assert results == [[wire.SUCCESS] * 3] * 16
    assert sorted(instance_uids(server, study[0].study)) == sorted(
        one.sop_instance for one in study
    )
    keys = {0x00080052: "STUDY", 0x00100020: "ONE", 0x0020000D: "", 0x00201206: "", 0x00201208: ""}
    contexts = [(wire.STUDY_ROOT_FIND, (wire.IMPLICIT,))]
    with wire.Association(server.dicom_port, contexts) as association:
        found = list(association.find(wire.identifier(keys)))
    assert len(found) == 2
    assert b"48" in found[0].data_set


def test_the_same_instance_stored_by_many_at_once_is_one_instance(server: Isocenter) -> None:
    study = make_study(1)

    results = store_together(server, [study] * 16)

    assert results == [[wire.SUCCESS]] * 16
    assert instance_uids(server, study[0].study) == [study[0].sop_instance]


@pytest.mark.timeout(180)
def test_five_hundred_idle_associations_are_in_nobodys_way(server: Isocenter) -> None:
    idle = [wire.Association(server.dicom_port).connect() for _ in range(IDLE - 10)]
    try:
        study = make_study(50, pixels=256)
        statuses = set(store_all(server, study))
        echoes = {association.echo() for association in idle}
    finally:
        for association in idle:
            association.close()

    assert statuses == {wire.SUCCESS}
    assert echoes == {wire.SUCCESS}
