"""Sharing a study by a link: making one, and what links there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from isocenter.archive.shares import LONGEST_LABEL, is_valid
from isocenter.config import Config
from isocenter.storage.shares import Share
from isocenter.ui import asking, forms
from isocenter.ui.page import render
from isocenter.ui.study import series_rows
from isocenter.ui.worklist import row_of
from isocenter.web import addresses

DAY: Final = 24 * 3600
DURATIONS: Final = {
    1: "1 day",
    7: "7 days",
    30: "30 days",
    90: "90 days",
    365: "1 year",
}
"""For how many days a link may be made, and how that is said."""
USUAL: Final = 7

STATES: Final = ("valid", "expired", "revoked")


@dataclass(frozen=True, slots=True)
class ShareRow:
    """A share as a list shows it; times in ISO form, UTC, to the minute."""

    number: int
    study: str
    series: str
    label: str
    created_by: str
    may_download: bool
    created: str
    expires: str
    used: str
    uses: int
    state: str

    @classmethod
    def of(cls, share: Share) -> "ShareRow":
        """What a list shows of a share."""
        return cls(
            share.number,
            share.study_uid,
            share.series_uid,
            share.label,
            share.created_by,
            share.may_download,
            _told(share.created_at),
            _told(share.expires_at),
            _told(share.used_at),
            share.uses,
            "revoked" if share.revoked_at else "valid" if is_valid(share) else "expired",
        )


def _told(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1_000_000, UTC):%Y-%m-%d %H:%M} UTC" if at else ""


async def ask(request: Request) -> Response:
    """GET /studies/{study}/share: the form, and the study's links."""
    return await _page(request)


async def create(request: Request) -> Response:
    """POST /studies/{study}/share: make a link, and show it, this once.

    The answer is the page itself, not the way to one: only here the token can be told.
    """
    given = dict(await forms.fields(request))
    days = next((each for each in _durations(request) if str(each) == given.get("days")), None)
    if days is None:
        raise HTTPException(400, "a link cannot be made for so long")
    archive = asking.archive_of(request)
    series = given.get("series", "")
    if series and not asking.is_uid(series):
        raise HTTPException(400, "that is not a UID")
    token = await archive.shares.create(
        asking.uid_of(request, "study"),
        lifetime=min(days * DAY, _longest(request)),
        series_uid=series,
        label=_text(given, "label"),
        created_by=_text(given, "by"),
        may_download=given.get("download") == "yes",
    )
    return await _page(request, f"{addresses.root(request)}/shared/{token}")


def _text(given: dict[str, str], name: str) -> str:
    text = "".join(each if each.isprintable() else " " for each in given.get(name, "")).strip()
    if len(text) > LONGEST_LABEL:
        raise HTTPException(400, f"more than {LONGEST_LABEL} characters say what it is for")
    return text


def _longest(request: Request) -> float:
    config: Config = request.app.state.config
    return config.ui.longest_share


def _durations(request: Request) -> dict[int, str]:
    """Those up to the longest; the shortest in any case, which then ends sooner."""
    longest = _longest(request)
    return {days: text for days, text in DURATIONS.items() if days == 1 or days * DAY <= longest}


async def _page(request: Request, link: str = "") -> Response:
    archive = asking.archive_of(request)
    uid = asking.uid_of(request, "study")
    study = await asking.study(request)
    context: dict[str, Any] = {
        "study": row_of(study.attributes, study.study),
        "series": await series_rows(archive, study),
        "durations": _durations(request),
        "usual": USUAL,
        "longest_label": LONGEST_LABEL,
        "link": link,
        "rows": _rows(await archive.shares.listed(uid)),
    }
    return render(request, "share.html", context)


def _rows(shares: Sequence[Share]) -> list[ShareRow]:
    return [ShareRow.of(each) for each in shares]


async def listed(request: Request) -> Response:
    """GET /shares: all links, the newest first."""
    shares = await asking.archive_of(request).shares.listed()
    return render(request, "shares.html", {"rows": _rows(shares)})


async def revoke(request: Request) -> Response:
    """POST /shares/{share}/revoke: a link ends now."""
    given = dict(await forms.fields(request))
    number = request.path_params["share"]
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        raise HTTPException(404, "there is no such share")
    await asking.archive_of(request).shares.revoke(int(number))
    study = given.get("study", "")
    back = f"/studies/{study}/share" if study and asking.is_uid(study) else "/shares"
    return RedirectResponse(back, 303)


ROUTES = (
    Route("/studies/{study}/share", ask, name="share"),
    Route("/studies/{study}/share", create, methods=["POST"], name="make a share"),
    Route("/shares", listed, name="shares"),
    Route("/shares/{share}/revoke", revoke, methods=["POST"], name="revoke a share"),
)
