"""Pictures of whole slides, put together from tiles; wsidicom says what is in them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from wsidicom import WsiDicom

from isocenter.archive.archive import Archive
from isocenter.archive.not_rendered import NotRendered, TooLarge
from isocenter.archive.rendering import Renderings
from isocenter.archive.slides import MOST_TILES
from isocenter.config import ArchiveConfig
from isocenter.errors import Malformed
from isocenter.imaging.looks import Look
from isocenter.imaging.pictures import Viewport
from isocenter.imaging.workers import Workers
from isocenter.storage.records import InstanceRef, Selection
from made_instances import Kept
from made_pictures import seen
from made_slides import (
    Bytes,
    as_file,
    concatenated,
    halved,
    level,
    picture,
    sparse_level,
    tiles_of,
)

PNG = "image/png"
WHOLE = picture()
CUTS = [(0, 0, 200, 150), (33, 17, 100, 90), (190, 140, 10, 10), (31, 31, 2, 2), (5, 64, 180, 32)]


@pytest.fixture
async def archive(tmp_path: Path, workers: Workers) -> AsyncIterator[Archive]:
    archive = await Archive.open(tmp_path / "data", ArchiveConfig(file_threads=2))
    archive.renderings = Renderings(archive.index, archive.opened, workers)
    yield archive
    await archive.close()


async def stored(archive: Archive, *made: Dataset) -> dict[str, InstanceRef]:
    kept = Kept(archive)
    for each in made:
        await kept.store(each)
    return {each.sop_instance_uid: each for each in await kept.refs()}


def look(width: int = 0, height: int = 0, *region: float) -> Look:
    left, top, columns, rows = region or (0, 0, 0, 0)
    viewport = Viewport(
        width=width,
        height=height,
        left=left,
        top=top,
        source_width=columns,
        source_height=rows,
    )
    return Look(media_type=PNG, viewport=viewport)


async def shown(archive: Archive, instance: InstanceRef, wanted: Look) -> Any:
    return seen(await archive.renderings.still(instance, wanted))


@pytest.mark.parametrize("region", CUTS)
async def test_a_region_is_what_wsidicom_reads(
    archive: Archive, tmp_path: Path, region: tuple[int, int, int, int]
) -> None:
    made = level("1.2.5.1", WHOLE)
    found = await stored(archive, made)
    file = tmp_path / "slide.dcm"
    file.write_bytes(as_file(made))

    ours = await shown(archive, found["1.2.5.1"], look(region[2], region[3], *region))

    with WsiDicom.open(file) as slide:
        theirs = slide.read_region(region[:2], 0, region[2:])
    assert np.array_equal(ours, np.asarray(theirs))


async def test_a_slide_without_viewport_is_shown_whole(archive: Archive) -> None:
    found = await stored(archive, level("1.2.5.1", WHOLE))

    ours = await shown(archive, found["1.2.5.1"], Look(media_type=PNG))

    assert np.array_equal(ours, WHOLE)


@pytest.mark.parametrize(
    ("viewport", "tile_count"),
    [
        (look(100, 75), 12),  # 4 x 3 tiles of the half
        (look(101, 76), 35),  # a little more than that has: 7 x 5 tiles of the finest
        (look(40, 40), 4),  # 2 x 2 of the quarter
        (look(20, 20, 0, 0, 40, 40), 1),  # half the resolution, a corner
    ],
)
async def test_the_smallest_level_that_suffices_is_read_and_no_more_of_it(
    archive: Archive, viewport: Look, tile_count: int
) -> None:
    half, quarter = halved(WHOLE), halved(WHOLE, 4)
    found = await stored(
        archive, level("1.2.5.1", WHOLE), level("1.2.5.2", half), level("1.2.5.3", quarter)
    )

    await shown(archive, found["1.2.5.1"], viewport)

    assert archive.renderings.slides.tiles == tile_count


async def test_levels_of_other_sizes_show_the_same_place(archive: Archive) -> None:
    found = await stored(archive, level("1.2.5.1", WHOLE), level("1.2.5.2", halved(WHOLE)))

    ours = await shown(archive, found["1.2.5.1"], look(50, 40, 100, 20, 100, 80))

    expected = halved(WHOLE)[10:50, 50:100]
    assert np.array_equal(ours, expected)


@pytest.mark.parametrize(
    "attributes",
    [
        {"FrameOfReferenceUID": "1.2.99"},
        {"ContainerIdentifier": "another"},
        {"ImageType": ["ORIGINAL", "PRIMARY", "OVERVIEW", "NONE"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "LABEL", "NONE"]},
    ],
)
async def test_what_does_not_show_the_same_is_no_level(
    archive: Archive, attributes: dict[str, Any]
) -> None:
    other = level("1.2.5.2", np.zeros_like(halved(WHOLE)), **attributes)
    found = await stored(archive, level("1.2.5.1", WHOLE), other)

    ours = await shown(archive, found["1.2.5.1"], look(100, 75))

    assert np.abs(ours.astype(int) - halved(WHOLE)).max() <= 1


async def test_blocks_fit_together_without_a_seam(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await stored(archive, level("1.2.5.1", WHOLE))
    at_once = await shown(archive, found["1.2.5.1"], look(93, 70))
    larger_at_once = await shown(archive, found["1.2.5.1"], look(333, 250))

    monkeypatch.setattr("isocenter.imaging.pyramids.BLOCK_SIDE", 40)
    in_blocks = await shown(archive, found["1.2.5.1"], look(93, 70))
    larger_in_blocks = await shown(archive, found["1.2.5.1"], look(333, 250))

    assert np.abs(in_blocks.astype(int) - at_once).max() <= 1
    assert np.abs(larger_in_blocks.astype(int) - larger_at_once).max() <= 1


async def test_gaps_are_white(archive: Archive) -> None:
    kept = [0, 3, 8, 9, 10, 34]
    found = await stored(archive, sparse_level("1.2.5.1", WHOLE, kept))

    ours = await shown(archive, found["1.2.5.1"], Look(media_type=PNG))

    assert np.array_equal(ours, _with_gaps(kept, (255, 255, 255)))


async def test_gaps_have_the_colour_that_is_recommended(archive: Archive) -> None:
    # CIELab 53.2, 80.1, 67.2 is pure red under D65; by D50, as here: 54.29, 80.81, 69.89.
    red = [
        round(54.29 / 100 * 65535),
        *(round((each + 128) / 255 * 65535) for each in (80.81, 69.89)),
    ]
    made = sparse_level("1.2.5.1", WHOLE, [0], RecommendedAbsentPixelCIELabValue=red)
    found = await stored(archive, made)

    ours = await shown(archive, found["1.2.5.1"], Look(media_type=PNG))

    assert np.abs(ours[100, 100].astype(int) - (255, 0, 0)).max() <= 3


async def test_tiles_that_say_where_they_lie_may_come_in_any_order(archive: Archive) -> None:
    order = list(reversed(range(35)))
    found = await stored(archive, sparse_level("1.2.5.1", WHOLE, order))

    ours = await shown(archive, found["1.2.5.1"], Look(media_type=PNG))

    assert np.array_equal(ours, WHOLE)


async def test_the_middle_focal_plane_is_shown(archive: Archive) -> None:
    planes = [255 - WHOLE, WHOLE, WHOLE // 2]
    made = level("1.2.5.1", planes, TotalPixelMatrixFocalPlanes=3)  # type: ignore[arg-type]
    scattered = sparse_level("1.2.5.2", WHOLE, list(range(35)), depths=(-0.5, 0.0, 0.5))
    found = await stored(archive, made, scattered)

    for each in found.values():
        assert np.array_equal(await shown(archive, each, Look(media_type=PNG)), WHOLE)


async def test_the_first_optical_path_is_shown(archive: Archive) -> None:
    made = level("1.2.5.1", [WHOLE, 255 - WHOLE], NumberOfOpticalPaths=2)  # type: ignore[arg-type]
    found = await stored(archive, made)

    ours = await shown(archive, found["1.2.5.1"], Look(media_type=PNG))

    assert np.array_equal(ours, WHOLE)


@pytest.mark.parametrize("asked", ["1.2.5.1.1", "1.2.5.1.2"])
async def test_a_concatenation_is_one_level(archive: Archive, asked: str) -> None:
    found = await stored(archive, *concatenated(level("1.2.5.1", WHOLE), 20))

    ours = await shown(archive, found[asked], Look(media_type=PNG))

    assert np.array_equal(ours, WHOLE)


async def test_a_part_that_is_not_there_is_a_gap(archive: Archive) -> None:
    first, _ = concatenated(level("1.2.5.1", WHOLE), 20)
    found = await stored(archive, first)

    ours = await shown(archive, found["1.2.5.1.1"], Look(media_type=PNG))

    assert np.array_equal(ours, _with_gaps(list(range(20)), (255, 255, 255)))


async def test_all_tiles_of_greys_have_the_same_window(archive: Archive) -> None:
    down, across = np.mgrid[0:150, 0:200]
    greys = (across * 20 + down).astype(np.uint16)
    found = await stored(archive, level("1.2.5.1", greys))  # type: ignore[arg-type]

    ours = await shown(archive, found["1.2.5.1"], Look(media_type=PNG))

    assert ours.ndim == 2
    assert np.all(np.diff(ours.astype(int), axis=1) >= 0)
    assert int(ours.max()) - int(ours.min()) > 200


async def test_a_flipped_region_is_flipped(archive: Archive) -> None:
    found = await stored(archive, level("1.2.5.1", WHOLE))

    ours = await shown(archive, found["1.2.5.1"], look(60, 50, 20, 30, -60, -50))

    assert np.array_equal(ours, WHOLE[30:80, 20:80][::-1, ::-1])


async def test_a_thumbnail_of_a_hundred_thousand_tiles_reads_few(archive: Archive) -> None:
    # 320 x 320 tiles of 8 x 8 pixels, of which there is one level 32 times smaller.
    huge = np.zeros((2560, 2560, 3), np.uint8)
    small = picture(80, 80)
    found = await stored(archive, level("1.2.5.1", huge, 8), level("1.2.5.2", small, 40))

    made = seen(await archive.renderings.thumbnail(found["1.2.5.1"], look(60, 60)))

    assert made.shape == (60, 60, 3)
    assert int(made.max()) > 200
    assert archive.renderings.slides.tiles == 4


async def test_without_a_small_level_a_thumbnail_is_one_tile(archive: Archive) -> None:
    huge = np.zeros((2560, 2560, 3), np.uint8)
    assert MOST_TILES < (2560 // 8) ** 2
    found = await stored(archive, level("1.2.5.1", huge, 8))

    made = seen(await archive.renderings.thumbnail(found["1.2.5.1"], look(60, 60)))

    assert made.shape == (60, 60, 3)
    assert archive.renderings.slides.tiles == 0
    with pytest.raises(TooLarge, match="smaller region"):
        await archive.renderings.still(found["1.2.5.1"], look(60, 60))


async def test_more_pixels_than_can_be_given_are_refused_before_anything_is_read(
    archive: Archive,
) -> None:
    made = level("1.2.5.1", WHOLE, TotalPixelMatrixColumns=100_000, TotalPixelMatrixRows=100_000)
    found = await stored(archive, made)

    with pytest.raises(TooLarge, match="100000 by 100000"):
        await archive.renderings.still(found["1.2.5.1"], Look(media_type=PNG))

    assert archive.renderings.slides.tiles == 0


async def test_a_region_outside_is_the_clients_mistake(archive: Archive) -> None:
    found = await stored(archive, level("1.2.5.1", WHOLE))

    with pytest.raises(Malformed):
        await archive.renderings.still(found["1.2.5.1"], look(10, 10, 200, 0, 10, 10))


async def test_a_label_is_not_on_a_thumbnail_and_stands_for_nothing(archive: Archive) -> None:
    label = level(
        "1.2.5.1",
        np.full((64, 64, 3), (255, 0, 0), np.uint8),
        ImageType=["ORIGINAL", "PRIMARY", "LABEL", "NONE"],
        SpecimenLabelInImage="YES",
    )
    found = await stored(archive, label, level("1.2.5.2", WHOLE), level("1.2.5.3", halved(WHOLE)))

    card = seen(await archive.renderings.thumbnail(found["1.2.5.1"], look(64, 64)))
    chosen = await archive.renderings.representative(Selection(studies=("1.2",)))

    assert not (card == (255, 0, 0)).all(axis=2).any()
    assert chosen is not None
    assert chosen.sop_instance_uid == "1.2.5.2"


async def test_a_slide_whose_tiles_do_not_say_where_they_lie_is_not_guessed_at(
    archive: Archive,
) -> None:
    made = sparse_level("1.2.5.1", WHOLE, [0, 1])
    place = made.PerFrameFunctionalGroupsSequence[1].PlanePositionSlideSequence[0]
    del place.ColumnPositionInTotalImagePixelMatrix
    found = await stored(archive, made)

    with pytest.raises(NotRendered, match="where it lies"):
        await archive.renderings.still(found["1.2.5.1"], Look(media_type=PNG))


def _with_gaps(kept: list[int], absent: tuple[int, int, int]) -> Bytes:
    expected = np.full_like(WHOLE, absent)
    for number in kept:
        left, top, cell = tiles_of(WHOLE, 32)[number]
        room = expected[top : top + 32, left : left + 32]
        room[:] = cell[: room.shape[0], : room.shape[1]]
    return expected
