"""The walk that fetches headers only, against the walk over what is in memory."""

import random
import zlib

import pytest
from hypothesis import given, strategies as st

from datasets import Node, datasets, encode, header, marker
from faults_allowed import nothing_worse_than_malformed
from isocenter.dicom.elements import elements
from isocenter.dicom.syntax import DEFLATED_LE, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE
from isocenter.dicom.windowed import Walk
from isocenter.errors import Malformed, NotFound

SYNTAXES = st.sampled_from([EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE, DEFLATED_LE])


class InMemory:
    """Bytes, and how many of them were fetched."""

    def __init__(self, data: bytes) -> None:
        self.data = memoryview(data)
        self.size = len(data)
        self.fetched = 0

    def window(self, start: int, end: int) -> memoryview:
        assert 0 <= start <= end <= self.size
        self.fetched += end - start
        return self.data[start:end]


def written(nodes: list[Node], syntax) -> bytes:
    data = encode(nodes, implicit=syntax.is_implicit, little=syntax.is_little_endian)
    return data if syntax != DEFLATED_LE else zlib.compress(data, wbits=-15)


def all_paths(found, above=()):
    """Every attribute by its path, as the walk in memory finds it."""
    for element in found:
        path = (*above, element.tag)
        yield path, element
        if element.vr == "SQ":
            for number, item in enumerate(element.items()):
                yield from all_paths(item.elements(), (*path, number))


@given(datasets, SYNTAXES)
def test_every_attribute_is_found_by_its_path(nodes, syntax):
    data = written(nodes, syntax)
    walk = Walk(InMemory(data), syntax)

    for path, element in all_paths(elements(data, syntax)):
        place = walk.find(path)

        assert (place.tag, place.vr, place.offset) == (
            element.tag,
            element.vr,
            element.value_offset,
        )
        assert walk.end_of(place) - place.offset == len(element.value)


@given(datasets, SYNTAXES)
def test_every_attribute_is_given_with_its_path(nodes, syntax):
    data = written(nodes, syntax)

    given = [(path, place.offset) for path, place in Walk(InMemory(data), syntax).everything()]

    assert given == [
        (path, element.value_offset)
        for path, element in all_paths(elements(data, syntax))
        if element.vr != "SQ"
    ]


@given(datasets, SYNTAXES)
def test_what_is_not_there_is_not_found(nodes, syntax):
    walk = Walk(InMemory(written(nodes, syntax)), syntax)

    for path in [(0x00091002,), (0x00081110, 99, 0x00080016), (0x00080016, 0, 0x00080016)]:
        with pytest.raises(NotFound):
            walk.find(path)


@given(st.binary(max_size=300), SYNTAXES)
def test_garbage_is_malformed_at_worst(garbage, syntax):
    with nothing_worse_than_malformed():
        for place in Walk(InMemory(garbage), syntax).elements():
            assert place.offset <= len(garbage)


@given(datasets, st.data())
def test_what_is_cut_short_is_malformed_at_worst(nodes, data):
    whole = encode(nodes)
    cut = whole[: data.draw(st.integers(0, len(whole)))]

    with nothing_worse_than_malformed(len(cut)):
        list(Walk(InMemory(cut), EXPLICIT_LE).elements())


def test_values_are_passed_over_unread() -> None:
    big = bytes(5_000_000)
    data = encode(
        [Node(0x00420011, "OB", big), Node(0x7FE00008, "OF", big), Node(0x7FE00010, "OW", b"ab")]
    )
    reader = InMemory(data)

    place = Walk(reader, EXPLICIT_LE).find((0x7FE00010,))

    assert place.offset == len(data) - 2
    assert reader.fetched < 20_000


def test_a_large_sequence_without_a_length_is_fetched_in_ever_larger_steps() -> None:
    items = [[Node(0x00080018, "UI", b"1.2.3.4\0")] for _ in range(50_000)]
    sequence = Node(0x00081140, "SQ", items=items, is_undefined=True, undefined_items=True)
    reader = InMemory(encode([sequence, Node(0x7FE00010, "OW", b"ab")]))
    calls = []
    window = reader.window
    reader.window = lambda start, end: calls.append(end - start) or window(start, end)

    Walk(reader, EXPLICIT_LE).find((0x7FE00010,))

    assert len(calls) < 20
    assert sum(calls) < reader.size * 1.1


def test_a_deflated_data_set_is_read_forwards_and_from_its_start_again() -> None:
    pixels = random.Random(1).randbytes(1_000_000)
    data = zlib.compress(encode([Node(0x7FE00010, "OW", pixels)]), wbits=-15)
    walk = Walk(InMemory(data), DEFLATED_LE)

    start = walk.find((0x7FE00010,)).offset

    assert walk.reader.window(start + 900_000, start + 900_010) == pixels[900_000:900_010]
    assert walk.reader.window(start + 10, start + 600_000) == pixels[10:600_000]
    assert walk.reader.window(start + 999_999, start + 2_000_000) == pixels[999_999:]


def test_sequences_nested_without_end_are_malformed() -> None:
    opening = header(0x00081140, "SQ", 0xFFFFFFFF, implicit=False, little=True)
    data = (opening + marker(0xFFFEE000, 0xFFFFFFFF, little=True)) * 2000

    with pytest.raises(Malformed, match="nested too deep"):
        Walk(InMemory(data), EXPLICIT_LE).find((0x7FE00010,))
    with pytest.raises(Malformed, match="nested too deep"):
        list(Walk(InMemory(data), EXPLICIT_LE).everything())
