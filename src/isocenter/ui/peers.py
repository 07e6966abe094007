"""The applications we know: whether they are there, what they take; adding and changing them."""

import asyncio
import csv
import io
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from isocenter.address import Address
from isocenter.archive.peer_reports import ACCEPTS, ECHO, Accepted, Echoed, Outcome
from isocenter.archive.peers import KnownPeer, address_of
from isocenter.dicom.sop_classes import SOP_CLASSES
from isocenter.dicom.syntax import TRANSFER_SYNTAXES
from isocenter.errors import Conflict, Malformed
from isocenter.storage.peers import Report
from isocenter.ui import forms
from isocenter.ui.administration import refuse_if_forbidden
from isocenter.ui.page import render
from isocenter.ui.running import Running, running_of

PATH: Final = "/administration/peers"

OUTCOMES: Final[Mapping[Outcome, str]] = {
    Outcome.ANSWERED: "Answers",
    Outcome.UNREACHABLE: "Cannot be reached",
    Outcome.REJECTED: "Rejects us",
    Outcome.ABORTED: "Breaks off",
    Outcome.SILENT: "Says nothing",
    Outcome.DECLINED: "Declines",
}
ADVICE: Final[Mapping[Outcome, str]] = {
    Outcome.UNREACHABLE: "Nobody listens there, or a firewall is between: check host and port.",
    Outcome.REJECTED: "It does not want us: check its AE title, and have it know ours.",
    Outcome.ABORTED: "It is there, and ended the association: its log says why.",
    Outcome.SILENT: "It took the connection and said nothing: is that a DICOM port?",
    Outcome.DECLINED: "It talks to us, and does not do this.",
}
"""English texts; the catalogs have the others."""

MOST_ASKED: Final = 8
"""Peers that are asked something at once."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a peer answered, as the pages show it."""

    outcome: Outcome
    reason: str
    at: int
    """Microseconds since 1970, UTC."""
    address: str
    echo: Echoed | None = None
    accepted: Accepted | None = None

    @property
    def words(self) -> str:
        """How it went."""
        return OUTCOMES[self.outcome]

    @property
    def advice(self) -> str:
        """What to do about it."""
        return ADVICE.get(self.outcome, "")

    @property
    def is_good(self) -> bool:
        """Whether all is well."""
        return self.outcome is Outcome.ANSWERED


@dataclass(frozen=True, slots=True)
class PeerRow:
    """A peer as the list shows it."""

    known: KnownPeer
    echo: Told | None = None
    accepted: Told | None = None

    @property
    def title(self) -> str:
        """Its AE title."""
        return self.known.address.ae_title

    @property
    def link(self) -> str:
        """Its own page; AE titles may have characters that a path may not."""
        return f"{PATH}/one?{urlencode({'aet': self.title})}"


@dataclass(frozen=True, slots=True)
class Alike:
    """SOP classes that are taken in the same transfer syntaxes."""

    syntaxes: tuple[str, ...]
    sop_classes: tuple[tuple[str, str], ...]
    """Name and UID of each."""


@dataclass(frozen=True, slots=True)
class Given:
    """What was typed into the form."""

    aet: str = ""
    host: str = ""
    port: str = "104"
    note: str = ""

    @classmethod
    def of(cls, known: KnownPeer) -> "Given":
        """What is there, to be changed."""
        address = known.address
        return cls(address.ae_title, address.host, str(address.port), known.note)


def told_echo(report: Report | None) -> Told | None:
    """Read the answer to an echo."""
    if report is None:
        return None
    echoed = Echoed.read(report.document)
    return Told(echoed.outcome, echoed.reason, report.at, report.address, echo=echoed)


def told_accepted(report: Report | None) -> Told | None:
    """Read what a peer takes."""
    if report is None:
        return None
    found = Accepted.read(report.document)
    return Told(found.outcome, found.reason, report.at, report.address, accepted=found)


def name_of_class(uid: str) -> str:
    """The name of a SOP class, or its UID."""
    known = SOP_CLASSES.get(uid)
    return known.name if known else uid


def name_of_syntax(uid: str) -> str:
    """The name of a transfer syntax, or its UID."""
    known = TRANSFER_SYNTAXES.get(uid)
    return known.name if known else uid


def alike(accepted: Accepted) -> list[Alike]:
    """Group SOP classes by the transfer syntaxes they are taken in, most classes first."""
    groups: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for uid, syntaxes in accepted.syntaxes.items():
        groups.setdefault(tuple(syntaxes), []).append((name_of_class(uid), uid))
    found = [
        Alike(tuple(name_of_syntax(each) for each in syntaxes), tuple(sorted(classes)))
        for syntaxes, classes in groups.items()
    ]
    return sorted(found, key=lambda each: (-len(each.sop_classes), each.syntaxes))


async def show(request: Request) -> Response:
    """GET /administration/peers."""
    return await _list(request, Given(), "")


async def _list(request: Request, given: Given, fault: str, status: int = 200) -> Response:
    peers = running_of(request).peers
    echoes, accepts = await peers.reports(ECHO), await peers.reports(ACCEPTS)
    rows = [
        PeerRow(
            each,
            told_echo(echoes.get(each.address.ae_title)),
            told_accepted(accepts.get(each.address.ae_title)),
        )
        for each in await peers.all()
    ]
    context = {"rows": rows, "given": given, "fault": fault, "former": ""}
    return render(request, "peers.html", context, status=status)


async def one(request: Request) -> Response:
    """GET /administration/peers/one?aet=: a peer, and all it answered."""
    return await _one(request, request.query_params.get("aet", ""))


async def _one(
    request: Request, aet: str, given: Given | None = None, fault: str = "", status: int = 200
) -> Response:
    peers = running_of(request).peers
    known = await peers.find(aet)
    echo = told_echo(await peers.report(aet, ECHO))
    accepted = told_accepted(await peers.report(aet, ACCEPTS))
    context = {
        "row": PeerRow(known, echo, accepted),
        "alike": alike(accepted.accepted) if accepted and accepted.accepted else [],
        "given": given or Given.of(known),
        "fault": fault,
        "former": aet,
    }
    return render(request, "peer.html", context, status=status)


async def add(request: Request) -> Response:
    """POST /administration/peers: keep another."""
    refuse_if_forbidden(request)
    given = _given(await forms.fields(request))
    try:
        address = address_of(given.aet, given.host, given.port)
        await running_of(request).peers.add(address, given.note)
    except (Malformed, Conflict) as error:
        return await _list(request, given, str(error), _status(error))
    return _to(address.ae_title)


async def change(request: Request) -> Response:
    """POST /administration/peers/change: another title, host, port or note."""
    refuse_if_forbidden(request)
    fields = await forms.fields(request)
    given, former = _given(fields), dict(fields).get("former", "")
    try:
        address = address_of(given.aet, given.host, given.port)
        await running_of(request).peers.change(former, address, given.note)
    except (Malformed, Conflict) as error:
        return await _one(request, former, given, str(error), _status(error))
    return _to(address.ae_title)


async def remove(request: Request) -> Response:
    """POST /administration/peers/remove."""
    refuse_if_forbidden(request)
    await running_of(request).peers.remove(await _aet(request))
    return RedirectResponse(PATH, 303)


async def echo(request: Request) -> Response:
    """POST /administration/peers/echo: is it there (C-ECHO)."""
    fields = dict(await forms.fields(request))
    running = running_of(request)
    address = (await running.peers.find(fields.get("aet", ""))).address
    with _asking(running, address.ae_title):
        found = await running.echo(address)
    await running.peers.note(_report(address, ECHO, found.document))
    return RedirectResponse(PATH, 303) if fields.get("back") == "list" else _to(address.ae_title)


async def ask(request: Request) -> Response:
    """POST /administration/peers/accepts: which instances does it take."""
    running = running_of(request)
    address = (await running.peers.find(await _aet(request))).address
    with _asking(running, address.ae_title):
        found = await running.accepted(address)
    await running.peers.note(_report(address, ACCEPTS, found.document))
    return _to(address.ae_title, "#accepts")


async def export(request: Request) -> Response:
    """GET /administration/peers/accepts.csv?aet=: what it takes, as a table for other programs."""
    aet = request.query_params.get("aet", "")
    peers = running_of(request).peers
    await peers.find(aet)
    told = told_accepted(await peers.report(aet, ACCEPTS))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("sop_class_uid", "sop_class", "transfer_syntax_uid", "transfer_syntax"))
    if told and told.accepted:
        for sop_class, syntaxes in told.accepted.syntaxes.items():
            for syntax in syntaxes:
                names = name_of_class(sop_class), name_of_syntax(syntax)
                writer.writerow((sop_class, names[0], syntax, names[1]))
    headers = {"content-disposition": 'attachment; filename="accepts.csv"'}
    return Response(await asyncio.to_thread(text.getvalue), 200, headers, "text/csv; charset=utf-8")


@contextmanager
def _asking(running: Running, title: str) -> Iterator[None]:
    """Have no peer asked twice at a time, and not too many at once. Raises: Conflict."""
    if title in running.asked:
        raise Conflict("this peer is being asked already: wait for its answer")
    if len(running.asked) >= MOST_ASKED:
        raise Conflict("too many peers are being asked: wait for their answers")
    running.asked.add(title)
    try:
        yield
    finally:
        running.asked.discard(title)


def _report(address: Address, kind: str, document: bytes) -> Report:
    return Report(address.ae_title, kind, str(address), time.time_ns() // 1000, document)


async def _aet(request: Request) -> str:
    return dict(await forms.fields(request)).get("aet", "")


def _given(fields: list[tuple[str, str]]) -> Given:
    values = dict(fields)
    return Given(**{name: values.get(name, "") for name in Given.__slots__})


def _status(error: Exception) -> int:
    return 409 if isinstance(error, Conflict) else 400


def _to(aet: str, fragment: str = "") -> Response:
    return RedirectResponse(f"{PATH}/one?{urlencode({'aet': aet})}{fragment}", 303)


ROUTES = (
    Route(PATH, show, name="peers"),
    Route(PATH, add, methods=["POST"], name="add-peer"),
    Route(f"{PATH}/one", one, name="peer"),
    Route(f"{PATH}/change", change, methods=["POST"], name="change-peer"),
    Route(f"{PATH}/remove", remove, methods=["POST"], name="remove-peer"),
    Route(f"{PATH}/echo", echo, methods=["POST"], name="echo-peer"),
    Route(f"{PATH}/accepts", ask, methods=["POST"], name="ask-peer"),
    Route(f"{PATH}/accepts.csv", export, name="peer-accepts"),
)
