"""A DICOM file on its way in as a stream: first its header, then the data set (PS3.10 7).

The header is read as it comes. Which instance it is, the data set says: meta information is too
often missing or another's. Only then does the reception begin, and bytes go on as they come.
"""

from dataclasses import dataclass
from typing import Final

from isocenter.archive.backpressure import Owner, Share
from isocenter.archive.catalogue import Identity
from isocenter.archive.ingest import Announced, Ingest, Reception
from isocenter.dicom import part10
from isocenter.dicom.identity import SOP_CLASS, SOP_INSTANCE
from isocenter.dicom.scanner import Scanner
from isocenter.errors import IsocenterError, Malformed, Mismatch
from isocenter.storage.records import Stored

UIDS: Final = frozenset({SOP_CLASS, SOP_INSTANCE})
LOOKED_AT: Final = 1024
"""Bytes that are looked at, at a time, for the UIDs: they stand near the beginning."""
HELD: Final = 1 << 18
"""Bytes that a reception keeps back before it releases them; well below what is guaranteed."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the place that an instance is sent to asks of it; empty for anything."""

    study: str = ""
    sop_instance: str = ""
    sop_classes: frozenset[str] = frozenset()

    def check(self, sop_class: str, sop_instance: str) -> None:
        """Raises: Mismatch."""
        if self.sop_classes and sop_class not in self.sop_classes:
            raise Mismatch("the SOP class belongs to another resource")
        if self.sop_instance and sop_instance != self.sop_instance:
            raise Mismatch("the SOP Instance UID is not the one in the path")


class Upload:
    """One file. Its methods are called on one event loop and never block.

    Bytes count in ``share`` until they are written: ask that for room.
    """

    def __init__(
        self,
        ingest: Ingest,
        share: Share,
        expected: Expected,
        *,
        sent_by: str = "",
        received_by: str = "",
    ) -> None:
        self._ingest = ingest
        self._share = share
        self._expected = expected
        self._sent_by = sent_by
        self._received_by = received_by
        self._start = bytearray()
        self._header: part10.FileHeader | None = None
        self._uids: Scanner | None = None
        self._looked_at = 0
        self._reception: Reception | None = None
        self._failure: IsocenterError | None = None
        self.sop_class = ""
        """As said so far; empty if nothing was."""
        self.sop_instance = ""

    @property
    def has_failed(self) -> bool:
        """It will be refused, whatever else comes: the rest need not be read."""
        if self._reception is not None and self._reception.has_failed:
            return True
        return self._failure is not None

    @property
    def is_dicom(self) -> bool:
        """Whether it is a DICOM file, as far as is known: it has what one begins with."""
        return self._header is not None

    @property
    def identity(self) -> Identity | None:
        """All its UIDs, known of what was stored."""
        return self._reception.identity if self._reception else None

    def write(self, data: bytes | memoryview, owner: Owner | None = None) -> None:
        """Take the next bytes of the file, of which ``owner`` is the memory, where that is used
        again. Never raises: see ``finish``."""
        rest = memoryview(data)
        while len(rest) and not self.has_failed:
            if self._reception is not None:
                self._reception.write(self._share.lend(rest, owner))
                return
            # Only what may be the header is copied, twice as much each time it is not enough.
            step = max(part10.FIRST_READ, len(self._start))
            self._start += rest[:step]
            rest = rest[step:]
            self._begin(is_all=False)

    async def finish(self) -> Stored:
        """Say that the file is complete, and wait until the instance is kept for good.

        Raises: Malformed, Mismatch, Unsupported, Conflict, Unavailable; then nothing of it is left.
        """
        if self._reception is None and self._failure is None:
            self._begin(is_all=True)
        if self._failure is not None:
            raise self._failure
        assert self._reception is not None
        return await self._reception.finish()

    def abandon(self) -> None:
        """Leave nothing of what came so far: there will be no more."""
        if self._reception is not None:
            self._reception.abandon()

    def _begin(self, *, is_all: bool) -> None:
        """Go as far as what has come allows."""
        try:
            if self._header is None:
                self._header = self._read_header(is_all=is_all)
            if self._header is not None and self._know_uids(self._header, is_all=is_all):
                self._receive(self._header)
        except IsocenterError as error:
            self._failure = error
            self._start.clear()

    def _read_header(self, *, is_all: bool) -> part10.FileHeader | None:
        """None, as long as the bytes to come may say otherwise."""
        is_enough = is_all or len(self._start) >= part10.LONGEST
        if not is_enough and len(self._start) < part10.FIRST_READ:
            return None
        try:
            header = part10.read(bytes(self._start))
        except Malformed:
            if is_enough:
                raise
            return None
        first = self._start[header.dataset_offset : header.dataset_offset + 8]
        if not is_enough and (len(first) < 8 or first[:2] == b"\0\0"):
            return None
        self.sop_class, self.sop_instance = header.sop_class, header.sop_instance
        return header

    def _know_uids(self, header: part10.FileHeader, *, is_all: bool) -> bool:
        """Look for the UIDs in the data set."""
        if self._uids is None:
            self._uids = Scanner(header.syntax, UIDS, limits=self._ingest.limits)
            self._looked_at = header.dataset_offset
        scanner = self._uids
        while self._looked_at < len(self._start) and scanner.values.keys() != UIDS:
            end = self._looked_at + LOOKED_AT
            scanner.feed(bytes(self._start[self._looked_at : end]))
            self._looked_at = min(end, len(self._start))
        if scanner.values.keys() != UIDS:
            if is_all or len(self._start) >= part10.LONGEST:
                raise Mismatch("the data set does not say which SOP instance it is")
            return False
        self.sop_class, self.sop_instance = (
            scanner.values[tag].value.decode("latin-1").strip("\0 ") for tag in sorted(UIDS)
        )
        return True

    def _receive(self, header: part10.FileHeader) -> None:
        self._ingest.admission.check(self.sop_class, header.syntax.uid)
        self._expected.check(self.sop_class, self.sop_instance)
        announced = Announced(
            transfer_syntax=header.syntax.uid,
            sop_class=self.sop_class,
            sop_instance=self.sop_instance,
            study=self._expected.study,
            sent_by=self._sent_by,
            received_by=self._received_by,
        )
        self._reception = self._ingest.receive(announced, hold=HELD)
        start = bytes(self._start)
        self._start.clear()
        self._reception.write(self._share.lend(memoryview(start)[header.dataset_offset :]))
