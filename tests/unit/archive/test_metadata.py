"""Texts of instances, ready-made by series: always of a state that is or was just now."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from isocenter.archive import metadata as module
from isocenter.archive.archive import Archive
from isocenter.archive.gathered import Gathered
from isocenter.archive.metadata import Vanished, Writer
from isocenter.config import ArchiveConfig
from isocenter.dicom.syntax import TransferSyntax
from isocenter.dicom.transcription import Transcriber
from isocenter.dicom.windowed import Reader
from isocenter.errors import NotFound, Unavailable
from isocenter.storage.records import InstanceRef, OnConflict, Selection
from made_instances import Kept, encoded, image

STUDY = Selection(studies=("1.2",))


@dataclass
class Form:
    """JSON texts; tells which were written."""

    name: str = "form"
    written: list[str] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    """Writing waits for it."""

    def __post_init__(self) -> None:
        self.gate.set()

    def writer(self) -> Writer:
        transcriber = Transcriber()

        def write(instance: InstanceRef, data_set: Reader, syntax: TransferSyntax) -> bytes:
            assert self.gate.wait(10)
            self.written.append(instance.sop_instance_uid)
            return transcriber.text(data_set, syntax, lambda _: "somewhere")

        return write


@pytest.fixture
def form() -> Form:
    return Form()


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isocenter.archive.readymade.USUAL", 4)
    monkeypatch.setattr("isocenter.archive.readymade.MOST", 8)


async def whole(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


async def read(gathered: Gathered) -> list[dict[str, Any]]:
    """All texts: the same as text, as gzip, and as the sizes say."""
    text, packed = await whole(gathered.text()), await whole(gathered.gzip())
    assert gzip.decompress(packed) == text
    assert gathered.sizes in (None, (len(text), len(packed)))
    assert [json.loads(line) async for line in gathered.each(bytes)] == json.loads(text)
    await gathered.close()
    found: list[dict[str, Any]] = json.loads(text)
    return found


async def ask(archive: Archive, form: Form, selection: Selection = STUDY) -> list[dict[str, Any]]:
    look = await archive.metadata.look(selection, form)
    assert look is not None
    return await read(await archive.metadata.gather(look))


def uids(found: list[dict[str, Any]]) -> list[str]:
    return [each["00080018"]["Value"][0] for each in found]


async def rest(archive: Archive) -> None:
    """Wait until what is made is kept."""
    await asyncio.gather(*archive.metadata._tasks)


def age(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let series be at rest at once."""
    monkeypatch.setattr(module, "AT_REST", -1.0)


def copies(archive_folder: Path) -> list[Path]:
    return [path for path in (archive_folder / "data" / "copies").rglob("*") if path.is_file()]


async def test_there_is_a_text_for_each_instance_in_order(
    archive: Archive, kept: Kept, form: Form
) -> None:
    for series in ("9.2", "9.1"):
        for number in (3, 1, 2):
            await kept.store(
                image(
                    f"{series}.{number}",
                    SeriesInstanceUID=series,
                    SeriesNumber=series[-1],
                    InstanceNumber=number,
                )
            )

    found = await ask(archive, form)

    expected = ["9.1.1", "9.1.2", "9.1.3", "9.2.1", "9.2.2", "9.2.3"]
    assert uids(found) == expected
    assert found[0]["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]}
    assert uids(await ask(archive, form, Selection(series=("9.2",)))) == expected[3:]


async def test_nothing_is_none(archive: Archive, form: Form) -> None:
    assert await archive.metadata.look(STUDY, form) is None


async def test_what_was_made_is_not_made_again(
    archive: Archive, kept: Kept, form: Form, tmp_path: Path
) -> None:
    await kept.store_all(f"1.{number}" for number in range(30))
    first = await ask(archive, form)
    await rest(archive)
    form.written.clear()

    assert await ask(archive, form) == first
    assert form.written == []
    assert len(copies(tmp_path)) == 1


async def test_forms_of_another_name_are_made_anew(
    archive: Archive, kept: Kept, form: Form, tmp_path: Path
) -> None:
    await kept.store_all(["1.1"])
    await ask(archive, form)
    other = Form("other")
    await ask(archive, other)
    await rest(archive)

    assert other.written == ["1.1"]
    assert len(copies(tmp_path)) == 2


async def test_one_instance_more_makes_few_texts_anew(
    archive: Archive, kept: Kept, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(monkeypatch)
    names = [f"1.{number}" for number in range(100)]
    for number, name in enumerate(names):
        await kept.store(image(name, InstanceNumber=number))
    await ask(archive, form)
    await rest(archive)
    form.written.clear()

    await kept.store(image("1.500", InstanceNumber=50))

    names.insert(51, "1.500")
    assert uids(await ask(archive, form)) == names
    assert "1.500" in form.written
    assert len(form.written) <= 50  # segments end by chance: few are so long
    await rest(archive)
    form.written.clear()
    await archive.removals.remove(Selection(instances=("1.30",)))
    names.remove("1.30")
    assert uids(await ask(archive, form)) == names
    assert len(form.written) <= 50


async def test_a_series_that_still_arrives_is_not_written_each_time(
    archive: Archive, kept: Kept, form: Form, tmp_path: Path
) -> None:
    names = [f"1.{number}" for number in range(100)]
    await kept.store_all(names)
    await ask(archive, form)
    await rest(archive)
    (copy,) = copies(tmp_path)
    before = copy.stat().st_mtime_ns

    await kept.store_all(["1.500"])
    await ask(archive, form)
    await rest(archive)
    assert copy.stat().st_mtime_ns == before

    await kept.store_all(f"2.{number}" for number in range(50))
    await ask(archive, form)
    await rest(archive)
    assert copies(tmp_path)[0].stat().st_mtime_ns != before


async def test_who_asks_at_once_waits_for_the_same(
    archive: Archive, kept: Kept, form: Form
) -> None:
    names = [f"1.{number}" for number in range(40)]
    await kept.store_all(names)

    found = await asyncio.gather(*(ask(archive, form) for _ in range(20)))

    assert all(sorted(uids(each)) == sorted(names) for each in found)
    assert sorted(form.written) == sorted(names)


async def test_it_is_kept_over_a_restart(tmp_path: Path, form: Form) -> None:
    for round in range(2):
        archive = await Archive.open(tmp_path / "data", ArchiveConfig())
        if not round:
            await Kept(archive).store_all(["1.1", "1.2"])
        assert uids(await ask(archive, form)) == ["1.1", "1.2"]
        await rest(archive)
        assert len(form.written) == 2
        await archive.close()


@pytest.mark.parametrize("damage", ["truncated", "changed", "empty", "other", "gone"])
async def test_a_damaged_copy_is_made_anew(
    archive: Archive, kept: Kept, form: Form, tmp_path: Path, damage: str
) -> None:
    await kept.store_all(f"1.{number}" for number in range(30))
    first = await ask(archive, form)
    await rest(archive)
    (copy,) = copies(tmp_path)
    data = copy.read_bytes()
    middle = len(data) // 2
    match damage:
        case "truncated":
            copy.write_bytes(data[:middle])
        case "changed":
            copy.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
        case "empty":
            copy.write_bytes(b"")
        case "other":
            archive.metadata._copies.write(copy.parent.name + copy.name, [b"something"])
        case "gone":
            copy.unlink()
    form.written.clear()

    assert await ask(archive, form) == first
    assert len(form.written) == 30
    await rest(archive)
    assert copies(tmp_path)[0].read_bytes() == data


async def test_without_room_for_copies_it_works_too(tmp_path: Path, form: Form) -> None:
    archive = await Archive.open(tmp_path / "data", ArchiveConfig(copies_size=0))
    await Kept(archive).store_all(["1.1"])

    for _ in range(2):
        assert uids(await ask(archive, form)) == ["1.1"]
        await rest(archive)

    assert form.written == ["1.1", "1.1"]
    assert copies(tmp_path) == []
    await archive.close()


async def test_tags_change_exactly_when_the_content_does(
    archive: Archive, kept: Kept, form: Form
) -> None:
    async def tag() -> str:
        look = await archive.metadata.look(STUDY, form)
        assert look is not None
        return look.etag

    tags = []
    for step in range(4):
        match step:
            case 0:
                await kept.store_all(["1.1", "1.2"])
            case 1:
                await kept.store_all(["1.3"])
            case 2:
                await archive.removals.remove(Selection(instances=("1.3",)))
            case 3:
                await kept.store_all(["1.4"], SeriesInstanceUID="9")
        tags.append(await tag())
        assert await tag() == tags[-1]

    assert len(set(tags)) == 3
    assert tags[0] == tags[2]


async def test_what_cannot_be_read_is_left_out_and_counted(
    archive: Archive, kept: Kept, form: Form
) -> None:
    await kept.store_all(f"1.{number}" for number in range(10))
    refs = await kept.refs()
    Path(archive.store.path(refs[3].blob_key)).unlink()
    lost = refs[3].sop_instance_uid

    for _ in range(2):  # made, and kept
        look = await archive.metadata.look(STUDY, form)
        assert look is not None
        gathered = await archive.metadata.gather(look)
        assert gathered.left_out == 1
        found = uids(await read(gathered))
        assert len(found) == 9
        assert lost not in found
        await rest(archive)


async def test_a_series_of_which_nothing_can_be_read_is_empty(
    archive: Archive, kept: Kept, form: Form
) -> None:
    await kept.store_all(["1.1"], SeriesInstanceUID="8")
    await kept.store_all(["1.2"], SeriesInstanceUID="9")
    refs = await kept.refs()
    for selection, gone in (("8", 0), ("9", 1)):
        Path(archive.store.path(refs[gone].blob_key)).unlink()
        found = await ask(archive, form, Selection(series=(selection,)))
        assert found == []

    assert await ask(archive, form) == []


async def test_what_vanishes_while_it_is_made_is_not_there(
    archive: Archive, kept: Kept, form: Form
) -> None:
    await kept.store_all(f"1.{number}" for number in range(20))
    look = await archive.metadata.look(STUDY, form)
    assert look is not None
    await archive.removals.remove(Selection(instances=("1.7",)))

    gathered = await archive.metadata.gather(look)

    assert gathered.left_out == 0
    assert gathered.etag != look.etag
    assert sorted(uids(await read(gathered))) == sorted(
        f"1.{number}" for number in range(20) if number != 7
    )


async def test_what_has_vanished_altogether_is_not_found(
    archive: Archive, kept: Kept, form: Form
) -> None:
    await kept.store_all(["1.1"])
    look = await archive.metadata.look(STUDY, form)
    assert look is not None
    await archive.removals.remove(STUDY)

    with pytest.raises(NotFound):
        await archive.metadata.gather(look)


async def test_an_answer_that_takes_long_begins_before_all_is_made(
    archive: Archive, kept: Kept, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    names = [f"1.{number}" for number in range(60)]
    await kept.store_all(names[:30], SeriesInstanceUID="8")
    await kept.store_all(names[30:], SeriesInstanceUID="9")
    form.gate.clear()
    look = await archive.metadata.look(STUDY, form)
    assert look is not None

    gathered = await archive.metadata.gather(look)

    assert gathered.sizes is None
    form.gate.set()
    packed = await whole(gathered.gzip())
    assert sorted(uids(json.loads(gzip.decompress(packed)))) == sorted(names)


async def test_a_long_answer_breaks_off_if_what_it_gives_vanishes(
    archive: Archive, kept: Kept, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    await kept.store_all(f"1.{number}" for number in range(60))
    form.gate.clear()
    look = await archive.metadata.look(STUDY, form)
    assert look is not None
    gathered = await archive.metadata.gather(look)
    await archive.removals.remove(Selection(instances=("1.59",)))
    form.gate.set()

    with pytest.raises(Vanished):
        await whole(gathered.text())
    await gathered.close()


async def test_a_long_answer_breaks_off_if_some_of_it_cannot_be_read(
    archive: Archive, kept: Kept, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kept.store_all(f"1.{number}" for number in range(60))
    refs = await kept.refs()
    Path(archive.store.path(refs[-1].blob_key)).unlink()
    form.gate.clear()
    look = await archive.metadata.look(STUDY, form)
    assert look is not None
    with monkeypatch.context() as patched:
        patched.setattr(module, "PATIENCE", 0.0)
        gathered = await archive.metadata.gather(look)
    form.gate.set()

    with pytest.raises(Unavailable, match="cannot be read"):
        await whole(gathered.gzip())
    await gathered.close()

    await rest(archive)
    again = await archive.metadata.gather(look)
    assert again.left_out == 1
    assert len(await read(again)) == 59


async def test_one_instance_alone(archive: Archive, kept: Kept, form: Form) -> None:
    await kept.store_all(["1.1", "1.2"])
    (ref, other) = await kept.refs()

    gathered = await archive.metadata.of_instance(ref, form)

    assert uids(await read(gathered)) == ["1.1"]
    Path(archive.store.path(other.blob_key)).unlink()
    with pytest.raises(Unavailable):
        await archive.metadata.of_instance(other, form)
    await archive.removals.remove(Selection(instances=("1.1",)), is_final=True)
    with pytest.raises(NotFound):
        await archive.metadata.of_instance(ref, form)


async def test_closing_stops_what_is_being_made(tmp_path: Path, form: Form) -> None:
    archive = await Archive.open(tmp_path / "data", ArchiveConfig())
    await Kept(archive).store_all(f"1.{number}" for number in range(50))
    look = await archive.metadata.look(STUDY, form)
    assert look is not None
    asking = asyncio.create_task(archive.metadata.gather(look))
    late = archive.metadata
    await asyncio.sleep(0)

    await archive.close()

    with pytest.raises(Unavailable, match="closing"):
        await asking
    with pytest.raises(Unavailable, match="closing"):
        await late.gather(look)
    assert late._tasks == set()


@pytest.mark.parametrize("seed", range(6))
async def test_every_answer_is_of_a_state_between_question_and_answer(
    archive: Archive, kept: Kept, form: Form, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While instances are stored, replaced and removed."""
    if seed % 2:
        age(monkeypatch)
    chance = random.Random(seed)
    current: dict[str, str] = {}
    states: list[frozenset[tuple[str, str]]] = [frozenset()]
    archive.ingest.on_conflict = OnConflict.REPLACE

    async def change(number: int) -> None:
        uid = f"1.{chance.randrange(25)}"
        if current and chance.random() < 0.4:
            uid = chance.choice(sorted(current))
            del current[uid]
            states.append(frozenset(current.items()))  # may be seen before we are told
            await archive.removals.remove(Selection(instances=(uid,)))
            return
        current[uid] = f"D{number}"
        states.append(frozenset(current.items()))
        data = encoded(image(uid, StudyID=f"D{number}", SeriesInstanceUID=f"9.{uid[-1]}"))
        await kept.begin(data, sop_instance=uid).finish()

    async def question() -> None:
        first = len(states) - 1
        look = await archive.metadata.look(STUDY, form)
        if look is None:
            assert frozenset() in states[first - 1 if first else 0 :]
            return
        try:
            gathered = await archive.metadata.gather(look)
        except NotFound:
            assert frozenset() in states[first:]
            return
        assert gathered.left_out == 0
        found = await read(gathered)
        answer = frozenset(
            (each["00080018"]["Value"][0], each["00200010"]["Value"][0]) for each in found
        )
        assert len(answer) == len(found)
        assert answer in states[max(0, first - 1) :]

    async def asker() -> None:
        while not is_over.is_set():
            await question()

    is_over = asyncio.Event()
    await change(0)
    askers = [asyncio.create_task(asker()) for _ in range(3)]
    for number in range(1, 60):
        await change(number)
    is_over.set()
    await asyncio.gather(*askers)
    await question()
