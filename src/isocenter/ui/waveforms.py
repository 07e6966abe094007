"""An electrocardiogram or another waveform: a piece of it on paper, and what is said of it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote, urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from isocenter import __version__
from isocenter.dicom.sop_classes import SOP_CLASSES
from isocenter.errors import Malformed, NotFound
from isocenter.imaging.waveform_drawing import MEDIA_TYPE
from isocenter.imaging.waveform_strips import GAINS, LONGEST, SPEEDS, Strip, ordered
from isocenter.imaging.waveforms import Annotation, Multiplex, Recording, clock
from isocenter.storage.records import InstanceRef, Selection
from isocenter.ui import asking
from isocenter.ui.formats import text_of
from isocenter.ui.page import is_partial, render
from isocenter.web import conditional
from isocenter.web.conditional import Validator, etag

SECONDS: Final = (2.5, 5.0, 10.0, 20.0, 30.0, LONGEST)
"""How much of it a reader may choose to see."""
PIXELS: Final = 96 / 25.4
"""Of a millimetre."""
NARROW: Final = 700
"""Pixels of a drawing that is not made as wide as the page."""
ALONE: Final = "alone"
"""The parameter that leaves out all of the page that is not the waveform: for viewers."""
_DECIMAL: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", re.ASCII)
_CLOCK: Final = re.compile(
    r"(?:([0-9]{1,4}):)?([0-5]?[0-9]):([0-5]?[0-9](?:\.[0-9]{1,9})?)", re.ASCII
)


@dataclass(frozen=True, slots=True)
class View:
    """A piece of a recording, and the way to others; URLs without a host."""

    strip: Strip
    group: Multiplex
    path: str
    is_alone: bool = False

    @property
    def image(self) -> str:
        """The drawing."""
        return f"{self.path}.svg?{_query(self.strip)}"

    @property
    def width(self) -> int:
        """Of the drawing, in pixels."""
        return round(self.strip.width(self.group) * PIXELS)

    @property
    def is_narrow(self) -> bool:
        """Whether it would be blown up, were it as wide as the page."""
        return self.width < NARROW

    @property
    def end(self) -> float:
        """Seconds at which it ends."""
        return min(self.strip.start + self.strip.seconds, self.group.seconds)

    @property
    def span(self) -> tuple[str, str, str]:
        """From when to when it is shown, and how long it is."""
        return clock(self.strip.start), clock(self.end), clock(self.group.seconds)

    @property
    def leads(self) -> list[str]:
        """The names of its channels, as they follow each other."""
        return [self.group.channels[number].name for number in ordered(self.group.channels)]

    @property
    def ways(self) -> dict[str, str | None]:
        """Where the first, the earlier, the later and the last piece are; None: nowhere."""
        start, step = self.strip.start, self.strip.seconds
        last = max(0.0, self.group.seconds - step)
        is_end = self.end >= self.group.seconds - 1e-6
        return {
            "first": self.at(0.0) if start > 0 else None,
            "earlier": self.at(max(0.0, start - step)) if start > 0 else None,
            "later": None if is_end else self.at(start + step),
            "last": None if is_end else self.at(last),
        }

    def at(self, start: float) -> str:
        """Where the piece is that begins at ``start``."""
        return self._to(replace(self.strip, start=start))

    def holding(self, mark: Annotation) -> str:
        """Where the piece is in which a mark is seen, of the recording that it is of."""
        start = max(0.0, (mark.at or 0.0) - self.strip.seconds / 2)
        return self._to(replace(self.strip, group=mark.group, start=start))

    def _to(self, strip: Strip) -> str:
        return f"{self.path}?{_query(strip)}{f'&{ALONE}=yes' if self.is_alone else ''}"


@dataclass(frozen=True, slots=True)
class Told:
    """What is said of a recording, sorted by what it is."""

    findings: Sequence[Annotation]
    measurements: Sequence[Annotation]
    moments: Sequence[Annotation]

    @classmethod
    def of(cls, told: Sequence[Annotation]) -> "Told":
        """Sort annotations."""
        return cls(
            [each for each in told if not each.value and each.at is None],
            [each for each in told if each.value and each.at is None],
            [each for each in told if each.at is not None],
        )


def _query(strip: Strip) -> str:
    told = {
        "recording": strip.group,
        "start": f"{strip.start:.10g}",
        "seconds": f"{strip.seconds:g}",
        "speed": f"{strip.speed:g}",
        "gain": f"{strip.gain:g}",
    }
    return urlencode(told)


def strip_of(query: QueryParams) -> Strip:
    """Read what is to be seen. Raises: Malformed."""
    base = Strip()
    group = _number(query, "recording", base.group)
    if group != int(group):
        raise Malformed("recordings are counted from 1")
    return Strip(
        group=int(group),
        start=_number(query, "start", base.start),
        seconds=_number(query, "seconds", base.seconds),
        speed=_number(query, "speed", base.speed),
        gain=_number(query, "gain", base.gain),
    )


def _number(query: QueryParams, name: str, default: float) -> float:
    text = query.get(name, "").strip()
    if not text:
        return default
    if _DECIMAL.fullmatch(text):
        return float(text)
    if found := _CLOCK.fullmatch(text):
        hours, minutes, seconds = found.groups()
        return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)
    raise Malformed(f"{name} is a number, or a time as in 1:02:03")


async def show(request: Request) -> Response:
    """GET …/instances/{instance}/waveform: the page; or only the piece, to be put into one."""
    instance = await _instance(request)
    strip = strip_of(request.query_params)
    recording = await asking.archive_of(request).renderings.waveforms.recording(instance)
    group = recording.group(strip.group)
    if strip.start >= group.seconds:  # as when a shorter recording is chosen
        strip = replace(strip, start=max(0.0, group.seconds - strip.seconds))
    strip.span(group)
    is_alone = request.query_params.get(ALONE) == "yes"
    view = View(strip, group, _path(request), is_alone)
    context = {
        "view": view,
        "told": Told.of(recording.annotations),
        "groups": list(_named(recording)),
        "speeds": SPEEDS,
        "gains": GAINS,
        "seconds": SECONDS,
        "clock": clock,
        **_of_whom(recording, request),
    }
    part = "_waveform.html" if is_partial(request) else "waveform.html"
    return render(request, part, context)


def _of_whom(recording: Recording, request: Request) -> dict[str, Any]:
    dataset = {tag: dict(each) for tag, each in recording.dataset.items()}
    known = SOP_CLASSES.get(recording.sop_class)
    return {
        "study": request.path_params["study"],
        "series": request.path_params["series"],
        "kind": known.name.removesuffix(" Storage") if known else recording.sop_class,
        "name": text_of(dataset, 0x00100010),
        "patient": text_of(dataset, 0x00100020),
        "birth_date": text_of(dataset, 0x00100030),
        "sex": text_of(dataset, 0x00100040),
        "date": text_of(dataset, 0x0008002A)[:8] or text_of(dataset, 0x00080020),
        "time": text_of(dataset, 0x0008002A)[8:12] or text_of(dataset, 0x00080030),
    }


def _named(recording: Recording) -> Iterator[tuple[int, str, str]]:
    for number, group in enumerate(recording.groups, 1):
        yield number, group.label, clock(group.seconds)


async def drawing(request: Request) -> Response:
    """GET …/instances/{instance}/waveform.svg: the piece on paper."""
    instance = await _instance(request)
    strip = strip_of(request.query_params)
    validator = Validator(etag(__version__, strip, instance.state))
    if (settled := conditional.check(request, validator)) is not None:
        return settled
    drawn = await asking.archive_of(request).renderings.waveforms.svg(instance, strip)
    headers = {"cache-control": "private, no-cache", "x-content-type-options": "nosniff"}
    return Response(drawn, headers={**validator.headers, **headers}, media_type=MEDIA_TYPE)


async def _instance(request: Request) -> InstanceRef:
    """Raises: NotFound, Unavailable."""
    names = ("study", "series", "instance")
    study, series, instance = (asking.uid_of(request, name) for name in names)
    selection = Selection(studies=(study,), series=(series,), instances=(instance,))
    found = next(iter(await anext(asking.archive_of(request).instances(selection), [])), None)
    if found is None:
        raise NotFound("it is not in the archive")
    return found


def _path(request: Request) -> str:
    study, series, instance = (
        quote(str(request.path_params[name]), safe="") for name in ("study", "series", "instance")
    )
    return f"/studies/{study}/series/{series}/instances/{instance}/waveform"


_WAVEFORM: Final = "/studies/{study}/series/{series}/instances/{instance}/waveform"
ROUTES = (
    Route(_WAVEFORM, show, name="waveform"),
    Route(f"{_WAVEFORM}.svg", drawing, name="waveform drawing"),
)
