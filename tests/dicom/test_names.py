from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom2fhir.dicom.names import parse_name, parse_names
from dicom2fhir.dicom.values import BadValue, clean_text
from dicom2fhir.model import PersonName
from dicom2fhir.problems import Code


def only(text):
    (name,) = parse_name(text)
    return name


def test_the_five_components_of_a_name():
    assert only("Adams^John Robert^Quincy^Rev.^B.A. M.Div.") == PersonName(
        "alphabetic", "Adams", ("John Robert", "Quincy"), "Rev.", "B.A. M.Div.",
        "Rev. John Robert Quincy Adams B.A. M.Div.",
    )  # fmt: skip


def test_three_representations_are_three_names():
    assert parse_name("Yamada^Tarou=山田^太郎=やまだ^たろう") == (
        PersonName("alphabetic", "Yamada", ("Tarou",), text="Tarou Yamada"),
        PersonName("ideographic", "山田", ("太郎",), text="山田太郎"),
        PersonName("phonetic", "やまだ", ("たろう",), text="やまだ たろう"),
    )


def test_a_group_that_says_nothing_is_left_out():
    assert [name.representation for name in parse_name("^^^^=山田^太郎=")] == ["ideographic"]
    assert [name.representation for name in parse_name("==やまだ")] == ["phonetic"]


@pytest.mark.parametrize("text", ["", "^", "^^^^", " ^ ", "=", "^=^=^", "=====", "\\"])
def test_carets_are_no_name(text):
    assert parse_name(text) == ()


def test_one_component_is_a_family_name_unless_it_is_several_words():
    assert only("Adams") == PersonName("alphabetic", "Adams", text="Adams")
    assert only("Adams^^^^") == only("Adams")
    assert only("John Adams") == PersonName("alphabetic", text="John Adams")
    assert only("Adams,John^") == PersonName("alphabetic", text="Adams,John")
    assert only("=山田\u3000太郎") == PersonName("ideographic", text="山田\u3000太郎")


def test_a_component_between_carets_may_have_several_words():
    assert only("van der Berg^Jan") == PersonName("alphabetic", "van der Berg", ("Jan",), text="Jan van der Berg")


def test_a_middle_name_without_a_first_and_a_name_without_a_family():
    assert only("Adams^^Quincy").given == ("Quincy",)
    assert only("^Rex") == PersonName("alphabetic", None, ("Rex",), text="Rex")


def test_more_than_five_components_are_words():
    assert only("A^B^C^D^E^F^") == PersonName("alphabetic", text="A B C D E F")


def test_more_than_three_groups_are_no_name():
    with pytest.raises(BadValue) as caught:
        parse_name("A=B=C=D")
    assert caught.value.code is Code.VALUE_INVALID


def test_several_names_keep_their_places():
    first, nobody, third = parse_names("A^B\\\\C")
    assert (first[0].family, nobody, third[0].family) == ("A", (), "C")
    assert parse_names("") == []


def test_of_several_names_where_one_is_wanted_the_first_counts():
    assert only("\\Adams\\Smith").family == "Adams"


@given(st.lists(st.sampled_from(["A", "b c", " ", "^", "=", "\\", "\0", "\x1b"]), max_size=12).map("".join))
def test_every_name_says_something(text):
    try:
        names = parse_name(text)
    except BadValue:
        return
    for name in names:
        assert name.text
        for word in (name.family, *name.given, name.prefix, name.suffix):
            assert word is None or word == clean_text(word)
