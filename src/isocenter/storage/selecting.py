"""Which instances a retrieval or a removal means."""

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
    for column, uids in (
        (study.c.study_uid, selection.studies),
        (series.c.series_uid, selection.series),
        (instance.c.sop_instance_uid, selection.instances),
    ):
        if uids:
            found.append(column.in_(uids))
    if not found:
        raise OutOfTurn("a selection has to name something")
    return found


def is_of_all_issuers(selection: Selection) -> bool:
    """Whether it takes a patient by an ID that several issuers may have given to several people."""
    narrowed = selection.studies or selection.series or selection.instances
    return bool(selection.patient_id) and selection.issuer is None and not narrowed


def chosen(statement: Select[Any], selection: Selection) -> Select[Any]:
    """``statement`` over the selected instances, with their series and studies joined.

    Raises: OutOfTurn, for a selection of everything.
    """
    joined = instance.join(series, series.c.pk == instance.c.series_fk).join(
        study, study.c.pk == series.c.study_fk
    )
    return statement.select_from(joined).where(*conditions(selection))
