"""How many threads a codec may use for one frame: the processors that nobody else works on."""

_allowed = 1
"""Of this process; a worker is told anew with each job."""


def allow(count: int) -> None:
    """Say how many there may be from now on."""
    global _allowed
    _allowed = max(1, count)


def allowed() -> int:
    """Give how many there may be, the caller's among them."""
    return _allowed
