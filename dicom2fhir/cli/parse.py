"""The options' texts -> what they stand for.

A fault on the command line is a `UsageError`, one in a file a `ConfigurationError`; no text of it says a value.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dicom2fhir.errors import ConfigurationError, Dicom2FhirError, UsageError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from dicom2fhir.mapping import Target
    from dicom2fhir.model import Concept

SCT = "http://snomed.info/sct"
SYSTEM_NAMES = ("accession", "patient")
MAP_HEADER = ["system", "value", "reference", "new_system", "new_value"]
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s|]+")
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_REFERENCE = re.compile(r"(https?://\S+/)?Patient/[A-Za-z0-9\-.]{1,64}")


def comma_lists(texts: Iterable[str]) -> frozenset[str]:
    """The entries of comma-separated lists, trimmed."""
    return frozenset(part.strip() for text in texts for part in text.split(",")) - {""}


def modality_terms(texts: Iterable[str]) -> frozenset[str]:
    """`--exclude-modality SR,KO`: terms in capitals."""
    return frozenset(term.upper() for term in comma_lists(texts))


def class_uids(texts: Iterable[str]) -> frozenset[str]:
    """`--exclude-sop-class UID`: UIDs of at most 64 characters."""
    uids = comma_lists(texts)
    if any(len(uid) > 64 or not _UID.fullmatch(uid) for uid in uids):
        raise UsageError("--exclude-sop-class takes SOP Class UIDs: digits and dots")
    return uids


def zone(name: str | None) -> ZoneInfo | None:
    """`--timezone Europe/Berlin`: a zone of the IANA database."""
    if name is None:
        return None
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, no name at all, a folder of the database
        raise UsageError("--timezone takes the name of a time zone, such as Europe/Berlin") from None


def uri(text: str, option: str, error: type[Dicom2FhirError] = UsageError) -> str:
    """An absolute URI; a bare OID is refused with a hint, for it would match nothing."""
    if _UID.fullmatch(text):
        raise error(f"{option} takes a URI; an OID is written urn:oid:1.2.3")
    if not _URI.fullmatch(text):
        raise error(f"{option} takes an absolute URI")
    return text


def systems(texts: Iterable[str]) -> dict[str, str]:
    """`--system accession=URI`, `--system patient=URI`."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name.strip() not in SYSTEM_NAMES:
            raise UsageError("--system takes accession=URI or patient=URI")
        found[name.strip()] = uri(value.strip(), "--system")
    return found


def address(text: str | None, option: str) -> str | None:
    """The base address of a service: absolute http(s), no query, no `/studies...`; without a slash at its end."""
    if text is None:
        return None
    try:
        parts = urlsplit(text)
        absolute = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        absolute = False
    if not absolute or any(c.isspace() or not c.isprintable() for c in text):
        raise UsageError(f"{option} takes an absolute address: http://... or https://...")
    if "?" in text or "#" in text:
        raise UsageError(f"{option} takes the base address of a service, without ? or #")
    if re.search(r"/studies(/|$)", parts.path):
        raise UsageError(f"{option} takes the base address of a service, without /studies")
    return text.rstrip("/")


def id_key(path: str | None) -> bytes | None:
    """`--id-key-file`: the file's bytes without line ends at its end."""
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            key = file.read().rstrip(b"\r\n")
    except OSError as failure:
        raise ConfigurationError(f"the key file cannot be read: {failure.strerror}") from failure
    if not key:
        raise ConfigurationError("the key file is empty")
    return key


def patient_map(path: str | None) -> dict[tuple[str, str], Target]:
    """`--patient-map FILE`: (system or "", PatientID) -> what it becomes. CSV, UTF-8, header `MAP_HEADER`."""
    if path is None:
        return {}
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return _patient_rows(csv.reader(file, strict=True))
    except OSError as failure:
        raise ConfigurationError(f"the patient map cannot be read: {failure.strerror}") from failure
    except (UnicodeDecodeError, csv.Error) as failure:
        raise ConfigurationError("the patient map is not CSV in UTF-8") from failure


def _patient_rows(rows: Iterable[list[str]]) -> dict[tuple[str, str], Target]:
    lines = iter(rows)
    if [name.strip() for name in next(lines, [])] != MAP_HEADER:
        raise ConfigurationError(f"the patient map must begin with the line {','.join(MAP_HEADER)}")
    found: dict[tuple[str, str], Target] = {}
    for number, row in enumerate(lines, 2):
        if not row:
            continue
        key, target = _patient_row([value.strip() for value in row], f"row {number} of the patient map")
        if found.setdefault(key, target) != target:
            raise ConfigurationError(f"row {number} of the patient map contradicts an earlier one")
    return found


def _patient_row(row: list[str], place: str) -> tuple[tuple[str, str], Target]:
    from dicom2fhir.mapping import Target

    if len(row) != len(MAP_HEADER) or not row[1]:
        raise ConfigurationError(f"{place} needs five columns and a value")
    system, value, reference, new_system, new_value = row
    if bool(reference) == bool(new_value) or (reference and new_system):
        raise ConfigurationError(f"{place} needs either a reference or a new value")
    if reference and not _REFERENCE.fullmatch(reference):
        raise ConfigurationError(f"{place}: a reference is Patient/ID, or an address that ends so")
    for text in (system, new_system):
        if text:
            uri(text, f"{place}: a system", ConfigurationError)
    return (system, value), Target(reference or None, new_system or None, new_value or None)


def uri_table(name: str, table: Mapping[str, object]) -> dict[str, str]:
    """The config's `[issuers]` or `[coding-schemes]`: a name -> its URI."""
    found = {}
    for term, value in table.items():
        if not isinstance(value, str):
            raise ConfigurationError(f"[{name}] in the config takes texts")
        found[term.strip()] = uri(value, f"[{name}] in the config", ConfigurationError)
    return found


def modality_table(table: Mapping[str, object]) -> dict[str, str]:
    """The config's `[modalities]`: a site's term -> a DICOM term."""
    from dicom2fhir import codes

    found = {}
    for term, value in table.items():
        if not isinstance(value, str) or codes.modality(value.strip().upper()) is None:
            raise ConfigurationError("[modalities] in the config maps a site's term to one of DICOM's, such as CT")
        found[term.strip()] = value.strip().upper()
    return found


def body_part_table(table: Mapping[str, object]) -> dict[str, Concept]:
    """The config's `[body-parts]`: a site's term -> a SNOMED CT code, or {code, display, system}."""
    return {term.strip(): _body_part(value) for term, value in table.items()}


def _body_part(value: object) -> Concept:
    from dicom2fhir.model import Code, Concept

    row = {"code": value.removeprefix("SCT ")} if isinstance(value, str) else value
    known = {"code", "display", "system"}
    if not isinstance(row, dict) or "code" not in row or set(row) - known or not all(map(_is_text, row.values())):
        raise ConfigurationError('[body-parts] in the config takes "code" or {code, display, system}')
    system = uri(row.get("system", SCT), "[body-parts] in the config", ConfigurationError)
    if system == SCT and not row["code"].strip().isdigit():
        raise ConfigurationError("[body-parts] in the config: a SNOMED CT code is a number")
    return Concept((Code(row["code"].strip(), system, row.get("display")),), row.get("display"))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
