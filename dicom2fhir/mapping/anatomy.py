"""Which part of the body and which side (PS3.3 10.5, C.7.6.16.2.8; PS3.16 annex L, CID 244)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dicom2fhir import codes
from dicom2fhir.dicom.records import Values
from dicom2fhir.dicom.values import first_value
from dicom2fhir.mapping.evidence import Evidence, Voter, elect
from dicom2fhir.mapping.settings import Settings
from dicom2fhir.mapping.terms import SCT, Terms
from dicom2fhir.model import Concept, Side
from dicom2fhir.problems import Code

_TERMS: dict[str, Side | None] = {"R": "right", "L": "left", "B": "both", "U": None}
_MODIFIERS: dict[str, Side] = {"24028007": "right", "7771000": "left", "51440002": "both"}
_SIDES = ("ImageLaterality", "MeasurementLaterality", "Laterality")


@dataclass(frozen=True, slots=True)
class Statement:
    """What one instance says of the side: one, or that it is unpaired (`side` None), or several (`mixed`)."""

    side: Side | None
    mixed: bool = False


class Anatomy:
    """Reads body sites and laterality of one series."""

    def __init__(self, settings: Settings, evidence: Evidence, terms: Terms) -> None:
        self._settings, self._evidence, self._terms = settings, evidence, terms
        self._frames = {id(v): _frame_anatomies(v) for v in evidence.voters}
        self._said = {id(v): self._sites(v) for v in evidence.voters}

    def sites(self) -> tuple[Concept, ...]:
        """The body sites: those of most instances first, then whatever else instances of the series say."""
        election = elect(self._evidence.voters, lambda voter: self._said[id(voter)])
        if election.contested:
            coded = any(voter.items("AnatomicRegionSequence") for voter in self._evidence.voters)
            keyword = "AnatomicRegionSequence" if coded else "BodyPartExamined"
            self._evidence.note(Code.BODY_PART_CONFLICT, keyword)
        others = self._evidence.distinct(lambda voter: self._said[id(voter)])
        return tuple(dict.fromkeys([*(election.value or ()), *others]))

    def _sites(self, voter: Voter) -> tuple[Concept, ...]:
        """The coded regions, then that of the frames where they agree, then the term (0018,0015)."""
        coded = self._coded(voter)
        term = self._term(voter)
        if not coded:
            return (term,) if term else ()
        if term is not None and term.codes and not any(_same(region, term) for region in coded):
            self._evidence.note(Code.BODY_PART_CONFLICT, "BodyPartExamined", voter.count)
        return coded

    def _coded(self, voter: Voter) -> tuple[Concept, ...]:
        regions = self._terms.concepts(voter, "AnatomicRegionSequence")
        if regions:
            return regions
        items = [frame.get("AnatomicRegionSequence", [])[:1] for frame in self._frames[id(voter)]]
        found = {concept for item in items for concept in self._terms.of_items(voter, item, "AnatomicRegionSequence")}
        if len(found) > 1:
            self._evidence.note(Code.BODY_PART_CONFLICT, "FrameAnatomySequence", voter.count)
        return tuple(found) if len(found) == 1 else ()

    def _term(self, voter: Voter) -> Concept | None:
        """(0018,0015) through the site's table, then DICOM's; a term that neither has stays as text, and is noted."""
        stated = voter.first("BodyPartExamined")
        if stated is None:
            return None
        known = self._settings.body_parts.get(stated) or codes.body_part(stated)
        if known is None:
            self._evidence.note(Code.BODY_PART_UNMAPPED, "BodyPartExamined", voter.count)
        return known or Concept((), stated)

    def side(self, sites: tuple[Concept, ...]) -> Side | None:
        """The one side that all instances agree on; none where the body site's code names it already."""
        if any(code.system == SCT and codes.is_lateral(code.value) for site in sites[:1] for code in site.codes):
            return None
        said = {statement for voter in self._evidence.voters if (statement := self._statement(voter))}
        if len(said) > 1 or any(statement.mixed for statement in said):
            self._evidence.note(Code.LATERALITY_MIXED, "Laterality")
            return None
        return said.pop().side if said else None

    def _statement(self, voter: Voter) -> Statement | None:
        """What an instance says: its frames first, then itself, its series, and the region's modifier last."""
        frames = {s for frame in self._frames[id(voter)] if (s := self._stated(voter, frame, "FrameLaterality"))}
        if frames:
            return frames.pop() if len(frames) == 1 else Statement(None, mixed=True)
        for keyword in _SIDES:
            stated = self._stated(voter, voter.values, keyword)
            if stated is not None:
                return stated
        return _modified(self._modifiers(voter))

    def _stated(self, voter: Voter, values: Values, keyword: str) -> Statement | None:
        term = first_value(values.get(keyword, ""))
        if not term:
            return None
        if term.upper() not in _TERMS:
            self._evidence.note(Code.VALUE_INVALID, keyword, voter.count)
            return None
        return Statement(_TERMS[term.upper()])

    def _modifiers(self, voter: Voter) -> Iterable[Concept]:
        keyword = "AnatomicRegionModifierSequence"
        roots = [voter.items("AnatomicRegionSequence")]
        roots += [frame.get("AnatomicRegionSequence", []) for frame in self._frames[id(voter)]]
        for items in roots:
            for item in items[:1]:
                yield from self._terms.of_items(voter, item.get(keyword, ()), keyword)


def _modified(modifiers: Iterable[Concept]) -> Statement | None:
    sides = {_MODIFIERS.get(code.value) for concept in modifiers for code in concept.codes if code.system == SCT}
    sides.discard(None)
    if not sides:
        return None
    return Statement(sides.pop()) if len(sides) == 1 else Statement(None, mixed=True)


def _same(one: Concept, other: Concept) -> bool:
    return bool({(c.system, c.value) for c in one.codes} & {(c.system, c.value) for c in other.codes})


def _frame_anatomies(voter: Voter) -> list[Values]:
    """The Frame Anatomy items of the functional groups: the shared ones, else those of the frames."""
    shared = [a for g in voter.items("SharedFunctionalGroupsSequence") for a in g.get("FrameAnatomySequence", [])]
    if shared:
        return shared
    groups = (g for one in voter.members for g in one.values.get("PerFrameFunctionalGroupsSequence", ()))
    return [a for group in groups for a in group.get("FrameAnatomySequence", [])]
