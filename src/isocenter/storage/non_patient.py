"""Attributes of instances that belong to no patient, by category (PS3.18 Table 12.6.1-2).

Source: PS3.4 U.6.1.2, X.6.1.2, BB.6.1.2, HH.6.1.2, JJ.2.2.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from isocenter.storage.attribute import REFERENCE, Attribute, Level, code, sequence

_IMAGE: Final = Level.IMAGE


def _plain(tag: int, keyword: str, vr: str) -> Attribute:
    return Attribute(tag, keyword, vr, _IMAGE)


def _references(tag: int, keyword: str) -> Attribute:
    return sequence(_IMAGE, tag, keyword, REFERENCE)


_ANATOMY: Final = code(_IMAGE, 0x00082218, "AnatomicRegionSequence")
_MANUFACTURER: Final = _plain(0x00080070, "Manufacturer", "LO")
_EFFECTIVE: Final = _plain(0x00686226, "EffectiveDateTime", "DT")
_CREATOR: Final = _plain(0x00700084, "ContentCreatorName", "PN")
_CREATED: Final = (
    _plain(0x00080012, "InstanceCreationDate", "DA"),
    _plain(0x00080013, "InstanceCreationTime", "TM"),
)
_CONTENT: Final = (
    _plain(0x00700080, "ContentLabel", "CS"),
    _plain(0x00700081, "ContentDescription", "LO"),
)

_HANGING_PROTOCOL: Final = (
    _plain(0x00720002, "HangingProtocolName", "SH"),
    _plain(0x00720004, "HangingProtocolDescription", "LO"),
    _plain(0x00720006, "HangingProtocolLevel", "CS"),
    _plain(0x00720008, "HangingProtocolCreator", "LO"),
    _plain(0x0072000A, "HangingProtocolCreationDateTime", "DT"),
    sequence(
        _IMAGE,
        0x0072000C,
        "HangingProtocolDefinitionSequence",
        ((0x00080060, "Modality", "CS"), (0x00200060, "Laterality", "CS")),
        (
            _ANATOMY,
            code(_IMAGE, 0x00081032, "ProcedureCodeSequence"),
            code(_IMAGE, 0x0040100A, "ReasonForRequestedProcedureCodeSequence"),
        ),
    ),
    code(_IMAGE, 0x0072000E, "HangingProtocolUserIdentificationCodeSequence"),
    _plain(0x00720010, "HangingProtocolUserGroupName", "LO"),
    _plain(0x00720014, "NumberOfPriorsReferenced", "US"),
    _plain(0x00720100, "NumberOfScreens", "US"),
    sequence(
        _IMAGE,
        0x00720102,
        "NominalScreenDefinitionSequence",
        (
            (0x00720104, "NumberOfVerticalPixels", "US"),
            (0x00720106, "NumberOfHorizontalPixels", "US"),
            (0x00720108, "DisplayEnvironmentSpatialPosition", "FD"),
            (0x0072010A, "ScreenMinimumGrayscaleBitDepth", "US"),
            (0x0072010C, "ScreenMinimumColorBitDepth", "US"),
            (0x0072010E, "ApplicationMaximumRepaintTime", "US"),
        ),
    ),
)

_COLOR_PALETTE: Final = (
    *_CONTENT,
    _CREATOR,
    sequence(
        _IMAGE,
        0x00700087,
        "AlternateContentDescriptionSequence",
        ((0x00700081, "ContentDescription", "LO"),),
        (code(_IMAGE, 0x00080006, "LanguageCodeSequence"),),
    ),
)

_IMPLANT_TEMPLATE: Final = (
    _MANUFACTURER,
    _plain(0x00221095, "ImplantName", "LO"),
    _plain(0x00221097, "ImplantPartNumber", "LO"),
    _plain(0x00686210, "ImplantSize", "LO"),
    _references(0x00686222, "ReplacedImplantTemplateSequence"),
    _references(0x00686224, "DerivationImplantTemplateSequence"),
    _references(0x00686225, "OriginalImplantTemplateSequence"),
    _EFFECTIVE,
    sequence(_IMAGE, 0x00686230, "ImplantTargetAnatomySequence", (_ANATOMY,)),
    code(_IMAGE, 0x006862A0, "ImplantRegulatoryDisapprovalCodeSequence"),
    code(_IMAGE, 0x006863A0, "MaterialsCodeSequence"),
    code(_IMAGE, 0x006863A4, "CoatingMaterialsCodeSequence"),
    _plain(0x00760001, "ImplantAssemblyTemplateName", "LO"),
    _references(0x00760008, "ReplacedImplantAssemblyTemplateSequence"),
    _references(0x0076000C, "OriginalImplantAssemblyTemplateSequence"),
    _references(0x0076000E, "DerivationImplantAssemblyTemplateSequence"),
    code(_IMAGE, 0x00760020, "ProcedureTypeCodeSequence"),
    _plain(0x00760030, "SurgicalTechnique", "LO"),
    _plain(0x00780001, "ImplantTemplateGroupName", "LO"),
    _plain(0x00780010, "ImplantTemplateGroupDescription", "ST"),
    _plain(0x00780020, "ImplantTemplateGroupIssuer", "LO"),
    _references(0x00780026, "ReplacedImplantTemplateGroupSequence"),
)

_DEFINED_PROCEDURE_PROTOCOL: Final = (
    *_CREATED,
    _MANUFACTURER,
    code(_IMAGE, 0x00080220, "ResponsibleGroupCodeSequence"),
    _plain(0x00080221, "EquipmentModality", "CS"),
    _plain(0x00181030, "ProtocolName", "LO"),
    code(_IMAGE, 0x00189906, "PotentialScheduledProtocolCodeSequence"),
    code(_IMAGE, 0x00189907, "PotentialRequestedProcedureCodeSequence"),
    _plain(0x00189908, "PotentialReasonsForProcedure", "UC"),
    code(_IMAGE, 0x00189909, "PotentialReasonsForProcedureCodeSequence"),
    _plain(0x0018990A, "PotentialDiagnosticTasks", "UC"),
    code(_IMAGE, 0x0018990B, "ContraindicationsCodeSequence"),
    _references(0x0018990E, "PredecessorProtocolSequence"),
    sequence(
        _IMAGE,
        0x00189912,
        "ModelSpecificationSequence",
        (
            (0x00080070, "Manufacturer", "LO"),
            (0x00080222, "ManufacturerRelatedModelGroup", "LO"),
            (0x00081090, "ManufacturerModelName", "LO"),
            (0x00181000, "DeviceSerialNumber", "LO"),
            (0x00181020, "SoftwareVersions", "LO"),
        ),
    ),
    *_CONTENT,
    _CREATOR,
)

_INVENTORY: Final = (
    _plain(0x00080023, "ContentDate", "DA"),
    _plain(0x00080033, "ContentTime", "TM"),
    _MANUFACTURER,
    _plain(0x00080401, "InventoryPurpose", "LT"),
    _plain(0x00080402, "InventoryInstanceDescription", "LT"),
    _plain(0x00080403, "InventoryLevel", "CS"),
    _plain(0x00080404, "ItemInventoryDateTime", "DT"),
    _plain(0x00080426, "InventoryCompletionStatus", "CS"),
    _plain(0x00080427, "NumberOfStudyRecordsInInstance", "UL"),
    _plain(0x00080428, "TotalNumberOfStudyRecords", "UV"),
)

BY_CATEGORY: Final[Mapping[str, tuple[Attribute, ...]]] = MappingProxyType(
    {
        "color-palettes": _COLOR_PALETTE,
        "defined-procedure-protocols": _DEFINED_PROCEDURE_PROTOCOL,
        "hanging-protocols": _HANGING_PROTOCOL,
        "implant-templates": _IMPLANT_TEMPLATE,
        "inventories": _INVENTORY,
    }
)
"""What each category is searched by and answered with, but for SOP class and SOP instance."""
