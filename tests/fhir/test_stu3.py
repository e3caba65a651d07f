"""STU3: every rule in which it differs from R4, from a study to the JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fhir.resources.STU3 import get_fhir_model_class
from hypothesis import given
from policies import emit as emit_if_allowed
from policies import policies
from studies import CT, CT_IMAGE, SR, series, studies, study

from dicom2fhir import model
from dicom2fhir.fhir import dialect, r4, stu3
from dicom2fhir.fhir.bundle import Emission, bundle
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
EMPLOYED = replace(DOCTOR, organization=Organization("Clinic"), department="Radiology")
SCT = "http://snomed.info/sct"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
V2 = "http://hl7.org/fhir/v2/0203"
TYPES = "http://hl7.org/fhir/identifier-type"
ABC = {"url": "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation", "valueCode": "ABC"}
JANE = {"extension": [ABC], "text": "Jane Doe", "family": "Doe", "given": ["Jane"]}
CHEST = Concept((Code("51185008", SCT, "Chest"),))
CHEST_JSON = {"coding": [{"system": SCT, "code": "51185008", "display": "Chest"}]}
WORDS = Concept((), "words")
MOMENT = Moment("2024-02-29", "10:11:12.5", "+01:00")
LEAP = Moment("2016-12-31", "23:59:60.25", "+00:00")
QUALIFIED = Patient(identifiers=(Identifier("1", "patient", "urn:oid:1.2"),))
VISIT, EPISODE = Identifier("V1", "visit", "http://v"), Identifier("E1", "episode", "http://e")
VISIT_JSON = {"type": {"coding": [{"system": V2, "code": "VN"}]}, "system": "http://v", "value": "V1"}
EPISODE_JSON = {"system": "http://e", "value": "E1"}


def emit(one: Study, policy: Policy | None = None) -> Emission:
    return dialect.render(one, stu3.DIALECT, policy or Policy())


def imaging_study(one: Study, policy: Policy | None = None) -> Json:
    return emit(one, policy).entries[-1].resource


def made(kind: str, one: Study, policy: Policy | None = None) -> Json:
    """The first resource of a type that the study brings along, in an entry or contained."""
    resources = emit(one, policy).resources
    inner = [each for resource in resources for each in resource.get("contained", ())]
    return next(each for each in (*resources, *inner) if each["resourceType"] == kind)


def typed(code: str, system: str = V2) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def accession(value: str = "A1", **rest: Any) -> Identifier:
    return Identifier(value, "accession", **rest)


def losses(one: Study, policy: Policy | None = None) -> list[tuple[str, int]]:
    """What is reported as lost: where below the study, and how often."""
    found = [(problem.where.removeprefix("1.2.3/"), problem.count) for problem in emit(one, policy).problems]
    assert all(problem.code == "not-in-this-version" and problem.message for problem in emit(one, policy).problems)
    return sorted(found)


# The study ------------------------------------------------------------------------------------------


def test_the_least_study_has_what_is_required_and_nothing_else() -> None:
    assert imaging_study(study()) == {
        "resourceType": "ImagingStudy",
        "id": "ddrak4l4ddup7ihz6yi45pszkvczxflz",  # as in R4: ids do not depend on the version
        "contained": [{"resourceType": "Patient", "id": "patient-1"}],
        "uid": "urn:oid:1.2.3",
        "modalityList": [{"system": DCM, "code": "CT", "display": "Computed Tomography"}],
        "patient": {"reference": "#patient-1"},
        "numberOfSeries": 1,
        "numberOfInstances": 1,
        "series": [
            {
                "uid": "urn:oid:1.2.3.4",
                "modality": {"system": DCM, "code": "CT", "display": "Computed Tomography"},
                "numberOfInstances": 1,
                "instance": [{"uid": "urn:oid:1.2.3.4.5", "sopClass": f"urn:oid:{CT_IMAGE}"}],
            }
        ],
    }
    assert emit(study()).problems == ()


@pytest.mark.parametrize(
    ("changes", "element", "value"),
    [
        ({"started": MOMENT}, "started", "2024-02-29T10:11:12.5+01:00"),
        ({"started": replace(MOMENT, offset=None)}, "started", "2024-02-29"),
        ({"description": "CT Thorax"}, "description", "CT Thorax"),
        ({"procedure_codes": (CHEST, WORDS, CHEST)}, "procedureCode", [CHEST_JSON, {"text": "words"}]),
        ({"reasons": (WORDS,)}, "reason", {"text": "words"}),
        ({"referrer": DOCTOR}, "referrer", {"display": "House"}),
        ({"interpreters": (DOCTOR, DOCTOR)}, "interpreter", [{"display": "House"}]),
        ({"encounter": Encounter(VISIT)}, "context", {"identifier": VISIT_JSON}),
        (
            {"procedures": (Procedure((Identifier("1.9", "uid", "urn:dicom:uid"),), WORDS), Procedure((), CHEST))},
            "procedureReference",
            [
                {"identifier": {"system": "urn:ietf:rfc:3986", "value": "urn:oid:1.9"}, "display": "words"},
                {"display": "Chest"},
            ],
        ),
        ({"study_id": Identifier("7", "study-id")}, "identifier", [{"use": "secondary", "value": "7"}]),
    ],
)
def test_study_elements(changes: dict[str, Any], element: str, value: Any) -> None:
    assert imaging_study(study(**changes))[element] == value
    assert element not in imaging_study(study())
    assert losses(study(**changes)) == []


def test_the_study_names_acquisition_modalities_only() -> None:
    resource = imaging_study(study(series=(series(), series(modality=SR, uid="1.2.9"))))
    assert [one["code"] for one in resource["modalityList"]] == ["CT"]
    assert [one["modality"]["code"] for one in resource["series"]] == ["CT", "SR"]


def test_the_first_accession_number_has_an_element_and_the_others_are_identifiers() -> None:
    one = study(
        accessions=(accession(system="http://a"), accession("A2", assigner="Clinic")),
        study_id=Identifier("77", "study-id", assigner="Clinic"),
        requests=(Request((accession("A3"),)), Request((accession(system="http://a"),))),
    )
    resource = imaging_study(one)
    assert resource["accession"] == {"use": "usual", "type": typed("ACSN"), "system": "http://a", "value": "A1"}
    assert resource["identifier"] == [
        {"use": "usual", "type": typed("ACSN"), "value": "A2", "assigner": {"display": "Clinic"}},
        {"use": "usual", "type": typed("ACSN"), "value": "A3"},
        {"use": "secondary", "value": "77", "assigner": {"display": "Clinic"}},
    ]
    assert "basedOn" not in resource


@pytest.mark.parametrize("availability", ["ONLINE", "NEARLINE", None])
def test_the_user_says_what_is_available(availability: Any) -> None:
    resource = imaging_study(study(), Policy(availability=availability))
    assert resource.get("availability") == resource["series"][0].get("availability") == availability


# The visit ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encounter", "context", "lost"),
    [
        (Encounter(VISIT, EPISODE, "W"), {"identifier": VISIT_JSON}, [("Encounter", 2)]),
        (Encounter(VISIT, EPISODE), {"identifier": VISIT_JSON}, [("Encounter", 1)]),
        (Encounter(episode=EPISODE), {"identifier": EPISODE_JSON}, []),
        (Encounter(episode=EPISODE, location="W"), {"identifier": EPISODE_JSON}, [("Encounter", 1)]),
        (Encounter(location="W"), None, [("Encounter", 1)]),
        (Encounter(), None, []),
    ],
)
def test_the_visit_comes_before_the_episode(encounter: Encounter, context: Json | None, lost: Any) -> None:
    assert imaging_study(study(encounter=encounter)).get("context") == context
    assert losses(study(encounter=encounter)) == lost


def test_a_created_visit_has_its_episode_and_ward() -> None:
    emission = emit(study(QUALIFIED, encounter=Encounter(VISIT, EPISODE, "W")), EVERYTHING)
    patient, episode, visit, imaging = emission.entries
    assert episode.type == "EpisodeOfCare"
    assert episode.resource["patient"] == {"reference": patient.full_url}
    assert visit.resource == {
        "resourceType": "Encounter",
        "identifier": [VISIT_JSON],
        "status": "finished",
        "subject": {"reference": patient.full_url},
        "episodeOfCare": [{"reference": episode.full_url}],
        "location": [{"location": {"display": "W"}}],
    }
    assert imaging.resource["context"] == {"reference": visit.full_url}
    assert emission.problems == ()


def test_an_episode_alone_is_the_context_itself() -> None:
    emission = emit(study(QUALIFIED, encounter=Encounter(episode=EPISODE)), EVERYTHING)
    assert [entry.type for entry in emission.entries] == ["Patient", "EpisodeOfCare", "ImagingStudy"]
    assert emission.entries[-1].resource["context"] == {"reference": emission.entries[1].full_url}
    with_ward = emit(study(QUALIFIED, encounter=Encounter(None, EPISODE, "W")), EVERYTHING)
    assert with_ward.entries[-1].resource["context"] == {"reference": "#encounter-1"}
    assert with_ward.problems == ()


def test_an_episode_that_may_not_be_created_is_found_by_its_number() -> None:
    encounter = Encounter(VISIT, EPISODE)
    visit = made("Encounter", study(encounter=encounter), Policy(create=CREATABLE - {"EpisodeOfCare"}))
    assert visit["episodeOfCare"] == [{"identifier": EPISODE_JSON}]


# Orders ---------------------------------------------------------------------------------------------

ORDER = Request((accession(system="http://a"), Identifier("P1", "placer", "http://p")), CHEST)
PLACER = {"type": typed("PLAC", TYPES), "system": "http://p", "value": "P1"}


@pytest.mark.parametrize(
    ("order", "based_on"),
    [
        (ORDER, [{"identifier": PLACER, "display": "Chest"}]),
        (replace(ORDER, code=None), [{"identifier": PLACER}]),
        (Request((accession(),), CHEST), [{"display": "Chest"}]),
        (Request((accession(),)), None),
        (Request((Identifier("RP", "requested-procedure"), accession())), [{"identifier": {"value": "RP"}}]),
    ],
)
def test_an_order_is_found_by_its_own_number(order: Request, based_on: Any) -> None:
    resource = imaging_study(study(requests=(order, order)))
    assert resource.get("basedOn") == based_on
    assert losses(study(requests=(order,))) == []
    accessions = [one.value for one in order.identifiers if one.kind == "accession"]
    assert resource["accession"]["value"] == accessions[0]


def test_an_order_with_everything() -> None:
    request = Request(
        (Identifier("RP", "requested-procedure"), Identifier("F1", "filler"), accession(system="http://a")),
        CHEST,
        (WORDS,),
        EMPLOYED,
        "stat",
    )
    one = study(QUALIFIED, requests=(request,))
    assert made("ProcedureRequest", one, EVERYTHING) == {
        "resourceType": "ProcedureRequest",
        "identifier": [
            {"type": typed("ACSN"), "system": "http://a", "value": "A1"},
            {"type": typed("FILL", TYPES), "value": "F1"},
            {"value": "RP"},
        ],
        "status": "completed",
        "intent": "order",
        "priority": "stat",
        "category": [{"coding": [{"system": SCT, "code": "363679005", "display": "Imaging"}]}],
        "code": CHEST_JSON,
        "subject": {"reference": emit(one).entries[0].full_url},
        "requester": {"agent": {"display": "House"}, "onBehalfOf": {"display": "Clinic"}},
        "reasonCode": [{"text": "words"}],
    }
    (based_on,) = imaging_study(one, EVERYTHING)["basedOn"]
    assert list(based_on) == ["reference"]
    assert losses(one, EVERYTHING) == [("ProcedureRequest.requester", 1)]


def test_where_no_person_asked_an_institution_did() -> None:
    of_clinic = replace(ORDER, requester=Practitioner(organization=Organization("Clinic")))
    assert made("ProcedureRequest", study(requests=(of_clinic,)), EVERYTHING)["requester"] == {
        "agent": {"display": "Clinic"}
    }
    nobody = replace(ORDER, requester=Practitioner(department="Radiology"))
    assert "requester" not in made("ProcedureRequest", study(requests=(nobody,)), EVERYTHING)


def test_an_order_without_a_code_is_not_created() -> None:
    one = study(requests=(replace(ORDER, code=None, reasons=(WORDS,)), ORDER, replace(ORDER, code=None)))
    assert [entry.type for entry in emit(one, EVERYTHING).entries] == ["ProcedureRequest", "ImagingStudy"]
    assert imaging_study(one, EVERYTHING)["basedOn"][0] == {"identifier": PLACER}
    assert losses(one, EVERYTHING) == [("ProcedureRequest.code", 2)]
    unqualified = study(requests=(Request((Identifier("P", "placer"),), CHEST),))
    assert imaging_study(unqualified, EVERYTHING)["basedOn"] == [{"reference": "#procedurerequest-1"}]


# The series -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "element", "value"),
    [
        ({"number": 0}, "number", 0),
        ({"description": "axial"}, "description", "axial"),
        ({"started": MOMENT}, "started", "2024-02-29T10:11:12.5+01:00"),
        ({"laterality": "left"}, "laterality", {"system": SCT, "code": "419161000", "display": "Unilateral left"}),
        ({"body_sites": (CHEST,)}, "bodySite", {"system": SCT, "code": "51185008", "display": "Chest"}),
        ({"body_sites": (WORDS,)}, "bodySite", {"display": "words"}),
    ],
)
def test_series_elements(changes: dict[str, Any], element: str, value: Any) -> None:
    assert imaging_study(study(one=series(**changes)))["series"][0][element] == value
    assert element not in imaging_study(study())["series"][0]
    assert losses(study(one=series(**changes))) == []


def test_performers_are_people_without_a_function() -> None:
    numbered = Practitioner((NAME,), (Identifier("9", "practitioner", "http://p"),))
    performers = (
        Performer("performer", DOCTOR),
        Performer("operator", numbered),
        Performer("operator", DOCTOR),
        Performer("device", Device("ACME")),
        Performer("institution", Organization("Clinic")),
    )
    one = study(series=(series(performers=performers), series(uid="1.2.9", performers=performers[-1:])))
    first, second = imaging_study(one)["series"]
    doctor, other = first["performer"]
    assert doctor == {"display": "House"}
    assert other == {"reference": emit(one).entries[0].full_url}
    assert "performer" not in second
    assert losses(one) == [
        ("ImagingStudy.series.performer", 2),
        ("ImagingStudy.series.performer.function", 3),
    ]


@pytest.mark.parametrize(
    ("one", "body"),
    [
        (Instance("1.5", "1.2"), {"uid": "urn:oid:1.5", "sopClass": "urn:oid:1.2"}),
        (
            Instance("1.5", "1.2", 0, "Report", 3),
            {"uid": "urn:oid:1.5", "number": 0, "sopClass": "urn:oid:1.2", "title": "Report"},
        ),
    ],
)
def test_instances(one: Instance, body: Json) -> None:
    assert stu3.instance(one) == body
    assert list(stu3.instance(one)) == list(body)


# Companions -----------------------------------------------------------------------------------------


def test_a_patient_with_everything() -> None:
    one = Patient(
        identifiers=(
            Identifier("1", "patient", "urn:oid:1.2"),
            Identifier("2", "other", assigner="Clinic"),
            Identifier("3", "other", type_code="SB"),
        ),
        names=(replace(NAME, use="official"), PersonName("ideographic", "山田", ("花",))),
        sex="female",
        birth_date="2001-02-03",
        birth_time=Moment("2001-02-03", "04:05:06", "+01:00"),
        species=CHEST,
        breeds=(WORDS,),
        neutered=True,
        owner=Owner((NAME,), "OWNER"),
    )
    found = made("Patient", study(one))
    birth_time = {
        "url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime",
        "valueDateTime": "2001-02-03T04:05:06+01:00",
    }
    assert found == {
        "resourceType": "Patient",
        "identifier": [
            {"type": typed("MR"), "system": "urn:oid:1.2", "value": "1"},
            {"value": "2", "assigner": {"display": "Clinic"}},
            {"type": typed("SB", TYPES), "value": "3"},
        ],
        "name": [
            {"extension": [ABC], "use": "official", "text": "Jane Doe", "family": "Doe", "given": ["Jane"]},
            {"extension": [ABC | {"valueCode": "IDE"}], "text": "山田花", "family": "山田", "given": ["花"]},
        ],
        "gender": "female",
        "birthDate": "2001-02-03",
        "_birthDate": {"extension": [birth_time]},
        "contact": [{"relationship": [{"text": "OWNER"}], "name": JANE}],
        "animal": {
            "species": CHEST_JSON,
            "breed": {"text": "words"},
            "genderStatus": {"coding": [{"system": "http://hl7.org/fhir/animal-genderstatus", "code": "neutered"}]},
        },
    }
    assert losses(study(one)) == []


@pytest.mark.parametrize(
    ("one", "animal", "lost"),
    [
        (Patient(species=WORDS), {"species": {"text": "words"}}, 0),
        (Patient(species=WORDS, breeds=(CHEST, WORDS)), {"species": {"text": "words"}, "breed": CHEST_JSON}, 1),
        (Patient(breeds=(CHEST,), neutered=False), None, 2),
        (
            Patient(species=WORDS, neutered=False),
            {
                "species": {"text": "words"},
                "genderStatus": {"coding": [{"system": "http://hl7.org/fhir/animal-genderstatus", "code": "intact"}]},
            },
            0,
        ),
    ],
)
def test_an_animal_is_an_element_of_the_patient(one: Patient, animal: Json | None, lost: int) -> None:
    assert made("Patient", study(one)).get("animal") == animal
    assert losses(study(one)) == [("Patient.animal", lost)] * bool(lost)


def test_a_deidentified_patient_is_labelled_unless_contained() -> None:
    one = study(replace(QUALIFIED, anonymized=True))
    label = {"system": "http://hl7.org/fhir/v3/ObservationValue", "code": "ANONYED", "display": "anonymized"}
    assert made("Patient", one)["meta"] == {"security": [label]}
    assert made("Patient", one)["identifier"][0]["type"] == typed("ANON")
    assert "meta" not in made("Patient", one, Policy(patient="contained"))


@pytest.mark.parametrize(
    ("one", "lost"),
    [(Patient("phantom", names=(NAME,)), 1), (Patient("group", members=(Identifier("M", "patient"),)), 2)],
)
def test_whatever_was_imaged_is_a_contained_patient(one: Patient, lost: int) -> None:
    resource = imaging_study(study(one, procedures=(Procedure((), WORDS),)))
    assert resource["patient"] == {"reference": "#patient-1"}
    assert [each["resourceType"] for each in resource["contained"]] == ["Patient"]
    assert resource["procedureReference"] == [{"display": "words"}]
    assert losses(study(one)) == [("ImagingStudy.patient", lost)]
    assert losses(study(one), Policy(patient="Patient/5")) == []


@pytest.mark.parametrize("level", ["study", "series"])
def test_no_dateTime_has_a_second_60(level: str) -> None:
    one = study(started=LEAP) if level == "study" else study(one=series(started=LEAP))
    resource = imaging_study(one)
    assert (resource if level == "study" else resource["series"][0])["started"] == "2016-12-31"
    where = "ImagingStudy.started" if level == "study" else "1.2.3.4/ImagingStudy.series.started"
    assert losses(one) == [(where, 1)]
    assert losses(replace(one, started=replace(LEAP, offset=None)) if level == "study" else study()) == []


def test_nobody_is_born_in_a_leap_second() -> None:
    one = study(Patient(birth_date="2016-12-31", birth_time=LEAP))
    assert made("Patient", one)["birthDate"] == "2016-12-31"
    assert "_birthDate" not in made("Patient", one)
    assert losses(one) == [("Patient.birthDate", 1)]


def test_a_device_with_everything() -> None:
    """Nothing in a study refers to a device; what does finds it complete."""
    one = Device("ACME", "X1", "S1", ("v1", "", "v2"), "1.2.9", "D1", "CT1", "(01)123", CT)
    asking = replace(stu3.DIALECT, study={"device": lambda scope, _: scope.refer("device", one)})
    emission = dialect.render(study(), asking, Policy())
    assert emission.entries[0].resource == {
        "resourceType": "Device",
        "identifier": [
            {"system": "urn:ietf:rfc:3986", "value": "urn:oid:1.2.9"},
            {"value": "D1"},
            {"type": typed("SNO", TYPES), "value": "S1"},
        ],
        "udi": {"carrierHRF": "(01)123"},
        "manufacturer": "ACME",
        "model": "X1",
        "version": "v1; v2",
    }
    assert emission.entries[0].condition == "identifier=urn%3Aietf%3Arfc%3A3986%7Curn%3Aoid%3A1.2.9"
    assert [problem.where for problem in emission.problems] == ["1.2.3/Device"]
    (of_r4,) = [
        entry.id
        for entry in dialect.render(
            study(one=series(performers=(Performer("device", one),))), r4.DIALECT, Policy()
        ).entries
        if entry.type == "Device"
    ]
    assert emission.entries[0].id == of_r4


@pytest.mark.parametrize(
    ("kind", "code", "mime"),
    [
        ("wado-rs", "dicom-wado-rs", ["application/dicom"]),
        ("wado-uri", "dicom-wado-uri", ["application/dicom"]),
        ("iid", "ihe-iid", None),
    ],
)
def test_endpoints(kind: Any, code: str, mime: list[str] | None) -> None:
    endpoint = Endpoint(kind, "https://a.test/x")
    of_study, of_series, imaging = emit(study(one=series(endpoints=(endpoint,)), endpoints=(endpoint,))).entries
    assert of_study.resource["connectionType"]["code"] == code
    assert of_study.resource["connectionType"]["system"] == "http://hl7.org/fhir/endpoint-connection-type"
    assert of_series.resource["connectionType"] == of_study.resource["connectionType"]
    assert of_study.resource["payloadType"] == [{"coding": [{"system": DCM, "code": "113014", "display": "Study"}]}]
    assert of_series.resource["payloadType"][0]["coding"][0]["code"] == "113015"
    assert of_study.resource.get("payloadMimeType") == mime
    assert imaging.resource["endpoint"] == [{"reference": of_study.full_url}]
    assert imaging.resource["series"][0]["endpoint"] == [{"reference": of_series.full_url}]


def test_the_employer_of_a_person_is_lost_once_a_person() -> None:
    one = study(
        one=series(performers=(Performer("performer", EMPLOYED), Performer("operator", EMPLOYED))),
        referrer=EMPLOYED,
        interpreters=(replace(EMPLOYED, names=(NAME,)), Practitioner(department="Radiology"), DOCTOR),
    )
    resource = imaging_study(one)
    assert resource["referrer"] == {"display": "House"}
    assert resource["interpreter"] == [{"display": "Jane Doe"}, {"display": "House"}]
    assert losses(one) == [("ImagingStudy.series.performer.function", 2), ("PractitionerRole", 3)]


# What it cannot say ---------------------------------------------------------------------------------

FRAMES = (Instance("1.5", CT_IMAGE, frames=3), Instance("1.6", CT_IMAGE), Instance("1.7", CT_IMAGE, frames=1))
TISSUE = Specimen((), description="tissue")


@pytest.mark.parametrize(
    ("one", "where", "count"),
    [
        (study(one=series(instances=FRAMES)), "ImagingStudy.series.instance.numberOfFrames", 2),
        (study(one=series(body_sites=(CHEST, WORDS))), "1.2.3.4/ImagingStudy.series.bodySite", 1),
        (study(reasons=(CHEST, WORDS, WORDS)), "ImagingStudy.reason", 2),
        (study(location=Location("Room")), "ImagingStudy.location", 1),
        (study(series=(series(specimens=(TISSUE,)),) * 2), "ImagingStudy.series.specimen", 1),
        (study(Patient(owner=Owner((NAME, NAME)))), "Patient.contact.name", 1),
    ],
)
def test_what_has_no_place_is_reported_and_counted(one: Study, where: str, count: int) -> None:
    assert losses(one) == [(where, count)]
    assert "R4" not in "".join(problem.message for problem in emit(one).problems)


def test_a_study_is_found_by_its_own_search_parameter() -> None:
    one, policy = study(endpoints=(Endpoint("wado-rs", "https://a.test"),)), Policy(write="conditional-update")
    endpoint, imaging = bundle(emit(one, policy), policy)["entry"]
    assert imaging["request"] == {"method": "PUT", "url": "ImagingStudy?study=urn%3Aoid%3A1.2.3"}
    assert endpoint["request"]["url"].startswith("Endpoint?identifier=urn%3Aietf%3Arfc%3A3986%7Curn%3Auuid%3A")


@given(study=studies, policy=policies)
def test_nothing_of_later_versions_is_written(study: Study, policy: Policy) -> None:
    emission = emit_if_allowed(study, policy, stu3.DIALECT.name)
    for resource in emission.resources if emission else ():
        text = json.dumps(resource)
        assert "terminology.hl7.org" not in text
        assert "urn:dicom:uid" not in text
        assert "T23:59:60" not in text
        for reference in _references(resource):
            assert reference.keys() <= {"reference", "identifier", "display"}


def _references(node: Any) -> Iterator[Json]:
    """Everything in a place where the models of STU3 want a Reference."""
    if isinstance(node, dict):
        if isinstance(node.get("reference"), str):
            yield node
        for name in ("patient", "subject", "context", "referrer", "agent"):
            if isinstance(node.get(name), dict):
                yield node[name]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


@pytest.mark.parametrize("kind", sorted({kind.type for kind in stu3.KINDS.values()}))
def test_there_is_such_a_resource(kind: str) -> None:
    assert get_fhir_model_class(kind)


def test_elements_stand_in_the_order_of_the_definition() -> None:
    model_of_study = get_fhir_model_class("ImagingStudy")
    order = model_of_study.elements_sequence()
    assert list(stu3.STUDY) == sorted(stu3.STUDY, key=order.index)
    order = get_fhir_model_class("ImagingStudySeries").elements_sequence()
    assert list(stu3.SERIES) == sorted(stu3.SERIES, key=order.index)


UNPLACED = {
    "Device.modality",  # it describes the images, not the device
    "Device.station",  # no element in STU3, as all that follow
    "Instance.class_name",  # STU3 has the class's UID; DSTU2 its name, too
    "Instance.frames",
    "Patient.kind",
    "Patient.members",
    "Patient.reference",  # stands for the Patient
    "Performer.role",
    "Practitioner.department",
    "Series.specimens",
    "Study.clinical_information",  # an element of DSTU2's second ballot alone
    "Study.location",
}


def test_every_field_of_the_model_has_a_place_or_a_reason() -> None:
    holders = (Study, model.Series, Instance, Patient, Practitioner, Organization, Device, Request, Encounter,
               Procedure, Endpoint, Performer)  # fmt: skip
    fields = {f"{one.__name__}.{field}" for one in holders for field in one.__annotations__}
    derived = {"Study.modalities", "Study.instance_count"}
    assert fields | derived == stu3.PLACES.keys() | UNPLACED | {"Study.key_objects"}
    assert not stu3.PLACES.keys() & UNPLACED


def test_the_types_of_created_companions_are_known_by_their_name_in_r4() -> None:
    assert stu3.DIALECT.kinds["request"].type not in DEFAULT_CREATE | CREATABLE
    one = study(requests=(ORDER,))
    policy = Policy(create=frozenset(("ServiceRequest",)))
    assert [entry.type for entry in emit(one, policy).entries] == ["ProcedureRequest", "ImagingStudy"]
