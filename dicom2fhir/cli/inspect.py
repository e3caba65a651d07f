"""`dicom2fhir inspect`: what lies in the folders, as a tree or as JSON, without writing anything."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dicom2fhir.cli import settings
from dicom2fhir.cli.logs import Talk
from dicom2fhir.cli.options import Inspect
from dicom2fhir.cli.progress import watch
from dicom2fhir.errors import Exit
from dicom2fhir.problems import Problem
from dicom2fhir.report import problem_row

if TYPE_CHECKING:
    from rich.tree import Tree

    from dicom2fhir.model import Moment, Patient, Series, Study

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def inspect(chosen: Inspect, talk: Talk) -> Exit:
    """Show what lies below the PATHs."""
    from dicom2fhir import pipeline

    options = settings.run_options(chosen)
    source = settings.source(chosen)
    view = JsonView(chosen.show_patient) if chosen.json else TreeView(chosen.show_patient)
    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    with watch(talk, wanted=not chosen.no_progress, data_on_terminal=on_terminal) as on_event:
        report, outside = pipeline.survey(source, options, view.study, on_event)
    view.end(_numbers(report.files), outside)
    return report.exit_code


def _numbers(files: Any) -> dict[str, int]:
    return {name: getattr(files, name) for name in files.__slots__}


class JsonView:
    """One document: `{"studies": [...], "files": {...}, "problems": [...]}`, a study a line."""

    def __init__(self, show_patient: bool) -> None:
        self._show_patient = show_patient
        self._started = False

    def study(self, study: Study | None, uid: str, problems: list[Problem]) -> None:
        """One study; None: it is withheld."""
        facts = study_facts(study, self._show_patient) if study else {"withheld": True}
        self._write({"uid": uid, **facts, "problems": [problem_row(problem) for problem in problems]})

    def _write(self, row: dict[str, Any]) -> None:
        sys.stdout.write((",\n" if self._started else '{"studies":[\n') + json.dumps(row, ensure_ascii=False))
        self._started = True

    def end(self, files: dict[str, int], problems: Iterable[Problem]) -> None:
        """The rest of the document."""
        rest = {"files": files, "problems": [problem_row(problem) for problem in problems]}
        opened = "\n" if self._started else '{"studies":['
        sys.stdout.write(f"{opened}],\n{json.dumps(rest, ensure_ascii=False)[1:]}\n")


def study_facts(study: Study, show_patient: bool) -> dict[str, Any]:
    """What `inspect` tells of a study."""
    facts: dict[str, Any] = {
        "started": _moment(study.started),
        "description": study.description,
        "modalities": [modality.term for modality in study.modalities],
        "instances": study.instance_count,
        "series": [_series_facts(series) for series in study.series],
    }
    if show_patient:
        facts["patient"] = _patient_facts(study.patient)
    return facts


def _series_facts(series: Series) -> dict[str, Any]:
    return {
        "uid": series.uid,
        "number": series.number,
        "modality": series.modality.term,
        "description": series.description,
        "instances": series.instance_count,
    }


def _patient_facts(patient: Patient) -> dict[str, Any]:
    identifier = patient.identifier
    return {
        "identifier": identifier.value if identifier else None,
        "system": identifier.system if identifier else None,
        "names": [_name(name) for name in patient.names],
        "sex": patient.sex,
        "birth_date": patient.birth_date,
    }


def _name(name: Any) -> str:
    return name.text or " ".join(filter(None, (name.prefix, *name.given, name.family, name.suffix)))


def _moment(moment: Moment | None) -> str | None:
    if moment is None:
        return None
    return moment.date if moment.time is None else f"{moment.date}T{moment.time}{moment.offset or ''}"


class TreeView:
    """A tree a study. Values from files are shown as text: neither markup nor terminal controls act."""

    def __init__(self, show_patient: bool) -> None:
        from rich.console import Console

        self._show_patient = show_patient
        width = None if sys.stdout.isatty() else 10_000
        self._console = Console(width=width, highlight=False, emoji=False, markup=False)

    def study(self, study: Study | None, uid: str, problems: list[Problem]) -> None:
        """One study; None: it is withheld."""
        from rich.tree import Tree

        tree = Tree(_plain(uid, *(_headline(study) if study else ("withheld",))), highlight=False)
        if study:
            if self._show_patient:
                tree.add(_plain("patient", *map(str, filter(None, _flat(_patient_facts(study.patient))))))
            for series in study.series:
                tree.add(_series_line(series))
        _add_problems(tree, problems)
        self._draw(tree)

    def end(self, files: dict[str, int], problems: Iterable[Problem]) -> None:
        """The files, and what was wrong with those that belong to no study."""
        from rich.tree import Tree

        tree = Tree(_plain("files", *(f"{count} {name}" for name, count in files.items() if count)), highlight=False)
        _add_problems(tree, problems)
        self._draw(tree)

    def _draw(self, tree: Tree) -> None:
        # Not printed by rich itself, which would end the process with 1 when the pipe is closed.
        with self._console.capture() as drawn:
            self._console.print(tree)
        sys.stdout.write(drawn.get())


def _flat(facts: dict[str, Any]) -> Iterable[Any]:
    for value in facts.values():
        yield from value if isinstance(value, list) else (value,)


def _headline(study: Study) -> tuple[str, ...]:
    return (
        _moment(study.started) or "no date",
        "\\".join(modality.term for modality in study.modalities),
        study.description or "",
        f"{len(study.series)} series, {_instances(study.instance_count)}",
    )


def _instances(count: int) -> str:
    return "1 instance" if count == 1 else f"{count} instances"


def _series_line(series: Series) -> Any:
    number = "-" if series.number is None else str(series.number)
    return _plain(number, series.modality.term, series.description or "", _instances(series.instance_count))


def _add_problems(tree: Tree, problems: Iterable[Problem]) -> None:
    from rich.text import Text

    counts = Counter[str]()
    for problem in problems:
        counts[str(problem.code)] += problem.count
    for code in sorted(counts):
        tree.add(Text(f"{code} {counts[code]}", style="yellow"))


def _plain(*parts: str) -> Any:
    from rich.text import Text

    return Text("  ".join(_CONTROLS.sub(" ", part) for part in parts if part))
