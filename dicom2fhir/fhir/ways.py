"""Which types of resource a study may become in a version, and by which kind of request each is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dicom2fhir.fhir import companions
from dicom2fhir.fhir.companions import Facts, Name
from dicom2fhir.fhir.dialect import Dialect
from dicom2fhir.fhir.policy import Policy, Write
from dicom2fhir.model import Identifier

STUDY = "ImagingStudy"
_NAMELESS: frozenset[Name] = frozenset(("role", "location", "body-structure"))
"""Companions that have no identifier in any DICOM file: contained or referred to, never an entry of their own."""
_FOUND = Facts((Identifier("1", "other", "urn:x"),))
_OURS = Facts(identity=("", ""))


@dataclass(frozen=True, slots=True)
class Way:
    """How resources of one type are written. `ours`: as the user chose. `create`: the name in `--create` for it."""

    type: str
    write: Write
    ours: bool
    create: str | None = None


def ways(dialect: Dialect, policy: Policy) -> frozenset[Way]:
    """All that any study could become in a version under a policy; most studies become less."""
    return frozenset((Way(STUDY, policy.write, True), *_companions(dialect, policy), *_documents(dialect, policy)))


def _companions(dialect: Dialect, policy: Policy) -> Iterator[Way]:
    for name, kind in dialect.kinds.items():
        option = companions.OPTIONS.get(name)
        named = name == "patient" and policy.patient_reference is not None
        if option is None or named or name in _NAMELESS:
            continue
        ours = option == "Endpoint"
        if dialect.place(name, _OURS if ours else _FOUND, policy) == "created":
            yield Way(kind.type, policy.write if ours else "conditional-create", ours, option)


def _documents(dialect: Dialect, policy: Policy) -> Iterator[Way]:
    """Key objects in the form that was chosen, and manifests in the version's own."""
    chosen = (policy.key_objects, *(("auto",) if policy.manifest else ()))
    return (Way(dialect.key_objects[each].type, policy.write, True) for each in chosen if each in dialect.key_objects)
