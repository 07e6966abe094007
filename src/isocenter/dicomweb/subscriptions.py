"""Subscriptions to workitems and to the worklist (PS3.18 11.10 to 11.12)."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qsl, quote

from starlette.requests import Request
from starlette.responses import Response

from isocenter.address import ae_title
from isocenter.archive.worklist import Worklist
from isocenter.dicom.procedure_step import FILTERED_WORKLIST, WORKLIST
from isocenter.dicomweb import addresses, notifications, search_parameters
from isocenter.dicomweb.resources import Method, Parameter, Resource
from isocenter.dicomweb.workitem_answers import refusing
from isocenter.errors import Malformed
from isocenter.storage.query import Key
from isocenter.storage.workitem_search import KNOWN


async def subscribe(request: Request) -> Response:
    """POST /workitems/{workitem}/subscribers/{aetitle} (PS3.18 11.10)."""
    ae, given = _ae(request), _parameters(request)
    is_locking = _is_locking(given)
    with refusing(request, {}):
        await _worklist(request).subscribe(
            addresses.uid(request, "workitem"), ae, is_locking=is_locking
        )
    return _subscribed(request, ae)


async def subscribe_to_worklist(request: Request) -> Response:
    """POST /workitems/1.2.840.10008.5.1.4.34.5/subscribers/{aetitle}."""
    ae, given = _ae(request), _parameters(request)
    await _worklist(request).subscribe_to_all(ae, keys=None, is_locking=_is_locking(given))
    return _subscribed(request, ae)


async def subscribe_to_filter(request: Request) -> Response:
    """POST /workitems/1.2.840.10008.5.1.4.34.5.1/subscribers/{aetitle}?filter=."""
    ae, given = _ae(request), _parameters(request)
    keys = _keys(given.get("filter", ""))
    await _worklist(request).subscribe_to_all(ae, keys=keys, is_locking=_is_locking(given))
    return _subscribed(request, ae)


async def unsubscribe(request: Request) -> Response:
    """DELETE /workitems/{workitem}/subscribers/{aetitle} (PS3.18 11.11)."""
    with refusing(request, {}):
        await _worklist(request).unsubscribe(addresses.uid(request, "workitem"), _ae(request))
    return Response()


async def unsubscribe_from_worklist(request: Request) -> Response:
    """DELETE of the subscription to the worklist: ends all others as well (PS3.4 CC.2.3.1)."""
    await _worklist(request).unsubscribe_from_all(_ae(request), is_filtered=False)
    return Response()


async def unsubscribe_from_filter(request: Request) -> Response:
    """DELETE of the filtered subscription, with those it made."""
    await _worklist(request).unsubscribe_from_all(_ae(request), is_filtered=True)
    return Response()


async def suspend(request: Request) -> Response:
    """POST …/subscribers/{aetitle}/suspend (PS3.18 11.12)."""
    await _worklist(request).suspend(_ae(request), is_filtered=False)
    return Response()


async def suspend_filter(request: Request) -> Response:
    """POST …/subscribers/{aetitle}/suspend of the filtered subscription."""
    await _worklist(request).suspend(_ae(request), is_filtered=True)
    return Response()


def _worklist(request: Request) -> Worklist:
    worklist: Worklist = request.app.state.archive.worklist
    return worklist


def _ae(request: Request) -> str:
    return ae_title(request.path_params["aetitle"])


def _subscribed(request: Request, ae: str) -> Response:
    """Tell where the events are sent (PS3.18 11.10.3.2)."""
    root = addresses.root(request).replace("http", "ws", 1)
    location = f"{root}{notifications.PATH.format(aetitle=quote(ae, safe=''))}"
    return Response(status_code=201, headers={"Content-Location": location})


def _parameters(request: Request) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in parse_qsl(request.scope["query_string"].decode("latin-1"), True):
        if name in found:
            raise Malformed(f"{name[:64]!a} is given twice")
        found[name] = value
    return found


def _is_locking(given: dict[str, str]) -> bool:
    value = given.get("deletionlock", "false").lower()
    if value not in {"true", "false"}:
        raise Malformed("deletionlock is true or false")
    return value == "true"


def _keys(text: str) -> tuple[Key, ...]:
    """The keys of a filter. Raises: Malformed; it must not let everything through unnoticed."""
    query = "&".join(f"{quote(name)}={quote(value)}" for name, value in _pairs(text))
    asked = search_parameters.read(query.encode(), KNOWN)
    if asked.ignored:
        raise Malformed(f"the filter has what is no key of workitems: {asked.ignored[0][:64]!a}")
    if not asked.keys:
        raise Malformed("the filter is missing: give it as ?filter=Attribute=value,…")
    return asked.keys


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Attributes and values; a part without an equals sign belongs to the value before it."""
    pairs: list[list[str]] = []
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        if equals or not pairs:
            pairs.append([name.strip(), value])
        else:
            pairs[-1][1] += f",{part}"
    return ((name, value) for name, value in pairs)


# --- the resources

_LOCK: Final = Parameter(name="deletionlock", source="PS3.18 11.10.1.2")
_FILTER: Final = Parameter(name="filter", source="PS3.18 11.10.1.2")
_NOT_FOUND: Final = {404: "there is no such subscription"}

RESOURCES: tuple[Resource, ...] = (
    Resource(
        name="Worklist Subscription",
        path=f"/workitems/{WORKLIST}/subscribers/{{aetitle}}",
        methods={
            "POST": Method(
                transaction="Subscribe",
                source="PS3.18 11.10",
                endpoint=subscribe_to_worklist,
                statuses={201: "subscribed to every workitem, there and to come"},
                parameters=(_LOCK,),
            ),
            "DELETE": Method(
                transaction="Unsubscribe",
                source="PS3.18 11.11",
                endpoint=unsubscribe_from_worklist,
                statuses={200: "no subscription of this AE is left", **_NOT_FOUND},
            ),
        },
    ),
    Resource(
        name="Worklist Subscription Suspension",
        path=f"/workitems/{WORKLIST}/subscribers/{{aetitle}}/suspend",
        methods={
            "POST": Method(
                transaction="Suspend Global Subscription",
                source="PS3.18 11.12",
                endpoint=suspend,
                statuses={200: "not subscribed to workitems to come any more", **_NOT_FOUND},
            )
        },
    ),
    Resource(
        name="Filtered Worklist Subscription",
        path=f"/workitems/{FILTERED_WORKLIST}/subscribers/{{aetitle}}",
        methods={
            "POST": Method(
                transaction="Subscribe",
                source="PS3.18 11.10",
                endpoint=subscribe_to_filter,
                statuses={
                    201: "subscribed to every workitem that matches, there and to come",
                    400: "the filter is missing or cannot be read",
                },
                parameters=(_LOCK, _FILTER),
            ),
            "DELETE": Method(
                transaction="Unsubscribe",
                source="PS3.18 11.11",
                endpoint=unsubscribe_from_filter,
                statuses={200: "the subscriptions that the filter made are ended", **_NOT_FOUND},
            ),
        },
    ),
    Resource(
        name="Filtered Worklist Subscription Suspension",
        path=f"/workitems/{FILTERED_WORKLIST}/subscribers/{{aetitle}}/suspend",
        methods={
            "POST": Method(
                transaction="Suspend Global Subscription",
                source="PS3.18 11.12",
                endpoint=suspend_filter,
                statuses={200: "not subscribed to workitems to come any more", **_NOT_FOUND},
            )
        },
    ),
    Resource(
        name="Workitem Subscription",
        path="/workitems/{workitem}/subscribers/{aetitle}",
        methods={
            "POST": Method(
                transaction="Subscribe",
                source="PS3.18 11.10",
                endpoint=subscribe,
                statuses={
                    201: "subscribed; Content-Location says where to listen",
                    404: "there is no such workitem",
                    410: "the workitem has been removed",
                },
                parameters=(_LOCK,),
            ),
            "DELETE": Method(
                transaction="Unsubscribe",
                source="PS3.18 11.11",
                endpoint=unsubscribe,
                statuses={
                    200: "the subscription is ended, its deletion lock released",
                    **_NOT_FOUND,
                    410: "the workitem has been removed",
                },
            ),
        },
    ),
)
