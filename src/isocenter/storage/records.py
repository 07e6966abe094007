"""What goes into the index and what comes out of it, apart from search."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any

from isocenter.dicom.overlay import Overlay

if TYPE_CHECKING:
    from isocenter.storage.entry import Upper
    from isocenter.storage.values import Attributes


class OnConflict(Enum):
    """What to do with an instance whose SOP Instance UID is there already with other bytes."""

    KEEP = "keep"
    """The first one stays; the change feed notes the other. ``Conflict`` is raised where that is of
    another patient, study or series: it is not the same thing twice."""
    REPLACE = "replace"
    """The new one becomes current; the old one is kept as a version."""
    REJECT = "reject"
    """``Conflict`` is raised."""


class Outcome(Enum):
    """What became of an instance that was to be stored."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    """The same bytes were there; the caller drops its blob."""
    KEPT = "kept"
    """Other bytes were there and stay; the caller drops its blob."""
    REPLACED = "replaced"


class Warned(Enum):
    """Something a person should look at. It did not stop the instance."""

    STUDY_OF_TWO_PATIENTS = "the Study Instance UID is known with another patient"
    PATIENT_DIFFERS = "the patient's name, birth date or sex differs from what this study has"
    NO_PATIENT_ID = "there is no Patient ID"
    OTHER_BYTES = "the SOP Instance UID is known with other bytes"


class ChangeKind(IntEnum):
    """What happened to an instance."""

    STORED = 1
    REPLACED = 2
    CONFLICT = 3
    REMOVED = 4
    RECODED = 5
    """The same instance is kept in another transfer syntax."""
    CORRECTED = 6
    """What is laid over the instances of a study is another; no instance is named."""
    RESTORED = 8
    """It was removed, and that was undone."""
    PURGED = 9
    """It was removed, and its bytes went."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """An instance whose blob is in place, to be entered into the index."""

    attributes: "Attributes"
    """In the DICOM JSON model, at least what of ``attributes.WANTED`` the data set holds."""
    transfer_syntax: str
    blob_key: str
    size: int
    """Bytes of the blob."""
    digest: bytes
    dataset_offset: int
    """Bytes of the blob before its data set."""
    received_digest: bytes = b""
    """Of the data set as it came, where it is kept in another encoding."""
    upper: "Upper | None" = None
    """What is above the instance, if it was taken out of the attributes of another one already."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The blob that an instance has, and what it was when it came."""

    blob_key: str
    size: int
    dataset_offset: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """The answer to an ``Incoming``: committed, and so durable."""

    outcome: Outcome
    warnings: tuple[Warned, ...] = ()
    there: Kept | None = None
    """Of a duplicate: what is kept."""


@dataclass(frozen=True, slots=True)
class InstanceRef:
    """Where an instance is and what it is."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax: str
    blob_key: str
    size: int
    """Bytes of the blob."""
    digest: bytes
    dataset_offset: int
    overlay: Overlay | None = None
    """What is laid over the data set on its way out."""
    given_size: int | None = None
    """Bytes of the file with that laid over it, once they are known."""

    @property
    def state(self) -> str:
        """What tells it, as it is given out now, from all it ever was and will be."""
        return f"{self.blob_key}~{self.overlay.token}" if self.overlay else self.blob_key

    @property
    def file_size(self) -> int:
        """Bytes of the file that is given out; of a corrected one, only once they are known."""
        return self.size if self.given_size is None else self.given_size


@dataclass(frozen=True, slots=True)
class SeriesOutline:
    """A series, and how much there is in it."""

    pk: int
    modality: str
    instances: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Instances by the unique keys of the levels above and their own; each list narrows the others.

    Source: PS3.4 C.4.2.2.1, C.4.3.2.1.
    """

    patient_id: str | None = None
    issuer: str | None = None
    """Only together with ``patient_id``; None for any."""
    studies: tuple[str, ...] = ()
    series: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()
    handles: tuple[str, ...] = ()
    """Only of these studies (`handles`): where several patients have a Study Instance UID."""


@dataclass(frozen=True, slots=True)
class Removed:
    """The answer to a removal."""

    instances: int
    removal: int = 0
    """Its number; 0 where there was nothing to remove."""


@dataclass(frozen=True, slots=True)
class Change:
    """One row of the change feed."""

    seq: int
    kind: ChangeKind
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    blob_key: str
    at: int
    """Microseconds since 1970, UTC."""
    warnings: tuple[Warned, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """One entity that a query found."""

    attributes: dict[str, Any]
    """In the DICOM JSON model, of this level and those above, computed ones included."""
    position: tuple[Any, ...]
    """Where it stands in the query's order; ``Query.after`` continues behind it."""
    patient: str = ""
    """The handle of its patient (`handles`)."""
    study: str = ""
    """The handle of its study; empty for a patient."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query found, its first page at once."""

    first: list[Match]
    pages: AsyncIterator[list[Match]]
    """What follows the first page, up to the query's limit."""
    behind: int
    """Matches behind the first page; at least so many, if they are not counted to the end. If the
    query has a limit, those beyond it are among them."""
    is_counted: bool
