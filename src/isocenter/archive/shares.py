"""Links that share a study for a time: whoever has one sees that study, and nothing else.

A link's token is 32 random bytes, and only their digest is kept. So nobody can guess one, the index
and its backups tell none, and how long it takes to look one up says nothing about others.
"""

import hashlib
import re
import secrets
import time
from dataclasses import dataclass
from typing import Final

from isocenter.errors import Conflict, Malformed, NotFound
from isocenter.storage.attributes import Level
from isocenter.storage.index import Index
from isocenter.storage.query import Key, Query
from isocenter.storage.records import Match
from isocenter.storage.shares import NewShare, Share, ShareStore

TOKEN_SIZE: Final = 32
"""Random bytes of a token."""
KEPT_FOR: Final = 90 * 24 * 3600.0
"""Seconds for which a share that has ended stays in the list."""
LONGEST_LABEL: Final = 100

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_STUDY_UID, _SERIES_UID = 0x0020000D, 0x0020000E
_ENDED: Final = "this link is not valid, or not any more: ask whoever gave it to you for another"


@dataclass(frozen=True, slots=True)
class Opened:
    """A share that may be used now, and the study it shows."""

    share: Share
    study: Match

    @property
    def study_uid(self) -> str:
        """The only study that is shown."""
        return self.share.study_uid

    def shows(self, series_uid: str) -> bool:
        """Whether a series of the study is shared."""
        return self.share.series_uid in ("", series_uid)


class Shares:
    """The shares of an archive."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._store: ShareStore = index.shares

    async def create(
        self,
        study_uid: str,
        *,
        lifetime: float,
        series_uid: str = "",
        label: str = "",
        created_by: str = "",
        may_download: bool = False,
    ) -> str:
        """Share a study, or a series of it, for ``lifetime`` seconds; return the token.

        It is told this once. Raises: Conflict, Malformed, NotFound, Unavailable.
        """
        if max(len(label), len(created_by)) > LONGEST_LABEL:
            raise Malformed(f"more than {LONGEST_LABEL} characters say what a share is for")
        study = await self._study(study_uid)
        if study is None:
            raise NotFound("it is not in the archive")
        if not study.study:
            raise Conflict("two patients have a study of this UID: neither can be shared")
        if series_uid:
            await self._demand_series(study_uid, series_uid)
        token = secrets.token_urlsafe(TOKEN_SIZE)
        share = NewShare(
            token_digest=_digest(token),
            study_uid=study_uid,
            study_handle=study.study,
            series_uid=series_uid,
            label=label,
            created_by=created_by,
            may_download=may_download,
            lifetime=lifetime,
        )
        await self._store.enter(share, KEPT_FOR)
        return token

    async def open(self, token: str) -> Opened:
        """Find what a token shows now. Raises: NotFound, Unavailable."""
        if not _TOKEN.fullmatch(token):
            raise NotFound(_ENDED)
        try:
            share = await self._store.find(_digest(token))
        except NotFound as error:
            raise NotFound(_ENDED) from error
        if not is_valid(share):
            raise NotFound(_ENDED)
        study = await self._study(share.study_uid)
        # Another patient's study of the same UID may have come since.
        if study is None or study.study != share.study_handle:
            raise NotFound(_ENDED)
        return Opened(share, study)

    async def note_use(self, opened: Opened) -> None:
        """Count that somebody looked. Raises: Unavailable."""
        await self._store.note_use(opened.share.number)

    async def listed(self, study_uid: str = "") -> list[Share]:
        """All shares, or those of a study: the newest first. Raises: Unavailable."""
        return await self._store.listed(study_uid)

    async def revoke(self, number: int) -> None:
        """Let a share end now. Raises: NotFound, Unavailable."""
        await self._store.revoke(number)

    async def _study(self, study_uid: str) -> Match | None:
        """The one study of that UID; where two patients have one, without its handle."""
        query = Query(level=Level.STUDY, keys=(Key(_STUDY_UID, any_of=(study_uid,)),), limit=2)
        found = (await self._index.answer(query)).first
        if len(found) > 1:
            return Match(found[0].attributes, found[0].position)
        return found[0] if found else None

    async def _demand_series(self, study_uid: str, series_uid: str) -> None:
        keys = (Key(_STUDY_UID, any_of=(study_uid,)), Key(_SERIES_UID, any_of=(series_uid,)))
        query = Query(level=Level.SERIES, keys=keys, limit=1)
        if not (await self._index.answer(query)).first:
            raise NotFound("the study has no such series")


def is_valid(share: Share) -> bool:
    """Whether a share may be used now."""
    return not share.revoked_at and time.time_ns() // 1000 < share.expires_at


def _digest(token: str) -> str:
    # Nothing slow is needed: 256 random bits cannot be tried out.
    return hashlib.sha256(token.encode("ascii")).hexdigest()
