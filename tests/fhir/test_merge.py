"""Merging: a stored study and a new one of the same study become one that has lost nothing."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any
from unittest.mock import patch

import check
import pytest
from check import GOLDENS, expected
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from policies import emit
from served import found, serve, study_of
from studies import CT_IMAGE, maybe, series, studies, study

from dicom2fhir import pipeline
from dicom2fhir.fhir import bundle as bundles
from dicom2fhir.fhir import validate
from dicom2fhir.fhir.merge import MergeImpossible, merge
from dicom2fhir.fhir.policy import CREATABLE, DEFAULT_CREATE, Policy
from dicom2fhir.fhir.stored import references, resolve, same, same_patient
from dicom2fhir.model import (
    Code,
    Concept,
    Identifier,
    Instance,
    Modality,
    Moment,
    Patient,
    PersonName,
    Practitioner,
    Request,
    Series,
    Study,
)
from dicom2fhir.pipeline import Options
from dicom2fhir.sources.base import Found
from dicom2fhir.sources.directory import Paths

VERSIONS = ("dstu2", "stu3", "r4", "r4b", "r5", "r6")
"""The versions that a server may have."""
UNLIKE = ("dstu2", "stu3", "r4", "r5", "r6")
"""Those that differ in what a study says."""
few = settings(max_examples=settings.default.max_examples // 10)  # each example is two or three whole studies


# A delivery, as the engine does it: read, resolve, merge, write


def entry_of(bundle: Any) -> Any:
    return next(entry for entry in bundle["entry"] if entry["resource"]["resourceType"] == "ImagingStudy")


def ours_of(bundle: Any, held: Any) -> Any:
    study = study_of(held)
    return resolve(entry_of(bundle)["resource"], bundle, {one: held[one] for one in references(study) if one in held})


def merged(held: Any, bundle: Any) -> Any:
    """What becomes of the held study."""
    study, ours = study_of(held), ours_of(bundle, held)
    known = {one: held[one] for one in references(study) if one in held}
    assert same_patient(study, ours, known, bundle)
    return merge(study, ours)


def with_study(bundle: Any, study: Any) -> Any:
    """A Bundle with another form of its study, put under its id."""
    written = entry_of(bundle) | {"resource": study, "request": {"method": "PUT", "url": f"ImagingStudy/{study['id']}"}}
    return bundle | {"entry": [written if entry is entry_of(bundle) else entry for entry in bundle["entry"]]}


def deliver(held: Any, bundle: Any) -> Any:
    """What is held after a Bundle was merged into it."""
    return serve(with_study(bundle, merged(held, bundle)), held)


# What studies have in common, told without the code under test


def uids(study: Any) -> set[tuple[str, str]]:
    return {(one["uid"], each["uid"]) for one in study["series"] for each in one.get("instance", ())}


def counts_hold(study: Any) -> bool:
    of_series = [(one["numberOfInstances"], len(one.get("instance", ()))) for one in study["series"]]
    whole = study["numberOfSeries"] == len(study["series"]) and study["numberOfInstances"] == len(uids(study))
    return whole and all(told == listed for told, listed in of_series)


def order_holds(study: Any) -> bool:
    def is_sorted(items: Any) -> bool:
        ranks = [("number" not in one, one.get("number", 0), one["uid"]) for one in items]
        return ranks == sorted(ranks)

    return is_sorted(study["series"]) and all(is_sorted(one.get("instance", ())) for one in study["series"])


def content(study: Any) -> Any:
    """What a study says: contained resources in the place of references, lists in no order."""
    inside = {"#" + one["id"]: one for one in study.get("contained", ())}

    def said(node: Any) -> Any:
        if isinstance(node, list):
            return sorted((said(one) for one in node), key=lambda one: json.dumps(one, sort_keys=True))
        if isinstance(node, dict):
            return {name: said(value) for name, value in node.items() if name != "id"}
        return said(inside[node]) if isinstance(node, str) and node in inside else node

    return said({name: value for name, value in study.items() if name not in ("id", "meta", "contained")})


def things(study: Any) -> set[str]:
    """Whatever a study has several of: each item of each list, by what it says and where it is."""

    def walk(node: Any, path: str) -> Iterator[str]:
        for name, value in node.items():
            for one in value if isinstance(value, list) else [value]:
                where = f"{path}.{name}"
                if isinstance(one, dict) and name in ("series", "instance"):
                    yield from walk(one, f"{where}[{one['uid']}]")
                elif name == "accession":  # the place, up to STU3, of one of the identifiers
                    yield f"{path}.identifier={json.dumps(one, sort_keys=True)}"
                elif isinstance(value, list):
                    yield f"{where}={json.dumps(one, sort_keys=True)}"

    return set(walk(content(study), ""))


# Exports of one study: the whole of it, and parts


def unlike(study: Study) -> Study:
    """A study as the pipeline has it: no two series or instances have one UID, all are listed, in their order."""
    series = []
    for number, one in enumerate(study.series):
        listed = one.instances or (Instance("1.2", "1.2.840.10008.5.1.4.1.1.2"),)
        instances = [each._replace(uid=f"1.2.{number}.{place}") for place, each in enumerate(listed)]
        ordered = tuple(sorted(instances, key=rank))
        series.append(replace(one, uid=f"1.3.{number}", instances=ordered, instance_count=len(ordered)))
    return replace(study, series=tuple(sorted(series, key=rank)))


def rank(one: Series | Instance) -> tuple[bool, int, str]:
    return one.number is None, one.number or 0, one.uid


def part(study: Study, kept: set[str]) -> Study:
    """A study of which some instances were exported; all of them, where that would be none."""
    series = []
    for one in study.series:
        instances = tuple(each for each in one.instances if each.uid in kept)
        if instances:
            series.append(replace(one, instances=instances, instance_count=len(instances)))
    return replace(study, series=tuple(series)) if series else study


@st.composite
def exports(draw: st.DrawFn) -> tuple[Study, Study, Study]:
    """A whole study, and two parts of it that have all instances between them, some of them perhaps twice."""
    whole = unlike(draw(studies))
    in_first, in_second = set(), set()
    for one in (each for group in whole.series for each in group.instances):
        where = draw(st.sampled_from(("first", "second", "both")))
        in_first |= {one.uid} if where != "second" else set()
        in_second |= {one.uid} if where != "first" else set()
    return whole, part(whole, in_first), part(whole, in_second)


@st.composite
def described_otherwise(draw: st.DrawFn, study: Study) -> Study:
    """The same patient's study with less, or other things, said about it."""
    other = draw(studies)
    names = ("study_id", "accessions", "started", "description", "requests", "referrer", "interpreters", "reasons",
             "procedures", "procedure_codes", "encounter", "location", "endpoints")  # fmt: skip
    taken = draw(st.sets(st.sampled_from(names)))
    series = tuple(
        replace(one, modality=draw(st.sampled_from((one.modality, other.series[0].modality))),
                description=draw(maybe(st.just("other"))), started=draw(st.sampled_from((one.started, other.started))),
                performers=draw(st.sampled_from((one.performers, other.series[0].performers, ()))))
        for one in study.series
    )  # fmt: skip
    return replace(study, series=series, **{name: getattr(other, name) for name in taken})


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Study, Study]:
    """Two exports of one study that have something, or nothing, in common."""
    _, first, second = draw(exports())
    return first, draw(described_otherwise(second))


sent = st.builds(
    Policy,
    write=st.sampled_from(("put", "conditional-update")),
    bundle_type=st.sampled_from(("transaction", "transaction", "batch")),
    patient=st.sampled_from(("auto", "auto", "contained", "identifier", "Patient/5")),
    create=st.sampled_from((DEFAULT_CREATE, CREATABLE, frozenset(("Patient",)))),
)
"""The policies under which stored studies are merged."""


def bundles_of(policy: Policy, version: str, *each: Study) -> list[Any]:
    """The Bundles of some exports; the example is given up where this version or policy refuses them."""
    emissions = [emit(one, policy, version) for one in each]
    made = [bundles.bundle(one, policy) for one in emissions if one is not None]
    everything = {f"{one['resource']['resourceType']}/{one['fullUrl']}": one for each in made for one in each["entry"]}
    bodies = {place: one["resource"] for place, one in everything.items()}
    # Two companions that share a number are one search with two answers: a server refuses those.
    assume(len(made) == len(each) and all(len(found(one, bodies)) <= 1 for one in everything.values()))
    return made


# Properties


@pytest.mark.parametrize("version", UNLIKE)
@few
@given(pair=pairs(), policy=sent)
def test_nothing_that_is_stored_is_lost(version: str, pair: tuple[Study, Study], policy: Policy) -> None:
    first, second = bundles_of(policy, version, *pair)
    held = serve(first)
    study, ours, result = study_of(held), ours_of(second, held), merged(held, second)
    assert uids(result) == uids(study) | uids(ours)
    assert counts_hold(result)
    assert order_holds(result)
    assert result["id"] == study["id"]
    assert subject_of(result) == subject_of(study)
    assert validate.check(with_study(second, result), version) == []
    assert stands_in(things(study), result)


def subject_of(study: Any) -> Any:
    subject = study.get("subject") or study["patient"]
    used = [one for one in study.get("contained", ()) if f"#{one['id']}" == subject.get("reference")]
    return content({"subject": subject, "contained": used})


def stands_in(listed: set[str], study: Any) -> bool:
    """Whether each of these things is in a study, or one that says more."""
    there = things(study)
    return all(one in there or any(is_richer(other, one) for other in there) for one in listed if not follows(one))


def follows(thing: str) -> bool:
    """The modalities of a study are those of its series, which may have got another; an instance is as it was last."""
    return thing.startswith((".modality=", ".modalityList=")) or "].content=" in thing


def is_richer(more: str, less: str) -> bool:
    (where, _, one), (place, _, other) = more.partition("={"), less.partition("={")
    return where == place and bool(one) and covers(json.loads("{" + one), json.loads("{" + other))


def covers(more: Any, less: Any) -> bool:
    if isinstance(less, dict) and isinstance(more, dict):
        return all(name in more and covers(more[name], value) for name, value in less.items())
    if isinstance(less, list) and isinstance(more, list):
        return all(any(covers(one, each) for one in more) for each in less)
    return bool(more == less)


@pytest.mark.parametrize("version", UNLIKE)
@few
@given(pair=pairs(), policy=sent)
def test_merging_again_changes_nothing(version: str, pair: tuple[Study, Study], policy: Policy) -> None:
    first, second = bundles_of(policy, version, *pair)
    held = serve(first)
    study, ours = study_of(held), ours_of(second, held)
    result = merge(study, ours)
    assert merge(result, ours) == result
    assert json.dumps(merge(study, ours)) == json.dumps(result)
    after = deliver(held, second)  # what was unresolved has an address now
    assert same(study_of(after), merged(after, second))


@pytest.mark.parametrize("version", UNLIKE)
@few
@given(export=exports(), policy=sent)
def test_a_part_and_then_the_whole_is_the_whole(version: str, export: Any, policy: Policy) -> None:
    whole, some, _ = bundles_of(policy, version, *export)
    after = deliver(serve(some), whole)
    assert same(study_of(after), ours_of(whole, after))


@pytest.mark.parametrize("version", UNLIKE)
@few
@given(export=exports(), policy=sent)
def test_the_whole_and_then_a_part_is_the_whole(version: str, export: Any, policy: Policy) -> None:
    whole, some, _ = bundles_of(policy, version, *export)
    held = serve(whole)
    assert same(study_of(held), merged(held, some))


@pytest.mark.parametrize("version", UNLIKE)
@few
@given(export=exports(), policy=sent)
def test_two_parts_in_any_order_are_the_whole(version: str, export: Any, policy: Policy) -> None:
    whole, first, second = bundles_of(policy, version, *export)
    one_way, other_way = deliver(serve(first), second), deliver(serve(second), first)
    assert content_of(one_way, whole) == content_of(other_way, whole) == content_of(serve(whole), whole)


def content_of(held: Any, bundle: Any) -> Any:
    """What the study says, whatever addresses the server gave to what the Bundle created."""
    text = json.dumps(content(study_of(held)))
    for entry in bundle["entry"]:
        for place in found(entry, held):
            text = text.replace(f'"{place}"', json.dumps(entry["fullUrl"]))
    return content(json.loads(text))


# Real files

CASES = (
    "accessions-of-two-series", "body-part-varies", "key-object", "laterality-mixed",
    "mg-bilateral", "modalities-of-a-study", "number-absent", "performed-steps-two", "performers-vary",
    "sr-ko-pr-pdf", "started-majority", "titles-of-derived-objects", "two-accessions", "us",
)  # fmt: skip


@cache
def converted(version: str, cases: tuple[str, ...], start: int, step: int) -> list[Any]:
    """The bundles of some cases, each made of every `step`th of its files."""
    found = [[one for one in Paths([str(check.FOLDERS[case])]) if isinstance(one, Found)] for case in cases]
    folders = [[path for one in of_case for path in one.paths] for of_case in found]
    sink = check.Collected()
    with patch.object(pipeline, "read_all", check.replay):
        files = [path for paths in folders for path in paths[start::step]]
        pipeline.convert([Found(files)], sink, Options(to=version, mapping=check.SITE))
    return sink.bundles


def halves(version: str, *cases: str) -> Iterator[tuple[Any, Any, Any]]:
    """For each study that lies in several files: its bundle from one half of them, from the other, from all."""
    exports = [converted(version, cases, *which) for which in ((0, 2), (1, 2), (0, 1))]
    known = [{entry_of(bundle)["fullUrl"]: bundle for bundle in export} for export in exports]
    return (
        (known[0][url], known[1][url], whole) for url, whole in known[2].items() if url in known[0].keys() & known[1]
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_real_exports_end_in_the_whole(version: str) -> None:
    exports = list(halves(version, *CASES))
    assert len(exports) >= len(CASES)
    for first, second, whole in exports:
        both = deliver(serve(first), second)
        after = deliver(both, whole)
        final, ours = study_of(after), ours_of(whole, after)
        assert uids(final) == uids(study_of(both)) == uids(ours)
        assert stands_in(things(ours), final)
        assert validate.check(merged(after, whole), version) == []
        assert same(final, merged(after, first))
        assert same(final, merged(after, whole))


@pytest.mark.parametrize("version", ["dstu2", "stu3", "r4", "r4b", "r5"])
def test_no_side_is_said_of_what_is_on_the_other_side(version: str) -> None:
    (left, right, both), = halves(version, "laterality-mixed")  # fmt: skip
    assert ["laterality" in entry_of(one)["resource"]["series"][0] for one in (left, right, both)] == [
        True,
        True,
        False,
    ]
    for first, second in ((left, right), (right, left), (left, both), (both, left)):
        (series,) = merged(serve(first), second)["series"]
        assert "laterality" not in series
    assert merged(serve(left), left)["series"][0]["laterality"] == entry_of(left)["resource"]["series"][0]["laterality"]


def test_the_sides_of_r6_are_those_of_whoever_lists_all_instances() -> None:
    ((left, right, both),) = halves("r6", "laterality-mixed")
    sides = [sites_of(study_of(serve(one))) for one in (left, right, both)]
    assert ['"laterality"' in one for (one,) in sides] == [True, True, False]
    assert sites_of(merged(serve(left), both)) == sites_of(merged(serve(both), left)) == sides[2]
    for first, second in ((left, right), (right, left)):
        assert sites_of(merged(serve(first), second)) == sorted(sides[0] + sides[1])


def sites_of(study: Any) -> list[str]:
    (one,) = content(study)["series"]
    return sorted(json.dumps(each, sort_keys=True) for each in one["bodySite"])


@pytest.mark.parametrize("version", VERSIONS)
def test_halves_that_know_the_patient_by_other_numbers_are_not_joined(version: str) -> None:
    for first, second, _ in halves(version, "issuer-in-part", "patient-id-in-part"):
        study, ours = study_of(serve(first)), ours_of(second, serve(first))
        assert not same_patient(study, ours, serve(first), second)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_case_merged_with_itself_is_itself(version: str) -> None:
    for golden in GOLDENS:
        for bundle in expected(golden, version)["bundles"]:
            held = serve(bundle)
            result = merged(held, bundle)
            assert same(study_of(held), result)
            assert result.get("meta", {}).keys() <= {"tag", "security", "profile"}
            assert merge(result, ours_of(bundle, held)) == result


# One thing at a time

MR = Modality("MR", "Magnetic Resonance", acquires=True)


def export(version: str, policy: Policy | None = None, **changes: Any) -> Any:
    """The Bundle of a plain study with these fields."""
    return rendered(study(**changes), version, policy or Policy())


def rendered(one: Study, version: str, policy: Policy) -> Any:
    emission = emit(one, policy, version)
    assert emission is not None
    return bundles.bundle(emission, policy)


def numbered(*numbers: int, **changes: Any) -> Series:
    """A series of these instances."""
    instances = tuple(Instance(f"1.2.3.4.{number}", CT_IMAGE, number) for number in numbers)
    return series(instances=instances, instance_count=len(instances), **changes)


def edited(bundle: Any, **changes: Any) -> Any:
    """What is held of a Bundle after somebody changed its study."""
    held = serve(bundle)
    place = next(place for place, one in held.items() if one["resourceType"] == "ImagingStudy")
    return held | {place: held[place] | changes}


def test_what_differs_is_ours_where_ours_lists_all_that_is_stored() -> None:
    stored = export("r4", one=numbered(1, description="old"), description="old")
    for numbers, answer in (((1,), "new"), ((1, 2), "new"), ((2,), "old")):
        result = merged(serve(stored), export("r4", one=numbered(*numbers, description="new"), description="new"))
        assert (result["description"], result["series"][0]["description"]) == (answer, answer)


def test_each_series_is_looked_at_by_itself() -> None:
    first = [numbered(1, uid="1.3.1", description="old"), numbered(2, uid="1.3.2", description="old")]
    second = [numbered(1, uid="1.3.1", description="new"), numbered(3, uid="1.3.2", description="new")]
    stored, ours = (
        rendered(replace(study(description=text), series=tuple(both)), "r5", Policy())
        for text, both in (("old", first), ("new", second))
    )
    result = merged(serve(stored), ours)
    assert result["description"] == "old"
    assert [one["description"] for one in result["series"]] == ["new", "old"]


def test_an_instance_that_both_list_is_as_ours_has_it() -> None:
    def titled(title: str, *numbers: int) -> Series:
        one = numbered(*numbers)
        return replace(one, instances=tuple(each._replace(title=title) for each in one.instances))

    result = merged(serve(export("r4", one=titled("old", 1, 2))), export("r4", one=titled("new", 2, 3)))
    assert [each["title"] for each in result["series"][0]["instance"]] == ["old", "new", "new"]


def test_a_uid_is_one_whether_it_is_written_as_an_oid_or_not() -> None:
    ours = export("r4", one=numbered(1, 2))
    (one,) = study_of(serve(ours))["series"]
    as_oids = [each | {"uid": f"urn:oid:{each['uid']}"} for each in one["instance"]]
    held = edited(ours, series=[one | {"uid": f"urn:oid:{one['uid']}", "instance": as_oids}])
    assert merged(held, export("r4", one=numbered(1, 2, 3)))["numberOfInstances"] == 3


def test_what_only_one_of_them_says_is_said() -> None:
    with_it, without = export("r4", description="x", started=Moment("2024-01-01")), export("r4", one=numbered(2))
    for first, second in ((with_it, without), (without, with_it)):
        result = merged(serve(first), second)
        assert (result["description"], result["started"]) == ("x", "2024-01-01")


@pytest.mark.parametrize("version", ["dstu2", "stu3"])
def test_an_accession_number_that_has_lost_its_place_is_among_the_identifiers(version: str) -> None:
    one, other = (Identifier(value, "accession", "urn:a") for value in "12")
    for numbers, place in (((1, 2), "2"), ((2,), "1")):
        held = serve(export(version, accessions=(one,), one=numbered(1)))
        result = merged(held, export(version, accessions=(other,), one=numbered(*numbers)))
        assert result["accession"]["value"] == place
        assert {one["value"] for one in result["identifier"]} == {"1", "2"} - {place}
        again = merged(deliver(held, export(version, accessions=(other, one), one=numbered(1, 2))),
                       export(version, accessions=(one,), one=numbered(1)))  # fmt: skip
        assert (again["accession"]["value"], [one["value"] for one in again["identifier"]]) == ("2", ["1"])


@pytest.mark.parametrize(("version", "name"), [("dstu2", "modalityList"), ("r4", "modality"), ("r6", "modality")])
def test_a_modality_that_no_series_has_any_more_goes(version: str, name: str) -> None:
    stored = serve(export(version, one=numbered(1)))
    codes = [json.dumps(one) for one in merged(stored, export(version, one=numbered(1, modality=MR)))[name]]
    assert len(codes) == 1
    assert '"MR"' in codes[0]
    both = merged(stored, export(version, one=numbered(2, modality=MR, uid="1.3")))
    assert len(both[name]) == 2
    assert validate.check(both, version) == []


def test_a_series_of_r6_has_no_start_before_its_studys() -> None:
    def moment(hour: int) -> Moment:
        return Moment("2024-01-01", f"{hour:02}:00:00", "+00:00")

    for version, starts in (("r6", 1), ("r5", 2)):
        stored = serve(export(version, started=moment(9), one=numbered(1, uid="1.3.1", started=moment(9))))
        ours = export(version, started=moment(8), one=numbered(2, uid="1.3.2", started=moment(8)))
        result = merged(stored, ours)
        assert validate.check(result, version) == []
        assert result["started"].startswith("2024-01-01T09")
        assert sum("started" in one for one in result["series"]) == starts


def test_the_subject_stays_and_what_is_about_it_follows() -> None:
    """Ours has got a system for the PatientID; the order inside is still that of the one patient."""
    policy = Policy(create=frozenset(("Patient", "ServiceRequest")))
    orders = {"requests": (Request((), code=Concept((Code("1"),)), priority="stat"),)}
    plain, known = (Patient(identifiers=(Identifier("7", "patient", system),)) for system in (None, "urn:p"))
    held = serve(export("r4", policy, patient=plain, one=numbered(1), **orders))
    for ways in (policy, replace(policy, patient="contained")):
        ours = export("r4", ways, patient=known, one=numbered(1, 2), **orders)
        result = merged(held, ours)
        assert result["subject"] == study_of(held)["subject"]
        assert [one["resourceType"] for one in result["contained"]] == ["Patient", "ServiceRequest"]
        assert content(result) == content(result | {"contained": study_of(held)["contained"]})
        assert validate.check(result, "r4") == []


def test_local_ids_are_free_or_those_of_their_twins() -> None:
    def reader(name: str) -> Practitioner:
        return Practitioner((PersonName("alphabetic", name),), phones=("1",))

    held = edited(export("r4", interpreters=(reader("A"), reader("B")), one=numbered(1)))
    text = json.dumps(held)
    for name, local in (("v1-0", "practitioner-1"), ("v1-1", "practitioner-2")):  # as ours would call others
        text = text.replace(f'"{name}"', f'"{local}"').replace(f'"#{name}"', f'"#{local}"')
    result = merged(
        json.loads(text), export("r4", interpreters=(reader("C"), reader("B"), reader("D")), one=numbered(2))
    )
    locals_ = [one["id"] for one in result["contained"]]
    assert len(set(locals_)) == len(locals_) == 5  # a patient, four readers
    names = {"#" + one["id"]: one["name"][0]["text"] for one in result["contained"] if "name" in one}
    assert [names[one["reference"]] for one in result["interpreter"]] == ["A", "B", "C", "D"]
    assert validate.check(result, "r4") == []


def test_what_somebody_else_wrote_stays() -> None:
    mark = [{"url": "http://example.org/x", "valueString": "x"}]
    ours = export("r4", one=numbered(1, 2), description="d", referrer=Practitioner((PersonName("alphabetic", "R"),)))
    stored = study_of(serve(ours))
    (one,) = stored["series"]
    tag = [{"system": "urn:t", "code": "x"}]
    changed = edited(
        ours, extension=mark, note=[{"text": "seen"}], _description={"extension": mark}, language="de",
        referrer=stored["referrer"] | {"reference": "Practitioner/1"},
        meta=stored["meta"] | {"tag": tag, "extension": mark}, text={"status": "generated", "div": "old"},
        series=[one | {"extension": mark, "instance": [each | {"extension": mark} for each in one["instance"]]}],
    )  # fmt: skip
    result = merged(changed, export("r4", one=numbered(1, 2, 3), description="d", referrer=study_referrer()))
    assert result["meta"] == {"tag": tag, "extension": mark}
    assert (result["extension"], result["note"], result["language"]) == (mark, [{"text": "seen"}], "de")
    assert result["_description"] == {"extension": mark}
    assert result["referrer"]["reference"] == "Practitioner/1"
    assert result["series"][0]["extension"] == mark
    assert [each.get("extension") for each in result["series"][0]["instance"]] == [mark, mark, None]
    assert "text" not in result
    assert validate.check(result, "r4") == []


def study_referrer() -> Practitioner:
    return Practitioner((PersonName("alphabetic", "R"),))


def test_labels_are_united_by_what_tells_them_apart() -> None:
    ours = export("r4", one=numbered(1, 2))
    labelled = entry_of(ours)["resource"] | {
        "meta": {"tag": [{"system": "a", "code": "1"}, {"system": "b", "code": "1"}], "profile": ["http://e.org/p"]}
    }
    held = edited(export("r4"), meta={"tag": [{"system": "a", "code": "1", "display": "A"}], "versionId": "3"})
    assert merged(held, with_study(ours, labelled))["meta"] == {
        "tag": [{"system": "a", "code": "1", "display": "A"}, {"system": "b", "code": "1"}],
        "profile": ["http://e.org/p"],
    }


def test_what_refers_to_the_study_itself_stays_and_what_nothing_refers_to_goes() -> None:
    held = serve(export("r4"))
    about = {
        "resourceType": "Provenance",
        "id": "about",
        "target": [{"reference": "#"}],
        "agent": [{"who": {"reference": "#who"}}],
    }
    who = {"resourceType": "Device", "id": "who", "manufacturer": "M"}
    lost = {"resourceType": "Device", "id": "lost", "manufacturer": "L"}
    changed = edited(export("r4"), contained=[*study_of(held)["contained"], about, who, lost])
    result = merged(changed, export("r4", one=numbered(2)))
    assert [one["id"] for one in result["contained"]] == ["v1-0", "about", "who"]


def test_one_study_has_one_uid_however_it_is_written() -> None:
    ours = export("r4", one=numbered(2))
    (uid,) = entry_of(ours)["resource"]["identifier"]
    poor = {"system": uid["system"], "value": uid["value"]}
    other = poor | {"use": "secondary"}
    assert merged(edited(export("r4"), identifier=[poor]), ours)["identifier"] == [uid]
    assert merged(edited(export("r4"), identifier=[other]), ours)["identifier"] == [other]
    assert merged(edited(export("r4"), identifier=[{"value": "9"}]), ours)["identifier"] == [{"value": "9"}, uid]


def test_a_number_that_got_a_system_is_no_second_number() -> None:
    plain, known = (Identifier("1", "accession", system) for system in (None, "urn:a"))
    for first, second in ((plain, known), (known, plain)):
        held = serve(export("r4", accessions=(first,), one=numbered(1)))
        for numbers in ((1, 2), (2,)):
            result = merged(held, export("r4", accessions=(second,), one=numbered(*numbers)))
            assert [one.get("system") for one in result["identifier"]] == ["urn:dicom:uid", "urn:a"]
            assert [one["identifier"]["system"] for one in result["basedOn"]] == ["urn:a"]


def test_two_numbers_that_ours_tells_apart_stay_two() -> None:
    plain, known = (Identifier("1", "accession", system) for system in (None, "urn:a"))
    both = {"accessions": (plain, known)}
    for first, second in (
        ({"accessions": (plain,)}, both),
        ({"accessions": (known,)}, both),
        (both, {"accessions": (known,)}),
    ):
        result = merged(serve(export("r4", one=numbered(1), **first)), export("r4", one=numbered(2), **second))
        assert {one.get("system") for one in result["identifier"]} == {"urn:dicom:uid", None, "urn:a"}


def test_elements_stand_in_their_order() -> None:
    held = serve(export("r4", description="d", one=numbered(1)))
    stored = dict(reversed(study_of(held).items()))  # as FHIR has it
    place = next(place for place, one in held.items() if one["resourceType"] == "ImagingStudy")
    result = merged(held | {place: stored}, export("r4", one=numbered(2), started=Moment("2024"), policy=CONDITIONAL))
    assert list(result) == [
        "resourceType", "id", "contained", "identifier", "status", "modality", "subject", "started", "numberOfSeries",
        "numberOfInstances", "description", "series",
    ]  # fmt: skip


CONDITIONAL = Policy(write="conditional-update")


def test_neither_study_is_written_to() -> None:
    for golden in ("request-attributes", "us"):
        for version in VERSIONS:
            for bundle in expected(golden, version)["bundles"]:
                held = serve(bundle)
                fewer = with_study(bundle, study_of(held) | {"series": [], "numberOfSeries": 0, "numberOfInstances": 0})
                before = copy.deepcopy((held, fewer))
                merged(held, fewer)
                merged(serve(fewer), bundle)
                assert (held, fewer) == before


# What cannot be merged


def counted(**changes: Any) -> Any:
    """A stored study of R4 with one series of one instance, changed."""
    return study_of(edited(export("r4"), **changes))


INSTANCE = {"uid": "1.2.3.4.5", "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{CT_IMAGE}"}}
SERIES = {"uid": "1.2.3.4", "modality": {"code": "CT"}, "numberOfInstances": 1, "instance": [INSTANCE]}


@pytest.mark.parametrize(
    "changes",
    [
        {"numberOfSeries": 2},
        {"numberOfInstances": 2},
        {"series": []},
        {"series": [SERIES | {"numberOfInstances": 2}]},
        {"series": [SERIES | {"instance": []}]},
        {"series": [{"uid": "1.2.3.4", "modality": {"code": "CT"}}], "numberOfInstances": 0},
        {"series": [SERIES, SERIES], "numberOfSeries": 2},
        {"series": [SERIES | {"instance": [INSTANCE, INSTANCE]}]},
        {"series": [SERIES | {"instance": [INSTANCE, {}]}]},
        {"series": [SERIES, "x"]},
        {"series": "x"},
        {"series": [SERIES | {"instance": {"uid": "1"}}]},
    ],
)
def test_a_study_that_does_not_list_what_it_counts_is_not_merged(changes: Any) -> None:
    ours = entry_of(export("r4", one=numbered(7)))["resource"]
    with pytest.raises(MergeImpossible, match=r"^The stored study (does not list|lists)[^0-9]*\.$"):
        merge(counted(**changes), ours)
    with pytest.raises(MergeImpossible, match=r"^The new study (does not list|lists)[^0-9]*\.$"):
        merge(counted(), ours | changes)


def test_a_study_that_has_nothing_yet_is_merged() -> None:
    empty = {
        name: value
        for name, value in counted().items()
        if name not in ("series", "numberOfSeries", "numberOfInstances")
    }
    ours = entry_of(export("r4"))["resource"]
    for stored in (empty, empty | {"numberOfSeries": 0, "numberOfInstances": 0}):
        assert merge(stored, ours)["series"] == ours["series"]


def test_studies_that_list_no_instances_need_not_when_they_are_the_same() -> None:
    bare = export("r4", one=replace(series(), instances=()))
    held = serve(bare)
    assert same(study_of(held), merged(held, bare))
    with pytest.raises(MergeImpossible):
        merged(held, export("r4", one=replace(series(), instances=()), description="new"))


def test_a_study_that_is_too_deep_is_not_merged() -> None:
    pit: Any = {}
    for _ in range(5000):
        pit = {"extension": [pit]}
    with pytest.raises(MergeImpossible, match="too deeply"):
        merge(
            counted(extension=[pit]),
            entry_of(export("r4", one=numbered(7)))["resource"] | {"extension": [pit | {"x": 1}]},
        )
