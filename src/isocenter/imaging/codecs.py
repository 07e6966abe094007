"""Which transfer syntaxes can be decoded and encoded, and by what.

The one table of it: transcoding, negotiation and the reference page are drawn from it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Final

from isocenter.errors import Unsupported
from isocenter.imaging import deflated, jpeg, jpeg_2000, jpeg_ls, jpeg_xl, native, rle
from isocenter.imaging.native import SHARED_CHROMA, Buffer, Pixels
from isocenter.imaging.pixel_format import PixelFormat

Decode = Callable[[Buffer, PixelFormat], Pixels]
Encode = Callable[[Pixels, PixelFormat], bytes]


@dataclass(frozen=True, slots=True)
class Library:
    """Who does the work."""

    name: str
    licence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """What is done with the frames of one transfer syntax."""

    library: Library
    decode: Decode | None = None
    encode: Encode | None = None
    is_lossy: bool = False
    """Whether ``encode`` loses something."""
    method: str = ""
    """Lossy Image Compression Method (PS3.3 C.7.6.1.1.5.1)."""
    decoded_colours: Mapping[str, str] = field(default_factory=dict)
    """Photometric Interpretation after decoding, where it is another than before."""
    encoded_colours: Mapping[str, str] = field(default_factory=dict)
    """Photometric Interpretation after encoding, where it is another than before."""


_JPEG_2000_DECODED: Final = {"YBR_RCT": "RGB", "YBR_ICT": "RGB"}
_RLE: Final = Library("pylibjpeg-rle", "MIT")
_OURS: Final = Library("Isocenter", "Apache-2.0")
_TURBO: Final = Library("imagecodecs (libjpeg-turbo)", "BSD-3-Clause")
_CHARLS: Final = Library("imagecodecs (CharLS)", "BSD-3-Clause")
_OPENJPEG: Final = Library("imagecodecs (OpenJPEG)", "BSD-2-Clause")
_OPENJPH: Final = Library("imagecodecs (OpenJPH, OpenJPEG)", "BSD-2-Clause")
_LIBJXL: Final = Library("imagecodecs (libjxl)", "BSD-3-Clause")


def _native(data: Buffer, form: PixelFormat) -> Pixels:
    return native.decode(data, form)


_NATIVE: Final = Codec(library=_OURS, decode=_native, encode=native.encode)

CODECS: Final[Mapping[str, Codec]] = MappingProxyType(
    {
        "1.2.840.10008.1.2": _NATIVE,
        "1.2.840.10008.1.2.1": _NATIVE,
        "1.2.840.10008.1.2.1.99": _NATIVE,
        "1.2.840.10008.1.2.2": Codec(
            library=_OURS, decode=partial(native.decode, is_big_endian=True), encode=native.encode
        ),
        "1.2.840.10008.1.2.5": Codec(library=_RLE, decode=rle.decode, encode=rle.encode),
        "1.2.840.10008.1.2.8.1": Codec(
            library=_OURS, decode=deflated.decode, encode=deflated.encode
        ),
        "1.2.840.10008.1.2.4.50": Codec(
            library=_TURBO,
            decode=jpeg.decode,
            encode=jpeg.encode_baseline,
            is_lossy=True,
            method="ISO_10918_1",
            decoded_colours=SHARED_CHROMA,
            encoded_colours={"RGB": "YBR_FULL_422"},
        ),
        **{
            f"1.2.840.10008.1.2.4.{process}": Codec(
                library=_TURBO, decode=jpeg.decode, decoded_colours=SHARED_CHROMA
            )
            for process in (51, 53, 55, 57)
        },
        "1.2.840.10008.1.2.4.70": Codec(
            library=_TURBO,
            decode=jpeg.decode,
            encode=jpeg.encode_lossless,
            decoded_colours=SHARED_CHROMA,
        ),
        "1.2.840.10008.1.2.4.80": Codec(
            library=_CHARLS, decode=jpeg_ls.decode, encode=jpeg_ls.encode
        ),
        "1.2.840.10008.1.2.4.81": Codec(
            library=_CHARLS,
            decode=jpeg_ls.decode,
            encode=partial(jpeg_ls.encode, allowed_error=2),
            is_lossy=True,
            method="ISO_14495_1",
        ),
        "1.2.840.10008.1.2.4.90": Codec(
            library=_OPENJPEG,
            decode=jpeg_2000.decode,
            encode=jpeg_2000.encode_lossless,
            decoded_colours=_JPEG_2000_DECODED,
            encoded_colours={"RGB": "YBR_RCT"},
        ),
        "1.2.840.10008.1.2.4.91": Codec(
            library=_OPENJPEG,
            decode=jpeg_2000.decode,
            encode=jpeg_2000.encode_lossy,
            is_lossy=True,
            method="ISO_15444_1",
            decoded_colours=_JPEG_2000_DECODED,
            encoded_colours={"RGB": "YBR_ICT"},
        ),
        "1.2.840.10008.1.2.4.201": Codec(
            library=_OPENJPH,
            decode=jpeg_2000.decode_high_throughput,
            encode=jpeg_2000.encode_high_throughput,
            decoded_colours=_JPEG_2000_DECODED,
            encoded_colours={"RGB": "YBR_RCT"},
        ),
        "1.2.840.10008.1.2.4.202": Codec(
            library=_OPENJPH,
            decode=jpeg_2000.decode_high_throughput,
            encode=jpeg_2000.encode_progressive,
            decoded_colours=_JPEG_2000_DECODED,
            encoded_colours={"RGB": "YBR_RCT"},
        ),
        "1.2.840.10008.1.2.4.203": Codec(
            library=_OPENJPH,
            decode=jpeg_2000.decode_high_throughput,
            encode=jpeg_2000.encode_high_throughput_lossy,
            is_lossy=True,
            method="ISO_15444_15",
            decoded_colours=_JPEG_2000_DECODED,
            encoded_colours={"RGB": "YBR_ICT"},
        ),
        "1.2.840.10008.1.2.4.110": Codec(
            library=_LIBJXL, decode=jpeg_xl.decode, encode=jpeg_xl.encode
        ),
        "1.2.840.10008.1.2.4.111": Codec(
            library=_LIBJXL, decode=jpeg_xl.decode_recompressed, decoded_colours=SHARED_CHROMA
        ),
        "1.2.840.10008.1.2.4.112": Codec(
            library=_LIBJXL, decode=jpeg_xl.decode, decoded_colours={"XYB": "RGB"}
        ),
    }
)


WHOLE_CELLS: Final = frozenset(
    {"1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.8.1"}
)
"""Those that keep whole cells, wherever the bits stored lie in them (PS3.5 8.1.1)."""


def codec(transfer_syntax: str) -> Codec:
    """Give the codec. Raises: Unsupported."""
    found = CODECS.get(transfer_syntax)
    if found is None:
        raise Unsupported(f"there is no codec for transfer syntax {transfer_syntax}")
    return found
