"""Storage: C-STORE into the archive (PS3.4 annex B). Success means durable."""

from isocenter.archive.archive import Archive
from isocenter.archive.ingest import Announced, Reception
from isocenter.dicom.sop_classes import STORAGE
from isocenter.dicom.syntax import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    TRANSFER_SYNTAXES,
)
from isocenter.dimse.negotiation import Offer
from isocenter.dimse.operation import Operation, Service
from isocenter.dimse.slabs import Fragment
from isocenter.dimse.status import SUCCESS, Response
from isocenter.dimse.user_information import CommonExtended
from isocenter.errors import Mismatch
from isocenter.services.sending import STORAGE_SERVICE
from isocenter.storage.records import Outcome, Stored

ORDINARY = (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
)
"""What identifiers are exchanged in."""


class StoreReceiver:
    """One C-STORE request's data set on its way into the archive."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception

    def write(self, fragment: Fragment) -> None:
        """Pass on more of the data set."""
        self._reception.write(fragment)

    async def finish(self) -> Response:
        """Answer once the instance is kept for good."""
        return _response(await self._reception.finish())

    def abort(self) -> None:
        """Leave nothing."""
        self._reception.abandon()


def _response(stored: Stored) -> Response:
    if stored.outcome is Outcome.KEPT:
        comment = "kept the instance received first"
        return Response(SUCCESS, elements={"ErrorComment": comment})
    return Response(SUCCESS)


class StoreProvider:
    """Storage SCP for every storage class there is, and, if wanted, those nobody has heard of."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def services(self) -> list[Service]:
        """A service for each storage SOP class."""
        return [self._service(sop_class) for sop_class in sorted(STORAGE)]

    def unknown(self, abstract_syntax: str, common: CommonExtended | None) -> Service | None:
        """The service for a class that the standard does not list, if it may be one for storage."""
        is_storage = None if common is None else common.service_class == STORAGE_SERVICE
        if self._archive.admission.takes(abstract_syntax, is_storage=is_storage):
            return self._service(abstract_syntax)
        return None

    def receive(self, operation: Operation) -> StoreReceiver:
        """Begin to take the data set of one request.

        Raises: Mismatch, if that names no instance or another SOP class than was negotiated.
        """
        command, peer = operation.command, operation.association.peer
        if not command.sop_class or not command.sop_instance:
            raise Mismatch("the request does not say which SOP instance it is about")
        if command.sop_class != operation.context.abstract_syntax:
            raise Mismatch("the SOP class is not the presentation context's")
        return StoreReceiver(
            self._archive.receive(
                Announced(
                    transfer_syntax=operation.context.transfer_syntax,
                    sop_class=command.sop_class,
                    sop_instance=command.sop_instance,
                    sent_by=peer.ae_title,
                    received_by=peer.called_ae_title,
                )
            )
        )

    def _service(self, sop_class: str) -> Service:
        return Service(
            offer=Offer(
                abstract_syntax=sop_class,
                transfer_syntaxes=TAKEN,
                prefers_proposed_order=True,
                last_resort=LAST_RESORT,
                as_user=True,
                extended=_extended,
            ),
            receive=self.receive,
        )


TAKEN = tuple(TRANSFER_SYNTAXES)
"""Every transfer syntax is kept as it comes; the sender's own order decides, so that it need not
convert."""

LAST_RESORT = frozenset({IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN})
"""Implicit VR loses the VRs of private elements; big endian is retired."""


def _extended(information: bytes) -> bytes:
    """Answer storage's extended negotiation: level 2 (full), nothing coerced.

    Source: PS3.4 B.3.1, Table B.3-2.
    """
    return bytes((2, 0, 0, 0, 0, 0))[: max(len(information), 1)]
