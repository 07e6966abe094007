"""The URLs of our resources, as whoever asks reaches them (PS3.18 10.1.1, 12.1.1)."""

from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request

from isocenter.dicom.identity import may_be_uid
from isocenter.dicomweb.non_patient import CATEGORIES


def root(request: Request) -> str:
    """The Base URI of the service (PS3.18 8.2), without a slash at its end.

    Scheme, host and prefix are those of the request: behind a proxy we trust, those that the proxy
    was asked with.
    """
    scope = request.scope
    host = request.headers.get("host")
    if not host:  # HTTP/1.0
        name, port = scope.get("server") or ("localhost", None)
        name = f"[{name}]" if ":" in name else name
        host = name if port is None else f"{name}:{port}"
    return f"{scope['scheme']}://{host}{quote(scope.get('root_path', ''))}"


def study(root: str, study: str) -> str:
    return f"{root}/studies/{quote(study, safe='')}"


def series_of(root: str, study_uid: str, series: str) -> str:
    return f"{study(root, study_uid)}/series/{quote(series, safe='')}"


def instance(root: str, sop_class: str, study_uid: str, series: str, instance: str) -> str:
    """Where an instance is; one without a study, in the category of its SOP class.

    Empty, if it is in none.
    """
    if study_uid:
        return f"{series_of(root, study_uid, series)}/instances/{quote(instance, safe='')}"
    for name, classes in CATEGORIES.items():
        if sop_class in classes:
            return f"{root}/{name}/{quote(instance, safe='')}"
    return ""


def uid(request: Request, name: str) -> str:
    """The UID that the path gives for ``name``; empty, if there is none of that name in it.

    Raises: HTTPException 400.
    """
    given = str(request.path_params.get(name, ""))
    if given and not may_be_uid(given):
        raise HTTPException(400, f"the {name} in the path is not a UID")
    return given
