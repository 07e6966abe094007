"""The applications we know: the one place that whoever looks one up asks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from isocenter.address import Address, ae_title
from isocenter.errors import Conflict, Malformed, NotFound
from isocenter.storage.peers import KeptPeer, PeerStore, Report

LONGEST_NOTE = 200
LONGEST_HOST = 253


@dataclass(frozen=True, slots=True)
class KnownPeer:
    """An application that we know."""

    address: Address
    note: str = ""
    is_configured: bool = False
    """It stands in the settings, and can be changed only there."""


class Peers:
    """Those of the settings, and those kept in the archive.

    The settings go before: what a file says, no page overrules. Nothing is remembered between
    calls, so a peer added anywhere counts at once. Every method may raise Unavailable.
    """

    def __init__(self, store: PeerStore, configured: Sequence[Address]) -> None:
        self._store = store
        self._configured = tuple(configured)

    async def all(self) -> list[KnownPeer]:
        """Every peer, by AE title."""
        found = [KnownPeer(each, is_configured=True) for each in self._configured]
        titles = {each.ae_title for each in self._configured}
        found += [
            KnownPeer(kept.address, kept.note)
            for kept in await self._store.all()
            if kept.address.ae_title not in titles
        ]
        return sorted(found, key=lambda each: each.address.ae_title)

    async def called(self, ae_title: str) -> list[Address]:
        """The addresses of an AE title: several, where the settings say so; none, if unknown."""
        configured = [each for each in self._configured if each.ae_title == ae_title]
        if configured:
            return configured
        if not ae_title.isascii():  # no AE title has such characters (PS3.5 6.2)
            return []
        kept = await self._store.of(ae_title)
        return [kept.address] if kept is not None else []

    async def destination(self, ae_title: str) -> Address | None:
        """Where an application is that something is to be sent to; None, if unknown."""
        found = await self.called(ae_title)
        return found[-1] if found else None

    async def find(self, ae_title: str) -> KnownPeer:
        """One of them. Raises: NotFound."""
        for each in await self.all():
            if each.address.ae_title == ae_title:
                return each
        raise NotFound(f"no peer {ae_title} is known here")

    async def add(self, address: Address, note: str = "") -> None:
        """Keep another in the archive. Raises: Conflict, Malformed."""
        self._refuse_configured(address.ae_title)
        await self._store.add(KeptPeer(address, _checked(note)))

    async def change(self, ae_title: str, address: Address, note: str = "") -> None:
        """Change one that is kept in the archive. Raises: NotFound, Conflict, Malformed."""
        self._refuse_configured(ae_title)
        self._refuse_configured(address.ae_title)
        await self._store.change(ae_title, KeptPeer(address, _checked(note)))

    async def remove(self, ae_title: str) -> None:
        """Forget one that is kept in the archive. Raises: NotFound, Conflict."""
        self._refuse_configured(ae_title)
        await self._store.remove(ae_title)

    async def note(self, report: Report) -> None:
        """Keep what one answered, instead of what it did before."""
        await self._store.note(report)

    async def report(self, ae_title: str, kind: str) -> Report | None:
        """What one answered when it was asked last."""
        return await self._store.report(ae_title, kind)

    async def reports(self, kind: str) -> dict[str, Report]:
        """What each answered when it was asked last, by AE title."""
        return await self._store.reports(kind)

    def _refuse_configured(self, ae_title: str) -> None:
        if any(each.ae_title == ae_title for each in self._configured):
            raise Conflict(f"{ae_title} stands in the settings: change it there")


def address_of(aet: str, host: str, port: str) -> Address:
    """Read what somebody typed, by the rules of the settings. Raises: Malformed."""
    host = host.strip().strip("[]")
    if not 0 < len(host) <= LONGEST_HOST or not all(
        each.isascii() and (each.isalnum() or each in ".-_:%") for each in host
    ):
        raise Malformed("the host is a name or an address, as in ct1.clinic.example or 10.0.0.5")
    place = f"[{host}]" if ":" in host else host
    port = port.strip()
    if not (port.isascii() and port.isdigit()):
        raise Malformed("the port is a number from 1 to 65535")
    title = ae_title(aet)
    if not title.strip():
        raise Malformed("the AE title is missing")
    return replace(Address.parse(f"X@{place}:{port}"), ae_title=title)


def _checked(note: str) -> str:
    note = " ".join(note.split())
    if len(note) > LONGEST_NOTE or not note.isprintable():
        raise Malformed(f"a note has at most {LONGEST_NOTE} characters, all of them printable")
    return note
