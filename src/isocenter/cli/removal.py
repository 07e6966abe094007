"""Commands that take instances out of the archive, and put them back."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from isocenter.cli.holdings import (
    InstanceOption,
    IssuerOption,
    PatientOption,
    SeriesOption,
    StudyOption,
    archive_in,
    run,
    selection_of,
)
from isocenter.cli.output import complain, say
from isocenter.cli.serve import ConfigOption, DataOption, load_settings
from isocenter.config import Config

if TYPE_CHECKING:
    from isocenter.storage.records import Selection
    from isocenter.storage.removal_records import Removal

WHO: Final = "command"
PAGE: Final = 100
PAGES: Final = "/administration/removed"
Number = Annotated[int, typer.Argument(min=1, help="Of the removal: `isocenter removed`.")]


def remove(
    patient: PatientOption = None,
    issuer: IssuerOption = None,
    study: StudyOption = None,
    series: SeriesOption = None,
    instance: InstanceOption = None,
    reason: Annotated[str, typer.Option(help="Why, in words.")] = "",
    code: Annotated[
        str,
        typer.Option(
            help="Why, coded (PS3.16 CID 7011): 113001 quality, 113037 patient safety, 113038"
            " incorrect modality worklist entry, 113039 retention expired."
        ),
    ] = "",
    now: Annotated[bool, typer.Option("--now", help="For good: with no way back.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Remove instances from the archive; `isocenter restore` puts them back for a time."""
    selection = selection_of(patient, issuer, study, series, instance)
    run(_remove(load_settings(config, data=data), selection, code, reason, (now, yes)))


async def _remove(
    config: Config, selection: "Selection", code: str, reason: str, how: tuple[bool, bool]
) -> bool:
    is_final, is_agreed = how
    async with archive_in(config, alone=True, pages="Remove… of a study") as archive:
        count = await archive.index.count_instances(selection)
        if not is_agreed and count:
            ending = " for good" if is_final or not config.archive.removal_retention else ""
            typer.confirm(f"Remove {count} instances{ending}?", abort=True, err=True)
        removed = await archive.removals.remove(
            selection, who=WHO, code=code, reason=reason, is_final=is_final
        )
        if not removed.instances:
            say("0 removed")
            return True
        removal = await archive.removals.find(removed.removal)
    way_back = f"; `isocenter restore {removal.number}` puts them back" * removal.can_be_undone
    say(f"{removed.instances} removed{way_back}")
    return True


def removed(data: DataOption = None, config: ConfigOption = None) -> None:
    """List what was removed, the latest last: when, by whom, why, and how long it can be undone."""
    run(_removed(load_settings(config, data=data)))


async def _removed(config: Config) -> bool:
    async with archive_in(config, alone=False) as archive:
        page = await archive.removals.page(PAGE)
    if len(page) == PAGE:
        complain(f"only the latest {PAGE} are listed")
    for each in reversed(page):
        say(_line(each))
    return True


def _line(removal: "Removal") -> str:
    from isocenter.archive.removals import CODES

    why = ": ".join(part for part in (CODES.get(removal.code, ""), removal.reason) if part)
    state = f"until {_time(removal.due_at)}"
    if removal.restored_at:
        state = f"put back {_time(removal.restored_at)}"
    elif removal.purged_at:
        state = f"deleted {_time(removal.purged_at)}"
    parts = (
        str(removal.number),
        _time(removal.removed_at),
        removal.who,
        f"{removal.instances} instances",
        state,
        why,
    )
    return "\t".join(part for part in parts if part)


def _time(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def restore(
    number: Number,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Put back what was removed, as it was."""
    run(_restore(load_settings(config, data=data), number))


async def _restore(config: Config, number: int) -> bool:
    async with archive_in(config, alone=True, pages=PAGES) as archive:
        restored = await archive.removals.restore(number)
    there = f", {restored.there} were there again already" if restored.there else ""
    say(f"{restored.instances} put back{there}")
    return True


def purge(
    number: Number,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Delete what was removed for good, before its time."""
    run(_purge(load_settings(config, data=data), number, yes))


async def _purge(config: Config, number: int, is_agreed: bool) -> bool:
    async with archive_in(config, alone=True, pages=PAGES) as archive:
        removal = await archive.removals.find(number)
        if removal.purged_at:
            say("deleted already")
            return True
        if not is_agreed:
            what = f"Delete {removal.instances} removed instances for good?"
            typer.confirm(what, abort=True, err=True)
        await archive.removals.purge(number)
    say(f"{removal.instances} deleted for good")
    return True
