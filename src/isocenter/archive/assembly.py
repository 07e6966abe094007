"""Data sets put together from metadata and bulk data that came apart (PS3.18 10.5.1.4).

Bulk data lies in scratch until everything is there. Compressed frames are encapsulated as they
came; what describes their pixels is drawn from them where the metadata leaves it out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from isocenter.archive.admission import SyntaxNotTaken
from isocenter.dicom import bulk as bulks, part10
from isocenter.dicom.bulk import Bulk
from isocenter.dicom.encoding import encode_pieces
from isocenter.dicom.layout import Buffer
from isocenter.dicom.syntax import EXPLICIT_LE, TransferSyntax, lookup
from isocenter.errors import Malformed
from isocenter.imaging import codestream
from isocenter.imaging.codestream import Described
from isocenter.storage.blobs import Scratch

WINDOW: Final = 1 << 20
"""Bytes of scratch that are mapped at a time."""
MOST_NESTING: Final = 64
OPAQUE: Final = "application/octet-stream"

TRANSFORMED: Final = frozenset({"image/gif", "image/png"})
"""These would have to be decoded first (PS3.18 Table 10.5.2-1)."""

PIXEL_DATA: Final = "7FE00010"
NUMBER_OF_FRAMES: Final = "00280008"
TRANSFER_SYNTAX: Final = "00020010"
META_GROUP: Final = "0002"
_UUID: Final = "urn:uuid:"

Dataset = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Piece:
    """One representation of bulk data, and where it lies in scratch."""

    media_type: str
    """In lower case."""
    transfer_syntax: str
    """As its sender names it; empty, if not."""
    start: int
    end: int

    @property
    def is_compressed(self) -> bool:
        """It is an image or a video, not the bytes of a value."""
        return self.media_type in codestream.MEDIA_TYPES


@dataclass(slots=True)
class BulkData:
    """The bulk data of one request, by what metadata calls it."""

    scratch: Scratch
    resolve: Callable[[str], str]
    """Makes a name of a URI, so that relative and absolute ones meet."""
    pieces: dict[str, list[Piece]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def add(self, uri: str, piece: Piece) -> None:
        """Note what came; several of the same name are frames in their order."""
        self.pieces.setdefault(self._name(uri), []).append(piece)

    def find(self, uri: str) -> list[Piece]:
        """Raises: Malformed, for what did not come."""
        name = self._name(uri)
        if name not in self.pieces:
            raise Malformed(f"bulk data is referred to that did not come: {uri[:200]}")
        self.used.add(name)
        return self.pieces[name]

    @property
    def unused(self) -> list[str]:
        """What no metadata referred to."""
        return [uri for uri in self.pieces if uri not in self.used]

    def _name(self, uri: str) -> str:
        return self.resolve(uri.strip().removeprefix(_UUID))

    def bulk(self, piece: Piece, skipped: int = 0) -> Bulk:
        """A piece as a value."""
        start = piece.start + skipped
        return Bulk(piece.end - start, partial(self._windows, start, piece.end))

    def _windows(self, start: int, end: int) -> Iterator[memoryview]:
        for at in range(start, end, WINDOW):
            yield self.scratch.window(at, min(at + WINDOW, end))


def assemble(metadata: Dataset, bulk: BulkData) -> Iterator[Buffer]:
    """Give a DICOM file, piece by piece. Blocks.

    Raises, with the first piece: Malformed; Unsupported, SyntaxNotTaken.
    """
    dataset = {key.upper(): value for key, value in metadata.items() if isinstance(key, str)}
    named = _text(dataset, TRANSFER_SYNTAX)
    # Peer quirk: programs that turn files into JSON write the file meta information as well.
    dataset = {key: value for key, value in dataset.items() if not key.startswith(META_GROUP)}
    pixels = _pixels(dataset, bulk)
    syntax = EXPLICIT_LE
    if pixels and pixels[0].media_type in TRANSFORMED:
        raise SyntaxNotTaken(f"{pixels[0].media_type} has no transfer syntax of its own")
    if pixels and pixels[0].is_compressed:
        syntax = _describe(dataset, pixels, bulk, named)
    yield part10.header(*names_of(dataset), syntax.uid)
    fetch = partial(_fetch, bulk, _pixel_uris(dataset))
    yield from encode_pieces(dataset, syntax, None, fetch=fetch)


def names_of(metadata: Dataset) -> tuple[str, str]:
    """SOP class and instance, as far as they are told."""
    return _text(metadata, "00080016"), _text(metadata, "00080018")


def _pixels(dataset: Dataset, bulk: BulkData) -> list[Piece]:
    """What the pixel data came as; nothing, if it did not come apart."""
    attribute = dataset.get(PIXEL_DATA)
    uri = attribute.get("BulkDataURI") if isinstance(attribute, Mapping) else None
    return bulk.find(uri) if isinstance(uri, str) else []


def _describe(
    dataset: dict[str, Any], pixels: Sequence[Piece], bulk: BulkData, named: str
) -> TransferSyntax:
    """Tell the transfer syntax of compressed pixels, and fill in what describes them.

    Raises: Malformed, SyntaxNotTaken.
    """
    first = pixels[0]
    if any(piece.media_type != first.media_type for piece in pixels):
        raise Malformed("the frames of an image are of different media types")
    start = bulk.scratch.window(first.start, min(first.start + codestream.LOOKED_AT, first.end))
    described = codestream.describe(first.media_type, start)
    _check_frames(dataset, pixels)
    for key, vr, value in _description(described, len(pixels)):
        if not _has_value(dataset, key):
            dataset[key] = {"vr": vr, "Value": [value]}
    dataset[PIXEL_DATA] = {**dataset[PIXEL_DATA], "vr": "OB"}
    syntax = lookup(first.transfer_syntax or named or described.transfer_syntax)
    if not syntax.is_encapsulated:
        raise SyntaxNotTaken(f"{first.media_type} cannot be written in {syntax.name}")
    return syntax


def _check_frames(dataset: dict[str, Any], pixels: Sequence[Piece]) -> None:
    if pixels[0].media_type in codestream.VIDEOS:
        if len(pixels) > 1:
            raise Malformed("a video is one representation, not several")
        return
    said = _text(dataset, NUMBER_OF_FRAMES)
    if said and said != str(len(pixels)):
        raise Malformed(f"there are {len(pixels)} frames where the metadata says {said[:12]}")


def _description(described: Described, frames: int) -> Iterator[tuple[str, str, object]]:
    """The Image Pixel Description Macro's attributes (PS3.3 Table C.7-11c), as far as is told."""
    if frames > 1:
        yield NUMBER_OF_FRAMES, "IS", frames
    if not described.rows:
        return
    yield "00280002", "US", described.samples
    yield "00280004", "CS", described.photometric_interpretation
    if described.samples > 1:
        yield "00280006", "US", 0
    yield "00280010", "US", described.rows
    yield "00280011", "US", described.columns
    yield "00280100", "US", 8 if described.bits <= 8 else 16
    yield "00280101", "US", described.bits
    yield "00280102", "US", described.bits - 1
    yield "00280103", "US", int(described.is_signed)


def _fetch(bulk: BulkData, pixel_uris: set[str], uri: str) -> Bulk:
    """A value that came apart; pixels that are compressed, encapsulated."""
    pieces = bulk.find(uri)
    if uri in pixel_uris and pieces[0].is_compressed:
        return bulks.encapsulate([_frame(bulk, piece) for piece in pieces])
    if len(pieces) > 1:
        raise Malformed("bulk data that is no compressed image came more than once")
    return bulk.bulk(pieces[0])


def _frame(bulk: BulkData, piece: Piece) -> Bulk:
    """A compressed frame, without the boxes of a file around it (PS3.5 A.4.4)."""
    start = bulk.scratch.window(piece.start, min(piece.start + codestream.LOOKED_AT, piece.end))
    return bulk.bulk(piece, codestream.describe(piece.media_type, start).start)


def _pixel_uris(dataset: Dataset, depth: int = 0) -> set[str]:
    """What pixel data is called, in icons as well."""
    found: set[str] = set()
    for key, attribute in dataset.items():
        if not isinstance(attribute, Mapping):
            continue
        if key == PIXEL_DATA and isinstance(uri := attribute.get("BulkDataURI"), str):
            found.add(uri)
        items = attribute.get("Value") if attribute.get("vr") == "SQ" else None
        for item in items if isinstance(items, list) and depth < MOST_NESTING else ():
            if isinstance(item, Mapping):
                found |= _pixel_uris(item, depth + 1)
    return found


def _has_value(dataset: Dataset, key: str) -> bool:
    attribute = dataset.get(key)
    return isinstance(attribute, Mapping) and bool(attribute.get("Value"))


def _text(dataset: Dataset, key: str) -> str:
    """The first value as text; empty, if there is none that is one."""
    attribute = dataset.get(key)
    values = attribute.get("Value") if isinstance(attribute, Mapping) else None
    first = values[0] if isinstance(values, list) and values else ""
    return str(first).strip() if isinstance(first, str | int) else ""
