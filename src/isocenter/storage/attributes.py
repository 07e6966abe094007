"""Which attributes the index knows: what ingest, the schema and search derive from.

To make another attribute searchable, add it here; no migration is needed unless it gets a column.

Source: PS3.4 C.6.1.1.2 to C.6.1.1.5, C.6.2.1.2, C.3.4; PS3.18 Tables 10.6.1-5 and
10.6.3-3 to 10.6.3-5.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from isocenter.storage.attribute import (
    ENTITY,
    REFERENCE,
    Attribute as Attribute,
    Held as Held,
    Level as Level,
    Row,
    code,
    keys_of,
    sequence,
)
from isocenter.storage.non_patient import BY_CATEGORY

# Attributes with a column, by level. Which column: `schema.COLUMNS`.
_COLUMNS: dict[Level, tuple[Row, ...]] = {
    Level.PATIENT: (
        (0x00100010, "PatientName", "PN"),
        (0x00100020, "PatientID", "LO"),
        (0x00100021, "IssuerOfPatientID", "LO"),
        (0x00100030, "PatientBirthDate", "DA"),
        (0x00100040, "PatientSex", "CS"),
    ),
    Level.STUDY: (
        (0x00080020, "StudyDate", "DA"),
        (0x00080030, "StudyTime", "TM"),
        (0x00080050, "AccessionNumber", "SH"),
        (0x00080090, "ReferringPhysicianName", "PN"),
        (0x0020000D, "StudyInstanceUID", "UI"),
        (0x00200010, "StudyID", "SH"),
    ),
    Level.SERIES: (
        (0x00080060, "Modality", "CS"),
        (0x0020000E, "SeriesInstanceUID", "UI"),
        (0x00200011, "SeriesNumber", "IS"),
    ),
    Level.IMAGE: (
        (0x00080016, "SOPClassUID", "UI"),
        (0x00080018, "SOPInstanceUID", "UI"),
        (0x00200013, "InstanceNumber", "IS"),
    ),
}

_COMPUTED: dict[Level, tuple[Row, ...]] = {
    Level.PATIENT: (
        (0x00201200, "NumberOfPatientRelatedStudies", "IS"),
        (0x00201202, "NumberOfPatientRelatedSeries", "IS"),
        (0x00201204, "NumberOfPatientRelatedInstances", "IS"),
    ),
    Level.STUDY: (
        (0x00080061, "ModalitiesInStudy", "CS"),
        (0x00080062, "SOPClassesInStudy", "UI"),
        (0x00201206, "NumberOfStudyRelatedSeries", "IS"),
        (0x00201208, "NumberOfStudyRelatedInstances", "IS"),
    ),
    Level.SERIES: ((0x00201209, "NumberOfSeriesRelatedInstances", "IS"),),
    Level.IMAGE: ((0x00083002, "AvailableTransferSyntaxUID", "UI"),),
}

# What only the archive knows, at whatever level it is asked for.
_GIVEN: tuple[Row, ...] = (
    (0x00080052, "QueryRetrieveLevel", "CS"),
    (0x00080053, "QueryRetrieveView", "CS"),
    (0x00080054, "RetrieveAETitle", "AE"),
    (0x00080056, "InstanceAvailability", "CS"),
    (0x00880130, "StorageMediaFileSetID", "SH"),
    (0x00880140, "StorageMediaFileSetUID", "UI"),
    (0x00081190, "RetrieveURL", "UR"),
)

_DOCUMENTS: dict[Level, tuple[Row, ...]] = {
    Level.PATIENT: (
        (0x00100022, "TypeOfPatientID", "CS"),
        (0x00100032, "PatientBirthTime", "TM"),
        (0x00101000, "OtherPatientIDs", "LO"),
        (0x00101001, "OtherPatientNames", "PN"),
        (0x00102160, "EthnicGroup", "SH"),
        (0x00102201, "PatientSpeciesDescription", "LO"),
        (0x00102292, "PatientBreedDescription", "LO"),
        (0x00102297, "ResponsiblePerson", "PN"),
        (0x00102298, "ResponsiblePersonRole", "CS"),
        (0x00102299, "ResponsibleOrganization", "LO"),
        (0x00104000, "PatientComments", "LT"),
        (0x00120010, "ClinicalTrialSponsorName", "LO"),
        (0x00120020, "ClinicalTrialProtocolID", "LO"),
        (0x00120021, "ClinicalTrialProtocolName", "LO"),
        (0x00120030, "ClinicalTrialSiteID", "LO"),
        (0x00120031, "ClinicalTrialSiteName", "LO"),
        (0x00120040, "ClinicalTrialSubjectID", "LO"),
        (0x00120042, "ClinicalTrialSubjectReadingID", "LO"),
        (0x00120062, "PatientIdentityRemoved", "CS"),
        (0x00120063, "DeidentificationMethod", "LO"),
    ),
    Level.STUDY: (
        (0x0008009C, "ConsultingPhysicianName", "PN"),
        (0x00081030, "StudyDescription", "LO"),
        (0x00081048, "PhysiciansOfRecord", "PN"),
        (0x00081060, "NameOfPhysiciansReadingStudy", "PN"),
        (0x00081080, "AdmittingDiagnosesDescription", "LO"),
        (0x00101010, "PatientAge", "AS"),
        (0x00101020, "PatientSize", "DS"),
        (0x00101030, "PatientWeight", "DS"),
        (0x00102000, "MedicalAlerts", "LO"),
        (0x00102110, "Allergies", "LO"),
        (0x00102180, "Occupation", "SH"),
        (0x001021A0, "SmokingStatus", "CS"),
        (0x001021B0, "AdditionalPatientHistory", "LT"),
        (0x001021C0, "PregnancyStatus", "US"),
        (0x001021D0, "LastMenstrualDate", "DA"),
        (0x00102203, "PatientSexNeutered", "CS"),
        (0x00120050, "ClinicalTrialTimePointID", "LO"),
        (0x00120051, "ClinicalTrialTimePointDescription", "ST"),
        (0x00201070, "OtherStudyNumbers", "IS"),
        (0x00321032, "RequestingPhysician", "PN"),
        (0x00321033, "RequestingService", "LO"),
        (0x00321060, "RequestedProcedureDescription", "LO"),
        (0x00324000, "StudyComments", "LT"),
        (0x00380010, "AdmissionID", "LO"),
        (0x00380060, "ServiceEpisodeID", "LO"),
        (0x00380062, "ServiceEpisodeDescription", "LO"),
        (0x00380300, "CurrentPatientLocation", "LO"),
        (0x00380500, "PatientState", "LO"),
    ),
    Level.SERIES: (
        (0x00080021, "SeriesDate", "DA"),
        (0x00080031, "SeriesTime", "TM"),
        (0x00080070, "Manufacturer", "LO"),
        (0x00080080, "InstitutionName", "LO"),
        (0x00080081, "InstitutionAddress", "ST"),
        (0x00081010, "StationName", "SH"),
        (0x0008103E, "SeriesDescription", "LO"),
        (0x00081040, "InstitutionalDepartmentName", "LO"),
        (0x00081050, "PerformingPhysicianName", "PN"),
        (0x00081070, "OperatorsName", "PN"),
        (0x00081090, "ManufacturerModelName", "LO"),
        (0x00120060, "ClinicalTrialCoordinatingCenterName", "LO"),
        (0x00120071, "ClinicalTrialSeriesID", "LO"),
        (0x00120072, "ClinicalTrialSeriesDescription", "LO"),
        (0x00180015, "BodyPartExamined", "CS"),
        (0x00181000, "DeviceSerialNumber", "LO"),
        (0x00181002, "DeviceUID", "UI"),
        (0x00181020, "SoftwareVersions", "LO"),
        (0x00181030, "ProtocolName", "LO"),
        (0x00185100, "PatientPosition", "CS"),
        (0x00200052, "FrameOfReferenceUID", "UI"),
        (0x00200060, "Laterality", "CS"),
        (0x00201040, "PositionReferenceIndicator", "LO"),
        (0x00400241, "PerformedStationAETitle", "AE"),
        (0x00400244, "PerformedProcedureStepStartDate", "DA"),
        (0x00400245, "PerformedProcedureStepStartTime", "TM"),
        (0x00400250, "PerformedProcedureStepEndDate", "DA"),
        (0x00400251, "PerformedProcedureStepEndTime", "TM"),
        (0x00400253, "PerformedProcedureStepID", "SH"),
        (0x00400254, "PerformedProcedureStepDescription", "LO"),
        (0x00400280, "CommentsOnThePerformedProcedureStep", "ST"),
    ),
    Level.IMAGE: (
        (0x00080005, "SpecificCharacterSet", "CS"),
        (0x00080008, "ImageType", "CS"),
        (0x00080012, "InstanceCreationDate", "DA"),
        (0x00080013, "InstanceCreationTime", "TM"),
        (0x0008001A, "RelatedGeneralSOPClassUID", "UI"),
        (0x00080022, "AcquisitionDate", "DA"),
        (0x00080023, "ContentDate", "DA"),
        (0x0008002A, "AcquisitionDateTime", "DT"),
        (0x00080032, "AcquisitionTime", "TM"),
        (0x00080033, "ContentTime", "TM"),
        (0x00083010, "IrradiationEventUID", "UI"),
        (0x00180050, "SliceThickness", "DS"),
        (0x00200012, "AcquisitionNumber", "IS"),
        (0x00200062, "ImageLaterality", "CS"),
        (0x00201041, "SliceLocation", "DS"),
        (0x00204000, "ImageComments", "LT"),
        (0x00280002, "SamplesPerPixel", "US"),
        (0x00280004, "PhotometricInterpretation", "CS"),
        (0x00280008, "NumberOfFrames", "IS"),
        (0x00280010, "Rows", "US"),
        (0x00280011, "Columns", "US"),
        (0x00280100, "BitsAllocated", "US"),
        (0x00280301, "BurnedInAnnotation", "CS"),
        (0x00282110, "LossyImageCompression", "CS"),
        (0x0040A491, "CompletionFlag", "CS"),
        (0x0040A493, "VerificationFlag", "CS"),
        (0x0040A496, "PreliminaryFlag", "CS"),
        (0x00400512, "ContainerIdentifier", "LO"),
        (0x00420010, "DocumentTitle", "ST"),
        (0x00420012, "MIMETypeOfEncapsulatedDocument", "LO"),
        (0x00700080, "ContentLabel", "CS"),
        (0x00700081, "ContentDescription", "LO"),
        (0x00700082, "PresentationCreationDate", "DA"),
        (0x00700083, "PresentationCreationTime", "TM"),
        (0x00700084, "ContentCreatorName", "PN"),
    ),
}


def _patient_sequences(patient: Level) -> Iterator[Attribute]:
    qualifiers = (
        *keys_of(patient, ENTITY).values(),
        Attribute(0x00400035, "IdentifierTypeCode", "CS", patient),
    )
    yield sequence(patient, 0x00100024, "IssuerOfPatientIDQualifiersSequence", qualifiers)
    yield sequence(
        patient,
        0x00101002,
        "OtherPatientIDsSequence",
        (
            (0x00100020, "PatientID", "LO"),
            (0x00100021, "IssuerOfPatientID", "LO"),
            (0x00100022, "TypeOfPatientID", "CS"),
        ),
        (sequence(patient, 0x00100024, "IssuerOfPatientIDQualifiersSequence", qualifiers),),
    )
    yield sequence(patient, 0x00081120, "ReferencedPatientSequence", REFERENCE)
    yield code(patient, 0x00102202, "PatientSpeciesCodeSequence")
    yield code(patient, 0x00102293, "PatientBreedCodeSequence")


def _study_sequences(study: Level) -> Iterator[Attribute]:
    yield sequence(study, 0x00080051, "IssuerOfAccessionNumberSequence", ENTITY)
    yield sequence(study, 0x00081110, "ReferencedStudySequence", REFERENCE)
    yield code(study, 0x00081032, "ProcedureCodeSequence")
    yield code(study, 0x00321064, "RequestedProcedureCodeSequence")
    yield code(study, 0x00081084, "AdmittingDiagnosesCodeSequence")
    yield code(study, 0x00401012, "ReasonForPerformedProcedureCodeSequence")
    yield sequence(study, 0x00380014, "IssuerOfAdmissionIDSequence", ENTITY)


def _series_sequences(series: Level) -> Iterator[Attribute]:
    yield sequence(
        series,
        0x00400275,
        "RequestAttributesSequence",
        (
            (0x00080050, "AccessionNumber", "SH"),
            (0x0020000D, "StudyInstanceUID", "UI"),
            (0x00321032, "RequestingPhysician", "PN"),
            (0x00321033, "RequestingService", "LO"),
            (0x00321060, "RequestedProcedureDescription", "LO"),
            (0x00400007, "ScheduledProcedureStepDescription", "LO"),
            (0x00400009, "ScheduledProcedureStepID", "SH"),
            (0x00401001, "RequestedProcedureID", "SH"),
            (0x00401002, "ReasonForTheRequestedProcedure", "LO"),
        ),
        (
            sequence(series, 0x00080051, "IssuerOfAccessionNumberSequence", ENTITY),
            code(series, 0x00321064, "RequestedProcedureCodeSequence"),
            code(series, 0x00400008, "ScheduledProtocolCodeSequence"),
            sequence(series, 0x00081110, "ReferencedStudySequence", REFERENCE),
        ),
    )
    yield sequence(series, 0x00081111, "ReferencedPerformedProcedureStepSequence", REFERENCE)
    yield code(series, 0x0008103F, "SeriesDescriptionCodeSequence")
    yield code(series, 0x00400260, "PerformedProtocolCodeSequence")
    yield code(series, 0x00081041, "InstitutionalDepartmentTypeCodeSequence")


def _image_sequences(image: Level) -> Iterator[Attribute]:
    yield sequence(
        image,
        0x00083001,
        "AlternateRepresentationSequence",
        ((0x0020000E, "SeriesInstanceUID", "UI"), *REFERENCE),
        (code(image, 0x0040A170, "PurposeOfReferenceCodeSequence"),),
    )
    yield code(image, 0x0040A043, "ConceptNameCodeSequence")
    yield code(image, 0x00082218, "AnatomicRegionSequence")
    yield sequence(
        image,
        0x0040A504,
        "ContentTemplateSequence",
        ((0x00080105, "MappingResource", "CS"), (0x0040DB00, "TemplateIdentifier", "CS")),
    )
    yield sequence(
        image,
        0x00400560,
        "SpecimenDescriptionSequence",
        ((0x00400551, "SpecimenIdentifier", "LO"), (0x00400554, "SpecimenUID", "UI")),
    )
    yield sequence(
        image,
        0x0040A073,
        "VerifyingObserverSequence",
        (
            (0x0040A027, "VerifyingOrganization", "LO"),
            (0x0040A030, "VerificationDateTime", "DT"),
            (0x0040A075, "VerifyingObserverName", "PN"),
        ),
    )


def _all() -> Iterator[Attribute]:
    for table, held in (
        (_COLUMNS, Held.COLUMN),
        (_COMPUTED, Held.COMPUTED),
        (_DOCUMENTS, Held.DOCUMENT),
    ):
        for level, rows in table.items():
            for row in rows:
                yield Attribute(*row, level, held)
    for row in _GIVEN:
        yield Attribute(*row, Level.PATIENT, Held.GIVEN)
    # Each level says in which timezone its dates and times are (PS3.18 Tables 10.6.3-3 to -5).
    yield Attribute(
        0x00080201,
        "TimezoneOffsetFromUTC",
        "SH",
        Level.IMAGE,
        also=(Level.STUDY, Level.SERIES),
    )
    yield from _patient_sequences(Level.PATIENT)
    yield from _study_sequences(Level.STUDY)
    yield from _series_sequences(Level.SERIES)
    yield from _image_sequences(Level.IMAGE)


def _together() -> dict[int, Attribute]:
    found = {each.tag: each for each in _all()}
    for attributes in BY_CATEGORY.values():
        for each in attributes:
            found.setdefault(each.tag, each)
    return found


ATTRIBUTES: Mapping[int, Attribute] = MappingProxyType(_together())
"""Every attribute that can be matched or returned, by tag."""

BY_KEYWORD: Mapping[str, Attribute] = MappingProxyType(
    {each.keyword: each for each in ATTRIBUTES.values()}
)

NON_PATIENT_STUDY = "2.25.99118390873215962573226178427231153472"
"""The Study and Series Instance UID under which instances of no patient are kept; no query of
patients, studies or series finds it. Such an instance keeps all its attributes itself."""

WANTED: frozenset[int] = frozenset(tag for tag, each in ATTRIBUTES.items() if each.captured)
"""The top-level tags that ingest has to capture from a data set."""

NEVER_MATCHED: frozenset[int] = frozenset({0x00080005, 0x00080201})
"""Specific Character Set and Timezone Offset say how to read the other keys (PS3.4 C.2.2.2)."""

LEVELS: Mapping[str, tuple[Level, ...]] = MappingProxyType(
    {ATTRIBUTES[tag].tag8: (ATTRIBUTES[tag].level, *ATTRIBUTES[tag].also) for tag in WANTED}
)
"""The levels that keep a captured attribute, by its tag in the DICOM JSON model."""

DATE_TIME_PAIRS: Mapping[int, int] = MappingProxyType(
    {
        BY_KEYWORD[date].tag: BY_KEYWORD[date.removesuffix("Date") + "Time"].tag
        for date in (
            "StudyDate",
            "SeriesDate",
            "AcquisitionDate",
            "ContentDate",
            "InstanceCreationDate",
            "PatientBirthDate",
            "PerformedProcedureStepStartDate",
            "PerformedProcedureStepEndDate",
            "PresentationCreationDate",
        )
    }
)
"""A date's tag to the tag of the time that belongs to it (PS3.4 C.2.2.2.5)."""
