"""Which elements of a resource are given (``_summary``, ``_elements``)."""

from dataclasses import dataclass
from typing import Any, Final

Resource = dict[str, Any]

_ALWAYS: Final = frozenset({"resourceType", "id", "meta"})
_SUBSETTED: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
}


@dataclass(frozen=True, slots=True)
class Projection:
    """The elements that are wanted."""

    elements: frozenset[str] | None = None
    """Only these, None for all."""
    left_out: frozenset[str] = frozenset()
    is_part: bool = False
    """What is given is not the whole resource, and says so."""

    def wants(self, name: str) -> bool:
        """Whether an element is to be given."""
        return name not in self.left_out and (self.elements is None or name in self.elements)

    def of(self, resource: Resource) -> Resource:
        """What is wanted of a resource."""
        found = {
            name: value for name, value in resource.items() if name in _ALWAYS or self.wants(name)
        }
        if self.is_part:
            found["meta"] = {**found.get("meta", {}), "tag": [_SUBSETTED]}
        return found


WHOLE: Final = Projection()


def projection(
    kind: str,
    summary: str | None,
    elements: frozenset[str] | None,
    mandatory: frozenset[str],
    left_out_of_summary: frozenset[str],
) -> Projection:
    """What a request asks for of resources of one kind."""
    if summary == "text":  # there are no narratives
        return Projection(mandatory, is_part=True)
    if summary == "true":
        return Projection(left_out=left_out_of_summary, is_part=True)
    if elements is not None:
        own = _own(kind, elements)
        return Projection(own | mandatory, is_part=True) if own is not None else WHOLE
    return Projection(is_part=summary == "data")


def _own(kind: str, elements: frozenset[str]) -> frozenset[str] | None:
    """The top elements that are named for ``kind``; None, if all are named for others."""
    found = set()
    for each in elements:
        first, _, rest = each.partition(".")
        if first[:1].isupper():
            if first == kind and rest:
                found.add(rest.split(".")[0])
        else:
            found.add(first)
    return frozenset(found) or None
