"""Theme and language are remembered, and lead nowhere else."""

import httpx
import pytest


@pytest.mark.parametrize(
    ("back", "place"),
    [
        ("/?name=doe", "/?name=doe"),
        ("//elsewhere.example/x", "/x"),
        ("https://elsewhere.example/x", "/x"),
        ("\\\\elsewhere.example", "/elsewhere.example"),
        ("javascript:alert(1)", "/alert(1)"),
    ],
)
async def test_a_choice_leads_back_to_the_page(
    browser: httpx.AsyncClient, back: str, place: str
) -> None:
    answer = await browser.post("/preferences", data={"theme": "light", "back": back})

    assert (answer.status_code, answer.headers["location"]) == (303, place)
    page = await browser.get("/", headers={"accept-language": "de"})
    assert 'data-theme="light"' in page.text
    assert "Studien" in page.text


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"theme": "pink"}, 400), ({"colour": "dark"}, 400), ({"theme": "x" * 70000}, 413)],
)
async def test_what_is_no_choice_is_refused(
    browser: httpx.AsyncClient, fields: dict[str, str], status: int
) -> None:
    assert (await browser.post("/preferences", data=fields)).status_code == status


async def test_only_forms_are_read(browser: httpx.AsyncClient) -> None:
    assert (await browser.post("/preferences", json={"theme": "dark"})).status_code == 415


async def test_a_page_that_is_not_there_is_told(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/nowhere")

    assert page.status_code == 404
    assert "There is no such page here" in page.text
    assert (await browser.delete("/")).status_code == 405
