"""Range requests: which bytes are wanted, and how they are told (RFC 9110 14)."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.exceptions import HTTPException

MOST = 64
"""Ranges in one request; who asks for more (a known way to make servers work) gets the whole."""

_SET = re.compile(r"\s*bytes\s*=\s*(.*)", re.IGNORECASE | re.DOTALL)
_SPAN = re.compile(r"\s*(?:([0-9]{1,20})\s*-\s*([0-9]{0,20})|-\s*([0-9]{1,20}))\s*")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Some bytes of a representation."""

    start: int
    end: int
    """Exclusive."""

    def __len__(self) -> int:
        return self.end - self.start

    def told(self, size: int) -> str:
        """Return it as Content-Range has it."""
        return f"bytes {self.start}-{self.end - 1}/{size}"


def parse(header: str | None, size: int) -> list[Span] | None:
    """Return the wanted bytes of ``size``; None, if the whole is to be given.

    What is not well formed, or in another unit, is taken as not there. Spans that overlap or touch
    are one; else they stay in the order they were asked for. Raises: HTTPException 416.
    """
    if header is None or not (whole := _SET.fullmatch(header)):
        return None
    asked = [each for each in whole[1].split(",") if each.strip()]
    if not asked or len(asked) > MOST:
        return None
    spans = []
    for each in asked:
        if not (found := _SPAN.fullmatch(each)):
            return None
        first, last, suffix = found.groups()
        if first and last and int(last) < int(first):
            return None
        span = _span(first, last, suffix, size)
        if len(span):
            spans.append(span)
    if not spans:
        told = {"content-range": f"bytes */{size}"}
        raise HTTPException(416, f"there are {size} bytes: none of the ranges is in them", told)
    return _joined(spans)


def _span(first: str | None, last: str | None, suffix: str | None, size: int) -> Span:
    if suffix is not None:
        return Span(max(size - int(suffix), 0), size)
    start = min(int(first or 0), size)
    end = min(int(last) + 1, size) if last else size
    return Span(start, max(start, end))


def _joined(spans: Sequence[Span]) -> list[Span]:
    ordered = sorted(spans)
    if not any(after.start <= before.end for before, after in itertools.pairwise(ordered)):
        return list(spans)
    joined = [ordered[0]]
    for span in ordered[1:]:
        if span.start <= joined[-1].end:
            joined[-1] = Span(joined[-1].start, max(joined[-1].end, span.end))
        else:
            joined.append(span)
    return joined
