"""What is known of a removal, and what of it can be put back."""

from dataclasses import dataclass, field
from typing import Any

MOST_STUDIES = 20
"""Studies that a removal names; of others it only counts the instances."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Who has something removed, and why."""

    who: str = ""
    """By which door, and from where."""
    code: str = ""
    """Of CID 7011 (PS3.16): why it is rejected; empty for none of these."""
    reason: str = ""
    """In words."""
    retention: float = 0.0
    """Seconds for which it can be undone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """One removal. Times are microseconds since 1970, UTC; 0 for never."""

    number: int
    removed_at: int
    due_at: int
    """When the bytes go."""
    restored_at: int = 0
    purged_at: int = 0
    who: str = ""
    code: str = ""
    reason: str = ""
    instances: int = 0
    bytes: int = 0
    """Replaced versions are among them."""
    studies: tuple[dict[str, Any], ...] = field(default=())
    """Some of those it took from, each in the DICOM JSON model; without patients once purged."""

    @property
    def can_be_undone(self) -> bool:
        """Whether there is something to put back."""
        return not (self.restored_at or self.purged_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedBlob:
    """A blob that can be put back."""

    blob_key: str
    removal: int
    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax: str
    size: int
    digest: bytes
    dataset_offset: int
    stored_at: int
    replaced_at: int
    """0 for what was current."""
    received_digest: bytes
