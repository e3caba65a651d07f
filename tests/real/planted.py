"""Faults to plant: kinds of them, and for each version a sound study, Bundle and key object to plant them in.

What no version's referee can see stands in tests/referee/README.md and is not planted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from official import VERSIONS, Message

BALLOT = "dstu2-ballot2"
OLD = ("dstu2", "stu3")
EARLY = (BALLOT, *OLD)
LATE = ("r4", "r4b", "r5", "r6")
OFFICIAL = (*OLD, *LATE)
CODED = ("r4", "r4b", "r5")
SELECTED = ("r5", "r6")
KEYED = (*EARLY, *SELECTED)
KEY_UID = "the UID of an instance"
ALL = (BALLOT, *OFFICIAL)
GONE = object()
DCM = "http://dicom.nema.org/resources/ontology/DCM"
CT_IMAGE = "urn:oid:1.2.840.10008.5.1.4.1.1.2"
TWO_VALUES = {"url": "http://x.test/", "valueString": "x", "valueCode": "y"}
VALUE_AND_MORE = {"url": "http://x.test/", "valueString": "x", "extension": [{"url": "a", "valueString": "y"}]}
SECOND_UID = {"system": "urn:dicom:uid", "value": "urn:oid:1.2.840.2"}
FULL_URL = "urn:uuid:00000000-0000-4000-8000-{:012}".format
A_PATIENT = {"reference": "Patient/1"}
HALF_A_CHANNEL = {"uid": "1.2.840.1.1.2", "waveFormChannel": [1]}
PATIENT = {"resourceType": "Patient", "id": "p1", "identifier": [{"value": "1"}], "gender": "female"}
CT = {"system": DCM, "code": "CT", "display": "Computed Tomography"}


class Fault(NamedTuple):
    """A kind of fault, the versions it is planted in, and what to change: paths and values, or a piece of the text."""

    kind: str
    versions: tuple[str, ...]
    changes: dict[str, Any]
    severity: str = "error"
    into: str = "study"


FAULTS = (
    # Cardinality
    Fault("a required element is missing", EARLY, {"patient": GONE}),
    Fault("a required element is missing", LATE, {"subject": GONE}),
    Fault("a required element of a series is missing", ALL, {"series.0.uid": GONE}),
    Fault("a required element of an instance is missing", ALL, {"series.0.instance.0.uid": GONE}),
    Fault("a required element of R4 is missing", LATE, {"status": GONE}),
    Fault("a required count is missing", (BALLOT, "dstu2"), {"numberOfSeries": GONE}),
    Fault("a list where one value is allowed", ALL, {"started": ["2024-02-29"]}),
    Fault("one value where a list is asked for", ALL, {"identifier": {"value": "1"}}),
    # Names
    Fault("an unknown element", ALL, {"modalities": "CT"}),
    Fault("an unknown element deep inside", ALL, {"series.0.instance.0.frames": 1}),
    Fault("an element of an earlier version", LATE, {"accession": {"value": "1"}}),
    Fault("an element of a later version", EARLY, {"status": "available"}),
    Fault("an element of a later version", ("r4", "r4b", "r5"), {"series.0.instance.0.numberOfFrames": 3}),
    Fault("an element of R5", ("r4", "r4b"), {"basedOn": [], "reason": [{"concept": {"text": "x"}}]}),
    Fault("an element that R6 has not", ("r6",), {"series.0.laterality": {"text": "left"}}),
    Fault("an unknown type of resource", ALL, {"resourceType": "ImageStudy"}),
    # Types
    Fault("a text where a number is asked for", ALL, {"numberOfSeries": "1"}),
    Fault("a number where a text is asked for", ALL, {"description": 7}),
    Fault("an object where a text is asked for", ALL, {"description": {"text": "x"}}),
    Fault("a text where an object is asked for", ALL, {"referrer": "House"}),
    Fault("a number below zero", ALL, {"series.0.number": -1}),
    Fault("a fraction for a count", ALL, {"numberOfInstances": 1.5}),
    Fault("a month that does not exist", ALL, {"started": "2024-13-01"}),
    Fault("a day that does not exist", OFFICIAL, {"started": "2024-02-30"}),
    Fault("a time without its offset", OFFICIAL, {"started": "2024-02-29T10:11:12"}),
    Fault("a date of DICOM's form", ALL, {"started": "20240229"}),
    Fault("a date with a time", ALL, {"contained.0.birthDate": "2024-02-29T10:11:12Z"}),
    Fault("an instant without its offset", OFFICIAL, {"meta": {"lastUpdated": "2024-02-29T10:11:12"}}),
    Fault("a UID that is not an OID", EARLY, {"series.0.uid": "1.2.3"}),
    Fault("an OID with a leading zero", EARLY, {"series.0.instance.0.uid": "urn:oid:1.2.03"}),
    Fault("a UID with letters and blanks", LATE, {"series.0.uid": "1.2 a b"}),
    Fault("a UID of more than 64 characters", LATE, {"series.0.instance.0.uid": "1." * 32 + "11"}),
    Fault("a SOP class that is not an OID", ("r6", *EARLY), {"series.0.instance.0.sopClass": "1.2.3"}),
    Fault("a SOP class that is no URI", CODED, {"series.0.instance.0.sopClass.code": "1.2.3"}),
    Fault("a SOP class with a leading zero", CODED, {"series.0.instance.0.sopClass.code": "urn:oid:1.02"}, "warning"),
    Fault("an id with an underline", OFFICIAL, {"id": "a_b"}),
    Fault("an id that is too long", ALL, {"id": "a" * 65}),
    Fault("a truth as text", ALL, {"contained.0.active": "true"}),
    # Codes
    Fault("a bad code of a required binding", EARLY, {"availability": "ON-LINE"}),
    Fault("a bad code of a required binding", LATE, {"status": "done"}),
    Fault("a bad code in an identifier", ALL, {"identifier.0.use": "offical"}),
    Fault("a bad code in a contained resource", ALL, {"contained.0.gender": "F"}),
    Fault("a modality that DICOM has not", ("stu3", "r4", "r4b"), {"series.0.modality.code": "XX"}, "warning"),
    Fault("a modality that DICOM has not", ("r5", "r6"), {"series.0.modality.coding.0.code": "XX"}, "warning"),
    Fault("a modality that DICOM has not", (BALLOT,), {"series.0.modality": "XX"}),
    Fault("a code with a blank before it", OFFICIAL, {"contained.0.gender": " female"}),
    # References
    Fault("a reference to a wrong type", OFFICIAL, {"referrer": {"reference": "Patient/1"}}),
    Fault("a reference to a wrong type that is contained", OFFICIAL, {"referrer": {"reference": "#p1"}}),
    Fault("a reference to nothing", OFFICIAL, {"referrer": {"reference": "#nobody"}}),
    Fault("a reference that is a list", ALL, {"referrer": [{"reference": "Practitioner/1"}]}),
    # Containment
    Fault("a contained resource that nothing refers to", OFFICIAL, {"contained.1": {**PATIENT, "id": "p2"}}),
    Fault("a contained resource that contains one", OFFICIAL, {"contained.0.contained": [{**PATIENT, "id": "p2"}]}),
    Fault("a contained resource without a type", ALL, {"contained.0.resourceType": GONE}),
    # Emptiness
    Fault("an empty text", ALL, {"description": ""}),
    Fault("an empty object", ALL, {"referrer": {}}),
    Fault("an empty list", ALL, {"series.0.instance": []}),
    Fault("a null", ALL, {"description": None}),
    Fault("a name twice", ALL, {'"numberOfSeries": 1': '"numberOfSeries": 1, "numberOfSeries": 1'}),
    # Extensions and invariants
    Fault("an extension without a URL", ALL, {"extension": [{"valueString": "x"}]}),
    Fault("an extension with two values", ALL, {"extension": [TWO_VALUES]}),
    Fault("an extension with a value and an extension (ext-1)", ("stu3", *LATE), {"extension": [VALUE_AND_MORE]}),
    Fault("a contact without details (pat-1)", OFFICIAL, {"contained.0.contact": [{"gender": "female"}]}),
    # Bundles
    Fault("a bad type of a Bundle", ALL, {"type": "transactions"}, into="Bundle"),
    Fault("a Bundle without a type", ALL, {"type": GONE}, into="Bundle"),
    Fault("a request without a method", ALL, {"entry.0.request.method": GONE}, into="Bundle"),
    Fault("a bad method", ALL, {"entry.0.request.method": "PATSCH"}, into="Bundle"),
    Fault("a request without a URL", ALL, {"entry.0.request.url": GONE}, into="Bundle"),
    Fault("an entry without a request (bdl-3)", LATE, {"entry.0.request": GONE}, into="Bundle"),
    Fault("a fullUrl twice (bdl-7)", OFFICIAL, {"entry.0.fullUrl": FULL_URL(2)}, into="Bundle"),
    Fault("a total of a Bundle that is no search (bdl-1)", OFFICIAL, {"total": 2}, into="Bundle"),
    Fault("a wrong type in the Bundle", OFFICIAL, {"entry.1.resource.referrer.reference": FULL_URL(1)}, into="Bundle"),
    Fault("a fault in an entry", ALL, {"entry.1.resource.numberOfSeries": "many"}, into="Bundle"),
    # Key objects
    Fault("a key object without its study", EARLY, {"study": GONE}, into="key object"),
    Fault("a key object without its patient", EARLY, {"patient": GONE}, into="key object"),
    Fault("a key object of nobody's study", EARLY, {"study.0.uid": GONE}, into="key object"),
    Fault("a key object without a title", (BALLOT, "dstu2"), {"title": GONE}, into="key object"),
    Fault("a title that is not in the list", ("dstu2",), {"title.coding.0.code": "1"}, into="key object"),
    Fault("a key object without a status", SELECTED, {"status": GONE}, into="key object"),
    Fault("a key object of a bad status", SELECTED, {"status": "done"}, into="key object"),
    Fault("a key object without a code", SELECTED, {"code": GONE}, into="key object"),
    Fault("a key object's instance without its UID", SELECTED, {"instance.0.uid": GONE}, into="key object"),
    Fault("a key object with a bad UID", KEYED, {KEY_UID: "1.2 a"}, into="key object"),
    Fault("a key object made from a patient", ("r5",), {"derivedFrom": [A_PATIENT]}, into="key object"),
    Fault("a key object made from a patient", ("r6",), {"derivedFrom": A_PATIENT}, into="key object"),
    Fault("an unknown element of a key object", KEYED, {"keys": 1}, into="key object"),
    Fault("an element of R6 in a key object", ("r5",), {"instance.0.frameNumber": [1]}, into="key object"),
    Fault("an element of R5 in a key object", ("r6",), {"instance.0.subset": ["1"]}, into="key object"),
    Fault("a frame of number zero", ("r6",), {"instance.0.frameNumber": [0]}, into="key object"),
    Fault("no series (isl-4)", ("r6",), {"seriesUid": GONE}, into="key object"),
    Fault("no study (isl-2)", ("r6",), {"studyUid": GONE}, into="key object"),
    Fault("frames and segments at once (isl-10)", ("r6",), {"instance.0.segmentNumber": [1]}, into="key object"),
    Fault("half a channel (isl-11)", ("r6",), {"instance.1": HALF_A_CHANNEL}, into="key object"),
    # R6's own invariants
    Fault("series without the study's UID (ist-1)", ("r6",), {"identifier.0.system": "urn:x:y"}),
    Fault("two UIDs of the study (ist-2)", ("r6",), {"identifier.1": SECOND_UID}),
    Fault("a wrong number of series (ist-3)", ("r6",), {"numberOfSeries": 2}),
    Fault("a wrong number of instances (ist-4)", ("r6",), {"numberOfInstances": 2, "series.0.numberOfInstances": GONE}),
    Fault("counts that do not add up (ist-5)", ("r6",), {"numberOfInstances": 2, "series.0.instance": GONE}),
    Fault("a wrong number in a series (ist-6)", ("r6",), {"series.0.numberOfInstances": 2, "numberOfInstances": GONE}),
    Fault("a modality that no series has (ist-7)", ("r6",), {"modality.0.coding.0.code": "MR"}),
    Fault("a study that starts after its series (ist-8)", ("r6",), {"started": "2025-01-01"}),
)  # fmt: skip


def study(version: str) -> dict[str, Any]:
    """A sound study of a version, with little in it."""
    is_early = version in EARLY
    modality: Any = CT if version in ("stu3", "r4", "r4b") else {"coding": [CT]}
    if version == "dstu2":
        modality = CT | {"system": "http://nema.org/dicom/dicm"}
    if version == BALLOT:
        modality = "CT"
    bare, urn = "1.2.840.1.1", "urn:oid:1.2.840.1.1"
    sop_class: Any = CT_IMAGE if is_early or version == "r6" else {"system": "urn:ietf:rfc:3986", "code": CT_IMAGE}
    instance = {"uid": urn if is_early else bare, "number": 1, "sopClass": sop_class, "title": "x"}
    series = {
        "uid": urn if is_early else bare,
        "number": 1,
        "modality": modality,
        "numberOfInstances": 1,
        "dateTime" if version == BALLOT else "started": "2024-02-29",
        "instance": [renamed(instance) if version == BALLOT else instance],
    }
    body = {
        "resourceType": "ImagingStudy",
        "id": "s1",
        "contained": [PATIENT],
        "identifier": [{"use": "official", "system": "urn:dicom:uid", "value": "urn:oid:1.2.840.1"}],
        "started": "2024-02-29",
        "referrer": {"reference": "Practitioner/1", "display": "House"},
        "numberOfSeries": 1,
        "numberOfInstances": 1,
        "description": "CT",
        "series": [series],
    }
    if is_early:
        return body | {"uid": "urn:oid:1.2.840.1", "patient": {"reference": "#p1"}, "availability": "ONLINE"}
    return body | {"status": "available", "modality": [modality], "subject": {"reference": "#p1"}}


def renamed(instance: dict[str, Any]) -> dict[str, Any]:
    """An instance as the ballot spells it."""
    return {name.lower() if name == "sopClass" else name: value for name, value in instance.items()}


def bundle(version: str) -> dict[str, Any]:
    """A sound transaction of a version: a patient and the study."""
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [entry(version, number, resource) for number, resource in enumerate((PATIENT, study(version)), 1)],
    }


def entry(version: str, number: int, resource: dict[str, Any]) -> dict[str, Any]:
    """An entry of a transaction; in the ballot it has no fullUrl and calls the request otherwise."""
    request = {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}
    if version == BALLOT:
        return {"resource": resource, "transaction": request}
    return {"fullUrl": FULL_URL(number), "resource": resource, "request": request}


def key_object(version: str) -> dict[str, Any]:
    """A sound key object of a version that has such a resource."""
    if version in SELECTED:
        sop_class: Any = CT_IMAGE if version == "r6" else {"system": "urn:ietf:rfc:3986", "code": CT_IMAGE}
        frames = {"frameNumber": [1]} if version == "r6" else {"subset": ["1"]}
        return {
            "resourceType": "ImagingSelection",
            "status": "available",
            "code": {"coding": [{"system": DCM, "code": "113000"}]},
            "studyUid": "1.2.840.1",
            "seriesUid": "1.2.840.1.1",
            "instance": [{"uid": "1.2.840.1.1.1", "sopClass": sop_class, **frames}],
        }
    instance = {"uid": "urn:oid:1.2.840.1.1.1", "sopClass": CT_IMAGE}
    series = {"uid": "urn:oid:1.2.840.1.1", "instance": [instance]}
    body = {"patient": A_PATIENT, "study": [{"uid": "urn:oid:1.2.840.1", "series": [series]}]}
    if version == "stu3":
        return {"resourceType": "ImagingManifest"} | body
    title = {"coding": [{"system": "http://nema.org/dicom/dicm", "code": "113000"}]}
    instance["url"] = "http://x.test/"
    return {"resourceType": "ImagingObjectSelection", "uid": "urn:oid:1.2.840.2", "title": title} | body


def planted(fault: Fault, version: str) -> str:
    """The text of a sound resource with the fault in it."""
    resource = json.loads(json.dumps(SOUND[fault.into](version)))
    text = {path: value for path, value in fault.changes.items() if path.startswith('"')}
    for path, value in fault.changes.items():
        if path not in text:
            put(resource, spelled(path, version).split("."), value)
    written = json.dumps(resource)
    for found, wanted in text.items():
        assert found in written
        written = written.replace(found, wanted)
    return written


def spelled(path: str, version: str) -> str:
    """A path in the version's own names."""
    if path == KEY_UID:
        return "instance.0.uid" if version in SELECTED else "study.0.series.0.instance.0.uid"
    if version == BALLOT:
        return path.replace("request", "transaction").replace("sopClass", "sopclass")
    return path


def put(inside: Any, path: list[str], value: Any) -> None:
    """Set, append or take away what lies at a path."""
    for step in path[:-1]:
        inside = inside[int(step) if step.isdigit() else step]
    last: Any = int(path[-1]) if path[-1].isdigit() else path[-1]
    if isinstance(inside, list) and last == len(inside):
        inside.append(value)
    elif value is GONE:
        del inside[last]
    else:
        inside[last] = value


def is_near(message: Message, fault: Fault, version: str) -> bool:
    """Whether a message speaks of a planted place, of what holds it or of something in it.

    The ballot's schema speaks of what comes after a missing element.
    """
    found = message.location.partition(".")[2]
    paths = [re.sub(r"\.\d+", "", spelled(path, version)) for path in fault.changes]
    return version == BALLOT or any(path.startswith(found) or found.startswith(path) for path in paths)


SOUND: dict[str, Callable[[str], dict[str, Any]]] = {"study": study, "Bundle": bundle, "key object": key_object}
"""What faults are planted into."""
SOUND_IN = {"study": ALL, "Bundle": ALL, "key object": KEYED}
"""The versions that have it."""
PLANTED = [(version, fault) for version in VERSIONS for fault in FAULTS if version in fault.versions]


def resources(version: str) -> Iterator[tuple[str, str]]:
    """The sound resources and every planted fault, each with its name."""
    for name, versions in SOUND_IN.items():
        if version in versions:
            yield f"a sound {name}", json.dumps(SOUND[name](version))
    for other, fault in PLANTED:
        if other == version:
            yield fault.kind, planted(fault, version)
