"""Putting an instance in another blob in the place of the same one as it was."""

from dataclasses import dataclass

from isocenter.storage.entry import Entry
from isocenter.storage.ledger import Ledger
from isocenter.storage.records import ChangeKind
from isocenter.storage.removing import above_of, list_for_deletion


@dataclass(frozen=True, slots=True)
class Recode:
    """Have an instance kept as ``entry`` says, if it is still the one kept under ``former``.

    The former blob is listed for deletion, which is not due for ``grace`` seconds: who asked where
    the instance is may be about to open it.
    """

    entry: Entry
    former: str
    grace: float
    kind: ChangeKind = ChangeKind.RECODED
    """What the change feed says of it."""

    def __call__(self, ledger: Ledger) -> bool:
        """Whether it was; else nothing is written."""
        incoming = self.entry.incoming
        found = ledger.one(ledger.statements.find_instance, self.entry.sop_instance_uid)
        if found is None or found[5] != self.former:
            return False
        pk, digest, series_pk, size, received = found[0], found[1], found[2], found[6], found[9]
        above = above_of(ledger, series_pk)
        uids = (above.study_uid, above.series_uid, self.entry.sop_instance_uid)
        ledger.has_detached = True  # what is known of where it lies is out of date
        ledger.write(
            ledger.statements.recode_instance,
            incoming.transfer_syntax,
            incoming.blob_key,
            incoming.size,
            incoming.digest,
            incoming.dataset_offset,
            self.entry.document,
            self.entry.compared,
            received or digest,
            pk,
        )
        ledger.count_out(above.keys, self.former, size)
        ledger.count_in(above.keys, incoming.blob_key, incoming.size)
        if incoming.size < size:
            ledger.tallies.went(above.modality, size=size - incoming.size)
        else:
            ledger.tallies.came(above.modality, size=incoming.size - size)
        due_at = ledger.now + round(self.grace * 1_000_000)
        list(list_for_deletion(ledger, uids, {self.former: size}, due_at=due_at))
        ledger.note(self.kind, uids, incoming.blob_key, ())
        return True


@dataclass(frozen=True, slots=True)
class Remember:
    """Keep a short text under a name: how far somebody has read the change feed."""

    name: str
    value: str

    def __call__(self, ledger: Ledger) -> None:
        """Write over what was kept under that name."""
        if ledger.one(ledger.statements.read_meta, self.name) is None:
            ledger.write(ledger.statements.insert_meta, self.name, self.value)
        else:
            ledger.write(ledger.statements.update_meta, self.value, self.name)
