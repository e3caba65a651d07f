"""What a Bundle is called, what must not be sent beside it, and how it is cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from delivering import made, of, patient, study
from hypothesis import given
from hypothesis import strategies as st

from dicom2fhir.encode import compact
from dicom2fhir.fhir.policy import Policy
from dicom2fhir.server.parcels import alone, chunks, only_creates, parcel, repeatable, search, study_uid, target

Json = dict[str, Any]


def entry(method: str = "PUT", url: str = "Basic/1", resource: Json | None = None, **request: str) -> Json:
    kind = url.partition("/")[0].partition("?")[0]
    asked = {"method": method, "url": url, **request}
    return {"fullUrl": f"urn:uuid:{url}", "resource": resource or {"resourceType": kind}, "request": asked}


def bundle(*entries: Json) -> Json:
    return {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}


@pytest.mark.parametrize("write", ["put", "conditional-update", "conditional-create", "create"])
def test_a_parcel_is_named_for_its_study_however_it_is_written(write: Any) -> None:
    one = parcel(made(study(1), Policy(write=write)))
    assert one.uid == "1.2.3.1"
    assert 1 <= len(one.id) <= 64
    assert parcel(made(study(1, 9), Policy(write=write))).id == one.id
    assert parcel(made(study(1, 9), Policy(write=write))).digest != one.digest
    assert json.loads(one.body)["resourceType"] == "Bundle"
    if write == "put":
        assert one.id == of(made(study(1)))["id"]


def test_a_parcel_without_a_study_is_named_for_its_content() -> None:
    first, second = parcel(bundle(entry())), parcel(bundle(entry(url="Basic/2")))
    assert first.uid == ""
    assert len({first.id, second.id, parcel(bundle(entry())).id}) == 2


def test_a_name_that_is_no_name_for_a_file_is_not_taken() -> None:
    evil = entry(url="ImagingStudy/1", resource={"resourceType": "ImagingStudy", "id": "../../etc"})
    assert parcel(bundle(evil)).id.isalnum()


@pytest.mark.parametrize(
    ("one", "name", "again", "creates"),
    [
        (entry("PUT", "Basic/1"), "Basic/1", True, False),
        (entry("PUT", "Basic?identifier=a"), "Basic?identifier=a", True, False),
        (entry("POST", "Basic", ifNoneExist="identifier=a"), "Basic?identifier=a", True, True),
        (entry("POST", "Basic"), None, False, True),
        (entry("PUT", "Basic/1", ifMatch='W/"1"'), "Basic/1", False, False),
    ],
)
def test_what_an_entry_writes(one: Json, name: str | None, again: bool, creates: bool) -> None:
    assert (target(one), repeatable(one), only_creates(one)) == (name, again, creates)


def test_what_is_alone() -> None:
    both = alone(made(study(1))), alone(made(study(2)))
    shared = {name.partition("/")[0].partition("?")[0] for name in both[0] & both[1]}
    assert shared == {"Patient", "Practitioner", "Endpoint"}
    assert not alone(made(study(1))).isdisjoint(alone(made(study(1, 9))))


def test_a_patient_who_is_only_named_is_alone_too() -> None:
    first, second, third = (
        made(study(number, of=patient(name), endpoint=False), Policy(patient="identifier", create=frozenset()))
        for number, name in ((1, "A"), (2, "A"), (3, "B"))
    )
    assert not alone(first).isdisjoint(alone(second))
    assert alone(first).isdisjoint(alone(third))


@pytest.mark.parametrize(
    ("resource", "uid", "query"),
    [
        ({"uid": "urn:oid:1.2"}, "1.2", "study=urn%3Aoid%3A1.2"),
        (
            {"identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2"}]},
            "1.2",
            "identifier=urn%3Adicom%3Auid%7C",
        ),
        ({"identifier": [{"system": "urn:x", "value": "1"}, {"system": "urn:dicom:uid"}, "no"]}, "", None),
        ({"uid": 7, "identifier": []}, "", None),
        ({}, "", None),
    ],
)
def test_a_study_by_its_uid(resource: Json, uid: str, query: str | None) -> None:
    assert study_uid(resource) == uid
    assert (search(resource) or "").startswith(query or "")
    assert (search(resource) is None) == (query is None)


@given(st.lists(st.integers(0, 300), max_size=30), st.none() | st.integers(1, 7), st.none() | st.integers(1, 500))
def test_chunks_keep_everything_in_order_and_within_bounds(
    sizes: list[int], most: int | None, size: int | None
) -> None:
    items = [{"x": "a" * each} for each in sizes]
    groups = list(chunks(items, most, size))
    assert [item for group in groups for item in group] == items
    assert all(groups)
    for group in groups:
        assert most is None or len(group) <= most
        assert size is None or len(group) == 1 or sum(len(compact(item)) for item in group) <= size
