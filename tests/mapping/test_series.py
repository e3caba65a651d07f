"""A series and its instances: modality, number, start, endpoints, titles, equipment, and what is listed."""

from __future__ import annotations

from typing import Any

import pytest
from records import KEY_OBJECT, REPORT, code, issuer, notes, record, series, study

from dicom2fhir.dicom.records import InstanceRecord
from dicom2fhir.model import Device, Endpoint, Identifier, Location, Moment, Organization, Specimen
from dicom2fhir.problems import Code

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
DOCUMENT = "1.2.840.10008.5.1.4.1.1.104.1"


@pytest.mark.parametrize(
    ("stated", "sop_class", "term", "noted"),
    [
        ("CT", REPORT, "CT", None),
        (" mr ", REPORT, "MR", None),
        ("SCANNER\\MR", REPORT, "MR", Code.VALUE_INVALID),
        ("OURS", REPORT, "US", None),
        ("ours", REPORT, "OT", Code.MODALITY_UNKNOWN),
        ("SCANNER", REPORT, "OT", Code.MODALITY_UNKNOWN),
        (None, REPORT, "SR", Code.MODALITY_DERIVED),
        ("", KEY_OBJECT, "KO", Code.MODALITY_DERIVED),
        (None, SECONDARY_CAPTURE, "OT", Code.MODALITY_DERIVED),
        (None, "1.2.3.4", "OT", Code.MODALITY_DERIVED),
    ],
)
def test_modalities(stated: str | None, sop_class: str, term: str, noted: Code | None) -> None:
    instance = record(sop_class=sop_class, Modality=stated, PatientID=None)
    assert series(instance, modalities={"OURS": "US"}).modality.term == term
    found = notes(instance, modalities={"OURS": "US"})
    assert found == ({(noted, "Modality"): 1} if noted else {})


def test_an_unknown_modality_keeps_its_words_and_does_not_acquire() -> None:
    found = series(record(Modality="SCANNER")).modality
    assert (found.text, found.acquires) == ("SCANNER", False)


@pytest.mark.parametrize(
    ("terms", "winner", "conflict"),
    [
        (["CT", "CT"], "CT", False),
        (["CT", "PT", "PT"], "PT", True),
        (["PT", "CT"], "PT", True),
        (["SR", "SR", "CT"], "CT", True),
        (["KO", "SR", "SR"], "SR", True),
    ],
)
def test_the_majoritys_modality_reports_aside(terms: list[str], winner: str, conflict: bool) -> None:
    instances = [record(number, Modality=term) for number, term in enumerate(terms)]
    assert series(*instances).modality.term == winner
    assert ((Code.MODALITY_CONFLICT, "Modality") in notes(*instances)) == conflict


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"SeriesDescription": "A", "ProtocolName": "C"}, "A"),
        ({"SeriesDescriptionCodeSequence": [code("1", "LN", "B")], "ProtocolName": "C"}, "B"),
        ({"SeriesDescriptionCodeSequence": [code("1", "LN")], "ProtocolName": "C"}, "C"),
        ({}, None),
    ],
)
def test_descriptions_of_series(values: dict[str, Any], found: str | None) -> None:
    assert series(record(**values)).description == found


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"StudyDescription": "A", "ProcedureCodeSequence": [code("1", "LN", "B")]}, "A"),
        ({"ProcedureCodeSequence": [code("1", "LN", "B"), code("2", "LN", "C"), code("3", "LN")]}, "B; C"),
        ({"ProcedureCodeSequence": [code("1", "LN")], "RequestedProcedureDescription": "D"}, "D"),
        ({}, None),
    ],
)
def test_descriptions_of_studies(values: dict[str, Any], found: str | None) -> None:
    assert study(record(**values)).description == found


def frames(*times: str) -> list[dict[str, Any]]:
    return [{"FrameContentSequence": [{"FrameAcquisitionDateTime": time}]} for time in times]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"SeriesDate": "20240102", "AcquisitionDate": "20240101"}, "2024-01-02"),
        ({"SeriesDate": "nonsense", "AcquisitionDate": "20240101"}, "2024-01-01"),
        ({"AcquisitionDateTime": "20240103", "AcquisitionDate": "20240101"}, "2024-01-03"),
        ({"AcquisitionDate": "20240101", "PerFrameFunctionalGroupsSequence": frames("20230101")}, "2024-01-01"),
        ({"PerFrameFunctionalGroupsSequence": frames("20240105", "20240104")}, "2024-01-04"),
        ({"SharedFunctionalGroupsSequence": frames("20240106")}, "2024-01-06"),
        ({"StudyDate": "20240101"}, None),
    ],
)
def test_when_a_series_started(values: dict[str, Any], found: str | None) -> None:
    assert series(record(**values)).started == (Moment(found) if found else None)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://pacs.example/rs/studies/1.2/series/1.2.1", "https://pacs.example/rs"),
        ("https://pacs.example/rs/", "https://pacs.example/rs"),
        ("HTTP://pacs.example/rs", "HTTP://pacs.example/rs"),
        ("https://pacs.example/rs?studyUID=1.2", None),
        ("ftp://pacs.example/rs", None),
        ("https://", None),
        ("pacs.example/rs", None),
        ("https://pacs.example/a b", None),
        ("https://known.example/rs/studies/1.2", None),
    ],
)
def test_retrieve_urls(url: str, address: str | None) -> None:
    known = (Endpoint("wado-rs", "https://known.example/rs"),)
    found = series(record(RetrieveURL=url), endpoints=known).endpoints
    assert found == ((Endpoint("wado-rs", address),) if address else ())
    assert ((Code.VALUE_INVALID, "RetrieveURL") in notes(record(RetrieveURL=url), endpoints=known)) == (
        address is None and "known" not in url
    )


@pytest.mark.parametrize(
    ("settings", "listed"),
    [
        ({}, 3),
        ({"series_only": True}, 0),
        ({"max_instances": 3}, 3),
        ({"max_instances": 2}, 0),
        ({"max_instances": 0}, 0),
        ({"series_only": True, "max_instances": 9}, 0),
    ],
)
def test_instances_may_be_counted_and_not_listed(settings: dict[str, Any], listed: int) -> None:
    instances = [record(1, 1), record(2, 1), record(1, 2)]
    found = study(*instances, **settings)
    assert sum(len(one.instances) for one in found.series) == listed
    assert (found.instance_count, [one.instance_count for one in found.series]) == (3, [2, 1])
    assert ((Code.INSTANCES_OMITTED, "1.2") in notes(*instances, **settings)) == (listed == 0)


def test_series_and_instances_are_in_order_of_their_numbers_then_uids() -> None:
    numbers: dict[tuple[int, int], tuple[str | None, str | None]] = {
        (1, 1): (None, None),
        (2, 1): ("10", "2"),
        (2, 2): ("10", "1"),
        (2, 3): ("10", None),
        (2, 4): ("10", "1"),
        (3, 1): ("2", "0"),
    }
    instances = [
        record(number, series, SeriesNumber=of_series, InstanceNumber=own)
        for (series, number), (of_series, own) in numbers.items()
    ]
    found = study(*instances).series
    assert [one.uid for one in found] == ["1.2.3", "1.2.2", "1.2.1"]
    assert [one.uid for one in found[1].instances] == ["1.2.2.2", "1.2.2.4", "1.2.2.1", "1.2.2.3"]


@pytest.mark.parametrize(
    ("instance", "title"),
    [
        (record(sop_class=REPORT, ConceptNameCodeSequence=[code("1", "LN", "Report")]), "Report"),
        (record(sop_class=REPORT, ConceptNameCodeSequence=[code("1", "LN")]), None),
        (record(sop_class=DOCUMENT, DocumentTitle="A", ConceptNameCodeSequence=[code("1", "LN", "B")]), "A"),
        (record(sop_class=DOCUMENT, ConceptNameCodeSequence=[code("1", "LN", "B")]), "B"),
        (record(sop_class="1.2.840.10008.5.1.4.1.1.11.1", ContentLabel="A\\B"), "A; B"),
        (record(ContentLabel="A", DocumentTitle="B"), None),
        (record(sop_class="1.2.3.4", ContentLabel="A"), None),
    ],
)
def test_titles_go_by_family(instance: InstanceRecord, title: str | None) -> None:
    assert series(instance).instances[0].title == title


@pytest.mark.parametrize(("stated", "count"), [("3", 3), ("0", None), ("", None), ("x", None), ("-1", None)])
def test_numbers_of_frames(stated: str, count: int | None) -> None:
    assert series(record(NumberOfFrames=stated)).instances[0].frames == count
    assert ((Code.VALUE_INVALID, "NumberOfFrames") in notes(record(NumberOfFrames=stated))) == (stated in ("x", "-1"))


def test_a_device_is_known_by_whatever_is_said_of_it() -> None:
    values = {"DeviceID": "D", "GantryID": "G", "SoftwareVersions": "1\\\\2", "DeviceUID": "1.2.3"}
    (performer,) = series(record(**values)).performers
    assert performer.actor == Device(versions=("1", "2"), uid="1.2.3", number="D", modality=series(record()).modality)
    (performer,) = series(record(GantryID="G")).performers
    assert isinstance(performer.actor, Device)
    assert performer.actor.number == "G"


def test_a_device_uid_that_is_none_is_noted() -> None:
    instance = record(DeviceUID="1.x")
    assert series(instance).performers == ()
    assert notes(instance)[Code.VALUE_INVALID, "DeviceUID"] == 1


def test_specimens_of_all_instances_each_once() -> None:
    def slide(number: int, *names: str) -> InstanceRecord:
        items: list[dict[str, Any]] = [{"SpecimenIdentifier": name, "SpecimenUID": "1.x"} for name in names]
        items[0]["IssuerOfTheSpecimenIdentifierSequence"] = issuer("1.2.9")
        return record(number, SpecimenDescriptionSequence=[*items, {}])

    def known(name: str, system: str | None = None) -> Specimen:
        return Specimen((Identifier(name, "specimen", system),))

    instances = [slide(1, "A", "B"), slide(2, "A")]
    assert series(*instances).specimens == (known("A", "urn:oid:1.2.9"), known("B"))
    assert notes(*instances)[Code.VALUE_INVALID, "SpecimenUID"] == 3


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"InstitutionalDepartmentName": "A", "PerformedLocation": "B"}, Location("A")),
        ({"PerformedLocation": "B", "InstitutionName": "C"}, Location("B", (), Organization("C"))),
        ({"StationName": "CT-1", "InstitutionName": "C"}, None),
    ],
)
def test_places(values: dict[str, Any], found: Location | None) -> None:
    assert study(record(**values)).location == found


def test_notes_of_reading_count_for_every_instance_of_a_context() -> None:
    first = record(PatientID=None)
    context = first.context._replace(notes=(("charset-invalid", "PatientName"),))
    instances = [first._replace(uid=f"1.2.1.{n}", context=context) for n in (1, 2)]
    instances[0] = instances[0]._replace(notes=(("truncated-pixels", "PixelData"),))
    assert notes(*instances) == {
        (Code.CHARSET_INVALID, "PatientName"): 2,
        (Code.TRUNCATED_PIXELS, "PixelData"): 1,
    }
