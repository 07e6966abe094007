"""ICC profiles: those the standard names, and colours from one to another (PS3.3 C.11.15)."""

import io
from functools import cache
from struct import Struct, pack
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow, ImageCms

from isocenter.errors import Malformed

Bytes = NDArray[np.uint8]

SRGB, ADOBE_RGB, ROMM_RGB = "srgb", "adobergb", "rommrgb"
NAMES: Final = (SRGB, ADOBE_RGB, ROMM_RGB)

_D50: Final = (0.9642, 1.0, 0.8249)
# Red, green and blue in XYZ relative to D50, and the exponent. Sources: Adobe RGB (1998) Color
# Image Encoding 4.3.1, adapted after Bradford; ISO 22028-2, whose linear toe is too short to be
# seen.
_MATRICES: Final = {
    ADOBE_RGB: (
        "Adobe RGB (1998) compatible",
        ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)),
        2.19921875,
    ),
    ROMM_RGB: (
        "ROMM RGB compatible",
        ((0.7977, 0.2880, 0.0), (0.1352, 0.7119, 0.0), (0.0313, 0.0001, 0.8249)),
        1.8,
    ),
}
_HEADER: Final = Struct(">I4s4s4s4s4s12s4s4sI4s4sQI12s4s44s")
_ENTRY: Final = Struct(">4sII")


@cache
def named(name: str) -> bytes:
    """Give the profile of a colour space that the standard names."""
    if name == SRGB:
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return _written(*_MATRICES[name])


def converted(picture: Bytes, source: bytes, name: str) -> Bytes:
    """Take ``(rows, columns, 3)`` from a profile to a colour space by name.

    Raises: Malformed, for a profile that is none of RGB.
    """
    if not source:
        if name == SRGB:
            return picture
        source = named(SRGB)
    try:
        transformed = ImageCms.profileToProfile(
            Pillow.fromarray(picture),
            ImageCms.ImageCmsProfile(io.BytesIO(source)),
            ImageCms.ImageCmsProfile(io.BytesIO(named(name))),
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
        )
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        raise Malformed("the image's ICC profile cannot be used") from error
    return np.asarray(transformed)


def _written(name: str, colours: tuple[tuple[float, float, float], ...], exponent: float) -> bytes:
    """Write a profile of three colours and an exponent (ISO 15076-1 7, 8.4.3; version 2)."""
    text = name.encode() + b"\0"
    described = b"desc\0\0\0\0" + pack(">I", len(text)) + text + bytes(4 + 4 + 2 + 1 + 67)
    curve = b"curv\0\0\0\0" + pack(">IH", 1, round(exponent * 256)) + b"\0\0"
    tags = [
        (b"desc", described),
        (b"cprt", b"text\0\0\0\0Public domain\0"),
        (b"wtpt", _xyz(_D50)),
        *zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(_xyz, colours), strict=True),
        *((tag, curve) for tag in (b"rTRC", b"gTRC", b"bTRC")),
    ]
    at = _HEADER.size + 4 + _ENTRY.size * len(tags)
    table, data = [pack(">I", len(tags))], []
    for tag, content in tags:
        padded = content + bytes(-len(content) % 4)
        table.append(_ENTRY.pack(tag, at, len(content)))
        data.append(padded)
        at += len(padded)
    made = pack(">6H", 2000, 1, 1, 0, 0, 0)
    kind = (b"mntr", b"RGB ", b"XYZ ", made, b"acsp")
    rest = (bytes(4), 0, bytes(4), bytes(4), 0, 0, _xyz(_D50)[8:], bytes(4), bytes(44))
    version = pack(">I", 0x02100000)
    return _HEADER.pack(at, bytes(4), version, *kind, *rest) + b"".join((*table, *data))


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + pack(">3i", *(round(each * 65536) for each in values))
