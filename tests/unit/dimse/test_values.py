"""Addresses, statuses, slabs."""

import pytest
from hypothesis import given, strategies as st

from isocenter.address import Address
from isocenter.dimse import status
from isocenter.dimse.slabs import Fragment, SlabPool
from isocenter.dimse.status import Category
from isocenter.errors import Malformed


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("PACS@10.0.0.1:11112", Address("PACS", "10.0.0.1", 11112)),
        ("PACS@host", Address("PACS", "host", 104)),
        ("MY PACS@[::1]:104", Address("MY PACS", "::1", 104)),
        ("A@B@host:1", Address("A@B", "host", 1)),
    ],
)
def test_an_address_is_read_and_written(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host:104",
        "@host:1",
        "A@",
        "A@:1",
        "A@h:0",
        "A@h:65536",
        "A@h:x",
        "A@h:",
        "A@[::1",
        "A\\B@h:1",
        "A@[::1]x",
        "A\n@h:1",
        "SEVENTEEN_LETTERS@h:1",
        "A@h:\N{ARABIC-INDIC DIGIT ONE}",
    ],
)
def test_what_is_no_address_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        Address.parse(text)


@given(st.text())
def test_any_text_is_malformed_or_an_address(text: str) -> None:
    try:
        address = Address.parse(text)
    except Malformed:
        return
    assert 0 < address.port < 65536


@pytest.mark.parametrize(
    ("code", "category"),
    [
        (0x0000, Category.SUCCESS),
        (0xFF00, Category.PENDING),
        (0xFF01, Category.PENDING),
        (0xFE00, Category.CANCEL),
        (0x0001, Category.WARNING),
        (0x0107, Category.WARNING),
        (0x0116, Category.WARNING),
        (0xB000, Category.WARNING),
        (0xB007, Category.WARNING),
        (0xA700, Category.FAILURE),
        (0xC123, Category.FAILURE),
        (0x0122, Category.FAILURE),
        (0x9999, Category.FAILURE),
    ],
)
def test_a_status_has_the_category_of_the_standard(code: int, category: Category) -> None:
    assert status.category(code) is category


def test_a_slab_comes_back_only_when_everybody_let_go() -> None:
    pool = SlabPool(size=100)
    slab = pool.lend()
    first = Fragment(slab.view[:10], slab, lambda size: None)
    second = Fragment(slab.view[10:20], slab, lambda size: None)

    slab.let_go()
    first.release()
    first.release()  # a second call counts for nothing
    assert pool.free == 0
    second.release()

    assert pool.free == 1
    assert pool.lend() is slab


def test_a_pool_keeps_only_so_many() -> None:
    pool = SlabPool(size=10, kept=2)
    slabs = [pool.lend() for _ in range(5)]

    for slab in slabs:
        slab.let_go()

    assert pool.free == 2
