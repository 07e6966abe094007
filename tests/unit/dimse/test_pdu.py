"""The protocol data units: bytes as the standard draws them, round trips, garbage."""

import contextlib

import pytest
from hypothesis import given, strategies as st

from isocenter.dimse import pdu
from isocenter.dimse.user_information import UserIdentity, UserInformation, Window
from isocenter.errors import Malformed, Unsupported
from unit.dimse.strategies import information, units

# PS3.8 figures 9-1 and 9-2, byte by byte.
SMALLEST_REQUEST = bytes.fromhex(
    "01 00 00000089"  # A-ASSOCIATE-RQ, reserved, bytes that follow
    "0001 0000"  # protocol version 1, reserved
) + (
    b"CALLED          "
    b"CALLING         "
    + bytes(32)
    + b"\x10\x00\x00\x15"
    + b"1.2.840.10008.3.1.1.1"
    + b"\x20\x00\x00\x24"
    + bytes.fromhex("01000000")  # context 1
    + b"\x30\x00\x00\x07"
    + b"1.2.3.4"
    + b"\x40\x00\x00\x11"
    + b"1.2.840.10008.1.2"
    + b"\x50\x00\x00\x08"
    + bytes.fromhex("51 00 0004 00004000")
)


def test_the_smallest_request_is_as_the_standard_draws_it() -> None:
    request = pdu.AssociateRequest(
        called_ae_title="CALLED",
        calling_ae_title="CALLING",
        contexts=(pdu.ProposedContext(1, "1.2.3.4", ("1.2.840.10008.1.2",)),),
        information=UserInformation(maximum_length=16384),
    )

    assert request.encode()[6:] == SMALLEST_REQUEST[6:]
    assert int.from_bytes(request.encode()[2:6], "big") == len(request.encode()) - 6
    assert pdu.decode(1, SMALLEST_REQUEST[6:]) == request


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        (pdu.AssociateReject(1, 1, 7), "03 00 00000004 00 01 01 07"),
        (pdu.ReleaseRequest(), "05 00 00000004 00000000"),
        (pdu.ReleaseResponse(), "06 00 00000004 00000000"),
        (pdu.Abort(2, 6), "07 00 00000004 00 00 02 06"),
        (
            pdu.DataTransfer((pdu.DataValue(1, True, True, b"\xaa\xbb"),)),
            "04 00 00000008 00000004 01 03 aabb",
        ),
    ],
)
def test_the_short_units_are_as_the_standard_draws_them(unit: pdu.Unit, expected: str) -> None:
    assert unit.encode() == bytes.fromhex(expected)


@given(units)
def test_what_is_encoded_decodes_to_itself(unit: pdu.Unit) -> None:
    encoded = unit.encode()

    assert pdu.decode(encoded[0], encoded[6:]) == unit
    assert int.from_bytes(encoded[2:6], "big") == len(encoded) - 6


@given(st.integers(0, 9), st.binary(max_size=300))
def test_garbage_is_malformed_or_a_unit(pdu_type: int, body: bytes) -> None:
    try:
        unit = pdu.decode(pdu_type, body)
    except Malformed:
        return
    assert isinstance(unit, pdu.Unit)


@given(units, st.data())
def test_a_damaged_unit_is_malformed_or_another_unit(unit: pdu.Unit, data: st.DataObject) -> None:
    body = bytearray(unit.encode()[6:])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(body[: data.draw(st.integers(0, len(body)))])
    with contextlib.suppress(Malformed):
        pdu.decode(unit.encode()[0], cut)


@given(information)
def test_user_information_decodes_to_itself(info: UserInformation) -> None:
    assert UserInformation.decode(info.encode()) == info


def test_sub_items_nobody_knows_are_skipped() -> None:
    info = UserInformation(maximum_length=7, window=Window(3, 2))
    unknown = b"\x5f\x00\x00\x03abc" + b"\xfe\x00\x00\x00"

    assert UserInformation.decode(unknown + info.encode() + unknown) == info


def test_the_window_of_the_standards_figure_is_read() -> None:
    # PS3.7 figure D.3-5: three invoked, two performed.
    assert UserInformation.decode(bytes.fromhex("53 00 0004 0003 0002")).window == Window(3, 2)


def test_a_user_name_and_passcode_are_read() -> None:
    # PS3.7 table D.3-14.
    raw = bytes.fromhex("58 00 000d 02 01 0003") + b"joe" + bytes.fromhex("0004") + b"word"

    identity = UserInformation.decode(raw).identity

    assert identity == UserIdentity(2, b"joe", b"word", True)
    assert "word" not in repr(identity)


def test_an_item_that_cannot_be_sent_is_refused() -> None:
    with pytest.raises(Unsupported):
        UserInformation(identity=UserIdentity(4, bytes(70000))).encode()


def test_an_accepted_context_needs_one_transfer_syntax() -> None:
    with pytest.raises(Malformed):
        pdu.AnsweredContext.decode(bytes((1, 0, 0, 0)))


def test_a_rejected_context_may_hold_anything() -> None:
    assert pdu.AnsweredContext.decode(bytes((1, 0, 3, 0)) + b"\x40\x00\xff") == (
        pdu.AnsweredContext(1, 3, "")
    )


def test_rejections_say_why() -> None:
    assert str(pdu.AssociateReject(1, 1, 7)) == "rejected for good: called AE title not recognized"
    assert str(pdu.AssociateReject(2, 3, 2)) == "rejected for now: local limit exceeded"
    assert "reason 99" in str(pdu.AssociateReject(1, 1, 99))
