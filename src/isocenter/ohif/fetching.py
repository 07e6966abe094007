"""Getting the package from a registry of npm packages; npm itself is not needed for it."""

import http.client
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from isocenter.errors import Malformed, NotFound, Unavailable
from isocenter.ohif.package import NAME, PATH, VERSION, Pinned

PATIENCE: Final = 60.0
"""Seconds to wait for more of it."""
PIECE: Final = 1 << 18

Step = Callable[[int], None]
"""Is told how many bytes have come."""


def registry_of_npm() -> str:
    """The registry that npm is set to. Raises: NotFound, where there is no npm."""
    told = (
        f"which registry? Name one by --registry URL, or fetch the package elsewhere"
        f" (npm pack {NAME}@{VERSION}) and give it by --from FILE"
    )
    if (npm := shutil.which("npm")) is None:
        raise NotFound(f"npm is not installed, and so cannot say {told}")
    try:
        asked = subprocess.run(  # noqa: S603 - npm as it was found
            [npm, "config", "get", "registry"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise NotFound(f"npm does not say {told}") from error
    return asked.stdout.strip()


def fetch(package: Pinned, registry: str, into: Path, step: Step) -> None:
    """Get ``package`` into the file ``into``; what is there of it already is not asked for again.

    Raises: Malformed, Unavailable.
    """
    url = _url(registry)
    if into.is_file() and into.stat().st_size >= package.size:
        if package.is_at(into):
            return
        into.unlink()
    start = into.stat().st_size if into.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})  # noqa: S310 - the scheme is checked
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310 - as above
            _keep(answer, into, start if answer.status == 206 else 0, package.size, step)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # what has come was never the beginning of what is there
            into.unlink()
        raise Unavailable(f"the registry answers {error.code} for {PATH}") from error
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"the registry cannot be asked: {error}; try again") from error


def _url(registry: str) -> str:
    try:
        split = urlsplit(registry)
    except ValueError:
        split = urlsplit("")
    if split.scheme not in ("http", "https") or not split.hostname:
        raise Malformed("the registry is not the http or https URL of one")
    return registry.rstrip("/") + PATH


def _keep(answer: http.client.HTTPResponse, into: Path, start: int, size: int, step: Step) -> None:
    """Write what comes behind the first ``start`` bytes; no more than ``size`` in all."""
    with into.open("ab" if start else "wb") as file:
        step(start)
        left = size - start
        while left > 0 and (piece := answer.read(min(PIECE, left))):
            file.write(piece)
            left -= len(piece)
            step(len(piece))
    if left > 0:
        raise Unavailable("the package broke off; try again: what has come is kept")
