"""Cases that are damaged, contradictory or hostile, and files that are no object of a study."""

from __future__ import annotations

from typing import Any

from dicomdata import (
    EXPLICIT,
    IMPLICIT,
    ROOT,
    Case,
    Files,
    Maker,
    code,
    dataset,
    deflated,
    deflated_zeros,
    encode,
    numbered,
    put,
)
from pydicom.dataset import Dataset

HOSPITAL = f"{ROOT}.9.1"
DEFLATE_BOMB = 72 * 2**20


def one(ds: Dataset | bytes) -> Files:
    """A case of one file."""
    return numbered([ds])


# Damaged files


def truncated_header(case: Case) -> Files:
    """Files cut inside an element of their header, one in a value, one in a sequence, beside a whole one."""
    ds = case(number=2, StudyDescription="This text is cut in the middle")
    text = encode(ds)
    with_sequence = encode(case(number=3, ProcedureCodeSequence=[code("24627-2", "LN", "CT Chest")]))
    return {
        "whole.dcm": case(number=1),
        "cut-in-a-value.dcm": text[: text.index(b"in the middle")],
        "cut-in-a-sequence.dcm": with_sequence[: with_sequence.index(b"24627-2")],
    }


def truncated_after_the_uids(case: Case) -> Files:
    """A file cut inside the header behind its three UIDs, which looks like a good instance."""
    ds = case(ImageComments="These comments come behind the UIDs")
    content = encode(ds)
    return one(content[: content.index(b"behind the UIDs")])


def truncated_meta(case: Case) -> Files:
    """Files that end inside and right behind the file meta information, and right behind the preamble."""
    content = encode(case())
    end = content.index(b"\x08\x00\x16\x00UI")
    return {"in-meta.dcm": content[: end - 10], "after-meta.dcm": content[:end], "after-preamble.dcm": content[:132]}


def truncated_pixels(case: Case) -> Files:
    """Images cut inside their pixel data: the header is whole."""
    return numbered([encode(case(number=1))[:-9], encode(case(number=2), IMPLICIT)[:-9]])


def truncated_deflate(case: Case) -> Files:
    """A deflated file whose compressed stream ends in its middle."""
    head, body = _split(case())
    return one(head + deflated_zeros(body, 100_000, b"")[: len(body) // 2])


def lying_length(case: Case) -> Files:
    """A text element that claims more bytes than the file has."""
    content = encode(case(StudyDescription="A short text"))
    return one(content.replace(b"LO\x0c\x00A short text", b"LO\xff\x7fA short text"))


def empty_file(case: Case) -> Files:
    """A file without bytes, beside a good one."""
    return {"empty.dcm": b"", "good.dcm": case()}


def not_dicom(case: Case) -> Files:
    """A text, the beginning of a PNG, zeros and a preamble with nothing behind it, beside a good file."""
    return {
        "notes.txt": b"These are not the images you are looking for.\n",
        "picture.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x04\0\0\0\x04\x08\0\0\0\0",
        "zeros.dcm": bytes(512),
        "almost.dcm": bytes(128) + b"DICK",
        "good.dcm": case(),
    }


def sequence_without_items(case: Case) -> Files:
    """A sequence whose items do not begin with the item tag."""
    return one(put(case(), 0x00081032, "SQ", b"\x08\x00\x00\x01SH\x02\x00AB"))


# No object of a study


def dicomdir(case: Case) -> Files:
    """A DICOMDIR that lists an image that is there and one that is not."""
    image = case(number=1)
    return {"DICOMDIR": _directory(case), "IMAGES/IM000001": image}


def _directory(case: Case) -> bytes:
    """A directory of one patient, study and series and two images, with its records' real offsets."""
    meta = {"MediaStorageSOPClassUID": "1.2.840.10008.1.3.10", "MediaStorageSOPInstanceUID": case.uid(1000)}
    offsets = [0] * 5
    content = b""
    for _ in range(2):
        content = encode(_directory_dataset(case, offsets), **meta)
        item, offsets = -1, []
        while (item := content.find(b"\xfe\xff\x00\xe0", item + 1)) >= 0:
            offsets.append(item)
    return content


def _directory_dataset(case: Case, offsets: list[int]) -> Dataset:
    records: list[dict[str, Any]] = [
        _record("PATIENT", 0, offsets[1], PatientName="Testperson^Dicomdir", PatientID="dicomdir"),
        _record("STUDY", 0, offsets[2], StudyDate="20240115", StudyTime="093000", StudyInstanceUID=case.uid(1)),
        _record("SERIES", 0, offsets[3], Modality="CT", SeriesInstanceUID=case.uid(1, 1), SeriesNumber=1),
        *(
            _record(
                "IMAGE",
                following,
                0,
                ReferencedFileID=["IMAGES", f"IM00000{number}"],
                ReferencedSOPClassUIDInFile="1.2.840.10008.5.1.4.1.1.2",
                ReferencedSOPInstanceUIDInFile=case.uid(1, 1, number),
                ReferencedTransferSyntaxUIDInFile=EXPLICIT,
                InstanceNumber=number,
            )
            for number, following in ((1, offsets[4]), (2, 0))
        ),
    ]
    return dataset(
        FileSetID="TESTDATA",
        OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity=offsets[0],
        OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity=offsets[0],
        FileSetConsistencyFlag=0,
        DirectoryRecordSequence=records,
    )


def _record(kind: str, following: int, lower: int, **keys: Any) -> dict[str, Any]:
    return {
        "OffsetOfTheNextDirectoryRecord": following,
        "RecordInUseFlag": 0xFFFF,
        "OffsetOfReferencedLowerLevelDirectoryEntity": lower,
        "DirectoryRecordType": kind,
        **keys,
    }


NOBODY = dict.fromkeys(
    ("PatientID", "PatientName", "StudyInstanceUID", "SeriesInstanceUID", "StudyDate", "StudyTime", "SeriesNumber")
)


def hanging_protocol(case: Case) -> Files:
    """A hanging protocol and a colour palette, which belong to no patient's study."""
    return numbered(
        [
            case("hanging-protocol", 1, HangingProtocolName="CHEST", **NOBODY),
            case("palette", 2, ContentLabel="HOT", **NOBODY),
        ]
    )


# UIDs


def no_study_uid(case: Case) -> Files:
    """Objects without a Study Instance UID, and with an empty one."""
    return numbered([case(number=1, StudyInstanceUID=None), case(number=2, StudyInstanceUID="")])


def no_series_uid(case: Case) -> Files:
    """Objects without a Series Instance UID, and with one of blanks."""
    return numbered([case(number=1, SeriesInstanceUID=None), case(number=2, SeriesInstanceUID="  ")])


def no_instance_uid(case: Case) -> Files:
    """An object without a SOP Instance UID, in the data set and in the file meta information."""
    return one(case(SOPInstanceUID=None))


def no_sop_class(case: Case) -> Files:
    """An object without a SOP Class UID, in the data set and in the file meta information."""
    return one(case(SOPClassUID=None))


def bad_uid(case: Case) -> Files:
    """UIDs with letters, of more than 64 characters, of two values and with a dot at the end."""
    return numbered(
        [
            case(number=1, StudyInstanceUID=f"{case.uid(1)}.abc"),
            case(number=2, SeriesInstanceUID=f"{case.uid(1, 1)}.{'1' * 50}"),
            case(number=3, SOPInstanceUID=[case.uid(1, 1, 3), case.uid(1, 1, 4)]),
            case(number=5, SOPInstanceUID=f"{case.uid(1, 1, 5)}."),
        ]
    )


def leading_zero_uids(case: Case) -> Files:
    """UIDs with a leading zero in a component, of study, series, instance and SOP class."""
    return numbered(
        [
            case(
                "ct",
                1,
                StudyInstanceUID=f"{case.uid(1)}.007",
                SeriesInstanceUID=f"{case.uid(1, 1)}.007",
                SOPInstanceUID=f"{case.uid(1, 1, 1)}.007",
            ),
            case("raw", 2, SOPClassUID=f"{ROOT}.09.1"),
        ]
    )


# Contradictions


def duplicate_identical(case: Case) -> Files:
    """One instance three times with the same header: in another folder, transfer syntax and with other pixels."""
    return {
        "1.dcm": case(),
        "copies/1.dcm": case(),
        "copies/implicit": encode(case(), IMPLICIT),
        "copies/repainted": case(PixelData=bytes(16)),
    }


def duplicate_conflicting(case: Case) -> Files:
    """One SOP Instance UID under two headers."""
    return numbered([case(number=1), case(number=1, InstanceNumber=2, StudyDescription="The other one")])


def sop_uid_in_two_series(case: Case) -> Files:
    """One SOP Instance UID in two series of a study: it stays in each."""
    same = {"SOPInstanceUID": case.uid(1, 9, 9)}
    return numbered([case("ct", 1, 1, 1, **same), case("ct", 1, 2, 1, **same)])


def sop_uid_in_two_studies(case: Case) -> Files:
    """One SOP Instance UID in two studies of one patient: it stays in each."""
    same = {"SOPInstanceUID": case.uid(1, 9, 9), "PatientID": "TWICE-2", "PatientName": "Testperson^Tessa"}
    return numbered([case("ct", 1, 1, 1, **same), case("ct", 2, 1, 1, **same)])


def patient_disagreement(case: Case) -> Files:
    """Two PatientIDs under one Study UID, one of them more often."""
    ids = ("RIGHT-1", "RIGHT-1", "WRONG-1")
    return numbered([case(number=number, PatientID=patient) for number, patient in enumerate(ids, 1)])


def issuer_disagreement(case: Case) -> Files:
    """One PatientID of two issuers under one Study UID, equally often."""
    return numbered([case(number=number, IssuerOfPatientID=f"{ROOT}.9.{number}") for number in (1, 2)])


def no_issuer_two_folders(case: Case) -> Files:
    """Two patients with the same PatientID and no issuer, in the folders of two hospitals."""
    same = {"PatientID": "12345", "PatientBirthDate": "19700102"}
    return {
        "hospital-a/1.dcm": case("ct", 1, PatientName="Nobody^Norma", PatientSex="F", **same),
        "hospital-b/1.dcm": case("mr", 2, PatientName="Sample^Sam", PatientSex="M", **same),
    }


def patientid_with_comma(case: Case) -> Files:
    """PatientIDs with a comma, a bar, a dollar and an ampersand, which searches must escape."""
    ids = ("12,34", "12|34", "12$34 &x=%7C")
    return numbered(
        case("ct", study, PatientID=number, IssuerOfPatientID=HOSPITAL) for study, number in enumerate(ids, 1)
    )


def modality_conflict(case: Case) -> Files:
    """Instances of one series that disagree about their modality; the majority's is taken, reports do not vote."""
    return numbered(
        [
            case(number=1, Modality="CT"),
            case(number=2, Modality="PT"),
            case(number=3, Modality="PT"),
            *(case("sr", number=number) for number in (4, 5, 6)),
        ]
    )


def modality_conflict_of_captures(case: Case) -> Files:
    """Secondary captures of one series, most of which call themselves a report: the other modality is taken."""
    return numbered(case("sc", number=number, Modality=term) for number, term in enumerate(("SR", "SR", "US"), 1))


def body_part_conflict(case: Case) -> Files:
    """Instances of one series that disagree about the coded region, and with the body part of DICOM's terms."""
    lung, heart = code("39607008", "SCT", "Lung"), code("80891009", "SCT", "Heart")
    regions = (lung, heart, heart)
    return numbered(
        case(number=number, AnatomicRegionSequence=[region], BodyPartExamined="HEAD")
        for number, region in enumerate(regions, 1)
    )


def laterality_mixed(case: Case) -> Files:
    """One series with images of the left and of the right knee, though it calls itself left."""
    return numbered(
        case("dx", number=number, Laterality="L", ImageLaterality=side, BodyPartExamined="KNEE")
        for number, side in enumerate("LR", 1)
    )


# Values


def bad_dates(case: Case) -> Files:
    """Study and birth dates that are none: impossible days, words, ranges and placeholders."""
    dates = ("20240230", "00000000", "20240101-20240131", "yesterday")
    return numbered(
        case("ct", study, StudyDate=date, SeriesDate=date, PatientBirthDate=date) for study, date in enumerate(dates, 1)
    )


def bad_times(case: Case) -> Files:
    """Study times that are none: hour 24, minute 60, words and too many digits."""
    times = ("240000", "096000", "noon", "093000.1234567")
    return numbered(case("ct", study, StudyTime=time, SeriesTime=time) for study, time in enumerate(times, 1))


def bad_offsets(case: Case) -> Files:
    """Offsets that are none: without a sign, with three digits, two at once and beyond what there is."""
    offsets = ("0100", "+100", "+0100\\+0200", "+1500")
    return numbered(case("ct", study, TimezoneOffsetFromUTC=offset) for study, offset in enumerate(offsets, 1))


def bad_datetimes(case: Case) -> Files:
    """Acquisition date-times that are none."""
    values = ("2024011509450A", "20241315094500", "20240115094500+9900")
    return numbered(case("ct", 1, series, 1, AcquisitionDateTime=value) for series, value in enumerate(values, 1))


def no_modality(case: Case) -> Files:
    """Series without a modality, and with an empty one: it comes from the SOP class, or is OT."""
    return numbered(
        [
            case("ct", 1, 1, 1, Modality=None),
            case("ko", 1, 2, 1, Modality=""),
            case("sc", 1, 3, 1, Modality=None),
        ]
    )


def unknown_modality(case: Case) -> Files:
    """A modality that is no DICOM term."""
    return one(case(Modality="XYZZY"))


def odd_numbers(case: Case) -> Files:
    """Series and instance numbers that FHIR cannot hold: negative, 2 to the 31st, with a letter, with a fraction."""
    numbers = ("-1", "2147483648", "1A", "1.5")
    return numbered(
        case("ct", 1, series, 1, SeriesNumber=number, InstanceNumber=number) for series, number in enumerate(numbers, 1)
    )


def code_without_system(case: Case) -> Files:
    """Codes of a private scheme that is registered nowhere, and of no scheme at all."""
    codes = [code("CTCH", "99NOWHERE", "CT chest"), code("CTAB", None, "CT abdomen")]
    return one(case(ProcedureCodeSequence=codes))


def sequence_that_is_text(case: Case) -> Files:
    """A wanted sequence that is written as text, and a wanted text that is written as a sequence and as numbers."""
    ds = case()
    put(ds, 0x00082218, "LO", "LUNG")
    put(ds, 0x00081030, "SQ", [{"CodeValue": "1"}])
    put(ds, 0x0008103E, "US", [17, 18])
    return one(ds)


# Character sets


def charset_unknown(case: Case) -> Files:
    """Character sets that are no text encodings of DICOM's, but names of Python codecs."""
    labels = ("bz2", "punycode", "rot13", "KLINGON")
    return numbered(
        case(
            "sr",
            study,
            SpecificCharacterSet=label,
            PatientName="Prüfling^Jörg".encode(),
            StudyDescription="Schädel".encode(),
        )
        for study, label in enumerate(labels, 1)
    )


def charset_wrong_bytes(case: Case) -> Files:
    """Latin-1 bytes in objects that declare UTF-8, and half a Japanese character in one that declares ISO 2022."""
    latin = "Prüfling^Jörg".encode("latin-1")
    return numbered(
        [
            case("ct", 1, SpecificCharacterSet="ISO_IR 192", PatientName=latin),
            case("ct", 2, SpecificCharacterSet="\\ISO 2022 IR 87", PatientName=b"Tesuto^Jiro=\x1b$B;\x1b(B"),
        ]
    )


# Hostile sizes


def huge_text(case: Case) -> Files:
    """Wanted texts of 70,000 bytes: a description in implicit VR, and a specimen's detailed description."""
    words = "word " * 14_000
    item = {"SpecimenIdentifier": "SPEC-9", "SpecimenDetailedDescription": words}
    return numbered(
        [
            encode(case("ct", 1, StudyDescription=words), IMPLICIT),
            encode(case("slide", 2, SpecimenDescriptionSequence=[item])),
        ]
    )


def empty_items_flood(case: Case) -> Files:
    """A wanted sequence of 1,500 empty items."""
    return one(case(RequestAttributesSequence=[{}] * 1500))


def nested_too_deep(case: Case) -> Files:
    """Sequences nested 40 and 400 deep in a wanted one, the second deep enough to exhaust a recursive reader."""
    shallow, deep = (
        case(number=number, ProcedureCodeSequence=[_nested(depth)]) for number, depth in ((1, 40), (2, 400))
    )
    return numbered([encode(shallow), encode(deep, undefined=True)])


def _nested(depth: int) -> Dataset:
    """A dataset in a dataset, `depth` times in undefined lengths, made from the inside."""
    body = encode(dataset(CodeValue="1"), meta=False)
    for _ in range(depth):
        item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + body + b"\xfe\xff\x0d\xe0\0\0\0\0"
        body = b"\x08\x00\x21\x01SQ\0\0\xff\xff\xff\xff" + item + b"\xfe\xff\xdd\xe0\0\0\0\0"
    made = put(Dataset(), 0x00080121, "SQ", body[12:-8])
    made[0x00080121] = made.get_item(0x00080121)._replace(length=0xFFFFFFFF)
    return made


def deflate_bomb(case: Case) -> Files:
    """A deflated file of 75 kB that inflates to 72 MB of zeros in a private element before the wanted ones."""
    head, body = _split(case())
    cut = body.index(b"\x10\x00\x10\x00PN")
    zeros = 1 + DEFLATE_BOMB // 258 * 258
    element = b"\x09\x00\x01\x10OB\0\0" + (zeros + 1).to_bytes(4, "little")
    creator = b"\x09\x00\x10\x00LO\x0c\x00D2F TESTDATA"
    return one(head + deflated_zeros(body[:cut] + creator + element, zeros, b"\0" + body[cut:]))


def _split(ds: Dataset) -> tuple[bytes, bytes]:
    """A deflated file's preamble and meta information, and its data set before it is deflated."""
    body = encode(ds, meta=False)
    whole = encode(ds, "1.2.840.10008.1.2.1.99")
    return whole.removesuffix(deflated(body)), body


CASES: tuple[Maker, ...] = (
    truncated_header,
    truncated_after_the_uids,
    truncated_meta,
    truncated_pixels,
    truncated_deflate,
    lying_length,
    empty_file,
    not_dicom,
    sequence_without_items,
    dicomdir,
    hanging_protocol,
    no_study_uid,
    no_series_uid,
    no_instance_uid,
    no_sop_class,
    bad_uid,
    leading_zero_uids,
    duplicate_identical,
    duplicate_conflicting,
    sop_uid_in_two_series,
    sop_uid_in_two_studies,
    patient_disagreement,
    issuer_disagreement,
    no_issuer_two_folders,
    patientid_with_comma,
    modality_conflict,
    modality_conflict_of_captures,
    body_part_conflict,
    laterality_mixed,
    bad_dates,
    bad_times,
    bad_offsets,
    bad_datetimes,
    no_modality,
    unknown_modality,
    odd_numbers,
    code_without_system,
    sequence_that_is_text,
    charset_unknown,
    charset_wrong_bytes,
    huge_text,
    empty_items_flood,
    nested_too_deep,
    deflate_bomb,
)
