"""Storage commitment over the web (PS3.18 13, annex J; examples in B.27 to B.29)."""

from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pydicom.dataset import Dataset

from isocenter.archive.archive import Archive
from isocenter.dicom import xml_model
from made_instances import CT, MR, Kept, image

PATH = "/commitment-requests/1.1.99999"
JSON = {"Content-Type": "application/dicom+json"}


def reference(sop_instance: str, sop_class: str = CT) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class
    item.ReferencedSOPInstanceUID = sop_instance
    return item


def flat(*uids: str) -> Dataset:
    module = Dataset()
    module.ReferencedSOPSequence = [reference(uid) for uid in uids]
    return module


def by_study(study: str, series: str, *uids: str) -> Dataset:
    """As in B.28."""
    of_class = Dataset()
    of_class.ReferencedSOPClassUID = CT
    of_class.ReferencedInstanceSequence = []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPInstanceUID = uid
        of_class.ReferencedInstanceSequence.append(item)
    of_series = Dataset()
    of_series.SeriesInstanceUID = series
    of_series.ReferencedInstancesBySOPClassSequence = [of_class]
    of_study = Dataset()
    of_study.StudyInstanceUID = study
    of_study.ReferencedSeriesSequence = [of_series]
    module = Dataset()
    module.ReferencedStudySequence = [of_study]
    return module


async def test_each_instance_is_answered_for(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(image("1.1"))

    response = await web.post(PATH, content=flat("1.1", "1.9").to_json(), headers=JSON)

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/dicom+json"
    module = Dataset.from_json(response.text)
    assert [each.ReferencedSOPInstanceUID for each in module.ReferencedSOPSequence] == ["1.1"]
    (failed,) = module.FailedSOPSequence
    assert (failed.ReferencedSOPClassUID, failed.ReferencedSOPInstanceUID) == (CT, "1.9")
    assert failed.FailureReason == 274  # as in B.27


async def test_the_result_can_be_had_again(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(image("1.1"))
    first = await web.post(PATH, content=flat("1.1", "1.9").to_json(), headers=JSON)

    again = await web.get(PATH)

    assert again.status_code == 200
    assert again.json() == first.json()


async def test_references_by_study_are_answered_by_study(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    await kept.store(image("1.1"))
    content = by_study("1.2", "1.2.3", "1.1", "1.9").to_json()

    response = await web.post(PATH, content=content, headers=JSON)

    module = Dataset.from_json(response.text)
    assert "ReferencedSOPSequence" not in module
    assert "FailedSOPSequence" not in module
    committed = by_study("1.2", "1.2.3", "1.1").ReferencedStudySequence
    assert module.ReferencedStudySequence == committed
    failed = module.FailedStudySequence[0]
    assert failed.StudyInstanceUID == "1.2"
    (item,) = (
        failed.ReferencedSeriesSequence[0]
        .ReferencedInstancesBySOPClassSequence[0]
        .ReferencedInstanceSequence
    )
    assert (item.ReferencedSOPInstanceUID, item.FailureReason) == ("1.9", 274)


async def test_xml_is_taken_and_given(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(image("1.1"))
    content = b"".join(xml_model.write(flat("1.1").to_json_dict()))
    headers = {"Content-Type": "application/dicom+xml", "Accept": "application/dicom+xml"}

    response = await web.post(PATH, content=content, headers=headers)

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/dicom+xml"
    module = Dataset.from_json(xml_model.read(response.content))
    assert module == flat("1.1")


async def test_a_request_may_come_in_parts_and_so_may_the_answer(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    await kept.store(image("1.1"))
    parts = (flat("1.1"), by_study("1.2", "1.2.3", "1.9"))
    head = b"--x\r\nContent-Type: application/dicom+json\r\n\r\n"
    content = b"".join(head + part.to_json().encode() + b"\r\n" for part in parts) + b"--x--"
    kind = 'multipart/related; type="application/dicom+json"'

    response = await web.post(
        PATH, content=content, headers={"Content-Type": f"{kind}; boundary=x", "Accept": kind}
    )

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("multipart/related")
    body = response.content.split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--", 1)[0]
    module = Dataset.from_json(body.decode())
    assert "ReferencedSOPSequence" in module
    assert "FailedStudySequence" in module


async def test_a_transaction_uid_is_used_once(web: httpx.AsyncClient) -> None:
    await web.post(PATH, content=flat("1.1").to_json(), headers=JSON)

    response = await web.post(PATH, content=flat("1.1").to_json(), headers=JSON)

    assert response.status_code == 409


async def test_other_classes_conflict(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(image("1.1"))
    module = Dataset()
    module.ReferencedSOPSequence = [reference("1.1", MR)]

    response = await web.post(PATH, content=module.to_json(), headers=JSON)

    assert Dataset.from_json(response.text).FailedSOPSequence[0].FailureReason == 0x0119


async def test_what_takes_long_is_accepted_and_checked_later(
    web: httpx.AsyncClient, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing_yet(*_: Any) -> None:
        return None

    monkeypatch.setattr(archive.commitments, "request", nothing_yet)
    monkeypatch.setattr(archive.commitments, "result", nothing_yet)

    asked = await web.post(PATH, content=flat("1.1").to_json(), headers=JSON)
    checked = await web.get(PATH)

    assert (asked.status_code, checked.status_code) == (202, 202)
    assert int(asked.headers["retry-after"]) > 0
    assert asked.content == b""


async def test_nobody_asked_is_not_found_and_expired_is_gone(
    web: httpx.AsyncClient, archive: Archive
) -> None:
    store = archive.index.commitments
    await store.enter("1.5", b"", 3600)

    assert (await web.get("/commitment-requests/1.4")).status_code == 404
    assert (await web.get("/commitment-requests/1.5")).status_code == 410


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"", JSON, 400),
        (b"{", JSON, 400),
        (b"{}", JSON, 400),
        (b"[1]", JSON, 400),
        (b'{"00081199": {"vr": "SQ", "Value": [{}]}}', JSON, 400),
        (b'{"00081199": {"vr": "SQ", "Value": [1]}}', JSON, 400),
        (b'{"00081199": {"vr": "SQ", "Value": 1}}', JSON, 400),
        (b'{"00081110": 3}', JSON, 400),
        (b"<a/>", {"Content-Type": "application/dicom+xml"}, 400),
        (b"x", {"Content-Type": "text/plain"}, 415),
        (b"x", {"Content-Type": 'multipart/related; type="application/dicom"; boundary=x'}, 415),
    ],
)
async def test_nonsense_is_told_from_requests(
    web: httpx.AsyncClient, content: bytes, headers: dict[str, str], status: int
) -> None:
    response = await web.post(PATH, content=content, headers=headers)

    assert response.status_code == status
    assert response.json()["detail"]


_LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
_TAGS = st.sampled_from(["00081199", "00081110", "00081155", "00081150", "vr", "Value"])
_TREES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TAGS, inner, max_size=4),
    max_leaves=20,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(_TREES)
async def test_whatever_json_comes_is_answered(web: httpx.AsyncClient, tree: Any) -> None:
    response = await web.post(PATH, json=tree, headers=JSON)

    assert response.status_code in (200, 400, 409)
