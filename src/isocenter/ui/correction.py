"""Correcting patient data: a form, what it would come to, and what was corrected before."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from isocenter.archive import correction
from isocenter.archive.correction import FIELDS, OF_PATIENT, Field, Line
from isocenter.errors import Conflict, Malformed, NotFound
from isocenter.storage.corrections import Correction
from isocenter.storage.records import Match
from isocenter.ui import asking, forms
from isocenter.ui.page import render
from isocenter.ui.worklist import row_of

SCOPES: Final = {"study": "Only this study", "patient": "All studies of this patient"}
"""What is corrected, and English texts that say so; the catalogs have the others."""
SEXES: Final = ("", "F", "M", "O")
LATE: Final = "Nothing was corrected yet: something changed meanwhile. Look at it again."
ALREADY: Final = "It says this already: somebody was quicker, or this was sent twice."
"""English texts; the catalogs have the others."""
_SINGLE_WORDS: Final = frozenset({"scope", "of", "seen", "step", "reason"})


@dataclass(frozen=True, slots=True)
class FieldRow:
    """A field of the form."""

    field: Field
    before: str
    entered: str

    @property
    def is_of_patient(self) -> bool:
        """It may be corrected for all studies of a patient."""
        return self.field.tag8 in OF_PATIENT

    @property
    def is_changed(self) -> bool:
        """What stands in it is another value."""
        return self.before != self.entered


@dataclass(frozen=True, slots=True)
class Entry:
    """A correction of the history."""

    correction: Correction
    lines: list[Line]

    @property
    def at(self) -> str:
        """When it was made."""
        return _time(self.correction.corrected_at)

    @property
    def revoked_at(self) -> str:
        """When it was undone; empty while it is in force."""
        return _time(self.correction.revoked_at) if self.correction.revoked_at else ""


async def show(request: Request) -> Response:
    """GET /studies/{study}/correct: the form. Raises: Denied, NotFound, Conflict."""
    study = await _study(request, request.query_params.get("of", ""))
    shown = await asking.archive_of(request).corrections.shown(study)
    return _form(request, study, shown, shown)


async def take(request: Request) -> Response:
    """POST /studies/{study}/correct: show what it would come to, or do it."""
    entered, said = await _sent(request)
    corrections = asking.archive_of(request).corrections
    try:
        study = await _study(request, said.get("of", ""))
    except NotFound:
        if not said.get("seen"):
            raise
        return await _moved(request, entered, said)
    shown = await corrections.shown(study)
    is_of_patient = said.get("scope") == "patient"
    step = said.get("step", "preview")
    if step == "edit":
        return _form(request, study, shown, {**shown, **entered}, said)
    late = ""
    try:
        if not said.get("reason", "").strip():
            raise Malformed("a reason is needed")
        if step == "apply":
            try:
                await corrections.correct(
                    study,
                    entered,
                    is_of_patient=is_of_patient,
                    reason=said["reason"],
                    by=request.client.host if request.client else "",
                    seen=said.get("seen", ""),
                )
                return RedirectResponse(_back(request), 303)
            except Conflict:
                late = LATE
        preview = await corrections.preview(study, entered, is_of_patient=is_of_patient)
    except Malformed as error:
        is_late = isinstance(error, correction.Unchanged) and bool(said.get("seen"))
        wrong, status = (ALREADY, 409) if is_late else (str(error), 400)
        entered = {**shown, **entered}
        return _form(request, study, shown, entered, said, wrong=wrong, status=status)
    context = {
        **_common(study),
        "preview": preview,
        "wrong": late,
        "joined": None if preview.joined is None else row_of(preview.joined.attributes),
        "sent": [*entered.items(), *((name, said.get(name, "")) for name in ("scope", "reason"))],
        "reason": said["reason"],
    }
    return render(request, "correction_preview.html", context, status=409 if late else 200)


async def _moved(request: Request, entered: Mapping[str, str], said: Mapping[str, str]) -> Response:
    """Show what is there now of a study that was moved while somebody was about to correct it.

    What was entered was meant for who had it then: nothing of it is taken over. Raises: NotFound,
    Conflict.
    """
    study = await _study(request, "")
    shown = await asking.archive_of(request).corrections.shown(study)
    is_so = all(
        field.is_untouched(entered[field.keyword], shown[field.keyword])
        for field in FIELDS
        if field.keyword in entered
    )
    wrong = ALREADY if is_so else LATE
    return _form(request, study, shown, shown, said, wrong=wrong, status=409)


async def undo(request: Request) -> Response:
    """POST /studies/{study}/corrections/undo: revoke one. Raises: Denied, NotFound."""
    correction.refuse_if_forbidden(request.app.state.config)
    sent = dict(await forms.fields(request))
    by = request.client.host if request.client else ""
    await asking.archive_of(request).corrections.revoke(sent.get("action", ""), by)
    return RedirectResponse(_back(request), 303)


async def history(request: Request, study: Match) -> dict[str, Any]:
    """Give what a study's page shows of its corrections."""
    found = await asking.archive_of(request).corrections.history(study)
    return {
        "corrections": [Entry(each, correction.lines(each)) for each in found],
        "may_correct": correction.is_allowed(request.app.state.config),
    }


async def _study(request: Request, handle: str) -> Match:
    correction.refuse_if_forbidden(request.app.state.config)
    uid = asking.uid_of(request, "study")
    return await asking.archive_of(request).corrections.study(uid, handle)


async def _sent(request: Request) -> tuple[dict[str, str], dict[str, str]]:
    """Give what was entered by keyword, and the rest of the form. Raises: HTTPException 400."""
    fields = await forms.fields(request)
    said = {name: value for name, value in fields if name in _SINGLE_WORDS}
    entered = [(name, value) for name, value in fields if name not in _SINGLE_WORDS]
    try:
        return correction.named(entered), said
    except Malformed as error:
        raise HTTPException(400, str(error)) from error


def _form(
    request: Request,
    study: Match,
    shown: Mapping[str, str],
    entered: Mapping[str, str],
    said: Mapping[str, str] | None = None,
    *,
    wrong: str = "",
    status: int = 200,
) -> Response:
    said = said or {}
    context = {
        **_common(study),
        "rows": [
            FieldRow(each, shown[each.keyword], _edited(each, entered[each.keyword]))
            for each in FIELDS
        ],
        "scopes": SCOPES,
        "scope": said.get("scope", "study"),
        "reason": said.get("reason", ""),
        "sexes": SEXES,
        "wrong": wrong,
    }
    return render(request, "correction.html", context, status=status)


def _edited(field: Field, text: str) -> str:
    """A date as it is edited: as fields for dates want it, if it is one."""
    is_date = field.vr == "DA" and len(text) == 8 and text.isdigit()
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if is_date else text


def _common(study: Match) -> dict[str, Any]:
    return {"study": row_of(study.attributes), "handle": study.study}


def _back(request: Request) -> str:
    """The study's page, where its corrections are."""
    return f"/studies/{quote(asking.uid_of(request, 'study'), safe='')}#corrections"


def _time(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1_000_000, UTC):%Y-%m-%d %H:%M} UTC"


ROUTES = (
    Route("/studies/{study}/correct", show, name="correct"),
    Route("/studies/{study}/correct", take, methods=["POST"], name="correcting"),
    Route("/studies/{study}/corrections/undo", undo, methods=["POST"], name="undo-correction"),
)
