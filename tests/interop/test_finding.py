"""C-FIND to us: every level, root and kind of matching, and by everyone.

Source: PS3.4 C.2.2.2 (matching), C.6 (levels and keys).
"""

from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    PatientRootQueryRetrieveInformationModelFind,
    PatientStudyOnlyQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
)

import wire
from instances import Instance, as_instance, ct_template, make_study, new_uid
from peers import Isocenter, Orthanc
from programs import Tool
from questions import LEVEL, STUDY, relational, store_all

PATIENT_ROOT = PatientRootQueryRetrieveInformationModelFind
STUDY_ROOT = StudyRootQueryRetrieveInformationModelFind
PATIENT_STUDY = PatientStudyOnlyQueryRetrieveInformationModelFind
# Byte i answers: relational, date-time, fuzzy, timezone (PS3.4 C.5.1.1).
RELATIONAL, DATETIME, FUZZY = b"\1", b"\0\1", b"\0\0\1"


@pytest.fixture(scope="module")
def studies(shared_server: Isocenter) -> list[list[Instance]]:
    """Four studies of three patients, stored."""
    made = [
        make_study(
            4,
            series=2,
            PatientID="FIND01",
            PatientName="Müller^Änne",
            SpecificCharacterSet="ISO_IR 100",
            PatientBirthDate="19500101",
            PatientSex="F",
            StudyDate="20200101",
            StudyTime="080000",
            AccessionNumber="ACC1",
            StudyID="S1",
            StudyDescription="Head",
        ),
        make_study(
            1,
            PatientID="FIND01",
            PatientName="Müller^Änne",
            SpecificCharacterSet="ISO_IR 100",
            PatientBirthDate="19500101",
            PatientSex="F",
            StudyDate="20200615",
            StudyTime="120000",
            AccessionNumber="ACC2",
            StudyID="S2",
            StudyDescription="Chest",
        ),
        make_study(
            2,
            PatientID="FIND02",
            PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう",
            SpecificCharacterSet="ISO_IR 192",
            PatientBirthDate="19610203",
            StudyDate="20201231",
            StudyTime="235959",
            AccessionNumber="ACC3",
            StudyID="S3",
        ),
        make_study(
            1,
            PatientID="FIND03",
            PatientName="Smith^John",
            PatientBirthDate="",
            StudyDate="20210101",
            StudyTime="000001.5",
            AccessionNumber="ACC4",
            StudyID="S4",
            Modality="MR",
        ),
    ]
    for study in made:
        assert set(store_all(shared_server, study)) == {wire.SUCCESS}
    return made


def ask(
    server: Isocenter,
    root: str,
    level: str,
    extended: bytes = b"",
    charset: str = "ISO_IR 192",
    **keys: object,
) -> list[Dataset]:
    """C-FIND by pynetdicom; return the matches."""
    identifier = Dataset()
    identifier.SpecificCharacterSet = charset
    identifier.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    negotiated = []
    if extended:
        negotiation = SOPClassExtendedNegotiation()
        negotiation.sop_class_uid = root
        negotiation.service_class_application_information = extended
        negotiated.append(negotiation)
    ae = AE()
    ae.add_requested_context(root)
    association = ae.associate(
        "127.0.0.1", server.dicom_port, ae_title=server.aet, ext_neg=negotiated
    )
    assert association.is_established
    answers = list(association.send_c_find(identifier, root))
    association.release()
    assert answers[-1][0].Status == wire.SUCCESS, answers[-1][0]
    assert all(status.Status in wire.PENDING for status, _ in answers[:-1])
    return [match for _, match in answers[:-1] if match is not None]


def accessions(server: Isocenter, **keys: object) -> list[str]:
    """Accession numbers of the studies of this module that match."""
    wanted = {"PatientID": "FIND*", "AccessionNumber": "", **keys}
    return sorted(
        str(match.AccessionNumber) for match in ask(server, STUDY_ROOT, "STUDY", **wanted)
    )


@pytest.mark.usefixtures("studies")
class TestMatching:
    @pytest.mark.parametrize(
        ("keys", "expected"),
        [
            ({}, "ACC1 ACC2 ACC3 ACC4"),
            ({"PatientID": "FIND01"}, "ACC1 ACC2"),
            ({"PatientID": "FIND0?"}, "ACC1 ACC2 ACC3 ACC4"),
            ({"PatientID": "*ND03"}, "ACC4"),
            ({"PatientID": "find01"}, ""),
            ({"AccessionNumber": "ACC2"}, "ACC2"),
            ({"AccessionNumber": "ACC2\\ACC3"}, "ACC2 ACC3"),
            ({"StudyID": "S3"}, "ACC3"),
            ({"StudyDate": "20200615"}, "ACC2"),
            ({"StudyDate": "20200101-20201231"}, "ACC1 ACC2 ACC3"),
            ({"StudyDate": "-20200615"}, "ACC1 ACC2"),
            ({"StudyDate": "20201231-"}, "ACC3 ACC4"),
            ({"StudyTime": "0800-1200"}, "ACC1 ACC2"),
            ({"StudyTime": "080000"}, "ACC1"),
            ({"PatientBirthDate": "19500101"}, "ACC1 ACC2"),
            ({"PatientBirthDate": "19600101-19691231"}, "ACC3"),
            ({"PatientName": "Smith^John"}, "ACC4"),
            ({"PatientName": "smith^john"}, "ACC4"),
            ({"PatientName": "Smi*"}, "ACC4"),
            ({"PatientName": "*OHN*"}, "ACC4"),
            ({"PatientName": "Müller*"}, "ACC1 ACC2"),
            ({"PatientName": "muller*"}, "ACC1 ACC2"),
            ({"PatientName": "MÜLLER^ÄNNE"}, "ACC1 ACC2"),
            ({"PatientName": "Yamada*"}, "ACC3"),
            ({"PatientName": "*山田*"}, "ACC3"),
            ({"PatientName": "*やまだ*"}, "ACC3"),
            ({"PatientName": "Nobody*"}, ""),
            ({"ModalitiesInStudy": "MR"}, "ACC4"),
            ({"ModalitiesInStudy": "CT"}, "ACC1 ACC2 ACC3"),
            ({"ModalitiesInStudy": ["MR", "CT"]}, "ACC1 ACC2 ACC3 ACC4"),
            ({"StudyDescription": "H*d"}, "ACC1"),
            ({"PatientID": "FIND%"}, ""),
            ({"PatientID": "FIND__"}, ""),
            ({"PatientID": "' OR 1=1 --"}, ""),
        ],
        ids=lambda value: str(value) if isinstance(value, dict) else "",
    )
    def test_studies_match(
        self, shared_server: Isocenter, keys: dict[str, object], expected: str
    ) -> None:
        assert accessions(shared_server, **keys) == expected.split()

    def test_a_list_of_uids_matches_each(
        self, shared_server: Isocenter, studies: list[list[Instance]]
    ) -> None:
        uids = [studies[0][0].study, studies[2][0].study, new_uid()]

        assert accessions(shared_server, StudyInstanceUID=uids) == ["ACC1", "ACC3"]

    def test_a_uid_is_no_prefix(
        self, shared_server: Isocenter, studies: list[list[Instance]]
    ) -> None:
        assert accessions(shared_server, StudyInstanceUID=studies[0][0].study[:-1]) == []

    def test_dates_and_times_combine_when_that_is_negotiated(
        self, shared_server: Isocenter
    ) -> None:
        keys = {"StudyDate": "20200615-20210101", "StudyTime": "110000-000000"}
        wanted = {"PatientID": "FIND*", "AccessionNumber": "", **keys}

        found = ask(shared_server, STUDY_ROOT, "STUDY", extended=DATETIME, **wanted)

        assert sorted(match.AccessionNumber for match in found) == ["ACC2", "ACC3"]

    def test_fuzzy_matching_forgives_when_that_is_negotiated(
        self, shared_server: Isocenter
    ) -> None:
        wanted = {"PatientID": "FIND*", "AccessionNumber": "", "PatientName": "john smith"}

        found = ask(shared_server, STUDY_ROOT, "STUDY", extended=FUZZY, **wanted)

        assert [match.AccessionNumber for match in found] == ["ACC4"]


class TestLevels:
    def test_patients(self, shared_server: Isocenter, studies: list[list[Instance]]) -> None:
        found = ask(
            shared_server,
            PATIENT_ROOT,
            "PATIENT",
            PatientID="FIND*",
            PatientName="",
            NumberOfPatientRelatedStudies="",
            NumberOfPatientRelatedSeries="",
            NumberOfPatientRelatedInstances="",
        )

        counted = {
            str(match.PatientID): (
                int(match.NumberOfPatientRelatedStudies),
                int(match.NumberOfPatientRelatedSeries),
                int(match.NumberOfPatientRelatedInstances),
            )
            for match in found
        }
        assert counted == {"FIND01": (2, 3, 5), "FIND02": (1, 1, 2), "FIND03": (1, 1, 1)}

    @pytest.mark.parametrize("root", [PATIENT_ROOT, PATIENT_STUDY])
    def test_studies_of_a_patient(
        self, shared_server: Isocenter, studies: list[list[Instance]], root: str
    ) -> None:
        found = ask(shared_server, root, "STUDY", PatientID="FIND01", StudyInstanceUID="")

        assert {match.StudyInstanceUID for match in found} == {
            studies[0][0].study,
            studies[1][0].study,
        }

    def test_a_study_with_everything_computed(
        self, shared_server: Isocenter, studies: list[list[Instance]]
    ) -> None:
        (found,) = ask(
            shared_server,
            STUDY_ROOT,
            "STUDY",
            StudyInstanceUID=studies[0][0].study,
            ModalitiesInStudy="",
            SOPClassesInStudy="",
            NumberOfStudyRelatedSeries="",
            NumberOfStudyRelatedInstances="",
            InstanceAvailability="",
            RetrieveAETitle="",
        )

        assert found.ModalitiesInStudy == "CT"
        assert found.SOPClassesInStudy == studies[0][0].sop_class
        assert int(found.NumberOfStudyRelatedSeries) == 2
        assert int(found.NumberOfStudyRelatedInstances) == 4
        assert found.InstanceAvailability == "ONLINE"
        assert found.RetrieveAETitle == shared_server.aet

    def test_series_of_a_study(
        self, shared_server: Isocenter, studies: list[list[Instance]]
    ) -> None:
        found = ask(
            shared_server,
            STUDY_ROOT,
            "SERIES",
            StudyInstanceUID=studies[0][0].study,
            SeriesInstanceUID="",
            Modality="",
            NumberOfSeriesRelatedInstances="",
        )

        assert {match.SeriesInstanceUID for match in found} == {one.series for one in studies[0]}
        assert [int(match.NumberOfSeriesRelatedInstances) for match in found] == [2, 2]
        assert [match.Modality for match in found] == ["CT", "CT"]

    def test_instances_of_a_series(
        self, shared_server: Isocenter, studies: list[list[Instance]]
    ) -> None:
        first = studies[0][0]

        found = ask(
            shared_server,
            STUDY_ROOT,
            "IMAGE",
            StudyInstanceUID=first.study,
            SeriesInstanceUID=first.series,
            SOPInstanceUID="",
            SOPClassUID="",
            InstanceNumber="",
        )

        assert {match.SOPInstanceUID for match in found} == {
            one.sop_instance for one in studies[0] if one.series == first.series
        }
        assert sorted(int(match.InstanceNumber) for match in found) == [1, 3]

    def test_relational_queries_skip_levels(
        self, shared_server: Isocenter, studies: list[list[Instance]]
    ) -> None:
        wanted = {"PatientID": "FIND01", "SOPInstanceUID": "", "StudyInstanceUID": ""}

        found = ask(shared_server, STUDY_ROOT, "IMAGE", extended=RELATIONAL, **wanted)

        assert {match.SOPInstanceUID for match in found} == {
            one.sop_instance for one in (*studies[0], *studies[1])
        }

    def test_optional_keys_are_returned_only_when_asked_for(
        self, shared_server: Isocenter, studies: list[list[Instance]]
    ) -> None:
        (found,) = ask(shared_server, STUDY_ROOT, "STUDY", StudyInstanceUID=studies[0][0].study)

        assert "StudyDescription" not in found
        assert "PatientName" not in found

    def test_names_come_in_a_character_set_that_holds_them(
        self, shared_server: Isocenter, studies: list[list[Instance]]
    ) -> None:
        wanted = {"StudyInstanceUID": studies[2][0].study, "PatientName": ""}

        (found,) = ask(shared_server, STUDY_ROOT, "STUDY", charset="ISO_IR 100", **wanted)

        assert found.PatientName == "Yamada^Tarou=山田^太郎=やまだ^たろう"

    def test_a_query_may_be_written_in_latin_1(
        self, shared_server: Isocenter, studies: list[list[Instance]]
    ) -> None:
        wanted = {"PatientName": "Müller^Änne", "AccessionNumber": "", "PatientID": "FIND*"}

        found = ask(shared_server, STUDY_ROOT, "STUDY", charset="ISO_IR 100", **wanted)

        assert sorted(match.AccessionNumber for match in found) == ["ACC1", "ACC2"]
        assert {str(match.PatientName) for match in found} == {"Müller^Änne"}


def test_a_sequence_is_matched_by_its_items(shared_server: Isocenter) -> None:
    image = ct_template(SOPInstanceUID=new_uid(), SeriesInstanceUID=new_uid(), PatientID="SEQUENCE")
    request = Dataset()
    request.ScheduledProcedureStepID, request.RequestedProcedureID = "STEP7", "PROC7"
    image.RequestAttributesSequence = [request]
    store_all(shared_server, [as_instance(image)])

    def series(step: str) -> list[Dataset]:
        wanted = Dataset()
        wanted.ScheduledProcedureStepID, wanted.RequestedProcedureID = step, ""
        keys = {"SeriesInstanceUID": "", "RequestAttributesSequence": [wanted]}
        return ask(
            shared_server, STUDY_ROOT, "SERIES", StudyInstanceUID=image.StudyInstanceUID, **keys
        )

    (found,) = series("STEP7")
    assert found.RequestAttributesSequence[0].RequestedProcedureID == "PROC7"
    assert series("STEP8") == []


class TestByOthers:
    @pytest.mark.parametrize(
        ("root", "level", "keys", "expected"),
        [
            ("-P", "PATIENT", ["PatientID=FIND*"], 3),
            ("-P", "STUDY", ["PatientID=FIND01", "StudyInstanceUID"], 2),
            ("-S", "STUDY", ["PatientID=FIND*", "StudyInstanceUID"], 4),
            ("-S", "SERIES", ["StudyInstanceUID={study}", "SeriesInstanceUID"], 2),
            (
                "-S",
                "IMAGE",
                ["StudyInstanceUID={study}", "SeriesInstanceUID={series}", "SOPInstanceUID"],
                2,
            ),
            ("-O", "PATIENT", ["PatientID=FIND*"], 3),
            ("-O", "STUDY", ["PatientID=FIND01", "StudyInstanceUID"], 2),
        ],
    )
    def test_findscu(
        self,
        shared_server: Isocenter,
        studies: list[list[Instance]],
        dcmtk: Tool,
        root: str,
        level: str,
        keys: list[str],
        expected: int,
    ) -> None:
        arguments = [root, "-k", f"QueryRetrieveLevel={level}"]
        for key in keys:
            filled = key.format(study=studies[0][0].study, series=studies[0][0].series)
            arguments += ["-k", filled]

        output = dcmtk("findscu", *arguments, *shared_server.at)

        assert output.count("Find Response:") == expected

    def test_findscu_with_a_query_file(
        self,
        shared_server: Isocenter,
        studies: list[list[Instance]],
        dcmtk: Tool,
        tmp_path: Path,
    ) -> None:
        text = tmp_path / "query.dump"
        text.write_text("(0008,0052) CS [STUDY]\n(0010,0020) LO [FIND0?]\n(0020,000d) UI\n")
        dcmtk("dump2dcm", text, tmp_path / "query.dcm")

        output = dcmtk("findscu", "-S", *shared_server.at, tmp_path / "query.dcm")

        assert output.count("Find Response:") == 4

    @pytest.mark.parametrize(
        ("level", "query", "expected"),
        [
            ("Patient", {"PatientID": "FIND*"}, 3),
            ("Study", {"PatientID": "FIND01"}, 2),
            ("Series", {"PatientID": "FIND01", "StudyInstanceUID": "{study}"}, 2),
        ],
    )
    def test_orthanc(
        self,
        shared_server: Isocenter,
        studies: list[list[Instance]],
        orthanc: Orthanc,
        level: str,
        query: dict[str, str],
        expected: int,
    ) -> None:
        orthanc.introduce("asked", shared_server.aet, shared_server.dicom_port)
        filled = {key: value.format(study=studies[0][0].study) for key, value in query.items()}

        answer = orthanc.call("/modalities/asked/query", {"Level": level, "Query": filled})

        assert len(orthanc.rest.get(f"/queries/{answer['ID']}/answers").json()) == expected


@pytest.fixture(scope="module")
def many(shared_server: Isocenter) -> str:
    """The UID of a study of 600 small instances."""
    study = make_study(600, pixels=8, PatientID="MANY")
    assert set(store_all(shared_server, study)) == {wire.SUCCESS}
    return study[0].study


def test_a_long_answer_can_be_cancelled(shared_server: Isocenter, many: str) -> None:
    keys = wire.identifier({LEVEL: "IMAGE", STUDY: many, 0x00080018: ""})

    with relational(shared_server) as association:
        number = association.send_query(wire.C_FIND_RQ, wire.STUDY_ROOT_FIND, keys)
        association.cancel(wire.STUDY_ROOT_FIND, number)
        statuses = [association.receive_message().status]
        while statuses[-1] in wire.PENDING:
            statuses.append(association.receive_message().status)
        again = list(association.find(keys))

    # Everything may have been on its way already: success is an answer too (PS3.4 C.4.1.1.4).
    assert statuses[-1] in (0xFE00, wire.SUCCESS)
    assert len(again) == 601


def test_a_query_without_a_level_is_refused(shared_server: Isocenter) -> None:
    contexts = [(wire.STUDY_ROOT_FIND, (wire.IMPLICIT,))]

    with wire.Association(shared_server.dicom_port, contexts) as association:
        (answer,) = association.find(wire.identifier({STUDY: ""}))

    # Identifier does not match SOP class, or unable to process (PS3.4 table C.4-1).
    assert answer.status == 0xA900 or answer.status >> 12 == 0xC


def test_the_patient_level_is_no_level_of_the_study_root(shared_server: Isocenter) -> None:
    contexts = [(wire.STUDY_ROOT_FIND, (wire.IMPLICIT,))]

    with wire.Association(shared_server.dicom_port, contexts) as association:
        (answer,) = association.find(wire.identifier({LEVEL: "PATIENT", 0x00100020: ""}))

    assert answer.status == 0xA900 or answer.status >> 12 == 0xC


def test_a_query_that_is_garbage_is_refused(shared_server: Isocenter) -> None:
    contexts = [(wire.STUDY_ROOT_FIND, (wire.IMPLICIT,))]

    with wire.Association(shared_server.dicom_port, contexts) as association:
        (answer,) = association.find(b"\xff" * 64)

    assert answer.status == 0xA900 or answer.status >> 12 == 0xC
