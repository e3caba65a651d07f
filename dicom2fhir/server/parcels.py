"""A Bundle on its way to a server: what it is called, and what must not be written beside it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dicom2fhir.encode import compact
from dicom2fhir.fhir.identity import identifier_query, search_value
from dicom2fhir.fhir.stored import objects, references

Json = dict[str, Any]

STUDY = "ImagingStudy"
OURS = frozenset(
    (STUDY, "Endpoint", "ImagingSelection", "ImagingManifest", "ImagingObjectSelection", "Basic", "DocumentReference")
)
"""The types whose resources are written as the user chose; all others are only created where nothing is found."""
_DICOM = "urn:dicom:uid"
_SUBJECTS = ("subject", "patient")
_NAME = re.compile(r"[A-Za-z0-9.\-]{1,64}")
_UID = re.compile(r"(?:urn:oid:)?([0-9.]{1,64})")


@dataclass(frozen=True, slots=True)
class Parcel:
    """One Bundle to be sent.

    `id` names it in journal and folder: the ImagingStudy's id, else what its content gives. `uid` is the Study
    Instance UID, for the report.
    """

    id: str
    uid: str
    body: bytes

    @property
    def digest(self) -> bytes:
        """SHA-256 of the Bundle."""
        return hashlib.sha256(self.body).digest()


def parcel(bundle: Json) -> Parcel:
    """The parcel of a Bundle with requests."""
    body = compact(bundle)
    study = study_entry(bundle)
    name = _name(study) if study is not None else None
    uid = study_uid(study["resource"]) if study is not None else ""
    return Parcel(name or hashlib.sha256(body).hexdigest()[:32], uid, body)


def alone(bundle: Json) -> frozenset[str]:
    """What a Bundle writes, what it refers to by a literal reference, and its patient: no two requests name one."""
    written = filter(None, map(target, entries(bundle)))
    named = (each for entry in entries(bundle) for each in references(entry["resource"]))
    study = study_entry(bundle)
    return frozenset((*written, *(each for each in named if not each.startswith("urn:")), *_subject(study)))


def entries(bundle: Json) -> list[Json]:
    """The entries of a Bundle."""
    found = bundle.get("entry")
    return found if isinstance(found, list) else []


def study_entry(bundle: Json) -> Json | None:
    """The entry of the ImagingStudy, None where there is none."""
    return next((entry for entry in entries(bundle) if kind(entry) == STUDY), None)


def kind(entry: Json) -> str:
    """The resource type of an entry."""
    return str(entry["resource"]["resourceType"])


def target(entry: Json) -> str | None:
    """What an entry writes to, as a name: `Type/id`, `Type?condition`; None for what is always created."""
    request: Mapping[str, Any] = entry["request"]
    if request["method"] == "PUT":
        return str(request["url"])
    condition = request.get("ifNoneExist")
    return f"{request['url']}?{condition}" if condition else None


def repeatable(entry: Json) -> bool:
    """Whether writing an entry twice does no harm, and gives the same answer: not where a version must match."""
    return target(entry) is not None and "ifMatch" not in entry["request"]


def only_creates(entry: Json) -> bool:
    """Whether an entry leaves what is there as it is."""
    return bool(entry["request"]["method"] == "POST")


def study_uid(study: Json) -> str:
    """The Study Instance UID of an ImagingStudy; empty where it names none."""
    values = [study.get("uid"), *_named(study)]
    found = (_UID.fullmatch(value) for value in values if isinstance(value, str))
    return next((match[1] for match in found if match), "")


def search(study: Json) -> str | None:
    """The search that finds an ImagingStudy by its UID (hl7.org/fhir/R4/imagingstudy#search), percent-encoded.

    A study that says its UID in an element of its own is found by the parameter of that (up to STU3).
    """
    if isinstance(study.get("uid"), str):
        return f"study={search_value(study['uid'])}"
    own = next((value for value in _named(study) if isinstance(value, str) and value), None)
    return identifier_query(_DICOM, own) if own else None


def _named(study: Json) -> list[Any]:
    """The UIDs among the identifiers of an ImagingStudy, as they stand there."""
    return [each.get("value") for each in objects(study.get("identifier")) if each.get("system") == _DICOM]


def _name(entry: Json) -> str | None:
    """The study's id where the client gives one, else what is left of its fullUrl."""
    text = str(entry["resource"].get("id") or str(entry.get("fullUrl", "")).rpartition(":")[2])
    return text if _NAME.fullmatch(text) else None


def _subject(entry: Json | None) -> Iterator[str]:
    """The patient of a study, where it is named by an identifier alone."""
    named = (entry["resource"].get(name) for name in _SUBJECTS) if entry is not None else ()
    for each in named:
        if isinstance(each, dict) and "identifier" in each and "reference" not in each:
            yield json.dumps(each["identifier"], sort_keys=True)


def chunks(items: list[Json], most: int | None, size: int | None) -> Iterator[list[Json]]:
    """Entries in order, in groups of at most `most` and at most about `size` bytes; one alone may be larger."""
    group: list[Json] = []
    weight = 0
    for item in items:
        length = len(compact(item)) if size else 0
        if group and ((most and len(group) >= most) or (size and weight + length > size)):
            yield group
            group, weight = [], 0
        group.append(item)
        weight += length
    if group:
        yield group
