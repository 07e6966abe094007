"""The peers that instances may be sent to."""

from collections.abc import Sequence

from isocenter.address import Address
from isocenter.archive.archive import Archive


async def destinations(archive: Archive, configured: Sequence[Address]) -> dict[str, Address]:
    """Where the peers we know are, by AE title; ``configured`` are those of the settings.

    The one place that says which: pages and jobs ask here.
    """
    return {each.ae_title: each for each in configured}
