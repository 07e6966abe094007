"""Specific Character Set, by the examples of PS3.5 Annexes H, I, J and K."""

import pytest
from hypothesis import given, strategies as st
from pydicom.charset import python_encoding

from isocenter.dicom import charset

EXAMPLES = [
    # PS3.5 H.3.1
    (
        "\\ISO 2022 IR 87",
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ),
    # PS3.5 H.3.2
    (
        "ISO 2022 IR 13\\ISO 2022 IR 87",
        (
            b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J"
            b"=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J"
        ),
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    ),
    # PS3.5 I.2
    (
        "\\ISO 2022 IR 149",
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        "Hong^Gildong=洪^吉洞=홍^길동",
    ),
    # PS3.5 J.3
    ("GB18030", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", "Wang^XiaoDong=王^小东="),
    # PS3.5 K.2
    (
        "\\ISO 2022 IR 58",
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
        "Zhang^XiaoDong=张^小东=",
    ),
    ("ISO_IR 100", b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
    ("ISO_IR 101", b"Wa\xb3\xeasa", "Wałęsa"),
    ("ISO_IR 144", b"\xbb\xee\xda\xdc\xd5\xdd", "Люкмен"),
    ("ISO_IR 192", "Jérôme 王".encode(), "Jérôme 王"),
]


@pytest.mark.parametrize(("terms", "encoded", "text"), EXAMPLES)
def test_the_standards_examples_are_decoded(terms, encoded, text):
    assert charset.of_value(terms.encode()).decode(encoded) == text


@pytest.mark.parametrize(("terms", "encoded", "text"), EXAMPLES)
def test_the_standards_examples_are_encoded_byte_by_byte(terms, encoded, text):
    assert charset.of_value(terms.encode()).encode(text) == encoded


@given(st.lists(st.sampled_from([*python_encoding, "ISO_IR 999"]), max_size=3), st.binary())
def test_no_bytes_make_decoding_fail(terms, value):
    charset.of_value("\\".join(terms).encode()).decode(value)


@given(st.binary(max_size=40))
def test_no_character_set_makes_decoding_fail(terms):
    assert charset.of_value(terms).decode(b"abc") == "abc"


@given(st.lists(st.sampled_from([*python_encoding]), max_size=3), st.text())
def test_what_can_be_encoded_is_decoded_to_the_same(terms, text):
    known = charset.of_value("\\".join(terms).encode())

    encoded = known.encode(text)

    # Control characters are no part of any repertoire; an escape would be one sent by the peer.
    if encoded is not None and "\x1b" not in text:
        assert known.decode(encoded) == text


def test_what_cannot_be_expressed_is_not_encoded():
    assert charset.of_terms("ISO_IR 100").encode("王") is None
    assert charset.DEFAULT.encode("é") is None
    assert charset.of_terms("ISO_IR 6").encode("é") is None


@pytest.mark.parametrize("term", ["ISO-IR 144", "ISO 2022-IR 144", "ISO_IR 144 "])
def test_misspelt_terms_are_understood(term):
    assert charset.of_value(term.encode()).decode(b"\xbb") == "Л"


def test_a_delimiter_leads_back_to_the_first_character_set():
    # PS3.5 6.1.2.5.3
    greek_then_latin = charset.of_terms("ISO 2022 IR 100", "ISO 2022 IR 126")

    assert greek_then_latin.decode(b"\x1b-F\xe1^\xe1") == "\N{GREEK SMALL LETTER ALPHA}^á"
