"""What comes with every resource: OPTIONS, HEAD, refusals as problems, errors told once."""

import logging
from typing import cast
from xml.etree import ElementTree

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from isocenter.archive.archive import Archive
from isocenter.config import Config
from isocenter.dicomweb.resources import Method, Parameter, Resource, merged
from isocenter.dicomweb.routing import application
from isocenter.errors import Denied, IsocenterError, OutOfTurn, Unavailable

WADL = "{http://wadl.dev.java.net/2009/02}"


async def answer(request: Request) -> Response:
    match request.path_params.get("study"):
        case "bug":
            raise ZeroDivisionError("PATIENT^NAME")
        case "gone":
            raise Unavailable("the disk is full")
        case "denied":
            raise Denied("not you")
    return Response(b'{"a": 1}' * 500, media_type="application/dicom+json")


def method(transaction: str, **fields: object) -> Method:
    given = {"source": "PS3.18 0", "endpoint": answer, "statuses": {200: "fine"}, **fields}
    return Method(transaction=transaction, **given)  # type: ignore[arg-type]


SEARCH = method(
    "Search for Studies",
    gives=("application/dicom+json", 'multipart/related; type="application/dicom+xml"'),
    parameters=(
        Parameter(name="limit", source="PS3.18 8.3.4.4"),
        Parameter(name="fuzzymatching", source="PS3.18 8.3.4.2", options=("true", "false")),
    ),
)
STORE = method("Store Instances", takes=("application/dicom",), statuses={200: "", 409: ""})
RESOURCES = (
    Resource(name="Studies", path="/studies", methods={"GET": SEARCH}),
    Resource(name="Study", path="/studies/{study}", methods={"GET": method("Retrieve Study")}),
    Resource(name="Studies", path="/studies", methods={"POST": STORE}),
)


@pytest.fixture
def client() -> httpx.AsyncClient:
    serving = application(cast(Archive, None), Config(), RESOURCES)
    transport = httpx.ASGITransport(serving, raise_app_exceptions=True)
    return httpx.AsyncClient(transport=transport, base_url="http://pacs.example/")


@pytest.mark.parametrize(
    ("name", "path", "status"),
    [("GET", "/nowhere", 404), ("PATCH", "/studies", 405), ("GET", "/studies/gone", 503)],
)
async def test_every_refusal_is_a_problem(
    client: httpx.AsyncClient, name: str, path: str, status: int
) -> None:
    refused = await client.request(name, path)

    assert refused.status_code == status
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["status"] == status
    assert refused.json()["detail"]


async def test_a_method_that_is_not_there_is_told_those_that_are(client: httpx.AsyncClient) -> None:
    refused = await client.delete("/studies")

    assert refused.headers["allow"] == "GET, HEAD, POST, OPTIONS"


async def test_a_bug_is_told_to_the_log_once_and_to_nobody_else(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    failed = await client.get("/studies/bug")

    assert failed.status_code == 500
    assert failed.json()["detail"] == "internal error"
    (record,) = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert record.exc_info


async def test_what_is_raised_on_purpose_is_no_error_of_ours(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    refused = await client.get("/studies/denied")

    assert refused.status_code == 403
    assert refused.json()["detail"] == "not you"
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


async def test_head_is_get_without_its_content(client: httpx.AsyncClient) -> None:
    told = {"accept-encoding": "identity"}
    whole = await client.get("/studies", headers=told)
    head = await client.head("/studies", headers=told)

    assert head.status_code == 200
    assert head.content == b""
    assert head.headers == whole.headers
    assert head.headers["content-length"] == str(len(whole.content))


async def test_a_slash_too_many_is_none(client: httpx.AsyncClient) -> None:
    assert (await client.get("/studies/")).status_code == 200
    assert (await client.get("/studies/1.2/")).status_code == 200


async def test_what_is_answered_is_kept_by_no_one_but_the_asker(client: httpx.AsyncClient) -> None:
    assert (await client.get("/studies")).headers["cache-control"] == "private, no-cache"


async def test_the_service_describes_itself_in_wadl(client: httpx.AsyncClient) -> None:
    # PS3.18 8.9 and annex H.
    described = await client.options("/", headers={"accept": "application/vnd.sun.wadl+xml"})

    assert described.status_code == 200
    assert described.headers["content-type"] == "application/vnd.sun.wadl+xml"
    root = ElementTree.fromstring(described.content)
    assert root.tag == f"{WADL}application"
    (resources,) = root.findall(f"{WADL}resources")
    assert resources.get("base") == "http://pacs.example/"
    studies = resources.find(f"{WADL}resource[@path='studies']")
    assert studies is not None
    methods = [each.get("name") for each in studies.findall(f"{WADL}method")]
    assert methods == ["GET", "POST"]
    study = studies.find(f"{WADL}resource[@path='{{study}}']")
    assert study is not None
    search = studies.find(f"{WADL}method[@name='GET']/{WADL}request")
    assert search is not None
    names = [each.get("name") for each in search.findall(f"{WADL}param")]
    assert names == ["Accept", "limit", "fuzzymatching"]
    identifiers = [each.get("id") for each in root.iter(f"{WADL}method")]
    assert len(identifiers) == len(set(identifiers))


async def test_json_and_xml_say_the_same(client: httpx.AsyncClient) -> None:
    # PS3.18 annex G: repeatable elements are arrays, attributes begin with an at sign.
    xml = ElementTree.fromstring((await client.options("/")).content)
    json = (await client.options("/", headers={"accept": "application/json"})).json()

    def flat(element: ElementTree.Element) -> dict[str, object]:
        found: dict[str, object] = {f"@{key}": value for key, value in element.attrib.items()}
        if element.text:
            found["value"] = element.text
        for child in element:
            name = child.tag.removeprefix(WADL)
            if name in ("resources", "request"):
                found[name] = flat(child)
            else:
                found.setdefault(name, []).append(flat(child))  # type: ignore[attr-defined]
        return found

    def without(value: object) -> object:
        """Without what is written where it is not needed, and names of XML's own."""
        if isinstance(value, dict):
            return {
                key: without(each)
                for key, each in value.items()
                if each not in ([], {}) and not key.startswith(("@xml", "@{http"))
            }
        return [without(each) for each in value] if isinstance(value, list) else value

    assert without({"application": flat(xml)}) == without(json)


async def test_each_resource_describes_itself_and_what_is_below(client: httpx.AsyncClient) -> None:
    described = await client.options("/studies/1.2", headers={"accept": "application/json"})

    assert described.headers["allow"] == "GET, HEAD, OPTIONS"
    (element,) = described.json()["application"]["resources"]["resource"]
    assert element["@path"] == "studies/{study}"


async def test_a_description_that_is_known_is_not_sent_again(client: httpx.AsyncClient) -> None:
    described = await client.options("/")
    again = await client.options("/", headers={"if-none-match": described.headers["etag"]})
    other = await client.options("/", headers={"accept": "image/png"})

    assert (again.status_code, again.content) == (304, b"")
    assert other.status_code == 406


def test_two_modules_cannot_serve_the_same() -> None:
    with pytest.raises(OutOfTurn):
        merged((RESOURCES[0], RESOURCES[0]))


def test_every_error_has_a_status() -> None:
    from isocenter.dicomweb.problems import STATUSES, response_of

    for kind in (*STATUSES, *IsocenterError.__subclasses__()):
        if kind.__module__ == "isocenter.errors":
            assert response_of(kind("x")).status_code == STATUSES[kind]
