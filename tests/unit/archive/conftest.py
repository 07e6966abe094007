"""What is received must be given back, every part of it."""

from collections.abc import Iterator

import pytest

from made_instances import Slab


@pytest.fixture(autouse=True)
def every_part_comes_back() -> Iterator[None]:
    Slab.lent = 0
    yield
    assert Slab.lent == 0, "parts of data sets were never given back"
