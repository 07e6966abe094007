"""The JSON model as text: what ``json_model`` says, whatever was met before."""

import random
from pathlib import Path
from typing import Any

import orjson
import pydicom
import pydicom.data
import pytest
from hypothesis import given, strategies as st

import datasets
from isocenter.dicom import part10
from isocenter.dicom.elements import elements
from isocenter.dicom.inflation import inflate
from isocenter.dicom.json_model import INLINE_SIZE, to_json
from isocenter.dicom.layout import DEFAULT_LIMITS
from isocenter.dicom.paths import AttributePath, written
from isocenter.dicom.syntax import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, TransferSyntax
from isocenter.dicom.transcription import Transcriber
from isocenter.errors import IsocenterError, Malformed
from made_instances import element, encoded, image
from unit.dicom.test_fuzz import mutated

FILES = sorted(
    Path(path)
    for path in pydicom.data.get_testdata_files("*.dcm")
    if Path(path).is_relative_to(Path(pydicom.__file__).parent)
)


class Bytes:
    """A data set in memory; knows how much of it was read."""

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self.read_bytes = 0
        self._data = memoryview(data)

    def window(self, start: int, end: int) -> memoryview:
        part = self._data[start:end]
        self.read_bytes += len(part)
        return part


def uri(path: AttributePath) -> str:
    return f"bulk/{written(path)}"


def plain(data: bytes, syntax: TransferSyntax) -> bytes:
    """The data set inflated, where it is deflated."""
    return bytes(inflate(memoryview(data), DEFAULT_LIMITS)) if syntax.is_deflated else data


def by_text(transcriber: Transcriber, data: bytes, syntax: TransferSyntax) -> object:
    try:
        return orjson.loads(transcriber.text(Bytes(data), syntax, uri))
    except Malformed:
        return "malformed"


def model_of(data: bytes, syntax: TransferSyntax, inline_size: int = INLINE_SIZE) -> object:
    """What the model says, with bulk data named by its place in it."""
    walked = elements(data, syntax)
    model = to_json(walked, bulk=lambda _: "somewhere", inline_size=inline_size)
    name_bulk(model, ())
    return orjson.loads(orjson.dumps(model))


def name_bulk(model: dict[str, Any], above: AttributePath) -> None:
    for tag8, attribute in model.items():
        path = (*above, int(tag8, 16))
        if "BulkDataURI" in attribute:
            attribute["BulkDataURI"] = uri(path)
        if attribute["vr"] == "SQ":
            for number, item in enumerate(attribute.get("Value", ())):
                name_bulk(item, (*path, number))


def by_model(data: bytes, syntax: TransferSyntax) -> object:
    try:
        return model_of(data, syntax)
    except Malformed:
        return "malformed"


@pytest.mark.parametrize("window", [16, 300, 1 << 15])
def test_every_file_reads_as_in_the_model_whatever_came_before(window: int) -> None:
    transcriber = Transcriber(window=window)
    compared = 0
    for path in FILES * 2:  # the second time, all of it was met before
        data = path.read_bytes()
        try:
            header = part10.read(data)
            body = plain(data[header.dataset_offset :], header.syntax)
        except IsocenterError:
            continue
        expected = by_model(data[header.dataset_offset :], header.syntax)
        assert by_text(transcriber, body, header.syntax) == expected, path.name
        compared += 1
    assert compared > 60


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_bigendian.dcm", "test-SR.dcm"])
def test_changed_bytes_read_as_in_the_model(name: str) -> None:
    whole = Path(str(pydicom.data.get_testdata_file(name, download=False))).read_bytes()[:20_000]
    header = part10.read(whole)
    chance = random.Random(name)
    transcriber = Transcriber(window=64)
    for _ in range(150):
        data = mutated(whole, chance)[header.dataset_offset :]
        expected = by_model(data, header.syntax)
        assert by_text(transcriber, data, header.syntax) == expected


@given(
    st.lists(datasets.datasets, min_size=1, max_size=4),
    st.sampled_from([EXPLICIT_LE, EXPLICIT_BE, IMPLICIT_LE]),
    st.integers(min_value=12, max_value=80),
)
def test_any_data_sets_read_as_in_the_model(
    made: list[list[datasets.Node]], syntax: TransferSyntax, window: int
) -> None:
    transcriber = Transcriber(window=window, inline_size=8)
    for nodes in made + made:
        data = datasets.encode(nodes, implicit=syntax.is_implicit, little=syntax.is_little_endian)
        assert by_text(transcriber, data, syntax) == model_of(data, syntax, inline_size=8)


def test_bulk_is_not_read_and_what_follows_it_is() -> None:
    dataset = image(PixelData=bytes(10_000_000))
    dataset.add_new(0xFFFCFFFC, "OB", b"end!")
    source = Bytes(encoded(dataset))

    model = orjson.loads(Transcriber().text(source, EXPLICIT_LE, uri))

    assert model["7FE00010"].keys() == {"vr", "BulkDataURI"}
    assert model["FFFCFFFC"] == {"vr": "OB", "InlineBinary": "ZW5kIQ=="}
    assert source.read_bytes < 200_000


def test_fragments_are_stepped_over_one_by_one() -> None:
    fragment = b"\xfe\xff\x00\xe0" + (1 << 20).to_bytes(4, "little") + bytes(1 << 20)
    pixels = (
        b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + fragment * 8 + b"\xfe\xff\xdd\xe0" + bytes(4)
    )
    source = Bytes(element(0x00080060, "CS", b"CT") + pixels)

    model = orjson.loads(Transcriber().text(source, EXPLICIT_LE, uri))

    assert model["7FE00010"] == {"vr": "OB", "BulkDataURI": "bulk/7FE00010"}
    assert source.read_bytes < 500_000


def test_a_value_that_is_cut_short_is_malformed_though_it_is_not_read() -> None:
    data = encoded(image(PixelData=bytes(100_000)))

    with pytest.raises(Malformed, match="cut short"):
        Transcriber().text(Bytes(data[:-2]), EXPLICIT_LE, uri)


def test_text_is_read_in_the_character_set_of_its_own_data_set() -> None:
    name = element(0x00100010, "PN", "Müller".encode("latin-1"))
    latin = element(0x00080005, "CS", b"ISO_IR 100") + name
    greek = element(0x00080005, "CS", b"ISO_IR 126") + name
    transcriber = Transcriber()

    texts = [transcriber.text(Bytes(data), EXPLICIT_LE, uri) for data in (latin, greek, latin)]

    names = [orjson.loads(each)["00100010"]["Value"][0]["Alphabetic"] for each in texts]
    assert names == ["Müller", "Mόller", "Müller"]


def test_it_forgets_when_it_remembers_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isocenter.dicom.transcription.MOST_REMEMBERED", 3)
    transcriber = Transcriber()
    for number in range(20):
        data = element(0x00080050, "SH", f"{number:06d}".encode())
        data += element(0x00080060, "CS", b"CT")
        model = orjson.loads(transcriber.text(Bytes(data), EXPLICIT_LE, uri))
        assert model["00080050"]["Value"] == [f"{number:06d}"]
    assert sum(len(memo.plain) for memo in transcriber._memos.values()) <= 3
