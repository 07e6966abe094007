"""What the worklist's refusals and warnings are called over HTTP (PS3.18 11.4 to 11.12)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from isocenter.archive.workitems import Refusal, Refused
from isocenter.dicomweb import addresses
from isocenter.storage.workitem_records import Gone

CREATED_MODIFIED: Final = "The Workitem was created with modifications."
UPDATED_MODIFIED: Final = "The Workitem was updated with modifications."
ALREADY_CANCELED: Final = "The UPS is already in the requested state of CANCELED."
ALREADY_COMPLETED: Final = "The UPS is already in the requested state of COMPLETED."
_NOT_CLAIMED: Final = "The target URI did not reference a claimed Workitem."
_INCONSISTENT_UPDATE: Final = (
    "The submitted request is inconsistent with the current state of the Workitem."
)
_MISSING: Final = "The Transaction UID is missing."
_INCORRECT: Final = "The Transaction UID is incorrect."
_INCONSISTENT: Final = "The submitted request is inconsistent with the state of the UPS Instance."

Refusals = Mapping[Refusal, tuple[int, str]]
"""Status code and, where the standard has one, warning."""

ON_CREATE: Refusals = MappingProxyType({Refusal.NOT_CREATED_SCHEDULED: (400, "")})
"""PS3.18 Table 11.4.3-1."""
ON_UPDATE: Refusals = MappingProxyType(
    {
        Refusal.NO_LONGER_UPDATED: (400, _INCONSISTENT_UPDATE),
        Refusal.NO_TRANSACTION_UID: (400, _INCONSISTENT_UPDATE),
        Refusal.WRONG_TRANSACTION_UID: (400, _INCONSISTENT_UPDATE),
        Refusal.NOT_IN_PROGRESS: (409, _NOT_CLAIMED),
    }
)
"""PS3.18 11.6.2, Table 11.6.3-1."""
ON_CHANGE_OF_STATE: Refusals = MappingProxyType(
    {
        Refusal.NO_TRANSACTION_UID: (400, _MISSING),
        Refusal.WRONG_TRANSACTION_UID: (400, _INCORRECT),
        Refusal.ONLY_CREATED_SCHEDULED: (400, _INCONSISTENT),
        Refusal.ALREADY_IN_PROGRESS: (409, _INCONSISTENT),
        Refusal.NO_LONGER_UPDATED: (409, _INCONSISTENT),
        Refusal.NOT_IN_PROGRESS: (409, _INCONSISTENT),
        Refusal.NOT_FINAL: (409, _INCONSISTENT),
    }
)
"""PS3.18 Table 11.7.3-1."""
ON_CANCELLATION: Refusals = MappingProxyType({Refusal.ALREADY_COMPLETED: (409, "")})
"""PS3.18 Table 11.8.3-1."""


@contextmanager
def refusing(request: Request, refusals: Refusals) -> Iterator[None]:
    """Answer what the worklist refuses with the status and warning of the transaction."""
    try:
        yield
    except Gone as error:
        raise HTTPException(410, str(error)) from error
    except Refused as error:
        status, warning = refusals[error.reason]
        headers = {"Warning": _written(request, warning)} if warning else None
        raise HTTPException(status, str(error), headers) from error


def warn(request: Request, response: Response, text: str) -> Response:
    """Add a warning to a response (PS3.18 8.4)."""
    response.headers.append("Warning", _written(request, text))
    return response


def _written(request: Request, text: str) -> str:
    return f"299 {addresses.root(request)}: {text}"
