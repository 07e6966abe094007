"""Room for arrays in memory that somebody else sees."""

import numpy as np
import pytest

from isocenter.imaging import worksite


@pytest.fixture(autouse=True)
def left_as_found() -> object:
    yield
    worksite.prepare(1, None)


def test_there_is_no_room_and_one_thread_unless_told() -> None:
    assert worksite.threads() == 1
    assert worksite.array((2, 2), np.dtype("u2")) is None


def test_arrays_lie_one_after_another_until_there_is_no_more_room() -> None:
    whole = memoryview(bytearray(1000))
    worksite.prepare(2, whole)

    first = worksite.array((10, 5), np.dtype("i2"))
    second = worksite.array((100,), np.dtype("u1"))

    assert first is not None
    assert second is not None
    first[:] = -1
    second[:] = 7
    assert (first == -1).all()
    assert bytes(whole[:100]) == b"\xff" * 100
    assert worksite.offset_in(whole, second.data) == 128
    assert worksite.array((1000,), np.dtype("u1")) is None


def test_what_lies_elsewhere_has_no_offset() -> None:
    whole = memoryview(bytearray(100))
    worksite.prepare(1, whole)
    worksite.array((1,), np.dtype("u1"))

    assert worksite.offset_in(whole[10:50], whole[5:20]) is None
    assert worksite.offset_in(whole[10:50], whole[40:60]) is None
    assert worksite.offset_in(whole, memoryview(b"abc")) is None
    assert worksite.offset_in(whole, memoryview(b"")) is None
