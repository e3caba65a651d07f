"""Cases about Key Object Selections: what they refer to, what they are called, and who made them (PS3.16 TID 2010)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dicomdata import KINDS, ROOT, Case, Files, Maker, code, issuer, numbered

Item = dict[str, Any]
Place = tuple[str, int, int, int]
"""An instance: its kind, study, series and number."""


def _of(case: Case, place: Place, **parts: Any) -> Item:
    """An item that refers to an instance, or to parts of it."""
    return {
        "ReferencedSOPClassUID": KINDS[place[0]][0],
        "ReferencedSOPInstanceUID": case.uid(*place[1:]),
        **parts,
    }


def _hierarchy(case: Case, places: Iterable[Place], urls: bool = False) -> list[Item]:
    """Instances by study and series, as evidence and identical documents have them."""
    studies: dict[int, dict[int, list[Item]]] = {}
    for place in places:
        studies.setdefault(place[1], {}).setdefault(place[2], []).append(_of(case, place))
    return [
        {
            "StudyInstanceUID": case.uid(study),
            "ReferencedSeriesSequence": [
                {
                    "SeriesInstanceUID": case.uid(study, number),
                    "RetrieveURL": f"https://archive.example/rs/studies/{case.uid(study)}/series/{number}"
                    if urls
                    else None,
                    "ReferencedSOPSequence": instances,
                }
                for number, instances in series.items()
            ],
        }
        for study, series in studies.items()
    ]


def _evidence(case: Case, *places: Place, urls: bool = False) -> Item:
    return {"CurrentRequestedProcedureEvidenceSequence": _hierarchy(case, places, urls)}


def _titled(value: str, meaning: str, scheme: str = "DCM") -> Item:
    return {"ValueType": "CONTAINER", "ConceptNameCodeSequence": [code(value, scheme, meaning)]}


def _image(case: Case, place: Place, **parts: Any) -> Item:
    """A content item that refers to an instance."""
    kind = {"ecg": "WAVEFORM", "seg": "IMAGE", "pr": "COMPOSITE"}.get(place[0], "IMAGE")
    return {
        "RelationshipType": "CONTAINS",
        "ValueType": kind,
        "ReferencedSOPSequence": [_of(case, place, **parts)],
    }


def _container(value: str, meaning: str, items: list[Item]) -> Item:
    name = [code(value, "DCM", meaning)]
    return {
        "RelationshipType": "CONTAINS",
        "ValueType": "CONTAINER",
        "ConceptNameCodeSequence": name,
        "ContentSequence": items,
    }


def _said(relation: str, kind: str, value: str, meaning: str, **content: Any) -> Item:
    """A content item of text, a name, a UID or a code."""
    name = [code(value, "DCM", meaning)]
    return {"RelationshipType": relation, "ValueType": kind, "ConceptNameCodeSequence": name, **content}


def _description(text: str) -> Item:
    return _said("CONTAINS", "TEXT", "113012", "Key Object Description", TextValue=text)


def _modifier(value: str, meaning: str) -> Item:
    coded = [code(value, "DCM", meaning)]
    return _said("HAS CONCEPT MOD", "CODE", "113011", "Document Title Modifier", ConceptCodeSequence=coded)


def _observer(kind: str, meaning: str) -> Item:
    coded = [code(kind, "DCM", meaning)]
    return _said("HAS OBS CONTEXT", "CODE", "121005", "Observer Type", ConceptCodeSequence=coded)


def _context(kind: str, value: str, meaning: str, **content: Any) -> Item:
    return _said("HAS OBS CONTEXT", kind, value, meaning, **content)


def key_object(case: Case) -> Files:
    """A key object of a person: two of three images in two series, with title, description, time and order."""
    places: tuple[Place, ...] = (("ct", 1, 1, 2), ("mr", 1, 2, 1))
    request = {
        "StudyInstanceUID": case.uid(1),
        "AccessionNumber": "ACC-1",
        "IssuerOfAccessionNumberSequence": issuer(f"{ROOT}.9.5"),
    }
    content = [
        _observer("121006", "Person"),
        _context("PNAME", "121008", "Person Observer Name", PersonName="Rosen^Rita^^Dr."),
        _context("TEXT", "121009", "Person Observer's Organization Name", TextValue="Sample Hospital"),
        _description("Nodule in the upper lobe; compare \\ follow up"),
        *(_image(case, place) for place in places),
    ]
    more = {"ObservationDateTime": "20240115101530.5+0100", "ContentDate": "20240116", "ContentTime": "0900"}
    selection = case(
        "ko", 1, 3, 1, **_titled("113000", "Of Interest"), **_evidence(case, *places), **more,
        ReferencedRequestSequence=[request], ContentSequence=content,
    )  # fmt: skip
    lung = [code("39607008", "SCT", "Lung")]
    images = [case("ct", 1, 1, number, AnatomicRegionSequence=lung) for number in (1, 2)]
    return numbered([*images, case("mr", 1, 2, 1), selection])


def key_object_of_a_device(case: Case) -> Files:
    """A key object that a device made, of which UID, name, maker, model and serial number are known; no offset."""
    content = [
        _observer("121007", "Device"),
        _context("UIDREF", "121012", "Device Observer UID", UID=f"{ROOT}.9.30"),
        _context("TEXT", "121013", "Device Observer Name", TextValue="CAD-1"),
        _context("TEXT", "121014", "Device Observer Manufacturer", TextValue="Sample Devices"),
        _context("TEXT", "121015", "Device Observer Model Name", TextValue="Finder"),
        _context("TEXT", "121016", "Device Observer Serial Number", TextValue="F-0815"),
        _image(case, ("ct", 1, 1, 1)),
    ]
    made = {"ContentDate": "20240115", "ContentTime": "111213", "TimezoneOffsetFromUTC": None}
    selection = case(
        "ko", 1, 2, 1, **_titled("113013", "Best In Set"), **_evidence(case, ("ct", 1, 1, 1)), **made,
        ContentSequence=content,
    )  # fmt: skip
    return numbered([case("ct", 1, 1, 1), selection])


def key_object_of_two_observers(case: Case) -> Files:
    """A key object of a person and a device, each with an observer type of its own."""
    content = [
        _observer("121006", "Person"),
        _context("PNAME", "121008", "Person Observer Name", PersonName="Rosen^Rita"),
        _observer("121007", "Device"),
        _context("TEXT", "121013", "Device Observer Name", TextValue="CAD-1"),
        _image(case, ("ct", 1, 1, 1)),
    ]
    selection = case(
        "ko", 1, 2, 1, **_titled("113004", "For Teaching"), **_evidence(case, ("ct", 1, 1, 1)),
        ContentSequence=content,
    )  # fmt: skip
    return numbered([case("ct", 1, 1, 1), selection])


def key_object_nested(case: Case) -> Files:
    """A manifest as MADO has it: images three containers deep in an Image Library, and an address for each series."""
    places: tuple[Place, ...] = (("ct", 1, 1, 1), ("ct", 1, 1, 2), ("ct", 1, 2, 1))
    groups = [
        _container("126200", "Image Library Group", [_image(case, place) for place in places if place[2] == series])
        for series in (1, 2)
    ]
    library = _container("111028", "Image Library", groups)
    study = _container("113030", "Manifest", [library, _image(case, ("ct", 1, 1, 2))])
    selection = case(
        "ko", 1, 9, 1, **_titled("113030", "Manifest"), **_evidence(case, *places, urls=True),
        ContentSequence=[study, _description("All of it")],
    )  # fmt: skip
    return numbered([*(case(*place) for place in places), selection])


def key_object_frames(case: Case) -> Files:
    """Key frames: two selections of one loop's frames, and a whole image."""
    loop: Place = ("us-frames", 1, 1, 1)
    still: Place = ("us", 1, 1, 2)
    content = [
        _image(case, loop, ReferencedFrameNumber=[2, 3]),
        _image(case, loop, ReferencedFrameNumber=5),
        _image(case, still),
        _image(case, loop, ReferencedFrameNumber=[2, 3]),
    ]
    selection = case(
        "ko", 1, 2, 1, **_titled("113036", "Group of Frames for Display"), **_evidence(case, loop, still),
        ContentSequence=content,
    )  # fmt: skip
    frames = {"NumberOfFrames": 6, "PixelData": bytes(96), "FrameTime": "33.3"}
    return numbered([case(*loop, **frames), case(*still), selection])


def key_object_segments(case: Case) -> Files:
    """Segments of a segmentation, and channels of an electrocardiogram, among them all of one multiplex group."""
    segmentation: Place = ("seg", 1, 1, 1)
    traces: Place = ("ecg", 1, 2, 1)
    more: Place = ("ecg", 1, 2, 2)
    content = [
        _image(case, segmentation, ReferencedSegmentNumber=[1, 4]),
        _image(case, traces, ReferencedWaveformChannels=[1, 2, 1, 3]),
        _image(case, more, ReferencedWaveformChannels=[2, 0]),
    ]
    selection = case(
        "ko", 1, 3, 1, **_titled("113000", "Of Interest"), **_evidence(case, segmentation, traces, more),
        ContentSequence=content,
    )  # fmt: skip
    return numbered([case(*segmentation), case(*traces), case(*more), selection])


def key_object_of_two_studies(case: Case) -> Files:
    """One selection from two studies of a patient, stored in each: identical documents (0040,A525) that are one."""
    places: tuple[Place, ...] = (("ct", 1, 1, 1), ("mr", 2, 1, 1))
    copies: tuple[Place, ...] = (("ko", 1, 9, 1), ("ko", 2, 9, 1))
    files = []
    for copy in copies:
        other = [place for place in copies if place != copy]
        files.append(
            case(
                *copy, **_titled("113005", "For Conference"), **_evidence(case, *places), PatientID="CONFERENCE-1",
                IdenticalDocumentsSequence=_hierarchy(case, other),
                ContentSequence=[_image(case, place) for place in places],
            )
        )  # fmt: skip
    return numbered([*(case(*place, PatientID="CONFERENCE-1") for place in places), *files])


def key_object_of_unread_instances(case: Case) -> Files:
    """A key object of images that are elsewhere, of its own study and of another: the claim stands."""
    places: tuple[Place, ...] = (("ct", 1, 1, 1), ("ct", 1, 1, 2), ("mr", 7, 1, 1))
    selection = case(
        "ko", 1, 2, 1, **_titled("113003", "For Surgery"), **_evidence(case, *places),
        ContentSequence=[_image(case, place) for place in places],
    )  # fmt: skip
    return numbered([case("ct", 1, 1, 1), selection])


def key_object_with_modifiers(case: Case) -> Files:
    """A rejection note whose title has a modifier: motion blur."""
    selection = case(
        "ko", 1, 2, 1, **_titled("113001", "Rejected for Quality Reasons"), **_evidence(case, ("ct", 1, 1, 1)),
        ContentSequence=[_modifier("111215", "Motion blur"), _image(case, ("ct", 1, 1, 1))],
    )  # fmt: skip
    return numbered([case("ct", 1, 1, 1), selection])


def key_object_of_a_later_title(case: Case) -> Files:
    """A title that came into CID 7010 after DSTU2 was closed, and one of a private scheme."""
    titles = (
        _titled("128181", "Diagnostic Source Images"),
        _titled("MADOTEMP001", "Manifest with Description", "99IHE"),
    )
    files = [
        case("ko", 1, 2, number, **title, **_evidence(case, ("ct", 1, 1, 1)),
             ContentSequence=[_image(case, ("ct", 1, 1, 1))])
        for number, title in enumerate(titles, 1)
    ]  # fmt: skip
    return numbered([case("ct", 1, 1, 1), *files])


def key_object_with_partial_evidence(case: Case) -> Files:
    """A key object whose content names an image that its evidence leaves out, and that was read."""
    content = [_image(case, ("ct", 1, 1, 1)), _image(case, ("ct", 1, 2, 1))]
    selection = case(
        "ko", 1, 3, 1, **_titled("113000", "Of Interest"), **_evidence(case, ("ct", 1, 1, 1)), ContentSequence=content
    )
    return numbered([case("ct", 1, 1, 1), case("ct", 1, 2, 1), selection])


CASES: tuple[Maker, ...] = (
    key_object,
    key_object_of_a_device,
    key_object_of_two_observers,
    key_object_nested,
    key_object_frames,
    key_object_segments,
    key_object_of_two_studies,
    key_object_of_unread_instances,
    key_object_with_modifiers,
    key_object_of_a_later_title,
    key_object_with_partial_evidence,
)


def key_object_unresolved(case: Case) -> Files:
    """A key object of an image that neither its evidence places nor anybody read, beside one that is known."""
    content = [_image(case, ("ct", 1, 1, 1)), _image(case, ("ct", 5, 5, 5))]
    selection = case(
        "ko", 1, 3, 1, **_titled("113000", "Of Interest"), **_evidence(case, ("ct", 1, 1, 1)), ContentSequence=content
    )
    return numbered([case("ct", 1, 1, 1), selection])


def key_object_of_two_patients(case: Case) -> Files:
    """A key object of two studies that are of different patients."""
    places: tuple[Place, ...] = (("ct", 1, 1, 1), ("mr", 2, 1, 1))
    selection = case(
        "ko", 1, 9, 1, **_titled("113005", "For Conference"), **_evidence(case, *places),
        ContentSequence=[_image(case, place) for place in places],
    )  # fmt: skip
    return numbered([*(case(*place) for place in places), selection])


def key_object_of_odd_references(case: Case) -> Files:
    """References to a UID with letters, to frame 0, to a frame that is no number, to half a channel."""
    content = [
        {"RelationshipType": "CONTAINS", "ValueType": "IMAGE",
         "ReferencedSOPSequence": [{"ReferencedSOPClassUID": KINDS["ct"][0], "ReferencedSOPInstanceUID": "1.2.x"}]},
        _image(case, ("ct", 1, 1, 1), ReferencedFrameNumber=[0, 2]),
        _image(case, ("ct", 1, 1, 2), ReferencedFrameNumber="first"),
        _image(case, ("ecg", 1, 2, 1), ReferencedWaveformChannels=[1, 2, 1]),
    ]  # fmt: skip
    places: tuple[Place, ...] = (("ct", 1, 1, 1), ("ct", 1, 1, 2), ("ecg", 1, 2, 1))
    selection = case(
        "ko", 1, 3, 1, **_titled("113000", "Of Interest"), **_evidence(case, *places), ContentSequence=content
    )
    return numbered([*(case(*place) for place in places), selection])


def key_object_too_deep(case: Case) -> Files:
    """A content tree of twenty containers, one in the other: what lies too deep is not read, the evidence counts."""
    content = [_image(case, ("ct", 1, 1, 1), ReferencedFrameNumber=7)]
    for _ in range(20):
        content = [_container("111028", "Image Library", content)]
    selection = case(
        "ko", 1, 2, 1, **_titled("113000", "Of Interest"), **_evidence(case, ("ct", 1, 1, 1)), ContentSequence=content
    )
    return numbered([case("ct", 1, 1, 1), selection])


FAULTS: tuple[Maker, ...] = (
    key_object_unresolved,
    key_object_of_two_patients,
    key_object_of_odd_references,
    key_object_too_deep,
)
