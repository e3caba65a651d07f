"""HL7's invariants: each is kept by a sample, and each has something that breaks it alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import samples

from dicom2fhir.fhir.invariants import at_or_after
from dicom2fhir.fhir.validate import check

Json = dict[str, Any]
Plant = Callable[[Json], Any]

STUDY_UID = {"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}
CT = {"coding": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "CT"}]}


def study() -> Json:
    resource = samples.study("r6", "Patient/1")
    del resource["contained"], resource["referrer"]
    return resource


def messages(resource: Json, version: str = "r6") -> list[str]:
    return [fault.message for fault in check(resource, version)]


def keys(resource: Json, version: str = "r6") -> list[str]:
    """The keys of the invariants that are broken (`ist-1`)."""
    return [message.rpartition("(")[2].rstrip(")") for message in messages(resource, version)]


@pytest.mark.parametrize(
    ("key", "plant"),
    [
        ("ist-1", lambda one: one.pop("identifier")),
        ("ist-1", lambda one: one.update(identifier=[{"system": "urn:oid:1.2", "value": "urn:oid:1.2.3"}])),
        ("ist-2", lambda one: one["identifier"].append(dict(STUDY_UID))),
        ("ist-3", lambda one: one.update(numberOfSeries=3)),
        (
            "ist-4",
            lambda one: (
                one.update(numberOfInstances=4),
                one["series"][0].pop("numberOfInstances"),
                one["series"][1].pop("numberOfInstances"),
            ),
        ),
        ("ist-5", lambda one: (one.update(numberOfInstances=4), [s.pop("instance") for s in one["series"]])),
        (
            "ist-6",
            lambda one: (one["series"][0].update(numberOfInstances=1), one["series"][1].update(numberOfInstances=2)),
        ),
        ("ist-7", lambda one: one["series"][0].update(modality={"text": "CT"})),
        ("ist-7", lambda one: one["modality"].append({"coding": [{"system": "http://a", "code": "CT"}]})),
        ("ist-7", lambda one: one["modality"][0].update(text="CT")),
        ("ist-8", lambda one: one["series"][0].update(started="2024-02-29T10:11:12+01:00")),
        ("ist-8", lambda one: one["series"][0].update(started="2024-02-29")),
        ("ist-8", lambda one: one.update(started="2024-02")),
    ],
)
def test_r6_study_invariants_are_broken_one_by_one(key: str, plant: Plant) -> None:
    resource = study()
    assert keys(resource) == []
    plant(resource)
    assert keys(resource) == [key]


@pytest.mark.parametrize(
    "plant",
    [
        lambda one: [
            one.pop(name) for name in ("series", "identifier", "modality", "numberOfSeries", "numberOfInstances")
        ],
        lambda one: [series.pop("instance") for series in one["series"]],  # the relaxed ist-4
        lambda one: one.pop("numberOfInstances"),
        lambda one: [series.pop("numberOfInstances") for series in one["series"]],
        lambda one: one.pop("modality"),
        lambda one: one.update(modality=[{"coding": CT["coding"]}, {"coding": CT["coding"]}]),
        lambda one: one.pop("started"),
        lambda one: [series.pop("started") for series in one["series"]],
        lambda one: one.update(started="2024-02-28"),
        lambda one: one.update(started="2023"),
        lambda one: one["series"][0].update(started="2024-02-29T09:11:12.5Z"),
        lambda one: (one.update(numberOfSeries=0, numberOfInstances=0), one.pop("series"), one.pop("modality")),
    ],
)
def test_r6_study_invariants_that_hold(plant: Plant) -> None:
    resource = study()
    plant(resource)
    assert messages(resource) == []


def test_the_second_ballot_of_r6_has_no_such_invariants() -> None:
    resource = samples.study("r6-ballot2", "Patient/1")
    resource |= {"numberOfSeries": 9, "numberOfInstances": 9, "started": "2030", "modality": [{"text": "x"}]}
    assert messages(resource, "r6-ballot2") == []


def selection() -> Json:
    return samples.key_objects("r6", "Patient/1")


def region(**more: Any) -> Json:
    return {"regionType": "point", "coordinate": [1, 2.5], **more}


@pytest.mark.parametrize(
    ("key", "plant"),
    [
        ("isl-1", lambda one: [one.pop(name) for name in ("seriesUid", "instance")]),
        ("isl-2", lambda one: one.pop("studyUid")),
        ("isl-3", lambda one: (one.pop("seriesUid"), one.pop("instance"), solid(one), one.update(seriesNumber=1))),
        ("isl-4", lambda one: (one.pop("seriesUid"), solid(one))),
        ("isl-5", lambda one: (solid(one), one.pop("frameOfReferenceUid"))),
        ("isl-6", lambda one: (solid(one), one["instance"][0].update(imageRegion2D=[region()]))),
        ("isl-7", lambda one: one["instance"][0].update(imageRegion2D=[region(coordinate=[1])])),
        ("isl-8", lambda one: (solid(one), one["imageRegion3D"][0].update(coordinate=[1, 2]))),
        (
            "isl-9",
            lambda one: (one.pop("seriesUid"), one.pop("instance"), solid(one), one.update(modality={"text": "x"})),
        ),
        ("isl-10", lambda one: one["instance"][0].update(segmentNumber=[1])),
        ("isl-11", lambda one: one.update(instance=[{"uid": "1.2", "waveFormChannel": [1]}])),
    ],
)
def test_r6_selection_invariants_are_broken_one_by_one(key: str, plant: Plant) -> None:
    resource = selection()
    assert keys(resource) == []
    plant(resource)
    assert keys(resource) == [key]


def solid(one: Json) -> None:
    one["imageRegion3D"] = [region(coordinate=[1, 2, 3])]
    one["frameOfReferenceUid"] = "1.2"


@pytest.mark.parametrize(
    "plant",
    [
        solid,
        lambda one: one["instance"][0].update(imageRegion2D=[region()]),
        lambda one: one["instance"].append({"uid": "1.3", "segmentNumber": [1]}),
        lambda one: one.update(instance=[{"uid": "1.2", "waveFormChannel": [1, 2]}]),
        lambda one: one.update(seriesNumber=1, modality={"text": "CT"}),
        lambda one: one.pop("instance"),
    ],
)
def test_r6_selection_invariants_that_hold(plant: Plant) -> None:
    resource = selection()
    plant(resource)
    assert messages(resource) == []


@pytest.mark.parametrize(
    ("key", "version", "resource"),
    [
        ("org-1", "r4", {"resourceType": "Organization", "active": True}),
        ("org-2, org-3", "dstu2", {"resourceType": "Organization", "name": "x", "address": [{"use": "home"}]}),
        ("org-2, org-3", "stu3", {"resourceType": "Organization", "name": "x", "telecom": [{"use": "home"}]}),
        ("pat-1", "r5", {"resourceType": "Patient", "contact": [{"gender": "male"}]}),
        ("cpt-2", "r4", {"resourceType": "Patient", "telecom": [{"value": "1"}]}),
        ("att-1", "r4", {"resourceType": "Patient", "photo": [{"data": "QUJD"}]}),
        ("per-1", "r4", {"resourceType": "Patient", "name": [{"period": {"start": "2024", "end": "2023-12-31"}}]}),
        ("ext-1", "r6", {"resourceType": "Patient", "extension": [{"url": "http://a"}]}),
        ("ref-2", "r5", {"resourceType": "Patient", "managingOrganization": {"type": "Organization"}}),
        (
            "prr-1",
            "r4",
            {
                "resourceType": "ServiceRequest",
                "status": "active",
                "intent": "order",
                "subject": {"display": "x"},
                "orderDetail": [{"text": "x"}],
            },
        ),
        (
            "enc-1",
            "r5",
            {"resourceType": "Encounter", "status": "completed", "participant": [{"period": {"start": "2024"}}]},
        ),
        (
            "qty-3",
            "dstu2",
            {
                "resourceType": "Specimen",
                "subject": {"display": "x"},
                "collection": {"quantity": {"value": 1, "code": "mL"}},
            },
        ),
    ],
)
def test_invariants_of_companions(key: str, version: str, resource: Json) -> None:
    assert keys(resource, version) == [key]


def test_a_type_alone_is_a_reference_before_r5() -> None:
    assert messages({"resourceType": "Patient", "managingOrganization": {"type": "Organization"}}, "r4") == []


@pytest.mark.parametrize("junk", [None, 7, "x", [], [None], ["x"], [7], {"x": 1}, [[]]])
@pytest.mark.parametrize("version", ["r4", "r6"])
def test_rules_bear_what_is_no_fhir(version: str, junk: Any) -> None:
    for name in ("identifier", "series", "modality", "started", "numberOfSeries", "numberOfInstances"):
        assert check(study() | {name: junk}, version) or junk in (7, "x")
    for name in ("instance", "imageRegion3D", "seriesUid"):
        assert check(selection() | {name: junk}, "r6") or (name, junk) == ("seriesUid", "x")
    assert check(study() | {"series": [{"instance": junk, "modality": junk, "started": junk}]}, version)
    assert check({"resourceType": "Organization", "telecom": junk}, version)


@pytest.mark.parametrize(
    ("one", "other", "answer"),
    [
        ("2024-02-29", "2024-02-29", True),
        ("2024-03", "2024-02", True),
        ("2024-01", "2024-02", False),
        ("2024", "2024-02", None),
        ("2024-02-29", "2024-02", None),
        ("2025", "2024-02-29T10:00:00Z", True),
        ("2024-02-29T10:00:00Z", "2024-02-29T10:00:00.0Z", True),
        ("2024-02-29T10:00:00Z", "2024-02-29T10:00:00.1Z", False),
        ("2024-02-29T10:00:00+01:00", "2024-02-29T09:30:00Z", False),
        ("2024-02-29T10:00:00+01:00", "2024-02-29T08:30:00Z", True),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z", True),
        ("2024-02-29", "2024-02-28T10:00:00Z", True),
        ("2024-02-29", "2024-02-28T23:30:00-02:00", None),  # the 29th in UTC
        ("2024-02-28T23:30:00-02:00", "2024-02-28", None),
        ("0001-01-01T00:00:00+02:00", "2024", None),
        ("x", "2024", None),
        (None, "2024", None),
        (7, "2024", None),
    ],
)
def test_moments_are_compared_as_fhirpath_does(one: Any, other: Any, answer: bool | None) -> None:
    assert at_or_after(one, other) is answer
