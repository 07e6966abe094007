"""Frames as pages of documents: pictures with what is told of them, their size and their time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from isocenter.imaging import annotations
from isocenter.imaging.attributes import nearest, numbers
from isocenter.imaging.from_files import opened_image
from isocenter.imaging.image import PIXEL_MEASURES
from isocenter.imaging.looks import Look, Subject, referenced, stands_for

MOST: Final = 500
"""Pages of a document: of more frames, as many are taken, evenly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One frame."""

    picture: bytes
    """A file, as the look that was asked for has it."""
    left: tuple[str, ...] = ()
    right: tuple[str, ...] = ()
    size: tuple[float, float] | None = None
    """Width and height in mm, where they are known."""
    delay: float = 0
    """Seconds for which it is shown."""
    frame: int = 1
    count: int = 1
    """Frames of the image."""


def pages(path: Path, look: Look, frame: int | None = None) -> Iterator[Page]:
    """Give the frames of a file, or one of them. Text is given beside them, not written on them.

    Raises: Malformed, NotFound, Unsupported; OSError.
    """
    plain = replace(look, annotations=frozenset())
    with opened_image(path) as image:
        subject = image.subject
        for number in _chosen(subject, look) if frame is None else (frame,):
            yield Page(
                picture=bytes(image.drawn(number, plain)),
                left=_told(subject, look, annotations.PATIENT, number),
                right=_told(subject, look, annotations.TECHNIQUE, number),
                size=_size(subject, number) if look.state is None else None,
                delay=subject.delay(number),
                frame=number,
                count=subject.count,
            )


def representative(path: Path, look: Look) -> Page:
    """Give the frame that stands for all. Raises: as ``pages``."""
    with opened_image(path) as image:
        number = stands_for(image.subject, look)
    return next(iter(pages(path, look, number)))


def _told(subject: Subject, look: Look, kind: str, frame: int) -> tuple[str, ...]:
    if kind not in look.annotations:
        return ()
    dataset = subject.image.dataset
    if kind == annotations.PATIENT:
        return annotations.of_patient(dataset)
    return annotations.of_technique(dataset, frame, subject.count)


def _chosen(subject: Subject, look: Look) -> Sequence[int]:
    every = range(1, subject.count + 1)
    shown = every if look.state is None else referenced(subject, look.state)
    if len(shown) <= MOST:
        return shown
    return [shown[number * (len(shown) - 1) // (MOST - 1)] for number in range(MOST)]


def _size(subject: Subject, frame: int) -> tuple[float, float] | None:
    """Width and height of a frame in mm, in the patient or at the detector (PS3.3 10.7)."""
    dataset = subject.image.dataset
    measures = nearest(dataset, PIXEL_MEASURES, frame, "00280030")
    for place, tag in ((measures, "00280030"), (dataset, "00181164")):
        spacing = numbers(place, tag)
        if len(spacing) == 2 and min(spacing) > 0:
            form = subject.image.form
            return form.columns * spacing[1], form.rows * spacing[0]
    return None
