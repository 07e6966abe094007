"""What is shown of a removal: to who looks for it, and to who looks for what it took."""

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from isocenter.archive.removals import CODES, may_remove
from isocenter.storage.removal_records import Removal
from isocenter.ui.page import render
from isocenter.ui.worklist import StudyRow, row_of

PATH: Final = "/administration/removed"


@dataclass(frozen=True, slots=True)
class RemovalRow:
    """A removal as the pages show it."""

    removal: Removal
    studies: list[StudyRow]
    code: str
    """The meaning of its code; empty if it has none."""


def removal_row(removal: Removal) -> RemovalRow:
    """Say of a removal what is shown."""
    studies = [row_of(each) for each in removal.studies]
    return RemovalRow(removal, studies, CODES.get(removal.code, ""))


def shown(request: Request, removal: Removal, *, status: int = 200, wrong: str = "") -> Response:
    """The page of a removal; for what is not there any more, with status 410."""
    context = {
        "row": removal_row(removal),
        "may": may_remove(request.app.state.config),
        "wrong": wrong,
        "is_gone": status == 410,
    }
    return render(request, "removal.html", context, status=status)
