"""Key Object Selections: what somebody chose, of which studies, and why (PS3.3 A.35.4, PS3.16 TID 2010, TID 1002).

A key object is a claim. Its evidence says where the instances lie and counts whether they were read or not; its
content tree says which frames, segments or channels of them are meant. Not read, because no FHIR resource has a place
for it: an observer's roles and location (121010, 121011, 121017), spatial coordinates, and the language of the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from dicom2fhir.dicom import keyobjects
from dicom2fhir.dicom.keyobjects import KEY_OBJECT_SELECTION, Content
from dicom2fhir.dicom.records import InstanceRecord, StudyRecords, Values
from dicom2fhir.dicom.values import BadValue, clean_text, parse_integer, parse_uid, split_values
from dicom2fhir.mapping.evidence import Evidence, Notebook
from dicom2fhir.mapping.moments import Moments
from dicom2fhir.mapping.patient import Identity, Patients, differ
from dicom2fhir.mapping.people import People
from dicom2fhir.mapping.series import service
from dicom2fhir.mapping.settings import Settings
from dicom2fhir.mapping.terms import Terms
from dicom2fhir.model import (
    Concept,
    Device,
    Endpoint,
    Identifier,
    KeyObject,
    Moment,
    Organization,
    Practitioner,
    Selected,
    SelectedSeries,
    SelectedStudy,
)
from dicom2fhir.problems import Code

_EVIDENCE = "CurrentRequestedProcedureEvidenceSequence"
_IDENTICAL = "IdenticalDocumentsSequence"
_MODIFIER, _DESCRIPTION = "113011", "113012"
_OBSERVER_TYPE, _PERSON_NAME, _PERSON_ORGANIZATION = "121005", "121008", "121009"
_DEVICE_UID, _DEVICE_NAME, _DEVICE_MAKER, _DEVICE_MODEL, _DEVICE_SERIAL = (
    "121012", "121013", "121014", "121015", "121016",
)  # fmt: skip
_OBSERVER = frozenset(
    (_OBSERVER_TYPE, _PERSON_NAME, _PERSON_ORGANIZATION,
     _DEVICE_UID, _DEVICE_NAME, _DEVICE_MAKER, _DEVICE_MODEL, _DEVICE_SERIAL)
)  # fmt: skip

Place = tuple[str, str | None]
"""Study Instance UID and Series Instance UID, None where nobody says which series."""


class ReadSet(Protocol):
    """All that was read, whatever its study; the study index offers it."""

    def places(self, uid: str) -> list[tuple[str, str]]:
        """(study, series) of every instance with this SOP Instance UID."""
        ...

    def study(self, uid: str) -> StudyRecords:
        """The records of one study; none where nothing of it was read."""
        ...


class Elsewhere:
    """What the mapping of one study may ask about the others: where an instance lies, whom a study is of."""

    def __init__(self, read: ReadSet, settings: Settings) -> None:
        self._read, self._settings = read, settings
        self._identities: dict[str, frozenset[Identity]] = {}

    def place(self, uid: str, study: str) -> Place | None:
        """Where an instance lies, `study` before others; None where it was not read, or lies in several places."""
        places = self._read.places(uid)
        places = [place for place in places if place[0] == study] or places
        return places[0] if len(places) == 1 else None

    def was_read(self, uid: str) -> bool:
        """Whether there is an instance with this SOP Instance UID."""
        return bool(self._read.places(uid))

    def identities(self, study: str) -> frozenset[Identity]:
        """Whom a study is of; nobody where it was not read."""
        if study not in self._identities:
            records = self._read.study(study)
            self._identities[study] = identities(records, self._settings) if records.instances else frozenset()
        return self._identities[study]


class Alone:
    """A study that is all there is: what is not in it was not read."""

    def __init__(self, records: StudyRecords) -> None:
        self._records = records

    def places(self, uid: str) -> list[tuple[str, str]]:
        """See `ReadSet`."""
        return [(self._records.uid, one.context.series) for one in self._records.instances if one.uid == uid]

    def study(self, uid: str) -> StudyRecords:
        """See `ReadSet`."""
        return self._records if uid == self._records.uid else StudyRecords(uid, ())


def identities(records: StudyRecords, settings: Settings) -> frozenset[Identity]:
    """Whom the instances of a study name."""
    evidence = Evidence(records.instances, Notebook(records.uid))
    terms = Terms(settings, evidence)
    return Patients(settings, evidence, terms, People(terms, evidence), Moments(settings, evidence)).identities()


def key_objects(
    records: StudyRecords, settings: Settings, notebook: Notebook, elsewhere: Elsewhere
) -> tuple[KeyObject, ...]:
    """The study's key objects, each document once, by UID."""
    found: dict[str, KeyObject] = {}
    for record in records.instances:
        if record.context.sop_class == KEY_OBJECT_SELECTION and record.uid not in found:
            document = _Document(record, settings, notebook, elsewhere).read()
            if document is not None:
                found[record.uid] = document
    return tuple(found[uid] for uid in sorted(found))


class _Selection:
    """What a document refers to, while it is collected: instances by place, each with what is meant of it."""

    def __init__(self) -> None:
        self.services: dict[Place, Endpoint] = {}
        self._meant: dict[Place, dict[str, list[Selected]]] = {}
        self._classes: dict[str, str | None] = {}
        self._places: dict[str, list[Place]] = {}

    def put(self, place: Place, uid: str, sop_class: str | None) -> None:
        """An instance and where it lies."""
        series = self._meant.setdefault(place, {})
        if uid not in series:
            series[uid] = []
            self._places.setdefault(uid, []).append(place)
        self._classes[uid] = self._classes.get(uid) or sop_class

    def knows(self, uid: str) -> bool:
        """Whether it is said where the instance lies."""
        return uid in self._places

    def mean(self, uid: str, parts: Iterable[Selected]) -> None:
        """What is meant of an instance, wherever it lies."""
        for place in self._places[uid]:
            meant = self._meant[place][uid]
            meant += [part for part in parts if part not in meant]

    def studies(self) -> dict[str, tuple[SelectedSeries, ...]]:
        """Everything, series and instances in the order of the document."""
        found: dict[str, list[SelectedSeries]] = {}
        for place, instances in self._meant.items():
            service = self.services.get(place)
            one = SelectedSeries(place[1], tuple(self._instances(instances)), (service,) if service else ())
            found.setdefault(place[0], []).append(one)
        return {study: tuple(series) for study, series in found.items()}

    def _instances(self, instances: dict[str, list[Selected]]) -> Iterator[Selected]:
        for uid, meant in instances.items():
            sop_class = self._classes[uid]
            for part in meant or [Selected(uid)]:
                yield Selected(uid, sop_class, part.frames, part.segments, part.channels)


class _Document:
    """One Key Object Selection."""

    def __init__(self, record: InstanceRecord, settings: Settings, notebook: Notebook, elsewhere: Elsewhere) -> None:
        self._record, self._settings, self._elsewhere = record, settings, elsewhere
        self._values, self._study = record.values, record.context.study
        self._evidence = Evidence((record,), notebook, record.context.series, record.uid)
        self._voter = self._evidence.voters[0]
        self._terms = Terms(settings, self._evidence)
        self._people = People(self._terms, self._evidence)
        self._root = [found for found in keyobjects.content(self._values) if found.depth == 0]

    def read(self) -> KeyObject | None:
        """The document; None where a copy stands for it, where it refers to nothing, or to several patients."""
        if self._has_a_lower_copy():
            return None
        studies = self._studies()
        if not studies:
            return None
        if differ(frozenset().union(*(self._elsewhere.identities(uid) for uid in (self._study, *studies)))):
            self._evidence.note(Code.KEY_OBJECT_PATIENTS, _EVIDENCE)
            return None
        return KeyObject(
            uid=self._record.uid,
            studies=tuple(SelectedStudy(uid, series, self._accessions(uid)) for uid, series in studies.items()),
            series=self._record.context.series,
            title=next(iter(self._coded(self._values, "ConceptNameCodeSequence")), None),
            modifiers=tuple(code for item in self._items(_MODIFIER) for code in self._coded(item)),
            description="\n".join(filter(None, map(_text, self._items(_DESCRIPTION)))) or None,
            authored=self._authored(),
            observers=tuple(self._observers()),
        )

    def _has_a_lower_copy(self) -> bool:
        """A document of several studies is stored once in each (0040,A525): the lowest UID that was read counts."""
        copies = {
            copy.uid for copy in keyobjects.evidence(self._values, _IDENTICAL) if copy.sop_class == KEY_OBJECT_SELECTION
        }
        return any(uid < self._record.uid and self._elsewhere.was_read(uid) for uid in copies)

    def _studies(self) -> dict[str, tuple[SelectedSeries, ...]]:
        selection = _Selection()
        for one in keyobjects.evidence(self._values):
            study, series = self._uid(one.study, _EVIDENCE), self._uid(one.series, _EVIDENCE)
            uid = self._uid(one.uid, _EVIDENCE)
            if study and series and uid:
                selection.put((study, series), uid, self._sop_class(one.sop_class))
                self._serve(selection, (study, series), one.retrieve_url)
        for found in keyobjects.content(self._values):
            for item in keyobjects.references(found.item) if found.is_reference else ():
                self._select(selection, item)
        if keyobjects.is_cut(self._values):
            self._evidence.note(Code.VALUE_INVALID, "ContentSequence")
        return selection.studies()

    def _serve(self, selection: _Selection, place: Place, url: str) -> None:
        """The service that the evidence names for a series, where it is not the study's own."""
        if not url or place in selection.services:
            return
        found = service(clean_text(url) or "")
        if found is None:
            self._evidence.note(Code.VALUE_INVALID, "RetrieveURL")
        elif found not in self._settings.endpoints:
            selection.services[place] = found

    def _select(self, selection: _Selection, item: Values) -> None:
        uid = self._uid(item.get("ReferencedSOPInstanceUID", ""), "ContentSequence")
        if not uid:
            return
        if not selection.knows(uid):
            place = self._elsewhere.place(uid, self._study)
            if place is None:
                self._evidence.note(Code.KEY_OBJECT_UNRESOLVED, "ContentSequence")
            selection.put(place or (self._study, None), uid, self._sop_class(item.get("ReferencedSOPClassUID", "")))
        selection.mean(uid, self._parts(uid, item))

    def _parts(self, uid: str, item: Values) -> list[Selected]:
        """What is meant of an instance: its frames, its segments, its channels, else the whole of it."""
        channels = self._integers(item, "ReferencedWaveformChannels")
        if len(channels) % 2:
            self._evidence.note(Code.VALUE_INVALID, "ReferencedWaveformChannels")
            channels = ()
        parts = (
            Selected(uid, frames=self._counted(item, "ReferencedFrameNumber")),
            Selected(uid, segments=self._counted(item, "ReferencedSegmentNumber")),
            Selected(uid, channels=tuple(zip(channels[::2], channels[1::2], strict=True))),
        )
        whole = Selected(uid)
        return [part for part in parts if part != whole] or [whole]

    def _counted(self, item: Values, keyword: str) -> tuple[int, ...]:
        """Numbers that count from 1, each once."""
        numbers = dict.fromkeys(self._integers(item, keyword))
        if 0 in numbers:
            self._evidence.note(Code.VALUE_INVALID, keyword)
        return tuple(number for number in numbers if number)

    def _integers(self, item: Values, keyword: str) -> tuple[int, ...]:
        try:
            found = [parse_integer(value) for value in split_values(item.get(keyword, "")) if value]
        except BadValue as bad:
            self._evidence.note(bad.code, keyword)
            return ()
        return tuple(number for number in found if number is not None)

    def _uid(self, text: str, keyword: str) -> str | None:
        try:
            uid = parse_uid(text)
        except BadValue:
            uid = ""
        if not uid:
            self._evidence.note(Code.VALUE_INVALID, keyword)
        return uid or None

    def _sop_class(self, text: str) -> str | None:
        return self._uid(text, "ReferencedSOPClassUID")

    def _accessions(self, study: str) -> tuple[Identifier, ...]:
        """The accession numbers of the referenced requests (0040,A370); the document's own counts for its own study."""
        requests = self._voter.items("ReferencedRequestSequence")
        items = [item for item in requests if item.get("StudyInstanceUID", self._study) == study]
        found = [self._accession(item) for item in items]
        if study == self._study and not any(found):
            found = [self._accession(self._voter.values)]
        return tuple(dict.fromkeys(number for number in found if number))

    def _accession(self, values: Values) -> Identifier | None:
        number = clean_text(values.get("AccessionNumber", ""))
        if number is None:
            return None
        issuers = values.get("IssuerOfAccessionNumberSequence", ())
        return self._terms.identifier(number, "accession", issuers, system=self._settings.systems.get("accession"))

    def _items(self, concept: str) -> list[Values]:
        return [found.item for found in self._root if found.concept == concept]

    def _coded(self, item: Values, keyword: str = "ConceptCodeSequence") -> tuple[Concept, ...]:
        return self._terms.of_items(self._voter, item.get(keyword, ()), keyword)

    def _authored(self) -> Moment | None:
        """When it was observed (0040,A032), else when its content was made (0008,0023), (0008,0033)."""
        moments, shared = Moments(self._settings, self._evidence), self._voter.values
        observed = moments.of_datetime(self._values, "ObservationDateTime", shared)
        return observed or moments.of(self._values, "ContentDate", "ContentTime", shared)

    def _observers(self) -> Iterator[Practitioner | Device]:
        """Who or what made the selection (TID 1002): each observer type begins another one."""
        for said in _observer_groups(self._root):
            person, device = self._person(said), self._device(said)
            if person != Practitioner():
                yield person
            if device != Device():
                yield device

    def _person(self, said: dict[str, Values]) -> Practitioner:
        names = self._people.names(said.get(_PERSON_NAME, {}), "PersonName")
        organization = _text(said.get(_PERSON_ORGANIZATION, {}))
        return Practitioner(
            names=next(iter(names), ()), organization=Organization(organization) if organization else None
        )

    def _device(self, said: dict[str, Values]) -> Device:
        uid = said.get(_DEVICE_UID, {}).get("UID", "")
        return Device(
            manufacturer=_text(said.get(_DEVICE_MAKER, {})),
            model=_text(said.get(_DEVICE_MODEL, {})),
            serial=_text(said.get(_DEVICE_SERIAL, {})),
            uid=self._uid(uid, "UID") if uid else None,
            station=_text(said.get(_DEVICE_NAME, {})),
        )


def _observer_groups(root: Iterable[Content]) -> list[dict[str, Values]]:
    """The observer context by observer: concept -> content item."""
    groups: list[dict[str, Values]] = []
    for found in root:
        if found.concept not in _OBSERVER:
            continue
        if found.concept == _OBSERVER_TYPE or not groups or found.concept in groups[-1]:
            groups.append({})
        groups[-1][found.concept] = found.item
    return groups


def _text(item: Values) -> str | None:
    return clean_text(item.get("TextValue", ""))  # UT: a backslash is a backslash
