"""The Native DICOM Model, both ways, and what a stranger may put into a document."""

import io
from base64 import b64encode

import pytest
from hypothesis import given, strategies as st

from faults_allowed import nothing_worse_than_malformed
from isocenter.dicom.xml_model import NAMESPACE, Reader, read, write
from isocenter.errors import Malformed

DOCUMENT = f'<NativeDicomModel xmlns="{NAMESPACE}">{{}}</NativeDicomModel>'


def document(content):
    return DOCUMENT.format(content).encode()


def written(model):
    """Give what is between the tags of the document."""
    text = b"".join(write(model)).decode()
    return text[text.index(">\n", text.index("<NativeDicomModel")) + 2 : text.rindex("</Native")]


anything = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
    lambda text: not set(text) & set("\\^=")
)
names = st.dictionaries(
    st.sampled_from(["Alphabetic", "Ideographic", "Phonetic"]),
    st.lists(anything, min_size=1, max_size=5).map("^".join),
    min_size=1,
)
binaries = st.binary(min_size=1).map(lambda data: b64encode(data).decode())
plain = {
    "00080008": ("CS", st.none() | anything),
    "00081030": ("LO", st.none() | anything),
    "00100010": ("PN", st.none() | names),
    "00181050": ("DS", st.sampled_from(["1.50", "-3", "1e5"])),
    "00189073": ("FD", st.floats(allow_nan=False, allow_infinity=False)),
    "00200013": ("IS", st.sampled_from(["007", "12"])),
    "00209165": ("AT", st.sampled_from(["0020000D", "00100010"])),
    "00280106": ("US", st.integers(0, 65535)),
    "00081192": ("UV", st.integers(0, 2**53)),
}


def attributes_of(vr, values):
    return st.lists(values, max_size=3).map(
        lambda found: {"vr": vr, "Value": found} if found else {"vr": vr}
    )


leaves = st.fixed_dictionaries(
    {},
    optional={key: attributes_of(vr, values) for key, (vr, values) in plain.items()}
    | {
        "00420011": st.builds(lambda data: {"vr": "OB", "InlineBinary": data}, binaries),
        "7FE00010": st.builds(
            lambda uri: {"vr": "OW", "BulkDataURI": uri},
            anything.filter(lambda text: text.isprintable()),
        ),
        "00091001": attributes_of("LO", anything),
        "00090010": st.just({"vr": "LO", "Value": ["A & <B>"]}),
        "00090011": st.just({"vr": "LO", "Value": [' "Other"\t']}),
        "00091102": attributes_of("SH", anything),
    },
).map(lambda found: dict(sorted(found.items())))
models = st.recursive(
    leaves,
    lambda inner: st.builds(
        lambda found, items: dict(sorted({**found, "0040A730": _sequence(items)}.items())),
        leaves,
        st.lists(inner, max_size=2),
    ),
    max_leaves=6,
)


def _sequence(items):
    return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}


@given(models)
def test_a_model_survives_being_written_and_read(model):
    assert read(write(model)) == model


@given(models, st.integers(1, 50))
def test_a_document_may_come_in_pieces(model, size):
    whole = b"".join(write(model))

    reader = Reader()
    for at in range(0, len(whole), size):
        reader.feed(whole[at : at + size])

    assert reader.finish() == read(whole) == read(io.BytesIO(whole))


@given(st.binary())
def test_nonsense_is_malformed(data):
    with nothing_worse_than_malformed():
        read(data)
    with nothing_worse_than_malformed():
        read(document(data.decode("latin-1")))


TAGS = st.sampled_from(
    [
        "DicomAttribute",
        "Value",
        "Item",
        "PersonName",
        "Alphabetic",
        "FamilyName",
        "BulkData",
        "InlineBinary",
        "NativeDicomModel",
        "Nonsense",
    ]
)
MARKS = st.dictionaries(
    st.sampled_from(["tag", "vr", "number", "uri", "uuid", "privateCreator", "keyword"]),
    st.sampled_from(["00080008", "00091001", "00090001", "CS", "SQ", "PN", "US", "1", "2", "x"]),
)
nodes = st.recursive(
    st.text(st.sampled_from("A1 "), max_size=3),
    lambda inner: st.builds(
        lambda tag, marks, inside: (
            f"<{tag}"
            + "".join(f' {key}="{value}"' for key, value in marks.items())
            + f">{''.join(inside)}</{tag}>"
        ),
        TAGS,
        MARKS,
        st.lists(inner, max_size=4),
    ),
    max_leaves=12,
)


@given(st.lists(nodes, max_size=4))
def test_elements_in_any_order_are_read_or_malformed(found):
    with nothing_worse_than_malformed():
        read(document("".join(found)))


def test_attributes_are_written_as_the_standard_has_them():
    # PS3.19 A.1.5, PS3.18 F.3.1
    model = {
        "00080008": {"vr": "CS", "Value": ["MPG", None, "XR3"]},
        "00081140": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2"]}}, {}]},
        "00090010": {"vr": "LO", "Value": ["ACME 1.1"]},
        "00091001": {"vr": "SS", "Value": [-1]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "SB1^SB2", "Phonetic": "PH1"}]},
        "00100030": {"vr": "DA"},
        "00209165": {"vr": "AT", "Value": ["0020000D"]},
        "7FE00010": {"vr": "OW", "BulkDataURI": "/bulk?a=1&b=2"},
    }

    assert (
        written(model)
        == """\
<DicomAttribute tag="00080008" keyword="ImageType" vr="CS">
<Value number="1">MPG</Value>
<Value number="2"></Value>
<Value number="3">XR3</Value>
</DicomAttribute>
<DicomAttribute tag="00081140" keyword="ReferencedImageSequence" vr="SQ">
<Item number="1">
<DicomAttribute tag="00081155" keyword="ReferencedSOPInstanceUID" vr="UI">
<Value number="1">1.2</Value>
</DicomAttribute>
</Item>
<Item number="2">
</Item>
</DicomAttribute>
<DicomAttribute tag="00090010" vr="LO">
<Value number="1">ACME 1.1</Value>
</DicomAttribute>
<DicomAttribute tag="00090001" privateCreator="ACME 1.1" vr="SS">
<Value number="1">-1</Value>
</DicomAttribute>
<DicomAttribute tag="00100010" keyword="PatientName" vr="PN">
<PersonName number="1">
<Alphabetic><FamilyName>SB1</FamilyName><GivenName>SB2</GivenName></Alphabetic>
<Phonetic><FamilyName>PH1</FamilyName></Phonetic>
</PersonName>
</DicomAttribute>
<DicomAttribute tag="00100030" keyword="PatientBirthDate" vr="DA"/>
<DicomAttribute tag="00209165" keyword="DimensionIndexPointer" vr="AT">
<Value number="1">0020000D</Value>
</DicomAttribute>
<DicomAttribute tag="7FE00010" keyword="PixelData" vr="OW">
<BulkData uri="/bulk?a=1&amp;b=2"/>
</DicomAttribute>
"""
    )


def test_private_attributes_get_blocks_of_their_creators():
    # PS3.18 F.3.1: tags that are there twice in XML are remapped
    found = read(
        document(
            '<DicomAttribute tag="00090001" privateCreator="B" vr="US"><Value number="1">1</Value>'
            '</DicomAttribute><DicomAttribute tag="00090001" privateCreator="C" vr="US"/>'
            '<DicomAttribute tag="00090001" privateCreator="B" vr="US"/>'
            '<DicomAttribute tag="00090010" vr="LO"><Value number="1">A</Value></DicomAttribute>'
        )
    )

    assert found == {
        "00090010": {"vr": "LO", "Value": ["A"]},
        "00090011": {"vr": "LO", "Value": ["B"]},
        "00090012": {"vr": "LO", "Value": ["C"]},
        "00090013": {"vr": "LO", "Value": ["B"]},
        "00091101": {"vr": "US", "Value": [1]},
        "00091201": {"vr": "US"},
        "00091301": {"vr": "US"},
    }


def test_line_ends_and_tabs_are_kept():
    # XML 1.0 2.11 and 3.3.3: a parser would make others of them
    model = {
        "00090010": {"vr": "LO", "Value": ["A\tB\r\nC"]},
        "00091001": {"vr": "LT", "Value": ["one\r\ntwo\rthree\nfour\t "]},
    }

    assert read(write(model)) == model


def test_a_uuid_is_a_uri_too():
    model = {"7FE00010": {"vr": "OW", "BulkDataURI": "urn:uuid:f81d4fae-7dec-11d0-a765"}}

    assert '<BulkData uuid="f81d4fae-7dec-11d0-a765"/>' in written(model)
    assert read(write(model)) == model


def test_what_has_no_vr_gets_that_of_the_dictionary():
    found = read(
        document(
            '<DicomAttribute tag="00280103"><Value number="1">1</Value></DicomAttribute>'
            '<DicomAttribute tag="00280106"><Value number="1">-5</Value></DicomAttribute>'
            '<DicomAttribute tag="00081140"><Item number="1"/></DicomAttribute>'
            '<DicomAttribute tag="00100010"><PersonName number="1"/></DicomAttribute>'
        )
    )

    assert found["00280106"] == {"vr": "SS", "Value": [-5]}
    assert found["00081140"] == {"vr": "SQ", "Value": [{}]}
    assert found["00100010"] == {"vr": "PN", "Value": [None]}


def test_values_are_in_the_order_of_their_numbers():
    found = read(
        document(
            '<DicomAttribute tag="00080008" vr="CS"><Value number="2">B</Value>'
            '<Value number="1">A</Value></DicomAttribute>'
        )
    )

    assert found == {"00080008": {"vr": "CS", "Value": ["A", "B"]}}


def test_binary_may_be_views_and_sequences_may_unfold():
    pairs = [
        ("00081140", {"vr": "SQ", "Value": iter([iter([("00080008", {"vr": "CS"})])])}),
        ("00420011", {"vr": "OB", "InlineBinary": memoryview(bytes(1 << 20))}),
    ]

    pieces = list(write(iter(pairs)))

    assert max(map(len, pieces)) < 1 << 19
    assert len(read(pieces)["00420011"]["InlineBinary"]) == 1398104


def attribute(vr, content, tag="00080008"):
    return document(f'<DicomAttribute tag="{tag}" vr="{vr}">{content}</DicomAttribute>')


BOMB = """<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><NativeDicomModel/>"""
OUTSIDE = """<!DOCTYPE x SYSTEM "file:///etc/passwd"><NativeDicomModel/>"""
DEEP = (
    '<DicomAttribute tag="00081140" vr="SQ"><Item number="1">' * 100
    + "</Item></DicomAttribute>" * 100
)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<a/>",
        b"<NativeDicomModel>",
        b"<NativeDicomModel/><NativeDicomModel/>",
        b'<NativeDicomModel xmlns="urn:other"/>',
        b'<?xml version="1.0" encoding="nonsense"?><NativeDicomModel/>',
        BOMB.encode(),
        OUTSIDE.encode(),
        document("&a;"),
        document("text"),
        document("<Value number='1'>x</Value>"),
        document("<DicomAttribute/>"),
        document('<DicomAttribute tag="8"/>'),
        document('<DicomAttribute tag="00080008" vr="ZZ"/>'),
        document('<DicomAttribute tag="00080008" vr="CS"/>' * 2),
        document('<DicomAttribute tag="00080008" privateCreator="X" vr="CS"/>'),
        document('<DicomAttribute tag="00091001" privateCreator="X" vr="CS"/>'),
        document(DEEP),
        attribute("US", '<Value number="1">x</Value>'),
        attribute("US", '<Value number="1">1.5</Value>'),
        attribute("FD", '<Value number="1">x</Value>'),
        attribute("AT", '<Value number="1">x</Value>'),
        attribute("OB", '<Value number="1">1</Value>'),
        attribute("OB", "<InlineBinary>???</InlineBinary>"),
        attribute("OB", "<BulkData/>"),
        attribute("OB", '<BulkData uri="a" uuid="b"/>'),
        attribute("OB", '<BulkData uri="a"/><BulkData uri="a"/>'),
        attribute("CS", '<Value number="1">A</Value><Value number="1">B</Value>'),
        attribute("CS", '<Value number="2">A</Value>'),
        attribute("CS", '<Value number="-1">A</Value>'),
        attribute("CS", '<Value number="99999999999">A</Value>'),
        attribute("CS", '<Item number="1"/>'),
        attribute("SQ", '<Value number="1">A</Value>'),
        attribute("PN", '<Value number="1">A</Value>'),
        attribute("PN", '<PersonName number="1">A</PersonName>'),
        attribute("LO", "<Value number='1'><b/></Value>"),
    ],
)
def test_a_document_that_is_wrong_is_malformed(data):
    with pytest.raises(Malformed):
        read(data)


def test_a_document_may_be_in_another_encoding_than_utf_8():
    text = (
        '<?xml version="1.0" encoding="{}"?>'
        + attribute("LO", '<Value number="1">Jérôme</Value>').decode()
    )

    for encoding in ("ISO-8859-1", "UTF-16", "windows-1252"):
        found = read(text.format(encoding).encode(encoding))
        assert found == {"00080008": {"vr": "LO", "Value": ["Jérôme"]}}


@pytest.mark.parametrize("junk", [b"<!--", b"<DicomAttribute tag='", b"<?pi "], ids=repr)
def test_a_tag_without_end_is_given_up_early(junk):
    reader = Reader()
    reader.feed(b"<NativeDicomModel>" + junk)

    with pytest.raises(Malformed, match="too long"):
        reader.feed(bytes([0x20]) * (40 << 16))


def test_a_document_beyond_the_limit_is_given_up():
    reader = Reader(largest=1000)

    with pytest.raises(Malformed, match="larger"):
        reader.feed(b"<NativeDicomModel>" + bytes([0x20]) * 1000)


@pytest.mark.parametrize(
    "model",
    [
        {"x": {"vr": "CS"}},
        {"00080008": {}},
        {"00080008": {"vr": "CS", "Value": [5]}},
        {"00080008": {"vr": "SQ", "Value": ["x"]}},
        {"00100010": {"vr": "PN", "Value": ["x"]}},
        {"00080008": {"vr": "OB", "BulkDataURI": "\0"}},
        {"00080008": None},
    ],
)
def test_what_is_no_model_is_not_written(model):
    with pytest.raises(Malformed):
        list(write(model))
