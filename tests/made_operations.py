"""Operations as a peer asks for them, without the peer."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID

from isocenter.dimse.command import Command, Value, Verb
from isocenter.dimse.negotiation import Context
from isocenter.dimse.operation import Operation
from isocenter.dimse.status import PENDING, Response
from isocenter.dimse.user_information import Window

EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"


class Wire:
    """In place of an association: keeps what is sent on it."""

    def __init__(self, **extended: bytes) -> None:
        self.sent: list[tuple[dict[str, Value], bytes | None]] = []
        self.contexts: dict[int, Context] = {}
        self.extended = {name.replace("_", "."): value for name, value in extended.items()}
        self.window = Window()
        self.peer = SimpleNamespace(ae_title="PEER", called_ae_title="ISOCENTER")
        self.stored: list[str] = []
        self.answers: dict[str, Any] = {}
        """Statuses or errors, by SOP Instance UID."""
        self.is_over = False

    async def send_message(self, context: int, command: Command, dataset: bytes | None) -> None:
        self.sent.append((dict(command.elements), dataset))

    async def send_messages(self, context: int, command: Command, datasets: Any) -> None:
        for dataset in datasets:
            await self.send_message(context, command, dataset)

    async def store(self, sop_class: str, instance: str, pieces: Any, **_: Any) -> Response:
        answer = self.answers.get(instance, 0)
        if isinstance(answer, Exception):
            raise answer
        self.stored.append(instance)
        return Response(answer)

    @property
    def pending(self) -> list[bytes]:
        """The data sets of the pending responses."""
        return [data for command, data in self.sent if data and command["Status"] == PENDING]


def encoded(dataset: Dataset, syntax: str = EXPLICIT) -> bytes:
    buffer = io.BytesIO()
    uid = UID(syntax)
    dataset.save_as(buffer, implicit_vr=uid.is_implicit_VR, little_endian=uid.is_little_endian)
    return buffer.getvalue()


def decoded(data: bytes, syntax: str = EXPLICIT) -> Dataset:
    uid = UID(syntax)
    dataset = read_dataset(io.BytesIO(data), uid.is_implicit_VR, uid.is_little_endian)
    dataset.decode()
    return dataset


def identifier(level: str, **keys: Any) -> Dataset:
    dataset = Dataset()
    dataset.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    return dataset


def operation(
    verb: Verb,
    sop_class: str,
    dataset: bytes = b"",
    *,
    wire: Wire | None = None,
    syntax: str = EXPLICIT,
    **elements: Value,
) -> Operation:
    """A request of a peer."""
    context = Context(1, sop_class, syntax, as_user=False, as_provider=True)
    said: dict[str, Value] = {
        "CommandField": int(verb),
        "MessageID": 7,
        "AffectedSOPClassUID": sop_class,
        **elements,
    }
    made = Operation(wire or Wire(), context, Command(said))  # type: ignore[arg-type]
    made.dataset = dataset
    return made
