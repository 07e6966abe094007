"""All attributes of an instance as a tree that can be searched."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from isocenter.archive.metadata import Writer
from isocenter.dicom import dictionary
from isocenter.dicom.amending import MODIFYING_SYSTEM
from isocenter.dicom.overlay import Overlay
from isocenter.dicom.paths import AttributePath
from isocenter.dicom.sop_classes import SOP_CLASSES
from isocenter.dicom.syntax import TransferSyntax
from isocenter.dicom.transcription import Transcriber
from isocenter.dicom.windowed import Reader
from isocenter.errors import NotFound
from isocenter.storage.records import InstanceRef, Selection
from isocenter.ui import asking
from isocenter.ui.page import is_partial, render

MOST: Final = 10_000
"""Rows of one page."""
LONGEST: Final = 300
"""Characters of a value."""
INLINE: Final = 1024
"""Bytes of a value that are shown at all."""
ORIGINAL_ATTRIBUTES: Final = "04000561"
_NONE: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class AttributeRow:
    """One attribute, or the head of an item of a sequence."""

    depth: int
    tag: str
    vr: str
    name: str
    value: str
    original: str | None = None
    """What was there before it was corrected; None, if it was not."""


class _Form:
    """The JSON model, long values left out."""

    name = "pages"

    def writer(self) -> Writer:
        return partial(self._write, Transcriber(inline_size=INLINE))

    def _write(
        self,
        transcriber: Transcriber,
        instance: InstanceRef,
        data_set: Reader,
        syntax: TransferSyntax,
    ) -> bytes:
        return transcriber.text(data_set, syntax, _left_out)


def _left_out(path: AttributePath) -> str:
    return "…"


async def show(request: Request) -> Response:
    """GET …/instances/{instance}/attributes: the page; with ``find``, the rows that match."""
    archive = asking.archive_of(request)
    names = ("study", "series", "instance")
    study, series, instance = (asking.uid_of(request, name) for name in names)
    selection = Selection(studies=(study,), series=(series,), instances=(instance,))
    pages = archive.instances(selection)
    found = next(iter(await anext(pages, [])), None)
    if found is None:
        raise NotFound("it is not in the archive")
    gathered = await archive.metadata.of_instance(found, _Form())
    try:
        text = b"".join([piece async for piece in gathered.text()])
    finally:
        await gathered.close()
    wanted = request.query_params.get("find", "").strip().casefold()[:LONGEST]
    model = orjson.loads(text)[0]
    originals = {} if found.overlay is None else _originals(model, found.overlay)
    rows = list(_matching(flattened(model, originals=originals), wanted))
    context = {
        "study": study,
        "series": series,
        "instance": instance,
        "kind": SOP_CLASSES[found.sop_class_uid].name
        if found.sop_class_uid in SOP_CLASSES
        else found.sop_class_uid,
        "find": wanted,
        "rows": rows[:MOST],
        "left_out": max(0, len(rows) - MOST),
    }
    return render(
        request, "_attributes.html" if is_partial(request) else "attributes.html", context
    )


def _originals(model: dict[str, Any], overlay: Overlay) -> dict[str, str]:
    """What corrected attributes were before the first correction, as the data set tells."""
    found: dict[str, str] = {}
    for item in model.get(ORIGINAL_ATTRIBUTES, {}).get("Value", ()):
        system = item.get("04000563", {}).get("Value", [""])
        modified = item.get("04000550", {}).get("Value") or [{}]
        for tag8, each in modified[0].items() if system == [MODIFYING_SYSTEM] else ():
            if tag8 in overlay.final:
                found.setdefault(tag8, _value(each))
    return found


def flattened(
    model: dict[str, Any], depth: int = 0, *, originals: Mapping[str, str] = _NONE
) -> Iterator[AttributeRow]:
    """The attributes of a data set in the JSON model (PS3.18 F.2), depth first.

    ``originals``: of those that are corrected.
    """
    creators = {
        tag8[:4] + tag8[6:]: str(next(iter(each.get("Value", ())), ""))
        for tag8, each in model.items()
        if dictionary.is_private_creator(int(tag8, 16))
    }
    for tag8, each in model.items():
        tag = int(tag8, 16)
        creator = creators.get(tag8[:4] + tag8[4:6], "") if dictionary.is_private(tag) else ""
        name = dictionary.name_of(tag, creator) or creator
        label = f"({tag8[:4]},{tag8[4:]})"
        items = each.get("Value", []) if each["vr"] == "SQ" else None
        value = _count(items) if items is not None else _value(each)
        yield AttributeRow(depth, label, each["vr"], name, value, originals.get(tag8))
        for number, item in enumerate(items or (), 1):
            yield AttributeRow(depth + 1, "", "", f"#{number}", "")
            yield from flattened(item or {}, depth + 2)


def _count(items: list[Any]) -> str:
    return f"({len(items)})"


def _value(attribute: dict[str, Any]) -> str:
    if "BulkDataURI" in attribute or "InlineBinary" in attribute:
        return "…"
    found = []
    for value in attribute.get("Value", ()):
        shown = "=".join(value.values()) if isinstance(value, dict) else value
        found.append("" if shown is None else str(shown))
        if len(found) > LONGEST:
            break
    text = "\\".join(found)
    if attribute["vr"] == "UI" and (known := SOP_CLASSES.get(text)) is not None:
        text = f"{text} ({known.name})"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _matching(rows: Iterator[AttributeRow], wanted: str) -> Iterator[AttributeRow]:
    """Those that hold ``wanted``, each below what it is in."""
    above: list[AttributeRow] = []
    for row in rows:
        while above and above[-1].depth >= row.depth:
            above.pop()
        above.append(row)
        if not wanted or any(wanted in text for text in _searched(row)):
            yield from above
            # They have been given, and are not given again.
            above = []


def _searched(row: AttributeRow) -> Iterator[str]:
    """What is looked through, for "Patient's Name" its keyword as well: ``patientname``."""
    name = row.name.casefold()
    yield from (row.tag.casefold(), name, row.value.casefold())
    yield "".join(name.replace("'s ", "").split())


ROUTES = (
    Route(
        "/studies/{study}/series/{series}/instances/{instance}/attributes", show, name="attributes"
    ),
)
