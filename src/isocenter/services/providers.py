"""Everything we provide, for the server: the registry of our services."""

from isocenter.archive.archive import Archive
from isocenter.archive.peers import Peers
from isocenter.config import Config
from isocenter.dimse.operation import Service
from isocenter.dimse.settings import Limits, Timeouts
from isocenter.dimse.watching import Watch
from isocenter.services import verification
from isocenter.services.query import FindProvider
from isocenter.services.retrieve import RetrieveProvider
from isocenter.services.store import StoreProvider


def services(
    archive: Archive,
    config: Config,
    peers: Peers,
    store: StoreProvider,
    limits: Limits,
    timeouts: Timeouts,
    watch: Watch | None = None,
) -> list[Service]:
    """Return every service, one for each abstract syntax."""
    find = FindProvider(archive, config.aet, config.dimse)
    retrieve = RetrieveProvider(archive, config.aet, peers, config.dimse, limits, timeouts, watch)
    return [
        verification.SERVICE,
        *store.services(),
        *find.services(),
        *retrieve.services(),
    ]
