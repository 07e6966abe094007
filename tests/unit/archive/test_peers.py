"""The applications we know, from the settings and from the archive."""

import pytest

from isocenter.address import Address
from isocenter.archive.archive import Archive
from isocenter.archive.peers import LONGEST_NOTE, KnownPeer, Peers
from isocenter.errors import Conflict, Malformed, NotFound
from isocenter.storage.peers import Report

CT = Address("CT", "ct.example", 104)
OTHER = Address("CT", "other.example", 105)
US = Address("US", "10.0.0.3", 11112)


@pytest.fixture
def peers(archive: Archive) -> Peers:
    return Peers(archive.index.peers, (CT,))


async def test_those_of_the_settings_and_those_kept_are_one_list(peers: Peers) -> None:
    await peers.add(US, "  the  ward's ")

    assert await peers.all() == [KnownPeer(CT, is_configured=True), KnownPeer(US, "the ward's")]
    assert await peers.destination("US") == US
    assert await peers.destination("CT") == CT
    assert await peers.destination("MR") is None
    assert await peers.find("US") == KnownPeer(US, "the ward's")
    with pytest.raises(NotFound):
        await peers.find("MR")


async def test_what_stands_in_the_settings_cannot_be_changed(peers: Peers) -> None:
    await peers.add(US)

    with pytest.raises(Conflict, match="settings"):
        await peers.add(OTHER)
    with pytest.raises(Conflict, match="settings"):
        await peers.change("CT", OTHER)
    with pytest.raises(Conflict, match="settings"):
        await peers.change("US", OTHER)
    with pytest.raises(Conflict, match="settings"):
        await peers.remove("CT")


async def test_the_settings_go_before_what_was_kept_earlier(archive: Archive, peers: Peers) -> None:
    await Peers(archive.index.peers, ()).add(OTHER)

    assert await peers.called("CT") == [CT]
    assert await peers.all() == [KnownPeer(CT, is_configured=True)]


async def test_a_title_of_the_settings_may_have_several_hosts(archive: Archive) -> None:
    peers = Peers(archive.index.peers, (CT, OTHER))

    assert await peers.called("CT") == [CT, OTHER]
    assert await peers.destination("CT") == OTHER


async def test_one_that_is_kept_can_be_changed_and_forgotten(peers: Peers) -> None:
    await peers.add(US)
    await peers.note(Report("US", "echo", str(US), 1, b"{}"))
    moved = Address("US", "10.0.0.4", 104)

    await peers.change("US", moved)
    assert await peers.destination("US") == moved
    assert await peers.report("US", "echo") is not None

    await peers.change("US", Address("US2", "10.0.0.4", 104))
    assert await peers.destination("US") is None
    assert await peers.report("US", "echo") is None

    await peers.remove("US2")
    assert [each.address for each in await peers.all()] == [CT]
    for title in ("US2", "nobody"):
        with pytest.raises(NotFound):
            await peers.remove(title)
        with pytest.raises(NotFound):
            await peers.change(title, US)


async def test_a_title_is_kept_once(peers: Peers) -> None:
    await peers.add(US)
    await peers.add(Address("MR", "10.0.0.5", 104))

    with pytest.raises(Conflict, match="already"):
        await peers.add(Address("US", "elsewhere", 104))
    with pytest.raises(Conflict, match="already"):
        await peers.change("MR", US)


@pytest.mark.parametrize("note", ["x" * (LONGEST_NOTE + 1), "a\x1bb"])
async def test_a_note_is_short_and_printable(peers: Peers, note: str) -> None:
    with pytest.raises(Malformed):
        await peers.add(US, note)


async def test_the_last_answer_counts(peers: Peers) -> None:
    for at in (1, 2):
        await peers.note(Report("CT", "echo", str(CT), at, b"{}"))
    await peers.note(Report("CT", "accepts", str(CT), 3, b"[]"))

    assert (await peers.reports("echo"))["CT"].at == 2
    found = await peers.report("CT", "accepts")
    assert found is not None
    assert found.document == b"[]"
