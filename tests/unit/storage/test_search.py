"""Every kind of matching, end to end, with answers read off the standard's wording."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isocenter.errors import Malformed
from isocenter.storage.attributes import Level
from isocenter.storage.index import Index
from isocenter.storage.query import Key
from unit.storage.made import CT, MR, found, incoming, query, store, values

STUDIES: dict[str, dict[str, Any]] = {
    "a": {
        "PatientID": "P1",
        "PatientName": "Wang^XiaoDong=王^小東",
        "PatientBirthDate": "19700131",
        "StudyDate": "20060705",
        "StudyTime": "0930",
        "AccessionNumber": "Acc-1",
        "StudyID": "S[1]",
        "StudyDescription": "Thorax a.p.",
        "ReferringPhysicianName": "House^Gregory",
        "OtherPatientIDs": ["X1", "X2"],
        "PatientWeight": 70.5,
    },
    "b": {
        "PatientID": "P2",
        "PatientName": "Müller^Jörg",
        "StudyDate": "20060705",
        "StudyTime": "1030",
        "AccessionNumber": "acc-1",
        "StudyID": "S1",
        "StudyDescription": "thorax lateral",
        "Modality": "MR",
        "SOPClassUID": MR,
        "OtherPatientNames": ["Miller^Jerry", "Meunier^Georges"],
        "ProcedureCodeSequence": [
            {"CodeValue": "A", "CodingSchemeDesignator": "LN"},
            {"CodeValue": "B", "CodingSchemeDesignator": "SRT"},
        ],
    },
    "c": {
        "PatientID": "P3",
        "PatientName": "Doe^Jane^^Dr.",
        "StudyDate": "20060706",
        "StudyTime": "070000",
        "AccessionNumber": None,
        "RequestAttributesSequence": {
            "ScheduledProcedureStepID": "SPS1",
            "RequestedProcedureID": "RP1",
        },
    },
    "d": {
        "PatientID": "P4",
        "PatientName": "Swayne^Mary",
        "StudyDate": "20060708",
        "StudyTime": "120000",
        "AccessionNumber": "100%_sure*",
        "AcquisitionDateTime": "19980128073000-0300",
    },
    "e": {"PatientID": "P5", "PatientName": "Doe", "AccessionNumber": "B2", "Modality": None},
}


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory, empty_index: Path) -> Iterator[Index]:
    path = tmp_path_factory.mktemp("search") / "index.sqlite"
    path.write_bytes(empty_index.read_bytes())
    index = Index.open(path, readers=2)
    for number, (name, given) in enumerate(STUDIES.items(), 1):
        uids = {
            "StudyInstanceUID": f"1.9.{number}",
            "SeriesInstanceUID": f"1.9.{number}.1",
            "SOPInstanceUID": f"1.9.{number}.1.1",
        }
        store(index, incoming(**uids, **given, InstanceNumber=number, StationName=name))
    further = {"StudyInstanceUID": "1.9.1", "SeriesInstanceUID": "1.9.1.2", "SOPClassUID": MR}
    store(index, incoming(**STUDIES["a"] | further, SOPInstanceUID="1.9.1.2.1", Modality="MR"))
    yield index
    index.close()


async def names_of(index: Index, **asked: Any) -> str:
    """The studies a query finds, by the letters above."""
    uids = await values(index, query(**asked), "StudyInstanceUID")
    return "".join("abcde"[int(uid[-1]) - 1] for uid in uids)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        # single value matching: exactly, in case too (C.2.2.2.1)
        ({"AccessionNumber": "Acc-1"}, "a"),
        ({"AccessionNumber": "ACC-1"}, ""),
        ({"PatientID": "P1"}, "a"),
        ({"StudyDescription": "thorax lateral"}, "b"),
        ({"StudyDescription": "Thorax lateral"}, ""),
        ({"OtherPatientIDs": "X2"}, "a"),
        ({"PatientWeight": "70.50"}, "a"),
        # ... dates and times by their meaning
        ({"StudyTime": "103000"}, "b"),
        ({"StudyTime": "1030"}, "b"),
        ({"StudyDate": "20060705"}, "ab"),
        ({"AcquisitionDateTime": "19980128103000"}, "d"),
        # list of UIDs (C.2.2.2.2)
        ({"StudyInstanceUID": "1.9.1\\1.9.3\\1.9.77"}, "ac"),
        # universal (C.2.2.2.3)
        ({"StudyDescription": ""}, "abcde"),
        ({"PatientName": "*"}, "abcde"),
        # wild cards (C.2.2.2.4)
        ({"AccessionNumber": "?cc-1"}, "ab"),
        ({"AccessionNumber": "Acc*"}, "a"),
        ({"AccessionNumber": "*-1"}, "ab"),
        ({"StudyDescription": "*a*"}, "ab"),
        ({"StudyDescription": "T*a.p."}, "a"),
        ({"StudyID": "S[1]*"}, "a"),
        ({"StudyID": "S?"}, "b"),
        ({"AccessionNumber": "100%_*"}, "d"),
        ({"AccessionNumber": "100?_sure?"}, "d"),
        # ranges (C.2.2.2.5)
        ({"StudyDate": "20060706-20060708"}, "cd"),
        ({"StudyDate": "-20060705"}, "ab"),
        ({"StudyDate": "20060706-"}, "cd"),
        ({"StudyTime": "1000-1800"}, "bd"),
        ({"StudyDate": "20060705-20060707", "StudyTime": "1000-1800"}, "b"),
        (
            {
                "StudyDate": "20060705-20060707",
                "StudyTime": "1000-1800",
                "combined_date_time": True,
            },
            "bc",
        ),
        ({"AcquisitionDateTime": "199801281000-199801281100"}, "d"),
        ({"AcquisitionDateTime": "19980128-0300-199801280740-0300"}, "d"),
        # sequences, item by item (C.2.2.2.6)
        ({"ProcedureCodeSequence": {"CodeValue": "A"}}, "b"),
        ({"ProcedureCodeSequence": {"CodeValue": "A", "CodingSchemeDesignator": "LN"}}, "b"),
        ({"ProcedureCodeSequence": {"CodeValue": "A", "CodingSchemeDesignator": "SRT"}}, ""),
        ({"ProcedureCodeSequence": {"CodeValue": "?"}}, "b"),
        ({"ProcedureCodeSequence": {}}, "abcde"),
        ({"ProcedureCodeSequence": {"CodeValue": ""}}, "abcde"),
        # empty values (C.2.2.2.7)
        ({"AccessionNumber": '""'}, "c"),
        ({"StudyDate": '""'}, "e"),
        ({"StudyDescription": '""'}, "cde"),
        ({"ReferringPhysicianName": '""'}, "bcde"),
        ({"ModalitiesInStudy": '""'}, "e"),
        # multiple values (C.2.2.2.8)
        ({"PatientID": "P1\\P4"}, "ad"),
        ({"StudyDate": "20060706\\20060708"}, "cd"),
        ({"PatientName": "Swayne*\\Müller*"}, "bd"),
        # names
        ({"PatientName": "MULLER^JORG"}, "b"),
        ({"PatientName": "müller"}, ""),
        ({"PatientName": "mul*"}, "b"),
        ({"PatientName": "*jor*"}, "b"),
        ({"PatientName": "*or*"}, "b"),
        ({"PatientName": "Doe^Jane^^Dr.^"}, "c"),
        ({"PatientName": "Doe^*"}, "ce"),
        ({"PatientName": "Doe*"}, "ce"),
        ({"PatientName": "D?e"}, "e"),
        ({"PatientName": "Wang^XiaoDong"}, "a"),
        ({"PatientName": "王^小東"}, "a"),
        ({"PatientName": "*小東*"}, "a"),
        ({"PatientName": "Wang^XiaoDong=王^小東"}, "a"),
        ({"PatientName": "Wang^XiaoDong=李^小東"}, ""),
        ({"PatientName": "=王*"}, "a"),
        ({"PatientName": "=Wang*"}, ""),
        ({"ReferringPhysicianName": "house*"}, "a"),
        ({"OtherPatientNames": "miller^jerry"}, "b"),
        ({"OtherPatientNames": "*georges"}, "b"),
        # fuzzy, which only adds
        ({"PatientName": "Swain", "fuzzy": True}, "d"),
        ({"PatientName": "Mary Swain", "fuzzy": True}, "d"),
        ({"PatientName": "Mary Smith", "fuzzy": True}, ""),
        ({"PatientName": "Miller", "fuzzy": True}, "b"),
        ({"PatientName": "王", "fuzzy": True}, "a"),
        ({"PatientName": "李", "fuzzy": True}, ""),
        ({"PatientName": "Иванов", "fuzzy": True}, ""),
        ({"PatientName": "=王", "fuzzy": True}, "a"),
        ({"OtherPatientNames": "Georges", "fuzzy": True}, "b"),
        # computed
        ({"ModalitiesInStudy": "MR"}, "ab"),
        ({"ModalitiesInStudy": "CT\\MR"}, "abcd"),
        ({"ModalitiesInStudy": "M*"}, "ab"),
        ({"ModalitiesInStudy": "XA"}, ""),
        ({"SOPClassesInStudy": MR}, "ab"),
        ({"NumberOfStudyRelatedSeries": "2"}, "a"),
        ({"NumberOfPatientRelatedInstances": "2"}, "a"),
        # keys of other levels (C.4.1.3.2)
        ({"Modality": "MR"}, "ab"),
        ({"SeriesInstanceUID": "1.9.1.2"}, "a"),
        ({"SOPInstanceUID": "1.9.1.2.1\\1.9.4.1.1"}, "ad"),
        ({"InstanceNumber": "3"}, "c"),
        ({"Modality": "MR", "SOPClassUID": CT}, ""),
        (
            {"RequestAttributesSequence": {"ScheduledProcedureStepID": "SPS1"}},
            "c",
        ),
        # several keys
        ({"StudyDate": "20060705", "ModalitiesInStudy": "CT"}, "a"),
        ({"PatientName": "*e*", "StudyDate": "20060706-"}, "cd"),
    ],
)
async def test_a_key_finds_the_studies_it_matches(
    studies: Index, asked: dict[str, Any], expected: str
) -> None:
    assert await names_of(studies, **asked) == expected
    assert await studies.count(query(**asked)) == len(expected)


@pytest.mark.parametrize(
    ("level", "asked", "expected"),
    [
        (Level.PATIENT, {"PatientName": "wang*"}, ["P1"]),
        (Level.PATIENT, {"PatientBirthDate": "1970-"}, None),
        (Level.PATIENT, {"PatientBirthDate": "19700101-19701231"}, ["P1"]),
        (Level.PATIENT, {"NumberOfPatientRelatedSeries": "2"}, ["P1"]),
        (Level.PATIENT, {"StudyDate": "20060705"}, ["P1", "P2"]),
        (
            Level.PATIENT,
            {"StudyDate": "20060705", "Modality": "MR", "SOPClassUID": MR},
            ["P1", "P2"],
        ),
        (Level.PATIENT, {"PatientName": "Swain", "fuzzy": True}, ["P4"]),
        (Level.PATIENT, {"OtherPatientIDs": "X1"}, ["P1"]),
        (Level.PATIENT, {}, ["P1", "P2", "P3", "P4", "P5"]),
        (Level.SERIES, {"StudyInstanceUID": "1.9.1"}, ["P1", "P1"]),
        (Level.SERIES, {"PatientID": "P1", "Modality": "MR"}, ["P1"]),
        (
            Level.SERIES,
            {"NumberOfSeriesRelatedInstances": "1", "PatientName": "doe*"},
            ["P3", "P5"],
        ),
        (Level.SERIES, {"StationName": "?"}, ["P1", "P2", "P3", "P4", "P5"]),
        (Level.SERIES, {"ModalitiesInStudy": "MR"}, ["P1", "P1", "P2"]),
        (
            Level.SERIES,
            {"RequestAttributesSequence": {"RequestedProcedureID": "RP?"}},
            ["P3"],
        ),
        (Level.IMAGE, {"StudyInstanceUID": "1.9.1", "SeriesInstanceUID": "1.9.1.2"}, ["P1"]),
        (Level.IMAGE, {"SOPInstanceUID": "1.9.1.2.1\\1.9.4.1.1"}, ["P1", "P4"]),
        (Level.IMAGE, {"SOPClassUID": MR}, ["P1", "P2"]),
        (Level.IMAGE, {"SOPClassUID": MR, "PatientName": "wang*"}, ["P1"]),
        (Level.IMAGE, {"InstanceNumber": "4"}, ["P4"]),
        (Level.IMAGE, {"StudyDate": "20060706-", "InstanceNumber": "4"}, ["P4"]),
        (Level.IMAGE, {}, ["P1", "P1", "P2", "P3", "P4", "P5"]),
    ],
)
async def test_every_level_can_be_asked(
    studies: Index, level: Level, asked: dict[str, Any], expected: list[str] | None
) -> None:
    if expected is None:
        with pytest.raises(Malformed):
            await found(studies, query(level, **asked))
        return

    assert await values(studies, query(level, **asked), "PatientID") == expected
    assert await studies.count(query(level, **asked)) == len(expected)


async def test_a_match_bears_the_attributes_of_its_level_and_those_above(studies: Index) -> None:
    asked = query(Level.IMAGE, SOPInstanceUID="1.9.1.2.1")

    (match,) = await found(studies, asked)

    expected = {
        "00080016": {"vr": "UI", "Value": [MR]},
        "00080060": {"vr": "CS", "Value": ["MR"]},
        "00080061": {"vr": "CS", "Value": ["CT", "MR"]},
        "00080062": {"vr": "UI", "Value": [CT, MR]},
        "00080050": {"vr": "SH", "Value": ["Acc-1"]},
        "00100010": {
            "vr": "PN",
            "Value": [{"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小東"}],
        },
        "00201200": {"vr": "IS", "Value": [1]},
        "00201206": {"vr": "IS", "Value": [2]},
        "00201208": {"vr": "IS", "Value": [2]},
        "00201209": {"vr": "IS", "Value": [1]},
        "00083002": {"vr": "UI", "Value": ["1.2.840.10008.1.2.1"]},
    }
    assert {tag: match.attributes[tag] for tag in expected} == expected


async def test_only_what_is_asked_for_is_returned(studies: Index) -> None:
    asked = query(PatientID="P1", returns=frozenset({0x00100020, 0x00081030, 0x00404242}))

    (match,) = await found(studies, asked)

    assert match.attributes.keys() == {"00100020", "00081030"}


async def test_studies_come_newest_first(studies: Index) -> None:
    matches = await found(studies, query())

    assert [each.attributes["0020000D"]["Value"][0] for each in matches] == [
        "1.9.4",
        "1.9.3",
        "1.9.2",
        "1.9.1",
        "1.9.5",
    ]


@pytest.mark.parametrize("asked", [{}, {"ModalitiesInStudy": "CT"}, {"PatientName": "*e*"}])
@pytest.mark.parametrize("level", list(Level))
async def test_a_query_continues_behind_any_match(
    studies: Index, level: Level, asked: dict[str, Any]
) -> None:
    everything = await found(studies, query(level, **asked))

    for number, match in enumerate(everything):
        rest = await found(studies, query(level, **asked, after=match.position))
        assert rest == everything[number + 1 :]


async def test_a_limit_is_kept(studies: Index) -> None:
    assert len(await found(studies, query(limit=3))) == 3
    assert await found(studies, query(limit=0)) == []


async def test_keys_that_cannot_be_matched_are_named(studies: Index) -> None:
    asked = query(StudyDescription="x", RetrieveAETitle="Y")

    assert asked.unsupported == {0x00080054}


async def test_what_says_how_to_read_the_keys_is_not_matched(studies: Index) -> None:
    asked = query(SpecificCharacterSet="ISO_IR 100", TimezoneOffsetFromUTC="+0100")

    assert asked.unsupported == frozenset()
    assert len(await found(studies, asked)) == 5


async def test_a_key_nobody_knows_matches_everything(studies: Index) -> None:
    asked = query().__class__(level=Level.STUDY, keys=(Key(0x00091001, "secret"),))

    assert asked.unsupported == {0x00091001}
    assert len(await found(studies, asked)) == 5


async def test_a_range_is_of_the_askers_timezone(index: Index) -> None:
    # Half past midnight in Helsinki, half past five in the evening in New York: 22:30 in Greenwich.
    for patient, date, time, zone in (
        ("helsinki", "20240101", "003000", "+0200"),
        ("new york", "20231231", "173000", "-0500"),
        ("not said", "20231231", "223000.5", None),
        ("later", "20231231", "233000", "+0000"),
        ("no time", "20231231", "", "+0200"),
        ("no zone", "20231231", "225959", "here"),
    ):
        uid = f"1.2.{date}.{len(patient)}{time}"
        uids = dict.fromkeys(("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"), uid)
        told = {"StudyDate": date, "StudyTime": time, "TimezoneOffsetFromUTC": zone}
        await index.store(incoming(patient, PatientID=patient, **uids, **told))
    asked = {"StudyDate": "20231231-20231231", "StudyTime": "2200-2259"}

    greenwich = query(**asked, combined_date_time=True, offset=0)
    berlin = query(StudyDate="20231231-", StudyTime="233000-", combined_date_time=True, offset=60)
    nowhere = query(**asked, combined_date_time=True)

    ours = {"not said", "no zone"}
    assert set(await values(index, greenwich, "PatientID")) == {"helsinki", "new york", *ours}
    assert set(await values(index, berlin, "PatientID")) == {"helsinki", "new york", "later"}
    assert set(await values(index, nowhere, "PatientID")) == ours


async def test_hostile_text_is_only_text(studies: Index) -> None:
    for hostile in (
        "'; DROP TABLE study; --",
        '" OR 1=1',
        '*"*AND*',
        "*'*''*",
        "\U0010ffff*",
        "*[*",
    ):
        assert await names_of(studies, PatientName=hostile) == ""
        assert await names_of(studies, StudyDescription=hostile) == ""
        assert await names_of(studies, PatientName=hostile, fuzzy=True) == ""
