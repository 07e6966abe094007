"""The associations there are, and those that ended lately: for whoever wants to look.

Nothing here decides anything; it may be left out.
"""

import itertools
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from isocenter.dimse.association import Association

KEPT: Final = 200
"""Associations that are remembered when they are over."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One association, or one that was not to be."""

    number: int
    is_ours: bool
    """Whether we are its requestor."""
    calling: str
    called: str
    host: str
    began_at: int
    """Microseconds since 1970, UTC."""
    ended_at: int = 0
    """0 while it lasts."""
    messages_in: int = 0
    messages_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    doing: str = ""
    """The operation that is under way, as the standard calls it; empty between two."""
    reason: str = ""
    """Why it ended, where it was not released, or why there never was one."""
    was_refused: bool = False
    """It was rejected, or could not be had."""


class Watch:
    """Told by servers and clients what begins and what ends; all in one event loop."""

    def __init__(self, kept: int = KEPT) -> None:
        self._current: dict[Association, Seen] = {}
        self._past: deque[Seen] = deque(maxlen=kept)
        self._numbers = itertools.count(1)
        self.on_change: Callable[[], None] = _nothing
        """Called whenever something is otherwise than it was: often, and in the midst of things."""

    @property
    def current(self) -> list[Seen]:
        """Those there are, the oldest first, as they are now."""
        return [_now(association, seen) for association, seen in self._current.items()]

    @property
    def past(self) -> list[Seen]:
        """Those that are over, the last first."""
        return list(reversed(self._past))

    def abort(self, number: int) -> bool:
        """End an association at once; whether there is such a one."""
        for association, seen in self._current.items():
            if seen.number == number:
                association.abort("ended by an administrator")
                return True
        return False

    # What servers and clients tell.

    def began(self, association: "Association", *, calling: str, is_ours: bool) -> None:
        """An association is established."""
        peer = association.peer
        self._current[association] = Seen(
            next(self._numbers), is_ours, calling, peer.called_ae_title, peer.host, _time()
        )
        association.on_message = self.changed
        self.changed()

    def ended(self, association: "Association") -> None:
        """One is over; nothing happens, if it never began."""
        seen = self._current.pop(association, None)
        if seen is None:
            return
        reason = str(association.failure) if association.failure else ""
        over = replace(_now(association, seen), doing="", ended_at=_time(), reason=reason)
        self._past.append(over)
        self.changed()

    def refused(self, *, calling: str, called: str, host: str, reason: str, is_ours: bool) -> None:
        """One was asked for, and not had."""
        now = _time()
        seen = Seen(
            next(self._numbers),
            is_ours,
            calling,
            called,
            host,
            now,
            now,
            reason=reason,
            was_refused=True,
        )
        self._past.append(seen)
        self.changed()

    def changed(self) -> None:
        """Say that something is otherwise than it was."""
        self.on_change()


def _nothing() -> None:
    """Nobody looks."""


def _now(association: "Association", seen: Seen) -> Seen:
    return replace(
        seen,
        messages_in=association.messages_in,
        messages_out=association.messages_out,
        bytes_in=association.connection.bytes_in,
        bytes_out=association.connection.bytes_out,
        doing=association.doing,
    )


def _time() -> int:
    return time.time_ns() // 1000
