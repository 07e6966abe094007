"""Which transfer syntax an instance is given in (PS3.18 8.7.3.4, 8.7.8.2)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from isocenter.archive.retrieve import can_convert, can_reencode
from isocenter.dicom.syntax import EXPLICIT_LE, TransferSyntax, lookup
from isocenter.dicomweb.negotiation import AS_KEPT
from isocenter.storage.records import InstanceRef

LOSSLESS: Final = frozenset(
    {
        *(f"1.2.840.10008.1.2.4.{number}" for number in (57, 70, 80, 90, 110, 201, 202)),
        *("1.2.840.10008.1.2.5", "1.2.840.10008.1.2.8.1", "1.2.840.10008.1.2.1.98"),
    }
)
"""Compressions that lose nothing, whatever is in the stream."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of instances that are kept in several transfer syntaxes."""

    targets: Mapping[str, TransferSyntax | None]
    """By the UID of the one they are kept in; None, where they cannot be given."""
    is_asked_for: bool
    """The targets are what was asked for; else the default, from which may be departed."""

    @classmethod
    def of(
        cls,
        instances: Iterable[InstanceRef],
        acceptable: Sequence[str | None],
        *,
        as_kept_only: bool = False,
    ) -> "Plan":
        """Return how to give ``instances`` to who finds ``acceptable``, best first.

        Each of those is a UID, ``*`` for any, so as it is kept, or None for the default.
        """
        kept = sorted({each.transfer_syntax for each in instances})
        find = kept_if_in if as_kept_only else given_in
        targets = {uid: find(lookup(uid), acceptable) for uid in kept}
        return cls(targets, is_asked_for=None not in acceptable)

    def target(self, instance: InstanceRef) -> TransferSyntax | None:
        """Return the transfer syntax that an instance is given in; None, if it is not."""
        return self.targets[instance.transfer_syntax]

    @property
    def is_complete(self) -> bool:
        """All can be given."""
        return None not in self.targets.values()

    @property
    def is_as_kept(self) -> bool:
        """Nothing is changed of those that are given."""
        return all(to is None or to.uid == kept for kept, to in self.targets.items())


def given_in(kept: TransferSyntax, acceptable: Sequence[str | None]) -> TransferSyntax | None:
    """Return how to give what is ``kept`` so; None, if it cannot be given."""
    for wanted in acceptable:
        if wanted is None:
            return default_of(kept)
        if wanted in (AS_KEPT, kept.uid):
            return kept
        if can_convert(kept, lookup(wanted)):
            return lookup(wanted)
    return None


def kept_if_in(kept: TransferSyntax, acceptable: Sequence[str | None]) -> TransferSyntax | None:
    """Return ``kept`` if it is acceptable as it is, which it also is to who does not say."""
    return kept if {None, AS_KEPT, kept.uid} & set(acceptable) else None


def default_of(kept: TransferSyntax) -> TransferSyntax:
    """Return how to give an instance to who does not say: in Explicit VR Little Endian.

    What was compressed with loss is given as it is kept (PS3.18 8.7.3.5.2).
    """
    if can_reencode(kept, EXPLICIT_LE):
        return EXPLICIT_LE
    is_plain_better = kept.uid in LOSSLESS and can_convert(kept, EXPLICIT_LE)
    return EXPLICIT_LE if is_plain_better else kept
