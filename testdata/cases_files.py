"""Clean cases about files and text: transfer syntaxes, preambles, padding, character sets, names."""

from __future__ import annotations

import re
from typing import Any

from dicomdata import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    Case,
    Files,
    Maker,
    code,
    dataset,
    encode,
    numbered,
    put,
)
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless

WRITTEN = {"StudyDescription": "Test study", "AnatomicRegionSequence": [code("39607008", "SCT", "Lung")]}
"""Text, a sequence and numbers: what a transfer syntax can change."""


def interleaved_studies(case: Case) -> Files:
    """Two studies of two patients, the files of both mixed over two folders under names without sense."""
    mr = {"StudyDescription": "MRI of the knee", "BodyPartExamined": "KNEE"}
    ct = {"StudyDescription": "CT of the chest", "BodyPartExamined": "CHEST"}
    return {
        "A7/0007": case("ct", 1, 2, 2, PatientName="Nobody^Norma", PatientSex="F", **ct),
        "A7/x": case("mr", 2, 1, 1, PatientName="Sample^Sam", PatientSex="M", **mr),
        "tmp (2)/1.bak": case("ct", 1, 2, 1, PatientName="Nobody^Norma", PatientSex="F", **ct),
        "tmp (2)/IMG.JPG": case("mr", 2, 1, 2, PatientName="Sample^Sam", PatientSex="M", **mr),
    }


def big_endian(case: Case) -> Files:
    """Explicit VR Big Endian, the retired transfer syntax, with sequences of defined and of undefined length."""
    return numbered(encode(case(number=number, **WRITTEN), BIG_ENDIAN, undefined=number == 2) for number in (1, 2))


def implicit(case: Case) -> Files:
    """Implicit VR Little Endian, where VRs come from the dictionary."""
    return numbered([encode(case(**WRITTEN), IMPLICIT)])


def deflated(case: Case) -> Files:
    """Deflated Explicit VR Little Endian: everything after the file meta information is compressed."""
    return numbered([encode(case(**WRITTEN), DEFLATED)])


def rle_pixels(case: Case) -> Files:
    """Encapsulated pixel data (RLE), whose length is not known before its end."""
    segment = bytes([15, *range(16)])
    header = (1).to_bytes(4, "little") + (64).to_bytes(4, "little")
    ds = case(**WRITTEN, PixelData=None)
    put(ds, 0x7FE00010, "OB", encapsulate([header.ljust(64, b"\0") + segment + b"\0"]))
    raw = ds.get_item(0x7FE00010)
    ds[0x7FE00010] = raw._replace(length=0xFFFFFFFF)
    return numbered([encode(ds, RLELossless)])


def no_preamble(case: Case) -> Files:
    """Files that begin with the file meta information, without the 128 bytes and DICM before it."""
    return numbered([encode(case(**WRITTEN), preamble=False)])


def no_meta(case: Case) -> Files:
    """Bare data sets without preamble and file meta information, in implicit and in explicit VR."""
    return numbered(
        [
            encode(case(number=1, **WRITTEN), IMPLICIT, meta=False),
            encode(case(number=2, **WRITTEN), EXPLICIT, meta=False),
        ]
    )


def header_only(case: Case) -> Files:
    """An image exported without its pixel data: it ends at the boundary of an element and is whole."""
    return numbered([case(**WRITTEN, PixelData=None)])


def undefined_lengths(case: Case) -> Files:
    """Sequences and items of undefined length around wanted values, nested and in private elements."""
    ds = case(**WRITTEN)
    put(ds, 0x00090010, "LO", "D2F TESTDATA")
    put(ds, 0x00091001, "SQ", [{"StudyDescription": "not this one", "StudyInstanceUID": case.uid(99)}])
    return numbered([encode(ds, EXPLICIT, undefined=True), encode(case(number=2, **WRITTEN), IMPLICIT, undefined=True)])


def after_the_pixels(case: Case) -> Files:
    """Data set trailing padding (FFFC,FFFC) behind the pixel data."""
    return numbered([put(case(**WRITTEN), 0xFFFCFFFC, "OB", b"\0" * 8)])


def group_lengths(case: Case) -> Files:
    """Retired group length elements, here wrong, that say nothing about the object."""
    ds = case(**WRITTEN)
    for group in (0x0008, 0x0010, 0x0020):
        put(ds, group << 16, "UL", 4)
    return numbered([ds])


def uids_from_meta(case: Case) -> Files:
    """SOP class and instance UID that stand only in the file meta information."""
    ds = case(SOPClassUID=None, SOPInstanceUID=None)
    meta = {"MediaStorageSOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "MediaStorageSOPInstanceUID": case.uid(1, 1, 1)}
    return numbered([encode(ds, **meta)])


def uid_of_a_uuid(case: Case) -> Files:
    """UIDs made of UUIDs (2.25), which stay UIDs."""
    uuid = "2.25.217853466384560348756128375619283746512"
    return numbered([case(StudyInstanceUID=uuid, SeriesInstanceUID=f"{uuid[:-1]}3")])


def meta_disagrees(case: Case) -> Files:
    """File meta information that names another SOP class and instance: the data set is right."""
    meta = {"MediaStorageSOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "MediaStorageSOPInstanceUID": case.uid(9, 9, 9)}
    return numbered([encode(case(), **meta)])


def padding(case: Case) -> Files:
    """UIDs padded with blanks and NULs, codes and text with blanks around them and NULs behind."""
    return numbered(
        [
            case(
                StudyInstanceUID=f"{case.uid(1)}  ",
                SeriesInstanceUID=f" {case.uid(1, 1)}\0\0",
                SOPInstanceUID=f"{case.uid(1, 1, 1)}\0\0\0",
                Modality=" CT ",
                StudyDate="20240115 ",
                SeriesNumber=" 7 ",
                StudyDescription="  Padded  description \0\0",
                PatientID=" PADDED-1 \0",
                AccessionNumber="\0\0 A-1  ",
            )
        ]
    )


def blank_values(case: Case) -> Files:
    """Values of nothing but blanks, which are as good as absent."""
    blank = "  "
    return numbered(
        [
            case(
                AccessionNumber=blank,
                StudyDescription=blank,
                SeriesDescription=blank,
                StudyID=blank,
                PatientSex=blank,
                PatientBirthDate=blank,
                ReferringPhysicianName=blank,
                BodyPartExamined=blank,
                Laterality=blank,
                InstanceNumber=blank,
                IssuerOfPatientID=blank,
                ProcedureCodeSequence=[code(blank, blank, blank), {}],
            )
        ]
    )


def empty_sequences(case: Case) -> Files:
    """Wanted sequences without items and with items that hold nothing."""
    return numbered(
        [
            case(
                ProcedureCodeSequence=[],
                RequestAttributesSequence=[{}],
                AnatomicRegionSequence=[{}],
                ReferringPhysicianIdentificationSequence=[{}],
                IssuerOfAccessionNumberSequence=[],
            )
        ]
    )


def control_characters(case: Case) -> Files:
    """Text with control characters, which FHIR forbids, and with a line break, which it allows."""
    return numbered([case(StudyDescription="Chest\x01 with\x07 contrast", SeriesDescription="one\r\ntwo\tthree")])


def description_backslash(case: Case) -> Files:
    """A backslash in descriptions, which makes two values of them: they are joined."""
    return numbered([case(StudyDescription="Chest\\Abdomen", SeriesDescription="\\axial\\ 5 mm")])


def names_japanese(case: Case) -> Files:
    """Japanese names in three representations, in ISO 2022 with one and with two character sets and in UTF-8."""
    roman, kana = "Tesuto^Hanako=試験^花子=てすと^はなこ", "ﾃｽﾄ^ﾊﾅｺ=試験^花子=てすと^はなこ"
    return numbered(
        [
            case("ct", 1, SpecificCharacterSet="\\ISO 2022 IR 87", PatientName=roman, StudyDescription="胸部CT"),
            case("cr", 2, SpecificCharacterSet="ISO 2022 IR 13\\ISO 2022 IR 87", PatientName=kana),
            case("mr", 3, SpecificCharacterSet="ISO_IR 192", PatientName=roman, OperatorsName="試験^太郎"),
        ]
    )


def names_korean(case: Case) -> Files:
    """Korean names in three representations, in ISO 2022 IR 149 and in UTF-8."""
    name = "Siheom^Hwanja=試驗^患者=시험^환자"
    return numbered(
        [
            case("ct", 1, SpecificCharacterSet="\\ISO 2022 IR 149", PatientName=name, StudyDescription="흉부 CT"),
            case("mr", 2, SpecificCharacterSet="ISO_IR 192", PatientName=name),
        ]
    )


def names_chinese(case: Case) -> Files:
    """Chinese names in two representations, in GB18030, GBK, ISO 2022 IR 58 and UTF-8."""
    name = "Ceshi^Bingren=测试^病人"
    terms = ("GB18030", "GBK", "\\ISO 2022 IR 58", "ISO_IR 192")
    texts: dict[str, Any] = {"PatientName": name, "StudyDescription": "胸部 CT 平扫"}
    escaped = {keyword: _in_ir_58(text) for keyword, text in texts.items()}
    return numbered(
        case("ct", study, SpecificCharacterSet=term, **(escaped if "58" in term else texts))
        for study, term in enumerate(terms, 1)
    )


def _in_ir_58(text: str) -> bytes:
    """ISO 2022 IR 58 with its escape sequence in every component; pydicom leaves it out."""
    parts = (part if part.isascii() else b"\x1b$)A".decode() + part for part in re.split("([=^])", text))
    return "".join(parts).encode("gb2312")


def names_russian(case: Case) -> Files:
    """Russian names in ISO_IR 144, alone, beside Latin text by ISO 2022, and in UTF-8."""
    name = "Тестов^Тест^Тестович"
    return numbered(
        [
            case("ct", 1, SpecificCharacterSet="ISO_IR 144", PatientName=name, StudyDescription="КТ груди"),
            case("mr", 2, SpecificCharacterSet="ISO 2022 IR 100\\ISO 2022 IR 144", PatientName=f"Testov^Test={name}"),
            case("dx", 3, SpecificCharacterSet="ISO_IR 192", PatientName=name),
        ]
    )


def names_arabic(case: Case) -> Files:
    """Arabic names in ISO_IR 127 and, in three representations, in UTF-8."""
    return numbered(
        [
            case("ct", 1, SpecificCharacterSet="ISO_IR 127", PatientName="تجربة^مريض", StudyDescription="صورة الصدر"),
            case("mr", 2, SpecificCharacterSet="ISO_IR 192", PatientName="Tajriba^Marid=تجربة^مريض=تَجرِبة^مَريض"),
        ]
    )


def names_european(case: Case) -> Files:
    """Names in Latin-1, Latin-2, Latin-5, Greek, Hebrew and Thai, each in its own character set."""
    names = {
        "ISO_IR 100": "Prüfling^Jörg",
        "ISO_IR 101": "Próba^Józef",
        "ISO_IR 148": "Deneme^Işık",
        "ISO_IR 126": "Δοκιμή^Ελένη",
        "ISO_IR 138": "בדיקה^דוד",
        "ISO_IR 166": "ทดสอบ^สมชาย",
    }
    return numbered(
        case("cr", study, SpecificCharacterSet=term, PatientName=name)
        for study, (term, name) in enumerate(names.items(), 1)
    )


def names_with_all_parts(case: Case) -> Files:
    """A name with prefix, middle names and suffix, and a family name alone with trailing carets."""
    return numbered(
        [
            case("ct", 1, PatientName="Testperson^Tessa Maria^Ann Sue^Prof. Dr.^Jr."),
            case("ct", 2, PatientName="Testperson^^^^"),
        ]
    )


def names_of_one_part(case: Case) -> Files:
    """Names without a caret: one word is a family name, several words or a comma are only text."""
    names = ("Testperson", "Tessa Testperson", "Testperson, Tessa", "Testperson,Tessa")
    return numbered(case("ct", study, PatientName=name) for study, name in enumerate(names, 1))


def names_of_carets(case: Case) -> Files:
    """A name of carets and equal signs alone is no name."""
    return numbered([case("ct", 1, PatientName="^^^^"), case("ct", 2, PatientName="^^=^=", OperatorsName="^")])


def names_without_first_group(case: Case) -> Files:
    """A name whose alphabetic group is empty, so that the ideographic one comes first."""
    return numbered([case(SpecificCharacterSet="ISO_IR 192", PatientName="=試験^花子=てすと^はなこ")])


def charset_labels(case: Case) -> Files:
    """Character sets by names that are not DICOM's, but usual: all are understood."""
    name = "Prüfling^Jörg"
    labels = {
        "ISO IR 100": "latin-1",
        "ISO-8859-1": "latin-1",
        "latin1": "latin-1",
        "ISO_IR_100": "latin-1",
        "ISO_IR_192": "utf-8",
        "UTF-8": "utf-8",
        "UTF8": "utf-8",
        "ISO 2022-IR-100": "latin-1",
    }
    return numbered(
        case("ct", study, SpecificCharacterSet=label, PatientName=name.encode(codec))
        for study, (label, codec) in enumerate(labels.items(), 1)
    )


def undeclared_utf_8(case: Case) -> Files:
    """UTF-8 in an object that declares no character set."""
    return numbered([case(PatientName="Prüfling^Jörg".encode(), StudyDescription="Schädel".encode())])


def undeclared_latin_1(case: Case) -> Files:
    """Latin-1 in an object that declares no character set."""
    return numbered([case(PatientName="Prüfling^Jörg".encode("latin-1"), StudyDescription="Schädel".encode("latin-1"))])


def charset_of_an_item(case: Case) -> Files:
    """A sequence item with a character set of its own, beside one that has the object's."""
    return numbered(
        [
            case(
                SpecificCharacterSet="ISO_IR 100",
                StudyDescription="Schädel",
                ProcedureCodeSequence=[
                    code("1", "99TEST", "КТ головы", SpecificCharacterSet="ISO_IR 144"),
                    code("2", "99TEST", "Schädel-CT"),
                ],
            )
        ]
    )


def backslash_inside_a_character(case: Case) -> Files:
    """GB18030 text with characters whose second byte is 5C, which is not a backslash there."""
    return numbered(
        [
            case(
                SpecificCharacterSet="GB18030",
                PatientName="Ceshi^Cheng=测试^誠",
                StudyDescription="誠心 CT".encode("gb18030"),
                OperatorsName="Ceshi^Cheng=测试^誠".encode("gb18030"),
            )
        ]
    )


def charset_reset(case: Case) -> Files:
    """ISO 2022 text whose character set falls back at a caret, an equal sign and a backslash without an escape."""
    japanese = "試験".encode("iso2022_jp").removesuffix(b"\x1b(B")
    return numbered(
        [
            case(
                SpecificCharacterSet="\\ISO 2022 IR 87",
                PatientName=b"Tesuto^Hanako=" + japanese + b"\x1b(B^" + "花子".encode("iso2022_jp"),
                StudyDescription="胸部".encode("iso2022_jp") + b"\\CT",
            )
        ]
    )


def sequence_in_unknown_vr(case: Case) -> Files:
    """A wanted sequence written with VR UN, as archives do that do not know the attribute."""
    item = encode(dataset(**code("39607008", "SCT", "Lung")), IMPLICIT, meta=False)
    body = b"\xfe\xff\x00\xe0" + len(item).to_bytes(4, "little") + item
    return numbered([put(case(), 0x00082218, "UN", body)])


def many_private_elements(case: Case) -> Files:
    """Private blocks before, between and behind the wanted elements, one of them named like a wanted one."""
    ds = case(**WRITTEN)
    for group in (0x0009, 0x0011, 0x0019, 0x0021, 0x0029):
        put(ds, group << 16 | 0x0010, "LO", "D2F TESTDATA")
        for element in range(0x1000, 0x1010):
            put(ds, group << 16 | element, "LO", "StudyDescription")
    return numbered([ds])


CASES: tuple[Maker, ...] = (
    interleaved_studies,
    big_endian,
    implicit,
    deflated,
    rle_pixels,
    no_preamble,
    no_meta,
    header_only,
    undefined_lengths,
    after_the_pixels,
    group_lengths,
    uids_from_meta,
    uid_of_a_uuid,
    meta_disagrees,
    padding,
    blank_values,
    empty_sequences,
    control_characters,
    description_backslash,
    names_japanese,
    names_korean,
    names_chinese,
    names_russian,
    names_arabic,
    names_european,
    names_with_all_parts,
    names_of_one_part,
    names_of_carets,
    names_without_first_group,
    charset_labels,
    undeclared_utf_8,
    undeclared_latin_1,
    charset_of_an_item,
    backslash_inside_a_character,
    charset_reset,
    sequence_in_unknown_vr,
    many_private_elements,
)
