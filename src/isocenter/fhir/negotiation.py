"""In which format an answer is given: JSON, by whatever name it is asked for."""

from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request

from isocenter.fhir.outcomes import MEDIA_TYPE
from isocenter.fhir.releases import Release
from isocenter.web.media_types import MediaType

FORMATS: Final = (MEDIA_TYPE, "application/json")
# What _format also may say; text/json is from before R3, and clients still send it.
_NAMES: Final = {
    "json": MEDIA_TYPE,
    "text/json": MEDIA_TYPE,
    **{each: each for each in FORMATS},
}


def chosen(request: Request, wanted: str | None, release: Release) -> str:
    """The media type to answer in; ``wanted``: what ``_format`` says.

    Raises: HTTPException 406.
    """
    if wanted:
        # A plus sign in a URL stands for a space.
        name = wanted.split(";")[0].strip().lower().replace(" ", "+")
        if name not in _NAMES:
            raise _refusal(release)
        return _NAMES[name]
    header = ", ".join(request.headers.getlist("accept")).strip()
    if not header:
        return MEDIA_TYPE
    ranges = [each for each in MediaType.parse_list(header) if each.q and _is_of(each, release)]
    found = [name for name in FORMATS if any(_meets(each, name) for each in ranges)]
    if not found:
        raise _refusal(release)
    return found[0]


def _is_of(accepted: MediaType, release: Release) -> bool:
    return accepted.parameters.get("fhirversion", release.short) == release.short


def _meets(accepted: MediaType, name: str) -> bool:
    return accepted.type in (name, "*/*", "application/*", "text/json")


def _refusal(release: Release) -> HTTPException:
    listed = ", ".join(FORMATS)
    return HTTPException(406, f"here is {release.name} in JSON only: {listed}")
