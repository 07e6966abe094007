"""What an archive holds, asked over DIMSE by the bare requestor."""

from collections.abc import Iterable

import wire
from instances import Instance
from peers import Isocenter

LEVEL, SOP_INSTANCE, STUDY = 0x00080052, 0x00080018, 0x0020000D
MAX_CONTEXTS = 128

Got = dict[str, tuple[str, bytes]]
"""Transfer syntax and data set by SOP Instance UID."""


def store_all(server: Isocenter, instances: Iterable[Instance]) -> list[int]:
    """C-STORE each on one association (at most 128 kinds); return the statuses."""
    everything = list(instances)
    kinds = sorted({(one.sop_class, one.transfer_syntax) for one in everything})
    with wire.storing(server.dicom_port, *kinds) as association:
        return [
            association.store(one.sop_class, one.sop_instance, one.transfer_syntax, one.data_set)
            for one in everything
        ]


def instance_uids(server: Isocenter, study: str) -> list[str]:
    """The SOP Instance UIDs of a study, by one relational C-FIND."""
    keys = wire.identifier({LEVEL: "IMAGE", STUDY: study, SOP_INSTANCE: ""})
    found = []
    with relational(server) as association:
        for message in association.find(keys):
            if message.status in wire.PENDING:
                found.append(_element(message.data_set, SOP_INSTANCE))
            else:
                assert message.status == wire.SUCCESS, hex(message.status)
    return found


def relational(server: Isocenter) -> wire.Association:
    """An association for queries that need not name what is above their level (PS3.4 C.5.1.1)."""
    negotiated = wire.extended_negotiation(wire.STUDY_ROOT_FIND, b"\1")
    contexts = [(wire.STUDY_ROOT_FIND, (wire.IMPLICIT,))]
    return wire.Association(server.dicom_port, contexts, user_items=negotiated)


def count_instances(server: Isocenter, study: str) -> int:
    return len(instance_uids(server, study))


def _element(data_set: bytes, tag: int) -> str:
    """The text value of an element in an implicit little endian data set without sequences."""
    at = 0
    while at + 8 <= len(data_set):
        group, element, length = (
            int.from_bytes(data_set[at : at + 2], "little"),
            int.from_bytes(data_set[at + 2 : at + 4], "little"),
            int.from_bytes(data_set[at + 4 : at + 8], "little"),
        )
        if group << 16 | element == tag:
            return data_set[at + 8 : at + 8 + length].decode().rstrip("\0 ")
        at += 8 + length
    return ""


def fetch(server: Isocenter, study: str, kinds: Iterable[tuple[str, str]] = ()) -> Got:
    """C-GET a study, as it was stored.

    ``kinds`` are the SOP classes and transfer syntaxes to ask for; by default those of the tests'
    own samples.
    """
    keys = wire.identifier({LEVEL: "STUDY", STUDY: study})
    return get(server, keys, kinds or SAMPLE_KINDS)


def get(server: Isocenter, keys: bytes, kinds: Iterable[tuple[str, str]]) -> Got:
    """C-GET what ``keys`` name. Each kind is a context of its own, so that none is converted."""
    wanted = sorted(set(kinds))
    assert len(wanted) < MAX_CONTEXTS
    contexts = [(wire.STUDY_ROOT_GET, (wire.IMPLICIT,))]
    contexts += [(sop_class, (transfer,)) for sop_class, transfer in wanted]
    roles = b"".join(
        wire.role_selection(sop_class, user=False, provider=True)
        for sop_class in sorted({one[0] for one in wanted})
    )
    got: Got = {}
    with wire.Association(server.dicom_port, contexts, user_items=roles) as association:
        syntax_of = {number: kind[1] for kind, number in association.accepted.items()}
        for message in association.get(keys):
            if message.command[wire.COMMAND] == wire.C_STORE_RQ:
                uid = str(message.command[wire.SOP_INSTANCE])
                assert uid not in got, "an instance was given twice"
                got[uid] = (syntax_of[message.context_id], message.data_set)
            final = message
    assert final.status == wire.SUCCESS, hex(final.status)
    assert final.command.get(wire.FAILED, 0) == 0
    return got


_CT = "1.2.840.10008.5.1.4.1.1.2"
_MR = "1.2.840.10008.5.1.4.1.1.4"
_SC = "1.2.840.10008.5.1.4.1.1.7"
_NM = "1.2.840.10008.5.1.4.1.1.20"
_US = "1.2.840.10008.5.1.4.1.1.6.1"
_PLAN = "1.2.840.10008.5.1.4.1.1.481.5"
_ECG = "1.2.840.10008.5.1.4.1.1.9.1.1"
_PRIVATE = "1.2.276.0.7230010.3.1.0.1"
_SYNTAXES = (
    wire.IMPLICIT,
    wire.EXPLICIT,
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.5",
)
SAMPLE_KINDS = [
    *((sop, syntax) for sop in (_CT, _MR, _SC, _NM, _US) for syntax in _SYNTAXES),
    *((sop, syntax) for sop in (_PLAN, _ECG, _PRIVATE) for syntax in _SYNTAXES[:4]),
]
