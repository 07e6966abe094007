"""The DICOM JSON model as text, written and read (PS3.18 F)."""

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import orjson

from isocenter.dicom.json_model import Dataset
from isocenter.dicom.layout import Buffer
from isocenter.errors import Malformed

PIECE: Final = 1 << 16
"""Bytes that are collected before they are given out, or thereabouts."""
BASE64_STEP: Final = 3 << 16
"""Bytes that are encoded at a time: whole groups of three."""

Pairs = Iterable[tuple[str, Mapping[str, Any]]]


def write(pairs: Pairs) -> Iterator[bytes]:
    """Give the text of a data set as ``json_model.unfolding`` unfolds it, an attribute a line.

    Nothing large is held. Raises: Malformed, when the walk gets there.
    """
    collected = bytearray()
    for text in _dataset(pairs, b",\n"):
        collected += text
        if len(collected) >= PIECE:
            yield bytes(collected)
            collected.clear()
    collected += b"\n"
    yield bytes(collected)


def read(data: Buffer) -> list[Dataset]:
    """Give the data sets of a text: one, or those of an array (PS3.18 F.2.1). Raises: Malformed."""
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"not JSON: {error.msg}", offset=error.pos) from error
    models = found if isinstance(found, list) else [found]
    if not all(isinstance(model, dict) for model in models):
        raise Malformed("not a DICOM JSON model object")
    return models


def _dataset(pairs: Pairs, separator: bytes = b",") -> Iterator[bytes]:
    opening = b"{"
    for key, attribute in pairs:
        yield opening + orjson.dumps(key) + b":"
        yield from _attribute(attribute)
        opening = separator
    yield b"{}" if opening == b"{" else b"}"


def _attribute(attribute: Mapping[str, Any]) -> Iterator[bytes]:
    inline = attribute.get("InlineBinary")
    if inline is not None and not isinstance(inline, str):
        yield b'{"vr":' + orjson.dumps(attribute["vr"]) + b',"InlineBinary":"'
        for at in range(0, len(inline), BASE64_STEP):
            yield b64encode(inline[at : at + BASE64_STEP])
        yield b'"}'
    elif attribute["vr"] == "SQ" and "Value" in attribute:
        opening = b'{"vr":"SQ","Value":['
        for item in attribute["Value"]:
            yield opening
            yield from _dataset(item)
            opening = b","
        yield b"]}"
    else:
        yield orjson.dumps(attribute)
