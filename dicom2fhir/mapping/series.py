"""One series and its instances (PS3.3 C.7.3.1, C.12.1)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, cast

from dicom2fhir import codes
from dicom2fhir.dicom.records import Context, InstanceRecord, Values
from dicom2fhir.dicom.values import BadValue, clean_text, first_value, joined, parse_integer, split_values
from dicom2fhir.mapping.anatomy import Anatomy
from dicom2fhir.mapping.equipment import Equipment
from dicom2fhir.mapping.evidence import Evidence, Notebook, Voter, elect
from dicom2fhir.mapping.moments import Moments, sort_key
from dicom2fhir.mapping.people import People
from dicom2fhir.mapping.settings import Settings
from dicom2fhir.mapping.terms import Terms
from dicom2fhir.model import Concept, Endpoint, Instance, Modality, Moment, Performer, Series, Side, Specimen
from dicom2fhir.problems import Code

_OTHER = "OT"
_FOLLOWERS = frozenset({"KO", "PR", "SR"})
_LAST = 2**31
_UNKNOWN = codes.SopClass("other")


_FACTS = (
    "AnatomicRegionSequence", "BodyPartExamined", "CodingSchemeIdentificationSequence", "ContainerIdentifier",
    "ContainerTypeCodeSequence", "DeviceID", "DeviceSerialNumber", "DeviceUID", "GantryID", "ImageLaterality",
    "InstitutionAddress", "InstitutionCodeSequence", "InstitutionName", "IssuerOfTheContainerIdentifierSequence",
    "Laterality", "Manufacturer", "ManufacturerModelName", "MeasurementLaterality", "Modality",
    "OperatorIdentificationSequence", "OperatorsName", "PerformingPhysicianIdentificationSequence",
    "PerformingPhysicianName", "RetrieveURL", "SecondaryCaptureDeviceID", "SecondaryCaptureDeviceManufacturer",
    "SecondaryCaptureDeviceManufacturerModelName", "SecondaryCaptureDeviceSoftwareVersions",
    "SharedFunctionalGroupsSequence", "SoftwareVersions", "SpecimenDescriptionSequence", "StationName", "UDISequence",
)  # fmt: skip
"""What `Facts` come from, besides the SOP class and the frames."""

SERIES_ALONE = frozenset((
    "AnatomicRegionSequence", "BodyPartExamined", "ContainerIdentifier", "ContainerTypeCodeSequence", "DeviceID",
    "DeviceSerialNumber", "DeviceUID", "GantryID", "ImageLaterality", "IssuerOfTheContainerIdentifierSequence",
    "Laterality", "Manufacturer", "ManufacturerModelName", "MeasurementLaterality", "Modality",
    "OperatorIdentificationSequence", "OperatorsName", "PerformingPhysicianIdentificationSequence",
    "PerformingPhysicianName", "ProtocolName", "RetrieveURL", "SecondaryCaptureDeviceID",
    "SecondaryCaptureDeviceManufacturer", "SecondaryCaptureDeviceManufacturerModelName",
    "SecondaryCaptureDeviceSoftwareVersions", "SeriesDate", "SeriesDescription", "SeriesDescriptionCodeSequence",
    "SeriesNumber", "SeriesTime", "SharedFunctionalGroupsSequence", "SoftwareVersions", "SpecimenDescriptionSequence",
    "StationName", "UDISequence",
))  # fmt: skip
"""What says something of a series and nothing of its study."""

_WHOLE_NUMBERS = ("InstanceNumber", "NumberOfFrames")
_MADE = partial(tuple.__new__, Instance)  # half of what `Instance(...)` takes
_FRAMES = "PerFrameFunctionalGroupsSequence"
_REMEMBERED = 256
_LONG = 8192  # characters of sequences that are not worth remembering


@dataclass(frozen=True, slots=True)
class Facts:
    """What one series of a scanner says like the next one."""

    modality: Modality
    body_sites: tuple[Concept, ...]
    laterality: Side | None
    specimens: tuple[Specimen, ...]
    performers: tuple[Performer, ...]
    endpoints: tuple[Endpoint, ...]


class _Reading:
    """The same while it is read: what is noted is noted when it is asked for."""

    def __init__(self, evidence: Evidence, settings: Settings) -> None:
        self._evidence, self._settings = evidence, settings
        terms = Terms(settings, evidence)
        self._anatomy = Anatomy(settings, evidence, terms)
        self._equipment = Equipment(evidence, terms, People(terms, evidence))
        self.modality = _modality(evidence, settings)
        self.body_sites = self._anatomy.sites()

    @property
    def laterality(self) -> Side | None:
        return self._anatomy.side(self.body_sites)

    @property
    def specimens(self) -> tuple[Specimen, ...]:
        return self._equipment.specimens()

    @property
    def performers(self) -> tuple[Performer, ...]:
        return self._equipment.performers(self.modality)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return _endpoints(self._evidence, self._settings)


def build_series(uid: str, evidence: Evidence, settings: Settings, *, listed: bool) -> Series:
    """The series of these records; `listed` says whether its instances are to be listed."""
    facts = _known_facts(evidence, settings) or _Reading(evidence, settings)
    return Series(
        uid=uid,
        modality=facts.modality,
        instance_count=len(evidence.instances),
        number=evidence.elect("SeriesNumber", lambda v: _integer(evidence, v.values, "SeriesNumber", v.count)),
        description=_description(evidence, settings),
        started=_started(evidence, settings),
        body_sites=facts.body_sites,
        laterality=facts.laterality,
        specimens=facts.specimens,
        performers=facts.performers,
        endpoints=facts.endpoints,
        instances=_instances(evidence) if listed else (),
    )


def _known_facts(evidence: Evidence, settings: Settings) -> Facts | None:
    """The facts of a series of one context without frames; None where they have to be read, or noted."""
    only = evidence.voters[0]
    if len(evidence.voters) > 1 or [one for one in evidence.instances if _FRAMES in one.values]:
        return None
    values = tuple(map(only.values.get, _FACTS))
    said = tuple(map(_hashable, values)) if list in set(map(type, values)) else values
    is_long = sum(len(value[0]) for value in said if isinstance(value, tuple)) > _LONG
    return None if is_long else _read_quietly(settings, only.context.sop_class, said)


def _hashable(value: Any) -> Any:
    """A text as it is, a sequence as JSON in a tuple."""
    return (json.dumps(value),) if isinstance(value, list) else value


@lru_cache(maxsize=_REMEMBERED)
def _read_quietly(settings: Settings, sop_class: str, said: tuple[Any, ...]) -> Facts | None:
    """The facts that follow from what a context says; None where anything is wrong with it, which is to be noted."""
    texts = {keyword: value for keyword, value in zip(_FACTS, said, strict=True) if value is not None}
    values = {keyword: json.loads(*value) if isinstance(value, tuple) else value for keyword, value in texts.items()}
    record = InstanceRecord("", Context("", "", sop_class, values), {})
    notebook = Notebook("")
    read = _Reading(Evidence((record,), notebook), settings)
    facts = Facts(read.modality, read.body_sites, read.laterality, read.specimens, read.performers, read.endpoints)
    return None if notebook.problems() else facts


def series_key(series: Series) -> tuple[int, str]:
    """Series by (number, UID), those without a number last."""
    return (_LAST if series.number is None else series.number, series.uid)


def _modality(evidence: Evidence, settings: Settings) -> Modality:
    """The majority's modality; key objects, presentation states and reports follow the others."""

    def source(voter: Voter) -> Modality:
        return _stated_modality(evidence, settings, voter)

    found = {id(voter): source(voter) for voter in evidence.voters}
    leaders = [voter for voter in evidence.voters if found[id(voter)].term not in _FOLLOWERS]
    election = elect(leaders or evidence.voters, lambda voter: found[id(voter)])
    if len({modality.term for modality in found.values()}) > 1:
        evidence.note(Code.MODALITY_CONFLICT, "Modality")
    return election.value or _other()


def _stated_modality(evidence: Evidence, settings: Settings, voter: Voter) -> Modality:
    stated = [value for value in split_values(voter.values.get("Modality", "")) if value]
    if not stated:
        evidence.note(Code.MODALITY_DERIVED, "Modality", voter.count)
        implied = codes.sop_class(voter.context.sop_class)
        return (codes.modality(implied.modality) if implied and implied.modality else None) or _other()
    if len(stated) > 1:
        evidence.note(Code.VALUE_INVALID, "Modality", voter.count)
    known = (codes.modality(settings.modalities.get(term, term)) or codes.modality(term.upper()) for term in stated)
    found = next(filter(None, known), None)
    if found is None:
        evidence.note(Code.MODALITY_UNKNOWN, "Modality", voter.count)
    return found or _other(clean_text(stated[0]))


def _other(text: str | None = None) -> Modality:
    found = codes.modality(_OTHER)
    return Modality(_OTHER, found.meaning if found else "Other", acquires=False, text=text)


def _description(evidence: Evidence, settings: Settings) -> str | None:
    """(0008,103E), then the meaning of its code, then the protocol's name."""
    return (
        evidence.text("SeriesDescription")
        or evidence.elect("SeriesDescriptionCodeSequence", partial(_meaning, Terms(settings, evidence)))
        or evidence.text("ProtocolName")
    )


def _meaning(terms: Terms, voter: Voter) -> str | None:
    keyword = "SeriesDescriptionCodeSequence"
    return next((concept.text for concept in terms.concepts(voter, keyword) if concept.text), None)


def _started(evidence: Evidence, settings: Settings) -> Moment | None:
    """(0008,0021) with (0008,0031), else the earliest acquisition of an instance or of a frame."""
    moments = Moments(settings, evidence)
    stated = evidence.elect(
        "SeriesDate", lambda v: moments.of(v.values, "SeriesDate", "SeriesTime", v.values, v.count), sort_key
    )
    if stated is not None:
        return stated
    acquired = [moment for instance in evidence.instances for moment in _acquired(moments, instance)]
    return min(acquired, key=sort_key) if acquired else None


def _acquired(moments: Moments, instance: InstanceRecord) -> list[Moment]:
    """When an instance was acquired, else when its frames were."""
    shared = instance.context.values
    whole = moments.of_datetime(instance.values, "AcquisitionDateTime", shared) or moments.of(
        instance.values, "AcquisitionDate", "AcquisitionTime", shared
    )
    if whole is not None:
        return [whole]
    groups = shared.get("SharedFunctionalGroupsSequence", []) + instance.values.get(
        "PerFrameFunctionalGroupsSequence", []
    )
    frames = [content for group in groups for content in group.get("FrameContentSequence", [])]
    found = (moments.of_datetime(frame, "FrameAcquisitionDateTime", shared) for frame in frames)
    return [moment for moment in found if moment is not None]


def _endpoints(evidence: Evidence, settings: Settings) -> tuple[Endpoint, ...]:
    """The service that (0008,1190) names, where the study's endpoints do not have it."""
    url = evidence.elect("RetrieveURL", lambda voter: voter.first("RetrieveURL"))
    if url is None:
        return ()
    endpoint = service(url)
    if endpoint is None:
        evidence.note(Code.VALUE_INVALID, "RetrieveURL")
    return () if endpoint is None or endpoint in settings.endpoints else (endpoint,)


def service(url: str) -> Endpoint | None:
    """The WADO-RS service that an address of a study or series belongs to; None where it is no such address."""
    address = url.partition("/studies/")[0].rstrip("/")
    host = address.partition("://")
    if host[0].lower() not in ("http", "https") or not host[2] or "?" in address or any(c.isspace() for c in address):
        return None
    return Endpoint("wado-rs", address)


def _integer(evidence: Evidence, values: Values, keyword: str, count: int = 1) -> int | None:
    found = _read_integer(values[keyword]) if keyword in values else None
    if isinstance(found, Code):
        evidence.note(found, keyword, count)
    return _readable(found)


@lru_cache(maxsize=1024)  # the numbers of one series are those of another
def _read_integer(text: str) -> int | Code | None:
    """The number, or what is wrong with it."""
    try:
        return parse_integer(first_value(text) or "")
    except BadValue as bad:
        return bad.code


def _instances(evidence: Evidence) -> tuple[Instance, ...]:
    """The hot spot: columns, in the order of `Instance`. The records are in the order of their UIDs."""
    uids, _, owns, _ = zip(*evidence.instances, strict=True)
    names, titles, class_names = _classes(evidence)
    numbers, frames = _whole_numbers(evidence, owns)
    made = list(map(_MADE, zip(uids, names, numbers, titles, frames, class_names, strict=True)))
    ranks = [_LAST if number is None else number for number in numbers]
    return tuple([made[place] for place in sorted(range(len(made)), key=ranks.__getitem__)])


def _classes(evidence: Evidence) -> tuple[list[str], list[str | None], list[str | None]]:
    """Of each instance the SOP class, the title and the class's name."""
    records = evidence.instances
    classes = {uid: codes.sop_class(uid) or _UNKNOWN for uid in {one.context.sop_class for one in evidence.voters}}
    if len(classes) == 1 and not any(known.title for known in classes.values()):  # as most series of images
        ((uid, only),) = classes.items()
        return [uid] * len(records), [None] * len(records), [only.name] * len(records)
    names = [record.context.sop_class for record in records]
    known = [classes[name] for name in names]
    titles = [_title(record, of.title) if of.title else None for record, of in zip(records, known, strict=True)]
    return names, titles, [of.name for of in known]


def _whole_numbers(evidence: Evidence, owns: Iterable[Values]) -> tuple[list[int | None], list[int | None]]:
    """The number and the frames of each instance; what is no number is noted."""
    numbers, frames = (_read_integers([own.get(keyword, "") for own in owns]) for keyword in _WHOLE_NUMBERS)
    if Code in {*map(type, numbers), *map(type, frames)}:
        _note_unreadable(evidence, zip(numbers, frames, strict=True))
        numbers, frames = list(map(_readable, numbers)), list(map(_readable, frames))
    return cast(list[int | None], numbers), [count or None for count in cast(list[int | None], frames)]


def _read_integers(texts: list[str]) -> list[int | Code | None]:
    return list(map(_read_integer, texts)) if any(texts) else [None] * len(texts)


def _note_unreadable(evidence: Evidence, read: Iterable[tuple[int | Code | None, ...]]) -> None:
    for one in read:
        for found, keyword in zip(one, _WHOLE_NUMBERS, strict=True):
            if isinstance(found, Code):
                evidence.note(found, keyword)


def _readable(found: int | Code | None) -> int | None:
    return None if isinstance(found, Code) else found


def _title(record: InstanceRecord, keywords: tuple[str, ...]) -> str | None:
    """What a non-image object calls itself; each family has its own attributes, plain images have none."""
    for keyword in keywords:
        value = record.values.get(keyword)
        if isinstance(value, list):
            value = next((item["CodeMeaning"] for item in value if item.get("CodeMeaning")), None)
        title = clean_text(joined(value)) if value else None
        if title:
            return title
    return None
