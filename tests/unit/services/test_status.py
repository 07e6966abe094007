"""Every error has a status (PS3.7 annex C), and tells no more than it may."""

import importlib
import pkgutil

import pytest
from hypothesis import given, strategies as st

import isocenter
from isocenter import errors
from isocenter.errors import IsocenterError
from isocenter.services.status import STATUSES, comment, response_of


def every_error() -> list[type[IsocenterError]]:
    for module in pkgutil.walk_packages(isocenter.__path__, "isocenter."):
        if "migrations" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, waiting = [], [IsocenterError]
    while waiting:
        kinds = waiting.pop().__subclasses__()
        found += kinds
        waiting += kinds
    return found


def test_every_error_of_the_root_module_has_a_status_of_its_own() -> None:
    assert {kind for kind in every_error() if kind.__module__ == errors.__name__} == set(STATUSES)


def test_every_other_error_has_the_status_of_its_kind() -> None:
    for kind in every_error():
        assert (
            any(parent in STATUSES for parent in kind.__mro__) or kind.__name__ == "SettingsError"
        ), kind


# PS3.4 Table B.2-1 and PS3.7 annex C.
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.Mismatch("x"), 0xA900),
        (errors.Malformed("x"), 0xC000),
        (errors.Unavailable("x"), 0xA700),
        (errors.Conflict("x"), 0x0111),
        (errors.NotFound("x"), 0x0112),
        (errors.Unsupported("x"), 0x0122),
        (errors.Denied("x"), 0x0124),
        (errors.OutOfTurn("x"), 0x0110),
        (ValueError("x"), 0x0110),
    ],
)
def test_an_error_is_told_by_its_status(error: Exception, status: int) -> None:
    assert response_of(error).status == status


def test_of_our_own_bugs_no_details_are_told() -> None:
    response = response_of(KeyError("Doe^Jane"))

    assert "Doe" not in str(response.elements)


@given(st.text())
def test_a_comment_is_always_a_value_of_its_kind(text: str) -> None:
    found = comment(text)

    assert len(found) <= 64
    assert found.isascii()
    assert "\\" not in found
    assert not found or found.isprintable()
