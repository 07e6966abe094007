"""What the pages are handed of the process: its associations, and the way to peers."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from isocenter.archive.archive import Archive
from isocenter.archive.live import Live
from isocenter.archive.peers import Peers
from isocenter.config import Config
from isocenter.dimse.settings import Limits, Timeouts
from isocenter.dimse.watching import Watch
from isocenter.services.asking_peers import PeerAsker
from isocenter.ui.events import ASSOCIATIONS
from isocenter.ui.running import Running

GATHER: Final = 1.0
"""Seconds for which what happens to associations is gathered before pages are told."""
PATIENCE: Final = 10.0
"""Seconds that somebody who looks at a page is kept waiting for a peer that says nothing."""


class Teller:
    """Tells the pages that associations have changed, not more often than they can take it."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._loop = asyncio.get_running_loop()
        self._is_due = False

    def changed(self) -> None:
        """Have them told soon."""
        if not self._is_due and ASSOCIATIONS in self._live.topics:
            self._is_due = True
            self._loop.call_later(GATHER, self._tell)

    def _tell(self) -> None:
        self._is_due = False
        self._live.tell(ASSOCIATIONS, {})


def running(
    archive: Archive,
    config: Config,
    places: Mapping[str, str],
    watch: Watch,
    limits: Limits,
    timeouts: Timeouts,
) -> Running:
    """What pages may ask."""
    watch.on_change = Teller(archive.live).changed
    patient = replace(
        timeouts,
        establishment=min(PATIENCE, timeouts.establishment),
        dimse=min(PATIENCE, timeouts.dimse),
    )
    asker = PeerAsker(config.aet, limits, patient, watch)
    peers = Peers(archive.index.peers, config.peer)
    return Running(peers, watch, asker.echo, asker.accepted, places)
