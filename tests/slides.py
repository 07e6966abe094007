"""A whole slide image to serve: tiles of known colours, enough of its attributes for a viewer."""

import io

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import JPEGBaseline8Bit, VLWholeSlideMicroscopyImageStorage

from instances import Instance, new_uid, read_instance

TILE = 64


def item(**values: object) -> Dataset:
    """Of a sequence."""
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def colour(row: int, column: int) -> tuple[int, int, int]:
    """Of the tile in that row and column."""
    return (40 + 50 * row, 30 + 45 * column, 120)


def make_slide(rows: int = 3, columns: int = 4) -> Instance:
    """One level of ``rows`` times ``columns`` tiles, as JPEG."""
    tiles = []
    for row in range(rows):
        for column in range(columns):
            out = io.BytesIO()
            tile = np.full((TILE, TILE, 3), colour(row, column), np.uint8)
            Image.fromarray(tile).save(out, "JPEG", quality=95, subsampling=1)
            tiles.append(out.getvalue())
    slide = described_slide(rows * TILE, columns * TILE)
    slide.NumberOfFrames = len(tiles)
    slide.PixelData = encapsulate(tiles)
    slide["PixelData"].VR = "OB"
    slide["PixelData"].is_undefined_length = True
    written = io.BytesIO()
    slide.save_as(written, enforce_file_format=True)
    return read_instance(written.getvalue())


def described_slide(height: int, width: int, tile: int = TILE) -> Dataset:
    """A slide without its tiles."""
    slide = Dataset()
    slide.file_meta = FileMetaDataset()
    slide.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    values = {
        "SOPClassUID": VLWholeSlideMicroscopyImageStorage,
        "SOPInstanceUID": new_uid(),
        "StudyInstanceUID": new_uid(),
        "SeriesInstanceUID": new_uid(),
        "FrameOfReferenceUID": new_uid(),
        "PatientID": "SLIDE",
        "PatientName": "Slide^Glass",
        "StudyDate": "20200101",
        "StudyTime": "120000",
        "Modality": "SM",
        "SeriesNumber": 1,
        "InstanceNumber": 1,
        "ImageType": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
        "AcquisitionDateTime": "20200101120000",
        "Rows": tile,
        "Columns": tile,
        "TotalPixelMatrixRows": height,
        "TotalPixelMatrixColumns": width,
        "TotalPixelMatrixFocalPlanes": 1,
        "NumberOfOpticalPaths": 1,
        "ImagedVolumeWidth": width * 0.001,
        "ImagedVolumeHeight": height * 0.001,
        "ImagedVolumeDepth": 0.001,
        "SamplesPerPixel": 3,
        "PhotometricInterpretation": "YBR_FULL_422",
        "PlanarConfiguration": 0,
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": 10,
        "LossyImageCompressionMethod": "ISO_10918_1",
        "BurnedInAnnotation": "NO",
        "SpecimenLabelInImage": "NO",
        "FocusMethod": "AUTO",
        "ExtendedDepthOfField": "NO",
        "VolumetricProperties": "VOLUME",
        "DimensionOrganizationType": "TILED_FULL",
        "ContainerIdentifier": "1",
        "ImageOrientationSlide": [0, -1, 0, -1, 0, 0],
    }
    for keyword, value in values.items():
        setattr(slide, keyword, value)
    slide.TotalPixelMatrixOriginSequence = Sequence(
        [item(XOffsetInSlideCoordinateSystem=20, YOffsetInSlideCoordinateSystem=40)]
    )
    slide.OpticalPathSequence = Sequence(
        [
            item(
                OpticalPathIdentifier="1",
                IlluminationTypeCodeSequence=Sequence(
                    [_code("111744", "DCM", "Brightfield illumination")]
                ),
                IlluminationColorCodeSequence=Sequence([_code("371251000", "SCT", "White")]),
            )
        ]
    )
    measures = item(PixelSpacing=[0.001, 0.001], SliceThickness=0.001)
    slide.SharedFunctionalGroupsSequence = Sequence(
        [
            item(
                PixelMeasuresSequence=Sequence([measures]),
                WholeSlideMicroscopyImageFrameTypeSequence=Sequence(
                    [item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])]
                ),
                OpticalPathIdentificationSequence=Sequence([item(OpticalPathIdentifier="1")]),
            )
        ]
    )
    return slide
