"""Whatever the study and the policy: what comes out is valid, closed in itself, and always has the same names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from studies import studies

from dicom2fhir.errors import UsageError
from dicom2fhir.fhir import bundle, dialect, validate
from dicom2fhir.fhir.policy import CREATABLE, DEFAULT_CREATE, Policy, check_study
from dicom2fhir.fhir.versions import DIALECTS
from dicom2fhir.model import Study

policies = st.builds(
    Policy,
    write=st.sampled_from(("put", "conditional-update", "conditional-create", "create")),
    bundle_type=st.sampled_from(("transaction", "batch", "collection")),
    shape=st.sampled_from(("bundles", "bundle", "ndjson")),
    patient=st.sampled_from(("auto", "auto", "contained", "identifier", "create", "Patient/5")),
    create=st.sampled_from((DEFAULT_CREATE, CREATABLE, frozenset(("Patient",)))) | st.sets(
        st.sampled_from(sorted(CREATABLE))
    ).map(frozenset),
).filter(lambda policy: not _refused(policy))  # fmt: skip
relaxed = settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))


def _refused(policy: Policy) -> bool:
    try:
        policy.check()
    except UsageError:
        return True
    return False


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


def emit(study: Study, policy: Policy, version: str) -> bundle.Emission | None:
    try:
        check_study(study, policy)
    except UsageError:
        return None
    return dialect.render(study, DIALECTS[version], policy)


@pytest.mark.parametrize("version", DIALECTS)
@relaxed
@given(study=studies, policy=policies)
def test_every_emission_is_valid(version: str, study: Study, policy: Policy) -> None:
    emission = emit(study, policy, version)
    if emission is None:
        return
    whole = emission.resources if policy.shape == "ndjson" else (bundle.bundle(emission, policy),)
    for resource in whole:
        assert validate.check(resource, version) == []
        assert json.loads(json.dumps(resource)) == resource


@pytest.mark.parametrize("version", DIALECTS)
@relaxed
@given(study=studies, policy=policies)
def test_every_reference_resolves(version: str, study: Study, policy: Policy) -> None:
    emission = emit(study, policy, version)
    if emission is None:
        return
    given_by_user = {study.patient.reference, policy.patient_reference}
    by_type = policy.shape == "ndjson" or policy.bundle_type == "batch"
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


@pytest.mark.parametrize("version", DIALECTS)
@relaxed
@given(study=studies, one=policies, other=policies)
def test_ids_do_not_depend_on_the_policy(version: str, study: Study, one: Policy, other: Policy) -> None:
    first, second = emit(study, one, version), emit(study, other, version)
    if first is None or second is None:
        return
    assert first.id == second.id
    ids = [{(e.type, e.condition): e.id for e in emission.entries} for emission in (first, second)]
    for key in ids[0].keys() & ids[1].keys():
        assert ids[0][key] == ids[1][key]


@pytest.mark.parametrize("version", DIALECTS)
@relaxed
@given(study=studies, policy=policies)
def test_no_search_lacks_a_system(version: str, study: Study, policy: Policy) -> None:
    emission = emit(study, policy, version)
    for entry in emission.entries if emission else ():
        assert entry.condition is not None
        system, _, value = entry.condition.removeprefix("identifier=").partition("%7C")
        assert system
        assert value


@pytest.mark.parametrize("version", DIALECTS)
@relaxed
@given(study=studies, policy=policies)
def test_counts_and_uids_survive(version: str, study: Study, policy: Policy) -> None:
    emission = emit(study, policy, version)
    if emission is None:
        return
    resource = emission.entries[-1].resource
    assert emission.instance_count == resource["numberOfInstances"] == study.instance_count
    assert emission.series_count == resource["numberOfSeries"] == len(resource["series"])
    assert sum(one["numberOfInstances"] for one in resource["series"]) == study.instance_count
    uids = [[i["uid"] for i in one.get("instance", ())] for one in resource["series"]]
    assert uids == [[i.uid for i in one.instances] for one in study.series]


@relaxed
@given(study=studies, policy=policies)
def test_r4_keys_stand_in_the_order_of_the_definition(study: Study, policy: Policy) -> None:
    emission = emit(study, policy, "r4")
    for entry in emission.entries if emission else ():
        for one in (entry.resource, *entry.resource.get("contained", ())):
            _assert_ordered(one, get_fhir_model_class(one["resourceType"]))


def _assert_ordered(node: dict[str, Any], model: Any) -> None:
    order = [name.removesuffix("_fhir") for name in model.elements_sequence()]
    keys = [key.removeprefix("_") for key in node if key != "resourceType"]
    assert keys == sorted(keys, key=order.index), model.__name__
    assert list(node)[:1] == ["resourceType"] or "resourceType" not in node
    for key, element in validate._shape(model).items():
        if key in node and element.model is not None and not element.any_resource:
            for value in node[key] if element.many else (node[key],):
                _assert_ordered(value, element.model)
