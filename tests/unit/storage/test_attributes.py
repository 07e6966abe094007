from collections.abc import Iterator

import pytest
from pydicom.datadict import dictionary_VR, keyword_for_tag

from isocenter.storage.attributes import ATTRIBUTES, BY_KEYWORD, WANTED, Attribute, Held, Level


def with_nested(attributes: Iterator[Attribute]) -> Iterator[Attribute]:
    for attribute in attributes:
        yield attribute
        yield from with_nested(iter(attribute.items.values()))


def test_every_attribute_is_what_the_dictionary_says() -> None:
    for attribute in with_nested(iter(ATTRIBUTES.values())):
        assert keyword_for_tag(attribute.tag) == attribute.keyword
        assert dictionary_VR(attribute.tag) == attribute.vr


# PS3.4 Tables C.6-1 to C.6-5, typed off the tables; item keys behind a dot.
TABLES_OF_PART_4 = {
    Level.PATIENT: """
        PatientName PatientID IssuerOfPatientID ReferencedPatientSequence.ReferencedSOPClassUID
        ReferencedPatientSequence.ReferencedSOPInstanceUID PatientBirthDate PatientBirthTime
        PatientSex OtherPatientIDs OtherPatientNames EthnicGroup PatientComments
        NumberOfPatientRelatedStudies NumberOfPatientRelatedSeries NumberOfPatientRelatedInstances
    """,
    Level.STUDY: """
        StudyDate StudyTime AccessionNumber StudyID StudyInstanceUID ModalitiesInStudy
        SOPClassesInStudy ReferringPhysicianName StudyDescription ProcedureCodeSequence.CodeValue
        ProcedureCodeSequence.CodingSchemeDesignator ProcedureCodeSequence.CodingSchemeVersion
        ProcedureCodeSequence.CodeMeaning NameOfPhysiciansReadingStudy
        AdmittingDiagnosesDescription ReferencedStudySequence.ReferencedSOPClassUID
        ReferencedStudySequence.ReferencedSOPInstanceUID PatientAge PatientSize PatientWeight
        Occupation AdditionalPatientHistory OtherStudyNumbers NumberOfStudyRelatedSeries
        NumberOfStudyRelatedInstances
    """,
    Level.SERIES: "Modality SeriesNumber SeriesInstanceUID NumberOfSeriesRelatedInstances",
    Level.IMAGE: """
        InstanceNumber SOPInstanceUID SOPClassUID AlternateRepresentationSequence.SeriesInstanceUID
        AlternateRepresentationSequence.ReferencedSOPClassUID
        AlternateRepresentationSequence.ReferencedSOPInstanceUID
        AlternateRepresentationSequence.PurposeOfReferenceCodeSequence.CodeValue
        RelatedGeneralSOPClassUID ConceptNameCodeSequence.CodeValue
        ConceptNameCodeSequence.CodeMeaning ContentTemplateSequence.TemplateIdentifier
        ContentTemplateSequence.MappingResource ContainerIdentifier
        SpecimenDescriptionSequence.SpecimenIdentifier SpecimenDescriptionSequence.SpecimenUID
    """,
}

# PS3.18 Tables 10.6.1-5 and 10.6.3-3 to 10.6.3-5, what the tables above do not have.
TABLES_OF_PART_18 = {
    Level.SERIES: """
        PerformedProcedureStepStartDate PerformedProcedureStepStartTime SeriesDescription
        RequestAttributesSequence.ScheduledProcedureStepID
        RequestAttributesSequence.RequestedProcedureID
    """,
    Level.IMAGE: "Rows Columns BitsAllocated NumberOfFrames TimezoneOffsetFromUTC",
}


@pytest.mark.parametrize(
    ("level", "path"),
    [
        (level, path)
        for tables in (TABLES_OF_PART_4, TABLES_OF_PART_18)
        for level, paths in tables.items()
        for path in paths.split()
    ],
)
def test_every_attribute_of_the_standards_tables_is_known_at_its_level(
    level: Level, path: str
) -> None:
    keyword, *nested = path.split(".")
    attribute = BY_KEYWORD[keyword]

    assert attribute.level is level
    for each in nested:
        attribute = {item.keyword: item for item in attribute.items.values()}[each]


def test_ingest_captures_what_is_held_and_nothing_that_is_computed() -> None:
    assert 0x0020000D in WANTED
    assert 0x00080061 not in WANTED
    assert all(ATTRIBUTES[tag].held in (Held.COLUMN, Held.DOCUMENT) for tag in WANTED)
