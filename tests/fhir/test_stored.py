"""Stored resources beside ours: references, conditions, what is the same, whose study it is."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from check import GOLDENS, SITE, expected, result
from hypothesis import given
from hypothesis import strategies as st
from served import as_stored, serve, study_of

from dicom2fhir.fhir import stored
from dicom2fhir.fhir.identity import identifier_query, search_value
from dicom2fhir.fhir.policy import Policy

VERSIONS = ("dstu2", "stu3", "r4", "r4b", "r5", "r6")
"""The versions that a server may have."""
texts = st.text(st.characters(exclude_categories=("Cs",)), min_size=1)


def study_in(bundle: Any) -> Any:
    return next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "ImagingStudy")


def referred(resource: Any, held: Any) -> Any:
    """What a resource refers to, as far as it is held."""
    return {one: held[one] for one in stored.references(resource) if one in held}


def bundle_of(golden: str, version: str = "r4") -> Any:
    (bundle,) = expected(golden, version)["bundles"]
    return bundle


# References


@pytest.mark.parametrize(
    ("reference", "address"),
    [
        ("Patient/1", "Patient/1"),
        ("Patient/a-B.9/_history/3", "Patient/a-B.9"),
        ("ImagingStudy?identifier=1", None),
        ("https://other.test/fhir/Patient/1", None),
        ("urn:uuid:0bf72245-bacd-5972-9915-5d3ed741e828", None),
        ("#patient-1", None),
        ("Patient", None),
        ("Patient/../Device/1", None),
        ("Patient/1/_history/2/x", None),
    ],
)
def test_an_address_is_a_type_and_an_id(reference: str, address: str | None) -> None:
    assert stored.address(reference) == address


def test_references_are_found_wherever_they_are_once_and_in_order() -> None:
    resource = {
        "contained": [{"resourceType": "PractitionerRole", "practitioner": {"reference": "Practitioner/2/_history/1"}}],
        "subject": {"reference": "#patient-1"},
        "basedOn": [{"reference": "urn:uuid:1"}, {"reference": "https://other.test/fhir/ServiceRequest/1"}],
        "reason": [{"reference": {"reference": "Condition/5"}}, {"concept": {"text": "Patient/9"}}],
        "series": [{"performer": [{"actor": {"reference": "Practitioner/2"}}]}],
        "identifier": [{"value": "Patient/8"}],
    }
    assert stored.references(resource) == ["Practitioner/2", "urn:uuid:1", "Condition/5"]


def test_references_below_the_server_are_relative() -> None:
    base = "https://fhir.test/base"
    absolute = {"subject": {"reference": f"{base}/Patient/1"}, "encounter": {"reference": f"{base}2/Encounter/1"}}
    for written in (base, base + "/"):
        found = stored.relative(absolute | {"basedOn": [{"reference": f"{base}/metadata"}]}, written)
        assert found["subject"] == {"reference": "Patient/1"}
        assert found["encounter"] == absolute["encounter"]
        assert found["basedOn"] == [{"reference": f"{base}/metadata"}]


# Conditions


@given(texts, texts, st.sampled_from(("", "Patient?", "Patient/?")))
def test_a_condition_is_read_back(system: str, value: str, before: str) -> None:
    assert stored.condition("Patient", before + identifier_query(system, value)) == ("Patient", system, value)
    for parameter in ("study", "identifier"):
        wanted = f"{before}{parameter}={search_value('urn:oid:' + value)}"
        assert stored.condition("ImagingStudy", wanted) == ("ImagingStudy", None, "urn:oid:" + value)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "identifier=",
        "identifier=12",
        "identifier=%7C12",
        "identifier=http%3A%2F%2Fa.test%7C",
        "identifier=a%7Cb,c%7Cd",
        "identifier=a%7Cb,c",
        "identifier=a%7Cb%7Cc",
        "identifier=a%7Cb&_count=1",
        "name=a%7Cb",
        "identifier:not=a%7Cb",
        "study=",
        "study=a%7Curn%3Aoid%3A1.2",
        "study=1.2",
        "uid=urn%3Aoid%3A1.2",
    ],
)
def test_a_search_for_anything_else_is_no_condition(query: str) -> None:
    assert stored.condition("Patient", query) is None


@pytest.mark.parametrize("write", ["put", "conditional-update", "conditional-create", "create"])
@pytest.mark.parametrize("version", ["stu3", "r5"])
def test_an_entry_says_where_it_goes_or_what_it_looks_for(version: str, write: Any) -> None:
    for bundle in result("key-object+site", version, policy=Policy(write=write))["bundles"]:
        for entry in bundle["entry"]:
            resource, ours = entry["resource"], entry["resource"]["resourceType"] != "Patient"
            wanted = stored.sought(entry)
            assert stored.placed(entry) == (
                f"{resource['resourceType']}/{resource['id']}" if ours and write == "put" else None
            )
            assert (wanted is None) == (ours and write in ("put", "create"))
            assert wanted is None or stored.meets(resource, wanted)


def test_a_resource_meets_a_condition_by_type_system_and_value() -> None:
    patient = {"resourceType": "Patient", "identifier": [{"value": "7"}, {"system": "urn:a", "value": "8"}]}
    assert stored.meets(patient, ("Patient", "urn:a", "8"))
    for other in (("Device", "urn:a", "8"), ("Patient", "urn:a", "7"), ("Patient", "urn:b", "8")):
        assert not stored.meets(patient, other)
    manifest = {"resourceType": "ImagingManifest", "identifier": {"system": "urn:a", "value": "8"}}
    assert stored.meets(manifest, ("ImagingManifest", "urn:a", "8"))
    study = {"resourceType": "ImagingStudy", "uid": "urn:oid:1.2"}
    assert stored.meets(study, ("ImagingStudy", None, "urn:oid:1.2"))
    assert not stored.meets(study, ("ImagingStudy", None, "urn:oid:1.3"))


# Resolving


def linked(*entries: tuple[str, Any, Any]) -> tuple[Any, Any]:
    """A study that refers to entries, and their bundle."""
    study = {"resourceType": "ImagingStudy", "basedOn": [{"reference": url} for url, _, _ in entries]}
    return study, {"entry": [{"fullUrl": url, "resource": body, "request": how} for url, body, how in entries]}


def test_references_resolve_to_what_is_put_or_found() -> None:
    request = {"method": "POST", "url": "ServiceRequest", "ifNoneExist": identifier_query("urn:a", "1")}
    endpoint = {"method": "PUT", "url": f"Endpoint?{identifier_query('urn:a', '2')}"}
    study, bundle = linked(
        ("urn:uuid:1", {}, {"method": "PUT", "url": "Endpoint/e"}),
        ("urn:uuid:2", {}, request),
        ("urn:uuid:3", {}, endpoint),
        ("urn:uuid:4", {}, {"method": "POST", "url": "Device"}),
    )
    study["basedOn"].append({"reference": "urn:uuid:5"})
    known = {
        "ServiceRequest/9": {"resourceType": "ServiceRequest", "identifier": [{"system": "urn:a", "value": "1"}]},
        "Endpoint/8": {"resourceType": "Endpoint", "identifier": [{"system": "urn:a", "value": "2"}]},
    }
    before = copy.deepcopy(study)
    found = [one["reference"] for one in stored.resolve(study, bundle, known)["basedOn"]]
    assert found == ["Endpoint/e", "ServiceRequest/9", "Endpoint/8", "urn:uuid:4", "urn:uuid:5"]
    assert study == before


@pytest.mark.parametrize(
    "known",
    [
        {},
        {"Patient/1": {"resourceType": "Patient", "identifier": [{"value": "1"}]}},
        {"Device/1": {"resourceType": "Device", "identifier": [{"system": "urn:a", "value": "1"}]}},
        {
            name: {"resourceType": "Patient", "identifier": [{"system": "urn:a", "value": "1"}]}
            for name in ("Patient/1", "Patient/2")
        },
    ],
    ids=["nothing", "no-system", "another-type", "two"],
)
def test_what_is_not_found_or_not_alone_stays_unresolved(known: Any) -> None:
    wanted = {"method": "POST", "url": "Patient", "ifNoneExist": identifier_query("urn:a", "1")}
    study, bundle = linked(("urn:uuid:1", {}, wanted))
    assert stored.resolve(study, bundle, known) == study


# The same


@pytest.mark.parametrize("version", VERSIONS)
def test_what_was_sent_is_the_same_when_it_is_read(version: str) -> None:
    for golden in GOLDENS:
        for bundle in expected(golden, version)["bundles"]:
            held = serve(bundle)
            for entry in bundle["entry"]:
                place = stored.placed(entry)
                if place is None:  # never compared: only ever created
                    continue
                ours = stored.resolve(entry["resource"], bundle, referred(held[place], held))
                assert stored.same(held[place], ours)
                assert not stored.same(held[place], ours | {"id": "another"})


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("write", ["put", "conditional-update"])
def test_what_was_sent_again_is_the_same(version: str, write: Any) -> None:
    for batch in ("transaction", "batch"):
        for golden in ("key-object+site", "request-attributes", "encounter+created"):
            policy = Policy(write=write, bundle_type=batch)  # type: ignore[arg-type]
            for bundle in result(golden, version, policy=policy)["bundles"]:
                held = serve(bundle)
                study = study_of(held)
                assert stored.same(study, stored.resolve(study_in(bundle), bundle, referred(study, held)))


def changes(node: Any) -> Iterator[Any]:
    """Some JSON with one change, for each value in it but local ids: another, and none; for each list one item more."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name != "id":
                yield {key: one for key, one in node.items() if key != name}
                yield from (node | {name: changed} for changed in changes(value))
        yield node | {"extension": [{"url": "http://example.org/x", "valueString": "x"}]}
    elif isinstance(node, list):
        yield [*node, {"resourceType": "Basic", "id": "x"}]
        for place, value in enumerate(node):
            yield from ([*node[:place], changed, *node[place + 1 :]] for changed in changes(value))
    else:
        yield "x" if isinstance(node, str) else 99


@pytest.mark.parametrize("version", VERSIONS)
def test_every_change_is_a_difference(version: str) -> None:
    resource = study_in(bundle_of("request-attributes", version))
    served = as_stored(resource, f"ImagingStudy/{resource['id']}", {})
    for changed in changes(resource):
        assert not stored.same(served, changed)


def test_what_servers_add_is_no_difference() -> None:
    ours = study_in(bundle_of("us"))
    theirs = ours | {
        "meta": {"versionId": "7", "lastUpdated": "2026-01-01T00:00:00Z", "tag": [{"system": "urn:t", "code": "x"}]},
        "text": {"status": "generated", "div": "<div>…</div>"},
    }
    assert stored.same(theirs, ours)
    assert stored.same(theirs, ours | {"meta": {"tag": [{"code": "x", "system": "urn:t", "display": "X"}]}})
    assert not stored.same(theirs, ours | {"meta": {"tag": [{"system": "urn:t", "code": "y"}]}})
    assert not stored.same(theirs, ours | {"meta": {"profile": ["http://example.org/p"]}})


def test_the_order_of_series_and_instances_is_no_difference_that_of_other_lists_is() -> None:
    ours = study_in(bundle_of("mg-bilateral"))
    turned = ours | {"series": [one | {"instance": one["instance"][::-1]} for one in ours["series"][::-1]]}
    assert turned != ours
    assert stored.same(turned, ours)
    assert not stored.same(ours | {"identifier": [{"value": "1"}, {"value": "2"}]},
                           ours | {"identifier": [{"value": "2"}, {"value": "1"}]})  # fmt: skip


def test_a_version_in_a_reference_is_no_difference() -> None:
    ours = {"resourceType": "ImagingStudy", "id": "a", "subject": {"reference": "Patient/1"}}
    assert stored.same(ours | {"subject": {"reference": "Patient/1/_history/4"}}, ours)
    assert not stored.same(ours | {"subject": {"reference": "Patient/10"}}, ours)


def test_what_is_contained_is_compared_by_what_it_says() -> None:
    def study(*contained: Any, of: str) -> Any:
        return {"resourceType": "ImagingStudy", "contained": list(contained), "subject": {"reference": of}}

    one = {"resourceType": "Patient", "id": "a", "name": [{"text": "A"}]}
    other = {"resourceType": "Patient", "id": "b", "name": [{"text": "B"}]}
    assert stored.same(study(one, of="#a"), study(one | {"id": "x"}, of="#x"))
    assert not stored.same(study(one, of="#a"), study(other, of="#b"))
    assert not stored.same(study(one, other, of="#a"), study(one, other, of="#b"))
    assert not stored.same(study(one, of="#a"), study(one, other, of="#a"))  # even where nothing refers to it
    assert not stored.same(study(one, of="#a"), study(one, of="#lost"))


def test_contained_resources_that_refer_to_one_another_are_followed() -> None:
    def study(first: str, second: str, name: str = "A") -> Any:
        role = {"resourceType": "PractitionerRole", "id": first, "practitioner": {"reference": f"#{second}"}}
        person = {"resourceType": "Practitioner", "id": second, "name": [{"text": name}]}
        return {"resourceType": "ImagingStudy", "contained": [role, person], "referrer": {"reference": f"#{first}"}}

    assert stored.same(study("a", "b"), study("b", "a"))
    assert not stored.same(study("a", "b"), study("b", "a", "B"))
    inside = stored.Contained(study("a", "b"))
    assert inside.reached({"reference": "#a"}) == ["a", "b"]
    assert inside.reached({"reference": "#b"}) == ["b"]


def test_a_circle_and_a_pit_end() -> None:
    def turning(name: str) -> Any:
        one = {"resourceType": "Group", "id": "a", "member": [{"entity": {"reference": "#b"}}]}
        other = {"resourceType": "Group", "id": "b", "name": name, "member": [{"entity": {"reference": "#a"}}]}
        return {"resourceType": "ImagingStudy", "contained": [one, other], "subject": {"reference": "#a"}}

    assert stored.same(turning("x"), turning("x"))
    assert not stored.same(turning("x"), turning("y"))
    pit: Any = {"reference": "Patient/1"}
    for _ in range(5000):
        pit = {"extension": [pit]}
    deep = {"resourceType": "ImagingStudy", "subject": pit}
    assert stored.references(deep) == ["Patient/1"]
    assert stored.references(stored.redirected(deep, lambda reference: reference + "2")) == ["Patient/12"]
    assert not stored.same(deep, deep)
    assert not stored.same_patient(
        deep | {"contained": [{"id": "p", "x": pit}], "subject": {"reference": "#p"}}, deep, {}
    )


def test_contained_resources_that_each_refer_twice_to_the_next_take_no_time() -> None:
    chain = [
        {"resourceType": "Group", "id": f"g{n}", "member": [{"entity": {"reference": f"#g{n + 1}"}}] * 2}
        for n in range(60)
    ]
    study = {"resourceType": "ImagingStudy", "contained": chain, "subject": {"reference": "#g0"}}
    assert stored.same(study, json.loads(json.dumps(study)))


# Whose study it is

MINE = {"system": "urn:hospital", "value": "7"}
PATIENT = {"resourceType": "Patient", "identifier": [MINE], "name": [{"text": "A"}]}


def of(subject: Any, *contained: Any, name: str = "subject") -> Any:
    return {"resourceType": "ImagingStudy", "contained": list(contained), name: subject}


def inside(**changes: Any) -> Any:
    """A study whose subject is contained."""
    body = {**PATIENT, "id": "p", "identifier": [{"value": "7"}], **changes}
    return of({"reference": "#p"}, body)


def created(patient: Any = PATIENT, query: str = identifier_query("urn:hospital", "7")) -> tuple[Any, Any]:
    """A study whose subject has an entry of its own, and the bundle."""
    request = {"method": "POST", "url": "Patient", "ifNoneExist": query}
    return of({"reference": "urn:uuid:1"}), {
        "entry": [{"fullUrl": "urn:uuid:1", "resource": patient, "request": request}]
    }


def at(reference: str) -> Any:
    return of({"reference": reference})


def by(identifier: Any, kind: str | None = "Patient") -> Any:
    return of(({"type": kind} if kind else {}) | {"identifier": identifier})


@pytest.mark.parametrize(
    ("theirs", "ours", "known", "answer"),
    [
        (at("Patient/1"), at("Patient/1"), {}, True),
        (at("Patient/1/_history/2"), at("Patient/1"), {}, True),
        (at("Patient/1"), at("Patient/2"), {"Patient/1": PATIENT, "Patient/2": PATIENT}, False),
        (at("Patient/1"), at("Device/1"), {}, False),
        (at("https://other.test/Patient/1"), at("Patient/1"), {}, False),
        (at("Patient/1"), by(MINE), {"Patient/1": PATIENT}, True),
        (at("Patient/1"), by(MINE, None), {"Patient/1": PATIENT}, True),
        (at("Patient/1"), by(MINE, "Device"), {"Patient/1": PATIENT}, False),
        (at("Patient/1"), by(MINE | {"value": "8"}), {"Patient/1": PATIENT}, False),
        (at("Patient/1"), by(MINE), {}, False),
        (by(MINE), at("Patient/1"), {"Patient/1": PATIENT}, True),
        (by(MINE), at("Patient/1"), {}, False),
        (by(MINE), by(MINE | {"assigner": {"display": "H"}}), {}, True),
        (by(MINE), by(MINE, None), {}, True),
        (by(MINE), by(MINE, "Device"), {}, False),
        (by(MINE), by({"value": "7"}), {}, False),
        (by({"value": "7"}), by({"value": "7"}), {}, False),
        (by({"value": "7"}), by(MINE), {}, False),
        (inside(), inside(), {}, True),
        (inside(), inside(identifier=[MINE]), {}, True),
        (inside(), inside(identifier=[{"value": "7", "assigner": {"display": "H"}}]), {}, True),
        (inside(identifier=[MINE]), inside(), {}, False),
        (inside(identifier=[MINE]), inside(identifier=[MINE | {"system": "urn:other"}]), {}, False),
        (inside(), inside(identifier=[{"value": "8"}]), {}, False),
        (inside(), inside(identifier=[{"value": "7", "use": "old"}]), {}, False),
        (inside(), inside(identifier=[{"value": "7"}, {"value": "8"}]), {}, False),
        (inside(), inside(name=[{"text": "B"}]), {}, False),
        (inside(), inside(birthDate="1999-12-31"), {}, False),
        (inside(), inside(resourceType="Device"), {}, False),
        (inside(identifier=[]), inside(identifier=[]), {}, True),
        (inside(), at("Patient/1"), {"Patient/1": PATIENT}, False),
        (inside(identifier=[MINE]), by(MINE), {}, False),
        (at("Patient/1"), inside(identifier=[MINE]), {"Patient/1": PATIENT}, False),
        (of({"display": "A"}), of({"display": "A"}), {}, False),
        (of({"reference": "#lost"}), of({"reference": "#lost"}), {}, False),
        ({"resourceType": "ImagingStudy"}, {"resourceType": "ImagingStudy"}, {}, False),
        ({"resourceType": "ImagingStudy"}, at("Patient/1"), {}, False),
        (of({"reference": "Patient/1"}, name="patient"), of({"reference": "Patient/1"}, name="patient"), {}, True),
        (of({"reference": "Patient/1"}, name="patient"), of({"reference": "Patient/2"}, name="patient"), {}, False),
    ],
)  # fmt: skip
def test_two_studies_are_of_one_patient_when_that_is_certain(theirs: Any, ours: Any, known: Any, answer: bool) -> None:
    assert stored.same_patient(theirs, ours, known) is answer


@pytest.mark.parametrize(
    ("theirs", "known", "answer"),
    [
        (at("Patient/1"), {"Patient/1": PATIENT}, True),
        (at("Patient/1"), {"Patient/1": PATIENT | {"name": [{"text": "B"}]}}, True),
        (at("Patient/1"), {"Patient/1": PATIENT | {"identifier": [{"value": "7"}]}}, False),
        (at("Patient/1"), {"Patient/2": PATIENT}, False),
        (at("Device/1"), {"Device/1": PATIENT | {"resourceType": "Device"}}, False),
        (by(MINE), {}, True),
        (by(MINE | {"value": "8"}), {}, False),
        (inside(), {}, True),
        (inside(identifier=[MINE]), {}, True),
        (inside(name=[{"text": "B"}]), {}, False),
        (inside(identifier=[{"value": "8"}]), {}, False),
    ],
)
def test_an_entry_is_followed_to_whom_it_stands_for(theirs: Any, known: Any, answer: bool) -> None:
    ours, bundle = created(PATIENT | {"meta": {"security": [{"code": "ANONYED"}]}})
    assert stored.same_patient(theirs, ours, known, bundle) is answer
    assert stored.same_patient(theirs, stored.resolve(ours, bundle, known), known, bundle) is answer
    assert not stored.same_patient(theirs, ours, known)  # nothing tells what the reference stands for


def test_an_entry_that_is_put_is_where_it_is_put() -> None:
    ours, bundle = created()
    bundle["entry"][0]["request"] = {"method": "PUT", "url": "Patient/1"}
    assert stored.same_patient(at("Patient/1"), ours, {}, bundle)
    for theirs in (at("Patient/2"), inside(), by(MINE)):
        assert not stored.same_patient(theirs, ours, {"Patient/2": PATIENT}, bundle)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_study_is_of_its_own_patient_and_of_nobody_else(version: str) -> None:
    """Every case of testdata is of another patient, or lies in another study of the same one."""
    served = {}
    for golden in ("us", "issuer-text", "issuer-uri", "no-patient-id", "animal", "animal-group", "de-identified"):
        for bundle in expected(golden, version)["bundles"]:
            held = serve(bundle)
            served[golden] = (study_of(held), held, bundle)
    for golden, (study, held, _) in served.items():
        for other, (_, _, bundle) in served.items():
            known = referred(study, held)
            ours = stored.resolve(study_in(bundle), bundle, known)
            assert stored.same_patient(study, ours, known, bundle) == (golden == other), (golden, other)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_patient_who_was_given_a_system_is_the_same(version: str) -> None:
    held = serve(bundle_of("us", version))
    (bundle,) = result("us", version, mapping=SITE)["bundles"]
    study = study_of(held)
    assert stored.same_patient(study, stored.resolve(study_in(bundle), bundle, {}), {}, bundle)
    (other,) = result("issuer-uri", version)["bundles"]
    assert not stored.same_patient(study, study_in(other), {}, other)
