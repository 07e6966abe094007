"""What a resource of PS3.18 is: what routes, capabilities and reference are drawn from.

Every transaction module has a ``RESOURCES``; ``routing`` gathers them. What is not written here is
not served.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A query parameter that a method understands."""

    name: str
    source: str
    """Where the standard defines it, as in ``PS3.18 8.3.4.4``."""


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
