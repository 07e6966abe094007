"""Conditional requests and ranges, as RFC 9110 has them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import Request

from isocenter.dicomweb.ranges import Span, parse
from isocenter.web.conditional import Validator, check, etag, is_range_wanted

# The date of the examples of RFC 9110.
CHANGED = datetime(1994, 11, 15, 12, 45, 26, 500_000, tzinfo=UTC)
HERE = Validator('"xyzzy"', CHANGED)
WEAK = Validator('W/"xyzzy"', CHANGED)


def request(method: str = "GET", **headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": method, "query_string": b"", "headers": raw})


@pytest.mark.parametrize(
    ("headers", "validator", "is_current"),
    [
        ({"if_none_match": '"xyzzy"'}, HERE, True),
        ({"if_none_match": 'W/"xyzzy"'}, HERE, True),
        ({"if_none_match": '"a,b", W/"c", "xyzzy"'}, WEAK, True),
        ({"if_none_match": "*"}, HERE, True),
        ({"if_none_match": '"xyzzy'}, HERE, False),
        ({"if_none_match": '"other"'}, HERE, False),
        ({"if_modified_since": "Tue, 15 Nov 1994 12:45:26 GMT"}, HERE, True),
        ({"if_modified_since": "Tue, 15 Nov 1994 12:45:25 GMT"}, HERE, False),
        ({"if_modified_since": "yesterday"}, HERE, False),
        # 13.1.3: not asked where If-None-Match stands.
        (
            {"if_none_match": '"other"', "if_modified_since": "Tue, 15 Nov 1994 12:45:26 GMT"},
            HERE,
            False,
        ),
        ({}, HERE, False),
        ({"if_match": '"xyzzy"'}, HERE, False),
        ({"if_unmodified_since": "Tue, 15 Nov 1994 12:45:26 GMT"}, HERE, False),
    ],
)
def test_what_the_client_has_is_not_sent_again(
    headers: dict[str, str], validator: Validator, is_current: bool
) -> None:
    answer = check(request(**headers), validator)

    assert (answer is not None) == is_current
    if answer is not None:
        assert answer.status_code == 304
        assert answer.headers["etag"] == validator.etag
        assert answer.headers["last-modified"] == "Tue, 15 Nov 1994 12:45:26 GMT"


@pytest.mark.parametrize(
    ("method", "headers", "validator"),
    [
        ("DELETE", {"if_match": '"other"'}, HERE),
        ("GET", {"if_match": '"xyzzy"'}, WEAK),
        ("DELETE", {"if_unmodified_since": "Tue, 15 Nov 1994 12:45:25 GMT"}, HERE),
        ("PUT", {"if_none_match": "*"}, HERE),
    ],
)
def test_a_condition_that_fails_stops_the_request(
    method: str, headers: dict[str, str], validator: Validator
) -> None:
    with pytest.raises(HTTPException) as refusal:
        check(request(method, **headers), validator)

    assert refusal.value.status_code == 412


@pytest.mark.parametrize(
    ("headers", "validator", "is_wanted"),
    [
        ({"range": "bytes=0-1"}, HERE, True),
        ({}, HERE, False),
        ({"range": "bytes=0-1", "if_range": '"xyzzy"'}, HERE, True),
        ({"range": "bytes=0-1", "if_range": 'W/"xyzzy"'}, WEAK, False),
        ({"range": "bytes=0-1", "if_range": '"other"'}, HERE, False),
        ({"range": "bytes=0-1", "if_range": "Tue, 15 Nov 1994 12:45:26 GMT"}, HERE, True),
        ({"range": "bytes=0-1", "if_range": "Tue, 15 Nov 1994 12:45:27 GMT"}, HERE, False),
        ({"range": "bytes=0-1", "if_range": "*"}, HERE, False),
    ],
)
def test_a_part_is_given_only_of_what_the_client_began_with(
    headers: dict[str, str], validator: Validator, is_wanted: bool
) -> None:
    assert is_range_wanted(request(**headers), validator) == is_wanted


def test_tags_differ_where_their_parts_do() -> None:
    assert etag("a", "b") == etag("a", "b") != etag("ab") != etag("a", "b", is_weak=True)


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        # The examples of RFC 9110 14.1.2, of 10,000 bytes.
        ("bytes=0-499", [(0, 500)]),
        ("bytes=500-999", [(500, 1000)]),
        ("bytes=-500", [(9500, 10000)]),
        ("bytes=9500-", [(9500, 10000)]),
        ("bytes=0-0,-1", [(0, 1), (9999, 10000)]),
        ("bytes= 0-999, 4500-5499, -1000", [(0, 1000), (4500, 5500), (9000, 10000)]),
        ("bytes=500-600,601-999", [(500, 1000)]),
        ("bytes=500-700,601-999", [(500, 1000)]),
        ("bytes=700-800,0-99", [(700, 801), (0, 100)]),
        ("bytes=9999-20000,30000-", [(9999, 10000)]),
        ("bytes=-20000", [(0, 10000)]),
        # What is not well formed, or not ours, is as if it were not there.
        (None, None),
        ("bytes=5-4", None),
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes=0-1;2-3", None),
        ("frames=1-2", None),
        ("bytes=" + ",".join(f"{at}-{at}" for at in range(0, 400, 4)), None),
    ],
)
def test_ranges_are_read_as_the_examples_have_it(
    header: str | None, wanted: list[tuple[int, int]] | None
) -> None:
    found = parse(header, 10_000)

    assert found == (None if wanted is None else [Span(*each) for each in wanted])


@pytest.mark.parametrize("header", ["bytes=10000-", "bytes=10000-10001, 20000-", "bytes=-0"])
def test_what_lies_outside_cannot_be_satisfied(header: str) -> None:
    for wanted, size in ((header, 10_000), ("bytes=0-", 0)):
        with pytest.raises(HTTPException) as refusal:
            parse(wanted, size)

        assert refusal.value.status_code == 416
        assert refusal.value.headers == {"content-range": f"bytes */{size}"}


def test_a_part_says_where_it_lies() -> None:
    # RFC 9110 14.4
    assert Span(42, 1234).told(1234) == "bytes 42-1233/1234"


@given(st.text(), st.integers(0, 1 << 40))
def test_no_range_reaches_outside(text: str, size: int) -> None:
    for header in (text, f"bytes={text}"):
        try:
            spans = parse(header, size)
        except HTTPException:
            continue
        for span in spans or ():
            assert 0 <= span.start < span.end <= size


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=8),
    st.integers(1, 50),
)
def test_just_the_bytes_that_were_asked_for_are_given(
    asked: list[tuple[int, int]], size: int
) -> None:
    asked = [(min(each), max(each)) for each in asked]
    wanted = {at for first, last in asked for at in range(first, last + 1) if at < size}
    try:
        spans = parse("bytes=" + ",".join(f"{first}-{last}" for first, last in asked), size)
    except HTTPException:
        assert not wanted
        return
    given_ = [at for span in spans or () for at in range(span.start, span.end)]
    assert len(given_) == len(set(given_))
    assert set(given_) == wanted
