"""What the query says of how a picture is to look (PS3.18 8.3.5 and 9.5.1.2)."""

import re
from collections.abc import Callable
from dataclasses import replace
from math import isfinite
from typing import Final, TypeVar

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException

from isocenter.dicomweb.resources import Parameter
from isocenter.errors import Malformed
from isocenter.imaging.annotations import KINDS
from isocenter.imaging.finishing import NO_PROFILE, OWN_PROFILE
from isocenter.imaging.looks import UNSAID_PROFILE, Look
from isocenter.imaging.luts import Function, Window
from isocenter.imaging.pictures import WITHOUT_PROFILE, Viewport
from isocenter.imaging.profiles import NAMES

T = TypeVar("T")

FUNCTIONS: Final = {
    "linear": Function.LINEAR,
    "linear-exact": Function.LINEAR_EXACT,
    "sigmoid": Function.SIGMOID,
}
PROFILES: Final = (NO_PROFILE, OWN_PROFILE, *NAMES)

OF_RENDERED: Final = (
    Parameter(name="accept", source="PS3.18 8.3.3.1"),
    Parameter(name="annotation", source="PS3.18 8.3.5.1.1", options=KINDS),
    Parameter(name="quality", source="PS3.18 8.3.5.1.2"),
    Parameter(name="viewport", source="PS3.18 8.3.5.1.3"),
    Parameter(name="window", source="PS3.18 8.3.5.1.4"),
    Parameter(name="iccprofile", source="PS3.18 8.3.5.1.5", options=PROFILES),
)
OF_THUMBNAIL: Final = (OF_RENDERED[0], Parameter(name="viewport", source="PS3.18 8.3.5.2"))

LARGEST: Final = 2**31 - 1

_DECIMAL: Final = re.compile(
    r"[+-]?(?:[0-9]{1,15}(?:\.[0-9]{0,15})?|\.[0-9]{1,15})(?:[eE][+-]?[0-9]{1,2})?"
)
_COUNT: Final = re.compile(r"[0-9]{1,10}")


def of_rendered(query: QueryParams, media_type: str) -> Look:
    """Read the parameters of a rendered resource. Raises: HTTPException 400."""
    base = Look()
    return Look(
        media_type=media_type,
        quality=_read(query, "quality", _quality) or base.quality,
        viewport=_read(query, "viewport", _viewport),
        window=_read(query, "window", _window),
        annotations=_read(query, "annotation", _annotations) or frozenset(),
        profile=_profile(query, media_type),
    )


def of_presentation_state(query: QueryParams, media_type: str) -> Look:
    """Read those of a presentation state's rendering. Raises: HTTPException 400."""
    if "window" in query:
        raise HTTPException(400, "window is for images: a presentation state has its own")
    viewport = _read(query, "viewport", _size)
    return replace(of_rendered(query, media_type), viewport=viewport)


def of_thumbnail(query: QueryParams, media_type: str) -> Look:
    """Read those of a thumbnail. Raises: HTTPException 400."""
    return Look(media_type=media_type, viewport=_read(query, "viewport", _size))


def of_uri_service(query: QueryParams, media_type: str) -> Look:
    """Read those of the URI service. Raises: HTTPException 400."""
    base = Look()
    annotations = _read(query, "imageAnnotation", _annotations)
    return Look(
        media_type=media_type,
        quality=_read(query, "imageQuality", _quality) or base.quality,
        viewport=_viewport_of_uri_service(query),
        window=_window_of_uri_service(query),
        annotations=annotations or _read(query, "annotation", _annotations) or frozenset(),
    )


def frame_of_uri_service(query: QueryParams) -> int | None:
    """Read which frame is wanted; None, if that is not said. Raises: HTTPException 400."""
    return _read(query, "frameNumber", _positive)


def _read(query: QueryParams, name: str, read: Callable[[str], T]) -> T | None:
    """Read a parameter that may stand once; None, if it does not. Raises: HTTPException 400."""
    given = query.getlist(name)
    if not given:
        return None
    if len(given) > 1:
        raise HTTPException(400, f"{name} stands in the query more than once")
    try:
        return read(given[0])
    except (ValueError, Malformed) as error:
        raise HTTPException(400, f"{name}: {error}") from error


def _annotations(text: str) -> frozenset[str]:
    found = frozenset(text.split(","))
    if not found <= set(KINDS):
        raise ValueError(f"annotations are {' and '.join(KINDS)}")
    return found


def _quality(text: str) -> int:
    if not _COUNT.fullmatch(text) or not 1 <= int(text) <= 100:
        raise ValueError("the quality is a number from 1 to 100")
    return int(text)


def _size(text: str) -> Viewport:
    parts = text.split(",")
    if len(parts) != 2:
        raise ValueError("the viewport of this resource is a width and a height")
    return Viewport(width=_positive(parts[0]), height=_positive(parts[1]))


def _viewport(text: str) -> Viewport:
    parts = text.split(",")
    if len(parts) not in (2, 3, 4, 5, 6):
        raise ValueError("a viewport is vw,vh or vw,vh,sx,sy,sw,sh")
    left, top, width, height = (
        _decimal(each) if each else None for each in (*parts[2:], "", "", "", "")[:4]
    )
    if width == 0 or height == 0:
        raise ValueError("the region of the viewport has no size")
    return Viewport(
        width=_positive(parts[0]),
        height=_positive(parts[1]),
        left=abs(left or 0),
        top=abs(top or 0),
        source_width=width or 0,
        source_height=height or 0,
    )


def _window(text: str) -> Window:
    parts = text.split(",")
    if len(parts) != 3 or parts[2] not in FUNCTIONS:
        raise ValueError(f"a window is center,width,function; functions: {', '.join(FUNCTIONS)}")
    return Window(_decimal(parts[0]), _decimal(parts[1]), FUNCTIONS[parts[2]])


def _profile(query: QueryParams, media_type: str) -> str:
    def read(text: str) -> str:
        if text not in PROFILES:
            raise ValueError(f"is one of {', '.join(PROFILES)}")
        if text != NO_PROFILE and media_type in WITHOUT_PROFILE:
            raise ValueError(f"{media_type} has no place for a profile")
        return text

    return _read(query, "iccprofile", read) or UNSAID_PROFILE


def _window_of_uri_service(query: QueryParams) -> Window | None:
    center = _read(query, "windowCenter", _decimal)
    width = _read(query, "windowWidth", _decimal)
    if (center is None) != (width is None):
        raise HTTPException(400, "windowCenter and windowWidth stand together or not at all")
    if center is None or width is None:
        return None
    try:
        return Window(center, width)
    except Malformed as error:
        raise HTTPException(400, f"windowWidth: {error}") from error


def _viewport_of_uri_service(query: QueryParams) -> Viewport | None:
    rows = _read(query, "rows", _positive)
    columns = _read(query, "columns", _positive)
    region = _read(query, "region", _region)
    if rows is None and columns is None and region is None:
        return None
    left, top, right, bottom = region or (0.0, 0.0, 1.0, 1.0)
    return Viewport(
        width=columns or 0,
        height=rows or 0,
        left=left,
        top=top,
        source_width=right - left,
        source_height=bottom - top,
        is_normalized=True,
    )


def _region(text: str) -> tuple[float, float, float, float]:
    parts = [_decimal(each) for each in text.split(",")]
    if len(parts) == 4:
        left, top, right, bottom = parts
        if 0 <= left < right <= 1 and 0 <= top < bottom <= 1:
            return left, top, right, bottom
    raise ValueError("a region is xmin,ymin,xmax,ymax, from 0.0 to 1.0")


def _decimal(text: str) -> float:
    if not _DECIMAL.fullmatch(text) or not isfinite(found := float(text)):
        raise ValueError(f"{text[:32]!r} is no decimal number")
    return found


def _positive(text: str) -> int:
    if not _COUNT.fullmatch(text) or not 1 <= int(text) <= LARGEST:
        raise ValueError(f"{text[:32]!r} is no number from 1 to {LARGEST}")
    return int(text)
