"""The pull walk over a whole buffer."""

import sys

import pytest
from hypothesis import given, strategies as st

from datasets import Node, datasets, encode, header, marker
from faults_allowed import nothing_worse_than_malformed
from isocenter.dicom.elements import elements
from isocenter.dicom.syntax import DEFLATED_LE, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, lookup
from isocenter.errors import Malformed


def tree(found):
    return [
        (
            element.tag,
            element.vr,
            [tree(item.elements()) for item in element.items()]
            if element.vr == "SQ"
            else bytes(element.value),
        )
        for element in found
    ]


def expected(nodes):
    return [
        (
            node.tag,
            node.vr,
            [expected(item) for item in node.items] if node.vr == "SQ" else node.value,
        )
        for node in nodes
    ]


@given(datasets, st.sampled_from([EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE]))
def test_a_walk_gives_back_the_tree_that_was_written(nodes, syntax):
    data = encode(nodes, implicit=syntax.is_implicit, little=syntax.is_little_endian)

    assert tree(elements(data, syntax)) == expected(nodes)


@given(
    st.binary(max_size=300), st.sampled_from([EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE, DEFLATED_LE])
)
def test_garbage_gives_nothing_worse_than_malformed(garbage, syntax):
    with nothing_worse_than_malformed(len(garbage)):
        tree(elements(garbage, syntax))


def test_elements_know_where_they_lie():
    data = encode([Node(0x00080018, "UI", b"1.2\0"), Node(0x00420011, "OB", b"ab")])

    first, second = elements(data, EXPLICIT_LE)

    assert (first.offset, first.value_offset) == (0, 8)
    assert (second.offset, second.value_offset) == (12, 24)
    assert data[second.value_offset :] == b"ab"


def test_fragments_of_encapsulated_pixel_data_are_given_one_by_one():
    data = header(0x7FE00010, "OB", 0xFFFFFFFF, implicit=False, little=True)
    for fragment in (b"", b"ab", b"cdef"):
        data += marker(0xFFFEE000, len(fragment), little=True) + fragment
    data += marker(0xFFFEE0DD, 0, little=True)

    (pixels,) = elements(data, lookup("1.2.840.10008.1.2.4.90"))

    assert pixels.is_encapsulated
    assert [bytes(fragment) for fragment in pixels.fragments()] == [b"", b"ab", b"cdef"]


def test_deep_sequences_are_walked_in_a_time_that_grows_with_their_size_alone():
    def cost(depth):
        # As many elements at the bottom, whatever the depth; counted, not timed.
        data = encode([Node(0x00200013, "IS", b"1 ")]) * 200
        for _ in range(depth):
            data = (
                header(0x0040A730, "SQ", 0xFFFFFFFF, implicit=False, little=True)
                + marker(0xFFFEE000, 0xFFFFFFFF, little=True)
                + data
                + marker(0xFFFEE00D, 0, little=True)
                + marker(0xFFFEE0DD, 0, little=True)
            )
        calls = 0

        def count(frame, event, _):
            nonlocal calls
            calls += event == "call" and frame.f_code.co_name == "read_header"

        sys.setprofile(count)
        try:
            tree(elements(data, EXPLICIT_LE))
        finally:
            sys.setprofile(None)
        return calls

    assert cost(60) < 5 * cost(2)


def test_an_icon_of_a_bare_jpeg_stream_ends_with_its_item():
    # As GE IIS writes its thumbnails.
    jpeg = b"\xff\xd8\xff\xe0\0\x10JFIF\0\0"
    content = header(0x7FE00010, "OB", 0xFFFFFFFF, implicit=False, little=True) + jpeg
    item = marker(0xFFFEE000, len(content), little=True) + content
    data = header(0x00880200, "SQ", len(item), implicit=False, little=True) + item

    (sequence,) = elements(data, EXPLICIT_LE)
    (icon,) = sequence.items()

    assert tree(icon.elements()) == [(0x7FE00010, "OB", jpeg)]


def test_a_private_creator_gives_private_elements_their_vr():
    data = encode(
        [Node(0x00090010, "LO", b"GEMS_IDEN_01"), Node(0x00091001, "LO", b"GE_GENESIS_FF ")],
        implicit=True,
    )

    _, private = elements(data, IMPLICIT_LE)

    assert (private.vr, private.creator) == ("LO", "GEMS_IDEN_01")


def test_a_value_that_reaches_beyond_the_end_is_malformed_at_its_header():
    data = encode([Node(0x00080018, "UI", b"1.2\0"), Node(0x00100010, "PN", b"A^B ")])[:-1]

    with pytest.raises(Malformed) as caught:
        list(elements(data, EXPLICIT_LE))

    assert caught.value.offset == 12


def test_an_item_that_reaches_beyond_its_sequence_is_malformed():
    item = marker(0xFFFEE000, 100, little=True)
    data = header(0x0040A730, "SQ", len(item), implicit=False, little=True) + item + bytes(200)

    first = next(elements(data, EXPLICIT_LE))
    with pytest.raises(Malformed) as caught:
        list(first.items())

    assert caught.value.offset == 12
