"""Mutants of small DICOM files: each ends as a record, as one with notes, or with a code, and both readers agree."""

from __future__ import annotations

from collections import Counter

import pytest
from fuzz import LONGEST, MUTATIONS, mutant, originals, outcome, read_mutant, run
from reading import as_in_a_worker

from dicom2fhir.problems import Code

pytestmark = pytest.mark.scanner("reads every mutant by both readers")
MUTANTS, SEED = 5000, 20240119


def test_every_mutant_ends_in_a_known_way() -> None:
    ends = dict(run(SEED, range(MUTANTS), jobs=2))
    faults = {number: end for number, end in ends.items() if end.fault}
    assert not faults, f"python tests/fuzz.py --seed {SEED} --show NUMBER"
    assert sorted(ends) == list(range(MUTANTS))
    fates = Counter(end.fate for end in ends.values())
    assert set(fates) <= {"converted", "noted", *(code.value for code in Code)}
    assert not {"deadline", "memory-limit", "worker-died"} & set(fates)
    assert {"converted", "noted", "truncated-header", "malformed", "not-dicom", "bad-uid", "too-deep"} <= set(fates)
    assert all(count < MUTANTS / 2 for count in fates.values())


def test_a_mutant_is_made_of_its_number_alone() -> None:
    made = [mutant(1, number) for number in range(200)]
    originals.cache_clear()
    assert made == [mutant(1, number) for number in range(200)]
    assert sum(original.content != content for original, content in made) > 180
    assert all(len(original.content) <= LONGEST for original, _ in made)
    assert len({original.content for original, _ in made}) > 100


def test_every_mutation_happens() -> None:
    assert len(MUTATIONS) == len({deed for _, deed in MUTATIONS}) >= 13


@pytest.mark.parametrize(
    ("quick", "slow"),
    [
        (("skip", "malformed", "", ""), ("skip", "truncated-header", "", "")),
        (("skip", "malformed", "", ""), ("header", b"1", None, (), "1.2", ())),
        (("header", b"1", None, ("A",), "1.2", ("2",)), ("header", b"1", None, ("A",), "1.2", ("3",))),
        (("header", b"1", None, ("A",), "1.2", ("2",)), ("header", b"1", None, ("B",), "1.2", ("2",))),
        (("header", b"1", "{}", (), "1.2", ()), ("header", b"1", '{"a":""}', (), "1.2", ())),
    ],
)
def test_a_difference_is_a_fault(quick: tuple[object, ...], slow: tuple[object, ...]) -> None:
    assert outcome(quick, slow).fault
    assert not outcome(quick, quick).fault


def test_a_mutant_is_read_by_both_readers() -> None:
    with as_in_a_worker():
        kind, fate, fault = read_mutant("7", SEED)
    assert (kind, fault) == ("header", "")
    assert fate
