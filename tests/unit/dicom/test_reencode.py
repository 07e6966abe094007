"""Re-encoding between native transfer syntaxes."""

import zlib

import pytest
from hypothesis import given, strategies as st
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset

from datasets import Node, cuts, datasets, encode, header, pieces
from faults_allowed import nothing_worse_than_malformed
from isocenter.dicom.reencode import Reencoder
from isocenter.dicom.syntax import (
    DEFLATED_LE,
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    UNCOMPRESSED,
    lookup,
)
from isocenter.errors import Malformed, Unsupported

SYNTAXES = sorted(UNCOMPRESSED, key=lambda syntax: syntax.uid)
PLAIN = [EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE]


def reencode(data, source, target, sizes=(1 << 20,)):
    reencoder = Reencoder(source, target)
    out = b"".join(reencoder.feed(memoryview(piece)) for piece in pieces(data, list(sizes)))
    return out + reencoder.finish()


def unfolded(data, syntax):
    return zlib.decompress(data, -15) if syntax.is_deflated else data


def read(data, syntax):
    file = DicomBytesIO(unfolded(data, syntax))
    return read_dataset(file, syntax.is_implicit, syntax.is_little_endian)


def written(nodes, syntax):
    return encode(nodes, implicit=syntax.is_implicit, little=syntax.is_little_endian)


def raw_tree(dataset):
    """Tags and encoded values, as pydicom reads them."""
    found = {}
    for tag in dataset.keys():  # noqa: SIM118  # iterating a Dataset decodes it
        raw = dataset.get_item(tag)
        if raw.VR == "SQ" or dataset[tag].VR == "SQ":
            found[tag] = [raw_tree(item) for item in dataset[tag].value]
        else:
            found[tag] = raw.value or b""
    return found


@given(datasets, st.sampled_from(PLAIN), cuts)
def test_what_is_changed_and_changed_back_is_the_same_to_pydicom(nodes, source, sizes):
    data = written(nodes, source)

    for target in SYNTAXES:
        there = reencode(data, source, target, sizes)
        back = reencode(there, target, source, sizes)
        assert raw_tree(read(back, source)) == raw_tree(read(data, source))


@given(datasets, st.sampled_from(SYNTAXES), st.sampled_from(SYNTAXES), cuts)
def test_cutting_does_not_matter(nodes, source, target, sizes):
    plain = EXPLICIT_LE if source.is_deflated else source
    data = written(nodes, plain)
    if source.is_deflated:
        stream = zlib.compressobj(wbits=-15)
        data = stream.compress(data) + stream.flush()

    assert unfolded(reencode(data, source, target, sizes), target) == unfolded(
        reencode(data, source, target), target
    )


@given(st.binary(max_size=300), st.sampled_from(SYNTAXES), st.sampled_from(SYNTAXES), cuts)
def test_garbage_gives_nothing_worse_than_malformed(garbage, source, target, sizes):
    with nothing_worse_than_malformed():
        reencode(garbage, source, target, sizes)


def test_words_change_places_and_bytes_do_not():
    nodes = [Node(0x00280010, "US", b"\1\2"), Node(0x7FE00010, "OW", b"\1\2\3\4")]
    bytes_of = [Node(0x00280010, "US", b"\2\1"), Node(0x7FE00010, "OW", b"\2\1\4\3")]

    assert reencode(encode(nodes), EXPLICIT_LE, EXPLICIT_BE) == encode(bytes_of, little=False)
    assert reencode(encode([Node(0x00420011, "OB", b"\1\2")]), EXPLICIT_LE, EXPLICIT_BE) == encode(
        [Node(0x00420011, "OB", b"\1\2")], little=False
    )


@pytest.mark.parametrize(("bits", "turned"), [(16, b"\2\1\4\3"), (32, b"\4\3\2\1")])
def test_pixels_of_32_bits_change_places_as_a_whole(bits: int, turned: bytes) -> None:
    # As pydicom reads them; by the letter of PS3.5 6.2, OW would be turned in words of 16 bits.
    nodes = [Node(0x00280100, "US", bytes((bits, 0))), Node(0x7FE00010, "OW", b"\1\2\3\4")]

    made = reencode(encode(nodes), EXPLICIT_LE, EXPLICIT_BE)

    assert made.endswith(turned)
    assert reencode(made, EXPLICIT_BE, EXPLICIT_LE) == encode(nodes)


def test_pixels_of_a_byte_become_bytes_and_others_words():
    # PS3.5 A.2
    for bits, vr in ((8, "OB"), (16, "OW")):
        nodes = [Node(0x00280100, "US", bytes([bits, 0])), Node(0x7FE00010, "OW", b"\1\2")]
        data = encode(nodes, implicit=True)
        nodes[1].vr = vr

        assert reencode(data, IMPLICIT_LE, EXPLICIT_LE) == encode(nodes)


def test_private_elements_get_their_vr_by_their_creator_or_un():
    creator = Node(0x00090010, "LO", b"GEMS_IDEN_01")
    known, unknown = Node(0x00091001, "LO", b"GE_GENESIS_FF "), Node(0x00091101, "UN", b"ab")
    nodes = [creator, known, unknown]

    assert reencode(encode(nodes, implicit=True), IMPLICIT_LE, EXPLICIT_LE) == encode(nodes)


def test_a_value_too_long_for_its_vr_becomes_un_and_little_endian():
    # PS3.5 6.2.2
    value = b"\1\2" * 0x8000
    data = encode([Node(0x00280010, "US", value)], implicit=True)

    for target in (EXPLICIT_LE, EXPLICIT_BE):
        expected = header(
            0x00280010, "UN", len(value), implicit=False, little=target.is_little_endian
        )
        assert reencode(data, IMPLICIT_LE, target) == expected + value


def test_group_lengths_are_dropped_and_odd_lengths_padded():
    data = header(0x00080000, "UL", 4, implicit=False, little=True) + bytes(4)
    data += header(0x00100020, "LO", 3, implicit=False, little=True) + b"abc"

    assert reencode(data, EXPLICIT_LE, IMPLICIT_LE) == encode(
        [Node(0x00100020, "LO", b"abc ")], implicit=True
    )


def test_memory_does_not_grow_with_the_data_set():
    reencoder = Reencoder(EXPLICIT_LE, EXPLICIT_BE)
    head = header(0x7FE00010, "OW", 1 << 26, implicit=False, little=True)

    sizes = [len(reencoder.feed(head))]
    sizes += [len(reencoder.feed(bytes(1 << 20))) for _ in range(1 << 6)]
    reencoder.finish()

    assert sizes == [12] + [1 << 20] * (1 << 6)


def test_a_data_set_that_was_cut_short_is_malformed():
    data = encode([Node(0x00100010, "PN", b"A^B ")])

    with pytest.raises(Malformed):
        reencode(data[:-1], EXPLICIT_LE, IMPLICIT_LE)


def test_an_element_that_reaches_beyond_its_item_is_malformed():
    item = [Node(0x00100010, "PN", b"A^B ")]
    data = bytearray(encode([Node(0x0040A730, "SQ", items=[item])]))
    data[26] = 200  # the name's length

    with pytest.raises(Malformed) as caught:
        reencode(bytes(data) + bytes(400), EXPLICIT_LE, IMPLICIT_LE)

    assert caught.value.offset == 20


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2.4.50", "1.2.840.113619.5.2"])
def test_what_is_not_native_is_refused(uid):
    with pytest.raises(Unsupported):
        Reencoder(EXPLICIT_LE, lookup(uid))
    with pytest.raises(Unsupported):
        Reencoder(lookup(uid), EXPLICIT_LE)


def test_deflated_output_has_even_length():
    for count in range(0, 40, 2):
        data = encode([Node(0x00100020, "LO", b"x" * count)])
        assert len(reencode(data, EXPLICIT_LE, DEFLATED_LE)) % 2 == 0
