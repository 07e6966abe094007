"""The Worklist Service: workitems are made, read, changed (PS3.18 11.4 to 11.8)."""

import re
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from isocenter.archive.workitems import (
    REQUESTING_AE,
    SOP_INSTANCE,
    STATE,
    TRANSACTION,
    parse_state,
)
from isocenter.archive.worklist import Worklist
from isocenter.config import Config
from isocenter.dicom.identity import LONGEST_UID
from isocenter.dicom.procedure_step import StepState
from isocenter.dicomweb import (
    addresses,
    subscriptions,
    workitem_answers,
    workitem_payloads,
    workitem_search,
)
from isocenter.dicomweb.negotiation import choose
from isocenter.dicomweb.resources import Method, Parameter, Resource
from isocenter.dicomweb.workitem_answers import refusing, warn
from isocenter.errors import Malformed
from isocenter.storage.workitem_records import Dataset

_UID: Final = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")


async def create(request: Request) -> Response:
    """POST /workitems (PS3.18 11.4)."""
    dataset = await workitem_payloads.read(request)
    named = _parameter(request, "workitem", "AffectedSOPInstanceUID")
    uid = _agreed(named, _text(dataset, SOP_INSTANCE), "workitem UID")
    if not uid:
        raise Malformed("the workitem UID is missing: give it as ?workitem=UID or in the data set")
    with refusing(request, workitem_answers.ON_CREATE):
        is_modified = await _worklist(request).create(uid, dataset)
    location = f"{addresses.root(request)}/workitems/{quote(uid)}"
    response = Response(
        status_code=201, headers={"Location": location, "Content-Location": location}
    )
    if is_modified:
        warn(request, response, workitem_answers.CREATED_MODIFIED)
    return response


async def retrieve(request: Request) -> Response:
    """GET /workitems/{workitem} (PS3.18 11.5)."""
    chosen = choose(request, workitem_payloads.OFFERS)
    uid = addresses.uid(request, "workitem")
    with refusing(request, {}):
        dataset = await _worklist(request).retrieve(uid)
    response = workitem_payloads.answer(chosen, dataset)
    response.headers["Content-Location"] = f"{addresses.root(request)}/workitems/{quote(uid)}"
    response.headers["Cache-Control"] = "no-cache"
    return response


async def update(request: Request) -> Response:
    """POST /workitems/{workitem} (PS3.18 11.6)."""
    uid = addresses.uid(request, "workitem")
    changes = await workitem_payloads.read(request)
    named = _parameter(request, "transaction-uid", "transaction_uid")
    transaction = _agreed(named, _text(changes, TRANSACTION), "Transaction UID")
    with refusing(request, workitem_answers.ON_UPDATE):
        updated = await _worklist(request).update(uid, changes, transaction)
    location = f"{addresses.root(request)}/workitems/{quote(uid)}"
    response = Response(headers={"Content-Location": location})
    if updated.is_modified:
        warn(request, response, workitem_answers.UPDATED_MODIFIED)
    return response


async def change_state(request: Request) -> Response:
    """PUT /workitems/{workitem}/state (PS3.18 11.7)."""
    uid = addresses.uid(request, "workitem")
    given = await workitem_payloads.read(request)
    text = _text(given, STATE)
    if not text:
        raise Malformed("ProcedureStepState is missing")
    state = parse_state(text)
    transaction = _agreed("", _text(given, TRANSACTION), "Transaction UID")
    with refusing(request, workitem_answers.ON_CHANGE_OF_STATE):
        changed = await _worklist(request).change_state(uid, state, transaction)
    response = Response()
    if changed.was_so:
        is_canceled = state is StepState.CANCELED
        already = workitem_answers.ALREADY_CANCELED, workitem_answers.ALREADY_COMPLETED
        warn(request, response, already[0 if is_canceled else 1])
    return response


async def request_cancellation(request: Request) -> Response:
    """POST /workitems/{workitem}/cancelrequest (PS3.18 11.8)."""
    config: Config = request.app.state.config
    uid = addresses.uid(request, "workitem")
    information = await workitem_payloads.read(request, is_optional=True)
    asking = _text(information, REQUESTING_AE) or config.aet
    with refusing(request, workitem_answers.ON_CANCELLATION):
        changed = await _worklist(request).request_cancellation(uid, information, asking)
    response = Response(status_code=202)
    if changed.was_so:
        warn(request, response, workitem_answers.ALREADY_CANCELED)
    return response


def _worklist(request: Request) -> Worklist:
    worklist: Worklist = request.app.state.archive.worklist
    return worklist


def _parameter(request: Request, *names: str) -> str:
    """A UID in the query: as ``name=UID`` or, as the standard's templates have it, alone."""
    found = ""
    for name, value in parse_qsl(request.scope["query_string"].decode("latin-1"), True):
        if name in names:
            found = value
        elif not value and name[:1].isdigit():
            found = name
    return found


def _agreed(first: str, second: str, name: str) -> str:
    """The one that is given; if both are, they must agree. Raises: Malformed."""
    if first and second and first != second:
        raise Malformed(f"the {name} in the query and in the data set differ")
    uid = first or second
    if uid and (len(uid) > LONGEST_UID or not _UID.fullmatch(uid)):
        raise Malformed(f"the {name} is not a UID")
    return uid


def _text(dataset: Dataset, tag8: str) -> str:
    values: list[Any] = dataset.get(tag8, {}).get("Value") or [""]
    if len(values) > 1 or not isinstance(values[0], str):
        raise HTTPException(400, f"{tag8} has one value, a text")
    return values[0].strip(" \0")


# --- the resources

_BAD_PAYLOAD: Final = {
    413: f"the body has more than {workitem_payloads.LARGEST} bytes",
    415: "the body is of a media type that is not read",
}
_NOT_THERE: Final = {404: "there is no such workitem", 410: "the workitem has been removed"}

RESOURCES: tuple[Resource, ...] = (
    *subscriptions.RESOURCES,
    Resource(
        name="Workitem State",
        path="/workitems/{workitem}/state",
        methods={
            "PUT": Method(
                transaction="Change Workitem State",
                source="PS3.18 11.7",
                endpoint=change_state,
                takes=workitem_payloads.TAKES,
                statuses={
                    200: "the state was changed; or it was so already, which a warning tells",
                    400: "the Transaction UID is missing or incorrect, or the payload is",
                    409: "the workitem's state, or what it lacks for a final state, forbids it",
                    **_NOT_THERE,
                    **_BAD_PAYLOAD,
                },
            )
        },
    ),
    Resource(
        name="Workitem Request Cancellation",
        path="/workitems/{workitem}/cancelrequest",
        methods={
            "POST": Method(
                transaction="Request Cancellation",
                source="PS3.18 11.8",
                endpoint=request_cancellation,
                takes=workitem_payloads.TAKES,
                statuses={
                    202: "canceled if nobody had claimed it; else its subscribers were told",
                    400: "the payload is not well formed",
                    409: "the workitem is completed",
                    **_NOT_THERE,
                    **_BAD_PAYLOAD,
                },
            )
        },
    ),
    Resource(
        name="Workitem",
        path="/workitems/{workitem}",
        methods={
            "GET": Method(
                transaction="Retrieve Workitem",
                source="PS3.18 11.5",
                endpoint=retrieve,
                gives=workitem_payloads.GIVES,
                statuses={
                    200: "the workitem, without its Transaction UID",
                    406: "none of the accepted media types can be given",
                    **_NOT_THERE,
                },
                parameters=(Parameter(name="accept", source="PS3.18 8.3.3.1"),),
            ),
            "POST": Method(
                transaction="Update Workitem",
                source="PS3.18 11.6",
                endpoint=update,
                takes=workitem_payloads.TAKES,
                statuses={
                    200: "the attributes were set",
                    400: "the workitem is completed or canceled, the Transaction UID is missing or"
                    " incorrect, or attributes may not be set so",
                    409: "a Transaction UID was given, but nobody has claimed the workitem",
                    **_NOT_THERE,
                    **_BAD_PAYLOAD,
                },
                parameters=(Parameter(name="transaction-uid", source="PS3.18 11.6.1.2"),),
            ),
        },
    ),
    Resource(
        name="All Workitems",
        path="/workitems",
        methods={
            "GET": workitem_search.METHOD,
            "POST": Method(
                transaction="Create Workitem",
                source="PS3.18 11.4",
                endpoint=create,
                takes=workitem_payloads.TAKES,
                statuses={
                    201: "the workitem is on the worklist; Location says where",
                    400: "attributes are missing or not as they must be; all faults are told",
                    409: "there is, or was, a workitem with this UID",
                    **_BAD_PAYLOAD,
                },
                parameters=(Parameter(name="workitem", source="PS3.18 11.4.1.1"),),
            ),
        },
    ),
)
