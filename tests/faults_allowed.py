"""What hostile bytes may lead to."""

from collections.abc import Iterator
from contextlib import contextmanager

from isocenter.errors import Malformed


@contextmanager
def nothing_worse_than_malformed(size: int | None = None) -> Iterator[None]:
    """Let Malformed pass, if it says where: not beyond ``size``, where that is given."""
    try:
        yield
    except Malformed as fault:
        if fault.offset is None or (size is not None and fault.offset > size):
            raise AssertionError(f"no useful offset: {fault.offset}") from fault
