"""Log lines, and what the settings say to the listeners."""

import logging
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isocenter.address import Address
from isocenter.app.log import LineFormatter
from isocenter.app.node import _Admission, limits_of, timeouts_of
from isocenter.archive.archive import Archive
from isocenter.archive.peers import Peers
from isocenter.config import Config, DimseConfig, documented
from isocenter.dimse.association import Peer
from isocenter.dimse.server import Admission


def line(message: str, **data: object) -> str:
    record = logging.makeLogRecord({"msg": message, "name": "x", "levelname": "INFO", **data})
    return LineFormatter().format(record)


@given(st.text())
def test_what_a_peer_sent_never_breaks_a_line(text: str) -> None:
    written = line("association", peer=text)

    assert len(written.splitlines()) == 1
    assert written.isprintable()


def test_data_stand_behind_the_message() -> None:
    assert line("stored", peer="CT 1", size=5).endswith("x: stored peer='CT 1' size=5")


def peer(title: str, host: str) -> Peer:
    return Peer(ae_title=title, called_ae_title="ISOCENTER", host=host, port=1, maximum_length=0)


@pytest.mark.parametrize(
    ("title", "host", "is_let_in"),
    [
        ("CT", "10.0.0.1", True),
        ("CT", "10.0.0.2", False),
        ("MR", "10.0.0.1", False),
        ("ct", "10.0.0.1", False),
        ("HERE", "127.0.0.1", True),
    ],
)
async def test_only_known_callers_get_in_where_that_is_wanted(
    archive: Archive, title: str, host: str, is_let_in: bool
) -> None:
    known = (Address("CT", "10.0.0.1", 104), Address("HERE", "localhost", 104))
    config = Config(dimse=DimseConfig(known_callers_only=True), peer=known)

    peers = Peers(archive.index.peers, known)
    closed = await _Admission(config, peers)(peer(title, host))
    opened = await _Admission(Config(peer=known), peers)(peer(title, host))

    assert isinstance(closed, Admission) == is_let_in
    assert isinstance(opened, Admission)


async def test_a_peer_added_while_we_run_may_call_at_once(archive: Archive) -> None:
    admit = _Admission(
        Config(dimse=DimseConfig(known_callers_only=True)), Peers(archive.index.peers, ())
    )
    before = await admit(peer("US", "10.0.0.3"))
    # As another process of the same index would: through a store of its own.
    await Peers(archive.index.peers, ()).add(Address("US", "10.0.0.3", 104))

    assert not isinstance(before, Admission)
    assert isinstance(await admit(peer("US", "10.0.0.3")), Admission)
    assert not isinstance(await admit(peer("Ü\ud800", "10.0.0.3")), Admission)


def test_every_limit_and_timeout_comes_from_the_settings() -> None:
    odd = DimseConfig(
        max_associations=11,
        max_associations_per_peer=12,
        max_pdu_length=4099,
        max_operations=13,
        artim_timeout=1.5,
        idle_timeout=2.5,
        dimse_timeout=3.5,
        network_timeout=4.5,
    )
    limits, timeouts = limits_of(odd), timeouts_of(odd)

    assert (limits.associations, limits.associations_per_address) == (11, 12)
    assert (limits.pdu_size, limits.operations) == (4099, 13)
    assert (timeouts.artim, timeouts.idle, timeouts.dimse, timeouts.network) == (1.5, 2.5, 3.5, 4.5)


def test_every_setting_of_the_listener_is_on_the_reference_page() -> None:
    names = {name for name, _, _ in documented()}

    assert {f"dimse.{each.name}" for each in fields(DimseConfig)} <= names
