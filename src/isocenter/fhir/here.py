"""What an answer is made for: the release asked for, and the addresses of the server."""

from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from starlette.requests import Request

from isocenter.archive.archive import Archive
from isocenter.fhir.releases import Release
from isocenter.web import addresses

MOUNTED: Final = "/fhir"
"""Where the services are, below the server's root."""
DICOM_WEB: Final = "/dicom-web"
WADO: Final = "/wado"


@dataclass(frozen=True, slots=True)
class Here:
    """One release's service, as the asker reaches it."""

    archive: Archive
    release: Release
    base: str
    """The service's base URL, without a slash at its end."""
    server: str
    """The server's root, without a slash at its end."""
    zone: tzinfo | None
    """In which the dates and times are that do not say; None, if that is not known."""

    def url(self, kind: str, id: str) -> str:
        """The URL of a resource."""
        return f"{self.base}/{kind}/{id}"

    @property
    def dicom_web(self) -> str:
        """The base URI of the DICOMweb service (PS3.18 8.2)."""
        return self.server + DICOM_WEB

    @property
    def wado(self) -> str:
        """The base URI of the URI service (PS3.18 9)."""
        return self.server + WADO


def here(request: Request, release: Release) -> Here:
    """Say where ``request`` has come to."""
    base = addresses.root(request)
    state = request.app.state
    server = base.removesuffix(f"{MOUNTED}/{release.name}")
    return Here(state.archive, release, base, server, state.zone)
