"""What a job of kind ``send`` is asked to do: instances, and the peer they are to go to."""

from dataclasses import dataclass
from typing import Any, Final

from isocenter.errors import Malformed
from isocenter.storage.records import Selection

KIND: Final = "send"


@dataclass(frozen=True, slots=True)
class SendRequest:
    """Instances, and the AE title of a peer we know."""

    peer: str
    selection: Selection

    def written(self) -> dict[str, Any]:
        """As it is kept."""
        chosen = self.selection
        return {
            "peer": self.peer,
            "patient_id": chosen.patient_id,
            "issuer": chosen.issuer,
            "studies": chosen.studies,
            "series": chosen.series,
            "instances": chosen.instances,
            "handles": chosen.handles,
        }

    @classmethod
    def read(cls, written: dict[str, Any]) -> "SendRequest":
        """Read what ``written`` gave. Raises: Malformed."""
        try:
            selection = Selection(
                patient_id=written["patient_id"],
                issuer=written["issuer"],
                studies=tuple(written["studies"]),
                series=tuple(written["series"]),
                instances=tuple(written["instances"]),
                handles=tuple(written.get("handles", ())),  # older ones have none
            )
            return cls(str(written["peer"]), selection)
        except (KeyError, TypeError) as error:
            raise Malformed("the job does not say what is to be sent") from error
