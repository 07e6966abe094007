"""The rows of a page as matches: attributes of a level and of those above, and computed ones."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson
from sqlalchemy import Select, select

from isocenter.storage.attributes import ATTRIBUTES, Level
from isocenter.storage.query import Query
from isocenter.storage.records import Match
from isocenter.storage.schema import instance, patient, series, study

Document = dict[str, Any]

_PATIENT_COUNTS: Final = (patient.c.studies, patient.c.series, patient.c.instances)
_STUDY_COLUMNS: Final = (
    *_PATIENT_COUNTS,
    study.c.modalities,
    study.c.sop_classes,
    study.c.series.label("study_series"),
    study.c.instances.label("study_instances"),
    study.c.patient_document,
    study.c.document,
)
_WITH_PATIENT: Final = study.join(patient, patient.c.pk == study.c.patient_fk)
_WITH_STUDY: Final = series.join(study, study.c.pk == series.c.study_fk).join(
    patient, patient.c.pk == study.c.patient_fk
)
_WITH_SERIES: Final = (
    instance.join(series, series.c.pk == instance.c.series_fk)
    .join(study, study.c.pk == series.c.study_fk)
    .join(patient, patient.c.pk == study.c.patient_fk)
)

_SELECTS: Final[dict[Level, Select[Any]]] = {
    Level.PATIENT: select(patient.c.pk, *_PATIENT_COUNTS, patient.c.document),
    Level.STUDY: select(study.c.pk, *_STUDY_COLUMNS).select_from(_WITH_PATIENT),
    Level.SERIES: select(
        series.c.pk,
        *_STUDY_COLUMNS,
        series.c.instances.label("series_instances"),
        series.c.document.label("series_document"),
    ).select_from(_WITH_STUDY),
    Level.IMAGE: select(
        instance.c.pk,
        *_STUDY_COLUMNS,
        series.c.instances.label("series_instances"),
        series.c.document.label("series_document"),
        instance.c.transfer_syntax,
        instance.c.document.label("instance_document"),
    ).select_from(_WITH_SERIES),
}
_KEYS: Final = {
    Level.PATIENT: patient.c.pk,
    Level.STUDY: study.c.pk,
    Level.SERIES: series.c.pk,
    Level.IMAGE: instance.c.pk,
}


def fetch(
    run: Callable[[Select[Any]], Sequence[Any]], query: Query, positions: list[tuple[Any, ...]]
) -> list[Match]:
    """The matches at ``positions``, which end with the rows' keys; what has gone is left out."""
    level = query.level
    keys = [position[-1] for position in positions]
    rows = {row[0]: row for row in run(_SELECTS[level].where(_KEYS[level].in_(keys)))}
    wanted = None if query.returns is None else {f"{tag:08X}" for tag in query.returns}
    return [
        Match(_chosen(_attributes(level, rows[position[-1]]), wanted), position)
        for position in positions
        if position[-1] in rows
    ]


def _chosen(attributes: Document, wanted: set[str] | None) -> Document:
    if wanted is None:
        return attributes
    return {tag8: attributes[tag8] for tag8 in attributes.keys() & wanted}


def _attributes(level: Level, row: Any) -> Document:
    found = _counted(0x00201200, row[1])
    found |= _counted(0x00201202, row[2]) | _counted(0x00201204, row[3])
    if level is Level.PATIENT:
        found |= orjson.loads(row[4])
        return found
    found |= _gathered(0x00080061, row[4]) | _gathered(0x00080062, row[5])
    found |= _counted(0x00201206, row[6]) | _counted(0x00201208, row[7])
    found |= orjson.loads(row[8])
    found |= orjson.loads(row[9])
    if level >= Level.SERIES:
        found |= _counted(0x00201209, row[10])
        found |= orjson.loads(row[11])
    if level is Level.IMAGE:
        found |= _gathered(0x00083002, row[12])
        found |= orjson.loads(row[13])
    return found


def _counted(tag: int, number: int) -> Document:
    return {f"{tag:08X}": {"vr": "IS", "Value": [number]}}


def _gathered(tag: int, values: str) -> Document:
    element: Document = {"vr": ATTRIBUTES[tag].vr}
    if values:
        element["Value"] = values.split("\\")
    return {f"{tag:08X}": element}
