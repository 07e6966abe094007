"""Taking instances out: counters right, empty parents gone, blobs listed for deletion."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Select, select
from sqlalchemy.engine import Dialect

from isocenter.errors import OutOfTurn
from isocenter.storage import schema
from isocenter.storage.attributes import NON_PATIENT_STUDY
from isocenter.storage.ledger import Ledger
from isocenter.storage.origins import tidy
from isocenter.storage.pruning import prune
from isocenter.storage.records import ChangeKind, Removed, Selection
from isocenter.storage.removal_records import MOST_STUDIES, Order
from isocenter.storage.selecting import chosen


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove up to ``limit`` of the selected instances, as part of a removal."""

    selection: Selection
    limit: int
    dialect: Dialect
    order: Order
    number: int = 0
    """Of the removal, if it was begun."""

    def __call__(self, ledger: Ledger) -> Removed:
        """Empty when nothing (more) is selected."""
        statement = chosen(select(schema.instance.c.sop_instance_uid), self.selection)
        rows = _rows(ledger, statement.limit(self.limit), self.dialect)
        uids = [row[0] for row in rows]
        if not uids:
            return Removed(0, self.number)
        aside = Aside(self.number or _begun(ledger, self.order))
        detach(ledger, uids, aside)
        aside.note(ledger)
        return Removed(len(uids), aside.removal)


def _begun(ledger: Ledger, order: Order) -> int:
    """Begin a removal; return its number."""
    number = ledger.key()
    due_at = ledger.now + round(order.retention * 1_000_000)
    times = (ledger.now, due_at, 0, 0)
    row = (number, *times, order.who, order.code, order.reason, 0, 0, b"[]")
    ledger.write(ledger.statements.insert_removal, *row)
    return number


class Aside:
    """Where removed instances are put, to be put back or deleted later."""

    def __init__(self, removal: int) -> None:
        self.removal = removal
        self._instances = self._size = 0
        self._studies: dict[str, dict[str, Any]] = {}

    def meet(self, ledger: Ledger, above: "Above") -> None:
        """Remember a series with what is above it, as long as it is there."""
        series = self.removal, above.keys[2]
        row = ledger.one(ledger.statements.series_above, series[1])
        if row is not None and not ledger.all(ledger.statements.find_removed_parent, *series):
            ledger.write(ledger.statements.insert_removed_parent, *series, *row)
        self._meet_study(ledger, above)

    def _meet_study(self, ledger: Ledger, above: "Above") -> None:
        if above.study_uid in self._studies or len(self._studies) >= MOST_STUDIES:
            return
        row = ledger.one(ledger.statements.study_summary, above.keys[1])
        if row is not None:
            known = orjson.loads(row[0]) | orjson.loads(row[1])
            known["0020000D"] = {"vr": "UI", "Value": [above.study_uid]}
            known["00080061"] = {"vr": "CS", "Value": row[2].split("\\")}
            self._studies[above.study_uid] = known

    def put(self, ledger: Ledger, row: tuple[Any, ...], *, is_current: bool) -> None:
        """Put one blob aside; ``row`` as ``removed_blob`` has it, but for the removal."""
        ledger.write(ledger.statements.insert_removed_blob, row[0], self.removal, *row[1:])
        self._instances += is_current
        self._size += row[6]

    def note(self, ledger: Ledger) -> None:
        """Write down what was put aside."""
        row = ledger.one(ledger.statements.find_removal, self.removal)
        assert row is not None
        held = {str(each["0020000D"]["Value"][0]): each for each in orjson.loads(row[-1])}
        studies = list((self._studies | held).values())[:MOST_STUDIES]
        values = (self._instances, self._size, orjson.dumps(studies), self.removal)
        ledger.write(ledger.statements.add_to_removal, *values)


@dataclass(frozen=True, slots=True)
class Forget:
    """Strike blobs off the list of those to be deleted: their bytes are gone."""

    blob_keys: Sequence[str]

    def __call__(self, ledger: Ledger) -> None:
        """Keys that are not listed do no harm."""
        ledger.write_many(ledger.statements.delete_removed, [(key,) for key in self.blob_keys])
        ledger.removed_blobs().difference_update(self.blob_keys)


def _rows(ledger: Ledger, statement: Select[Any], dialect: Dialect) -> Iterable[tuple[Any, ...]]:
    compiled: Any = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    parameters = tuple(compiled.params[name] for name in compiled.positiontup or ())
    return ledger.rows(str(compiled), parameters)


@dataclass(frozen=True, slots=True)
class Above:
    """What an instance that goes belongs to."""

    keys: tuple[int, int, int]
    study_uid: str
    series_uid: str
    modality: str


def detach(ledger: Ledger, uids: Sequence[str], aside: Aside | None = None) -> None:
    """Take instances out of search.

    They and all earlier versions are put ``aside``; without, their bytes are kept as replaced
    versions.
    """
    ledger.flush()
    ledger.places.clear()
    ledger.has_detached = ledger.has_detached or bool(uids)
    above: dict[int, Above] = {}
    for uid in uids:
        found = ledger.one(ledger.statements.find_instance, uid)
        if found is None:
            raise OutOfTurn("an instance to be removed is not there")
        series_pk = found[2]
        if series_pk not in above:
            above[series_pk] = above_of(ledger, series_pk)
            if aside is not None:
                aside.meet(ledger, above[series_pk])
        _detach_one(ledger, above[series_pk], uid, found, aside)
    ledger.flush()
    _prune(ledger, above.values())
    for study_pk in {each.keys[1] for each in above.values()}:
        tidy(ledger, study_pk)


def above_of(ledger: Ledger, series_pk: int) -> Above:
    """Give what a series belongs to. Raises: OutOfTurn."""
    series = ledger.one(ledger.statements.read_series, series_pk)
    study = ledger.one(ledger.statements.read_study, series[0]) if series else None
    if series is None or study is None:
        raise OutOfTurn("a row's parent is not there")
    return Above((study[3], series[0], series_pk), study[4], series[2], series[3])


def _detach_one(
    ledger: Ledger, above: Above, uid: str, found: tuple[Any, ...], aside: Aside | None
) -> None:
    statements = ledger.statements
    pk, digest, _, sop_class_uid, transfer_syntax, blob_key, size, offset, stored_at, received = (
        found
    )
    uids = (above.study_uid, above.series_uid, uid)
    kept = (digest, offset, stored_at)
    ledger.write(statements.delete_instance, pk)
    ledger.count_out(above.keys, blob_key, size)
    ledger.tallies.went(above.modality, instances=1, size=size)
    if aside is None:
        what = (uid, *uids[:2], sop_class_uid, transfer_syntax, blob_key, size)
        ledger.write(statements.insert_version, ledger.key(), *what, *kept, ledger.now, received)
        return
    what = (blob_key, *uids, sop_class_uid, transfer_syntax, size)
    aside.put(ledger, (*what, *kept, 0, received), is_current=True)
    seen = {blob_key}
    for version in ledger.all(statements.versions, uid):
        if version[6] in seen:
            continue
        seen.add(version[6])
        _, _, study_uid, series_uid, version_class, syntax, key, version_size, *rest = version
        *kept_then, replaced_at, received_then = rest
        what = (key, study_uid, series_uid, uid, version_class, syntax, version_size)
        aside.put(ledger, (*what, *kept_then, replaced_at, received_then), is_current=False)
    ledger.write(statements.delete_versions, uid)
    ledger.note(ChangeKind.REMOVED, uids, blob_key, ())


def list_for_deletion(
    ledger: Ledger, uids: tuple[str, str, str], blobs: dict[str, int], *, due_at: int = 0
) -> Iterator[str]:
    """List blobs, with their sizes, and give those that were not listed before.

    ``due_at``: microseconds since 1970 before which they stay.
    """
    listed = ledger.removed_blobs()
    for blob_key, size in blobs.items():
        if blob_key not in listed:
            row = (blob_key, *uids, size, ledger.now, due_at)
            ledger.write(ledger.statements.insert_removed, *row)
            listed.add(blob_key)
            yield blob_key


def _prune(ledger: Ledger, touched: Iterable[Above]) -> None:
    """Delete the parents that have become empty, and count the studies among them as gone."""
    above = list(touched)
    studies = {each.keys[1]: each for each in above}
    for study_pk in prune(ledger, [each.keys for each in above]):
        if studies[study_pk].study_uid != NON_PATIENT_STUDY:
            ledger.tallies.went(studies[study_pk].modality, studies=1)
