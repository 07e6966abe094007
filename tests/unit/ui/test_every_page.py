"""Every page and form, given what nobody would send who means well."""

import httpx
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from isocenter.app.http import Gate, application
from isocenter.archive.archive import Archive
from isocenter.config import Config
from isocenter.ui.application import ROUTES, application as pages
from made_instances import Kept
from pages import DATA, FORMS, LINK, PAGES, SCRIPT, STREAMS, Form, Page, hostile, hostile_recording

NASTY = ("\x00", "../..", "*", "'", '"', "\\", "%", "{{7*7}}", SCRIPT, "\ud800", "9" * 70, "-1",
         "é", "\r\nX: y", "0", "1.2.77", "")  # fmt: skip
texts = st.one_of(st.sampled_from(NASTY), st.text(max_size=80)).map(
    lambda text: text.encode("utf-8", "replace").decode()
)
# One archive serves all examples: nothing an example does may matter to the next.
walked = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def is_safe(answer: httpx.Response) -> bool:
    """Whether what is answered is meant to be, and would not run if it were not."""
    return (
        answer.status_code not in (500, 501)
        and "content-security-policy" in answer.headers
        and "script-src 'self'" in answer.headers["content-security-policy"]
        and "<script>document.title" not in answer.text
    )


def test_every_route_is_walked_through() -> None:
    listed = {each.path for each in (*PAGES, *DATA, *STREAMS, *FORMS)}
    assert {route.path for route in ROUTES} <= listed


@pytest.mark.parametrize("page", [*PAGES, *DATA], ids=lambda page: page.path)
async def test_every_page_is_there(browser: httpx.AsyncClient, kept: Kept, page: Page) -> None:
    await kept.store(hostile())
    await kept.store(hostile_recording())
    answer = await browser.get(page.address())
    assert answer.status_code == page.status
    assert is_safe(answer)


@pytest.mark.parametrize("page", [*PAGES, *DATA], ids=lambda page: page.path)
@walked
@given(data=st.data())
async def test_no_address_makes_a_page_fail(
    browser: httpx.AsyncClient, kept: Kept, page: Page, data: st.DataObject
) -> None:
    await kept.store(hostile())
    await kept.store(hostile_recording())
    parts = {
        name: data.draw(texts.filter(bool))
        for name in ("study", "series", "instance", "job", "removal", "viewer", *LINK)
        if data.draw(st.integers(0, 3)) == 0
    }
    names = st.sampled_from([*page.parameters, "other"])
    query = data.draw(st.lists(st.tuples(names, texts), max_size=4))
    htmx = {"hx-request": "true"} if data.draw(st.booleans()) else {}
    answer = await browser.get(page.address(**parts), params=query, headers=htmx)
    assert is_safe(answer), (answer.status_code, answer.url)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.path)
@walked
@given(data=st.data())
async def test_no_form_makes_a_page_fail(
    browser: httpx.AsyncClient, kept: Kept, form: Form, data: st.DataObject
) -> None:
    await kept.store(hostile())
    await kept.store(hostile_recording())
    sent = {
        name: data.draw(st.one_of(st.just(right), texts))
        for name, right in form.fields.items()
        if data.draw(st.integers(0, 4))
    }
    if data.draw(st.booleans()):
        answer = await browser.post(form.address(), data=sent)
    else:
        kind = data.draw(st.sampled_from(["application/x-www-form-urlencoded", "text/plain", ""]))
        content = data.draw(st.binary(max_size=200))
        answer = await browser.post(form.address(), content=content, headers={"content-type": kind})
    assert is_safe(answer), (answer.status_code, sent)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.path)
@pytest.mark.parametrize(
    "told",
    [{"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}, {"origin": "null"}],
    ids=str,
)
async def test_no_form_is_taken_from_a_page_of_another_origin(
    archive: Archive, form: Form, told: dict[str, str]
) -> None:
    gate = Gate()
    gate.open(pages(archive, Config()))
    transport = httpx.ASGITransport(application(lambda: "ready", Gate(), gate))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.post(form.address(), data=form.fields, headers=told)
        of_ours = await client.post(
            form.address(), data=form.fields, headers={"sec-fetch-site": "same-origin"}
        )
    assert answer.status_code == 403
    assert of_ours.status_code != 403
