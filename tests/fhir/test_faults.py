"""Every version's referee finds every kind of fault that is planted, at its place, and tells no values."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import samples

from dicom2fhir.fhir import validate
from dicom2fhir.fhir.validate import VERSIONS, check

SECRET = "Zaphod"
EARLY = ("dstu2-ballot2", "dstu2", "stu3")
LATER = ("r4", "r4b", "r5", "r6-ballot2", "r6")
WITH_URLS = tuple(version for version in VERSIONS if version != "dstu2-ballot2")
STUDY = "entry.1.resource"
GONE = object()

# An element that another version has: where, and what it would be there.
FOREIGN = {
    "dstu2-ballot2": ("series.0.started", samples.MOMENT),
    "dstu2": ("clinicalInformation", "words"),
    "stu3": ("order", [{"display": "x"}]),
    "r4": ("uid", "urn:oid:1.2"),
    "r4b": ("availability", "ONLINE"),
    "r5": ("interpreter", [{"display": "x"}]),
    "r6-ballot2": ("series.0.instance.0.numberOfFrames", 2),
    "r6": ("series.0.laterality", {"text": "left"}),
}

# Kind of fault: (place, value to put or GONE, versions). `{status}` and the like are names of `samples.STUDY_NAMES`.
FAULTS: dict[str, tuple[str, Any, tuple[str, ...]]] = {
    "unknown element": (f"{STUDY}.colour", SECRET, tuple(VERSIONS)),
    "unknown element, deep": (f"{STUDY}.series.1.instance.0.colour", SECRET, tuple(VERSIONS)),
    "comments": (f"{STUDY}.fhir_comments", [SECRET], ("stu3", *LATER)),
    "missing in the study": (f"{STUDY}.{{patient}}", GONE, tuple(VERSIONS)),
    "missing count": (f"{STUDY}.numberOfSeries", GONE, ("dstu2-ballot2", "dstu2")),
    "missing status": (f"{STUDY}.status", GONE, LATER),
    "missing in a series": (f"{STUDY}.series.1.uid", GONE, tuple(VERSIONS)),
    "missing modality": (f"{STUDY}.series.0.modality", GONE, ("dstu2-ballot2", "dstu2", "stu3", *LATER)),
    "missing in an instance": (f"{STUDY}.series.0.instance.1.{{sopClass}}", GONE, tuple(VERSIONS)),
    "one for many": (f"{STUDY}.identifier", {"value": "1"}, tuple(VERSIONS)),
    "many for one": (f"{STUDY}.description", ["words"], tuple(VERSIONS)),
    "many objects for one": (f"{STUDY}.{{patient}}", [{"display": "x"}], tuple(VERSIONS)),
    "text for a number": (f"{STUDY}.numberOfSeries", "2", tuple(VERSIONS)),
    "number for a text": (f"{STUDY}.description", 7, tuple(VERSIONS)),
    "boolean for a number": (f"{STUDY}.numberOfSeries", True, tuple(VERSIONS)),
    "text for a boolean": ("entry.0.resource.deceasedBoolean", "no", tuple(VERSIONS)),
    "text for an object": (f"{STUDY}.{{patient}}", SECRET, tuple(VERSIONS)),
    "fraction": (f"{STUDY}.numberOfSeries", 2.0, tuple(VERSIONS)),
    "negative": (f"{STUDY}.numberOfSeries", -1, tuple(VERSIONS)),
    "too large": (f"{STUDY}.series.0.number", 2**31, tuple(VERSIONS)),
    "id too long": (f"{STUDY}.id", "a" * 65, tuple(VERSIONS)),
    "id of other signs": (f"{STUDY}.id", "a_b", tuple(VERSIONS)),
    "uid is no oid": (f"{STUDY}.series.0.uid", "1.2.3", EARLY),
    "oid with a leading zero": (f"{STUDY}.uid", "urn:oid:1.02.3", EARLY),
    "oid of one part": (f"{STUDY}.series.0.instance.0.uid", "urn:oid:1", EARLY),
    "oid of a root there is not": (f"{STUDY}.series.0.instance.0.{{sopClass}}", "urn:oid:3.1", (*EARLY, "r6")),
    "uid is no id": (f"{STUDY}.series.0.uid", "urn:oid:1.2", LATER),
    "uid too long": (f"{STUDY}.series.0.instance.0.uid", "1" * 65, LATER),
    "class as a coding": (f"{STUDY}.series.0.instance.0.{{sopClass}}", {"code": "x"}, (*EARLY, "r6", "r6-ballot2")),
    "class as an oid": (f"{STUDY}.series.0.instance.0.{{sopClass}}", samples.CT, ("r4", "r4b", "r5")),
    "empty text": (f"{STUDY}.description", "", tuple(VERSIONS)),
    "blank text": (f"{STUDY}.description", " \n", tuple(VERSIONS)),
    "null": (f"{STUDY}.description", None, tuple(VERSIONS)),
    "null in a list": (f"{STUDY}.identifier", [None], tuple(VERSIONS)),
    "control characters": (f"{STUDY}.description", SECRET + "\x01", tuple(VERSIONS)),
    "half a character": (f"{STUDY}.description", "\ud83d", tuple(VERSIONS)),
    "empty list": (f"{STUDY}.series", [], tuple(VERSIONS)),
    "empty object": (f"{STUDY}.{{patient}}", {}, tuple(VERSIONS)),
    "code of blanks": (f"{STUDY}.language", "e  n", tuple(VERSIONS)),
    "uri with a blank": (f"{STUDY}.implicitRules", "http://a b", tuple(VERSIONS)),
    "uri that is no oid": ("entry.0.resource.identifier.0.system", "urn:oid:1.02", tuple(VERSIONS)),
    "uri that is no uuid": ("entry.0.resource.identifier.0.system", "urn:uuid:1", tuple(VERSIONS)),
    "moment without a zone": (f"{STUDY}.started", "2024-02-29T10:11:12", tuple(VERSIONS)),
    "moment without seconds": (f"{STUDY}.started", "2024-02-29T10:11+01:00", tuple(VERSIONS)),
    "moment of no day": (f"{STUDY}.started", "2023-02-29", tuple(VERSIONS)),
    "moment of no hour": (f"{STUDY}.started", "2024-02-29T24:00:00Z", tuple(VERSIONS)),
    "second 60": (f"{STUDY}.started", "2016-12-31T23:59:60Z", EARLY),
    "ten digits of a second": (f"{STUDY}.started", "2024-02-29T10:11:12.0123456789Z", ("r5", "r6-ballot2", "r6")),
    "offset of no place": (f"{STUDY}.started", "2024-02-29T10:11:12+15:00", tuple(VERSIONS)),
    "date of another form": ("entry.0.resource.birthDate", "28.02.1970", tuple(VERSIONS)),
    "date of no month": ("entry.0.resource.birthDate", "1970-13", tuple(VERSIONS)),
    "date with a time": ("entry.0.resource.birthDate", samples.MOMENT, tuple(VERSIONS)),
    "instant without a time": ("entry.0.{request}.ifModifiedSince", "2024-02-29", tuple(VERSIONS)),
    "no base64": (f"{STUDY}.extension.0.valueBase64Binary", "QUJ", tuple(VERSIONS)),
    "not positive": (f"{STUDY}.extension", [{"url": "http://a", "valuePositiveInt": 0}], tuple(VERSIONS)),
    "no time": (f"{STUDY}.extension", [{"url": "http://a", "valueTime": "7:00"}], tuple(VERSIONS)),
    "extension without url": (f"{STUDY}.extension", [{"valueCode": "a"}], tuple(VERSIONS)),
    "extension without value": (f"{STUDY}.extension", [{"url": "http://a"}], tuple(VERSIONS)),
    "choice taken twice": ("entry.0.resource.deceasedDateTime", "2024", tuple(VERSIONS)),
    "code not listed": ("entry.0.resource.gender", SECRET, tuple(VERSIONS)),
    "status not listed": (f"{STUDY}.{{status}}", "SECRET", tuple(VERSIONS)),
    "status of R6": (f"{STUDY}.status", "inactive", ("r4", "r4b", "r5", "r6-ballot2")),
    "modality not listed": (f"{STUDY}.series.0.modality", "ANN", ("dstu2-ballot2",)),
    "study's modality not listed": (f"{STUDY}.modalityList.0", "SR", ("dstu2-ballot2",)),
    "title not listed": ("entry.2.resource.title", {"coding": [{"system": "http://nema.org/dicom/dicm", "code": "1"}]},
                         ("dstu2",)),
    "title of another system": ("entry.2.resource.title", {"coding": [{"system": "http://a", "code": "113000"}]},
                                ("dstu2",)),
    "title without a coding": ("entry.2.resource.title", {"text": "x"}, ("dstu2",)),
    "narrative without namespace": ("entry.0.resource.text", {"status": "generated", "div": "<div>x</div>"},
                                    tuple(VERSIONS)),
    "wrong kind of target": (f"{STUDY}.{{patient}}", {"reference": "Practitioner/1"}, tuple(VERSIONS)),
    "wrong kind of target in the Bundle": (f"{STUDY}.{{patient}}", {"reference": samples.STUDY_URL}, WITH_URLS),
    "wrong kind that is told": (f"{STUDY}.{{patient}}", {"type": "Location", "display": "x"}, LATER),
    "target of no kind": (f"{STUDY}.{{patient}}", {"reference": "Foo/1"}, tuple(VERSIONS)),
    "logical reference": (f"{STUDY}.{{patient}}", {"identifier": {"value": "1"}}, ("dstu2-ballot2", "dstu2")),
    "target gone": (f"{STUDY}.referrer.reference", "#gone", tuple(VERSIONS)),
    "contained and not used": (f"{STUDY}.referrer", GONE, tuple(VERSIONS)),
    "contained without id": (f"{STUDY}.contained.0.id", GONE, tuple(VERSIONS)),
    "contained in contained": (f"{STUDY}.contained.0.contained", [{"resourceType": "Patient"}], tuple(VERSIONS)),
    "contained with a version": (f"{STUDY}.contained.0.meta", {"versionId": "1"}, tuple(VERSIONS)),
    "contained with security": (f"{STUDY}.contained.0.meta", {"security": [{"code": "R"}]}, tuple(VERSIONS)),
    "contained with a narrative": (
        f"{STUDY}.contained.0.text",
        {"status": "generated", "div": "<div xmlns='http://www.w3.org/1999/xhtml'>x</div>"},
        EARLY,
    ),
    "fault in a contained one": (f"{STUDY}.contained.0.gender", SECRET, tuple(VERSIONS)),
    "contained of no kind": (f"{STUDY}.contained.0.resourceType", SECRET, tuple(VERSIONS)),
    "contact without details": ("entry.0.resource.contact.0", {"gender": "male"}, tuple(VERSIONS)),
    "telecom without system": ("entry.0.resource.telecom.0.system", GONE, tuple(VERSIONS)),
    "period backwards": ("entry.0.resource.identifier.0.period", {"start": "2024-02", "end": "2024-01-31"},
                         tuple(VERSIONS)),
    "entry without request": ("entry.0.{request}", GONE, tuple(VERSIONS)),
    "request of another name": ("entry.0.transaction", {"method": "PUT", "url": "Patient/1"}, WITH_URLS),
    "request without url": ("entry.0.{request}.url", GONE, tuple(VERSIONS)),
    "request of no method": ("entry.0.{request}.method", "POKE", tuple(VERSIONS)),
    "request for another id": ("entry.0.{request}.url", "Patient/2", tuple(VERSIONS)),
    "request for another kind": ("entry.0.{request}.url", "Device?identifier=a%7C1", tuple(VERSIONS)),
    "condition of a PUT": ("entry.0.{request}.ifNoneExist", "identifier=a%7C1", tuple(VERSIONS)),
    "Bundle of no type": ("type", SECRET, tuple(VERSIONS)),
    "Bundle without type": ("type", GONE, tuple(VERSIONS)),
    "collection with requests": ("type", "collection", tuple(VERSIONS)),
    "batch": ("type", "batch", ("dstu2-ballot2",)),
    "total of a transaction": ("total", 2, tuple(VERSIONS)),
    "search of a transaction": ("entry.0.search", {"mode": "match"}, tuple(VERSIONS)),
    "answer in a transaction": ("entry.0.{response}", {"status": "200"}, tuple(VERSIONS)),
    "write without a resource": ("entry.0.resource", GONE, tuple(VERSIONS)),
    "fullUrl": ("entry.0.fullUrl", "http://a.test/Patient/1", ("dstu2-ballot2",)),
    "fullUrl twice": ("entry.1.fullUrl", samples.PATIENT_URL, WITH_URLS),
    "fullUrl of a version": ("entry.0.fullUrl", "http://a.test/Patient/1/_history/1", WITH_URLS),
    "urn of nobody": (f"{STUDY}.{{patient}}.reference", "urn:uuid:" + "0" * 8 + "-0000" * 3 + "-" + "0" * 12,
                      WITH_URLS),
    "resource of no kind": ("entry.0.resource.resourceType", SECRET, tuple(VERSIONS)),
    "key object without instances": ("entry.2.resource.study.0.series.0.instance", GONE, EARLY),
    "key object without code": ("entry.2.resource.code", GONE, ("r5", "r6-ballot2", "r6")),
    "frames of another version": ("entry.2.resource.instance.0.subset", ["1"], ("r6",)),
    "frame zero": ("entry.2.resource.instance.0.frameNumber", [0], ("r6",)),
}  # fmt: skip

TABLE = [(version, kind) for kind, (_, _, versions) in FAULTS.items() for version in versions]


def place(version: str, kind: str) -> str:
    own = VERSIONS[version]
    return FAULTS[kind][0].format(**samples.STUDY_NAMES[version], request=own.request, response=own.response)


def put(resource: Any, where: str, value: Any) -> None:
    *steps, name = (int(step) if step.isdigit() else step for step in where.split("."))
    for step in steps:
        resource = resource[step]
    if value is GONE:
        del resource[name]
    else:
        resource[name] = copy.deepcopy(value)


def in_the_path_of(where: str) -> str:
    """A place as the referee would write it."""
    steps = (f"[{step}]" if step.isdigit() else f".{step}" for step in where.split("."))
    return "Bundle" + "".join(steps)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_samples_have_no_fault(version: str) -> None:
    assert check(samples.bundle(version), version) == []


@pytest.mark.parametrize(("version", "kind"), TABLE, ids=[f"{version}-{kind}" for version, kind in TABLE])
def test_a_planted_fault_is_found_where_it_is(version: str, kind: str) -> None:
    bundle, where = samples.bundle(version), place(version, kind)
    put(bundle, where, FAULTS[kind][1])
    assert check(samples.bundle(version), version) == []  # so that the referee remembers what it was like
    faults = check(bundle, version)
    planted = in_the_path_of(where)
    assert faults
    near = [fault for fault in faults if _related(fault.path, planted)]
    assert near, [fault.path for fault in faults]
    assert not any(SECRET in fault.message for fault in faults)


def _related(found: str, planted: str) -> bool:
    """A fault lies where it was planted, in what was planted, or in the object that the element belongs to."""
    parent = planted.rpartition(".")[0] if not planted.endswith("]") else planted.rpartition("[")[0]
    return found.startswith(planted) or found == parent or found.rpartition(".")[0] == parent


def test_there_are_kinds_enough() -> None:
    for version in VERSIONS:
        assert sum(one == version for one, _ in TABLE) >= 80


@pytest.mark.parametrize("version", VERSIONS)
def test_elements_of_other_versions_are_unknown(version: str) -> None:
    bundle = samples.bundle(version)
    where, value = FOREIGN[version]
    put(bundle, f"{STUDY}.{where}", value)
    assert [f.path for f in check(bundle, version)] == [in_the_path_of(f"{STUDY}.{where}")]


@pytest.mark.parametrize(
    ("version", "kind", "absent"),
    [
        ("dstu2-ballot2", "Endpoint", True),
        ("dstu2", "Endpoint", True),
        ("dstu2", "ImagingManifest", True),
        ("stu3", "ImagingObjectSelection", True),
        ("stu3", "ImagingManifest", False),
        ("r4", "ImagingManifest", True),
        ("r4", "ImagingSelection", True),
        ("r4", "Citation", True),
        ("r4b", "Citation", False),
        ("r4b", "BodySite", True),
        ("r5", "ImagingSelection", False),
        ("r5", "BodyStructure", False),
        ("r6", "ImagingSelection", False),
        ("r6", "BodyStructure", False),
        ("r6-ballot2", "Endpoint", False),
    ],
)
def test_resources_of_other_versions_are_unknown(version: str, kind: str, absent: bool) -> None:
    found = [fault.message for fault in check({"resourceType": kind}, version)]
    assert ("it is not a resource of this version" in found) == absent


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_knows_the_companions(version: str) -> None:
    orders = {"dstu2-ballot2": "DiagnosticOrder", "dstu2": "DiagnosticOrder", "stu3": "ProcedureRequest"}
    sites = dict.fromkeys(EARLY, "BodySite")
    kinds = ["Patient", "Practitioner", "Organization", "Device", "Specimen", "Encounter", "Procedure", "Location",
             orders.get(version, "ServiceRequest"), sites.get(version, "BodyStructure"), "Bundle"]  # fmt: skip
    if version not in ("dstu2-ballot2", "dstu2"):
        kinds += ["Endpoint", "PractitionerRole", "EpisodeOfCare", "Group"]
    for kind in kinds:
        shape = validate.definition(kind, version)
        assert shape is not None
        assert not shape.by_name_only


def test_a_resource_known_by_name_alone_is_said_to_be() -> None:
    (fault,) = check({"resourceType": "Observation"}, "dstu2")
    assert fault.message == "the version has this kind of resource, the referee does not know it"


@pytest.mark.parametrize("version", LATER)
def test_a_second_60_is_allowed_from_r4_on(version: str) -> None:
    bundle = samples.bundle(version)
    for series in bundle["entry"][1]["resource"]["series"]:
        del series["started"]
    put(bundle, f"{STUDY}.started", "2016-12-31T23:59:60.5Z")
    assert check(bundle, version) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_what_refers_to_its_container_is_used_from_r4_on(version: str) -> None:
    bundle = samples.bundle(version)
    study = bundle["entry"][1]["resource"]
    back = [{"url": "http://a.test/of", "valueReference": {"reference": "#"}}]
    study["contained"].append({"resourceType": "Device", "id": "d", "type": {"text": "x"}, "extension": back})
    if version in ("r5", "r6-ballot2", "r6"):
        study["contained"][1]["type"] = [{"text": "x"}]
    assert ("contained" in [fault.path.rpartition(".")[2] for fault in check(bundle, version)]) == (version in EARLY)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_code_list_may_be_extended_by_an_extension_of_the_primitive(version: str) -> None:
    bundle = samples.bundle(version)
    patient = bundle["entry"][0]["resource"]
    del patient["gender"]
    patient["_gender"] = {"extension": [{"url": "http://a.test/why", "valueCode": "masked"}]}
    put(bundle, f"{STUDY}.series.0.uid", GONE)
    put(bundle, f"{STUDY}.series.0._uid", {"extension": [{"url": "http://a.test/why", "valueCode": "masked"}]})
    assert check(bundle, version) == []


# The models' second say ---------------------------------------------------------------------------


def _models(monkeypatch: pytest.MonkeyPatch, plant: Callable[[Any], None], version: str) -> list[str]:
    """The faults' paths with a walk that sees nothing."""
    monkeypatch.setattr(validate, "_walk", lambda *_: None)
    bundle = samples.bundle(version)
    plant(bundle["entry"][1]["resource"])
    resource = bundle["entry"][1]["resource"]
    del resource["contained"], resource["referrer"]
    return [fault.path for fault in check(resource, version)]


@pytest.mark.parametrize("version", ["stu3", "r4", "r4b", "r5"])
def test_models_see_what_the_walk_does_not(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _models(monkeypatch, lambda study: None, version) == []
    wrong_type = lambda study: study["series"][0]["instance"][1].update(number="x")  # noqa: E731
    assert _models(monkeypatch, wrong_type, version) == ["ImagingStudy.series[0].instance[1].number"]


@pytest.mark.parametrize("version", ["stu3", "r4", "r5"])
def test_every_structure_reaches_the_models_once(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    study = samples.study(version, "Patient/1")
    del study["contained"], study["referrer"]
    study["series"][1]["instance"].append(study["series"][1]["instance"][0] | {"extension": samples.ENCODED})
    heard: list[Any] = []
    monkeypatch.setattr(validate, "_library", cache(validate._library.__wrapped__))
    monkeypatch.setattr(validate, "_model_faults", lambda model, resource: heard.append(resource) or iter(()))
    assert check(study, version) == []
    (thin,) = heard
    assert len(json.dumps(thin)) < len(json.dumps(study))
    assert [len(one["instance"]) for one in thin["series"]] == [1, 2]


def test_resources_inside_others_are_heard_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Any] = []
    monkeypatch.setattr(validate, "_library", cache(validate._library.__wrapped__))
    monkeypatch.setattr(validate, "_model_faults", lambda model, resource: heard.append(resource) or iter(()))
    assert check(samples.bundle("r4"), "r4") == []
    assert [one["resourceType"] for one in heard] == ["Patient", "Practitioner", "ImagingStudy", "Bundle"]
    assert all("resource" not in entry for entry in heard[-1]["entry"])
    assert "contained" not in heard[2]
