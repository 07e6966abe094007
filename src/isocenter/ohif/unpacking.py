"""Taking files out of the package: only what is served, each below the folder it is meant for."""

import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from isocenter.errors import Malformed

MOST: Final = 1000
LARGEST: Final = 64 << 20
LARGEST_OF_ALL: Final = 512 << 20
"""Bytes unpacked, whether they are taken or not."""
_NAME: Final = re.compile(r"(?:[A-Za-z0-9_@-][A-Za-z0-9_.@-]*/)*[A-Za-z0-9_@-][A-Za-z0-9_.@-]*")


def files_of(package: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the path within the package, and the content, of each file. Raises: Malformed."""
    total = 0
    try:
        with tarfile.open(package, "r|gz") as archive:
            for count, member in enumerate(archive, start=1):
                total += member.size
                if count > MOST or member.size > LARGEST or total > LARGEST_OF_ALL:
                    raise Malformed("the package is larger than it may be")
                name = member.name.removeprefix("package/")
                content = archive.extractfile(member) if member.isreg() else None
                # Links, devices and paths that lead elsewhere are nobody's business here.
                if content is not None and _NAME.fullmatch(name):
                    yield name, content.read()
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise Malformed(f"the package cannot be unpacked: {error}") from error
