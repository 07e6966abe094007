"""What is found in a stack of CT slices: segments, contours, measurements."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from instances import new_uid
from made_study import INSIDE, PIXELS, SPACING, code, described
from slides import item

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
STRUCTURES = "1.2.840.10008.5.1.4.1.1.481.3"
REPORT = "1.2.840.10008.5.1.4.1.1.88.33"

SEGMENTS = (("left half", (255, 0, 0)), ("right half", (0, 0, 255)))
"""Names and colours; each is a half of the square."""
CONTOURED = ("outline", (255, 255, 0))
LENGTH = 40.0
"""Millimetres of what is measured."""
# The recommended display values of red and blue (PS3.3 C.10.7.1.1).
_CIELAB = {(255, 0, 0): (34905, 53485, 50171), (0, 0, 255): (21169, 53208, 5170)}


def referenced(image: Dataset, **more: Any) -> Dataset:
    """An item that refers to an image."""
    return item(
        ReferencedSOPClassUID=image.SOPClassUID,
        ReferencedSOPInstanceUID=image.SOPInstanceUID,
        **more,
    )


def segmentation(slices: list[Dataset], number: int) -> Dataset:
    """A segmentation of two segments, on every slice (PS3.3 A.51)."""
    first = slices[0]
    frames, groups = [], []
    half = (INSIDE.start + INSIDE.stop) // 2
    for segment, columns in ((1, slice(INSIDE.start, half)), (2, slice(half, INSIDE.stop))):
        for place, each in enumerate(slices):
            mask = np.zeros((PIXELS, PIXELS), np.uint8)
            mask[INSIDE, columns] = 1
            frames.append(mask)
            groups.append(_frame_of(each, segment, place + 1))
    dimension = new_uid()
    made = described(
        str(first.StudyInstanceUID),
        SEGMENTATION,
        "SEG",
        number,
        SeriesDescription="segments",
        ImageType=["DERIVED", "PRIMARY"],
        FrameOfReferenceUID=first.FrameOfReferenceUID,
        PositionReferenceIndicator="",
        NumberOfFrames=len(frames),
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        Rows=PIXELS,
        Columns=PIXELS,
        BitsAllocated=1,
        BitsStored=1,
        HighBit=0,
        PixelRepresentation=0,
        LossyImageCompression="00",
        SegmentationType="BINARY",
        SegmentsOverlap="NO",
        ContentLabel="SEGMENTS",
        ContentDescription="",
        ContentCreatorName="",
        SegmentSequence=[_segment(place + 1, *each) for place, each in enumerate(SEGMENTS)],
        DimensionOrganizationSequence=[item(DimensionOrganizationUID=dimension)],
        DimensionIndexSequence=[
            item(
                DimensionOrganizationUID=dimension,
                DimensionIndexPointer=pointer,
                FunctionalGroupPointer=group,
            )
            for pointer, group in ((0x0062000B, 0x0062000A), (0x00200032, 0x00209113))
        ],
        SharedFunctionalGroupsSequence=[
            item(
                PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
                PixelMeasuresSequence=[
                    item(
                        PixelSpacing=[SPACING, SPACING],
                        SliceThickness=SPACING,
                        SpacingBetweenSlices=SPACING,
                    )
                ],
            )
        ],
        PerFrameFunctionalGroupsSequence=groups,
        ReferencedSeriesSequence=[
            item(
                SeriesInstanceUID=first.SeriesInstanceUID,
                ReferencedInstanceSequence=[referenced(each) for each in slices],
            )
        ],
        PixelData=np.packbits(np.stack(frames).ravel(), bitorder="little").tobytes(),
    )
    made["PixelData"].VR = "OB"
    return made


def _segment(number: int, label: str, colour: tuple[int, int, int]) -> Dataset:
    return item(
        SegmentNumber=number,
        SegmentLabel=label,
        SegmentAlgorithmType="MANUAL",
        SegmentedPropertyCategoryCodeSequence=[code("123037004", "SCT", "Anatomical Structure")],
        SegmentedPropertyTypeCodeSequence=[code("85756007", "SCT", "Tissue")],
        RecommendedDisplayCIELabValue=list(_CIELAB[colour]),
    )


def _frame_of(image: Dataset, segment: int, place: int) -> Dataset:
    purpose = code("121322", "DCM", "Source image for image processing operation")
    return item(
        FrameContentSequence=[item(DimensionIndexValues=[segment, place])],
        PlanePositionSequence=[item(ImagePositionPatient=image.ImagePositionPatient)],
        SegmentIdentificationSequence=[item(ReferencedSegmentNumber=segment)],
        DerivationImageSequence=[
            item(
                DerivationCodeSequence=[code("113076", "DCM", "Segmentation")],
                SourceImageSequence=[
                    referenced(
                        image,
                        SpatialLocationsPreserved="YES",
                        PurposeOfReferenceCodeSequence=[purpose],
                    )
                ],
            )
        ],
    )


def structures(slices: list[Dataset], number: int) -> Dataset:
    """The square of each slice, outlined (PS3.3 A.19)."""
    first = slices[0]
    name, colour = CONTOURED
    near, far = (INSIDE.start - 4) * SPACING, (INSIDE.stop + 4) * SPACING
    corners = ((near, near), (far, near), (far, far), (near, far))
    return described(
        str(first.StudyInstanceUID),
        STRUCTURES,
        "RTSTRUCT",
        number,
        SeriesDescription="contours",
        FrameOfReferenceUID=first.FrameOfReferenceUID,
        PositionReferenceIndicator="",
        StructureSetLabel="CONTOURS",
        StructureSetDate="20240229",
        StructureSetTime="101112",
        OperatorsName="",
        ApprovalStatus="UNAPPROVED",
        ReferencedFrameOfReferenceSequence=[
            item(
                FrameOfReferenceUID=first.FrameOfReferenceUID,
                RTReferencedStudySequence=[
                    item(
                        ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1",
                        ReferencedSOPInstanceUID=first.StudyInstanceUID,
                        RTReferencedSeriesSequence=[
                            item(
                                SeriesInstanceUID=first.SeriesInstanceUID,
                                ContourImageSequence=[referenced(each) for each in slices],
                            )
                        ],
                    )
                ],
            )
        ],
        StructureSetROISequence=[
            item(
                ROINumber=1,
                ReferencedFrameOfReferenceUID=first.FrameOfReferenceUID,
                ROIName=name,
                ROIGenerationAlgorithm="MANUAL",
            )
        ],
        ROIContourSequence=[
            item(
                ROIDisplayColor=list(colour),
                ReferencedROINumber=1,
                ContourSequence=[
                    item(
                        ContourImageSequence=[referenced(each)],
                        ContourGeometricType="CLOSED_PLANAR",
                        NumberOfContourPoints=len(corners),
                        ContourData=[
                            value
                            for corner in corners
                            for value in (*corner, each.ImagePositionPatient[2])
                        ],
                    )
                    for each in slices
                ],
            )
        ],
        RTROIObservationsSequence=[
            item(
                ObservationNumber=1,
                ReferencedROINumber=1,
                RTROIInterpretedType="ORGAN",
                ROIInterpreter="",
            )
        ],
    )


def measurements(slices: list[Dataset], number: int) -> Dataset:
    """A length on the slice in the middle, by TID 1500 (PS3.16)."""
    image = slices[len(slices) // 2]
    left = PIXELS / 2 - LENGTH / SPACING / 2
    line = [left, PIXELS / 2, left + LENGTH / SPACING, PIXELS / 2]
    selected = _content("SELECTED FROM", "IMAGE", None, ReferencedSOPSequence=[referenced(image)])
    points = _content(
        "INFERRED FROM", "SCOORD", None, GraphicData=line, GraphicType="POLYLINE",
        ContentSequence=[selected],
    )  # fmt: skip
    length = _content(
        "CONTAINS",
        "NUM",
        code("410668003", "SCT", "Length"),
        MeasuredValueSequence=[
            item(
                MeasurementUnitsCodeSequence=[code("mm", "UCUM", "millimeter")],
                NumericValue=LENGTH,
            )
        ],
        ContentSequence=[points],
    )
    group = _content(
        "CONTAINS",
        "CONTAINER",
        code("125007", "DCM", "Measurement Group"),
        ContinuityOfContent="SEPARATE",
        ContentSequence=[
            _content(
                "HAS OBS CONTEXT",
                "TEXT",
                code("112039", "DCM", "Tracking Identifier"),
                TextValue="Cornerstone3DTools@^0.1.0:Length",
            ),
            _content(
                "HAS OBS CONTEXT",
                "UIDREF",
                code("112040", "DCM", "Tracking Unique Identifier"),
                UID=new_uid(),
            ),
            _content(
                "CONTAINS",
                "CODE",
                code("121071", "DCM", "Finding"),
                ConceptCodeSequence=[code("4147007", "SCT", "Mass")],
            ),
            length,
        ],
    )
    return _report(slices, image, number, group)


def _report(slices: list[Dataset], image: Dataset, number: int, group: Dataset) -> Dataset:
    first = slices[0]
    return described(
        str(first.StudyInstanceUID),
        REPORT,
        "SR",
        number,
        SeriesDescription="measurements",
        ReferencedPerformedProcedureStepSequence=[],
        PerformedProcedureCodeSequence=[],
        CompletionFlag="PARTIAL",
        VerificationFlag="UNVERIFIED",
        PreliminaryFlag="PRELIMINARY",
        ValueType="CONTAINER",
        ContinuityOfContent="SEPARATE",
        ConceptNameCodeSequence=[code("126000", "DCM", "Imaging Measurement Report")],
        ContentTemplateSequence=[item(MappingResource="DCMR", TemplateIdentifier="1500")],
        CurrentRequestedProcedureEvidenceSequence=[
            item(
                StudyInstanceUID=first.StudyInstanceUID,
                ReferencedSeriesSequence=[
                    item(
                        SeriesInstanceUID=first.SeriesInstanceUID,
                        ReferencedSOPSequence=[referenced(image)],
                    )
                ],
            )
        ],
        ContentSequence=[
            _content(
                "HAS CONCEPT MOD",
                "CODE",
                code("121049", "DCM", "Language of Content Item and Descendants"),
                ConceptCodeSequence=[code("eng", "RFC5646", "English")],
            ),
            _content(
                "HAS OBS CONTEXT",
                "CODE",
                code("121005", "DCM", "Observer Type"),
                ConceptCodeSequence=[code("121006", "DCM", "Person")],
            ),
            _content(
                "HAS OBS CONTEXT",
                "PNAME",
                code("121008", "DCM", "Person Observer Name"),
                PersonName="Meitner^Lise",
            ),
            _content(
                "HAS CONCEPT MOD",
                "CODE",
                code("121058", "DCM", "Procedure reported"),
                ConceptCodeSequence=[code("77477000", "SCT", "Computed tomography")],
            ),
            _content(
                "CONTAINS",
                "CONTAINER",
                code("111028", "DCM", "Image Library"),
                ContinuityOfContent="SEPARATE",
            ),
            _content(
                "CONTAINS",
                "CONTAINER",
                code("126010", "DCM", "Imaging Measurements"),
                ContinuityOfContent="SEPARATE",
                ContentSequence=[group],
            ),
        ],
    )


def _content(relation: str, kind: str, name: Dataset | None, **values: Any) -> Dataset:
    named = {"ConceptNameCodeSequence": [name]} if name is not None else {}
    return item(RelationshipType=relation, ValueType=kind, **named, **values)
