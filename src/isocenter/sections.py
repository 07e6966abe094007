"""The sections of the settings: what each holds, its defaults, and what it means."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import platformdirs

from isocenter.setting import Count, Seconds, Span

Allowed = Literal["local", "always", "never"]
"""What people may do who call over HTTP; ``local``: only while we listen on loopback alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveConfig:
    """What the archive does with what it is given."""

    on_conflict: Literal["keep", "replace", "reject"] = "keep"
    """An instance arrives whose SOP Instance UID is there with other bytes: keep the first, replace
    it (the old version stays on disk), or refuse the new one. Where the first is of
    another patient, study or series, the new one is refused unless it replaces."""

    unknown_sop_classes: bool = True
    """Accept storage of SOP classes that the standard does not list (private, or newer than us)."""

    max_nesting: Annotated[int, Span(1, 512)] = 64
    """How deep sequences may nest before a data set is refused."""

    file_threads: Annotated[int, Span(1, 256)] = 16
    """Threads that write, sync and read blobs."""

    removal_retention: Annotated[float, Span(0, 10 * 366 * 24 * 3600)] = 7 * 24 * 3600.0
    """How long what was removed can be put back; then its bytes go. With 0 they go at once."""

    copies_size: Annotated[int, Span(0, 1 << 50)] = 1 << 30
    """Bytes of ready-made answers (metadata of series) that are kept on disk, the longest unused
    going first. They can all be made again; 0 keeps none."""

    videos_size: Annotated[int, Span(0, 1 << 50)] = 10 << 30
    """Bytes of videos that were made for players which are kept on disk, the longest unused going
    first, and the most that one of them may have."""

    workitem_retention: Annotated[float, Span(0, 10 * 366 * 24 * 3600)] = 30 * 24 * 3600.0
    """How long a completed or canceled workitem is kept, unless a subscriber holds a deletion lock
    on it (PS3.4 CC.2.3.2)."""

    commitment_retention: Annotated[float, Span(60, 10 * 366 * 24 * 3600)] = 30 * 24 * 3600.0
    """How long the result of a request of storage commitment can be asked for (PS3.18 13.5)."""

    event_retention: Annotated[float, Span(0, 366 * 24 * 3600)] = 24 * 3600.0
    """How long an event of the worklist waits for a subscriber who is not connected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DimseConfig:
    """The DIMSE listener, and what we ask of peers we call."""

    max_associations: Count = 1000
    """Associations in all; more are rejected as a transient local limit (PS3.8 9.3.4)."""

    max_associations_per_peer: Count = 500
    """Associations from one network address."""

    max_pdu_length: Annotated[int, Span(4096, 1 << 20)] = 1 << 18
    """The longest P-DATA PDU we accept, in bytes. Large is fast: senders write much at once."""

    max_operations: Annotated[int, Span(1, 64)] = 8
    """Operations at once on one association (asynchronous operations window, PS3.7 D.3.3.3)."""

    artim_timeout: Seconds = 30.0
    """Wait for a request after connect, and for the close at the end (PS3.8 9.1.5)."""

    idle_timeout: Seconds = 600.0
    """An association on which nothing happens is aborted after this."""

    dimse_timeout: Seconds = 60.0
    """Wait for the rest of a message, and for the answer to a request of ours."""

    network_timeout: Seconds = 60.0
    """Wait for a peer to take bytes, or for a connection to be made."""

    known_callers_only: bool = False
    """Accept only calling AE titles that stand in ``[[peer]]``, from that peer's host."""

    relational_always: bool = False
    """Take queries and retrievals that leave out the levels above as relational, also from those
    who did not negotiate it (PS3.4 C.5.1.1)."""

    pending_interval: Seconds = 1.0
    """Between pending answers while C-MOVE and C-GET run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig:
    """The HTTP listener."""

    names: tuple[str, ...] = ()
    """Names this server is called by in URLs, beyond addresses, ``localhost``, the machine's own
    name and names that only a private network has; ``*``: any. Another name is refused, so that no
    web page can pass itself off as this server (DNS rebinding)."""

    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may use this server from a browser, as in ``https://viewer.example``;
    ``*``: any. Pages of other origins can read nothing and change nothing."""

    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of reverse proxies: only from them are ``Forwarded`` and
    ``X-Forwarded-For``, ``-Proto``, ``-Host`` and ``-Prefix`` believed."""

    max_connections: Count = 1000
    """Connections at once; more are answered 503. Each has one request under way at a time."""

    max_header_size: Annotated[int, Span(4096, 1 << 20)] = 64 << 10
    """The longest request line with header fields, in bytes."""

    header_timeout: Seconds = 20.0
    """Wait for the header fields of a request, from its first byte to their end."""

    idle_timeout: Seconds = 30.0
    """A connection without a request is closed after this."""

    network_timeout: Seconds = 60.0
    """Wait for a client to send more of a body, or to take more of an answer."""

    correction: Allowed = "local"
    """Whether patient data is corrected by the pages; as ``removal`` of the web services."""

    administration: Allowed = "local"
    """Whether peers are added, changed and removed, and associations ended, by the pages. Who may
    add a peer lets it call us, and send to it; as ``removal`` of the web services."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomwebConfig:
    """The web services of PS3.18."""

    max_store_size: Annotated[int, Span(1 << 20, 1 << 50)] = 1 << 40
    """Bytes that one request to store may bring, what is compressed counted unpacked."""

    max_store_parts: Count = 100_000
    """Instances, or other parts, that one request to store may bring."""

    removal: Allowed = "local"
    """Whether DELETE and pages remove, put back and delete for good. ``local``: only while we
    listen on loopback alone, so that no stranger on the network can."""

    inline_size: Annotated[int, Span(0, 1 << 20)] = 1024
    """Bytes up to which binary values are written into metadata; of longer ones it has the URL."""

    max_results: Annotated[int, Span(1, 10_000_000)] = 100_000
    """Matches that one search gives, also where no limit is asked for; a Warning header field says
    that there are more (PS3.18 8.3.4.4.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FhirConfig:
    """The services of FHIR."""

    timezone: str = ""
    """The timezone of dates and times that do not say it themselves, as in ``Europe/Berlin``.
    Without it FHIR is told the day of such a study, and not the time: it has no times without a
    timezone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagingConfig:
    """The processes that decode, render and compress images."""

    workers: Annotated[int, Span(0, 256)] = 0
    """Processes; 0: one for each processor. They are started when there is work for them."""

    memory: Annotated[int, Span(1 << 29, 1 << 40)] = 4 << 30
    """Bytes of address space that one of them may take, where the system can bound that; an image
    that asks for more is refused."""

    patience: Seconds = 60.0
    """One that takes longer over a frame is ended, and the frame is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsConfig:
    """What is done in the background, such as sending to a peer."""

    workers: Annotated[int, Span(1, 64)] = 2
    """Jobs that run at once."""

    attempts: Annotated[int, Span(1, 10_000)] = 20
    """How often in a row a job may get nowhere before it has failed."""

    pause: Seconds = 10.0
    """Before a job is tried a second time; twice as long before each further time."""

    longest_pause: Seconds = 1800.0
    """Before a job is tried again, at most."""

    retention: Annotated[float, Span(0, 10 * 366 * 24 * 3600)] = 30 * 24 * 3600.0
    """How long a job that is done, failed or canceled stays in the list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewerConfig:
    """The viewer OHIF, served at ``/ohif`` where it is installed."""

    folder: Path = field(
        default_factory=lambda: Path(platformdirs.user_data_dir("isocenter-viewers", False))
    )
    """The folder that ``isocenter viewer install`` installs it in, and the server serves it from.
    All servers of a machine may share it."""


Lossless = Literal[
    "rle",
    "jpeg-lossless",
    "jpeg-ls",
    "jpeg-2000",
    "htj2k",
    "htj2k-rpcl",
    "jpeg-xl",
    "jpeg-xl-jpeg",
    "deflated-frames",
]
"""The transfer syntaxes that instances may be kept in instead of the one they came in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressionRule:
    """Which instances are to be compressed, into what, and when; of several, the first counts."""

    to: Lossless
    """The transfer syntax; ``jpeg-xl-jpeg`` is for what came as JPEG baseline, the others for what
    came uncompressed. Only what loses nothing can be named."""

    when: Literal["on ingest", "later"] = "on ingest"
    """As soon as an instance is kept, or once it has been kept for ``age``."""

    age: Annotated[float, Span(0, 100 * 366 * 24 * 3600)] = 0.0
    """How long an instance is kept as it came, if it is compressed later."""

    sop_classes: tuple[str, ...] = ()
    """SOP Class UIDs; none: any."""

    modalities: tuple[str, ...] = ()
    """Modalities (0008,0060); none: any."""

    peers: tuple[str, ...] = ()
    """Who sent it: a calling AE title, or, over the web, a network address; none: anybody."""
