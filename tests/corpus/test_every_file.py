"""Every file of the corpus: read as pydicom reads it, or refused as malformed with an offset."""

import json
import random
import subprocess
import sys
import warnings
from contextlib import suppress
from functools import cache

import pydicom
import pytest
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.valuerep import VR

from corpus_files import REASON, ROOT, name, paths
from faults_allowed import nothing_worse_than_malformed
from isocenter.dicom import charset as charsets, part10
from isocenter.dicom.elements import elements
from isocenter.dicom.scanner import Scanner
from isocenter.dicom.values import TEXT_VRS, decode
from isocenter.errors import Malformed

pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason=REASON)

FILES = paths()
MALFORMED = [path for path in FILES if name(path).startswith("malformed/")]
# Sound as a whole, but not as their folder has it.
CUT_SHORT_ELSEWHERE = {"media/dicomdirtests/DICOMDIR-nooffset"}
# pydicom takes the DICM of the data for a prefix, and reads nonsense behind it.
MISREAD_BY_PYDICOM = {"malformed/no-preamble-dicm-in-data.dcm"}
# pydicom finds a second, empty item in an icon whose fragments have no delimiter.
ITEM_TOO_MANY = {"images/pt/pt-siemens-jpeg-lossless.dcm": 0x00091010}
WANTED = frozenset({0x00080005, 0x00080018, 0x00081140, 0x00100010, 0x00280010, 0x7FE00010})


def theirs(path):
    """What pydicom reads, or None where it cannot."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return pydicom.dcmread(path, force=True)
        except Exception:  # whatever pydicom raises for nonsense
            return None


def opened(path):
    data = path.read_bytes()
    header = part10.read(data)
    return header.syntax, memoryview(data)[header.dataset_offset :]


def differences(found, dataset, where, charset=None, skip=None):
    """Compare tags, VRs, encoded and decoded values, down into sequences."""
    ours = {element.tag: element for element in found}
    if set(ours) != {int(tag) for tag in dataset.keys()}:  # noqa: SIM118
        yield f"{where}: tags differ"
        return
    if 0x00080005 in ours:
        charset = charsets.of_value(bytes(ours[0x00080005].value))
    for tag, element in ours.items():
        if tag == skip:
            continue
        here = f"{where} ({tag:08X})"
        raw = dataset.get_item(tag)
        if element.vr == "SQ":
            yield from _sequence_differences(element, dataset[tag].value, here, charset)
        elif isinstance(raw, RawDataElement):
            if (raw.value or b"") != bytes(element.value):
                yield f"{here}: values differ"
            elif not _is_same_vr(tag, element.vr, raw.VR, dataset):
                yield f"{here}: {element.vr}, not {raw.VR}"
            else:
                yield from _decoded_difference(element, dataset, charset, here)


def _sequence_differences(element, theirs, here, charset):
    items = list(element.items())
    if len(items) != len(theirs):
        yield f"{here}: {len(items)} items, not {len(theirs)}"
        return
    for number, (item, their) in enumerate(zip(items, theirs, strict=True)):
        yield from differences(item.elements(), their, f"{here}[{number}]", charset)


def _is_same_vr(tag, ours, read, dataset):
    if read is not None and read not in ("UN", ours):
        return read not in list(VR)  # one that does not exist: any will do
    if not tag & 0xFFFF and tag >> 16 & 1:
        return ours == "UL"  # PS3.5 7.2 has it so for private groups too; pydicom says UN
    with suppress(KeyError, NotImplementedError):
        if " or " in dictionary_VR(tag):
            return ours in dictionary_VR(tag) or ours == "UN"
    with suppress(NotImplementedError):
        return str(dataset[tag].VR) == ours
    return ours == "UN"


def _decoded_difference(element, dataset, charset, here):
    """Compare decoded values, where pydicom can decode them at all."""
    vr = element.vr
    if vr in ("OB", "OD", "OF", "OL", "OV", "OW", "UN") or len(element.value) > 1 << 16:
        return
    try:
        value = dataset[element.tag].value
    except Exception:  # what pydicom cannot decode it cannot tell us
        return
    little = element.layout.is_little_endian
    ours = decode(vr, element.value, charset or charsets.DEFAULT, is_little_endian=little)
    if any(isinstance(each, bytes) for each in ours) or str(dataset[element.tag].VR) != vr:
        return
    values = list(value) if isinstance(value, pydicom.multival.MultiValue | list) else [value]
    if [_plain(each, vr) for each in values] != [_plain(each, vr) for each in ours or [None]]:
        yield f"{here} {vr}: decoded values differ"


def _plain(value, vr):
    if value is None or value == "":
        return ""
    if vr in ("DS", "IS"):
        with suppress(ValueError):
            return float(value)
    if vr in TEXT_VRS or isinstance(value, str):
        return str(value).strip(" \0").rstrip("=")
    return repr(float(value)) if isinstance(value, float) else value


@pytest.mark.parametrize("path", FILES, ids=name)
def test_it_is_read_as_pydicom_reads_it(path):
    dataset = theirs(path)
    if name(path) in MISREAD_BY_PYDICOM or dataset is None:
        with nothing_worse_than_malformed():
            syntax, data = opened(path)
            assert list(elements(data, syntax))
        return

    try:
        syntax, data = opened(path)
        skip = ITEM_TOO_MANY.get(name(path))
        found = list(differences(elements(data, syntax), dataset, name(path), skip=skip))
    except Malformed as fault:
        is_expected = path in MALFORMED or name(path) in CUT_SHORT_ELSEWHERE
        if not is_expected or fault.offset is None:
            raise
    else:
        assert not found


@pytest.mark.parametrize("path", FILES, ids=name)
def test_the_scanner_finds_what_the_walk_finds_however_it_is_cut(path):
    try:
        syntax, data = opened(path)
        walked = {element.tag: element for element in elements(data, syntax)}
    except Malformed:
        return

    scanner = Scanner(syntax, WANTED)
    chance = random.Random(len(data))
    at = 0
    while at < len(data):
        size = chance.choice((1, 2, 3, 7, 100, 5_000, 70_000))
        scanner.feed(data[at : at + size])
        at += size
    scanner.finish()

    for tag in WANTED - set(scanner.too_long):
        if tag in walked:
            assert scanner.values[tag].value == bytes(walked[tag].value)
            assert scanner.values[tag].vr == walked[tag].vr
        else:
            assert tag not in scanner.values


@cache
def cost_of_every_malformed_file():
    """Read each malformed file in a process of its own kind; give what it took, by name."""
    program = """
import json, re, sys, time
from isocenter.dicom import part10, dump
from isocenter.dicom.elements import elements
from isocenter.dicom.scanner import Scanner
from isocenter.errors import Malformed
for path in sys.argv[1:]:
    data = open(path, "rb").read()
    start, outcome = time.process_time(), "read"
    try:
        header = part10.read(data)
        body = memoryview(data)[header.dataset_offset:]
        scanner = Scanner(header.syntax, frozenset({0x00080018, 0x00100010}))
        for at in range(0, len(body), 16384):
            scanner.feed(body[at : at + 16384])
        scanner.finish()
        for line in dump.lines(elements(body, header.syntax)):
            pass
    except Malformed as fault:
        outcome = "malformed" if fault.offset is not None else "no offset"
    took = time.process_time() - start
    # Not ru_maxrss: that counts what the parent had.
    peak = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())
    print(json.dumps([path, outcome, took, int(peak[1])]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, MALFORMED)],
        capture_output=True,
        check=True,
        timeout=100,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_malformed_files_cost_no_more_than_a_second_and_200_megabytes():
    costs = cost_of_every_malformed_file()

    assert len(costs) == len(MALFORMED)
    for path, outcome, seconds, kibibytes in costs:
        assert outcome in ("read", "malformed"), path
        assert seconds < 1, path
        assert kibibytes < 200 * 1024, path
