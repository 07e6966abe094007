"""Instances and pictures without what says whose they are (PS3.18 9.4.1.2.1, 9.4.2.3)."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from isocenter import __version__
from isocenter.archive.archive import Archive
from isocenter.dicom.syntax import TransferSyntax
from isocenter.dicomweb import documents, negotiation
from isocenter.dicomweb.answers import answer
from isocenter.dicomweb.negotiation import AS_KEPT, DICOM, Offer
from isocenter.dicomweb.retrieve import LOST
from isocenter.dicomweb.syntaxes import Plan
from isocenter.errors import Denied, Unavailable
from isocenter.storage.records import InstanceRef
from isocenter.web.conditional import etag
from isocenter.web.delivery import Buffer

UNKNOWN: Final = (
    '299 isocenter "the instance does not say that nothing is burned into its pixels: they were '
    'not looked at"'
)


async def given(request: Request, instance: InstanceRef, syntax: str | None) -> Response:
    """Give an instance de-identified, in ``syntax`` or the default one.

    Raises: Denied, Unavailable; HTTPException 406, 412.
    """
    archive: Archive = request.app.state.archive
    plan = Plan.of([instance], (syntax,))
    target = plan.target(instance)
    if target is None:
        raise negotiation.not_acceptable([Offer(DICOM), Offer(DICOM, transfer_syntax=AS_KEPT)])
    if await archive.lost([instance]):
        raise Unavailable(LOST)
    is_clean = await archive.anonymizer.check(instance)
    name = archive.anonymizer.uid(instance.sop_instance_uid)
    headers = {"content-disposition": f'attachment; filename="{name}.dcm"'}
    if not is_clean:
        headers["warning"] = UNKNOWN
    tag = etag(__version__, "anonymized", name, target.uid, instance.state, is_weak=True)
    return answer(request, _Body(archive, instance, target), tag, DICOM, headers)


async def check_rendering(request: Request, instance: InstanceRef) -> None:
    """See that a picture of an instance shows nobody. Raises: Denied, Unavailable."""
    if instance.sop_class_uid in documents.MEDIA_TYPES:
        raise Denied("what stands in a document is not cleaned: it is not given out anonymized")
    archive: Archive = request.app.state.archive
    await archive.anonymizer.check(instance)


class _Body:
    """A file whose size shows only when it is made."""

    size: int | None = None

    def __init__(self, archive: Archive, instance: InstanceRef, target: TransferSyntax) -> None:
        self._archive = archive
        self._instance = instance
        self._target = target

    async def content(self, start: int = 0, end: int | None = None) -> AsyncGenerator[Buffer]:
        """Give it, always whole. Raises: NotFound, Unavailable."""
        opened = await self._archive.read(self._instance)
        try:
            made = self._archive.anonymizer.file_in(opened, self._target)
            async with aclosing(made) as pieces:
                async for piece in pieces:
                    if piece:
                        yield piece
        finally:
            opened.close()
