"""What persons corrected: entered, revoked, and told."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from sqlalchemy import select, tuple_

from isocenter.dicom.overlay import Changes
from isocenter.storage import schema
from isocenter.storage.correcting import Basis, Correct, Replay, Revoke
from isocenter.storage.search import Run
from isocenter.storage.writer import Writer

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Correction:
    """A correction of one study, in force or revoked."""

    action: str
    """What it is revoked by; corrections that were made together have the same."""
    changes: Changes
    before: dict[str, Any]
    """The attributes as they were shown before; those that were not there are missing."""
    reason: str
    corrected_by: str
    corrected_at: int
    """Microseconds since 1970, UTC."""
    revoked_by: str
    revoked_at: int
    """0 while it is in force."""


class CorrectionStore:
    """Every method may raise Unavailable. What has returned is committed."""

    def __init__(self, writer: Writer, readers: Executor, run: Run) -> None:
        self._writer = writer
        self._readers = readers
        self._run = run

    async def correct(self, correct: Correct) -> int:
        """Correct studies; return how many. Raises: NotFound, Denied, Conflict."""
        return await self._writer.write(correct)

    async def state(self, basis: Basis) -> str:
        """What is there now for who decides on a correction: as `Correct` compares it."""
        return await self._writer.write(basis)

    async def revoke(self, action: str, by: str) -> int:
        """Undo a correction; return how many studies it concerned. Raises: NotFound."""
        return await self._writer.write(Revoke(action, by))

    def replay(self) -> int:
        """Lay over instances that were entered anew what is in force. Blocks."""
        return self._writer.submit(Replay()).result()

    async def of_study(self, handle: str) -> list[Correction]:
        """All there were of what is in a study now, the newest first."""
        return await self._read(lambda: self._of_study(handle))

    def _of_study(self, handle: str) -> list[Correction]:
        study, patient, origin, table = (
            schema.study,
            schema.patient,
            schema.origin,
            schema.correction,
        )
        columns = ("patient_id", "issuer", "lone_study_uid")
        own = select(study.c.pk, *(patient.c[each] for each in columns), study.c.study_uid)
        joined = study.join(patient, patient.c.pk == study.c.patient_fk)
        rows = self._run(own.select_from(joined).where(study.c.handle == handle))
        identities = {tuple(row[1:]) for row in rows}
        for row in rows:
            held = select(*(origin.c[each] for each in columns), origin.c.study_uid)
            identities |= {
                tuple(each) for each in self._run(held.where(origin.c.study_fk == row[0]))
            }
        if not identities:
            return []
        identity = tuple_(*(table.c[each] for each in columns), table.c.study_uid)
        wanted = select(table).where(identity.in_(sorted(identities)))
        found: dict[str, Correction] = {}
        for row in self._run(wanted.order_by(table.c.corrected_at.desc(), table.c.pk.desc())):
            found.setdefault(row.action, _correction(row))
        return list(found.values())

    async def _read(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)


def _correction(row: Any) -> Correction:
    return Correction(
        row.action,
        orjson.loads(row.changes),
        orjson.loads(row.before),
        row.reason,
        row.corrected_by,
        row.corrected_at,
        row.revoked_by,
        row.revoked_at,
    )
