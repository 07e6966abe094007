"""``isocenter render``: a picture of what is in a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isocenter.errors import Malformed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isocenter.imaging.looks import Look
    from isocenter.imaging.luts import Window
    from isocenter.imaging.native import Buffer
    from isocenter.imaging.pictures import Viewport
    from isocenter.imaging.states import State

MEDIA_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".jp2": "image/jp2",
    ".mp4": "video/mp4",
    ".svg": "image/svg+xml",
    ".pdf": "application/pdf",
    ".html": "text/html",
}
"""By the ending of the file that is written."""

PresentationState = Annotated[
    Path | None,
    typer.Option(
        metavar="STATE",
        exists=True,
        dir_okay=False,
        help="A presentation state that refers to the image: it is shown as that asks.",
    ),
]


def render(
    source: Annotated[
        Path, typer.Argument(metavar="IN", exists=True, help="A DICOM file, or a folder.")
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
            help="The frame, from 1; without it, the middle one, or all in GIF, MP4, PDF and HTML.",
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
    presentation: PresentationState = None,
    annotation: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            help="Text to be shown: patient, technique or none; in SVG, PDF and HTML both.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over what is there.")] = False,
) -> None:
    """Make a picture, a film or a document of an image, as a server would render it.

    Of a folder, a contact sheet as PDF or HTML.
    """
    from isocenter.imaging.from_files import filmed
    from isocenter.imaging.looks import Look

    media_type = MEDIA_TYPES.get(target.suffix.lower())
    if media_type is None:
        raise typer.BadParameter(f"OUT ends in one of {', '.join(MEDIA_TYPES)}")
    look = Look(
        media_type=media_type,
        quality=quality,
        window=_window(window),
        viewport=_viewport(size),
        annotations=_annotations(annotation, media_type),
        state=_state(presentation, window, source),
    )
    is_film = media_type == "video/mp4"
    if is_film and frame is not None:
        raise typer.BadParameter("a film has all frames: --frame is for pictures")
    if is_film and source.is_dir():
        raise typer.BadParameter("of a folder a PDF or an HTML file is made: a contact sheet")
    made = None if is_film else _made(source, look, frame)
    with target.open("wb" if force else "xb") as out:
        try:
            if made is None:
                filmed(source, look, target)
            else:
                out.writelines(made)
        except BaseException:
            target.unlink()
            raise


def _made(source: Path, look: "Look", frame: int | None) -> "Iterator[Buffer]":
    from isocenter.imaging import documents
    from isocenter.imaging.from_files import rendered

    if source.is_dir():
        if look.media_type not in documents.OF_FOLDERS:
            raise typer.BadParameter("of a folder a PDF or an HTML file is made: a contact sheet")
        paths = sorted(path for path in source.rglob("*") if path.is_file())
        names = [str(path.relative_to(source)) for path in paths]
        return documents.contact_sheet(paths, names, look)
    if look.media_type in documents.MEDIA_TYPES:
        return documents.rendered(source, look, frame)
    return rendered(source, look, frame)


def _state(path: Path | None, window: str, source: Path) -> "State | None":
    from isocenter.imaging.from_files import state_of

    if path is None:
        return None
    if window:
        raise typer.BadParameter("a presentation state has windows of its own: leave --window out")
    if source.is_dir():
        raise typer.BadParameter("a presentation state is applied to one image: IN is its file")
    return state_of(path)


def _annotations(named: list[str] | None, media_type: str) -> frozenset[str]:
    from isocenter.imaging import documents
    from isocenter.imaging.annotations import KINDS

    if not named:
        return frozenset(KINDS if media_type in documents.MEDIA_TYPES else ())
    if unknown := set(named) - {*KINDS, "none"}:
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: patient, technique or none")
    return frozenset(named) - {"none"}


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
