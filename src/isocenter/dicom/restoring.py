"""Files made of data sets in the JSON model: what ``isocenter dump`` told, to bytes again."""

import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

from isocenter.dicom import json_text, part10, xml_model
from isocenter.dicom.encoding import Dataset, Fetch, encode_pieces
from isocenter.dicom.layout import Buffer
from isocenter.dicom.syntax import EXPLICIT_LE, TRANSFER_SYNTAXES, TransferSyntax, lookup
from isocenter.errors import Malformed, Unsupported

META: Final = "0002"
"""The group of the file meta information."""
DIRECTORY_RECORDS: Final = "00041220"
_UID: Final = re.compile(r"[0-9.]{1,64}")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def read_models(source: BinaryIO) -> Iterable[Dataset]:
    """Give the data sets of a JSON text or an XML document. Raises: Malformed."""
    first = source.read(1 << 12)
    start = first.removeprefix(_BYTE_ORDER_MARK).lstrip()[:1]
    if start in (b"{", b"["):
        data = first.removeprefix(_BYTE_ORDER_MARK) + source.read()
        return json_text.read(data)
    if start == b"<" or first[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return [xml_model.read(_again(first, source))]
    raise Malformed("neither DICOM JSON nor the Native DICOM Model in XML")


def _again(first: bytes, source: BinaryIO) -> Iterator[bytes]:
    yield first
    while piece := source.read(1 << 16):
        yield piece


def syntax_named(text: str) -> TransferSyntax:
    """Give the transfer syntax of a UID or a name. Raises: Unsupported."""
    names = {each.name.casefold(): each for each in TRANSFER_SYNTAXES.values()}
    found = TRANSFER_SYNTAXES.get(text) or names.get(text.casefold())
    if found is None and not _UID.fullmatch(text):
        raise Unsupported(f"no transfer syntax is called {text}")
    return found or lookup(text)


def syntax_of(model: Dataset) -> TransferSyntax:
    """Give the transfer syntax that the file meta information names, else a plain one."""
    named = _text(model, "00020010")
    return lookup(named) if named else EXPLICIT_LE


def sop_instance_of(model: Dataset) -> str:
    """Give the SOP Instance UID, fit to be a file's name. Raises: Malformed."""
    uid = _text(model, "00080018") or _text(model, "00020003")
    if not _UID.fullmatch(uid) or not uid.strip("."):
        raise Malformed("a data set has no SOP Instance UID to name its file by")
    return uid


def file_pieces(model: Dataset, syntax: TransferSyntax, fetch: Fetch) -> Iterator[Buffer]:
    """Give a file of ``model`` in ``syntax``, with file meta information of our own.

    Raises: what ``encode_pieces`` does; Unsupported, for a DICOMDIR: it tells byte offsets.
    """
    if DIRECTORY_RECORDS in model:
        raise Unsupported("a DICOMDIR cannot be made so: its offsets would be wrong")
    dataset = {tag: each for tag, each in model.items() if not tag.startswith(META)}
    pieces = encode_pieces(dataset, syntax, None, fetch=fetch)
    header = part10.header(
        _text(model, "00080016") or _text(model, "00020002"),
        _text(model, "00080018") or _text(model, "00020003"),
        syntax.uid,
        source_ae=_text(model, "00020016") or None,
    )
    return _joined(header, pieces)


def _joined(header: bytes, pieces: Iterator[Buffer]) -> Iterator[Buffer]:
    yield header
    yield from pieces


def _text(model: Dataset, tag: str) -> str:
    try:
        (value,) = model[tag]["Value"]
    except (LookupError, TypeError, ValueError):
        return ""
    return value if isinstance(value, str) else ""
