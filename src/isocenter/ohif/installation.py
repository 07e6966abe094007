"""The folder that holds the viewer, ready to be served; it is there whole, or not at all."""

import gzip
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from isocenter.errors import Malformed, Unavailable
from isocenter.ohif import adapting, fetching, unpacking
from isocenter.ohif.fetching import Step
from isocenter.ohif.package import PACKAGE, VERSION, Pinned
from isocenter.storage.lock import FolderLock

REVISION: Final = 1
"""Counts up when what is changed in the package is changed: it is then installed anew."""
NAME: Final = f"ohif-{VERSION}-{REVISION}"
LIST: Final = "files.json"
LICENCE: Final = "LICENSE"
SMALLEST: Final = 1024
"""Files below this many bytes are not worth compressing."""
_TEXT: Final = (".js", ".css", ".svg", ".wasm", ".json")


@dataclass(frozen=True, slots=True)
class File:
    """A file that is served."""

    size: int
    digest: str
    """Of its content, in hexadecimal."""
    is_compressed: bool
    """It is there in gzip, too, beside it as ``NAME.gz``."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A viewer that is there."""

    folder: Path
    entry: str
    """The script that its page begins with."""
    files: Mapping[str, File]
    """By their paths below ``/ohif/``."""

    @property
    def size(self) -> int:
        """Bytes of all its files, without their compressed copies."""
        return sum(each.size for each in self.files.values())


def find(viewers: Path) -> Installed | None:
    """Return the viewer that is installed in the folder of viewers, if it is of this version."""
    folder = viewers / NAME
    try:
        listed = json.loads((folder / LIST).read_bytes())
        files = {name: File(**each) for name, each in listed["files"].items()}
        return Installed(folder, listed["entry"], files)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise Unavailable(
            f"the viewer in {folder} cannot be read: remove and install it"
        ) from error


def install(
    viewers: Path,
    source: Path | None = None,
    registry: str | None = None,
    *,
    step: Step = lambda _: None,
    pinned: Pinned = PACKAGE,
) -> Installed:
    """Put the viewer in place; nothing is done where it is there already.

    It comes from the file ``source``, or else from ``registry``, or else from the one npm is set
    to. Raises: Malformed, NotFound, Unavailable.
    """
    with _locked(viewers):
        if (installed := find(viewers)) is not None:
            return installed
        part = viewers / f"{NAME}.tgz.part"
        if source is None:
            fetching.fetch(pinned, registry or fetching.registry_of_npm(), part, step)
        package = source or part
        _demand(pinned, package, is_ours=source is None)
        made = viewers / f"{NAME}.new"
        _remove(made)
        _unpack(package, made)
        made.rename(viewers / NAME)
        _sync(viewers)
        part.unlink(missing_ok=True)
        found = find(viewers)
        assert found is not None
        return found


def remove(viewers: Path) -> bool:
    """Remove what was installed, of any version, and what is left of attempts."""
    if not viewers.is_dir():
        return False
    with _locked(viewers):
        there = [each for each in viewers.iterdir() if each.name.startswith("ohif-")]
        for each in there:
            _remove(each)
        return bool(there)


@contextmanager
def _locked(viewers: Path) -> Iterator[None]:
    with FolderLock(viewers):
        try:
            yield
        except OSError as error:
            raise Unavailable(f"{viewers} cannot be written: {error.strerror}") from error


def _demand(pinned: Pinned, package: Path, *, is_ours: bool) -> None:
    try:
        pinned.demand(package)
    except Malformed:
        if is_ours:  # it would be taken for what has come so far
            package.unlink(missing_ok=True)
        raise


def _unpack(package: Path, folder: Path) -> None:
    """Write what is served, and at last the list of it. Raises: Malformed."""
    files: dict[str, File] = {}
    entry = ""
    folder.mkdir()
    for path, content in unpacking.files_of(package):
        if path == LICENCE:
            _write(folder / LICENCE, content)
        elif path == f"{adapting.ROOT}index.html":
            entry = adapting.entry_of(content)
        elif (name := adapting.name_of(path)) is not None:
            files[name] = _kept(folder / name, name, content)
    if entry not in files:
        raise Malformed("the package lacks the script that its page begins with")
    listed = {"entry": entry, "files": {name: asdict(each) for name, each in files.items()}}
    _write(folder / LIST, json.dumps(listed, indent=1).encode())
    for each in (folder, *(found for found in folder.rglob("*") if found.is_dir())):
        _sync(each)


def _kept(file: Path, name: str, content: bytes) -> File:
    data = adapting.adapted(name, content)
    file.parent.mkdir(parents=True, exist_ok=True)
    _write(file, data)
    is_compressed = file.suffix in _TEXT and len(data) >= SMALLEST
    if is_compressed:
        _write(file.with_name(f"{file.name}.gz"), gzip.compress(data, 9, mtime=0))
    return File(len(data), hashlib.sha256(data).hexdigest(), is_compressed)


def _write(file: Path, data: bytes) -> None:
    with file.open("xb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())


def _sync(folder: Path) -> None:
    """Make the names in a folder durable, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        # What says that it is whole goes first: it is never half there.
        (path / LIST).unlink(missing_ok=True)
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
