"""Everything Isocenter raises on purpose.

Each error says what the caller can do about it. They become wire statuses in one place per wire
(``services/status.py`` for DIMSE), so nothing below a front door knows a status code.
"""


class IsocenterError(Exception):
    """The root of what is raised on purpose."""


class Malformed(IsocenterError):
    """The sender's bytes break the standard.

    ``offset`` is where, in bytes from the start of what was being read; None if no one place is.
    """

    def __init__(self, message: str, *, offset: int | None = None) -> None:
        super().__init__(message if offset is None else f"{message} (at byte {offset})")
        self.reason = message
        self.offset = offset


class Mismatch(Malformed):
    """A data set that is well formed but not what its sender announced."""


class Unsupported(IsocenterError):
    """Well formed, but not something Isocenter does."""


class Denied(IsocenterError):
    """Whoever asks may not."""


class NotFound(IsocenterError):
    """Not in the archive."""


class Conflict(IsocenterError):
    """There already, and different."""


class Unavailable(IsocenterError):
    """Cannot be answered now; may be retried later."""


class OutOfTurn(IsocenterError):
    """Our own code broke a protocol: a bug."""
