"""What is a UID, and what is taken for one (PS3.5 9.1)."""

import pytest

from isocenter.dicom.identity import is_uid, may_be_uid


@pytest.mark.parametrize("text", ["1.2.840.10008.1.2", "0", "2.25.0", "1." + "9" * 62])
def test_these_are_uids(text: str) -> None:
    assert is_uid(text)
    assert may_be_uid(text)


@pytest.mark.parametrize(
    "text", ["1.02.3", "1..2", "1.2.", ".1", "1.2.a", "1 2", "1.2\n"[:3] + "x"]
)
def test_these_break_the_rules_but_are_kept(text: str) -> None:
    assert not is_uid(text)
    assert may_be_uid(text)


@pytest.mark.parametrize("text", ["", "1." + "9" * 63, "1.2\n", "1\\2", "\uff11.2", "1.2\0"])
def test_these_are_never_taken_for_one(text: str) -> None:
    assert not is_uid(text)
    assert not may_be_uid(text)
