"""The Worklist Service (PS3.18 chapter 11), called without a socket."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from made_workitems import PERFORMED, TRANSACTION, UID, Dataset, code, element, state, workitem

JSON = {"Content-Type": "application/dicom+json"}


async def send(
    web: httpx.AsyncClient, method: str, path: str, dataset: Any = None, **more: Any
) -> httpx.Response:
    content = None if dataset is None else json.dumps(dataset)
    return await web.request(method, path, content=content, headers=JSON, **more)


async def created(web: httpx.AsyncClient, uid: str = UID, **more: Dataset) -> str:
    answer = await send(web, "POST", f"/workitems?workitem={uid}", [workitem(**more)])
    assert answer.status_code == 201, answer.text
    return uid


async def claimed(web: httpx.AsyncClient, uid: str = UID) -> str:
    answer = await send(web, "PUT", f"/workitems/{uid}/state", [state("IN PROGRESS")])
    assert answer.status_code == 200, answer.text
    return uid


async def put_in(web: httpx.AsyncClient, wanted: str) -> str:
    """A workitem in a state."""
    await created(web)
    if wanted != "SCHEDULED":
        await claimed(web)
    if wanted in ("COMPLETED", "CANCELED"):
        await send(web, "POST", f"/workitems/{UID}?{TRANSACTION}", PERFORMED)
        answer = await send(web, "PUT", f"/workitems/{UID}/state", state(wanted))
        assert answer.status_code == 200, answer.text
    return UID


async def held(web: httpx.AsyncClient, uid: str = UID) -> Dataset:
    answer = await web.get(f"/workitems/{uid}")
    assert answer.status_code == 200
    [dataset] = answer.json()
    return dict(dataset)


# --- create (11.4)


async def test_a_created_workitem_is_where_location_says(web: httpx.AsyncClient) -> None:
    answer = await send(web, "POST", f"/workitems?workitem={UID}", [workitem()])

    assert answer.status_code == 201
    assert answer.content == b""
    assert answer.headers["location"] == f"http://archive/workitems/{UID}"
    assert "warning" not in answer.headers
    found = await held(web)
    assert found["00741000"]["Value"] == ["SCHEDULED"]
    assert found["00080016"]["Value"] == ["1.2.840.10008.5.1.4.34.6.1"]
    assert found["00080018"]["Value"] == [UID]
    assert found["00404010"]["Value"][0].startswith("20")


@pytest.mark.parametrize("query", [f"?{UID}", f"?AffectedSOPInstanceUID={UID}"])
async def test_the_workitem_uid_may_be_named_otherwise(web: httpx.AsyncClient, query: str) -> None:
    answer = await send(web, "POST", f"/workitems{query}", workitem())

    assert answer.headers["location"].endswith(f"/workitems/{UID}")


async def test_the_workitem_uid_may_be_in_the_data_set(web: httpx.AsyncClient) -> None:
    answer = await send(web, "POST", "/workitems", workitem(t00080018=element("UI", UID)))

    assert answer.status_code == 201
    assert await held(web)


async def test_a_workitem_is_added_once(web: httpx.AsyncClient) -> None:
    await created(web)

    answer = await send(web, "POST", f"/workitems?workitem={UID}", [workitem()])

    assert answer.status_code == 409


async def test_what_must_be_there_if_only_empty_is_added_with_a_warning(
    web: httpx.AsyncClient,
) -> None:
    dataset = workitem()
    del dataset["00404018"], dataset["00741202"]

    answer = await send(web, "POST", f"/workitems?workitem={UID}", dataset)

    assert answer.status_code == 201
    assert answer.headers["warning"] == (
        "299 http://archive: The Workitem was created with modifications."
    )
    found = await held(web)
    assert found["00404018"] == {"vr": "SQ"}
    assert found["00741202"]["Value"]


async def test_every_fault_of_a_workitem_is_told_at_once(web: httpx.AsyncClient) -> None:
    dataset = workitem(t00741200=element("CS", "URGENT"), t00404005=element("DT", "tomorrow"))
    del dataset["00404041"]

    answer = await send(web, "POST", f"/workitems?workitem={UID}", dataset)

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    for keyword in (
        "ScheduledProcedureStepPriority",
        "ScheduledProcedureStepStartDateTime",
        "InputReadinessState",
    ):
        assert keyword in answer.json()["detail"]


@pytest.mark.parametrize(
    "more",
    [
        {"t00741000": element("CS", "IN PROGRESS")},
        {"t00741000": element("CS")},
        {"t00081195": element("UI", TRANSACTION)},
        {"t00741216": PERFORMED["00741216"]},
        {"t00404025": element("SQ", {"00080102": element("SH", "99X")})},
        {"t00404034": element("SQ", {"00404037": element("PN", {"Alphabetic": "A"})})},
        {"t00100010": {"vr": "PN", "BulkDataURI": "http://elsewhere"}},
        {"t00080018": element("UI", "1.2.3")},
    ],
)
async def test_what_breaks_the_requirements_of_n_create_is_refused(
    web: httpx.AsyncClient, more: Any
) -> None:
    answer = await send(web, "POST", f"/workitems?workitem={UID}", workitem(**more))

    assert answer.status_code == 400
    assert (await web.get(f"/workitems/{UID}")).status_code == 404


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", "application/dicom+json", 400),
        (b"{", "application/dicom+json", 400),
        (b"[]", "application/dicom+json", 400),
        (b"[{},{}]", "application/dicom+json", 400),
        (b"3", "application/dicom+json", 400),
        (b'{"00100010": 3}', "application/dicom+json", 400),
        (b'{"x": {}}', "application/dicom+json", 400),
        (b'{"00091001": {"Value": []}}', "application/dicom+json", 400),
        (b'{"00741200": {"vr": "CS", "Value": "HIGH"}}', "application/dicom+json", 400),
        (b'{"00741200": {"vr": "CS", "Value": [{}]}}', "application/dicom+json", 400),
        (b'{"00404018": {"vr": "SQ", "Value": [3]}}', "application/dicom+json", 400),
        (b"<x/>", "application/dicom+xml", 400),
        (b"--b\r\n\r\n\r\n--b--", "multipart/related; boundary=b", 400),
        (b"--b--", "multipart/related; boundary=b", 400),
        (b"x", "multipart/related", 400),
        (b"{}", "text/plain", 415),
        (b"{}", "nonsense", 400),
        (b"{}", "", 415),
    ],
)
async def test_a_body_that_is_no_workitem_is_refused(
    web: httpx.AsyncClient, body: bytes, kind: str, status: int
) -> None:
    answer = await web.post(
        f"/workitems?workitem={UID}", content=body, headers={"Content-Type": kind}
    )

    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]


async def test_a_name_as_it_is_encoded_is_given_as_the_models_have_it(
    web: httpx.AsyncClient,
) -> None:
    await created(web, t00100010={"vr": "PN", "Value": ["Doe^Jane=\u5c71^\u82b1", ""]})

    name = {"Alphabetic": "Doe^Jane", "Ideographic": "\u5c71^\u82b1"}  # PS3.18 F.2.2
    assert (await held(web))["00100010"]["Value"] == [name, None]
    wanted = {"Accept": 'multipart/related; type="application/dicom+xml"'}
    assert "<FamilyName>Doe</FamilyName>" in (await web.get("/workitems", headers=wanted)).text


async def test_a_binary_value_in_a_list_is_given_as_the_models_have_it(
    web: httpx.AsyncClient,
) -> None:
    await created(web, t00091010={"vr": "UN", "InlineBinary": ["AAAA"]})

    assert (await held(web))["00091010"]["InlineBinary"] == "AAAA"
    wanted = {"Accept": 'multipart/related; type="application/dicom+xml"'}
    found = await web.get(f"/workitems/{UID}", headers=wanted)
    assert "<InlineBinary>AAAA</InlineBinary>" in found.text


@pytest.mark.parametrize("value", [0, False, [], {}], ids=repr)
async def test_what_is_no_text_is_not_kept_for_others_to_stumble_over(
    web: httpx.AsyncClient, value: Any
) -> None:
    bad = workitem(t00100020={"vr": "LO", "Value": [value]})

    answer = await send(web, "POST", f"/workitems?workitem={UID}", [bad])

    assert answer.status_code == 400
    assert "00100020" in answer.json()["detail"]


async def test_a_workitem_can_be_made_and_had_in_xml(web: httpx.AsyncClient) -> None:
    await created(web, t00100010=element("PN", {"Alphabetic": "Doe^Jo"}))
    wanted = {"Accept": 'multipart/related; type="application/dicom+xml"'}
    answer = await web.get(f"/workitems/{UID}", headers=wanted)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("multipart/related")
    body = answer.content.replace(b"<FamilyName>Doe", b"<FamilyName>Roe")
    drop = (b"00080016", b"00080018", b"00404010")
    for tag in drop:
        start = body.index(b'<DicomAttribute tag="' + tag)
        end = body.index(b"</DicomAttribute>", start) + len(b"</DicomAttribute>")
        body = body[:start] + body[end:]

    again = await web.post(
        "/workitems?workitem=1.2.3",
        content=body,
        headers={"Content-Type": answer.headers["content-type"]},
    )

    assert again.status_code == 201, again.text
    found = await held(web, "1.2.3")
    assert found["00100010"]["Value"] == [{"Alphabetic": "Roe^Jo"}]
    assert found["00741204"] == workitem()["00741204"]


# --- retrieve (11.5)


async def test_the_transaction_uid_is_told_to_nobody(web: httpx.AsyncClient) -> None:
    await put_in(web, "IN PROGRESS")

    one = await web.get(f"/workitems/{UID}")
    found = await web.get("/workitems?includefield=all")
    asked = await web.get(f"/workitems?includefield=TransactionUID&TransactionUID={TRANSACTION}")

    for answer in (one, found, asked):
        assert answer.status_code == 200
        assert TRANSACTION.encode() not in answer.content


async def test_a_workitem_that_is_not_there_is_not_found(web: httpx.AsyncClient) -> None:
    assert (await web.get("/workitems/1.2.3")).status_code == 404


# --- update (11.6)


async def test_attributes_are_set_as_a_whole(web: httpx.AsyncClient) -> None:
    await created(web)

    answer = await send(
        web, "POST", f"/workitems/{UID}", [{"00404025": element("SQ", code("MR2"))}]
    )

    assert answer.status_code == 200
    assert answer.content == b""
    found = await held(web)
    assert found["00404025"]["Value"] == [code("MR2")]
    assert found["00741204"] == workitem()["00741204"]


@pytest.mark.parametrize("where", ["?{}", "?transaction-uid={}", "in the data set"])
async def test_who_claimed_a_workitem_updates_it(web: httpx.AsyncClient, where: str) -> None:
    await put_in(web, "IN PROGRESS")
    changes = dict(PERFORMED)
    query = where.format(TRANSACTION)
    if where == "in the data set":
        query, changes["00081195"] = "", element("UI", TRANSACTION)

    answer = await send(web, "POST", f"/workitems/{UID}{query}", changes)

    assert answer.status_code == 200, answer.text
    found = await held(web)
    assert found["00741216"] == PERFORMED["00741216"]
    assert "00081195" not in found


INCONSISTENT = "The submitted request is inconsistent with the current state of the Workitem."


@pytest.mark.parametrize(
    ("current", "transaction", "status", "warning"),
    [
        ("SCHEDULED", "", 200, None),
        (
            "SCHEDULED",
            TRANSACTION,
            409,
            "The target URI did not reference a claimed Workitem.",
        ),
        ("IN PROGRESS", TRANSACTION, 200, None),
        ("IN PROGRESS", "", 400, INCONSISTENT),
        ("IN PROGRESS", "1.2.3", 400, INCONSISTENT),
        ("COMPLETED", TRANSACTION, 400, INCONSISTENT),
        ("CANCELED", TRANSACTION, 400, INCONSISTENT),
        ("COMPLETED", "", 400, INCONSISTENT),
    ],
)
async def test_who_may_update_when(
    web: httpx.AsyncClient, current: str, transaction: str, status: int, warning: str | None
) -> None:
    await put_in(web, current)

    answer = await send(
        web, "POST", f"/workitems/{UID}?{transaction}", {"00741204": element("LO", "New")}
    )

    assert answer.status_code == status
    told = answer.headers.get("warning")
    assert told == (f"299 http://archive: {warning}" if warning else None)
    is_new = (await held(web))["00741204"]["Value"] == ["New"]
    assert is_new == (status == 200)


@pytest.mark.parametrize(
    "changes",
    [
        {"00741000": element("CS", "COMPLETED")},
        {"00100010": element("PN", {"Alphabetic": "X"})},
        {"00100020": element("LO", "X")},
        {"00080018": element("UI", "1.2.3")},
        {"00404005": element("DT")},
        {"00741204": element("LO")},
        {"00404041": element("CS", "MAYBE")},
    ],
)
async def test_what_may_not_be_set_is_refused(web: httpx.AsyncClient, changes: Dataset) -> None:
    await created(web)
    before = await held(web)

    answer = await send(web, "POST", f"/workitems/{UID}", changes)

    assert answer.status_code == 400
    assert await held(web) == before


# --- state (11.7)


async def test_of_many_who_claim_a_workitem_at_once_one_wins(web: httpx.AsyncClient) -> None:
    await created(web)
    claims = [state("IN PROGRESS", f"2.25.{number}") for number in range(1, 41)]

    answers = await asyncio.gather(
        *(send(web, "PUT", f"/workitems/{UID}/state", claim) for claim in claims)
    )

    statuses = [answer.status_code for answer in answers]
    assert sorted(statuses) == [200] + [400] * 39
    winner = claims[statuses.index(200)]["00081195"]["Value"][0]
    for number in range(1, 41):
        uid = f"2.25.{number}"
        answer = await send(web, "POST", f"/workitems/{UID}?{uid}", PERFORMED)
        assert (answer.status_code == 200) == (uid == winner)


async def test_a_workitem_is_completed_only_with_what_its_final_state_needs(
    web: httpx.AsyncClient,
) -> None:
    await put_in(web, "IN PROGRESS")

    early = await send(web, "PUT", f"/workitems/{UID}/state", state("COMPLETED"))
    await send(web, "POST", f"/workitems/{UID}?{TRANSACTION}", PERFORMED)
    late = await send(web, "PUT", f"/workitems/{UID}/state", state("COMPLETED"))

    assert early.status_code == 409
    assert "UnifiedProcedureStepPerformedProcedureSequence" in early.json()["detail"]
    assert late.status_code == 200
    assert (await held(web))["00741000"]["Value"] == ["COMPLETED"]


async def test_a_claim_is_given_up_without_further_ado(web: httpx.AsyncClient) -> None:
    await put_in(web, "IN PROGRESS")

    answer = await send(web, "PUT", f"/workitems/{UID}/state", state("CANCELED"))

    assert answer.status_code == 200
    [progress] = (await held(web))["00741002"]["Value"]
    assert progress["00404052"]["Value"][0].startswith("20")
    assert progress["0074100E"]["Value"][0]["00080100"]["Value"] == ["110513"]


@pytest.mark.parametrize(
    "given", [{}, {"00741000": element("CS", "DONE")}, state("IN PROGRESS", "x")]
)
async def test_a_change_of_state_that_cannot_be_read_is_refused(
    web: httpx.AsyncClient, given: Dataset
) -> None:
    await created(web)

    answer = await send(web, "PUT", f"/workitems/{UID}/state", given)

    assert answer.status_code == 400
    assert (await held(web))["00741000"]["Value"] == ["SCHEDULED"]


# --- cancellation (11.8)


async def test_what_nobody_claimed_is_canceled_on_request(web: httpx.AsyncClient) -> None:
    await created(web)
    reason = {"00741238": element("LT", "Sent home"), "0074100E": element("SQ", code("110509"))}

    answer = await send(web, "POST", f"/workitems/{UID}/cancelrequest", reason)

    assert answer.status_code == 202
    found = await held(web)
    assert found["00741000"]["Value"] == ["CANCELED"]
    [progress] = found["00741002"]["Value"]
    assert progress["00741238"]["Value"] == ["Sent home"]
    assert progress["0074100E"]["Value"] == [code("110509")]


@pytest.mark.parametrize(
    ("current", "status", "warning"),
    [
        ("SCHEDULED", 202, None),
        ("IN PROGRESS", 202, None),
        ("COMPLETED", 409, None),
        ("CANCELED", 202, "The UPS is already in the requested state of CANCELED."),
    ],
)
async def test_a_request_to_cancel_needs_no_body(
    web: httpx.AsyncClient, current: str, status: int, warning: str | None
) -> None:
    await put_in(web, current)

    answer = await web.post(f"/workitems/{UID}/cancelrequest")

    assert answer.status_code == status
    told = answer.headers.get("warning")
    assert told == (f"299 http://archive: {warning}" if warning else None)


# --- search (11.9)


async def found(web: httpx.AsyncClient, query: str) -> list[str]:
    answer = await web.get(f"/workitems?{query}")
    assert answer.status_code in (200, 204), answer.text
    if answer.status_code == 204:
        return []
    return [each["00080018"]["Value"][0] for each in answer.json()]


@pytest.fixture
async def three(web: httpx.AsyncClient) -> list[str]:
    """Three workitems, the latest first."""
    for number in (3, 2, 1):
        await created(
            web,
            f"1.2.{number}",
            t00404005=element("DT", f"2024010{number}120000"),
            t00100010=element("PN", {"Alphabetic": f"Patient{number}^Jos\u00e9"}),
            t00100020=element("LO", f"ID{number}"),
            t00404025=element("SQ", code(f"CT{number}"), code("ANY", scheme=f"99S{number}")),
            t0040A370=element(
                "SQ",
                {
                    "0020000D": element("UI", f"2.25.{number}"),
                    "00080050": element("SH", f"ACC{number}"),
                },
            ),
        )
    return ["1.2.1", "1.2.2", "1.2.3"]


STATION = "ScheduledStationNameCodeSequence"


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", "123"),
        ("ProcedureStepState=SCHEDULED", "123"),
        ("ProcedureStepState=COMPLETED", ""),
        ("PatientID=ID2", "2"),
        ("00100020=ID*", "123"),
        ("PatientID=*2", "2"),
        ("PatientName=patient3*", "3"),
        ("PatientName=*jose*", "123"),
        ("PatientName=Jose%20Patient1&fuzzymatching=true", "1"),
        ("ScheduledProcedureStepStartDateTime=20240102-", "23"),
        ("ScheduledProcedureStepStartDateTime=-20240102", "12"),
        ("ScheduledProcedureStepStartDateTime=20240101-20240102", "12"),
        ("ScheduledStationNameCodeSequence.CodeValue=CT2", "2"),
        ("00404025.00080100=ANY", "123"),
        (
            f"{STATION}.CodeValue=ANY&{STATION}.CodingSchemeDesignator=99S3",
            "3",
        ),
        (
            f"{STATION}.CodeValue=CT2&{STATION}.CodingSchemeDesignator=99S2",
            "",
        ),
        ("ReferencedRequestSequence.AccessionNumber=ACC1", "1"),
        ("SOPInstanceUID=1.2.1,1.2.3", "13"),
        ("limit=2", "12"),
        ("limit=2&offset=1", "23"),
        ("offset=3", ""),
        ("limit=0", ""),
        ("PatientBirthDate=%22%22&emptyvaluematching=true", "123"),
    ],
)
async def test_workitems_are_found_by_their_keys(
    web: httpx.AsyncClient, three: list[str], query: str, numbers: str
) -> None:
    assert await found(web, query) == [f"1.2.{number}" for number in numbers]


async def test_it_is_told_that_there_are_more(web: httpx.AsyncClient, three: list[str]) -> None:
    answer = await web.get("/workitems?limit=1")

    assert answer.headers["warning"] == (
        "299 http://archive: There are 2 additional results that can be requested"
    )


async def test_return_keys_are_returned_and_others_on_request(
    web: httpx.AsyncClient, three: list[str]
) -> None:
    [plain] = (await web.get("/workitems?PatientID=ID1")).json()
    [more] = (
        await web.get("/workitems?PatientID=ID1&includefield=ExpectedCompletionDateTime,00404010")
    ).json()

    for tag8 in ("00080016", "00100010", "00404018", "00404041", "00741000", "0040A370"):
        assert tag8 in plain
    assert "00404010" not in plain
    assert more["00404010"]["Value"]
    assert more["00404011"] == {"vr": "DT"}


@pytest.mark.parametrize(
    "query",
    [
        "ScheduledProcedureStepStartDateTime=soon",
        "limit=-1",
        "offset=x",
        "fuzzymatching=maybe",
        "PatientID=1&PatientID=2",
        "ScheduledStationNameCodeSequence=CT",
        "PatientName=%ff",
    ],
)
async def test_a_search_that_cannot_be_read_is_refused(web: httpx.AsyncClient, query: str) -> None:
    answer = await web.get(f"/workitems?{query}")

    assert answer.status_code == 400
    assert answer.json()["detail"]


async def test_what_has_changed_is_found_by_what_it_is_now(
    web: httpx.AsyncClient, three: list[str]
) -> None:
    await send(web, "POST", "/workitems/1.2.2", {"00404025": element("SQ", code("US9"))})

    station = "ScheduledStationNameCodeSequence.CodeValue"
    assert await found(web, f"{station}=CT2") == []
    assert await found(web, f"{station}=US9") == ["1.2.2"]


async def test_more_than_a_page_is_told_in_order(web: httpx.AsyncClient) -> None:
    uids = [f"1.2.{number}" for number in range(450)]
    for number, uid in enumerate(uids):
        start = element("DT", f"2024010112{number % 60:02d}{number // 60:02d}")
        await created(web, uid, t00404005=start)
    expected = sorted(uids, key=lambda uid: ((n := int(uid[4:])) % 60, n // 60))

    assert await found(web, "") == expected
    assert await found(web, "limit=401") == expected[:401]
    assert await found(web, "offset=33&limit=300") == expected[33:333]
    answer = await web.get("/workitems?limit=430")
    assert answer.headers["warning"].endswith(
        "There are 20 additional results that can be requested"
    )
    wanted = {"Accept": 'multipart/related; type="application/dicom+xml"'}
    parts = (await web.get("/workitems?limit=250", headers=wanted)).content
    assert parts.count(b"<NativeDicomModel") == 250


async def test_times_are_where_the_workitem_says(web: httpx.AsyncClient) -> None:
    zone = {"t00080201": element("SH", "+0500"), "t00404005": element("DT", "20240101030000")}
    await created(web, **zone)

    start = "ScheduledProcedureStepStartDateTime"
    assert await found(web, f"{start}=20231231220000") == [UID]
    assert await found(web, f"{start}=20240101030000") == []
