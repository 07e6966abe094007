"""Categories of non-patient instances (PS3.18 12.1.1)."""

import pytest
from pydicom import uid

from isocenter.dicom.sop_classes import NON_PATIENT
from isocenter.dicomweb.non_patient import CATEGORIES, sop_classes
from isocenter.errors import NotFound


def test_the_names_are_those_of_the_standard() -> None:
    assert set(CATEGORIES) == {
        "color-palettes",
        "defined-procedure-protocols",
        "hanging-protocols",
        "implant-templates",
        "inventories",
    }


@pytest.mark.parametrize(
    ("name", "sop_class"),
    [
        ("color-palettes", uid.ColorPaletteStorage),
        ("defined-procedure-protocols", uid.CTDefinedProcedureProtocolStorage),
        ("defined-procedure-protocols", uid.XADefinedProcedureProtocolStorage),
        ("hanging-protocols", uid.HangingProtocolStorage),
        ("implant-templates", uid.GenericImplantTemplateStorage),
        ("implant-templates", uid.ImplantAssemblyTemplateStorage),
        ("implant-templates", uid.ImplantTemplateGroupStorage),
        ("inventories", uid.InventoryStorage),
    ],
)
def test_a_category_has_its_sop_classes(name: str, sop_class: str) -> None:
    assert sop_class in sop_classes(name)


def test_no_sop_class_is_in_two_categories_and_all_belong_to_no_patient() -> None:
    together = [each for classes in CATEGORIES.values() for each in classes]

    assert len(together) == len(set(together))
    assert set(together) <= NON_PATIENT


def test_an_unknown_category_is_told_which_there_are() -> None:
    with pytest.raises(NotFound, match="hanging-protocols"):
        sop_classes("hanging-protocol")
