"""What may be done to a workitem, and what its subscribers are told: the rules, free of any wire.

Each function decides on a workitem as it stands. Times are microseconds since 1970.

Source: PS3.4 CC.1.1 (states), CC.2.1 to CC.2.6 (operations), CC.2.4.3 (events).
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final

from isocenter.archive import workitem_checks
from isocenter.archive.workitem_checks import is_filled
from isocenter.dicom.procedure_step import FILTERED_WORKLIST, UPS_PUSH, WORKLIST, StepState
from isocenter.errors import Conflict, Malformed
from isocenter.storage.workitem_records import (
    Dataset,
    Decision,
    EventKind,
    Report,
    Workitem,
)

Element = dict[str, Any]

SOP_CLASS: Final = "00080016"
SOP_INSTANCE: Final = "00080018"
TRANSACTION: Final = "00081195"
MODIFIED_AT: Final = "00404010"
READINESS: Final = "00404041"
WORKLIST_LABEL: Final = "00741202"
STATE: Final = "00741000"
PROGRESS: Final = "00741002"
PROGRESS_PARTS: Final = ("00741004", "00741006", "00741008")
CANCELED_AT: Final = "00404052"
DISCONTINUATION: Final = "0074100E"
REASON: Final = "00741238"
REQUESTING_AE: Final = "00741236"
CONTACTS: Final = ("0074100A", "0074100C")
STATION_NAME: Final = "00404025"
HUMAN_PERFORMERS: Final = "00404034"
PERFORMER_CODE: Final = "00404009"
PERFORMER_ORGANIZATION: Final = "00404036"

DEFAULT_LABEL: Final = "DEFAULT"
"""The Worklist Label of workitems that come without one."""
UNSPECIFIED_REASON: Final[Dataset] = {
    "00080100": {"vr": "SH", "Value": ["110513"]},
    "00080102": {"vr": "SH", "Value": ["DCM"]},
    "00080104": {"vr": "LO", "Value": ["Discontinued for unspecified reason"]},
}
"""Of CID 9300 (PS3.16)."""


class Refusal(Enum):
    """Why a workitem cannot be changed (PS3.4 Tables CC.2.1-2, CC.2.2-2, CC.2.5-4, CC.2.6-1)."""

    NO_LONGER_UPDATED = "the workitem is completed or canceled and cannot change any more"
    NO_TRANSACTION_UID = "the Transaction UID is missing"
    WRONG_TRANSACTION_UID = "the Transaction UID is not the one the workitem was claimed with"
    ALREADY_IN_PROGRESS = "the workitem is in progress already"
    ONLY_CREATED_SCHEDULED = "a workitem becomes SCHEDULED by being created only"
    NOT_FINAL = "the workitem does not meet the requirements of its final state"
    NOT_CREATED_SCHEDULED = "a workitem can be created in the state SCHEDULED only"
    NOT_IN_PROGRESS = "the workitem is not in progress: nobody has claimed it"
    ALREADY_COMPLETED = "the workitem is completed"


class Refused(Conflict):
    """A workitem's state forbids what is asked."""

    def __init__(self, reason: Refusal, more: str = "") -> None:
        super().__init__(f"{reason.value}: {more}" if more else reason.value)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Updated:
    """Attributes were set; ``is_modified`` if not just as sent."""

    is_modified: bool


@dataclass(frozen=True, slots=True)
class Changed:
    """A change of state; ``was_so`` if nothing changed as it was in that state already."""

    was_so: bool = False


@dataclass(frozen=True, slots=True)
class Created:
    """A new workitem; ``is_modified`` if not just as sent."""

    workitem: Workitem
    reports: tuple[Report, ...]
    is_modified: bool


def create(uid: str, dataset: Dataset, now: int) -> Created:
    """Make a workitem. Raises: Malformed; Refused. Source: PS3.4 CC.2.5."""
    if uid in (WORKLIST, FILTERED_WORKLIST):
        raise Malformed("this UID stands for the whole worklist, not for a workitem")
    given = {tag8: each for tag8, each in dataset.items() if tag8 != SOP_INSTANCE}
    state = given.get(STATE)
    if is_filled(state) and _first(state) != StepState.SCHEDULED.value:
        raise Refused(Refusal.NOT_CREATED_SCHEDULED)
    checked = workitem_checks.to_create(given)
    kept, is_modified = checked.dataset, checked.is_modified
    kept.pop(TRANSACTION, None)
    if not is_filled(kept[WORKLIST_LABEL]):
        kept[WORKLIST_LABEL] = _element("LO", DEFAULT_LABEL)
        is_modified = True
    kept[SOP_CLASS] = _element("UI", UPS_PUSH)
    kept[SOP_INSTANCE] = _element("UI", uid)
    kept[MODIFIED_AT] = _element("DT", date_time(now))
    workitem = Workitem(uid, StepState.SCHEDULED, "", _sorted(kept))
    reports = [state_report(workitem)]
    if assigned := assignment(kept):
        reports.append(Report(EventKind.ASSIGNED, assigned))
    return Created(workitem, tuple(reports), is_modified)


def update(
    current: Workitem, changes: Dataset, transaction_uid: str, now: int
) -> Decision[Updated]:
    """Set attributes. Raises: Malformed; Refused. Source: PS3.4 CC.2.6."""
    if current.state.is_final:
        raise Refused(Refusal.NO_LONGER_UPDATED)
    if current.state is StepState.IN_PROGRESS:
        _demand(current, transaction_uid)
    elif transaction_uid:
        raise Refused(Refusal.NOT_IN_PROGRESS)
    checked = workitem_checks.to_set(changes)
    checked.dataset.pop(TRANSACTION, None)
    before, after = current.dataset, current.dataset | checked.dataset
    answer = Updated(checked.is_modified)
    if after == before:
        return Decision(answer)
    after[MODIFIED_AT] = _element("DT", date_time(now))
    changed = replace(current, dataset=_sorted(after))
    return Decision(answer, changed, tuple(_reports(before, changed)))


def _reports(before: Dataset, changed: Workitem) -> list[Report]:
    """What an update is reported by (PS3.4 CC.2.4.3)."""
    found, after = [], changed.dataset
    if before.get(READINESS) != after.get(READINESS):
        found.append(state_report(changed))
    if _progress(before) != _progress(after):
        found.append(progress_report(changed))
    if assignment(before) != assignment(after):
        found.append(Report(EventKind.ASSIGNED, assignment(after)))
    return found


def change_state(
    current: Workitem, state: StepState, transaction_uid: str, now: int
) -> Decision[Changed]:
    """Claim, complete or cancel. Raises: Refused. Source: PS3.4 Table CC.1.1-2."""
    if state is StepState.SCHEDULED:
        raise Refused(Refusal.ONLY_CREATED_SCHEDULED)
    if current.state is StepState.SCHEDULED:
        return _claim(current, state, transaction_uid)
    _demand(current, transaction_uid)
    if current.state.is_final:
        if current.state is not state:
            raise Refused(Refusal.NO_LONGER_UPDATED)
        return Decision(Changed(was_so=True))
    if state is StepState.IN_PROGRESS:
        raise Refused(Refusal.ALREADY_IN_PROGRESS)
    return _finish(current, state, now)


def _claim(current: Workitem, state: StepState, transaction_uid: str) -> Decision[Changed]:
    if not transaction_uid:
        raise Refused(Refusal.NO_TRANSACTION_UID)
    if state is not StepState.IN_PROGRESS:
        raise Refused(Refusal.NOT_IN_PROGRESS)
    claimed = _in_state(replace(current, transaction_uid=transaction_uid), state)
    return Decision(Changed(), claimed, (state_report(claimed),))


def _finish(current: Workitem, state: StepState, now: int) -> Decision[Changed]:
    if state is StepState.CANCELED:
        current = _with_reason(current, {}, now)
    if missing := workitem_checks.missing(state, current.dataset):
        raise Refused(Refusal.NOT_FINAL, f"{', '.join(missing)} must have a value")
    finished = _in_state(current, state)
    return Decision(Changed(), finished, (state_report(finished),))


def request_cancellation(
    current: Workitem, information: Dataset, requesting_ae: str, now: int
) -> Decision[Changed]:
    """Cancel what nobody has claimed; of what somebody has, tell the subscribers.

    Raises: Refused. Source: PS3.4 CC.2.2.3.
    """
    match current.state:
        case StepState.COMPLETED:
            raise Refused(Refusal.ALREADY_COMPLETED)
        case StepState.CANCELED:
            return Decision(Changed(was_so=True))
        case StepState.IN_PROGRESS:
            return Decision(Changed(), None, (_cancel_report(information, requesting_ae),))
    claimed = _in_state(current, StepState.IN_PROGRESS)
    canceled = _in_state(_with_reason(claimed, information, now), StepState.CANCELED)
    return Decision(Changed(), canceled, (state_report(claimed), state_report(canceled)))


def _demand(current: Workitem, transaction_uid: str) -> None:
    if not transaction_uid:
        raise Refused(Refusal.NO_TRANSACTION_UID)
    if transaction_uid != current.transaction_uid:
        raise Refused(Refusal.WRONG_TRANSACTION_UID)


def _in_state(workitem: Workitem, state: StepState) -> Workitem:
    dataset = workitem.dataset | {STATE: _element("CS", state.value)}
    return replace(workitem, state=state, dataset=dataset)


def _with_reason(workitem: Workitem, information: Dataset, now: int) -> Workitem:
    """Fill in when a workitem was canceled, and why, where its performer has not said.

    Source: PS3.4 Table CC.2.5-3; the note at the Performed Procedure Sequence.
    """
    sequence = workitem.dataset.get(PROGRESS, {}).get("Value") or [{}]
    progress = dict(sequence[0])
    if not is_filled(progress.get(CANCELED_AT)):
        progress[CANCELED_AT] = _element("DT", date_time(now))
    if not is_filled(progress.get(DISCONTINUATION)):
        given = information.get(DISCONTINUATION)
        unspecified = {"vr": "SQ", "Value": [UNSPECIFIED_REASON]}
        progress[DISCONTINUATION] = given if given and is_filled(given) else unspecified
    if is_filled(information.get(REASON)) and not is_filled(progress.get(REASON)):
        progress[REASON] = information[REASON]
    element = {"vr": "SQ", "Value": [_sorted(progress), *sequence[1:]]}
    return replace(workitem, dataset=_sorted(workitem.dataset | {PROGRESS: element}))


# --- reports (PS3.4 Table CC.2.4-1)


def state_report(workitem: Workitem) -> Report:
    """Of a workitem's state and the readiness of its input."""
    kept = [STATE, READINESS]
    information = {tag8: workitem.dataset[tag8] for tag8 in kept if tag8 in workitem.dataset}
    if workitem.state is StepState.CANCELED:
        progress = _progress_item(workitem.dataset)
        information |= {
            tag8: progress[tag8] for tag8 in (REASON, DISCONTINUATION) if tag8 in progress
        }
    return Report(EventKind.STATE_REPORT, _sorted(information))


def progress_report(workitem: Workitem) -> Report:
    """Of how far the work is."""
    sequence = workitem.dataset.get(PROGRESS, {"vr": "SQ"})
    return Report(EventKind.PROGRESS_REPORT, {PROGRESS: sequence})


def _cancel_report(information: Dataset, requesting_ae: str) -> Report:
    kept = (REASON, DISCONTINUATION, *CONTACTS)
    told = {tag8: information[tag8] for tag8 in kept if is_filled(information.get(tag8))}
    told[REQUESTING_AE] = _element("AE", requesting_ae)
    return Report(EventKind.CANCEL_REQUESTED, _sorted(told))


def status_report(*, is_going_down: bool) -> Report:
    """Of ourselves; lists survive a restart."""
    status = "GOING DOWN" if is_going_down else "RESTARTED"
    information = {
        "00741242": _element("CS", status),
        "00741244": _element("CS", "WARM START"),
        "00741246": _element("CS", "WARM START"),
    }
    return Report(EventKind.SCP_STATUS_CHANGE, information)


def assignment(dataset: Dataset) -> Dataset:
    """Who is to do the work, as an assignment is reported."""
    found = {}
    if is_filled(dataset.get(STATION_NAME)):
        found[STATION_NAME] = dataset[STATION_NAME]
    performers = dataset.get(HUMAN_PERFORMERS, {}).get("Value") or []
    codes = [
        code for each in performers for code in each.get(PERFORMER_CODE, {}).get("Value") or []
    ]
    organizations = [
        name
        for each in performers
        for name in each.get(PERFORMER_ORGANIZATION, {}).get("Value") or []
    ]
    if codes:
        found[PERFORMER_CODE] = {"vr": "SQ", "Value": codes}
    if organizations:
        found[PERFORMER_ORGANIZATION] = {"vr": "LO", "Value": organizations[:1]}
    return _sorted(found)


def _progress_item(dataset: Dataset) -> Dataset:
    items: list[Dataset] = dataset.get(PROGRESS, {}).get("Value") or [{}]
    return items[0]


def _progress(dataset: Dataset) -> list[Element | None]:
    item = _progress_item(dataset)
    return [item.get(tag8) for tag8 in PROGRESS_PARTS]


# --- values


def date_time(now: int) -> str:
    """A time as a DT value, in UTC."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=now)
    return f"{moment:%Y%m%d%H%M%S.%f}+0000"


def parse_state(text: str) -> StepState:
    """Raises: Malformed."""
    try:
        return StepState(text)
    except ValueError:
        names = ", ".join(each.value for each in StepState if each is not StepState.SCHEDULED)
        raise Malformed(f"ProcedureStepState is none of {names}") from None


def _element(vr: str, value: object) -> Element:
    return {"vr": vr, "Value": [value]}


def _first(element: Element | None) -> object:
    found = element.get("Value") if element else None
    return found[0] if found else None


def _sorted(dataset: Dataset) -> Dataset:
    return dict(sorted(dataset.items()))
