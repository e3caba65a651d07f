"""The walk: how references look under each policy, what is built once, what is reported."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from studies import CT_IMAGE, series, studies, study

from dicom2fhir.errors import UsageError
from dicom2fhir.fhir import dialect
from dicom2fhir.fhir.bundle import Emission
from dicom2fhir.fhir.policy import CREATABLE, DEFAULT_CREATE, Policy
from dicom2fhir.fhir.versions import DIALECTS
from dicom2fhir.model import (
    Device,
    Endpoint,
    Identifier,
    Instance,
    Patient,
    Performer,
    PersonName,
    Practitioner,
    Request,
    Specimen,
    Study,
)
from dicom2fhir.problems import Code

R4 = DIALECTS["r4"]
QUALIFIED = Patient(identifiers=(Identifier("12,34", "patient", "urn:oid:1.2"),))
PACS = Endpoint("wado-rs", "https://a.test/x")
DOCTOR = Practitioner((PersonName("alphabetic", "House"),), (Identifier("9", "practitioner", "http://p"),))
FULL = study(QUALIFIED, endpoints=(PACS,), referrer=DOCTOR)
MR = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}
PATIENT_IDENTIFIER = {"type": MR, "system": "urn:oid:1.2", "value": "12,34"}


def emit(one: Study, **policy: Any) -> Emission:
    return dialect.render(one, R4, Policy(**policy))


def last(one: Study, **policy: Any) -> dict[str, Any]:
    return emit(one, **policy).entries[-1].resource


def test_dialects_are_known_by_their_names() -> None:
    assert all(name == one.name for name, one in DIALECTS.items())


def test_companions_come_before_those_that_refer_to_them_and_the_study_last() -> None:
    emission = emit(FULL)
    assert [entry.type for entry in emission.entries] == ["Patient", "Practitioner", "Endpoint", "ImagingStudy"]
    assert [entry.ours for entry in emission.entries] == [False, False, True, True]
    assert emission.id == emission.entries[-1].id
    assert (emission.study_uid, emission.series_count, emission.instance_count) == ("1.2.3", 1, 1)


@pytest.mark.parametrize(
    ("policy", "patient", "doctor", "endpoint"),
    [
        ({}, "urn", "urn", "urn"),
        ({"shape": "bundle"}, "urn", "urn", "urn"),
        ({"bundle_type": "collection"}, "urn", "urn", "urn"),
        ({"write": "create"}, "urn", "urn", "urn"),
        ({"shape": "ndjson"}, "type", "type", "type"),
        ({"shape": "ndjson", "bundle_type": "batch", "write": "create"}, "type", "type", "type"),
        ({"bundle_type": "batch"}, "logical", "logical", "type"),
        ({"bundle_type": "batch", "write": "conditional-update"}, "logical", "logical", "logical"),
        ({"patient": "identifier"}, "logical", "urn", "urn"),
        ({"patient": "contained"}, "#patient-1", "urn", "urn"),
        ({"patient": "Patient/5"}, "Patient/5", "urn", "urn"),
        ({"create": frozenset(("Endpoint",))}, "logical", "logical", "urn"),
        ({"create": frozenset()}, "logical", "logical", "logical"),
    ],
)
def test_how_references_look(policy: dict[str, Any], patient: str, doctor: str, endpoint: str) -> None:
    emission = emit(FULL, **policy)
    resource, entries = emission.entries[-1].resource, {entry.type: entry for entry in emission.entries}
    found = {"Patient": resource["subject"], "Practitioner": resource["referrer"], "Endpoint": resource["endpoint"][0]}
    for kind, form in (("Patient", patient), ("Practitioner", doctor), ("Endpoint", endpoint)):
        if form == "logical":
            assert found[kind]["type"] == kind
            assert found[kind]["identifier"]["value"]
            assert "reference" not in found[kind]
        else:
            entry = entries.get(kind)
            forms = {"urn": entry.full_url, "type": f"{kind}/{entry.id}"} if entry else {}
            assert found[kind] == {"reference": forms.get(form, form)}


def test_logical_references_say_type_identifier_and_name_but_no_patients_name() -> None:
    named = replace(QUALIFIED, names=(PersonName("alphabetic", "Doe"),))
    resource = last(replace(FULL, patient=named), create=frozenset())
    assert resource["subject"] == {"type": "Patient", "identifier": PATIENT_IDENTIFIER}
    doctor = {"type": "Practitioner", "identifier": {"system": "http://p", "value": "9"}, "display": "House"}
    assert resource["referrer"] == doctor


def test_the_endpoint_is_found_by_the_identifier_that_it_carries() -> None:
    entry = emit(FULL).entries[2]
    assert entry.resource["identifier"] == [{"system": "urn:ietf:rfc:3986", "value": entry.full_url}]
    assert entry.condition == "identifier=urn%3Aietf%3Arfc%3A3986%7C" + entry.full_url.replace(":", "%3A")


def test_conditions_are_escaped() -> None:
    conditions = [entry.condition for entry in emit(FULL).entries]
    assert conditions[0] == "identifier=urn%3Aoid%3A1.2%7C12%5C%2C34"
    assert conditions[-1] == "identifier=urn%3Adicom%3Auid%7Curn%3Aoid%3A1.2.3"


@pytest.mark.parametrize("policy", [{}, {"patient": "identifier"}, {"patient": "contained"}])
def test_a_literal_reference_stands_for_the_patient_everywhere(policy: dict[str, Any]) -> None:
    specimen = Specimen((Identifier("S", "specimen", "http://s"),))
    one = study(replace(QUALIFIED, reference="https://ehr.test/Patient/5"), series(specimens=(specimen,)))
    entries = emit(one, **policy).entries
    assert [entry.type for entry in entries] == ["Specimen", "ImagingStudy"]
    assert all(entry.resource["subject"] == {"reference": "https://ehr.test/Patient/5"} for entry in entries)


def test_a_contained_patient_is_repeated_in_every_resource_that_needs_it() -> None:
    specimen = Specimen((Identifier("S", "specimen", "http://s"),))
    order = Request((Identifier("P", "placer", "http://o"),))
    one = study(one=series(specimens=(specimen,)), requests=(order,))
    for entry in emit(one, create=CREATABLE).entries:
        assert [inner["resourceType"] for inner in entry.resource["contained"]] == ["Patient"]
        assert entry.resource["subject"] == {"reference": "#patient-1"}


def test_patients_without_a_system_never_meet() -> None:
    same_number = Patient(identifiers=(Identifier("1", "patient"),))
    one, other = (emit(study(same_number, uid=uid)) for uid in ("1.1", "1.2"))
    assert [entry.type for entry in (*one.entries, *other.entries)] == ["ImagingStudy", "ImagingStudy"]


def test_the_same_patient_has_one_identity_in_every_study() -> None:
    one, other = (emit(study(QUALIFIED, uid=uid)).entries[0] for uid in ("1.1", "1.2"))
    assert one == other
    elsewhere = emit(study(Patient(identifiers=(Identifier("12,34", "patient", "urn:oid:1.3"),)))).entries[0]
    assert elsewhere.id != one.id


def test_a_contained_companion_is_built_once_for_each_resource() -> None:
    device, other = Performer("device", Device("ACME", "X")), Performer("device", Device("ACME", "Y"))
    both = (series(performers=(device, other)), series(uid="1.2.9", performers=(other,)))
    resource = last(study(series=both))
    assert [one["id"] for one in resource["contained"]] == ["patient-1", "device-1", "device-2"]
    actors = [[one["actor"]["reference"] for one in each["performer"]] for each in resource["series"]]
    assert actors == [["#device-1", "#device-2"], ["#device-2"]]


def test_what_refers_comes_with_what_it_refers_to_inside_the_same_resource() -> None:
    specimen = Specimen((Identifier("S", "specimen"),))
    resource = last(study(one=series(specimens=(specimen,))))
    assert [one["resourceType"] for one in resource["contained"]] == ["Patient", "Specimen"]
    assert resource["contained"][1]["subject"] == {"reference": "#patient-1"}


def test_one_companion_described_in_two_ways_is_taken_once_and_reported() -> None:
    again = replace(DOCTOR, phones=("1",))
    emission = emit(replace(FULL, interpreters=(again, again)))
    (doctor,) = [entry for entry in emission.entries if entry.type == "Practitioner"]
    assert "telecom" not in doctor.resource
    assert emission.entries[-1].resource["interpreter"] == [{"reference": doctor.full_url}]
    assert [(one.code, one.where) for one in emission.problems] == [(Code.COMPANION_DIFFERS, "1.2.3/Practitioner")]


def test_a_loss_in_a_resource_that_is_built_twice_is_one_loss() -> None:
    animal = Patient(neutered=True)
    specimen = Specimen((Identifier("S", "specimen", "http://s"),))
    emission = emit(study(animal, series(specimens=(specimen,))))
    assert [(one.where, one.count) for one in emission.problems] == [("1.2.3/Patient.extension", 1)]


def test_ids_follow_the_key() -> None:
    plain, keyed = emit(FULL), emit(FULL, id_key=b"k")
    assert not {entry.id for entry in plain.entries} & {entry.id for entry in keyed.entries}


def test_bodies_have_ids_where_the_policy_keeps_them() -> None:
    assert ["id" in entry.resource for entry in emit(FULL).entries] == [False, False, True, True]
    assert all(entry.resource["id"] == entry.id for entry in emit(FULL, shape="ndjson").entries)
    assert not any("id" in entry.resource for entry in emit(FULL, write="conditional-create").entries)


def test_a_version_whose_references_have_no_identifier_refuses_to_use_one() -> None:
    bare = replace(R4, name="bare", logical=None)
    bare.check(Policy())
    R4.check(Policy(patient="identifier"))
    with pytest.raises(UsageError, match="bare"):
        bare.check(Policy(patient="identifier"))
    with pytest.raises(UsageError, match="--write"):
        bare.check(Policy(bundle_type="batch", write="create"))


def test_a_version_may_place_companions_in_its_own_way() -> None:
    everything_inside = replace(R4, place=lambda name, known, policy: "contained", logical=None)
    emission = dialect.render(FULL, everything_inside, Policy())
    (entry,) = emission.entries
    inside = [one["resourceType"] for one in entry.resource["contained"]]
    assert inside == ["Patient", "Practitioner", "Endpoint"]
    by_name = replace(R4, place=lambda name, known, policy: "referred", logical=None)
    assert dialect.render(FULL, by_name, Policy()).entries[-1].resource["referrer"] == {"display": "House"}


def test_a_version_orders_and_names_its_own_elements() -> None:
    rows = {"patient": R4.study["subject"], "uid": lambda scope, one: "urn:oid:" + one.uid, "none": lambda *_: []}
    resource = dialect.render(FULL, replace(R4, study=rows), Policy(create=DEFAULT_CREATE)).entries[-1].resource
    assert list(resource) == ["resourceType", "id", "patient", "uid"]


# What a version cannot hold

STRICT = replace(R4, name="strict", oids=frozenset(("study", "series", "instance", "sop-class")))
BAD = ("1.02.3", "3.1.2", "12", "1.2.")
A, B = "1.2.3.4.5", "1.2.3.4.6"


def of(*uids: str, sop_class: str = CT_IMAGE, **changes: Any) -> Any:
    """A series of these instances."""
    listed = tuple(Instance(uid, sop_class) for uid in uids)
    return series(instances=listed, instance_count=len(listed), **changes)


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize(
    ("one", "kept", "left_out"),
    [
        (study(one=of(A, "BAD")), {"1.2.3.4": 1}, {"1.2.3.4": {"BAD"}}),
        (study(one=of("BAD")), None, {"1.2.3.4": {"BAD"}}),
        (study(series=(of(A), of(B, uid="1.2.9", sop_class="BAD"))), {"1.2.3.4": 1}, {"1.2.9": {B}}),
        (study(series=(of(A, B, uid="BAD"), of(A))), {"1.2.3.4": 1}, {"BAD": None}),
        (study(series=(of(A, uid="BAD"),)), None, {"BAD": None}),
        (study(uid="BAD"), None, {}),
    ],
)
def test_what_an_oid_refuses_is_left_out(one: Study, kept: Any, left_out: Any, bad: str) -> None:
    one = _with(one, bad)
    held = dialect.hold(one, STRICT)
    assert {("BAD" if uid == bad else uid): uids for uid, uids in held.left_out.items()} == {
        uid: uids and {bad if each == "BAD" else each for each in uids} for uid, uids in left_out.items()
    }
    if kept is None:
        assert held.study is None
    else:
        assert held.study is not None
        assert {each.uid: each.instance_count for each in held.study.series} == kept
        assert {each.uid: len(each.instances) for each in held.study.series} == kept
        assert replace(held.study, series=()) == replace(one, series=())


def _with(one: Study, bad: str) -> Study:
    """The study with `bad` wherever it says BAD."""

    def said(text: str) -> str:
        return bad if text == "BAD" else text

    all_series = tuple(
        replace(
            each,
            uid=said(each.uid),
            instances=tuple(i._replace(uid=said(i.uid), sop_class=said(i.sop_class)) for i in each.instances),
        )
        for each in one.series
    )
    return replace(one, uid=said(one.uid), series=all_series)


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("oid", ["study", "series", "instance", "sop-class"])
def test_only_uids_that_are_oids_in_the_version_are_looked_at(oid: Any, bad: str) -> None:
    one = _with(study(uid="BAD", series=(of("BAD", uid="BAD", sop_class="BAD"), of(A))), bad)
    assert dialect.hold(one, R4).study is one
    held = dialect.hold(one, replace(R4, oids=frozenset((oid,))))
    assert (held.study is None) == (oid == "study")
    assert list(held.left_out) == ([] if oid == "study" else [bad])


def test_instances_that_are_not_listed_have_no_uids_to_refuse() -> None:
    counted = study(one=series(instances=(), instance_count=300))
    assert dialect.hold(counted, STRICT).study is counted
    refused = dialect.hold(study(series=(series(uid="1.02", instances=(), instance_count=300), of(A))), STRICT)
    assert refused.study is not None
    assert refused.study.instance_count == 1
    assert refused.left_out == {"1.02": None}


@given(study=studies)
def test_a_study_of_good_uids_is_held_as_it_is(study: Study) -> None:
    assert dialect.hold(study, STRICT).study is study


@pytest.mark.parametrize("version", DIALECTS)
@given(one=studies)
def test_what_series_share_is_said_as_of_each(version: str, one: Study) -> None:
    shared = tuple(replace(each, performers=one.series[0].performers) for each in one.series) if one.series else ()
    for made in (one, replace(one, series=shared)):
        once = dialect.render(made, DIALECTS[version], Policy())
        with patch.object(dialect.Scope, "once", lambda scope, say, value: say(scope, value)):
            assert dialect.render(made, DIALECTS[version], Policy()) == once
