"""One process: the archive with its listeners."""

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from starlette.types import ASGIApp

from isocenter.app.http import Gate, HttpListener, application
from isocenter.app.runner import Runner
from isocenter.app.running import running
from isocenter.archive import send_requests
from isocenter.archive.archive import Archive
from isocenter.archive.compression_policy import CompressionPolicy
from isocenter.archive.peers import Peers
from isocenter.config import Config, DimseConfig
from isocenter.dicomweb import routing
from isocenter.dimse import pdu
from isocenter.dimse.association import Peer
from isocenter.dimse.pdu import AssociateReject
from isocenter.dimse.server import Admission, DimseServer
from isocenter.dimse.settings import Limits, Timeouts
from isocenter.dimse.watching import Watch
from isocenter.errors import Unavailable
from isocenter.fhir import routing as fhir
from isocenter.imaging.workers import Workers
from isocenter.ohif.serving import Viewer
from isocenter.services import providers
from isocenter.services.send_jobs import SendJobs
from isocenter.services.status import response_of
from isocenter.services.store import StoreProvider
from isocenter.storage.lock import FolderLock
from isocenter.ui import application as pages

log = logging.getLogger(__name__)

SWITCH_INTERVAL = 0.001
"""Seconds a thread may keep the interpreter while another waits: workers must not hold up the
event loop for long."""


def serve(config: Config, places: Mapping[str, str] | None = None) -> None:
    """Serve until told to stop; ``places`` say where settings were set.

    Raises: Unavailable, if a port or the data folder cannot be had.
    """
    sys.setswitchinterval(SWITCH_INTERVAL)
    with FolderLock(config.data):
        run(Node(config, places or {}).run())


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run ``main`` on the quickest event loop there is."""
    if sys.platform == "win32":
        asyncio.run(main)
    else:
        import uvloop

        uvloop.run(main)


class Node:
    """The parts of one process, and the order in which they start and stop."""

    def __init__(self, config: Config, places: Mapping[str, str] | None = None) -> None:
        self._config = config
        self._places = places or {}
        self._watch = Watch()
        self._stop = asyncio.Event()
        self._dicom_web = Gate()
        self._pages = Gate()
        self._fhir = Gate()
        self._viewer = Viewer(config.viewer.folder, otherwise=self._pages)
        self.state = "starting"

    async def run(self) -> None:
        """Serve until ``stop``, then let what is in flight finish. Raises: Unavailable."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with suppress(NotImplementedError):  # Windows
                loop.add_signal_handler(number, self.stop)
        config = self._config
        bound = _bind(config.host, config.http_port)
        serving = application(
            lambda: self.state,
            self._dicom_web,
            self._pages,
            config.http,
            self._fhir,
            self._viewer,
        )
        http = HttpListener(serving, bound, config.http)
        await http.start()
        try:
            archive = await Archive.open(config.data, config.archive, config.imaging)
            self._dicom_web.open(routing.application(archive, config))
            self._pages.open(self._pages_of(archive))
            self._fhir.open(fhir.application(archive, config))
            try:
                await self._serve(archive, f"{config.host}:{bound.getsockname()[1]}")
            finally:
                await archive.close()
        finally:
            await http.close()

    def _pages_of(self, archive: Archive) -> ASGIApp:
        limits, timeouts = limits_of(self._config.dimse), timeouts_of(self._config.dimse)
        handed = running(archive, self._config, self._places, self._watch, limits, timeouts)
        return pages.application(archive, self._config, lambda: self._viewer.is_installed, handed)

    def stop(self) -> None:
        """Begin to shut down."""
        self._stop.set()

    async def _serve(self, archive: Archive, http_address: str) -> None:
        config = self._config
        peers = Peers(archive.index.peers, config.peer)
        server = _dimse_server(archive, config, peers, self._watch)
        await server.start(config.host, config.dicom_port)
        try:
            gc.collect()
            gc.freeze()  # what was built at the start stays: collections need not look at it
            self.state = "ready"
            log.info(
                "ready",
                extra={
                    "dicom": f"{config.host}:{server.port}",
                    "http": http_address,
                    "aet": config.aet,
                    "data": config.data,
                },
            )
            await archive.worklist.start([each.address.ae_title for each in await peers.all()])
            async with _compressing(archive, config), self._running_jobs(archive, peers):
                await self._stop.wait()
        finally:
            self.state = "draining"
            gates = (self._dicom_web, self._pages, self._fhir)
            log.info(
                "stopping",
                extra={
                    "associations": server.associations,
                    "requests": sum(each.under_way for each in gates),
                },
            )
            await archive.worklist.close()
            archive.live.close()  # who looks on would never end by itself
            await asyncio.gather(
                server.drain(config.shutdown_timeout),
                *(each.drain(config.shutdown_timeout) for each in gates),
            )
        log.info("stopped")

    @asynccontextmanager
    async def _running_jobs(self, archive: Archive, peers: Peers) -> AsyncIterator[None]:
        """Run jobs, beginning with those that the process before us left."""
        config = self._config
        limits, timeouts = limits_of(config.dimse), timeouts_of(config.dimse)
        sending = SendJobs(archive, peers, config.aet, limits, timeouts, self._watch)
        runner = Runner(archive.jobs, {send_requests.KIND: sending}, config.jobs)
        # We hold the lock of the folder: nobody else can be running any.
        await archive.jobs.take_back()
        await runner.start()
        try:
            yield
        finally:
            await runner.close()


@asynccontextmanager
async def _compressing(archive: Archive, config: Config) -> AsyncIterator[None]:
    """Follow the rules of compression, if there are any."""
    if not config.compression:
        yield
        return
    imaging = config.imaging
    codecs = Workers(
        imaging.workers, memory=imaging.memory, patience=imaging.patience, is_background=True
    )
    policy = CompressionPolicy(archive, archive.compression(codecs), config.compression)
    try:
        await policy.start()
        yield
    finally:
        await policy.close()
        await asyncio.to_thread(codecs.close)


def _dimse_server(archive: Archive, config: Config, peers: Peers, watch: Watch) -> DimseServer:
    limits, timeouts = limits_of(config.dimse), timeouts_of(config.dimse)
    store = StoreProvider(archive)
    return DimseServer(
        providers.services(archive, config, peers, store, limits, timeouts, watch),
        ae_titles=(config.aet,),
        admit=_Admission(config, peers),
        unknown=store.unknown,
        status_of=response_of,
        limits=limits,
        timeouts=timeouts,
        watch=watch,
    )


def limits_of(config: DimseConfig) -> Limits:
    """What the settings say of limits."""
    return Limits(
        associations=config.max_associations,
        associations_per_address=config.max_associations_per_peer,
        connections=config.max_associations + 100,
        pdu_size=config.max_pdu_length,
        operations=config.max_operations,
    )


def timeouts_of(config: DimseConfig) -> Timeouts:
    """What the settings say of waiting."""
    return Timeouts(
        artim=config.artim_timeout,
        establishment=config.network_timeout,
        idle=config.idle_timeout,
        dimse=config.dimse_timeout,
        network=config.network_timeout,
    )


class _Admission:
    """Decides who may open an association."""

    def __init__(self, config: Config, peers: Peers) -> None:
        self._is_open = not config.dimse.known_callers_only
        self._peers = peers

    async def __call__(self, peer: Peer) -> Admission | AssociateReject:
        if self._is_open or await self._is_known(peer):
            return Admission()
        return pdu.CALLING_AE_TITLE_NOT_RECOGNIZED

    async def _is_known(self, peer: Peer) -> bool:
        for host in {each.host for each in await self._peers.called(peer.ae_title)}:
            if host == peer.host or peer.host in await _addresses_of(host):
                return True
        return False


async def _addresses_of(host: str) -> set[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return set()
    return {str(each[4][0]) for each in found}


def _bind(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    except OSError as error:
        raise Unavailable(f"cannot listen on {host}:{port}: {error.strerror}") from error
