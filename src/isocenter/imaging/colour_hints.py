"""What the colours of a decoded frame are, where its stream knows better than its attributes.

Photometric Interpretation is often that of before the compression. What decoders undo, and what the
marks within a stream promise, decides for display; transcoding goes by the attributes alone.
"""

import re
from typing import Final

from isocenter.imaging import codestream
from isocenter.imaging.codecs import codec
from isocenter.imaging.codestream import Codestream
from isocenter.imaging.native import Buffer

_JPEG: Final = re.compile(r"1\.2\.840\.10008\.1\.2\.4\.(5\d|6\d|70)")
_JPEG_2000: Final = re.compile(r"1\.2\.840\.10008\.1\.2\.4\.(9[01]|20[123])")
_ADOBE_RGB, _ADOBE_YCC = 0, 1


def photometric(frame: Buffer, syntax: str, named: str) -> str:
    """Give the Photometric Interpretation of a frame once it is decoded. Raises: Malformed."""
    if _JPEG.fullmatch(syntax) and named not in ("PALETTE COLOR", "CMYK"):
        return _of_jpeg(codestream.jpeg(frame), named)
    if _JPEG_2000.fullmatch(syntax) and named in ("YBR_ICT", "YBR_RCT"):
        # Peer quirk: LEAD writes YBR_ICT for components that are YCbCr before the compression.
        is_undone = codestream.jpeg_2000(frame).is_colour_transformed
        return "RGB" if is_undone else "YBR_FULL"
    return codec(syntax).decoded_colours.get(named, named)


def _of_jpeg(stream: Codestream, named: str) -> str:
    if stream.components != 3:
        return named
    # Peer quirk: LEAD and others write RGB for streams that are YCbCr by their own marks.
    if stream.has_adobe == _ADOBE_YCC or (stream.has_jfif and stream.has_adobe != _ADOBE_RGB):
        return "YBR_FULL" if not named.startswith("YBR_PARTIAL") else named
    if stream.has_adobe == _ADOBE_RGB:
        return "RGB"
    return "YBR_FULL" if named == "YBR_FULL_422" else named
