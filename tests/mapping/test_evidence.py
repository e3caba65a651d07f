"""Elections: images first, the most frequent, ties by rank or by the value itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import KEY_OBJECT, REPORT, mapped, notes, record, study

from dicom2fhir.dicom.records import InstanceRecord
from dicom2fhir.mapping.evidence import Evidence, Notebook, elect, quiet_integer, voters
from dicom2fhir.problems import Code, Problem


def described(number: int, words: str | None, series: int = 1, **more: Any) -> InstanceRecord:
    return record(number, series, StudyDescription=words, **more)


@pytest.mark.parametrize(
    ("instances", "winner", "contested"),
    [
        ([described(1, "a")], "a", False),
        ([described(1, "a"), described(2, "b"), described(3, "b")], "b", True),
        ([described(2, "a"), described(1, "b")], "b", True),
        ([described(1, "a", 2), described(9, "b", 1)], "b", True),
        ([described(1, "a", 2), described(1, "b", 10)], "a", True),
        ([described(1, "a", InstanceNumber=None), described(2, "b")], "b", True),
        ([described(1, "a", SeriesNumber=None), described(2, "b", SeriesNumber="9")], "b", True),
        ([described(1, None), described(2, "b")], "b", False),
        ([described(1, "  "), described(2, "b")], "b", False),
        ([described(1, "a", sop_class=REPORT), described(2, "b")], "b", False),
        ([described(1, "a", sop_class=KEY_OBJECT), described(2, None)], "a", False),
        ([described(1, "a", sop_class=REPORT), described(2, "b", sop_class=REPORT)], "a", True),
        ([described(1, None)], None, False),
    ],
)
def test_the_most_frequent_text_of_images_wins(instances: list[InstanceRecord], winner: str, contested: bool) -> None:
    assert study(*instances).description == winner
    assert notes(*instances).get((Code.VALUE_CONFLICT, "StudyDescription")) == (1 if contested else None)


def test_a_tie_may_be_decided_by_the_value() -> None:
    electorate = voters([described(1, "b"), described(2, "a"), described(3, "c")])
    assert elect(electorate, lambda voter: voter.text("StudyDescription")).value == "b"
    assert elect(electorate, lambda voter: voter.text("StudyDescription"), tie=str).value == "a"


def test_nothing_and_an_empty_tuple_are_no_votes() -> None:
    answers: dict[int, tuple[str, ...] | None] = {1: (), 2: None, 3: ("a",)}
    electorate = voters([record(number) for number in answers])
    assert elect(electorate, lambda voter: answers[voter.rank[1]]).value == ("a",)


def test_instances_of_one_context_are_one_voter_of_that_many_votes() -> None:
    first, other = record(5), record(2, StudyDescription="b")
    shared = [first._replace(uid=f"1.2.1.{number}", values={"InstanceNumber": str(number)}) for number in (7, 3)]
    found = voters([*shared, other])
    assert [(voter.count, voter.rank[1]) for voter in found] == [(1, 2), (2, 3)]


@pytest.mark.parametrize(("text", "number"), [("7", 7), ("", 2**31), ("-1", 2**31), ("x", 2**31), ("\\4", 4)])
def test_what_is_no_number_sorts_last(text: str, number: int) -> None:
    assert quiet_integer(text) == number


def test_distinct_values_come_by_rank() -> None:
    evidence = Evidence([described(3, "c"), described(1, "a"), described(2, "c")], Notebook("1.2"))
    assert evidence.distinct(lambda voter: [voter.text("StudyDescription")]) == ["a", "c"]


def test_one_code_at_one_place_is_one_problem() -> None:
    notebook = Notebook("1.2")
    notebook.add(Code.VALUE_INVALID, "1.2.1", "X")
    notebook.add(Code.VALUE_INVALID, "1.2.1", "X", count=3)
    notebook.add(Code.VALUE_INVALID, "1.2.2", "X")
    assert notebook.problems() == [
        Problem(Code.VALUE_INVALID, "1.2/1.2.1/X", count=4),
        Problem(Code.VALUE_INVALID, "1.2/1.2.2/X"),
    ]


@given(st.permutations(range(6)), st.lists(st.sampled_from(["", "a", "b"]), min_size=6, max_size=6))
def test_the_order_of_instances_and_who_shares_a_context_do_not_matter(order: list[int], words: list[str]) -> None:
    instances = [described(number, text, series=1 + number % 2) for number, text in enumerate(words)]
    contexts = {(i.context.series, str(i.context.values)): i.context for i in instances}
    sharing = [i._replace(context=contexts[i.context.series, str(i.context.values)]) for i in instances]
    assert mapped(*(sharing[index] for index in order)) == mapped(*instances)
