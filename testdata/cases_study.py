"""Clean cases about the study: its numbers, dates, orders, people, codes, places and endpoints."""

from __future__ import annotations

from typing import Any

from dicomdata import ROOT, Case, Files, Maker, code, issuer, numbered
from pydicom.dataset import Dataset

HOSPITAL = f"{ROOT}.9.1"
CHEST_CT = code("24627-2", "LN", "CT Chest")
LOCAL = code("CTCH", "99TEST", "CT chest, local")


def one(ds: Dataset) -> Files:
    """A case of one file."""
    return numbered([ds])


# Identifiers


def study_id(case: Case) -> Files:
    """A Study ID, which is no accession number."""
    return one(case(StudyID="S-77"))


def accession_plain(case: Case) -> Files:
    """An accession number without an issuer."""
    return one(case(AccessionNumber="ACC-1"))


def accession_issuer(case: Case) -> Files:
    """An accession number whose issuer is an ISO OID (0008,0051)."""
    return one(case(AccessionNumber="ACC-2", IssuerOfAccessionNumberSequence=issuer(f"{ROOT}.9.5")))


def accession_issuer_uri(case: Case) -> Files:
    """Accession numbers whose issuers are a URI and a UUID."""
    uri = issuer("https://hospital.example/accessions", "URI")
    uuid = issuer("6f1c0b9e-0000-4000-8000-0123456789cd", "UUID")
    return numbered(
        case("ct", study, AccessionNumber=f"ACC-{study}", IssuerOfAccessionNumberSequence=sequence)
        for study, sequence in enumerate((uri, uuid), 1)
    )


def accession_issuer_local(case: Case) -> Files:
    """An accession number whose issuer is only a local namespace: it becomes the assigner's name."""
    return one(
        case(AccessionNumber="ACC-3", IssuerOfAccessionNumberSequence=[{"LocalNamespaceEntityID": "SAMPLE RIS"}])
    )


def accession_issuer_dns(case: Case) -> Files:
    """Accession numbers whose issuers are of types without a FHIR system (DNS, EUI64, X500)."""
    issuers = (("ris.hospital.example", "DNS"), ("0002-00FF-FE00-0001", "EUI64"), ("CN=RIS,O=Sample", "X500"))
    return numbered(
        case("ct", study, AccessionNumber=f"ACC-{study}", IssuerOfAccessionNumberSequence=issuer(*of))
        for study, of in enumerate(issuers, 1)
    )


def accession_in_the_request(case: Case) -> Files:
    """An accession number with an issuer in the request attributes beside another at the top: both are orders."""
    request = {
        "AccessionNumber": "ACC-REQUEST",
        "IssuerOfAccessionNumberSequence": issuer(f"{ROOT}.9.5"),
        "RequestedProcedureID": "RP-1",
    }
    return one(case(AccessionNumber="ACC-TOP", RequestAttributesSequence=[request]))


def accession_in_the_key_object(case: Case) -> Files:
    """A key object whose referenced request (0040,A370) has the accession number that its top lacks."""
    request = {
        "StudyInstanceUID": case.uid(1),
        "AccessionNumber": "ACC-KOS",
        "IssuerOfAccessionNumberSequence": issuer(f"{ROOT}.9.5"),
        "RequestedProcedureID": "RP-2",
        "PlacerOrderNumberImagingServiceRequest": "PLACER-2",
        "FillerOrderNumberImagingServiceRequest": "FILLER-2",
    }
    return one(case("ko", AccessionNumber="", ReferencedRequestSequence=[request]))


def accession_issuer_in_part(case: Case) -> Files:
    """An accession number whose issuer the report of the study leaves out: it is no second number."""
    known = {"AccessionNumber": "ACC-4", "IssuerOfAccessionNumberSequence": issuer(f"{ROOT}.9.5")}
    return numbered([case("ct", 1, 1, 1, **known), case("sr", 1, 2, 1, AccessionNumber="ACC-4")])


def request_of_another_study(case: Case) -> Files:
    """A report of two studies, whose referenced requests (0040,A370) name one order each: one is not this study's."""
    requests = [
        {"StudyInstanceUID": case.uid(study), "AccessionNumber": f"ACC-{study}", "RequestedProcedureID": f"RP-{study}"}
        for study in (1, 99)
    ]
    return one(case("sr", AccessionNumber="", ReferencedRequestSequence=requests))


def two_accessions(case: Case) -> Files:
    """Two accession numbers in one study, grouped in one acquisition: both are orders of it."""
    requests = [{"AccessionNumber": f"ACC-{letter}", "RequestedProcedureID": f"RP-{letter}"} for letter in "AB"]
    return numbered(
        [
            case("ct", 1, 1, 1, AccessionNumber="", RequestAttributesSequence=requests),
            case("ct", 1, 1, 2, AccessionNumber="", RequestAttributesSequence=requests),
        ]
    )


def accessions_of_two_series(case: Case) -> Files:
    """Two series of one study with an accession number each at the top."""
    return numbered([case("ct", 1, series, 1, AccessionNumber=f"ACC-{series}") for series in (1, 2)])


# Orders


def request_attributes(case: Case) -> Files:
    """An order with accession, placer and filler number, procedure id, codes, reason in code and text, protocol."""
    return one(
        case(
            AccessionNumber="ACC-9",
            IssuerOfAccessionNumberSequence=issuer(f"{ROOT}.9.5"),
            RequestingPhysician="Requester^Rita",
            RequestedProcedurePriority="STAT",
            RequestAttributesSequence=[
                {
                    "AccessionNumber": "ACC-9",
                    "IssuerOfAccessionNumberSequence": issuer(f"{ROOT}.9.5"),
                    "RequestedProcedureDescription": "CT of the chest",
                    "RequestedProcedureCodeSequence": [CHEST_CT],
                    "RequestedProcedureID": "RP-9",
                    "ReasonForTheRequestedProcedure": "Chest pain after a fall",
                    "ReasonForRequestedProcedureCodeSequence": [code("29857009", "SCT", "Chest Pain")],
                    "ScheduledProcedureStepID": "SPS-9",
                    "ScheduledProcedureStepDescription": "Low dose protocol",
                    "ScheduledProtocolCodeSequence": [code("LOWDOSE", "99TEST", "Low dose")],
                    "OrderPlacerIdentifierSequence": issuer(f"{ROOT}.9.11"),
                    "OrderFillerIdentifierSequence": issuer(f"{ROOT}.9.5"),
                    "PlacerOrderNumberImagingServiceRequest": "PLACER-9",
                    "FillerOrderNumberImagingServiceRequest": "FILLER-9",
                }
            ],
        )
    )


def request_at_the_top(case: Case) -> Files:
    """A requested procedure, its codes, reason and numbers at the top of the object, without request attributes."""
    return one(
        case(
            AccessionNumber="ACC-10",
            RequestedProcedureID="RP-10",
            RequestedProcedureDescription="CT of the chest",
            RequestedProcedureCodeSequence=[CHEST_CT],
            PlacerOrderNumberImagingServiceRequest="PLACER-10",
            FillerOrderNumberImagingServiceRequest="FILLER-10",
            RequestedProcedurePriority="LOW",
        )
    )


def request_item_without_accession(case: Case) -> Files:
    """Request attributes without an accession number, which take that of the object and its issuer."""
    return one(
        case(
            AccessionNumber="ACC-14",
            IssuerOfAccessionNumberSequence=issuer(f"{ROOT}.9.5"),
            RequestAttributesSequence=[{"RequestedProcedureID": "RP-14", "RequestedProcedureCodeSequence": [CHEST_CT]}],
        )
    )


def request_without_accession(case: Case) -> Files:
    """An order known by its placer number alone."""
    return one(case(RequestAttributesSequence=[{"PlacerOrderNumberImagingServiceRequest": "PLACER-11"}]))


def requester(case: Case) -> Files:
    """A requesting physician (0032,1032) with identification, who is not the referring one."""
    return one(
        case(
            AccessionNumber="ACC-12",
            ReferringPhysicianName="Referrer^Rolf",
            RequestingPhysician="Requester^Rita",
            RequestingPhysicianIdentificationSequence=[_person("REQ-1", "Rita Requester")],
        )
    )


def reason_text(case: Case) -> Files:
    """Reasons in words only: one in the request attributes (0040,1002), in another study (0032,1030)."""
    inside = [{"RequestedProcedureID": "RP-13", "ReasonForTheRequestedProcedure": "Cough for six weeks"}]
    return numbered([case("ct", 1, RequestAttributesSequence=inside), case("ct", 2, ReasonForStudy="Cough for a year")])


def reason_of_the_visit(case: Case) -> Files:
    """The reason of the visit (0032,1066) and its codes (0032,1067)."""
    codes = [code("29857009", "SCT", "Chest Pain")]
    return numbered([case("ct", 1, ReasonForVisitCodeSequence=codes), case("ct", 2, ReasonForVisit="Chest pain")])


def reason_performed(case: Case) -> Files:
    """The coded reason of the performed procedure (0040,1012), of two codes."""
    codes = [code("29857009", "SCT", "Chest Pain"), code("R07.4", "I10", "Chest pain, unspecified")]
    return one(case(ReasonForPerformedProcedureCodeSequence=codes))


def admitting_diagnosis(case: Case) -> Files:
    """An admitting diagnosis, which is not the reason of the study."""
    return one(
        case(
            AdmittingDiagnosesDescription="Pneumonia",
            AdmittingDiagnosesCodeSequence=[code("J18.9", "I10", "Pneumonia, unspecified")],
        )
    )


def performed_step(case: Case) -> Files:
    """A performed procedure step (0008,1111) with its id (0040,0253), which is a Procedure of its own."""
    step = {"ReferencedSOPClassUID": "1.2.840.10008.3.1.2.3.3", "ReferencedSOPInstanceUID": case.uid(900)}
    return one(
        case(
            ReferencedPerformedProcedureStepSequence=[step],
            PerformedProcedureStepID="PPS-1",
            PerformedProcedureStepStartDate="20240115",
            PerformedProcedureStepDescription="CT of the chest as performed",
        )
    )


def performed_steps_two(case: Case) -> Files:
    """Two performed procedure steps in one study, for which R4 has room for one."""
    return numbered(
        case(
            "ct",
            1,
            series,
            1,
            ReferencedPerformedProcedureStepSequence=[
                {"ReferencedSOPClassUID": "1.2.840.10008.3.1.2.3.3", "ReferencedSOPInstanceUID": case.uid(900 + series)}
            ],
        )
        for series in (1, 2)
    )


# People and places


def _person(number: str, meaning: str, scheme: str = "99PERSON", **more: Any) -> dict[str, Any]:
    return {"PersonIdentificationCodeSequence": [code(number, scheme, meaning)], **more}


PERSON_SCHEME = [{"CodingSchemeDesignator": "99PERSON", "CodingSchemeUID": f"{ROOT}.9.6"}]
"""The registration of the scheme that gives people their numbers."""


def referrer_named(case: Case) -> Files:
    """A referring physician with no more than a name."""
    return one(case(ReferringPhysicianName="Referrer^Rolf^^Dr."))


def referrer_identified(case: Case) -> Files:
    """A referring physician with a number of a registered private scheme."""
    return one(
        case(
            ReferringPhysicianName="Referrer^Rolf^^Dr.",
            ReferringPhysicianIdentificationSequence=[_person("REF-1", "Rolf Referrer")],
            CodingSchemeIdentificationSequence=PERSON_SCHEME,
        )
    )


def referrer_with_institution(case: Case) -> Files:
    """A referring physician with a number, an institution, a department, an address and a telephone: a role."""
    person = _person(
        "REF-2",
        "Rolf Referrer",
        InstitutionName="Example Clinic",
        InstitutionAddress="2 Nowhere Street",
        InstitutionCodeSequence=[code("CLINIC", "99PERSON", "Example Clinic")],
        InstitutionalDepartmentName="Cardiology",
        PersonAddress="3 Nowhere Street",
        PersonTelephoneNumbers="+00 555 0101\\+00 555 0102",
    )
    return one(
        case(
            ReferringPhysicianName="Referrer^Rolf^^Dr.",
            ReferringPhysicianIdentificationSequence=[person],
            CodingSchemeIdentificationSequence=PERSON_SCHEME,
        )
    )


def referrer_scheme_unknown(case: Case) -> Files:
    """A referring physician with a number of a private scheme that is registered nowhere."""
    return one(
        case(
            ReferringPhysicianName="Referrer^Rolf",
            ReferringPhysicianIdentificationSequence=[_person("REF-3", "Rolf Referrer", "99NOWHERE")],
        )
    )


def referrer_in_three_representations(case: Case) -> Files:
    """A referring physician whose name says more than one line of display can."""
    return one(case(SpecificCharacterSet="ISO_IR 192", ReferringPhysicianName="Tesuto^Jiro=試験^次郎=てすと^じろう"))


def interpreters_two(case: Case) -> Files:
    """Two physicians who read the study (0008,1060), by name alone."""
    return one(case(NameOfPhysiciansReadingStudy="Reader^Rita\\Reader^Ralf"))


def interpreters_identified(case: Case) -> Files:
    """Two physicians who read the study, with a number each."""
    return one(
        case(
            NameOfPhysiciansReadingStudy="Reader^Rita\\Reader^Ralf",
            PhysiciansReadingStudyIdentificationSequence=[_person("READ-1", "Rita"), _person("READ-2", "Ralf")],
            CodingSchemeIdentificationSequence=PERSON_SCHEME,
        )
    )


def interpreters_unpaired(case: Case) -> Files:
    """Two physicians who read the study and one number, which cannot be given to either."""
    return one(
        case(
            NameOfPhysiciansReadingStudy="Reader^Rita\\Reader^Ralf",
            PhysiciansReadingStudyIdentificationSequence=[_person("READ-3", "Somebody")],
            CodingSchemeIdentificationSequence=PERSON_SCHEME,
        )
    )


def encounter(case: Case) -> Files:
    """An admission with an issuer inside an episode of care with another."""
    return one(
        case(
            AdmissionID="ADM-1",
            IssuerOfAdmissionIDSequence=issuer(f"{ROOT}.9.7"),
            ServiceEpisodeID="EPI-1",
            IssuerOfServiceEpisodeIDSequence=issuer(f"{ROOT}.9.8"),
            CurrentPatientLocation="Ward 3",
        )
    )


def encounter_without_issuer(case: Case) -> Files:
    """An admission without an issuer, and in another study an episode of care alone."""
    return numbered([case("ct", 1, AdmissionID="ADM-2"), case("ct", 2, ServiceEpisodeID="EPI-2")])


def location_department(case: Case) -> Files:
    """A department by name and by code (0008,1041), of an institution, beside the performed location."""
    return one(
        case(
            InstitutionName="Sample Hospital",
            InstitutionalDepartmentName="Emergency",
            PerformedLocation="Room 12",
            InstitutionalDepartmentTypeCodeSequence=[code("225728007", "SCT", "Accident and Emergency")],
        )
    )


def location_performed(case: Case) -> Files:
    """The performed location (0040,0243) where no department is named; the station is no place."""
    return one(case(PerformedLocation="Room 12", StationName="CT-1"))


def retrieve_url(case: Case) -> Files:
    """A Retrieve URL (0008,1190) at a WADO-RS service, the same in both series."""
    url = f"https://pacs.example/dicom-web/studies/{case.uid(1)}"
    return numbered([case("ct", 1, series, 1, RetrieveURL=f"{url}/series/{case.uid(1, series)}") for series in (1, 2)])


def retrieve_url_of_a_series(case: Case) -> Files:
    """Retrieve URLs at two services: one series lies elsewhere than the others."""
    bases = ("https://pacs.example/dicom-web", "https://pacs.example/dicom-web", "https://archive.example/rs/")
    return numbered(
        case("ct", 1, series, 1, RetrieveURL=f"{base.rstrip('/')}/studies/{case.uid(1)}")
        for series, base in enumerate(bases, 1)
    )


# Procedure and description


def procedure_code(case: Case) -> Files:
    """A procedure code (0008,1032) that beats the requested one, and a description of its own."""
    return one(
        case(
            StudyDescription="Chest low dose",
            ProcedureCodeSequence=[CHEST_CT],
            RequestedProcedureCodeSequence=[LOCAL],
        )
    )


def procedure_codes_several(case: Case) -> Files:
    """Two procedure codes, which are two procedures."""
    return one(case(ProcedureCodeSequence=[CHEST_CT, code("24566-2", "LN", "CT Retroperitoneum")]))


def procedure_code_requested(case: Case) -> Files:
    """No procedure code but a requested one (0032,1064)."""
    return one(case(RequestedProcedureCodeSequence=[CHEST_CT]))


def description_from_the_code(case: Case) -> Files:
    """No study description but a procedure code with a meaning."""
    return one(case(StudyDescription="", ProcedureCodeSequence=[CHEST_CT]))


def description_from_the_request(case: Case) -> Files:
    """No study description and no procedure code but the words of the request (0032,1060)."""
    return one(case(RequestedProcedureDescription="CT of the chest, requested"))


def description_conflict(case: Case) -> Files:
    """Three instances with two study descriptions: the most frequent is taken."""
    words = ("Rare", "Frequent", "Frequent")
    return numbered([case("ct", 1, 1, number, StudyDescription=word) for number, word in enumerate(words, 1)])


def description_tie(case: Case) -> Files:
    """Two study descriptions, equally frequent: that of the lowest series and instance number is taken."""
    return numbered(
        [
            case("ct", 1, 1, 1, SeriesNumber=9, StudyDescription="Alpha, of the last series"),
            case("ct", 1, 2, 1, InstanceNumber=2, StudyDescription="Beta, of the second instance"),
            case("ct", 1, 2, 2, InstanceNumber=1, StudyDescription="Zeta, of the first instance"),
        ]
    )


def description_of_images(case: Case) -> Files:
    """A report that describes the study otherwise than its image, and is more numerous: the image's words are taken."""
    return numbered(
        [
            case("ct", 1, 1, 1, StudyDescription="Words of the image"),
            case("sr", 1, 2, 1, StudyDescription="Words of the report"),
            case("sr", 1, 2, 2, StudyDescription="Words of the report"),
        ]
    )


def comments(case: Case) -> Files:
    """Comments on the patient and the study, which are no notes of the study."""
    ds = case(PatientComments="not to be passed on", ImageComments="nor this")
    return one(ds)


def counts_in_the_file(case: Case) -> Files:
    """Counts and modalities (0020,1206, 1208, 1209, 0008,0061) as an archive once answered: they are recounted."""
    return one(
        case(
            NumberOfStudyRelatedSeries=5,
            NumberOfStudyRelatedInstances=500,
            NumberOfSeriesRelatedInstances=250,
            ModalitiesInStudy="CT\\SR",
            InstanceAvailability="UNAVAILABLE",
        )
    )


# Dates and times


def _started(case: Case, *variants: dict[str, Any]) -> Files:
    return numbered(case("ct", study, **variant) for study, variant in enumerate(variants, 1))


def time_zone(case: Case) -> Files:
    """Offsets of half an hour, behind Greenwich and of Greenwich itself."""
    return _started(case, *({"TimezoneOffsetFromUTC": offset} for offset in ("+0530", "-0330", "+0000")))


def time_zone_absent(case: Case) -> Files:
    """A study without an offset: its date alone is known to FHIR."""
    return _started(case, {"TimezoneOffsetFromUTC": None})


def time_zone_odd(case: Case) -> Files:
    """Offsets with a colon, of hours alone, of Z and of minus zero, all of which can be read."""
    return _started(case, *({"TimezoneOffsetFromUTC": offset} for offset in ("+01:00", "+01", "Z", "-0000")))


def time_fraction(case: Case) -> Files:
    """Times with fractions of a second, kept as they are, and with a leap second."""
    return _started(case, *({"StudyTime": time} for time in ("093000.5", "093000.000988", "093000.120000", "235960")))


def time_short(case: Case) -> Files:
    """Times of hours alone and of hours and minutes, whose seconds nobody knows."""
    return _started(case, *({"StudyTime": time} for time in ("09", "0930")))


def time_with_colons(case: Case) -> Files:
    """Times with the colons of ACR-NEMA."""
    return _started(case, *({"StudyTime": time} for time in ("09:30:00", "09:30:15.25", "09:30")))


def time_without_date(case: Case) -> Files:
    """A study time without a date, which says nothing."""
    return _started(case, {"StudyDate": None})


def date_without_time(case: Case) -> Files:
    """A study date without a time."""
    return _started(case, {"StudyTime": None})


def date_partial(case: Case) -> Files:
    """Study dates of a year and of a month: their times go with the day."""
    return _started(case, {"StudyDate": "2024"}, {"StudyDate": "202401"})


def date_with_dots(case: Case) -> Files:
    """Study dates with the dots of ACR-NEMA, with dashes and with slashes."""
    return _started(case, *({"StudyDate": date} for date in ("2024.01.15", "2024-01-15", "2024/01/15")))


def no_study_date(case: Case) -> Files:
    """No study date but dates of series and acquisition: the study's start is not made of them."""
    series = {
        "SeriesDate": "20240116",
        "SeriesTime": "101500",
        "AcquisitionDate": "20240116",
        "AcquisitionTime": "101700",
    }
    return _started(case, {"StudyDate": None, "StudyTime": None, **series})


def started_majority(case: Case) -> Files:
    """Study times that differ between images: date, time and offset of the most frequent one, as one tuple."""
    often = {"StudyDate": "20240116", "StudyTime": "080000", "TimezoneOffsetFromUTC": "+0200"}
    return numbered(
        [
            case(number=1, StudyTime="070000"),
            case(number=2, **often),
            case(number=3, **often),
            case(number=4, StudyDate="20240116", StudyTime="070000", TimezoneOffsetFromUTC="+0200"),
        ]
    )


def started_tie(case: Case) -> Files:
    """Study times equally frequent: the earliest is taken."""
    return numbered([case(number=1, StudyTime="100000"), case(number=2, StudyTime="093000")])


def started_tie_of_offsets(case: Case) -> Files:
    """Study times equally frequent with different offsets: the earlier instant, whose digits are the later ones."""
    return numbered(
        [
            case(number=1, StudyTime="100000", TimezoneOffsetFromUTC="+0000"),
            case(number=2, StudyTime="103000", TimezoneOffsetFromUTC="+0100"),
        ]
    )


def started_of_images(case: Case) -> Files:
    """Reports, more numerous than the image, with another study time: the image's is taken."""
    return numbered(
        [
            case("ct", 1, 1, 1, StudyTime="093000"),
            case("sr", 1, 2, 1, StudyTime="080000"),
            case("sr", 1, 2, 2, StudyTime="080000"),
        ]
    )


def started_of_the_key_object(case: Case) -> Files:
    """A key object made a day before the image, as its date claims: the image's is taken."""
    return numbered([case("ko", 1, 1, 1, StudyDate="20240114"), case("ct", 1, 2, 1, StudyDate="20240115")])


# Codes


def _procedures(case: Case, *codes: dict[str, Any], **keywords: Any) -> Files:
    return one(case(ProcedureCodeSequence=list(codes), **keywords))


def code_long(case: Case) -> Files:
    """A code too long for (0008,0100), in Long Code Value (0008,0119)."""
    return _procedures(
        case, {"LongCodeValue": "CT-CHEST-LOW-DOSE-SCREENING", **code("", "LN", "CT Chest"), "CodeValue": None}
    )


def code_urn(case: Case) -> Files:
    """A code that is a URN (0008,0120) and needs no scheme."""
    return _procedures(case, {"URNCodeValue": f"urn:oid:{ROOT}.9.9", "CodeMeaning": "CT Chest"})


def code_scheme_version(case: Case) -> Files:
    """A code with the version of its scheme."""
    return _procedures(case, code("24627-2", "LN", "CT Chest", CodingSchemeVersion="2.76"))


def code_private_scheme(case: Case) -> Files:
    """A private scheme with a UID in the coding scheme identification sequence (0008,0110)."""
    schemes = [{"CodingSchemeDesignator": "99TEST", "CodingSchemeUID": f"{ROOT}.9.10", "CodingSchemeName": "Test"}]
    return _procedures(case, LOCAL, CodingSchemeIdentificationSequence=schemes)


def code_scheme_uid_of_a_standard(case: Case) -> Files:
    """A designator of the site's own whose UID is that of SNOMED CT."""
    schemes = [{"CodingSchemeDesignator": "99SCT", "CodingSchemeUID": "2.16.840.1.113883.6.96"}]
    return _procedures(case, code("363679005", "99SCT", "Imaging"), CodingSchemeIdentificationSequence=schemes)


def code_snomed_rt(case: Case) -> Files:
    """A retired SNOMED RT code (SRT), which is not a SNOMED CT code: translated where a translation exists."""
    known = code("P5-08000", "SRT", "Computed tomography")
    return _procedures(case, known, code("P5-99ZZZ", "SRT", "Invented procedure"))


def code_equivalent(case: Case) -> Files:
    """A code with equivalents (0008,0121), which are more codings of one concept."""
    return _procedures(case, {**CHEST_CT, "EquivalentCodeSequence": [LOCAL, code("RID10321", "RADLEX", "CT")]})


def code_radlex(case: Case) -> Files:
    """RadLex codes under the designators that are seen for it."""
    codes = (code("RID10321", scheme, "computed tomography") for scheme in ("RADLEX", "RadLex", "RPID"))
    return _procedures(case, *codes)


def code_dicom(case: Case) -> Files:
    """A code of DICOM's own scheme, which has a URI and not a UID in FHIR."""
    return _procedures(case, code("CT", "DCM", "Computed Tomography"))


def code_blanks(case: Case) -> Files:
    """A code with blanks around and doubled inside, which FHIR's type code forbids."""
    return _procedures(case, code(" CT  CHEST ", "LN", "  CT  of the chest "))


def code_backslash(case: Case) -> Files:
    """A code and its words with a backslash, which makes two values of each: the first code, and all words."""
    return _procedures(case, code("24627-2\\24566-2", "LN", "CT Chest\\with contrast"))


def code_meaning_only(case: Case) -> Files:
    """A code item with words and no code."""
    return _procedures(case, {"CodeMeaning": "CT of the chest"})


def code_repeated(case: Case) -> Files:
    """The same procedure code in every instance, and twice in one of them: one procedure."""
    return numbered(
        [case(number=1, ProcedureCodeSequence=[CHEST_CT]), case(number=2, ProcedureCodeSequence=[CHEST_CT, CHEST_CT])]
    )


CASES: tuple[Maker, ...] = (
    study_id,
    accession_plain,
    accession_issuer,
    accession_issuer_uri,
    accession_issuer_local,
    accession_issuer_dns,
    accession_in_the_request,
    accession_in_the_key_object,
    accession_issuer_in_part,
    request_of_another_study,
    two_accessions,
    accessions_of_two_series,
    request_attributes,
    request_at_the_top,
    request_item_without_accession,
    request_without_accession,
    requester,
    reason_text,
    reason_of_the_visit,
    reason_performed,
    admitting_diagnosis,
    performed_step,
    performed_steps_two,
    referrer_named,
    referrer_identified,
    referrer_with_institution,
    referrer_scheme_unknown,
    referrer_in_three_representations,
    interpreters_two,
    interpreters_identified,
    interpreters_unpaired,
    encounter,
    encounter_without_issuer,
    location_department,
    location_performed,
    retrieve_url,
    retrieve_url_of_a_series,
    procedure_code,
    procedure_codes_several,
    procedure_code_requested,
    description_from_the_code,
    description_from_the_request,
    description_conflict,
    description_tie,
    description_of_images,
    comments,
    counts_in_the_file,
    time_zone,
    time_zone_absent,
    time_zone_odd,
    time_fraction,
    time_short,
    time_with_colons,
    time_without_date,
    date_without_time,
    date_partial,
    date_with_dots,
    no_study_date,
    started_majority,
    started_tie,
    started_tie_of_offsets,
    started_of_images,
    started_of_the_key_object,
    code_long,
    code_urn,
    code_scheme_version,
    code_private_scheme,
    code_scheme_uid_of_a_standard,
    code_snomed_rt,
    code_equivalent,
    code_radlex,
    code_dicom,
    code_blanks,
    code_backslash,
    code_meaning_only,
    code_repeated,
)
