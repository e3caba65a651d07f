"""The glance lets nothing pass in which the walk or the models see a fault, whatever it remembers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any
from unittest.mock import patch

import pytest
import samples
from hypothesis import given
from hypothesis import strategies as st

from dicom2fhir.fhir import alike, glance, validate
from dicom2fhir.fhir.dialect import render
from dicom2fhir.fhir.glance import Glance
from dicom2fhir.fhir.policy import Policy
from dicom2fhir.fhir.rehearsal import STUDY
from dicom2fhir.fhir.shapes import Shape
from dicom2fhir.fhir.validate import VERSIONS, check
from dicom2fhir.fhir.versions import DIALECTS

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


def walked(resource: Any, version: str) -> list[validate.Fault]:
    """The faults without the glance."""
    with patch.object(Glance, "finds_right", return_value=False):
        return check(resource, version)


def glanced(resource: Any, version: str) -> bool:
    """Whether the glance finds a resource right."""
    of = validate.definition(resource["resourceType"], version)
    assert of is not None
    return validate._library(version).glance.finds_right(resource, of)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_constraint_that_is_broken_is_seen_at_any_place(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert glanced(study(version), version)
    monkeypatch.setattr(validate._Library, "accepts", lambda *_: True)
    monkeypatch.setattr(validate, "_second_say", lambda *_: iter(()))  # the walk alone must see it
    seen = 0
    for name, junk in breaks(version):
        faults = walked(broken(version, 0, name, junk), version)
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


def test_places_count_through_what_is_looked_at_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alike, "AT_ONCE", 7)
    for place in range(MANY):
        (fault,) = check(broken("r4", place, "number", -1), "r4")
        assert fault.path == f"ImagingStudy.series[0].instance[{place}].number"


# Whatever happens to a resource --------------------------------------------------------------------------


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every (object or list, key or index) of a resource."""
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        yield node, key
        if isinstance(value, dict | list):
            yield from places(value)


@pytest.fixture(params=["as it is", "forgetful"])
def memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is, or so small that it is emptied again and again."""
    if request.param == "forgetful":
        for name in ("_STRUCTURES", "_SETS_OF_NAMES", "_SAID"):
            monkeypatch.setattr(glance, name, 3)


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("version", VERSIONS)
def test_with_and_without_the_glance_the_faults_are_the_same(version: str) -> None:
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        whole = samples.bundle(version)
        resource = data.draw(st.sampled_from([whole, study(version), *(one["resource"] for one in whole["entry"])]))
        for _ in range(data.draw(st.integers(0, 2))):
            node, key = data.draw(st.sampled_from(list(places(resource))))
            node[key] = copy.deepcopy(data.draw(st.sampled_from(JUNK)))
        assert check(resource, version) == walked(resource, version)

    holds()


@pytest.mark.parametrize("version", VERSIONS)
def test_what_most_studies_become_is_right_at_a_glance(version: str) -> None:
    assert all(glanced(entry.resource, version) for entry in render(STUDY, DIALECTS[version], Policy()).entries)
    assert glanced(samples.study(version, "Patient/1"), version)


@pytest.mark.parametrize("kind", ["transaction", "batch"])
def test_a_urn_in_a_bundle_is_that_of_an_entry(kind: str) -> None:
    bundle = samples.bundle("r4") | {"type": kind}
    assert check(bundle, "r4") == walked(bundle, "r4")
    assert bool(check(bundle, "r4")) == (kind == "batch")


def test_two_contained_resources_may_share_what_refers_to_the_container() -> None:
    resource = samples.study("r4", "Patient/1")
    back = {"url": "http://a.test/of", "valueReference": {"reference": "#"}}
    resource["contained"] += [{"resourceType": "Device", "id": name, "extension": [back]} for name in ("d", "e")]
    assert check(resource, "r4") == []


def test_a_bundle_is_left_to_the_walk() -> None:
    assert not glanced(samples.bundle("r4"), "r4")


# The models are heard once -----------------------------------------------------------------------------------


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of resources that models are asked about, by a referee that has heard nothing yet."""
    kinds: list[str] = []
    real = validate._model_faults
    monkeypatch.setattr(validate, "_library", cache(validate._library.__wrapped__))
    monkeypatch.setattr(validate, "_model_faults", lambda *asked: kinds.append(asked[0].__name__) or real(*asked))
    return kinds


def test_of_one_structure_the_models_hear_once(heard: list[str]) -> None:
    assert check(study("r4"), "r4") == []
    assert heard == ["ImagingStudy"]
    other = study("r4") | {"description": "other words"}
    instances(other).append(instances(other)[0] | {"uid": "1.2.3.4"})
    assert check(other, "r4") == []
    assert heard == ["ImagingStudy"]


@pytest.mark.parametrize(
    "change",
    [
        lambda resource: resource.update(language="de"),
        lambda resource: instances(resource)[MANY - 1].update(extension=samples.ENCODED),
        lambda resource: instances(resource)[MANY - 1].pop("title"),
        lambda resource: instances(resource)[0].update(sopClass=instances(resource)[0]["sopClass"] | {"display": "CT"}),
        lambda resource: resource["identifier"][0].pop("value"),
    ],
)
def test_another_structure_is_heard(change: Any, heard: list[str]) -> None:
    assert check(study("r4"), "r4") == []
    other = study("r4")
    change(other)
    assert check(other, "r4") == []
    assert heard == ["ImagingStudy", "ImagingStudy"]


def test_what_the_models_refuse_is_refused_again(heard: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    fault = lambda model, resource: iter([(("status",), "refused")])  # noqa: E731
    monkeypatch.setattr(validate, "_model_faults", fault)
    for _ in range(2):
        assert check(study("r4"), "r4") == [validate.Fault("ImagingStudy.status", "refused")]


def test_versions_do_not_hear_for_each_other(heard: list[str]) -> None:
    for version in ("r4", "r4b"):
        assert check(study(version), version) == []
    assert len(heard) == 2


# What they are shown -----------------------------------------------------------------------------------


@pytest.mark.parametrize("at_once", [7, 1024])
@pytest.mark.parametrize("place", PLACES)
def test_every_structure_of_a_long_list_is_kept(at_once: int, place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alike, "AT_ONCE", at_once)
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
