"""Every setting, and the loader that reports every fault at once.

A setting stands here once: the command line, the environment (``ISOCENTER_DICOM_PORT``,
``ISOCENTER_DIMSE__IDLE_TIMEOUT``) and the TOML file all use the names of these fields.
"""

import ipaddress
import re
import tomllib
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import platformdirs

from isocenter.address import Address, ae_title
from isocenter.errors import IsocenterError, Malformed
from isocenter.setting import Count, Port, Seconds, Span, Text, in_words, lines_of, read

T = TypeVar("T")
ENVIRONMENT_PREFIX = "ISOCENTER_"
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with the settings, and where it stands."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class SettingsError(IsocenterError):
    """Settings that cannot be used; ``faults`` holds every one of them."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveConfig:
    """What the archive does with what it is given."""

    on_conflict: Literal["keep", "replace", "reject"] = "keep"
    """An instance arrives whose SOP Instance UID is there with other bytes: keep the first, replace
    it (the old version stays on disk), or refuse the new one."""

    unknown_sop_classes: bool = True
    """Accept storage of SOP classes that the standard does not list (private, or newer than us)."""

    max_nesting: Annotated[int, Span(1, 512)] = 64
    """How deep sequences may nest before a data set is refused."""

    file_threads: Annotated[int, Span(1, 256)] = 16
    """Threads that write, sync and read blobs."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomwebConfig:
    """The web services of PS3.18."""

    max_store_size: Annotated[int, Span(1 << 20, 1 << 50)] = 1 << 40
    """Bytes that one request to store may bring, what is compressed counted unpacked."""

    max_store_parts: Count = 100_000
    """Instances, or other parts, that one request to store may bring."""

    removal: Literal["local", "always", "never"] = "local"
    """Whether DELETE removes studies, series and instances. ``local``: only while we listen on
    loopback alone, so that no stranger on the network can."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole of the settings."""

    data: Path = field(default_factory=lambda: Path(platformdirs.user_data_dir("isocenter", False)))
    """The folder that holds blobs and index."""

    aet: str = "ISOCENTER"
    """Our AE title."""

    host: str = "127.0.0.1"
    """The address to listen on; other than loopback only if callers are authenticated, or
    ``allow_anonymous`` is set."""

    dicom_port: Port = 11112
    """The DICOM port; 0 lets the system choose."""

    http_port: Port = 8080
    """The HTTP port; 0 lets the system choose."""

    allow_anonymous: bool = False
    """Listen on any address without knowing who calls."""

    shutdown_timeout: Seconds = 30.0
    """How long what is in flight may take to finish when the server is told to stop."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe log lines that are written."""

    archive: ArchiveConfig = ArchiveConfig()
    dimse: DimseConfig = DimseConfig()
    http: HttpConfig = HttpConfig()
    dicomweb: DicomwebConfig = DicomwebConfig()
    fhir: FhirConfig = FhirConfig()
    imaging: ImagingConfig = ImagingConfig()
    jobs: JobsConfig = JobsConfig()
    viewer: ViewerConfig = field(default_factory=ViewerConfig)
    peer: tuple[Address, ...] = ()
    """The applications we know: where instances may be sent, and who may call if
    ``known_callers_only``."""

    compression: tuple[CompressionRule, ...] = ()
    """What is to be compressed without loss. Without a rule, everything stays as it came."""

    @property
    def is_exposed(self) -> bool:
        """Callers from other machines can reach us."""
        return self.host not in LOOPBACK_HOSTS

    @property
    def is_authenticated(self) -> bool:
        """Callers must be known to us."""
        return self.dimse.known_callers_only


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and where those that are not defaults were set."""

    config: Config
    places: Mapping[str, str]
    """By dotted name: ``FILE:LINE``, the environment's variable, or ``--option``."""


def load(
    file: Path | None = None,
    *,
    options: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """Return the settings: defaults, then ``file``, then ``environ``, then ``options``.

    Raises: SettingsError, with every fault there is.
    """
    return load_with_places(file, options=options, environ=environ).config


def load_with_places(
    file: Path | None = None,
    *,
    options: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Loaded:
    """As ``load``."""
    faults: list[Fault] = []
    settings = _Settings(faults)
    if file is not None:
        settings.read_file(file)
    settings.read_environment(environ or {})
    for name, value in (options or {}).items():
        settings.set((name,), value, f"--{name.replace('_', '-')}")
    config = settings.build()
    if (
        config is not None
        and config.is_exposed
        and not (config.is_authenticated or config.allow_anonymous)
    ):
        faults.append(
            Fault(
                settings.place(("host",)),
                f"listening on {config.host} needs callers to be authenticated"
                " ([dimse] known_callers_only = true) or --allow-anonymous",
            )
        )
    if config is not None:
        faults += _http_faults(config.http, settings)
        faults += _fhir_faults(config.fhir, settings)
    if faults or config is None:
        raise SettingsError(faults)
    return Loaded(config, settings.places)


def _http_faults(http: HttpConfig, settings: "_Settings") -> Iterator[Fault]:
    """What is wrong with addresses and origins; their kind is only text."""
    for each in http.trusted_proxies:
        try:
            ipaddress.ip_network(each, strict=False)
        except ValueError:
            what = f"http.trusted_proxies: {each!r} is no address and no network"
            yield Fault(settings.place(("http", "trusted_proxies")), what)
    for each in http.cors_origins:
        if each != "*" and not _ORIGIN.fullmatch(each):
            what = f"http.cors_origins: {each!r} is no origin such as https://viewer.example"
            yield Fault(settings.place(("http", "cors_origins")), what)


def _fhir_faults(fhir: FhirConfig, settings: "_Settings") -> Iterator[Fault]:
    """What is wrong with the timezone."""
    if not fhir.timezone:
        return
    try:
        ZoneInfo(fhir.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        what = f"fhir.timezone: {fhir.timezone!r} is no timezone such as Europe/Berlin"
        yield Fault(settings.place(("fhir", "timezone")), what)


class _Settings:
    """Values on their way to ``Config``, each with the place it came from."""

    def __init__(self, faults: list[Fault]) -> None:
        self._faults = faults
        self._values: dict[tuple[str, ...], object] = {}
        self._places: dict[tuple[str, ...], str] = {}

    @property
    def places(self) -> dict[str, str]:
        """Where each setting that was set was set, by dotted name."""
        return {".".join(path): self._places[path] for path in self._values}

    def place(self, path: tuple[str, ...]) -> str:
        return self._places.get(path, ".".join(path))

    def fault(self, where: str, what: str) -> None:
        self._faults.append(Fault(where, what))

    def set(self, path: tuple[str, ...], value: object, where: str) -> None:
        if path == ("peer",):  # known applications add up; all else is overridden
            value = [*_listed(self._values.get(path, ())), *_listed(value)]
        self._values[path] = value
        self._places[path] = where

    def read_file(self, file: Path) -> None:
        try:
            text = file.read_text(encoding="utf-8")
            table = tomllib.loads(text)
        except OSError as error:
            self.fault(str(file), error.strerror or "cannot be read")
            return
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            self.fault(str(file), str(error))
            return
        lines = lines_of(text)

        def where(path: tuple[str, ...]) -> str:
            line = next(
                (lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in lines), 1
            )
            return f"{file}:{line}"

        for path, value in _leaves(table):
            self.set(path, value, where(path))
        self._places.update((path, where(path)) for path in lines if path[0] in TABLES)

    def read_environment(self, environ: Mapping[str, str]) -> None:
        for name, text in environ.items():
            if name.startswith(ENVIRONMENT_PREFIX):
                path = tuple(name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"))
                self.set(path, Text(text), name)

    def build(self) -> Config | None:
        before = len(self._faults)
        known = self._section(Config, ())
        for path in self._values:
            if not _is_setting(path):
                self.fault(self.place(path), f"there is no setting {'.'.join(path)!r}")
        return Config(**known) if len(self._faults) == before else None

    def _section(self, section: type, prefix: tuple[str, ...]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        hints = typing.get_type_hints(section, include_extras=True)
        for each in fields(section):
            path, hint = (*prefix, each.name), hints[each.name]
            if isinstance(hint, type) and hasattr(hint, "__dataclass_fields__"):
                values[each.name] = hint(**self._section(hint, path))
            elif path == ("peer",):
                values[each.name] = tuple(self._entries("peer", _peer))
            elif path == ("compression",):
                values[each.name] = tuple(self._entries("compression", _rule))
            elif path in self._values:
                self._take(each, path, hint, values)
        return values

    def _take(
        self, each: "Field[Any]", path: tuple[str, ...], hint: Any, values: dict[str, Any]
    ) -> None:
        try:
            value = read(self._values[path], hint)
            values[each.name] = ae_title(value) if each.name == "aet" else value
        except (ValueError, Malformed) as error:
            self.fault(self.place(path), f"{'.'.join(path)}: {error}")

    def _entries(self, name: str, read: Callable[[object], T]) -> Iterator[T]:
        where = self.place((name,))
        for number, entry in enumerate(_listed(self._values.get((name,), ()))):
            place = self._places.get((name, str(number)), where)
            try:
                yield read(entry)
            except (ValueError, Malformed) as error:
                self.fault(place, f"{name}: {error}")


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _peer(entry: object) -> Address:
    if isinstance(entry, Address):
        return entry
    if isinstance(entry, str):
        return Address.parse(entry)
    if not isinstance(entry, dict):
        raise ValueError(f"expected a table with aet, host and port, not {entry!r}")
    if unknown := sorted(set(entry) - {"aet", "host", "port"}):
        raise ValueError(f"there is no setting {unknown[0]!r} in a peer")
    if missing := [name for name in ("aet", "host", "port") if name not in entry]:
        raise ValueError(f"{missing[0]!r} is missing")
    return Address.parse(f"{entry['aet']}@{entry['host']}:{entry['port']}")


def _rule(entry: object) -> CompressionRule:
    """Read a rule of compression. Raises: ValueError."""
    if isinstance(entry, CompressionRule):
        return entry
    if not isinstance(entry, dict):
        raise ValueError(f"expected a table [[compression]], not {entry!r}")
    hints = typing.get_type_hints(CompressionRule, include_extras=True)
    if unknown := sorted(set(entry) - set(hints)):
        raise ValueError(f"there is no setting {unknown[0]!r} in a rule")
    if "to" not in entry:
        raise ValueError("'to' is missing: the transfer syntax to compress into")
    if entry["to"] not in typing.get_args(Lossless):
        names = ", ".join(typing.get_args(Lossless))
        raise ValueError(
            f"to: {entry['to']!r} is none of the transfer syntaxes that lose nothing: {names}"
        )
    values = {}
    for name, value in entry.items():
        try:
            values[name] = read(value, hints[name])
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    rule = CompressionRule(**values)
    if rule.age and rule.when != "later":
        raise ValueError("age: only what is compressed later has one")
    return rule


def _is_setting(path: tuple[str, ...]) -> bool:
    section: Any = Config
    for index, name in enumerate(path):
        hints = typing.get_type_hints(section)
        if name not in hints:
            return False
        section = hints[name]
        if not hasattr(section, "__dataclass_fields__"):
            return index == len(path) - 1
    return False


def _leaves(
    table: Mapping[str, object], prefix: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], object]]:
    for name, value in table.items():
        if isinstance(value, dict) and (value or name in SECTIONS):
            yield from _leaves(value, (*prefix, name))
        else:
            yield (*prefix, name), value


SECTIONS: Mapping[str, type] = types.MappingProxyType(
    {
        name: hint
        for name, hint in typing.get_type_hints(Config).items()
        if hasattr(hint, "__dataclass_fields__")
    }
)
"""The sections of the settings, by name."""

TABLES: Mapping[str, type] = types.MappingProxyType(
    {"peer": Address, "compression": CompressionRule}
)
"""What there may be several of, each with a table of its own."""


def documented() -> Iterator[tuple[str, str, str]]:
    """Every setting: its dotted name, its type in words and its default, for the reference page."""
    for name, section in {"": Config, **SECTIONS, "compression": CompressionRule}.items():
        prefix = f"{name}." if name else ""
        hints = typing.get_type_hints(section, include_extras=True)
        for each in fields(section):
            if hasattr(hints[each.name], "__dataclass_fields__"):
                continue
            default = "" if each.default is MISSING else str(each.default)
            yield f"{prefix}{each.name}", in_words(hints[each.name]), default
