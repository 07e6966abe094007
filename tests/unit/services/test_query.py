"""C-FIND: what comes back, and how it is labelled (PS3.4 C.4.1.1.3, C.4.1.1.4)."""

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings, strategies as st
from pydicom.dataset import Dataset

from isocenter.archive.archive import Archive
from isocenter.config import DimseConfig
from isocenter.dimse.command import Verb
from isocenter.errors import IsocenterError, Mismatch
from isocenter.services.models import BY_FIND
from isocenter.services.query import FindProvider
from isocenter.storage.attributes import ATTRIBUTES
from made_instances import CT, Kept, element, image
from made_operations import Wire, decoded, encoded as written, identifier, operation

FIND = "1.2.840.10008.5.1.4.1.2.2.1"
PATIENT_FIND = "1.2.840.10008.5.1.4.1.2.1.1"


async def find(
    archive: Archive, keys: Dataset, *, options: bytes = b"\1", sop_class: str = FIND
) -> tuple[list[Dataset], list[int], int]:
    """The answers, their statuses, and the last status."""
    wire = Wire(**{sop_class.replace(".", "_"): options})
    asked = operation(Verb.C_FIND, sop_class, written(keys), wire=wire)
    provider = FindProvider(archive, "ISOCENTER", DimseConfig())
    response = await provider.find(asked)
    statuses = [int(str(command["Status"])) for command, _ in wire.sent]
    return [decoded(data) for data in wire.pending], statuses, response.status


async def one(archive: Archive, keys: Dataset, **more: Any) -> Dataset:
    (found,), _, status = await find(archive, keys, **more)
    assert status == 0
    return found


async def test_what_was_asked_for_comes_back_and_no_more(archive: Archive, kept: Kept) -> None:
    await kept.store(image(StudyDescription="Head", AccessionNumber="A1"))

    found = await one(archive, identifier("STUDY", AccessionNumber="", PatientSex=""))

    assert {each.keyword for each in found} == {
        "QueryRetrieveLevel",
        "RetrieveAETitle",
        "StudyInstanceUID",
        "AccessionNumber",
        "PatientSex",
    }
    assert found.AccessionNumber == "A1"
    assert found.PatientSex == ""
    assert found.QueryRetrieveLevel == "STUDY"
    assert found.RetrieveAETitle == "ISOCENTER"


async def test_availability_is_told_when_asked_for(archive: Archive, kept: Kept) -> None:
    await kept.store(image())

    found = await one(archive, identifier("STUDY", InstanceAvailability=""))

    assert found.InstanceAvailability == "ONLINE"


async def test_a_key_nobody_supports_is_a_warning_with_every_match(
    archive: Archive, kept: Kept
) -> None:
    await kept.store(image())

    # For existence or for matching: PS3.4 Table C.4-1.
    _, matched, _ = await find(archive, identifier("STUDY", PatientID="P1"))
    unmatched = identifier("STUDY", AnatomicRegionSequence=None)
    unmatched.add_new(0x00111001, "LO", "private")
    _, warned, last = await find(archive, unmatched)
    _, not_returned, _ = await find(archive, identifier("STUDY", KVP=None))

    assert matched == [0xFF00]
    assert (warned, last) == ([0xFF01], 0)
    assert not_returned == [0xFF01]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        *(("", None), ("ISO_IR 100", "ISO_IR 100"), ("ISO_IR 144", None)),
        ("ISO_IR 999", None),  # nobody could read the name under that
    ],
)
async def test_a_name_comes_in_the_character_set_asked_for_or_in_utf_8(
    archive: Archive, kept: Kept, asked: str, told: str | None
) -> None:
    await kept.store(image(SpecificCharacterSet="ISO_IR 100", PatientName="M\u00fcller"))
    keys = identifier("STUDY", PatientName="")
    if asked:
        keys.SpecificCharacterSet = asked

    found = await one(archive, keys)

    assert found.PatientName == "M\u00fcller"
    assert found.SpecificCharacterSet == (told or "ISO_IR 192")


async def test_no_character_set_is_told_where_none_is_needed(archive: Archive, kept: Kept) -> None:
    await kept.store(image())

    found = await one(archive, identifier("STUDY", PatientName=""))

    assert "SpecificCharacterSet" not in found


@pytest.mark.parametrize("options", [b"\1", b"\1\0\0\1"])
async def test_a_zone_that_was_stored_comes_with_its_times(
    archive: Archive, kept: Kept, options: bytes
) -> None:
    await kept.store(image(StudyTime="120000", TimezoneOffsetFromUTC="+0200"))
    keys = identifier("STUDY", StudyTime="", TimezoneOffsetFromUTC="+0200")

    found = await one(archive, keys, options=options)

    assert found.TimezoneOffsetFromUTC == "+0200"


async def test_no_zone_is_made_up(archive: Archive, kept: Kept) -> None:
    await kept.store(image(StudyTime="120000"))
    keys = identifier("STUDY", StudyTime="", TimezoneOffsetFromUTC="")

    assert "TimezoneOffsetFromUTC" not in await one(archive, keys)


async def test_a_zone_that_is_none_is_refused_where_it_counts(archive: Archive) -> None:
    keys = identifier("STUDY", TimezoneOffsetFromUTC="noon")

    with pytest.raises(Mismatch):
        await find(archive, keys, options=b"\1\0\0\1")


async def test_a_cancelled_query_ends_as_cancelled(archive: Archive, kept: Kept) -> None:
    await kept.store(image())
    asked = operation(Verb.C_FIND, FIND, written(identifier("STUDY")))
    asked.cancel()

    response = await FindProvider(archive, "ISOCENTER", DimseConfig()).find(asked)

    assert response.status == 0xFE00


@pytest.mark.parametrize("sop_class", sorted(BY_FIND))
async def test_another_verb_is_not_answered_as_a_query(archive: Archive, sop_class: str) -> None:
    asked = operation(Verb.C_GET, sop_class, written(identifier("STUDY")))

    response = await FindProvider(archive, "ISOCENTER", DimseConfig()).find(asked)

    assert response.status == 0x0211


async def test_the_patient_is_named_at_every_level_below(archive: Archive, kept: Kept) -> None:
    await kept.store(image())

    found = await one(
        archive,
        identifier("SERIES", PatientID="P1", StudyInstanceUID="1.2"),
        sop_class=PATIENT_FIND,
    )

    assert (found.PatientID, found.StudyInstanceUID, found.SeriesInstanceUID) == (
        "P1",
        "1.2",
        "1.2.3",
    )


SHORT = sorted(
    tag
    for tag, attribute in ATTRIBUTES.items()
    if attribute.vr not in ("SQ", "UI", "UT", "UC", "UR", "OB", "OW") and tag >= 0x00080005
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
async def test_nothing_that_was_stored_keeps_a_query_from_being_answered(
    archive: Archive, kept: Kept, data: st.DataObject
) -> None:
    tags = sorted(data.draw(st.lists(st.sampled_from(SHORT), unique=True, max_size=8)))
    given_elements = {
        tag: data.draw(
            st.one_of(
                st.binary(max_size=20),
                st.sampled_from([b"1e999 ", b"\\\\", b"9" * 30, b"nan ", b"-0", b"\x1b$B0"]),
            )
        )
        for tag in tags
    }
    # pydicom, which reads the answers here, has no integer for infinity.
    endless = {tag for tag, value in given_elements.items() if value == b"1e999 "}
    assume(not any(ATTRIBUTES[tag].vr == "IS" for tag in endless))
    uid = f"1.9.{data.draw(st.integers(0, 10**12))}"
    uids = {0x00080016: CT, 0x00080018: uid, 0x0020000D: uid, 0x0020000E: uid}
    everything = {
        **{tag: (ATTRIBUTES[tag].vr, value) for tag, value in given_elements.items()},
        **{
            tag: ("UI", value.encode().ljust(len(value) + len(value) % 2, b"\0"))
            for tag, value in uids.items()
        },
    }
    dataset = b"".join(
        element(tag, vr, value + b" " * (len(value) % 2))
        for tag, (vr, value) in sorted(everything.items())
    )
    try:
        await kept.begin(dataset, sop_instance=uid).finish()
    except IsocenterError:
        return

    for level in ("STUDY", "SERIES", "IMAGE"):
        keys = identifier(level, StudyInstanceUID=uid)
        for tag in tags:
            if tag not in (0x00080005, 0x00080201, 0x00080052):
                keys.add_new(tag, ATTRIBUTES[tag].vr, None)
        found, _, status = await find(archive, keys)
        assert (len(found), status) == (1, 0)
