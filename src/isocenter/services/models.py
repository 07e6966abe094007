"""The Query/Retrieve information models (PS3.4 C.3, C.6), and what may be negotiated of them."""

from dataclasses import dataclass

from isocenter.storage.attributes import Level


@dataclass(frozen=True, slots=True)
class Model:
    """An information model: its levels and the SOP classes of its services."""

    name: str
    levels: tuple[Level, ...]
    find: str
    move: str
    get: str


UNIQUE_KEYS = {
    Level.PATIENT: 0x00100020,
    Level.STUDY: 0x0020000D,
    Level.SERIES: 0x0020000E,
    Level.IMAGE: 0x00080018,
}

_ROOT = "1.2.840.10008.5.1.4.1.2"

MODELS = (
    Model("Patient Root", tuple(Level), f"{_ROOT}.1.1", f"{_ROOT}.1.2", f"{_ROOT}.1.3"),
    Model("Study Root", tuple(Level)[1:], f"{_ROOT}.2.1", f"{_ROOT}.2.2", f"{_ROOT}.2.3"),
    Model("Patient/Study Only", tuple(Level)[:2], f"{_ROOT}.3.1", f"{_ROOT}.3.2", f"{_ROOT}.3.3"),
)

BY_FIND = {model.find: model for model in MODELS}
BY_MOVE = {model.move: model for model in MODELS}
BY_GET = {model.get: model for model in MODELS}


@dataclass(frozen=True, slots=True)
class Negotiated:
    """The options of C-FIND's extended negotiation (PS3.4 C.5.1.1); C-MOVE and C-GET have one."""

    relational: bool = False
    combined_date_time: bool = False
    fuzzy: bool = False
    timezone: bool = False

    @classmethod
    def of(cls, information: bytes | None) -> "Negotiated":
        """Read the bytes of the sub-item; what is not there was not asked for."""
        return cls(*(byte == 1 for byte in (information or b"")[:4]))


def answer_find(information: bytes) -> bytes:
    """Agree to what was asked for: all four options are supported."""
    return bytes(int(byte == 1) for byte in information[:4])


def answer_retrieve(information: bytes) -> bytes:
    """Agree to relational retrieval. Of the enhanced conversion (byte 4), nothing."""
    return bytes(int(byte == 1) for byte in information[:1])
