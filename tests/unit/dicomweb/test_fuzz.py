"""Whatever is asked for, in whatever way, the answer is one of those that the registry claims."""

import re
import urllib.parse
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from claims import BOUNDARY, FILLED, World, body_of, resources, sow, world
from isocenter.dicomweb.resources import ANY_METHOD, Resource

SERVED = [(resource, name) for resource in resources() for name in resource.methods]
METHODS = [resource.methods[name] for resource, name in SERVED]
EXPECTED = {*ANY_METHOD, *(code for each in METHODS for code in each.statuses)} - {500}

WORDS = [
    r"1.2",
    r"1.2.3",
    r"1.2.3.4",
    r"*",
    r"..",
    r".",
    r"1.2\1.3",
    r"x",
    r"1",
    r"1,2",
    r"0",
    r"-1",
    r"1e9",
    r"all",
    r"true",
    r"20240101-",
    r"Doe^Jane*",
    r"?",
    r"%00",
    r";",
    r"=",
    r"application/dicom",
    r"*/*",
    r"bytes=0-5",
    r'"x"',
    r"multipart/related;type=application/dicom",
    r"1.2.840.10008.1.2.1",
    r"\u00e9",
    r"2.25.99999999999999999999999999999999999999999999999999999999999999999999999999",
]
NAMES = ["StudyInstanceUID", "00100010", "ReferencedStudySequence.StudyInstanceUID", "PatientID"]
HEADERS = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "content-type",
    "content-encoding",
    "content-location",
    "range",
    "if-match",
    "if-none-match",
    "if-range",
    "if-modified-since",
    "if-unmodified-since",
]
VALUES = [
    b"application/dicom",
    b"application/dicom+json",
    b'multipart/related; type="application/dicom"; boundary=' + BOUNDARY.encode(),
    b'multipart/related; type="application/dicom+xml"; boundary=' + BOUNDARY.encode(),
    b"multipart/related; transfer-syntax=*",
    b"gzip",
    b"image/jpeg;q=0.5, */*;q=0",
    b"bytes=1-,-1,3-4",
]

words = st.one_of(
    st.sampled_from(WORDS),
    st.text(max_size=12),
    st.from_regex(r"[0-9.]{1,20}", fullmatch=True),
)
names = st.one_of(
    st.sampled_from(sorted({each.name for method in METHODS for each in method.parameters})),
    st.sampled_from(NAMES),
    words,
)
queries = st.lists(st.tuples(names, words), max_size=4).map(
    lambda pairs: urllib.parse.urlencode(pairs, errors="replace")
)
values = st.one_of(words.map(lambda word: word.encode("utf-8", "replace")), st.sampled_from(VALUES))
headers = st.lists(
    st.tuples(
        st.sampled_from(HEADERS),
        values.filter(lambda value: not re.search(rb"[\x00-\x1f\x7f]", value)),
    ),
    max_size=4,
)


@st.composite
def bodies(draw: st.DrawFn, resource: Resource, taken: tuple[str, ...]) -> bytes:
    """Nothing, anything, or something good that was spoilt."""
    if not taken or draw(st.booleans()):
        return draw(st.binary(max_size=200))
    good = bytearray(body_of(resource, draw(st.sampled_from(taken))))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(good) - 1))
        match draw(st.integers(0, 2)):
            case 0:
                good[at] = draw(st.integers(0, 255))
            case 1:
                del good[at : at + draw(st.integers(1, 50))]
            case _:
                good[at:at] = draw(st.binary(max_size=10))
        if not good:
            break
    return bytes(good)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, list[tuple[str, bytes]], bytes]:
    resource, name = draw(st.sampled_from(SERVED))
    method = resource.methods[name]

    def filled(found: re.Match[str]) -> str:
        known = FILLED.get(found[1], "1.2.5.0")
        chosen = draw(st.one_of(st.just(known), words))
        return urllib.parse.quote(chosen, safe="", errors="replace")

    path = re.sub(r"\{(\w+)(?::\w+)?\}", filled, resource.path)
    if not draw(st.integers(0, 9)):
        segments = draw(st.lists(words, max_size=5))
        path = "/" + urllib.parse.quote("/".join(segments), errors="replace")
    query = draw(queries)
    sent = draw(headers)
    if method.takes and draw(st.booleans()):
        kind = draw(st.sampled_from(method.takes))
        sent.append(("content-type", f"{kind}; boundary={BOUNDARY}".encode()))
    verb = name if draw(st.integers(0, 9)) else draw(st.sampled_from(["HEAD", "OPTIONS", "PUT"]))
    return verb, f"{path}?{query}" if query else path, sent, draw(bodies(resource, method.takes))


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[World]:
    await sow(tmp_path / "seed")
    async with world(tmp_path / "data", tmp_path / "seed") as made:
        yield made


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(requests())
async def test_no_request_is_too_much(
    own: World, tmp_path: Path, asked: tuple[str, str, list[tuple[str, bytes]], bytes]
) -> None:
    method, url, sent, body = asked

    answer = await own.send(method, url, body, sent)

    assert answer.status_code in EXPECTED, (url, answer.text)
    if answer.status_code >= 400 and method != "HEAD":
        assert answer.headers["content-type"].startswith(
            ("application/problem+json", "application/dicom", "multipart/related")
        )
    assert drafts(tmp_path) == []


def drafts(folder: Path) -> list[str]:
    """What is being received; between requests, nothing."""
    found = (each for each in (folder / "data" / "incoming").rglob("*") if each.is_file())
    return [each.name for each in found if not each.name.startswith("journal")]
