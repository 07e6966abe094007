"""What is taken in, whichever wire it comes by: SOP classes and transfer syntaxes."""

from dataclasses import dataclass
from typing import Final

from isocenter.dicom.sop_classes import SOP_CLASSES, STORAGE
from isocenter.dicom.syntax import TRANSFER_SYNTAXES
from isocenter.errors import Unsupported

STANDARD: Final = "1.2.840.10008."
"""The root of DICOM's own UIDs."""
STANDARD_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
"""Where the standard puts its storage SOP classes, the newest as well."""


class SyntaxNotTaken(Unsupported):
    """A transfer syntax that nobody knows how to read."""


@dataclass(frozen=True, slots=True)
class Admission:
    """The rule, by the archive's settings."""

    takes_unknown: bool
    """Take SOP classes that the standard does not list, or did not when this was written."""

    def takes(self, sop_class: str, *, is_storage: bool | None = None) -> bool:
        """Whether instances of ``sop_class`` are stored.

        ``is_storage``: what the sender says of a class that we do not know, if it says it.
        """
        if sop_class in STORAGE:
            return True
        if is_storage is None:
            is_storage = bool(sop_class) and not sop_class.startswith(STANDARD)
        # There are queries of inventories and protocols, too, among the storage classes.
        is_newer = sop_class.startswith(STANDARD_STORAGE) and sop_class not in SOP_CLASSES
        return self.takes_unknown and (is_storage or is_newer)

    def check(self, sop_class: str, transfer_syntax: str) -> None:
        """Raises: Unsupported, if such an instance is not taken; SyntaxNotTaken."""
        if not self.takes(sop_class):
            raise Unsupported(f"SOP class {sop_class} is not stored here")
        if transfer_syntax not in TRANSFER_SYNTAXES:
            raise SyntaxNotTaken(f"transfer syntax {transfer_syntax} is not known here")
