"""``isocenter get`` and ``isocenter move``: what a peer has, to here or to elsewhere."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isocenter.address import Address
from isocenter.cli.network import (
    FAILED,
    CallingOption,
    DestinationOption,
    PeerArgument,
    TimeoutOption,
    VerboseOption,
    associated,
    run,
    timeouts_of,
)
from isocenter.cli.selecting import (
    KeyOption,
    LevelName,
    LevelOption,
    ModelName,
    ModelOption,
    level_of,
    model_of,
    parse_keys,
)
from isocenter.errors import Malformed

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from isocenter.cli.progress import Bar
    from isocenter.dimse.association import Association
    from isocenter.dimse.settings import Timeouts
    from isocenter.services.fetching import Progress
    from isocenter.services.targets import Target, Wish

PATIENCE = 600.0  # seconds for a peer to say something while it sends

PatientOption = Annotated[
    list[str] | None, typer.Option("--patient", metavar="ID", help="Patient ID. Repeatable.")
]
StudyOption = Annotated[
    list[str] | None, typer.Option("--study", metavar="UID", help="Repeatable.")
]
SeriesOption = Annotated[
    list[str] | None, typer.Option("--series", metavar="UID", help="Repeatable.")
]
InstanceOption = Annotated[
    list[str] | None, typer.Option("--instance", metavar="UID", help="Repeatable.")
]


def get(
    peer: PeerArgument,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", file_okay=False, help="Where to.")],
    study: StudyOption = None,
    series: SeriesOption = None,
    instance: InstanceOption = None,
    patient: PatientOption = None,
    key: KeyOption = None,
    level: LevelOption = None,
    model: ModelOption = None,
    aet: CallingOption = "ISOCENTER",
    timeout: TimeoutOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Fetch instances from a peer into a folder (C-GET)."""
    from isocenter.cli.progress import Bar

    asked = _wish(patient, study, series, instance, key, level, model)
    timeouts = timeouts_of(timeout, dimse=PATIENCE)
    with Bar("receiving") as bar:
        done, arrived = run(_get(peer, aet, timeouts, asked, out, bar), is_verbose=verbose)
    _conclude(done, f"{len(arrived)} received")


def move(
    peer: PeerArgument,
    dest: DestinationOption,
    study: StudyOption = None,
    series: SeriesOption = None,
    instance: InstanceOption = None,
    patient: PatientOption = None,
    key: KeyOption = None,
    level: LevelOption = None,
    model: ModelOption = None,
    aet: CallingOption = "ISOCENTER",
    timeout: TimeoutOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Have a peer send instances to another (C-MOVE)."""
    from isocenter.cli.progress import Bar

    asked = _wish(patient, study, series, instance, key, level, model)
    timeouts = timeouts_of(timeout, dimse=PATIENCE)
    with Bar("moving") as bar:
        done = run(_move(peer, aet, timeouts, asked, dest, bar), is_verbose=verbose)
    _conclude(done, f"{done.completed + done.warning} moved")


def _wish(
    patient: list[str] | None,
    study: list[str] | None,
    series: list[str] | None,
    instance: list[str] | None,
    key: list[str] | None,
    level: LevelName | None,
    model: ModelName | None,
) -> "Wish":
    from isocenter.services import keys, targets

    given = {
        "PatientID": patient,
        "StudyInstanceUID": study,
        "SeriesInstanceUID": series,
        "SOPInstanceUID": instance,
    }
    texts = [f"{name}={chr(92).join(values)}" for name, values in given.items() if values]
    wanted = level_of(level) if level else None
    try:
        document = keys.document(parse_keys([*texts, *(key or ())]))
        asked = targets.wish(document, wanted)
        if model is None:
            return asked
        return targets.wish(document, wanted, model_of(model, asked.level))
    except Malformed as error:
        raise typer.BadParameter(str(error)) from error


async def _get(
    peer: Address, calling: str, timeouts: "Timeouts", asked: "Wish", out: Path, bar: "Bar"
) -> "tuple[Progress, set[str]]":
    from isocenter.cli.progress import plain
    from isocenter.services import fetching
    from isocenter.services.folder import Folder

    arrived: set[str] = set()
    failed: set[str] = set()

    def received(sop_instance: str, error: Exception | None) -> None:
        if error is None:
            arrived.add(sop_instance)
            bar.show(len(arrived))
        else:
            failed.add(sop_instance)
            bar.tell(f"failed: {plain(sop_instance)}: {error}")

    done = fetching.Progress()
    async with _asking(peer, calling, timeouts, asked) as association:
        targets = await _targets(association, asked)
        batches = [each async for each in fetching.plan(association, asked.model, targets)]
    with ThreadPoolExecutor(2, "writer") as workers:
        folder = Folder(out, workers, received)
        for batch in batches:
            proposals = fetching.proposals(
                asked.model.get,
                batch.classes or fetching.COMMON,
                is_relational=not asked.is_hierarchical,
            )
            async with associated(
                peer, calling, proposals, timeouts, receive=folder.receive
            ) as association:
                steps = fetching.retrieve(association, asked.model, batch.targets, after=done)
                async for done in steps:
                    if done.remaining:
                        bar.show(len(arrived), total=done.done + done.remaining)
    # Of those that failed here, the reason was told: the peer only knows that they did.
    done.failed_uids[:] = [uid for uid in done.failed_uids if uid not in failed]
    return done, arrived


async def _move(
    peer: Address, calling: str, timeouts: "Timeouts", asked: "Wish", dest: str, bar: "Bar"
) -> "Progress":
    from isocenter.dimse.negotiation import Proposal
    from isocenter.services import fetching, targets

    if asked.is_direct:
        chosen = list(targets.direct(asked))
    else:
        async with _asking(peer, calling, timeouts, asked) as association:
            chosen = await _targets(association, asked)
    done = fetching.Progress()
    if not chosen:
        return done
    extended = None if asked.is_hierarchical else b"\1"
    proposals = [Proposal(abstract_syntax=asked.model.move, extended=extended)]
    async with associated(peer, calling, proposals, timeouts) as association:
        async for done in fetching.retrieve(association, asked.model, chosen, dest):
            bar.show(done.done, total=done.done + done.remaining)
    return done


def _asking(
    peer: Address, calling: str, timeouts: "Timeouts", asked: "Wish"
) -> "AbstractAsyncContextManager[Association]":
    """Open an association to find out what to ask for."""
    from isocenter.services import querying
    from isocenter.services.models import Negotiated

    search = querying.Search(asked.model, asked.level, asked.keys)
    options = Negotiated(relational=not querying.is_hierarchical(search))
    return associated(peer, calling, [querying.proposal(asked.model.find, options)], timeouts)


async def _targets(association: "Association", asked: "Wish") -> "list[Target]":
    from isocenter.services import targets

    if asked.is_direct:
        return list(targets.direct(asked))
    return [each async for each in targets.looked_up(association, asked)]


def _conclude(done: "Progress", what: str) -> None:
    """Say how it went; exit with a failure if anything failed."""
    from isocenter.cli.progress import plain

    for uid in done.failed_uids:
        typer.echo(f"failed: {plain(uid)}", err=True)
    for refusal in done.refusals:
        typer.echo(f"isocenter: {plain(refusal)}", err=True)
    failed = max(done.failed, len(done.failed_uids))
    typer.echo(f"{what}{f'; {failed} failed' if failed else ''}", err=True)
    if failed or done.refusals:
        raise typer.Exit(FAILED)
