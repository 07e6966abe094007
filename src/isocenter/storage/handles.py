"""Names of patients and studies that stay, whatever the index does with its rows.

A row's key is another one after ``reindex``. These names are drawn from what tells entities apart
(decision 0003) and from nothing else: so they are the same wherever the same instances are kept,
and no two patients or studies share one, not even two studies of one Study Instance UID.
"""

import hashlib
from typing import Final

import orjson

LENGTH: Final = 32
"""Hexadecimal digits: 128 bits, so that nobody finds two entities of one name."""


def patient_handle(patient_id: str, issuer: str, lone_study_uid: str) -> str:
    """Name a patient by what is unique in its row."""
    return _drawn("patient", patient_id, issuer, lone_study_uid)


def study_handle(patient_key: tuple[str, str, str], study_uid: str) -> str:
    """Name a study by its patient, as for ``patient_handle``, and its Study Instance UID."""
    return _drawn("study", *patient_key, study_uid)


def _drawn(*parts: str) -> str:
    # As a JSON array: no two lists of texts are written the same.
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()[:LENGTH]
