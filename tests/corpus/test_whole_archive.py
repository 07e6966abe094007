"""The corpus in a real archive: all of it is seen, and what is malformed takes nothing down."""

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
import pydicom
import pytest
from PIL import Image as Pillow

import wire
from corpus_files import REASON, ROOT, name, paths
from instances import corpus_instances
from isocenter.dicom import part10
from isocenter.dicom.sop_classes import IMAGES
from isocenter.errors import Malformed
from peers import Isocenter
from programs import Command, ServerFactory

pytestmark = [pytest.mark.skipif(not ROOT.is_dir(), reason=REASON), pytest.mark.timeout(600)]

AT_ONCE = 6
PARTS = 'multipart/related; type="image/png"'
STILL = {"accept": "image/png"}
SOUND = [path for path in paths() if not name(path).startswith("malformed/")]
BROKEN = [path for path in paths() if name(path).startswith("malformed/")]
TRANSFER_SYNTAXES = (
    *("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50"),
    *("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.201"),
)
ALLOWED = {200, 206, 304, 400, 404, 406, 410, 415}
"""What may be answered about an instance that is malformed: nothing that says the server is."""
Document = dict[str, Any]


def value(document: Document, tag: str, default: Any = None) -> Any:
    return next(iter(document.get(tag, {}).get("Value", ())), default)


class Web:
    """Asks the server, several questions at once."""

    def __init__(self, server: Isocenter) -> None:
        self._client = httpx.Client(base_url=f"{server.url}/dicom-web", trust_env=False, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, headers: Mapping[str, str] = STILL) -> httpx.Response:
        return self._client.get(path, headers=headers)

    def each(
        self, places: Sequence[str], headers: Mapping[str, str] = STILL
    ) -> Iterator[tuple[str, httpx.Response]]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            yield from zip(
                places, pool.map(lambda place: self.get(place, headers), places), strict=True
            )

    def instances(self) -> list[Document]:
        found: list[Document] = []
        headers = {"accept": "application/dicom+json"}
        fields = "includefield=00280010,00280011,00083002"
        while True:
            query = f"/instances?{fields}&limit=200&offset={len(found)}"
            answer = self.get(query, headers)
            if answer.status_code == 204 or not answer.json():
                return found
            found += answer.json()


def place_of(document: Document) -> str:
    study, series, instance = (value(document, tag) for tag in ("0020000D", "0020000E", "00080018"))
    return f"/studies/{study}/series/{series}/instances/{instance}"


def levels(documents: Sequence[Document]) -> list[str]:
    """Every study, series and instance."""
    instances = [place_of(each) for each in documents]
    series = [each.rpartition("/instances/")[0] for each in instances]
    studies = [each.rpartition("/series/")[0] for each in series]
    return list(dict.fromkeys([*studies, *series, *instances]))


def picture(answer: httpx.Response) -> tuple[int, int]:
    """Width and height."""
    with Pillow.open(io.BytesIO(answer.content)) as found:
        found.load()
        return found.size


def check_alive(server: Isocenter) -> None:
    assert server.health() == 200
    log = server.log.read_text()
    assert "Traceback" not in log, log[log.index("Traceback") :][:2000]


def alone(data: bytes, known: set[bytes]) -> bytes:
    """Give a file with a SOP Instance UID of its own, of the same length, if it shares one."""
    with suppress(Malformed):
        uid = part10.read(data).sop_instance.encode()
        others = (uid[:-1] + digit for digit in (b"%d" % each for each in range(10)))
        free = next((each for each in (uid, *others) if each not in known), uid)
        known.add(free)
        return data.replace(uid, free) if uid else data
    return data


@pytest.fixture(scope="module")
def archive(
    start_module_server: ServerFactory, isocenter: Command, tmp_path_factory: pytest.TempPathFactory
) -> Isocenter:
    """With all of the corpus but what is malformed."""
    folder = tmp_path_factory.mktemp("whole")
    sound = folder / "sound"
    sound.mkdir()
    known: set[bytes] = set()
    for number, path in enumerate(SOUND):
        (sound / f"{number}.dcm").write_bytes(alone(path.read_bytes(), known))
        if not has_pixels(path):
            WITHOUT_PIXELS.add(uid_of(sound / f"{number}.dcm"))
    # What is no instance, as a DICOMDIR, is left out.
    isocenter("import", "--data", folder / "data", sound, expect=None, timeout=300)
    server: Isocenter = start_module_server(data_folder=folder / "data")
    return server


@pytest.fixture(scope="module")
def documents(archive: Isocenter) -> list[Document]:
    with Web(archive) as web:
        found = web.instances()
    assert len(found) > 470
    return found


@pytest.fixture
def web(archive: Isocenter) -> Iterator[Web]:
    with Web(archive) as web:
        yield web


def test_every_thumbnail_at_every_level_is_a_small_picture(
    web: Web, documents: list[Document]
) -> None:
    places = [f"{place}/thumbnail" for place in levels(documents)]

    for place, answer in web.each(places):
        assert answer.status_code == 200, (place, answer.text)
        width, height = picture(answer)
        assert max(width, height) <= 200, place


def test_every_image_is_rendered_in_its_size(web: Web, documents: list[Document]) -> None:
    known = {f"{place_of(each)}/rendered": each for each in documents}
    seen = 0

    for place, answer in web.each(list(known)):
        document = known[place]
        if answer.status_code == 406:
            assert not is_image(document), (place, answer.text)
            continue
        assert answer.status_code == 200, (place, answer.text)
        rows, columns = (value(document, tag) for tag in ("00280010", "00280011"))
        if is_image(document) and rows:
            width, height = picture(answer)
            # One side is as it is; the other, where pixels are not square, is longer.
            is_own = (width == columns and height >= rows) or (height == rows and width >= columns)
            # Tiles are put together.
            is_whole = width >= columns and height >= rows
            assert is_own or (is_whole and value(document, "00080016") in TILED), place
            seen += 1
    assert seen > 360


PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def has_pixels(path: Path) -> bool:
    """Some are published without, or with none in them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = pydicom.dcmread(path, force=True, specific_tags=["SOPInstanceUID", *PIXELS])
    return any(image.get(each) for each in PIXELS)


def uid_of(path: Path) -> str:
    image = pydicom.dcmread(path, force=True, specific_tags=["SOPInstanceUID"])
    return str(image.get("SOPInstanceUID", ""))


WITHOUT_PIXELS: set[str] = set()
"""SOP Instance UIDs of the files that have none."""
TILED = {  # whole slides, and segmentations of them
    "1.2.840.10008.5.1.4.1.1.77.1.6",
    *(f"1.2.840.10008.5.1.4.1.1.66.{number}" for number in (4, 7)),
}


def is_image(document: Document) -> bool:
    """Whether a person should see something: it has pixels."""
    return (
        value(document, "00080016") in IMAGES
        and bool(value(document, "00280010"))
        and value(document, "00080018") not in WITHOUT_PIXELS
    )


def test_every_study_and_series_with_an_image_is_rendered(
    web: Web, documents: list[Document]
) -> None:
    pictured = levels([each for each in documents if is_image(each)])
    above = [f"{place}/rendered" for place in pictured if "/instances/" not in place]

    for place, answer in web.each(above, {"accept": 'multipart/related; type="image/png"'}):
        assert answer.status_code == 200, (place, answer.text)
        assert b"\x89PNG" in answer.content, place


# --- what is malformed


@pytest.fixture(scope="module")
def attacked(start_module_server: ServerFactory) -> Isocenter:
    """An archive that was sent everything malformed, by STOW and by C-STORE."""
    server: Isocenter = start_module_server()
    for path in BROKEN:
        answer = httpx.post(
            f"{server.url}/dicom-web/studies",
            content=path.read_bytes(),
            headers={"content-type": "application/dicom"},
            trust_env=False,
            timeout=60,
        )
        assert answer.status_code in (200, 202, 400, 409), (path.name, answer.text)
    for one in corpus_instances("malformed"):
        kind = (one.sop_class, one.transfer_syntax)
        with suppress(wire.Aborted), wire.storing(server.dicom_port, kind) as association:
            association.store(*kind[:1], one.sop_instance, kind[1], one.data_set)
    return server


def test_whatever_is_asked_of_malformed_instances_the_server_answers_and_lives(
    attacked: Isocenter,
) -> None:
    with Web(attacked) as web:
        before = workers_of(attacked)
        ask_everything(web)

    check_alive(attacked)
    assert workers_of(attacked) <= max(before, psutil.cpu_count() or 1) + 2
    assert attacked.process.resident_bytes() < 1 << 30


def ask_everything(web: Web) -> None:
    places = [place_of(each) for each in web.instances()]
    assert len(places) > 15
    for accept in (
        "application/dicom",
        *(f"application/dicom; transfer-syntax={uid}" for uid in TRANSFER_SYNTAXES),
    ):
        check_answers(web, places, accept)
    for below, accept in (
        ("metadata", "application/dicom+json"),
        ("metadata", 'multipart/related; type="application/dicom+xml"'),
        ("pixeldata", "*/*"),
        ("bulkdata", "*/*"),
        ("frames/1", 'multipart/related; type="application/octet-stream"'),
        ("frames/1", "image/png"),
        ("frames/1", "image/jls"),
        ("frames/1,2,3", "*/*"),
        ("frames/2147483647", "*/*"),
        ("frames/1/rendered", "image/jpeg"),
        ("frames/1/thumbnail", "image/jpeg"),
        ("rendered", "image/png"),
        ("rendered", "image/gif"),
        ("rendered?window=40,400,linear&viewport=64,64&annotation=patient,technique", "image/jpeg"),
        ("thumbnail", "image/png"),
    ):
        check_answers(web, [f"{place}/{below}" for place in places], accept)
    above = {each.rpartition("/instances/")[0] for each in places}
    above |= {each.rpartition("/series/")[0] for each in above}
    for below in ("", "/metadata", "/rendered", "/thumbnail"):
        check_answers(web, [f"{place}{below}" for place in sorted(above)], "*/*")


def check_answers(web: Web, places: Sequence[str], accept: str) -> None:
    for place, answer in web.each(places, {"accept": accept}):
        assert answer.status_code in ALLOWED, (place, accept, answer.status_code, answer.text)


def workers_of(server: Isocenter) -> int:
    """Processes beside the server's own."""
    return len(psutil.Process(server.process.pid).children(recursive=True))
