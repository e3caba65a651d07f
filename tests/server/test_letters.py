"""From FHIR in files to parcels: Bundles as they are, several studies apart, bare resources together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from delivering import made, many, of, patient, study
from hypothesis import given, settings
from hypothesis import strategies as st

from dicom2fhir.fhir.stored import references
from dicom2fhir.server.letters import ORDER, NoFhir, Sorting, parcels
from dicom2fhir.server.manner import Manner
from dicom2fhir.server.parcels import OURS, Parcel, alone, entries, kind
from dicom2fhir.server.plan import Planner

Json = dict[str, Any]


def feed(*values: Any) -> list[Parcel]:
    sorting = Sorting()
    return [*(one for value in values for one in sorting.feed(value)), *sorting.end()]


def bodies(found: list[Parcel]) -> list[Json]:
    return [json.loads(one.body) for one in found]


def test_a_bundle_of_one_study_stays_as_it_is() -> None:
    one = made(study(1))
    assert bodies(feed(one)) == [one]


def test_several_studies_in_one_bundle_are_taken_apart_with_what_they_need() -> None:
    bundles = [made(study(number, of=patient("P1" if number < 3 else "P2"))) for number in (1, 2, 3)]
    listed = {entry["fullUrl"]: entry for each in bundles for entry in each["entry"]}
    stray = _bare("Basic", "x")
    whole = {"resourceType": "Bundle", "type": "transaction", "entry": [*listed.values(), stray]}
    found = bodies(feed(whole))
    assert [len([e for e in each["entry"] if kind(e) == "ImagingStudy"]) for each in found] == [1, 1, 1, 0]
    assert found[3]["entry"] == [stray]
    for each in found:
        there = {entry["fullUrl"] for entry in each["entry"]}
        assert {ref for entry in each["entry"] for ref in references(entry["resource"])} <= there
    assert {entry["fullUrl"] for each in found for entry in each["entry"]} == {*listed, stray["fullUrl"]}


def test_what_refers_to_a_study_goes_with_it() -> None:
    first, second = made(study(1)), made(study(2))
    note = {**_bare("Basic", "note"), "resource": {"resourceType": "Basic", "subject": {"reference": _url(second)}}}
    whole = {**first, "entry": [*first["entry"], *second["entry"], note]}
    found = bodies(feed(whole))
    assert [note in each["entry"] for each in found] == [False, True]


def _url(bundle: Json) -> str:
    return next(str(entry["fullUrl"]) for entry in bundle["entry"] if kind(entry) == "ImagingStudy")


def _bare(name: str, number: str) -> Json:
    request = {"method": "PUT", "url": f"{name}/{number}"}
    return {"fullUrl": f"urn:uuid:{number}", "resource": {"resourceType": name, "id": number}, "request": request}


def test_bare_resources_are_put_together_up_to_a_study() -> None:
    values = [{"resourceType": "Patient", "id": "p"}, {"resourceType": "ImagingStudy", "id": "s"}]
    found = bodies(feed(*values, {"resourceType": "Basic", "id": "b"}))
    assert [[entry["request"]["url"] for entry in each["entry"]] for each in found] == [
        ["Patient/p", "ImagingStudy/s"],
        ["Basic/b"],
    ]
    assert all(entry["request"]["method"] == "PUT" for each in found for entry in each["entry"])


def test_bare_resources_are_not_put_together_without_end() -> None:
    found = bodies(feed(*({"resourceType": "Basic", "id": f"b{number}"} for number in range(120))))
    assert [len(each["entry"]) for each in found] == [50, 50, 20]


def test_a_collection_is_its_resources() -> None:
    listed = [{"resource": {"resourceType": "Patient", "id": "p"}}, {"resource": {"resourceType": "Basic", "id": "b"}}]
    (one,) = bodies(feed({"resourceType": "Bundle", "type": "collection", "entry": listed}))
    assert [entry["request"]["url"] for entry in one["entry"]] == ["Patient/p", "Basic/b"]


def test_what_waits_goes_before_the_next_bundle() -> None:
    found = feed({"resourceType": "Basic", "id": "b"}, *many(2))
    assert [one.uid for one in found] == ["", "1.2.3.1", "1.2.3.2"]


GOOD = _bare("Basic", "x")


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        [],
        {},
        {"resourceType": "Patient"},
        {"resourceType": "Patient", "id": ""},
        {"resourceType": "Patient", "id": "a/b"},
        {"resourceType": "patient", "id": "a"},
        {"id": "a"},
        {"resourceType": "Bundle"},
        {"resourceType": "Bundle", "type": "searchset", "entry": [GOOD]},
        {"resourceType": "Bundle", "type": "transaction"},
        {"resourceType": "Bundle", "type": "transaction", "entry": []},
        {"resourceType": "Bundle", "type": "transaction", "entry": {"0": GOOD}},
        {"resourceType": "Bundle", "type": "transaction", "entry": [GOOD, None]},
        {"resourceType": "Bundle", "type": "transaction", "entry": [{**GOOD, "fullUrl": None}]},
        {"resourceType": "Bundle", "type": "transaction", "entry": [{**GOOD, "resource": []}]},
        {"resourceType": "Bundle", "type": "transaction", "entry": [{**GOOD, "request": {"method": "DELETE"}}]},
        {"resourceType": "Bundle", "type": "transaction", "entry": [{**GOOD, "request": {"method": "PUT"}}]},
        {"resourceType": "Bundle", "type": "collection", "entry": [7]},
        {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": {"resourceType": "Patient"}}]},
    ],
)
def test_what_is_none_of_these(value: Any) -> None:
    with pytest.raises(NoFhir) as raised:
        feed(value)
    assert str(raised.value)


def test_nothing_of_ours_is_missing_in_the_order() -> None:
    assert set(ORDER) >= OURS
    assert len(set(ORDER)) == len(ORDER)
    assert ORDER.index("Patient") < ORDER.index("ImagingStudy") < ORDER.index("ImagingSelection")


def test_a_bundle_of_ours_is_one_parcel() -> None:
    (one,) = parcels(made(study(1)))
    assert one.id == of(made(study(1)))["id"]
    assert len(entries(json.loads(one.body))) == 4


JUNK = st.sampled_from((None, True, 7, "", "x", "Patient/1", [], [None], [[]], {}, {"a": 1}, [7], {"reference": 7}))


@settings(max_examples=500)
@given(st.data())
def test_whatever_somebody_writes_is_a_parcel_that_can_be_planned_or_is_said_to_be_none(data: st.DataObject) -> None:
    one = json.loads(json.dumps(data.draw(st.sampled_from(SAMPLES))))
    holder, key = data.draw(st.sampled_from(list(_places(one))))
    holder[key] = data.draw(JUNK)
    try:
        found = bodies(feed(one))
    except NoFhir:
        return
    planner = Planner(None, Manner())  # type: ignore[arg-type]  # it is not asked for anything
    for bundle in found:
        assert alone(bundle) is not None
        query = planner.query(bundle)
        assert query is None or all(isinstance(each, str) for each in query)


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every value in some JSON, as what holds it and its key there."""
    for key in list(node) if isinstance(node, dict) else range(len(node)):
        yield node, key
        if isinstance(node[key], (dict, list)):
            yield from _places(node[key])


SAMPLES = (made(study(1)), of(made(study(1))), made(study(1), to="stu3"), many(2)[1])


@pytest.mark.parametrize(
    "url",
    ["../x", "ImagingStudy/..", "ImagingStudy/a/b", "//elsewhere/ImagingStudy", "http://elsewhere/ImagingStudy", "",
     "ImagingStudy?a=b#c", "ImagingStudy?a b", "ImagingStudy/a?b"],
)  # fmt: skip
def test_an_entry_that_leads_out_of_the_base_is_none(url: str) -> None:
    entry = {
        "fullUrl": "urn:uuid:1",
        "resource": {"resourceType": "ImagingStudy"},
        "request": {"method": "PUT", "url": url},
    }
    with pytest.raises(NoFhir):
        list(Sorting().feed({"resourceType": "Bundle", "type": "transaction", "entry": [entry]}))
    entry["request"] = {"method": "PUT", "url": "ImagingStudy?identifier=urn%3Adicom%3Auid%7Curn%3Aoid%3A1.2"}
    assert list(Sorting().feed({"resourceType": "Bundle", "type": "transaction", "entry": [entry]}))
