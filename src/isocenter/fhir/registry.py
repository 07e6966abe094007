"""What is served: resources, their search parameters, what may be included.

Routes, searches, the CapabilityStatement and the reference are drawn from it. What is not written
here is not served.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from isocenter.fhir.demands import Demands, Given
from isocenter.fhir.here import Here
from isocenter.fhir.projection import Projection
from isocenter.fhir.releases import RELEASES, Release

DEFINITIONS: Final = "http://hl7.org/fhir/SearchParameter/"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins."""

    shown: int = 0
    """Matches on the pages before."""
    after: tuple[Any, ...] = ()
    """What the last of them leaves to go on with; empty at the beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One page of a search."""

    count: int
    place: Place = Place()
    sort: str = ""
    """What ``_sort`` says; empty for the usual order."""
    with_total: bool = False
    """Count to the end, whatever it costs."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a page has: entities, which ``ResourceType.write`` turns into resources."""

    entities: Sequence[Any] = ()
    following: tuple[Any, ...] | None = None
    """What the next page goes on with; None, if there is none."""
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """A piece of a resource's JSON."""

    piece: bytes
    id: str = ""
    """With the first piece of each resource: its logical id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchParameter:
    """A search parameter of a resource."""

    name: str
    type: str
    definition: str
    """Behind ``DEFINITIONS``."""
    demand: Callable[[Demands, Given], None]
    """Adds what is asked for. Raises: Malformed, Unsupported."""
    meaning: str
    modifiers: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    """The resources that a reference may be to; ``demand`` also takes what is asked of a patient
    (a chain), if that is one of them."""
    releases: tuple[Release, ...] = RELEASES


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceType:
    """One type of resource, and what can be done with it."""

    name: str
    source: str
    """What of DICOM it is made of."""
    find: Callable[[Here, Demands, Wanted], Awaitable[Found]]
    """Finds one page. Raises: Malformed, Unavailable; HTTPException 410."""
    count: Callable[[Here, Demands], Awaitable[int]]
    one: Callable[[Here, str], Awaitable[Any]]
    """Finds the entity with a logical id. Raises: NotFound."""
    write: Callable[[Here, Sequence[Any], Projection], AsyncIterator[Written]]
    is_short: Callable[[Any], bool]
    """Whether a resource may be made as a whole before it is sent."""
    position: tuple[type, ...]
    """What ``Found.following`` is made of."""
    parameters: tuple[SearchParameter, ...]
    sorts: tuple[str, ...] = ()
    """What ``_sort`` may say."""
    mandatory: Mapping[Release, frozenset[str]] = field(default_factory=dict)
    """Elements that are never left out."""
    left_out_of_summary: frozenset[str] = frozenset()

    def known(self, release: Release) -> Mapping[str, SearchParameter]:
        """Its search parameters in a release, by name."""
        return {each.name: each for each in self.parameters if release in each.releases}
