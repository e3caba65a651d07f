"""R6 in both stages: every rule in which they differ from R5 and from each other, and the invariants ist-1 to ist-8."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from check import result
from hypothesis import given
from hypothesis import strategies as st
from model_samples import (
    ABC,
    CHEST,
    CODED_CHEST,
    CODED_CT,
    DOCTOR,
    EVERYTHING,
    MOMENT,
    NAME,
    POLICIES,
    QUALIFIED,
    REFERRED_STEP,
    SCT,
    STEP,
    TUBE,
    WORDS,
    accession,
    full,
    typed,
)
from studies import CT, CT_IMAGE, SR, moments, series, studies, study

from dicom2fhir.fhir import dialect, elements, r4, r5, r6, r6_ballot2
from dicom2fhir.fhir.bundle import Emission
from dicom2fhir.fhir.dialect import Dialect
from dicom2fhir.fhir.elements import Json
from dicom2fhir.fhir.policy import DEFAULT_CREATE, Policy
from dicom2fhir.model import (
    Code,
    Concept,
    Device,
    Encounter,
    Identifier,
    Instance,
    Modality,
    Moment,
    Owner,
    Patient,
    Performer,
    PersonName,
    Request,
    Side,
    Specimen,
    Study,
)

STAGES = pytest.mark.parametrize("stage", [r6_ballot2.DIALECT, r6.DIALECT], ids=lambda one: one.name)


def emit(one: Study, policy: Policy | None = None, stage: Dialect = r6.DIALECT) -> Emission:
    return dialect.render(one, stage, policy or Policy())


def imaging_study(one: Study, policy: Policy | None = None, stage: Dialect = r6.DIALECT) -> Json:
    return emit(one, policy, stage).entries[-1].resource


def made(kind: str, one: Study, policy: Policy | None = None, stage: Dialect = r6.DIALECT) -> Json:
    resources = emit(one, policy, stage).resources
    inner = [each for resource in resources for each in resource.get("contained", ())]
    return next(each for each in (*resources, *inner) if each["resourceType"] == kind)


# Both stages ----------------------------------------------------------------------------------------


def test_the_elements_of_the_earlier_stage_in_their_order() -> None:
    resource = imaging_study(full(), stage=r6_ballot2.DIALECT)
    assert list(resource)[3:] == [
        "identifier", "status", "modality", "subject", "encounter", "started", "basedOn", "partOf", "referrer",
        "endpoint", "procedure", "reason", "description", "numberOfSeries", "numberOfInstances", "series",
    ]  # fmt: skip
    (only,) = resource["series"]
    assert list(only) == [
        "uid", "number", "modality", "description", "numberOfInstances", "endpoint", "bodySite", "laterality",
        "specimen", "started", "performer", "instance",
    ]  # fmt: skip
    assert only["instance"] == [{"uid": "1.5", "sopClass": f"urn:oid:{CT_IMAGE}", "number": 1, "title": "Title"}]
    assert resource["procedure"] == [{"concept": CODED_CHEST}]
    assert resource["partOf"] == [REFERRED_STEP]
    assert only["laterality"]["coding"][0]["code"] == "7771000"
    assert only["bodySite"] == {"concept": CODED_CHEST}


def test_the_elements_of_the_later_stage_in_their_order() -> None:
    resource = imaging_study(full())
    assert list(resource)[3:] == [
        "identifier", "description", "status", "modality", "subject", "encounter", "started", "basedOn", "procedure",
        "referrer", "reason", "endpoint", "numberOfSeries", "numberOfInstances", "series",
    ]  # fmt: skip
    (only,) = resource["series"]
    assert list(only) == [
        "uid", "description", "number", "modality", "endpoint", "numberOfInstances", "bodySite", "specimen", "started",
        "performer", "instance",
    ]  # fmt: skip
    assert only["instance"] == [
        {"uid": "1.5", "sopClass": f"urn:oid:{CT_IMAGE}", "number": 1, "numberOfFrames": 2, "title": "Title"}
    ]


def test_where_the_accession_number_is() -> None:
    one = study(
        accessions=(accession(),),
        study_id=Identifier("77", "study-id"),
        requests=(Request((Identifier("P1", "placer", "http://p"), accession("A2"))),),
    )
    before, after = (imaging_study(one, EVERYTHING, stage) for stage in (r6_ballot2.DIALECT, r6.DIALECT))
    assert [each["value"] for each in before["identifier"]] == ["urn:oid:1.2.3", "A1", "A2", "77"]
    assert [each["value"] for each in after["identifier"]] == ["urn:oid:1.2.3", "77"]
    for resource in (before, after):
        numbers = [each["identifier"] for each in resource["basedOn"]]
        assert numbers == [{"type": typed("ACSN"), "value": "A2"}, {"type": typed("ACSN"), "value": "A1"}]


@STAGES
@pytest.mark.parametrize(("sop_class", "kept"), [("1.2.840.1", True), ("1.02", False), ("3.1", False), ("1", False)])
def test_an_instance_whose_sop_class_is_no_oid_has_no_place(stage: Dialect, sop_class: str, kept: bool) -> None:
    odd = Instance("1.05", sop_class)  # the instance's own UID may be odd: it is an id
    held = dialect.hold(study(one=series(instances=(Instance("1.06", CT_IMAGE), odd), instance_count=2)), stage)
    assert held.study is not None
    resource = imaging_study(held.study, stage=stage)
    assert [one["uid"] for one in resource["series"][0]["instance"]] == ["1.06", "1.05"][: 1 + kept]
    assert resource["numberOfInstances"] == 1 + kept
    assert held.left_out == ({} if kept else {"1.2.3.4": frozenset({"1.05"})})


def test_r5_has_a_place_for_every_sop_class() -> None:
    odd = study(one=series(instances=(Instance("1.05", "1.02"),)))
    assert dialect.hold(odd, r5.DIALECT).study is odd


# What only the later stage does -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (Instance("1.5", CT_IMAGE), {}),
        (Instance("1.5", CT_IMAGE, frames=1), {"numberOfFrames": 1}),
        (Instance("1.5", CT_IMAGE, 0, "Report", 3), {"number": 0, "numberOfFrames": 3, "title": "Report"}),
    ],
)
def test_instances(one: Instance, expected: Json) -> None:
    assert r6.instance(one) == {"uid": "1.5", "sopClass": f"urn:oid:{CT_IMAGE}"} | expected


@pytest.mark.parametrize(("side", "code"), [("left", "7771000"), ("right", "24028007"), ("both", "51440002")])
def test_the_side_is_a_body_structures(side: Side, code: str) -> None:
    one = study(QUALIFIED, series(body_sites=(CHEST, WORDS), laterality=side))
    patient, imaging = emit(one).entries
    (only,) = imaging.resource["series"]
    assert only["bodySite"] == [
        {"concept": CODED_CHEST, "reference": {"reference": "#bodystructure-1"}},
        {"concept": {"text": "words"}, "reference": {"reference": "#bodystructure-2"}},
    ]
    first, second = imaging.resource["contained"]
    assert first == {
        "resourceType": "BodyStructure",
        "id": "bodystructure-1",
        "includedStructure": [
            {
                "structure": CODED_CHEST,
                "laterality": {
                    "coding": [{"system": SCT, "code": code, "display": r5.LATERALITY[side].display}],
                },
            }
        ],
        "patient": {"reference": patient.full_url},
    }
    assert second["includedStructure"][0]["structure"] == {"text": "words"}
    assert emit(one).problems == ()


def test_one_structure_serves_several_series() -> None:
    sided = series(body_sites=(CHEST,), laterality="left")
    one = study(QUALIFIED, series=(sided, replace(sided, uid="1.2.9"), replace(sided, uid="1.2.8", laterality="right")))
    assert [each["id"] for each in imaging_study(one)["contained"]] == ["bodystructure-1", "bodystructure-2"]


def test_body_sites_without_a_side_need_no_structure() -> None:
    resource = imaging_study(study(QUALIFIED, series(body_sites=(CHEST, WORDS))))
    assert resource["series"][0]["bodySite"] == [{"concept": CODED_CHEST}, {"concept": {"text": "words"}}]
    assert "contained" not in resource


@pytest.mark.parametrize(
    ("patient", "sites", "policy"),
    [
        (QUALIFIED, (), Policy()),
        (Patient("phantom"), (CHEST,), Policy()),
        (Patient("group"), (CHEST,), Policy()),
        (QUALIFIED, (CHEST,), Policy(create=DEFAULT_CREATE - {"BodyStructure"})),
    ],
)
def test_a_side_without_a_structure_is_reported(patient: Patient, sites: tuple[Concept, ...], policy: Policy) -> None:
    emission = emit(study(patient, series(body_sites=sites, laterality="left")), policy)
    (problem,) = emission.problems
    assert (problem.code, problem.where) == ("not-in-this-version", "1.2.3/1.2.3.4/ImagingStudy.series.laterality")
    (only,) = emission.entries[-1].resource["series"]
    assert only.get("bodySite", []) == [{"concept": CODED_CHEST}] * len(sites)


CODED_STEP = replace(STEP, code=CHEST)


@pytest.mark.parametrize(
    ("changes", "references"),
    [
        ({"procedures": (STEP,)}, [REFERRED_STEP]),
        ({"procedure_codes": (WORDS,)}, [{"type": "Procedure", "display": "words"}]),
        ({"procedures": (STEP,), "procedure_codes": (WORDS,)}, [REFERRED_STEP]),
        ({"procedures": (STEP, replace(STEP, code=None))}, [REFERRED_STEP, {**REFERRED_STEP, "display": None}]),
    ],
)
def test_procedures_are_referred_to(changes: dict[str, Any], references: list[Json]) -> None:
    emission = emit(study(**changes))
    assert emission.entries[-1].resource["procedure"] == list(map(_without_gaps, references))
    assert emission.problems == ()


def _without_gaps(body: Json) -> Json:
    return {key: value for key, value in body.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({"procedure_codes": (CHEST, Concept((Code("2", SCT, "Other"),)))}, 2),
        ({"procedures": (CODED_STEP,), "procedure_codes": (CHEST,)}, 1),
        ({"procedures": (CODED_STEP, replace(CODED_STEP, identifiers=(accession(),)))}, 1),
    ],
)
def test_a_code_without_a_procedure_is_reported_once(changes: dict[str, Any], count: int) -> None:
    (problem,) = emit(study(**changes)).problems
    assert (problem.code, problem.where, problem.count) == (
        "not-in-this-version",
        "1.2.3/ImagingStudy.procedure",
        count,
    )


def test_a_code_is_that_of_a_procedure_where_procedures_are_created() -> None:
    one = study(QUALIFIED, procedures=(STEP,), procedure_codes=(WORDS, CHEST))
    patient, step, imaging = emit(one, EVERYTHING).entries
    assert step.resource["code"] == {"text": "words"}
    assert imaging.resource["procedure"] == [{"reference": step.full_url}, {"reference": "#procedure-1"}]
    assert imaging.resource["contained"] == [
        {
            "resourceType": "Procedure",
            "id": "procedure-1",
            "status": "unknown",
            "code": CODED_CHEST,
            "subject": {"reference": patient.full_url},
        }
    ]
    assert emit(one, EVERYTHING).problems == ()


# When a series started (ist-8) ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "certain"),
    [
        ("2024-01-01", "2024-01-01", True),
        ("2024-01-01", "2024-01-02", True),
        ("2024-01-02", "2024-01-01", False),
        ("2024-01", "2024-01", True),
        ("2024-01", "2024-02-01", False),
        ("2024", "2025-02-01", False),
        ("2024-01-01", "2024-01-02T00:00:00+01:00", False),
        ("2024-01-01T10:00:00+01:00", "2024-01-01T09:00:00+00:00", True),
        ("2024-01-01T10:00:00+01:00", "2024-01-01T09:00:00.000001+00:00", True),
        ("2024-01-01T10:00:00.5+01:00", "2024-01-01T09:00:00.499999+00:00", False),
        ("2024-01-01T10:00:00.5+01:00", "2024-01-01T09:00:00.50+00:00", True),
        ("2024-01-01T10:00:00+01:00", "2024-01-01T10:00:00+02:00", False),
        ("2024-01-01T00:30:00+01:00", "2023-12-31T23:45:00+00:00", True),
        ("2024-01-01T10:00:00-11:30", "2024-01-01T21:30:00+00:00", True),
        ("2024-01-01T10:00:00-11:30", "2024-01-01T21:29:59+00:00", False),
        ("2016-12-31T23:59:60+00:00", "2017-01-01T00:00:01+00:00", False),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00", True),
        (None, "2024-01-01", False),
    ],
)
def test_what_is_decidably_not_after(first: str | None, second: str, certain: bool) -> None:
    assert r6.not_after(first, second) is certain


@given(st.lists(moments, min_size=2, max_size=2))
def test_what_is_not_after_is_so_when_it_is_compared_as_numbers(pair: list[Moment]) -> None:
    first, second = map(elements.date_time, pair)
    assert first
    assert second
    if r6.not_after(first, second) and r6.not_after(second, first):
        assert _instant(first) == _instant(second)
    if r6.not_after(first, second):
        assert len(first) == len(second) or "T" in first
        assert _instant(first) <= _instant(second)


def _instant(text: str) -> Decimal:
    """Seconds by a way of our own: the day number from the civil calendar, the rest by hand."""
    day, _, rest = text.partition("T")
    year, month, date = (int(part) for part in (*day.split("-"), "1", "1")[:3])
    year, month = (year - 1, month + 9) if month < 3 else (year, month - 3)
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 + date
    if not rest:
        return Decimal(days * 86400)
    clock, offset = rest[:-6], rest[-6:]
    hours, minutes, seconds = clock.split(":")
    away = (int(offset[1:3]) * 60 + int(offset[4:])) * (-60 if offset[0] == "-" else 60)
    return days * 86400 + int(hours) * 3600 + int(minutes) * 60 + Decimal(seconds) - away


LATER = replace(MOMENT, time="10:11:13")


def test_a_series_that_started_after_its_study_says_so() -> None:
    emission = emit(study(one=series(started=LATER), started=MOMENT))
    assert emission.entries[-1].resource["series"][0]["started"] == "2024-02-29T10:11:13+01:00"
    assert emission.problems == ()


@pytest.mark.parametrize("started", [LATER, Moment("2024-02-29"), None])
def test_a_series_that_may_have_started_before_is_reported(started: Moment | None) -> None:
    one = study(one=series(started=MOMENT), started=started)
    (problem,) = emit(one).problems
    assert (problem.code, problem.where) == ("not-in-this-version", "1.2.3/1.2.3.4/ImagingStudy.series.started")
    assert "started" not in imaging_study(one)["series"][0]
    assert imaging_study(one, stage=r6_ballot2.DIALECT)["series"][0]["started"] == "2024-02-29T10:11:12.5+01:00"


# The invariants ---------------------------------------------------------------------------------------


def broken(resource: Json) -> Iterator[str]:
    """The invariants ist-1 to ist-8 that an ImagingStudy breaks, as their FHIRPath says."""
    listed, every = resource.get("series", []), [i for s in resource.get("series", []) for i in s.get("instance", [])]
    uids = [one for one in resource["identifier"] if one.get("system") == "urn:dicom:uid"]
    if listed and not uids:
        yield "ist-1"
    if len(uids) > 1:
        yield "ist-2"
    if listed and resource.get("numberOfSeries", len(listed)) != len(listed):
        yield "ist-3"
    if every and resource.get("numberOfInstances", len(every)) != len(every):
        yield "ist-4"
    counts = [one["numberOfInstances"] for one in listed if "numberOfInstances" in one]
    if counts and "numberOfInstances" in resource and resource["numberOfInstances"] != sum(counts):
        yield "ist-5"
    if any(
        s["numberOfInstances"] != len(s["instance"]) for s in listed if "instance" in s and "numberOfInstances" in s
    ):
        yield "ist-6"
    if "modality" in resource and _set(resource["modality"]) != _set([one["modality"] for one in listed]):
        yield "ist-7"
    begun = resource.get("started")
    if begun and not all(r6.not_after(begun, one["started"]) for one in listed if "started" in one):
        yield "ist-8"


def _set(concepts: list[Json]) -> set[str]:
    return {json.dumps(one, sort_keys=True) for one in concepts}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("ist-1", {"identifier": []}),
        ("ist-2", {"identifier": [{"system": "urn:dicom:uid"}, {"system": "urn:dicom:uid"}]}),
        ("ist-3", {"numberOfSeries": 2}),
        ("ist-4", {"numberOfInstances": 2}),
        ("ist-5", {"numberOfInstances": 2}),
        ("ist-6", {"series": [{"numberOfInstances": 2, "instance": [{}], "modality": CODED_CT}]}),
        ("ist-7", {"modality": [CODED_CT, {"text": "CT"}]}),
        ("ist-7", {"modality": [CODED_CT | {"text": "CT"}]}),
        ("ist-8", {"started": "2025-01-01T00:00:00Z"}),
    ],
)
def test_a_breach_of_an_invariant_is_seen(name: str, change: Json) -> None:
    whole = imaging_study(study(one=series(started=LATER), started=MOMENT))
    assert list(broken(whole)) == []
    assert name in list(broken(whole | change))


@STAGES
@given(one=studies, policy=st.sampled_from(POLICIES))
def test_the_invariants_hold_in_every_study(stage: Dialect, one: Study, policy: Policy) -> None:
    found = imaging_study(one, policy, stage)
    assert set(broken(found)) <= ({"ist-8"} if stage is r6_ballot2.DIALECT else set())


def test_modalities_with_words_of_their_own_are_the_same_in_study_and_series() -> None:
    unknown = [Modality("OT", "Other", acquires=False, text=text) for text in ("XX", None, "YY", "XX")]
    parts = tuple(series(uid=f"1.2.{number}", modality=one) for number, one in enumerate((*unknown, SR, CT)))
    resource = imaging_study(study(series=parts))
    assert len(resource["modality"]) == 5
    assert list(broken(resource)) == []


def test_a_study_that_lists_nothing_breaks_nothing() -> None:
    counted = series(instances=(), instance_count=300)
    resource = imaging_study(study(series=(counted, replace(counted, uid="1.2.9"))))
    assert resource["numberOfInstances"] == 600
    assert not any("instance" in each for each in resource["series"])
    assert list(broken(resource)) == []


# Companions -------------------------------------------------------------------------------------------


@STAGES
def test_a_device(stage: Dialect) -> None:
    one = Device("ACME", "X1", "S1", ("v1",), None, "D1", "CT1")
    found = made("Device", study(one=series(performers=(Performer("device", one),))), stage=stage)
    kind = {"coding": [{"system": "http://hl7.org/fhir/device-nametype", "code": "user-friendly-name"}]}
    assert found == {
        "resourceType": "Device",
        "id": "device-1",
        "identifier": [{"value": "D1"}],
        "manufacturer": "ACME",
        "serialNumber": "S1",
        "name": [{"value": "CT1", "type": kind}],
        "modelNumber": "X1",
        "deviceVersion": [{"value": "v1"}],
    }
    phantom = made("Device", study(Patient("phantom", names=(NAME,))), stage=stage)
    assert phantom["name"] == [{"value": "Jane Doe", "type": kind}]


@STAGES
@pytest.mark.parametrize(
    ("changes", "container"),
    [
        ({}, {"concept": CODED_CHEST, "reference": {"reference": "#device-1"}}),
        ({"container": None}, {"concept": CODED_CHEST}),
        ({"container": None, "container_type": None}, None),
    ],
)
def test_the_container_of_a_specimen(stage: Dialect, changes: dict[str, Any], container: Json | None) -> None:
    one = study(one=series(specimens=(replace(TUBE, **changes),)))
    assert made("Specimen", one, stage=stage).get("container") == ([{"device": container}] if container else None)


@STAGES
def test_an_owner_keeps_all_names(stage: Dialect) -> None:
    names = (NAME, PersonName("ideographic", "山田"), NAME)
    one = study(Patient(birth_date="2001", owner=Owner(names, "OWNER")))
    found = made("Patient", one, stage=stage)
    assert list(found)[-2:] == ["birthDate", "contact"]
    assert found["contact"] == [
        {
            "relationship": [{"text": "OWNER"}],
            "name": {"extension": [ABC], "text": "Jane Doe", "family": "Doe", "given": ["Jane"]},
            "additionalName": [{"extension": [ABC | {"valueCode": "IDE"}], "text": "山田", "family": "山田"}],
        }
    ]
    assert emit(one, stage=stage).problems == ()
    assert "contact" not in made("Patient", study(Patient(owner=Owner((), "OWNER"))), stage=stage)


@STAGES
def test_an_episode_has_a_subject(stage: Dialect) -> None:
    one = Encounter(Identifier("V1", "visit", "http://v"), Identifier("E1", "episode", "http://e"))
    patient, episode, visit, _ = emit(study(QUALIFIED, encounter=one), EVERYTHING, stage).entries
    assert episode.resource["subject"] == {"reference": patient.full_url}
    assert "patient" not in episode.resource
    assert visit.resource["status"] == "completed"


# What they cannot say ---------------------------------------------------------------------------------

FRAMES = (Instance("1.5", CT_IMAGE, frames=3), Instance("1.6", CT_IMAGE))


@pytest.mark.parametrize(
    ("one", "before", "after"),
    [
        (study(interpreters=(DOCTOR,)), {"ImagingStudy.interpreter"}, {"ImagingStudy.interpreter"}),
        (study(one=series(instances=FRAMES)), {"ImagingStudy.series.instance.numberOfFrames"}, set()),
        (study(one=series(body_sites=(CHEST, WORDS))), {"ImagingStudy.series.bodySite"}, set()),
        (study(one=series(laterality="left")), set(), {"ImagingStudy.series.laterality"}),
        (study(procedure_codes=(CHEST,)), set(), {"ImagingStudy.procedure"}),
        (study(one=series(specimens=(Specimen((), WORDS),))), set(), set()),
    ],
)
def test_what_has_no_place_is_reported(one: Study, before: set[str], after: set[str]) -> None:
    for stage, expected in ((r6_ballot2.DIALECT, before), (r6.DIALECT, after)):
        assert {each.where.rpartition("/")[2] for each in emit(one, stage=stage).problems} == expected


def test_every_field_of_the_model_has_a_place_or_a_reason() -> None:
    known = r4.PLACES.keys() - {"Study.interpreters"}
    assert r6_ballot2.PLACES.keys() == known
    assert r6.PLACES.keys() == known | {"Instance.frames"}


# From files -------------------------------------------------------------------------------------------


def imaging(golden: str, version: str = "r6") -> Json:
    """The first ImagingStudy that a case of testdata/ becomes."""
    resource = result(golden, version)["bundles"][0]["entry"][-1]["resource"]
    assert isinstance(resource, dict)
    return resource


def lost(golden: str, version: str = "r6") -> set[str]:
    """The elements that a version does not have for a case."""
    problems = result(golden, version)["report"]["problems"]
    return {one["where"].rpartition("/")[2] for one in problems if one["code"] == "not-in-this-version"}


def test_frames_are_counted_from_files_only_in_the_later_stage() -> None:
    frames = [one.get("numberOfFrames") for part in imaging("frames")["series"] for one in part["instance"]]
    assert any(frames)
    assert "ImagingStudy.series.instance.numberOfFrames" in lost("frames", "r6-ballot2")
    assert lost("frames") == set()


def test_the_side_comes_from_files() -> None:
    before, after = imaging("laterality-of-the-series", "r6-ballot2"), imaging("laterality-of-the-series")
    assert before["series"][0]["laterality"]["coding"][0]["code"] in ("7771000", "24028007")
    (site,) = after["series"][0]["bodySite"]
    structures = {"#" + one["id"]: one for one in after["contained"] if one["resourceType"] == "BodyStructure"}
    (included,) = structures[site["reference"]["reference"]]["includedStructure"]
    assert included == {"structure": site["concept"], "laterality": before["series"][0]["laterality"]}
    assert "laterality" not in after["series"][0]


def test_every_body_site_comes_from_files() -> None:
    assert len(imaging("anatomic-regions-several")["series"][0]["bodySite"]) > 1
    assert isinstance(imaging("anatomic-regions-several", "r6-ballot2")["series"][0]["bodySite"], dict)
    assert "ImagingStudy.series.bodySite" in lost("anatomic-regions-several", "r6-ballot2")


def test_a_procedures_code_vanishes_from_files_and_is_reported() -> None:
    assert [one.keys() for one in imaging("procedure-code")["procedure"]] == [{"type", "display"}]
    assert lost("procedure-code") == {"ImagingStudy.procedure"}
    assert "concept" in imaging("procedure-code", "r6-ballot2")["procedure"][0]


def test_the_accession_number_of_files() -> None:
    for version, places in (("r6-ballot2", 1), ("r6", 0)):
        resource = imaging("accession-plain", version)
        assert sum("ACSN" in json.dumps(one) for one in resource["identifier"]) == places
        assert "ACSN" in json.dumps(resource["basedOn"])


@pytest.mark.parametrize("version", ["r6-ballot2", "r6"])
def test_sop_classes_of_files_that_are_no_oids_are_withheld(version: str) -> None:
    report = result("leading-zero-uids", version)["report"]
    refused = [one for one in report["problems"] if one["code"] == "uid-not-an-oid"]
    assert len(refused) == report["instances"]["withheld"] == 1
    assert report["exit_code"] == 3


UNUSUAL = (
    "us+series-only",
    "duplicate-identical+series-only",
    "modalities-of-a-study",
    "series-started",
    "unknown-modality",
    "mr-enhanced",
    "started-majority",
)


@pytest.mark.parametrize("golden", UNUSUAL)
def test_the_invariants_hold_for_files(golden: str) -> None:
    assert list(broken(imaging(golden))) == []
