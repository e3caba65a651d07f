"""The one table of DICOM attributes that are read, and what each one is for.

It drives the reader (which tags, where reading may stop), the header record (what belongs to the
shared context, what to the instance alone) and the mapping table in the README.
Keywords and value representations are those of PS3.6; a test holds them against pydicom's dictionary.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Level(Enum):
    """Whose attribute it is. All but INSTANCE make up the context that instances share."""

    PATIENT = "patient"
    STUDY = "study"
    SERIES = "series"
    EQUIPMENT = "equipment"
    INSTANCE = "instance"
    ITEM = "item"


class Element(NamedTuple):
    """One wanted attribute: its tag (0xggggeeee), and for a sequence what is wanted of its items.

    `feeds` names the fields of the model that it goes into; "" for what only helps to read others.
    """

    tag: int
    keyword: str
    vr: str
    level: Level
    feeds: str = ""
    items: tuple[Element, ...] = ()


def _item(tag: int, keyword: str, vr: str, *items: Element) -> Element:
    return Element(tag, keyword, vr, Level.ITEM, items=items)


_BASIC_CODE = (
    _item(0x00080100, "CodeValue", "SH"),
    _item(0x00080102, "CodingSchemeDesignator", "SH"),
    _item(0x00080103, "CodingSchemeVersion", "SH"),
    _item(0x00080104, "CodeMeaning", "LO"),
    _item(0x00080119, "LongCodeValue", "UC"),
    _item(0x00080120, "URNCodeValue", "UR"),
)
_CODE = (*_BASIC_CODE, _item(0x00080121, "EquivalentCodeSequence", "SQ", *_BASIC_CODE))
_ISSUER = (
    _item(0x00400031, "LocalNamespaceEntityID", "UT"),
    _item(0x00400032, "UniversalEntityID", "UT"),
    _item(0x00400033, "UniversalEntityIDType", "CS"),
)
_ACCESSION = (
    _item(0x00080050, "AccessionNumber", "SH"),
    _item(0x00080051, "IssuerOfAccessionNumberSequence", "SQ", *_ISSUER),
)
_PATIENT_ISSUER = (
    *_ISSUER,
    _item(0x00400035, "IdentifierTypeCode", "CS"),
    _item(0x00400036, "AssigningFacilitySequence", "SQ", *_ISSUER),
    _item(0x00400039, "AssigningJurisdictionCodeSequence", "SQ", *_CODE),
    _item(0x0040003A, "AssigningAgencyOrDepartmentCodeSequence", "SQ", *_CODE),
)
_PATIENT_ID = (
    _item(0x00100020, "PatientID", "LO"),
    _item(0x00100021, "IssuerOfPatientID", "LO"),
    _item(0x00100022, "TypeOfPatientID", "CS"),
    _item(0x00100024, "IssuerOfPatientIDQualifiersSequence", "SQ", *_PATIENT_ISSUER),
)
_PERSON = (
    _item(0x00080080, "InstitutionName", "LO"),
    _item(0x00080081, "InstitutionAddress", "ST"),
    _item(0x00080082, "InstitutionCodeSequence", "SQ", *_CODE),
    _item(0x00081040, "InstitutionalDepartmentName", "LO"),
    _item(0x00401101, "PersonIdentificationCodeSequence", "SQ", *_CODE),
    _item(0x00401102, "PersonAddress", "ST"),
    _item(0x00401103, "PersonTelephoneNumbers", "LO"),
)
_REQUEST = (
    *_ACCESSION,
    _item(0x00321031, "RequestingPhysicianIdentificationSequence", "SQ", *_PERSON),
    _item(0x00321032, "RequestingPhysician", "PN"),
    _item(0x00321060, "RequestedProcedureDescription", "LO"),
    _item(0x00321064, "RequestedProcedureCodeSequence", "SQ", *_CODE),
    _item(0x00400026, "OrderPlacerIdentifierSequence", "SQ", *_ISSUER),
    _item(0x00400027, "OrderFillerIdentifierSequence", "SQ", *_ISSUER),
    _item(0x00401001, "RequestedProcedureID", "SH"),
    _item(0x00401002, "ReasonForTheRequestedProcedure", "LO"),
    _item(0x00401003, "RequestedProcedurePriority", "SH"),
    _item(0x0040100A, "ReasonForRequestedProcedureCodeSequence", "SQ", *_CODE),
    _item(0x00402016, "PlacerOrderNumberImagingServiceRequest", "LO"),
    _item(0x00402017, "FillerOrderNumberImagingServiceRequest", "LO"),
)
_REFERENCED_REQUEST = (*_REQUEST, _item(0x0020000D, "StudyInstanceUID", "UI"))
_ANATOMY = (*_CODE, _item(0x00082220, "AnatomicRegionModifierSequence", "SQ", *_CODE))
_FRAME_ANATOMY = _item(
    0x00209071,
    "FrameAnatomySequence",
    "SQ",
    _item(0x00082218, "AnatomicRegionSequence", "SQ", *_ANATOMY),
    _item(0x00209072, "FrameLaterality", "CS"),
)
_FRAME_CONTENT = _item(0x00209111, "FrameContentSequence", "SQ", _item(0x00189074, "FrameAcquisitionDateTime", "DT"))
_SPECIMEN = (
    _item(0x00400551, "SpecimenIdentifier", "LO"),
    _item(0x00400554, "SpecimenUID", "UI"),
    _item(0x00400562, "IssuerOfTheSpecimenIdentifierSequence", "SQ", *_ISSUER),
    _item(0x0040059A, "SpecimenTypeCodeSequence", "SQ", *_CODE),
    _item(0x00400600, "SpecimenShortDescription", "LO"),
    _item(0x00400602, "SpecimenDetailedDescription", "UT"),
)


def _level(
    level: Level, *rows: tuple[int, str, str, str] | tuple[int, str, str, str, tuple[Element, ...]]
) -> list[Element]:
    return [Element(row[0], row[1], row[2], level, row[3], row[4] if len(row) == 5 else ()) for row in rows]


_ROWS = [
    *_level(
        Level.PATIENT,
        (0x00100010, "PatientName", "PN", "Patient.names"),
        (0x00100020, "PatientID", "LO", "Patient.identifiers"),
        (0x00100021, "IssuerOfPatientID", "LO", "Patient.identifiers"),
        (0x00100022, "TypeOfPatientID", "CS", "Patient.identifiers"),
        (0x00100024, "IssuerOfPatientIDQualifiersSequence", "SQ", "Patient.identifiers", _PATIENT_ISSUER),
        (0x00100027, "GroupOfPatientsIdentificationSequence", "SQ", "Patient.members", _PATIENT_ID),
        (0x00100030, "PatientBirthDate", "DA", "Patient.birth_date"),
        (0x00100032, "PatientBirthTime", "TM", "Patient.birth_time"),
        (0x00100040, "PatientSex", "CS", "Patient.sex"),
        (0x00100200, "QualityControlSubject", "CS", "Patient.kind"),
        (0x00101000, "OtherPatientIDs", "LO", "Patient.identifiers"),
        (0x00101001, "OtherPatientNames", "PN", "Patient.names"),
        (0x00101002, "OtherPatientIDsSequence", "SQ", "Patient.identifiers", _PATIENT_ID),
        (0x00101005, "PatientBirthName", "PN", "Patient.names"),
        (0x00102201, "PatientSpeciesDescription", "LO", "Patient.species"),
        (0x00102202, "PatientSpeciesCodeSequence", "SQ", "Patient.species", _CODE),
        (0x00102203, "PatientSexNeutered", "CS", "Patient.neutered"),
        (0x00102292, "PatientBreedDescription", "LO", "Patient.breeds"),
        (0x00102293, "PatientBreedCodeSequence", "SQ", "Patient.breeds", _CODE),
        (0x00102297, "ResponsiblePerson", "PN", "Patient.owner"),
        (0x00102298, "ResponsiblePersonRole", "CS", "Patient.owner"),
        (0x00120062, "PatientIdentityRemoved", "CS", "Patient.anonymized"),
    ),
    *_level(
        Level.STUDY,
        (0x00080005, "SpecificCharacterSet", "CS", ""),
        (0x00080020, "StudyDate", "DA", "Study.started"),
        (0x00080030, "StudyTime", "TM", "Study.started"),
        (0x00080050, "AccessionNumber", "SH", "Study.accessions"),
        (0x00080051, "IssuerOfAccessionNumberSequence", "SQ", "Study.accessions", _ISSUER),
        (0x00080090, "ReferringPhysicianName", "PN", "Study.referrer"),
        (0x00080096, "ReferringPhysicianIdentificationSequence", "SQ", "Study.referrer", _PERSON),
        (
            0x00080110,
            "CodingSchemeIdentificationSequence",
            "SQ",
            "",
            (_item(0x00080102, "CodingSchemeDesignator", "SH"), _item(0x0008010C, "CodingSchemeUID", "UI")),
        ),
        (0x00080201, "TimezoneOffsetFromUTC", "SH", "Study.started, Series.started"),
        (0x00081030, "StudyDescription", "LO", "Study.description"),
        (0x00081032, "ProcedureCodeSequence", "SQ", "Study.procedure_codes, Study.description", _CODE),
        (0x00081060, "NameOfPhysiciansReadingStudy", "PN", "Study.interpreters"),
        (0x00081062, "PhysiciansReadingStudyIdentificationSequence", "SQ", "Study.interpreters", _PERSON),
        (0x00081080, "AdmittingDiagnosesDescription", "LO", "Study.clinical_information"),
        (0x00081084, "AdmittingDiagnosesCodeSequence", "SQ", "Study.clinical_information", _CODE),
        (0x001021B0, "AdditionalPatientHistory", "LT", "Study.clinical_information"),
        (0x0020000D, "StudyInstanceUID", "UI", "Study.uid"),
        (0x00200010, "StudyID", "SH", "Study.study_id"),
        (0x00321030, "ReasonForStudy", "LO", "Study.reasons"),
        (0x00321031, "RequestingPhysicianIdentificationSequence", "SQ", "Request.requester", _PERSON),
        (0x00321032, "RequestingPhysician", "PN", "Request.requester"),
        (0x00321060, "RequestedProcedureDescription", "LO", "Request.code, Study.description"),
        (0x00321064, "RequestedProcedureCodeSequence", "SQ", "Study.procedure_codes, Request.code", _CODE),
        (0x00321066, "ReasonForVisit", "UT", "Study.reasons"),
        (0x00321067, "ReasonForVisitCodeSequence", "SQ", "Study.reasons", _CODE),
        (0x00380010, "AdmissionID", "LO", "Study.encounter"),
        (0x00380014, "IssuerOfAdmissionIDSequence", "SQ", "Study.encounter", _ISSUER),
        (0x00380060, "ServiceEpisodeID", "LO", "Study.encounter"),
        (0x00380064, "IssuerOfServiceEpisodeIDSequence", "SQ", "Study.encounter", _ISSUER),
        (0x00380300, "CurrentPatientLocation", "LO", "Encounter.location"),
        (0x00400026, "OrderPlacerIdentifierSequence", "SQ", "Request.identifiers", _ISSUER),
        (0x00400027, "OrderFillerIdentifierSequence", "SQ", "Request.identifiers", _ISSUER),
        (0x00401001, "RequestedProcedureID", "SH", "Request.identifiers"),
        (0x00401002, "ReasonForTheRequestedProcedure", "LO", "Study.reasons"),
        (0x00401003, "RequestedProcedurePriority", "SH", "Request.priority"),
        (0x0040100A, "ReasonForRequestedProcedureCodeSequence", "SQ", "Study.reasons", _CODE),
        (0x00402016, "PlacerOrderNumberImagingServiceRequest", "LO", "Request.identifiers"),
        (0x00402017, "FillerOrderNumberImagingServiceRequest", "LO", "Request.identifiers"),
        (0x00401012, "ReasonForPerformedProcedureCodeSequence", "SQ", "Study.reasons", _CODE),
        (0x0040A370, "ReferencedRequestSequence", "SQ", "Study.accessions, Study.requests", _REFERENCED_REQUEST),
    ),
    *_level(
        Level.SERIES,
        (0x00080016, "SOPClassUID", "UI", "Instance.sop_class, Series.modality"),
        (0x00080021, "SeriesDate", "DA", "Series.started"),
        (0x00080031, "SeriesTime", "TM", "Series.started"),
        (0x00080060, "Modality", "CS", "Series.modality, Study.modalities"),
        (0x0008103E, "SeriesDescription", "LO", "Series.description"),
        (0x0008103F, "SeriesDescriptionCodeSequence", "SQ", "Series.description", _CODE),
        (0x00081050, "PerformingPhysicianName", "PN", "Series.performers"),
        (0x00081052, "PerformingPhysicianIdentificationSequence", "SQ", "Series.performers", _PERSON),
        (0x00081070, "OperatorsName", "PN", "Series.performers"),
        (0x00081072, "OperatorIdentificationSequence", "SQ", "Series.performers", _PERSON),
        (
            0x00081111,
            "ReferencedPerformedProcedureStepSequence",
            "SQ",
            "Study.procedures",
            (_item(0x00081155, "ReferencedSOPInstanceUID", "UI"),),
        ),
        (0x00081190, "RetrieveURL", "UR", "Series.endpoints"),
        (0x00082218, "AnatomicRegionSequence", "SQ", "Series.body_sites, Series.laterality", _ANATOMY),
        (0x00180015, "BodyPartExamined", "CS", "Series.body_sites"),
        (0x00181030, "ProtocolName", "LO", "Series.description"),
        (0x0020000E, "SeriesInstanceUID", "UI", "Series.uid"),
        (0x00200011, "SeriesNumber", "IS", "Series.number"),
        (0x00200060, "Laterality", "CS", "Series.laterality"),
        (0x00200062, "ImageLaterality", "CS", "Series.laterality"),
        (0x00240113, "MeasurementLaterality", "CS", "Series.laterality"),
        (0x00400243, "PerformedLocation", "SH", "Study.location"),
        (0x00400253, "PerformedProcedureStepID", "SH", "Study.procedures"),
        (0x00400275, "RequestAttributesSequence", "SQ", "Study.accessions, Study.requests, Study.reasons", _REQUEST),
        (0x00400512, "ContainerIdentifier", "LO", "Specimen.container"),
        (0x00400513, "IssuerOfTheContainerIdentifierSequence", "SQ", "Specimen.container", _ISSUER),
        (0x00400518, "ContainerTypeCodeSequence", "SQ", "Specimen.container_type", _CODE),
        (0x00400560, "SpecimenDescriptionSequence", "SQ", "Series.specimens", _SPECIMEN),
        (
            0x52009229,
            "SharedFunctionalGroupsSequence",
            "SQ",
            "Series.body_sites, Series.laterality",
            (_FRAME_ANATOMY, _FRAME_CONTENT),
        ),
    ),
    *_level(
        Level.EQUIPMENT,
        (0x00080070, "Manufacturer", "LO", "Device.manufacturer"),
        (0x00080080, "InstitutionName", "LO", "Organization.name"),
        (0x00080081, "InstitutionAddress", "ST", "Organization.address"),
        (0x00080082, "InstitutionCodeSequence", "SQ", "Organization.identifiers", _CODE),
        (0x00081010, "StationName", "SH", "Device.station"),
        (0x00081040, "InstitutionalDepartmentName", "LO", "Study.location"),
        (0x00081041, "InstitutionalDepartmentTypeCodeSequence", "SQ", "Study.location", _CODE),
        (0x00081090, "ManufacturerModelName", "LO", "Device.model"),
        (0x00181000, "DeviceSerialNumber", "LO", "Device.serial"),
        (0x00181002, "DeviceUID", "UI", "Device.uid"),
        (0x00181003, "DeviceID", "LO", "Device.number"),
        (0x00181008, "GantryID", "LO", "Device.number"),
        (
            0x0018100A,
            "UDISequence",
            "SQ",
            "Device.udi",
            (_item(0x00181009, "UniqueDeviceIdentifier", "UT"),),
        ),
        (0x00181010, "SecondaryCaptureDeviceID", "LO", "Device.number"),
        (0x00181016, "SecondaryCaptureDeviceManufacturer", "LO", "Device.manufacturer"),
        (0x00181018, "SecondaryCaptureDeviceManufacturerModelName", "LO", "Device.model"),
        (0x00181019, "SecondaryCaptureDeviceSoftwareVersions", "LO", "Device.versions"),
        (0x00181020, "SoftwareVersions", "LO", "Device.versions"),
    ),
    *_level(
        Level.INSTANCE,
        (0x00080018, "SOPInstanceUID", "UI", "Instance.uid"),
        (0x00080022, "AcquisitionDate", "DA", "Series.started"),
        (0x0008002A, "AcquisitionDateTime", "DT", "Series.started"),
        (0x00080032, "AcquisitionTime", "TM", "Series.started"),
        (0x00200013, "InstanceNumber", "IS", "Instance.number"),
        (0x00280008, "NumberOfFrames", "IS", "Instance.frames"),
        (0x0040A043, "ConceptNameCodeSequence", "SQ", "Instance.title, KeyObject.title", _CODE),
        (0x00420010, "DocumentTitle", "ST", "Instance.title"),
        (0x00700080, "ContentLabel", "CS", "Instance.title"),
        (0x00700081, "ContentDescription", "LO", "Instance.title"),
        (0x30020002, "RTImageLabel", "SH", "Instance.title"),
        (0x30020003, "RTImageName", "LO", "Instance.title"),
        (0x30060002, "StructureSetLabel", "SH", "Instance.title"),
        (0x30060004, "StructureSetName", "LO", "Instance.title"),
        (0x300A0002, "RTPlanLabel", "SH", "Instance.title"),
        (0x300A0003, "RTPlanName", "LO", "Instance.title"),
        (0x30100033, "UserContentLabel", "SH", "Instance.title"),
        (0x30100034, "UserContentLongLabel", "LO", "Instance.title"),
        (
            0x52009230,
            "PerFrameFunctionalGroupsSequence",
            "SQ",
            "Series.body_sites, Series.laterality",
            (_FRAME_ANATOMY, _FRAME_CONTENT),
        ),
    ),
]

ELEMENTS: tuple[Element, ...] = tuple(sorted(_ROWS, key=lambda element: element.tag))
"""Every wanted attribute of the top level, in the order of their tags."""

BY_TAG: dict[int, Element] = {element.tag: element for element in ELEMENTS}
LAST_WANTED = ELEMENTS[-1].tag

# Key Object Selections: what is wanted of them alone, so that no other object's reading grows by it.

TREE_DEPTH = 12
"""How many levels of containers a content tree is followed into. TID 2010 has two, the manifests of MADO four."""

_REFERENCE = (
    _item(0x00081150, "ReferencedSOPClassUID", "UI"),
    _item(0x00081155, "ReferencedSOPInstanceUID", "UI"),
)
_SELECTION = (
    *_REFERENCE,
    _item(0x00081160, "ReferencedFrameNumber", "IS"),
    _item(0x0040A0B0, "ReferencedWaveformChannels", "US"),
    _item(0x0062000B, "ReferencedSegmentNumber", "US"),
)
_EVIDENCE = (
    _item(
        0x00081115,
        "ReferencedSeriesSequence",
        "SQ",
        _item(0x00081190, "RetrieveURL", "UR"),
        _item(0x00081199, "ReferencedSOPSequence", "SQ", *_REFERENCE),
        _item(0x0020000E, "SeriesInstanceUID", "UI"),
    ),
    _item(0x0020000D, "StudyInstanceUID", "UI"),
)


def _content(depth: int) -> tuple[Element, ...]:
    """What is wanted of a content item with `depth` levels below it; one level more shows only that there is more."""
    value_type = _item(0x0040A040, "ValueType", "CS")
    if depth == 0:
        return (value_type,)
    return (
        _item(0x00081199, "ReferencedSOPSequence", "SQ", *_SELECTION),
        _item(0x0040A010, "RelationshipType", "CS"),
        value_type,
        _item(0x0040A043, "ConceptNameCodeSequence", "SQ", *_CODE),
        _item(0x0040A123, "PersonName", "PN"),
        _item(0x0040A124, "UID", "UI"),
        _item(0x0040A160, "TextValue", "UT"),
        _item(0x0040A168, "ConceptCodeSequence", "SQ", *_CODE),
        _item(0x0040A730, "ContentSequence", "SQ", *_content(depth - 1)),
    )


_KEY_OBJECT_ROWS = _level(
    Level.INSTANCE,
    (0x00080023, "ContentDate", "DA", "KeyObject.authored"),
    (0x00080033, "ContentTime", "TM", "KeyObject.authored"),
    (0x0040A032, "ObservationDateTime", "DT", "KeyObject.authored"),
    (0x0040A375, "CurrentRequestedProcedureEvidenceSequence", "SQ", "KeyObject.studies", _EVIDENCE),
    (0x0040A525, "IdenticalDocumentsSequence", "SQ", "KeyObject.uid", _EVIDENCE),
    (
        0x0040A730,
        "ContentSequence",
        "SQ",
        "KeyObject.studies, KeyObject.description, KeyObject.modifiers, KeyObject.observers",
        _content(TREE_DEPTH),
    ),
)

KEY_OBJECT_ELEMENTS: tuple[Element, ...] = tuple(sorted(_KEY_OBJECT_ROWS, key=lambda element: element.tag))
"""What is wanted of the top level of a Key Object Selection besides `ELEMENTS`, in the order of their tags."""

LISTS: frozenset[int] = frozenset({0x00081115, 0x00081199, 0x0040A375, 0x0040A730})
"""Sequences that may well have more than a thousand items, since they list a study's instances."""
