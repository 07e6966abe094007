"""A study with one object of many kinds, each by the rules of its class, with content known here.

dicom3tools' dciodvfy finds no error in any of them.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import av
import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import ImageCms
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from instances import new_uid
from made_pictures import pdf_of
from made_slides import halved, level
from slides import item

EXPLICIT = "1.2.840.10008.1.2.1"
H264 = "1.2.840.10008.1.2.4.102"
CT = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
ULTRASOUND = "1.2.840.10008.5.1.4.1.1.3.1"
ECG = "1.2.840.10008.5.1.4.1.1.9.1.1"
PDF = "1.2.840.10008.5.1.4.1.1.104.1"
ENDOSCOPY = "1.2.840.10008.5.1.4.1.1.77.1.1.1"

PIXELS = 64
SLICES = 20
SPACING = 2.0
"""Millimetres between pixels, and between slices."""
GROUND = 200
SQUARE = 700
"""The value of a square in the middle, a quarter as wide as the picture."""
CENTER, WIDTH = 500, 1000
INSIDE = slice(PIXELS * 3 // 8, PIXELS * 5 // 8)

COLOURS = ((200, 30, 30), (30, 200, 30), (30, 30, 200))
"""Of the frames of the ultrasound cine, in turn."""
FILM_GREYS = (60, 200)
"""Of the first and the second half of the film."""
DRAWN_IN_PDF = (0, 102, 204)


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """An item of a code sequence."""
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def described(study: str, sop_class: str, modality: str, number: int, **values: Any) -> Dataset:
    """An object of a series of its own: patient, study, series and equipment."""
    given: dict[str, Any] = {
        "SpecificCharacterSet": "ISO_IR 100",
        "SOPClassUID": sop_class,
        "SOPInstanceUID": new_uid(),
        "StudyInstanceUID": study,
        "SeriesInstanceUID": new_uid(),
        "PatientName": "Curie^Marie",
        "PatientID": "MC1867",
        "PatientBirthDate": "18671107",
        "PatientSex": "F",
        "StudyID": "1",
        "StudyDate": "20240229",
        "StudyTime": "101112",
        "SeriesDate": "20240229",
        "SeriesTime": "101112",
        "ContentDate": "20240229",
        "ContentTime": "101112",
        "AccessionNumber": "A1",
        "ReferringPhysicianName": "",
        "Modality": modality,
        "Manufacturer": "of the test",
        "ManufacturerModelName": "maker",
        "DeviceSerialNumber": "1",
        "SoftwareVersions": "1",
        "SeriesNumber": number,
        "InstanceNumber": 1,
        **values,
    }
    return item(**given)


def pixels_of(values: NDArray[Any], **attributes: Any) -> dict[str, Any]:
    """What tells of pixels: grey ones of 16 bits, or colours of 8 with their last axis of 3."""
    is_colour = values.dtype == np.uint8
    bits = 8 * values.dtype.itemsize
    return {
        "Rows": values.shape[-3 if is_colour else -2],
        "Columns": values.shape[-2 if is_colour else -1],
        "SamplesPerPixel": 3 if is_colour else 1,
        "PhotometricInterpretation": "RGB" if is_colour else "MONOCHROME2",
        **({"PlanarConfiguration": 0} if is_colour else {}),
        "BitsAllocated": bits,
        "BitsStored": 8 if is_colour else 12,
        "HighBit": 7 if is_colour else 11,
        "PixelRepresentation": 0,
        "PixelData": values.tobytes(),
        **attributes,
    }


def slice_of(number: int) -> NDArray[np.uint16]:
    """A slice, the first being 0: a square on a ground, and a bar as long as its number says."""
    picture = np.full((PIXELS, PIXELS), GROUND, np.uint16)
    picture[INSIDE, INSIDE] = SQUARE
    picture[:4, : 2 * (number + 1)] = 900
    return picture


def stack(study: str, number: int = 1, slices: int = SLICES) -> list[Dataset]:
    """CT slices from the feet to the head."""
    series, frame = new_uid(), new_uid()
    return [
        described(
            study,
            CT,
            "CT",
            number,
            SeriesInstanceUID=series,
            InstanceNumber=place + 1,
            ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
            SeriesDescription=f"stack {number}",
            BodyPartExamined="HEAD",
            FrameOfReferenceUID=frame,
            PositionReferenceIndicator="",
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[0, 0, place * SPACING],
            PixelSpacing=[SPACING, SPACING],
            SliceThickness=SPACING,
            KVP=120,
            AcquisitionNumber=1,
            PatientPosition="HFS",
            WindowCenter=CENTER,
            WindowWidth=WIDTH,
            RescaleSlope=1,
            RescaleIntercept=0,
            RescaleType="HU",
            **pixels_of(slice_of(place)),
        )
        for place in range(slices)
    ]


CODERS: dict[str, tuple[str, Callable[[NDArray[Any]], bytes]]] = {
    "JPEG-LS": ("1.2.840.10008.1.2.4.80", lambda pixels: bytes(imagecodecs.jpegls_encode(pixels))),
    "JPEG 2000": (
        "1.2.840.10008.1.2.4.90",
        lambda pixels: bytes(
            imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True, bitspersample=12)
        ),
    ),
    "HTJ2K": (
        "1.2.840.10008.1.2.4.201",
        lambda pixels: bytes(imagecodecs.htj2k_encode(pixels, reversible=True)),
    ),
}


def compressed(slices: list[Dataset], coder: str) -> list[bytes]:
    """Files of CT slices, without loss in the way of a coder."""
    syntax, encode = CODERS[coder]
    files = []
    for each in slices:
        pixels = np.frombuffer(each.PixelData, np.uint16).reshape(each.Rows, each.Columns)
        each.PixelData = encapsulate([encode(pixels)])
        each["PixelData"].VR = "OB"
        each["PixelData"].is_undefined_length = True
        if coder == "HTJ2K":  # its coder writes as many bits as there is room for
            each.BitsStored, each.HighBit = 16, 15
        files.append(as_file(each, syntax))
    return files


def enhanced(study: str, number: int, frames: int = 6) -> Dataset:
    """An enhanced CT whose frames are slices (PS3.3 A.38)."""
    kind = ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"]
    stack_id, frame = new_uid(), new_uid()
    return described(
        study,
        ENHANCED_CT,
        "CT",
        number,
        SeriesDescription="enhanced",
        ImageType=kind,
        FrameOfReferenceUID=frame,
        PositionReferenceIndicator="",
        AcquisitionDateTime="20240229101112",
        AcquisitionNumber=1,
        NumberOfFrames=frames,
        ContentQualification="RESEARCH",
        BurnedInAnnotation="NO",
        LossyImageCompression="00",
        PresentationLUTShape="IDENTITY",
        PixelPresentation="MONOCHROME",
        VolumetricProperties="VOLUME",
        VolumeBasedCalculationTechnique="NONE",
        AcquisitionContextSequence=[],
        PatientPosition="HFS",
        DimensionOrganizationSequence=[item(DimensionOrganizationUID=stack_id)],
        DimensionIndexSequence=[
            item(
                DimensionOrganizationUID=stack_id,
                DimensionIndexPointer=0x00200032,
                FunctionalGroupPointer=0x00209113,
            )
        ],
        SharedFunctionalGroupsSequence=[
            item(
                PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
                PixelMeasuresSequence=[
                    item(PixelSpacing=[SPACING, SPACING], SliceThickness=SPACING)
                ],
                PixelValueTransformationSequence=[
                    item(RescaleSlope=1, RescaleIntercept=0, RescaleType="HU")
                ],
                FrameVOILUTSequence=[item(WindowCenter=CENTER, WindowWidth=WIDTH)],
                FrameAnatomySequence=[
                    item(
                        FrameLaterality="U",
                        AnatomicRegionSequence=[code("69536005", "SCT", "Head")],
                    )
                ],
                CTImageFrameTypeSequence=[
                    item(
                        FrameType=kind,
                        PixelPresentation="MONOCHROME",
                        VolumetricProperties="VOLUME",
                        VolumeBasedCalculationTechnique="NONE",
                    )
                ],
                IrradiationEventIdentificationSequence=[item(IrradiationEventUID=new_uid())],
            )
        ],
        PerFrameFunctionalGroupsSequence=[
            item(
                FrameContentSequence=[
                    item(
                        FrameAcquisitionNumber=1,
                        FrameReferenceDateTime="20240229101112",
                        FrameAcquisitionDateTime="20240229101112",
                        FrameAcquisitionDuration=100,
                        DimensionIndexValues=[place + 1],
                    )
                ],
                PlanePositionSequence=[item(ImagePositionPatient=[0, 0, place * SPACING])],
            )
            for place in range(frames)
        ],
        **pixels_of(np.stack([slice_of(place) for place in range(frames)])),
    )


def cine(study: str, number: int) -> Dataset:
    """An ultrasound cine in colour, each frame of one colour (PS3.3 A.7)."""
    frames = np.zeros((2 * len(COLOURS), PIXELS, PIXELS, 3), np.uint8)
    frames[:] = np.array(COLOURS * 2, np.uint8)[:, None, None]
    return described(
        study,
        ULTRASOUND,
        "US",
        number,
        SeriesDescription="cine",
        BodyPartExamined="HEART",
        PatientOrientation="",
        ImageType=["ORIGINAL", "PRIMARY", "", "0001"],
        LossyImageCompression="00",
        NumberOfFrames=len(frames),
        FrameTime=100,
        FrameIncrementPointer=0x00181063,
        SamplesPerPixelUsed=3,
        UltrasoundColorDataPresent=1,
        **pixels_of(frames),
    )


def document(study: str, number: int) -> Dataset:
    """A PDF of one page, which is blue (PS3.3 A.45.1)."""
    red, green, blue = (each / 255 for each in DRAWN_IN_PDF)
    content = pdf_of(b"%.3f %.3f %.3f rg 0 0 300 300 re f" % (red, green, blue), 300, 300)
    length = len(content)
    return described(
        study,
        PDF,
        "DOC",
        number,
        SeriesDescription="document",
        ConversionType="WSD",
        BurnedInAnnotation="YES",
        DocumentTitle="blue",
        ConceptNameCodeSequence=[],
        AcquisitionDateTime="",
        MIMETypeOfEncapsulatedDocument="application/pdf",
        EncapsulatedDocument=content + b"\0" * (length % 2),
        EncapsulatedDocumentLength=length,
    )


def film(study: str, number: int) -> bytes:
    """A video of an endoscope: dark, then bright (PS3.3 A.32.5)."""
    frames, rows, columns = 50, 128, 192
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as file:
        pictures: Any = file.add_stream("libx264", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = columns, rows, "yuv420p"
        for place in range(frames):
            grey = FILM_GREYS[2 * place // frames]
            picture = np.full((rows, columns, 3), grey, np.uint8)
            file.mux(pictures.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(pictures.encode(None))
    data = out.getvalue()
    made = described(
        study,
        ENDOSCOPY,
        "ES",
        number,
        SeriesDescription="film",
        PatientOrientation="",
        ImageType=["ORIGINAL", "PRIMARY"],
        AcquisitionContextSequence=[],
        AnatomicRegionSequence=[code("69695003", "SCT", "Stomach")],
        LossyImageCompression="01",
        LossyImageCompressionRatio=20,
        LossyImageCompressionMethod="ISO_14496_10",
        NumberOfFrames=frames,
        FrameTime=40,
        FrameIncrementPointer=0x00181063,
        CineRate=25,
        **pixels_of(np.zeros((rows, columns, 3), np.uint8)),
    )
    made.PhotometricInterpretation = "YBR_PARTIAL_420"
    made.PixelData = encapsulate([data + b"\0" * (len(data) % 2)], has_bot=False)
    made["PixelData"].VR = "OB"
    made["PixelData"].is_undefined_length = True
    return as_file(made, H264)


def electrocardiogram(study: str, number: int) -> Dataset:
    """Twelve leads for two seconds (PS3.3 A.34.3)."""
    rate, seconds = 500, 2
    names = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
    numbers = (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8)
    beats = np.arange(rate * seconds) % rate
    curve = np.where(abs(beats - 200) < 10, 1000 - 100 * abs(beats - 200), 0)
    samples = np.stack([curve * (place + 1) // 12 for place in range(12)], axis=1)
    leads = [
        item(
            WaveformChannelNumber=place + 1,
            ChannelSourceSequence=[code(f"2:{numbers[place]}", "MDC", f"Lead {name}")],
            ChannelSensitivity=1,
            ChannelSensitivityUnitsSequence=[code("uV", "UCUM", "microvolt")],
            ChannelSensitivityCorrectionFactor=1,
            ChannelBaseline=0,
            ChannelSampleSkew=0,
            WaveformBitsStored=16,
        )
        for place, name in enumerate(names)
    ]
    made = described(
        study,
        ECG,
        "ECG",
        number,
        SeriesDescription="electrocardiogram",
        AcquisitionDateTime="20240229101112",
        AcquisitionContextSequence=[],
        WaveformSequence=[
            item(
                WaveformOriginality="ORIGINAL",
                NumberOfWaveformChannels=12,
                NumberOfWaveformSamples=rate * seconds,
                SamplingFrequency=rate,
                ChannelDefinitionSequence=leads,
                WaveformBitsAllocated=16,
                WaveformSampleInterpretation="SS",
                WaveformData=samples.astype("<i2").tobytes(),
            )
        ],
    )
    made.WaveformSequence[0]["WaveformData"].VR = "OW"
    return made


def slide(study: str, number: int, whole: NDArray[np.uint8]) -> list[Dataset]:
    """A slide in two levels, the first of them whole (PS3.3 A.32.8)."""
    series, frame, pyramid = new_uid(), new_uid(), new_uid()
    described_once = described(
        study,
        "",
        "SM",
        number,
        SeriesDescription="slide",
        SeriesInstanceUID=series,
        FrameOfReferenceUID=frame,
        PyramidUID=pyramid,
        PositionReferenceIndicator="SLIDE_CORNER",
        AcquisitionContextSequence=[],
        DimensionOrganizationSequence=[item(DimensionOrganizationUID=new_uid())],
        IssuerOfTheContainerIdentifierSequence=[],
        ContainerTypeCodeSequence=[code("433466003", "SCT", "Microscope slide")],
        SpecimenDescriptionSequence=[
            item(
                SpecimenIdentifier="1",
                SpecimenUID=new_uid(),
                IssuerOfTheSpecimenIdentifierSequence=[],
                SpecimenPreparationSequence=[],
            )
        ],
    )
    made = []
    for place, pixels in enumerate((whole, halved(whole))):
        each = level(new_uid(), pixels, 64)
        for element in described_once:
            if element.keyword not in ("SOPClassUID", "SOPInstanceUID"):
                each[element.tag] = element
        each.InstanceNumber = place + 1
        each.OpticalPathSequence[0].ICCProfile = ImageCms.ImageCmsProfile(
            ImageCms.createProfile("sRGB")
        ).tobytes()
        spacing = 0.001 * whole.shape[1] / pixels.shape[1]
        measures = each.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        measures.PixelSpacing = [spacing, spacing]
        each.ImagedVolumeWidth = whole.shape[1] * 0.001
        each.ImagedVolumeHeight = whole.shape[0] * 0.001
        if place:
            each.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"]
            kinds = each.SharedFunctionalGroupsSequence[0]
            kinds.WholeSlideMicroscopyImageFrameTypeSequence[0].FrameType = each.ImageType
        made.append(each)
    return made


def as_file(dataset: Dataset, syntax: str = EXPLICIT) -> bytes:
    """As a file."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()
