"""What is read once for many series, contexts or instances is what reading each of them gives, notes included."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import CT_IMAGE, REPORT, mapped, record, study

from dicom2fhir.dicom.elements import ELEMENTS, Element, Level
from dicom2fhir.dicom.records import Context, InstanceRecord, StudyRecords
from dicom2fhir.mapping import Settings, build_study
from dicom2fhir.mapping import series as of_series
from dicom2fhir.mapping import study as of_study
from dicom2fhir.mapping.evidence import Voter, agreeing, voters
from dicom2fhir.model import Instance

TEXTS = st.sampled_from((
    "", "a", "b\\c", "R", "L", "U", "CT", "mr", "SR", "nothing", "20240229", "20240230", "1015", "101112.5", "+0100",
    "25", "A^B", "A^B\\C^D", "a=b=c=d", "1.2.3", "1.2.x", "7", "-1", "CHEST", "ARM", "YES", "http://a.test/studies/1",
    "http://a.test", "SCT", "T-A0100", "51440002", "HIGH", "ISO",
))  # fmt: skip
CONTEXT = [one for one in ELEMENTS if one.level is not Level.INSTANCE and not one.keyword.endswith("InstanceUID")]
OWN = [one for one in ELEMENTS if one.level is Level.INSTANCE and one.keyword != "SOPInstanceUID"]


def said(elements: list[Element] | tuple[Element, ...], most: int) -> st.SearchStrategy[dict[str, Any]]:
    """Values of some elements."""
    one = st.sampled_from(elements).flatmap(lambda element: st.tuples(st.just(element.keyword), value(element)))
    return st.lists(one, max_size=most, unique_by=lambda pair: pair[0]).map(dict)


def value(element: Element) -> st.SearchStrategy[Any]:
    return st.lists(said(element.items, 4), min_size=1, max_size=2) if element.items else TEXTS


def of_its_own(series: int, sop_class: str, values: dict[str, Any]) -> Context:
    """A context that has nothing in common with another in memory."""
    return Context("1.2", f"1.2.{series}", sop_class, json.loads(json.dumps(values)))


@st.composite
def records(draw: st.DrawFn) -> StudyRecords:
    """A study whose series have one context or two, and say much alike."""
    alike, shares = draw(said(CONTEXT, 30)), draw(st.booleans())
    instances = []
    for series in range(draw(st.integers(1, 4))):
        values, sop_class = alike | draw(said(CONTEXT, 3)), draw(st.sampled_from((CT_IMAGE, CT_IMAGE, REPORT)))
        contexts = [of_its_own(series, sop_class, values | more) for more in ({}, {"StationName": "other"}, {})]
        for place in draw(st.sampled_from(((0,), (0, 0, 0), (0, 1, 2)))):
            context = contexts[place] if shares else of_its_own(series, sop_class, contexts[place].values)
            own = {"InstanceNumber": draw(TEXTS)} | draw(said(OWN, 2))
            instances.append(InstanceRecord(f"1.2.{series}.{len(instances)}", context, own))
    return StudyRecords("1.2", tuple(sorted(instances, key=lambda one: (one.context.series, one.uid))))


@contextmanager
def plainly() -> Iterator[None]:
    """Every series and context is read by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(of_series, "_known_facts", lambda evidence, settings: None)
        patch.setattr(of_study, "agreeing", lambda electorate, unasked: electorate)
        yield


@settings(max_examples=60, deadline=None)
@given(st.lists(records(), min_size=1, max_size=3), st.booleans())
def test_studies_of_one_run_are_as_each_by_itself(studies: list[StudyRecords], forced: bool) -> None:
    run = Settings(force_patient=forced, body_parts={"ARM": of_series.Concept((), "arm")})
    together = [build_study(one, run) for one in studies]
    with plainly():
        assert [build_study(one, run) for one in studies] == together


def test_series_that_say_the_same_share_what_was_read() -> None:
    run = {"OperatorsName": "A^B", "Manufacturer": "Maker"}
    first, second = study(record(1, 1, **run), record(1, 2, SeriesDescription="other", **run)).series
    assert [one.role for one in first.performers] == ["operator", "device"]
    assert first.performers is second.performers


def test_what_is_wrong_is_noted_for_every_series() -> None:
    _, problems = mapped(*(record(1, series, BodyPartExamined="NOWHERE") for series in (1, 2, 3)))
    assert [problem.where for problem in problems if problem.code is of_series.Code.BODY_PART_UNMAPPED] == [
        f"1.2/1.2.{series}/BodyPartExamined" for series in (1, 2, 3)
    ]


def test_another_site_reads_anew() -> None:
    instance = record(BodyPartExamined="ARMBAND")
    sites = [study(instance, body_parts={"ARMBAND": of_series.Concept((), words)}) for words in ("arm", "wrist")]
    assert [one.series[0].body_sites[0].text for one in sites] == ["arm", "wrist"]


def test_what_is_remembered_has_an_end() -> None:
    assert of_series._read_quietly.cache_info().maxsize == of_series._REMEMBERED
    of_series._read_quietly.cache_clear()
    code = [{"CodeValue": "1", "CodeMeaning": "x" * of_series._LONG}]
    study(record(AnatomicRegionSequence=code))
    assert of_series._read_quietly.cache_info().currsize == 0


def test_contexts_that_agree_are_one_voter() -> None:
    same = [record(number, PatientSex="F", SeriesDescription=str(number)) for number in (1, 2)]
    found = agreeing(voters([*same, record(3, PatientSex="M")]), frozenset({"SeriesDescription"}))
    assert [(one.count, one.contexts, one.rank[1]) for one in found] == [(2, 2, 1), (1, 1, 3)]
    assert all("SeriesDescription" not in one.values for one in found)


def test_images_do_not_agree_with_others() -> None:
    found = agreeing(voters([record(1), record(2, sop_class=REPORT)]), frozenset())
    assert [one.is_image for one in found] == [True, False]


def test_no_keyword_of_the_study_is_left_out() -> None:
    feeds = {one.keyword: one.feeds for one in ELEMENTS}
    of_the_study = [name for name in of_series.SERIES_ALONE if "Study." in feeds[name] and name != "Modality"]
    assert of_the_study == []  # (0008,0060) makes Study.modalities by way of the series
    assert set(of_series._FACTS) <= feeds.keys()


def test_every_field_of_an_instance_is_in_its_place() -> None:
    (found,) = study(record(7, NumberOfFrames="3", sop_class="1.2.840.10008.5.1.4.1.1.104.1", DocumentTitle="t")).series
    (one,) = found.instances
    assert one == Instance("1.2.1.7", "1.2.840.10008.5.1.4.1.1.104.1", 7, "t", 3, one.class_name)
    assert type(one) is Instance
    assert one.class_name == "Encapsulated PDF Storage"


def test_voters_stand_for_one_context_at_first() -> None:
    assert {voter.contexts for voter in voters([record(1), record(2)])} == {
        Voter.__dataclass_fields__["contexts"].default
    }
