"""Which instances a path of the studies service means (PS3.18 10.4.1.1)."""

from collections.abc import AsyncIterator, Mapping
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request

from isocenter.archive.archive import Archive
from isocenter.dicom.identity import is_uid, may_be_uid
from isocenter.dicomweb import non_patient
from isocenter.errors import Malformed, NotFound, Unavailable
from isocenter.storage.attributes import NON_PATIENT_STUDY
from isocenter.storage.records import InstanceRef, Selection

LEVELS: Final = ("study", "series", "instance")
"""The parameters that paths have, from the top."""

MOST_INSTANCES: Final = 100_000
"""Instances of one answer; each takes half a kilobyte of memory while it is given."""

ATTEMPTS: Final = 3
"""Times that instances are gathered, if others are moved or removed meanwhile."""


def selection_of(uids: Mapping[str, str]) -> Selection:
    """Return what the UIDs of a path select, those above narrowing those below.

    Raises: Malformed; NotFound, for the study that stands for none.
    """
    for level in LEVELS:
        if level in uids and not may_be_uid(uids[level]):
            raise Malformed(f"what stands for the {level} is no UID")
    if uids.get("study") == NON_PATIENT_STUDY:
        raise NotFound("no such study")
    return Selection(
        studies=_listed(uids, "study"),
        series=_listed(uids, "series"),
        instances=_listed(uids, "instance"),
    )


def _listed(uids: Mapping[str, str], level: str) -> tuple[str, ...]:
    return (uids[level],) if level in uids else ()


def absent(uids: Mapping[str, str]) -> NotFound | Malformed:
    """Tell why nothing was found: a UID may be none by the rules, which are not enforced on what
    devices send."""
    for level in LEVELS:
        if level in uids and not is_uid(uids[level]):
            return Malformed(f"what stands for the {level} is no UID (PS3.5 9.1)")
    deepest = next(level for level in reversed(LEVELS) if level in uids)
    return NotFound(f"no such {deepest}" + ("" if deepest == "study" else " there"))


async def instances_of(request: Request) -> list[InstanceRef]:
    """Return the instances that the path of ``request`` names, in the archive's order; not none.

    Raises: Malformed, NotFound, Unavailable; HTTPException 413.
    """
    return await found(request.app.state.archive, request.path_params)


async def found(archive: Archive, uids: Mapping[str, str]) -> list[InstanceRef]:
    """Return the instances that ``uids`` name. Raises: as `instances_of`."""
    selection = selection_of(uids)
    gathered = await _whole(archive, selection)
    if not gathered:
        raise absent(uids)
    return gathered


async def _whole(archive: Archive, selection: Selection) -> list[InstanceRef]:
    """Gather what is selected, as it is at one time: it is read page by page.

    A correction in between would take a part of it elsewhere, or give a part of it another name.
    """
    index = archive.index
    for _ in range(ATTEMPTS):
        before = index.upheavals
        gathered = await _gathered(archive.instances(selection))
        if index.upheavals == before:
            return gathered
    # Where there is always something going on, as while instances are compressed.
    if len(gathered) != await index.count_instances(selection):
        raise Unavailable("it is being changed just now: ask again")
    return gathered


async def _gathered(pages: AsyncIterator[list[InstanceRef]]) -> list[InstanceRef]:
    gathered: list[InstanceRef] = []
    async for page in pages:
        gathered += page
        if len(gathered) > MOST_INSTANCES:
            raise HTTPException(
                413, f"more than {MOST_INSTANCES} instances: retrieve them series by series"
            )
    return gathered


async def instance_of(request: Request) -> InstanceRef:
    """Return the instance that the path of ``request`` names, as quickly as can be.

    Raises: Malformed, NotFound, Unavailable.
    """
    uids = request.path_params
    index = request.app.state.archive.index
    found: InstanceRef | None = index.known(uids["instance"])
    if found is None:
        selection_of(uids)
        try:
            found = await index.lookup(uids["instance"])
        except NotFound as error:
            raise absent(uids) from error
    above = (found.study_instance_uid, found.series_instance_uid)
    if above != (uids["study"], uids["series"]) or uids["study"] == NON_PATIENT_STUDY:
        raise absent(uids)
    return found


async def of_no_patient(request: Request, category: str) -> InstanceRef:
    """Return the instance of a category that the path of ``request`` names (PS3.18 12.1.1).

    Raises: Malformed, NotFound, Unavailable.
    """
    uid = request.path_params["uid"]
    if not may_be_uid(uid):
        raise Malformed("what stands for the instance is no UID")
    archive: Archive = request.app.state.archive
    async for page in archive.instances(Selection(instances=(uid,))):
        if page[0].sop_class_uid in non_patient.sop_classes(category):
            return page[0]
    raise absent({"instance": uid})
