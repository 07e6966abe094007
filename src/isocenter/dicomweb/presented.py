"""Images as presentation states show them (PS3.18 8.3.5.1.6, 9.5.1.2.7).

The rendering of a state is that of all images to which it refers; in the URI service a state is
named beside an image, to which it must refer. One that refers to another is never applied.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, Never

from starlette.exceptions import HTTPException
from starlette.requests import Request

from isocenter.archive.archive import Archive
from isocenter.archive.not_rendered import NotRendered
from isocenter.archive.states import Shown
from isocenter.dicom.identity import is_uid
from isocenter.errors import NotFound
from isocenter.imaging.looks import Look, referenced
from isocenter.imaging.states import APPLIED, STATES, State, name_of
from isocenter.storage.records import InstanceRef

UIDS: Final = ("presentationSeriesUID", "presentationUID")
NOT_BESIDE: Final = ("windowCenter", "windowWidth", "frameNumber", "transferSyntax", "anonymize")
"""What may not be asked for together with a state (PS3.18 9.5.1.2.7)."""


def is_state(instance: InstanceRef) -> bool:
    """Whether an instance is a presentation state of which pictures are made."""
    return instance.sop_class_uid in APPLIED


async def state_of(request: Request, instance: InstanceRef) -> tuple[State, Shown]:
    """Read the state that is asked for, and find its images.

    Raises: NotRendered; NotFound, if none of the images is here; Unavailable.
    """
    renderings = _archive(request).renderings
    state = await renderings.state(instance)
    shown = await renderings.states.shown(state)
    if not shown.instances:
        raise NotFound("none of the images that the presentation state refers to is here")
    return state, shown


def warning(shown: Shown) -> dict[str, str]:
    """Tell that images are missing (PS3.18 8.4.2)."""
    if not shown.missing:
        return {}
    count = shown.missing + len(shown.instances)
    return {
        "warning": f'299 isocenter "{shown.missing} of {count} images that the presentation state '
        'refers to are missing here"'
    }


async def is_single(request: Request, state: State, shown: Shown) -> bool:
    """Whether there is but one picture to be made. Raises: NotRendered, Unavailable."""
    if len(shown.instances) > 1:
        return False
    subject = await _archive(request).renderings.subject(shown.instances[0])
    return len(referenced(subject, state)) < 2


async def pictures(
    request: Request, shown: Shown, look: Look, state: State
) -> AsyncGenerator[tuple[InstanceRef, int, bytes]]:
    """Give each frame to which a state refers, and which it is.

    Images that cannot be rendered are left out. Raises: NotRendered, if none can.
    """
    renderings = _archive(request).renderings
    last: NotRendered | None = None
    is_any = False
    for instance in shown.instances:
        try:
            frames = referenced(await renderings.subject(instance), state)
            async with aclosing(renderings.stills(instance, look, frames)) as made:
                at = iter(frames)
                async for picture in made:
                    is_any = True
                    yield instance, next(at), picture
        except NotRendered as error:
            last = error
    if not is_any:
        raise last or NotRendered("the frames that the presentation state refers to are not there")


def asked(request: Request) -> tuple[str, str] | None:
    """Read which state is named: its series and itself. Raises: HTTPException 400."""
    given = [request.query_params.getlist(name) for name in UIDS]
    if not any(given):
        return None
    if [len(each) for each in given] != [1, 1]:
        raise HTTPException(400, f"{' and '.join(UIDS)} stand together, once each")
    ((series,), (instance,)) = given
    if not (is_uid(series) and is_uid(instance)):
        raise HTTPException(400, f"{' and '.join(UIDS)} are UIDs")
    for name in NOT_BESIDE:
        if name in request.query_params:
            raise HTTPException(400, f"{name} does not go together with a presentation state")
    return series, instance


async def named(request: Request, image: InstanceRef, uids: tuple[str, str]) -> State:
    """Read the state that is named for ``image``. A stranger's is refused.

    Raises: HTTPException 400; NotRendered, Unavailable.
    """
    archive = _archive(request)
    series, uid = uids
    try:
        found = await archive.index.lookup(uid)
    except NotFound as error:
        raise HTTPException(400, "presentationUID: there is no such instance") from error
    if found.series_instance_uid != series or found.study_instance_uid != image.study_instance_uid:
        raise HTTPException(400, "presentationUID: there is no such instance in that series")
    if found.sop_class_uid not in STATES:
        raise HTTPException(400, f"presentationUID: {name_of(found.sop_class_uid)} is no state")
    state = await archive.renderings.state(found)
    try:
        state.reference(image.study_instance_uid, image.series_instance_uid, image.sop_instance_uid)
    except NotFound as error:
        raise HTTPException(400, f"presentationUID: {error}") from error
    return state


async def sources(request: Request, instance: InstanceRef) -> tuple[str, ...]:
    """Give what a picture of a state depends on, too: the images that are here."""
    renderings = _archive(request).renderings
    try:
        shown = await renderings.states.shown(await renderings.state(instance))
    except NotRendered:
        return ()
    return tuple(each.state for each in shown.instances)


def refuse_frames() -> Never:
    """Raises: HTTPException 400 (PS3.18 8.3.5.1.6)."""
    raise HTTPException(400, "a presentation state has no frames: ask for its rendering")


def _archive(request: Request) -> Archive:
    archive: Archive = request.app.state.archive
    return archive
