"""What a resource of PS3.18 is: what routes, capabilities and reference are drawn from.

Every transaction module has a ``RESOURCES``; ``routing`` gathers them. What is not written here is
not served.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import Response

from isocenter.errors import OutOfTurn

Endpoint = Callable[[Request], Awaitable[Response]]

ANY_METHOD: Mapping[int, str] = MappingProxyType(
    {
        400: "the request is not well formed",
        403: "a page of another origin asks for a change",
        404: "there is no such resource",
        405: "the resource has no such method; Allow says which it has",
        408: "the request did not come to an end in time",
        414: "the URL is too long",
        421: "the server is not known by the name in Host",
        431: "the header fields are too long",
        500: "a bug of ours; the log tells more",
        503: "starting, stopping, overloaded or full; Retry-After says when to ask again",
    }
)
"""What any request may be answered, whatever it asks for; no method lists these unless it gives
them a meaning of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A query parameter that a method understands."""

    name: str
    source: str
    """Where the standard defines it, as in ``PS3.18 8.3.4.4``."""
    is_repeatable: bool = False
    options: tuple[str, ...] = ()
    """The values it may have, where they are few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One method of a resource: a transaction of the standard."""

    transaction: str
    """Its name in the standard, as in ``Retrieve Study``."""
    source: str
    """Where the standard defines it."""
    endpoint: Endpoint
    statuses: Mapping[int, str]
    """Every status code it may answer, and when."""
    gives: tuple[str, ...] = ()
    """Media types of its answers, the default first."""
    takes: tuple[str, ...] = ()
    """Media types of what it is given."""
    parameters: tuple[Parameter, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One target resource and its methods; OPTIONS and HEAD come by themselves."""

    name: str
    """Its name in the standard, as in ``Study``."""
    path: str
    """Below the service's root, as in ``/studies/{study}``; Starlette's syntax."""
    methods: Mapping[str, Method] = field(default_factory=dict)
    """By HTTP method, in capitals."""

    @property
    def allowed(self) -> tuple[str, ...]:
        """Its methods as Allow has them."""
        with_head = ("GET", "HEAD") if "GET" in self.methods else ()
        others = sorted(name for name in self.methods if name not in ("GET", "HEAD"))
        return (*with_head, *others, "OPTIONS")


def merged(resources: Iterable[Resource]) -> tuple[Resource, ...]:
    """Join what stands under the same path: search and store are modules of their own.

    The first says the name and the place. Raises: OutOfTurn, if two have the same method.
    """
    by_path: dict[str, Resource] = {}
    for resource in resources:
        held = by_path.get(resource.path)
        if held is None:
            by_path[resource.path] = resource
            continue
        if twice := set(held.methods) & set(resource.methods):
            raise OutOfTurn(f"two modules serve {', '.join(twice)} of {resource.path}")
        methods = {**held.methods, **resource.methods}
        by_path[resource.path] = replace(held, methods=methods)
    return tuple(by_path.values())
