"""Opening a study in a viewer: those that the settings name.

Links on pages lead to us; only here, when one is followed, the viewer's own URL is made: it has our
URL in it as the reader sees it, and what the reader's page need not know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from isocenter.config import Config
from isocenter.ui import asking
from isocenter.ui.formats import text_of
from isocenter.viewers import KNOWN, Template
from isocenter.web import addresses

OHIF: Final = "ohif"
_ASKED: Final = {"patient": 0x00100020, "issuer": 0x00100021, "accession": 0x00080050}


@dataclass(frozen=True, slots=True)
class Choice:
    """A viewer of the menu."""

    key: str
    """What it is called in our URLs."""
    name: str


def choices(request: Request) -> list[Choice]:
    """What a reader may choose from: what the settings name, OHIF only where it is installed."""
    config: Config = request.app.state.config
    found = []
    for each in config.ui.viewers:
        if each == OHIF and not request.app.state.has_ohif():
            continue
        name = KNOWN[each] if each in KNOWN else Template.read(each).name
        found.append(Choice(each if each in KNOWN else name, name))
    return found


def in_ohif(studies: Sequence[str]) -> str:
    """Where OHIF shows studies."""
    return f"/ohif/viewer?{urlencode({'StudyInstanceUIDs': ','.join(studies)}, safe=',')}"


def in_weasis(base: str, **asked: str) -> str:
    """What makes Weasis fetch the manifest of what is ``asked`` for, and show it."""
    manifest = f"{base}/weasis/manifest?{urlencode(asked, quote_via=quote)}"
    command = f'$dicom:get -w "{manifest}"'
    return f"weasis://{quote(command, safe='')}"


def in_weasis_over_dicomweb(base: str, **asked: str) -> str:
    """What makes Weasis search and fetch by itself what is ``asked`` for."""
    command = f'$dicom:rs --url "{base}/dicom-web" -r "{urlencode(asked, quote_via=quote)}"'
    return f"weasis://{quote(command, safe='')}"


def in_slicer(base: str, study: str) -> str:
    """What makes 3D Slicer fetch a study and show it."""
    asked = {"studyUID": study, "dicomweb_endpoint": f"{base}/dicom-web"}
    return f"slicer://viewer/?{urlencode(asked, quote_via=quote, safe='')}"


async def lead(request: Request) -> Response:
    """GET /studies/{study}/open/{viewer}: on to the viewer.

    Raises: NotFound; HTTPException 404; Conflict, where several patients have its UID.
    """
    uid = asking.uid_of(request, "study")
    key = request.path_params["viewer"]
    if key not in {each.key for each in choices(request)}:
        raise HTTPException(404, "there is no such viewer here: see the setting [ui] viewers")
    # Of several patients with this UID none may be named: viewers show all their images as one's.
    study = await asking.archive_of(request).corrections.study(uid)
    return moved(_address(request, key, uid, study.attributes))


def moved(url: str) -> Response:
    """Send a browser elsewhere; ``url`` is a URL already, which may be of another program."""
    answer = RedirectResponse("/", 303)
    answer.headers["location"] = url
    return answer


def _address(request: Request, key: str, uid: str, study: Mapping[str, Any]) -> str:
    base = addresses.root(request)
    if key == OHIF:
        return in_ohif([uid])
    if key == "weasis":
        return in_weasis(base, studyUID=uid)
    if key == "weasis-dicomweb":
        return in_weasis_over_dicomweb(base, studyUID=uid)
    if key == "slicer":
        return in_slicer(base, uid)
    config: Config = request.app.state.config
    others = [Template.read(each) for each in config.ui.viewers if each not in KNOWN]
    template = next(each for each in others if each.name == key)
    values = {name: text_of(dict(study), tag) for name, tag in _ASKED.items()}
    ours = {"base": base, "dicomweb": f"{base}/dicom-web", "wado": f"{base}/wado"}
    return template.filled({"study": uid, **values, **ours})


ROUTES = (Route("/studies/{study}/open/{viewer}", lead, name="open"),)
