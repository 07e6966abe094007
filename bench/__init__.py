"""Numbers, side by side with other programs in one run: ``python -m bench [PART ...]``.

``contestants`` starts what is measured, ``report`` prints and records, ``catalogue`` fills a large
archive; every other module is a part. What it shares with the tests (running programs, making
instances, bare DICOM) is imported from there.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
