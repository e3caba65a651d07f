"""The quick look at long lists misses nothing that the walk would see, at no place, in no version."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import samples

from dicom2fhir.fhir import alike, validate
from dicom2fhir.fhir.shapes import Element, Shape
from dicom2fhir.fhir.validate import VERSIONS, check

MANY = 30
PLACES = (0, MANY // 2, MANY - 1)
GONE = object()
JUNK: tuple[Any, ...] = (
    None, "", " ", "a\x01", "e  n", "a" * 70, "x", "urn:oid:1", "urn:oid:01.2", "1_2", 0, -1, 2**31, 1.5, True,
    [], [1], ["x"], [None], {}, {"colour": 1}, {"reference": "#gone"}, {"reference": "Foo/1"}, {"code": 1},
)  # fmt: skip
"""What breaks one constraint or another of each primitive type and of each object."""


def study(version: str) -> dict[str, Any]:
    """A study with one long list of instances, all in the version's own form; those of one class share it."""
    made = samples.study(version, "Patient/1")
    del made["contained"], made["referrer"]
    one, series = made["series"][0]["instance"][0], made["series"][0]
    uid = one["uid"].rpartition(".")[0]
    series["instance"] = [one | {"uid": f"{uid}.{n}", "number": n} for n in range(MANY)]
    series["numberOfInstances"] = MANY
    made["numberOfInstances"] = MANY + 1
    return made


def instances(resource: dict[str, Any]) -> list[Any]:
    found: list[Any] = resource["series"][0]["instance"]
    return found


def instance_shape(version: str) -> Shape:
    whole = validate.definition("ImagingStudy", version)
    assert whole is not None
    series = whole.elements["series"].shape
    assert series is not None
    instance = series().elements["instance"].shape
    assert instance is not None
    return instance()


def breaks(version: str) -> Iterator[tuple[str, Any]]:
    """Every element that an instance may have with all the junk, the ones it needs gone, and one that none has."""
    yield "colour", "x"
    for name in sorted(instance_shape(version).elements):
        yield from ((name, junk) for junk in JUNK)
    for name in instances(study(version))[0]:
        yield name, GONE


def broken(version: str, place: int, name: str, value: Any) -> dict[str, Any]:
    resource = study(version)
    body = dict(instances(resource)[place])
    if value is GONE:
        del body[name]
    else:
        body[name] = copy.deepcopy(value)
    instances(resource)[place] = body
    return resource


def walked(resource: Any, version: str, monkeypatch: pytest.MonkeyPatch) -> list[validate.Fault]:
    """The faults without the quick look."""
    with monkeypatch.context() as patch:
        patch.setattr(alike, "FEW", 10**9)
        return check(resource, version)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_constraint_that_is_broken_is_seen_at_any_place(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check(study(version), version) == []
    monkeypatch.setattr(validate, "_second_say", lambda *_: iter(()))  # the walk alone must see it
    seen = 0
    for name, junk in breaks(version):
        faults = walked(broken(version, 0, name, junk), version, monkeypatch)
        for place in PLACES:
            here = [fault.path.replace("instance[0]", f"instance[{place}]") for fault in faults]
            assert [fault.path for fault in check(broken(version, place, name, junk), version)] == here, (name, junk)
        seen += bool(faults)
    assert seen > 100


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("junk", [None, "x", 1, [], {}])
def test_what_is_no_object_is_seen(version: str, place: int, junk: Any) -> None:
    resource = study(version)
    instances(resource)[place] = junk
    assert f"ImagingStudy.series[0].instance[{place}]" in [fault.path for fault in check(resource, version)]


@pytest.mark.parametrize("version", ["r4", "r4b", "r5"])
def test_an_object_that_many_share_is_looked_at(version: str) -> None:
    resource = study(version)
    instances(resource)[0]["sopClass"]["code"] = "a  b"
    assert "ImagingStudy.series[0].instance[0].sopClass.code" in [fault.path for fault in check(resource, version)]


def test_an_object_of_two_places_is_judged_as_what_it_is_at_each() -> None:
    shared = {"reference": "Patient/1"}
    resource = samples.study("r4", "Patient/1") | {"subject": shared, "referrer": shared}
    del resource["contained"]
    assert [fault.path for fault in check(resource, "r4")] == ["ImagingStudy.referrer"]


def test_what_takes_more_than_checks_is_left_to_the_walk() -> None:
    one = Element(check=lambda value: None)
    elements = {"a": one, "reference": one, "b": Element(check=one.check, choice="b"), "c": Element(True, one.check)}
    shape = Shape("Thing", elements)
    bodies: list[Any] = [{"a": 1}, {"b": 1}, {"a": 1, "c": [1]}, {"reference": "#x"}, {"z": 1}, {"a": 2}]
    assert list(alike.in_doubt(bodies, shape, {})) == [1, 2, 3, 4]
    assert list(alike.in_doubt(bodies, shape, {"Thing": ()})) == [0, 1, 2, 3, 4, 5]


def test_places_count_through_what_is_looked_at_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alike, "_AT_ONCE", 7)
    for place in range(MANY):
        (fault,) = check(broken("r4", place, "number", -1), "r4")
        assert fault.path == f"ImagingStudy.series[0].instance[{place}].number"


@pytest.mark.parametrize("at_once", [7, 1024])
@pytest.mark.parametrize("place", PLACES)
def test_every_structure_of_a_long_list_is_kept(at_once: int, place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alike, "_AT_ONCE", at_once)
    odd: tuple[Callable[[Any], Any], ...] = (
        lambda one: one | {"extension": samples.ENCODED},
        lambda one: {name: value for name, value in one.items() if name != "title"},
        lambda one: one | {"sopClass": one["sopClass"] | {"display": "CT"}},
    )
    shape = validate.definition("ImagingStudy", "r4")
    assert shape is not None
    assert [len(instances(alike.thin(study("r4"), shape)))] == [1]
    for change in odd:
        resource = study("r4")
        instances(resource)[place] = change(instances(resource)[place])
        kept = instances(alike.thin(resource, shape))
        assert len(kept) == 2
        assert instances(resource)[place] in kept
