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
from typing import Any, Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import platformdirs

from isocenter.address import Address, ae_title
from isocenter.errors import IsocenterError, Malformed
from isocenter.sections import (
    Allowed as Allowed,
    ArchiveConfig as ArchiveConfig,
    CompressionRule as CompressionRule,
    DicomwebConfig as DicomwebConfig,
    DimseConfig as DimseConfig,
    FhirConfig as FhirConfig,
    HttpConfig as HttpConfig,
    ImagingConfig as ImagingConfig,
    JobsConfig as JobsConfig,
    Lossless as Lossless,
    ViewerConfig as ViewerConfig,
)
from isocenter.setting import Port, Seconds, Text, in_words, lines_of, read
from isocenter.viewers import UiConfig, faults_of

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

    archive: ArchiveConfig = field(default_factory=ArchiveConfig)
    dimse: DimseConfig = field(default_factory=DimseConfig)
    http: HttpConfig = field(default_factory=HttpConfig)
    dicomweb: DicomwebConfig = field(default_factory=DicomwebConfig)
    fhir: FhirConfig = field(default_factory=FhirConfig)
    imaging: ImagingConfig = field(default_factory=ImagingConfig)
    jobs: JobsConfig = field(default_factory=JobsConfig)
    viewer: ViewerConfig = field(default_factory=ViewerConfig)
    ui: UiConfig = field(default_factory=UiConfig)
    peer: tuple[Address, ...] = ()
    """The applications we know, beside those kept in the archive: where instances may be sent, and
    who may call if ``known_callers_only``."""

    compression: tuple[CompressionRule, ...] = ()
    """What is to be compressed without loss. Without a rule, everything stays as it came."""

    @property
    def is_exposed(self) -> bool:
        """Callers from other machines can reach us."""
        return self.host not in LOOPBACK_HOSTS

    def permits(self, policy: Allowed) -> bool:
        """Whether who calls over HTTP may do what ``policy`` is about."""
        return policy == "always" or (policy == "local" and not self.is_exposed)

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
        faults += [Fault(settings.place(("ui", "viewers")), x) for x in faults_of(config.ui)]
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
