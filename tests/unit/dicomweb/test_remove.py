"""DELETE: what it takes away, what it leaves, and who may."""

from __future__ import annotations

import httpx
import pytest
from pydicom.uid import ColorPaletteStorage

from isocenter.archive.archive import Archive
from isocenter.config import Config, DicomwebConfig
from isocenter.dicomweb import routing
from made_instances import Kept, image

INSTANCE = "/studies/1.2/series/1.2.3/instances/1.2.3.4"


@pytest.fixture
async def two_series(kept: Kept) -> None:
    await kept.store_all(["1.2.3.4", "1.2.3.5"])
    await kept.store_all(["1.2.4.6"], SeriesInstanceUID="1.2.4")


@pytest.mark.usefixtures("two_series")
@pytest.mark.parametrize(
    ("path", "left"),
    [
        (INSTANCE, ["1.2.3.5", "1.2.4.6"]),
        ("/studies/1.2/series/1.2.3", ["1.2.4.6"]),
        ("/studies/1.2", []),
    ],
)
async def test_what_is_named_goes_and_the_rest_stays(
    web: httpx.AsyncClient, kept: Kept, archive: Archive, path: str, left: list[str]
) -> None:
    answer = await web.delete(path)

    assert answer.status_code == 204
    assert answer.content == b""
    assert [each.sop_instance_uid for each in await kept.refs()] == left
    removal = (await archive.removals.page(1))[0]
    assert removal.who.startswith("DICOMweb")
    await archive.removals.purge(removal.number)
    assert len(list(archive.store.all_keys())) == len(left)
    assert (await web.get(path)).status_code == 404
    assert (await web.delete(path)).status_code == 404


@pytest.mark.usefixtures("two_series")
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/studies/9.9", 404),
        ("/studies/9.9/series/1.2.3", 404),
        ("/studies/1.2/series/1.2.4/instances/1.2.3.4", 404),
        ("/studies/x", 400),
        ("/studies/1.2/series/*", 400),
        ("/studies", 405),
    ],
)
async def test_what_is_not_there_takes_nothing_away(
    web: httpx.AsyncClient, kept: Kept, path: str, status: int
) -> None:
    answer = await web.delete(path)

    assert answer.status_code == status
    assert len(await kept.refs()) == 3


async def test_a_study_of_two_patients_is_not_removed_by_its_uid(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    await kept.store(image("1.2.3.4", PatientID="P1"))
    await kept.store(image("1.2.3.5", PatientID="P2", SeriesInstanceUID="1.2.9"))

    answer = await web.delete("/studies/1.2")

    assert answer.status_code == 409
    assert len(await kept.refs()) == 2
    assert (await web.delete("/studies/1.2/series/1.2.9")).status_code == 204
    assert [each.sop_instance_uid for each in await kept.refs()] == ["1.2.3.4"]


async def test_a_series_of_two_patients_is_removed_by_its_instances(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    await kept.store(image("1.2.3.4", PatientID="P1"))
    await kept.store(image("1.2.3.5", PatientID="P2"))
    (series,) = {each.series_instance_uid for each in await kept.refs()}

    assert (await web.delete(f"/studies/1.2/series/{series}")).status_code == 409
    answer = await web.delete(f"/studies/1.2/series/{series}/instances/1.2.3.5")

    assert answer.status_code == 204
    assert [each.sop_instance_uid for each in await kept.refs()] == ["1.2.3.4"]


async def test_an_instance_of_no_patient_is_removed_in_its_category(
    web: httpx.AsyncClient, kept: Kept, archive: Archive
) -> None:
    nobody = dict.fromkeys(("StudyInstanceUID", "SeriesInstanceUID", "PatientID", "PatientName"))
    await kept.store(image("1.5.1", SOPClassUID=ColorPaletteStorage, **nobody))

    elsewhere = await web.delete("/hanging-protocols/1.5.1")
    there = await web.delete("/color-palettes/1.5.1")

    assert (elsewhere.status_code, there.status_code) == (404, 204)
    (removal,) = await archive.removals.page(2)
    assert (await archive.removals.restore(removal.number)).instances == 1
    assert (await web.delete("/color-palettes/1.5.1")).status_code == 204
    await archive.removals.purge((await archive.removals.page(1))[0].number)
    assert list(archive.store.all_keys()) == []


@pytest.mark.usefixtures("two_series")
@pytest.mark.parametrize(
    ("host", "policy", "status"),
    [
        ("127.0.0.1", "local", 204),
        ("0.0.0.0", "local", 403),
        ("0.0.0.0", "always", 204),
        ("127.0.0.1", "never", 403),
    ],
)
async def test_the_settings_say_whether_it_is_allowed(
    archive: Archive, kept: Kept, host: str, policy: str, status: int
) -> None:
    config = Config(host=host, dicomweb=DicomwebConfig(removal=policy))  # type: ignore[arg-type]
    transport = httpx.ASGITransport(routing.application(archive, config))
    async with httpx.AsyncClient(transport=transport, base_url="http://archive") as client:
        answer = await client.delete("/studies/1.2")

    assert answer.status_code == status
    assert bool(await kept.refs()) == (status == 403)
