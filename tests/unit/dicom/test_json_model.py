"""The DICOM JSON model, both ways."""

import contextlib
import io
import json
import math
from base64 import b64encode

import pydicom
import pytest
from hypothesis import given, strategies as st
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset

from isocenter.dicom import json_text, part10
from isocenter.dicom.elements import elements
from isocenter.dicom.encoding import encode
from isocenter.dicom.json_model import attribute, raw_to_json, to_json, unfolding
from isocenter.dicom.scanner import RawValue, Scanner
from isocenter.dicom.syntax import (
    DEFLATED_LE,
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    UNCOMPRESSED,
    lookup,
)
from isocenter.errors import Malformed, Unsupported

FRAGMENTS = b"\xfe\xff\0\xe0\0\0\0\0\xfe\xff\0\xe0\2\0\0\0\1\2"
SYNTAXES = sorted(UNCOMPRESSED, key=lambda syntax: syntax.uid)

text = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\\^= "),
    min_size=1,
    max_size=12,
)
names = st.fixed_dictionaries(
    {"Alphabetic": text}, optional={"Ideographic": text, "Phonetic": text}
)
ATTRIBUTES = {
    "00080050": ("SH", text),
    "00080061": ("CS", st.sampled_from(["CT", "MR", "US"])),
    "00081030": ("LO", text),
    "00100010": ("PN", names),
    "0018106C": ("US", st.integers(0, 65535)),
    "00181050": ("DS", st.integers(-9999, 9999)),
    "00189073": ("FD", st.floats(allow_nan=False, allow_infinity=False)),
    "00200013": ("IS", st.integers(-(2**31), 2**31 - 1)),
    "00209165": ("AT", st.sampled_from(["0020000D", "00100010"])),
    "00280106": ("US", st.integers(0, 65535)),
}


def _attributes(keys):
    fields = {
        key: st.lists(ATTRIBUTES[key][1], max_size=2).map(
            lambda values, vr=ATTRIBUTES[key][0]: (
                {"vr": vr, "Value": values} if values else {"vr": vr}
            )
        )
        for key in keys
    }
    return st.fixed_dictionaries({}, optional=fields)


items = st.lists(_attributes(ATTRIBUTES), min_size=1, max_size=2)
models = st.builds(
    lambda plain, inner: plain | ({"0040A730": {"vr": "SQ", "Value": inner}} if inner else {}),
    _attributes(ATTRIBUTES),
    st.none() | items,
)


@given(models, st.sampled_from(SYNTAXES))
def test_a_model_survives_being_written_and_read(model, syntax):
    data = encode(model, syntax)

    back = to_json(elements(data, syntax))

    assert back.pop("00080005") == {"vr": "CS", "Value": ["ISO_IR 192"]}
    assert back == model
    assert list(back) == sorted(back)


@given(models, st.sampled_from([EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE]))
def test_pydicom_reads_what_is_written_as_the_same(model, syntax):
    data = encode(model, syntax)

    read = read_dataset(DicomBytesIO(data), syntax.is_implicit, syntax.is_little_endian)

    theirs = json.loads(read.to_json())
    theirs.pop("00080005")
    assert _rounded(theirs) == _rounded(model)


def _rounded(model):
    """Without what pydicom does otherwise: it writes empty attributes' values as they are."""
    return json.loads(json.dumps(model), parse_int=float, object_hook=_without_empty)


def _without_empty(found):
    return {key: value for key, value in found.items() if value not in ([], "")}


def test_values_of_each_kind_are_written_as_the_standard_has_them():
    # PS3.18 F.2.2, F.2.3, F.2.5
    assert attribute("PN", b"A^B=\xc4\xe3=") == {
        "vr": "PN",
        "Value": [{"Alphabetic": "A^B", "Ideographic": "Äã"}],
    }
    assert attribute("CS", b"A\\\\B ") == {"vr": "CS", "Value": ["A", None, "B"]}
    assert attribute("AT", b"\x10\0\x20\0") == {"vr": "AT", "Value": ["00100020"]}
    assert attribute("OB", b"\1\2") == {"vr": "OB", "InlineBinary": "AQI="}
    assert attribute("LO", b"") == {"vr": "LO"}
    assert attribute("UI", b"1.2\0") == {"vr": "UI", "Value": ["1.2"]}
    assert attribute("US", b"\1\0\2\0") == {"vr": "US", "Value": [1, 2]}
    assert attribute("UV", b"\xff" * 8) == {"vr": "UV", "Value": ["18446744073709551615"]}


def test_numbers_that_are_none_stay_text():
    assert attribute("IS", b"1A") == {"vr": "IS", "Value": ["1A"]}
    assert attribute("DS", b"1_0 ") == {"vr": "DS", "Value": ["1_0"]}
    assert attribute("DS", b" 1.5\\-2e3") == {"vr": "DS", "Value": [1.5, -2000.0]}
    assert attribute("DS", b"nan ") == {"vr": "DS", "Value": ["nan"]}


def test_numbers_json_does_not_have_are_valid_json_all_the_same():
    found = attribute("FD", b"\0\0\0\0\0\0\xf8\x7f")

    assert json.dumps(found, allow_nan=False)
    data = encode({"00189073": found}, EXPLICIT_LE)
    assert math.isnan(read_dataset(io.BytesIO(data), False, True)[0x00189073].value)


def test_numbers_that_json_readers_would_round_stay_text():
    # PS3.18 F.2.3, note
    assert attribute("IS", b"12345678901234567890") == {
        "vr": "IS",
        "Value": ["12345678901234567890"],
    }
    assert attribute("DS", b"9007199254740993") == {"vr": "DS", "Value": ["9007199254740993"]}
    assert attribute("DS", b"1e999 ") == {"vr": "DS", "Value": ["1e999"]}
    assert attribute("IS", b"161.3 ") == {"vr": "IS", "Value": ["161.3"]}
    assert attribute("SV", b"\xff" * 8) == {"vr": "SV", "Value": [-1]}


def test_a_value_too_short_for_its_vr_is_kept_as_bytes():
    assert attribute("UL", b"\1\0") == {"vr": "UN", "InlineBinary": "AQA="}


def test_the_scanners_values_make_the_same_model_as_the_walk():
    model = {
        "00080050": {"vr": "SH", "Value": ["王"]},
        "00081140": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2"]}}, {}]},
    }
    data = encode(model, EXPLICIT_LE)
    scanner = Scanner(EXPLICIT_LE, frozenset({0x00080005, 0x00080050, 0x00081140}))
    scanner.feed(data)

    assert raw_to_json(scanner.values) == to_json(elements(data, EXPLICIT_LE))
    assert raw_to_json(scanner.values, [0x00080050]) == {"00080050": model["00080050"]}


def test_an_item_may_have_a_character_set_of_its_own():
    inner = encode({"00081030": {"vr": "LO", "Value": ["Ж"]}}, EXPLICIT_LE, "ISO_IR 144")
    outer = encode({"0040A730": {"vr": "SQ", "Value": [{}]}}, EXPLICIT_LE, "ISO_IR 100")
    item = b"\xfe\xff\x00\xe0" + len(inner).to_bytes(4, "little") + inner
    data = outer[:-12] + len(item).to_bytes(4, "little") + item

    (found,) = to_json(elements(data, EXPLICIT_LE))["0040A730"]["Value"]

    assert found == {"00081030": {"vr": "LO", "Value": ["Ж"]}}


def test_large_binary_values_become_bulk_data():
    data = encode({"00420011": {"vr": "OB", "InlineBinary": "AAAA" * 1000}}, EXPLICIT_LE)

    found = to_json(elements(data, EXPLICIT_LE), bulk=lambda element: f"bulk/{element.tag:08X}")

    assert found["00420011"] == {"vr": "OB", "BulkDataURI": "bulk/00420011"}
    with pytest.raises(Unsupported):
        encode(found, EXPLICIT_LE)
    assert encode(found, EXPLICIT_LE, fetch=lambda uri: bytes(3000)) == data


def named(element):
    return f"bulk/{element.tag:08X}"


def is_bulk(vr, values, charset="", **sizes):
    key = {"UT": "0040A160", "DS": "30060050", "LO": "00081030", "FD": "00720074"}[vr]
    data = encode({key: {"vr": vr, "Value": values}}, EXPLICIT_LE, charset)
    found = to_json(elements(data, EXPLICIT_LE), bulk=named, **sizes)
    return found[key] == {"vr": vr, "BulkDataURI": f"bulk/{key}"}


def test_large_texts_and_numbers_become_bulk_data_where_their_vr_may():
    # PS3.18 F.2.2
    assert is_bulk("UT", ["x" * 70_000])
    assert not is_bulk("UT", ["x" * 60_000])
    assert is_bulk("UT", ["x" * 60_000], value_size=100)
    assert is_bulk("DS", [1.5] * 100, value_size=100)
    assert is_bulk("FD", [1.5] * 100, value_size=100)
    assert not is_bulk("LO", ["x"] * 1000, value_size=100)


def test_text_that_the_model_says_is_utf_8_is_no_bulk_data_in_another_character_set():
    assert not is_bulk("UT", ["ä" * 1000], "ISO_IR 100", value_size=100)
    assert is_bulk("UT", ["a" * 1000], "ISO_IR 100", value_size=100)
    assert is_bulk("UT", ["ä" * 1000], value_size=100)


def test_encapsulated_values_are_bulk_data_or_inline_with_their_items():
    # PS3.18 F.2.7: the value field, which in PS3.5 A.4 is a sequence of items
    jpeg = lookup("1.2.840.10008.1.2.4.50")
    inline = {"vr": "OB", "InlineBinary": b64encode(FRAGMENTS).decode()}
    data = encode({"7FE00010": inline}, jpeg, "")

    assert to_json(elements(data, jpeg)) == {"7FE00010": inline}
    assert to_json(elements(data, jpeg), bulk=named)["7FE00010"]["BulkDataURI"]


@given(models, st.sampled_from([EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE]))
def test_a_model_that_unfolds_is_the_same(model, syntax):
    data = encode(model, syntax)

    unfolded = json_text.read(b"".join(json_text.write(unfolding(elements(data, syntax)))))

    assert unfolded == [to_json(elements(data, syntax))]


def test_a_model_that_unfolds_may_leave_numbers_as_they_were_written():
    data = b"\x18\0\x50\0DS\6\0" + b"01.50 " + b"\x20\0\x13\0IS\4\0" + b"007 "

    found = dict(unfolding(elements(data, EXPLICIT_LE), is_exact=True))

    assert found["00180050"] == {"vr": "DS", "Value": ["01.50"]}
    assert found["00200013"] == {"vr": "IS", "Value": ["007"]}
    assert encode(found, EXPLICIT_LE, None) == data


def test_the_character_set_of_the_model_may_be_kept():
    model = {"00081030": {"vr": "LO", "Value": ["Ж"]}}

    russian = {"00080005": {"vr": "CS", "Value": ["ISO_IR 144"]}} | model
    mixed = {"00080005": {"vr": "CS", "Value": [None, "ISO 2022 IR 144"]}} | model

    assert _charset(encode(russian, EXPLICIT_LE, None), EXPLICIT_LE) == b"ISO_IR 144"
    assert _charset(encode(mixed, EXPLICIT_LE, None), EXPLICIT_LE) == b"\\ISO 2022 IR 144"
    assert _charset(encode(model, EXPLICIT_LE, None), EXPLICIT_LE) == b"ISO_IR 192"
    empty = {"00080005": {"vr": "CS"}, "00081030": {"vr": "LO", "Value": ["plain"]}}
    assert to_json(elements(encode(empty, EXPLICIT_LE, None), EXPLICIT_LE)) == empty


def test_implicit_vr_tells_private_sequences_by_their_delimiter():
    model = {
        "00090010": {"vr": "LO", "Value": ["ACME"]},
        "00091001": {"vr": "SQ", "Value": [{"00080060": {"vr": "CS", "Value": ["CT"]}}]},
    }

    assert to_json(elements(encode(model, IMPLICIT_LE, ""), IMPLICIT_LE)) == model


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
def test_text_goes_out_in_the_wanted_character_set_if_that_can_express_it(syntax):
    model = {"00081030": {"vr": "LO", "Value": ["Jérôme"]}}

    latin = encode(model, syntax, "ISO_IR 100")
    greek = encode(model, syntax, "ISO_IR 126")

    assert to_json(elements(latin, syntax))["00081030"]["Value"] == ["Jérôme"]
    assert to_json(elements(greek, syntax))["00081030"]["Value"] == ["Jérôme"]
    assert _charset(latin, syntax) == b"ISO_IR 100"
    assert _charset(greek, syntax) == b"ISO_IR 192"


def _charset(data, syntax):
    return next(bytes(e.value) for e in elements(data, syntax) if e.tag == 0x00080005)


def test_plain_text_in_the_default_repertoire_names_no_character_set():
    data = encode({"00081030": {"vr": "LO", "Value": ["plain"]}}, EXPLICIT_LE, "")

    assert [element.tag for element in elements(data, EXPLICIT_LE)] == [0x00081030]


def test_a_value_too_long_for_a_short_length_becomes_un():
    # PS3.5 6.2.2
    model = {"00200013": {"vr": "IS", "Value": [1234567] * 9000}}

    data = encode(model, EXPLICIT_LE, "")

    assert data[:8] == b"\x20\0\x13\0UN\0\0"


@pytest.mark.parametrize(
    "attribute",
    [
        {"vr": "US", "Value": [70000]},
        {"vr": "US", "Value": ["x"]},
        {"vr": "ZZ", "Value": ["x"]},
        {"vr": "SQ", "Value": ["x"]},
        {"vr": "OB", "InlineBinary": "§"},
        {"vr": "PN", "Value": [7]},
        {"vr": "PN", "Value": [0]},
        {"vr": "PN", "Value": [[]]},
        {"vr": "LO", "Value": [0]},
        {"vr": "LO", "Value": ["x", False]},
        {"vr": "LO", "Value": [{}]},
        {"vr": "LO", "Value": [[]]},
        {"vr": "AT", "Value": ["100100020"]},
        {"vr": "US", "Value": [1.5]},
        {"vr": "US", "Value": [None]},
        {"vr": "US", "Value": 1},
        {"vr": "CS", "Value": "CT"},
        {"vr": "IS", "Value": [True]},
        {"vr": "DS", "Value": [float("inf")]},
        {"vr": "FL", "Value": [1e39]},
        {"vr": "ZZ", "Value": [1]},
        {"vr": "OB", "Value": [1]},
        {"vr": ["OB"]},
        {"vr": "SQ", "InlineBinary": "AAAA"},
        {"vr": "SQ", "Value": [[]]},
        {"vr": "SQ", "Value": ["\ud800"]},
        {"vr": "CS", "Value": ["\u20ac"]},
        {"vr": "OB", "BulkDataURI": 5},
        "CS",
        None,
    ],
)
def test_a_value_that_its_vr_cannot_hold_is_malformed(attribute):
    with pytest.raises(Malformed):
        encode({"00280010": attribute}, EXPLICIT_LE, fetch=lambda _: b"")


@pytest.mark.parametrize(
    "model",
    [
        {"8": {"vr": "CS"}},
        {"0x080008": {"vr": "CS"}},
        {"00020010": {"vr": "UI", "Value": ["1.2"]}},
        {"FFFEE000": {"vr": "OB"}},
        {8: {"vr": "CS"}},
        {8: {"vr": "CS"}, "00080008": {"vr": "CS"}},
        ["00080008"],
        {"00080005": {"vr": "CS", "Value": [5]}},
        {"00080005": []},
    ],
    ids=repr,
)
@pytest.mark.parametrize("charset", ["ISO_IR 192", None])
def test_what_is_no_data_set_is_malformed(model, charset):
    with pytest.raises(Malformed):
        encode(model, EXPLICIT_LE, charset)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from(["00080005", "00280010", "0040A730", "7FE00010"]) | st.text(max_size=8),
        st.dictionaries(
            st.sampled_from(["vr", "Value", "InlineBinary", "BulkDataURI"]),
            st.sampled_from(["SQ", "US", "PN", "DS", "LO", "OW"]) | json_values,
        )
        | json_values,
    ),
    st.sampled_from(SYNTAXES),
)
def test_nonsense_is_written_or_malformed(model, syntax):
    with contextlib.suppress(Malformed, Unsupported):
        encode(model, syntax, None, fetch=lambda _: bytes(8))


def test_pixel_data_is_neither_compressed_nor_expanded():
    native = {"7FE00010": {"vr": "OW", "InlineBinary": "AAAA"}}
    jpeg = lookup("1.2.840.10008.1.2.4.50")
    with pytest.raises(Unsupported):
        encode(native, jpeg)
    frames = {"7FE00010": {"vr": "OB", "InlineBinary": b64encode(FRAGMENTS).decode()}}
    with pytest.raises(Unsupported):
        encode(frames, EXPLICIT_LE)


def test_encapsulated_pixel_data_is_written_with_undefined_length():
    # PS3.5 A.4, Table A.4-1
    frames = {"7FE00010": {"vr": "OB", "InlineBinary": b64encode(FRAGMENTS).decode()}}

    data = encode(frames, lookup("1.2.840.10008.1.2.4.50"), "")

    assert (
        data == b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff" + FRAGMENTS + b"\xfe\xff\xdd\xe0" + bytes(4)
    )


def test_deflated_data_sets_have_even_length():
    for count in range(20):
        model = {"00081030": {"vr": "LO", "Value": ["x" * count]}}
        assert len(encode(model, DEFLATED_LE)) % 2 == 0


def test_raw_values_of_a_big_endian_data_set_are_read_in_its_layout():
    scanner = Scanner(EXPLICIT_BE, frozenset({0x00280010}))
    scanner.feed(encode({"00280010": {"vr": "US", "Value": [258]}}, EXPLICIT_BE))

    assert scanner.values[0x00280010] == RawValue("US", b"\1\2")
    assert raw_to_json(scanner.values, layout=scanner.layout)["00280010"]["Value"] == [258]


def test_pydicoms_test_file_gives_pydicoms_model():
    path = pydicom.data.get_testdata_file("CT_small.dcm")
    theirs = json.loads(pydicom.dcmread(path, stop_before_pixels=True).to_json())
    with open(path, "rb") as file:
        data = file.read()
    ours = to_json(elements(data[part10.read(data).dataset_offset :], EXPLICIT_LE))

    assert ours["00100010"] == theirs["00100010"]
    assert ours["00200032"]["Value"] == theirs["00200032"]["Value"]
    assert ours["00080008"] == theirs["00080008"]
