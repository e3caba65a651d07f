"""Body sites and sides: which statement counts, and what instances and frames have to agree on."""

from __future__ import annotations

from typing import Any

import pytest
from records import code, notes, record, series

from dicom2fhir.dicom.records import InstanceRecord
from dicom2fhir.model import Code, Concept
from dicom2fhir.problems import Code as ProblemCode

SCT = "http://snomed.info/sct"
KNEE, HAND = code("72696002", "SCT", "Knee"), code("85562004", "SCT", "Hand")


def frame(region: dict[str, Any] | None = None, side: str | None = None) -> dict[str, Any]:
    said = {"AnatomicRegionSequence": [region] if region else [], "FrameLaterality": side or ""}
    return {"FrameAnatomySequence": [{keyword: value for keyword, value in said.items() if value}]}


def sites(*instances: InstanceRecord, **settings: Any) -> list[str | None]:
    return [site.codes[0].value if site.codes else site.text for site in series(*instances, **settings).body_sites]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"AnatomicRegionSequence": [KNEE], "BodyPartExamined": "HAND"}, ["72696002"]),
        ({"AnatomicRegionSequence": [KNEE, HAND]}, ["72696002", "85562004"]),
        ({"AnatomicRegionSequence": [{}], "BodyPartExamined": "HAND"}, ["85562004"]),
        ({"SharedFunctionalGroupsSequence": [frame(KNEE)], "BodyPartExamined": "HAND"}, ["72696002"]),
        ({"PerFrameFunctionalGroupsSequence": [frame(KNEE), frame(KNEE)]}, ["72696002"]),
        ({"PerFrameFunctionalGroupsSequence": [frame(KNEE), frame(HAND)]}, []),
        ({"PerFrameFunctionalGroupsSequence": [frame(KNEE), frame(HAND)], "BodyPartExamined": "KNEE"}, ["72696002"]),
        (
            {
                "SharedFunctionalGroupsSequence": [frame(KNEE)],
                "PerFrameFunctionalGroupsSequence": [frame(HAND)],
            },
            ["72696002"],
        ),
        ({"BodyPartExamined": "knee"}, ["72696002"]),
        ({"BodyPartExamined": "\\KNEE\\HAND"}, ["72696002"]),
        ({"BodyPartExamined": "SOMEWHERE"}, ["SOMEWHERE"]),
        ({}, []),
    ],
)
def test_the_body_site_is_coded_then_of_the_frames_then_a_term(values: dict[str, Any], found: list[str]) -> None:
    assert sites(record(**values)) == found


def test_the_sites_table_of_body_parts_comes_first() -> None:
    table = {"KNEE": Concept((Code("1", "urn:x"),), "Our knee")}
    assert sites(record(BodyPartExamined="KNEE"), body_parts=table) == ["1"]
    assert sites(record(BodyPartExamined="HAND"), body_parts=table) == ["85562004"]


def test_the_most_frequent_site_comes_first_and_the_others_after_it() -> None:
    terms = ("HAND", "KNEE", "KNEE", None)
    instances = [record(number, BodyPartExamined=term) for number, term in enumerate(terms, 1)]
    assert sites(*instances) == ["72696002", "85562004"]
    assert notes(*instances)[ProblemCode.BODY_PART_CONFLICT, "BodyPartExamined"] == 1


@pytest.mark.parametrize(
    ("values", "noted"),
    [
        ({"AnatomicRegionSequence": [KNEE], "BodyPartExamined": "HAND"}, {ProblemCode.BODY_PART_CONFLICT}),
        ({"AnatomicRegionSequence": [KNEE], "BodyPartExamined": "KNEE"}, set()),
        ({"AnatomicRegionSequence": [KNEE, HAND], "BodyPartExamined": "HAND"}, set()),
        ({"AnatomicRegionSequence": [KNEE], "BodyPartExamined": "FETALHEART"}, set()),
        ({"BodyPartExamined": "FETALHEART"}, set()),
        ({"BodyPartExamined": "SOMEWHERE"}, {ProblemCode.BODY_PART_UNMAPPED}),
    ],
)
def test_notes_of_body_parts_count_once(values: dict[str, Any], noted: set[ProblemCode]) -> None:
    found = notes(record(PatientID=None, **values))
    assert found == {(problem, "BodyPartExamined"): 1 for problem in noted}


def modified(*sides: str) -> dict[str, Any]:
    return {**KNEE, "AnatomicRegionModifierSequence": [code(side, "SCT") for side in sides]}


LEFT, RIGHT, BOTH, UNILATERAL = "7771000", "24028007", "51440002", "66459002"


@pytest.mark.parametrize(
    ("values", "side"),
    [
        ({"Laterality": "R"}, "right"),
        ({"Laterality": "l"}, "left"),
        ({"Laterality": "R", "ImageLaterality": "L"}, "left"),
        ({"Laterality": "R", "MeasurementLaterality": "L"}, "left"),
        ({"MeasurementLaterality": "R", "ImageLaterality": "L"}, "left"),
        ({"ImageLaterality": "U", "Laterality": "R"}, None),
        ({"ImageLaterality": "B"}, "both"),
        ({"Laterality": "X"}, None),
        ({"Laterality": "R", "AnatomicRegionSequence": [modified(LEFT)]}, "right"),
        ({"AnatomicRegionSequence": [modified(LEFT)]}, "left"),
        ({"AnatomicRegionSequence": [modified(RIGHT)]}, "right"),
        ({"AnatomicRegionSequence": [modified(BOTH)]}, "both"),
        ({"AnatomicRegionSequence": [modified(UNILATERAL)]}, None),
        ({"AnatomicRegionSequence": [modified(LEFT, RIGHT)]}, None),
        ({"SharedFunctionalGroupsSequence": [frame(modified(LEFT))]}, "left"),
        ({"SharedFunctionalGroupsSequence": [frame(side="L")], "ImageLaterality": "R"}, "left"),
        ({"PerFrameFunctionalGroupsSequence": [frame(side="L"), frame(side="L")]}, "left"),
        ({"PerFrameFunctionalGroupsSequence": [frame(side="L"), frame(side="R")], "Laterality": "R"}, None),
        ({"ImageLaterality": "L", "AnatomicRegionSequence": [code("80248007", "SCT", "Left breast")]}, None),
    ],
)
def test_the_side_is_that_of_frame_image_measurement_series_and_modifier(
    values: dict[str, Any], side: str | None
) -> None:
    assert series(record(**values)).laterality == side


@pytest.mark.parametrize(
    ("sides", "side", "mixed"),
    [
        (["L", "L"], "left", False),
        (["L", None], "left", False),
        (["L", "R"], None, True),
        (["L", "B"], None, True),
        (["L", "U"], None, True),
        (["U", "U"], None, False),
    ],
)
def test_all_instances_have_to_agree_on_the_side(sides: list[str | None], side: str | None, mixed: bool) -> None:
    instances = [record(number, ImageLaterality=term) for number, term in enumerate(sides)]
    assert series(*instances).laterality == side
    assert ((ProblemCode.LATERALITY_MIXED, "Laterality") in notes(*instances)) == mixed


def test_a_side_that_is_none_is_noted() -> None:
    assert notes(record(Laterality="X"))[ProblemCode.VALUE_INVALID, "Laterality"] == 1
