"""Presentation contexts of a C-GET: there are 128, and numbers must do (PS3.8 9.3.2.2)."""

from hypothesis import given, strategies as st

from isocenter.dicom.sop_classes import STORAGE
from isocenter.services.fetching import COMMON, SYNTAXES, proposals

GET = "1.2.840.10008.5.1.4.1.2.2.3"
CT = "1.2.840.10008.5.1.4.1.1.2"
PLAIN = {
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
}

CLASSES = st.lists(st.sampled_from(sorted(STORAGE)), unique=True)


@given(CLASSES)
def test_there_are_never_more_than_128_contexts(classes: list[str]) -> None:
    assert len(proposals(GET, classes, is_relational=False)) <= 128


@given(CLASSES.filter(lambda classes: len(classes) <= 63))
def test_every_class_can_come_uncompressed(classes: list[str]) -> None:
    offered = proposals(GET, classes, is_relational=False)[1:]

    for uid in classes:
        own = [one for one in offered if one.abstract_syntax == uid]
        assert {syntax for one in own for syntax in one.transfer_syntaxes} >= PLAIN
        assert all(one.as_provider and not one.as_user for one in own)


def test_one_class_gets_a_context_for_every_transfer_syntax() -> None:
    offered = proposals(GET, [CT], is_relational=False)[1:]

    assert [one.transfer_syntaxes for one in offered] == [(uid,) for uid in SYNTAXES]


def test_no_context_mixes_compressed_with_plain_syntaxes() -> None:
    for proposal in proposals(GET, COMMON, is_relational=False)[1:]:
        assert set(proposal.transfer_syntaxes) <= PLAIN or not PLAIN & set(
            proposal.transfer_syntaxes
        )


def test_the_common_classes_are_storage_classes_and_fit_an_association() -> None:
    assert set(COMMON) <= STORAGE
    assert len(set(COMMON)) == len(COMMON) <= 63


def test_relational_retrieval_is_asked_for_in_one_byte() -> None:
    own, *_ = proposals(GET, [], is_relational=True)

    assert own.extended == b"\1"
