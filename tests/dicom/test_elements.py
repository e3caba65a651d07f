"""The table of wanted attributes, held against pydicom's dictionary (PS3.6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import is_dataclass
from itertools import pairwise

import pytest
from pydicom.datadict import dictionary_keyword, dictionary_VR

from dicom2fhir import model
from dicom2fhir.dicom.elements import BY_TAG, ELEMENTS, LAST_WANTED, Element, Level

DEPTH_LIMIT = 16


def everything(elements: Iterable[Element]) -> Iterator[Element]:
    for element in elements:
        yield element
        yield from everything(element.items)


def depth(element: Element) -> int:
    return 1 + max(map(depth, element.items), default=0)


@pytest.mark.parametrize("element", sorted(set(everything(ELEMENTS)), key=lambda e: e.tag), ids=lambda e: e.keyword)
def test_keyword_and_vr_are_the_dictionary_s(element: Element) -> None:
    assert dictionary_keyword(element.tag) == element.keyword
    assert dictionary_VR(element.tag) == element.vr


def test_the_table_is_in_order_and_names_nothing_twice() -> None:
    assert all(first.tag < second.tag for first, second in pairwise(ELEMENTS))
    assert ELEMENTS[-1].tag == LAST_WANTED
    assert list(BY_TAG.values()) == list(ELEMENTS)


def test_items_name_nothing_twice() -> None:
    for element in everything(ELEMENTS):
        assert len({item.tag for item in element.items}) == len(element.items), element.keyword


def test_only_sequences_have_items_and_all_of_them_have() -> None:
    for element in everything(ELEMENTS):
        assert (element.vr == "SQ") == bool(element.items), element.keyword


def test_levels() -> None:
    assert all(element.level is not Level.ITEM for element in ELEMENTS)
    inside = [item for element in ELEMENTS for item in everything(element.items)]
    assert all(item.level is Level.ITEM for item in inside)


def test_what_is_wanted_is_never_deeper_than_the_limit() -> None:
    assert max(map(depth, ELEMENTS)) <= DEPTH_LIMIT


def test_all_lie_before_the_pixel_data() -> None:
    assert ELEMENTS[0].tag > 0x00080000
    assert LAST_WANTED < 0x7FE00000


@pytest.mark.parametrize("element", [e for e in ELEMENTS if e.feeds], ids=lambda e: e.keyword)
def test_every_target_is_in_the_model(element: Element) -> None:
    for target in element.feeds.split(", "):
        owner, _, name = target.partition(".")
        kind = getattr(model, owner)
        assert is_dataclass(kind) or issubclass(kind, tuple)
        assert name in kind.__annotations__ or hasattr(kind, name), target
