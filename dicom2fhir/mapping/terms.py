"""Code sequences and issuers: who gave a code or a number, and which URI stands for them (PS3.3 8, 10.14)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from uuid import UUID

from dicom2fhir import codes
from dicom2fhir.dicom.records import Values
from dicom2fhir.dicom.srt import srt_to_sct
from dicom2fhir.dicom.values import (
    BadValue,
    clean_code,
    clean_text,
    first_value,
    is_oid,
    joined,
    parse_uid,
    split_values,
)
from dicom2fhir.mapping.evidence import Evidence, Voter
from dicom2fhir.mapping.settings import Settings
from dicom2fhir.model import Code, Concept, Identifier, IdentifierKind
from dicom2fhir.problems import Code as ProblemCode

SCT = "http://snomed.info/sct"
URI = "urn:ietf:rfc:3986"
_SNOMED_RT = frozenset({"SRT", "SNM3", "99SDM"})


class Terms:
    """Reads coded items and issuers of one study or series; what has no system is noted."""

    def __init__(self, settings: Settings, evidence: Evidence) -> None:
        self._settings, self._evidence = settings, evidence
        self._read: dict[int, Concept | None] = {}  # by the item's identity: an item is read, and noted, once

    def concepts(self, voter: Voter, keyword: str) -> tuple[Concept, ...]:
        """One concept an item of a code sequence of the context."""
        return self.of_items(voter, voter.items(keyword), keyword)

    def of_items(self, voter: Voter, items: Iterable[Values], keyword: str) -> tuple[Concept, ...]:
        """One concept an item; `keyword` is the sequence's, for notes."""
        return tuple(dict.fromkeys(filter(None, (self._concept(voter, item, keyword) for item in items))))

    def numbers(
        self, voter: Voter, items: Iterable[Values], kind: IdentifierKind, keyword: str
    ) -> tuple[Identifier, ...]:
        """Codes that are numbers of a person or institution; a scheme without a URI is the assigner (PS3.3 10.1)."""
        found: list[Identifier] = []
        for item in items:
            concept = self._concept(voter, item, keyword)
            scheme = clean_text(item.get("CodingSchemeDesignator", ""))
            for code in concept.codes if concept else ():
                found.append(Identifier(code.value, kind, code.system, None if code.system else scheme))
        return tuple(dict.fromkeys(found))

    def _concept(self, voter: Voter, item: Values, keyword: str) -> Concept | None:
        """One item with its equivalents (0008,0121) as further codes of the same concept."""
        if id(item) not in self._read:
            same = [item, *item.get("EquivalentCodeSequence", ())]
            found = tuple(dict.fromkeys(filter(None, (self._code(voter, one, keyword) for one in same))))
            text = clean_text(joined(item.get("CodeMeaning", "")))
            self._read[id(item)] = Concept(found, text) if found or text else None
        return self._read[id(item)]

    def _code(self, voter: Voter, item: Values, keyword: str) -> Code | None:
        display = clean_text(joined(item.get("CodeMeaning", "")))
        urn = clean_code(item.get("URNCodeValue", ""))
        value = self._one(voter, item, "CodeValue", keyword) or clean_code(item.get("LongCodeValue", ""))
        if value is None:
            return Code(urn, URI, display) if urn else None
        designator = self._one(voter, item, "CodingSchemeDesignator", keyword) or ""
        code = self._in_scheme(voter, value, designator)
        if code.system is None:
            self._evidence.note(ProblemCode.CODE_WITHOUT_SYSTEM, keyword, voter.count)
        return replace(code, display=display, version=clean_text(item.get("CodingSchemeVersion", "")))

    def _one(self, voter: Voter, item: Values, name: str, keyword: str) -> str | None:
        """A value that is one: of several the first that says anything, and a note."""
        values = [value for value in split_values(item.get(name, "")) if value]
        if len(values) > 1:
            self._evidence.note(ProblemCode.VALUE_INVALID, keyword, voter.count)
        return clean_code(values[0]) if values else None

    def _in_scheme(self, voter: Voter, value: str, designator: str) -> Code:
        """The code under its system. A code of SNOMED RT (T-...) is never put under SNOMED CT: it is translated."""
        configured = self._settings.coding_schemes.get(designator)
        if configured:
            return Code(value, configured)
        if designator in _SNOMED_RT or (codes.scheme(designator) == SCT and not value.isdigit()):
            translated = srt_to_sct(value)
            return Code(translated, SCT) if translated else Code(value)
        return Code(value, codes.scheme(designator) or _declared(voter, designator))

    def identifier(
        self,
        value: str,
        kind: IdentifierKind,
        issuers: Sequence[Values],
        *,
        called: str | None = None,
        system: str | None = None,
    ) -> Identifier:
        """A number with the system or the assigner that its issuer gives; `system` where there is no issuer at all.

        The issuer is said in items, as a text (`called`), or in both: the first that has a URI counts, else the
        first that has a name. An entity whose type nobody says is a name of last resort.
        """
        said = [self._issuer(item) for item in issuers]
        if called:
            said.append((self.named_issuer(called), called))
        said += [(None, clean_text(item.get("UniversalEntityID", ""))) for item in issuers]
        uri = next((uri for uri, _ in said if uri), None)
        name = next((name for _, name in said if name), None)
        return Identifier(value, kind, uri or (None if name else system), None if uri else name)

    def _issuer(self, item: Values) -> tuple[str | None, str | None]:
        """(URI, name) of a hierarchic designator: universal id first, then the local namespace (HL7 v2 HD)."""
        universal = clean_code(item.get("UniversalEntityID", ""))
        local = clean_text(item.get("LocalNamespaceEntityID", ""))
        if universal is None:
            return self._named(local), local
        kind = (first_value(item.get("UniversalEntityIDType", "")) or "").upper()
        uri = universal_uri(universal, kind) or self._named(universal) or self._named(local)
        return uri, local or (universal if kind else None)

    def _named(self, name: str | None) -> str | None:
        return self._settings.issuers.get(name) if name else None

    def named_issuer(self, name: str | None) -> str | None:
        """The URI of an issuer that is a text: an OID or URI itself, or configured."""
        if not name:
            return None
        return self._named(name) or bare_uri(name)


def _declared(voter: Voter, designator: str) -> str | None:
    """The URI of a scheme that the file itself identifies: (0008,0110) > (0008,010C)."""
    for item in voter.items("CodingSchemeIdentificationSequence"):
        if clean_code(item.get("CodingSchemeDesignator", "")) == designator:
            try:
                uid = parse_uid(item.get("CodingSchemeUID", ""))
            except BadValue:
                return None
            return codes.scheme_by_uid(uid) or f"urn:oid:{uid}" if uid else None
    return None


def universal_uri(text: str, kind: str) -> str | None:
    """A universal entity id as URI; only ISO, UUID and URI have one (HL7 v2 table 0301)."""
    if kind == "ISO":
        return f"urn:oid:{text}" if is_oid(text) else None
    if kind == "UUID":
        return _uuid(text)
    return bare_uri(text) if kind in ("URI", "") else None


def _uuid(text: str) -> str | None:
    try:
        return f"urn:uuid:{UUID(text)}"
    except ValueError:
        return None


def bare_uri(text: str) -> str | None:
    """A text that is an OID or an absolute URI by itself."""
    if is_oid(text) and text.count(".") > 1:
        return f"urn:oid:{text}"
    scheme, colon, rest = text.partition(":")
    absolute = colon and rest and scheme.lower() in ("http", "https", "urn") and not any(c.isspace() for c in text)
    return text if absolute and (rest.startswith("//") or scheme.lower() == "urn") else None
