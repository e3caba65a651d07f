"""What `/metadata` says, in small: as HAPI 8.8 says it, and with changes."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

TYPES = (
    "ImagingStudy", "Patient", "Endpoint", "Practitioner", "PractitionerRole", "Organization", "Device", "Specimen",
    "BodyStructure", "ServiceRequest", "Encounter", "EpisodeOfCare", "Procedure", "Location", "Basic",
    "DocumentReference", "ImagingSelection", "ImagingManifest", "ImagingObjectSelection", "DiagnosticOrder",
    "ProcedureRequest", "BodySite", "Group",
)  # fmt: skip
INTERACTIONS = (
    "search-type", "update", "vread", "read", "patch", "history-type", "history-instance", "delete", "create",
)  # fmt: skip


def resource(name: str, *, without: tuple[str, ...] = (), **changes: Any) -> Json:
    """One type of resource; `without` are interactions, a change to None leaves an element out."""
    usual: Json = {
        "type": name,
        "interaction": [{"code": each} for each in INTERACTIONS if each not in without],
        "versioning": "versioned-update",
        "conditionalCreate": True,
        "conditionalUpdate": True,
        "conditionalDelete": "multiple",
        "searchParam": [{"name": "_id", "type": "token"}, {"name": "identifier", "type": "token"}],
    }
    return {key: value for key, value in (usual | changes).items() if value is not None}


def statement(
    version: str = "4.0.1",
    *resources: Json,
    types: tuple[str, ...] = TYPES,
    system: tuple[str, ...] | None = ("transaction", "history-system"),
    **changes: Any,
) -> Json:
    """A server that mentions neither `batch` nor `updateCreate`; `resources` take the place of the usual ones."""
    given = {each["type"]: each for each in resources}
    rest: Json = {"mode": "server", "resource": [given.get(name) or resource(name) for name in types]}
    if system is not None:
        rest["interaction"] = [{"code": each} for each in system]
    return {
        "resourceType": "CapabilityStatement",
        "fhirVersion": version,
        "format": ["application/fhir+xml", "xml", "application/fhir+json", "json"],
        "software": {"name": "HAPI FHIR Server", "version": "8.8.0"},
        "rest": [rest],
    } | changes
