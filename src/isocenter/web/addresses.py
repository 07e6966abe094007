"""Where a client reaches us (PS3.18 10.1.1, 12.1.1)."""

import re
from typing import Final
from urllib.parse import quote

from starlette.requests import Request

USUAL_PORTS: Final = {"http": 80, "https": 443}
LONGEST_AE_TITLE: Final = 16
PORT: Final = re.compile(r":[0-9]+$")
OF_PROXIES: Final = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
                     "x-real-ip")  # fmt: skip


def root(request: Request) -> str:
    """The URL of what a request was given to, without a slash at its end.

    Of a service of PS3.18, that is its Base URI (8.2).

    Scheme, host and prefix are those of the request: behind a proxy we trust, those that the proxy
    was asked with.
    """
    scope = request.scope
    host = request.headers.get("host")
    name, port = scope.get("server") or ("localhost", None)
    if not host:  # HTTP/1.0
        name = f"[{name}]" if ":" in name else name
        host = name if port is None else f"{name}:{port}"
    elif _lacks_port(request, host) and port not in (None, USUAL_PORTS.get(scope["scheme"])):
        host = f"{host}:{port}"
    return f"{scope['scheme']}://{host}{quote(scope.get('root_path', ''))}"


def _lacks_port(request: Request, host: str) -> bool:
    """Peer quirk: dicomweb-client (Python) leaves the port out of Host.

    A proxy that is asked at a usual port leaves it out, too, and rightly: it is told by its fields.
    """
    return not PORT.search(host) and not any(name in request.headers for name in OF_PROXIES)


def sender(request: Request) -> str:
    """Who is said to have sent it, in the Source Application Entity Title: an address that fits."""
    address = request.client.host if request.client else ""
    return address if len(address) <= LONGEST_AE_TITLE else ""
