"""Retrieving from a peer as its user: C-GET to here, C-MOVE to elsewhere (PS3.4 C.4.2, C.4.3)."""

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from isocenter.dicom.elements import elements
from isocenter.dicom.syntax import lookup
from isocenter.dicom.values import texts
from isocenter.dimse.association import Association
from isocenter.dimse.command import Value
from isocenter.dimse.negotiation import MOST_CONTEXTS, Proposal
from isocenter.dimse.status import Category, Response
from isocenter.errors import IsocenterError, Malformed, Unsupported
from isocenter.services.models import UNIQUE_KEYS, Model
from isocenter.services.querying import Refused, Search, find, identifier
from isocenter.services.targets import Target
from isocenter.storage.attributes import Level

SOP_CLASSES_IN_STUDY: Final = "00080062"
SOP_CLASS: Final = "00080016"
STUDY: Final = f"{UNIQUE_KEYS[Level.STUDY]:08X}"
FAILED_LIST: Final = 0x00080058
MOST_STUDIES: Final = 1000
"""Studies that are asked for their SOP classes."""
MOST_CLASSES: Final = 4
"""SOP classes in one association: each gets as many transfer syntaxes as there is room for."""
SAMPLES: Final = 3
"""Instances of a series that tell of the others."""
MOST_SERIES: Final = 100

_TS: Final = "1.2.840.10008.1.2"
SYNTAXES: Final = (
    f"{_TS}.1",
    _TS,
    *(f"{_TS}.4.{number}" for number in (70, 90, 50, 91, 80)),
    f"{_TS}.5",
    *(f"{_TS}.4.{number}" for number in (57, 51, 81, 201, 202, 203)),
    f"{_TS}.1.99",
    f"{_TS}.2",
    *(f"{_TS}.4.{number}" for number in (100, 101, 102, 103, 104, 105, 106, 107, 108)),
    *(f"{_TS}.4.{number}" for number in (92, 93, 110, 111, 112)),
    f"{_TS}.8.1",
    *(f"{_TS}.4.{number}" for number in (53, 55)),
)
"""Transfer syntaxes that instances are kept in, the commonest first."""
PLAIN: Final = (f"{_TS}.1", _TS, f"{_TS}.1.99", f"{_TS}.2")

_SOP: Final = "1.2.840.10008.5.1.4.1.1"
WITHOUT_PIXELS: Final = tuple(f"{_SOP}.{family}." for family in ("9", "11", "78", "88", "104"))
"""How UIDs of classes begin whose instances have none: no syntax of images is of use to them."""
COMMON: Final = tuple(
    f"{_SOP}.{suffix}"
    for suffix in (
        *("2", "4", "1", "1.1", "1.2", "7", "6.1", "3.1", "12.1", "12.2", "128", "20", "2.1"),
        *("4.1", "4.2", "128.1", "88.11", "88.22", "88.33", "88.34", "88.59", "88.67", "11.1"),
        *("104.1", "104.2", "104.3", "66", "66.4", "66.1", "66.3", "481.1", "481.2", "481.3"),
        *("481.5", "1.1.1", "1.2.1", "1.3", "13.1.1", "13.1.3", "7.1", "7.2", "7.3", "7.4"),
        *("77.1.1", "77.1.4", "77.1.5.1", "77.1.5.4", "77.1.6", "9.1.1", "9.1.2", "9.2.1", "30"),
        *("77.1.1.1", "77.1.4.1", "481.4", "2.2", "11.2", "67", "12.1.1", "12.2.1"),
    )
)
"""Storage SOP classes to propose where the peer does not say what it has."""


def proposals(sop_class: str, storage: Iterable[str], *, is_relational: bool) -> list[Proposal]:
    """Return the contexts for C-GET: its own, and as many for each storage class as there is room.

    The first ones of a class take one syntax each, so that what the peer keeps need not be
    converted; where there is no room for that, one context takes what is plain, one the rest.
    """
    classes = list(dict.fromkeys(storage))[: (MOST_CONTEXTS - 1) // 2]
    found = [Proposal(abstract_syntax=sop_class, extended=b"\1" if is_relational else None)]
    # Those without pixels first: what they do not need is left to the others.
    classes.sort(key=lambda uid: not uid.startswith(WITHOUT_PIXELS))
    for position, uid in enumerate(classes):
        room = (MOST_CONTEXTS - len(found)) // (len(classes) - position)
        syntaxes = PLAIN if uid.startswith(WITHOUT_PIXELS) else SYNTAXES
        found += (
            Proposal(abstract_syntax=uid, transfer_syntaxes=group, as_user=False, as_provider=True)
            for group in _groups(syntaxes, room)
        )
    return found


def _groups(syntaxes: tuple[str, ...], room: int) -> Iterator[tuple[str, ...]]:
    """Divide transfer syntaxes among ``room`` contexts, at least two."""
    if len(syntaxes) <= room:
        yield from ((uid,) for uid in syntaxes)
        return
    yield from ((uid,) for uid in syntaxes[: room - 2])
    rest = syntaxes[max(room - 2, 0) :]
    for group in (
        tuple(uid for uid in rest if uid in PLAIN),
        tuple(uid for uid in rest if uid not in PLAIN),
    ):
        if group:
            yield group


@dataclass(frozen=True, slots=True)
class Batch:
    """What is fetched by one association, and the SOP classes it must have contexts for."""

    targets: tuple[Target, ...]
    classes: tuple[str, ...]
    """Empty, where the peer did not say."""


async def plan(
    association: Association, model: Model, targets: Iterable[Target]
) -> AsyncIterator[Batch]:
    """Ask the peer which SOP classes the targets have; put together what fits an association.

    Raises: Aborted, Unsupported.
    """
    waiting: list[Target] = []
    classes: dict[str, None] = {}
    for target in targets:
        async for part, found in _with_classes(association, model, target):
            together = classes | dict.fromkeys(found)
            if waiting and (bool(found) != bool(classes) or len(together) > MOST_CLASSES):
                yield Batch(tuple(waiting), tuple(classes))
                waiting, together = [], dict.fromkeys(found)
            waiting.append(part)
            classes = together
    if waiting:
        yield Batch(tuple(waiting), tuple(classes))


async def _with_classes(
    association: Association, model: Model, target: Target
) -> AsyncIterator[tuple[Target, list[str]]]:
    """Yield the target with its SOP classes; one of several studies, study by study."""
    by_study: dict[str, list[str]] = {}
    try:
        async for study in find(association, _studies_of(model, target)):
            classes = study.get(SOP_CLASSES_IN_STUDY, {}).get("Value", ())
            if not classes:
                classes = [one async for one in _sampled(association, model, study)]
            uid = next(iter(study.get(STUDY, {}).get("Value", ())), "")
            by_study[uid] = [str(each) for each in classes if each]
    except (Refused, Malformed, Unsupported):
        by_study = {}
    asked = target.values(Level.STUDY)
    if target.level is not Level.STUDY or not by_study:
        found = dict.fromkeys(uid for classes in by_study.values() for uid in classes)
        yield target, list(found)
        return
    for uid in asked:
        keys = {**target.keys, STUDY: {"vr": "UI", "Value": [uid]}}
        yield Target(Level.STUDY, keys), by_study.get(uid, [])


def _studies_of(model: Model, target: Target) -> Search:
    keys = {
        tag: target.keys[tag]
        for level in (Level.PATIENT, Level.STUDY)
        if (tag := f"{UNIQUE_KEYS[level]:08X}") in target.keys
    }
    asked = {**keys, SOP_CLASSES_IN_STUDY: {"vr": "UI"}}
    return Search(model, Level.STUDY, asked, MOST_STUDIES)


async def _sampled(
    association: Association, model: Model, study: dict[str, dict[str, list[str]]]
) -> AsyncIterator[str]:
    """Look at some instances of each series."""
    if Level.IMAGE not in model.levels:
        return
    tags = {level: f"{UNIQUE_KEYS[level]:08X}" for level in Level}
    above = {tags[level]: study[tags[level]] for level in model.levels if level <= Level.STUDY}
    series_of = Search(model, Level.SERIES, above, MOST_SERIES)
    uids = [
        one[tags[Level.SERIES]]
        async for one in find(association, series_of)
        if one.get(tags[Level.SERIES], {}).get("Value")
    ]
    for uid in uids:
        keys = {**above, tags[Level.SERIES]: uid, SOP_CLASS: {"vr": "UI"}}
        async for one in find(association, Search(model, Level.IMAGE, keys, SAMPLES)):
            for sop_class in one.get(SOP_CLASS, {}).get("Value", ()):
                yield sop_class


@dataclass(slots=True)
class Progress:
    """How the sub-operations stand, over all requests."""

    completed: int = 0
    failed: int = 0
    warning: int = 0
    remaining: int = 0
    failed_uids: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Sub-operations that have ended."""
        return self.completed + self.failed + self.warning


async def retrieve(
    association: Association,
    model: Model,
    targets: Iterable[Target],
    destination: str | None = None,
    *,
    after: Progress | None = None,
) -> AsyncIterator[Progress]:
    """Have the targets sent, to ``destination`` or to here; yield how it stands as it goes on.

    The last one is final; ``after`` is what others have done before. A request that fails leaves
    the next ones alone. Raises: Unsupported, Aborted.
    """
    sop_class = model.get if destination is None else model.move
    context = association.context_for(sop_class)
    done = after or Progress()
    for target in targets:
        request = identifier(target.level, target.keys, context)
        if destination is None:
            responses = association.get(sop_class, request, context=context)
        else:
            responses = association.move(sop_class, request, destination, context=context)
        async for response in responses:
            yield _after(done, response)
        done = _after(done, response)
        if response.category is not Category.SUCCESS:
            _note_failure(done, response, context.transfer_syntax)
    yield done


def _after(before: Progress, response: Response) -> Progress:
    """Add the counts of a response to what there was before its request."""

    def count(name: str) -> int:
        value: Value = response.elements.get(f"NumberOf{name}Suboperations", 0)
        return value if isinstance(value, int) else 0

    return Progress(
        before.completed + count("Completed"),
        before.failed + count("Failed"),
        before.warning + count("Warning"),
        count("Remaining") if response.is_pending else 0,
        before.failed_uids,
        before.refusals,
    )


def _note_failure(done: Progress, response: Response, syntax: str) -> None:
    if response.category is Category.FAILURE:
        comment = response.elements.get("ErrorComment", "")
        told = f" ({comment})" if comment else ""
        done.refusals.append(f"the peer answers with status {response.status:04X}{told}")
    try:
        for element in elements(response.dataset or b"", lookup(syntax)):
            if element.tag == FAILED_LIST:
                done.failed_uids.extend(texts("UI", bytes(element.value)))
    except IsocenterError:
        return  # the counts say enough
