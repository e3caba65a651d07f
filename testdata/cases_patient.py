"""Clean cases about the patient: identity and its issuers, names, dates, animals, phantoms, groups."""

from __future__ import annotations

from dicomdata import ROOT, Case, Files, Maker, code, issuer, numbered

HOSPITAL = f"{ROOT}.9.1"
"""The OID under which an invented hospital issues numbers."""


def issuer_oid(case: Case) -> Files:
    """The PatientID's issuer is an ISO OID in the qualifiers sequence (0010,0024)."""
    return numbered([case(IssuerOfPatientIDQualifiersSequence=issuer(HOSPITAL))])


def issuer_uri(case: Case) -> Files:
    """The PatientID's issuer is a URI in the qualifiers sequence."""
    return numbered([case(IssuerOfPatientIDQualifiersSequence=issuer("https://hospital.example/patients", "URI"))])


def issuer_uuid(case: Case) -> Files:
    """The PatientID's issuer is a UUID in the qualifiers sequence."""
    uuid = "6f1c0b9e-0000-4000-8000-0123456789ab"
    return numbered([case(IssuerOfPatientIDQualifiersSequence=issuer(uuid, "UUID"))])


def issuer_dns(case: Case) -> Files:
    """The PatientID's issuer is a DNS name, which is no FHIR system: it becomes the assigner's name."""
    return numbered([case(IssuerOfPatientIDQualifiersSequence=issuer("hospital.example", "DNS"))])


def issuer_text(case: Case) -> Files:
    """The PatientID's issuer is free text (0010,0021), which is no FHIR system: it becomes the assigner's name."""
    return numbered([case(IssuerOfPatientID="Sample Hospital")])


def issuer_text_oid(case: Case) -> Files:
    """The PatientID's issuer is an OID in the free text (0010,0021)."""
    return numbered([case(IssuerOfPatientID=HOSPITAL)])


def issuer_text_uri(case: Case) -> Files:
    """The PatientID's issuer is a URI in the free text (0010,0021)."""
    return numbered([case(IssuerOfPatientID="https://hospital.example/patients")])


def issuer_both(case: Case) -> Files:
    """The PatientID's issuer stands in the qualifiers sequence and, as another, in the free text: the first counts."""
    qualifiers = issuer(HOSPITAL)
    return numbered([case(IssuerOfPatientID="Sample Hospital", IssuerOfPatientIDQualifiersSequence=qualifiers)])


def issuer_without_type(case: Case) -> Files:
    """An issuer with an entity but no entity type beside the free text: the free text is what is left."""
    qualifiers = [{"UniversalEntityID": "SAMPLE"}]
    return numbered([case(IssuerOfPatientID="Sample Hospital", IssuerOfPatientIDQualifiersSequence=qualifiers)])


def issuer_in_part(case: Case) -> Files:
    """One instance without the issuer that the others have: empty against filled is no disagreement."""
    return numbered([case(number=1, IssuerOfPatientID=HOSPITAL), case(number=2)])


def patient_id_type(case: Case) -> Files:
    """The qualifiers name the type of the PatientID (PI) and the facility that assigned it."""
    qualifiers = issuer(
        HOSPITAL,
        IdentifierTypeCode="PI",
        AssigningFacilitySequence=[{"LocalNamespaceEntityID": "SAMPLE HOSPITAL", **issuer(HOSPITAL)[0]}],
        AssigningJurisdictionCodeSequence=[code("XX", "ISO3166_1", "Nowhere")],
    )
    return numbered([case(IssuerOfPatientIDQualifiersSequence=qualifiers)])


def patient_id_agency(case: Case) -> Files:
    """The qualifiers name the department that assigned the PatientID, and no universal entity."""
    qualifiers = [{"AssigningAgencyOrDepartmentCodeSequence": [code("RAD", "99TEST", "Radiology")]}]
    return numbered([case(IssuerOfPatientIDQualifiersSequence=qualifiers)])


def no_patient_id(case: Case) -> Files:
    """Two studies of patients without a PatientID: each is a patient of its own study."""
    return numbered([case("ct", study, PatientID="", PatientName="Nobody^Norma") for study in (1, 2)])


def no_patient_data(case: Case) -> Files:
    """An object that says nothing of its patient at all."""
    return numbered([case(PatientID=None, PatientName=None)])


def patient_id_in_part(case: Case) -> Files:
    """One instance without the PatientID that the others have: empty against filled is no disagreement."""
    return numbered([case(number=1), case(number=2, PatientID=""), case("sr", 1, 2, 1, PatientID=None)])


def patient_name_varies(case: Case) -> Files:
    """One PatientID under two spellings of the name and two birth dates, which makes no second patient."""
    married = {"PatientName": "Testperson^Tessa", "PatientBirthDate": "19700102"}
    single = {"PatientName": "Nobody^Tessa", "PatientBirthDate": "19700201"}
    return numbered([case(number=1, **single), case(number=2, **married), case(number=3, **married)])


def other_patient_ids(case: Case) -> Files:
    """Other patient IDs (0010,1002) with issuers and types."""
    others = [
        {"PatientID": "OTHER-1", "TypeOfPatientID": "TEXT", "IssuerOfPatientID": "Example Clinic"},
        {
            "PatientID": "OTHER-2",
            "TypeOfPatientID": "TEXT",
            "IssuerOfPatientIDQualifiersSequence": issuer(f"{ROOT}.9.2"),
        },
        {"PatientID": "OTHER-3", "TypeOfPatientID": "BARCODE"},
    ]
    return numbered([case(IssuerOfPatientID=HOSPITAL, OtherPatientIDsSequence=others)])


def other_patient_ids_retired(case: Case) -> Files:
    """Other patient IDs of the retired kind (0010,1000), several without issuers."""
    return numbered([case(OtherPatientIDs="OLD-1\\OLD-2\\")])


def birth_name(case: Case) -> Files:
    """A birth name (0010,1005) beside the name."""
    return numbered([case(PatientName="Testperson^Tessa", PatientBirthName="Nobody^Tessa", PatientSex="F")])


def other_names(case: Case) -> Files:
    """Other names (0010,1001), several, of a kind that nobody knows."""
    return numbered([case(PatientName="Testperson^Tessa", OtherPatientNames="Nobody^Tessa\\Stagename^Tess")])


def birth_time(case: Case) -> Files:
    """A birth date with a birth time, and in another study without the offset that FHIR asks for."""
    born = {"PatientBirthDate": "20230704", "PatientBirthTime": "061500", "PatientSex": "F"}
    return numbered([case("ct", 1, **born), case("ct", 2, TimezoneOffsetFromUTC=None, **born)])


def birth_date_of_another_calendar(case: Case) -> Files:
    """A birth date of an alternative calendar (0010,0033), which is none of FHIR's."""
    return numbered([case(PatientBirthDateInAlternativeCalendar="5730-10-12", PatientAlternativeCalendar="HEBREW")])


def birth_date_partial(case: Case) -> Files:
    """Birth dates of a year alone, of a month and with the dots of ACR-NEMA."""
    dates = ("1956", "195607", "1956.07.04")
    return numbered([case("ct", study, PatientBirthDate=date) for study, date in enumerate(dates, 1)])


def birth_date_placeholder(case: Case) -> Files:
    """Birth dates that stand for an unknown one: 00010101 and 16000101 go, 19000101 is possible and stays."""
    dates = ("00010101", "16000101", "19000101")
    return numbered([case("ct", study, PatientBirthDate=date) for study, date in enumerate(dates, 1)])


def age_only(case: Case) -> Files:
    """A patient with an age and no birth date: none is derived."""
    return numbered([case(PatientAge="052Y", PatientSex="M")])


def sex_other(case: Case) -> Files:
    """The sex O is other; an unknown term is unknown; an empty one is absent."""
    return numbered([case("ct", study, PatientSex=sex) for study, sex in enumerate(("O", "W", ""), 1)])


def contact_details(case: Case) -> Files:
    """Address, telephone, country and language of the patient, which are not passed on."""
    return numbered(
        [
            case(
                PatientAddress="1 Nowhere Street, Sampletown",
                PatientTelephoneNumbers="+00 555 0100",
                CountryOfResidence="Nowhere",
                PatientPrimaryLanguageCodeSequence=[code("en", "RFC5646", "English")],
                PatientComments="not to be passed on",
            )
        ]
    )


def animal(case: Case) -> Files:
    """A neutered dog with a coded species, a breed, a microchip and an owner."""
    return numbered(
        [
            case(
                PatientName="Testperson^Rex",
                PatientSpeciesDescription="Dog",
                PatientSpeciesCodeSequence=[code("448771007", "SCT", "Canis lupus subspecies familiaris")],
                PatientBreedDescription="Imaginary Terrier",
                PatientBreedCodeSequence=[],
                PatientSexNeutered="ALTERED",
                PatientSex="M",
                ResponsiblePerson="Testperson^Tessa",
                ResponsiblePersonRole="OWNER",
                OtherPatientIDsSequence=[{"PatientID": "999000000000001", "TypeOfPatientID": "RFID"}],
            )
        ]
    )


def animal_described(case: Case) -> Files:
    """Two animals: one with a described species and coded breeds, not neutered, one with a retired species code."""
    breeds = [code("B-1", "99TEST", "Imaginary Shorthair"), code("B-2", "99TEST", "Imaginary Longhair")]
    dog = [code("L-80700", "SRT", "Dog")]
    return numbered(
        [
            case(
                "dx",
                1,
                PatientSpeciesDescription="Cat",
                PatientBreedCodeSequence=breeds,
                PatientSexNeutered="UNALTERED",
            ),
            case("dx", 2, PatientSpeciesCodeSequence=dog, ResponsiblePersonRole="OWNER"),
        ]
    )


def animal_group(case: Case) -> Files:
    """A group of animals in one image (0010,0027)."""
    members = [
        {"PatientID": f"MOUSE-{number}", "SubjectRelativePositionInImage": [number, 1, 1], **_lab()}
        for number in (1, 2, 3)
    ]
    return numbered(
        [
            case(
                "ct",
                PatientName="Testgroup^Mice",
                PatientSpeciesCodeSequence=[code("447612001", "SCT", "Mus musculus")],
                GroupOfPatientsIdentificationSequence=members,
            )
        ]
    )


def _lab() -> dict[str, object]:
    return {"IssuerOfPatientIDQualifiersSequence": issuer(f"{ROOT}.9.3")}


def phantom(case: Case) -> Files:
    """A phantom (0010,0200), which is no person; the second object says that its subject is none."""
    return numbered(
        [
            case("ct", 1, QualityControlSubject="YES", PatientName="Phantom^Water", PatientID="PHANTOM-1"),
            case("ct", 2, QualityControlSubject="NO"),
        ]
    )


def de_identified(case: Case) -> Files:
    """A de-identified patient (0012,0062), with the method as text and as a code."""
    return numbered(
        [
            case(
                PatientName="Anonymous^A0001",
                PatientID="A0001",
                PatientIdentityRemoved="YES",
                DeidentificationMethod="Invented from the start",
                DeidentificationMethodCodeSequence=[code("113100", "DCM", "Basic Application Confidentiality Profile")],
            )
        ]
    )


def de_identified_with_issuer(case: Case) -> Files:
    """A de-identified patient whose PatientID has an issuer, so that the Patient is a resource of its own."""
    return numbered(
        [
            case(
                PatientName="Anonymous^A0002",
                PatientID="A0002",
                PatientIdentityRemoved="YES",
                IssuerOfPatientIDQualifiersSequence=issuer(f"{ROOT}.9.4"),
            )
        ]
    )


def placeholder_text(case: Case) -> Files:
    """Words such as UNKNOWN, NONE and N/A, which DICOM does not set apart: they stay what they are."""
    return numbered([case(PatientName="UNKNOWN", AccessionNumber="NONE", StudyDescription="N/A", StudyID="ANONYMOUS")])


def one_patient_two_studies(case: Case) -> Files:
    """Two studies of one patient with one issuer, who is created only once."""
    same = {"PatientID": "SAME-1", "PatientName": "Testperson^Tessa", "IssuerOfPatientID": HOSPITAL}
    return numbered([case("ct", 1, **same), case("mr", 2, **same)])


CASES: tuple[Maker, ...] = (
    issuer_oid,
    issuer_uri,
    issuer_uuid,
    issuer_dns,
    issuer_text,
    issuer_text_oid,
    issuer_text_uri,
    issuer_both,
    issuer_without_type,
    issuer_in_part,
    patient_id_type,
    patient_id_agency,
    no_patient_id,
    no_patient_data,
    patient_id_in_part,
    patient_name_varies,
    other_patient_ids,
    other_patient_ids_retired,
    birth_name,
    other_names,
    birth_time,
    birth_date_of_another_calendar,
    birth_date_partial,
    birth_date_placeholder,
    age_only,
    sex_other,
    contact_details,
    animal,
    animal_described,
    animal_group,
    phantom,
    de_identified,
    de_identified_with_issuer,
    placeholder_text,
    one_patient_two_studies,
)
