"""QIDO-RS by dicomweb-client and curl, and the same questions by DCMTK's findscu: the same answers.

Source: PS3.18 10.6, 8.3.4; PS3.4 C.2.2.2.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

import wire
from instances import Instance, make_study
from peers import Isocenter, find_program
from programs import Tool
from questions import store_all


@pytest.fixture(scope="module")
def studies(shared_server: Isocenter) -> list[list[Instance]]:
    """Four studies of three patients, stored."""
    german = {
        "PatientID": "QIDO01",
        "PatientName": "Müller^Änne",
        "SpecificCharacterSet": "ISO_IR 100",
        "StudyDescription": "Head",
    }
    made = [
        make_study(
            4, series=2, StudyDate="20200101", StudyTime="080000", AccessionNumber="Q1", **german
        ),
        make_study(1, StudyDate="20200615", AccessionNumber="Q2", Modality="MR", **german),
        make_study(
            2,
            PatientID="QIDO02",
            PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう",
            SpecificCharacterSet=["", "ISO 2022 IR 87"],
            StudyDate="20201231",
            AccessionNumber="Q3",
            StudyDescription="Knee",
        ),
        make_study(
            1,
            PatientID="QIDO03",
            PatientName="Wang^XiaoDong=王^小东",
            SpecificCharacterSet="GB18030",
            StudyDate="20210101",
            AccessionNumber="Q4",
            StudyDescription="Kopf",
        ),
    ]
    for study in made:
        assert set(store_all(shared_server, study)) == {wire.SUCCESS}
    return made


@pytest.fixture
def client(shared_server: Isocenter) -> DICOMwebClient:
    return DICOMwebClient(f"{shared_server.url}/dicom-web")


def uids(matches: list[dict[str, Any]], keyword: str) -> list[str]:
    return sorted(match[f"{tag_for_keyword(keyword):08X}"]["Value"][0] for match in matches)


# --- dicomweb-client


def test_studies_are_found(client: DICOMwebClient, studies: list[list[Instance]]) -> None:
    found = client.search_for_studies(
        fields=["StudyDescription"],
        search_filters={"PatientID": "QIDO*", "StudyDate": "20200601-20201231"},
    )

    assert uids(found, "StudyInstanceUID") == sorted(each[0].study for each in studies[1:3])
    answers = [Dataset.from_json(match) for match in found]
    assert {str(each.PatientName) for each in answers} == {
        "Müller^Änne",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    }
    assert {each.StudyDescription for each in answers} == {"Head", "Knee"}


def test_a_name_is_found_without_its_accents(
    client: DICOMwebClient, studies: list[list[Instance]]
) -> None:
    for name in ("muller*", "Müller^Änne", "*LLER^ÄNNE"):
        found = client.search_for_studies(
            search_filters={"PatientName": name, "PatientID": "QIDO01"}
        )
        assert uids(found, "StudyInstanceUID") == sorted(each[0].study for each in studies[:2])


def test_fuzzy_matching_is_supported(client: DICOMwebClient, studies: list[list[Instance]]) -> None:
    found = client.search_for_studies(
        fuzzymatching=True, search_filters={"PatientName": "xiaodong wang", "PatientID": "QIDO03"}
    )

    assert uids(found, "StudyInstanceUID") == [studies[3][0].study]


def test_series_are_found_in_a_study_and_anywhere(
    client: DICOMwebClient, studies: list[list[Instance]]
) -> None:
    study = studies[0][0].study

    inside = client.search_for_series(study)
    anywhere = client.search_for_series(search_filters={"StudyInstanceUID": study})

    assert len(inside) == len(anywhere) == 2
    assert uids(inside, "SeriesInstanceUID") == uids(anywhere, "SeriesInstanceUID")
    assert {Dataset.from_json(each).NumberOfSeriesRelatedInstances for each in inside} == {2}


def test_instances_are_found_in_a_series_a_study_and_anywhere(
    client: DICOMwebClient, studies: list[list[Instance]]
) -> None:
    first = studies[0][0]
    study = first.study
    (series, *_) = uids(client.search_for_series(study), "SeriesInstanceUID")

    in_series = client.search_for_instances(study, series)
    in_study = client.search_for_instances(study)
    anywhere = client.search_for_instances(search_filters={"SOPInstanceUID": first.sop_instance})

    assert len(in_series) == 2
    assert uids(in_study, "SOPInstanceUID") == sorted(each.sop_instance for each in studies[0])
    assert uids(anywhere, "SOPInstanceUID") == [first.sop_instance]


def test_pages_are_followed_to_the_end(
    client: DICOMwebClient, studies: list[list[Instance]]
) -> None:
    study = studies[0][0].study

    whole = client.search_for_instances(study, limit=1, get_remaining=True)
    some = client.search_for_instances(study, limit=2, offset=1)

    assert uids(whole, "SOPInstanceUID") == sorted(each.sop_instance for each in studies[0])
    assert some == whole[1:3]


def test_nothing_found_is_an_empty_list(client: DICOMwebClient) -> None:
    assert client.search_for_studies(search_filters={"PatientID": "NOBODY"}) == []


# --- findscu and curl

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "search-over-the-web.md"
SHOWN = re.findall(r"^    (curl .+)$", HOWTO.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.usefixtures("studies")
@pytest.mark.parametrize("line", SHOWN)
def test_what_the_documentation_shows_is_answered(shared_server: Isocenter, line: str) -> None:
    find_program("curl")
    there = line.replace("http://localhost:8080", shared_server.url)

    options = "--silent --show-error --fail --output /dev/null"
    written = "--write-out '%{http_code} %header{warning}'"
    done = subprocess.run(
        ["bash", "-c", f"{there} {options} {written}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] in {"200", "204"}
    assert "not supported" not in done.stdout


def test_the_documentation_shows_some() -> None:
    assert len(SHOWN) > 10


QUESTIONS: list[dict[str, str]] = [
    {},
    {"PatientID": "QIDO01"},
    {"PatientID": "QIDO0?"},
    {"PatientName": "Smith*"},
    {"PatientName": "yamada*"},
    {"PatientName": "*XIAO*"},
    {"PatientName": "=*"},
    {"StudyDate": "20200615"},
    {"StudyDate": "20200101-20201231"},
    {"StudyDate": "-20200615"},
    {"AccessionNumber": "Q3"},
    {"AccessionNumber": "q3"},
    {"StudyDescription": "K*"},
    {"ModalitiesInStudy": "MR"},
    {"Modality": "CT", "PatientName": "M*"},
    {"PatientID": "' OR 1=1 --"},
    {"PatientID": "%"},
    {"NumberOfStudyRelatedInstances": "2"},
]


def by_findscu(
    server: Isocenter, dcmtk: Tool, folder: Path, keys: dict[str, str]
) -> dict[str, Dataset]:
    """What C-FIND answers, by Study Instance UID."""
    # Without relational queries, keys of the series are not asked at the level of studies.
    wanted = {"StudyInstanceUID": "", "PatientName": "", "AccessionNumber": "", **keys}
    arguments = [part for name, value in wanted.items() for part in ("-k", f"{name}={value}")]
    folder.mkdir()
    dcmtk(
        "findscu", "-S", "-X", "-od", str(folder), "-k", "QueryRetrieveLevel=STUDY",
        "-k", "SpecificCharacterSet=ISO_IR 192", *arguments, *server.at,
    )  # fmt: skip
    answers = [dcmread(path, force=True) for path in folder.glob("rsp*.dcm")]
    return {str(each.StudyInstanceUID): each for each in answers}


def by_curl(server: Isocenter, keys: dict[str, str]) -> dict[str, Dataset]:
    """What QIDO-RS answers, by Study Instance UID."""
    arguments = [part for pair in keys.items() for part in ("--data-urlencode", "=".join(pair))]
    answered = subprocess.run(
        [
            find_program("curl"), "--silent", "--show-error", "--fail", "--get",
            f"{server.url}/dicom-web/studies", *arguments,
        ],
        capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    matches = json.loads(answered.stdout) if answered.stdout else []
    answers = [Dataset.from_json(match) for match in matches]
    return {str(each.StudyInstanceUID): each for each in answers}


@pytest.mark.usefixtures("studies")
@pytest.mark.parametrize("keys", QUESTIONS, ids=str)
def test_the_same_question_has_the_same_answer_over_both_wires(
    shared_server: Isocenter, dcmtk: Tool, tmp_path: Path, keys: dict[str, str]
) -> None:
    of_find = by_findscu(shared_server, dcmtk, tmp_path / "found", keys)
    of_qido = by_curl(shared_server, keys)

    assert of_find.keys() == of_qido.keys()
    for uid, dataset in of_find.items():
        for keyword in ("PatientName", "AccessionNumber"):
            assert dataset[keyword].value == of_qido[uid][keyword].value
