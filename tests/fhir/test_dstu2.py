"""DSTU2: what it says otherwise than STU3 and R4, whose rules it borrows."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from check import FOLDERS, result
from hypothesis import given
from policies import emit as emit_if_allowed
from policies import policies
from studies import CT, CT_IMAGE, SR, series, studies, study

from dicom2fhir import model
from dicom2fhir.errors import UsageError
from dicom2fhir.fhir import dialect, dstu2, validate
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
IDEOGRAPHIC = PersonName("ideographic", "山田", ("花",))
DOCTOR = Practitioner((PersonName("alphabetic", "House"),))
SCT = "http://snomed.info/sct"
DCM = "http://nema.org/dicom/dicm"
V2 = "http://hl7.org/fhir/v2/0203"
TYPE = "http://hl7.org/fhir/identifier-type"
LOINC = Concept((Code("24627-2", "http://loinc.org", "CT Chest"),))
CHEST = Concept((Code("51185008", SCT, "Chest"),))
WORDS = Concept((), "words")
MOMENT = Moment("2024-02-29", "10:11:12.5", "+01:00")
LEAP = Moment("2016-12-31", "23:59:60", "+00:00")
QUALIFIED = Patient(identifiers=(Identifier("1", "patient", "urn:oid:1.2"),))
WADO = Endpoint("wado-rs", "https://pacs.test/rs")
STEP = Identifier("1.9", "uid", "urn:dicom:uid")


def emit(one: Study, policy: Policy | None = None) -> Emission:
    return dialect.render(one, dstu2.DIALECT, policy or Policy())


def imaging_study(one: Study, policy: Policy | None = None) -> Json:
    return emit(one, policy).entries[-1].resource


def made(kind: str, one: Study, policy: Policy | None = None) -> Json:
    """The first resource of a type that the study brings along, in an entry or contained."""
    resources = emit(one, policy).resources
    inner = [each for resource in resources for each in resource.get("contained", ())]
    return next(each for each in (*resources, *inner) if each["resourceType"] == kind)


def lost(one: Study, policy: Policy | None = None) -> dict[str, int]:
    """What has no place, by the element where it would have gone."""
    problems = emit(one, policy).problems
    assert {problem.code for problem in problems} <= {"not-in-this-version"}
    assert all(problem.message for problem in problems)
    return {problem.where.removeprefix("1.2.3/"): problem.count for problem in problems}


def typed(code: str, system: str = V2) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def accession(value: str = "A1", **rest: Any) -> Identifier:
    return Identifier(value, "accession", **rest)


# The study ------------------------------------------------------------------------------------------


def test_the_least_study_has_what_is_required_and_nothing_else() -> None:
    assert imaging_study(study()) == {
        "resourceType": "ImagingStudy",
        "id": "ddrak4l4ddup7ihz6yi45pszkvczxflz",
        "contained": [{"resourceType": "Patient", "id": "patient-1"}],
        "patient": {"reference": "#patient-1"},
        "uid": "urn:oid:1.2.3",
        "modalityList": [{"system": DCM, "code": "CT", "display": "Computed Tomography"}],
        "numberOfSeries": 1,
        "numberOfInstances": 1,
        "series": [
            {
                "modality": {"system": DCM, "code": "CT", "display": "Computed Tomography"},
                "uid": "urn:oid:1.2.3.4",
                "numberOfInstances": 1,
                "instance": [{"uid": "urn:oid:1.2.3.4.5", "sopClass": f"urn:oid:{CT_IMAGE}"}],
            }
        ],
    }


@pytest.mark.parametrize(
    ("changes", "element", "value"),
    [
        ({"started": MOMENT}, "started", "2024-02-29T10:11:12.5+01:00"),
        ({"started": LEAP}, "started", "2016-12-31"),
        ({"description": "CT Thorax"}, "description", "CT Thorax"),
        ({"referrer": DOCTOR}, "referrer", {"display": "House"}),
        ({"interpreters": (DOCTOR,)}, "interpreter", {"display": "House"}),
        ({"interpreters": (DOCTOR, Practitioner((NAME,)))}, "interpreter", {"display": "House"}),
        ({"procedure_codes": (CHEST, WORDS, CHEST)}, "procedure", [{"display": "Chest"}, {"display": "words"}]),
        (
            {"procedures": (Procedure((STEP,), CHEST),), "procedure_codes": (CHEST,)},
            "procedure",
            [{"display": "Chest"}],
        ),
        ({"endpoints": (WADO,)}, "url", "https://pacs.test/rs/studies/1.2.3"),
        ({"study_id": Identifier("S", "study-id")}, "identifier", [{"use": "secondary", "value": "S"}]),
    ],
)
def test_study_elements(changes: dict[str, Any], element: str, value: Any) -> None:
    assert imaging_study(study(**changes))[element] == value
    assert element not in imaging_study(study())


def test_only_what_acquires_is_in_the_list_of_modalities() -> None:
    resource = imaging_study(study(series=(series(), series(modality=SR, uid="1.2.9"))))
    assert [one["code"] for one in resource["modalityList"]] == ["CT"]
    assert [one["modality"]["code"] for one in resource["series"]] == ["CT", "SR"]


def test_the_first_accession_number_has_an_element_and_the_others_are_identifiers() -> None:
    one = study(accessions=(accession(system="http://a"), accession("A2", assigner="Clinic")))
    resource = imaging_study(one)
    assert resource["accession"] == {"use": "usual", "type": typed("ACSN"), "system": "http://a", "value": "A1"}
    second = {"use": "usual", "type": typed("ACSN"), "value": "A2", "assigner": {"display": "Clinic"}}
    assert resource["identifier"] == [second]
    assert "order" not in resource


@pytest.mark.parametrize("availability", ["ONLINE", "OFFLINE", "NEARLINE", "UNAVAILABLE", None])
def test_the_user_says_what_is_available(availability: Any) -> None:
    resource = imaging_study(study(), Policy(availability=availability))
    assert resource.get("availability") == resource["series"][0].get("availability") == availability


def test_availability_is_for_versions_that_have_it() -> None:
    policy = Policy(availability="ONLINE")
    dstu2.DIALECT.check(policy)
    with pytest.raises(UsageError, match="--availability"):
        replace(dstu2.DIALECT, study={}).check(policy)
    with pytest.raises(UsageError, match="--availability"):
        Policy(availability="SOON").check()  # type: ignore[arg-type]


def test_a_reference_has_no_identifier() -> None:
    with pytest.raises(UsageError, match="--patient identifier"):
        dstu2.DIALECT.check(Policy(patient="identifier"))


@pytest.mark.parametrize(
    ("of_study", "of_series", "study_url", "series_url"),
    [
        ((WADO,), (), "https://pacs.test/rs", "https://pacs.test/rs"),
        ((WADO,), (Endpoint("wado-rs", "https://b.test"),), "https://pacs.test/rs", "https://b.test"),
        ((), (Endpoint("wado-rs", "https://b.test"),), None, "https://b.test"),
        ((Endpoint("wado-uri", "https://pacs.test/wado"), Endpoint("iid", "https://v.test")), (), None, None),
        ((), (), None, None),
    ],
)
def test_images_have_addresses(of_study: Any, of_series: Any, study_url: str | None, series_url: str | None) -> None:
    one = study(one=series(endpoints=of_series), endpoints=of_study)
    resource = imaging_study(one)
    (only,) = resource["series"]
    (image,) = only["instance"]
    assert resource.get("url") == (study_url and f"{study_url}/studies/1.2.3")
    assert only.get("url") == (series_url and f"{series_url}/studies/1.2.3/series/1.2.3.4")
    content = {"contentType": "application/dicom", "url": f"{only.get('url')}/instances/1.2.3.4.5"}
    assert image.get("content") == ([content] if series_url else None)
    elsewhere = sum(endpoint.kind != "wado-rs" for endpoint in of_study)
    assert lost(one) == ({"ImagingStudy.endpoint": elsewhere} if elsewhere else {})
    assert {entry.type for entry in emit(one).entries} == {"ImagingStudy"}


# Orders and procedures ------------------------------------------------------------------------------


def test_an_order_is_contained_with_everything() -> None:
    numbers = (
        accession(),
        Identifier("P", "placer"),
        Identifier("F", "filler"),
        Identifier("R", "requested-procedure"),
    )
    order = Request(numbers, LOINC, (WORDS,), DOCTOR, "stat")
    one = study(requests=(order,), accessions=(accession(),), reasons=(WORDS,))
    assert imaging_study(one)["order"] == [{"reference": "#diagnosticorder-1"}]
    assert made("DiagnosticOrder", one) == {
        "resourceType": "DiagnosticOrder",
        "id": "diagnosticorder-1",
        "subject": {"reference": "#patient-1"},
        "orderer": {"display": "House"},
        "identifier": [
            {"type": typed("ACSN"), "value": "A1"},
            {"type": typed("PLAC", TYPE), "value": "P"},
            {"type": typed("FILL", TYPE), "value": "F"},
            {"value": "R"},
        ],
        "reason": [{"text": "words"}],
        "priority": "stat",
        "item": [{"code": {"coding": [{"system": "http://loinc.org", "code": "24627-2", "display": "CT Chest"}]}}],
    }
    assert lost(one) == {}


@pytest.mark.parametrize(
    ("policy", "numbers", "types"),
    [
        (Policy(), (accession(system="http://a"),), ["ImagingStudy"]),
        (EVERYTHING, (accession(),), ["ImagingStudy"]),
        (EVERYTHING, (accession(system="http://a"),), ["DiagnosticOrder", "ImagingStudy"]),
        (replace(EVERYTHING, bundle_type="batch"), (accession(system="http://a"),), ["ImagingStudy"]),
        (replace(EVERYTHING, shape="ndjson"), (accession(system="http://a"),), ["DiagnosticOrder", "ImagingStudy"]),
    ],
)
def test_an_order_is_created_where_that_was_asked_for_and_it_can_be_found(
    policy: Policy, numbers: tuple[Identifier, ...], types: list[str]
) -> None:
    emission = emit(study(requests=(Request(numbers),)), policy)
    assert [entry.type for entry in emission.entries] == types
    assert len(emission.resources[-1]["order"]) == 1


def test_a_procedure_is_a_resource_where_that_was_asked_for() -> None:
    steps = (Procedure((STEP,), CHEST), Procedure((Identifier("S", "performed-procedure"),)))
    one = study(QUALIFIED, procedures=steps, procedure_codes=(CHEST, LOINC))
    assert imaging_study(one)["procedure"] == [{"display": "Chest"}, {"display": "CT Chest"}]
    assert lost(one) == {"ImagingStudy.procedure": 3}
    created = emit(one, EVERYTHING)
    patient, step, imaging = created.entries
    assert step.resource == {
        "resourceType": "Procedure",
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": "urn:oid:1.9"}],
        "subject": {"reference": patient.full_url},
        "status": "completed",
        "code": {"coding": [{"system": SCT, "code": "51185008", "display": "Chest"}]},
    }
    assert imaging.resource["procedure"] == [{"reference": step.full_url}, {"reference": "#procedure-1"}]
    assert imaging.resource["contained"][0]["code"]["coding"][0]["code"] == "24627-2"
    assert lost(one, EVERYTHING) == {"ImagingStudy.procedure": 1}  # a step without a code can be no Procedure


def test_a_procedure_of_words_alone_is_all_said() -> None:
    assert lost(study(procedure_codes=(WORDS,))) == {}


# The series -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "element", "value"),
    [
        ({"number": 0}, "number", 0),
        ({"description": "axial"}, "description", "axial"),
        ({"started": MOMENT}, "started", "2024-02-29T10:11:12.5+01:00"),
        ({"started": LEAP}, "started", "2016-12-31"),
        ({"laterality": "left"}, "laterality", {"system": SCT, "code": "419161000", "display": "Unilateral left"}),
        ({"body_sites": (CHEST,)}, "bodySite", {"system": SCT, "code": "51185008", "display": "Chest"}),
        ({"body_sites": (WORDS,)}, "bodySite", {"display": "words"}),
    ],
)
def test_series_elements(changes: dict[str, Any], element: str, value: Any) -> None:
    assert imaging_study(study(one=series(**changes)))["series"][0][element] == value
    assert element not in imaging_study(study())["series"][0]


@pytest.mark.parametrize(
    ("one", "body"),
    [
        (Instance("1.5", "1.2"), {}),
        (Instance("1.5", "1.2", 0, "Report", 3), {"number": 0, "title": "Report"}),
        (Instance("1.5", "1.2", 7, class_name="CT Image Storage"), {"number": 7, "type": "CT Image Storage"}),
    ],
)
def test_instances(one: Instance, body: Json) -> None:
    found = dstu2.instance(one)
    assert found == {"uid": f"urn:oid:{one.uid}", "sopClass": f"urn:oid:{one.sop_class}"} | body
    order = ["number", "uid", "sopClass", "type", "title"]
    assert list(found) == [name for name in order if name in found]


@pytest.mark.parametrize(
    ("one", "left"),
    [
        (study(uid="1.02"), None),
        (study(uid="3.2"), None),
        (study(uid="1"), None),
        (study(one=series(uid="1.2.03")), None),
        (study(series=(series(), series(uid="1.2.03"))), 1),
        (study(one=series(instance_count=2, instances=(Instance("1.5", "1.2"), Instance("1.05", "1.2")))), 1),
        (study(one=series(instance_count=2, instances=(Instance("1.5", "1.2"), Instance("1.6", "1.02")))), 1),
        (study(one=series(instance_count=5, instances=())), 5),
    ],
)
def test_uids_that_are_no_oids_are_withheld(one: Study, left: int | None) -> None:
    held = dialect.hold(one, dstu2.DIALECT).study
    assert (held.instance_count if held else None) == left


# Companions -----------------------------------------------------------------------------------------


def test_a_patient_with_everything() -> None:
    one = Patient(
        identifiers=(
            Identifier("1", "patient", "urn:oid:1.2"),
            Identifier("2", "other", assigner="Clinic"),
            Identifier("3", "other", type_code="MCN"),
        ),
        names=(replace(NAME, use="official"), PersonName("alphabetic", "Roe", (), "Dr.", "II", use="maiden")),
        sex="female",
        birth_date="2001-02-03",
        birth_time=Moment("2001-02-03", "04:05:06", "+01:00"),
        species=Concept((Code("448771007", SCT, "Dog"),)),
        breeds=(WORDS,),
        neutered=True,
        owner=Owner((IDEOGRAPHIC, NAME), "OWNER"),
    )
    assert made("Patient", study(one)) == {
        "resourceType": "Patient",
        "identifier": [
            {"type": typed("MR"), "system": "urn:oid:1.2", "value": "1"},
            {"value": "2", "assigner": {"display": "Clinic"}},
            {"type": typed("MCN"), "value": "3"},
        ],
        "name": [
            {"use": "official", "text": "Jane Doe", "family": ["Doe"], "given": ["Jane"]},
            {"use": "maiden", "text": "Dr. Roe II", "family": ["Roe"], "prefix": ["Dr."], "suffix": ["II"]},
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
        "contact": [
            {
                "relationship": [{"text": "OWNER"}],
                "name": {"text": "Jane Doe", "family": ["Doe"], "given": ["Jane"]},
            }
        ],
        "animal": {
            "species": {"coding": [{"system": SCT, "code": "448771007", "display": "Dog"}]},
            "breed": {"text": "words"},
            "genderStatus": {"coding": [{"system": "http://hl7.org/fhir/animal-genderstatus", "code": "neutered"}]},
        },
    }
    assert lost(study(one)) == {"Patient.contact.name": 1}


def test_a_deidentified_patient_is_labelled_unless_contained() -> None:
    one = replace(QUALIFIED, anonymized=True)
    label = {"system": "http://hl7.org/fhir/v3/ObservationValue", "code": "ANONYED", "display": "anonymized"}
    assert made("Patient", study(one))["meta"] == {"security": [label]}
    assert "meta" not in made("Patient", study(one), Policy(patient="contained"))


@pytest.mark.parametrize("shape", ["bundles", "ndjson"])
@pytest.mark.parametrize(
    ("patient", "policy", "contained"),
    [
        (QUALIFIED, Policy(), False),
        (QUALIFIED, Policy(patient="contained"), True),
        (QUALIFIED, Policy(create=DEFAULT_CREATE - {"Patient"}), True),
        (Patient(identifiers=(Identifier("1", "patient"),)), Policy(), True),
        (Patient(), Policy(), True),
    ],
)
def test_a_patient_who_cannot_be_created_is_contained(
    patient: Patient, policy: Policy, contained: bool, shape: Any
) -> None:
    emission = emit(study(patient), replace(policy, shape=shape))
    assert ("contained" in emission.resources[-1]) == contained
    assert ("Patient" in [entry.type for entry in emission.entries]) != contained


def test_in_a_batch_whatever_is_not_ours_is_contained() -> None:
    doctor = replace(DOCTOR, identifiers=(Identifier("9", "practitioner", "http://p"),))
    emission = emit(study(QUALIFIED, referrer=doctor), Policy(bundle_type="batch"))
    assert [entry.type for entry in emission.entries] == ["ImagingStudy"]
    assert [one["resourceType"] for one in emission.resources[0]["contained"]] == ["Patient", "Practitioner"]


@pytest.mark.parametrize("kind", ["phantom", "group"])
def test_whoever_is_imaged_is_a_patient(kind: Any) -> None:
    one = study(
        Patient(kind, (Identifier("G", "patient", "http://p"),), (NAME,), members=(Identifier("M", "patient"),))
    )
    assert imaging_study(one)["patient"] == {"reference": "#patient-1"}
    assert made("Patient", one)["identifier"][0]["value"] == "G"
    assert lost(one) == {"ImagingStudy.patient": 2}


def test_a_practitioner_has_one_name_and_a_role() -> None:
    one = Practitioner(
        (IDEOGRAPHIC, NAME),
        (Identifier("9", "practitioner", "http://p"),),
        Organization("Clinic"),
        "Radiology",
        "Street",
        ("1",),
    )
    assert made("Practitioner", study(referrer=one)) == {
        "resourceType": "Practitioner",
        "identifier": [{"system": "http://p", "value": "9"}],
        "name": {"text": "Jane Doe", "family": ["Doe"], "given": ["Jane"]},
        "telecom": [{"system": "phone", "value": "1"}],
        "address": [{"text": "Street"}],
        "practitionerRole": [
            {"managingOrganization": {"display": "Clinic"}, "location": [{"display": "Radiology"}]},
        ],
    }
    assert lost(study(referrer=one)) == {"Practitioner.name": 1}


@pytest.mark.parametrize(
    ("changes", "role"),
    [
        ({"organization": Organization("Clinic")}, {"managingOrganization": {"display": "Clinic"}}),
        ({"department": "Radiology"}, {"location": [{"display": "Radiology"}]}),
    ],
)
def test_a_person_of_an_institution_or_department_is_contained(changes: dict[str, Any], role: Json) -> None:
    one = study(referrer=replace(DOCTOR, **changes), interpreters=(replace(DOCTOR, **changes),))
    resource = imaging_study(one)
    assert resource["referrer"] == resource["interpreter"] == {"reference": "#practitioner-1"}
    assert made("Practitioner", one)["practitionerRole"] == [role]
    plain = Policy(create=DEFAULT_CREATE - {"PractitionerRole"})
    assert imaging_study(one, plain)["referrer"] == {"display": "House"}
    more = study(referrer=replace(DOCTOR, phones=("1",), **changes))
    assert "practitionerRole" not in made("Practitioner", more, plain)


@pytest.mark.parametrize(
    ("one", "kind"),
    [
        (Device(modality=CT), {"coding": [{"system": DCM, "code": "CT", "display": "Computed Tomography"}]}),
        (Device(model="X1"), {"text": "X1"}),
        (Device(), {"text": "Equipment"}),
    ],
)
def test_a_device_always_has_a_type(one: Device, kind: Json) -> None:
    scope = dialect.Scope(dialect._Run(study(), dstu2.DIALECT, Policy(), "id"))
    assert dstu2.device(scope, one)["type"] == kind


def test_a_device_with_everything() -> None:
    run = dialect._Run(study(), dstu2.DIALECT, Policy(), "id")
    one = Device("ACME", "X1", "S1", ("v1", "", "v2"), "1.2.9", "D1", "CT1", "(01)123", CT)
    found = dstu2.device(dialect.Scope(run), one)
    assert found.pop("type")
    assert found == {
        "identifier": [
            {"system": "urn:ietf:rfc:3986", "value": "urn:oid:1.2.9"},
            {"value": "D1"},
            {"type": typed("SNO", TYPE), "value": "S1"},
        ],
        "manufacturer": "ACME",
        "model": "X1",
        "version": "v1; v2",
        "udi": "(01)123",
    }
    assert [problem.where for problem in run.problems.values()] == ["1.2.3/Device"]


# What DSTU2 cannot say ------------------------------------------------------------------------------

VISIT = Encounter(Identifier("V", "visit", "http://v"), Identifier("E", "episode"), "Ward")
FRAMES = (Instance("1.5", CT_IMAGE, frames=3), Instance("1.6", CT_IMAGE))
EVERYONE = (Performer("operator", DOCTOR), Performer("device", Device("ACME")), Performer("operator", DOCTOR))


@pytest.mark.parametrize(
    ("one", "where", "count"),
    [
        (study(encounter=VISIT), "ImagingStudy.encounter", 3),
        (study(encounter=Encounter(episode=Identifier("E", "episode"))), "ImagingStudy.encounter", 1),
        (study(location=Location("Room")), "ImagingStudy.location", 1),
        (study(reasons=(WORDS, CHEST)), "ImagingStudy.reason", 2),
        (study(reasons=(WORDS, CHEST), requests=(Request((), reasons=(CHEST,)),)), "ImagingStudy.reason", 1),
        (study(interpreters=(DOCTOR, DOCTOR, Practitioner((NAME,)))), "ImagingStudy.interpreter", 2),
        (study(clinical_information=("Pneumonia", "Smoker")), "ImagingStudy.clinicalInformation", 2),
        (study(started=LEAP), "ImagingStudy.started", 1),
        (study(one=series(started=LEAP)), "1.2.3.4/ImagingStudy.series.started", 1),
        (study(one=series(body_sites=(CHEST, WORDS))), "1.2.3.4/ImagingStudy.series.bodySite", 1),
        (study(one=series(specimens=(Specimen((), WORDS),))), "ImagingStudy.series.specimen", 1),
        (study(one=series(performers=EVERYONE)), "ImagingStudy.series.performer", 2),
        (study(one=series(instances=FRAMES)), "ImagingStudy.series.instance.numberOfFrames", 1),
        (study(Patient(names=(NAME, IDEOGRAPHIC))), "Patient.name.extension", 1),
        (study(Patient(breeds=(CHEST,), neutered=False)), "Patient.animal", 2),
        (study(Patient(birth_date="2001", birth_time=Moment("2001", "01:02:03"))), "Patient.birthDate", 1),
        (study(Patient(birth_date="2016-12-31", birth_time=LEAP)), "Patient.birthDate", 1),
        (study(procedures=(Procedure((STEP,)),)), "ImagingStudy.procedure", 1),
    ],
)
def test_what_has_no_place_is_reported_and_counted(one: Study, where: str, count: int) -> None:
    assert lost(one) == {where: count}


def test_a_study_is_found_by_its_own_search_parameter() -> None:
    assert emit(study()).entries[-1].condition == "study=urn%3Aoid%3A1.2.3"
    (entry,) = bundle(emit(study(), Policy(write="conditional-update")), Policy(write="conditional-update"))["entry"]
    assert entry["request"] == {"method": "PUT", "url": "ImagingStudy?study=urn%3Aoid%3A1.2.3"}


@given(study=studies, policy=policies)
def test_nothing_of_later_versions_is_written(study: Study, policy: Policy) -> None:
    emission = emit_if_allowed(study, policy, dstu2.DIALECT.name)
    for resource in emission.resources if emission else ():
        text = json.dumps(resource)
        for later in ("terminology.hl7.org", "dicom.nema.org", "urn:dicom:uid", "T23:59:60", "iso21090", '"Endpoint"'):
            assert later not in text


@pytest.mark.parametrize("policy", [EVERYTHING, Policy(availability="ONLINE", bundle_type="batch")])
def test_every_case_of_testdata_passes_the_referee(policy: Policy) -> None:
    for case in FOLDERS:
        found = result(case, "dstu2", policy=policy)
        assert not [row for row in found["report"]["problems"] if row["code"] == "invalid-resource"], case


def test_what_dstu2_alone_has_and_what_it_lacks_are_shown_from_testdata() -> None:
    (found,) = result("retrieve-url+site", "dstu2")["bundles"]
    study = found["entry"][-1]["resource"]
    image = study["series"][0]["instance"][0]
    assert study["url"].startswith("https://pacs.example/dicom-web/studies/")
    assert image["content"][0]["url"].endswith("/instances/" + image["uid"].removeprefix("urn:oid:"))
    assert image["type"] == "CT Image Storage"
    visit = result("encounter", "dstu2")
    assert "encounter" not in visit["bundles"][0]["entry"][-1]["resource"]
    rows = [row["where"].partition("/")[2] for row in visit["report"]["problems"]]
    assert "ImagingStudy.encounter" in rows


def test_elements_stand_in_the_order_of_the_definition() -> None:
    order = list(validate.definition("ImagingStudy", "dstu2").elements)
    assert list(dstu2.STUDY) == sorted(dstu2.STUDY, key=order.index)
    found = validate.definition("ImagingStudy", "dstu2").elements["series"].shape
    assert found is not None
    order = list(found().elements)
    assert list(dstu2.SERIES) == sorted(dstu2.SERIES, key=order.index)


UNPLACED = {
    "Device.station",
    "Instance.frames",
    "Patient.kind",
    "Patient.members",
    "Patient.reference",  # stands for the Patient
    "Performer.actor",
    "Performer.role",
    "Series.performers",
    "Series.specimens",
    "Study.clinical_information",  # an element of the second ballot alone
    "Study.encounter",
    "Study.location",
    "Study.reasons",  # those of an order are DiagnosticOrder.reason
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
        Procedure,
        Performer,
    )
    fields = {f"{one.__name__}.{field}" for one in holders for field in one.__annotations__}
    derived = {"Study.modalities", "Study.instance_count"}
    assert fields | derived == dstu2.PLACES.keys() | UNPLACED | {"Study.key_objects"}
    assert not dstu2.PLACES.keys() & UNPLACED
