"""What a version's referee loads when it is first asked, 0.3 s of it, is loaded while files are still being read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from threading import Thread

from dicom2fhir.fhir.dialect import render
from dicom2fhir.fhir.policy import Policy
from dicom2fhir.fhir.versions import DIALECTS
from dicom2fhir.model import (
    Code,
    Concept,
    Device,
    Identifier,
    Instance,
    Modality,
    Moment,
    Organization,
    Patient,
    Performer,
    PersonName,
    Practitioner,
    Series,
    Study,
)

_NAMES = (PersonName("alphabetic", "Family", ("Given",)),)
_SERIES = Series(
    "1.2.3.4",
    Modality("CT", "Computed Tomography", acquires=True),
    1,
    started=Moment("2024-02-29", "10:11:12", "+00:00"),
    body_sites=(Concept((Code("51185008", "http://snomed.info/sct", "Chest"),), "Chest"),),
    performers=(
        Performer("performer", Practitioner(_NAMES)),
        Performer("device", Device("Maker", "Model", "7", ("1.0",), station="Station")),
        Performer("institution", Organization("Hospital", address="Street")),
    ),
    instances=(Instance("1.2.3.4.5", "1.2.840.10008.5.1.4.1.1.2", 1),),
)
STUDY = Study(
    "1.2.3",
    Patient(identifiers=(Identifier("1", "patient"),), names=_NAMES, sex="other", birth_date="2000-01-01"),
    (_SERIES,),
    accessions=(Identifier("1", "accession"),),
    procedure_codes=(Concept((Code("1"),), "Procedure"),),
)
"""Nobody's study, with what most studies have."""


@contextmanager
def rehearsing(version: str) -> Iterator[None]:
    """Meanwhile, in a thread, nobody's study is rendered and checked.

    What goes wrong there will go wrong again with the first real study, where it is heard.
    """
    thread = Thread(target=_quietly, args=(version,), name="rehearsal")
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _quietly(version: str) -> None:
    with suppress(Exception):
        rehearse(version)


@cache
def rehearse(version: str) -> None:
    """Once a version and process."""
    from dicom2fhir.fhir import validate

    for entry in render(STUDY, DIALECTS[version], Policy()).entries:
        validate.check(entry.resource, version)
