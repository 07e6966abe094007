"""The URLs of our resources, as whoever asks reaches them (PS3.18 10.1.1, 12.1.1)."""

from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request

from isocenter.dicom.identity import may_be_uid
from isocenter.dicomweb.non_patient import CATEGORIES
from isocenter.storage.records import InstanceRef
from isocenter.web.addresses import root as root


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
