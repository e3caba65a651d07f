"""Whatever the study and the policy: what comes out is valid, closed in itself, and always has the same names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from policies import emissions, emit, policies
from studies import studies

from dicom2fhir.fhir import bundle, validate
from dicom2fhir.fhir.elements import date_time
from dicom2fhir.fhir.policy import Policy
from dicom2fhir.fhir.versions import DIALECTS
from dicom2fhir.model import Study


def literals(node: Any) -> Iterator[str]:
    """Every literal reference in a resource."""
    if isinstance(node, dict):
        if isinstance(node.get("reference"), str):
            yield node["reference"]
        for value in node.values():
            yield from literals(value)
    elif isinstance(node, list):
        for value in node:
            yield from literals(value)


@given(study=studies, policy=policies)
def test_every_emission_is_valid(study: Study, policy: Policy) -> None:
    for version, emission in emissions(study, policy):
        whole = emission.resources if policy.shape == "ndjson" else (bundle.bundle(emission, policy),)
        for resource in whole:
            assert validate.check(resource, version) == []
            assert json.loads(json.dumps(resource)) == resource


@given(study=studies, policy=policies)
def test_every_reference_resolves(study: Study, policy: Policy) -> None:
    given_by_user = {study.patient.reference, policy.patient_reference}
    by_type = policy.shape == "ndjson" or policy.bundle_type == "batch"
    for _, emission in emissions(study, policy):
        targets = {f"{e.type}/{e.id}" if by_type else e.full_url for e in emission.entries}
        for entry in emission.entries:
            contained = {"#" + one["id"] for one in entry.resource.get("contained", ())}
            found = set(literals(entry.resource)) - given_by_user
            assert {one for one in found if one.startswith("#")} == contained
            assert found - contained <= targets
            if by_type and policy.shape != "ndjson":  # only what is put has an address that is known beforehand
                assert policy.write == "put" or not found - contained
            if entry.ours and policy.write == "put" and policy.shape != "ndjson":
                assert entry.resource["id"] == entry.id


@given(study=studies, one=policies, other=policies)
def test_ids_do_not_depend_on_the_policy(study: Study, one: Policy, other: Policy) -> None:
    for version, first in emissions(study, one):
        second = emit(study, other, version)
        if second is None:
            continue
        assert first.id == second.id
        ids = [{(e.type, e.condition): e.id for e in emission.entries} for emission in (first, second)]
        for key in ids[0].keys() & ids[1].keys():
            assert ids[0][key] == ids[1][key]


@given(study=studies, policy=policies)
def test_no_search_lacks_a_system(study: Study, policy: Policy) -> None:
    for _, emission in emissions(study, policy):
        for entry in emission.entries:
            assert entry.condition is not None
            parameter, _, wanted = entry.condition.partition("=")
            if parameter == "identifier":
                system, _, value = wanted.partition("%7C")
                assert system
                assert value
            else:  # before R4 the study's UID has an element, and a search parameter of its own
                assert (entry.type, parameter) == ("ImagingStudy", "study")
                assert wanted.startswith("urn%3Aoid%3A")


@given(study=studies, policy=policies)
def test_counts_and_uids_survive(study: Study, policy: Policy) -> None:
    for _, emission in emissions(study, policy):
        resource = emission.entries[-1].resource
        assert emission.instance_count == resource["numberOfInstances"] == study.instance_count
        assert emission.series_count == resource["numberOfSeries"] == len(resource["series"])
        assert sum(one["numberOfInstances"] for one in resource["series"]) == study.instance_count
        uids = [[i["uid"].removeprefix("urn:oid:") for i in one.get("instance", ())] for one in resource["series"]]
        assert uids == [[i.uid for i in one.instances] for one in study.series]


def codes_in(node: Any) -> set[str]:
    """Every code below a Coding, CodeableConcept or CodeableReference; a bare code is itself."""
    if isinstance(node, str):
        return {node}
    if isinstance(node, list):
        return {code for one in node for code in codes_in(one)}
    own = {node["code"]} if isinstance(node.get("code"), str) else set()
    return own | {code for key, one in node.items() if isinstance(one, (dict, list)) for code in codes_in(one)}


@given(study=studies)
def test_one_study_says_the_same_in_every_version(study: Study) -> None:
    for version in DIALECTS:
        emission = emit(study, Policy(), version)
        resource = emission.entries[-1].resource if emission else None
        if resource is None or resource["resourceType"] != "ImagingStudy":
            continue
        begun = date_time(study.started)
        assert resource.get("started") in {begun, begun and begun[:10]}, version  # no second 60 before R4
        for one, series in zip(resource["series"], study.series, strict=True):
            assert codes_in(one["modality"]) <= {series.modality.term, "OT"}, version  # 0.5.0 has a closed list
            numbers = [each.get("number") for each in one.get("instance", ())]
            assert (one.get("number"), numbers) == (series.number, [each.number for each in series.instances]), version
            if "bodySite" in one and series.body_sites[0].codes:
                assert codes_in(one["bodySite"]) & {code.value for code in series.body_sites[0].codes}, version


@given(study=studies, policy=policies)
def test_keys_stand_in_the_order_of_the_definition(study: Study, policy: Policy) -> None:
    for version, emission in emissions(study, policy):
        for entry in emission.entries:
            for one in (entry.resource, *entry.resource.get("contained", ())):
                _assert_ordered(one, validate.definition(one["resourceType"], version))


def _assert_ordered(node: dict[str, Any], shape: Any) -> None:
    order = list(shape.elements)
    keys = [key for key in node if key != "resourceType"]
    assert keys == sorted(keys, key=order.index), shape.name
    assert list(node)[:1] == ["resourceType"] or "resourceType" not in node
    for key, element in shape.elements.items():
        if key in node and element.shape is not None:
            for value in node[key] if element.many else (node[key],):
                _assert_ordered(value, element.shape())
