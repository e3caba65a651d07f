"""Every FHIR version there is to write. A new one is one file and one name here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Final

from dicom2fhir.fhir.dialect import Dialect

_HOMES: Final = {
    "dstu2-ballot2": "dstu2_ballot2",
    "dstu2": "dstu2",
    "stu3": "stu3",
    "r4": "r4",
    "r4b": "r4b",
    "r5": "r5",
    "r6-ballot2": "r6_ballot2",
    "r6": "r6",
}


class _Dialects(Mapping[str, Dialect]):
    """The dialects by name, each loaded when it is asked for: a run takes one of them."""

    def __getitem__(self, name: str) -> Dialect:
        dialect: Dialect = import_module(f"dicom2fhir.fhir.{_HOMES[name]}").DIALECT
        return dialect

    def __contains__(self, name: object) -> bool:
        return name in _HOMES

    def __iter__(self) -> Iterator[str]:
        return iter(_HOMES)

    def __len__(self) -> int:
        return len(_HOMES)


DIALECTS: Final[Mapping[str, Dialect]] = _Dialects()
