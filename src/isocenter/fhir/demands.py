"""What a search demands, as a query of the archive.

Source: https://hl7.org/fhir/R4/search.html (token, string, reference, date); R5 agrees in these.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from typing import Final
from urllib.parse import quote, unquote

from isocenter.dicom.identity import is_uid
from isocenter.errors import Malformed, Unsupported
from isocenter.fhir.dates import Interval, interval
from isocenter.storage.query import Key, Query

URN_OID: Final = "urn:oid:"
UID_SYSTEM: Final = "urn:dicom:uid"
URI_SYSTEM: Final = "urn:ietf:rfc:3986"
LOCAL_ISSUER: Final = "urn:x-dicom:issuer:"
"""Stands before an issuer that DICOM only has as a text, so that two of them stay two systems."""

MOST_VALUES: Final = 200
"""Alternatives in one parameter."""

_ID: Final = re.compile(r"[A-Za-z0-9.-]{1,64}")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
# In DICOM these are wild cards, or stand between the parts of names.
_MEANS_MORE: Final = re.compile(r"[*?\\^=\0]")
_UNESCAPED_COMMA: Final = re.compile(r"(?<!\\)((?:\\\\)*),")


@dataclass(frozen=True, slots=True)
class Given:
    """One parameter as it was given."""

    name: str
    modifier: str
    chain: str
    """What is asked of the resource referred to; empty, if it is not chained."""
    values: tuple[str, ...]
    """The alternatives, still escaped."""


@dataclass(slots=True)
class Demands:
    """What has been demanded so far; all of it has to be met."""

    base: str
    """The service's URL, which references may begin with."""
    zone: tzinfo | None
    keys: list[Key] = field(default_factory=list)
    patients: frozenset[str] | None = None
    studies: frozenset[str] | None = None
    names: frozenset[str] | None = None
    """Logical ids of what is not in the index."""
    is_impossible: bool = False
    """Nothing can match."""
    _intervals: dict[tuple[int, int | None], Interval] = field(default_factory=dict)

    def of_patients(self, handles: Iterable[str]) -> None:
        """Only of these patients."""
        wanted = frozenset(handles)
        self.patients = wanted if self.patients is None else self.patients & wanted

    def of_studies(self, handles: Iterable[str]) -> None:
        """Only of these studies."""
        wanted = frozenset(handles)
        self.studies = wanted if self.studies is None else self.studies & wanted

    def named(self, names: Iterable[str]) -> None:
        """Only these, of what is not in the index."""
        wanted = frozenset(names)
        self.names = wanted if self.names is None else self.names & wanted

    def within(self, dates: int, times: int | None, each: Sequence[Interval]) -> None:
        """A date, with its time if ``times`` is its tag, lies within one of several intervals."""
        if len(each) == 1:
            known = self._intervals.get((dates, times), Interval(None, None))
            self._intervals[dates, times] = known.within(each[0])
            return
        if not all(one.is_of_days for one in each):
            raise Unsupported("several alternatives of times: name days")
        wanted = [one for one in each if not one.is_empty]
        if not wanted:
            self.is_impossible = True
            return
        self.keys.append(Key(dates, "\\".join(_days(one) for one in wanted)))

    def query(self, query: Query) -> Query:
        """``query`` with all that is demanded."""
        return replace(
            query,
            keys=(*query.keys, *self.keys, *self._dated()),
            patients=self.patients,
            studies=self.studies,
            combined_date_time=True,
            is_each_apart=True,
        )

    @property
    def is_vain(self) -> bool:
        """Nothing can match."""
        return self.is_impossible or any(each.is_empty for each in self._intervals.values())

    def _dated(self) -> Iterable[Key]:
        for (dates, times), each in self._intervals.items():
            yield Key(dates, _days(each))
            if times is not None and not each.is_of_days:
                yield Key(times, _times(each))


def _days(each: Interval) -> str:
    low = "" if each.low is None else f"{each.low.year:04d}{each.low:%m%d}"
    high = "" if each.high is None else f"{each.high.year:04d}{each.high:%m%d}"
    return f"{low}-{high}"


def _times(each: Interval) -> str:
    low = "" if each.low is None else f"{each.low:%H%M%S.%f}"
    high = "" if each.high is None else f"{each.high:%H%M%S.%f}"
    return f"{low}-{high}"


# --- values


def split(text: str) -> tuple[str, ...]:
    """The alternatives of a parameter, still escaped. Raises: Malformed."""
    found = tuple(each for each in _UNESCAPED_COMMA.sub("\\1\0", text).split("\0") if each.strip())
    if len(found) > MOST_VALUES:
        raise Malformed(f"more than {MOST_VALUES} values in one parameter")
    return found


def plain(text: str) -> str:
    """A value without its escapes."""
    return re.sub(r"\\([\\,|$])", r"\1", text)


def token(text: str) -> tuple[str | None, str]:
    """System and code of a token; None, where any system will do, ``""`` for none at all."""
    system, bar, code = re.sub(r"(?<!\\)\|", "\0", text, count=1).partition("\0")
    return (plain(system), plain(code)) if bar else (None, plain(text))


def code_of(text: str, system: str) -> str | None:
    """The code of a token that is of ``system`` or says none; None of another system."""
    said, code = token(text)
    return code if said in (None, system) else None


def uid_of(text: str) -> str | None:
    """The UID that a token means; None, if it is none."""
    said, value = token(text)
    if said not in (None, UID_SYSTEM, URI_SYSTEM):
        return None
    return value.removeprefix(URN_OID) or None


def reference(text: str, kinds: tuple[str, ...], base: str) -> str | None:
    """The logical id that a reference to one of ``kinds`` has here; None, if it is elsewhere."""
    value = plain(text).removeprefix(f"{base}/")
    kind, slash, id = value.rpartition("/")
    if slash and kind not in kinds:
        return None
    return id if is_id(id) else None


def is_id(text: str) -> bool:
    """Whether ``text`` may be a logical id."""
    return _ID.fullmatch(text) is not None


def starting(text: str, is_anywhere: bool) -> tuple[str, ...]:
    """The beginning of a part of a name as DICOM searches for it; nothing, if no name has it."""
    letters = plain(text).strip()
    if not letters or _MEANS_MORE.search(letters):
        return ()
    return (f"*{letters}*",) if is_anywhere else (f"{letters}*", f"*^{letters}*")


# --- issuers, which DICOM writes as text or UID and FHIR as URI


def system_of(issuer: str) -> str | None:
    """The URI of who issued an identifier; None, if nobody is named."""
    if not issuer:
        return None
    if is_uid(issuer):
        return URN_OID + issuer
    # Two issuers have two systems, also where one is written as the other's system.
    if _SCHEME.fullmatch(issuer) and not issuer.startswith((URN_OID, LOCAL_ISSUER)):
        return issuer
    return LOCAL_ISSUER + quote(issuer, safe="")


def issuer_of_system(system: str) -> str:
    """The issuer whose URI ``system`` is."""
    if system.startswith(LOCAL_ISSUER):
        return unquote(system.removeprefix(LOCAL_ISSUER))
    return system.removeprefix(URN_OID)


# --- kinds of parameters


def dated(dates: int, times: int | None, demands: Demands, given: Given) -> None:
    """A parameter of type date. Raises: Malformed, Unsupported."""
    zone = demands.zone if times is not None else None
    demands.within(dates, times, [interval(plain(each), zone) for each in given.values])


def one_of(tag: int, demands: Demands, values: Iterable[str | None]) -> None:
    """An attribute has one of ``values``; None stands for a value that nothing has."""
    wanted = tuple(each for each in values if each is not None)
    if not wanted:
        demands.is_impossible = True
        return
    demands.keys.append(Key(tag, any_of=wanted))
