"""What needs a hand: each with what to do about it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from starlette.requests import Request

from isocenter.archive.capacity import Capacity
from isocenter.archive.ingest import Refusal
from isocenter.archive.upkeep import VERIFIED
from isocenter.imaging import video
from isocenter.storage.changes import ChangeFilter
from isocenter.storage.job_records import JobState
from isocenter.storage.records import ChangeKind
from isocenter.storage.tallies import DAY
from isocenter.ui import asking, peers
from isocenter.ui.running import running_of

FULL, NEARLY_FULL = 0.97, 0.9
"""The part of the volume that is taken."""
SOON: Final = 30
"""Days until the volume is full."""
LATELY: Final = 7
"""Days for which something is told."""
MOST: Final = 1_000

TEXTS: Final[Mapping[str, str]] = {
    "full": "The disk is {part} full: {free} are left. Make room, or nothing more can be stored.",
    "soon": "At this rate the disk is full in {days} days.",
    "refused": "Instances refused lately: {count}. See from whom they came, and why.",
    "conflicts": "Instances that came again with other bytes and were not taken: {count}.",
    "associations": "Associations that were refused lately: {count}.",
    "jobs": "Jobs that failed: {count}.",
    "peers": "Peers that did not answer when they were last asked: {count}.",
    "faulty": "Faulty blobs: {count}. Restore them from a copy.",
    "video": "The extra video is not installed: videos are not turned into what browsers play.",
}
"""English texts; the catalogs have the others."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that needs a hand."""

    kind: str
    """One of ``TEXTS``."""
    link: str
    values: Mapping[str, Any] = field(default_factory=dict)
    is_bad: bool = False
    """Something is lost if nothing is done."""

    @property
    def text(self) -> str:
        """What is the matter."""
        return TEXTS[self.kind]


async def troubles(request: Request, capacity: Capacity, days_left: float | None) -> list[Trouble]:
    """All there are, what is bad first."""
    found = [
        *_room(capacity, days_left),
        *await _faulty(request),
        *await _jobs(request),
        *_refused(request),
        *await _conflicts(request),
        *_associations(request),
        *await _peers(request),
    ]
    if not video.is_at_hand():
        found.append(Trouble("video", "/administration/settings"))
    return sorted(found, key=lambda each: not each.is_bad)


def refusals(request: Request) -> list[Refusal]:
    """What was refused lately, the last first."""
    found = asking.archive_of(request).ingest.refusals
    return [each for each in reversed(found) if each.at >= _lately()]


def _room(capacity: Capacity, days_left: float | None) -> list[Trouble]:
    link = "/administration/storage"
    if capacity.used >= NEARLY_FULL:
        values = {"part": f"{int(capacity.used * 100)} %", "free": capacity.free}
        return [Trouble("full", link, values, is_bad=capacity.used >= FULL)]
    if days_left is not None and days_left < SOON:
        return [Trouble("soon", link, {"days": int(days_left)})]
    return []


async def _faulty(request: Request) -> list[Trouble]:
    noted = await asking.archive_of(request).index.recall(VERIFIED)
    faulty = orjson.loads(noted)["faulty"] if noted else 0
    return [Trouble("faulty", "/dashboard#checked", {"count": faulty}, True)] if faulty else []


async def _jobs(request: Request) -> list[Trouble]:
    counts = await asking.archive_of(request).jobs.counts()
    count, link = counts.get(JobState.FAILED, 0), "/administration/jobs?state=failed"
    return [Trouble("jobs", link, {"count": count})] if count else []


def _refused(request: Request) -> list[Trouble]:
    count = len(refusals(request))
    return [Trouble("refused", "/dashboard#refused", {"count": count}, True)] if count else []


async def _conflicts(request: Request) -> list[Trouble]:
    wanted = ChangeFilter(kinds=(ChangeKind.CONFLICT,))
    found = await asking.archive_of(request).index.changes_before(None, MOST, wanted)
    count = sum(each.at >= _lately() for each in found)
    link = "/administration/changes?kind=conflict"
    return [Trouble("conflicts", link, {"count": count})] if count else []


def _associations(request: Request) -> list[Trouble]:
    past = running_of(request).watch.past
    count = sum(each.was_refused and each.began_at >= _lately() for each in past)
    return (
        [Trouble("associations", "/administration/associations", {"count": count})] if count else []
    )


async def _peers(request: Request) -> list[Trouble]:
    known = running_of(request).peers
    titles = {each.address.ae_title for each in await known.all()}
    told = {title: peers.told_echo(each) for title, each in (await known.reports("echo")).items()}
    count = sum(title in titles and not each.is_good for title, each in told.items() if each)
    return [Trouble("peers", "/administration/peers", {"count": count})] if count else []


def _lately() -> int:
    return time.time_ns() // 1000 - LATELY * DAY
