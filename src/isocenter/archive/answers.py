"""What an answer holds of a match: what was asked for, and no more."""

from typing import Any

from isocenter.storage.attributes import Attribute
from isocenter.storage.query import Key

Document = dict[str, Any]


def only(sequence: Document, attribute: Attribute, key: Key) -> Document:
    """Keep of each item what ``key`` asks for; an item key that is absent comes back empty.

    A key without items of its own asks for all there is.
    """
    wanted = [
        (nested, attribute.items[nested.tag])
        for nested in key.items
        if nested.tag in attribute.items
    ]
    if not wanted:
        return sequence
    items = [
        {known.tag8: _of_item(item, known, nested) for nested, known in wanted}
        for item in sequence.get("Value", [])
    ]
    return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}


def _of_item(item: Document, attribute: Attribute, key: Key) -> Document:
    found: Document = item.get(attribute.tag8, {"vr": attribute.vr})
    return only(found, attribute, key) if attribute.vr == "SQ" else found
