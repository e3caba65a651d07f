"""What the study was asked for and belongs to: accession, requests, reasons, procedures, visit (PS3.3 C.7.2, 10.6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Literal

from dicom2fhir.dicom.records import Values
from dicom2fhir.dicom.values import BadValue, clean_text, first_value, joined, parse_uid
from dicom2fhir.mapping.evidence import Evidence, Voter
from dicom2fhir.mapping.people import People
from dicom2fhir.mapping.settings import Settings
from dicom2fhir.mapping.terms import Terms
from dicom2fhir.model import Concept, Encounter, Identifier, IdentifierKind, Practitioner, Procedure, Request
from dicom2fhir.problems import Code

_REQUESTS = ("RequestAttributesSequence", "ReferencedRequestSequence")
_PERFORMED_FOR = "ReasonForPerformedProcedureCodeSequence"
Priority = Literal["routine", "urgent", "stat"]
_PRIORITIES: dict[str, Priority] = {
    "STAT": "stat", "HIGH": "urgent", "ROUTINE": "routine", "MEDIUM": "routine", "LOW": "routine",
}  # fmt: skip


class Orders:
    """Reads the orders of one study."""

    def __init__(self, settings: Settings, evidence: Evidence, terms: Terms, people: People) -> None:
        self._settings, self._evidence, self._terms, self._people = settings, evidence, terms, people
        said = evidence.distinct(self._accessions)
        self._known = [number for number in said if number == _qualified(number, said)]

    def accessions(self) -> tuple[Identifier, ...]:
        """Every distinct accession number, grouped requests' ones included."""
        return tuple(sorted(self._known, key=lambda i: (i.value, i.system or "", i.assigner or "")))

    def _accessions(self, voter: Voter) -> list[Identifier]:
        grouped = [self._accession(item, voter) for item in self._items(voter)]
        return [found for found in (self._accession(voter.values, voter), *grouped) if found]

    def _items(self, voter: Voter) -> list[Values]:
        """The requests of the instance, but for those that a report or key object names of another study."""
        items = [item for keyword in _REQUESTS for item in voter.items(keyword) if item]
        return [item for item in items if item.get("StudyInstanceUID", voter.context.study) == voter.context.study]

    def _accession(self, values: Values, voter: Voter) -> Identifier | None:
        """An accession number; an item without an issuer of its own takes the data set's."""
        number = clean_text(values.get("AccessionNumber", ""))
        if number is None:
            return None
        keyword = "IssuerOfAccessionNumberSequence"
        issuers = values.get(keyword) or voter.items(keyword)
        return self._terms.identifier(number, "accession", issuers, system=self._settings.systems.get("accession"))

    def requests(self) -> tuple[Request, ...]:
        """One request an item of (0040,0275) or (0040,A370), and one for each accession number that no item names.

        An object without items is an item itself. What different instances say of one request (the same
        identifiers, or fewer of them) is taken together.
        """
        found: dict[tuple[Identifier, ...], Request] = {}
        for voter in self._evidence.voters:
            for request in self._requests(voter):
                known = found.get(request.identifiers)
                found[request.identifiers] = _joined(known, request) if known else request
        grouped = {identifier for identifiers in found for identifier in identifiers}
        alone = [Request((number,)) for number in self.accessions() if number not in grouped]
        requests = [*_whole(list(found.values())), *alone]
        return tuple(sorted(requests, key=lambda r: tuple((i.kind, i.value, i.system or "") for i in r.identifiers)))

    def _requests(self, voter: Voter) -> list[Request]:
        requests = [self._request(item, voter) for item in self._items(voter) or [voter.values]]
        return [request for request in requests if request.identifiers]

    def _request(self, item: Values, voter: Voter) -> Request:
        keyword = "RequestedProcedureCodeSequence"
        codes = self._terms.of_items(voter, item.get(keyword, ()), keyword)
        text = clean_text(item.get("RequestedProcedureDescription", ""))
        requesters = self._people.persons(
            voter, item, "RequestingPhysician", "RequestingPhysicianIdentificationSequence"
        ) or self._requesters(voter)
        return Request(
            identifiers=self._numbers(item, voter),
            code=codes[0] if codes else Concept((), text) if text else None,
            reasons=self._reasons_of_item(item, voter),
            requester=requesters[0] if requesters else None,
            priority=_priority(item) or _priority(voter.values),
        )

    def _requesters(self, voter: Voter) -> tuple[Practitioner, ...]:
        return self._people.persons(
            voter, voter.values, "RequestingPhysician", "RequestingPhysicianIdentificationSequence"
        )

    def _numbers(self, item: Values, voter: Voter) -> tuple[Identifier, ...]:
        """What identifies a request; an item without an accession number is of the data set's (PS3.3 10.6)."""
        sources: tuple[tuple[IdentifierKind, str, str], ...] = (
            ("placer", "PlacerOrderNumberImagingServiceRequest", "OrderPlacerIdentifierSequence"),
            ("filler", "FillerOrderNumberImagingServiceRequest", "OrderFillerIdentifierSequence"),
            ("requested-procedure", "RequestedProcedureID", ""),
        )
        accession = self._accession(item, voter) or self._accession(voter.values, voter)
        numbers = [_qualified(accession, self._known) if accession else None]
        for kind, keyword, issuer in sources:
            value = clean_text(item.get(keyword, ""))
            numbers.append(self._terms.identifier(value, kind, item.get(issuer, ())) if value else None)
        return tuple(number for number in numbers if number)

    def reasons(self) -> tuple[Concept, ...]:
        """Why the study was done; the first source that says anything counts."""
        sources: tuple[tuple[str, Callable[[Voter], tuple[Concept, ...]]], ...] = (
            ("RequestAttributesSequence", self._requested_reasons),
            ("ReasonForStudy", lambda v: _worded(v.text("ReasonForStudy"))),
            ("ReasonForVisitCodeSequence", self._visit_reasons),
            (_PERFORMED_FOR, partial(self._coded, _PERFORMED_FOR)),
        )
        for keyword, source in sources:
            found = self._evidence.elect(keyword, source)
            if found:
                return found
        return ()

    def _requested_reasons(self, voter: Voter) -> tuple[Concept, ...]:
        items = self._items(voter) or [voter.values]
        return tuple(dict.fromkeys(reason for item in items for reason in self._reasons_of_item(item, voter)))

    def _reasons_of_item(self, item: Values, voter: Voter) -> tuple[Concept, ...]:
        """Coded reasons; the words of (0040,1002) are the text of a single code, or a reason of their own."""
        keyword = "ReasonForRequestedProcedureCodeSequence"
        codes = self._terms.of_items(voter, item.get(keyword, ()), keyword)
        text = clean_text(joined(item.get("ReasonForTheRequestedProcedure", "")))
        if text and len(codes) == 1:
            return (replace(codes[0], text=text),)
        return codes + _worded(text)

    def _visit_reasons(self, voter: Voter) -> tuple[Concept, ...]:
        return self._terms.concepts(voter, "ReasonForVisitCodeSequence") or _worded(voter.text("ReasonForVisit"))

    def procedure_codes(self, requests: tuple[Request, ...]) -> tuple[Concept, ...]:
        """The performed procedure's codes, else the requested one's."""
        for keyword in ("ProcedureCodeSequence", "RequestedProcedureCodeSequence"):
            found = self._evidence.elect(keyword, partial(self._coded, keyword))
            if found:
                return found
        return tuple(dict.fromkeys(r.code for r in requests if r.code and r.code.codes))

    def _coded(self, keyword: str, voter: Voter) -> tuple[Concept, ...]:
        return self._terms.concepts(voter, keyword)

    def procedures(self, code: Concept | None) -> tuple[Procedure, ...]:
        """Performed procedure steps: the MPPS instances (0008,1111), and (0040,0253) of the same instance."""
        found = self._evidence.distinct(self._procedures)
        return tuple(sorted((replace(p, code=code) for p in found), key=lambda p: [i.value for i in p.identifiers]))

    def _procedures(self, voter: Voter) -> list[Procedure]:
        step = clean_text(voter.values.get("PerformedProcedureStepID", ""))
        uids = [
            uid for item in voter.items("ReferencedPerformedProcedureStepSequence") if (uid := self._uid(item, voter))
        ]
        if len(uids) == 1:
            numbers = [Identifier(uids[0], "uid", "urn:dicom:uid")]
            return [Procedure((*numbers, Identifier(step, "performed-procedure")) if step else tuple(numbers))]
        if uids:
            return [Procedure((Identifier(uid, "uid", "urn:dicom:uid"),)) for uid in uids]
        return [Procedure((Identifier(step, "performed-procedure"),))] if step else []

    def _uid(self, item: Values, voter: Voter) -> str | None:
        uid = item.get("ReferencedSOPInstanceUID")
        if not uid:
            return None
        try:
            return parse_uid(uid)
        except BadValue:
            self._evidence.note(Code.VALUE_INVALID, "ReferencedPerformedProcedureStepSequence", voter.count)
            return None

    def encounter(self) -> Encounter | None:
        """The visit (0038,0010) and the episode (0038,0060), each with its issuer."""
        visit = self._evidence.elect("AdmissionID", lambda v: self._number(v, "AdmissionID", "visit"))
        episode = self._evidence.elect("ServiceEpisodeID", lambda v: self._number(v, "ServiceEpisodeID", "episode"))
        if visit is None and episode is None:
            return None
        return Encounter(visit, episode, self._evidence.text("CurrentPatientLocation"))

    def _number(self, voter: Voter, keyword: str, kind: IdentifierKind) -> Identifier | None:
        value = voter.first(keyword)
        return self._terms.identifier(value, kind, voter.items(f"IssuerOf{keyword}Sequence")) if value else None


def _qualified(number: Identifier, others: Iterable[Identifier]) -> Identifier:
    """The same number with its issuer, where the number itself has none and just one other has: no second order."""
    named = [other for other in others if other.value == number.value and (other.system or other.assigner)]
    return named[0] if len(named) == 1 and not number.system and not number.assigner else number


def _worded(text: str | None) -> tuple[Concept, ...]:
    return (Concept((), text),) if text else ()


def _priority(item: Values) -> Priority | None:
    return _PRIORITIES.get((first_value(item.get("RequestedProcedurePriority", "")) or "").upper())


def _whole(requests: list[Request]) -> list[Request]:
    """The requests without those that another one names with more numbers; what they say goes to it, if it is one."""
    whole: list[Request] = []
    for request in sorted(requests, key=lambda r: -len(r.identifiers)):
        larger = [known for known in whole if set(request.identifiers) < set(known.identifiers)]
        if len(larger) == 1:
            whole[whole.index(larger[0])] = _joined(larger[0], request)
        elif not larger:
            whole.append(request)
    return whole


def _joined(first: Request, second: Request) -> Request:
    """One request as two instances describe it: the first that says something counts."""
    return Request(
        first.identifiers,
        first.code or second.code,
        first.reasons or second.reasons,
        first.requester or second.requester,
        first.priority or second.priority,
    )
