"""One group of header records -> model.Study: which value wins, what is unknown, what is wrong."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter, itemgetter

from dicom2fhir.dicom.records import StudyRecords
from dicom2fhir.dicom.values import clean_text, joined
from dicom2fhir.mapping.evidence import Evidence, Notebook, Voter, agreeing
from dicom2fhir.mapping.keyobjects import Alone, Elsewhere, key_objects
from dicom2fhir.mapping.moments import Moments, sort_key
from dicom2fhir.mapping.orders import Orders
from dicom2fhir.mapping.patient import Conflict, Patients
from dicom2fhir.mapping.people import People
from dicom2fhir.mapping.series import SERIES_ALONE, build_series, series_key
from dicom2fhir.mapping.settings import Settings
from dicom2fhir.mapping.terms import Terms
from dicom2fhir.model import Identifier, KeyObject, Location, Moment, Practitioner, Series, Study
from dicom2fhir.problems import Code, Problem


def build_study(
    records: StudyRecords, settings: Settings, elsewhere: Elsewhere | None = None
) -> tuple[Study | None, list[Problem]]:
    """The study, or None where its instances name different patients; and everything that is wrong with it.

    `elsewhere` is what key objects of several studies ask about the others; without it nothing else was read.
    """
    notebook = Notebook(records.uid)
    reader = _Reader(records, settings, notebook, elsewhere or Elsewhere(Alone(records), settings))
    if reader.has_notes():
        _note_records(records, notebook)
    try:
        study = reader.study()
    except Conflict:
        return None, notebook.problems()
    return study, notebook.problems()


def _note_records(records: StudyRecords, notebook: Notebook) -> None:
    """Notes that reading made: those of a context count for each instance that shares it."""
    for instance in records.instances:
        for code, keyword in instance.context.notes:
            notebook.add(Code(code), instance.context.series, keyword)
        for code, keyword in instance.notes:
            notebook.add(Code(code), instance.context.series, instance.uid, keyword)


class _Reader:
    def __init__(self, records: StudyRecords, settings: Settings, notebook: Notebook, elsewhere: Elsewhere) -> None:
        self._records, self._settings, self._notebook = records, settings, notebook
        self._elsewhere = elsewhere
        grouped = groupby(records.instances, key=attrgetter("context.series"))
        self._of_series = {uid: Evidence(tuple(members), notebook, uid) for uid, members in grouped}
        voters = [voter for evidence in self._of_series.values() for voter in evidence.voters]
        self._contexts = [voter.context for voter in voters]
        self._evidence = Evidence(records.instances, notebook, known=agreeing(voters, SERIES_ALONE))
        self._terms = Terms(settings, self._evidence)
        self._people = People(self._terms, self._evidence)
        self._moments = Moments(settings, self._evidence)

    def has_notes(self) -> bool:
        """Whether reading noted anything: in most studies it did not."""
        return any(map(itemgetter(3), self._records.instances)) or any(context.notes for context in self._contexts)

    def study(self) -> Study:
        orders = Orders(self._settings, self._evidence, self._terms, self._people)
        patients = Patients(self._settings, self._evidence, self._terms, self._people, self._moments)
        patient, forced = patients.patient()
        if forced:
            self._notebook.add(Code.PATIENT_FORCED)
        requests = orders.requests()
        procedure_codes = orders.procedure_codes(requests)
        return Study(
            uid=self._records.uid,
            patient=patient,
            series=self._series(),
            study_id=self._study_id(),
            accessions=orders.accessions(),
            started=self._started(),
            description=self._description(),
            requests=requests,
            referrer=next(
                iter(self._persons("ReferringPhysicianName", "ReferringPhysicianIdentificationSequence")), None
            ),
            interpreters=self._persons("NameOfPhysiciansReadingStudy", "PhysiciansReadingStudyIdentificationSequence"),
            procedure_codes=procedure_codes,
            procedures=orders.procedures(next(iter(procedure_codes), None)),
            reasons=orders.reasons(),
            encounter=orders.encounter(),
            location=self._location(),
            endpoints=self._settings.endpoints,
            clinical_information=self._clinical_information(),
            key_objects=self._key_objects(),
        )

    def _key_objects(self) -> tuple[KeyObject, ...]:
        if not self._settings.key_objects:
            return ()
        return key_objects(self._records, self._settings, self._notebook, self._elsewhere)

    def _series(self) -> tuple[Series, ...]:
        listed = self._listed()
        if not listed:
            self._notebook.add(Code.INSTANCES_OMITTED)
        found = [build_series(uid, said, self._settings, listed=listed) for uid, said in self._of_series.items()]
        return tuple(sorted(found, key=series_key))

    def _listed(self) -> bool:
        limit = self._settings.max_instances
        return not self._settings.series_only and (limit is None or len(self._records.instances) <= limit)

    def _study_id(self) -> Identifier | None:
        value = self._evidence.text("StudyID")
        return Identifier(value, "study-id") if value else None

    def _started(self) -> Moment | None:
        """Date, time and offset as one tuple of one instance (contract: Values)."""
        moments = self._moments
        started = self._evidence.elect(
            "StudyDate", lambda v: moments.of(v.values, "StudyDate", "StudyTime", v.values, v.count), sort_key
        )
        if started is not None and started.time and not started.offset:
            self._notebook.add(Code.NO_TIME_ZONE, "StudyTime")
        return started

    def _description(self) -> str | None:
        """(0008,1030), then the meaning of the procedure's code, then what was requested."""
        evidence = self._evidence
        return (
            evidence.text("StudyDescription")
            or evidence.elect("ProcedureCodeSequence", self._procedure_meaning)
            or evidence.text("RequestedProcedureDescription")
        )

    def _clinical_information(self) -> tuple[str, ...]:
        """The admitting diagnoses (0008,1080), without words those of their codes (0008,1084); the history (0010,21B0).

        None of it is why the study was done (PS3.3 C.7.2.2).
        """
        keyword = "AdditionalPatientHistory"
        diagnoses = self._evidence.elect("AdmittingDiagnosesDescription", _diagnoses)
        history = self._evidence.elect(keyword, lambda voter: clean_text(voter.values.get(keyword, "")))
        return tuple(words for words in (diagnoses, history) if words)

    def _procedure_meaning(self, voter: Voter) -> str | None:
        concepts = self._terms.concepts(voter, "ProcedureCodeSequence")
        return "; ".join(concept.text for concept in concepts if concept.text) or None

    def _persons(self, names: str, identification: str) -> tuple[Practitioner, ...]:
        return self._evidence.elect(names, lambda v: self._people.persons(v, v.values, names, identification)) or ()

    def _location(self) -> Location | None:
        """The department (0008,1040), (0008,1041), else where the step was performed (0040,0243)."""
        return self._evidence.elect("InstitutionalDepartmentName", self._department)

    def _department(self, voter: Voter) -> Location | None:
        types = self._terms.concepts(voter, "InstitutionalDepartmentTypeCodeSequence")
        name = voter.text("InstitutionalDepartmentName") or voter.text("PerformedLocation")
        name = name or next((clean_text(t.text) for t in types if t.text), None)
        if name is None and not types:
            return None
        return Location(name, types, self._people.organization(voter, voter.values, "InstitutionCodeSequence"))


def _diagnoses(voter: Voter) -> str | None:
    items = voter.items("AdmittingDiagnosesCodeSequence")
    meanings = filter(None, (clean_text(joined(item.get("CodeMeaning", ""))) for item in items))
    return voter.text("AdmittingDiagnosesDescription") or "; ".join(dict.fromkeys(meanings)) or None
