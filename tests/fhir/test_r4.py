"""R4: every rule of its elements, from a study to the JSON."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from studies import CT, CT_IMAGE, SR, series, study

from dicom2fhir import model
from dicom2fhir.fhir import dialect, r4
from dicom2fhir.fhir.bundle import Emission
from dicom2fhir.fhir.elements import Json
from dicom2fhir.fhir.policy import CREATABLE, DEFAULT_CREATE, Policy
from dicom2fhir.model import (
    Code,
    Concept,
    Device,
    Encounter,
    Endpoint,
    Identifier,
    Instance,
    Location,
    Modality,
    Moment,
    Organization,
    Owner,
    Patient,
    Performer,
    PersonName,
    Practitioner,
    Procedure,
    Request,
    Specimen,
    Study,
)

EVERYTHING = Policy(create=CREATABLE)
NAME = PersonName("alphabetic", "Doe", ("Jane",))
DOCTOR = Practitioner((PersonName("alphabetic", "House"),))
SCT = "http://snomed.info/sct"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
V2 = "http://terminology.hl7.org/CodeSystem/v2-0203"
ABC = {"url": "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation", "valueCode": "ABC"}
CHEST = Concept((Code("51185008", SCT, "Chest"),))
WORDS = Concept((), "words")
MOMENT = Moment("2024-02-29", "10:11:12.5", "+01:00")
QUALIFIED = Patient(identifiers=(Identifier("1", "patient", "urn:oid:1.2"),))


def emit(one: Study, policy: Policy | None = None) -> Emission:
    return dialect.render(one, r4.DIALECT, policy or Policy())


def imaging_study(one: Study, policy: Policy | None = None) -> Json:
    return emit(one, policy).entries[-1].resource


def made(kind: str, one: Study, policy: Policy | None = None) -> Json:
    """The first resource of a type that the study brings along, in an entry or contained."""
    resources = emit(one, policy).resources
    inner = [each for resource in resources for each in resource.get("contained", ())]
    return next(each for each in (*resources, *inner) if each["resourceType"] == kind)


def typed(code: str) -> Json:
    return {"coding": [{"system": V2, "code": code}]}


def accession(value: str = "A1", **rest: Any) -> Identifier:
    return Identifier(value, "accession", **rest)


# The study ------------------------------------------------------------------------------------------


def test_the_least_study_has_what_is_required_and_nothing_else() -> None:
    assert imaging_study(study()) == {
        "resourceType": "ImagingStudy",
        "id": "ddrak4l4ddup7ihz6yi45pszkvczxflz",
        "contained": [{"resourceType": "Patient", "id": "patient-1"}],
        "identifier": [
            {
                "use": "official",
                "type": {"coding": [{"system": DCM, "code": "110180", "display": "Study Instance UID"}]},
                "system": "urn:dicom:uid",
                "value": "urn:oid:1.2.3",
            }
        ],
        "status": "available",
        "modality": [{"system": DCM, "code": "CT", "display": "Computed Tomography"}],
        "subject": {"reference": "#patient-1"},
        "numberOfSeries": 1,
        "numberOfInstances": 1,
        "series": [
            {
                "uid": "1.2.3.4",
                "modality": {"system": DCM, "code": "CT", "display": "Computed Tomography"},
                "numberOfInstances": 1,
                "instance": [
                    {"uid": "1.2.3.4.5", "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{CT_IMAGE}"}}
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    ("changes", "element", "value"),
    [
        ({"started": MOMENT}, "started", "2024-02-29T10:11:12.5+01:00"),
        ({"started": replace(MOMENT, offset=None)}, "started", "2024-02-29"),
        ({"description": "CT Thorax"}, "description", "CT Thorax"),
        (
            {"procedure_codes": (CHEST, WORDS, CHEST)},
            "procedureCode",
            [{"coding": [{"system": SCT, "code": "51185008", "display": "Chest"}]}, {"text": "words"}],
        ),
        ({"reasons": (WORDS,)}, "reasonCode", [{"text": "words"}]),
        ({"location": Location("Room 1")}, "location", {"type": "Location", "display": "Room 1"}),
        ({"referrer": DOCTOR}, "referrer", {"type": "Practitioner", "display": "House"}),
        ({"interpreters": (DOCTOR, DOCTOR)}, "interpreter", [{"type": "Practitioner", "display": "House"}]),
        (
            {"encounter": Encounter(Identifier("V1", "visit", "http://v"))},
            "encounter",
            {"type": "Encounter", "identifier": {"type": typed("VN"), "system": "http://v", "value": "V1"}},
        ),
        (
            {"procedures": (Procedure((Identifier("1.9", "uid", "urn:dicom:uid"),), WORDS),)},
            "procedureReference",
            {
                "type": "Procedure",
                "identifier": {"system": "urn:dicom:uid", "value": "urn:oid:1.9"},
                "display": "words",
            },
        ),
    ],
)
def test_study_elements(changes: dict[str, Any], element: str, value: Any) -> None:
    assert imaging_study(study(**changes))[element] == value
    assert element not in imaging_study(study())


def test_the_study_names_acquisition_modalities_only_and_the_series_its_own() -> None:
    both = study(series=(series(), series(modality=SR, uid="1.2.9")))
    resource = imaging_study(both)
    assert [one["code"] for one in resource["modality"]] == ["CT"]
    assert [one["modality"]["code"] for one in resource["series"]] == ["CT", "SR"]
    assert "modality" not in imaging_study(study(one=series(modality=SR)))


def test_the_identifiers_of_a_study() -> None:
    one = study(
        accessions=(accession(system="http://a"), accession("A2", assigner="Clinic")),
        study_id=Identifier("77", "study-id", assigner="Clinic"),
        requests=(Request((accession("A3"), Identifier("P1", "placer"))), Request((accession(system="http://a"),))),
    )
    assert imaging_study(one)["identifier"][1:] == [
        {"use": "usual", "type": typed("ACSN"), "system": "http://a", "value": "A1"},
        {"use": "usual", "type": typed("ACSN"), "value": "A2", "assigner": {"display": "Clinic"}},
        {"use": "usual", "type": typed("ACSN"), "value": "A3"},
        {"use": "secondary", "value": "77", "assigner": {"display": "Clinic"}},
    ]


def test_every_order_and_every_accession_number_is_referred_to_once() -> None:
    one = study(
        accessions=(accession(), accession("A2")),
        requests=(Request((Identifier("P1", "placer"), accession())), Request((Identifier("F1", "filler"),))),
    )
    assert imaging_study(one)["basedOn"] == [
        {"type": "ServiceRequest", "identifier": {"type": typed("ACSN"), "value": "A1"}},
        {"type": "ServiceRequest", "identifier": {"type": typed("FILL"), "value": "F1"}},
        {"type": "ServiceRequest", "identifier": {"type": typed("ACSN"), "value": "A2"}},
    ]


def test_a_created_order_keeps_its_accession_number_beside_the_reference() -> None:
    one = study(requests=(Request((accession(), Identifier("P1", "placer", "http://p"))),))
    (based_on,) = imaging_study(one, EVERYTHING)["basedOn"]
    assert based_on["reference"].startswith("urn:uuid:")
    assert based_on["identifier"] == {"type": typed("ACSN"), "value": "A1"}


def test_counts_are_those_of_the_series_listed_or_not() -> None:
    one = study(series=(series(instance_count=300, instances=()), series(uid="1.2.9")))
    resource = imaging_study(one)
    assert (resource["numberOfSeries"], resource["numberOfInstances"]) == (2, 301)
    assert [each["numberOfInstances"] for each in resource["series"]] == [300, 1]
    assert "instance" not in resource["series"][0]


# The series -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "element", "value"),
    [
        ({"number": 0}, "number", 0),
        ({"description": "axial"}, "description", "axial"),
        ({"started": MOMENT}, "started", "2024-02-29T10:11:12.5+01:00"),
        ({"laterality": "left"}, "laterality", {"system": SCT, "code": "419161000", "display": "Unilateral left"}),
        ({"laterality": "right"}, "laterality", {"system": SCT, "code": "419465000", "display": "Unilateral right"}),
        ({"laterality": "both"}, "laterality", {"system": SCT, "code": "51440002", "display": "Bilateral"}),
        ({"body_sites": (CHEST,)}, "bodySite", {"system": SCT, "code": "51185008", "display": "Chest"}),
        ({"body_sites": (WORDS,)}, "bodySite", {"display": "words"}),
        ({"body_sites": (Concept((Code("X"), Code("1", SCT))),)}, "bodySite", {"system": SCT, "code": "1"}),
        ({"body_sites": (Concept((Code("X", None, "Xs"),)),)}, "bodySite", {"code": "X", "display": "Xs"}),
        ({"specimens": (Specimen((), description="tissue"),)}, "specimen", [{"type": "Specimen", "display": "tissue"}]),
    ],
)
def test_series_elements(changes: dict[str, Any], element: str, value: Any) -> None:
    assert imaging_study(study(one=series(**changes)))["series"][0][element] == value
    assert element not in imaging_study(study())["series"][0]


def test_an_unknown_modality_stands_as_other() -> None:
    resource = imaging_study(study(one=series(modality=Modality("OT", "Other", acquires=True, text="XX"))))
    assert resource["series"][0]["modality"] == {"system": DCM, "code": "OT", "display": "Other"}


@pytest.mark.parametrize(
    ("performer", "code", "actor"),
    [
        (Performer("performer", DOCTOR), "PRF", {"type": "Practitioner", "display": "House"}),
        (Performer("operator", DOCTOR), "SPRF", {"type": "Practitioner", "display": "House"}),
        (Performer("device", Device("ACME")), "DEV", {"type": "Device", "display": "ACME"}),
        (Performer("institution", Organization("Clinic")), "LOC", {"type": "Organization", "display": "Clinic"}),
    ],
)
def test_performers_and_their_functions(performer: Performer, code: str, actor: Json) -> None:
    (found,) = imaging_study(study(one=series(performers=(performer, performer))))["series"][0]["performer"]
    assert found["function"]["coding"][0]["code"] == code
    assert found["function"]["coding"][0]["system"] == "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
    assert found["actor"] == actor


def test_what_is_said_twice_is_written_once() -> None:
    endpoint, tissue = Endpoint("iid", "https://a.test"), Specimen((), description="tissue")
    member, order = Identifier("M1", "patient"), Request((accession(),))
    animals = Patient("group", members=(member, member))
    one = study(
        animals,
        series(endpoints=(endpoint, endpoint), specimens=(tissue, tissue)),
        endpoints=(endpoint, endpoint),
        requests=(order, order),
        referrer=Practitioner((NAME, NAME)),
    )
    resource = imaging_study(one)
    (only,) = resource["series"]
    assert [len(resource[name]) for name in ("endpoint", "basedOn")] == [1, 1]
    assert [len(only[name]) for name in ("endpoint", "specimen")] == [1, 1]
    assert len(made("Group", one)["member"]) == 1
    assert len(made("Practitioner", one)["name"]) == 1
    assert len(made("Patient", study(Patient(names=(NAME, NAME))))["name"]) == 1


@pytest.mark.parametrize(
    ("one", "body"),
    [
        (Instance("1.5", "1.2"), {}),
        (Instance("1.5", "1.2", 0, "Report", 3), {"number": 0, "title": "Report"}),
        (Instance("1.05", "1.02"), {}),
    ],
)
def test_instances(one: Instance, body: Json) -> None:
    head = {"uid": one.uid, "sopClass": {"system": "urn:ietf:rfc:3986", "code": "urn:oid:" + one.sop_class}}
    assert r4.instance(one) == head | body


# Companions -----------------------------------------------------------------------------------------


def test_a_patient_with_everything() -> None:
    one = Patient(
        identifiers=(
            Identifier("1", "patient", "urn:oid:1.2"),
            Identifier("2", "other", assigner="Clinic"),
            Identifier("3", "other", type_code="MCN"),
        ),
        names=(replace(NAME, use="official"), PersonName("ideographic", "山田", ("花",))),
        sex="female",
        birth_date="2001-02-03",
        birth_time=Moment("2001-02-03", "04:05:06", "+01:00"),
    )
    assert made("Patient", study(one)) == {
        "resourceType": "Patient",
        "identifier": [
            {"type": typed("MR"), "system": "urn:oid:1.2", "value": "1"},
            {"value": "2", "assigner": {"display": "Clinic"}},
            {"type": typed("MCN"), "value": "3"},
        ],
        "name": [
            {"extension": [ABC], "use": "official", "text": "Jane Doe", "family": "Doe", "given": ["Jane"]},
            {"extension": [ABC | {"valueCode": "IDE"}], "text": "山田花", "family": "山田", "given": ["花"]},
        ],
        "gender": "female",
        "birthDate": "2001-02-03",
        "_birthDate": {
            "extension": [
                {
                    "url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime",
                    "valueDateTime": "2001-02-03T04:05:06+01:00",
                }
            ]
        },
    }


@pytest.mark.parametrize(("neutered", "status"), [(True, "neutered"), (False, "intact")])
def test_an_animal_and_its_owner(neutered: bool, status: str) -> None:
    dog = Concept((Code("448771007", SCT, "Dog"),))
    one = Patient(species=dog, breeds=(WORDS,), neutered=neutered, owner=Owner((NAME,), "OWNER"))
    found = made("Patient", study(one))
    assert found["extension"] == [
        {
            "extension": [
                {
                    "url": "species",
                    "valueCodeableConcept": {"coding": [{"system": SCT, "code": "448771007", "display": "Dog"}]},
                },
                {"url": "breed", "valueCodeableConcept": {"text": "words"}},
                {
                    "url": "genderStatus",
                    "valueCodeableConcept": {
                        "coding": [{"system": "http://hl7.org/fhir/animal-genderstatus", "code": status}]
                    },
                },
            ],
            "url": "http://hl7.org/fhir/StructureDefinition/patient-animal",
        }
    ]
    assert found["contact"] == [
        {
            "relationship": [{"text": "OWNER"}],
            "name": {"extension": [ABC], "text": "Jane Doe", "family": "Doe", "given": ["Jane"]},
        }
    ]


def test_a_deidentified_patient_is_labelled_unless_contained() -> None:
    one = replace(QUALIFIED, anonymized=True)
    label = {
        "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
        "code": "ANONYED",
        "display": "anonymized",
    }
    assert made("Patient", study(one))["meta"] == {"security": [label]}
    assert made("Patient", study(one))["identifier"][0]["type"] == typed("ANON")
    assert "meta" not in made("Patient", study(one), Policy(patient="contained"))


def test_a_phantom_is_a_contained_device() -> None:
    one = study(Patient("phantom", (Identifier("PH1", "patient", "http://p"),), (NAME,)))
    assert imaging_study(one)["subject"] == {"reference": "#device-1"}
    assert made("Device", one) == {
        "resourceType": "Device",
        "id": "device-1",
        "identifier": [{"type": typed("MR"), "system": "http://p", "value": "PH1"}],
        "deviceName": [{"name": "Jane Doe", "type": "user-friendly-name"}],
    }


def test_animals_imaged_together_are_a_contained_group() -> None:
    members = (Identifier("M1", "patient"), Identifier("M2", "patient", "http://m"))
    one = Patient("group", (Identifier("G", "patient"),), (NAME,), species=WORDS, members=members)
    assert made("Group", study(one)) == {
        "resourceType": "Group",
        "id": "group-1",
        "identifier": [{"type": typed("MR"), "value": "G"}],
        "type": "animal",
        "actual": True,
        "code": {"text": "words"},
        "name": "Jane Doe",
        "member": [
            {"entity": {"type": "Patient", "identifier": {"type": typed("MR"), "value": "M1"}}},
            {"entity": {"type": "Patient", "identifier": {"type": typed("MR"), "system": "http://m", "value": "M2"}}},
        ],
    }


def test_a_practitioner_with_everything() -> None:
    one = Practitioner((NAME,), (Identifier("9", "practitioner", "http://p"),), address="Street", phones=("1", "2"))
    assert made("Practitioner", study(referrer=one)) == {
        "resourceType": "Practitioner",
        "identifier": [{"system": "http://p", "value": "9"}],
        "name": [{"extension": [ABC], "text": "Jane Doe", "family": "Doe", "given": ["Jane"]}],
        "telecom": [{"system": "phone", "value": "1"}, {"system": "phone", "value": "2"}],
        "address": [{"text": "Street"}],
    }


@pytest.mark.parametrize(
    ("changes", "body"),
    [
        ({"organization": Organization("Clinic")}, {"organization": {"type": "Organization", "display": "Clinic"}}),
        ({"department": "Radiology"}, {"location": [{"type": "Location", "display": "Radiology"}]}),
    ],
)
def test_a_person_of_an_institution_or_department_is_a_contained_role(changes: dict[str, Any], body: Json) -> None:
    one = replace(DOCTOR, **changes)
    resource = imaging_study(study(referrer=one, interpreters=(one,)))
    assert resource["referrer"] == {"reference": "#practitionerrole-1"}
    assert resource["interpreter"] == [{"reference": "#practitionerrole-1"}]
    assert resource["contained"][1:] == [
        {
            "resourceType": "PractitionerRole",
            "id": "practitionerrole-1",
            "practitioner": {"type": "Practitioner", "display": "House"},
            **body,
        }
    ]
    plain = imaging_study(study(referrer=one), Policy(create=DEFAULT_CREATE - {"PractitionerRole"}))
    assert plain["referrer"] == {"type": "Practitioner", "display": "House"}


def test_an_organization_with_everything() -> None:
    one = Organization("Clinic", (Identifier("9", "organization", "http://o"),), "Street")
    assert made("Organization", study(one=series(performers=(Performer("institution", one),)))) == {
        "resourceType": "Organization",
        "identifier": [{"system": "http://o", "value": "9"}],
        "name": "Clinic",
        "address": [{"text": "Street"}],
    }


def test_a_device_with_everything() -> None:
    one = Device("ACME", "X1", "S1", ("v1", "v2"), "1.2.9", "D1", "CT1", "(01)123", CT)
    assert made("Device", study(one=series(performers=(Performer("device", one),)))) == {
        "resourceType": "Device",
        "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.9"}, {"value": "D1"}],
        "udiCarrier": [{"carrierHRF": "(01)123"}],
        "manufacturer": "ACME",
        "serialNumber": "S1",
        "deviceName": [{"name": "CT1", "type": "user-friendly-name"}, {"name": "X1", "type": "model-name"}],
        "modelNumber": "X1",
        "version": [{"value": "v1"}, {"value": "v2"}],
    }


def test_a_specimen_with_everything() -> None:
    one = Specimen(
        (Identifier("S1", "specimen"), Identifier("1.9", "uid", "urn:dicom:uid")),
        WORDS,
        "short",
        ("long",),
        Identifier("C1", "container"),
        CHEST,
    )
    found = made("Specimen", study(one=series(specimens=(one,))))
    assert found == {
        "resourceType": "Specimen",
        "contained": [{"resourceType": "Patient", "id": "patient-1"}],
        "identifier": [{"type": typed("SID"), "value": "S1"}, {"system": "urn:dicom:uid", "value": "urn:oid:1.9"}],
        "type": {"text": "words"},
        "subject": {"reference": "#patient-1"},
        "container": [
            {
                "identifier": [{"value": "C1"}],
                "type": {"coding": [{"system": SCT, "code": "51185008", "display": "Chest"}]},
            }
        ],
        "note": [{"text": "short"}, {"text": "long"}],
    }


@pytest.mark.parametrize(
    ("kind", "code", "mime"),
    [
        ("wado-rs", "dicom-wado-rs", ["application/dicom"]),
        ("wado-uri", "dicom-wado-uri", ["application/dicom"]),
        ("iid", "ihe-iid", None),
    ],
)
def test_endpoints_of_a_study(kind: Any, code: str, mime: list[str] | None) -> None:
    found = made("Endpoint", study(endpoints=(Endpoint(kind, "https://a.test/x"),)))
    assert found["identifier"][0]["value"].startswith("urn:uuid:")
    assert found["identifier"][0]["system"] == "urn:ietf:rfc:3986"
    assert (found["status"], found["address"]) == ("active", "https://a.test/x")
    assert found["connectionType"]["code"] == code
    assert found["connectionType"]["system"] == "http://terminology.hl7.org/CodeSystem/endpoint-connection-type"
    assert found["payloadType"] == [{"coding": [{"system": DCM, "code": "113014", "display": "Study"}]}]
    assert found.get("payloadMimeType") == mime


@pytest.mark.parametrize(
    ("one", "body"),
    [
        (Specimen((), WORDS), {"type": {"text": "words"}}),
        (Specimen((), container_type=WORDS), {"container": [{"type": {"text": "words"}}]}),
        (
            Specimen((), None, "same", ("same",), container_type=WORDS),
            {"container": [{"type": {"text": "words"}}], "note": [{"text": "same"}]},
        ),
    ],
)
def test_specimens_without_this_or_that(one: Specimen, body: Json) -> None:
    found = made("Specimen", study(one=series(specimens=(one,))))
    assert {name: found[name] for name in found if name in ("identifier", "type", "container", "note")} == body


def test_an_endpoint_of_a_series_is_another_one() -> None:
    endpoint = Endpoint("wado-rs", "https://a.test/x")
    resources = emit(study(one=series(endpoints=(endpoint,)), endpoints=(endpoint,))).resources
    of_study, of_series, imaging = resources
    assert of_series["payloadType"] == [{"coding": [{"system": DCM, "code": "113015", "display": "Series"}]}]
    assert of_study["id"] != of_series["id"]
    assert imaging["endpoint"] != imaging["series"][0]["endpoint"]


def test_an_order_with_everything() -> None:
    request = Request(
        (Identifier("RP", "requested-procedure"), accession(system="http://a")), CHEST, (WORDS,), DOCTOR, "stat"
    )
    assert made("ServiceRequest", study(QUALIFIED, requests=(request,)), EVERYTHING) == {
        "resourceType": "ServiceRequest",
        "identifier": [{"type": typed("ACSN"), "system": "http://a", "value": "A1"}, {"value": "RP"}],
        "status": "completed",
        "intent": "order",
        "category": [{"coding": [{"system": SCT, "code": "363679005", "display": "Imaging"}]}],
        "priority": "stat",
        "code": {"coding": [{"system": SCT, "code": "51185008", "display": "Chest"}]},
        "subject": {"reference": emit(study(QUALIFIED)).entries[0].full_url},
        "requester": {"type": "Practitioner", "display": "House"},
        "reasonCode": [{"text": "words"}],
    }


def test_a_visit_with_everything() -> None:
    one = Encounter(Identifier("V1", "visit", "http://v"), Identifier("E1", "episode", "http://e"), "Ward 3")
    emission = emit(study(QUALIFIED, encounter=one), EVERYTHING)
    patient, episode, visit, imaging = emission.entries
    assert episode.resource == {
        "resourceType": "EpisodeOfCare",
        "identifier": [{"system": "http://e", "value": "E1"}],
        "status": "finished",
        "patient": {"reference": patient.full_url},
    }
    assert visit.resource == {
        "resourceType": "Encounter",
        "identifier": [{"type": typed("VN"), "system": "http://v", "value": "V1"}],
        "status": "finished",
        "class": {
            "system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor",
            "code": "UNK",
            "display": "unknown",
        },
        "subject": {"reference": patient.full_url},
        "episodeOfCare": [{"reference": episode.full_url}],
        "location": [{"location": {"type": "Location", "display": "Ward 3"}}],
    }
    assert imaging.resource["encounter"] == {"reference": visit.full_url}
    assert emission.problems == ()


def test_a_visit_without_a_number_is_contained() -> None:
    visit = made("Encounter", study(encounter=Encounter(location="Ward 3")), EVERYTHING)
    assert "identifier" not in visit
    assert visit["location"] == [{"location": {"type": "Location", "display": "Ward 3"}}]


def test_the_episode_of_a_group_is_only_named() -> None:
    one = Encounter(Identifier("V1", "visit", "http://v"), Identifier("E1", "episode", "http://e"))
    visit = made("Encounter", study(Patient("group"), encounter=one), EVERYTHING)
    named = {"type": "EpisodeOfCare", "identifier": {"system": "http://e", "value": "E1"}}
    assert visit["episodeOfCare"] == [named]


def test_the_visit_of_a_phantom_has_no_subject() -> None:
    one = Encounter(Identifier("V1", "visit", "http://v"))
    assert "subject" not in made("Encounter", study(Patient("phantom"), encounter=one), EVERYTHING)
    literal = Policy(create=CREATABLE, patient="Patient/5")
    assert made("Encounter", study(Patient("phantom"), encounter=one), literal)["subject"] == {"reference": "Patient/5"}


def test_a_procedure_with_everything() -> None:
    one = Procedure((Identifier("S1", "performed-procedure"), Identifier("1.9", "uid", "urn:dicom:uid")), WORDS)
    assert made("Procedure", study(QUALIFIED, procedures=(one,)), EVERYTHING) == {
        "resourceType": "Procedure",
        "identifier": [{"value": "S1"}, {"system": "urn:dicom:uid", "value": "urn:oid:1.9"}],
        "status": "unknown",
        "code": {"text": "words"},
        "subject": {"reference": emit(study(QUALIFIED)).entries[0].full_url},
    }


def test_a_place_with_everything() -> None:
    assert made("Location", study(location=Location("Room", (WORDS,), Organization("Clinic"))), EVERYTHING) == {
        "resourceType": "Location",
        "id": "location-1",
        "name": "Room",
        "type": [{"text": "words"}],
        "managingOrganization": {"type": "Organization", "display": "Clinic"},
    }


# What R4 cannot say ---------------------------------------------------------------------------------

FRAMES = (Instance("1.5", CT_IMAGE, frames=3), Instance("1.6", CT_IMAGE), Instance("1.7", CT_IMAGE, frames=1))


@pytest.mark.parametrize(
    ("one", "where", "count"),
    [
        (study(one=series(instances=FRAMES)), "1.2.3/ImagingStudy.series.instance.numberOfFrames", 2),
        (study(one=series(body_sites=(CHEST, WORDS, WORDS))), "1.2.3/1.2.3.4/ImagingStudy.series.bodySite", 2),
        (study(one=series(body_sites=(CHEST, WORDS))), "1.2.3/1.2.3.4/ImagingStudy.series.bodySite", 1),
        (study(procedures=(Procedure((), WORDS),) * 2), "1.2.3/ImagingStudy.procedureReference", 1),
        (study(Patient("phantom", species=WORDS)), "1.2.3/ImagingStudy.subject", 1),
        (study(procedures=(Procedure((), WORDS),) * 3), "1.2.3/ImagingStudy.procedureReference", 2),
        (study(Patient("phantom"), procedures=(Procedure((), WORDS),)), "1.2.3/Procedure", 1),
        (study(encounter=Encounter(Identifier("V", "visit"), Identifier("E", "episode"), "W")), "1.2.3/Encounter", 2),
        (study(encounter=Encounter(episode=Identifier("E", "episode"))), "1.2.3/Encounter", 1),
        (study(Patient(species=WORDS, breeds=(CHEST, WORDS))), "1.2.3/Patient.extension", 1),
        (study(Patient(breeds=(CHEST,), neutered=False)), "1.2.3/Patient.extension", 2),
        (study(Patient(owner=Owner((NAME, NAME)))), "1.2.3/Patient.contact.name", 1),
        (study(Patient(birth_date="2001", birth_time=Moment("2001", "01:02:03"))), "1.2.3/Patient.birthDate", 1),
        (study(Patient("phantom", sex="other", birth_date="2001")), "1.2.3/ImagingStudy.subject", 2),
        (study(Patient("group", neutered=False)), "1.2.3/ImagingStudy.subject", 1),
        (study(one=series(performers=(Performer("institution", Organization(address="S")),))), "1.2.3/Organization", 1),
    ],
)
def test_what_has_no_place_is_reported_and_counted(one: Study, where: str, count: int) -> None:
    (problem,) = emit(one).problems
    assert (problem.code, problem.where, problem.count) == ("not-in-this-version", where, count)
    assert problem.message


def test_what_has_no_place_is_not_written() -> None:
    assert "procedureReference" not in imaging_study(study(Patient("phantom"), procedures=(Procedure((), WORDS),)))
    late = Moment("2001", "01:02:03", "+01:00")
    assert "_birthDate" not in made("Patient", study(Patient(birth_date="2001", birth_time=late)))
    assert "_birthDate" not in made("Patient", study(Patient(birth_time=replace(late, date="2001-02-03"))))
    breeds = made("Patient", study(Patient(species=WORDS, breeds=(CHEST, WORDS))))["extension"][0]["extension"]
    assert [part["url"] for part in breeds] == ["species", "breed"]


def test_what_has_a_place_is_not_reported() -> None:
    assert emit(study(one=series(body_sites=(CHEST,)), procedures=(Procedure((), WORDS),))).problems == ()
    assert emit(study(Patient("group", species=WORDS))).problems == ()


UNPLACED = {
    "Device.modality",  # it describes the images, not the device
    "Instance.class_name",  # R4 has the class's UID; DSTU2 its name, too
    "Study.clinical_information",  # an element of DSTU2's second ballot alone; a problem elsewhere (dialect.render)
    "Instance.frames",  # no element in R4
    "Study.key_objects",  # resources of their own (keyobjects.py), each with its places
    "Patient.kind",  # decides between Patient, Device and Group
    "Patient.reference",  # stands for the Patient
}


def test_every_field_of_the_model_has_a_place_or_a_reason() -> None:
    holders = (
        Study,
        model.Series,
        Instance,
        Patient,
        Practitioner,
        Organization,
        Device,
        Request,
        Encounter,
        Procedure,
        Location,
        Specimen,
        Endpoint,
        Performer,
    )
    fields = {f"{one.__name__}.{field}" for one in holders for field in one.__annotations__}
    derived = {"Study.modalities", "Study.instance_count"}
    assert fields | derived == r4.PLACES.keys() | UNPLACED
