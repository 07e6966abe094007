"""Whatever the registry claims comes true, and nothing else comes (PS3.18 8.5, annex H).

From the registry the reference page and the capabilities are drawn: so they say what was seen here.
"""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from claims import (
    Probe,
    Seen,
    World,
    broken,
    full,
    impatient,
    probes,
    resources,
    small,
    sow,
    world,
    written,
)
from isocenter.dicomweb.capabilities import service
from isocenter.dicomweb.resources import ANY_METHOD, Method, Resource


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive with something of everything, to be copied."""
    folder = tmp_path_factory.mktemp("seed") / "data"
    asyncio.run(sow(folder))
    return folder


CASES = [
    pytest.param(resource, name, id=f"{name} {resource.path}")
    for resource in resources()
    for name in resource.methods
]


def _may_share(resource: Resource, name: str, probe: Probe) -> bool:
    """Nothing that it does keeps others from being answered as they ought to be."""
    stores = name == "POST" and "Store" in resource.methods[name].transaction
    return (name == "GET" or stores) and probe.state in (None, full, broken, small, impatient)


def _wanted(resource: Resource, method: Method) -> Iterator[tuple[int, Probe]]:
    for status in sorted(method.statuses):
        for probe in probes(resource, method, status):
            yield status, probe


async def _answers(folder: Path, seed: Path, resource: Resource, name: str) -> set[Seen]:
    """Ask all there is to ask; what changes something gets an archive of its own."""
    seen = set()
    asked = [probe for _, probe in _wanted(resource, resource.methods[name])]
    async with world(folder / "shared", seed) as shared:
        for probe in asked:
            if _may_share(resource, name, probe):
                seen.add(await _answer(shared, resource, name, probe))
    for number, probe in enumerate(asked):
        if not _may_share(resource, name, probe):
            async with world(folder / str(number), seed) as own:
                seen.add(await _answer(own, resource, name, probe))
    return seen


async def _answer(of: World, resource: Resource, name: str, probe: Probe) -> Seen:
    with pytest.MonkeyPatch.context() as monkeypatch:
        if probe.state is not None:
            await probe.state(of, resource, monkeypatch)
        return await of.ask(resource, name, probe)


@pytest.mark.parametrize(("resource", "name"), CASES)
async def test_every_status_and_media_type_that_is_claimed_is_seen(
    resource: Resource, name: str, tmp_path: Path, seed: Path
) -> None:
    method = resource.methods[name]

    seen = await _answers(tmp_path, seed, resource, name)

    statuses = {each.status for each in seen}
    assert set(method.statuses) <= statuses, "claimed but not seen"
    assert statuses <= {*method.statuses, *ANY_METHOD}, "seen but not claimed"
    good = [each for each in seen if each.status < 300]
    gives, takes = (
        ({written(each) for each in listed} if good else set())
        for listed in (method.gives, method.takes)
    )
    assert {each.media_type for each in good} - {""} == gives
    assert {each.taken for each in good} - {""} == takes


async def test_every_resource_has_options_and_refuses_other_methods(
    tmp_path: Path, seed: Path
) -> None:
    async with world(tmp_path / "world", seed) as own:
        for resource in resources():
            told = await own.ask(resource, "OPTIONS", Probe())
            refused = await own.ask(resource, "PATCH", Probe())

            assert (told.status, told.media_type) == (200, "application/vnd.sun.wadl+xml")
            assert refused.status == 405


async def test_the_service_tells_what_it_can(tmp_path: Path, seed: Path) -> None:
    root = service()
    async with world(tmp_path / "world", seed) as own:
        seen = [
            await own.ask(root, name, Probe(headers=headers))
            for name in root.methods
            for headers in (
                {"accept": "application/json"},
                {"accept": "application/vnd.sun.wadl+xml"},
                {"accept": "image/png"},
                {"if-none-match": "*"},
            )
        ]

    for method in root.methods.values():
        assert {each.status for each in seen} == set(method.statuses)
        assert {each.media_type for each in seen if each.status == 200} == set(method.gives)


async def test_head_answers_as_get_does(tmp_path: Path, seed: Path) -> None:
    async with world(tmp_path / "world", seed) as own:
        for resource in resources():
            if "GET" in resource.methods:
                head = await own.ask(resource, "HEAD", Probe())
                get = await own.ask(resource, "GET", Probe())

                assert (head.status, head.media_type) == (get.status, get.media_type)


def test_every_resource_of_the_standard_is_served() -> None:
    listed = (Path(__file__).parents[2] / "data" / "web_resources.txt").read_text().splitlines()
    standard = {line for line in listed if line and not line.startswith("#")}
    served = {
        f"{name} {re.sub('{[^}]*}', '{}', resource.path)}"
        for resource in resources()
        for name in resource.methods
    }

    assert standard - served == set()
