"""Waveforms rendered: as drawings (PS3.18 8.7.4, where the server may have further media types).

A drawing shows the first seconds, at 25 mm/s and 10 mm/mV; the pages have the rest.
"""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from isocenter import __version__
from isocenter.archive.archive import Archive
from isocenter.dicomweb import negotiation
from isocenter.dicomweb.negotiation import Accepted, Offer
from isocenter.dicomweb.rendering_parameters import of_rendered
from isocenter.imaging.waveform_drawing import MEDIA_TYPE
from isocenter.imaging.waveform_strips import Strip
from isocenter.storage.records import InstanceRef
from isocenter.web import conditional
from isocenter.web.conditional import Validator, etag

SVG: Final = MEDIA_TYPE
OFFER: Final = Offer(SVG)
# Names of channels come from who knows where: nothing in a drawing is ever run.
_HARMLESS: Final = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'",
}


async def given(
    request: Request,
    instance: InstanceRef,
    accepted: Accepted | None = None,
    wanted: frozenset[str] | None = None,
) -> Response:
    """Answer with the drawing of ``instance``.

    ``accepted``, ``wanted``: what may be given and which texts are shown, where another service
    than the studies' reads that. Raises: HTTPException 400, 406, 412; NotRendered, Unavailable.
    """
    ranked = (accepted or negotiation.acceptable(request)).ranked((OFFER,))
    if not ranked:
        raise negotiation.not_acceptable((OFFER,))
    if wanted is None:
        wanted = of_rendered(request.query_params, SVG).annotations
    validator = Validator(etag(__version__, SVG, sorted(wanted), instance.state))
    if (settled := conditional.check(request, validator)) is not None:
        return settled
    archive: Archive = request.app.state.archive
    waveforms = archive.renderings.waveforms
    recording = await waveforms.recording(instance)
    drawn = await waveforms.svg(instance, Strip(), recording.told(wanted))
    headers = {"vary": "accept", **validator.headers, **_HARMLESS, "content-type": SVG}
    return Response(drawn, headers=headers)
