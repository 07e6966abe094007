"""The rows of a page as matches: attributes of a level and of those above, and computed ones."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson
from sqlalchemy import Select, literal, select

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
# At the end of every row.
_HANDLES: Final = (patient.c.handle.label("of_patient"), study.c.handle.label("of_study"))
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
    Level.PATIENT: select(
        patient.c.pk,
        *_PATIENT_COUNTS,
        patient.c.document,
        patient.c.handle,
        literal("").label("of_study"),
    ),
    Level.STUDY: select(study.c.pk, *_STUDY_COLUMNS, *_HANDLES).select_from(_WITH_PATIENT),
    Level.SERIES: select(
        series.c.pk,
        *_STUDY_COLUMNS,
        series.c.instances.label("series_instances"),
        series.c.document.label("series_document"),
        *_HANDLES,
    ).select_from(_WITH_STUDY),
    Level.IMAGE: select(
        instance.c.pk,
        *_STUDY_COLUMNS,
        series.c.instances.label("series_instances"),
        series.c.document.label("series_document"),
        instance.c.transfer_syntax,
        instance.c.document.label("instance_document"),
        *_HANDLES,
    ).select_from(_WITH_SERIES),
}
_KEYS: Final = {
    Level.PATIENT: patient.c.pk,
    Level.STUDY: study.c.pk,
    Level.SERIES: series.c.pk,
    Level.IMAGE: instance.c.pk,
}


# Where a row has its documents, those of the upper levels first.
_DOCUMENTS: Final = {
    Level.PATIENT: (4,),
    Level.STUDY: (8, 9),
    Level.SERIES: (8, 9, 11),
    Level.IMAGE: (8, 9, 11, 13),
}
# Attribute and place in the row.
_OF_PATIENT: Final = ((0x00201200, 1), (0x00201202, 2), (0x00201204, 3))
_OF_STUDY: Final = (
    *_OF_PATIENT,
    (0x00080061, 4),
    (0x00080062, 5),
    (0x00201206, 6),
    (0x00201208, 7),
)
_OF_SERIES: Final = (*_OF_STUDY, (0x00201209, 10))
_COMPUTED: Final[dict[Level, tuple[tuple[int, int], ...]]] = {
    Level.PATIENT: _OF_PATIENT,
    Level.STUDY: _OF_STUDY,
    Level.SERIES: _OF_SERIES,
    Level.IMAGE: (*_OF_SERIES, (0x00083002, 12)),
}


def fetch(
    run: Callable[[Select[Any]], Sequence[Any]], query: Query, positions: list[tuple[Any, ...]]
) -> list[Match]:
    """The matches at ``positions``, which end with the rows' keys; what has gone is left out."""
    level = query.level
    keys = [position[-1] for position in positions]
    rows = {row[0]: row for row in run(_SELECTS[level].where(_KEYS[level].in_(keys)))}
    reading = _Reading(level, query.returns)
    return [
        Match(reading.attributes(row), position, row[-2], row[-1])
        for position in positions
        if (row := rows.get(position[-1])) is not None
    ]


class _Reading:
    """Makes attributes of the rows of one page: of what is wanted, and what rows share once."""

    def __init__(self, level: Level, returns: frozenset[int] | None) -> None:
        self._places = _DOCUMENTS[level]
        self._computed = [
            (ATTRIBUTES[tag].tag8, ATTRIBUTES[tag].vr, place)
            for tag, place in _COMPUTED[level]
            if returns is None or tag in returns
        ]
        self._wanted = None if returns is None else frozenset(f"{tag:08X}" for tag in returns)
        self._shared: dict[bytes, Document] = {}

    def attributes(self, row: Any) -> Document:
        """What is wanted of a row."""
        found: Document = {}
        for place in self._places[:-1]:
            found.update(self._above(row[place]))
        found.update(self._chosen(row[self._places[-1]]))
        for tag8, vr, place in self._computed:
            found[tag8] = _element(vr, row[place])
        return found

    def _above(self, document: bytes) -> Document:
        held = self._shared.get(document)
        if held is None:
            held = self._shared[document] = self._chosen(document)
        return held

    def _chosen(self, document: bytes) -> Document:
        read: Document = orjson.loads(document)
        if self._wanted is None:
            return read
        wanted = self._wanted
        return {tag8: element for tag8, element in read.items() if tag8 in wanted}


def _element(vr: str, value: int | str) -> Document:
    """A counter, or what the index gathered, parted by backslashes."""
    if isinstance(value, int):
        return {"vr": vr, "Value": [value]}
    return {"vr": vr, "Value": value.split("\\")} if value else {"vr": vr}
