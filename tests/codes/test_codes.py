from __future__ import annotations

import csv
from importlib.resources import files
from typing import get_args

import pytest
from pydicom.datadict import tag_for_keyword
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr._concepts_dict import concepts
from pydicom.uid import UID_dictionary

from dicom2fhir import codes
from dicom2fhir.codes import Family, SopClass
from dicom2fhir.dicom.values import is_oid
from dicom2fhir.model import Code, Concept, Modality

STORAGE = "1.2.840.10008.5.1.4.1.1."


def table(name):
    with files(codes).joinpath(f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def column(name, key):
    return [row[key] for row in table(name)]


# --- the tables themselves


@pytest.mark.parametrize(
    ("name", "key"),
    [("modality", "term"), ("body_part", "term"), ("coding_scheme", "designator"), ("lateral", "sct"),
     ("sop_class", "uid"), ("sop_root", "root")],
)  # fmt: skip
def test_every_key_stands_once(name, key):
    keys = column(name, key)
    assert len(set(keys)) == len(keys) > 10
    assert all(value == value.strip() for row in table(name) for value in row.values())


def test_every_table_is_described():
    readme = files(codes).joinpath("README.md").read_text(encoding="utf-8")
    tables = [path.name for path in files(codes).iterdir() if path.name.endswith(".csv")]
    assert all(f"`{name}`" in readme for name in tables)


# --- modalities


def test_a_modality():
    assert codes.modality("CT") == Modality("CT", "Computed Tomography", acquires=True)
    assert codes.modality("KO") == Modality("KO", "Key Object Selection", acquires=False)


@pytest.mark.parametrize("term", ["", "ct", "CT ", "XYZ", "CT\\MR"])
def test_what_is_no_modality(term):
    assert codes.modality(term) is None


def test_acquiring_is_membership_of_cid_29_and_all_of_cid_33_is_known():
    by_keyword = {keyword: code for keyword, code_map in concepts["DCM"].items() for code in code_map}
    cid29 = {by_keyword[keyword] for keyword in cid_concepts[29]["DCM"]}
    cid33 = {by_keyword[keyword] for keyword in cid_concepts[33]["DCM"]}
    known = {term: codes.modality(term) for term in column("modality", "term")}
    assert cid29 | cid33 <= set(known)
    assert {term for term, found in known.items() if found.acquires} == cid29


@pytest.mark.parametrize("term", ["DS", "MA", "EC", "OPR", "VF"])
def test_retired_terms_are_known_and_acquire_nothing_today(term):
    assert codes.modality(term).acquires is False


# --- body parts


def site(code, display):
    return Concept((Code(code, "http://snomed.info/sct", display),))


@pytest.mark.parametrize(
    ("term", "concept"),
    [
        ("BRAIN", site("12738006", "Brain")),
        ("CHEST", site("816094009", "Chest")),
        ("THORAX", site("816094009", "Chest")),
        ("LEG", site("30021000", "Lower leg")),
        ("ARM", site("40983000", "Upper arm")),
        ("c-spine", site("122494005", "Cervical spine")),
        ("Cervical Spine", site("122494005", "Cervical spine")),
        ("LOWER_LEG", site("30021000", "Lower leg")),
        ("OCCIPITALA", site("31145008", "Occipital artery")),
        ("FETALARM", Concept(text="Fetal arm")),
    ],
)
def test_body_parts(term, concept):
    assert codes.body_part(term) == concept


@pytest.mark.parametrize("term", ["", " ", "NOWHERE", "12738006", "CHEST\\ABDOMEN"])
def test_what_is_no_body_part(term):
    assert codes.body_part(term) is None


def test_every_term_has_its_own_row_even_where_another_rows_meaning_reads_alike():
    for row in table("body_part"):
        found = codes.body_part(row["term"])
        assert found == (site(row["sct"], row["meaning"]) if row["sct"] else Concept(text=row["meaning"]))
        assert row["sct"] == "" or has_check_digit(row["sct"])


@pytest.mark.parametrize(
    ("code", "side"),
    [("80248007", "left"), ("73056007", "right"), ("63762007", "both"), ("113270003", "left"), ("76752008", None),
     ("7771000", None), ("", None)],
)  # fmt: skip
def test_sides(code, side):
    assert codes.is_lateral(code) == side


def test_sides_come_in_pairs_of_words():
    for row in table("lateral"):
        assert has_check_digit(row["sct"])
        words = row["meaning"].lower().split()
        assert row["side"] in {"left", "right", "both"}
        assert row["side"] in words


def has_check_digit(sctid):
    """Verhoeff's check, which every SNOMED CT identifier passes."""
    flip, permutations = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4], [list(range(10))]
    for _ in range(7):
        permutations.append([flip[number] for number in permutations[-1]])
    check = 0
    for place, digit in enumerate(reversed(sctid)):
        check = dihedral(check, permutations[place % 8][int(digit)])
    return check == 0


def dihedral(a, b):
    """The product of two symmetries of a pentagon: 0-4 turns, 5-9 mirrors."""
    turned = (a + b) % 5 if a < 5 else (a - b) % 5
    return turned if (a < 5) == (b < 5) else turned + 5


# --- coding schemes


@pytest.mark.parametrize(
    ("designator", "uri"),
    [
        ("DCM", "http://dicom.nema.org/resources/ontology/DCM"),
        ("SCT", "http://snomed.info/sct"),
        ("LN", "http://loinc.org"),
        ("RADLEX", "http://radlex.org"),
        ("RadLex", "http://radlex.org"),
        ("rpid", "http://radlex.org"),
        ("UCUM", "http://unitsofmeasure.org"),
        ("NEU", "urn:oid:2.16.840.1.113883.6.210"),
        ("I10", "http://hl7.org/fhir/sid/icd-10"),
    ],
)
def test_schemes(designator, uri):
    assert codes.scheme(designator) == uri


@pytest.mark.parametrize("designator", ["", "SRT", "99ACME", "L", "dcm", "UNKNOWN"])
def test_schemes_without_a_uri(designator):
    assert codes.scheme(designator) is None


def test_schemes_by_uid():
    assert codes.scheme_by_uid("2.16.840.1.113883.6.96") == "http://snomed.info/sct"
    assert codes.scheme_by_uid("1.2.840.10008.2.16.4") == "http://dicom.nema.org/resources/ontology/DCM"
    assert codes.scheme_by_uid("1.2.840.10008.2.999.999") is None
    assert codes.scheme_by_uid("1.2.3") is None


def test_every_scheme_is_a_uri_with_an_oid():
    for row in table("coding_scheme"):
        assert is_oid(row["uid"])
        assert row["system"] == "" or row["system"].startswith(("http://", "https://", "urn:oid:", "urn:ietf:"))


# --- SOP classes


@pytest.mark.parametrize(
    ("uid", "family", "modality", "title"),
    [
        (STORAGE + "2", "image", "CT", ()),
        (STORAGE + "1.2.1", "image", "MG", ()),
        (STORAGE + "7", "image", None, ()),
        (STORAGE + "77.1.1.1", "video", "ES", ()),
        (STORAGE + "9.1.1", "waveform", "ECG", ()),
        (STORAGE + "88.11", "sr", "SR", ("ConceptNameCodeSequence",)),
        (STORAGE + "78.6", "sr", "SR", ("ConceptNameCodeSequence",)),
        (STORAGE + "88.59", "ko", "KO", ("ConceptNameCodeSequence",)),
        (STORAGE + "11.1", "pr", "PR", ("ContentDescription", "ContentLabel")),
        (STORAGE + "66.4", "seg", "SEG", ("ContentDescription", "ContentLabel")),
        (STORAGE + "66.1", "reg", "REG", ("ContentDescription", "ContentLabel")),
        (STORAGE + "66.2", "reg", "FID", ("ContentDescription", "ContentLabel")),
        (STORAGE + "67", "rwv", "RWV", ("ContentDescription", "ContentLabel")),
        (STORAGE + "104.1", "doc", "DOC", ("DocumentTitle", "ConceptNameCodeSequence")),
        (STORAGE + "481.5", "rt-plan", "RTPLAN", ("RTPlanName", "RTPlanLabel")),
        (STORAGE + "481.3", "rt-struct", "RTSTRUCT", ("StructureSetName", "StructureSetLabel")),
        (STORAGE + "481.1", "rt-image", "RTIMAGE", ("RTImageName", "RTImageLabel")),
        (STORAGE + "481.2", "rt-dose", "RTDOSE", ()),
        (STORAGE + "481.4", "rt-record", "RTRECORD", ()),
        (STORAGE + "481.12", "rt", None, ("UserContentLongLabel", "UserContentLabel")),
        (STORAGE + "66", "raw", None, ()),
        ("1.2.840.10008.5.1.4.38.1", "non-patient", None, ()),
        (codes.DICOMDIR, "non-patient", None, ()),
    ],
)
def test_sop_classes(uid, family, modality, title):
    found = codes.sop_class(uid)
    assert (found.family, found.modality, found.title) == (family, modality, title)


@pytest.mark.parametrize(
    ("uid", "expected"),
    [
        (STORAGE + "88.999", SopClass("sr", "SR", ("ConceptNameCodeSequence",))),
        (STORAGE + "2.99", SopClass("image", "CT")),
        (STORAGE + "12.1.99", SopClass("image", "XA")),
        (STORAGE + "200.99", SopClass("non-patient")),
    ],
)
def test_newer_classes_are_like_their_neighbours(uid, expected):
    assert codes.sop_class(uid) == expected


@pytest.mark.parametrize("uid", ["", "1.2.3", "1.3.12.2.1107.5.9.1", STORAGE, STORAGE + "999.1", STORAGE + "20000"])
def test_private_and_unknown_classes(uid):
    assert codes.sop_class(uid) is None
    assert not codes.is_image(uid)


def test_no_root_lies_below_another():
    roots = column("sop_root", "root")
    assert not [(a, b) for a in roots for b in roots if a != b and a.startswith(b)]


def test_images():
    images = {row["uid"] for row in table("sop_class") if codes.is_image(row["uid"])}
    assert {STORAGE + "2", STORAGE + "77.1.1.1", STORAGE + "481.1"} <= images
    assert not images & {STORAGE + "88.59", STORAGE + "11.1", STORAGE + "66.4", STORAGE + "481.2", STORAGE + "104.1"}


@pytest.mark.parametrize("name", ["sop_class", "sop_root"])
def test_rows_of_sop_classes_speak_of_what_exists(name):
    for row in table(name):
        assert row["family"] in get_args(Family)
        assert row["modality"] == "" or codes.modality(row["modality"])
        assert all(tag_for_keyword(keyword) for keyword in row["title"].split())


def test_every_storage_class_that_pydicom_knows_is_in_the_table():
    rows = {row["uid"]: row for row in table("sop_class")}
    for uid, (name, kind, _, retired, _) in UID_dictionary.items():
        if kind == "SOP Class" and uid.startswith(STORAGE) and "Storage" in name:
            assert uid in rows
            assert (rows[uid]["retired"] == "Y") == bool(retired)
