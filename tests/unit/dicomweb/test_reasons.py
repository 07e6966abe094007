"""Failure Reasons: every error has one (PS3.18 Table I.2-2)."""

import inspect

import pytest

from isocenter import errors
from isocenter.archive.admission import SyntaxNotTaken
from isocenter.dicomweb import reasons
from isocenter.dicomweb.reasons import MEANINGS, REASONS, reason_of, text_of
from isocenter.services import status
from isocenter.storage.blobs import StorageFull

ERRORS = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, errors.IsocenterError) and each is not errors.IsocenterError
]


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_has_a_reason_that_is_explained(error: type[errors.IsocenterError]) -> None:
    assert REASONS[error] in MEANINGS


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_has_the_code_that_it_has_over_dimse(error: type[errors.IsocenterError]) -> None:
    assert REASONS[error] == status.STATUSES[error]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StorageFull("full"), 0xA700),
        (SyntaxNotTaken("1.2.3"), 0xC122),
        (errors.Unsupported("print"), 0x0122),
        (errors.Malformed("bytes"), 0xC000),
        (KeyError("ours"), 0x0110),
    ],
)
def test_the_nearest_class_counts(error: Exception, reason: int) -> None:
    assert reason_of(error) == reason


def test_of_our_own_bugs_no_details_are_told() -> None:
    assert "secret" not in text_of(KeyError("secret"))


def test_every_code_is_explained() -> None:
    codes = {value for value in vars(reasons).values() if isinstance(value, int)}

    assert codes == set(MEANINGS)
