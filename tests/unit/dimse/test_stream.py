"""PDUs found in bytes that arrive in any pieces."""

import contextlib
import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st

from isocenter.dimse import pdu
from isocenter.dimse.stream import Splitter, UnknownUnit
from isocenter.errors import Malformed
from unit.dimse.strategies import units


class Listener:
    """Puts together again what the splitter takes apart."""

    def __init__(self) -> None:
        self.units: list[pdu.Unit] = []
        self._values: list[pdu.DataValue] = []
        self._piece = b""
        self.most = 0

    def data_begins(self) -> bool:
        self.units.append(pdu.DataTransfer(()))
        return True

    def fragment(self, context_id: int, control: int, piece: memoryview, *, ends: bool) -> None:
        self.most = max(self.most, len(piece))
        self._piece += piece
        if ends:
            value = pdu.DataValue(context_id, bool(control & 1), bool(control & 2), self._piece)
            last = self.units[-1]
            assert isinstance(last, pdu.DataTransfer)
            self.units[-1] = pdu.DataTransfer((*last.values, value))
            self._piece = b""

    def unit(self, pdu_type: int, body: bytes) -> bool:
        self.units.append(pdu.decode(pdu_type, body))
        return True


def split(pieces: Sequence[bytes], largest: int = 1 << 20) -> tuple[Listener, Splitter]:
    listener = Listener()
    splitter = Splitter(listener, largest_data=largest, largest_associate=1 << 20)
    for piece in pieces:
        splitter.feed(memoryview(piece))
    return listener, splitter


@given(st.lists(units, max_size=5), st.lists(st.integers(0, 3000), max_size=30))
def test_pieces_of_any_size_give_the_same_units(sent: list[pdu.Unit], cuts: list[int]) -> None:
    stream = b"".join(unit.encode() for unit in sent)
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    pieces = [stream[a:b] for a, b in itertools.pairwise(edges)]

    listener, splitter = split(pieces)

    assert listener.units == sent
    assert not splitter.is_amid


@given(st.lists(units, min_size=1, max_size=3))
def test_one_byte_at_a_time_is_enough(sent: list[pdu.Unit]) -> None:
    stream = b"".join(unit.encode() for unit in sent)

    listener, _ = split([bytes((byte,)) for byte in stream])

    assert listener.units == sent


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_garbage_is_malformed_or_units(pieces: list[bytes]) -> None:
    with contextlib.suppress(Malformed):
        split(pieces)


@pytest.mark.parametrize("first", [0x00, 0x08, 0x16, ord("G"), 0xFF])
def test_a_type_that_does_not_exist_is_refused_at_its_first_byte(first: int) -> None:
    with pytest.raises(UnknownUnit):
        split([bytes((first,))])


@pytest.mark.parametrize(
    "header",
    [
        "04 00 ffffffff",  # P-DATA-TF of 4 GB
        "04 00 00000000",  # and an empty one
        "01 00 ffffffff",  # a request of 4 GB
        "02 00 00000000",
        "05 00 00000005",  # a release request has 4 bytes
        "07 00 00000003",
        "04 00 00000010 00000020 01 02",  # a value longer than its PDU
        "04 00 00000010 00000001 01 02",  # a value without its two bytes
        "04 00 00000010 0000000a 01 02",  # two bytes are left that cannot be a value
    ],
)
def test_a_length_that_lies_is_malformed(header: str) -> None:
    with pytest.raises(Malformed):
        split([bytes.fromhex(header)])


def test_a_unit_longer_than_was_agreed_is_malformed() -> None:
    unit = pdu.DataTransfer((pdu.DataValue(1, False, False, bytes(100)),)).encode()

    split([unit], largest=106)
    with pytest.raises(Malformed):
        split([unit], largest=105)


def test_a_fragment_is_handed_on_before_its_unit_is_complete() -> None:
    unit = pdu.DataTransfer((pdu.DataValue(1, False, True, bytes(1000)),)).encode()

    listener, splitter = split([unit[:500]])

    assert listener.most == 488
    assert splitter.is_amid
