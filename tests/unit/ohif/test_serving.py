"""The viewer over HTTP, called without a socket."""

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.responses import PlainTextResponse

from isocenter.app.http import application
from isocenter.config import HttpConfig
from isocenter.ohif import installation
from isocenter.ohif.serving import POLICY, Viewer
from viewers import ENTRY, package


@pytest.fixture
def viewers(tmp_path: Path) -> Path:
    """A folder with a viewer in it."""
    file, pinned = package(tmp_path)
    installation.install(tmp_path / "viewers", file, pinned=pinned)
    return tmp_path / "viewers"


def client(viewers: Path, **told: str) -> httpx.AsyncClient:
    """Asks a server with that folder of viewers; ``told``: what a trusted proxy says."""
    pages = PlainTextResponse("no viewer", 404)
    config = HttpConfig(trusted_proxies=("127.0.0.1",))
    nothing = PlainTextResponse("nothing", 404)
    served = application(
        lambda: "ready", nothing, pages, config, viewer=Viewer(viewers, otherwise=pages)
    )
    headers = {f"x-forwarded-{name}": value for name, value in told.items()}
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(served), base_url="http://archive", headers=headers
    )


@pytest.fixture
async def browser(viewers: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client(viewers) as asking:
        yield asking


@pytest.mark.parametrize("path", ["/ohif", "/ohif/", "/ohif/viewer", "/ohif/segmentation/1.2.3"])
async def test_every_path_of_the_viewer_gives_its_page(
    browser: httpx.AsyncClient, path: str
) -> None:
    page = await browser.get(path, params={"StudyInstanceUIDs": "1.2"})

    assert page.status_code == 200
    assert '<base href="/ohif/">' in page.text
    assert f'src="{ENTRY}"' in page.text
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"] == POLICY
    assert page.headers["cache-control"] == "no-cache"


def test_the_policy_names_no_other_origin_and_allows_no_script_within_pages() -> None:
    directives = dict(each.split(" ", 1) for each in POLICY.split("; "))

    assert directives["default-src"] == "'none'"
    assert "'unsafe-inline'" not in directives["script-src"]
    assert "//" not in POLICY
    assert "*" not in POLICY


async def test_a_name_with_a_hash_in_it_is_kept_for_good_and_others_are_asked_for_again(
    browser: httpx.AsyncClient,
) -> None:
    script = await browser.get(f"/ohif/{ENTRY}")
    style = await browser.get("/ohif/app.bundle.css")

    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert style.headers["cache-control"] == "no-cache"
    again = await browser.get(
        "/ohif/app.bundle.css", headers={"if-none-match": style.headers["etag"]}
    )
    assert again.status_code == 304
    assert again.content == b""


async def test_files_are_compressed_for_who_reads_that(
    browser: httpx.AsyncClient, viewers: Path
) -> None:
    plain = await browser.get(f"/ohif/{ENTRY}", headers={"accept-encoding": "identity"})
    packed = await browser.get(f"/ohif/{ENTRY}", headers={"accept-encoding": "gzip"})

    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content
    assert plain.headers["etag"] != packed.headers["etag"]
    assert plain.headers["vary"].lower() == packed.headers["vary"].lower() == "accept-encoding"
    folder = viewers / installation.NAME
    assert gzip.decompress((folder / f"{ENTRY}.gz").read_bytes()) == plain.content


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (ENTRY, "text/javascript; charset=utf-8"),
        ("app.bundle.css", "text/css; charset=utf-8"),
        ("0011223344556677aabb.wasm", "application/wasm"),
        ("31fb9346313fc3740d7b.woff2", "font/woff2"),
        ("app-config.js", "text/javascript; charset=utf-8"),
    ],
)
async def test_each_file_has_its_media_type(
    browser: httpx.AsyncClient, name: str, kind: str
) -> None:
    assert (await browser.get(f"/ohif/{name}")).headers["content-type"] == kind


@pytest.mark.parametrize(
    "path",
    ["sw.js", "ort/ort.js", f"{ENTRY}.map", "files.json", "..%2f..%2ffiles.json", "a%00.js"],
)
async def test_a_file_that_is_not_served_is_no_page(browser: httpx.AsyncClient, path: str) -> None:
    answer = await browser.get(f"/ohif/{path}")

    assert answer.status_code == 404


async def test_the_viewer_is_only_read(browser: httpx.AsyncClient) -> None:
    answer = await browser.post("/ohif/viewer")

    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"


def config_of(script: httpx.Response) -> dict[str, object]:
    """The configuration that a script sets; its statements are separated as ours are."""
    text = script.text.partition("window.config = ")[2].partition(";\nwindow.")[0]
    found = json.loads(text)
    assert isinstance(found, dict)
    return found


async def test_the_viewer_is_told_where_our_services_are(browser: httpx.AsyncClient) -> None:
    config = config_of(await browser.get("/ohif/app-config.js"))

    assert config["routerBasename"] == "/ohif"
    (source, *_) = config["dataSources"]  # type: ignore[misc]
    told = source["configuration"]
    assert (told["qidoRoot"], told["wadoRoot"]) == ("/dicom-web", "/dicom-web")
    assert config["defaultDataSourceName"] == source["sourceName"]


async def test_a_video_does_not_start_before_the_viewer_draws_it(
    browser: httpx.AsyncClient,
) -> None:
    script = await browser.get("/ohif/app-config.js")

    assert 'Object.defineProperty(HTMLMediaElement.prototype, "autoplay",' in script.text


async def test_behind_a_proxy_all_is_below_its_prefix(viewers: Path) -> None:
    async with client(viewers, prefix="/pacs", proto="https", host="house.test") as proxied:
        page = await proxied.get("/ohif/viewer")
        config = config_of(await proxied.get("/ohif/app-config.js"))
        script = await proxied.get(f"/ohif/{ENTRY}")

    assert '<base href="/pacs/ohif/">' in page.text
    assert config["routerBasename"] == "/pacs/ohif"
    assert config["dataSources"][0]["configuration"]["wadoRoot"] == "/pacs/dicom-web"  # type: ignore[index]
    assert script.status_code == 200


async def test_without_a_viewer_the_pages_answer(tmp_path: Path) -> None:
    async with client(tmp_path / "viewers") as asking:
        for path in ("/ohif", "/ohif/viewer", "/ohif/a.js"):
            answer = await asking.get(path)
            assert (answer.status_code, answer.text) == (404, "no viewer")


async def test_a_viewer_is_seen_when_it_comes_and_when_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isocenter.ohif.serving.LOOK_AGAIN", 0.0)
    file, pinned = package(tmp_path)
    viewer = Viewer(tmp_path / "viewers", otherwise=PlainTextResponse("no viewer"))

    assert not viewer.is_installed
    installation.install(tmp_path / "viewers", file, pinned=pinned)
    assert viewer.is_installed
    installation.remove(tmp_path / "viewers")
    assert not viewer.is_installed


async def test_it_is_told_how_to_show_waveforms(browser: httpx.AsyncClient) -> None:
    told = await browser.get("/ohif/app-config.js")

    modes = config_of(told)["modesConfiguration"]
    assert set(modes) == {"@ohif/mode-longitudinal", "@ohif/mode-basic"}  # type: ignore[call-overload]
    assert "window.config.extensions.push(" in told.text
    assert '"1.2.840.10008.5.1.4.1.1.9.1.1"' in told.text
    assert "ECG" not in json.dumps(modes)
