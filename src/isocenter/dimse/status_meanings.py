"""What the status codes of DIMSE responses mean, by the service that answers (PS3.7 C, PS3.4)."""

from dataclasses import dataclass
from typing import Final

ANY: Final = "any service"
STORAGE: Final = "C-STORE"
FIND: Final = "C-FIND"
RETRIEVE: Final = "C-MOVE, C-GET"
UPS: Final = "Unified Procedure Step"
COMMITMENT: Final = "Storage Commitment, as a Failure Reason"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a range of codes means."""

    first: int
    last: int
    service: str
    category: str
    text: str
    source: str


def _one(code: int, service: str, category: str, text: str, source: str) -> Meaning:
    return Meaning(code, code, service, category, text, source)


MEANINGS: Final = (
    _one(0x0000, ANY, "success", "done", "PS3.7 C.1"),
    _one(0x0001, ANY, "warning", "done, with something to be told", "PS3.7 C.4.1"),
    _one(0x0105, ANY, "failure", "no such attribute", "PS3.7 C.5.17"),
    _one(0x0106, ANY, "failure", "an attribute has a value it cannot have", "PS3.7 C.5.11"),
    _one(0x0107, ANY, "warning", "some attributes are not known", "PS3.7 C.4.2"),
    _one(0x0110, ANY, "failure", "processing failed", "PS3.7 C.5.21"),
    _one(0x0111, ANY, "failure", "the SOP instance is there already", "PS3.7 C.5.8"),
    _one(0x0112, ANY, "failure", "no such SOP instance", "PS3.7 C.5.19"),
    _one(0x0113, ANY, "failure", "no such event type", "PS3.7 C.5.18"),
    _one(0x0114, ANY, "failure", "no such argument", "PS3.7 C.5.16"),
    _one(0x0115, ANY, "failure", "an argument has a value it cannot have", "PS3.7 C.5.10"),
    _one(0x0116, ANY, "warning", "a value was out of range, and adjusted", "PS3.7 C.4.3"),
    _one(0x0117, ANY, "failure", "the SOP Instance UID breaks the rules", "PS3.7 C.5.12"),
    _one(0x0118, ANY, "failure", "no such SOP class", "PS3.7 C.5.20"),
    _one(0x0119, ANY, "failure", "the instance is of another class", "PS3.7 C.5.7"),
    _one(0x0120, ANY, "failure", "an attribute is missing", "PS3.7 C.5.13"),
    _one(0x0121, ANY, "failure", "an attribute lacks its value", "PS3.7 C.5.14"),
    _one(0x0122, ANY, "failure", "refused: the SOP class is not supported", "PS3.7 C.5.6"),
    _one(0x0123, ANY, "failure", "no such action type", "PS3.7 C.5.24"),
    _one(0x0124, ANY, "failure", "refused: whoever asks may not", "PS3.7 C.5.25"),
    _one(0x0131, COMMITMENT, "failure", "the Transaction UID is in use", "PS3.3 C.14"),
    _one(0x0210, ANY, "failure", "the Message ID is in use", "PS3.7 C.5.9"),
    _one(0x0211, ANY, "failure", "no such operation", "PS3.7 C.5.23"),
    _one(0x0212, ANY, "failure", "an argument is of another type than agreed", "PS3.7 C.5.15"),
    _one(0x0213, ANY, "failure", "resources are short", "PS3.7 C.5.22"),
    Meaning(0xA700, 0xA7FF, STORAGE, "failure", "refused: out of resources", "PS3.4 B.2.3"),
    _one(0xA700, FIND, "failure", "refused: out of resources", "PS3.4 C.4.1.1.4"),
    _one(0xA701, RETRIEVE, "failure", "out of resources to count the matches", "PS3.4 C.4.2.1.5"),
    _one(0xA702, RETRIEVE, "failure", "out of resources to send what matches", "PS3.4 C.4.2.1.5"),
    _one(0xA801, "C-MOVE", "failure", "the Move Destination is not known", "PS3.4 C.4.2.1.5"),
    Meaning(
        0xA900, 0xA9FF, STORAGE, "failure", "the data set does not match the class", "PS3.4 B.2.3"
    ),
    _one(0xA900, FIND, "failure", "the identifier does not match the class", "PS3.4 C.4.1.1.4"),
    _one(0xA900, RETRIEVE, "failure", "the identifier does not match the class", "PS3.4 C.4.2.1.5"),
    _one(0xB000, STORAGE, "warning", "stored, data elements were coerced", "PS3.4 B.2.3"),
    _one(0xB000, RETRIEVE, "warning", "ended, with failures or warnings", "PS3.4 C.4.2.1.5"),
    _one(0xB006, STORAGE, "warning", "stored, elements were discarded", "PS3.4 B.2.3"),
    _one(0xB007, STORAGE, "warning", "stored, does not match its class", "PS3.4 B.2.3"),
    _one(0xB300, UPS, "warning", "created, with modifications", "PS3.4 CC.2.5.4"),
    _one(0xB301, UPS, "warning", "the deletion lock was not granted", "PS3.4 CC.2.3.4"),
    _one(0xB304, UPS, "warning", "is CANCELED already", "PS3.4 CC.2.1.4"),
    _one(0xB305, UPS, "warning", "values that were not valid were coerced", "PS3.4 CC.2.6.4"),
    _one(0xB306, UPS, "warning", "is COMPLETED already", "PS3.4 CC.2.1.4"),
    Meaning(0xC000, 0xCFFF, STORAGE, "failure", "cannot be understood", "PS3.4 B.2.3"),
    Meaning(0xC000, 0xCFFF, FIND, "failure", "cannot be processed", "PS3.4 C.4.1.1.4"),
    Meaning(0xC000, 0xCFFF, RETRIEVE, "failure", "cannot be processed", "PS3.4 C.4.2.1.5"),
    _one(0xC300, UPS, "failure", "may no longer be updated", "PS3.4 CC.2.1.4"),
    _one(0xC301, UPS, "failure", "the Transaction UID is not the right one", "PS3.4 CC.2.1.4"),
    _one(0xC302, UPS, "failure", "is IN PROGRESS already", "PS3.4 CC.2.1.4"),
    _one(0xC303, UPS, "failure", "becomes SCHEDULED by creation only", "PS3.4 CC.2.1.4"),
    _one(0xC304, UPS, "failure", "does not meet what a final state asks for", "PS3.4 CC.2.1.4"),
    _one(0xC307, UPS, "failure", "there is no such procedure step", "PS3.4 CC.2.1.4"),
    _one(0xC308, UPS, "failure", "the receiving AE title is not known", "PS3.4 CC.2.3.4"),
    _one(0xC309, UPS, "failure", "is to be created as SCHEDULED", "PS3.4 CC.2.5.4"),
    _one(0xC310, UPS, "failure", "is not yet IN PROGRESS", "PS3.4 CC.2.1.4"),
    _one(0xC311, UPS, "failure", "is COMPLETED already", "PS3.4 CC.2.2.4"),
    _one(0xC312, UPS, "failure", "the performer cannot be reached", "PS3.4 CC.2.2.4"),
    _one(0xC313, UPS, "failure", "the performer goes on", "PS3.4 CC.2.2.4"),
    _one(0xC314, UPS, "failure", "that action is not for this instance", "PS3.4 CC.2.3.4"),
    _one(0xC315, UPS, "failure", "event reports are not supported", "PS3.4 CC.2.3.4"),
    _one(0xFE00, ANY, "cancel", "ended, as C-CANCEL asked", "PS3.7 C.3"),
    _one(0xFF00, ANY, "pending", "going on", "PS3.7 C.2"),
    _one(0xFF01, FIND, "pending", "going on; some keys were not supported", "PS3.4 C.4.1.1.4"),
)
"""By code; a code may mean another thing to another service."""


def meanings_of(status: int) -> list[Meaning]:
    """Say what ``status`` means, by service; nothing, where no part of the standard has it."""
    return [each for each in MEANINGS if each.first <= status <= each.last]
