"""The corpus of real DICOM objects, where it is there: ``../shared/corpus`` or DICOM_CORPUS."""

import os
from pathlib import Path

ROOT = Path(os.environ.get("DICOM_CORPUS", Path(__file__).parents[1].parent / "shared" / "corpus"))
REASON = "the corpus is not there (../shared/corpus, or DICOM_CORPUS)"


def paths() -> list[Path]:
    """Every DICOM object, by name; empty without the corpus."""
    found = (path for path in ROOT.rglob("*") if path.is_file())
    return sorted(path for path in found if path.suffix not in (".csv", ".md"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))
