"""Packages as npm makes them, with a viewer of a few lines in them."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from isocenter.ohif.package import Pinned

ENTRY = "app.bundle.0123456789abcdef0123.js"
BUILT = b'/******/ \t__webpack_require__.p = "/";\n' + b"// of the viewer\n" * 100
FILES: Mapping[str, bytes] = {
    "LICENSE": b"MIT License",
    "package.json": b"{}",
    "dist/index.html": f'<script defer="defer" src="/{ENTRY}"></script>'.encode(),
    f"dist/{ENTRY}": BUILT,
    "dist/app.bundle.css": b"@font-face{src:url(/31fb9346313fc3740d7b.woff2)}",
    "dist/31fb9346313fc3740d7b.woff2": b"a font",
    "dist/0011223344556677aabb.wasm": b"\0asm" * 1000,
    "dist/assets/favicon.ico": b"a picture",
    "dist/ort/ort.js": b"not served",
    "dist/sw.js": b"not served",
    "dist/app-config.js": b"not served",
}


def packed(folder: Path, members: list[tarfile.TarInfo | tuple[str, bytes]]) -> Path:
    """A tarball of what is named."""
    file = folder / "package.tgz"
    with tarfile.open(file, "w:gz") as archive:
        for each in members:
            if isinstance(each, tarfile.TarInfo):
                archive.addfile(each)
                continue
            name, content = each
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file


def package(folder: Path, **others: bytes) -> tuple[Path, Pinned]:
    """A whole package, and what tells it from others."""
    file = packed(folder, [(f"package/{name}", data) for name, data in {**FILES, **others}.items()])
    content = file.read_bytes()
    return file, Pinned(hashlib.sha512(content).hexdigest(), len(content))
