"""The referee finds planted faults, names their places, and tells no values."""

from __future__ import annotations

import copy
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
import samples
from studies import study

from dicom2fhir.fhir import bundle, dialect
from dicom2fhir.fhir.policy import Policy
from dicom2fhir.fhir.validate import check
from dicom2fhir.fhir.versions import DIALECTS
from dicom2fhir.model import Endpoint, Identifier, Moment, Patient

SECRET = "Zaphod"
ONE = study(
    Patient(identifiers=(Identifier("1", "patient", "urn:oid:1.2"),), names=()),
    endpoints=(Endpoint("iid", "https://a.test"),),
    started=Moment("2024-02-29", "10:11:12", "+01:00"),
    description="words",
)


def valid(**choices: Any) -> dict[str, Any]:
    policy = Policy(**choices)
    return bundle.bundle(dialect.render(ONE, DIALECTS["r4"], policy), policy)


def imaging_study(**choices: Any) -> dict[str, Any]:
    return dict(valid(**choices)["entry"][-1]["resource"])


def put(path: str, value: Any) -> Callable[[Any], None]:
    """A fault to plant: sets the element at a dotted path."""

    def plant(node: Any) -> None:
        *steps, name = (int(step) if step.isdigit() else step for step in path.split("."))
        for step in steps:
            node = node[step]
        node[name] = value

    return plant


def drop(path: str) -> Callable[[Any], None]:
    def plant(node: Any) -> None:
        *steps, name = (int(step) if step.isdigit() else step for step in path.split("."))
        for step in steps:
            node = node[step]
        del node[name]

    return plant


@pytest.mark.parametrize("patient", ["auto", "contained"])
@pytest.mark.parametrize("kind", ["transaction", "batch", "collection"])
def test_what_we_write_has_no_fault(patient: str, kind: str) -> None:
    assert check(valid(patient=patient, bundle_type=kind), "r4") == []


@pytest.mark.parametrize(
    ("plant", "path"),
    [
        (put("colour", SECRET), "ImagingStudy.colour"),
        (drop("status"), "ImagingStudy.status"),
        (drop("subject"), "ImagingStudy.subject"),
        (drop("series.0.uid"), "ImagingStudy.series[0].uid"),
        (drop("series.0.instance.0.sopClass"), "ImagingStudy.series[0].instance[0].sopClass"),
        (put("status", SECRET), "ImagingStudy.status"),
        (put("id", "a" * 65), "ImagingStudy.id"),
        (put("id", "a_b"), "ImagingStudy.id"),
        (put("series.0.uid", f"{SECRET}_1"), "ImagingStudy.series[0].uid"),
        (put("series.0.instance.0.uid", "1" * 65), "ImagingStudy.series[0].instance[0].uid"),
        (put("series.0.modality.code", " CT"), "ImagingStudy.series[0].modality.code"),
        (put("series.0.modality.code", "C  T"), "ImagingStudy.series[0].modality.code"),
        (put("numberOfSeries", -1), "ImagingStudy.numberOfSeries"),
        (put("numberOfSeries", 2**31), "ImagingStudy.numberOfSeries"),
        (put("numberOfSeries", "1"), "ImagingStudy.numberOfSeries"),
        (put("numberOfSeries", 1.0), "ImagingStudy.numberOfSeries"),
        (put("numberOfSeries", True), "ImagingStudy.numberOfSeries"),
        (put("description", 7), "ImagingStudy.description"),
        (put("description", ""), "ImagingStudy.description"),
        (put("description", "  "), "ImagingStudy.description"),
        (put("description", SECRET + "\x01"), "ImagingStudy.description"),
        (put("description", None), "ImagingStudy.description"),
        (put("series", []), "ImagingStudy.series"),
        (put("series", {"uid": "1"}), "ImagingStudy.series"),
        (put("series.0.modality", {}), "ImagingStudy.series[0].modality"),
        (put("series.0.modality", SECRET), "ImagingStudy.series[0].modality"),
        (put("modality.0", None), "ImagingStudy.modality[0]"),
        (put("started", "2024-02-29T10:11:12"), "ImagingStudy.started"),
        (put("started", "2024-02-29T10:11+01:00"), "ImagingStudy.started"),
        (put("started", "2023-02-29"), "ImagingStudy.started"),
        (put("started", "29.02.2024"), "ImagingStudy.started"),
        (put("identifier.0.value", "1.2.3"), "ImagingStudy.identifier[0]"),
        (put("subject", {"reference": "Practitioner/1"}), "ImagingStudy.subject"),
        (put("subject", {"reference": "#gone"}), "ImagingStudy.subject"),
        (put("contained", [{"resourceType": "Patient", "id": "p"}]), "ImagingStudy.contained"),
        (put("contained", [{"resourceType": "Patient"}]), "ImagingStudy.contained[0]"),
        (put("contained", [{"resourceType": SECRET, "id": "p"}]), "ImagingStudy.contained[0]"),
        (put("contained", [SECRET]), "ImagingStudy.contained[0]"),
        (put("extension", [{"url": "http://x"}]), "ImagingStudy.extension[0]"),
        (
            put("extension", [{"url": "http://x", "valueCode": "a", "extension": [{"url": "y", "valueCode": "b"}]}]),
            "ImagingStudy.extension[0]",
        ),
    ],
)
def test_planted_faults_of_a_resource(plant: Callable[[Any], None], path: str) -> None:
    resource = copy.deepcopy(imaging_study())
    assert check(resource, "r4") == []
    plant(resource)
    faults = check(resource, "r4")
    assert path in [fault.path for fault in faults]
    assert not any(SECRET in fault.message for fault in faults)


@pytest.mark.parametrize(
    ("plant", "path"),
    [
        (put("contained.0.contained", [{"resourceType": "Patient", "id": "x"}]), "ImagingStudy.contained[0].contained"),
        (put("contained.0.meta", {"security": [{"code": "R"}]}), "ImagingStudy.contained[0].meta.security"),
        (put("contained.0.meta", {"versionId": "1"}), "ImagingStudy.contained[0].meta.versionId"),
        (put("contained.0.gender", SECRET), "ImagingStudy.contained[0].gender"),
        (put("contained.0.contact", [{"relationship": [{"text": "x"}]}]), "ImagingStudy.contained[0].contact[0]"),
        (put("contained.1.id", "patient-1"), "ImagingStudy.contained[1]"),
        (put("contained.1", {"resourceType": "Organization", "id": "o"}), "ImagingStudy.contained[1]"),
        (put("contained.1", {"resourceType": "Location", "id": "o"}), "ImagingStudy.series[0].performer[0].actor"),
        (put("referrer", {"reference": "#patient-1"}), "ImagingStudy.referrer"),
        (drop("series.0.performer"), "ImagingStudy.contained"),
        (put("contained.1.subject", {"reference": "#"}), "ImagingStudy.contained[1].subject"),
    ],
)
def test_planted_faults_of_contained_resources(plant: Callable[[Any], None], path: str) -> None:
    resource = copy.deepcopy(imaging_study(patient="contained"))
    resource["contained"].append({"resourceType": "CareTeam", "id": "o", "name": "x"})
    resource["series"][0]["performer"] = [{"actor": {"reference": "#o"}}]
    assert check(resource, "r4") == []
    plant(resource)
    faults = check(resource, "r4")
    assert path in [fault.path for fault in faults]
    assert not any(SECRET in fault.message for fault in faults)


@pytest.mark.parametrize(
    ("plant", "path"),
    [
        (drop("entry.0.request"), "Bundle.entry[0]"),
        (put("type", "collection"), "Bundle.entry[0]"),
        (put("type", SECRET), "Bundle.type"),
        (drop("type"), "Bundle.entry[0]"),
        (put("entry.0.request.method", "POKE"), "Bundle.entry[0].request.method"),
        (drop("entry.0.request.url"), "Bundle.entry[0].request.url"),
        (drop("entry.0.fullUrl"), "Bundle.entry[2].resource.subject"),
        (put("entry.0.resource.birthDate", "2001-13"), "Bundle.entry[0].resource.birthDate"),
        (put("entry.0.resource.resourceType", "Practitioner"), "Bundle.entry[2].resource.subject"),
        (put("entry.0.resource", {"resourceType": SECRET}), "Bundle.entry[0].resource"),
        (put("entry.0.resource", SECRET), "Bundle.entry[0].resource"),
        (put("entry.0", SECRET), "Bundle.entry[0]"),
        (put("entry.2.resource.subject.reference", "urn:uuid:" + SECRET), "Bundle.entry[2].resource.subject"),
        (
            put("entry.2.resource.contained", [{"resourceType": "Patient", "id": "p"}]),
            "Bundle.entry[2].resource.contained",
        ),
    ],
)
def test_planted_faults_of_a_bundle(plant: Callable[[Any], None], path: str) -> None:
    resource = copy.deepcopy(valid())
    plant(resource)
    faults = check(resource, "r4")
    assert path in [fault.path for fault in faults]
    assert not any(SECRET in fault.message for fault in faults)


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "Organization", "name": "x"},
        {"resourceType": "Organization", "identifier": [{"value": "x"}]},
        {"resourceType": "Patient", "contact": [{"name": {"text": "x"}}]},
        {
            "resourceType": "Encounter",
            "status": "finished",
            "class": {"code": "UNK"},
            "contained": [
                {
                    "resourceType": "Procedure",
                    "id": "p",
                    "status": "unknown",
                    "subject": {"display": "x"},
                    "encounter": {"reference": "#"},
                }
            ],
        },
    ],
)
def test_what_the_invariants_allow(resource: dict[str, Any]) -> None:
    assert check(resource, "r4") == []


def test_full_urls_are_used_once() -> None:
    resource = copy.deepcopy(valid())
    resource["entry"].append(resource["entry"][0])
    assert [fault.path for fault in check(resource, "r4")] == ["Bundle.entry[3].fullUrl"]


def test_a_batch_resolves_no_urn() -> None:
    resource = copy.deepcopy(valid())
    resource["type"] = "batch"
    paths = [fault.path for fault in check(resource, "r4")]
    assert paths == ["Bundle.entry[2].resource.subject", "Bundle.entry[2].resource.endpoint[0]"]


@pytest.mark.parametrize(
    "junk",
    [
        None,
        1,
        "x",
        [],
        {},
        {"resourceType": 1},
        {"resourceType": "../os"},
        {"resourceType": "Coding"},
        {"resourceType": "Fhirtypes"},
        {"resourceType": "Study"},
    ],
)
def test_what_is_no_resource(junk: Any) -> None:
    assert [fault.path for fault in check(junk, "r4")] == ["$"]


def test_nesting_has_an_end() -> None:
    deep: dict[str, Any] = {"url": "http://x", "valueCode": "a"}
    for _ in range(2000):
        deep = {"url": "http://x", "extension": [deep]}
    faults = check({"resourceType": "Patient", "extension": [deep]}, "r4")
    assert [fault.path for fault in faults] == ["Patient"]


def test_a_version_without_a_referee_is_an_error() -> None:
    with pytest.raises(KeyError):
        check({}, "r1")


def test_a_leap_second_and_partial_dates_pass() -> None:
    resource = copy.deepcopy(imaging_study())
    for text in ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.123456-05:30", "2016", "2016-12"):
        assert check(resource | {"started": text}, "r4") == []


def test_gaps_in_a_list_need_their_extensions() -> None:
    name = {"given": [None, "J"], "_given": [{"extension": [{"url": "http://x", "valueCode": "a"}]}, None]}
    assert check({"resourceType": "Patient", "name": [name]}, "r4") == []
    bare = {"given": [None, "J"]}
    assert [f.path for f in check({"resourceType": "Patient", "name": [bare]}, "r4")] == ["Patient.name[0].given[0]"]


def large(instances: int) -> dict[str, Any]:
    resource = samples.study("r4", "Patient/1")
    del resource["contained"], resource["referrer"]
    (one, *_), series = resource["series"][0]["instance"], resource["series"][0]
    series["instance"] = [one | {"uid": f"1.2.{n}", "number": n} for n in range(instances)]
    series["numberOfInstances"] = instances
    return resource


def test_large_studies_are_quick() -> None:
    resource = large(250)
    assert check(resource, "r4") == []

    def once() -> float:
        begun = time.perf_counter()
        check(resource, "r4")
        return time.perf_counter() - begun

    assert min(once() for _ in range(10)) < 0.02  # 3 ms on a quiet machine; the models alone take 12


def test_large_studies_need_little_memory() -> None:
    resource = large(5000)
    check(resource, "r4")
    tracemalloc.start()
    check(resource, "r4")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000
