"""pydicom's dictionaries, without the rest of pydicom.

They are modules of nothing but tables. To import the package that they are in brings decoders and
more, and takes a quarter of a second: longer than all else that a command does before it begins.
"""

import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any, Final


def _module(name: str) -> ModuleType:
    """Load one module of pydicom as it lies there, or take it from a pydicom that is in use."""
    if (known := sys.modules.get(f"pydicom.{name}")) is not None:
        return known
    package = find_spec("pydicom")
    folders = package.submodule_search_locations if package is not None else None
    spec = PathFinder.find_spec(name, folders) if folders is not None else None
    if spec is None or spec.loader is None:
        raise ImportError(f"pydicom has no {name}: is it installed as the dependencies ask?")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


Row = tuple[str, str, str, str, str]


def _table(module: ModuleType, name: str) -> dict[Any, Any]:
    found: dict[Any, Any] = getattr(module, name)
    return found


_attributes = _module("_dicom_dict")
UID_ROWS: Final[dict[str, Row]] = _table(_module("_uid_dict"), "UID_dictionary")
"""Name, type, information, ``Retired`` or nothing, and keyword, by UID (PS3.6 annex A)."""
ATTRIBUTES: Final[dict[int, Row]] = _table(_attributes, "DicomDictionary")
"""VR, VM, name, ``Retired`` or nothing, and keyword, by tag (PS3.6 6)."""
REPEATED: Final[dict[str, Row]] = _table(_attributes, "RepeatersDictionary")
"""As ``ATTRIBUTES``, by eight digits with ``x`` where any may stand (PS3.5 7.6)."""
PRIVATE: Final[dict[str, dict[str, tuple[str, str, str, str]]]] = _table(
    _module("_private_dict"), "private_dictionaries"
)
"""VR, VM, name, and ``Retired`` or nothing, by private creator and tag as in ``REPEATED``."""
