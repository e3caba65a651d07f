"""FHIR DSTU2, second ballot (0.5.0): hl7.org/fhir/2015May/imagingstudy, the page before DSTU2 as it was published.

No server speaks it: a study comes with all its companions contained, in a Bundle whose entries have neither fullUrl
nor request but `transaction`; there are no batches. It is DSTU2 (dstu2.py, with all that it cannot say) but for:

- `clinicalInformation`: what was known on admission. No other version has an element for it;
- modalities are codes of required lists, one for the study and one for its series. A series of another modality is
  `OT`, and the study's list leaves it out (each is a `not-in-this-version`);
- `procedure` is a Coding: the performed steps' numbers have no place, the second code of a concept has none;
- a series has `dateTime` for `started`, an instance `sopclass`;
- an order has no coded reasons but notes, which are their words.
"""

from __future__ import annotations

from collections.abc import Mapping

from dicom2fhir.fhir import bundle, companions, dstu2, elements, r4, stu3
from dicom2fhir.fhir.bundle import Entry
from dicom2fhir.fhir.companions import Facts, Name, Placement
from dicom2fhir.fhir.dialect import CLINICAL_INFORMATION, Dialect, Kind, Rows, Scope
from dicom2fhir.fhir.elements import Json, filled, unique
from dicom2fhir.fhir.policy import Policy
from dicom2fhir.model import Concept, Instance, Request, Series, Study

IMAGING_MODALITIES = frozenset(
    (
        "AR", "BDUS", "BMD", "CR", "CT", "DX", "ECG", "EPS", "ES", "GM", "HD", "IO", "IVOCT", "IVUS", "KER", "LEN",
        "MG", "MR", "NM", "OAM", "OCT", "OP", "OPM", "OPR", "OPT", "OPV", "PT", "PX", "RF", "RG", "SM", "SRF", "US",
        "VA", "XA", "XC",
    )
)  # fmt: skip
"""hl7.org/fhir/imaging-modality of 0.5.0, required in the study's list."""

MODALITIES = frozenset(
    (
        "AR", "AU", "BDUS", "BI", "BMD", "CR", "CT", "DG", "DX", "ECG", "EPS", "ES", "GM", "HC", "HD", "IO", "IVOCT",
        "IVUS", "KER", "KO", "LEN", "LS", "MG", "MR", "NM", "OAM", "OCT", "OP", "OPM", "OPT", "OPV", "OT", "PR", "PT",
        "PX", "REG", "RF", "RG", "RTDOSE", "RTIMAGE", "RTPLAN", "RTRECORD", "RTSTRUCT", "SEG", "SM", "SMR", "SR", "SRF",
        "TG", "US", "VA", "XA", "XC",
    )
)  # fmt: skip
"""hl7.org/fhir/modality of 0.5.0, required of a series."""

_OTHER = "OT"


# ImagingStudy ---------------------------------------------------------------------------------------


def modality_list(scope: Scope, study: Study) -> list[str]:
    """The modalities that acquire images, as far as the required list goes."""
    terms = [one.term for one in study.modalities if one.acquires]
    listed = [term for term in terms if term in IMAGING_MODALITIES]
    if len(listed) < len(terms):
        why = "The list of modalities is closed, and lacks one of the study's."
        scope.lose("ImagingStudy.modalityList", why, len(terms) - len(listed))
    return listed


def clinical_information(scope: Scope, study: Study) -> str | None:
    """What was known on admission: diagnoses, then history."""
    return "; ".join(study.clinical_information) or None


def procedures(scope: Scope, study: Study) -> list[Json]:
    """What was done, one Coding for each concept."""
    steps = sum(bool(one.identifiers) for one in study.procedures)
    if steps:
        scope.lose("ImagingStudy.procedure", "A code has no room for the performed steps' numbers.", steps)
    return unique(r4.best_coding(scope, concept) for concept in study.procedure_codes)


STUDY: Rows = {
    **{name: dstu2.STUDY[name] for name in ("started", "patient", "uid", "accession", "identifier", "order")},
    "modalityList": modality_list,
    **{name: dstu2.STUDY[name] for name in ("referrer", "availability", "url", "numberOfSeries", "numberOfInstances")},
    "clinicalInformation": clinical_information,
    "procedure": procedures,
    **{name: dstu2.STUDY[name] for name in ("interpreter", "description", "series")},
}


# ImagingStudy.series --------------------------------------------------------------------------------


def series_modality(scope: Scope, one: Series) -> str:
    """The modality's term, OT where the required list lacks it."""
    if one.modality.term in MODALITIES:
        return one.modality.term
    scope.lose("ImagingStudy.series.modality", "The list of modalities is closed, and lacks this one.", series=one)
    return _OTHER


def series_started(scope: Scope, one: Series) -> str | None:
    """When the series began."""
    if not stu3.is_leap(one.started):
        return elements.date_time(one.started)
    scope.lose("ImagingStudy.series.dateTime", "DSTU2 has no second 60; the date stays.", series=one)
    return one.started.date if one.started else None


SERIES: Rows = {
    "number": r4.series_number,
    "modality": series_modality,
    "uid": stu3.series_uid,
    "description": r4.description,
    "numberOfInstances": r4.instance_count,
    "availability": stu3.availability,
    "url": dstu2.series_url,
    "bodySite": r4.body_site,
    "laterality": r4.laterality,
    "dateTime": series_started,
    "instance": dstu2.instances,
}


def instance(one: Instance) -> Json:
    """ImagingStudy.series.instance: as in DSTU2, where `sopclass` has become `sopClass`."""
    return {"sopclass" if name == "sopClass" else name: value for name, value in dstu2.instance(one).items()}


# Companions -----------------------------------------------------------------------------------------


def diagnostic_order(scope: Scope, one: Request) -> Json:
    """hl7.org/fhir/2015May/diagnosticorder: the reasons are notes, in words; a code alone is its own word."""
    notes = (elements.concept_text(reason) or _bare_code(reason) for reason in one.reasons)
    code = scope.concept(one.code)
    return filled(
        {
            "subject": scope.subject(),
            "orderer": dstu2.person(scope, one.requester) if one.requester else None,
            "identifier": scope.identifiers(companions.order_identifiers(one)),
            "clinicalNotes": "; ".join(dict.fromkeys(filter(None, notes))),
            "priority": one.priority,
            "item": [{"code": code}] if code else None,
        }
    )


def _bare_code(concept: Concept) -> str | None:
    return next((code.value for code in concept.codes), None)


def place(name: Name, known: Facts, policy: Policy) -> Placement:
    """As in DSTU2, but nothing has an entry of its own."""
    usual = dstu2.place(name, known, policy)
    return "contained" if usual == "created" else usual


KINDS: Mapping[Name, Kind] = {**dstu2.KINDS, "request": Kind("DiagnosticOrder", diagnostic_order)}


def wrap(entry: Entry, policy: Policy) -> Json:
    """One entry of a Bundle: resource and, but for collections, transaction."""
    wrapped: Json = {"resource": entry.resource}
    if policy.bundle_type != "collection":
        wrapped["transaction"] = bundle.request(entry, policy)
    return wrapped


_WITHOUT_PROCEDURES = frozenset(("Study.procedures", "Procedure.identifiers", "Procedure.code"))

PLACES: Mapping[str, str] = {
    **{name: element for name, element in dstu2.PLACES.items() if name not in _WITHOUT_PROCEDURES},
    "Study.clinical_information": CLINICAL_INFORMATION,
    "Study.procedure_codes": "ImagingStudy.procedure",
    "Series.started": "ImagingStudy.series.dateTime",
    "Instance.sop_class": "ImagingStudy.series.instance.sopclass",
    "Request.reasons": "DiagnosticOrder.clinicalNotes",
}
"""Which element each field of the model fills."""

DIALECT = Dialect(
    name="dstu2-ballot2",
    release="0.5.0",
    study=STUDY,
    series=SERIES,
    instance=instance,
    kinds=KINDS,
    identifier=stu3.identifier,
    coding=dstu2.coding,
    find_study=stu3.find_study,
    logical=None,
    unsaid=dstu2.unsaid,
    wrap=wrap,
    places=PLACES,
    place=place,
    oids=frozenset(("study", "series", "instance", "sop-class")),
    bundle_types=("transaction", "collection"),
)
