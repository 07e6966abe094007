"""The pages for administrators, and the dashboard."""

import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest
from hypothesis import given, strategies as st

from isocenter.address import Address
from isocenter.archive.archive import Archive
from isocenter.archive.capacity import days_left
from isocenter.archive.ingest import Announced
from isocenter.archive.peer_reports import Accepted, Echoed, Outcome
from isocenter.archive.peers import Peers
from isocenter.archive.upkeep import note_verified
from isocenter.config import Config, DimseConfig, HttpConfig
from isocenter.dimse.watching import Watch
from isocenter.errors import Malformed
from isocenter.storage.records import ChangeKind, Selection
from isocenter.storage.tallies import DAY, Span, Tally
from isocenter.ui import changes, plots, settings, spans
from isocenter.ui.application import application
from isocenter.ui.formats import Formats
from isocenter.ui.language import LANGUAGES
from isocenter.ui.running import Running
from made_instances import Kept, image

PEERS = "/administration/peers"
CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
CONFIG = Config(peer=(Address("FIXED", "fixed.example", 104),), dimse=DimseConfig(idle_timeout=7))


@dataclass
class Network:
    """Answers for every peer."""

    echoed: Echoed = field(default_factory=lambda: Echoed(outcome=Outcome.ANSWERED, answered=0.01))
    accepted: Accepted = field(
        default_factory=lambda: Accepted(
            outcome=Outcome.ANSWERED, proposed=200, syntaxes={CT: (EXPLICIT,)}
        )
    )
    asked: list[Address] = field(default_factory=list)

    async def echo(self, address: Address) -> Echoed:
        self.asked.append(address)
        return self.echoed

    async def ask(self, address: Address) -> Accepted:
        self.asked.append(address)
        return self.accepted


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
async def browser(
    archive: Archive, network: Network, watch: Watch
) -> AsyncIterator[httpx.AsyncClient]:
    places = {"dimse.idle_timeout": "isocenter.toml:3", "peer": "--peer"}
    peers = Peers(archive.index.peers, CONFIG.peer)
    running = Running(peers, watch, network.echo, network.ask, places)
    pages = application(archive, CONFIG, running=running)
    transport = httpx.ASGITransport(pages, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://archive", follow_redirects=True
    ) as client:
        yield client


async def add(browser: httpx.AsyncClient, **given: str) -> httpx.Response:
    fields = {"aet": "CT1", "host": "10.0.0.5", "port": "104", "note": "", **given}
    return await browser.post(PEERS, data=fields)


# --- peers


async def test_a_peer_is_added_changed_and_removed(browser: httpx.AsyncClient) -> None:
    added = await add(browser, note="the ward's")
    assert added.status_code == 200
    assert "10.0.0.5:104" in added.text

    changed = {"former": "CT1", "aet": "CT2", "host": "ct2.example", "port": "11112", "note": ""}
    answer = await browser.post(f"{PEERS}/change", data=changed)
    assert "ct2.example:11112" in answer.text
    assert "CT1" not in (await browser.get(PEERS)).text

    answer = await browser.post(f"{PEERS}/remove", data={"aet": "CT2"})
    assert "CT2" not in answer.text
    assert (await browser.get(f"{PEERS}/one?aet=CT2")).status_code == 404


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"aet": ""}, "1 to 16"),
        ({"aet": "X" * 17}, "1 to 16"),
        ({"aet": "A\\B"}, "character"),
        ({"aet": "Ä"}, "character"),
        ({"host": ""}, "host"),
        ({"host": "a b"}, "host"),
        ({"host": "<script>"}, "host"),
        ({"host": "x" * 300}, "host"),
        ({"port": "0"}, "port"),
        ({"port": "65536"}, "port"),
        ({"port": "http"}, "port"),
        ({"note": "x" * 201}, "note"),
    ],
)
async def test_what_is_no_address_is_refused_with_the_reason(
    browser: httpx.AsyncClient, given: dict[str, str], reason: str
) -> None:
    answer = await add(browser, **given)

    assert answer.status_code == 400
    (told,) = re.findall(r'role="alert"[^>]*>([^<]*)<', answer.text)
    assert reason in told
    assert 'value="10.0.0.5"' in answer.text or "host" in given


async def test_a_title_twice_and_one_of_the_settings_are_refused(
    browser: httpx.AsyncClient,
) -> None:
    await add(browser)

    assert (await add(browser)).status_code == 409
    assert (await add(browser, aet="FIXED")).status_code == 409
    assert (await browser.post(f"{PEERS}/remove", data={"aet": "FIXED"})).status_code == 409
    page = await browser.get(f"{PEERS}/one?aet=FIXED")
    assert "can be changed only there" in page.text
    assert f'action="{PEERS}/change"' not in page.text


async def test_an_ipv6_address_is_an_address(browser: httpx.AsyncClient, network: Network) -> None:
    await add(browser, host="fd00::5")
    await browser.post(f"{PEERS}/echo", data={"aet": "CT1"})

    assert network.asked == [Address("CT1", "fd00::5", 104)]


async def test_titles_of_odd_characters_have_pages(browser: httpx.AsyncClient) -> None:
    odd = "A/B ?&#%+<x>"
    assert (await add(browser, aet=odd)).status_code == 200

    rows = (await browser.get(PEERS)).text
    (link,) = re.findall(r'href="(/administration/peers/one\?aet=A[^"]+)"', rows)
    answer = await browser.get(link)

    assert answer.status_code == 200
    assert "A/B ?&amp;#%+&lt;x&gt;" in answer.text
    assert (await browser.post(f"{PEERS}/echo", data={"aet": odd})).status_code == 200


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (Outcome.ANSWERED, "Answers"),
        (Outcome.UNREACHABLE, "Cannot be reached"),
        (Outcome.REJECTED, "Rejects us"),
        (Outcome.ABORTED, "Breaks off"),
        (Outcome.SILENT, "Says nothing"),
        (Outcome.DECLINED, "Declines"),
    ],
)
async def test_what_an_echo_gave_is_shown_and_kept(
    browser: httpx.AsyncClient, network: Network, outcome: Outcome, told: str
) -> None:
    network.echoed = Echoed(outcome=outcome, reason="<b>because")
    answer = await browser.post(f"{PEERS}/echo", data={"aet": "FIXED", "back": "list"})

    assert told in answer.text
    assert told in (await browser.get(f"{PEERS}/one?aet=FIXED")).text
    assert "<b>" not in answer.text
    assert network.asked == [Address("FIXED", "fixed.example", 104)]
    assert (await browser.post(f"{PEERS}/echo", data={"aet": "NOBODY"})).status_code == 404


async def test_what_a_peer_takes_is_shown_and_can_be_taken_along(
    browser: httpx.AsyncClient,
) -> None:
    answer = await browser.post(f"{PEERS}/accepts", data={"aet": "FIXED"})

    assert "1 of 200 SOP classes are accepted" in answer.text
    assert "CT Image Storage" in answer.text
    table = await browser.get(f"{PEERS}/accepts.csv?aet=FIXED")
    assert table.headers["content-type"].startswith("text/csv")
    assert table.text.splitlines()[1] == (
        f"{CT},CT Image Storage,{EXPLICIT},Explicit VR Little Endian"
    )


# --- associations


async def test_what_was_refused_is_told_with_the_reason(
    browser: httpx.AsyncClient, watch: Watch
) -> None:
    watch.refused(
        calling="<i>X", called="WRONG", host="10.0.0.7", reason="no such title", is_ours=False
    )

    page = (await browser.get("/administration/associations")).text
    assert "&lt;i&gt;X" in page
    assert "no such title" in page
    assert "Nobody is associated" in page
    assert "Associations that were refused lately: 1" in (await browser.get("/dashboard")).text
    assert (
        await browser.post("/administration/associations/abort", data={"number": "9"})
    ).status_code == 200


def test_only_so_many_associations_are_remembered() -> None:
    watch = Watch(kept=3)
    for number in range(5):
        watch.refused(calling=str(number), called="", host="", reason="", is_ours=True)

    assert [each.calling for each in watch.past] == ["4", "3", "2"]


# --- settings


async def test_every_setting_is_shown_with_where_it_was_set(browser: httpx.AsyncClient) -> None:
    page = (await browser.get("/administration/settings")).text

    for name, _, _ in settings.settings.documented():
        if name.partition(".")[0] not in settings.settings.TABLES or "." not in name:
            assert f"<code>{name}</code>" in page, name
    assert "isocenter.toml:3" in page
    assert "FIXED@fixed.example:104" in page
    sections = {each.name: each for each in settings.in_force(CONFIG, {"aet": "ISOCENTER_AET"})}
    by_name = {each.name: each for each in sections[""].settings}
    assert by_name["aet"].source == "environment"
    assert by_name["host"].source == "default"
    assert "AE title" in by_name["aet"].meaning


def test_secrets_are_not_shown() -> None:
    assert settings._shown("password", "hidden") == "••••••"
    assert settings._shown("api_key", "hidden") == "••••••"
    assert settings._shown("host", "shown") == "shown"


# --- changes


def test_every_kind_of_change_has_a_name() -> None:
    assert set(changes.KINDS) == set(ChangeKind)
    assert set(changes.WARNINGS) == set(changes.Warned)


async def fill(kept: Kept, study: int, count: int) -> None:
    for number in range(count):
        await kept.store(
            image(
                f"1.{study}.1.{number}",
                StudyInstanceUID=f"1.{study}",
                SeriesInstanceUID=f"1.{study}.1",
                PatientID=f"P{study}",
                PatientName="<i>Doe^Jane",
            )
        )


async def test_changes_are_told_newest_first_and_together(
    browser: httpx.AsyncClient, archive: Archive, kept: Kept
) -> None:
    await fill(kept, 1, 3)
    await fill(kept, 2, 1)
    await archive.removals.remove(Selection(studies=("1.1",)))

    page = (await browser.get("/administration/changes")).text
    found = re.findall(r'data-label="What">(?:<a [^>]*>)?([^<]+)<', page)
    counts = re.findall(r'class="number" data-label="Instances">(\d+)<', page)
    assert (found, counts) == (["Removed", "Stored", "Stored"], ["3", "1", "3"])
    assert "&lt;i&gt;Doe" in page
    assert 'href="/studies/1.2"' in page
    assert 'href="/studies/1.1"' not in page

    removed = (await browser.get("/administration/changes?kind=removed")).text
    assert re.findall(r'data-label="What">(?:<a [^>]*>)?([^<]+)<', removed) == ["Removed"]
    one = (await browser.get("/administration/changes?study=1.2")).text
    assert re.findall(r'data-label="What">(?:<a [^>]*>)?([^<]+)<', one) == ["Stored"]
    for wrong in ("kind=other", "study=*", "before=x"):
        assert (await browser.get(f"/administration/changes?{wrong}")).status_code == 400


async def test_what_was_removed_leads_to_who_did_it_and_why(
    browser: httpx.AsyncClient, kept: Kept, archive: Archive
) -> None:
    await kept.store(image())
    removed = await archive.removals.remove(Selection(studies=("1.2",)), reason="blurred")
    place = f'href="/administration/removed/{removed.removal}"'

    assert place in (await browser.get("/administration/changes")).text
    await archive.removals.purge(removed.removal)
    assert place not in (await browser.get("/administration/changes")).text


async def test_pages_of_changes_neither_repeat_nor_leave_out(
    browser: httpx.AsyncClient, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "PAGE", 2)
    monkeypatch.setattr(changes, "READ", 4)
    for study in range(1, 6):
        await fill(kept, study, 2)

    address, total = "/administration/changes", 0
    for _ in range(20):
        page = (await browser.get(address)).text
        total += sum(map(int, re.findall(r'class="number" data-label="Instances">(\d+)<', page)))
        found = re.search(r'href="([^"]*before=\d+)"', page)
        if found is None:
            break
        address = found[1].replace("&amp;", "&")

    assert total == 10


# --- the dashboard and storage


async def test_what_came_today_is_in_the_plots(browser: httpx.AsyncClient, kept: Kept) -> None:
    await fill(kept, 1, 3)

    page = (await browser.get("/dashboard?of=instances&days=30")).text
    assert re.search(r"<title>\d{4}-\d\d-\d\d, CT: 3</title>", page)
    for address in ("/administration/storage?per=minute", "/administration/storage?per=hour"):
        assert ": 3</title>" in (await browser.get(address)).text
    assert "style=" not in page
    assert (await browser.get("/dashboard?of=nothing")).status_code == 400
    assert (await browser.get("/administration/storage?per=year")).status_code == 400


async def test_an_empty_archive_has_a_dashboard(browser: httpx.AsyncClient) -> None:
    page = (await browser.get("/dashboard")).text

    assert page.count("Nothing yet") == 2
    assert "<rect" not in page


async def test_what_was_refused_and_what_is_faulty_needs_a_hand(
    browser: httpx.AsyncClient, archive: Archive
) -> None:
    reception = archive.receive(Announced(EXPLICIT, CT, "1.2.3", sent_by="<u>CT9"))
    with pytest.raises(Malformed):
        await reception.finish()
    await note_verified(archive, sound=5, faulty=2)

    page = (await browser.get("/dashboard")).text

    assert "Instances refused lately: 1" in page
    assert "&lt;u&gt;CT9" in page
    assert "Faulty blobs: 2" in page


async def test_a_peer_that_did_not_answer_needs_a_hand(
    browser: httpx.AsyncClient, network: Network
) -> None:
    network.echoed = Echoed(outcome=Outcome.SILENT)
    await browser.post(f"{PEERS}/echo", data={"aet": "FIXED"})

    assert "did not answer when they were last asked: 1" in (await browser.get("/dashboard")).text


def test_how_long_the_disk_lasts_is_judged_by_the_last_days() -> None:
    today = 20_000
    grown = [Tally(today - day, "CT", bytes=100) for day in range(40)]

    assert days_left(1_000, grown, today) == pytest.approx(10)
    assert days_left(1_000, [Tally(today - 9, "CT", bytes=100)], today) == pytest.approx(100)
    assert days_left(1_000, [Tally(today, "CT", bytes=5, removed_bytes=9)], today) is None
    assert days_left(1_000, [], today) is None


def test_days_of_a_year_are_gathered_by_weeks_from_monday() -> None:
    window = spans.days(365)
    labels = window.labels(Formats(LANGUAGES["en"]))

    assert len(labels) == 53
    assert all(time.strptime(each, "%Y-%m-%d").tm_wday == 0 for each in labels)
    today = time.time_ns() // 1000 // DAY
    assert window.sums([Tally(today, "CT", instances=4)], "instances")[-1] == 4
    assert window.sums([Tally(today - 400, "CT", instances=4)], "instances") == [0] * 53
    assert window.span is Span.DAY


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.lists(st.integers(0, 10**15), min_size=7, max_size=7),
        max_size=20,
    )
)
def test_bars_stay_within_their_frame_and_lose_nothing(parts: dict[str, list[int]]) -> None:
    labels = [str(number) for number in range(7)]
    drawn = plots.stacked("title", labels, parts, str, "others")

    assert all(each.y >= 0 and each.y + each.height <= plots.HEIGHT + 0.1 for each in drawn.bars)
    assert all(each.x >= 0 and each.x + each.width <= plots.WIDTH for each in drawn.bars)
    assert all(1 <= each.series <= plots.MOST_SERIES for each in drawn.bars)
    told = sum(int(cell) for row in drawn.rows for cell in row[1:])
    assert told == sum(map(sum, parts.values())) or "others" in parts


@given(st.lists(st.integers(0, 10**15), max_size=40))
def test_an_area_has_a_point_for_each_value(values: list[int]) -> None:
    drawn = plots.growing("title", [str(each) for each in values], values, str)

    assert drawn.is_empty == (not any(values))
    assert len(drawn.rows) == len(values)
    if len(values) > 1 and any(values):
        assert drawn.area.count("L") == len(values) + 1


async def test_who_may_not_administer_changes_no_peer(archive: Archive) -> None:
    config = Config(http=HttpConfig(administration="never"))
    transport = httpx.ASGITransport(application(archive, config), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://archive") as client:
        page = await client.get("/administration/peers")
        added = await client.post(
            "/administration/peers", data={"aet": "NEW", "host": "10.0.0.5", "port": "104"}
        )
        aborted = await client.post("/administration/associations/abort", data={"number": "1"})

    assert "Add a peer" not in page.text
    assert (added.status_code, aborted.status_code) == (403, 403)
    assert "[http] administration" in added.text
