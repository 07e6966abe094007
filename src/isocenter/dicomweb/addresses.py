"""The URLs of our resources, as whoever asks reaches them (PS3.18 10.1.1, 12.1.1)."""

import re
from typing import Final
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request

from isocenter.dicom.identity import may_be_uid
from isocenter.dicomweb.non_patient import CATEGORIES
from isocenter.storage.records import InstanceRef

USUAL_PORTS: Final = {"http": 80, "https": 443}
PORT: Final = re.compile(r":[0-9]+$")
OF_PROXIES: Final = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
                     "x-real-ip")  # fmt: skip


def root(request: Request) -> str:
    """The Base URI of the service (PS3.18 8.2), without a slash at its end.

    Scheme, host and prefix are those of the request: behind a proxy we trust, those that the proxy
    was asked with.
    """
    scope = request.scope
    host = request.headers.get("host")
    name, port = scope.get("server") or ("localhost", None)
    if not host:  # HTTP/1.0
        name = f"[{name}]" if ":" in name else name
        host = name if port is None else f"{name}:{port}"
    elif _lacks_port(request, host) and port not in (None, USUAL_PORTS.get(scope["scheme"])):
        host = f"{host}:{port}"
    return f"{scope['scheme']}://{host}{quote(scope.get('root_path', ''))}"


def _lacks_port(request: Request, host: str) -> bool:
    """Peer quirk: dicomweb-client (Python) leaves the port out of Host.

    A proxy that is asked at a usual port leaves it out, too, and rightly: it is told by its fields.
    """
    return not PORT.search(host) and not any(name in request.headers for name in OF_PROXIES)


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


def of(request: Request, kept: InstanceRef) -> str:
    """Where an instance that is kept is, as ``instance``."""
    return instance(
        root(request),
        kept.sop_class_uid,
        kept.study_instance_uid,
        kept.series_instance_uid,
        kept.sop_instance_uid,
    )


def uid(request: Request, name: str) -> str:
    """The UID that the path gives for ``name``; empty, if there is none of that name in it.

    Raises: HTTPException 400.
    """
    given = str(request.path_params.get(name, ""))
    if given and not may_be_uid(given):
        raise HTTPException(400, f"the {name} in the path is not a UID")
    return given
