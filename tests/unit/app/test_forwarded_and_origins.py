"""Who asked, through which proxies, and from a page of which origin."""

import httpx
import pytest
from hypothesis import given, strategies as st
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from isocenter.app.forwarded import Forwarded, hops
from isocenter.app.origins import Origins
from isocenter.config import HttpConfig
from isocenter.web import addresses


async def tell(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope)
    told = {"base": addresses.root(request), "client": scope["client"][0], "at": scope["path"]}
    await JSONResponse(told)(scope, receive, send)


async def seen(
    trusted: tuple[str, ...], headers: list[tuple[str, str]], client: str = "10.0.0.1"
) -> dict[str, str]:
    transport = httpx.ASGITransport(Forwarded(tell, trusted), client=(client, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://inner:8080") as asking:
        told = (await asking.get("/dicom-web/studies", headers=headers)).json()
    assert isinstance(told, dict)
    return told


EDGE = [
    ("x-forwarded-for", "192.0.2.7"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "pacs.example"),
]


async def test_what_a_trusted_proxy_says_counts() -> None:
    told = await seen(("10.0.0.0/8",), EDGE)

    assert told["base"] == "https://pacs.example"
    assert told["client"] == "192.0.2.7"


@pytest.mark.parametrize("trusted", [(), ("10.0.0.2",), ("2001:db8::/32",)])
async def test_what_anybody_else_says_does_not(trusted: tuple[str, ...]) -> None:
    told = await seen(trusted, [*EDGE, ("forwarded", "for=1.2.3.4;proto=https;host=evil")])

    assert told["base"] == "http://inner:8080"
    assert told["client"] == "10.0.0.1"


async def test_the_standard_field_counts_like_the_common_ones() -> None:
    # RFC 7239 4: quotes, ports, brackets, case.
    field = 'For="[2001:db8:cafe::17]:4711";Proto=HTTPS;Host="pacs.example:444"'

    told = await seen(("10.0.0.1",), [("forwarded", field)])

    assert told == {
        "base": "https://pacs.example:444",
        "client": "2001:db8:cafe::17",
        "at": "/dicom-web/studies",
    }


async def test_of_a_chain_only_the_trusted_end_counts() -> None:
    # The client made up the first; our edge (10.0.0.9) saw 192.0.2.7; an inner proxy asks us.
    chain = [
        ("x-forwarded-for", "6.6.6.6, 192.0.2.7, 10.0.0.9"),
        ("x-forwarded-proto", "ftp, https, http"),
        ("x-forwarded-host", "evil, pacs.example, inner"),
    ]

    told = await seen(("10.0.0.0/8",), chain)

    assert told["client"] == "192.0.2.7"
    assert told["base"] == "https://pacs.example"


async def test_a_prefix_that_was_cut_off_stands_in_our_addresses() -> None:
    told = await seen(("10.0.0.1",), [*EDGE, ("x-forwarded-prefix", "/pacs/")])

    assert told["base"] == "https://pacs.example/pacs"
    assert told["at"] == "/pacs/dicom-web/studies"


@pytest.mark.parametrize("prefix", ["pacs", "/a b", "//evil.example", "/..%2f", "/x\\y"])
async def test_a_prefix_that_is_none_is_left_out(prefix: str) -> None:
    told = await seen(("10.0.0.1",), [*EDGE, ("x-forwarded-prefix", prefix)])

    assert told["base"] == "https://pacs.example"


@given(st.text(st.characters(max_codepoint=255)), st.text(st.characters(max_codepoint=255)))
def test_nothing_that_is_said_breaks_the_reading(one: str, two: str) -> None:
    hops(Headers({"forwarded": one}))
    hops(Headers({"x-forwarded-for": one, "x-forwarded-host": two, "x-forwarded-proto": two}))


# --- pages


async def ask(
    method: str, config: HttpConfig | None = None, host: str = "127.0.0.1:8080", **headers: str
) -> httpx.Response:
    transport = httpx.ASGITransport(Origins(tell, config or HttpConfig()))
    sent = {"host": host} | {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        return await client.request(method, "/dicom-web/studies", headers=sent)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "nonsense"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"origin": "http://127.0.0.1:8080", "sec_fetch_site": "cross-site"},
    ],
)
async def test_a_strangers_page_can_change_nothing(method: str, headers: dict[str, str]) -> None:
    refused = await ask(method, **headers)

    assert refused.status_code == 403
    assert "access-control-allow-origin" not in refused.headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec_fetch_site": "same-origin", "origin": "http://127.0.0.1:8080"},
        {"sec_fetch_site": "none"},
        {"origin": "http://127.0.0.1:8080"},
    ],
)
async def test_programs_and_pages_of_ours_can(headers: dict[str, str]) -> None:
    assert (await ask("POST", **headers)).status_code == 200


async def test_a_page_of_ours_behind_a_silent_proxy_can() -> None:
    answer = await ask(
        "POST", HttpConfig(names=("pacs.example",)), "pacs.example", origin="https://pacs.example"
    )

    assert answer.status_code == 200


async def test_a_strangers_page_can_read_nothing() -> None:
    answer = await ask("GET", origin="https://evil.example")

    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8080", 200),
        ("[::1]:8080", 200),
        ("192.0.2.1", 200),
        ("pacs", 200),
        ("pacs.hospital.internal", 200),
        ("PACS.EXAMPLE:443", 200),
        ("pacs.example.", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("a b", 400),
        ("x@y", 400),
        ("", 400),
    ],
)
async def test_only_names_of_ours_are_answered_to(host: str, status: int) -> None:
    answer = await ask("GET", HttpConfig(names=("pacs.example",)), host)

    assert answer.status_code == status


ALLOWED = HttpConfig(cors_origins=("https://viewer.example",))


async def test_an_allowed_origin_may_read_and_change() -> None:
    for method in ("GET", "POST"):
        answer = await ask(method, ALLOWED, origin="https://viewer.example")

        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://viewer.example"
        assert "ETag" in answer.headers["access-control-expose-headers"]
        assert answer.headers["vary"] == "Origin"


async def test_a_browser_that_asks_before_is_told() -> None:
    asked = {
        "access_control_request_method": "POST",
        "access_control_request_headers": "content-type, x-some",
        "access_control_request_private_network": "true",
    }

    granted = await ask("OPTIONS", ALLOWED, origin="https://viewer.example", **asked)
    refused = await ask("OPTIONS", ALLOWED, origin="https://evil.example", **asked)

    assert granted.status_code == 204
    assert granted.headers["access-control-allow-origin"] == "https://viewer.example"
    assert "POST" in granted.headers["access-control-allow-methods"]
    assert granted.headers["access-control-allow-headers"] == "content-type, x-some"
    assert granted.headers["access-control-allow-private-network"] == "true"
    assert refused.status_code == 403
    assert "access-control-allow-origin" not in refused.headers


async def test_any_origin_may_where_that_is_said() -> None:
    answer = await ask("POST", HttpConfig(cors_origins=("*",)), origin="https://any.example")

    assert answer.headers["access-control-allow-origin"] == "*"


async def test_a_strangers_page_opens_no_socket() -> None:
    sent: list[object] = []

    async def send(message: object) -> None:
        sent.append(message)

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    headers = [(b"host", b"127.0.0.1"), (b"origin", b"https://evil.example")]
    scope = {"type": "websocket", "headers": headers, "path": "/", "scheme": "ws"}

    await Origins(tell, HttpConfig())(scope, receive, send)

    assert sent == [{"type": "websocket.close", "code": 1008}]
