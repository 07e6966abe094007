"""Entering corrections, revoking them, and laying them over instances anew."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from isocenter.dicom import overlay as overlays
from isocenter.dicom.overlay import Changes
from isocenter.errors import Conflict, Denied, NotFound
from isocenter.storage import origins
from isocenter.storage.attributes import NON_PATIENT_STUDY
from isocenter.storage.entry import to_json
from isocenter.storage.ledger import Ledger
from isocenter.storage.records import ChangeKind

Identity = tuple[str, str, str, str]
"""Patient ID, its issuer, the study without a Patient ID, Study Instance UID: as received."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What somebody looks at who decides on a correction."""

    handles: tuple[str, ...]
    """Of the studies that are corrected."""
    is_of_patient: bool = False
    """They are to be all that their patient has."""
    joins: tuple[str, str] | None = None
    """The Patient ID and its issuer that they will have, if these are changed."""

    def __call__(self, ledger: Ledger) -> str:
        """Its state: another one, once any of that is."""
        ledger.flush()
        state = hashlib.sha256()
        for part in self._parts(ledger):
            state.update(b"%d:%b" % (len(part), part))
        return state.hexdigest()

    def _parts(self, ledger: Ledger) -> Iterator[bytes]:
        patients: dict[int, None] = {}
        for handle in sorted(self.handles):
            yield handle.encode()
            row = ledger.one(ledger.statements.study_named, handle)
            if row is not None:
                yield from row[6:8]
                patients[row[1]] = None
                came = [each.identity for each in origins.of_study(ledger, row[0])]
                for identity in dict.fromkeys([row[2:6], *came]):
                    for at, changes in ledger.all(ledger.statements.active_corrections, *identity):
                        yield b"%d" % at
                        yield changes
        if self.is_of_patient:
            for patient in patients:
                for row in ledger.all(ledger.statements.studies_of_patient, patient):
                    yield row[2].encode()
        if self.joins is not None:
            row = ledger.one(ledger.statements.find_patient, *self.joins, "")
            yield b"nobody" if row is None else row[1]


@dataclass(frozen=True, slots=True)
class Correct:
    """Lay ``changes`` over all instances of some studies, and over those that come into them."""

    action: str
    """A name of its own, by which all of it can be revoked."""
    basis: Basis
    changes: Changes
    reason: str
    by: str
    seen: str | None = None
    """The state of the basis on which it was decided; None for any."""

    def __call__(self, ledger: Ledger) -> int:
        """How many studies are corrected.

        Raises: NotFound, Denied; Conflict, where the basis has changed; before anything is written.
        """
        if self.seen is not None and self.basis(ledger) != self.seen:
            raise Conflict("these studies or patients have changed meanwhile: look at them again")
        studies = []
        for handle in self.basis.handles:
            row = ledger.one(ledger.statements.study_named, handle)
            if row is None:
                raise NotFound("a study that was to be corrected has gone, or was moved meanwhile")
            if row[5] == NON_PATIENT_STUDY:
                raise Denied("these instances are of no patient")
            studies.append(row[0])
        _begin(ledger)
        identities: dict[Identity, None] = {}
        for study_pk in studies:
            origins.adopt(ledger, study_pk)
            for origin in origins.of_study(ledger, study_pk):
                identities[origin.identity] = None
        for identity in identities:
            self._enter(ledger, identity)
            _lay_over(ledger, identity)
        return len(studies)

    def _enter(self, ledger: Ledger, identity: Identity) -> None:
        before = origins.told(ledger, identity)
        was = {tag8: before[tag8] for tag8 in self.changes if tag8 in before}
        row: tuple[Any, ...] = (
            ledger.key(),
            self.action,
            *identity,
            orjson.dumps(dict(self.changes)),
            to_json(was),
            self.reason,
            self.by,
            ledger.now,
            "",
            0,
        )
        ledger.write(ledger.statements.insert_correction, *row)


@dataclass(frozen=True, slots=True)
class Revoke:
    """Undo a correction, wherever it was made; others stay."""

    action: str
    by: str

    def __call__(self, ledger: Ledger) -> int:
        """How many studies that concerns. Raises: NotFound, before anything is written."""
        rows = ledger.all(ledger.statements.corrections_of_action, self.action)
        if not rows:
            raise NotFound("there is no such correction, or it was revoked already")
        _begin(ledger)
        for pk, *_ in rows:
            ledger.write(ledger.statements.revoke_correction, self.by, ledger.now, pk)
        identities = dict.fromkeys(tuple(row[1:]) for row in rows)
        for identity in identities:
            _lay_over(ledger, identity)
        return len(identities)


@dataclass(frozen=True, slots=True)
class Replay:
    """Lay over an index that was made anew what is in force."""

    def __call__(self, ledger: Ledger) -> int:
        """How many studies, as received, that concerns."""
        _begin(ledger)
        identities: Iterable[Identity] = [
            (row[0], row[1], row[2], row[3])
            for row in ledger.all(ledger.statements.corrected_identities)
        ]
        count = 0
        for identity in identities:
            _lay_over(ledger, identity)
            count += 1
        return count


def _begin(ledger: Ledger) -> None:
    ledger.flush()
    ledger.places.clear()
    ledger.has_detached = True  # what is known of instances is out of date


def _lay_over(ledger: Ledger, identity: Identity) -> None:
    """Have what is in force laid over what came with an identity."""
    rows = ledger.all(ledger.statements.active_corrections, *identity)
    overlay = overlays.written([(row[0], orjson.loads(row[1])) for row in rows])
    origin = origins.known(ledger, identity)
    if origin is None:
        if overlay:
            origins.expect(ledger, identity, overlay)
    else:
        origins.lay(ledger, origin, overlay)
    ledger.note(ChangeKind.CORRECTED, (identity[3], "", ""), "", ())
