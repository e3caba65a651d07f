"""One small Bundle a FHIR version, written by hand: a patient, a study with a contained referrer, key objects.

They are what HL7's examples look like, and what faults are planted into.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

Json = dict[str, Any]

PATIENT_URL = "urn:uuid:0b5fd1b4-7d62-5f39-9d6b-2f4c2f0f5d10"
STUDY_URL = "urn:uuid:5d6bb5a3-1b1c-5f0e-8f6f-0d4a3d1d8c11"
KEY_URL = "urn:uuid:9a1f2f0c-94a2-53f5-a3e5-6f3b0f7b7c12"
CT = "urn:oid:1.2.840.10008.5.1.4.1.1.2"
MOMENT = "2024-02-29T10:11:12.5+01:00"
ACCESSION = {"system": "http://a.test/accession", "value": "A1"}
ENCODED = [{"url": "http://a.test/ext", "valueBase64Binary": "QUJD"}]

STUDY_NAMES = {
    version: {"status": "availability", "patient": "patient", "sopClass": "sopClass"}
    for version in ("dstu2-ballot2", "dstu2", "stu3")
} | {
    version: {"status": "status", "patient": "subject", "sopClass": "sopClass"}
    for version in ("r4", "r4b", "r5", "r6-ballot2", "r6")
}
STUDY_NAMES["dstu2-ballot2"]["sopClass"] = "sopclass"
"""What a version calls the elements that faults are planted in."""

KEY_OBJECTS = {
    "dstu2-ballot2": "ImagingObjectSelection",
    "dstu2": "ImagingObjectSelection",
    "stu3": "ImagingManifest",
    "r5": "ImagingSelection",
    "r6-ballot2": "ImagingSelection",
    "r6": "ImagingSelection",
}

_FORMAL_UID = ("r4", "r4b", "r5", "r6-ballot2", "r6")


def bundle(version: str) -> Json:
    """The version's Bundle: entry 0 the patient, 1 the study, 2 the key objects where there are any."""
    reference = "Patient/1" if version == "dstu2-ballot2" else PATIENT_URL
    resources = [patient(version), study(version, reference)]
    if version in KEY_OBJECTS:
        resources.append(key_objects(version, reference))
    urls = (PATIENT_URL, STUDY_URL, KEY_URL)
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [_entry(version, one, url) for one, url in zip(resources, urls, strict=False)],
    }


def _entry(version: str, resource: Json, url: str) -> Json:
    put = {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}", "ifModifiedSince": MOMENT}
    if version == "dstu2-ballot2":
        return {"resource": resource, "transaction": put}
    return {"fullUrl": url, "resource": resource, "request": put}


def patient(version: str) -> Json:
    family: Any = ["Doe"] if version.startswith("dstu2") else "Doe"
    return {
        "resourceType": "Patient",
        "id": "1",
        "identifier": [{"use": "usual", "system": "http://a.test/patients", "value": "1"}],
        "name": [{"family": family, "given": ["Jo", "Lee"]}],
        "telecom": [{"system": "phone", "value": "1"}],
        "gender": "female",
        "birthDate": "1970-02-28",
        "deceasedBoolean": False,
        "contact": [{"name": {"text": "Lee"}}],
    }


def study(version: str, subject: str) -> Json:
    return {
        "resourceType": "ImagingStudy",
        "id": "2",
        "contained": [{"resourceType": "Practitioner", "id": "p", "identifier": [{"value": "7"}]}],
        "extension": deepcopy(ENCODED),
        **_study_head(version),
        STUDY_NAMES[version]["patient"]: {"reference": subject},
        "started": MOMENT,
        "referrer": {"reference": "#p"},
        "description": "words",
        "numberOfSeries": 2,
        "numberOfInstances": 3,
        "series": [_series(version, 1, 2), _series(version, 2, 1)],
    }


def _study_head(version: str) -> Json:
    ct = _modality(version)
    if version in _FORMAL_UID:
        uid = [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}]
        return {"identifier": uid, "status": "available", "modality": [ct]}
    return {"uid": "urn:oid:1.2.3", "accession": dict(ACCESSION), "availability": "ONLINE", "modalityList": [ct]}


def _modality(version: str) -> Any:
    coding = {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "CT"}
    if version == "dstu2-ballot2":
        return "CT"
    return coding if version in ("dstu2", "stu3", "r4", "r4b") else {"coding": [coding]}


def _series(version: str, number: int, count: int) -> Json:
    started = "dateTime" if version == "dstu2-ballot2" else "started"
    return {
        "uid": _uid(version, f"1.2.3.{number}"),
        "number": number,
        "modality": _modality(version),
        "numberOfInstances": count,
        started: MOMENT,
        "instance": [_instance(version, f"1.2.3.{number}.{at}") for at in range(count)],
    }


def _instance(version: str, uid: str) -> Json:
    as_coding = version in ("r4", "r4b", "r5")
    sop_class = {"system": "urn:ietf:rfc:3986", "code": CT} if as_coding else CT
    return {"uid": _uid(version, uid), "number": 1, STUDY_NAMES[version]["sopClass"]: sop_class, "title": "words"}


def _uid(version: str, uid: str) -> str:
    return uid if version in _FORMAL_UID else f"urn:oid:{uid}"


def key_objects(version: str, subject: str) -> Json:
    kind = KEY_OBJECTS[version]
    return {"resourceType": kind, "id": "3", **_KEY_BODIES[kind](version, {"reference": subject})}


def _object_selection(version: str, subject: Json) -> Json:
    instance = {"sopClass": CT, "uid": "urn:oid:1.2.3.1.1", "url": "http://a.test/1"}
    return {
        "uid": "urn:oid:1.2.3.4",
        "patient": subject,
        "title": {"coding": [{"system": "http://nema.org/dicom/dicm", "code": "113000"}]},
        "authoringTime": MOMENT,
        "study": [{"uid": "urn:oid:1.2.3", "series": [{"uid": "urn:oid:1.2.3.1", "instance": [instance]}]}],
    }


def _manifest(version: str, subject: Json) -> Json:
    instance = {"sopClass": CT, "uid": "urn:oid:1.2.3.1.1"}
    return {
        "identifier": {"system": "urn:ietf:rfc:3986", "value": "urn:oid:1.2.3.4"},
        "patient": subject,
        "authoringTime": MOMENT,
        "study": [{"uid": "urn:oid:1.2.3", "series": [{"uid": "urn:oid:1.2.3.1", "instance": [instance]}]}],
    }


def _selection(version: str, subject: Json) -> Json:
    narrowed = {"frameNumber": [1, 2]} if version == "r6" else {"subset": ["1", "2"]}
    return {
        "status": "available",
        "code": {"coding": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "113000"}]},
        "subject": subject,
        "issued": MOMENT,
        "studyUid": "1.2.3",
        "seriesUid": "1.2.3.1",
        "instance": [{"uid": "1.2.3.1.1", **narrowed}],
    }


_KEY_BODIES = {
    "ImagingObjectSelection": _object_selection,
    "ImagingManifest": _manifest,
    "ImagingSelection": _selection,
}
