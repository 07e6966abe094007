"""The Native DICOM Model of every file of the corpus, beside DCMTK's, and back again."""

import json

import pytest

from corpus_files import REASON, ROOT, name, paths
from isocenter.dicom import part10, xml_model
from isocenter.dicom.decimals import number
from isocenter.dicom.elements import elements
from isocenter.dicom.json_model import to_json, unfolding
from isocenter.errors import Malformed

pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason=REASON)

FILES = paths()
# What DCMTK reads otherwise, or writes so that no XML parser reads it.
OTHERWISE_IN_DCMTK = {
    # It believes the group length, and loses the data set.
    "malformed/derived/meta-group-length-too-large.dcm",
    # The last of two elements of one tag counts for us and pydicom, the first for it.
    "malformed/duplicate-elements.dcm",
    # Control characters, which XML 1.0 does not have.
    "images/xa-rf/xa-minimal-512.dcm",
    "malformed/derived/patient-id-sql-and-control.dcm",
    # Private elements without a creator: it drops their block all the same, so they may collide.
    "images/mr/mr-philips-jpeg-lossless.dcm",
    "images/pt/pt-siemens-jpeg-lossless.dcm",
    "malformed/dx-with-un-vr.dcm",
    "malformed/un-sequence.dcm",
    "waveforms/ecg-12lead-mortara.dcm",
    # It takes the space out of a UID of words.
    "images/ct/ct-8bit-sc-abdomen-fuji.dcm",
}


NATIVE = ("--native-format", "--use-xml-namespace", "--convert-to-utf8")


def opened(path):
    """Give a function that walks a file's elements; skip a file that cannot be read."""
    try:
        data = path.read_bytes()
        header = part10.read(data)
        body = memoryview(data)[header.dataset_offset :]
        to_json(elements(body, header.syntax))
    except Malformed:
        pytest.skip("cannot be read")
    return lambda: elements(body, header.syntax)


def numbered(model):
    """Give a model with DS and IS as numbers where they are: XML keeps them as text."""
    return json.loads(json.dumps(model), object_hook=_numbered)


def _numbered(found):
    if found.get("vr") in ("DS", "IS") and "Value" in found:
        return {**found, "Value": [_number(each) for each in found["Value"]]}
    return found


def _number(value):
    """Give a number in the 13 digits that any DS holds, whatever its sign and exponent."""
    found = number(value) if isinstance(value, str) else value
    return found if isinstance(found, str | None) else float(f"{found:.13g}")


@pytest.mark.parametrize("path", FILES, ids=name)
def test_the_model_survives_being_written_as_xml(path):
    walk = opened(path)
    model = to_json(walk())

    back = xml_model.read(xml_model.write(model))
    exact = xml_model.read(xml_model.write(unfolding(walk(), is_exact=True)))

    assert numbered(back) == numbered(model)
    assert numbered(exact) == numbered(model)


def differences(ours, theirs, where):
    for tag in sorted(set(ours) | set(theirs)):
        here, our, their = f"{where} {tag}", ours.get(tag), theirs.get(tag)
        if tag == "00080005":
            continue  # DCMTK says UTF-8 even where there was nothing to convert
        if our is None or their is None:
            yield f"{here}: {our}, not {their}"
        elif our["vr"] == their["vr"] == "SQ":
            items, others = our.get("Value", []), their.get("Value", [])
            if len(items) != len(others):
                yield f"{here}: {len(items)} items, not {len(others)}"
            for number, (item, other) in enumerate(zip(items, others, strict=False)):
                yield from differences(item, other, f"{here}[{number}]")
        elif not is_same(our, their):
            yield f"{here}: {our}, not {their}"


def is_same(our, their):
    if their["vr"] == "UN" or {our["vr"], their["vr"]} == {"OB", "OW"} or our["vr"] == "UN":
        return True  # DCMTK leaves UN as it is, and calls what could be both OB
    if our["vr"] == "PN":
        return _names(our) == _names(their)
    if our["vr"] in ("FL", "FD"):
        return _are_close(our, their)
    if "BulkDataURI" in their:
        return our["vr"] == their["vr"] and "InlineBinary" in our
    return our == their


def _names(attribute):
    """Without a name of nothing but carets, and DCMTK's third group, which repeats the second."""
    names = [dict(each or {}) for each in attribute.get("Value", [])]
    for each in names:
        if each.get("Phonetic") == each.get("Ideographic"):
            each.pop("Phonetic", None)
    found = [{key: text.rstrip("^") for key, text in each.items()} for each in names]
    found = [{key: text for key, text in each.items() if text} for each in found]
    return [each for each in found if each]


def _are_close(our, their):
    """DCMTK writes nine digits of an FL, and the last ones of an FD are wrong at times."""
    tolerance = 1e-7 if our["vr"] == "FL" else 1e-14
    return our["vr"] == their["vr"] and [float(each) for each in our.get("Value", [])] == [
        pytest.approx(float(each), rel=tolerance, abs=0, nan_ok=True)
        for each in their.get("Value", [])
    ]


@pytest.mark.parametrize("path", FILES, ids=name)
def test_it_holds_what_dcmtk_writes(path, dcmtk, tmp_path):
    walk = opened(path)
    if name(path) in OTHERWISE_IN_DCMTK:
        pytest.skip("DCMTK reads it otherwise")
    written = tmp_path / "native.xml"
    dcmtk("dcm2xml", *NATIVE, path, written, expect=None)
    theirs = written.read_bytes() if written.exists() else b""
    if not theirs.rstrip().endswith(b"</NativeDicomModel>"):
        pytest.skip("DCMTK cannot read it, or not convert its character set")

    ours = xml_model.read(xml_model.write(unfolding(walk(), is_exact=True)))

    assert not list(differences(ours, xml_model.read(theirs), name(path)))
