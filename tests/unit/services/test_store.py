"""C-STORE: what is taken, and what is said of it (PS3.4 annex B)."""

from pathlib import Path

import pytest

from isocenter.archive.archive import Archive
from isocenter.config import ArchiveConfig
from isocenter.dicom.sop_classes import STORAGE
from isocenter.dimse.command import Verb
from isocenter.dimse.status import SUCCESS
from isocenter.dimse.user_information import CommonExtended
from isocenter.errors import Conflict, Mismatch
from isocenter.services.store import StoreProvider
from made_instances import CT, EXPLICIT, Kept, Slab, encoded, image
from made_operations import operation

PRIVATE = "1.2.276.0.99.1"
NEWER = "1.2.840.10008.5.1.4.1.1.9999"
PRINT = "1.2.840.10008.5.1.1.9"


async def test_the_first_one_kept_is_a_success_that_says_so(archive: Archive, kept: Kept) -> None:
    await kept.store(image(PatientName="First"))
    provider = StoreProvider(archive)
    asked = operation(Verb.C_STORE, CT, AffectedSOPInstanceUID="1.2.3.4")
    receiver = provider.receive(asked)
    receiver.write(Slab(encoded(image(PatientName="Second"))))  # type: ignore[arg-type]

    response = await receiver.finish()

    assert response.status == SUCCESS
    assert "first" in str(response.elements["ErrorComment"])


async def test_no_success_is_said_of_another_patients_instance_under_the_same_uid(
    archive: Archive, kept: Kept
) -> None:
    await kept.store(image(PatientID="P1"))
    asked = operation(Verb.C_STORE, CT, AffectedSOPInstanceUID="1.2.3.4")
    receiver = StoreProvider(archive).receive(asked)
    receiver.write(Slab(encoded(image(PatientID="P2"))))  # type: ignore[arg-type]

    with pytest.raises(Conflict):  # 0111, duplicate SOP instance (PS3.7 C.5.8)
        await receiver.finish()


@pytest.mark.parametrize("missing", ["AffectedSOPInstanceUID", "AffectedSOPClassUID"])
async def test_a_request_about_nothing_is_refused(archive: Archive, missing: str) -> None:
    elements = {"AffectedSOPInstanceUID": "1.2.3.4", missing: ""}
    asked = operation(Verb.C_STORE, CT, **elements)

    with pytest.raises(Mismatch):
        StoreProvider(archive).receive(asked)


async def test_a_class_other_than_its_context_was_accepted_for_is_refused(archive: Archive) -> None:
    elements = {"AffectedSOPInstanceUID": "1.2.3.4", "AffectedSOPClassUID": NEWER}
    asked = operation(Verb.C_STORE, CT, **elements)

    with pytest.raises(Mismatch):
        StoreProvider(archive).receive(asked)


@pytest.mark.parametrize(
    ("sop_class", "service_class", "is_taken"),
    [
        (PRIVATE, None, True),
        (NEWER, None, True),
        (PRINT, None, False),
        (PRINT, "1.2.840.10008.4.2", True),
        (PRIVATE, "1.2.840.10008.4.2", True),
        (PRIVATE, "1.2.840.10008.4.3", False),
        ("1.2.840.10008.5.1.4.1.1.201.2", None, False),  # Inventory - FIND (PS3.4 BBB)
        ("1.2.840.10008.5.1.4.1.1.200.5", None, False),  # Protocol Approval - MOVE (PS3.4 II)
        ("", None, False),
    ],
)
async def test_what_may_be_storage_is_taken(
    archive: Archive, sop_class: str, service_class: str | None, is_taken: bool
) -> None:
    common = CommonExtended(sop_class, service_class) if service_class else None

    taken = StoreProvider(archive).unknown(sop_class, common)

    assert (taken is not None) == is_taken


async def test_what_nobody_knows_is_not_taken_where_it_is_not_wanted(tmp_path: Path) -> None:
    config = ArchiveConfig(unknown_sop_classes=False)
    archive = await Archive.open(tmp_path / "strict", config)
    try:
        assert StoreProvider(archive).unknown(PRIVATE, None) is None
        assert StoreProvider(archive).unknown(NEWER, None) is None
    finally:
        await archive.close()


async def test_every_storage_class_is_offered_in_every_encoding(archive: Archive) -> None:
    services = StoreProvider(archive).services()

    assert {each.offer.abstract_syntax for each in services} == set(STORAGE)
    assert all(EXPLICIT in each.offer.transfer_syntaxes for each in services)
    assert all(each.offer.as_user for each in services)


# PS3.4 Table B.3-2: level 2 keeps every attribute; byte 5 is 0, nothing is coerced.
@pytest.mark.parametrize("size", [1, 5, 6, 9])
async def test_full_storage_is_promised(archive: Archive, size: int) -> None:
    (service, *_) = StoreProvider(archive).services()
    assert service.offer.extended is not None

    answer = service.offer.extended(bytes(size))

    assert answer is not None
    assert answer[0] == 2
    assert not any(answer[1:])
