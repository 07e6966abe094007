"""``isocenter render``: a picture of what is in a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isocenter.errors import Malformed

if TYPE_CHECKING:
    from isocenter.imaging.luts import Window
    from isocenter.imaging.pictures import Viewport

MEDIA_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".jp2": "image/jp2",
    ".mp4": "video/mp4",
}
"""By the ending of the file that is written."""


def render(
    source: Annotated[
        Path, typer.Argument(metavar="IN", exists=True, dir_okay=False, help="A DICOM file.")
    ],
    target: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", help=f"The picture to write; its name ends in {', '.join(MEDIA_TYPES)}."
        ),
    ],
    frame: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="The frame, from 1; without it, the middle one, or all of them in a GIF or MP4.",
        ),
    ] = None,
    window: Annotated[
        str,
        typer.Option(
            metavar="CENTER,WIDTH",
            help="The window, perhaps with a function behind: linear, linear-exact, sigmoid.",
        ),
    ] = "",
    size: Annotated[
        str, typer.Option(metavar="WIDTHxHEIGHT", help="Pixels that the picture is to fit in.")
    ] = "",
    quality: Annotated[
        int, typer.Option(metavar="N", min=1, max=100, help="Of JPEG, WebP, JPEG 2000 and MP4.")
    ] = 90,
    force: Annotated[bool, typer.Option("--force", help="Write over what is there.")] = False,
) -> None:
    """Make a picture of an image, or a film, as a server would render it."""
    from isocenter.imaging.from_files import filmed, rendered
    from isocenter.imaging.looks import Look

    media_type = MEDIA_TYPES.get(target.suffix.lower())
    if media_type is None:
        raise typer.BadParameter(f"OUT ends in one of {', '.join(MEDIA_TYPES)}")
    look = Look(
        media_type=media_type, quality=quality, window=_window(window), viewport=_viewport(size)
    )
    is_film = media_type == "video/mp4"
    if is_film and frame is not None:
        raise typer.BadParameter("a film has all frames: --frame is for pictures")
    with target.open("wb" if force else "xb") as out:
        try:
            if is_film:
                filmed(source, look, target)
            else:
                out.writelines(rendered(source, look, frame))
        except BaseException:
            target.unlink()
            raise


def _window(text: str) -> "Window | None":
    from isocenter.imaging.luts import Function, Window

    if not text:
        return None
    center, _, rest = text.partition(",")
    width, _, function = rest.partition(",")
    named = function.upper().replace("-", "_") or "LINEAR"
    try:
        return Window(float(center), float(width), Function(named))
    except (ValueError, Malformed) as error:
        raise typer.BadParameter(f"{text!r} is no window such as 40,400") from error


def _viewport(text: str) -> "Viewport | None":
    from isocenter.imaging.pictures import Viewport

    if not text:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise typer.BadParameter(f"{text!r} is no size such as 512x512")
    return Viewport(width=int(width), height=int(height))
