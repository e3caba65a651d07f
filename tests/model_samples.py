"""Values of the model that the tests of several FHIR versions start from, and how they look in JSON."""

from __future__ import annotations

from typing import Any

from studies import CT, CT_IMAGE, study

from dicom2fhir.fhir.elements import Json
from dicom2fhir.fhir.policy import CREATABLE, Policy
from dicom2fhir.model import (
    Code,
    Concept,
    Encounter,
    Endpoint,
    Identifier,
    Instance,
    Moment,
    Patient,
    Performer,
    PersonName,
    Practitioner,
    Procedure,
    Series,
    Specimen,
    Study,
)

SCT = "http://snomed.info/sct"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
V2 = "http://terminology.hl7.org/CodeSystem/v2-0203"
ABC = {"url": "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation", "valueCode": "ABC"}

EVERYTHING = Policy(create=CREATABLE)
POLICIES = (
    Policy(),
    EVERYTHING,
    Policy(create=frozenset()),
    Policy(create=CREATABLE, shape="ndjson"),
    Policy(create=CREATABLE, bundle_type="batch"),
    Policy(create=CREATABLE, patient="contained", write="conditional-create"),
    Policy(patient="Patient/5"),
)
"""One policy of every kind that places companions differently."""

NAME = PersonName("alphabetic", "Doe", ("Jane",))
DOCTOR = Practitioner((PersonName("alphabetic", "House"),))
CHEST = Concept((Code("51185008", SCT, "Chest"),))
WORDS = Concept((), "words")
MOMENT = Moment("2024-02-29", "10:11:12.5", "+01:00")
QUALIFIED = Patient(identifiers=(Identifier("1", "patient", "urn:oid:1.2"),))
STEP = Procedure((Identifier("1.9", "uid", "urn:dicom:uid"),), WORDS)
TUBE = Specimen((Identifier("S1", "specimen"),), WORDS, None, ("long",), Identifier("C1", "container"), CHEST)

CODED_CHEST: Json = {"coding": [{"system": SCT, "code": "51185008", "display": "Chest"}]}
CODED_CT: Json = {"coding": [{"system": DCM, "code": "CT", "display": "Computed Tomography"}]}
REFERRED_STEP: Json = {
    "type": "Procedure",
    "identifier": {"system": "urn:dicom:uid", "value": "urn:oid:1.9"},
    "display": "words",
}


def typed(code: str) -> Json:
    """An identifier's type from R4 on."""
    return {"coding": [{"system": V2, "code": code}]}


def accession(value: str = "A1", **rest: Any) -> Identifier:
    """An accession number."""
    return Identifier(value, "accession", **rest)


def full() -> Study:
    """A study with something in every element that DICOM can fill."""
    one = Series(
        uid="1.2.3.4",
        modality=CT,
        instance_count=1,
        number=1,
        description="axial",
        started=MOMENT,
        body_sites=(CHEST,),
        laterality="left",
        specimens=(TUBE,),
        performers=(Performer("performer", DOCTOR),),
        endpoints=(Endpoint("wado-rs", "https://a.test/x"),),
        instances=(Instance("1.5", CT_IMAGE, 1, "Title", 2),),
    )
    return study(
        QUALIFIED,
        one,
        accessions=(accession(),),
        study_id=Identifier("77", "study-id"),
        started=MOMENT,
        description="CT",
        referrer=DOCTOR,
        interpreters=(DOCTOR,),
        procedure_codes=(CHEST,),
        procedures=(STEP,),
        reasons=(WORDS,),
        encounter=Encounter(Identifier("V1", "visit")),
        endpoints=(Endpoint("iid", "https://a.test/x"),),
    )
