"""Where frames lie; pydicom is asked for the same."""

import time
import warnings
from io import BytesIO
from pathlib import Path
from struct import pack

import numpy as np
import pydicom
import pytest
from hypothesis import given, strategies as st
from pydicom.encaps import generate_frames

from datasets import Node, encode, header, marker
from faults_allowed import nothing_worse_than_malformed
from isocenter.dicom.scanner import Scanner
from isocenter.dicom.syntax import EXPLICIT_BE, EXPLICIT_LE, TransferSyntax, lookup
from isocenter.dicom.windowed import Walk
from isocenter.errors import Malformed, NotFound
from isocenter.imaging import frames
from isocenter.imaging.frame_bytes import content
from isocenter.imaging.frames import FrameMap
from made_pixels import InMemory, description, encapsulated, item, native, offsets

JPEG = lookup("1.2.840.10008.1.2.4.50")
RLE = lookup("1.2.840.10008.1.2.5")
H264 = lookup("1.2.840.10008.1.2.4.102")
UNCOMPRESSED = lookup("1.2.840.10008.1.2.1.98")
DEFLATED_FRAMES = lookup("1.2.840.10008.1.2.8.1")
START, END = b"\xff\xd8\xff\xe0", b"\xff\xd9"


def located(data: bytes, syntax: TransferSyntax = JPEG) -> tuple[InMemory, FrameMap]:
    reader = InMemory(data)
    found = frames.locate(Walk(reader, syntax), syntax)
    assert FrameMap.from_bytes(found.to_bytes()) == found
    return reader, found


def read(reader: InMemory, found: FrameMap, number: int) -> bytes:
    try:
        frame = found.frame(reader, number)
    except Malformed:
        frame = frames.repaired(found, reader).frame(reader, number)
    given = b"".join(content(reader, frame))
    assert len(given) == frame.size
    return given


def every_frame(data: bytes, syntax: TransferSyntax = JPEG) -> list[bytes]:
    reader, found = located(data, syntax)
    return [read(reader, found, number) for number in range(1, found.count + 1)]


fragments = (
    st.binary(max_size=20)
    .map(lambda data: data + bytes(len(data) % 2) + b"\1\2")
    .filter(lambda data: not data.startswith(START[:3]) and END not in data)
)
lists_of_frames = st.lists(st.lists(fragments, min_size=1, max_size=3), min_size=1, max_size=6)


@given(lists_of_frames)
def test_a_basic_offset_table_tells_the_frames(made) -> None:
    data = encapsulated(made, description(len(made)), basic=offsets(made))

    assert every_frame(data) == [b"".join(frame) for frame in made]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = data[data.index(b"\xe0\x7f\x10\x00OB") + 12 :]
        assert every_frame(data) == list(generate_frames(value))


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=6))
def test_an_extended_offset_table_tells_the_frames_and_their_odd_lengths(contents) -> None:
    made = [[each + bytes(len(each) % 2)] for each in contents]
    extended = (offsets(made), [len(each) for each in contents])

    assert every_frame(encapsulated(made, description(len(made)), extended=extended)) == contents


@given(lists_of_frames)
def test_without_a_table_a_fragment_is_a_frame_if_there_are_as_many(made) -> None:
    single = [[frame[0]] for frame in made]

    assert every_frame(encapsulated(single, description(len(made)))) == [frame[0] for frame in made]


@given(st.lists(fragments, min_size=1, max_size=5))
def test_of_a_single_frame_all_fragments_are_one(made) -> None:
    assert every_frame(encapsulated([made], description(1))) == [b"".join(made)]
    assert every_frame(encapsulated([made], description(None))) == [b"".join(made)]


@given(lists_of_frames)
def test_without_a_table_frames_begin_where_an_image_does(made) -> None:
    marked = [[START + frame[0], *frame[1:]] for frame in made]

    assert every_frame(encapsulated(marked, description(len(made)))) == [
        b"".join(frame) for frame in marked
    ]


@given(lists_of_frames, st.sampled_from([b"", b"\0\0", b"\xff\xff"]))
def test_or_behind_where_one_ends(made, padding) -> None:
    marked = [[*frame[:-1], frame[-1] + END + padding] for frame in made]

    assert every_frame(encapsulated(marked, description(len(made)))) == [
        b"".join(frame) for frame in marked
    ]


@given(lists_of_frames, st.booleans(), st.booleans())
def test_a_scan_that_saw_the_fragments_gives_the_same_map_or_none(
    made, has_basic, has_extended
) -> None:
    single = [[frame[0]] for frame in made]
    tables = {}
    if has_basic:
        tables["basic"] = offsets(single)
    if has_extended:
        tables["extended"] = (offsets(single), [len(frame[0]) for frame in single])
    data = encapsulated(single, description(len(made)), **tables)
    scanner = Scanner(JPEG, frozenset((0x00280008,)))
    scanner.feed(data)
    scanner.finish()

    seen = frames.seen(scanner, JPEG)

    assert seen == (None if tables else located(data)[1])


def test_a_scan_tells_nothing_of_frames_of_several_fragments_or_of_videos() -> None:
    several = encapsulated([[b"12"], [b"34"], [b"56"]], description(2))
    video = encapsulated([[b"12"], [b"34"]], description(2))
    for data, syntax in ((several, JPEG), (video, H264), (video, UNCOMPRESSED)):
        scanner = Scanner(syntax, frozenset((0x00280008,)))
        scanner.feed(data)

        assert frames.seen(scanner, syntax) is None


LIES = {
    "zeros": lambda true: [0] * len(true),
    "no order": lambda true: [0, true[2], true[1], *true[3:]],
    "wrapped beyond 4 GB": lambda true: [*true[:-1], 2],
    "beyond the end": lambda true: [*true[:-1], true[-1] + 1000],
    "amid fragments": lambda true: [true[0], *(each + 1 for each in true[1:])],
    "too few": lambda true: true[:-1],
    "too many": lambda true: [*true, true[-1] + 10],
    "counted from the table": lambda true: [each + 8 for each in true],
    "one in the middle": lambda true: [*true[:2], true[2] + 4, *true[3:]],
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
@pytest.mark.parametrize("is_extended", [False, True])
def test_an_offset_table_that_lies_is_found_out(lie, is_extended) -> None:
    made = [[bytes([number]) * 30] for number in range(1, 6)]
    told = lie(offsets(made))
    table = {"extended": (told, [30] * len(told))} if is_extended else {"basic": told}

    assert every_frame(encapsulated(made, description(5), **table)) == [frame[0] for frame in made]


def test_lengths_that_lie_are_found_out() -> None:
    made = [[bytes([number]) * 30] for number in range(1, 4)]
    data = encapsulated(made, description(3), extended=(offsets(made), [30, 300, 3]))

    assert every_frame(data) == [frame[0] for frame in made]


@pytest.mark.parametrize("syntax", [RLE, DEFLATED_FRAMES])
def test_what_cannot_be_told_apart_is_malformed(syntax) -> None:
    with pytest.raises(Malformed, match="2 frames in 3 fragments"):
        located(encapsulated([[b"12"], [b"34"], [b"56"]], description(2)), syntax)
    with pytest.raises(Malformed, match="4 frames in 3 fragments"):
        located(encapsulated([[b"12"], [b"34"], [b"56"]], description(4)), syntax)


def test_frames_encapsulated_without_compression_lose_their_padding() -> None:
    made = [[b"abc\0"], [b"def\0"]]

    given = every_frame(encapsulated(made, description(2, 1, 3)), UNCOMPRESSED)

    assert given == [b"abc", b"def"]


def test_a_video_is_one_stream() -> None:
    reader, found = located(encapsulated([[b"1234"], [b"56"]], description(1000)), H264)

    with pytest.raises(NotFound, match="one stream"):
        found.frame(reader, 1)
    assert b"".join(content(reader, found.whole(reader))) == b"123456"


@given(
    st.integers(1, 5), st.integers(1, 7), st.integers(1, 7), st.sampled_from([8, 16, 32]), st.data()
)
def test_native_frames_lie_one_after_another(count, rows, columns, bits, data) -> None:
    size = rows * columns * bits // 8
    made = [data.draw(st.binary(min_size=size, max_size=size)) for _ in range(count)]
    value = b"".join(made)

    given = every_frame(
        native(value + bytes(len(value) % 2), description(count, rows, columns, bits)), EXPLICIT_LE
    )

    assert given == made


@given(st.integers(1, 6), st.integers(1, 9), st.integers(1, 9), st.data())
def test_frames_of_single_bits_begin_at_a_byte(count, rows, columns, data) -> None:
    size = rows * columns
    made = [
        data.draw(st.lists(st.integers(0, 1), min_size=size, max_size=size)) for _ in range(count)
    ]
    value = np.packbits(np.array(made, np.uint8).ravel(), bitorder="little").tobytes()

    given = every_frame(
        native(value + bytes(len(value) % 2), description(count, rows, columns, 1)), EXPLICIT_LE
    )

    assert given == [
        np.packbits(np.array(each, np.uint8), bitorder="little").tobytes() for each in made
    ]


@pytest.mark.parametrize(
    ("bits", "vr", "code"),
    [(16, "OW", ">u2"), (32, "OW", ">u4"), (8, "OB", "u1"), (8, "OW", ">u2")],
)
def test_big_endian_frames_become_little_endian(bits, vr, code) -> None:
    little = bytes(range(24))
    big = np.frombuffer(little, code.replace(">", "<")).astype(code).tobytes()
    nodes = description(24 * 8 // bits // 3, 1, 3, bits, little=False)

    given = every_frame(native(big, nodes, vr=vr, little=False), EXPLICIT_BE)

    assert b"".join(given) == little


@pytest.mark.parametrize(("tag", "vr", "bits"), [(0x7FE00008, "OF", 32), (0x7FE00009, "OD", 64)])
def test_floating_point_pixels_are_found(tag, vr, bits) -> None:
    value = bytes(range(2 * 4 * bits // 8))

    given = every_frame(native(value, description(2, bits=bits), tag=tag, vr=vr), EXPLICIT_LE)

    assert given == [value[: len(value) // 2], value[len(value) // 2 :]]


def test_frames_that_share_chrominance_take_two_samples_a_pixel() -> None:
    nodes = description(2, 2, 4, samples=3, photometric="YBR_FULL_422")

    assert every_frame(native(bytes(range(32)), nodes), EXPLICIT_LE) == [
        bytes(range(16)),
        bytes(range(16, 32)),
    ]


def test_frames_that_only_say_that_they_share_chrominance_take_three_samples_a_pixel() -> None:
    nodes = description(2, 2, 4, samples=3, photometric="YBR_FULL_422")

    assert every_frame(native(bytes(range(48)), nodes), EXPLICIT_LE) == [
        bytes(range(24)),
        bytes(range(24, 48)),
    ]


def test_a_frame_there_is_none_of_is_not_found() -> None:
    reader, found = located(native(bytes(8), description(2)), EXPLICIT_LE)

    for number in (-1, 0, 3, 2**40):
        with pytest.raises(NotFound, match="has 2"):
            found.frame(reader, number)


def test_an_instance_without_pixels_has_no_frames() -> None:
    with pytest.raises(NotFound, match="no pixel data"):
        located(encode(description(1)), EXPLICIT_LE)


HOSTILE = {
    "2^31 frames and more": description(2**31),
    "a negative number of frames": [
        Node(0x00280008, "IS", b"-1"),
        *description(None),
    ],
    "no number of frames at all": [Node(0x00280008, "IS", b"many"), *description(None)],
    "a large frame": description(1, 65535, 65535, 65535, 65535),
    "no rows": description(1, 0),
    "rows longer than a number": [Node(0x00280010, "US", bytes(100)), *description(1)[:2]],
}


@pytest.mark.parametrize("nodes", HOSTILE.values(), ids=HOSTILE)
def test_what_cannot_be_is_malformed(nodes) -> None:
    with pytest.raises(Malformed):
        located(native(bytes(1000), nodes), EXPLICIT_LE)


def test_as_many_frames_as_can_be_told_take_no_memory() -> None:
    reader, found = located(native(bytes(1000), description(2**31 - 1)), EXPLICIT_LE)

    assert found.frame(reader, 250).size == 4
    with pytest.raises(Malformed, match="cut short"):
        found.frame(reader, 251)
    with pytest.raises(Malformed, match="2147483647 frames in 1 fragments"):
        located(encapsulated([[bytes(100)]], description(2**31 - 1)))


@pytest.mark.parametrize("cut", [1, 8, 9, 20, 30])
def test_encapsulated_pixels_that_are_cut_short_are_malformed(cut) -> None:
    made = [[b"123456"], [b"123456"], [b"123456"]]
    for table in (None, offsets(made)):
        with pytest.raises(Malformed):
            every_frame(encapsulated(made, description(3), basic=table)[:-cut])


@given(st.binary(max_size=60), st.integers(1, 4))
def test_garbage_among_the_fragments_is_malformed_at_worst(garbage, count) -> None:
    start = header(0x7FE00010, "OB", 0xFFFFFFFF, implicit=False, little=True)
    with nothing_worse_than_malformed():
        every_frame(encode(description(count)) + start + garbage)
    with nothing_worse_than_malformed():
        every_frame(encode(description(count)) + start + item(b"") + item(b"ab") + garbage)


def test_the_other_encapsulation_than_the_transfer_syntax_says_is_malformed() -> None:
    with pytest.raises(Malformed, match="are encapsulated"):
        located(encapsulated([[b"ab"]], description(1)), EXPLICIT_LE)
    with pytest.raises(Malformed, match="are not encapsulated"):
        located(native(bytes(4), description(1)), JPEG)


FRAMES, FRAGMENT = 100_000, 150_000  # 15 GB
FRAGMENT_HEAD = marker(0xFFFEE000, FRAGMENT, little=True)


class Large:
    """15 GB of fragments behind ``start``, made where they are looked at; each tells its number."""

    def __init__(self, start: bytes) -> None:
        self._start = start
        self.size = len(start) + FRAMES * (8 + FRAGMENT) + 8
        self.fetched = 0

    def window(self, start: int, end: int) -> memoryview:
        end = min(end, self.size)
        self.fetched += end - start
        found = bytearray(self._start[start:end])
        while (at := start + len(found)) < end:
            number, within = divmod(at - len(self._start), 8 + FRAGMENT)
            whole = marker(0xFFFEE0DD, 0, little=True)
            if number < FRAMES:
                whole = FRAGMENT_HEAD + pack("<I", number) + bytes(FRAGMENT - 4)
            found += whole[within : within + end - at]
        return memoryview(bytes(found))


def told(reader: Large, number: int, found: FrameMap) -> int:
    frame = found.frame(reader, number)
    assert frame.size == FRAGMENT
    return int.from_bytes(next(content(reader, frame, 0, 4)), "little")


def test_a_hundred_thousand_frames_in_15_gb_are_located_by_their_headers() -> None:
    reader = Large(encapsulated([], description(FRAMES))[:-8])

    found = frames.locate(Walk(reader, JPEG), JPEG)

    assert told(reader, FRAMES, found) == FRAMES - 1
    assert told(reader, 77, found) == 76
    assert reader.fetched < 1 << 20


def test_with_a_table_the_last_frame_takes_little_more_than_the_table() -> None:
    table = [number * (FRAGMENT + 8) for number in range(FRAMES)]
    extended = (table, [FRAGMENT] * FRAMES)
    reader = Large(encapsulated([], description(FRAMES), extended=extended)[:-8])

    found = frames.locate(Walk(reader, JPEG), JPEG)

    assert told(reader, FRAMES, found) == FRAMES - 1
    assert reader.fetched < 1 << 20


def test_a_kept_map_of_a_hundred_thousand_frames_is_small_and_quickly_read() -> None:
    reader = Large(encapsulated([], description(FRAMES))[:-8])
    kept = frames.locate(Walk(reader, JPEG), JPEG).to_bytes()
    started = time.process_time()

    found = FrameMap.from_bytes(kept)

    assert time.process_time() - started < 0.2
    assert len(kept) < 5 * FRAMES
    assert told(reader, FRAMES, found) == FRAMES - 1


@given(st.binary(max_size=80))
def test_what_is_no_kept_map_is_malformed(garbage) -> None:
    for data in (garbage, b"IFM1" + garbage):
        with pytest.raises(Malformed):
            FrameMap.from_bytes(data)


@pytest.mark.parametrize(
    "name", ["SC_rgb_rle_2frame.dcm", "MR_small_RLE.dcm", "rtdose.dcm", "693_J2KI.dcm"]
)
def test_files_of_pydicom_give_the_frames_that_pydicom_gives(name: str) -> None:
    path = Path(str(pydicom.data.get_testdata_file(name)))
    image = pydicom.dcmread(BytesIO(path.read_bytes()))
    syntax = lookup(image.file_meta.TransferSyntaxUID)
    file = BytesIO(path.read_bytes())
    pydicom.filereader.read_preamble(file, force=True)
    pydicom.filereader._read_file_meta_info(file)
    count = int(image.get("NumberOfFrames", 1))

    given = every_frame(file.read(), syntax)

    if syntax.is_encapsulated:
        assert given == list(generate_frames(image.PixelData, number_of_frames=count))
    else:
        assert b"".join(given) == image.PixelData
