"""Media types of frames: which one a transfer syntax has, and what a client may be given.

Source: PS3.18 8.7.3.3, Tables 8.7.3-4 and 8.7.3-5.
"""

import re
from dataclasses import replace
from typing import Final

from starlette.requests import Request

from isocenter.dicom.syntax import EXPLICIT_VR_LITTLE_ENDIAN, TransferSyntax, lookup
from isocenter.dicomweb import negotiation
from isocenter.dicomweb.negotiation import AS_KEPT, OCTET_STREAM, Accepted, Chosen, Offer
from isocenter.imaging.frames import ENCAPSULATED_UNCOMPRESSED
from isocenter.imaging.transcoding import can_convert

_COMPRESSED: Final = (
    (r"1\.2\.840\.10008\.1\.2\.4\.(5\d|6\d|70)", "image/jpeg"),
    (r"1\.2\.840\.10008\.1\.2\.4\.8[01]", "image/jls"),
    (r"1\.2\.840\.10008\.1\.2\.4\.9[01]", "image/jp2"),
    (r"1\.2\.840\.10008\.1\.2\.4\.9[23]", "image/jpx"),
    (r"1\.2\.840\.10008\.1\.2\.4\.20[123]", "image/jphc"),
    (r"1\.2\.840\.10008\.1\.2\.4\.11[012]", "image/jxl"),
    (r"1\.2\.840\.10008\.1\.2\.5", "image/dicom-rle"),
    (r"1\.2\.840\.10008\.1\.2\.4\.10[01](\.1)?", "video/mpeg"),
    (r"1\.2\.840\.10008\.1\.2\.4\.10[2-6](\.1)?", "video/mp4"),
    (r"1\.2\.840\.10008\.1\.2\.4\.10[78]", "video/h265"),
)
IMAGES: Final = (
    OCTET_STREAM,
    *("image/jpeg", "image/jls", "image/jp2", "image/jpx", "image/jphc", "image/jxl"),
    "image/dicom-rle",
)
CONVERTED: Final = (
    EXPLICIT_VR_LITTLE_ENDIAN,
    *(f"1.2.840.10008.1.2.4.{last}" for last in (201, 202, 80, 90, 110, 70)),
    "1.2.840.10008.1.2.5",
)
"""What frames are turned into; of those of one media type, its default comes first."""
MEDIA_TYPES: Final = (*IMAGES, "video/mpeg", "video/mp4", "video/h265")
"""All that pixel data may be given as."""
MOST_REMEMBERED: Final = 1_000
"""Decisions; clients say the same thing again and again."""
LONGEST_REMEMBERED: Final = 1_000
"""Characters of what a client says; longer is thought about each time."""

_Choices = tuple[Chosen | None, tuple[Chosen, str] | None]
_remembered: dict[tuple[object, ...], _Choices] = {}


def media_type_of(syntax: TransferSyntax) -> str:
    """Give the media type of frames as they are kept.

    Of a compression that has none of its own it is that of bytes: its transfer syntax tells.
    """
    if syntax.is_encapsulated:
        for pattern, media_type in _COMPRESSED:
            if re.fullmatch(pattern, syntax.uid):
                return media_type
    return OCTET_STREAM


def transfer_syntax_of(syntax: TransferSyntax) -> str:
    """Give the transfer syntax of frames as they are given: native ones become little endian."""
    is_native = not syntax.is_encapsulated or syntax.uid == ENCAPSULATED_UNCOMPRESSED
    return EXPLICIT_VR_LITTLE_ENDIAN if is_native else syntax.uid


def offers_of(syntax: TransferSyntax, *, is_one: bool) -> tuple[Offer, ...]:
    """Give what frames kept in ``syntax`` are offered as, the default first.

    ``is_one``: it is a single one, which needs no parts.
    """
    given = transfer_syntax_of(syntax)
    media_type = media_type_of(syntax)
    offered = [Offer(media_type, True, given)]
    if is_one:
        offered.append(Offer(media_type, False, given))
    if media_type != OCTET_STREAM:
        offered.append(Offer(OCTET_STREAM, True, AS_KEPT))
    return tuple(offered)


def choose(request: Request, syntax_uid: str, *, is_one: bool) -> Chosen:
    """Choose how frames kept in a transfer syntax are given. Raises: HTTPException 400, 406."""
    chosen, _ = _choices(request, syntax_uid, is_one=is_one)
    if chosen is None:
        raise negotiation.not_acceptable(offers_of(lookup(syntax_uid), is_one=is_one))
    return chosen


def choose_converted(
    request: Request, syntax_uid: str, *, is_one: bool
) -> tuple[Chosen, str] | None:
    """Choose what frames are turned into where that is preferred to what they are kept in.

    Give it with its transfer syntax, which loses nothing; None, where it is not preferred, or
    cannot be had. Raises: HTTPException 400.
    """
    return _choices(request, syntax_uid, is_one=is_one)[1]


def _choices(request: Request, syntax_uid: str, *, is_one: bool) -> _Choices:
    accept = tuple(request.headers.getlist("accept"))
    query: bytes = request.scope["query_string"]
    key = (query, accept, syntax_uid, is_one)
    if key in _remembered:
        return _remembered[key]
    kept = _choose(request, lookup(syntax_uid), is_one=is_one)
    choices = kept, _converted(request, lookup(syntax_uid), kept, is_one=is_one)
    if len(_remembered) >= MOST_REMEMBERED:
        _remembered.clear()
    if len(query) + sum(map(len, accept)) <= LONGEST_REMEMBERED:
        _remembered[key] = choices
    return choices


def _converted(
    request: Request, syntax: TransferSyntax, kept: Chosen | None, *, is_one: bool
) -> tuple[Chosen, str] | None:
    accepted = negotiation.acceptable(request)
    best: tuple[Chosen, str] | None = None
    least = kept.quality if kept is not None else 0.0
    for target in CONVERTED:
        if target == transfer_syntax_of(syntax) or not can_convert(syntax.uid, target):
            continue
        media_type = media_type_of(lookup(target))
        offers = [Offer(media_type, True, target)]
        if is_one:
            offers.append(Offer(media_type, False, target))
        for chosen in accepted.ranked(offers)[:1]:
            if chosen.quality > least:
                best, least = (chosen, target), chosen.quality
    return best


def _choose(request: Request, syntax: TransferSyntax, *, is_one: bool) -> Chosen | None:
    """Choose among what is offered; None, where nothing of it is acceptable."""
    given = transfer_syntax_of(syntax)
    accepted = negotiation.acceptable(request)
    offers = [replace(each, transfer_syntax=given) for each in offers_of(syntax, is_one=is_one)]
    for chosen in accepted.ranked(offers):
        is_as_given = {AS_KEPT, given} & set(chosen.transfer_syntaxes)
        # Bytes without a word on how they are coded are uncompressed: that takes a decoder.
        is_decoded = given == EXPLICIT_VR_LITTLE_ENDIAN or chosen.media_type != OCTET_STREAM
        if is_as_given or is_decoded or _takes_anything(accepted):
            return chosen
    return None


def _takes_anything(accepted: Accepted) -> bool:
    ranges = (*accepted.of_query, *accepted.of_header)
    return any(each.of_parts in ("", "*/*", "multipart/*") for each in ranges)
