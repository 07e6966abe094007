"""URLs of resources."""

import pytest
from starlette.requests import Request

from isocenter.dicomweb import addresses
from isocenter.errors import OutOfTurn


def request(**scope: object) -> Request:
    return Request({"type": "http", "scheme": "http", "headers": [], **scope})


def test_the_base_is_what_was_asked_for() -> None:
    headers = [(b"host", b"pacs.example:8080")]
    asked = request(scheme="https", headers=headers, root_path="/pacs/dicom-web")

    assert addresses.service(asked) == "https://pacs.example:8080/pacs/dicom-web"


def test_without_a_host_the_socket_is_named() -> None:
    assert addresses.service(request(server=("::1", 80))) == "http://[::1]:80"
    assert addresses.service(request()) == "http://localhost"


def test_resources_lie_one_below_the_other() -> None:
    base = "http://h/dicom-web"

    assert addresses.resource(base, "1.2") == f"{base}/studies/1.2"
    assert addresses.resource(base, "1.2", "3.4") == f"{base}/studies/1.2/series/3.4"
    assert (
        addresses.resource(base, "1", "2", "3", "frames", 4)
        == f"{base}/studies/1/series/2/instances/3/frames/4"
    )
    with pytest.raises(OutOfTurn):
        addresses.resource(base, "1", None, "3")


def test_what_is_no_uid_does_not_lead_elsewhere() -> None:
    assert addresses.resource("", "../x?y#z") == "/studies/..%2Fx%3Fy%23z"
