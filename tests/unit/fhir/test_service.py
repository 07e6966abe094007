"""What holds of all resources: formats, errors, what is said of the service."""

from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from fhir_checks import check, entries
from isocenter import errors
from isocenter.fhir import including, outcomes, routing
from isocenter.fhir.releases import RELEASES
from made_instances import Kept, image
from unit.fhir.conftest import Get
from unit.fhir.test_diagnostic_report import report


def test_every_error_has_a_status() -> None:
    kinds = {
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, errors.IsocenterError)
    } - {errors.IsocenterError, errors.Mismatch}

    assert kinds == set(outcomes.STATUSES)
    for kind in kinds:
        answer = outcomes.response_of(kind("why"))
        assert answer.status_code == outcomes.STATUSES[kind][0]
    assert b"secret" not in outcomes.response_of(RuntimeError("secret")).body
    assert b"secret" not in outcomes.response_of(errors.OutOfTurn("secret")).body


async def test_the_statement_says_what_is_served(get: Get, release: str) -> None:
    statement = await get("metadata")

    assert statement["fhirVersion"] == {"R4": "4.0.1", "R5": "5.0.0"}[release]
    described = {each["type"]: each for each in statement["rest"][0]["resource"]}
    assert set(described) == {"ImagingStudy", "Patient", "Endpoint", "DiagnosticReport"}
    assert described["Patient"]["operation"][0]["name"] == "everything"


async def test_every_parameter_of_the_statement_is_understood(kept: Kept, get: Get) -> None:
    await kept.store(image())
    samples = {"date": "2024", "reference": "1", "string": "doe", "token": "x", "uri": "1.2"}
    known = {"gender": "male", "status": "available"}
    strict = {"prefer": "handling=strict"}

    for resource in (await get("metadata"))["rest"][0]["resource"]:
        for each in resource["searchParam"]:
            value = known.get(each["name"], samples[each["type"]])
            await get(f"{resource['type']}?{each['name']}={value}", headers=strict)
        for name in resource.get("searchInclude", ()):
            await get(f"{resource['type']}?_include={name}", headers=strict)
        for name in resource.get("searchRevInclude", ()):
            await get(f"{resource['type']}?_revinclude={name}", headers=strict)


async def test_smart_is_told_that_there_is_nothing_to_launch(
    web: httpx.AsyncClient, release: str
) -> None:
    answer = await web.get(f"/fhir/{release}/.well-known/smart-configuration")

    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["capabilities"] == []


@pytest.mark.parametrize(
    ("accept", "query", "given"),
    [
        ("*/*", "", "application/fhir+json"),
        ("application/fhir+json", "", "application/fhir+json"),
        ("application/json", "", "application/json"),
        ("application/fhir+xml, application/fhir+json;q=0.5", "", "application/fhir+json"),
        ("application/fhir+xml", "_format=json", "application/fhir+json"),
        ("text/html", "_format=application/fhir%2Bjson", "application/fhir+json"),
        ("text/html", "_format=application/fhir+json", "application/fhir+json"),
        ("*/*", "_format=application/json", "application/json"),
        ("application/fhir+xml", "", None),
        ("*/*", "_format=xml", None),
        ("application/fhir+json;fhirVersion=3.0", "", None),
    ],
)
@pytest.mark.parametrize("path", ["ImagingStudy", "Endpoint/dicom-wado-rs", "metadata"])
async def test_json_is_given_by_each_of_its_names(
    web: httpx.AsyncClient, release: str, accept: str, query: str, given: str | None, path: str
) -> None:
    url = f"/fhir/{release}/{path}?{query}"

    answer = await web.get(url, headers={"accept": accept})

    if given is None:
        assert answer.status_code == 406
        assert check(answer.json(), release)["issue"][0]["code"] == "not-supported"
    else:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == given


async def test_what_is_not_understood_is_ignored_with_a_warning_or_refused(get: Get) -> None:
    lenient = await get("ImagingStudy?colour=blue&_sort=colour&_include=Nothing:at-all")
    (warning,) = entries(lenient, "outcome")
    strict = await get("ImagingStudy?colour=blue", 400, headers={"prefer": "handling=strict"})

    for name in ("colour", "_sort=colour", "_include=Nothing:at-all"):
        assert name in warning["issue"][0]["diagnostics"]
    assert "colour" not in lenient["link"][0]["url"]
    assert strict["issue"][0]["code"] == "not-supported"


@pytest.mark.parametrize(
    "query",
    [
        "ImagingStudy?started=yesterday",
        "ImagingStudy?started=2024-13",
        "ImagingStudy?started=ne2024",
        "ImagingStudy?started=ap2024",
        "ImagingStudy?started=lt0001",
        "ImagingStudy?started=gt9999-12-31",
        "ImagingStudy?started=2024-01-01T10:00:00Z",
        "ImagingStudy?modality:not=CT",
        "ImagingStudy?modality.code=CT",
        "ImagingStudy?patient.colour=blue",
        "ImagingStudy?patient:Group=1",
        "ImagingStudy?identifier=urn:dicom:uid|1.2,http://x|2",
        "ImagingStudy?_count=many",
        "ImagingStudy?_count=-1",
        "ImagingStudy?_summary=maybe",
        "ImagingStudy?_total=some",
        "ImagingStudy?_place=bm90aGluZw",
        "ImagingStudy?_place=%00",
        "ImagingStudy?status=lost",
        "Patient?gender=3",
        "Patient?birthdate=17",
        "Patient?name:exact=Doe",
        "Patient?identifier=a|1,b|2",
    ],
)
async def test_what_cannot_be_read_is_refused_with_what_is_wrong(get: Get, query: str) -> None:
    outcome = await get(query, 400)

    assert outcome["resourceType"] == "OperationOutcome"
    assert len(outcome["issue"][0]["diagnostics"]) > 10


async def test_what_is_not_here_is_not_found(get: Get, web: httpx.AsyncClient) -> None:
    for path in ("ImagingStudy/1.2", "Patient/x", "Endpoint/x", "DiagnosticReport/1", "Observation",
                 "Patient/%2F..", "Patient/a_b", "ImagingStudy/1/_history/1"):  # fmt: skip
        outcome = await get(path, 404)
        assert outcome["issue"][0]["code"] == "not-found"
    assert check((await web.get("/fhir/R3/metadata")).json(), "R4")["issue"]


async def test_nothing_can_be_written(web: httpx.AsyncClient, release: str) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = await web.request(method, f"/fhir/{release}/Patient/1", json={})
        assert answer.status_code == 405
        assert check(answer.json(), release)["issue"][0]["code"] == "not-supported"


async def test_posted_searches_are_forms_of_a_bounded_size(
    web: httpx.AsyncClient, release: str
) -> None:
    url = f"/fhir/{release}/Patient/_search"

    assert (await web.post(url, json={"name": "x"})).status_code == 415
    assert (await web.post(url, data={"name": "x" * 70_000})).status_code == 413
    many = {f"a{number}": "1" for number in range(200)}
    assert (await web.post(url, data=many)).status_code == 400


async def test_endpoints_say_where_dicomweb_is_reached(get: Get, web: httpx.AsyncClient) -> None:
    found = {each["id"]: each for each in entries(await get("Endpoint"))}

    assert found["dicom-wado-rs"]["address"] == "http://archive/dicom-web"
    assert found["dicom-wado-uri"]["address"] == "http://archive/wado"
    page = await get("Endpoint?_count=3")
    rest = await get(page["link"][1]["url"])
    assert len(entries(page)) + len(entries(rest)) == len(found)
    wado = "http://terminology.hl7.org/CodeSystem/endpoint-connection-type|dicom-wado-rs"
    assert len(entries(await get("Endpoint", params={"connection-type": wado}))) == 1


async def test_head_has_no_content(web: httpx.AsyncClient, release: str) -> None:
    for path in ("ImagingStudy", "Endpoint/dicom-wado-rs", "metadata"):
        answer = await web.head(f"/fhir/{release}/{path}")
        assert answer.status_code == 200


_NAMES = sorted(
    {each.name for kind in routing.RESOURCES for each in kind.parameters}
    | {"_count", "_summary", "_elements", "_total", "_sort", "_include", "_revinclude", "_place"}
    | {
        "_format",
        "patient.identifier",
        "patient.name",
        "subject:Patient.birthdate",
        "name:contains",
    }
    | set(including.INCLUDES)
)
_VALUES = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["", "*", "?", "\\", ",", "|", "||", "\\,", "a|b|c", "urn:oid:", "urn:dicom:uid|", "|x",
         "ge", "ge2024-02-30", "lt0001-01-01", "eq9999-12-31T23:59:60.999999Z", "2024-02-29T24:00",
         "2024-01-01T00:00:00-99:99", "0", "-1", "1e9", "WzBd", "W10", "WzAsLTEsMCwwLDBd",
         "Patient/", "Patient/../x", "http://archive/fhir/R4/Patient/x", "\0", "\ud83d", "''\"",
         "^", "=", "a=b=c=d=e", "^^^^^^", "[a-", "available", "male", "DCM|CT"]
    ),
    st.from_regex(r"(ge|lt|gt|le|sa|eb)?\d{1,5}(-\d{1,2}(-\d{1,2}(T\d\d:\d\d(:\d\d(\.\d+)?)?Z?)?)?)?"),
)  # fmt: skip


@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    kind=st.sampled_from([each.name for each in routing.RESOURCES] + ["Patient/x/$everything"]),
    pairs=st.lists(st.tuples(st.sampled_from(_NAMES) | st.text(max_size=12), _VALUES), max_size=4),
    is_posted=st.booleans(),
    is_strict=st.booleans(),
    at=st.sampled_from([each.name for each in RELEASES]),
)
async def test_no_parameter_makes_us_fail(
    web: httpx.AsyncClient,
    kind: str,
    pairs: list[tuple[str, str]],
    is_posted: bool,
    is_strict: bool,
    at: str,
) -> None:
    pairs = [tuple(each.encode("utf-8", "replace").decode() for each in pair) for pair in pairs]  # type: ignore[misc]
    headers = {"prefer": "handling=strict"} if is_strict else {}
    if is_posted and "$" not in kind:
        answer = await web.post(f"/fhir/{at}/{kind}/_search", data=dict(pairs), headers=headers)
    else:
        answer = await web.get(f"/fhir/{at}/{kind}", params=pairs, headers=headers)

    assert answer.status_code in (200, 400, 404, 406, 410), answer.text
    check(answer.json(), at)


async def test_bundles_are_whole_whatever_values_instances_have(
    kept: Kept, get: Get, release: str
) -> None:
    odd: dict[str, Any] = {
        "PatientName": "^^^^",
        "PatientID": '\u00e4 "quoted" \\ ',
        "SpecificCharacterSet": "ISO_IR 192",
        "PatientBirthDate": "",
        "PatientSex": "",
        "StudyDescription": "line\r\nline\x1b[31m",
        "ReferringPhysicianName": "=",
        "AccessionNumber": " ",
        "SeriesNumber": "-3",
        "InstanceNumber": "-1",
        "StudyTime": "256199",
        "TimezoneOffsetFromUTC": "+9999",
        "BodyPartExamined": "",
    }
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        await kept.store(image("1.2.77", **odd))
        await kept.store(report("1.2.78", **{**odd, "ContentTime": "99", "ContentDate": "0"}))

    for path in ("ImagingStudy?_include=ImagingStudy:patient", "DiagnosticReport", "Patient"):
        assert entries(await get(path))
