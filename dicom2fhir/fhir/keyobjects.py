"""Key objects and manifests, by the kind of resource that FHIR versions have for them.

What each cannot say is a `not-in-this-version`, counted:

- ImagingObjectSelection (DSTU2): segments and channels; title modifiers; references without an address by WADO-RS;
  every observer but the first. A title outside its closed list is a `title-not-in-this-version`, and no resource;
- ImagingManifest (STU3): the title's code (its words begin the description) and modifiers; frames, segments and
  channels; references of which the series is unknown; every observer but the first, and that one's institution;
- ImagingSelection: of R5 channels; of R6 channel 0, which stands for all, and references without a series;
- Basic (R4, R4B, on request): what ImagingSelection of R5 cannot. HL7 Europe's form, with the cross-version
  extensions of hl7.org/fhir/uv/xver-r5.r4;
- DocumentReference (R4, R4B, on request): title modifiers. The references are in the document that it points at.

In all of them an instant needs a time and its offset, an element of type `oid` an OID, and studies other than the key
object's own are known by identifier, never by address. Where no reference would be left there is no resource.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from dicom2fhir.fhir import elements
from dicom2fhir.fhir.dialect import Form, Part, Rows, Scope, fill
from dicom2fhir.fhir.elements import DCM, DICOM_UID, RFC_3986, Json, extension, filled, unique
from dicom2fhir.fhir.identity import full_url, identifier_query, search_value
from dicom2fhir.model import (
    Code,
    Concept,
    Device,
    Endpoint,
    Instance,
    Practitioner,
    Selected,
    SelectedSeries,
    SelectedStudy,
    Series,
)
from dicom2fhir.problems import Code as ProblemCode
from dicom2fhir.problems import Problem

Person = Callable[[Scope, Practitioner], Json | None]
"""How a version refers to a person."""

PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
FHIR_TYPES = "http://hl7.org/fhir/fhir-types"
LOINC = "http://loinc.org"
CROSS_VERSION = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ImagingSelection."
ARTIFACT_TITLE = "http://hl7.org/fhir/StructureDefinition/artifact-title"
ARTIFACT_DESCRIPTION = "http://hl7.org/fhir/StructureDefinition/artifact-description"

TITLES = frozenset(
    (
        "113000", "113001", "113002", "113003", "113004", "113005", "113006", "113007", "113008", "113009", "113010",
        "113013", "113018", "113020", "113021", "113030", "113031", "113032", "113033", "113034", "113035", "113036",
        "113037", "113038", "113039",
    )
)  # fmt: skip
"""hl7.org/fhir/DSTU2/valueset-kos-title, which is required: CID 7010 as it was then."""

_DOCUMENT = "Key Object Selection Document"
"""What is always true of a document without a title: the name of its SOP class."""


# Where things go --------------------------------------------------------------------------------------


def _places(resource: str, **elements_of: str) -> dict[str, str]:
    """Field of the model (with `_` for the dot after its class) -> element."""
    return {name.replace("_", ".", 1): f"{resource}.{element}" for name, element in elements_of.items()}


OBJECT_SELECTION = _places(
    "ImagingObjectSelection",
    KeyObject_uid="uid",
    KeyObject_title="title",
    KeyObject_description="description",
    KeyObject_observers="author",
    KeyObject_authored="authoringTime",
    KeyObject_studies="study",
    SelectedStudy_uid="study.uid",
    SelectedStudy_series="study.series",
    SelectedSeries_uid="study.series.uid",
    SelectedSeries_endpoints="study.series.url",
    SelectedSeries_instances="study.series.instance",
    Selected_uid="study.series.instance.uid",
    Selected_sop_class="study.series.instance.sopClass",
    Selected_frames="study.series.instance.frames",
)
MANIFEST = _places(
    "ImagingManifest",
    KeyObject_uid="identifier",
    KeyObject_title="description",
    KeyObject_description="description",
    KeyObject_observers="author",
    KeyObject_authored="authoringTime",
    KeyObject_studies="study",
    SelectedStudy_uid="study.uid",
    SelectedStudy_series="study.series",
    SelectedSeries_uid="study.series.uid",
    SelectedSeries_endpoints="study.series.endpoint",
    SelectedSeries_instances="study.series.instance",
    Selected_uid="study.series.instance.uid",
    Selected_sop_class="study.series.instance.sopClass",
)
SELECTION = _places(
    "ImagingSelection",
    KeyObject_uid="identifier (urn:dicom:uid)",
    KeyObject_title="code, ImagingSelection.category",
    KeyObject_modifiers="category",
    KeyObject_description="code.text",
    KeyObject_observers="performer",
    KeyObject_authored="issued",
    KeyObject_studies="derivedFrom, ImagingSelection.instance",
    SelectedStudy_uid="studyUid",
    SelectedStudy_series="seriesUid",
    SelectedStudy_accessions="basedOn.identifier",
    SelectedSeries_uid="seriesUid",
    SelectedSeries_endpoints="endpoint",
    SelectedSeries_instances="instance",
    Selected_uid="instance.uid",
    Selected_sop_class="instance.sopClass",
    Selected_frames="instance.subset",
    Selected_segments="instance.subset",
)
NEW_SELECTION = SELECTION | _places(
    "ImagingSelection",
    Selected_frames="instance.frameNumber",
    Selected_segments="instance.segmentNumber",
    Selected_channels="instance.waveFormChannel",
)
BASIC = {
    field: place.replace("ImagingSelection.", "Basic.extension: ImagingSelection.")
    for field, place in SELECTION.items()
} | {
    "KeyObject.uid": "Basic.identifier (urn:dicom:uid)",
    "KeyObject.description": "Basic.extension: artifact-description",
}
DOCUMENT = _places(
    "DocumentReference",
    KeyObject_uid="masterIdentifier",
    KeyObject_series="identifier (112002)",
    KeyObject_title="type",
    KeyObject_description="description",
    KeyObject_observers="author",
    KeyObject_authored="date",
    KeyObject_studies="context.related",
    SelectedStudy_uid="context.related",
)
"""Which element each field of the model fills, by form."""


# What the forms share ---------------------------------------------------------------------------------


def lose(scope: Scope, part: Part, element: str, why: str, count: int = 1) -> None:
    """Report what the form has no place for, at the key object it is said of."""
    scope.note(Problem(ProblemCode.NOT_IN_THIS_VERSION, _where(scope, part, element), message=why, count=count))


def _where(scope: Scope, part: Part, element: str) -> str:
    document = part.document
    own = (document.series, document.uid) if document.series and document.uid else ()
    return "/".join((scope.study.uid, *own, element))


def observers(scope: Scope, part: Part, person: Person) -> list[tuple[str, Json]]:
    """Who and what made the selection, each with its function: PRF or DEV."""
    found = ((_function(one), _observer(scope, one, person)) for one in part.document.observers)
    return [(function, reference) for function, reference in found if reference]


def _function(one: Practitioner | Device) -> str:
    return "DEV" if isinstance(one, Device) else "PRF"


def _observer(scope: Scope, one: Practitioner | Device, person: Person) -> Json | None:
    if isinstance(one, Device):
        return scope.refer("device", one)
    found = person(scope, one)
    if found is None and one.organization:
        return scope.refer("organization", one.organization)
    return found


def author(scope: Scope, part: Part, person: Person, element: str) -> Json | None:
    """The first observer that can be referred to, where there is room for one: others must not be contained."""
    waiting = iter(part.document.observers)
    found = next(filter(None, (_observer(scope, one, person) for one in waiting)), None)
    others = sum(1 for _ in waiting)
    if others:
        lose(scope, part, element, "There is room for one.", others)
    first = next(iter(part.document.observers), None)
    if isinstance(first, Practitioner) and first.names and first.organization and "role" not in scope.dialect.kinds:
        lose(scope, part, element, "There is no element for a person's institution.")
    return found


def authored(scope: Scope, part: Part, element: str) -> str | None:
    """When it was made, as a dateTime of DSTU2 or STU3, which have no second 60."""
    text = elements.date_time(part.document.authored)
    if text is None or text[17:19] != "60":
        return text
    lose(scope, part, element, "There is no second 60; the date stays.")
    return text[:10]


def issued(scope: Scope, part: Part, element: str) -> str | None:
    """When it was made, as an instant: a date, a time and an offset, or nothing."""
    moment = part.document.authored
    text = elements.date_time(moment)
    if text is not None and "T" in text:
        return text
    if moment is not None:
        lose(scope, part, element, "An instant needs a time and its offset.")
    return None


def title_words(document_title: Concept | None, description: str | None) -> str | None:
    """Title and description as one text."""
    return ": ".join(filter(None, (elements.concept_text(document_title), description))) or None


def uid_identifier(uid: str) -> Json:
    """A DICOM UID as an Identifier, from R4 on."""
    return {"system": DICOM_UID, "value": elements.oid(uid)}


def old_uid_identifier(uid: str) -> Json:
    """A DICOM UID as an Identifier, before R4."""
    return {"system": RFC_3986, "value": elements.oid(uid)}


def identifiers(scope: Scope, part: Part) -> list[Json]:
    """The document's UID, which all its resources share, and the resource's own."""
    return [uid_identifier(part.uid), {"system": RFC_3986, "value": full_url(part.id)}]


def find(part: Part) -> str:
    """The search that finds a resource by its own identifier."""
    return identifier_query(RFC_3986, full_url(part.id))


def service_endpoints(scope: Scope, series: SelectedSeries | None) -> list[Json]:
    """Where the instances can be had: the study's services, or (`series`) the one that the evidence names."""
    if series is not None:
        return unique(scope.refer("series-endpoint", one) for one in series.endpoints)
    return unique(scope.refer("endpoint", one) for one in scope.study.endpoints if one.kind != "iid")


def _address(endpoints: Iterable[Endpoint], kind: str) -> str | None:
    return next((one.address for one in endpoints if one.kind == kind), None)


def _partial(instances: Iterable[Selected]) -> int:
    return sum(bool(one.frames or one.segments or one.channels) for one in instances)


def _selected(studies: Iterable[SelectedStudy]) -> list[Selected]:
    return [one for study in studies for series in study.series for one in series.instances]


# DSTU2 and STU3: one resource a document ----------------------------------------------------------------


Tree = dict[str, list[tuple[SelectedSeries, dict[str, list[Selected]]]]]
"""What can be said: series by study, and what is meant of each instance by its UID."""


def _tree(part: Part, says: Callable[[SelectedSeries], bool]) -> Tree:
    """The references of which all UIDs are OIDs, in series that `says` lets pass."""
    found: Tree = {}
    for study in part.studies:
        for series in study.series if elements.is_oid(study.uid) else ():
            if series.uid is not None and not elements.is_oid(series.uid):
                continue
            instances: dict[str, list[Selected]] = {}
            for one in series.instances if says(series) else ():
                if elements.is_oid(one.uid) and one.sop_class and elements.is_oid(one.sop_class):
                    instances.setdefault(one.uid, []).append(one)
            if instances:
                found.setdefault(study.uid, []).append((series, instances))
    return found


def _lose_references(scope: Scope, part: Part, tree: Tree, element: str, why: str) -> None:
    said = sum(len(instances) for series in tree.values() for _, instances in series)
    lost = len({(study.uid, series.uid, one.uid) for study in part.studies for series in study.series
                for one in series.instances}) - said  # fmt: skip
    if lost:
        lose(scope, part, element, why, lost)


def _is_identified(scope: Scope, part: Part, element: str) -> bool:
    """Whether the document's own UID is an OID; else there is no resource."""
    if not elements.is_oid(part.uid):
        lose(scope, part, element, "The key object's UID is not an OID.")
    return elements.is_oid(part.uid)


def object_selection(person: Person) -> Form:
    """hl7.org/fhir/DSTU2/imagingobjectselection."""
    return Form("ImagingObjectSelection", partial(_object_selection, person=person), _find_by_uid, OBJECT_SELECTION)


def _find_by_uid(part: Part) -> str:
    return f"identifier={search_value(elements.oid(part.uid))}"


def _object_selection(scope: Scope, part: Part, person: Person) -> Json | None:
    title = _listed_title(scope, part)
    if title is None or not _is_identified(scope, part, "ImagingObjectSelection.uid"):
        return None
    tree = _tree(part, lambda series: _base(scope, series) is not None)
    why = "A reference needs an address (--wado-rs), and UIDs that are OIDs."
    _lose_references(scope, part, tree, "ImagingObjectSelection.study.series.instance", why)
    if not tree:
        return None
    _lose_modifiers(scope, part, "ImagingObjectSelection.title")
    parts = sum(bool(one.segments or one.channels) for one in _selected(part.studies))
    if parts:
        why = "There are no segments or channels; the instance stays."
        lose(scope, part, "ImagingObjectSelection.study.series.instance.frames", why, parts)
    return filled(
        {
            "uid": elements.oid(part.uid),
            "patient": scope.subject(),
            "title": title,
            "description": part.document.description,
            "author": author(scope, part, person, "ImagingObjectSelection.author"),
            "authoringTime": authored(scope, part, "ImagingObjectSelection.authoringTime"),
            "study": [_study_with_addresses(scope, uid, series) for uid, series in tree.items()],
        }
    )


def _listed_title(scope: Scope, part: Part) -> Json | None:
    """The title in the words of the file, where its code is in the closed list."""
    title = part.document.title
    listed = [code for code in title.codes if code.system == DCM and code.value in TITLES] if title else []
    if title is None or not listed:
        where = _where(scope, part, "ImagingObjectSelection.title")
        scope.note(Problem(ProblemCode.TITLE_NOT_IN_THIS_VERSION, where))
        return None
    return filled({"coding": [scope.coding(code) for code in listed], "text": title.text})


def _lose_modifiers(scope: Scope, part: Part, element: str) -> None:
    if part.document.modifiers:
        lose(scope, part, element, "There is no element for a title's modifiers.", len(part.document.modifiers))


def _base(scope: Scope, series: SelectedSeries) -> str | None:
    return _address(series.endpoints, "wado-rs") or _address(scope.study.endpoints, "wado-rs")


def _study_with_addresses(scope: Scope, uid: str, tree: list[tuple[SelectedSeries, dict[str, list[Selected]]]]) -> Json:
    base = _address(scope.study.endpoints, "wado-rs")
    return filled(
        {
            "uid": elements.oid(uid),
            "url": f"{base}/studies/{uid}" if base else None,
            "imagingStudy": scope.refer_study(uid, old_uid_identifier(uid)),
            "series": [_series_with_addresses(scope, uid, series, instances) for series, instances in tree],
        }
    )


def _series_with_addresses(
    scope: Scope, study: str, series: SelectedSeries, instances: Mapping[str, list[Selected]]
) -> Json:
    above = f"{_base(scope, series)}/studies/{study}" + (f"/series/{series.uid}" if series.uid else "")
    return filled(
        {
            "uid": elements.oid(series.uid) if series.uid else None,
            "url": above if series.uid else None,
            "instance": [
                _instance_with_address(uid, meant, f"{above}/instances/{uid}") for uid, meant in instances.items()
            ],
        }
    )


def _instance_with_address(uid: str, meant: list[Selected], url: str) -> Json:
    frames = [
        {"frameNumbers": list(one.frames), "url": f"{url}/frames/{','.join(map(str, one.frames))}"}
        for one in meant
        if one.frames
    ]
    return filled(
        {"sopClass": elements.oid(meant[0].sop_class or ""), "uid": elements.oid(uid), "url": url, "frames": frames}
    )


def imaging_manifest(person: Person) -> Form:
    """hl7.org/fhir/STU3/imagingmanifest."""
    return Form("ImagingManifest", partial(_imaging_manifest, person=person), _find_by_identifier, MANIFEST)


def _find_by_identifier(part: Part) -> str:
    return identifier_query(RFC_3986, elements.oid(part.uid))


def _imaging_manifest(scope: Scope, part: Part, person: Person) -> Json | None:
    if not _is_identified(scope, part, "ImagingManifest.identifier"):
        return None
    tree = _tree(part, lambda series: series.uid is not None)
    why = "A reference needs a series, and UIDs that are OIDs."
    _lose_references(scope, part, tree, "ImagingManifest.study.series.instance", why)
    if not tree:
        return None
    document = part.document
    if document.title and document.title.codes and document.uid:
        lose(scope, part, "ImagingManifest.title", "There is no element for a title; its words are the description's.")
    _lose_modifiers(scope, part, "ImagingManifest.title.modifier")
    parts = _partial(_selected(part.studies))
    if parts:
        why = "There are no frames, segments or channels; the instance stays."
        lose(scope, part, "ImagingManifest.study.series.instance.frames", why, parts)
    return filled(
        {
            "identifier": old_uid_identifier(part.uid),
            "patient": scope.subject(),
            "authoringTime": authored(scope, part, "ImagingManifest.authoringTime"),
            "author": author(scope, part, person, "ImagingManifest.author"),
            "description": title_words(document.title, document.description),
            "study": [_manifest_study(scope, uid, series) for uid, series in tree.items()],
        }
    )


def _manifest_study(scope: Scope, uid: str, tree: list[tuple[SelectedSeries, dict[str, list[Selected]]]]) -> Json:
    return filled(
        {
            "uid": elements.oid(uid),
            "imagingStudy": scope.refer_study(uid, old_uid_identifier(uid)),
            "endpoint": service_endpoints(scope, None),
            "series": [_manifest_series(scope, series, instances) for series, instances in tree],
        }
    )


def _manifest_series(scope: Scope, series: SelectedSeries, instances: Mapping[str, list[Selected]]) -> Json:
    return filled(
        {
            "uid": elements.oid(series.uid or ""),
            "endpoint": service_endpoints(scope, series),
            "instance": [
                {"sopClass": elements.oid(meant[0].sop_class or ""), "uid": elements.oid(uid)}
                for uid, meant in instances.items()
            ],
        }
    )


# R5 and R6: one resource a series -----------------------------------------------------------------------


def imaging_selection(person: Person) -> Form:
    """hl7.org/fhir/R5/imagingselection."""
    rows: Rows = {
        "identifier": identifiers,
        "status": status,
        "subject": subject,
        "issued": _issued,
        "performer": partial(_performers, person=person),
        "basedOn": based_on,
        "category": categories,
        "code": code,
        "studyUid": study_uid,
        "derivedFrom": _all_derived_from,
        "endpoint": endpoints,
        "seriesUid": series_uid,
        "seriesNumber": series_number,
        "bodySite": body_site,
        "instance": partial(_instances, say=_instance_with_subset),
    }
    return Form("ImagingSelection", partial(fill, rows), find, SELECTION, by_series=True)


def ballot_imaging_selection(person: Person) -> Form:
    """ImagingSelection as the R6 build of mid-2025 has it: other order, `sopClass` an oid."""
    rows = _r6_rows(person, _instance_with_subset)
    return Form("ImagingSelection", partial(fill, rows), find, SELECTION, by_series=True)


def new_imaging_selection(person: Person) -> Form:
    """ImagingSelection of R6: modality, and frames, segments and channels each in an element of their own (isl-10)."""
    rows = _r6_rows(person, _instance_with_parts)
    rows = {name: row for name, row in rows.items() if name in ("identifier", "status", "category")} | {
        "modality": modality,
        **rows,
    }
    return Form("ImagingSelection", partial(_placed_selection, rows=rows), find, NEW_SELECTION, by_series=True)


def _r6_rows(person: Person, say: Callable[..., Json]) -> dict[str, Any]:
    return {
        "identifier": identifiers,
        "status": status,
        "category": categories,
        "code": code,
        "subject": subject,
        "issued": _issued,
        "performer": partial(_performers, person=person),
        "basedOn": based_on,
        "derivedFrom": derived_from,
        "studyUid": study_uid,
        "seriesUid": series_uid,
        "seriesNumber": series_number,
        "bodySite": body_sites,
        "endpoint": endpoints,
        "instance": partial(_instances, say=say, oids=True),
    }


def _placed_selection(scope: Scope, part: Part, rows: Rows) -> Json | None:
    """No instance is listed without its series (isl-4), and nothing else would be left to say."""
    if part.studies[0].series[0].uid is None:
        count = len({one.uid for one in part.studies[0].series[0].instances})
        lose(scope, part, "ImagingSelection.instance", "An instance needs its series (isl-4).", count)
        return None
    return fill(rows, scope, part)


def status(scope: Scope, part: Part) -> str:
    """`available`: the selection is, whatever became of the instances."""
    return "available"


def subject(scope: Scope, part: Part) -> Json:
    """The patient, phantom or group of animals."""
    return scope.subject()


def _issued(scope: Scope, part: Part) -> str | None:
    return issued(scope, part, "ImagingSelection.issued")


def _performers(scope: Scope, part: Part, person: Person) -> list[Json]:
    found = observers(scope, part, person)
    return [{"function": _concept(scope, function, PARTICIPATION), "actor": actor} for function, actor in found]


_FUNCTIONS = {"PRF": "performer", "DEV": "device"}


def _concept(scope: Scope, value: str, system: str) -> Json:
    return {"coding": [scope.coding(Code(value, system, _FUNCTIONS.get(value)))]}


def based_on(scope: Scope, part: Part) -> list[Json]:
    """The orders, by their accession numbers."""
    numbers = part.studies[0].accessions
    logical = scope.dialect.logical
    return unique(logical("ServiceRequest", scope.identifier(one), None) for one in numbers) if logical else []


def categories(scope: Scope, part: Part) -> list[Json]:
    """The title (CID 7010) and its modifiers (CID 7011, 7012)."""
    title = part.document.title
    return scope.concepts((*((title,) if title else ()), *part.document.modifiers))


def code(scope: Scope, part: Part) -> Json:
    """The title, its words followed by the description, for which there is no element."""
    document = part.document
    known = scope.concept(document.title) or {}
    text = title_words(document.title, document.description) if document.description else known.get("text")
    return filled({"coding": known.get("coding"), "text": text}) or {"text": _DOCUMENT}


def study_uid(scope: Scope, part: Part) -> str:
    """The bare Study Instance UID."""
    return part.studies[0].uid


def derived_from(scope: Scope, part: Part) -> Json | None:
    """The ImagingStudy."""
    return scope.refer_study(part.studies[0].uid, uid_identifier(part.studies[0].uid))


def _all_derived_from(scope: Scope, part: Part) -> list[Json]:
    return unique((derived_from(scope, part),))


def endpoints(scope: Scope, part: Part) -> list[Json]:
    """The series' own service before the study's."""
    return unique((*service_endpoints(scope, part.studies[0].series[0]), *service_endpoints(scope, None)))


def series_uid(scope: Scope, part: Part) -> str | None:
    """The bare Series Instance UID."""
    return part.studies[0].series[0].uid


def known_series(scope: Scope, part: Part) -> Series | None:
    """The series as it was read, where it is one of this study."""
    if part.studies[0].uid != scope.study.uid:
        return None
    return next((one for one in scope.study.series if one.uid == part.studies[0].series[0].uid), None)


def series_number(scope: Scope, part: Part) -> int | None:
    """(0020,0011) of a series that was read."""
    known = known_series(scope, part)
    return known.number if known else None


def modality(scope: Scope, part: Part) -> Json | None:
    """The modality of a series that was read."""
    known = known_series(scope, part)
    return scope.dialect.series["modality"](scope, known) if known else None


def body_site(scope: Scope, part: Part) -> Any:
    """The body site of a series that was read, in the form in which the version's ImagingStudy has it."""
    known = known_series(scope, part)
    return scope.dialect.series["bodySite"](scope, known) if known else None


def body_sites(scope: Scope, part: Part) -> list[Json]:
    """The same where there is room for several."""
    found = body_site(scope, part)
    return found if isinstance(found, list) else unique((found,))


def _instances(scope: Scope, part: Part, say: Callable[..., Json], oids: bool = False) -> list[Json]:
    known = known_series(scope, part)
    read = {one.uid: one for one in known.instances} if known else {}
    return [
        filled(
            {
                "uid": one.uid,
                "number": _number(read.get(one.uid)),
                "sopClass": _sop_class(scope, part, one, oids),
                **say(scope, part, one),
            }
        )
        for one in part.studies[0].series[0].instances
    ]


def _number(known: Instance | None) -> int | None:
    return known.number if known else None


def _sop_class(scope: Scope, part: Part, one: Selected, oids: bool) -> Any:
    if one.sop_class is None:
        return None
    if not oids:
        return {"system": RFC_3986, "code": elements.oid(one.sop_class)}
    if elements.is_oid(one.sop_class):
        return elements.oid(one.sop_class)
    lose(scope, part, "ImagingSelection.instance.sopClass", "The SOP class is not an OID.")
    return None


def _instance_with_subset(scope: Scope, part: Part, one: Selected) -> Json:
    """Frames or segments as texts; of channels R5 says nothing."""
    if one.channels:
        count = sum(bool(each.channels) for each in _selected(part.document.studies))
        lose(scope, part, "ImagingSelection.instance.subset", "There are no channels; the instance stays.", count)
    return {"subset": [str(number) for number in (*one.frames, *one.segments)]}


def _instance_with_parts(scope: Scope, part: Part, one: Selected) -> Json:
    """Frames, segments or channels: never two of them, as `Selected` has it (isl-10)."""
    channels = [number for pair in one.channels for number in pair]
    if not all(channels):
        count = sum(not all(map(all, each.channels)) for each in _selected(part.document.studies))
        lose(scope, part, "ImagingSelection.instance.waveFormChannel", "Channels count from 1.", count)
        channels = []
    return {"frameNumber": list(one.frames), "segmentNumber": list(one.segments), "waveFormChannel": channels}


# R4 and R4B, on request -----------------------------------------------------------------------------------


def basic(person: Person) -> Form:
    """A Basic that stands for R5's ImagingSelection (hl7.eu/fhir/imaging-r4, ImagingSelectionKeyImageEuImaging)."""
    return Form("Basic", partial(_basic, person=person), find, BASIC, by_series=True)


def _basic(scope: Scope, part: Part, person: Person) -> Json:
    document, study = part.document, part.studies[0]
    series = study.series[0]
    said = [
        *_cross("issued", "valueInstant", [_issued(scope, part)]),
        *(_nested("performer", _basic_performer(each)) for each in _performers(scope, part, person)),
        *_cross("basedOn", "valueReference", based_on(scope, part)),
        *_cross("category", "valueCodeableConcept", categories(scope, part)),
        *_cross("code", "valueCodeableConcept", [scope.concept(document.title) or {"text": _DOCUMENT}]),
        *_cross("studyUid", "valueId", [study.uid]),
        *_cross("derivedFrom", "valueReference", [derived_from(scope, part)]),
        *_cross("endpoint", "valueReference", endpoints(scope, part)),
        *_cross("seriesUid", "valueId", [series.uid]),
        *_cross("seriesNumber", "valueUnsignedInt", [series_number(scope, part)]),
        *(_nested("instance", _basic_instance(one)) for one in _instances(scope, part, say=_instance_with_subset)),
    ]
    words = ((ARTIFACT_TITLE, "valueString", elements.concept_text(document.title)),
             (ARTIFACT_DESCRIPTION, "valueMarkdown", document.description))  # fmt: skip
    return filled(
        {
            "extension": [*(extension(url, kind, text) for url, kind, text in words if text), *said],
            "modifierExtension": _cross("status", "valueCode", ["available"]),
            "identifier": identifiers(scope, part),
            "code": {"coding": [{"system": FHIR_TYPES, "code": "ImagingSelection"}]},
            "subject": scope.subject(),
        }
    )


def _cross(name: str, kind: str, values: Iterable[Any]) -> list[Json]:
    return [extension(CROSS_VERSION + name, kind, value) for value in values if value or value == 0]


def _nested(name: str, inner: list[Json]) -> Json:
    return {"extension": inner, "url": CROSS_VERSION + name}


def _basic_performer(body: Json) -> list[Json]:
    return [
        extension("function", "valueCodeableConcept", body["function"]),
        extension("actor", "valueReference", body["actor"]),
    ]


def _basic_instance(body: Json) -> list[Json]:
    kinds = {"uid": "valueId", "number": "valueUnsignedInt", "sopClass": "valueCoding", "subset": "valueString"}
    return [
        extension(name, kinds[name], one)
        for name, value in body.items()
        for one in (value if isinstance(value, list) else [value])
    ]


def document_reference(person: Person) -> Form:
    """hl7.org/fhir/R4/documentreference to the key object itself, which holds its references."""
    return Form("DocumentReference", partial(_document_reference, person=person), find, DOCUMENT)


def _document_reference(scope: Scope, part: Part, person: Person) -> Json:
    document = part.document
    series = {"coding": [scope.coding(Code("112002", DCM, "Series Instance UID"))]}
    category = {"coding": [scope.coding(Code("55113-5", LOINC, "Key images Document Radiology"))]}
    if document.modifiers:
        _lose_modifiers(scope, part, "DocumentReference.type")
    return filled(
        {
            "masterIdentifier": old_uid_identifier(part.uid),
            "identifier": [
                {"system": RFC_3986, "value": full_url(part.id)},
                {"type": series, **uid_identifier(document.series or "")},
            ],
            "status": "current",
            "type": scope.concept(document.title),
            "category": [category],
            "subject": scope.subject(),
            "date": issued(scope, part, "DocumentReference.date"),
            "author": unique(reference for _, reference in observers(scope, part, person)),
            "description": document.description,
            "content": [{"attachment": _attachment(scope, part)}],
            "context": {"related": unique(_related(scope, study) for study in part.studies)},
        }
    )


def _related(scope: Scope, study: SelectedStudy) -> Json | None:
    return scope.refer_study(study.uid, uid_identifier(study.uid))


def _attachment(scope: Scope, part: Part) -> Json:
    """The document by WADO-URI (PS3.18 9.1), else by WADO-RS (PS3.18 10.4), where there is a service."""
    study, series, uid = scope.study.uid, part.document.series, part.uid
    wado_uri, wado_rs = (_address(scope.study.endpoints, kind) for kind in ("wado-uri", "wado-rs"))
    url = f"{wado_rs}/studies/{study}/series/{series}/instances/{uid}" if wado_rs else None
    if wado_uri:
        names = {"requestType": "WADO", "studyUID": study, "seriesUID": series, "objectUID": uid,
                 "contentType": "application/dicom"}  # fmt: skip
        url = f"{wado_uri}?" + "&".join(f"{name}={quote(value or '', safe='')}" for name, value in names.items())
    return filled({"contentType": "application/dicom", "url": url, "title": elements.concept_text(part.document.title)})
