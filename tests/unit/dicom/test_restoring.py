"""Files made of models: what is no model, and what a file's name may be."""

import io

import pytest
from hypothesis import given, strategies as st

from isocenter.dicom.restoring import read_models, sop_instance_of, syntax_named, syntax_of
from isocenter.errors import Malformed, Unsupported


@given(st.sampled_from([b"", b"{", b"[", b"<", b"\xff\xfe", b" \n{"]), st.binary())
def test_nonsense_is_read_or_malformed(start, data):
    try:
        models = list(read_models(io.BytesIO(start + data)))
    except Malformed:
        return
    assert all(isinstance(model, dict) for model in models)


def test_both_models_are_told_by_their_first_character():
    model = {"00080060": {"vr": "CS", "Value": ["CT"]}}
    text = '{"00080060": {"vr": "CS", "Value": ["CT"]}}'
    xml = (
        '<NativeDicomModel><DicomAttribute tag="00080060" vr="CS"><Value number="1">CT</Value>'
        "</DicomAttribute></NativeDicomModel>"
    )

    for data in (text, f" {text}", f"[{text}]", f"\ufeff{text}", xml, f"\n{xml}", f"\ufeff{xml}"):
        assert list(read_models(io.BytesIO(data.encode()))) == [model]
    assert list(read_models(io.BytesIO(xml.encode("utf-16")))) == [model]
    assert list(read_models(io.BytesIO(b"[]"))) == []


def test_models_nested_deep_are_malformed():
    for data in (b"[" * 100_000, b'{"a":' * 100_000):
        with pytest.raises(Malformed):
            read_models(io.BytesIO(data))


def test_transfer_syntaxes_have_uids_and_names():
    assert syntax_named("1.2.840.10008.1.2").is_implicit
    assert syntax_named("Implicit VR Little Endian").is_implicit
    assert syntax_named("1.2.3").uid == "1.2.3"
    with pytest.raises(Unsupported):
        syntax_named("JPEG 3000")
    assert syntax_of({}).name == "Explicit VR Little Endian"
    assert syntax_of({"00020010": {"vr": "UI", "Value": [7]}}).name == "Explicit VR Little Endian"


def test_only_a_uid_names_a_file():
    assert sop_instance_of({"00080018": {"vr": "UI", "Value": ["1.2.3"]}}) == "1.2.3"
    for wrong in ("", "..", "1/2", "a", "1" * 65, None):
        with pytest.raises(Malformed):
            sop_instance_of({"00080018": {"vr": "UI", "Value": [wrong]}})
