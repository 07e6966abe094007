"""Commands on a data folder: import, export, verify, reindex."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isocenter.cli.output import complain, progress, say
from isocenter.cli.serve import ConfigOption, DataOption, load_settings
from isocenter.config import Config
from isocenter.errors import NotFound

if TYPE_CHECKING:
    from isocenter.archive.archive import Archive
    from isocenter.storage.lock import FolderLock
    from isocenter.storage.records import Selection

Uids = list[str] | None
StudyOption = Annotated[Uids, typer.Option("--study", help="Study Instance UID. Repeatable.")]
SeriesOption = Annotated[Uids, typer.Option("--series", help="Series Instance UID. Repeatable.")]
InstanceOption = Annotated[Uids, typer.Option("--instance", help="SOP Instance UID. Repeatable.")]
PatientOption = Annotated[str | None, typer.Option("--patient", help="Patient ID.")]
IssuerOption = Annotated[
    str | None,
    typer.Option("--issuer", help="Issuer of the Patient ID, where several gave the same one."),
]


@asynccontextmanager
async def archive_in(config: Config, *, alone: bool, pages: str = "") -> AsyncIterator["Archive"]:
    """Open the archive in the data folder; ``alone``: no server may be using it meanwhile.

    ``pages``: which of a server's do the same. Raises: Unavailable.
    """
    from isocenter.archive.archive import Archive

    if alone:
        with _locked(config, pages):
            archive = await Archive.open(config.data, config.archive, config.imaging)
            try:
                yield archive
            finally:
                await archive.close()
        return
    archive = await Archive.open(config.data, config.archive, is_shared=True)
    try:
        yield archive
    finally:
        await archive.close()


def _locked(config: Config, pages: str) -> "FolderLock":
    from isocenter.storage.lock import FolderLock, InUse

    try:
        return FolderLock(config.data)
    except InUse as error:
        instead = f", or use its pages: {pages}" if pages else ""
        raise InUse(f"{error}: stop it first{instead}") from error


def selection_of(
    patient: str | None, issuer: str | None, study: Uids, series: Uids, instance: Uids
) -> "Selection":
    from isocenter.storage.records import Selection

    if issuer is not None and patient is None:
        raise typer.BadParameter("--issuer goes with --patient")
    if not (patient or study or series or instance):
        raise typer.BadParameter("name what is meant: --patient, --study, --series or --instance")
    return Selection(
        patient_id=patient,
        issuer=issuer,
        studies=tuple(study or ()),
        series=tuple(series or ()),
        instances=tuple(instance or ()),
    )


def run(work: Coroutine[Any, Any, bool]) -> None:
    """Run ``work``; exit with 1 if it says that something failed."""
    if not asyncio.run(work):
        sys.exit(1)


def import_(
    paths: Annotated[list[Path], typer.Argument(help="Files, folders, zip archives, DICOMDIRs.")],
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Take instances into the archive, without a server."""
    from isocenter.cli.serve import quiet_log

    quiet_log()
    run(_import(load_settings(config, data=data), paths))


async def _import(config: Config, paths: list[Path]) -> bool:
    from isocenter.archive.importing import Fate, import_files

    fates: Counter[Fate] = Counter()
    async with archive_in(config, alone=True) as archive:
        with progress("importing") as steps:
            async for imported in import_files(archive.ingest, paths, config.aet):
                fates[imported.fate] += 1
                steps.step(imported.size)
                if imported.fate is Fate.REFUSED:
                    complain(f"refused: {imported.name}: {imported.reason}")
    say(", ".join(f"{count} {fate.value}" for fate, count in fates.items()) or "nothing found")
    return not fates[Fate.REFUSED]


def export(
    out: Annotated[Path, typer.Option(help="The folder to write to.")],
    patient: PatientOption = None,
    issuer: IssuerOption = None,
    study: StudyOption = None,
    series: SeriesOption = None,
    instance: InstanceOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Write instances as DICOM files: OUT/<study>/<series>/<instance>.dcm."""
    selection = selection_of(patient, issuer, study, series, instance)
    run(_export(load_settings(config, data=data), selection, out))


async def _export(config: Config, selection: "Selection", out: Path) -> bool:
    from isocenter.archive.exporting import export as export_files

    failed = 0
    async with archive_in(config, alone=False) as archive:
        with progress("exporting") as steps:
            async for exported in export_files(archive, selection, out):
                steps.step(exported.size)
                if exported.reason:
                    failed += 1
                    complain(f"failed: {exported.path}: {exported.reason}")
    say(f"{steps.count - failed} exported, {failed} failed")
    return not failed


def verify(data: DataOption = None, config: ConfigOption = None) -> None:
    """Read every instance and compare it with its digest."""
    run(_verify(load_settings(config, data=data)))


async def _verify(config: Config) -> bool:
    from isocenter.archive.upkeep import note_verified, verify as verify_blobs

    faults = 0
    async with archive_in(config, alone=False) as archive:
        with progress("verifying") as steps:
            async for checked in verify_blobs(archive):
                if checked.fault is None:
                    steps.step(checked.size)
                    continue
                faults += 1
                where = f"{checked.key} ({checked.sop_instance})"
                complain(f"{checked.fault.value}: {where} {checked.reason}".rstrip())
        await note_verified(archive, sound=steps.count, faulty=faults)
    say(f"{steps.count} sound, {faults} faulty")
    return not faults


def reindex(data: DataOption = None, config: ConfigOption = None) -> None:
    """Make the index anew from the blobs alone; worklist, corrections and jobs are taken over."""
    if not _reindex(load_settings(config, data=data)):
        sys.exit(1)


def _reindex(config: Config) -> bool:
    from isocenter.archive.archive import INDEX_NAME
    from isocenter.archive.upkeep import put_in_place, reindex as reindex_blobs
    from isocenter.dicom.layout import Limits
    from isocenter.storage.lock import FolderLock

    faults = 0
    _refuse_nothing(config.data)
    limits = Limits(nesting=config.archive.max_nesting)
    with FolderLock(config.data):
        made = config.data / f"{INDEX_NAME}.new"
        reading = reindex_blobs(config.data, made, limits)
        with progress("reindexing") as steps, closing(reading) as read:
            for checked in read:
                steps.step(checked.size)
                if checked.fault is not None:
                    faults += 1
                    complain(f"{checked.fault.value}: {checked.key} {checked.reason}".rstrip())
        is_whole = put_in_place(made, config.data / INDEX_NAME)
    if not is_whole:
        complain(
            "worklist, corrections and jobs could not be read: they are left in the former index"
        )
    say(f"{steps.count - faults} entered, {faults} faulty")
    return is_whole and not faults


def _refuse_nothing(folder: Path) -> None:
    """Raises: NotFound, where there is no such folder, rather than to make one."""
    if not folder.is_dir():
        raise NotFound(f"there is no archive in {folder}")
