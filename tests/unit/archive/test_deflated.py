"""Joining deflated texts: what gzip makes of them."""

import gzip
import zlib

from hypothesis import given, strategies as st

from isocenter.archive.deflated import GZIP_HEADER, Deflater, Sum, stored, total

texts = st.lists(st.binary(max_size=300) | st.binary(max_size=3).map(lambda b: b * 9000))


@given(texts)
def test_gzip_reads_joined_texts_as_one(parts: list[bytes]) -> None:
    deflated, sums = b"", [Sum.of(b"[")]
    for part in parts:
        deflater = Deflater()
        deflater.add(part[:7])
        deflater.add(part[7:])
        data, sum = deflater.finish()
        deflated += data
        sums.append(sum)
    sums.append(Sum.of(b"]"))
    body = stored(b"[") + deflated + stored(b"]", is_last=True)

    found = gzip.decompress(GZIP_HEADER + body + total(sums).gzip_trailer())

    assert found == b"[" + b"".join(parts) + b"]"


@given(st.lists(st.binary(max_size=2000)))
def test_sums_add_up(parts: list[bytes]) -> None:
    found = total(map(Sum.of, parts))

    assert (found.size, found.crc) == (sum(map(len, parts)), zlib.crc32(b"".join(parts)))


def test_the_sum_of_very_much_is_right() -> None:
    block = bytes(1 << 20)
    crc = 0
    for _ in range(300):
        crc = zlib.crc32(block, crc)

    assert total([Sum.of(block)] * 300) == Sum(300 << 20, crc)
