"""URLs of resources."""

from starlette.requests import Request

from isocenter.dicomweb import addresses


def request(**scope: object) -> Request:
    return Request({"type": "http", "scheme": "http", "headers": [], **scope})


def test_the_base_is_what_was_asked_for() -> None:
    headers = [(b"host", b"pacs.example:8080")]
    asked = request(scheme="https", headers=headers, root_path="/pacs/dicom-web")

    assert addresses.root(asked) == "https://pacs.example:8080/pacs/dicom-web"


def test_without_a_host_the_socket_is_named() -> None:
    assert addresses.root(request(server=("::1", 80))) == "http://[::1]:80"
    assert addresses.root(request()) == "http://localhost"


def test_a_port_left_out_of_host_is_that_of_the_socket() -> None:
    # Peer quirk: dicomweb-client (Python).
    asked = request(server=("10.0.0.1", 8080), headers=[(b"host", b"pacs")])

    assert addresses.root(asked) == "http://pacs:8080"


def test_a_port_left_out_by_a_proxy_stays_out() -> None:
    for field in (b"x-forwarded-for", b"x-real-ip", b"via", b"forwarded"):
        asked = request(server=("10.0.0.1", 8080), headers=[(b"host", b"pacs"), (field, b"x")])

        assert addresses.root(asked) == "http://pacs"


def test_the_usual_port_is_not_written() -> None:
    asked = request(server=("10.0.0.1", 80), headers=[(b"host", b"pacs")])

    assert addresses.root(asked) == "http://pacs"


def test_resources_lie_one_below_the_other() -> None:
    base = "http://h/dicom-web"

    assert addresses.study(base, "1.2") == f"{base}/studies/1.2"
    assert addresses.series_of(base, "1.2", "3.4") == f"{base}/studies/1.2/series/3.4"
    assert (
        addresses.instance(base, "1.2.840.10008.5.1.4.1.1.2", "1", "2", "3")
        == f"{base}/studies/1/series/2/instances/3"
    )
    # PS3.18 table 12.1.1-1: Color Palette Storage.
    assert (
        addresses.instance(base, "1.2.840.10008.5.1.4.39.1", "", "", "3")
        == f"{base}/color-palettes/3"
    )


def test_what_is_no_uid_does_not_lead_elsewhere() -> None:
    assert addresses.study("", "../x?y#z") == "/studies/..%2Fx%3Fy%23z"
