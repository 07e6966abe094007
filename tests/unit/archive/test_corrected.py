"""A blob with other bytes in the place of some of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, strategies as st

from isocenter.archive.corrected import CorrectedBlob, _parts
from isocenter.dicom.amending import Splice
from isocenter.storage.blobs import StoredBlob, new_key
from isocenter.storage.files import FileStore

KEPT = bytes(range(200))
OFFSET = 20


@contextmanager
def stored() -> Iterator[StoredBlob]:
    with TemporaryDirectory() as folder:
        store = FileStore(Path(folder))
        draft, key = store.begin(), new_key("1", "2", "3", b"")
        draft.write([KEPT])
        draft.publish(key, "")
        yield store.open(key)
        store.close()


def spliced(cuts: list[int], contents: list[bytes]) -> list[Splice]:
    cuts = sorted(cuts)
    pairs = zip(cuts[::2], cuts[1::2], contents, strict=False)
    return [Splice(start, end, content) for start, end, content in pairs]


def expected(splices: list[Splice]) -> bytes:
    """The same by slicing."""
    made = KEPT
    for each in reversed(splices):
        made = made[: OFFSET + each.start] + each.content + made[OFFSET + each.end :]
    return made


@given(
    st.lists(st.integers(0, 180), max_size=8),
    st.lists(st.binary(max_size=9), min_size=4, max_size=4),
    st.lists(st.tuples(st.integers(0, 220), st.integers(0, 220)), max_size=8),
)
def test_every_part_of_it_is_a_part_of_the_whole(
    cuts: list[int], contents: list[bytes], wanted: list[tuple[int, int]]
) -> None:
    splices = spliced(cuts, contents)
    whole = expected(splices)
    with stored() as blob:
        made = CorrectedBlob(blob, _parts(splices, OFFSET, len(KEPT)))
        assert made.size == len(whole)
        assert bytes(made.window(0, made.size)) == whole
        for first, second in wanted:
            start, end = sorted((min(first, len(whole)), min(second, len(whole))))
            assert bytes(made.window(start, end)) == whole[start:end]
            into = bytearray(end - start)
            made.read_into(memoryview(into), start)
            assert into == whole[start:end]
            at_hand = made.at_hand(start, end)
            assert at_hand is None or bytes(at_hand) == whole[start:end]
        made.close()


def test_bytes_that_are_its_own_are_where_they_lie() -> None:
    with stored() as blob:
        splices = [Splice(10, 12, b"longer"), Splice(50, 60, b"")]
        made = CorrectedBlob(blob, _parts(splices, OFFSET, len(KEPT)))
        whole = expected(splices)
        for place, value in enumerate(whole):
            if not OFFSET + 10 <= place < OFFSET + 16:
                assert KEPT[made.place(place)] == value
        made.close()
