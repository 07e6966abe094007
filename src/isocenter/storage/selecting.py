"""Which instances a retrieval or a removal means."""

from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Select

from isocenter.errors import OutOfTurn
from isocenter.storage.records import Selection
from isocenter.storage.schema import instance, series, study


def conditions(selection: Selection) -> list[ColumnElement[bool]]:
    """On ``study``, ``series`` and ``instance``.

    Raises: OutOfTurn, for a selection of everything.
    """
    found: list[ColumnElement[bool]] = []
    if selection.patient_id:
        found.append(study.c.patient_id == selection.patient_id)
        if selection.issuer is not None:
            found.append(study.c.issuer == selection.issuer)
    for column, wanted in (
        (study.c.study_uid, selection.studies),
        (study.c.handle, selection.handles),
        (series.c.series_uid, selection.series),
        (instance.c.sop_instance_uid, selection.instances),
    ):
        if wanted:
            found.append(column.in_(wanted))
    if not found:
        raise OutOfTurn("a selection has to name something")
    return found


def is_of_all_issuers(selection: Selection) -> bool:
    """Whether it takes a patient by an ID that several issuers may have given to several people."""
    by_others = (selection.studies, selection.series, selection.instances, selection.handles)
    return bool(selection.patient_id) and selection.issuer is None and not any(by_others)


def shared_wholes(selection: Selection) -> list[Selection]:
    """What it takes of each study or series that it names by a UID alone.

    Several patients may have one of that UID. No two have one instance, or one handle.
    """
    if selection.patient_id or selection.handles or selection.instances:
        return []
    if selection.studies:
        return [replace(selection, studies=(uid,)) for uid in selection.studies]
    return [replace(selection, series=(uid,)) for uid in selection.series]


def chosen(statement: Select[Any], selection: Selection) -> Select[Any]:
    """``statement`` over the selected instances, with their series and studies joined.

    Raises: OutOfTurn, for a selection of everything.
    """
    joined = instance.join(series, series.c.pk == instance.c.series_fk).join(
        study, study.c.pk == series.c.study_fk
    )
    return statement.select_from(joined).where(*conditions(selection))
