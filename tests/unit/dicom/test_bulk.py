"""Values that are elsewhere, and data sets that are written with them."""

import io
from base64 import b64encode

import pytest
from hypothesis import given, strategies as st
from pydicom.encaps import encapsulate as encapsulated_by_pydicom, generate_frames
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset

from isocenter.dicom.bulk import Bulk, encapsulate, is_encapsulated, swapped, whole
from isocenter.dicom.elements import elements
from isocenter.dicom.encoding import Part, encode, encode_pieces, parts
from isocenter.dicom.json_model import to_json
from isocenter.dicom.syntax import (
    DEFLATED_LE,
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    UNCOMPRESSED,
    lookup,
)
from isocenter.errors import Malformed, Unsupported

JPEG = lookup("1.2.840.10008.1.2.4.50")
PIXELS = {"7FE00010": {"vr": "OW", "BulkDataURI": "pixels"}}
SYNTAXES = sorted(UNCOMPRESSED, key=lambda syntax: syntax.uid)


def in_pieces(data, size):
    return Bulk(len(data), lambda: (data[at : at + size] for at in range(0, len(data), size)))


@given(st.binary(min_size=1), st.integers(1, 9), st.sampled_from(SYNTAXES))
def test_bulk_data_is_written_as_inline_binary_is(value, size, syntax):
    inline = {
        tag: {"vr": vr, "InlineBinary": b64encode(value).decode()}
        for tag, vr in (("00420011", "OB"), ("00281201", "OW"), ("00660016", "OF"))
    }
    model = {tag: {"vr": each["vr"], "BulkDataURI": tag} for tag, each in inline.items()}
    item = {"0040A730": {"vr": "SQ", "Value": [model]}}

    fetched = encode(model | item, syntax, fetch=lambda _: in_pieces(value, size))

    assert fetched == encode(inline | {"0040A730": {"vr": "SQ", "Value": [inline]}}, syntax)


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE], ids=str)
def test_the_size_is_known_before_anything_is_fetched(syntax):
    asked = []

    def fetch(uri):
        return Bulk(1 << 33, lambda: asked.append(uri) or [])

    with pytest.raises(Malformed):  # more than 32 bits of length can tell
        parts(PIXELS, syntax, fetch=fetch)
    found = parts(PIXELS, syntax, fetch=lambda uri: Bulk(4001, lambda: asked.append(uri) or []))

    # The character set's 10 characters, and two headers (PS3.5 7.1.2, 7.1.3).
    headers = 8 + 8 if syntax.is_implicit else 8 + 12
    assert sum(map(len, found)) == 10 + headers + 4002
    assert [len(part) for part in found if isinstance(part, Part)] == [4002]
    assert not asked


def test_a_large_value_is_never_there_as_a_whole():
    piece = bytes(1 << 20)
    bulk = Bulk(1 << 30, lambda: (piece for _ in range(1 << 10)))

    pieces = encode_pieces(PIXELS, DEFLATED_LE, fetch=lambda _: bulk)

    assert max(map(len, pieces)) < 1 << 20


@pytest.mark.parametrize("size", [3, 5])
def test_bulk_data_of_another_size_than_was_said_is_malformed(size):
    pieces = encode_pieces(PIXELS, EXPLICIT_LE, fetch=lambda _: Bulk(4, lambda: [bytes(size)]))

    with pytest.raises(Malformed, match="4 bytes"):
        list(pieces)


def test_faults_are_told_before_anything_is_given():
    with pytest.raises(Unsupported):
        encode_pieces(PIXELS, JPEG, fetch=lambda _: bytes(4))
    with pytest.raises(Malformed):
        encode_pieces({"00280010": {"vr": "US", "Value": ["x"]}}, EXPLICIT_LE)


@given(st.lists(st.binary(min_size=1), min_size=1, max_size=5))
def test_frames_are_encapsulated_as_pydicom_does_it(frames):
    bulk = encapsulate([whole(frame) for frame in frames])

    value = b"".join(bulk.pieces())

    assert value == encapsulated_by_pydicom(frames, has_bot=True)
    assert len(value) == bulk.size
    assert bulk.is_encapsulated
    assert is_encapsulated(value)


def test_an_offset_table_that_cannot_hold_its_offsets_is_left_empty():
    frame = Bulk(3 << 30, list)

    assert encapsulate([frame, frame]).size == 8 + 2 * 4 + 2 * 8 + (6 << 30)
    assert encapsulate([frame, frame, frame]).size == 8 + 3 * 8 + (9 << 30)
    with pytest.raises(Malformed):
        encapsulate([Bulk(1 << 32, list)])


def test_encapsulated_pixel_data_is_written_as_pydicom_reads_it():
    frames = [b"\1\2\3", b"\4\5"]
    bulk = encapsulate([whole(frame) for frame in frames])
    model = PIXELS | {"00280008": {"vr": "IS", "Value": [2]}}

    data = encode(model, JPEG, "", fetch=lambda _: bulk)

    read = read_dataset(DicomBytesIO(data), False, True)
    assert list(generate_frames(read.PixelData, number_of_frames=2)) == [b"\1\2\3\0", b"\4\5"]


def test_an_icon_is_encapsulated_or_not_by_itself():
    icon = {"7FE00010": {"vr": "OB", "BulkDataURI": "icon"}}
    model = {"00880200": {"vr": "SQ", "Value": [icon]}} | PIXELS
    frames = encapsulate([whole(b"\1\2")])
    for native in (b"\1\2", frames):
        data = encode(model, JPEG, fetch=lambda uri, n=native: n if uri == "icon" else frames)
        (found,) = to_json(elements(data, JPEG))["00880200"]["Value"]
        inner = native if isinstance(native, bytes) else b"".join(native.pieces())
        assert found["7FE00010"]["InlineBinary"] == b64encode(inner).decode()


def test_text_from_elsewhere_is_taken_to_be_in_the_models_own_character_set():
    model = {"0040A160": {"vr": "UT", "BulkDataURI": "text"}}

    for named, wanted in (("ISO_IR 192", "ISO_IR 100"), ("ISO_IR 192", ""), (None, None)):
        charset = {"00080005": {"vr": "CS", "Value": [named]}} if named else {}
        data = encode(charset | model, EXPLICIT_LE, wanted, fetch=lambda _: "ä".encode())
        found = to_json(elements(data, EXPLICIT_LE))["0040A160"]["Value"]
        assert found == ["ä"] if named else ["Ã¤"]


@given(st.binary(), st.integers(1, 5), st.sampled_from(["OW", "OF", "OD", "OB"]))
def test_words_are_swapped_wherever_pieces_end(value, size, vr):
    pieces = [value[at : at + size] for at in range(0, len(value), size)]

    assert b"".join(swapped(pieces, vr)) == b"".join(swapped([value], vr))


def test_what_only_begins_like_items_is_not_encapsulated():
    item = b"\xfe\xff\0\xe0\2\0\0\0\1\2"

    assert is_encapsulated(item)
    assert not is_encapsulated(b"")
    assert not is_encapsulated(item[:-1])
    assert not is_encapsulated(item + b"\0")
    assert not is_encapsulated(item + bytes(8))
    assert io.BytesIO(item).read(4) == item[:4]
