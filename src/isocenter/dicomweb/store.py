"""Storing instances: STOW-RS, of patients and of none (PS3.18 10.5, 12.5)."""

import logging
from functools import partial
from http import HTTPStatus
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from isocenter.archive.archive import Archive
from isocenter.archive.upload import Expected
from isocenter.config import Config
from isocenter.dicomweb import addresses, apart, intake, metadata_bodies, non_patient
from isocenter.dicomweb.intake import Intake
from isocenter.dicomweb.metadata_bodies import MODELS
from isocenter.dicomweb.negotiation import DICOM, DICOM_JSON, DICOM_XML, Chosen, Offer, choose
from isocenter.dicomweb.receipt import Receipt
from isocenter.dicomweb.resources import Method, Resource
from isocenter.errors import IsocenterError, Malformed
from isocenter.web import bodies
from isocenter.web.addresses import sender
from isocenter.web.media_types import MediaType

log = logging.getLogger(__name__)

ANSWERS: Final = (Offer(DICOM_JSON), Offer(DICOM_XML))
TAKES: Final = (
    *(f'multipart/related; type="{kind}"' for kind in (DICOM, DICOM_JSON, DICOM_XML)),
    *(DICOM, DICOM_JSON, DICOM_XML),
)


async def studies(request: Request) -> Response:
    """POST /studies and /studies/{study} (PS3.18 10.5)."""
    return await _store(request, Expected(study=addresses.uid(request, "study")))


async def non_patient_instances(request: Request, *, name: str) -> Response:
    """POST /{npi-name} and /{npi-name}/{uid} (PS3.18 12.5)."""
    expected = Expected(
        sop_classes=non_patient.sop_classes(name), sop_instance=addresses.uid(request, "uid")
    )
    return await _store(request, expected)


async def _store(request: Request, expected: Expected) -> Response:
    archive: Archive = request.app.state.archive
    config: Config = request.app.state.config
    content_type = _content_type(request)
    answer = choose(request, ANSWERS)
    coming = Intake(archive, expected, sent_by=sender(request), received_by=config.aet)
    broken: Exception | None = None
    try:
        await _take(request, coming, content_type, config)
    except ClientDisconnect:
        return await _without_client(coming)
    except (IsocenterError, HTTPException) as error:
        broken = error
        coming.refuse(Malformed(error.detail) if isinstance(error, HTTPException) else error)
    finally:
        await coming.close()
    receipt = await coming.receipt()
    if broken is not None and not receipt.taken and len(receipt.refused) == 1:
        raise broken
    return await _response(request, receipt, answer, broken, is_npi=bool(expected.sop_classes))


async def _take(request: Request, coming: Intake, content_type: MediaType, config: Config) -> None:
    limits = config.dicomweb
    if content_type.of_parts in MODELS:
        body = bodies.pieces(request, limits.max_store_size)
        if content_type.is_multipart:
            most = limits.max_store_parts
            await apart.take_parts(coming, body, content_type, most, str(request.url))
        else:
            await apart.take_metadata(coming, body, content_type)
        return
    files = bodies.long_pieces(request, limits.max_store_size)
    if content_type.is_multipart:
        await intake.take_parts(coming, files, content_type, limits.max_store_parts)
    else:
        await intake.take_one(coming, files)


async def _without_client(coming: Intake) -> Response:
    """The client left: what was complete is stored, and nobody hears of it."""
    await coming.close()
    receipt = await coming.receipt()
    log.info("client left while storing", extra={"stored": len(receipt.taken)})
    return Response(status_code=HTTPStatus.BAD_REQUEST)


def _content_type(request: Request) -> MediaType:
    """Raises: HTTPException 415; Malformed."""
    given = request.headers.get("content-type")
    if given is None:
        raise _unsupported("there is no Content-Type")
    media_type = MediaType.parse(given)
    kind = media_type.of_parts
    # The type parameter is asked for (PS3.18 8.7.1). Peer quirk: scripts leave it out.
    if kind != DICOM and kind not in MODELS and not (media_type.is_multipart and not kind):
        raise _unsupported(f"{kind[:80]} cannot be stored")
    return media_type


def _unsupported(why: str) -> HTTPException:
    return HTTPException(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        f"{why}; to be stored: {', '.join(TAKES)}",
        bodies.CLOSING,
    )


async def _response(
    request: Request, receipt: Receipt, answer: Chosen, broken: Exception | None, *, is_npi: bool
) -> Response:
    status = receipt.status()
    if is_npi and receipt.taken:  # PS3.18 12.5.3.1: at least one is enough
        status = HTTPStatus.OK
    if isinstance(broken, HTTPException):
        status = HTTPStatus(broken.status_code)
    root = addresses.root(request)
    response = await metadata_bodies.answer(receipt.module(root), answer, status)
    if isinstance(broken, HTTPException) and broken.headers:
        response.headers.update(broken.headers)
    if location := receipt.location(root):
        response.headers["Location"] = response.headers["Content-Location"] = location
    for warning in receipt.warnings():
        response.headers.append("Warning", warning)
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = "5"
    return response


_STATUSES: Final = {
    200: "every instance is stored",
    202: "some are stored, others are not or with a warning: the payload says which",
    400: "the body cannot be read, or nothing in it is a DICOM instance",
    406: "the answer cannot be given in what Accept names",
    408: "the body stopped coming",
    409: "none is stored: the payload says why",
    413: "there is too much in the body; what the payload names is stored",
    415: "the media type or content coding is not one that is stored",
    503: "none is stored, for want of space for instance; may be retried",
}
_STORE = Method(
    transaction="Store",
    source="PS3.18 10.5",
    endpoint=studies,
    statuses=_STATUSES,
    gives=(DICOM_JSON, DICOM_XML),
    takes=TAKES,
)


def _store_non_patient(name: str) -> Method:
    return Method(
        transaction="Store",
        source="PS3.18 12.5",
        endpoint=partial(non_patient_instances, name=name),
        statuses={
            **{number: when for number, when in _STATUSES.items() if number != 202},
            200: "at least one instance is stored: the payload says which",
        },
        gives=(DICOM_JSON, DICOM_XML),
        takes=TAKES,
    )


RESOURCES: Final[tuple[Resource, ...]] = (
    Resource(name="Studies", path="/studies", methods={"POST": _STORE}),
    Resource(name="Study", path="/studies/{study}", methods={"POST": _STORE}),
    *(
        Resource(name=title, path=f"/{name}{rest}", methods={"POST": _store_non_patient(name)})
        for name in non_patient.CATEGORIES
        for title, rest in (("All Instances", ""), ("Instance", "/{uid}"))
    ),
)
