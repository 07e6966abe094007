"""Where a page begins, as links carry it: opaque, and read with care.

It names a row, not a number of rows to leave out: pages neither repeat nor miss what was there all
the while, and the last page is found as quickly as the first.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Any, Final

import orjson

from isocenter.errors import Malformed
from isocenter.fhir.registry import Place

UNREADABLE: Final = "the place of a page cannot be read: follow the links as they are"
LONGEST: Final = 400
_LARGEST: Final = 1 << 62


def written(place: Place) -> str:
    """As links carry it."""
    packed = base64.urlsafe_b64encode(orjson.dumps([place.shown, *place.after]))
    return packed.decode().rstrip("=")


def read(text: str, kinds: Sequence[type]) -> Place:
    """Read what ``written`` gave; ``kinds`` of what follows the number. Raises: Malformed."""
    if not text:
        return Place()
    try:
        if len(text) > LONGEST:
            raise ValueError("too long")
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        found = orjson.loads(base64.b64decode(padded, b"-_", validate=True))
        shown, *after = found
    except (binascii.Error, ValueError, TypeError) as error:
        raise Malformed(UNREADABLE) from error
    if not (_is(shown, int) and shown >= 0 and _are(after, kinds)):
        raise Malformed(UNREADABLE)
    return Place(shown, tuple(after))


def _are(values: Sequence[Any], kinds: Sequence[type]) -> bool:
    return len(values) == len(kinds) and all(map(_is, values, kinds))


def _is(value: Any, kind: type) -> bool:
    if kind is int:
        return type(value) is int and abs(value) < _LARGEST
    return type(value) is kind
