"""What is gathered from below or spread over tables of its own: modalities, SOP classes, names."""

from collections.abc import Iterable
from typing import Literal

from isocenter.storage import names
from isocenter.storage.ledger import Ledger


def add_modality(
    ledger: Ledger, study_pk: int, modality: str, when: tuple[str, str] | None
) -> None:
    """Note that a series of ``modality`` is in the study.

    ``when``: the study's date and time, if at hand.
    """
    held = {row[0] for row in ledger.all(ledger.statements.modalities, study_pk)}
    wanted = held | ({modality} if modality else set())
    if wanted == held and when is None:
        return
    if when is None:
        row = ledger.one(ledger.statements.read_study, study_pk)
        when = (row[0], row[1]) if row else ("", "")
    _set_modalities(ledger, study_pk, wanted, when)


def _set_modalities(
    ledger: Ledger, study_pk: int, modalities: set[str], when: tuple[str, str]
) -> None:
    ledger.write(ledger.statements.delete_modalities, study_pk)
    rows = [(each, *when, study_pk) for each in sorted(modalities)]
    ledger.write_many(ledger.statements.insert_modality, rows)
    _gather(ledger, study_pk)


def add_sop_class(ledger: Ledger, study_pk: int, sop_class_uid: str) -> set[str]:
    """Note that the study has instances of a SOP class; return all it has."""
    held = {row[0] for row in ledger.all(ledger.statements.sop_classes, study_pk)}
    if sop_class_uid not in held:
        ledger.write(ledger.statements.insert_sop_class, sop_class_uid, study_pk)
        _gather(ledger, study_pk)
    return held | {sop_class_uid}


def _gather(ledger: Ledger, study_pk: int) -> None:
    modalities = sorted(row[0] for row in ledger.all(ledger.statements.modalities, study_pk))
    sop_classes = sorted(row[0] for row in ledger.all(ledger.statements.sop_classes, study_pk))
    ledger.write(
        ledger.statements.gather_study, "\\".join(modalities), "\\".join(sop_classes), study_pk
    )


def regather(ledger: Ledger, study_pk: int) -> None:
    """Drop the modalities and SOP classes a study no longer has."""
    found = {row[0] for row in ledger.all(ledger.statements.modalities_of_series, study_pk)}
    row = ledger.one(ledger.statements.read_study, study_pk)
    for (unused,) in ledger.all(ledger.statements.unused_sop_classes, study_pk):
        ledger.write(ledger.statements.delete_sop_class, unused, study_pk)
    _set_modalities(ledger, study_pk, found - {""}, (row[0], row[1]) if row else ("", ""))


def set_names(
    ledger: Ledger,
    holder: Literal["patient", "study"],
    pk: int,
    parts: Iterable[tuple[int, str]],
) -> None:
    """Make ``parts``, ``(part, folded)``, the holder's names; forget names nobody bears."""
    statements = ledger.statements
    of, drop, insert = (
        (statements.study_names, statements.delete_study_names, statements.insert_study_name)
        if holder == "study"
        else (
            statements.patient_names,
            statements.delete_patient_names,
            statements.insert_patient_name,
        )
    )
    before = {row[0] for row in ledger.all(of, pk)}
    if before:
        ledger.write(drop, pk)
    after = {(_name(ledger, folded), part) for part, folded in parts}
    ledger.write_many(insert, [(name, part, pk) for name, part in sorted(after)])
    for name in before - {name for name, _ in after}:
        _forget_unused(ledger, name)


def _name(ledger: Ledger, folded: str) -> int:
    row = ledger.one(ledger.statements.find_name, folded)
    if row is not None:
        return int(row[0])
    key = ledger.key()
    ledger.write(ledger.statements.insert_name, key, folded)
    rows = [(word, key, names.sound(word)) for word in names.words(folded)]
    ledger.write_many(ledger.statements.insert_word, rows)
    return key


def _forget_unused(ledger: Ledger, name: int) -> None:
    row = ledger.one(ledger.statements.is_named, name, name)
    if row is not None and not row[0]:
        ledger.write(ledger.statements.delete_words, name)
        ledger.write(ledger.statements.delete_name, name)
