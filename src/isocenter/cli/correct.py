"""The command that corrects patient data in a data folder, and undoes that."""

import asyncio
import getpass
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from isocenter.cli.holdings import IssuerOption, PatientOption, archive_in
from isocenter.cli.output import complain, say
from isocenter.cli.serve import ConfigOption, DataOption, load_settings
from isocenter.config import Config

if TYPE_CHECKING:
    from isocenter.archive.archive import Archive
    from isocenter.archive.correction import Preview
    from isocenter.storage.corrections import Correction
    from isocenter.storage.records import Match

PAGES = "Correct… of a study"


def correct(
    study: Annotated[str | None, typer.Option(help="Study Instance UID.")] = None,
    patient: PatientOption = None,
    issuer: IssuerOption = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="What it is to be, as in PatientID=4711. Repeatable."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; it is kept.")] = "",
    undo: Annotated[
        str | None, typer.Option(help="Undo a correction, named as the history names it.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Correct the data of a study, or of all studies of a patient; without --set, tell what was.

    With both, it is that patient's study: several patients may have one of a UID.
    The instances stay as they came; what is corrected is laid over them when they are given out.
    """
    settings = load_settings(config, data=data)
    if undo is not None:
        asyncio.run(_undo(settings, undo))
        return
    if study is None and patient is None:
        raise typer.BadParameter("name what is meant: --study, --patient, or both")
    entered = [_parted(each) for each in change or ()]
    wanted = _Wanted(study, patient, issuer, entered, reason)
    if not asyncio.run(_correct(settings, wanted, is_agreed=yes)):
        sys.exit(1)


class _Wanted:
    def __init__(
        self,
        study: str | None,
        patient: str | None,
        issuer: str | None,
        entered: Sequence[tuple[str, str]],
        reason: str,
    ) -> None:
        self.uid = study
        self.patient = patient
        self.issuer = issuer
        self.entered = entered
        self.reason = reason

    async def study(self, archive: "Archive") -> "Match":
        if self.patient is not None:
            return await archive.corrections.study_of(self.patient, self.issuer, self.uid or "")
        return await archive.corrections.study(self.uid or "")


def _parted(text: str) -> tuple[str, str]:
    keyword, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text[:64]}: --set takes KEYWORD=VALUE")
    return keyword, value


async def _correct(config: Config, wanted: _Wanted, *, is_agreed: bool) -> bool:
    from isocenter.archive.correction import named

    async with archive_in(config, alone=bool(wanted.entered), pages=PAGES) as archive:
        study = await wanted.study(archive)
        if not wanted.entered:
            for entry in await archive.corrections.history(study):
                _tell(entry)
            return True
        entered, of_patient = named(wanted.entered), wanted.uid is None
        preview = await archive.corrections.preview(study, entered, is_of_patient=of_patient)
        _show(preview)
        if not is_agreed:
            typer.confirm(f"Correct {preview.studies} studies?", abort=True, err=True)
        await archive.corrections.correct(
            study,
            entered,
            is_of_patient=of_patient,
            reason=wanted.reason,
            by=getpass.getuser(),
            seen=preview.seen,
        )
    say(f"{preview.studies} studies, {preview.instances} instances corrected")
    return True


async def _undo(config: Config, action: str) -> None:
    async with archive_in(config, alone=True, pages=PAGES) as archive:
        count = await archive.corrections.revoke(action, getpass.getuser())
    say(f"undone for {count} studies")


def _show(preview: "Preview") -> None:
    for line in preview.lines:
        complain(f"{line.field.name}: {line.before or '(none)'} -> {line.after or '(none)'}")
    if preview.joined is not None:
        complain("There is a patient of this Patient ID already: they will be one.")
    for name in preview.differs:
        complain(f"Careful: that patient's data differs: {name}")


def _tell(entry: "Correction") -> None:
    from isocenter.archive.correction import lines

    at = datetime.fromtimestamp(entry.corrected_at / 1_000_000, UTC)
    state = "undone" if entry.revoked_at else "in force"
    say(f"{entry.action}  {at:%Y-%m-%d %H:%M} UTC  {entry.corrected_by}  {state}: {entry.reason}")
    for line in lines(entry):
        say(f"    {line.field.name}: {line.before or '(none)'} -> {line.after or '(none)'}")
