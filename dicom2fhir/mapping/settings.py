"""What the user says about the site: its time zone, its number systems, its terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from dicom2fhir.model import Concept, Endpoint


@dataclass(frozen=True, slots=True)
class Target:
    """What a row of the patient map says: a literal reference, or another identity (system None: none)."""

    reference: str | None = None
    system: str | None = None
    value: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Settings:
    """Everything that mapping needs and no file holds. What was read by one is remembered for that very one.

    `systems` may hold "accession" and "patient" (URIs for numbers without an issuer); `issuers` maps an issuer's
    name to a URI, `coding_schemes` a designator to a URI, `body_parts` and `modalities` a site's term to a concept
    or a DICOM term; `patient_map` maps (system or "", PatientID) to what it is to become.
    """

    timezone: ZoneInfo | None = None
    systems: Mapping[str, str] = field(default_factory=dict)
    issuers: Mapping[str, str] = field(default_factory=dict)
    coding_schemes: Mapping[str, str] = field(default_factory=dict)
    body_parts: Mapping[str, Concept] = field(default_factory=dict)
    modalities: Mapping[str, str] = field(default_factory=dict)
    patient_map: Mapping[tuple[str, str], Target] = field(default_factory=dict)
    patient_reference: str | None = None
    endpoints: tuple[Endpoint, ...] = ()
    force_patient: bool = False
    series_only: bool = False
    max_instances: int | None = None
    key_objects: bool = True
