"""``isocenter send``: files, folders, file-sets and zip archives to a peer, by C-STORE."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from isocenter.address import Address
from isocenter.cli.network import (
    FAILED,
    CallingOption,
    NoAssociation,
    PeerArgument,
    TimeoutOption,
    VerboseOption,
    connect,
    run,
    timeouts_of,
)
from isocenter.errors import Unavailable

if TYPE_CHECKING:
    from isocenter.cli.progress import Bar, Tally
    from isocenter.dimse.settings import Timeouts
    from isocenter.services.delivery import Outcome
    from isocenter.services.receipts import Receipts

READERS: Final = 2
"""Threads that open files ahead."""


def send(
    peer: PeerArgument,
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", exists=True, help="Files, folders, DICOMDIRs, zips."),
    ],
    jobs: Annotated[
        int, typer.Option(min=1, max=64, help="Associations to send over at a time.")
    ] = 1,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            dir_okay=False,
            help="Note there what the peer acknowledged, and do not send it again.",
        ),
    ] = None,
    retries: Annotated[
        int, typer.Option(min=0, help="How often in a row to open a lost association anew.")
    ] = 3,
    aet: CallingOption = "ISOCENTER",
    timeout: TimeoutOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Tell of failures only.")] = False,
    verbose: VerboseOption = False,
) -> None:
    """Send instances to a peer (C-STORE)."""
    from isocenter.cli.progress import Bar, Tally
    from isocenter.services.receipts import Receipts

    with ExitStack() as stack:
        receipts = None
        if resume is not None:
            receipts = Receipts(resume, str(peer))
            stack.callback(receipts.close)
        bar = stack.enter_context(Bar("sending", is_hidden=quiet))
        tally = Tally(bar)
        work = _send(peer, paths, aet, timeouts_of(timeout), jobs, retries, receipts, tally, bar)
        run(work, is_verbose=verbose)
    if not quiet:
        for line in tally.summary():
            typer.echo(line, err=True)
    if tally.failed:
        raise typer.Exit(FAILED)


async def _send(
    peer: Address,
    paths: list[Path],
    calling: str,
    timeouts: "Timeouts",
    jobs: int,
    retries: int,
    receipts: "Receipts | None",
    tally: "Tally",
    bar: "Bar",
) -> None:
    from isocenter.archive.media import walk
    from isocenter.imaging.workers import Workers
    from isocenter.services.delivery import Delivery
    from isocenter.services.feed import Feed

    def report(outcome: "Outcome") -> None:
        if receipts is not None and outcome.found is not None and outcome.is_acknowledged:
            receipts.note(outcome.found, outcome.sop_instance)
        tally.count(outcome)

    with ThreadPoolExecutor(READERS, "reader") as workers, closing(Workers()) as codecs:
        if bar.is_shown:
            workers.submit(_count, paths, tally)
        is_skipped = receipts.has if receipts else lambda _: False
        feed = Feed(walk(paths), workers, is_skipped, codecs)
        open_association = partial(connect, peer, calling, timeouts=timeouts)
        delivery = Delivery(feed, open_association, report, jobs=jobs, retries=retries)
        try:
            await delivery.run()
        except Unavailable as error:
            if delivery.has_begun:
                raise
            raise NoAssociation.because(error, peer) from error


def _count(paths: list[Path], tally: "Tally") -> None:
    """Find out how much there is to do, while it is being done."""
    from isocenter.archive.media import walk

    tally.total = sum(1 for _ in walk(paths))
