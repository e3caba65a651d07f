"""Reading key objects: their content is read whole and in bounds, and no other object's reading grows by it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, bare, code, dataset, encode, put, uid
from pydicom.datadict import dictionary_keyword, dictionary_VR
from pydicom.dataset import Dataset
from reading import as_in_a_worker, notes, oracle, read_bytes, values

from dicom2fhir import model
from dicom2fhir.dicom.elements import BY_TAG, KEY_OBJECT_ELEMENTS, LAST_WANTED, LISTS, TREE_DEPTH, Element, Level
from dicom2fhir.dicom.keyobjects import Content, Evidence, content, evidence, is_cut, references
from dicom2fhir.dicom.scan import Window, scan
from dicom2fhir.problems import Code

CT = "1.2.840.10008.5.1.4.1.1.2"
KEYWORDS = {element.keyword for element in KEY_OBJECT_ELEMENTS}


@pytest.fixture(autouse=True)
def _worker() -> Iterator[None]:
    with as_in_a_worker():
        yield


def image(number: int = 1, **parts: Any) -> dict[str, Any]:
    reference = {"ReferencedSOPClassUID": CT, "ReferencedSOPInstanceUID": uid(1, 1, number), **parts}
    return {"RelationshipType": "CONTAINS", "ValueType": "IMAGE", "ReferencedSOPSequence": [reference]}


def said(kind: str, concept: str, **more: Any) -> dict[str, Any]:
    return {"ValueType": kind, "ConceptNameCodeSequence": [code(concept, "DCM", "a concept")], **more}


def container(*items: dict[str, Any]) -> dict[str, Any]:
    return said("CONTAINER", "111028", ContentSequence=list(items))


def nested(depth: int, *items: dict[str, Any]) -> list[dict[str, Any]]:
    """The items below so many containers."""
    found = list(items)
    for _ in range(depth):
        found = [container(*found)]
    return found


def listed(count: int = 1) -> list[dict[str, Any]]:
    instances = [
        {"ReferencedSOPClassUID": CT, "ReferencedSOPInstanceUID": uid(1, 1, number)} for number in range(1, count + 1)
    ]
    series = {"SeriesInstanceUID": uid(1, 1), "RetrieveURL": "https://a.test/rs", "ReferencedSOPSequence": instances}
    return [{"StudyInstanceUID": uid(1), "ReferencedSeriesSequence": [series]}]


def everything(kind: str = "ko", **more: Any) -> Dataset:
    """An object with all that is read of a key object, in another character set than ASCII."""
    said_of_it: dict[str, Any] = {
        "SpecificCharacterSet": "ISO_IR 192",
        "ContentDate": "20240115",
        "ContentTime": "101112",
        "ObservationDateTime": "20240115101112+0100",
        "CurrentRequestedProcedureEvidenceSequence": listed(2),
        "IdenticalDocumentsSequence": listed(),
        "ContentSequence": [
            said("PNAME", "121008", PersonName="Müller^Jörg=山田"),
            said("UIDREF", "121012", UID="1.2.3"),
            said("TEXT", "113012", TextValue="größer \\ als"),
            said("CODE", "113011", ConceptCodeSequence=[code("111215", "DCM", "Motion blur")]),
            container(image(1, ReferencedFrameNumber=[3, 4]), image(2, ReferencedSegmentNumber=[1, 258])),
            image(3, ReferencedWaveformChannels=[1, 2, 1, 65535]),
        ],
    }
    return dataset(kind, **said_of_it | more)


def of(ds: Dataset | bytes, folder: Path, syntax: str = EXPLICIT, **how: Any) -> Any:
    return read_bytes(ds if isinstance(ds, bytes) else encode(ds, syntax, **how), folder)


# The record


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED])
def test_everything_is_what_pydicom_reads(syntax: str, undefined: bool, tmp_path: Path) -> None:
    record = of(everything(), tmp_path, syntax, undefined=undefined)
    found = {keyword: value for keyword, value in values(record).items() if keyword in KEYWORDS}
    assert found.keys() == KEYWORDS
    assert found == oracle(everything(), KEY_OBJECT_ELEMENTS)
    assert notes(record) == []


def test_numbers_are_decimal_texts(tmp_path: Path) -> None:
    found = values(of(everything(), tmp_path, BIG_ENDIAN))["ContentSequence"]
    assert found[4]["ContentSequence"][0]["ReferencedSOPSequence"][0]["ReferencedFrameNumber"] == "3\\4"
    assert found[4]["ContentSequence"][1]["ReferencedSOPSequence"][0]["ReferencedSegmentNumber"] == "1\\258"
    assert found[5]["ReferencedSOPSequence"][0]["ReferencedWaveformChannels"] == "1\\2\\1\\65535"


def test_a_text_where_a_number_belongs_is_noted(tmp_path: Path) -> None:
    reference = put(bare(ReferencedSOPInstanceUID="1.2"), 0x0062000B, "LO", "7")
    record = of(everything(ContentSequence=[{"ValueType": "IMAGE", "ReferencedSOPSequence": [reference]}]), tmp_path)
    assert references(next(content(values(record))).item) == [{"ReferencedSOPInstanceUID": "1.2"}]
    assert notes(record) == [(Code.VALUE_INVALID.value, "ReferencedSegmentNumber")]


@pytest.mark.parametrize("kind", ["sr", "ct", "pr"])
def test_the_same_of_another_object_is_not_read(kind: str, tmp_path: Path) -> None:
    assert not KEYWORDS & values(of(everything(kind), tmp_path)).keys()


def test_no_other_object_s_reading_looks_for_it() -> None:
    content = encode(everything("sr"))
    found = scan(Window(content, len(content)))
    assert found is not None
    assert not {element.tag for element in KEY_OBJECT_ELEMENTS} & {tag for tag, *_ in found.spans}


def test_a_key_object_is_known_by_its_meta_information_too(tmp_path: Path) -> None:
    known = everything(SOPClassUID=None)
    body = encode(known, MediaStorageSOPClassUID="1.2.840.10008.5.1.4.1.1.88.59")
    assert values(of(body, tmp_path)).keys() >= KEYWORDS


# Bounds


def test_thousands_of_instances_are_read(tmp_path: Path) -> None:
    """A manifest of a whole study lists more than a thousand items, and is no attack."""
    record = of(everything(CurrentRequestedProcedureEvidenceSequence=listed(3000)), tmp_path)
    assert len(list(evidence(values(record)))) == 3000
    many = of(everything(ContentSequence=[image(number) for number in range(1, 1500)]), tmp_path)
    assert len(list(content(values(many)))) == 1499


def test_other_sequences_inside_keep_their_limit(tmp_path: Path) -> None:
    codes = [code(str(number), "DCM", "x") for number in range(1001)]
    record = of(everything(ContentSequence=[said("CODE", "113011", ConceptCodeSequence=codes)]), tmp_path)
    assert record[:3] == ("skip", Code.TOO_MANY_ITEMS.value, "ConceptCodeSequence")


def test_a_sequence_beyond_the_limit_is_noted_and_the_instance_stays(tmp_path: Path) -> None:
    long = [said("TEXT", "113012", TextValue="x" * 60_000) for _ in range(20)]
    record = of(everything(ContentSequence=long), tmp_path)
    assert "ContentSequence" not in values(record)
    assert notes(record) == [(Code.VALUE_INVALID.value, "ContentSequence")]
    assert len(list(evidence(values(record)))) == 2


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize(("depth", "cut"), [(0, False), (TREE_DEPTH - 1, False), (TREE_DEPTH, True), (60, True)])
def test_a_tree_is_followed_so_far(depth: int, cut: bool, undefined: bool, tmp_path: Path) -> None:
    record = of(everything(ContentSequence=nested(depth, image())), tmp_path, undefined=undefined)
    found = values(record)
    assert is_cut(found) is cut
    assert any(references(each.item) for each in content(found)) is not cut
    assert notes(record) == []


def test_a_tree_of_two_hundred_levels_ends_in_a_code(tmp_path: Path) -> None:
    record = of(everything(ContentSequence=nested(190, image())), tmp_path, undefined=True)
    assert record[0] == "header" or record[1] == Code.TOO_DEEP.value


def test_a_damaged_tree_is_noted(tmp_path: Path) -> None:
    ds = put(everything(), 0x0040A730, "SQ", b"\xfe\xff\x00\xe0\xff\x00\x00\x00\x08\x00")
    record = of(ds, tmp_path)
    assert notes(record) == [(Code.VALUE_INVALID.value, "ContentSequence")]


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_a_file_cut_anywhere_gives_a_code_or_a_record(syntax: str, tmp_path: Path) -> None:
    whole = encode(everything(), syntax)
    for size in range(300, len(whole), 37):
        record = of(whole[:size], tmp_path)
        assert record[0] == "header" or Code(record[1])


# The table


def all_of(elements: Iterable[Element]) -> Iterator[Element]:
    for element in elements:
        yield element
        yield from all_of(element.items)


def depth_of(element: Element) -> int:
    return 1 + max(map(depth_of, element.items), default=0)


def test_the_table_is_the_dictionary_s() -> None:
    for element in all_of(KEY_OBJECT_ELEMENTS):
        assert dictionary_keyword(element.tag) == element.keyword
        assert dictionary_VR(element.tag) == element.vr
        assert (element.vr == "SQ") == bool(element.items)
        assert len({item.tag for item in element.items}) == len(element.items)


def test_the_table_adds_instance_level_attributes_before_the_last_wanted_one() -> None:
    assert [e.tag for e in KEY_OBJECT_ELEMENTS] == sorted(e.tag for e in KEY_OBJECT_ELEMENTS)
    assert all(e.level is Level.INSTANCE and e.tag < LAST_WANTED for e in KEY_OBJECT_ELEMENTS)
    assert not {e.tag for e in KEY_OBJECT_ELEMENTS} & BY_TAG.keys()
    assert max(map(depth_of, KEY_OBJECT_ELEMENTS)) <= 16
    assert {e.tag for e in all_of(KEY_OBJECT_ELEMENTS)} >= LISTS


def test_what_the_table_feeds_is_in_the_model() -> None:
    fed = [target.split(".") for element in KEY_OBJECT_ELEMENTS for target in element.feeds.split(", ")]
    assert {owner for owner, _ in fed} == {"KeyObject"}
    assert {field for _, field in fed} <= set(model.KeyObject.__dataclass_fields__)


# The tree


def test_content_comes_in_the_order_of_the_document() -> None:
    tree = [container(said("TEXT", "1"), container(said("TEXT", "2"))), said("TEXT", "3")]
    found = [(each.concept, each.depth) for each in content({"ContentSequence": tree})]
    assert found == [("111028", 0), ("1", 1), ("111028", 1), ("2", 2), ("3", 0)]


@pytest.mark.parametrize("empty", [{}, {"ContentSequence": []}])
def test_no_content(empty: dict[str, Any]) -> None:
    assert list(content(empty)) == []
    assert not is_cut(empty)
    assert list(evidence(empty)) == []


@pytest.mark.parametrize(
    ("kind", "refers"),
    [("IMAGE", True), ("WAVEFORM", True), ("composite ", True), ("TEXT", False), ("SCOORD", False), (None, False)],
)
def test_what_refers(kind: str | None, refers: bool) -> None:
    assert Content({"ValueType": kind} if kind else {}, 0).is_reference is refers


def test_only_dicom_s_own_codes_name_a_concept() -> None:
    private = [code("113012", "99X")]
    assert Content({"ConceptNameCodeSequence": private}, 0).concept == ""
    assert Content({"ConceptNameCodeSequence": [*private, code("113011", "DCM")]}, 0).concept == "113011"
    assert Content({}, 0).concept == ""


def test_references_of_an_item() -> None:
    assert references(image(4))[0]["ReferencedSOPInstanceUID"] == uid(1, 1, 4)
    assert references({}) == []
    assert references({"ReferencedSOPSequence": "text"}) == []


def test_evidence_is_flat() -> None:
    found = {"CurrentRequestedProcedureEvidenceSequence": listed(2), "IdenticalDocumentsSequence": [{}, *listed()]}
    assert list(evidence(found)) == [
        Evidence(uid(1), uid(1, 1), CT, uid(1, 1, number), "https://a.test/rs") for number in (1, 2)
    ]
    assert [one.uid for one in evidence(found, "IdenticalDocumentsSequence")] == [uid(1, 1, 1)]
