"""What was known on admission, and the name of an instance's class: what DSTU2 and its ballot alone write."""

from __future__ import annotations

from typing import Any

import pytest
from records import code, notes, record, series, study

from dicom2fhir.problems import Code

DIAGNOSES = "AdmittingDiagnosesDescription"
HISTORY = "AdditionalPatientHistory"
CODES = "AdmittingDiagnosesCodeSequence"
PNEUMONIA = code("J18.9", "I10", "Pneumonia, unspecified")
FALL = code("W19", "NOWHERE", "Fall")


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({}, ()),
        ({DIAGNOSES: "Pneumonia"}, ("Pneumonia",)),
        ({DIAGNOSES: "Pneumonia\\Fall"}, ("Pneumonia; Fall",)),
        ({DIAGNOSES: "Pneumonia", CODES: [FALL], HISTORY: "Smoker"}, ("Pneumonia", "Smoker")),
        ({CODES: [PNEUMONIA, FALL, FALL]}, ("Pneumonia, unspecified; Fall",)),
        ({DIAGNOSES: " ", CODES: [FALL]}, ("Fall",)),
        ({CODES: [code("W19")]}, ()),
        ({HISTORY: "Smoker, 10\\day"}, ("Smoker, 10\\day",)),  # a long text has no second value
    ],
)
def test_diagnoses_then_history(values: dict[str, Any], found: tuple[str, ...]) -> None:
    assert study(record(**values)).clinical_information == found
    assert study(record(**values)).reasons == ()
    assert notes(record(**values)).keys() == notes(record()).keys()


def test_the_majority_knows_best() -> None:
    instances = [record(number, **{DIAGNOSES: words}) for number, words in enumerate(("A", "B", "B"), 1)]
    assert study(*instances).clinical_information == ("B",)
    assert (Code.VALUE_CONFLICT, DIAGNOSES) in notes(*instances)


@pytest.mark.parametrize(
    ("sop_class", "name"),
    [
        ("1.2.840.10008.5.1.4.1.1.2", "CT Image Storage"),
        ("1.2.840.10008.5.1.4.1.1.88.59", "Key Object Selection Document Storage"),
        ("1.2.3", None),
    ],
)
def test_a_class_has_a_name_where_it_is_known(sop_class: str, name: str | None) -> None:
    (found,) = series(record(sop_class=sop_class)).instances
    assert found.class_name == name
