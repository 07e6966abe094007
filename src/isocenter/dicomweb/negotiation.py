"""Which of the representations we can give the user agent wants (PS3.18 8.7).

The Accept query parameter is asked first, then the Accept header field; in each the most specific
range counts for a representation, and the representation of the highest weight wins.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from starlette.exceptions import HTTPException
from starlette.requests import Request

from isocenter.dicom.syntax import EXPLICIT_VR_BIG_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from isocenter.web.media_types import MULTIPART, MediaType, quoted

DICOM: Final = "application/dicom"
DICOM_JSON: Final = "application/dicom+json"
DICOM_XML: Final = "application/dicom+xml"
OCTET_STREAM: Final = "application/octet-stream"
AS_KEPT: Final = "*"
"""The transfer syntax of who takes any (PS3.18 8.7.3.5.2)."""

# PS3.18 8.7.3: these are not used with web services.
NEVER_ON_THE_WEB: Final = frozenset({IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN})

# Peer quirk: clients older than PS3.18 2016, and many scripts, use these names.
_OLDER_NAMES: Final = {
    DICOM_JSON: "application/json",
    "image/dicom-rle": "image/x-dicom-rle",
    "image/jls": "image/x-jls",
}
_OF_DICOM: Final = frozenset({DICOM, DICOM_JSON, DICOM_XML})
# Media types that only rendering gives (PS3.18 8.7.4); others are of bulk data as well.
_RENDERED: Final = frozenset(
    {"image/png", "image/gif", "text/html", "text/plain", "text/rtf", "application/pdf"}
)


@dataclass(frozen=True, slots=True)
class Offer:
    """A representation that can be given."""

    media_type: str
    """That of the content: for a multipart, of its parts."""
    is_multipart: bool = False
    transfer_syntax: str | None = None
    """None: whichever is asked for; the endpoint sees whether it can."""

    def __str__(self) -> str:
        return content_type(self.media_type, self.is_multipart, self.transfer_syntax)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The selected media type and transfer syntax (PS3.18 8.7.8)."""

    media_type: str
    """That of the content, as in ``application/dicom``; an older name is given as today's."""
    is_multipart: bool
    transfer_syntaxes: tuple[str | None, ...]
    """The acceptable ones, best first. ``*``: any, so as it is kept; None: none was said, so the
    default of the category."""
    quality: float
    called: str
    """The name the user agent used for ``media_type``: to stand in Content-Type."""

    @property
    def transfer_syntax(self) -> str | None:
        """The best of them."""
        return self.transfer_syntaxes[0]


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the user agent says it takes: ranges of media types, in two sets (PS3.18 8.7.5)."""

    of_query: tuple[MediaType, ...]
    of_header: tuple[MediaType, ...]

    def ranked(self, offers: Sequence[Offer]) -> list[Chosen]:
        """Those of ``offers`` that are acceptable, best first; of equals, the first offered."""
        for ranges in (self.of_query, self.of_header):
            if found := _ranked(ranges, offers):
                return found
        return []


def acceptable(request: Request) -> Accepted:
    """Read what ``request`` accepts. Raises: HTTPException 400."""
    of_query = _of_query(request)
    # PS3.18 8.7.5 asks for 406 where there is no Accept header field. Peer quirk: scripts and
    # viewers leave it out, and RFC 9110 12.5.1 takes that for "anything".
    header = ", ".join(request.headers.getlist("accept")).strip() or "*/*"
    accepted = Accepted(of_query, MediaType.parse_list(header))
    for ranges in (accepted.of_query, accepted.of_header):
        _refuse_mixture(ranges)
    return accepted


def choose(request: Request, offers: Sequence[Offer]) -> Chosen:
    """Choose among ``offers``, the default first. Raises: HTTPException 400, 406."""
    if found := acceptable(request).ranked(offers):
        return found[0]
    raise not_acceptable(offers)


def not_acceptable(offers: Sequence[Offer]) -> HTTPException:
    """The refusal that says what can be had instead."""
    listed = ", ".join(str(offer) for offer in offers)
    return HTTPException(406, f"none of what is accepted can be given; to be had: {listed}")


def content_type(media_type: str, is_multipart: bool, transfer_syntax: str | None = None) -> str:
    """Write a media type; of a multipart, without its boundary."""
    written = f"{MULTIPART}; type={quoted(media_type)}" if is_multipart else media_type
    return written + (f"; transfer-syntax={transfer_syntax}" if transfer_syntax else "")


def _of_query(request: Request) -> tuple[MediaType, ...]:
    """The Accept query parameter. Raises: HTTPException 400."""
    found: list[MediaType] = []
    for field in request.scope["query_string"].decode("latin-1").split("&"):
        name, _, value = field.partition("=")
        if name == "accept":
            # A plus is itself here, not a space: else no dicom+json could be written plainly.
            text = unquote(value)
            ranges = MediaType.parse_list(text)
            if not ranges and text.strip():
                raise HTTPException(400, "the query parameter accept has no media type in it")
            found += ranges
    return tuple(found)


def _refuse_mixture(ranges: Sequence[MediaType]) -> None:
    """PS3.18 8.7.5: DICOM media types or rendered ones, not both. Raises: HTTPException 400."""
    named = {each.of_parts for each in ranges}
    # Libraries send "application/json, text/plain, */*": who takes all, mixes nothing.
    if named & _OF_DICOM and named & _RENDERED and "*/*" not in named:
        raise HTTPException(400, "DICOM and rendered media types are accepted at once: choose one")


def _ranked(ranges: Sequence[MediaType], offers: Sequence[Offer]) -> list[Chosen]:
    found = [chosen for offer in offers if (chosen := _chosen(ranges, offer))]
    return sorted(found, key=lambda chosen: -chosen.quality)


@dataclass(frozen=True, slots=True)
class _Fit:
    """A range that fits an offer."""

    specificity: int
    syntax: str | None
    q: float
    called: str


def _chosen(ranges: Sequence[MediaType], offer: Offer) -> Chosen | None:
    fits = list(_fits(ranges, offer))
    best: dict[str | None, _Fit] = {}
    for fit in fits:
        held = best.get(fit.syntax)
        if held is None or fit.specificity > held.specificity:
            best[fit.syntax] = fit
    wanted = sorted((fit for fit in best.values() if fit.q > 0), key=lambda fit: -fit.q)
    if not wanted:
        return None
    first = wanted[0]
    syntaxes = tuple(fit.syntax for fit in wanted)
    return Chosen(offer.media_type, offer.is_multipart, syntaxes, first.q, first.called)


def _fits(ranges: Sequence[MediaType], offer: Offer) -> Iterator[_Fit]:
    names = [offer.media_type]
    if older := _OLDER_NAMES.get(offer.media_type):
        names.append(older)
    for each in ranges:
        syntax = each.parameters.get("transfer-syntax") or None
        if syntax in NEVER_ON_THE_WEB or not _fits_syntax(syntax, offer):
            continue
        for name in names:
            # Types are compared without case (PS3.18 8.7): there is video/H265.
            if specificity := _specificity(each, name.lower(), offer.is_multipart):
                called = name if each.of_parts == name.lower() else offer.media_type
                yield _Fit(specificity, syntax, each.q, called)
                break


def _fits_syntax(syntax: str | None, offer: Offer) -> bool:
    open_ended = (None, AS_KEPT)
    return syntax in open_ended or offer.transfer_syntax in (None, syntax)


def _specificity(accepted: MediaType, name: str, is_multipart: bool) -> int:
    """How closely a range names a representation; 0, if it does not."""
    if accepted.type == "*/*":
        return 1
    if accepted.type == "multipart/*":
        return 2 if is_multipart else 0
    if accepted.is_multipart != is_multipart:
        return 0
    kind = accepted.of_parts
    if kind == name:
        return 5
    if kind.endswith("/*") and name.startswith(kind[:-1]):
        return 4
    return 3 if kind in ("", "*/*") else 0
