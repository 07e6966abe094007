"""The push scanner: what it keeps, what it refuses, and that cutting does not matter."""

import zlib
from struct import pack

import pytest
from hypothesis import given, strategies as st

from datasets import TAGS, Node, cuts, datasets, encode, header, marker, pieces, sequence_value
from faults_allowed import nothing_worse_than_malformed
from isocenter.dicom.layout import Limits
from isocenter.dicom.scanner import RawValue, Scanner
from isocenter.dicom.syntax import DEFLATED_LE, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, lookup
from isocenter.errors import Malformed

ALL = frozenset(TAGS)
SYNTAXES = [EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE]


def scan(data, syntax=EXPLICIT_LE, wanted=ALL, sizes=(1 << 20,), **limits):
    scanner = Scanner(syntax, frozenset(wanted), limits=Limits(**limits))
    for piece in pieces(data, list(sizes)):
        scanner.feed(memoryview(piece))
    scanner.finish()
    return scanner


def expected(nodes, *, implicit, little):
    return {
        node.tag: RawValue(
            node.vr,
            sequence_value(node, implicit=implicit, little=little)
            if node.vr == "SQ"
            else node.value,
        )
        for node in nodes
    }


@given(datasets, st.sampled_from(SYNTAXES), cuts)
def test_the_wanted_values_come_out_however_the_data_set_is_cut(nodes, syntax, sizes):
    form = {"implicit": syntax.is_implicit, "little": syntax.is_little_endian}

    scanner = scan(encode(nodes, **form), syntax, sizes=sizes)

    assert scanner.values == expected(nodes, **form)
    assert not scanner.too_long


@given(datasets, cuts)
def test_a_deflated_data_set_gives_the_same_values(nodes, sizes):
    stream = zlib.compressobj(wbits=-15)
    deflated = stream.compress(encode(nodes)) + stream.flush()

    scanner = scan(deflated + bytes(len(deflated) % 2), DEFLATED_LE, sizes=sizes)

    assert scanner.values == expected(nodes, implicit=False, little=True)


@given(datasets, st.sampled_from(SYNTAXES), st.data())
def test_a_data_set_that_was_cut_short_is_noticed_or_ends_between_elements(nodes, syntax, data):
    form = {"implicit": syntax.is_implicit, "little": syntax.is_little_endian}
    whole = encode(nodes, **form)
    short = whole[: data.draw(st.integers(0, len(whole)))]
    ends = {len(encode(nodes[:count], **form)) for count in range(len(nodes) + 1)}

    with nothing_worse_than_malformed(len(short)):
        scan(short, syntax)
        # Fewer than eight zero bytes behind the last element pass for padding.
        assert any(end <= len(short) < end + 8 and not any(short[end:]) for end in ends)


@given(st.binary(max_size=300), st.sampled_from([*SYNTAXES, DEFLATED_LE]), cuts)
def test_garbage_gives_nothing_worse_than_malformed(garbage, syntax, sizes):
    with nothing_worse_than_malformed(len(garbage)):
        scan(garbage, syntax, sizes=sizes)


def test_only_top_level_elements_are_kept():
    inner = [Node(0x00080018, "UI", b"9.9\0")]
    data = encode(
        [
            Node(0x00080018, "UI", b"1.2\0"),
            Node(0x0040A730, "SQ", items=[inner], is_undefined=True, undefined_items=True),
        ]
    )

    scanner = scan(data, wanted={0x00080018})

    assert scanner.values == {0x00080018: RawValue("UI", b"1.2\0")}


def test_a_value_beyond_the_limit_is_named_and_not_kept():
    data = encode([Node(0x00420011, "OB", bytes(1000)), Node(0x00280010, "US", b"\1\0")])

    scanner = scan(data, sizes=[7], value_size=100)

    assert scanner.too_long == {0x00420011: 1000}
    assert scanner.values == {0x00280010: RawValue("US", b"\1\0")}


def test_a_short_value_beyond_the_limit_is_named_as_well():
    for syntax in SYNTAXES:
        form = {"implicit": syntax.is_implicit, "little": syntax.is_little_endian}
        data = encode([Node(0x00081030, "LO", b"x" * 300)], **form)

        assert scan(data, syntax, value_size=100).too_long == {0x00081030: 300}


def test_a_sequence_of_undefined_length_beyond_the_limit_is_named_and_not_kept():
    item = [Node(0x00081030, "LO", b"x" * 200)]
    node = Node(0x0040A730, "SQ", items=[item], is_undefined=True, undefined_items=True)

    scanner = scan(encode([node, Node(0x7FE00010, "OW", b"")]), sizes=[7], value_size=100)

    assert scanner.too_long == {0x0040A730: 0xFFFFFFFF}
    assert list(scanner.values) == [0x7FE00010]


def test_pixel_data_is_located_and_its_fragments_counted():
    start = encode([Node(0x00280010, "US", b"\1\0")])
    data = start + header(0x7FE00010, "OB", 0xFFFFFFFF, implicit=False, little=True)
    offsets = []
    for fragment in (b"", b"\xff\xd8", b"\xff\xd9" * 3):
        offsets.append(len(data))
        data += marker(0xFFFEE000, len(fragment), little=True) + fragment
    data += marker(0xFFFEE0DD, 0, little=True)

    scanner = scan(data, lookup("1.2.840.10008.1.2.4.50"), wanted=(), sizes=[5])

    assert scanner.pixel_data is not None
    assert scanner.pixel_data.offset == len(start) + 12
    assert scanner.pixel_data.length is None
    assert list(scanner.pixel_data.fragments) == offsets


def test_native_pixel_data_has_an_offset_and_a_length():
    start = encode([Node(0x00280010, "US", b"\1\0")], implicit=True)
    data = start + encode([Node(0x7FE00010, "OW", bytes(50))], implicit=True)

    scanner = scan(data, IMPLICIT_LE, wanted=())

    assert scanner.pixel_data is not None
    assert (scanner.pixel_data.offset, scanner.pixel_data.length) == (len(start) + 8, 50)


def test_un_of_undefined_length_is_read_as_an_implicit_sequence():
    # PS3.5 6.2.2: what became UN on its way holds items in implicit VR little endian.
    inner = encode([Node(0x00080018, "UI", b"9.9\0")], implicit=True)
    data = header(0x00091010, "UN", 0xFFFFFFFF, implicit=False, little=True)
    data += marker(0xFFFEE000, 0xFFFFFFFF, little=True) + inner
    data += marker(0xFFFEE00D, 0, little=True) + marker(0xFFFEE0DD, 0, little=True)
    data += encode([Node(0x00100010, "PN", b"A^B ")])

    scanner = scan(data, sizes=[3])

    assert scanner.values == {0x00100010: RawValue("PN", b"A^B ")}


def test_un_of_undefined_length_stays_little_endian_within_big_endian():
    inner = encode([Node(0x00080018, "UI", b"9.9\0")], implicit=True)
    data = header(0x00091010, "UN", 0xFFFFFFFF, implicit=False, little=False)
    data += marker(0xFFFEE000, 0xFFFFFFFF, little=True) + inner
    data += marker(0xFFFEE00D, 0, little=True) + marker(0xFFFEE0DD, 0, little=True)
    data += encode([Node(0x00100010, "PN", b"A^B ")], little=False)

    scanner = scan(data, EXPLICIT_BE, sizes=[3])

    assert scanner.values == {0x00100010: RawValue("PN", b"A^B ")}


def test_a_known_element_that_became_un_gets_its_vr_back():
    data = encode([Node(0x00100010, "UN", b"A^B ")])

    assert scan(data).values == {0x00100010: RawValue("PN", b"A^B ")}


@pytest.mark.parametrize("vr", [b"  ", b"??", b"ZX"])
def test_an_element_of_a_vr_out_of_thin_air_is_stepped_over(vr):
    odd = pack("<HH", 0x0009, 0x1001) + vr + pack("<H", 4) + b"abcd"
    data = encode([Node(0x00080018, "UI", b"1.2\0")]) + odd + encode([Node(0x00100010, "PN", b"")])

    assert set(scan(data).values) == {0x00080018, 0x00100010}


def test_a_vr_newer_than_we_are_has_a_long_length():
    # PS3.5 6.2: VRs to come have two reserved bytes and a length of four.
    odd = pack("<HH", 0x0009, 0x1001) + b"ZX" + pack("<HI", 0, 4) + b"abcd"
    data = odd + encode([Node(0x00100010, "PN", b"A ")])

    assert scan(data).values == {0x00100010: RawValue("PN", b"A ")}


def test_a_data_set_in_implicit_vr_is_read_though_explicit_was_announced():
    data = encode(
        [Node(0x00080018, "UI", b"1.2\0"), Node(0x00280010, "US", b"\1\0")], implicit=True
    )

    assert scan(data, sizes=[1]).values == {
        0x00080018: RawValue("UI", b"1.2\0"),
        0x00280010: RawValue("US", b"\1\0"),
    }


def test_signedness_decides_between_us_and_ss_in_implicit_vr():
    representation = Node(0x00280103, "US", b"\1\0")
    smallest = Node(0x00280106, "SS", b"\xff\xff")
    data = encode([representation, smallest], implicit=True)

    assert scan(data, IMPLICIT_LE, {0x00280106}).values[0x00280106].vr == "SS"
    assert scan(data[10:], IMPLICIT_LE, {0x00280106}).values[0x00280106].vr == "US"


def nested(depth):
    data = b""
    for _ in range(depth):
        data = (
            header(0x0040A730, "SQ", 0xFFFFFFFF, implicit=False, little=True)
            + marker(0xFFFEE000, 0xFFFFFFFF, little=True)
            + data
            + marker(0xFFFEE00D, 0, little=True)
            + marker(0xFFFEE0DD, 0, little=True)
        )
    return data


def test_sequences_nest_as_deep_as_allowed_and_no_deeper():
    scan(nested(64))
    with pytest.raises(Malformed, match="nested too deep") as caught:
        scan(nested(65))

    assert caught.value.offset == 64 * 20


def test_what_unfolds_to_too_much_is_refused():
    stream = zlib.compressobj(wbits=-15)
    bomb = stream.compress(encode([Node(0x7FE00010, "OW", bytes(1 << 22))])) + stream.flush()

    scan(bomb, DEFLATED_LE)
    with pytest.raises(Malformed, match="too much"):
        scan(bomb, DEFLATED_LE, inflated_size=1 << 20)
    with pytest.raises(Malformed, match="too much"):
        scan(bomb, DEFLATED_LE, inflated_grace=1 << 20, inflated_ratio=100)


def test_a_delimiter_in_the_open_is_malformed_where_it_stands():
    data = encode([Node(0x00080018, "UI", b"1.2\0")]) + marker(0xFFFEE00D, 0, little=True)

    with pytest.raises(Malformed) as caught:
        scan(data)

    assert caught.value.offset == 12


def test_nothing_is_held_back_of_a_large_value_nobody_wants():
    scanner = Scanner(EXPLICIT_LE, frozenset())
    scanner.feed(header(0x7FE00010, "OW", 1 << 30, implicit=False, little=True))

    for _ in range(1 << 10):
        scanner.feed(bytes(1 << 20))
    scanner.finish()

    assert scanner.size == (1 << 30) + 12
