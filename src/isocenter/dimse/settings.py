"""How much an association may take, and how long."""

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on what peers can make us hold."""

    associations: int = 500
    """Associations at once, in all; more are rejected for now. 0: no bound."""
    associations_per_address: int = 100
    """Associations at once from one network address. 0: no bound."""
    connections: int = 1000
    """Transport connections at once, associated or not; more are closed unheard."""
    pdu_size: int = MIB
    """Largest P-DATA-TF body we take, in bytes; a large one is what makes senders fast."""
    association_pdu_size: int = MIB
    """Largest A-ASSOCIATE-RQ or -AC body we take, in bytes."""
    contexts: int = 128
    """Presentation contexts of one association."""
    operations: int = 8
    """Operations of one peer performed at once; the rest of what it sends waits."""
    command_size: int = 64 << 10
    """Largest command set, in bytes."""
    identifier_size: int = MIB
    """Largest data set of anything but C-STORE, in bytes; larger ones are refused."""
    backlog: int = 4 * MIB
    """Bytes of received data sets not yet released at which reading pauses, per association."""
    write_ahead: int = MIB
    """Bytes queued to be sent at which sending pauses, per association."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How many seconds to wait for a peer."""

    artim: float = 30.0
    """For a request after connect, and for the close at the end (PS3.8 §9.1.5)."""
    establishment: float = 30.0
    """For connection and answer, and for the answer to a release, as requestor."""
    idle: float = 600.0
    """With no operation under way, for the next one."""
    dimse: float = 120.0
    """For the next byte of a message, or for the response to a request."""
    network: float = 60.0
    """For a peer to take at least one byte of what we send."""

    @property
    def shortest(self) -> float:
        return min(self.idle, self.dimse, self.network)
