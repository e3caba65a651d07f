"""The search parameters of ImagingStudy, version by version: where the values of each stand in a study that we write,
and what a search for a value finds. Which parameters there are is what the FHIR pages list and HAPI offers
(hl7.org/fhir/DSTU2, STU3, R4, R4B, R5: imagingstudy#search).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A search parameter: its name, the paths of its values with `|` between, a value that no study has.

    `unindexed` says why HAPI finds nothing by it, though there are values.
    """

    name: str
    paths: str
    absent: str
    unindexed: str = ""


_NO_UID = "urn:oid:1.2.3.4.5"
_SCT_NOBODY = "http://snomed.info/sct|1"
_BY_REFERENCE = (
    Parameter("patient", "subject", "Patient/nobody"),
    Parameter("subject", "subject", "Patient/nobody"),
    Parameter("encounter", "encounter", "Encounter/none"),
    Parameter("referrer", "referrer", "Practitioner/nobody"),
    Parameter("endpoint", "endpoint|series.endpoint", "Endpoint/none"),
    Parameter("performer", "series.performer.actor", "Practitioner/nobody"),
)
_FROM_R4 = (
    Parameter("_id", "id", "nobody"),
    Parameter("identifier", "identifier", f"urn:dicom:uid|{_NO_UID}"),
    Parameter("status", "status", "cancelled"),
    Parameter("modality", "series.modality", "EPS"),
    Parameter("series", "series.uid", "1.2.3.4.5"),
    Parameter("instance", "series.instance.uid", "1.2.3.4.5"),
    Parameter("dicom-class", "series.instance.sopClass", _NO_UID),
    *_BY_REFERENCE,
)
_R4 = (
    *_FROM_R4,
    Parameter("basedon", "basedOn", "ServiceRequest/none"),
    Parameter("bodysite", "series.bodySite", _SCT_NOBODY),
    Parameter("interpreter", "interpreter", "Practitioner/nobody"),
    Parameter("reason", "reasonCode", _SCT_NOBODY),
)
_DSTU2 = (
    Parameter("_id", "id", "nobody"),
    Parameter("accession", "accession", "nothing"),
    Parameter("bodysite", "series.bodySite", _SCT_NOBODY),
    Parameter("dicom-class", "series.instance.sopClass", _NO_UID),
    Parameter("modality", "series.modality", "EPS"),
    Parameter("patient", "patient", "Patient/nobody"),
    Parameter("series", "series.uid", _NO_UID),
    Parameter("study", "uid", _NO_UID),
    Parameter("uid", "series.instance.uid", _NO_UID),
)
PARAMETERS: dict[str, tuple[Parameter, ...]] = {
    "dstu2": (*_DSTU2, Parameter("order", "order", "DiagnosticOrder/none")),
    "stu3": (
        *_DSTU2,
        Parameter("basedon", "basedOn", "ProcedureRequest/none"),
        Parameter("context", "context", "Encounter/none"),
        Parameter("endpoint", "endpoint|series.endpoint", "Endpoint/none"),
        Parameter("identifier", "identifier", "nothing"),
        Parameter("performer", "series.performer", "Practitioner/nobody"),
        Parameter("reason", "reason", _SCT_NOBODY),
    ),
    "r4": _R4,
    "r4b": _R4,
    "r5": (
        *_FROM_R4,
        Parameter("reason", "reason.concept", _SCT_NOBODY, "HAPI offers it in R5 and indexes nothing for it"),
        Parameter("based-on", "basedOn", "ServiceRequest/none"),
        Parameter("body-site", "series.bodySite.concept", _SCT_NOBODY),
        Parameter("body-structure", "series.bodySite.reference", "BodyStructure/none"),
    ),
}
"""Every version's parameters without `started` (see DAYS) and without those that all resources have (see COMMON)."""

UNWRITTEN = {"r5": {"body-structure"}}
"""Elements that we write in no study of a version, so that there is nothing to search by."""

DAYS = (
    "2024-01-15",
    "eq2024-01-15",
    "ge2024-01-16",
    "lt2024-01-15",
    "gt2024-01-15",
    "le2024-01-15",
    "eq2024-01",
    "2024",
)
"""What `started` is asked for, and below what no study started on."""
NO_DAYS = ("1999-12-31", "ge2030-01-01", "lt1990-01-01")

MISSING: dict[str, dict[str, str]] = {
    "dstu2": {
        "identifier": "DSTU2 has none: study, series, uid and accession stand for it",
        "status": "DSTU2 has no status of a study",
        "subject": "DSTU2 has patient alone",
    },
    "stu3": {
        "status": "STU3 has no status of a study",
        "subject": "STU3 has patient alone",
    },
    "r4": {"started-at": "no version has it: the counter-test of this table"},
    "r4b": {"based-on": "R5's name"},
    "r5": {
        "basedon": "R4's name",
        "reason-concept": "a draft on R5's page; HAPI offers `reason` in its place",
        "reason-reference": "a draft on R5's page, which HAPI does not have",
    },
}
"""What a version or HAPI lacks, and why: the server answers 400."""


def values(study: Json, paths: str) -> set[str]:
    """The values of a study at the paths: of codings and identifiers `system|value`, of references what they name."""
    return {text for path in paths.split("|") for found in _at(study, path.split(".")) for text in _texts(found)}


def _at(node: Any, path: list[str]) -> Iterator[Any]:
    if isinstance(node, list):
        for one in node:
            yield from _at(one, path)
    elif not path:
        yield node
    elif path[0] in node:
        yield from _at(node[path[0]], path[1:])


def _texts(found: Any) -> Iterator[str]:
    """A contained resource is not indexed by its place, nor is a reference by an identifier."""
    if isinstance(found, str):
        yield found
    elif "coding" in found:
        for coding in found["coding"]:
            yield from _texts(coding)
    elif "reference" in found:
        if not found["reference"].startswith("#"):
            yield found["reference"]
    elif "code" in found:
        yield f"{found.get('system', '')}|{found['code']}"
    elif "value" in found:
        yield f"{found.get('system', '')}|{found['value']}"


def expected(studies: dict[str, Json], paths: str) -> dict[str, list[str]]:
    """Each value that is there -> the ids of the studies that have it, sorted."""
    found: dict[str, list[str]] = {}
    for name, study in sorted(studies.items()):
        for value in values(study, paths):
            found.setdefault(value, []).append(name)
    return found


def samples(there: dict[str, list[str]]) -> list[str]:
    """The values to ask for: the most frequent one, the rarest one and one between, by text where equal."""
    ranked = sorted(there, key=lambda value: (-len(there[value]), value))
    return sorted({ranked[0], ranked[len(ranked) // 2], ranked[-1]}) if ranked else []


def code_alone(there: dict[str, list[str]], code: str) -> list[str]:
    """The ids of the studies that have a code or a number in whatever system."""
    hits = (ids for value, ids in there.items() if value.rpartition("|")[2] == code)
    return sorted(Counter(name for ids in hits for name in ids))


def started(studies: dict[str, Json], asked: str) -> list[str]:
    """The ids of the studies that a search by `started` finds (hl7.org/fhir/R4/search#date), days in UTC."""
    prefix, day = (asked[:2], asked[2:]) if asked[0].isalpha() else ("eq", asked)
    low, high = _span(day)
    found = []
    for name, study in studies.items():
        if "started" in study:
            begin, end = _span(study["started"])
            hit = {
                "eq": low <= begin and end <= high,
                "ge": begin >= low or end > high,
                "gt": end > high,
                "le": end <= high or begin < low,
                "lt": begin < low,
            }
            found += [name] if hit[prefix] else []
    return sorted(found)


def _span(text: str) -> tuple[datetime, datetime]:
    """The time that a FHIR date or dateTime stands for: from, and before."""
    if "T" in text:
        moment = datetime.fromisoformat(text.replace(":60+", ":59+")).astimezone(UTC)
        return moment, moment + timedelta(milliseconds=1 if "." in text else 1000)
    year, month, day = (int(part) for part in f"{text}-01-01".split("-")[:3])
    begin = datetime(year, month, day, tzinfo=UTC)
    days = {4: 366, 7: 31, 10: 1}[len(text)]
    following = begin + timedelta(days=days)
    return begin, following if len(text) == 10 else following.replace(day=1)


COMMON: dict[str, tuple[str, str]] = {
    "_lastUpdated": ("gt2000-01-01", "all"),
    "_has": ("x", "none"),
    "_list": ("nobody", "none"),
    "_profile": ("http://nobody.example/profile", "none"),
    "_security": ("nobody", "none"),
    "_source": ("http://nobody.example/source", "none"),
    "_tag": ("nobody", "none"),
    "_content": ("CT", "full text is off"),
    "_text": ("CT", "full text is off"),
    "_filter": ("modality eq CT", "filters are off"),
    "_language": ("en", "HAPI lists it and does not know it"),
}
"""What all resources are searched by: what is asked, and whether all of ours are found, none (nothing of ours has a
tag or the like), or why the answer is 400.
"""

WITHOUT_SUMMARY = {"dstu2": "_summary=true gives id and meta alone: HAPI knows no summary elements of DSTU2"}
"""What HAPI cannot summarise, and why."""
