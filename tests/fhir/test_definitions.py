"""The shapes that the referee walks by agree with HL7's definitions, and its words with HL7's examples.

`../shared/definitions` holds both; where it is absent (outside the workshop), the tables are held by what the samples
of this project and the golden files say of them.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import samples
from hypothesis import given
from hypothesis import strategies as st

from dicom2fhir.fhir import validate
from dicom2fhir.fhir.glance import Glance
from dicom2fhir.fhir.shapes import Element, Shape
from dicom2fhir.fhir.validate import VERSIONS, check

TABLES = Path(validate.__file__).parent / "definitions"
SHARED = Path(__file__).parents[3] / "shared"
DEFINITIONS = SHARED / "definitions"
RELEASES = {"R2": ["dstu2"], "R3": ["stu3"], "R4": ["r4"], "R4B": ["r4b"], "R5": ["r5"], "R6": ["r6"]}
EXAMPLES = RELEASES | {"R4": ["r4", "r4b"], "R6": ["r6"]}

shared = pytest.mark.skipif(not DEFINITIONS.is_dir(), reason="HL7's definitions lie outside this repository")

# What the official examples get wrong, by file and version (MAPPING.md section 7 has most of it).
NOT_THE_XHTML_NAMESPACE = {"text.div"}
WRONG_EXAMPLES: dict[tuple[str, str], set[str]] = {
    ("imagingstudy-example.json", "dstu2"): NOT_THE_XHTML_NAMESPACE,
    ("imagingobjectselection-example.json", "dstu2"): NOT_THE_XHTML_NAMESPACE,
    ("patient-example-dicom.json", "dstu2"): NOT_THE_XHTML_NAMESPACE,
    # procedure points to a Procedure, which is no target of it
    ("ImagingStudy-example-xr.json", "r5"): {"procedure[0].reference"},
    # the UID under urn:dicom:uid lacks its urn:oid:
    ("ImagingSelection-example-2d-image-region-selection.json", "r5"): {"derivedFrom[0].identifier"},
    # made for one invariant, they break others: isl-1 and isl-4; ist-1
    ("invariant-test-isl-10.p1.pass.json", "r6"): {""},
    ("invariant-test-ist-4.p1.pass.json", "r6"): {""},
}


def structure_definitions() -> Iterator[tuple[str, Path]]:
    for release, versions in RELEASES.items():
        for path in sorted((DEFINITIONS / release).glob("StructureDefinition-*.json")):
            yield from ((version, path) for version in versions)


def element_at(kind: str, path: str, version: str) -> tuple[Shape, Element | None]:
    """The shape that an element belongs to, and the element."""
    shape = validate.definition(kind, version)
    *steps, name = path.split(".")[1:]
    for step in steps:
        assert shape is not None
        inner = shape.elements[step].shape
        shape = inner() if inner else None
    assert shape is not None
    return shape, shape.elements.get(name)


def targets_of(types: list[dict[str, Any]], *kinds: str) -> set[str]:
    found: list[str] = []
    for one in types:
        if one["code"] in kinds:
            named = one.get("targetProfile") or one.get("profile") or []
            found += [named] if isinstance(named, str) else named
    names = {one.rpartition("/")[2] for one in found}
    return set() if "Resource" in names else names


@shared
@pytest.mark.parametrize(("version", "path"), list(structure_definitions()), ids=lambda one: getattr(one, "stem", one))
def test_shapes_agree_with_the_definition(version: str, path: Path) -> None:
    resource = json.loads(path.read_text("utf-8"))
    root, *elements = (resource.get("snapshot") or resource["differential"])["element"]
    for one in elements:
        types = one.get("type") or []
        stem = one["path"].removesuffix("[x]")
        open_to = {stem + kind["code"][:1].upper() + kind["code"][1:]: kind["code"] for kind in types}
        only = {stem: types[0]["code"] if types else ""}
        for name, kind in (open_to if one["path"].endswith("[x]") else only).items():
            shape, element = element_at(root["path"], name, version)
            assert element is not None, name
            assert element.many == (one["max"] == "*"), name
            last = name.rpartition(".")[2]
            assert any(last in group for group in shape.required) == (one["min"] > 0), name
            kinds = ("Reference", "CodeableReference")
            expected = targets_of(types, *kinds) if stem == one["path"] or name.endswith(kinds) else set()
            assert element.targets == expected, name
            assert is_of_type(element, kind, version), name


def is_of_type(element: Element, kind: str, version: str) -> bool:
    types = VERSIONS[version].types
    if kind in types:  # a code with a required list has a check of its own
        return element.check is types[kind] or (kind == "code" and element.check not in types.values())
    if not kind or kind.startswith("http://hl7.org/fhirpath/"):  # ids, and elements that are described elsewhere
        return True
    if element.shape is None:
        return kind == "Resource"
    name = element.shape().name
    return name == kind or kind in ("BackboneElement", "Element")


@shared
@pytest.mark.parametrize("version", ["dstu2-ballot2", "r6-ballot2"])
def test_tables_of_the_ballots_agree_with_their_pages(version: str) -> None:
    fhir = {"dstu2-ballot2": "R2-ballot2", "r6-ballot2": "R6-ballot2"}[version]
    with (SHARED / "mapping/ballot_elements.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["fhir"] == fhir and "." in row["path"]]
    assert len(rows) > 30
    for row in rows:
        shape, element = element_at("ImagingStudy", row["path"], version)
        assert element is not None, row["path"]
        assert element.many == (row["max"] == "*")
        assert (row["path"].rpartition(".")[2] in shape.simply) == (row["min"] == "1")
        targets = row["type"].rstrip(")").partition("(")[2]
        assert element.targets == set(targets.split("|")) - {""}
        binding = row["binding"]
        assert ("Required" in binding) <= (element.check is not None and element.check("SECRET") is not None)


@shared
@pytest.mark.parametrize(
    ("version", "path"),
    [
        (version, path)
        for release, versions in EXAMPLES.items()
        for version in versions
        for path in sorted((DEFINITIONS / release / "examples").glob("*.json"))
    ],
    ids=lambda one: getattr(one, "stem", one),
)
def test_the_official_examples(version: str, path: Path) -> None:
    resource = json.loads(path.read_text("utf-8"))
    known = WRONG_EXAMPLES.get((path.name, version), set())
    found = {fault.path.partition(".")[2] for fault in check(resource, version)}
    assert found == known


@shared
def test_the_list_of_wrong_examples_holds_no_other_files() -> None:
    names = {path.name for path in DEFINITIONS.glob("*/examples/*.json")}
    assert {name for name, _ in WRONG_EXAMPLES} <= names


# The tables by themselves --------------------------------------------------------------------------


@pytest.mark.parametrize("table", sorted(TABLES.glob("*.csv")), ids=lambda path: path.stem)
def test_every_row_of_a_table_is_an_element(table: Path) -> None:
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["path"] for row in rows}) == len(rows)
    assert {row["min"] for row in rows} <= {"0", "1"}
    assert {row["max"] for row in rows} <= {"1", "*"}
    kinds = {row["path"] for row in rows if row["type"] == "DomainResource" and "." not in row["path"]}
    named = {name for row in rows for name in row["targets"].split()}
    if table.stem.startswith("dstu2"):
        assert named <= kinds
    for row in rows:
        if "." in row["path"] and row["path"].split(".")[0] in kinds:
            stem = row["path"].removesuffix("[x]")
            first = row["type"].split("|")[0]
            name = stem if stem == row["path"] else stem + first[:1].upper() + first[1:]
            _, element = element_at(row["path"].split(".")[0], name, table.stem)
            assert element is not None
            assert element.many == (row["max"] == "*")
            if element.shape is not None:
                assert element.shape().elements


def test_the_tables_are_those_of_the_versions() -> None:
    assert {path.stem for path in TABLES.glob("*.csv")} == {one.table for one in VERSIONS.values() if one.table}


def test_comments_are_an_element_of_dstu2_alone() -> None:
    resource = {"resourceType": "Patient", "fhir_comments": ["x"], "name": [{"text": "x", "fhir_comments": ["y"]}]}
    assert check(resource, "dstu2") == []
    assert [f.path for f in check(resource, "stu3")] == ["Patient.fhir_comments", "Patient.name[0].fhir_comments"]


# Whatever happens to a resource, the models see no fault that the walk misses -------------------------

JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2**40), st.floats(), st.sampled_from(["", " ", "x", "a b", "1.2", "\x01",
    "2024", "2024-02-30", "urn:oid:1.02", "#p", "Patient/1", "é" * 70]), st.just([]), st.just({}), st.just(["x"]),
    st.just([None]), st.just({"x": 1}), st.just([{"url": "http://a"}]),
)  # fmt: skip


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every (object or list, key or index) of a resource."""
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        yield node, key
        if isinstance(value, dict | list):
            yield from places(value)


@pytest.mark.parametrize("version", ["stu3", "r4", "r5"])
@given(data=st.data())
def test_no_fault_that_models_see_is_missed(version: str, data: Any) -> None:
    resource = data.draw(st.sampled_from([one["resource"] for one in samples.bundle(version)["entry"]]))
    node, key = data.draw(st.sampled_from(list(places(resource))))
    node[key] = data.draw(JUNK)
    kind = resource.get("resourceType")
    model = validate._class(VERSIONS[version].package or "", kind) if isinstance(kind, str) else None
    with (
        patch.object(validate, "_second_say", return_value=()),
        patch.object(Glance, "finds_right", return_value=False),
    ):
        found = check(resource, version)
    assert found or model is None or not list(validate._model_faults(model, resource))
