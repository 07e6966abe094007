"""Messages out of fragments and back."""

import pytest
from hypothesis import given, strategies as st

from isocenter.dimse import pdu
from isocenter.dimse.command import Command
from isocenter.dimse.message import Assembler, Framer, fragment_size, frame_whole
from isocenter.errors import Malformed

ECHO = Command({"CommandField": 0x30, "MessageID": 1, "CommandDataSetType": 0x0101})
STORE = Command({"CommandField": 1, "MessageID": 1, "CommandDataSetType": 1})
COMMAND, LAST = 1, 2


class Listener:
    def __init__(self) -> None:
        self.heard: list[object] = []

    def command(self, context_id: int, command: Command) -> None:
        self.heard.append((context_id, command))

    def data(self, piece: memoryview) -> None:
        self.heard.append(bytes(piece))

    def data_ends(self) -> None:
        self.heard.append("end")


def assembler() -> tuple[Listener, Assembler]:
    listener = Listener()
    return listener, Assembler(listener, largest_command=1000)


def tell(to: Assembler, context_id: int, control: int, data: bytes, *, ends: bool = True) -> None:
    to.fragment(context_id, control, memoryview(data), ends=ends)


def test_a_command_may_come_in_fragments_and_an_empty_last_one() -> None:
    listener, to = assembler()
    raw = ECHO.encode()

    tell(to, 3, COMMAND, raw[:10])
    tell(to, 3, COMMAND, raw[10:])
    tell(to, 3, COMMAND | LAST, b"")

    assert listener.heard == [(3, ECHO)]
    assert not to.is_amid


def test_a_data_set_is_passed_on_as_it_comes() -> None:
    listener, to = assembler()

    tell(to, 3, COMMAND | LAST, STORE.encode())
    tell(to, 3, LAST, b"ab", ends=False)
    tell(to, 3, LAST, b"cd", ends=True)

    assert listener.heard == [(3, STORE), b"ab", b"cd", "end"]
    assert not to.is_amid


def test_the_upper_bits_of_the_control_header_are_not_looked_at() -> None:
    listener, to = assembler()

    tell(to, 3, COMMAND | LAST | 0xFC, ECHO.encode())

    assert listener.heard == [(3, ECHO)]


@pytest.mark.parametrize(
    "fragments",
    [
        [(1, LAST, b"data without a command")],
        [(1, COMMAND | LAST, STORE.encode()), (3, 0, b"data of another context")],
        [(1, COMMAND | LAST, STORE.encode()), (1, COMMAND, b"a command amid data")],
        [(1, COMMAND, ECHO.encode()[:8]), (3, COMMAND, ECHO.encode()[8:])],
        [(1, COMMAND | LAST, b"")],
        [(1, COMMAND | LAST, b"no command")],
        [(1, COMMAND, bytes(600)), (1, COMMAND, bytes(600))],
    ],
)
def test_fragments_out_of_order_are_malformed(fragments: list[tuple[int, int, bytes]]) -> None:
    _, to = assembler()

    *before, (context_id, control, data) = fragments
    for fragment in before:
        tell(to, *fragment)
    with pytest.raises(Malformed):
        tell(to, context_id, control, data)


@given(st.lists(st.tuples(st.sampled_from([1, 3]), st.integers(0, 3), st.binary(max_size=40))))
def test_any_fragments_are_malformed_or_messages(
    fragments: list[tuple[int, int, bytes]],
) -> None:
    _, to = assembler()
    try:
        for context_id, control, data in fragments:
            tell(to, context_id, control, data)
    except Malformed:
        pass


@given(st.lists(st.binary(max_size=50), max_size=10), st.integers(1, 40).map(lambda n: 2 * n))
def test_framed_pieces_are_whole_pdus_of_the_size_agreed(pieces: list[bytes], size: int) -> None:
    framer = Framer(5, size)
    sent = b"".join(bytes(part) for piece in pieces for part in framer.frame(piece))
    sent += b"".join(bytes(part) for part in framer.finish())

    values = []
    while sent:
        length = int.from_bytes(sent[2:6], "big")
        unit = pdu.decode(sent[0], sent[6 : 6 + length])
        assert isinstance(unit, pdu.DataTransfer)
        values += unit.values
        sent = sent[6 + length :]
    whole = b"".join(pieces)
    assert b"".join(value.fragment for value in values) == whole + bytes(len(whole) & 1)
    assert [value.is_last for value in values] == [False] * (len(values) - 1) + [True]
    assert all(len(value.fragment) == size for value in values[:-1])
    assert all(value.context_id == 5 and not value.is_command for value in values)


@pytest.mark.parametrize(
    ("announced", "size"),
    [(0, (1 << 20) - 6), (16384, 16378), (16383, 16376), (1, 58), (0xFFFFFFFF, (1 << 20) - 6)],
)
def test_fragments_fit_what_the_peer_announced(announced: int, size: int) -> None:
    assert fragment_size(announced) == size


def test_a_command_in_one_fragment_is_marked_so() -> None:
    framed = b"".join(bytes(part) for part in frame_whole(1, b"abcd", is_command=True, size=100))

    assert framed == bytes.fromhex("04 00 0000000a 00000006 01 03") + b"abcd"
