"""The page of a recording: its pieces, scales, what is said of it."""

import html
import re
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import httpx
import pytest
from hypothesis import given, strategies as st
from starlette.datastructures import QueryParams

from isocenter.errors import Malformed
from isocenter.ui.waveforms import strip_of
from made_instances import Kept, image
from made_waveforms import LEADS, beats, electrocardiogram, measured, waveform

PAGE = "/studies/1.2/series/1.2.3/instances/1.2.3.4/waveform"


def ways(answer: httpx.Response) -> dict[str, dict[str, list[str]]]:
    """Where links lead, by what they are."""
    found = re.findall(r'data-way="(\w+)" href="([^"]*)"', answer.text)
    return {way: parse_qs(urlsplit(html.unescape(path)).query) for way, path in found}


async def test_the_page_shows_a_drawing_leads_and_measurements(
    browser: httpx.AsyncClient, kept: Kept
) -> None:
    await kept.store(electrocardiogram(25))

    page = await browser.get(PAGE)

    assert page.status_code == 200
    assert "Leads: " + ", ".join(LEADS) in page.text
    assert "Doe, Jane" in page.text
    assert "12-lead ECG Waveform" in page.text
    assert re.search(r"<dt>QT Interval</dt><dd>368 ms</dd>", page.text)
    assert "<li>Sinus rhythm</li>" in page.text
    assert "0 s to 10 s of 25 s" in page.text
    (source,) = re.findall(r'<img[^>]* src="([^"]*waveform\.svg[^"]*)"', page.text)
    drawing = await browser.get(html.unescape(source))
    assert drawing.headers["content-type"].startswith("image/svg+xml")
    assert set(LEADS) <= {each.text for each in ElementTree.fromstring(drawing.content).iter()}


async def test_links_lead_to_earlier_and_later_pieces(
    browser: httpx.AsyncClient, kept: Kept
) -> None:
    await kept.store(electrocardiogram(25))

    first = ways(await browser.get(f"{PAGE}?speed=50&gain=20"))
    middle = ways(await browser.get(f"{PAGE}?start=8"))
    last = ways(await browser.get(f"{PAGE}?start=15"))

    assert {way: each["start"] for way, each in first.items()} == {"later": ["10"], "last": ["15"]}
    assert (first["later"]["speed"], first["later"]["gain"]) == (["50"], ["20"])
    starts = {way: each["start"][0] for way, each in middle.items()}
    assert starts == {"first": "0", "earlier": "0", "later": "18", "last": "15"}
    assert set(last) == {"first", "earlier"}


async def test_a_time_is_asked_for_as_clocks_show_it(
    browser: httpx.AsyncClient, kept: Kept
) -> None:
    await kept.store(waveform([beats(4000, 50, ("I",))]))

    assert "1:02:03 to 1:02:13 of 1:06:40" in (await browser.get(f"{PAGE}?start=1:02:03")).text
    assert "1:01 to 1:11 of 1:06:40" in (await browser.get(f"{PAGE}?start=1:01.5")).text


async def test_recordings_of_an_instance_are_chosen(browser: httpx.AsyncClient, kept: Kept) -> None:
    groups = [beats(10), beats(1.5, names=("V2", "V3"))]
    groups[1].MultiplexGroupLabel = "MEDIAN <BEAT>"
    await kept.store(waveform(groups))

    page = await browser.get(f"{PAGE}?recording=2")

    assert "Leads: V2, V3" in page.text
    assert "2 MEDIAN &lt;BEAT&gt; (1.5 s)" in page.text


async def test_marks_lead_to_their_moment(browser: httpx.AsyncClient, kept: Kept) -> None:
    made = electrocardiogram(60)
    made.WaveformAnnotationSequence[3].ReferencedSamplePositions = 500 * 40 + 1
    await kept.store(made)

    page = await browser.get(PAGE)

    (path,) = re.findall(r'<a href="([^"]*)">40.000 s</a> R wave', page.text)
    assert parse_qs(urlsplit(html.unescape(path)).query)["start"] == ["35"]


async def test_marks_lead_to_the_recording_that_they_are_of(
    browser: httpx.AsyncClient, kept: Kept
) -> None:
    made = electrocardiogram(20)
    made.WaveformSequence.append(beats(1.5))
    await kept.store(made)

    page = await browser.get(f"{PAGE}?recording=2")

    (path,) = re.findall(r'<a href="([^"]*)">0.400 s</a> R wave', page.text)
    assert parse_qs(urlsplit(html.unescape(path)).query)["recording"] == ["1"]


async def test_within_a_viewer_the_page_is_alone_and_stays_so(
    browser: httpx.AsyncClient, kept: Kept
) -> None:
    await kept.store(electrocardiogram(25))

    page = await browser.get(f"{PAGE}?alone=yes")

    assert 'class="bar"' not in page.text
    assert all(each["alone"] == ["yes"] for each in ways(page).values())
    assert 'name="alone" value="yes"' in page.text


@pytest.mark.parametrize(
    "query",
    [
        "start=-1",
        "start=x",
        "start=1e3",
        "start=nan",
        "seconds=0",
        "seconds=61",
        "speed=26",
        "gain=0",
        "recording=0",
        "start=99:99:99",
    ],
)
async def test_what_cannot_be_seen_is_refused(
    browser: httpx.AsyncClient, kept: Kept, query: str
) -> None:
    await kept.store(electrocardiogram(25))

    assert (await browser.get(f"{PAGE}?{query}")).status_code == 400
    assert (await browser.get(f"{PAGE}.svg?{query}")).status_code == 400


async def test_beyond_the_end_there_is_the_last_piece(
    browser: httpx.AsyncClient, kept: Kept
) -> None:
    await kept.store(electrocardiogram(25))

    assert "15 s to 25 s of 25 s" in (await browser.get(f"{PAGE}?start=25")).text
    assert (await browser.get(f"{PAGE}.svg?start=25")).status_code == 400


async def test_what_is_not_there_is_not_found(browser: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(electrocardiogram(1))

    for path in (
        f"{PAGE}?recording=2",
        PAGE.replace("1.2.3.4", "9.9"),
        PAGE.replace("1.2.3.4", "*"),
    ):
        assert (await browser.get(path)).status_code == 404


async def test_an_image_is_no_recording(browser: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(image())

    assert (await browser.get(PAGE)).status_code == 422
    assert (await browser.get(f"{PAGE}.svg")).status_code == 422


async def test_a_broken_recording_is_told_of(browser: httpx.AsyncClient, kept: Kept) -> None:
    made = electrocardiogram(1)
    made.WaveformSequence[0].SamplingFrequency = 0
    await kept.store(made)

    answer = await browser.get(PAGE)

    assert answer.status_code == 422
    assert "sampling frequency" in answer.text


async def test_the_quick_look_knows_recordings(browser: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(electrocardiogram(1))

    (listed,) = (await browser.get("/studies/1.2/series/1.2.3/images")).json()

    assert listed["kind"] == "waveform"


async def test_a_drawing_that_is_there_is_not_sent_again(
    browser: httpx.AsyncClient, kept: Kept
) -> None:
    await kept.store(electrocardiogram(1))

    first = await browser.get(f"{PAGE}.svg")
    again = await browser.get(f"{PAGE}.svg", headers={"if-none-match": first.headers["etag"]})
    other = await browser.get(
        f"{PAGE}.svg?gain=5", headers={"if-none-match": first.headers["etag"]}
    )

    assert (again.status_code, other.status_code) == (304, 200)


async def test_units_and_numbers_stay_text(browser: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(waveform([beats(1)], annotations=[measured("<b>PR", 160, "<i>ms")]))

    page = await browser.get(PAGE)

    assert "<dt>&lt;b&gt;PR</dt><dd>160 &lt;i&gt;ms</dd>" in page.text


@given(st.text(max_size=20))
def test_any_number_is_read_or_refused(text: str) -> None:
    for name in ("recording", "start", "seconds", "speed", "gain"):
        with suppress(Malformed):
            strip_of(QueryParams({name: text}))
