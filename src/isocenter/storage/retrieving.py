"""The instances a retrieval means, in order, however many."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import (
    Column,
    Connection,
    LargeBinary,
    Row,
    Select,
    bindparam,
    func,
    literal,
    select,
    tuple_,
)

from isocenter.dicom.overlay import read as read_overlay
from isocenter.errors import Conflict
from isocenter.storage.records import (
    InstanceRef,
    Selection,
    SeriesOutline,
)
from isocenter.storage.schema import (
    instance,
    instance_version,
    meta,
    origin,
    removed,
    removed_blob,
    series,
    study,
)
from isocenter.storage.search import PAGE, Run, chunks
from isocenter.storage.selecting import chosen, conditions, is_of_all_issuers, shared_wholes

UIDS_AT_A_TIME: Final = 500
ALWAYS: Final = (1 << 63) - 1
"""A time that everything is due by."""

_REFERENCE: Final = (
    instance.c.sop_class_uid,
    instance.c.sop_instance_uid,
    study.c.study_uid,
    series.c.series_uid,
    instance.c.transfer_syntax,
    instance.c.blob_key,
    instance.c.size,
    instance.c.digest,
    instance.c.dataset_offset,
    origin.c.overlay,
)
_VERSION: Final = (
    instance_version.c.sop_class_uid,
    instance_version.c.sop_instance_uid,
    instance_version.c.study_uid,
    instance_version.c.series_uid,
    instance_version.c.transfer_syntax,
    instance_version.c.blob_key,
    instance_version.c.size,
    instance_version.c.digest,
    instance_version.c.dataset_offset,
    literal(b"", LargeBinary),
    instance_version.c.pk,
)
_JOINED: Final = (
    instance.join(series, series.c.pk == instance.c.series_fk)
    .join(study, study.c.pk == series.c.study_fk)
    .outerjoin(origin, origin.c.pk == instance.c.origin_fk)
)
_WITHIN: Final = (instance.c.instance_number, instance.c.pk)


_ONE: Final = (
    select(*_REFERENCE)
    .select_from(_JOINED)
    .where(instance.c.sop_instance_uid == bindparam("sop_instance_uid"))
)


def _references(rows: Sequence[Row[Any]]) -> list[InstanceRef]:
    return list(map(_reference, rows))


def _reference(row: Any) -> InstanceRef:
    place = len(_REFERENCE) - 1
    document = row[place]
    reference = InstanceRef(*row[:place])
    return replace(reference, overlay=read_overlay(bytes(document))) if document else reference


def one(connection: Connection, sop_instance_uid: str) -> InstanceRef | None:
    """Where an instance is; None, if it is not."""
    row = connection.execute(_ONE, {"sop_instance_uid": sop_instance_uid}).first()
    return None if row is None else _reference(row)


def selected(run: Run, selection: Selection) -> Iterator[list[InstanceRef]]:
    """By study (oldest first), series number, instance number.

    Raises: OutOfTurn, for everything; Conflict, see `refuse_strangers`.
    """
    refuse_strangers(run, selection)
    if selection.instances:
        yield from _listed(run, selection)
        return
    found = (
        select(series.c.pk, series.c.instances)
        .select_from(series.join(study, study.c.pk == series.c.study_fk))
        .where(*conditions(selection))
        .order_by(study.c.study_date, study.c.study_time, study.c.pk)
        .order_by(series.c.series_number, series.c.pk)
    )
    for chunk in chunks(run(found), PAGE):
        yield from _of_series(run, chunk)


def outlines(run: Run, selection: Selection) -> list[SeriesOutline]:
    """The selected series, by series number. Raises: OutOfTurn, for everything."""
    found = (
        select(series.c.pk, series.c.modality, series.c.instances)
        .select_from(series.join(study, study.c.pk == series.c.study_fk))
        .where(*conditions(selection))
        .order_by(series.c.series_number, series.c.pk)
    )
    return [SeriesOutline(*row) for row in run(found)]


def nth(run: Run, series_pk: int, number: int) -> InstanceRef | None:
    """The instance of a series that has so many before it, by instance number."""
    statement = select(*_REFERENCE).select_from(_JOINED).where(instance.c.series_fk == series_pk)
    rows = run(statement.order_by(*_WITHIN).offset(number).limit(1))
    return _references(rows)[0] if rows else None


def _of_series(run: Run, chunk: list[int]) -> Iterator[list[InstanceRef]]:
    """Of several small series together, or of a large one page by page."""
    statement = select(*_REFERENCE, instance.c.series_fk, *_WITHIN).select_from(_JOINED)
    if len(chunk) > 1:
        place = {pk: number for number, pk in enumerate(chunk)}
        rows = run(statement.where(instance.c.series_fk.in_(chunk)))
        ordered = sorted(rows, key=lambda row: (place[row[-3]], row[-2], row[-1]))
        if ordered:
            yield _references(ordered)
        return
    ordered_statement = statement.where(instance.c.series_fk == chunk[0]).order_by(*_WITHIN)
    after: tuple[int, int] | None = None
    while True:
        page = ordered_statement.limit(PAGE)
        if after is not None:
            page = page.where(tuple_(*_WITHIN) > tuple_(*after))
        rows = run(page)
        if rows:
            yield _references(rows)
        if len(rows) < PAGE:
            return
        after = (rows[-1][-2], rows[-1][-1])


def _listed(run: Run, selection: Selection) -> Iterator[list[InstanceRef]]:
    """Those on a list of SOP Instance UIDs, in the list's order."""
    uids = list(dict.fromkeys(selection.instances))
    for start in range(0, len(uids), UIDS_AT_A_TIME):
        part = uids[start : start + UIDS_AT_A_TIME]
        narrowed = replace(selection, instances=tuple(part))
        place = {uid: number for number, uid in enumerate(part)}
        statement = select(*_REFERENCE).select_from(_JOINED).where(*conditions(narrowed))
        found = _references(run(statement))
        if found:
            yield sorted(found, key=lambda each: place[each.sop_instance_uid])


def refuse_strangers(run: Run, selection: Selection, *, by_study: bool = False) -> None:
    """Raises: Conflict, where a selection would take several patients for one.

    ``by_study``: also where what is selected of a Study Instance UID is of several patients.
    """
    patients = select(study.c.patient_fk).distinct().limit(2)
    if is_of_all_issuers(selection):
        if len(run(patients.where(study.c.patient_id == selection.patient_id))) > 1:
            raise Conflict("several patients have this Patient ID: name its issuer")
    elif by_study:
        joined = patients.select_from(series.join(study, study.c.pk == series.c.study_fk))
        for each in shared_wholes(selection):
            if len(run(joined.where(*conditions(each)))) > 1:
                raise Conflict(
                    "several patients have this Study Instance UID:"
                    " name the patient, or series or instances that are of one only"
                )


def of_several_patients(run: Run, study_uids: Sequence[str]) -> set[str]:
    """Those of some Study Instance UIDs that several patients have."""
    counted = select(study.c.study_uid).group_by(study.c.study_uid).having(func.count() > 1)
    found: set[str] = set()
    for start in range(0, len(study_uids), UIDS_AT_A_TIME):
        part = study_uids[start : start + UIDS_AT_A_TIME]
        found.update(row[0] for row in run(counted.where(study.c.study_uid.in_(part))))
    return found


def count_selected(run: Run, selection: Selection) -> int:
    """How many instances a selection has. Raises: OutOfTurn, Conflict."""
    refuse_strangers(run, selection)
    if selection.instances:
        return sum(len(page) for page in _listed(run, selection))
    found = select(func.sum(series.c.instances)).select_from(
        series.join(study, study.c.pk == series.c.study_fk)
    )
    return int(run(found.where(*conditions(selection)))[0][0] or 0)


def kinds(run: Run, selection: Selection) -> list[tuple[str, str]]:
    """SOP class and transfer syntax of what a selection has, each pair once."""
    pairs = select(instance.c.sop_class_uid, instance.c.transfer_syntax).distinct()
    return sorted({(row[0], row[1]) for row in run(chosen(pairs, selection))})


def references(run: Run, pks: Sequence[int]) -> list[InstanceRef]:
    """The instances of these rows, in their order; rows that have gone are left out."""
    statement = select(*_REFERENCE, instance.c.pk).select_from(_JOINED)
    place = {pk: number for number, pk in enumerate(pks)}
    rows: list[Row[Any]] = []
    for start in range(0, len(pks), UIDS_AT_A_TIME):
        rows += run(statement.where(instance.c.pk.in_(pks[start : start + UIDS_AT_A_TIME])))
    return _references(sorted(rows, key=lambda row: place[row[-1]]))


def has_blob(run: Run, sop_instance_uid: str, blob_key: str) -> bool:
    """Whether a blob belongs to an instance, as its current or a former version."""
    return any(
        run(
            select(table.c.pk)
            .where(table.c.sop_instance_uid == sop_instance_uid)
            .where(table.c.blob_key == blob_key)
        )
        for table in (instance, instance_version)
    )


def everything(run: Run) -> Iterator[list[InstanceRef]]:
    """All instances, in no order that means anything."""
    kept = select(*_REFERENCE, instance.c.pk).select_from(_JOINED)
    return _all(run, kept, instance.c.pk)


def replaced(run: Run) -> Iterator[list[InstanceRef]]:
    """All replaced versions, in no order that means anything."""
    return _all(run, select(*_VERSION), instance_version.c.pk)


def _all(run: Run, statement: Select[Any], key: Column[int]) -> Iterator[list[InstanceRef]]:
    after = 0
    while rows := run(statement.where(key > after).order_by(key).limit(PAGE)):
        yield _references(rows)
        after = rows[-1][-1]


def study_dates(run: Run) -> tuple[str, str]:
    """The oldest and the newest date of a study; empty, where none has one."""
    dated = select(study.c.study_date).where(study.c.study_date > "").limit(1)
    found = [
        run(dated.order_by(direction))
        for direction in (study.c.study_date, study.c.study_date.desc())
    ]
    first, last = ((rows[0][0] if rows else "") for rows in found)
    return first, last


def blobs_to_delete(run: Run, limit: int, now: int) -> list[str]:
    """Keys of up to ``limit`` blobs nothing refers to any more, and which are due."""
    due = select(removed.c.blob_key).where(removed.c.due_at <= now)
    return [row[0] for row in run(due.limit(limit))]


def is_to_go(run: Run, blob_key: str) -> bool:
    """Whether a blob waits to be deleted, or to be put back."""
    return any(
        run(select(table.c.blob_key).where(table.c.blob_key == blob_key))
        for table in (removed, removed_blob)
    )


def remembered(run: Run, name: str) -> str | None:
    """A value of ours, kept under ``name``."""
    rows = run(select(meta.c.value).where(meta.c.name == name))
    return rows[0][0] if rows else None


def last_study(run: Run) -> int:
    """The key of the study that arrived last, 0 if there is none."""
    return run(select(func.max(study.c.pk)))[0][0] or 0
