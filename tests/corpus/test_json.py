"""The DICOM JSON model of every file of the corpus, beside pydicom's, and back again."""

import json
import logging
import warnings
from array import array
from base64 import b64decode, b64encode

import pydicom
import pytest

from corpus_files import REASON, ROOT, name, paths
from isocenter.dicom import part10
from isocenter.dicom.elements import elements
from isocenter.dicom.encoding import encode
from isocenter.dicom.json_model import to_json
from isocenter.dicom.syntax import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE
from isocenter.errors import Malformed, Unsupported

pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason=REASON)

FILES = paths()
# pydicom takes the DICM of the data for a prefix, and reads nonsense behind it.
MISREAD_BY_PYDICOM = {"malformed/no-preamble-dicm-in-data.dcm"}
# The transfer syntax says otherwise than the pixel data.
MISLABELLED = {
    ROOT / "malformed/no-header-explicit.dcm",
    ROOT / "malformed/wrong-transfer-syntax-jpegls-ct.dcm",
}


def opened(path):
    data = path.read_bytes()
    header = part10.read(data)
    return header.syntax, memoryview(data)[header.dataset_offset :]


def read_by_pydicom(path):
    """Give pydicom's data set, or None for what it cannot read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return pydicom.dcmread(path, force=True)
        except Exception:  # whatever pydicom raises for nonsense
            return None


def values(attribute):
    return attribute.get("Value", [])


def are_all(rule, ours, theirs):
    """Tell whether there are as many values here as there, and the rule holds of all of them."""
    if ours["vr"] != theirs["vr"] or len(values(ours)) != len(values(theirs)):
        return False
    found = list(zip(values(ours), values(theirs), strict=True))
    return bool(found) and all(rule(our, their) for our, their in found)


def is_character_set(tag, ours, theirs, dataset):
    return tag == "00080005" and values(ours) == ["ISO_IR 192"] != values(theirs)


def are_spaces(tag, ours, theirs, dataset):
    # PS3.5 Table 6.2-1: in these, leading spaces mean nothing.
    return ours["vr"] in ("CS", "LO", "SH") and are_all(
        lambda our, their: our == their.strip(" "), ours, theirs
    )


def is_empty(tag, ours, theirs, dataset):
    return are_all(lambda our, their: our == their or (our is None and their == ""), ours, theirs)


def is_byte_order(tag, ours, theirs, dataset):
    if dataset.is_little_endian or ours["vr"] != "OW":
        return False
    # Pixels of 32 bits are whole words to pydicom, when it makes them an array.
    is_wide = tag == "7FE00010" and dataset.get("BitsAllocated") == 32
    words = array("I" if is_wide else "H", b64decode(ours["InlineBinary"]))
    words.byteswap()
    return theirs == {"vr": "OW", "InlineBinary": b64encode(words.tobytes()).decode()}


def is_no_integer(tag, ours, theirs, dataset):
    def is_cut(our, their):
        return our == their or (isinstance(our, str) and "." in our and int(float(our)) == their)

    return ours["vr"] == "IS" and are_all(is_cut, ours, theirs)


def is_undecided_vr(tag, ours, theirs, dataset):
    return theirs["vr"] == "OB or OW" and ours == {**theirs, "vr": "OW"}


def is_one_tag_too_short(tag, ours, theirs, dataset):
    return ours["vr"] == "UN" and len(b64decode(ours["InlineBinary"])) < 4 and theirs["vr"] == "AT"


def is_a_fourth_group(tag, ours, theirs, dataset):
    def is_cut(our, their):
        phonetic, _, _ = our["Phonetic"].partition("=")
        return {**our, "Phonetic": phonetic} == their

    return ours["vr"] == "PN" and are_all(is_cut, ours, theirs)


DIFFERENCES = {
    "the text of the model is in UTF-8, and Specific Character Set says so": is_character_set,
    "an empty value among others is null (PS3.18 F.2.5)": is_empty,
    "spaces that mean nothing are left out": are_spaces,
    "binary is little endian (PS3.18 8.7.3.3.1); pydicom leaves big endian": is_byte_order,
    "an IS with a fraction stays text; pydicom cuts the fraction off": is_no_integer,
    "what pydicom leaves as OB or OW is OW in implicit VR (PS3.5 A.1)": is_undecided_vr,
    "an AT of two bytes is kept as UN; pydicom drops it": is_one_tag_too_short,
    "a fourth component group of a name is kept; pydicom drops it": is_a_fourth_group,
}
# pydicom finds a second, empty item in an icon whose fragments have no delimiter.
ITEM_TOO_MANY = ("images/pt/pt-siemens-jpeg-lossless.dcm", "00091010")


def differences(model, dataset, where):
    theirs = {f"{tag:08X}": tag for tag in dataset.keys() if tag.elem}  # noqa: SIM118
    for tag in sorted(set(model) | set(theirs)):
        here = f"{where} {tag}"
        ours = model.get(tag)
        try:
            element = dataset[theirs[tag]]
            is_sequence = element.VR == "SQ"
            their = None if is_sequence else element.to_json_dict(None, 0)
        except KeyError:
            yield f"{here}: pydicom has none"
            continue
        except Exception:  # what pydicom cannot decode it cannot tell us
            if ours is None:
                yield f"{here}: we have none"
            continue
        if (where, tag) == ITEM_TOO_MANY or (ours is None and is_of_an_item(tag, where)):
            continue
        if ours is None:
            yield f"{here}: we have none"
        elif is_sequence:
            yield from item_differences(ours, element.value, here)
        elif ours != their and not is_listed(tag, ours, their, dataset):
            yield f"{here}: {ours}, not {their}"


def item_differences(ours, theirs, here):
    items = values(ours)
    if ours["vr"] != "SQ" or len(items) != len(theirs):
        yield f"{here}: {len(items)} items, not {len(theirs)}"
        return
    for number, (item, their) in enumerate(zip(items, theirs, strict=True)):
        yield from differences(item, their, f"{here}[{number}]")


def is_of_an_item(tag, where):
    """Tell the character set of an item: the model's text is in UTF-8, whatever that was."""
    return tag == "00080005" and where.endswith("]")


def is_listed(tag, ours, theirs, dataset):
    return any(rule(tag, ours, theirs, dataset) for rule in DIFFERENCES.values())


@pytest.mark.parametrize("path", FILES, ids=name)
def test_its_model_is_that_of_pydicom(path):
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    dataset = read_by_pydicom(path)
    if dataset is None or name(path) in MISREAD_BY_PYDICOM:
        return

    try:
        syntax, data = opened(path)
        model = to_json(elements(data, syntax))
    except Malformed as fault:
        is_expected = name(path).startswith("malformed/") or path.name == "DICOMDIR-nooffset"
        if not is_expected or fault.offset is None:
            raise
    else:
        assert not list(differences(model, dataset, name(path)))
        assert json.loads(json.dumps(model, allow_nan=False)) == model


def read(path):
    """Give a file's syntax, data set and model; skip one that cannot be read."""
    try:
        syntax, data = opened(path)
        return syntax, data, to_json(elements(data, syntax))
    except Malformed:
        pytest.skip("cannot be read")


def as_written(model):
    """Give a model with what has a standard length: binary is even, a DS has 16 characters."""
    return {tag: _as_written(attribute) for tag, attribute in model.items()}


def _as_written(attribute):
    if attribute["vr"] == "SQ" and values(attribute):
        return {"vr": "SQ", "Value": [as_written(item) for item in values(attribute)]}
    if attribute["vr"] == "DS":
        found = [
            float(f"{each:.13g}") if isinstance(each, float) else each for each in values(attribute)
        ]
        return {"vr": "DS", "Value": found}
    if data := attribute.get("InlineBinary"):
        binary = b64decode(data)
        return {**attribute, "InlineBinary": b64encode(binary + bytes(len(binary) % 2)).decode()}
    return attribute


def _sixteen(value):
    """Give a number in the 13 digits that any DS holds, whatever its sign and exponent."""
    return float(f"{value:.13g}") if isinstance(value, float) else value


@pytest.mark.parametrize("path", FILES, ids=name)
def test_the_model_survives_being_written(path):
    syntax, _, model = read(path)

    # Implicit VR has no way to say a VR that is not in the dictionary.
    for target in {syntax, EXPLICIT_LE, EXPLICIT_BE} - {IMPLICIT_LE}:
        try:
            data = encode(model, target, None)
        except Unsupported:
            assert syntax.is_encapsulated != target.is_encapsulated or path in MISLABELLED
        else:
            assert as_written(to_json(elements(data, target))) == as_written(model)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_the_model_of_implicit_vr_survives_being_written(path):
    syntax, _, model = read(path)
    if syntax.is_encapsulated or path in MISLABELLED:
        pytest.skip("pixel data is compressed")
    read_back = to_json(elements(encode(model, IMPLICIT_LE, None), IMPLICIT_LE))

    again = encode(read_back, IMPLICIT_LE, None)

    assert to_json(elements(again, IMPLICIT_LE)) == read_back
