"""R5: every rule in which it differs from R4, from a study to the JSON."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from check import result
from model_samples import (
    ABC,
    CHEST,
    CODED_CHEST,
    CODED_CT,
    DCM,
    DOCTOR,
    EVERYTHING,
    MOMENT,
    NAME,
    QUALIFIED,
    REFERRED_STEP,
    SCT,
    STEP,
    TUBE,
    WORDS,
    accession,
    full,
    typed,
)
from studies import CT, CT_IMAGE, SR, series, study

from dicom2fhir.fhir import dialect, r4, r5
from dicom2fhir.fhir.bundle import Emission
from dicom2fhir.fhir.elements import Json
from dicom2fhir.fhir.policy import DEFAULT_CREATE, Policy
from dicom2fhir.model import (
    Device,
    Encounter,
    Endpoint,
    Identifier,
    Instance,
    Modality,
    Moment,
    Organization,
    Owner,
    Patient,
    Performer,
    Request,
    Specimen,
    Study,
)

CODED_SR = {"coding": [{"system": DCM, "code": "SR", "display": "Structured report document"}]}
OTHER = {"system": DCM, "code": "OT", "display": "Other"}


def emit(one: Study, policy: Policy | None = None) -> Emission:
    return dialect.render(one, r5.DIALECT, policy or Policy())


def imaging_study(one: Study, policy: Policy | None = None) -> Json:
    return emit(one, policy).entries[-1].resource


def made(kind: str, one: Study, policy: Policy | None = None) -> Json:
    resources = emit(one, policy).resources
    inner = [each for resource in resources for each in resource.get("contained", ())]
    return next(each for each in (*resources, *inner) if each["resourceType"] == kind)


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
        "modality": [CODED_CT],
        "subject": {"reference": "#patient-1"},
        "numberOfSeries": 1,
        "numberOfInstances": 1,
        "series": [
            {
                "uid": "1.2.3.4",
                "modality": CODED_CT,
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
        ({"description": "CT Thorax"}, "description", "CT Thorax"),
        ({"referrer": DOCTOR}, "referrer", {"type": "Practitioner", "display": "House"}),
        (
            {"procedure_codes": (CHEST, WORDS, CHEST)},
            "procedure",
            [{"concept": CODED_CHEST}, {"concept": {"text": "words"}}],
        ),
        ({"reasons": (WORDS, CHEST)}, "reason", [{"concept": {"text": "words"}}, {"concept": CODED_CHEST}]),
        ({"procedures": (STEP, STEP)}, "partOf", [REFERRED_STEP]),
        (
            {"accessions": (accession(),)},
            "basedOn",
            [{"type": "ServiceRequest", "identifier": {"type": typed("ACSN"), "value": "A1"}}],
        ),
    ],
)
def test_study_elements(changes: dict[str, Any], element: str, value: Any) -> None:
    assert imaging_study(study(**changes))[element] == value
    assert element not in imaging_study(study())


def test_the_accession_number_is_an_identifier_too() -> None:
    found = imaging_study(study(accessions=(accession(),)))["identifier"]
    assert found[1:] == [{"use": "usual", "type": typed("ACSN"), "value": "A1"}]


def test_the_study_names_the_modalities_of_all_its_series() -> None:
    several = study(
        series=(series(modality=SR), series(uid="1.2.8"), series(uid="1.2.9", modality=SR)),
    )
    assert imaging_study(several)["modality"] == [CODED_CT, CODED_SR]
    assert imaging_study(study(one=series(modality=SR)))["modality"] == [CODED_SR]


def test_an_unknown_modality_keeps_its_words_in_study_and_series() -> None:
    unknown = tuple(
        series(uid=f"1.2.{text or 0}", modality=Modality("OT", "Other", acquires=False, text=text))
        for text in ("8", None, "7")
    )
    resource = imaging_study(study(series=unknown))
    assert resource["modality"] == [{"coding": [OTHER]}, *({"coding": [OTHER], "text": text} for text in "78")]
    assert [one["modality"].get("text") for one in resource["series"]] == ["8", None, "7"]


# The series -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "element", "value"),
    [
        ({"laterality": "left"}, "laterality", {"coding": [{"system": SCT, "code": "7771000", "display": "Left"}]}),
        ({"laterality": "right"}, "laterality", {"coding": [{"system": SCT, "code": "24028007", "display": "Right"}]}),
        (
            {"laterality": "both"},
            "laterality",
            {"coding": [{"system": SCT, "code": "51440002", "display": "Bilateral"}]},
        ),
        ({"body_sites": (CHEST,)}, "bodySite", {"concept": CODED_CHEST}),
        ({"body_sites": (replace(CHEST, text="Thorax"),)}, "bodySite", {"concept": CODED_CHEST | {"text": "Thorax"}}),
        ({"body_sites": (WORDS, CHEST)}, "bodySite", {"concept": {"text": "words"}}),
        ({"specimens": (Specimen((), description="tissue"),)}, "specimen", [{"type": "Specimen", "display": "tissue"}]),
        ({"number": 0}, "number", 0),
    ],
)
def test_series_elements(changes: dict[str, Any], element: str, value: Any) -> None:
    assert imaging_study(study(one=series(**changes)))["series"][0][element] == value
    assert element not in imaging_study(study())["series"][0]


def test_the_side_needs_no_body_structure() -> None:
    emission = emit(study(QUALIFIED, series(laterality="left", body_sites=(CHEST,))))
    assert [entry.type for entry in emission.entries] == ["Patient", "ImagingStudy"]
    assert emission.problems == ()


# Companions -----------------------------------------------------------------------------------------


def device(**changes: Any) -> Study:
    return study(one=series(performers=(Performer("device", replace(Device("ACME", "X1"), **changes)),)))


def test_a_device_with_everything() -> None:
    udi = "(01)00844588003288(17)141120(10)7654321D(21)10987654d321"
    one = Device("ACME", "X1", "S1", ("v1", "v2"), "1.2.9", "D1", "CT1", udi, CT)
    assert made("Device", study(one=series(performers=(Performer("device", one),)))) == {
        "resourceType": "Device",
        "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.9"}, {"value": "D1"}],
        "displayName": "X1",
        "udiCarrier": [
            {
                "deviceIdentifier": "00844588003288",
                "issuer": "http://hl7.org/fhir/NamingSystem/gs1-di",
                "carrierHRF": udi,
            }
        ],
        "manufacturer": "ACME",
        "serialNumber": "S1",
        "name": [{"value": "CT1", "type": "user-friendly-name"}],
        "modelNumber": "X1",
        "version": [{"value": "v1"}, {"value": "v2"}],
    }


@pytest.mark.parametrize("udi", ["(01)00844588003288", "(01)00844588003288(10)A"])
def test_the_device_identifier_of_a_gs1_udi(udi: str) -> None:
    (found,) = made("Device", device(udi=udi))["udiCarrier"]
    assert found["deviceIdentifier"] == "00844588003288"


@pytest.mark.parametrize("udi", ["+H123PARTNO1234567890120/", "(01)123", "(01)0084458800328812", "(10)A(01)008"])
def test_a_udi_whose_device_identifier_is_not_known_is_reported(udi: str) -> None:
    assert "udiCarrier" not in made("Device", device(udi=udi))
    (problem,) = emit(device(udi=udi)).problems
    assert (problem.code, problem.where) == ("not-in-this-version", "1.2.3/Device.udiCarrier")


def test_a_phantom_is_a_contained_device() -> None:
    one = Patient("phantom", (Identifier("PH1", "patient", "http://p"),), (NAME,))
    assert made("Device", study(one)) == {
        "resourceType": "Device",
        "id": "device-1",
        "identifier": [{"type": typed("MR"), "system": "http://p", "value": "PH1"}],
        "name": [{"value": "Jane Doe", "type": "user-friendly-name"}],
    }


def test_the_procedure_of_a_phantom_is_its() -> None:
    found = made("Procedure", study(Patient("phantom"), procedures=(STEP,)), EVERYTHING)
    assert found["subject"] == {"reference": "#device-1"}


def test_a_group_of_animals_is_enumerated() -> None:
    one = Patient("group", (Identifier("G", "patient"),), (NAME,), species=WORDS, members=(accession("M"),))
    found = made("Group", study(one))
    assert list(found) == ["resourceType", "id", "identifier", "type", "membership", "code", "name", "member"]
    assert found["membership"] == "enumerated"


def test_the_address_of_an_organization_is_a_contacts() -> None:
    one = Organization("Clinic", (Identifier("9", "organization", "http://o"),), "Street")
    assert made("Organization", study(one=series(performers=(Performer("institution", one),)))) == {
        "resourceType": "Organization",
        "identifier": [{"system": "http://o", "value": "9"}],
        "name": "Clinic",
        "contact": [{"address": {"text": "Street"}}],
    }


def test_the_container_of_a_specimen_is_a_device() -> None:
    one = study(one=series(specimens=(TUBE,)))
    assert made("Specimen", one) == {
        "resourceType": "Specimen",
        "id": "specimen-1",
        "identifier": [{"type": typed("SID"), "value": "S1"}],
        "type": {"text": "words"},
        "subject": {"reference": "#patient-1"},
        "container": [{"device": {"reference": "#device-1"}}],
        "note": [{"text": "long"}],
    }
    assert made("Device", one) == {
        "resourceType": "Device",
        "id": "device-1",
        "identifier": [{"value": "C1"}],
        "type": [CODED_CHEST],
    }


@pytest.mark.parametrize(
    ("changes", "container"),
    [
        ({"container_type": None}, {"type": "Device", "identifier": {"value": "C1"}}),
        ({"container": None}, {"type": "Device", "display": "Chest"}),
        ({"container": None, "container_type": None}, None),
    ],
)
def test_a_container_that_is_not_created_is_referred_to(changes: dict[str, Any], container: Json | None) -> None:
    one = study(one=series(specimens=(replace(TUBE, **changes),)))
    found = made("Specimen", one, Policy(create=DEFAULT_CREATE - {"Device"}))
    assert found.get("container") == ([{"device": container}] if container else None)


def test_a_specimen_without_a_container_loses_nothing() -> None:
    bare = replace(TUBE, container=None, container_type=None)
    assert emit(study(one=series(specimens=(bare,)))).problems == ()


@pytest.mark.parametrize(
    ("kind", "code", "mime"),
    [
        ("wado-rs", "dicom-wado-rs", {"mimeType": ["application/dicom"]}),
        ("wado-uri", "dicom-wado-uri", {"mimeType": ["application/dicom"]}),
        ("iid", "ihe-iid", {}),
    ],
)
def test_endpoints_of_a_study(kind: Any, code: str, mime: Json) -> None:
    found = made("Endpoint", study(endpoints=(Endpoint(kind, "https://a.test/x"),)))
    assert list(found)[2:] == ["identifier", "status", "connectionType", "payload", "address"]
    ((connection,),) = (one["coding"] for one in found["connectionType"])
    assert connection["code"] == code
    assert connection["system"] == "http://terminology.hl7.org/CodeSystem/endpoint-connection-type"
    assert found["payload"] == [{"type": [{"coding": [{"system": DCM, "code": "113014", "display": "Study"}]}], **mime}]


def test_an_endpoint_of_a_series_has_another_payload() -> None:
    found = made("Endpoint", study(one=series(endpoints=(Endpoint("wado-rs", "https://a.test/x"),))))
    assert found["payload"][0]["type"][0]["coding"][0]["code"] == "113015"


def test_an_order_with_everything() -> None:
    numbers = (Identifier("RP", "requested-procedure"), accession(system="http://a"))
    request = Request(numbers, CHEST, (WORDS,), DOCTOR, "stat")
    assert made("ServiceRequest", study(QUALIFIED, requests=(request,)), EVERYTHING) == {
        "resourceType": "ServiceRequest",
        "identifier": [{"type": typed("ACSN"), "system": "http://a", "value": "A1"}, {"value": "RP"}],
        "status": "completed",
        "intent": "order",
        "category": [{"coding": [{"system": SCT, "code": "363679005", "display": "Imaging"}]}],
        "priority": "stat",
        "code": {"concept": CODED_CHEST},
        "subject": {"reference": emit(study(QUALIFIED)).entries[0].full_url},
        "requester": {"type": "Practitioner", "display": "House"},
        "reason": [{"concept": {"text": "words"}}],
    }


def test_a_visit_is_completed_and_of_no_class() -> None:
    one = Encounter(Identifier("V1", "visit", "http://v"), None, "Ward 3")
    assert made("Encounter", study(QUALIFIED, encounter=one), EVERYTHING) == {
        "resourceType": "Encounter",
        "identifier": [{"type": typed("VN"), "system": "http://v", "value": "V1"}],
        "status": "completed",
        "subject": {"reference": emit(study(QUALIFIED)).entries[0].full_url},
        "location": [{"location": {"type": "Location", "display": "Ward 3"}}],
    }


# What R5 cannot say ---------------------------------------------------------------------------------

FRAMES = (Instance("1.5", CT_IMAGE, frames=3), Instance("1.6", CT_IMAGE))


@pytest.mark.parametrize(
    ("one", "where", "count"),
    [
        (study(interpreters=(DOCTOR, DOCTOR)), "1.2.3/ImagingStudy.interpreter", 2),
        (study(one=series(instances=FRAMES)), "1.2.3/ImagingStudy.series.instance.numberOfFrames", 1),
        (study(one=series(body_sites=(CHEST, WORDS, WORDS))), "1.2.3/1.2.3.4/ImagingStudy.series.bodySite", 2),
        (study(Patient(owner=Owner((NAME, NAME)))), "1.2.3/Patient.contact.name", 1),
        (study(Patient("phantom", sex="other")), "1.2.3/ImagingStudy.subject", 1),
        (study(Patient(birth_date="2001", birth_time=Moment("2001", "01:02:03"))), "1.2.3/Patient.birthDate", 1),
    ],
)
def test_what_has_no_place_is_reported_and_counted(one: Study, where: str, count: int) -> None:
    (problem,) = emit(one).problems
    assert (problem.code, problem.where, problem.count) == ("not-in-this-version", where, count)


def test_what_has_a_place_is_not_reported() -> None:
    one = study(procedures=(STEP, replace(STEP, code=None)), one=series(body_sites=(CHEST,)))
    assert emit(one).problems == ()


def test_an_owner_keeps_one_representation() -> None:
    (contact,) = made("Patient", study(Patient(owner=Owner((NAME, NAME), "OWNER"))))["contact"]
    assert contact["name"] == {"extension": [ABC], "text": "Jane Doe", "family": "Doe", "given": ["Jane"]}


def test_every_field_of_the_model_has_a_place_but_the_readers() -> None:
    assert r5.PLACES.keys() == r4.PLACES.keys() - {"Study.interpreters"}


# All together ---------------------------------------------------------------------------------------


def test_elements_stand_in_the_order_of_the_definition() -> None:
    resource = imaging_study(full())
    assert list(resource)[3:] == [
        "identifier", "status", "modality", "subject", "encounter", "started", "basedOn", "partOf", "referrer",
        "endpoint", "numberOfSeries", "numberOfInstances", "procedure", "reason", "description", "series",
    ]  # fmt: skip
    assert list(resource["series"][0]) == [
        "uid", "number", "modality", "description", "numberOfInstances", "endpoint", "bodySite", "laterality",
        "specimen", "started", "performer", "instance",
    ]  # fmt: skip


# From files -------------------------------------------------------------------------------------------


def converted(golden: str) -> tuple[Json, set[str]]:
    """The first ImagingStudy that a case of testdata/ becomes, and the elements that R5 does not have for it."""
    found = result(golden, "r5")
    lost = {one["where"].rpartition("/")[2] for one in found["report"]["problems"] if _is_lost(one)}
    return found["bundles"][0]["entry"][-1]["resource"], lost


def _is_lost(problem: Json) -> bool:
    return bool(problem["code"] == "not-in-this-version")


@pytest.mark.parametrize(
    ("golden", "element"),
    [("performed-step", "partOf"), ("procedure-code", "procedure"), ("request-attributes", "reason")],
)
def test_elements_that_r5_has_are_filled_from_files(golden: str, element: str) -> None:
    resource, lost = converted(golden)
    assert all({"concept"} == one.keys() for one in resource[element]) == (element != "partOf")
    assert lost == set()


def test_all_modalities_are_named_from_files() -> None:
    resource, _ = converted("modalities-of-a-study")
    named = {one["coding"][0]["code"] for one in resource["modality"]}
    assert named == {one["modality"]["coding"][0]["code"] for one in resource["series"]}
    assert not named <= {"CT", "MR"}


def test_readers_vanish_from_files_and_are_reported() -> None:
    resource, lost = converted("interpreters-two")
    assert "interpreter" not in resource
    assert lost == {"ImagingStudy.interpreter"}


def test_the_container_comes_from_files() -> None:
    found = result("specimen", "r5")["bundles"][0]["entry"]
    resources = [one["resource"] for one in found]
    inner = [each for one in resources for each in (one, *one.get("contained", ()))]
    held = [one["container"] for one in inner if one["resourceType"] == "Specimen" and "container" in one]
    assert held
    assert all(set(container) == {"device"} for (container,) in held)
    assert any(one["resourceType"] == "Device" and "type" in one for one in inner)
