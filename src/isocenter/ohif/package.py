"""Which package it is, and how we know that it is that one."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from isocenter.errors import Malformed

NAME: Final = "@ohif/app"
VERSION: Final = "3.12.10"
PATH: Final = f"/@ohif/app/-/app-{VERSION}.tgz"
"""Where every registry of npm packages has it."""


@dataclass(frozen=True, slots=True)
class Pinned:
    """What tells the one package from all others, whoever gave it."""

    sha512: str
    """Of the tarball, in hexadecimal; npm's ``dist.integrity`` has it in base 64."""
    size: int
    """Bytes of the tarball."""

    def is_at(self, file: Path) -> bool:
        """Whether ``file`` is the package, and nothing else."""
        if not file.is_file() or file.stat().st_size != self.size:
            return False
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha512").hexdigest() == self.sha512

    def demand(self, file: Path) -> None:
        """Raises: Malformed, unless ``file`` is the package."""
        if not self.is_at(file):
            raise Malformed(
                f"{file.name} is not {NAME} {VERSION}: its SHA-512 is another;"
                f" get it by: npm pack {NAME}@{VERSION}"
            )


PACKAGE: Final = Pinned(
    "d24b85eba32af5cf5d303fbe6d4b138ccac9a57270699873f41e2e4b6e380dac"
    "008d2913c0860553dde9c4fb915108b16918bb4001e517715ed6ab9d06566b98",
    48_509_946,
)
