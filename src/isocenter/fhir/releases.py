"""The releases of FHIR that are served."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Release:
    """One release, and the name it is served under."""

    name: str
    version: str
    """As ``CapabilityStatement.fhirVersion`` has it."""

    @property
    def short(self) -> str:
        """As the parameter ``fhirVersion`` of a media type has it."""
        return ".".join(self.version.split(".")[:2])


R4: Final = Release("R4", "4.0.1")
R5: Final = Release("R5", "5.0.0")
RELEASES: Final = (R4, R5)
