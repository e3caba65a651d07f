"""R4B says what R4 says, in every policy; only its name differs."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
from hypothesis import given
from policies import policies
from studies import CT_IMAGE, series, studies, study

from dicom2fhir.errors import UsageError
from dicom2fhir.fhir import dialect, r4, r4b
from dicom2fhir.fhir.policy import Policy, check_study
from dicom2fhir.model import Code, Concept, Instance, Owner, Patient, PersonName, Procedure, Study

WORDS = Concept((Code("1", "http://snomed.info/sct"),), "words")
NAME = PersonName("alphabetic", "Doe")


def test_it_is_r4_under_another_name() -> None:
    differing = {
        one.name for one in fields(r4.DIALECT) if getattr(r4.DIALECT, one.name) != getattr(r4b.DIALECT, one.name)
    }
    assert differing == {"name", "release"}
    assert (r4b.DIALECT.name, r4b.DIALECT.release) == ("r4b", "4.3.0")


@given(study=studies, policy=policies)
def test_the_bytes_are_those_of_r4(study: Study, policy: Policy) -> None:
    try:
        check_study(study, policy)
    except UsageError:
        return
    ours, theirs = (dialect.render(study, one.DIALECT, policy) for one in (r4b, r4))
    assert json.dumps(ours.resources) == json.dumps(theirs.resources)
    assert ours.entries == theirs.entries
    assert [one._replace(message="") for one in ours.problems] == [one._replace(message="") for one in theirs.problems]


@pytest.mark.parametrize(
    "one",
    [
        study(one=series(body_sites=(WORDS, WORDS))),
        study(procedures=(Procedure((), WORDS), Procedure((), WORDS))),
        study(Patient("phantom"), procedures=(Procedure((), WORDS),)),
        study(Patient(owner=Owner((NAME, NAME)))),
        study(one=series(instances=(Instance("1.2.3.4.5", CT_IMAGE, frames=2),))),
    ],
)
def test_what_is_lost_is_lost_in_r4b(one: Study) -> None:
    (problem,) = dialect.render(one, r4b.DIALECT, Policy()).problems
    assert "r4b" in problem.message.lower()
