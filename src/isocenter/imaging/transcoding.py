"""What becomes of pixels and of what is said of them, from one transfer syntax to another.

``conversion`` says what is done to each frame, ``converted`` does it, ``edits`` gives the
attributes that change with it. Nothing here knows where the bytes come from.

Source: PS3.3 C.7.6.1.1.2, C.7.6.1.1.3, C.7.6.1.1.5, C.7.6.3.1, C.12.4; PS3.5 8.2, A.4.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from isocenter.dicom import encoding
from isocenter.dicom.syntax import EXPLICIT_LE, EXPLICIT_VR_LITTLE_ENDIAN, UNCOMPRESSED, lookup
from isocenter.errors import Unsupported
from isocenter.imaging import colours, jpeg_xl
from isocenter.imaging.codecs import CODECS, WHOLE_CELLS, Codec, codec
from isocenter.imaging.frames import ENCAPSULATED_UNCOMPRESSED
from isocenter.imaging.native import SHARED_CHROMA, Buffer, Pixels
from isocenter.imaging.pixel_format import PixelFormat
from isocenter.imaging.subject import (
    DERIVATION_DESCRIPTION,
    EXTENDED_TABLES,
    ICON_IMAGE_SEQUENCE,
    IMAGE_TYPE,
    LOSSY_IMAGE_COMPRESSION,
    LOSSY_METHOD,
    LOSSY_RATIO,
    PHOTOMETRIC_INTERPRETATION,
    PLANAR_CONFIGURATION,
    REFERENCED_SERIES,
    SOP_INSTANCE,
    Subject,
)

DERIVATION_CODES: Final = 0x00089215
SOURCE_IMAGES: Final = 0x00082112

JPEG_BASELINE: Final = "1.2.840.10008.1.2.4.50"
RLE: Final = "1.2.840.10008.1.2.5"
JPEG_XL_RECOMPRESSED: Final = "1.2.840.10008.1.2.4.111"
RECOMPRESSED: Final[Mapping[tuple[str, str], Callable[[Buffer], bytes]]] = MappingProxyType(
    {
        (JPEG_BASELINE, JPEG_XL_RECOMPRESSED): jpeg_xl.from_jpeg,
        (JPEG_XL_RECOMPRESSED, JPEG_BASELINE): jpeg_xl.to_jpeg,
    }
)
"""Streams that are turned into one another, so that nothing is lost."""
ALWAYS_LOSSY: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{f"1.2.840.10008.1.2.4.{process}": "ISO_10918_1" for process in (50, 51, 53, 55)},
        JPEG_XL_RECOMPRESSED: "ISO_10918_1",
    }
)
"""Transfer syntaxes that tell by themselves that something was lost, and by which method."""
_UPSAMPLED: Final = {**SHARED_CHROMA, "YBR_PARTIAL_420": "YBR_PARTIAL"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What is done to every frame. Small, to be handed to workers."""

    source: str
    target: str
    form: PixelFormat
    """Of the frames as they are."""
    made: PixelFormat
    """Of those that are made."""
    is_lossy: bool


def can_convert(source: str, target: str) -> bool:
    """Say whether there are codecs from one transfer syntax to the other."""
    source, target = _read_as(source), _written_as(target)
    if (source, target) in RECOMPRESSED:
        return True
    from_, to = CODECS.get(source), CODECS.get(target)
    return from_ is not None and to is not None and bool(from_.decode and to.encode)


def is_lossless(source: str, target: str) -> bool:
    """Say whether nothing is lost by that beyond what was lost before."""
    source, target = _read_as(source), _written_as(target)
    return (source, target) in RECOMPRESSED or not codec(target).is_lossy


def conversion(subject: Subject, source: str, target: str) -> Conversion:
    """Say how the frames of ``subject`` get from one transfer syntax into the other.

    Raises: Unsupported.
    """
    source, target = _read_as(source), _written_as(target)
    if not can_convert(source, target):
        raise Unsupported(f"{lookup(source).name} is not turned into {lookup(target).name}")
    form = subject.form
    if (source, target) in RECOMPRESSED:
        return Conversion(source=source, target=target, form=form, made=form, is_lossy=False)
    to = codec(target)
    _check(subject, target, to)
    decoded = _decoded_colour(form, codec(source))
    if target == JPEG_BASELINE and decoded.startswith("YBR"):
        decoded = "RGB"
    is_by_planes = target == RLE and form.samples_per_pixel > 1
    made = replace(
        form,
        photometric_interpretation=to.encoded_colours.get(decoded, decoded),
        planar_configuration=int(is_by_planes),
    )
    return Conversion(source=source, target=target, form=form, made=made, is_lossy=to.is_lossy)


def _check(subject: Subject, target: str, to: Codec) -> None:
    form = subject.form
    is_native = target == EXPLICIT_VR_LITTLE_ENDIAN
    if form.is_float and not is_native:
        raise Unsupported("floating point pixels are not compressed")
    is_palette = form.photometric_interpretation == colours.PALETTE
    if to.is_lossy and (is_palette or subject.is_supplemented):
        raise Unsupported("indices into a palette are not compressed with loss")
    if target not in WHOLE_CELLS and subject.high_bit != form.bits_stored - 1:
        raise Unsupported("the bits stored are not the lowest ones of their cells")


def _decoded_colour(form: PixelFormat, from_: Codec) -> str:
    named = form.photometric_interpretation
    named = from_.decoded_colours.get(named, named)
    return _UPSAMPLED.get(named, named) if form.samples_per_pixel == 3 else named


def _read_as(syntax: str) -> str:
    """Frames are read as little endian, whichever way native ones are kept."""
    is_native = not lookup(syntax).is_encapsulated or syntax == ENCAPSULATED_UNCOMPRESSED
    return EXPLICIT_VR_LITTLE_ENDIAN if is_native else syntax


def _written_as(syntax: str) -> str:
    return EXPLICIT_VR_LITTLE_ENDIAN if lookup(syntax) in UNCOMPRESSED else syntax


def converted(frame: memoryview, each: Conversion) -> Buffer:
    """Convert one frame, in a worker. Raises: Malformed, Unsupported."""
    if recompress := RECOMPRESSED.get((each.source, each.target)):
        return recompress(frame)
    decode, encode = codec(each.source).decode, codec(each.target).encode
    if decode is None or encode is None:
        raise Unsupported(f"{each.source} is not turned into {each.target}")
    pixels = decode(frame, each.form)
    decoded = _decoded_colour(each.form, codec(each.source))
    if each.target == JPEG_BASELINE and decoded.startswith("YBR"):
        pixels, decoded = _in_rgb(pixels, decoded, each.form), "RGB"
    given = replace(each.made, photometric_interpretation=decoded)
    return encode(np.ascontiguousarray(pixels), given)


def _in_rgb(pixels: Pixels, named: str, form: PixelFormat) -> Pixels:
    if form.bits_stored != 8:
        raise Unsupported("colours of other than 8 bits are not turned into RGB")
    return colours.to_rgb(pixels, named, form.bits_stored)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What lossy compression leads to."""

    sop_instance: str
    """The new one: what is derived is another instance."""
    ratio: float


def new_uid() -> str:
    """Make a UID (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid4().int}"


def edits(
    subject: Subject, each: Conversion, *, ratio: float, loss: Loss | None = None
) -> dict[int, bytes | None]:
    """Give the attributes that change, in Explicit VR Little Endian; None for those that go.

    ``ratio``: by how much smaller what is lossy already was, as it is kept.
    """
    found: dict[int, bytes | None] = dict.fromkeys(EXTENDED_TABLES)
    if each.made.photometric_interpretation != each.form.photometric_interpretation:
        photometric = each.made.photometric_interpretation
        found[PHOTOMETRIC_INTERPRETATION] = element(PHOTOMETRIC_INTERPRETATION, "CS", photometric)
    if each.made.samples_per_pixel > 1:
        planar = each.made.planar_configuration
        found[PLANAR_CONFIGURATION] = element(PLANAR_CONFIGURATION, "US", planar)
    if subject.has_compressed_icon:
        # It could not be read any more: its transfer syntax is the one that was (PS3.5 A.4).
        found[ICON_IMAGE_SEQUENCE] = None
    if loss is not None:
        found |= _lossy(subject, each, loss)
    elif (method := ALWAYS_LOSSY.get(each.source)) and subject.lossy != "01":
        found |= _of_loss([f"{ratio:.5g}"], [method])
    return found


def _lossy(subject: Subject, each: Conversion, loss: Loss) -> dict[int, bytes | None]:
    method = codec(each.target).method
    image_type = ["DERIVED", *(subject.image_type[1:] or ["PRIMARY"])]
    said = f"Lossy compression {loss.ratio:.3g}:1 ({lookup(each.target).name})"
    before = subject.derivation
    purpose = _code("121320", "Uncompressed predecessor")
    source = {
        "00081150": {"vr": "UI", "Value": [subject.sop_class]},
        "00081155": {"vr": "UI", "Value": [subject.sop_instance]},
        "0040A170": {"vr": "SQ", "Value": [purpose]},
    }
    reference = {tag8: source[tag8] for tag8 in ("00081150", "00081155")}
    series = {
        "0008114A": {"vr": "SQ", "Value": [reference]},
        "0020000E": {"vr": "UI", "Value": [subject.series]},
    }
    # Whoever refers to an instance lists it there, too (PS3.3 C.12.2).
    listed = (
        {} if subject.has_referenced_series or not subject.series else {REFERENCED_SERIES: series}
    )
    lossy_before = zip(subject.ratios, subject.methods, strict=False)
    told = [*lossy_before, (f"{loss.ratio:.5g}", method)]
    return {
        IMAGE_TYPE: element(IMAGE_TYPE, "CS", *image_type),
        SOP_INSTANCE: element(SOP_INSTANCE, "UI", loss.sop_instance),
        # Text of a character set we need not know is kept as its bytes.
        DERIVATION_DESCRIPTION: _text(
            DERIVATION_DESCRIPTION, (before + b"; " if before else b"") + said.encode("ascii")
        ),
        SOURCE_IMAGES: element(SOURCE_IMAGES, "SQ", source),
        DERIVATION_CODES: element(DERIVATION_CODES, "SQ", _code("113040", "Lossy Compression")),
        **{tag: element(tag, "SQ", item) for tag, item in listed.items()},
        **_of_loss([ratio for ratio, _ in told], [method for _, method in told]),
    }


def _of_loss(ratios: list[str], methods: list[str]) -> dict[int, bytes | None]:
    return {
        LOSSY_IMAGE_COMPRESSION: element(LOSSY_IMAGE_COMPRESSION, "CS", "01"),
        LOSSY_RATIO: element(LOSSY_RATIO, "DS", *ratios),
        LOSSY_METHOD: element(LOSSY_METHOD, "CS", *methods),
    }


def _code(value: str, meaning: str) -> dict[str, dict[str, Any]]:
    return {
        "00080100": {"vr": "SH", "Value": [value]},
        "00080102": {"vr": "SH", "Value": ["DCM"]},
        "00080104": {"vr": "LO", "Value": [meaning]},
    }


def element(tag: int, vr: str, *values: object) -> bytes:
    """Encode an element in Explicit VR Little Endian. Raises: Malformed."""
    model = {f"{tag:08X}": {"vr": vr, "Value": list(values)}}
    return encoding.encode(model, EXPLICIT_LE, "")


def _text(tag: int, value: bytes) -> bytes:
    limit = 1024  # characters of ST (PS3.5 6.2)
    value = value[-limit:]
    value += b" " * (len(value) % 2)
    group, number = tag >> 16, tag & 0xFFFF
    head = b"".join(part.to_bytes(2, "little") for part in (group, number))
    return head + b"ST" + len(value).to_bytes(2, "little") + value
