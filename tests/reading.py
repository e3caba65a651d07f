"""Reading files in the test's own process as a worker does it, and what pydicom alone says of them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pydicom import config, filereader
from pydicom.dataset import Dataset

from dicom2fhir.dicom import header
from dicom2fhir.dicom.elements import Element
from dicom2fhir.dicom.records import Scope


@contextmanager
def as_in_a_worker() -> Iterator[None]:
    """pydicom neither warns nor raises for values, and looks up no codecs: as `workers` prepares its processes."""
    mode = config.settings.reading_validation_mode
    with patch.dict(vars(filereader)), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header.quiet()
        try:
            yield
        finally:
            config.settings.reading_validation_mode = mode


def read(path: Path, scope: Scope | None = None, **reader: header.Reader) -> tuple[Any, ...]:
    """What `read_file` says in a fresh process: a context is always given. `reader=` names one."""
    with patch.dict(header._readers, clear=True):
        return header.read_file(str(path), scope or Scope(), **reader)


def read_bytes(content: bytes, folder: Path, scope: Scope | None = None) -> tuple[Any, ...]:
    """The same of a file with this content."""
    path = folder / "object"
    path.write_bytes(content)
    return read(path, scope)


def values(record: tuple[Any, ...]) -> dict[str, Any]:
    """Everything that a record says, its context's values and its own, without the notes."""
    assert record[0] == "header", record
    found = {"SOPInstanceUID": record[4], **json.loads(record[2]), **_own(record)}
    found.pop("", None)
    return found


def _own(record: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(record[3], record[5], strict=True))


def notes(record: tuple[Any, ...]) -> list[tuple[str, str]]:
    """The notes of a record: (code, keyword)."""
    assert record[0] == "header", record
    return [tuple(note) for said in (json.loads(record[2]), _own(record)) for note in said.get("", ())]


def oracle(ds: Dataset, wanted: Iterable[Element]) -> dict[str, Any]:
    """What pydicom's own conversion says of the wanted elements of a dataset, in the form of a record's values."""
    said = {element.keyword: _said(ds[element.tag], element) for element in wanted if element.tag in ds}
    return {keyword: value for keyword, value in said.items() if value}


def _said(found: Any, element: Element) -> Any:
    if element.vr == "SQ":
        items = [oracle(item, element.items) for item in found.value]
        return items if any(items) else []
    value = found.value
    if value is None:
        return ""
    several = value if isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue" else [value]
    return "\\".join(_text(each) for each in several).strip("\0 ")


def _text(value: Any) -> str:
    """A number as it was written; a name as pydicom decodes it."""
    written = getattr(value, "original_string", None)
    return written if isinstance(written, str) else str(value or "")
