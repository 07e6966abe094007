"""Write the tables of the standard that the package carries, from tables of the standard as JSON.

    python tools/standard.py FOLDER

FOLDER holds ``confidentiality_profile_attributes*.json`` (PS3.15 Table E.1-1), one object for each
attribute with its tag and actions, as tools that read the standard's sources publish it. Only facts
are taken: tags and actions.
"""

import json
import re
import sys
from pathlib import Path

PROFILE = Path(__file__).parent.parent / "src/isocenter/dicom/standard/basic_profile.txt"
_TAG = re.compile(r"\(([0-9A-F]{4}),([0-9A-F]{4})\)")


def basic_profile(folder: Path) -> str:
    """Give a line for each attribute: its tag, and what the Basic Profile does with it.

    Groups that repeat, and private ones, have no single tag: the code knows them.
    """
    (source,) = folder.glob("confidentiality_profile_attributes*.json")
    lines = set()
    for row in json.loads(source.read_text()):
        if found := _TAG.fullmatch(row["tag"].upper()):
            lines.add(f"{found[1]}{found[2]} {row['basicProfile']}")
    return "\n".join(sorted(lines)) + "\n"


if __name__ == "__main__":
    PROFILE.write_text(basic_profile(Path(sys.argv[1])))
