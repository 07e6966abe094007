"""Command sets against pydicom, and against garbage."""

import contextlib
import io

import pytest
from hypothesis import given, strategies as st
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from isocenter.dimse.command import ELEMENTS, Command, Verb
from isocenter.errors import Malformed, OutOfTurn
from unit.dimse.strategies import commands


def written_by_pydicom(**elements: object) -> bytes:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    buffer = pydicom_buffer()
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def pydicom_buffer() -> "pydicom.filebase.DicomBytesIO":  # type: ignore[name-defined] # noqa: F821
    from pydicom.filebase import DicomBytesIO

    buffer = DicomBytesIO()
    buffer.is_little_endian = True
    buffer.is_implicit_VR = True
    return buffer


def test_an_echo_request_is_as_the_standard_draws_it() -> None:
    command = Command(
        {
            "CommandField": 0x0030,
            "MessageID": 7,
            "AffectedSOPClassUID": "1.2.840.10008.1.1",
            "CommandDataSetType": 0x0101,
        }
    )

    assert command.encode() == bytes.fromhex(
        "0000 0000 04000000 38000000"
        "0000 0200 12000000 312e322e3834302e31303030382e312e3100"
        "0000 0001 02000000 3000"
        "0000 1001 02000000 0700"
        "0000 0008 02000000 0101"
    )


def test_what_pydicom_writes_is_read() -> None:
    raw = written_by_pydicom(
        CommandGroupLength=0,
        AffectedSOPClassUID="1.2.840.10008.5.1.4.1.1.2",
        CommandField=0x8001,
        MessageIDBeingRespondedTo=77,
        CommandDataSetType=0x0101,
        Status=0xA900,
        OffendingElement=[0x00080016, 0x00080018],
        ErrorComment="odd",
        AffectedSOPInstanceUID="1.2.3",
    )

    command = Command.decode(raw)

    assert command.verb is Verb.C_STORE
    assert command.is_response
    assert not command.has_data_set
    assert command.answers == 77
    assert command.status == 0xA900
    assert command.elements["OffendingElement"] == (0x00080016, 0x00080018)
    assert command.text("ErrorComment") == "odd"
    assert command.sop_class == "1.2.840.10008.5.1.4.1.1.2"
    assert command.sop_instance == "1.2.3"


@given(commands)
def test_pydicom_reads_what_is_written(command: Command) -> None:
    raw = command.encode()

    dataset = read_dataset(io.BytesIO(raw), is_implicit_VR=True, is_little_endian=True)

    assert dataset.CommandGroupLength == len(raw) - 12
    for keyword, value in command.elements.items():
        theirs = dataset[keyword].value
        if isinstance(value, tuple):
            theirs = tuple(theirs) if len(value) > 1 else (theirs,)
        assert theirs == value


@given(commands)
def test_what_is_encoded_decodes_to_itself(command: Command) -> None:
    assert Command.decode(command.encode()) == command


@given(st.binary(max_size=200))
def test_garbage_is_malformed_or_a_command(raw: bytes) -> None:
    with contextlib.suppress(Malformed):
        Command.decode(raw)


@given(commands, st.data())
def test_a_damaged_command_is_malformed_or_another(command: Command, data: st.DataObject) -> None:
    raw = bytearray(command.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Malformed):
        Command.decode(raw[: data.draw(st.integers(0, len(raw)))])


def test_elements_of_other_groups_are_malformed() -> None:
    with pytest.raises(Malformed):
        Command.decode(bytes.fromhex("0800 0500 00000000"))


def test_retired_elements_are_skipped() -> None:
    raw = bytes.fromhex("0000 0100 04000000 ffffffff 0000 0001 02000000 3000")

    assert Command.decode(raw) == Command({"CommandField": 0x30})


def test_a_keyword_that_does_not_exist_is_a_bug() -> None:
    with pytest.raises(OutOfTurn):
        Command({"CommandFeld": 1}).encode()


def test_a_long_comment_is_cut_and_kept_ascii() -> None:
    command = Command.decode(Command({"CommandField": 1, "ErrorComment": "ü" * 100}).encode())

    assert command.text("ErrorComment") == "?" * 64


def test_every_element_is_in_pydicoms_dictionary() -> None:
    from pydicom.datadict import dictionary_VR, keyword_for_tag

    for element, (keyword, vr) in ELEMENTS.items():
        assert keyword_for_tag(element) == keyword
        assert dictionary_VR(element) == vr
