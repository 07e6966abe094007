"""The DICOM JSON model, both ways."""

import io
import json
import math
from base64 import b64encode

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset

from isocenter.dicom import part10
from isocenter.dicom.decimals import decimal_string
from isocenter.dicom.elements import elements
from isocenter.dicom.encoding import encode
from isocenter.dicom.json_model import attribute, raw_to_json, to_json
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
        {"vr": "AT", "Value": ["100100020"]},
    ],
)
def test_a_value_that_its_vr_cannot_hold_is_malformed(attribute):
    with pytest.raises(Malformed):
        encode({"00280010": attribute}, EXPLICIT_LE)


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


@given(st.floats(-1e300, 1e300))
def test_a_decimal_string_has_no_more_than_sixteen_characters(value):
    written = decimal_string(value)

    assert len(written) <= 16
    assert float(written) == pytest.approx(value, rel=1e-8)


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
