"""One series and its instances (PS3.3 C.7.3.1, C.12.1)."""

from __future__ import annotations

from functools import lru_cache

from dicom2fhir import codes
from dicom2fhir.dicom.records import InstanceRecord, Values
from dicom2fhir.dicom.values import BadValue, clean_text, first_value, joined, parse_integer, split_values
from dicom2fhir.mapping.anatomy import Anatomy
from dicom2fhir.mapping.equipment import Equipment
from dicom2fhir.mapping.evidence import Evidence, Voter, elect
from dicom2fhir.mapping.moments import Moments, sort_key
from dicom2fhir.mapping.people import People
from dicom2fhir.mapping.settings import Settings
from dicom2fhir.mapping.terms import Terms
from dicom2fhir.model import Endpoint, Instance, Modality, Moment, Series
from dicom2fhir.problems import Code

_OTHER = "OT"
_FOLLOWERS = frozenset({"KO", "PR", "SR"})
_LAST = 2**31
_UNKNOWN = codes.SopClass("other")


def build_series(uid: str, evidence: Evidence, settings: Settings, *, listed: bool) -> Series:
    """The series of these records; `listed` says whether its instances are to be listed."""
    terms = Terms(settings, evidence)
    anatomy = Anatomy(settings, evidence, terms)
    equipment = Equipment(evidence, terms, People(terms, evidence))
    modality = _modality(evidence, settings)
    sites = anatomy.sites()
    return Series(
        uid=uid,
        modality=modality,
        instance_count=len(evidence.instances),
        number=evidence.elect("SeriesNumber", lambda v: _integer(evidence, v.values, "SeriesNumber", v.count)),
        description=_description(evidence, terms),
        started=_started(evidence, settings),
        body_sites=sites,
        laterality=anatomy.side(sites),
        specimens=equipment.specimens(),
        performers=equipment.performers(modality),
        endpoints=_endpoints(evidence, settings),
        instances=_instances(evidence) if listed else (),
    )


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


def _description(evidence: Evidence, terms: Terms) -> str | None:
    """(0008,103E), then the meaning of its code, then the protocol's name."""
    return (
        evidence.text("SeriesDescription")
        or evidence.elect(
            "SeriesDescriptionCodeSequence", lambda v: _meaning(terms, v, "SeriesDescriptionCodeSequence")
        )
        or evidence.text("ProtocolName")
    )


def _meaning(terms: Terms, voter: Voter, keyword: str) -> str | None:
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
        return None
    return found


@lru_cache(maxsize=1024)  # the numbers of one series are those of another
def _read_integer(text: str) -> int | Code | None:
    """The number, or what is wrong with it."""
    try:
        return parse_integer(first_value(text) or "")
    except BadValue as bad:
        return bad.code


def _instances(evidence: Evidence) -> tuple[Instance, ...]:
    classes = {uid: codes.sop_class(uid) or _UNKNOWN for uid in {voter.context.sop_class for voter in evidence.voters}}
    found = [_instance(evidence, record, classes[record.context.sop_class]) for record in evidence.instances]
    return tuple(sorted(found, key=lambda i: (_LAST if i.number is None else i.number, i.uid)))


def _instance(evidence: Evidence, record: InstanceRecord, known: codes.SopClass) -> Instance:
    """The hot spot: positional, in the order of `Instance`."""
    uid, context, values, _ = record
    number = _integer(evidence, values, "InstanceNumber")
    frames = _integer(evidence, values, "NumberOfFrames") or None
    title = _title(record, known.title) if known.title else None
    return Instance(uid, context.sop_class, number, title, frames, known.name)


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
