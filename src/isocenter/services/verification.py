"""Verification: is anybody there (PS3.4 annex A)."""

from isocenter.dicom.syntax import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from isocenter.dimse.association import VERIFICATION
from isocenter.dimse.command import Verb
from isocenter.dimse.negotiation import Offer
from isocenter.dimse.operation import Operation, Service
from isocenter.dimse.status import SUCCESS, UNRECOGNIZED_OPERATION, Response


async def answer(operation: Operation) -> Response:
    """Return Success, if it was a C-ECHO."""
    is_echo = operation.command.verb is Verb.C_ECHO
    return Response(SUCCESS if is_echo else UNRECOGNIZED_OPERATION)


SERVICE = Service(
    offer=Offer(
        abstract_syntax=VERIFICATION,
        transfer_syntaxes=(IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN),
    ),
    perform=answer,
)
