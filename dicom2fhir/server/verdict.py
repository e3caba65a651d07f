"""What a server's answer says of each entry that was sent: hl7.org/fhir/R4/http#transaction-response.

A Bundle that is answered as a whole, with an error, has one verdict for all its entries. An answer of 2xx is judged
entry by entry, leniently in its words and strictly in its count and order: what is not surely an answer to these
entries is none at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from dicom2fhir.fhir.elements import Json

if TYPE_CHECKING:
    from dicom2fhir.server.answer import Answer

Kind = Literal["done", "retry", "conflict", "refused"]

_DONE = frozenset((*range(200, 300), 304))
_RETRY = frozenset((408, 409, 425, 429)) | (frozenset(range(500, 600)) - {501, 505})
"""Faults that may pass, 409 among them: another writer was quicker. 501 and 505 are the server's last word."""
_PRECONDITION_FAILED = 412
_TOO_LARGE = 413
_TOO_COSTLY = "too-costly"
_MANY = re.compile(r"(?i)\b(?:too many|number of|maximum|limit)\b.{0,40}\bentries\b|\bentr(?:y|ies)\b.{0,40}\blimit")
"""What servers say of a Bundle with too many entries, under the code `invalid`: microsoft/fhir-server, for one."""
_RESPONSES = ("transaction-response", "batch-response", None)
_STATUS = re.compile(r"\s*([1-5][0-9]{2})(?![0-9])")
_PLACE = re.compile(r"(?:^|/)([A-Z][A-Za-z]{1,63}/[A-Za-z0-9.\-]{1,64})(?:/_history/[A-Za-z0-9.\-]{1,64})?/?$")
_CODE = re.compile(r"[a-z][a-z-]{0,31}")
_NOT_A_PATH = re.compile(r"'[^']*'|\"[^\"]*\"|/\*.*?\*/")
_INDEX = r"(?:\[(?:\d{1,6}|x)\]|\([A-Za-z.]{0,64}\))"
_SEGMENT = rf"(?:f:)?[A-Za-z]{{1,64}}{_INDEX}*"
_PATH = re.compile(rf"/?{_SEGMENT}(?:[./]{_SEGMENT})*")
_KEPT = 10
_WORDS = 500


@dataclass(frozen=True, slots=True)
class EntryVerdict:
    """What became of one entry.

    kind: done; retry (a fault that may pass); conflict (a condition met several resources, or another version);
    refused. `location` is `Type/id` and `etag` the version's, both as far as the server tells; `outcome` the
    OperationOutcome of what was not done: it may hold patient data.
    """

    kind: Kind
    status: int
    location: str | None = None
    etag: str | None = None
    outcome: Json | None = field(default=None, repr=False)


def kind_of(status: int) -> Kind:
    """What an HTTP status says of a write."""
    if status in _DONE:
        return "done"
    if status == _PRECONDITION_FAILED:
        return "conflict"
    return "retry" if status in _RETRY else "refused"


def judge(answer: Answer, entries: Sequence[Json]) -> list[EntryVerdict] | None:
    """The verdict for each entry of a Bundle, in their order; None where the answer does not tell."""
    document = answer.json()
    if answer.status not in _DONE:
        whole = EntryVerdict(kind_of(answer.status), answer.status, outcome=outcome_of(document))
        return [whole] * len(entries)
    responses = _responses(document)
    if responses is None or len(responses) != len(entries):
        return None
    verdicts = [_judge_entry(*each) for each in zip(entries, responses, strict=True)]
    return [each for each in verdicts if each is not None] if None not in verdicts else None


def judge_single(answer: Answer, entry: Json) -> EntryVerdict:
    """The verdict for an entry that was a request of its own."""
    kind, document = kind_of(answer.status), answer.json()
    if kind != "done":
        return EntryVerdict(kind, answer.status, outcome=outcome_of(document))
    named = answer.headers.get("location") or answer.headers.get("content-location")
    location = _place(named) or _identity(document) or _put_to(entry)
    return EntryVerdict(kind, answer.status, _fitting(location, entry), answer.headers.get("etag"))


def _responses(document: Any) -> list[Any] | None:
    """The entries of a Bundle that answers one."""
    if not isinstance(document, dict) or document.get("resourceType") != "Bundle":
        return None
    entries = document.get("entry", [])
    return entries if document.get("type") in _RESPONSES and isinstance(entries, list) else None


def _judge_entry(entry: Json, answered: Any) -> EntryVerdict | None:
    """One entry's verdict; None where there is no status, or where the place is one for another type of resource."""
    body: Mapping[str, Any] = answered if isinstance(answered, dict) else {}
    response = body.get("response")
    match = _STATUS.match(str(response.get("status"))) if isinstance(response, dict) else None
    if not isinstance(response, dict) or match is None:
        return None
    status = int(match[1])
    kind = kind_of(status)
    if kind != "done":
        told = outcome_of(response.get("outcome")) or outcome_of(body.get("resource"))  # the latter up to DSTU2
        return EntryVerdict(kind, status, outcome=told)
    named = _place(response.get("location"))
    if named is not None and _fitting(named, entry) is None:
        return None
    etag = response.get("etag")
    location = named or _fitting(_identity(body.get("resource")) or _put_to(entry), entry)
    return EntryVerdict(kind, status, location, etag if isinstance(etag, str) else None)


def _place(location: Any) -> str | None:
    """`Type/id` of a location, which may be absolute and may name a version."""
    match = _PLACE.search(location) if isinstance(location, str) else None
    return match[1] if match else None


def _identity(resource: Any) -> str | None:
    """`Type/id` of a resource that was sent back."""
    if not isinstance(resource, dict):
        return None
    return _place(f"{resource.get('resourceType')}/{resource.get('id')}") if resource.get("id") else None


def _put_to(entry: Json) -> str | None:
    """`Type/id` that an entry was put to."""
    request = entry["request"]
    return _place(request["url"]) if request["method"] == "PUT" and "?" not in request["url"] else None


def _fitting(location: str | None, entry: Json) -> str | None:
    """The place, if it is one for the type of the entry."""
    fits = location is not None and location.partition("/")[0] == entry["resource"]["resourceType"]
    return location if fits else None


# OperationOutcome -----------------------------------------------------------------------------------


def outcome_of(document: Any) -> Json | None:
    """The document if it is an OperationOutcome; some servers leave its resourceType out."""
    if not isinstance(document, dict) or not isinstance(document.get("issue"), list):
        return None
    return document if document.get("resourceType") in ("OperationOutcome", None) else None


def outcome_facts(outcome: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(codes, paths) of an OperationOutcome's errors, each once: what can be shown to anybody.

    Never `diagnostics` or `details`, which may repeat patient data, and of the paths nothing but names of elements
    and indexes (hl7.org/fhir/R4/operationoutcome).
    """
    wrong = _wrong(outcome)
    codes = dict.fromkeys(code for each in wrong for code in _texts([each.get("code")]) if _CODE.fullmatch(code))
    paths = dict.fromkeys(path for each in wrong for path in _paths(each))
    return tuple(codes)[:_KEPT], tuple(paths)[:_KEPT]


def _wrong(outcome: Any) -> list[Mapping[str, Any]]:
    """The issues that are errors."""
    issues = [each for each in (outcome_of(outcome) or {}).get("issue", ()) if isinstance(each, dict)]
    return [each for each in issues if each.get("severity") not in ("information", "warning")]


def _words(issue: Mapping[str, Any]) -> str:
    """What an issue says in words: the same thing may stand in two places."""
    details = issue.get("details")
    said = (issue.get("diagnostics"), details.get("text") if isinstance(details, dict) else None)
    return " ".join(dict.fromkeys(each for each in said if isinstance(each, str)))


def _paths(issue: Mapping[str, Any]) -> list[str]:
    """FHIRPath, or up to DSTU2 XPath, without the values within."""
    named = _texts(issue.get("expression")) or _texts(issue.get("location"))
    plain = (_NOT_A_PATH.sub("", each) for each in named if len(each) < 1000)
    return [each for each in plain if _PATH.fullmatch(each)]


def _texts(values: Any) -> list[str]:
    return [each for each in values if isinstance(each, str)] if isinstance(values, list) else []


def describe_outcome(outcome: Any) -> str:
    """An OperationOutcome's errors in a few words, `invalid at Patient.birthDate`; empty where it names none."""
    codes, paths = outcome_facts(outcome)
    return " at ".join(part for part in (", ".join(codes), ", ".join(paths)) if part)


def own_words(outcome: Any) -> str:
    """What the server itself says of an OperationOutcome's errors, in one line and not at length.

    It may repeat what was sent, patient data among it: for what only the user reads, never for a log.
    """
    said = " ".join("; ".join(filter(None, map(_words, _wrong(outcome)))).split())
    plain = "".join(each for each in said if each.isprintable())
    return plain if len(plain) <= _WORDS else plain[: _WORDS - 1] + "…"


def too_large(status: int, document: Any) -> bool:
    """Whether a Bundle was refused for its size or its number of entries: 413, or an issue that says so."""
    if status == _TOO_LARGE or kind_of(status) != "refused":
        return status == _TOO_LARGE
    return any(each.get("code") == _TOO_COSTLY or _MANY.search(_words(each)) for each in _wrong(document))


def denies_own_ids(status: int, document: Any, entries: Sequence[Json]) -> bool:
    """Whether a server that was asked to put something where nothing is does not let clients choose ids.

    The standard asks for 405 (hl7.org/fhir/R4/http#upsert), HAPI gives 404, for a Bundle as a whole too; `/metadata`
    may not have mentioned it.
    """
    put = any(_put_to(each) and "ifMatch" not in each["request"] for each in entries)
    return put and status in (404, 405) and outcome_of(document) is not None
