"""Spans of time that plots are made of: minutes, hours, days and weeks, of UTC."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from isocenter.storage.tallies import DAY, MINUTE, Span, Tally
from isocenter.ui.formats import Formats

MEASURES: Final = {"studies": "Studies", "instances": "Instances", "bytes": "Bytes"}
"""What can be counted: fields of a tally. English texts; the catalogs have the others."""
MONDAY: Final = 4
"""The first Monday's day, from 1970-01-01, a Thursday."""


@dataclass(frozen=True, slots=True)
class Window:
    """So many spans up to now, gathered in steps of several."""

    span: Span
    count: int
    step: int = 1
    offset: int = 0

    @property
    def last(self) -> int:
        """The number of the step that is now."""
        length = DAY if self.span is Span.DAY else MINUTE
        return self.step_of(time.time_ns() // 1000 // length)

    @property
    def first(self) -> int:
        """The number of the first step."""
        return self.last - -(-self.count // self.step) + 1

    @property
    def since(self) -> int:
        """The number of the first span."""
        return self.first * self.step + self.offset

    def step_of(self, number: int) -> int:
        """The step that a span belongs to."""
        return (number - self.offset) // self.step

    def labels(self, formats: Formats) -> list[str]:
        """What each step is called: its first moment."""
        steps = range(self.first, self.last + 1)
        firsts = [each * self.step + self.offset for each in steps]
        if self.span is Span.DAY:
            return [formats.day(each) for each in firsts]
        moments = [datetime.fromtimestamp(each * 60, UTC) for each in firsts]
        return [f"{each:%H:%M}" for each in moments]

    def sums(self, tallies: Iterable[Tally], measure: str) -> list[int]:
        """The sum of each step."""
        found = [0] * (self.last - self.first + 1)
        for each in tallies:
            place = self.step_of(each.number) - self.first
            if 0 <= place < len(found):
                found[place] += getattr(each, measure)
        return found

    def by_modality(self, tallies: Sequence[Tally], measure: str) -> dict[str, list[int]]:
        """The sums of each step, apart for each modality that has any."""
        names = sorted({each.modality for each in tallies})
        found = {
            name: self.sums([each for each in tallies if each.modality == name], measure)
            for name in names
        }
        return {name: sums for name, sums in found.items() if any(sums)}


def days(count: int) -> Window:
    """The last days; many of them by weeks, which begin on Mondays."""
    if count <= 90:
        return Window(Span.DAY, count)
    return Window(Span.DAY, count, 7, MONDAY)
