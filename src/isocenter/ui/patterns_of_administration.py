"""The components of the administration in each of their states, for ``patterns``."""

import re
from dataclasses import replace
from typing import Any, Final

from isocenter.address import Address
from isocenter.archive.capacity import Capacity
from isocenter.archive.peer_reports import Accepted, Outcome
from isocenter.archive.peers import KnownPeer
from isocenter.dimse.watching import Seen
from isocenter.storage.records import ChangeKind, Warned
from isocenter.storage.tallies import Tally
from isocenter.ui import changes, peers, plots
from isocenter.ui.formats import Formats
from isocenter.ui.troubles import TEXTS, Trouble
from isocenter.ui.worklist import StudyRow

SCRIPT: Final = "<script>alert(1)</script>"
NOW: Final = 1_790_000_000_000_000
"""A moment, in microseconds since 1970."""


def _told(outcome: Outcome, reason: str = "") -> peers.Told:
    return peers.Told(outcome, reason, NOW, "CT@ct1.example:104")


def _peers() -> list[peers.PeerRow]:
    address = Address("CT", "ct1.example", 104)
    taken = Accepted(outcome=Outcome.ANSWERED, proposed=2, syntaxes={"1.2": ("1.2.3",)})
    accepted = peers.Told(Outcome.ANSWERED, "", NOW, str(address), accepted=taken)
    long = KnownPeer(Address("X" * 16, "a-very-long-name." * 8 + "example", 65535), SCRIPT * 3)
    return [
        peers.PeerRow(KnownPeer(address, is_configured=True)),
        peers.PeerRow(KnownPeer(address, "The ward's"), _told(Outcome.ANSWERED), accepted),
        *(peers.PeerRow(KnownPeer(address), _told(each)) for each in Outcome),
        peers.PeerRow(long, _told(Outcome.REJECTED, SCRIPT)),
    ]


def _associations() -> list[Seen]:
    one = Seen(1, False, "CT", "ISOCENTER", "10.0.0.5", NOW, 0, 12, 12, 6_000_000, 900, "C-STORE")
    return [one, replace(one, number=2, doing="", is_ours=True, calling=SCRIPT[:16])]


def _past() -> list[Seen]:
    over = replace(_associations()[0], ended_at=NOW + 61_000_000, doing="")
    return [
        over,
        replace(over, reason="the peer fell silent"),
        replace(over, reason="rejected: local limit exceeded", was_refused=True),
    ]


def _changes(study: StudyRow, long: StudyRow) -> list[changes.Entry]:
    entry = changes.Entry(
        ChangeKind.STORED, "1.2.3", "1.2.3.1", "", 500, NOW, NOW - 9_000_000, (), "", "CT"
    )
    entry = replace(entry, study=study)
    alone = replace(
        entry,
        kind=ChangeKind.REMOVED,
        count=1,
        instance_uid="1.2.3.1.1",
        since=NOW,
        study=None,
        removal=4711,
    )
    return [entry, replace(entry, warnings=tuple(Warned), study=long), alone]


def _plots(say: plots.Say) -> list[plots.Plot]:
    labels = [f"2026-11-{day:02}" for day in range(1, 31)]
    many = {f"M{number}": [day * number % 17 for day in range(30)] for number in range(1, 13)}
    return [
        plots.stacked("Empty", labels, {}, say, "Others"),
        plots.stacked("One bar", labels[:1], {"": [7]}, say, "Others"),
        plots.stacked("Many", labels, many, say, "Others"),
        plots.growing("One value", labels[:1], [3], say),
        plots.growing("Growing", labels, [day**2 for day in range(30)], say),
    ]


def _troubles() -> list[Trouble]:
    values = {"count": 3, "days": 12, "part": "95 %", "free": 10**9}
    needed = {kind: re.findall(r"\{(\w+)\}", text) for kind, text in TEXTS.items()}
    return [
        Trouble(kind, "/patterns", {name: values[name] for name in names}, kind == "full")
        for kind, names in needed.items()
    ]


def shown(formats: Formats, study: StudyRow, long: StudyRow) -> dict[str, Any]:
    """What the template shows."""
    return {
        "peer_rows": _peers(),
        "current": _associations(),
        "past": _past(),
        "changes": _changes(study, long),
        "plots": _plots(lambda value: formats.number(round(value))),
        "troubles": _troubles(),
        "total": Tally(0, "", bytes=10**12),
        "capacity": Capacity(10**9, 10**8, 0, 5 * 10**9, 10**11),
    }
