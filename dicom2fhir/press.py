"""The press: what one study becomes, from its records to what a sink writes.

It needs the study's own rows and no more, so it runs in any process (see `presses`). Only key objects ask about other
studies; whoever has no index cannot press a study that has some.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from dicom2fhir.dicom.keyobjects import KEY_OBJECT_SELECTION
from dicom2fhir.dicom.records import StudyRecords
from dicom2fhir.fhir.bundle import Emission
from dicom2fhir.fhir.dialect import Dialect, hold, render
from dicom2fhir.fhir.policy import Policy
from dicom2fhir.index import StudyRows, records_of
from dicom2fhir.mapping import Elsewhere, Settings, build_study
from dicom2fhir.problems import Code, Problem


class Counts(NamedTuple):
    """What is written of a study; `numbered` is its numberOfInstances as written."""

    series: int
    instances: int
    numbered: int


class Pressed(NamedTuple):
    """What a study became, with all that the accounting asks.

    `withheld` is why nothing of it is written. `left_out` is what the version cannot hold of a study that is written
    (see `fhir.dialect.Held`); `encoded` is the sink's.
    """

    uid: str
    problems: list[Problem]
    withheld: Code | None = None
    counts: Counts = Counts(0, 0, 0)
    left_out: Mapping[str, frozenset[str] | None] = {}
    encoded: Any = None

    def plain(self) -> tuple[Any, ...]:
        """The same in types that can be marshalled, where what the sink writes can."""
        problems = [(problem.code.value, *problem[1:]) for problem in self.problems]
        withheld = None if self.withheld is None else self.withheld.value
        return self.uid, problems, withheld, tuple(self.counts), dict(self.left_out), self.encoded

    @classmethod
    def of(cls, plain: tuple[Any, ...]) -> Pressed:
        """What `plain` gave. Raises TypeError or ValueError for anything else."""
        uid, problems, withheld, counts, left_out, encoded = plain
        said = [Problem(Code(code), *rest) for code, *rest in problems]
        return cls(uid, said, None if withheld is None else Code(withheld), Counts(*counts), left_out, encoded)


@dataclass(frozen=True, slots=True)
class Press:
    """How studies are pressed in one run; `elsewhere` is what a study may ask about the others."""

    dialect: Dialect
    policy: Policy
    settings: Settings
    elsewhere: Elsewhere
    encode: Callable[[Emission, Policy], Any]
    validate: bool = True

    def asks_about_others(self, rows: StudyRows) -> bool:
        """Whether a study has key objects, which ask about the others; sometimes also True where it has none."""
        if not self.settings.key_objects:
            return False
        return any(KEY_OBJECT_SELECTION in body for contexts, _ in rows[1] for body in contexts.values())

    def press(self, rows: StudyRows) -> Pressed:
        """Map, render, check and encode one study."""
        uid = rows[0]
        study, problems = build_study(records_of(rows), self.settings, self.elsewhere)
        if study is None:
            return Pressed(uid, problems, Code.PATIENT_CONFLICT)
        held = hold(study, self.dialect)
        if held.study is None:
            return Pressed(uid, problems, Code.UID_NOT_AN_OID)
        emission = render(held.study, self.dialect, self.policy)
        problems += emission.problems
        if self.validate and not self._passes(emission):
            return Pressed(uid, problems, Code.INVALID_RESOURCE)
        counts = Counts(len(held.study.series), held.study.instance_count, emission.instance_count)
        return Pressed(uid, problems, None, counts, held.left_out, self.encode(emission, self.policy))

    def _passes(self, emission: Emission) -> bool:
        from dicom2fhir.fhir import validate  # which the rehearsal has loaded meanwhile

        return not any(validate.check(entry.resource, self.dialect.name) for entry in emission.entries)


class NobodyElse:
    """What a process without the index can say about other studies: nothing, so that none is pressed wrongly."""

    def places(self, uid: str) -> list[tuple[str, str]]:
        """Raises LookupError."""
        raise LookupError("the index is in another process")

    def study(self, uid: str) -> StudyRecords:
        """Raises LookupError."""
        raise LookupError("the index is in another process")
