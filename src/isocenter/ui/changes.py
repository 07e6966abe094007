"""The log of changes: what came, what was replaced or removed, newest first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from isocenter.archive.archive import Archive
from isocenter.storage.attributes import Level
from isocenter.storage.changes import ChangeFilter
from isocenter.storage.query import Key
from isocenter.storage.records import Change, ChangeKind, Warned
from isocenter.ui import asking
from isocenter.ui.page import render
from isocenter.ui.worklist import StudyRow, rows_of

PATH: Final = "/administration/changes"
PAGE: Final = 50
"""Entries of a page, each of one or more changes that are alike."""
READ: Final = 500
"""Changes that are read for a page, at most."""

KINDS: Final[Mapping[ChangeKind, tuple[str, str]]] = {
    ChangeKind.STORED: ("stored", "Stored"),
    ChangeKind.REPLACED: ("replaced", "Replaced"),
    ChangeKind.CONFLICT: ("conflict", "Came again with other bytes"),
    ChangeKind.REMOVED: ("removed", "Removed"),
    ChangeKind.RECODED: ("recoded", "Compressed"),
    ChangeKind.CORRECTED: ("corrected", "Corrected"),
    ChangeKind.RESTORED: ("restored", "Put back"),
    ChangeKind.PURGED: ("purged", "Deleted for good"),
}
"""Of each kind its name in addresses, and what it is called. Whoever adds a kind names it here."""
FROM_OUTSIDE: Final = (ChangeKind.STORED, ChangeKind.REPLACED)
"""What somebody sent."""
BY_NAME: Final = {name: kind for kind, (name, _) in KINDS.items()}
WARNINGS: Final[Mapping[Warned, str]] = {
    Warned.STUDY_OF_TWO_PATIENTS: "Another patient has a study of the same UID",
    Warned.NO_PATIENT_ID: "There is no Patient ID",
    Warned.PATIENT_DIFFERS: "The patient's data differ from what is there",
    Warned.OTHER_BYTES: "The instance is there with other bytes",
}
"""English texts; the catalogs have the others."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Changes of one kind in one series, one after the other."""

    kind: ChangeKind
    study_uid: str
    series_uid: str
    instance_uid: str
    """Of one change alone; else empty."""
    count: int
    at: int
    """The last of them; microseconds since 1970, UTC."""
    since: int
    """The first of them."""
    warnings: tuple[Warned, ...]
    blob_key: str
    """Of the last of them."""
    sent_by: str = ""
    """Who sent it, where its file says so."""
    removal: int = 0
    """The number of what took it away, if that can be undone."""
    study: StudyRow | None = None
    """What it is, if it is still there, and no other patient has one of its UID."""

    @property
    def words(self) -> str:
        """What happened."""
        return KINDS[self.kind][1]

    @property
    def warning_words(self) -> list[str]:
        """What to look at."""
        return [WARNINGS[each] for each in self.warnings]


async def show(request: Request) -> Response:
    """GET /administration/changes: with ``before``, those below a number; ``kind``, ``study``."""
    archive = asking.archive_of(request)
    wanted, before = _wanted(request), _before(request)
    found = await archive.index.changes_before(before, READ, wanted)
    entries, last = gathered(found, is_whole=len(found) < READ)
    kind = request.query_params.get("kind", "")
    context = {
        "entries": await _told(archive, entries),
        "kinds": [(name, words) for name, words in KINDS.values()],
        "kind": kind,
        "study": wanted.study,
        "older": _older(kind, wanted.study, last),
        "is_first": before is None,
    }
    return render(request, "changes.html", context)


def gathered(found: Sequence[Change], *, is_whole: bool) -> tuple[list[Entry], int]:
    """Put what is alike together; and the number behind which the next page begins, 0 at the end.

    ``is_whole``: nothing follows. Else the last group is left for the next page, if there are
    others: it may go on.
    """
    groups: list[list[Change]] = []
    for each in found:
        if groups and _is_alike(groups[-1][-1], each):
            groups[-1].append(each)
        else:
            groups.append([each])
    if not is_whole and len(groups) > 1:
        groups.pop()
        is_more = True
    else:
        is_more = not is_whole
    if len(groups) > PAGE:
        groups, is_more = groups[:PAGE], True
    return [_entry(each) for each in groups], groups[-1][-1].seq if is_more and groups else 0


def _is_alike(one: Change, other: Change) -> bool:
    return (one.kind, one.study_instance_uid, one.series_instance_uid, one.warnings) == (
        other.kind,
        other.study_instance_uid,
        other.series_instance_uid,
        other.warnings,
    )


def _entry(group: Sequence[Change]) -> Entry:
    newest, oldest = group[0], group[-1]
    return Entry(
        newest.kind,
        newest.study_instance_uid,
        newest.series_instance_uid,
        newest.sop_instance_uid if len(group) == 1 else "",
        len(group),
        newest.at,
        oldest.at,
        newest.warnings,
        newest.blob_key,
    )


async def _told(archive: Archive, entries: list[Entry]) -> list[Entry]:
    """Say of each study what it is, and of what came, by whom."""
    came = [each.blob_key for each in entries if each.kind in FROM_OUTSIDE]
    senders = await archive.senders(came)
    gone = [each.blob_key for each in entries if each.kind is ChangeKind.REMOVED]
    removals = await archive.removals.of_blobs(gone)
    uids = tuple({each.study_uid for each in entries if each.study_uid})
    known: dict[str, StudyRow] = {}
    if uids:
        key = Key(asking.STUDY_UID, any_of=uids)
        rows = await rows_of(archive, await asking.some(archive, Level.STUDY, (key,), 2 * PAGE))
        known = {each.uid: each for each in rows if not each.is_ambiguous}
    return [
        replace(
            each,
            study=known.get(each.study_uid),
            sent_by=senders.get(each.blob_key, ""),
            removal=removals.get(each.blob_key, 0),
        )
        for each in entries
    ]


def _wanted(request: Request) -> ChangeFilter:
    kind = request.query_params.get("kind", "")
    if kind and kind not in BY_NAME:
        raise HTTPException(400, "there is no such kind of change")
    study = request.query_params.get("study", "").strip()
    if study and not asking.is_uid(study):
        raise HTTPException(400, "that is not a UID")
    return ChangeFilter(kinds=(BY_NAME[kind],) if kind else (), study=study)


def _before(request: Request) -> int | None:
    text = request.query_params.get("before", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise HTTPException(400, "the place in the log cannot be read")
    return int(text)


def _older(kind: str, study: str, last: int) -> str:
    if not last:
        return ""
    given = {"kind": kind, "study": study, "before": str(last)}
    return f"{PATH}?{urlencode({name: value for name, value in given.items() if value})}"


ROUTES = (Route(PATH, show, name="changes"),)
