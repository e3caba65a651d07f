"""The tests' own FHIR store decides as the specification, or HAPI, does."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from fhirstore import ANY, Json, Operation, Refused, Rules, Store, asked, searches, split, unescape, version_of
from hypothesis import given
from hypothesis import strategies as st

UUID = "urn:uuid:2efd7dce-7aa3-5880-b4f3-66ef9bb2ea57"
PATIENT = {"resourceType": "Patient", "identifier": [{"system": "urn:oid:1.2", "value": "a|b"}]}
CONDITION = "identifier=urn%3Aoid%3A1.2%7Ca%5C%7Cb"


def store(**rules: Any) -> Store:
    return Store(Rules(**rules))


def patient(value: str = "a|b", **more: Any) -> Json:
    return copy.deepcopy(PATIENT) | {"identifier": [{"system": "urn:oid:1.2", "value": value}]} | more


def study(subject: str = UUID, **more: Any) -> Json:
    identifier = [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}]
    return {"resourceType": "ImagingStudy", "identifier": identifier, "subject": {"reference": subject}} | more


def put(resource: Json, **more: Any) -> Operation:
    return Operation("PUT", f"{resource['resourceType']}/{resource['id']}", resource, **more)


def post(resource: Json, condition: str | None = None, full_url: str | None = None) -> Operation:
    return Operation("POST", resource["resourceType"], resource, condition, full_url=full_url)


def refusal(kept: Store, *operations: Operation) -> int:
    """The status of a refusal; nothing may have changed."""
    before = copy.deepcopy((kept._kept, kept.versions()))
    with pytest.raises(Refused) as caught:
        kept.write(operations)
    assert (kept._kept, kept.versions()) == before
    return caught.value.status


def test_a_conditional_create_creates_once() -> None:
    kept = store()
    created, found = (kept.write([post(patient(), CONDITION)])[0] for _ in range(2))
    assert (created.status, found.status) == (201, 200)
    assert created.id == found.id
    assert len(kept.history(f"Patient/{created.id}")) == 1
    kept.write([post(patient())])
    assert refusal(kept, post(patient(), CONDITION)) == 412
    assert kept.duplicates() == ["Patient urn:oid:1.2|a|b"]


def test_references_inside_a_bundle_become_literal_at_any_depth() -> None:
    kept = store()
    nested = {"resourceType": "Group", "id": "g", "member": [{"entity": {"reference": UUID}}]}
    body = study(id="abc", contained=[nested], series=[{"performer": [{"actor": {"reference": UUID}}]}])
    done = kept.write([put(body), post(patient(), CONDITION, UUID)])
    assert [one.type for one in done] == ["ImagingStudy", "Patient"]
    literal = {"reference": f"Patient/{done[1].id}"}
    stored = kept.read("ImagingStudy", "abc").resource
    assert stored is not None
    assert stored["subject"] == literal
    assert stored["contained"][0]["member"][0]["entity"] == literal
    assert stored["series"][0]["performer"][0]["actor"] == literal


def test_a_reference_to_what_a_condition_found() -> None:
    kept = store()
    there = kept.write([post(patient())])[0].id
    kept.write([post(patient(), CONDITION, UUID), put(study(id="abc"))])
    assert kept.search("ImagingStudy", [("patient", there)]) == ["abc"]


@pytest.mark.parametrize("missing", [UUID, "Patient/nobody", "Patient/gone"])
def test_all_or_nothing(missing: str) -> None:
    kept = store()
    kept.write([put(patient(id="gone"))])
    kept.write([Operation("DELETE", "Patient/gone")])
    assert refusal(kept, post(patient("other")), put(study(missing, id="abc"))) == 400
    assert kept.resources("Patient") == []
    free = store(referential=False)
    assert free.write([put(study(missing, id="abc"))])[0].status == 201


def test_what_is_referred_to_stays() -> None:
    kept = store()
    kept.write([put(patient(id="p")), put(study("Patient/p", id="s"))])
    assert refusal(kept, Operation("DELETE", "Patient/p")) == 409
    both = [Operation("DELETE", "Patient/p"), Operation("DELETE", "ImagingStudy/s")]
    assert [one.status for one in kept.write(both)] == [204, 204]
    assert kept.resources("Patient") == []


def test_a_reference_that_was_taken_out_no_longer_holds() -> None:
    kept = store()
    kept.write([put(patient(id="p")), put(patient(id="q")), put(study("Patient/p", id="s"))])
    kept.write([put(study("Patient/q", id="s"))])
    assert kept.write([Operation("DELETE", "Patient/p")])[0].status == 204


def test_an_update_that_changes_nothing_makes_no_version() -> None:
    kept, counting = store(), store(keeps_unchanged=False)
    for one in (kept, counting):
        assert one.write([put(patient(id="p"))])[0].status == 201
        again = {"id": "p", "meta": {"versionId": "9", "source": "x"}} | patient()
        assert one.write([put(again)])[0].status == 200
    assert (kept.versions(), counting.versions()) == ({"Patient/p": 1}, {"Patient/p": 2})
    assert kept.write([put(patient("new", id="p"))])[0].version == kept.history("Patient/p")[1]


def test_if_match() -> None:
    kept = store()
    kept.write([put(patient(id="p"))])
    assert kept.write([put(patient("2", id="p"), if_match='W/"1"')])[0].status == 200
    assert refusal(kept, put(patient("3", id="p"), if_match='W/"1"')) == 412
    assert refusal(kept, put(patient("2", id="p"), if_match='"1"')) == 412  # unchanged, and yet the wrong version
    hapi = store(mismatch=409)
    hapi.write([put(patient(id="p"))])
    assert refusal(hapi, put(patient(id="p"), if_match="7")) == 409
    assert hapi.write([put(patient(id="new"), if_match='W/"4"')])[0].status == 201  # as HAPI does
    assert {version_of(text) for text in ('W/"3"', '"3"', "3", ' W/"3" ')} == {"3"}


@pytest.mark.parametrize(("chosen", "status"), [("123", 400), ("a_b", 400), ("a" * 65, 400)])
def test_ids_that_clients_may_not_choose(chosen: str, status: int) -> None:
    assert refusal(store(), put(patient(id=chosen))) == status


def test_ids_that_clients_may_choose() -> None:
    assert store().write([put(patient(id="a" * 63 + "1"))])[0].status == 201
    assert store(numeric_ids=True).write([put(patient(id="123"))])[0].status == 201
    kept = store()
    own = kept.write([post(patient())])[0].id
    assert own.isdecimal()
    assert kept.write([put(patient("x", id=own))])[0].status == 200
    assert refusal(store(update_create=False), put(patient(id="abc"))) == 404


def test_a_body_says_its_own_id_and_type() -> None:
    kept = store()
    for body in (patient(), patient(id="other")):
        assert refusal(kept, Operation("PUT", "Patient/p", body)) == 400
    assert refusal(kept, Operation("POST", "Patient", study())) == 400
    assert refusal(kept, Operation("POST", "Patient")) == 400


def test_conditional_update() -> None:
    kept = store()
    url = f"Patient?{CONDITION}"
    created, same, changed = (
        kept.write([Operation("PUT", url, body)])[0] for body in (patient(), patient(), patient(active=True))
    )
    assert [one.status for one in (created, same, changed)] == [201, 200, 200]
    assert kept.versions() == {f"Patient/{created.id}": 2}
    assert refusal(kept, Operation("PUT", url, patient(id="another"))) == 400
    kept.write([post(patient())])
    assert refusal(kept, Operation("PUT", url, patient())) == 412


def test_what_a_server_is_told_not_to_do() -> None:
    kept = store(conditional_create=False, conditional_update=False)
    assert refusal(kept, post(patient(), CONDITION)) == 400
    assert refusal(kept, Operation("PUT", f"Patient?{CONDITION}", patient())) == 400
    assert refusal(kept, Operation("PUT", "Patient", patient())) == 405
    assert refusal(kept, Operation("DELETE", f"Patient?{CONDITION}")) == 405
    assert refusal(kept, Operation("PATCH", "Patient/p", {})) == 405
    assert refusal(kept, post({"resourceType": "Nope"})) == 404
    assert refusal(store(version="dstu2"), post({"resourceType": "Endpoint"})) == 404


@pytest.mark.parametrize("twice", [put(patient(id="p")), post(patient(), CONDITION)])
def test_nothing_is_there_twice_in_a_transaction(twice: Operation) -> None:
    kept = store()
    assert refusal(kept, twice, copy.deepcopy(twice)) == 400
    assert refusal(kept, post(patient(), ""), put(patient(id="q"))) == 400  # a condition that asks for nothing


def test_deleted_and_put_again() -> None:
    kept = store()
    kept.write([put(patient(id="p"))])
    assert [kept.write([Operation("DELETE", "Patient/p")])[0].status for _ in range(2)] == [204, 204]
    for identifier, status in (("p", 410), ("q", 404)):
        with pytest.raises(Refused) as caught:
            kept.read("Patient", identifier)
        assert caught.value.status == status
    assert kept.search("Patient", [("_id", "p")]) == []
    assert kept.write([put(patient(id="p"))])[0].status == 201
    assert [one.number for one in kept.history("Patient/p")] == [1, 2, 3]


def test_what_servers_add() -> None:
    kept, old = store(), store(version="stu3")
    for one in (kept, old):
        one.write([put(patient(id="p", meta={"profile": ["x"], "versionId": "77", "lastUpdated": "never"}))])
    meta = kept.read("Patient", "p").resource["meta"]  # type: ignore[index]
    assert (meta["versionId"], meta["profile"], set(meta)) == (
        "1",
        ["x"],
        {"versionId", "lastUpdated", "source", "profile"},
    )
    assert "source" not in old.read("Patient", "p").resource["meta"]  # type: ignore[index]


# Searches.


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (r"urn:oid:1.2|a\|b", ["p"]),
        ("urn:oid:1.2|a|b", ["p"]),  # what follows the first bar is the value
        (r"a\|b", ["p"]),
        (r"12\,34", ["q"]),
        ("12,34", ["r"]),  # two values: any system's 12, any system's 34
        ("|34", []),
        (r"|back\\slash\$", ["s"]),
        ("urn:oid:1.2|", ["p", "q"]),
        (r"urn:oid:1.2|a\|b,urn:oid:9|34", ["p", "r"]),
        ("nothing", []),
    ],
)
def test_identifiers(query: str, found: list[str]) -> None:
    kept = store()
    for identifier, system, value in (("p", "1.2", "a|b"), ("q", "1.2", "12,34"), ("r", "9", "34")):
        body = patient(id=identifier, identifier=[{"system": f"urn:oid:{system}", "value": value}])
        kept.write([put(body)])
    kept.write([put(patient(id="s", identifier=[{"value": r"back\slash$"}]))])
    assert sorted(kept.search("Patient", [("identifier", query)])) == found


def test_values_are_cut_at_bare_separators() -> None:
    assert split(r"a\,b,c\\,d", ",") == [r"a\,b", r"c\\", "d"]
    assert unescape(r"a\,b\|c\$d\\e\f") == r"a,b|c$d\e\f"
    assert asked("patient", "http://h/fhir/Patient/1") == ("Patient", "1")
    assert asked("patient", "1") == (ANY, "1")


def test_studies_are_found_as_their_version_has_it() -> None:
    old, new = store(version="dstu2"), store()
    series = [{"uid": "urn:oid:1.2.3.4", "instance": [{"uid": "urn:oid:1.2.3.4.5"}]}]
    body = {"resourceType": "ImagingStudy", "id": "s", "uid": "urn:oid:1.2.3", "patient": {"reference": "Patient/p"}}
    old.write([put(patient(id="p")), put(body | {"series": series})])
    for name, value in (("study", "1.2.3"), ("series", "1.2.3.4"), ("uid", "1.2.3.4.5")):
        assert old.search("ImagingStudy", [(name, f"urn:oid:{value}")]) == ["s"]
        assert old.search("ImagingStudy", [(name, value)]) == []
    assert old.search("ImagingStudy", [("patient", "Patient/p"), ("_id", "s,t")]) == ["s"]
    assert old.search("ImagingStudy", [("patient", "Patient/p"), ("_id", "t")]) == []
    new.write([put(patient(id="p")), put(study("Patient/p", id="s", status="available"))])
    assert new.search("ImagingStudy", [("subject", "Patient/p"), ("status", "available")]) == ["s"]
    assert new.search("ImagingStudy", [("status", "cancelled")]) == []
    for kept, name in ((old, "identifier"), (old, "subject"), (new, "study"), (new, "nonsense")):
        with pytest.raises(Refused) as caught:
            kept.search("ImagingStudy", [(name, "x")])
        assert caught.value.status == 400
    assert "identifier" in searches("stu3", "ImagingStudy")


def test_a_study_is_claimed_twice_by_its_uid_alone() -> None:
    kept = store(referential=False)
    accession = {"system": "urn:oid:7", "value": "ACC"}
    kept.write([put(study(id=one, identifier=[accession])) for one in ("a", "b")])
    assert kept.duplicates() == []
    kept.write([put(study(id="c")), put(study(id="d"))])
    assert kept.duplicates() == ["ImagingStudy urn:dicom:uid|urn:oid:1.2.3"]


# Whatever is done, in whatever order.

ids = st.sampled_from(["p", "q", "r"])
values = st.sampled_from(["1", "2", "a|b"])
bodies = st.builds(lambda one, value: patient(value, id=one), ids, values)
nameless = st.builds(lambda value: patient(value), values)
conditions = st.sampled_from(["identifier=1", "identifier=urn:oid:1.2|2", CONDITION])
operations = (
    st.builds(put, bodies)
    | st.builds(post, nameless, st.none() | conditions)
    | st.builds(lambda one: Operation("DELETE", f"Patient/{one}"), ids)
    | st.builds(lambda text, body: Operation("PUT", f"Patient?{text}", body), conditions, nameless)
    | st.builds(lambda one, other: put(study(f"Patient/{other}", id=f"s{one}")), ids, ids)
)


@given(st.lists(st.lists(operations, min_size=1, max_size=3), max_size=12))
def test_histories_only_grow_and_searches_tell_what_is_there(bundles: list[list[Operation]]) -> None:
    kept = store()
    for bundle in bundles:
        before = copy.deepcopy(kept._kept)
        try:
            kept.write(copy.deepcopy(bundle))
        except Refused:
            assert kept._kept == before
        for kind, resources in before.items():
            for identifier, versions in resources.items():
                assert kept._kept[kind][identifier][: len(versions)] == versions
    for value in ("1", "2", "a|b"):
        there = [one["id"] for one in kept.resources("Patient") if one["identifier"][0]["value"] == value]
        escaped = value.replace("|", r"\|")
        assert sorted(kept.search("Patient", [("identifier", f"urn:oid:1.2|{escaped}")])) == sorted(there)
    for one in kept.resources("ImagingStudy"):
        assert kept.read(*one["subject"]["reference"].split("/")).resource
