"""A patient's identifier as other systems write it: HL7 CX, ``4711^^^HOSPITAL&1.2.3&ISO^PI``.

Source: HL7 2.5.1, 2.A.14 (CX), 2.A.33 (HD).
"""

import re
from dataclasses import dataclass
from typing import Final

from starlette.exceptions import HTTPException

from isocenter.storage.query import Key

ID, ISSUER, QUALIFIERS, UNIVERSAL_ID = 0x00100020, 0x00100021, 0x00100024, 0x00400032
LONGEST: Final = 256
_ESCAPES: Final = {"S": "^", "T": "&", "R": "~", "F": "|", "E": "\\"}


@dataclass(frozen=True, slots=True)
class Identifier:
    """Who a patient is, and in whose numbering."""

    id: str
    namespace: str = ""
    universal_id: str = ""

    @classmethod
    def read(cls, text: str) -> "Identifier":
        """Read a CX; a plain ID is one without an authority. Raises: HTTPException 400."""
        if len(text) > LONGEST or not text.isprintable():
            raise HTTPException(400, "patientID cannot be read")
        parts = [*text.split("^"), "", "", ""]
        authority = [*parts[3].split("&"), ""]
        found = cls(*map(_unescaped, (parts[0], authority[0], authority[1])))
        if not found.id:
            raise HTTPException(400, "patientID has no ID in it")
        return found

    def keys(self) -> tuple[Key, ...]:
        """What finds the patient: with an authority, only its own."""
        keys = [Key(ID, any_of=(self.id,))]
        if self.namespace:
            keys.append(Key(ISSUER, any_of=(self.namespace,)))
        if self.universal_id and not self.namespace:
            keys.append(Key(QUALIFIERS, items=(Key(UNIVERSAL_ID, any_of=(self.universal_id,)),)))
        return tuple(keys)


def _unescaped(text: str) -> str:
    return re.sub(r"\\([STRFE])\\", lambda found: _ESCAPES[found[1]], text).strip()
