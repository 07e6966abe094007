"""Absolute URLs of resources, as the one who asked has to write them.

Scheme, host and prefix are those of the request: behind a proxy we trust, those that the proxy was
asked with (``app.forwarded``).
"""

from urllib.parse import quote

from starlette.requests import Request

from isocenter.errors import OutOfTurn


def service(request: Request) -> str:
    """Return the Base URI of the service (PS3.18 8.2), without a slash at its end."""
    scope = request.scope
    host = request.headers.get("host")
    if not host:  # HTTP/1.0
        name, port = scope.get("server") or ("localhost", None)
        name = f"[{name}]" if ":" in name else name
        host = name if port is None else f"{name}:{port}"
    return f"{scope['scheme']}://{host}{quote(scope.get('root_path', ''))}"


def resource(
    base: str, study: str, series: str | None = None, instance: str | None = None, *below: str | int
) -> str:
    """Return the URL of a study, a series or an instance, or what is ``below`` the instance.

    ``base`` is what ``service`` gave: ask for it once for a whole answer. Raises: OutOfTurn.
    """
    if instance is not None and series is None:
        raise OutOfTurn("the address of an instance needs its series")
    parts = [base, "studies", _segment(study)]
    if series is not None:
        parts += ["series", _segment(series)]
    if instance is not None:
        parts += ["instances", _segment(instance)]
    parts += [_segment(str(each)) for each in below]
    return "/".join(parts)


def _segment(text: str) -> str:
    # Identifiers that break the rules (PS3.5 9.1) are kept as they came, and must lead somewhere.
    return quote(text, safe="")
