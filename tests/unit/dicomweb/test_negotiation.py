"""What is chosen of what is offered (PS3.18 8.7)."""

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from isocenter.dicomweb.negotiation import Offer, acceptable, choose

JPEG = "1.2.840.10008.1.2.4.50"
JPEG_2000 = "1.2.840.10008.1.2.4.90"

INSTANCES = (Offer("application/dicom", is_multipart=True), Offer("application/dicom"))
METADATA = (Offer("application/dicom+json"), Offer("application/dicom+xml", is_multipart=True))
FRAMES = (
    Offer("application/octet-stream", is_multipart=True),
    Offer("image/jpeg", is_multipart=True, transfer_syntax=JPEG),
    Offer("image/jls", is_multipart=True, transfer_syntax="1.2.840.10008.1.2.4.80"),
)


def request(*accept: str, query: str = "") -> Request:
    headers = [(b"accept", each.encode()) for each in accept]
    return Request(
        {"type": "http", "method": "GET", "query_string": query.encode(), "headers": headers}
    )


@pytest.mark.parametrize(
    ("accept", "offers", "media_type", "is_multipart", "syntax"),
    [
        ("*/*", INSTANCES, "application/dicom", True, None),
        ("*/*", METADATA, "application/dicom+json", False, None),
        ("application/*", METADATA, "application/dicom+json", False, None),
        ("multipart/*", METADATA, "application/dicom+xml", True, None),
        ("multipart/related", METADATA, "application/dicom+xml", True, None),
        ("application/dicom", INSTANCES, "application/dicom", False, None),
        ("application/dicom; transfer-syntax=*", INSTANCES, "application/dicom", False, "*"),
        ("*/*; transfer-syntax=*", INSTANCES, "application/dicom", True, "*"),
        (
            f"multipart/related; type=application/dicom; transfer-syntax={JPEG}",
            INSTANCES,
            "application/dicom",
            True,
            JPEG,
        ),
        (
            f'multipart/related; type="application/dicom";transfer-syntax={JPEG};boundary=**',
            INSTANCES,
            "application/dicom",
            True,
            JPEG,
        ),
        (
            "application/dicom+json, application/json",
            METADATA,
            "application/dicom+json",
            False,
            None,
        ),
        ("application/json", METADATA, "application/dicom+json", False, None),
        ("application/json, text/plain, */*", METADATA, "application/dicom+json", False, None),
        (
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            METADATA,
            "application/dicom+json",
            False,
            None,
        ),
        (
            'multipart/related; type="application/dicom+xml", application/dicom+json;q=0.9',
            METADATA,
            "application/dicom+xml",
            True,
            None,
        ),
        ('multipart/related; type="image/*"', FRAMES, "image/jpeg", True, None),
        ("multipart/related; type=image/x-jls", FRAMES, "image/jls", True, None),
        (
            f'multipart/related; type="image/jpeg"; transfer-syntax={JPEG}',
            FRAMES,
            "image/jpeg",
            True,
            JPEG,
        ),
        ("application/dicom+json; charset=utf-8", METADATA, "application/dicom+json", False, None),
        ("rubbish, q=1; , application/dicom+json", METADATA, "application/dicom+json", False, None),
    ],
)
def test_what_clients_ask_for_they_get(
    accept: str,
    offers: tuple[Offer, ...],
    media_type: str,
    is_multipart: bool,
    syntax: str | None,
) -> None:
    chosen = choose(request(accept), offers)

    assert (chosen.media_type, chosen.is_multipart) == (media_type, is_multipart)
    assert chosen.transfer_syntax == syntax


def test_without_an_accept_header_field_the_default_is_given() -> None:
    assert choose(request(), METADATA).media_type == "application/dicom+json"


@pytest.mark.parametrize("accept", ["video/H265", "video/h265", "VIDEO/*"])
def test_case_makes_no_difference(accept: str) -> None:
    assert choose(request(accept), (Offer("video/H265"),)).called == "video/H265"


def test_several_accept_header_fields_are_one() -> None:
    one = 'multipart/related; type="application/dicom+xml"; q=0.5'

    assert choose(request(one, "application/dicom+json"), METADATA).quality == 1


@pytest.mark.parametrize(
    "accept",
    [
        "image/png",
        "application/dicom+json;q=0, application/xml",
        "*/*;q=0",
        "application/dicom+xml",
        "multipart/related; type=application/dicom+json",
        "rubbish",
    ],
)
def test_what_cannot_be_given_is_refused_and_told_what_can(accept: str) -> None:
    with pytest.raises(HTTPException) as refusal:
        choose(request(accept), METADATA)

    assert refusal.value.status_code == 406
    assert refusal.value.detail.endswith(
        'to be had: application/dicom+json, multipart/related; type="application/dicom+xml"'
    )


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.2"])
def test_transfer_syntaxes_not_for_the_web_are_refused(uid: str) -> None:
    with pytest.raises(HTTPException):
        choose(request(f"application/dicom; transfer-syntax={uid}"), INSTANCES)


def test_the_example_of_the_standard_is_chosen_as_it_says() -> None:
    # PS3.18 table 8.7.8-1, but for levels of HTML, which nobody has.
    accept = "text/*; q=0.5, text/html; q=0.4, image/png, */*; q=0.3"
    offers = [Offer("text/html"), Offer("text/rtf"), Offer("text/plain"), Offer("video/mp4")]

    ranked = acceptable(request(accept)).ranked(offers)

    assert [(each.media_type, each.quality) for each in ranked] == [
        ("text/rtf", 0.5),
        ("text/plain", 0.5),
        ("text/html", 0.4),
        ("video/mp4", 0.3),
    ]


def test_transfer_syntaxes_come_in_order_of_preference() -> None:
    # The example of PS3.18 8.7.3.5.2, with a wish for anything at the end.
    accept = (
        f'multipart/related; type="application/dicom";transfer-syntax={JPEG_2000};q=0.5,'
        f'multipart/related; type="application/dicom";transfer-syntax={JPEG};boundary=**,'
        'multipart/related; type="application/dicom"; transfer-syntax=*;q=0.1'
    )

    assert choose(request(accept), INSTANCES).transfer_syntaxes == (JPEG, JPEG_2000, "*")


def test_the_query_parameter_goes_before_the_header_field() -> None:
    # PS3.18 8.7.8.1; a plus needs no escape.
    query = "limit=1&accept=application/dicom+json"

    assert (
        choose(request("*/*", query=query), METADATA[::-1]).media_type == "application/dicom+json"
    )


def test_what_of_the_query_parameter_cannot_be_given_leaves_the_header_field() -> None:
    query = "accept=application/pdf"

    assert (
        choose(request("application/*", query=query), METADATA).called == "application/dicom+json"
    )


def test_a_query_parameter_without_a_media_type_is_refused() -> None:
    with pytest.raises(HTTPException) as refusal:
        choose(request("*/*", query="accept=rubbish"), METADATA)

    assert refusal.value.status_code == 400


def test_dicom_and_rendered_at_once_are_refused() -> None:
    # PS3.18 8.7.5
    with pytest.raises(HTTPException) as refusal:
        choose(request("application/dicom, image/png"), INSTANCES)

    assert refusal.value.status_code == 400


def test_who_uses_the_older_name_hears_it_back() -> None:
    assert choose(request("application/json"), METADATA).called == "application/json"
    assert choose(request("application/json, */*"), METADATA).called == "application/json"
    assert choose(request("*/*"), METADATA).called == "application/dicom+json"
