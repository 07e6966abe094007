"""DELETE on a study, a series, an instance: removal, which can be undone for a time.

PS3.18 has no such transaction. Other archives do, with these paths and these answers.
"""

from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from isocenter.archive.archive import Archive
from isocenter.archive.removals import refuse_if_forbidden
from isocenter.dicomweb import targets
from isocenter.dicomweb.non_patient import CATEGORIES
from isocenter.dicomweb.resources import Endpoint, Method, Resource
from isocenter.storage.records import Selection


async def remove(request: Request) -> Response:
    """DELETE /studies/{study} and below. Raises: Denied, Malformed, NotFound, Conflict."""
    refuse_if_forbidden(request.app.state.config)
    uids = request.path_params
    if not await _removed(request, targets.selection_of(uids)):
        raise targets.absent(uids)
    return Response(status_code=204)


def of_no_patient(category: str) -> Endpoint:
    """Return the endpoint of DELETE /{npi-name}/{uid} for one category."""

    async def remove_one(request: Request) -> Response:
        refuse_if_forbidden(request.app.state.config)
        found = await targets.of_no_patient(request, category)
        await _removed(request, Selection(instances=(found.sop_instance_uid,)))
        return Response(status_code=204)

    return remove_one


async def _removed(request: Request, selection: Selection) -> int:
    archive: Archive = request.app.state.archive
    by = request.client.host if request.client else ""
    removed = await archive.removals.remove(selection, who=f"DICOMweb {by}".rstrip())
    return removed.instances


_STATUSES: Final = {
    204: "it is removed, with all below it",
    400: "a UID is not well formed",
    403: "the settings forbid it",
    404: "there is no such thing",
    409: "several patients have that study or series: name series or instances of one",
    503: "the index or the disk cannot be written",
}


_OF_ONE: Final = {number: when for number, when in _STATUSES.items() if number != 409}


def _method(endpoint: Endpoint, statuses: Mapping[int, str] = _STATUSES) -> Method:
    return Method(
        transaction="Remove", source="beyond PS3.18", endpoint=endpoint, statuses=statuses
    )


def _resource(name: str, path: str, statuses: Mapping[int, str] = _STATUSES) -> Resource:
    return Resource(name=name, path=path, methods={"DELETE": _method(remove, statuses)})


RESOURCES: Final[tuple[Resource, ...]] = (
    _resource("Instance", "/studies/{study}/series/{series}/instances/{instance}", _OF_ONE),
    _resource("Series Instances", "/studies/{study}/series/{series}"),
    _resource("Study Instances", "/studies/{study}"),
    *(
        Resource(
            name=f"Instance of {name}",
            path=f"/{name}/{{uid}}",
            methods={"DELETE": _method(of_no_patient(name), _OF_ONE)},
        )
        for name in CATEGORIES
    ),
)
