"""Conditional requests: entity tags, dates, and what follows from them (RFC 9110 8.8 and 13)."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

_TAGS = re.compile(r'(?:^|,)\s*((?:W/)?"[\x21\x23-\x7e\x80-\xff]*")\s*(?=,|$)')


@dataclass(frozen=True, slots=True)
class Validator:
    """What tells one state of a representation from another."""

    etag: str | None = None
    """With its quotes, as ``etag`` gives it."""
    last_modified: datetime | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The header fields that tell it."""
        told = {}
        if self.etag is not None:
            told["etag"] = self.etag
        if self.last_modified is not None:
            told["last-modified"] = http_date(self.last_modified)
        return told


def etag(*parts: object, is_weak: bool = False) -> str:
    """Return an entity tag that changes when one of ``parts`` does."""
    joined = "\0".join(str(part) for part in parts).encode("utf-8", "surrogatepass")
    return ("W/" if is_weak else "") + f'"{hashlib.blake2b(joined, digest_size=12).hexdigest()}"'


def http_date(moment: datetime) -> str:
    """Write ``moment`` as header fields have it."""
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def check(request: Request, validator: Validator) -> Response | None:
    """Return 304 if that is the answer; None, if the request is to be performed.

    Raises: HTTPException 412. The order is that of RFC 9110 13.2.2.
    """
    headers = request.headers
    if (wanted := _all(request, "if-match")) is not None:
        if not _matches(wanted, validator.etag, is_weak=False):
            raise HTTPException(412, "the resource is not as If-Match says", validator.headers)
    elif _is_later(validator, headers.get("if-unmodified-since")):
        raise HTTPException(412, "the resource was changed since then", validator.headers)
    is_reading = request.method in ("GET", "HEAD", "OPTIONS")
    if (known := _all(request, "if-none-match")) is not None:
        if _matches(known, validator.etag, is_weak=True):
            if is_reading:
                return not_modified(validator)
            raise HTTPException(412, "the resource is there as If-None-Match says")
    elif is_reading and (since := _date(headers.get("if-modified-since"))) is not None:
        modified = validator.last_modified
        if modified is not None and modified.replace(microsecond=0) <= since:
            return not_modified(validator)
    return None


def not_modified(validator: Validator, headers: Mapping[str, str] | None = None) -> Response:
    """Say that what the client has is current."""
    return Response(status_code=304, headers={**validator.headers, **(headers or {})})


def is_range_wanted(request: Request, validator: Validator) -> bool:
    """Say whether Range counts, or If-Range has the whole instead (RFC 9110 13.1.5)."""
    if "range" not in request.headers or request.method != "GET":
        return False
    if (condition := request.headers.get("if-range")) is None:
        return True
    if condition.startswith(('"', "W/")):
        return _matches(condition, validator.etag, is_weak=False) and condition != "*"
    since, modified = _date(condition), validator.last_modified
    return since is not None and modified is not None and modified.replace(microsecond=0) == since


def _all(request: Request, name: str) -> str | None:
    found = request.headers.getlist(name)
    return ", ".join(found) if found else None


def _matches(listed: str, current: str | None, *, is_weak: bool) -> bool:
    """Compare a list of entity tags with the current one (RFC 9110 8.8.3.2)."""
    if listed.strip() == "*":
        return True
    if current is None or (not is_weak and current.startswith("W/")):
        return False
    tags = _TAGS.findall(listed)
    if is_weak:
        return current.removeprefix("W/") in {tag.removeprefix("W/") for tag in tags}
    return current in tags


def _is_later(validator: Validator, text: str | None) -> bool:
    since, modified = _date(text), validator.last_modified
    return since is not None and modified is not None and modified.replace(microsecond=0) > since


def _date(text: str | None) -> datetime | None:
    """Read a date; one that is none counts as not sent."""
    if text is None:
        return None
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
