"""Removing by clients of others, and undoing it: what they find, and the bytes they get."""

from io import BytesIO

import httpx
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient

from instances import Instance, make_study
from peers import Isocenter
from programs import Command, ServerFactory, Tool
from questions import fetch, store_all

ACCESSION = "REMOVED1"


def found_by_dcmtk(dcmtk: Tool, server: Isocenter, study: Instance) -> int:
    """How many studies findscu finds by the UID and accession number."""
    keys = ["StudyInstanceUID=" + study.study, "AccessionNumber=" + ACCESSION]
    arguments = [part for key in ("QueryRetrieveLevel=STUDY", *keys) for part in ("-k", key)]
    told = dcmtk(
        "findscu", "-S", "-aec", "ISOCENTER", *arguments, "127.0.0.1", str(server.dicom_port), "-v"
    )
    return told.count("(Pending)")


def number_of_the_latest(isocenter: Command, server: Isocenter) -> str:
    return isocenter("removed", "--data", server.data).stdout.splitlines()[-1].split("\t")[0]


def test_what_a_client_deletes_can_be_put_back_as_it_was(
    server: Isocenter, dcmtk: Tool, isocenter: Command
) -> None:
    study = make_study(6, series=2, AccessionNumber=ACCESSION)
    store_all(server, study)
    client = DICOMwebClient(f"{server.url}/dicom-web")
    before = fetch(server, study[0].study)
    described = client.search_for_studies(search_filters={"StudyInstanceUID": study[0].study})
    metadata = client.retrieve_study_metadata(study[0].study)
    assert found_by_dcmtk(dcmtk, server, study[0]) == 1

    client.delete_study(study[0].study)

    assert found_by_dcmtk(dcmtk, server, study[0]) == 0
    assert fetch(server, study[0].study) == {}
    with pytest.raises(OSError, match="404"):
        client.retrieve_study_metadata(study[0].study)
    server.stop()
    number = number_of_the_latest(isocenter, server)
    assert "6 put back" in isocenter("restore", number, "--data", server.data).stdout
    server.restart()
    assert found_by_dcmtk(dcmtk, server, study[0]) == 1
    assert fetch(server, study[0].study) == before
    assert {uid: data for uid, (_, data) in before.items()} == {
        one.sop_instance: one.data_set for one in study
    }
    client = DICOMwebClient(f"{server.url}/dicom-web")
    filters = {"StudyInstanceUID": study[0].study}
    assert client.search_for_studies(search_filters=filters) == described
    assert client.retrieve_study_metadata(study[0].study) == metadata


def test_a_series_deleted_leaves_the_others_and_comes_back(
    server: Isocenter, isocenter: Command
) -> None:
    study = make_study(6, series=2)
    store_all(server, study)
    client = DICOMwebClient(f"{server.url}/dicom-web")
    others = {one.sop_instance for one in study if one.series != study[0].series}

    client.delete_series(study[0].study, study[0].series)

    assert fetch(server, study[0].study).keys() == others
    server.stop()
    isocenter("restore", number_of_the_latest(isocenter, server), "--data", server.data)
    server.restart()
    assert fetch(server, study[0].study).keys() == {one.sop_instance for one in study}


def test_what_is_sent_again_is_stored_again(server: Isocenter, isocenter: Command) -> None:
    study = make_study(3)
    store_all(server, study)
    client = DICOMwebClient(f"{server.url}/dicom-web")
    client.delete_study(study[0].study)

    client.store_instances([pydicom.dcmread(BytesIO(one.file)) for one in study[:2]])

    again = {one.sop_instance for one in study[:2]}
    assert fetch(server, study[0].study).keys() == again
    server.stop()
    told = isocenter(
        "restore", number_of_the_latest(isocenter, server), "--data", server.data, expect=None
    )
    assert "1 put back, 2 were there again" in told.stdout, told.stderr
    isocenter("verify", "--data", server.data)
    server.restart()
    got = fetch(server, study[0].study)
    assert {uid: data for uid, (_, data) in got.items()} == {
        one.sop_instance: one.data_set for one in study
    }


def test_fhir_calls_what_is_put_back_as_before(server: Isocenter, isocenter: Command) -> None:
    study = make_study(2)
    store_all(server, study)
    address = f"/fhir/R4/ImagingStudy?identifier=urn:dicom:uid|urn:oid:{study[0].study}"
    (entry,) = httpx.get(f"{server.url}{address}").json()["entry"]
    httpx.delete(f"{server.url}/dicom-web/studies/{study[0].study}").raise_for_status()
    logical = entry["resource"]["id"]
    assert httpx.get(f"{server.url}/fhir/R4/ImagingStudy/{logical}").status_code in (404, 410)

    server.stop()
    isocenter("restore", number_of_the_latest(isocenter, server), "--data", server.data)
    server.restart()

    (again,) = httpx.get(f"{server.url}{address}").json()["entry"]
    assert again["resource"]["id"] == logical


def test_a_server_that_keeps_nothing_removed_cannot_put_it_back(
    start_server: ServerFactory, isocenter: Command
) -> None:
    server = start_server(config="[archive]\nremoval_retention = 0\n")
    study = make_study(2)
    store_all(server, study)

    httpx.delete(f"{server.url}/dicom-web/studies/{study[0].study}").raise_for_status()

    server.stop()
    number = number_of_the_latest(isocenter, server)
    refused = isocenter("restore", number, "--data", server.data, expect=1)
    assert "deleted" in refused.stderr
