"""The categories of instances that belong to no patient, by the names they have in a path."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from isocenter.errors import NotFound

CATEGORIES: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "color-palettes": frozenset({"1.2.840.10008.5.1.4.39.1"}),
        "defined-procedure-protocols": frozenset(
            {
                "1.2.840.10008.5.1.4.1.1.200.1",  # CT Defined Procedure Protocol
                "1.2.840.10008.5.1.4.1.1.200.7",  # XA Defined Procedure Protocol
            }
        ),
        "hanging-protocols": frozenset({"1.2.840.10008.5.1.4.38.1"}),
        "implant-templates": frozenset(
            {
                "1.2.840.10008.5.1.4.43.1",  # Generic Implant Template
                "1.2.840.10008.5.1.4.44.1",  # Implant Assembly Template
                "1.2.840.10008.5.1.4.45.1",  # Implant Template Group
            }
        ),
        "inventories": frozenset({"1.2.840.10008.5.1.4.1.1.201.1"}),
    }
)
"""SOP Class UIDs by ``npi-name`` (PS3.18 Table 12.1.1-1).

That table names one implant template of the three that share an information model (PS3.4 BB).
Protocol Approval is in none of its categories.
"""


def sop_classes(name: str) -> frozenset[str]:
    """Give the SOP classes of the category ``name``. Raises: NotFound."""
    if (found := CATEGORIES.get(name)) is None:
        raise NotFound(f"there is no such category; there are {', '.join(CATEGORIES)}")
    return found
