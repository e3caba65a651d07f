"""Persons and institutions: a PN attribute and its identification sequence (PS3.3 10.1, table 10-1)."""

from __future__ import annotations

from itertools import zip_longest

from dicom2fhir.dicom.names import parse_names
from dicom2fhir.dicom.records import Values
from dicom2fhir.dicom.values import BadValue, clean_text, split_values
from dicom2fhir.mapping.evidence import Evidence, Voter
from dicom2fhir.mapping.terms import Terms
from dicom2fhir.model import Concept, Organization, PersonName, Practitioner
from dicom2fhir.problems import Code

Names = tuple[PersonName, ...]


class People:
    """Reads the persons and institutions of one study or series."""

    def __init__(self, terms: Terms, evidence: Evidence) -> None:
        self._terms, self._evidence = terms, evidence

    def persons(self, voter: Voter, values: Values, names: str, identification: str) -> tuple[Practitioner, ...]:
        """The persons of a PN attribute, each with its item of the identification sequence.

        They belong together by position, and only where both are equally many; otherwise the names stand alone.
        """
        if not values.get(names) and not values.get(identification):
            return ()
        called = self.names(values, names, voter.contexts)
        items: list[Values] = values.get(identification, [])
        if called and items and len(called) != len(items):
            self._evidence.note(Code.VALUE_INVALID, identification, voter.count)
            items = []
        pairs = zip_longest(called, items)
        persons = (self._person(voter, name or (), item or {}, identification) for name, item in pairs)
        return tuple(person for person in persons if person != Practitioner())

    def names(self, values: Values, keyword: str, contexts: int = 1) -> list[Names]:
        """All values of a PN attribute; what is no name is noted, once a context that says so, and absent."""
        try:
            found = parse_names(values.get(keyword, ""))
        except BadValue as bad:
            self._evidence.note(bad.code, keyword, contexts)
            return []
        return [name for name in found if name] if not any(found) else found

    def _person(self, voter: Voter, names: Names, item: Values, keyword: str) -> Practitioner:
        items = item.get("PersonIdentificationCodeSequence", ())
        codes = self._terms.of_items(voter, items, keyword)
        department = clean_text(item.get("InstitutionalDepartmentName", ""))
        return Practitioner(
            names=names or _called(codes),
            identifiers=self._terms.numbers(voter, items, "practitioner", keyword),
            organization=self.organization(voter, item, keyword),
            department=department,
            address=clean_text(item.get("PersonAddress", "")),
            phones=tuple(filter(None, map(clean_text, split_values(item.get("PersonTelephoneNumbers", ""))))),
        )

    def organization(self, voter: Voter, values: Values, keyword: str) -> Organization | None:
        """The institution of an item or of the equipment: (0008,0080), (0008,0082), (0008,0081)."""
        items = values.get("InstitutionCodeSequence", ())
        codes = self._terms.of_items(voter, items, keyword)
        name = clean_text(values.get("InstitutionName", "")) or next((c.text for c in codes if c.text), None)
        numbers = self._terms.numbers(voter, items, "organization", keyword)
        found = Organization(name, numbers, clean_text(values.get("InstitutionAddress", "")))
        return found if found.name or found.identifiers else None


def _called(codes: tuple[Concept, ...]) -> Names:
    """A person known by code alone: the code's meaning often is the name."""
    meaning = next((code.text for code in codes if code.text), None)
    return (PersonName("alphabetic", text=meaning),) if meaning else ()
