"""Who asked, and for what address, when a reverse proxy stands before us (RFC 7239).

What ``Forwarded`` and the ``X-Forwarded-…`` fields say is believed only from proxies named in the
settings, and of a chain of proxies only as far back as they are.
"""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_PREFIX: Final = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_PAIR: Final = re.compile(r'\s*([A-Za-z]+)=(?:"([^"]*)"|([^\s",;]*))\s*')
_PORT: Final = re.compile(r"(?<=\]):[0-9]+$|^([^:]*):[0-9]+$")


@dataclass(frozen=True, slots=True)
class Hop:
    """What one proxy says of the request that it was given."""

    address: str | None = None
    """Of whoever asked the proxy; None, if it does not say."""
    scheme: str | None = None
    host: str | None = None


class Forwarded:
    """Makes a request look as it did to the outermost trusted proxy."""

    def __init__(self, within: ASGIApp, trusted: Sequence[str]) -> None:
        self._within = within
        self._trusted = [ipaddress.ip_network(each, strict=False) for each in trusted]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if self._trusted and scope["type"] in ("http", "websocket"):
            scope = self._seen_from_outside(scope)
        await self._within(scope, receive, send)

    def _seen_from_outside(self, scope: Scope) -> Scope:
        headers = Headers(scope=scope)
        address = scope["client"][0] if scope.get("client") else None
        outermost: Hop | None = None
        for hop in reversed(hops(headers)):
            if not self._is_trusted(address):
                break
            outermost, address = hop, hop.address
        if outermost is None:
            return scope
        return _as_asked(scope, outermost, address, _prefix(headers))

    def _is_trusted(self, address: str | None) -> bool:
        if address is None:
            return False
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found in network for network in self._trusted)


def hops(headers: Headers) -> list[Hop]:
    """Return what each proxy said, the outermost first."""
    if listed := ",".join(headers.getlist("forwarded")):
        return [_hop(element) for element in _split(listed)]
    addresses = _listed(headers, "x-forwarded-for")
    schemes = _listed(headers, "x-forwarded-proto")
    hosts = _listed(headers, "x-forwarded-host")
    count = max(len(addresses), len(schemes), len(hosts))
    # Proxies that do not add to a list but write it anew speak for all that stand before them.
    return [
        Hop(
            _bare(_at(addresses, place, count)),
            _scheme(_at(schemes, place, count)),
            _host(_at(hosts, place, count)),
        )
        for place in range(count)
    ]


def _as_asked(scope: Scope, hop: Hop, address: str | None, prefix: str) -> Scope:
    seen = dict(scope)
    if address is not None:
        seen["client"] = (address, 0)
    if hop.scheme is not None:
        is_socket = scope["type"] == "websocket"
        seen["scheme"] = hop.scheme.replace("http", "ws") if is_socket else hop.scheme
    if hop.host is not None:
        others = [each for each in scope["headers"] if each[0] != b"host"]
        seen["headers"] = [(b"host", hop.host.encode()), *others]
    if prefix:
        seen["root_path"] = prefix + scope.get("root_path", "")
        # A proxy that does not cut its prefix off hands on a path that has it still.
        if not scope["path"].startswith(f"{prefix}/"):
            seen["path"] = prefix + scope["path"]
            seen["raw_path"] = prefix.encode() + scope.get("raw_path", b"")
    return seen


def _hop(element: str) -> Hop:
    pairs = {name.lower(): quoted or bare for name, quoted, bare in _PAIR.findall(element)}
    return Hop(_bare(pairs.get("for")), _scheme(pairs.get("proto")), _host(pairs.get("host")))


def _bare(node: str | None) -> str | None:
    """Return the address of a node without port and brackets; None of one that hides."""
    if not node:
        return None
    text = _PORT.sub(r"\1", node).strip("[]")
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def _scheme(text: str | None) -> str | None:
    lowered = (text or "").lower()
    return lowered if lowered in ("http", "https") else None


def _host(text: str | None) -> str | None:
    return text if text and HOST.fullmatch(text) else None


def _prefix(headers: Headers) -> str:
    found = (_listed(headers, "x-forwarded-prefix") or [""])[0].rstrip("/")
    return found if _PREFIX.fullmatch(found) else ""


def _listed(headers: Headers, name: str) -> list[str]:
    joined = ",".join(headers.getlist(name))
    return [each.strip() for each in joined.split(",")] if joined.strip() else []


def _at(values: Sequence[str], place: int, count: int) -> str | None:
    """The value for a place of ``count``: lists that are shorter end at the same proxy."""
    index = place - (count - len(values))
    return values[max(index, 0)] if values else None


def _split(text: str) -> Iterator[str]:
    """Split at commas outside of quotes."""
    yield from re.findall(r'(?:[^,"]|"[^"]*"?)+', text)
