"""Storage commitment: Request and Result Check (PS3.18 13.4, 13.5, annex J)."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from isocenter.archive.archive import Archive
from isocenter.archive.commitment import Reference, Verdict
from isocenter.dicom.identity import may_be_uid
from isocenter.dicom.json_model import Dataset
from isocenter.dicomweb import addresses, metadata_bodies
from isocenter.dicomweb.negotiation import DICOM_JSON, DICOM_XML, Chosen, Offer, choose
from isocenter.dicomweb.resources import Method, Resource
from isocenter.errors import Malformed
from isocenter.storage.commitments import Expired
from isocenter.web.media_types import MULTIPART

LARGEST: Final = 64 << 20
"""Bytes of a request: some 200,000 references."""
PATIENCE: Final = 10.0
"""Seconds after which whoever asks is told to come back."""
RETRY_AFTER: Final = 5

ANSWERS: Final = (
    Offer(DICOM_JSON),
    Offer(DICOM_XML),
    Offer(DICOM_JSON, is_multipart=True),
    Offer(DICOM_XML, is_multipart=True),
)
MEDIA_TYPES: Final = (
    DICOM_JSON,
    DICOM_XML,
    f'{MULTIPART}; type="{DICOM_JSON}"',
    f'{MULTIPART}; type="{DICOM_XML}"',
)

CLASS, INSTANCE, REASON = "00081150", "00081155", "00081197"
REFERENCED, FAILED = "00081199", "00081198"
REFERENCED_STUDIES, FAILED_STUDIES = "00081110", "0008119B"
STUDY, SERIES = "0020000D", "0020000E"
SERIES_SEQUENCE, BY_CLASS, INSTANCES = "00081115", "00081112", "0008114A"


async def ask(request: Request) -> Response:
    """POST /commitment-requests/{transaction} (PS3.18 13.4)."""
    archive: Archive = request.app.state.archive
    transaction = _transaction(request)
    chosen = choose(request, ANSWERS)
    modules = await metadata_bodies.read_all(request, LARGEST)
    references = list(dict.fromkeys(each for module in modules for each in references_of(module)))
    if not references:
        raise Malformed("the request refers to no instance")
    verdicts = await archive.commitments.request(transaction, references, PATIENCE)
    return await _answer(verdicts, chosen)


async def check(request: Request) -> Response:
    """GET /commitment-requests/{transaction} (PS3.18 13.5)."""
    archive: Archive = request.app.state.archive
    transaction = _transaction(request)
    chosen = choose(request, ANSWERS)
    try:
        verdicts = await archive.commitments.result(transaction, PATIENCE)
    except Expired as error:
        raise HTTPException(410, str(error)) from error
    return await _answer(verdicts, chosen)


def _transaction(request: Request) -> str:
    """Raises: HTTPException 400."""
    return addresses.uid(request, "transaction")


async def _answer(verdicts: list[Verdict] | None, chosen: Chosen) -> Response:
    if verdicts is None:
        return Response(status_code=202, headers={"Retry-After": str(RETRY_AFTER)})
    return await metadata_bodies.answer(response_module(verdicts), chosen)


def references_of(module: Mapping[str, Any]) -> Iterator[Reference]:
    """Give what a Storage Commitment Request Module refers to (PS3.18 Table J.1-1).

    Raises: Malformed.
    """
    for item in _items(module, REFERENCED):
        yield Reference(_uid(item, CLASS), _uid(item, INSTANCE))
    for study in _items(module, REFERENCED_STUDIES):
        for series in _items(study, SERIES_SEQUENCE):
            for of_class in _items(series, BY_CLASS):
                for item in _items(of_class, INSTANCES):
                    yield Reference(
                        _uid(of_class, CLASS),
                        _uid(item, INSTANCE),
                        _uid(study, STUDY),
                        _uid(series, SERIES),
                    )


def response_module(verdicts: Iterable[Verdict]) -> Dataset:
    """Give a Storage Commitment Response Module (PS3.18 Table J.2-1)."""
    flat: dict[str, list[Dataset]] = {}
    by_study: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        is_failed = verdict.reason is not None
        if verdict.reference.study:
            key = FAILED_STUDIES if is_failed else REFERENCED_STUDIES
            by_study.setdefault(key, []).append(verdict)
        else:
            item = {CLASS: _value("UI", verdict.reference.sop_class)} | _instance(verdict)
            flat.setdefault(FAILED if is_failed else REFERENCED, []).append(item)
    module = {key: _sequence(items) for key, items in flat.items()}
    module |= {key: _sequence(_studies(some)) for key, some in by_study.items()}
    return dict(sorted(module.items()))


def _studies(verdicts: Iterable[Verdict]) -> Iterator[Dataset]:
    tree: dict[str, dict[str, dict[str, list[Dataset]]]] = {}
    for verdict in verdicts:
        each = verdict.reference
        of_series = tree.setdefault(each.study, {}).setdefault(each.series, {})
        of_series.setdefault(each.sop_class, []).append(_instance(verdict))
    for study, series in tree.items():
        items = (_series(uid, by_class) for uid, by_class in series.items())
        yield {SERIES_SEQUENCE: _sequence(items), STUDY: _value("UI", study)}


def _series(uid: str, by_class: Mapping[str, list[Dataset]]) -> Dataset:
    items = (
        {INSTANCES: _sequence(instances), CLASS: _value("UI", sop_class)}
        for sop_class, instances in by_class.items()
    )
    return {BY_CLASS: _sequence(items), SERIES: _value("UI", uid)}


def _instance(verdict: Verdict) -> Dataset:
    item = {INSTANCE: _value("UI", verdict.reference.sop_instance)}
    if verdict.reason is not None:
        item[REASON] = _value("US", int(verdict.reason))
    return item


def _value(vr: str, value: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": [value]}


def _sequence(items: Iterable[Dataset]) -> dict[str, Any]:
    return {"vr": "SQ", "Value": list(items)}


def _items(dataset: Mapping[str, Any], tag8: str) -> list[Mapping[str, Any]]:
    """The items of a sequence; none, if it is not there."""
    found = _values(dataset, tag8)
    if not all(isinstance(item, Mapping) for item in found):
        raise Malformed(f"{tag8} is no sequence")
    return found


def _uid(dataset: Mapping[str, Any], tag8: str) -> str:
    found = _values(dataset, tag8)
    if len(found) != 1 or not isinstance(found[0], str) or not may_be_uid(uid := found[0].strip()):
        raise Malformed(f"{tag8} has to be there with one UID")
    return uid


def _values(dataset: Mapping[str, Any], tag8: str) -> list[Any]:
    attribute = dataset.get(tag8) or {}
    found = attribute.get("Value") if isinstance(attribute, Mapping) else attribute
    if not isinstance(found or [], list):
        raise Malformed(f"{tag8} is not written as the JSON model wants it")
    return found or []


RESOURCES: Final[tuple[Resource, ...]] = (
    Resource(
        name="Storage Commitment Request",
        path="/commitment-requests/{transaction}",
        methods={
            "POST": Method(
                transaction="Request",
                source="PS3.18 13.4",
                endpoint=ask,
                statuses={
                    200: "the payload says what is committed and what is not",
                    202: "still looking: check again after as many seconds as Retry-After says",
                    400: "the request cannot be read, or refers to nothing",
                    406: "the answer cannot be given in what Accept names",
                    409: "the Transaction UID was used before",
                    408: "the body stopped coming",
                    413: "too many references",
                    415: "the media type is none of those taken",
                },
                gives=MEDIA_TYPES,
                takes=MEDIA_TYPES,
            ),
            "GET": Method(
                transaction="Result Check",
                source="PS3.18 13.5",
                endpoint=check,
                statuses={
                    200: "the payload says what is committed and what is not",
                    202: "still looking: check again after as many seconds as Retry-After says",
                    404: "nobody asked with this Transaction UID",
                    406: "the answer cannot be given in what Accept names",
                    410: "the result is not kept any more",
                },
                gives=MEDIA_TYPES,
            ),
        },
    ),
)
