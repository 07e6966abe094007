"""What Python calls the character sets that DICOM has (PS3.3 Tables C.12-2 to C.12-5)."""

from typing import Final

DEFAULT: Final = "iso8859"
"""ISO 646 is a part of it; what is beyond ought not be there, and is read as Latin-1."""

_SINGLE: Final = {
    100: ("latin_1", b"\x1b-A"),
    101: ("iso8859_2", b"\x1b-B"),
    109: ("iso8859_3", b"\x1b-C"),
    110: ("iso8859_4", b"\x1b-D"),
    126: ("iso_ir_126", b"\x1b-F"),  # Greek
    127: ("iso_ir_127", b"\x1b-G"),  # Arabic
    138: ("iso_ir_138", b"\x1b-H"),  # Hebrew
    144: ("iso_ir_144", b"\x1b-L"),  # Cyrillic
    148: ("iso_ir_148", b"\x1b-M"),  # Latin 5
    166: ("iso_ir_166", b"\x1b-T"),  # Thai
    203: ("iso8859_15", b"\x1b-b"),  # Latin 9
}
"""By ISO registration number: the codec, and what switches to it. With and without extensions."""

_EXTENDING: Final = {
    58: ("iso_ir_58", b"\x1b$)A"),
    87: ("iso2022_jp", b"\x1b$B"),
    149: ("euc_kr", b"\x1b$)C"),
    159: ("iso2022_jp_2", b"\x1b$(D"),
}
"""Of several bytes: only as extensions."""

ALONE: Final = {"ISO_IR 192": "UTF8", "GB18030": "GB18030", "GBK": "GBK"}
"""Neither extended nor extensions."""

ENCODINGS: Final = {
    "": DEFAULT,
    "ISO_IR 6": DEFAULT,
    "ISO 2022 IR 6": DEFAULT,
    "ISO_IR 13": "shift_jis",
    "ISO 2022 IR 13": "shift_jis",
    **{f"ISO_IR {number}": codec for number, (codec, _) in _SINGLE.items()},
    **{f"ISO 2022 IR {number}": codec for number, (codec, _) in (_SINGLE | _EXTENDING).items()},
    **ALONE,
    # Peer quirk: these were written before they were settled.
    "ISO 2022 GBK": "GBK",
    "ISO 2022 58": "GB2312",
}
"""Codecs by defined term."""

ENCODINGS_BY_ESCAPE: Final = {
    b"\x1b(B": DEFAULT,
    b"\x1b(J": "shift_jis",  # romaji: the codec knows both halves
    b"\x1b)I": "shift_jis",
    **{escape: codec for codec, escape in (_SINGLE | _EXTENDING).values()},
}
"""Codecs by the escape sequence that switches to them."""
