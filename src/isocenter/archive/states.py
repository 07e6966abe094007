"""Presentation states that are kept, and the images that are kept to which they refer."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from isocenter.archive.frames import OpenInstances
from isocenter.imaging import states
from isocenter.imaging.states import Reference, State
from isocenter.storage.index import Index
from isocenter.storage.records import InstanceRef, Selection

MOST_REMEMBERED: Final = 64
MOST_MEMORY: Final = 64 << 20
"""Bytes that states take which are remembered, roughly."""
AT_ONCE: Final = 500
"""Images that are looked up with one search."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What of the images that a state refers to is here, in the state's order."""

    instances: tuple[InstanceRef, ...]
    missing: int


class States:
    """Reads states. Belongs to one event loop. Everything may raise Unavailable."""

    def __init__(self, index: Index, opened: OpenInstances) -> None:
        self._index = index
        self._opened = opened
        self._known: OrderedDict[str, tuple[State, int]] = OrderedDict()
        self._memory = 0

    async def state(self, instance: InstanceRef) -> State:
        """Read a state. Raises: Malformed, NoFrames; Unsupported, for one that is not applied."""
        key = instance.state
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key][0]
        opened = await self._opened.open(instance)
        try:
            state, memory = await opened.read(lambda *of: _weighed(State(states.read(*of), key)))
        finally:
            opened.release()
        self._remember(key, state, memory)
        return state

    def _remember(self, key: str, state: State, memory: int) -> None:
        if key in self._known:  # read twice at once
            return
        self._known[key] = (state, memory)
        self._memory += memory
        while len(self._known) > MOST_REMEMBERED or (
            self._memory > MOST_MEMORY and len(self._known) > 1
        ):
            _, (_, forgotten) = self._known.popitem(last=False)
            self._memory -= forgotten

    async def shown(self, state: State) -> Shown:
        """Find the images: those of the state's own study, in the series that it names."""
        wanted = list({each.sop_instance: each for each in state.references}.values())
        found: dict[str, InstanceRef] = {}
        for start in range(0, len(wanted), AT_ONCE):
            found |= await self._found(state, wanted[start : start + AT_ONCE])
        here = tuple(found[each.sop_instance] for each in wanted if each.sop_instance in found)
        return Shown(here, len(wanted) - len(here))

    async def _found(self, state: State, wanted: Sequence[Reference]) -> dict[str, InstanceRef]:
        series = {each.sop_instance: each.series for each in wanted}
        selection = Selection(studies=(state.study,), instances=tuple(series))
        return {
            each.sop_instance_uid: each
            async for page in self._index.instances(selection)
            for each in page
            if each.series_instance_uid == series[each.sop_instance_uid]
        }


def _weighed(state: State) -> tuple[State, int]:
    return state, state.memory
