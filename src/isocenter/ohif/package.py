"""Which package it is, and how we know that it is that one."""

import hashlib
from pathlib import Path
from typing import Final

from isocenter.errors import Malformed

NAME: Final = "@ohif/app"
VERSION: Final = "3.12.10"
SHA512: Final = (
    "d24b85eba32af5cf5d303fbe6d4b138ccac9a57270699873f41e2e4b6e380dac"
    "008d2913c0860553dde9c4fb915108b16918bb4001e517715ed6ab9d06566b98"
)
"""Of the tarball, as npm's ``dist.integrity`` has it."""
SIZE: Final = 48_509_946
"""Bytes of the tarball."""
PATH: Final = f"/@ohif/app/-/app-{VERSION}.tgz"
"""Where every registry of npm packages has it."""


def is_whole(file: Path) -> bool:
    """Whether ``file`` is the package, and nothing else."""
    if not file.is_file() or file.stat().st_size != SIZE:
        return False
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha512").hexdigest() == SHA512


def demand(file: Path) -> None:
    """Raises: Malformed, unless ``file`` is the package."""
    if not is_whole(file):
        raise Malformed(
            f"{file.name} is not {NAME} {VERSION}: its SHA-512 is another;"
            f" get it by: npm pack {NAME}@{VERSION}"
        )
