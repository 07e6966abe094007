"""The parts of one request to store, on their way into the archive.

They stream: what waits to be written is bounded, and while one instance is made durable the next
is coming in. Each part has a fate of its own; what was stored before a fault stays stored.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Final

from starlette.exceptions import HTTPException

from isocenter.archive.archive import Archive
from isocenter.archive.backpressure import Owner
from isocenter.archive.upload import Expected, Upload
from isocenter.dicomweb import reasons
from isocenter.dicomweb.negotiation import DICOM
from isocenter.dicomweb.receipt import Receipt, Refused, Taken
from isocenter.errors import IsocenterError, Malformed
from isocenter.web import bodies, multipart
from isocenter.web.bodies import Piece
from isocenter.web.media_types import MediaType

log = logging.getLogger(__name__)

AT_ONCE: Final = 16
"""Instances of one request that are made durable at the same time: they share commits."""

Fate = Taken | Refused


class Intake:
    """Takes the parts of one request, one after the other."""

    def __init__(
        self, archive: Archive, expected: Expected, *, sent_by: str, received_by: str
    ) -> None:
        self.archive = archive
        self._expected = expected
        self._sent_by = sent_by
        self._received_by = received_by
        self._share = archive.budget.share()
        self._fates: list[Fate | None] = []
        self._finishing: set[asyncio.Task[None]] = set()
        self._upload: Upload | None = None

    def begin(self) -> Upload:
        """The next instance comes."""
        self._upload = self.archive.upload(
            self._share, self._expected, sent_by=self._sent_by, received_by=self._received_by
        )
        return self._upload

    def write(self, data: bytes | memoryview, owner: Owner | None = None) -> None:
        """More of it comes, in memory of ``owner``, where that is used again."""
        if self._upload is not None:
            self._upload.write(data, owner)

    async def end(self) -> None:
        """It is complete; wait for others that were before it, should there be too many."""
        upload, self._upload = self._upload, None
        if upload is None:
            return
        self._fates.append(None)
        task = asyncio.create_task(self._finish(upload, len(self._fates) - 1))
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)
        if len(self._finishing) >= AT_ONCE:
            await asyncio.wait(self._finishing, return_when=asyncio.FIRST_COMPLETED)

    async def room(self) -> None:
        """Return when more may come."""
        await self._share.room()

    def refuse(self, error: BaseException, names: tuple[str, str] = ("", "")) -> None:
        """Note a fault of the instance at hand, of which nothing stays, or of something else.

        ``names`` are its SOP class and instance, if they are not told by its own bytes.
        """
        upload, self._upload = self._upload, None
        if upload is not None:
            upload.abandon()
            if upload.sop_instance:
                names = upload.sop_class, upload.sop_instance
        self._fates.append(Refused(*names, reasons.reason_of(error), reasons.text_of(error)))

    async def receipt(self) -> Receipt:
        """What became of everything, once that is known."""
        if self._finishing:
            await asyncio.wait(self._finishing)
        return Receipt(
            [fate for fate in self._fates if isinstance(fate, Taken)],
            [fate for fate in self._fates if isinstance(fate, Refused)],
        )

    async def close(self) -> None:
        """Leave nothing half done, and see to it that what is complete is stored."""
        upload, self._upload = self._upload, None
        if upload is not None:
            upload.abandon()
        if self._finishing:
            await asyncio.wait(self._finishing)

    async def _finish(self, upload: Upload, place: int) -> None:
        try:
            stored = await upload.finish()
        except Exception as error:  # one instance's failure leaves the others alone
            if not isinstance(error, IsocenterError):
                log.error("instance could not be stored", exc_info=error)
            self._fates[place] = Refused(
                upload.sop_class,
                upload.sop_instance,
                reasons.reason_of(error),
                reasons.text_of(error),
            )
        else:
            assert upload.identity is not None
            self._fates[place] = Taken(upload.identity, reasons.warning_of(stored))


async def take_one(intake: Intake, body: AsyncIterator[Piece]) -> None:
    """Take a body that is one DICOM file. Raises: Malformed, if empty; as ``bodies.pieces``."""
    is_empty = True
    async for piece in body:
        if is_empty:
            intake.begin()
            is_empty = False
        intake.write(piece.view, piece.owner)
        piece.let_go()
        await intake.room()
    if is_empty:
        raise Malformed("the body is empty")
    await intake.end()


async def take_parts(
    intake: Intake, body: AsyncIterator[Piece], content_type: MediaType, most: int
) -> None:
    """Take a multipart body of DICOM files, up to ``most``.

    Raises: Malformed, where it is no such body; HTTPException 413; and as ``bodies.pieces``.
    """
    parser = multipart.Parser(multipart.boundary_of(content_type))
    root_type = content_type.of_parts
    parts = 0
    async for piece in body:
        for event in parser.feed(piece.memory, piece.start, piece.stop):
            if isinstance(event, multipart.PartData):
                intake.write(event.data, piece.owner if event.is_fed else None)
            elif isinstance(event, multipart.PartBegin):
                parts += 1
                if parts > most:
                    raise too_many(most)
                if fault := fault_of_part(event.headers, root_type):
                    intake.refuse(fault)
                else:
                    intake.begin()
            else:
                await intake.end()
        piece.let_go()
        await intake.room()
    parser.finish()
    if not parts:
        raise Malformed("there are no parts in the body")


def too_many(most: int) -> HTTPException:
    """The refusal of more than ``most`` parts."""
    return HTTPException(
        413, f"there are more than {most} parts: send less at once", bodies.CLOSING
    )


def fault_of_part(headers: Mapping[str, str], root_type: str) -> Malformed | None:
    """What keeps a part from being a DICOM file, going by its header fields."""
    if fault := fault_of_coding(headers):
        return fault
    named = headers.get("content-type") or root_type or DICOM
    try:
        media_type = MediaType.parse(named).type
    except Malformed as error:
        return error
    if media_type not in (DICOM, "application/octet-stream"):
        return Malformed(f"a part is {media_type}, not {DICOM}")
    return None


def fault_of_coding(headers: Mapping[str, str]) -> Malformed | None:
    """Tell of a part that is encoded for mail: HTTP has no use for that (RFC 9110 B.5)."""
    coding = headers.get("content-transfer-encoding", "binary").lower()
    if coding not in ("binary", "8bit", "7bit", "identity", ""):
        return Malformed(f"a part has the transfer encoding {coding[:40]}: send it as it is")
    return None
