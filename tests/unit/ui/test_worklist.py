"""The worklist: what is typed finds what is meant."""

import base64
import json
import re
from contextlib import suppress
from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from isocenter.storage.query import Order
from isocenter.ui.filters import Filters
from isocenter.ui.worklist import PAGE, Place
from made_instances import Kept, image


async def put(kept: Kept, number: int, **attributes: str) -> None:
    study = f"9.{number}"
    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.1"}
    given = {"PatientID": f"P{number}", **uids, **attributes}
    await kept.store(image(f"{study}.1.1", **given))


def studies(page: httpx.Response) -> list[str]:
    assert page.status_code == 200, page.text
    return re.findall(r'data-study="([^"]+)"', page.text)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("", ["9.3", "9.2", "9.1"]),
        ("name=doe", ["9.2", "9.1"]),
        ("name=oe", []),
        ("name=doe,+ja", ["9.1"]),
        ("name=jane+doe", ["9.1"]),
        ("name=müll", ["9.3"]),
        ("name=MULLER", ["9.3"]),
        ("id=P2", ["9.2"]),
        ("id=P", ["9.3", "9.2", "9.1"]),
        ("accession=acc", ["9.3"]),
        ("id=p%2A", ["9.3", "9.2", "9.1"]),
        ("since=2024-02-01&until=2024-02-29", ["9.2"]),
        ("since=2024-02-01", ["9.3", "9.2"]),
        ("since=yesterday", ["9.3", "9.2", "9.1"]),
        ("modality=mr", ["9.2"]),
        ("description=head", ["9.1"]),
        ("institution=north", ["9.3"]),
        ("institution=no", ["9.3"]),
        ("institution=%5B", []),
        ("institution=%5E", []),
        ("description=CT^HEAD", []),
        ("name=doe&modality=CT", ["9.1"]),
        ("name=%5C%00", ["9.3", "9.2", "9.1"]),
        ("nothing=known", ["9.3", "9.2", "9.1"]),
    ],
)
async def test_a_filter_finds_what_is_meant(
    browser: httpx.AsyncClient, kept: Kept, asked: str, found: list[str]
) -> None:
    await put(kept, 1, PatientName="Doe^Jane", StudyDate="20240101", StudyDescription="CT Head")
    await put(kept, 2, PatientName="Doe^Robert", StudyDate="20240229", Modality="MR")
    await put(
        kept,
        3,
        PatientName="Müller^Ute",
        SpecificCharacterSet="ISO_IR 100",
        StudyDate="20240301",
        AccessionNumber="ACC9",
        InstitutionName="North Clinic",
    )

    assert studies(await browser.get(f"/?{asked}")) == found


@pytest.mark.parametrize(
    ("period", "days"), [("today", 0), ("yesterday", 1), ("week", 6), ("month", 29), ("year", 364)]
)
def test_a_period_ends_where_it_says(period: str, days: int) -> None:
    today = date(2024, 3, 1)

    (key,) = Filters(period=period).keys(today)

    assert key.value.startswith(f"{today - timedelta(days):%Y%m%d}-")


async def test_all_studies_are_shown_once_page_by_page(
    browser: httpx.AsyncClient, kept: Kept
) -> None:
    for number in range(1, PAGE + 3):
        await put(kept, number, StudyDate=f"2024{number % 12 + 1:02}01")

    first = await browser.get("/")
    (more,) = re.findall(r'hx-get="(/\?[^"]*after=[^"]+)"', first.text)
    await put(kept, 900, StudyDate="20250101")  # arrives meanwhile, and shifts nothing
    rest = await browser.get(more.replace("&amp;", "&"), headers={"HX-Request": "true"})

    assert f"{PAGE + 2} studies" in first.text
    assert len(studies(first)) == PAGE
    assert len(studies(rest)) == 2
    assert len({*studies(first), *studies(rest)}) == PAGE + 2
    assert "<html" not in rest.text


async def test_script_in_a_patients_name_stays_text(browser: httpx.AsyncClient, kept: Kept) -> None:
    script = "<script>alert(1)</script>"
    await put(kept, 1, PatientName=script, PatientID=script, StudyDescription=script)

    page = await browser.get("/")

    assert script not in page.text
    assert page.text.count("&lt;script&gt;") == 3
    assert "script-src 'self';" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"


@given(
    text=st.text()
    | st.binary().map(lambda data: data.hex())
    | st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists).map(
        lambda told: base64.urlsafe_b64encode(json.dumps(told).encode()).decode()
    ),
    order=st.sampled_from(Order),
)
def test_no_place_is_a_surprise(text: str, order: Order) -> None:
    with suppress(HTTPException):
        assert text == "" or Place.read(text, order).after is not None


@pytest.mark.parametrize(
    ("order", "after"),
    [
        (Order.NEWEST, ("20240101", "", 7)),
        (Order.NAME, ("doe^jane", 3, 7)),
        (Order.ARRIVED_LAST, (7,)),
    ],
)
def test_a_place_can_be_found_again(order: Order, after: tuple[Any, ...]) -> None:
    place = Place(50, 100, False, after)

    assert Place.read(place.written, order) == place


def test_a_place_of_another_order_is_refused() -> None:
    with pytest.raises(HTTPException):
        Place.read(Place(50, 100, True, (7,)).written, Order.NEWEST)


@pytest.mark.parametrize(
    ("order", "first", "last"),
    [
        ("", "9.51", "9.0"),
        ("oldest", "9.0", "9.51"),
        ("name", "9.51", "9.0"),
        ("name-backwards", "9.0", "9.51"),
        ("arrived-last", "9.51", "9.0"),
        ("arrived-first", "9.0", "9.51"),
        ("nothing", "9.51", "9.0"),
    ],
)
async def test_the_list_is_sorted_as_asked_page_by_page(
    browser: httpx.AsyncClient, kept: Kept, order: str, first: str, last: str
) -> None:
    for number in range(PAGE + 2):
        name = f"Doe^{PAGE + 2 - number:03}"
        await put(
            kept,
            number,
            StudyDate=f"2024{number // 28 + 1:02}{number % 28 + 1:02}",
            PatientName=name,
        )

    page = await browser.get(f"/?order={order}&name=doe")
    (more,) = re.findall(r'hx-get="(/\?[^"]*after=[^"]+)"', page.text)
    rest = await browser.get(more.replace("&amp;", "&"))

    assert f"{PAGE + 2} studies" in page.text
    assert f"{PAGE + 1} to {PAGE + 2} of {PAGE + 2} studies" in rest.text
    shown = studies(page) + studies(rest)
    assert (shown[0], shown[-1], len(set(shown))) == (first, last, PAGE + 2)


@given(st.dictionaries(st.sampled_from(["name", "id", "since", "period", "modality"]), st.text()))
def test_no_filter_is_a_surprise(parameters: dict[str, str]) -> None:
    filters = Filters.read(parameters)

    assert all(len(key.value) < 140 for key in filters.keys(date(2024, 3, 1)))
