"""`dicom2fhir convert`: DICOM in, FHIR out."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from dicom2fhir.cli import settings
from dicom2fhir.cli.logs import Talk
from dicom2fhir.cli.options import Convert
from dicom2fhir.cli.progress import watch
from dicom2fhir.errors import Exit, UsageError

if TYPE_CHECKING:
    from dicom2fhir.pipeline import Options
    from dicom2fhir.report import Report
    from dicom2fhir.sinks.base import Sink
    from dicom2fhir.workers import Spare


READING = ("dicom2fhir.dicom.header", "dicom2fhir.dicom.runs")
"""What reading processes import."""


def convert(chosen: Convert, talk: Talk) -> Exit:
    """Convert what `chosen` says; the summary goes to `talk`."""
    from dicom2fhir.workers import Spare

    with Spare(*READING) as spare:  # which gets ready while all that follows is imported
        return _convert(chosen, talk, spare)


def _convert(chosen: Convert, talk: Talk, spare: Spare) -> Exit:
    from dicom2fhir import pipeline
    from dicom2fhir.report import summary_lines

    options = settings.run_options(chosen)
    sink = _sink(chosen, options, talk)
    source = settings.source(chosen, (*sink.own_paths, *_report_paths(chosen, sink)))
    talk.debug(f"reading with {options.jobs} processes", event="start", jobs=options.jobs, to=options.to)
    on_terminal = _to_stdout(chosen) and sys.stdout is not None and sys.stdout.isatty()
    with watch(talk, wanted=not chosen.no_progress, data_on_terminal=on_terminal) as on_event:
        report = pipeline.convert(source, sink, options, on_event, spare)
    _summarise(report, talk, summary_lines(report, dry_run=chosen.dry_run))
    return report.exit_code


def _to_stdout(chosen: Convert) -> bool:
    return chosen.server is None and chosen.output in (None, "-")


def _sink(chosen: Convert, options: Options, talk: Talk) -> Sink:
    """Where the studies go: a file, a folder, standard output, or a server."""
    from dicom2fhir.sinks.choose import choose

    if chosen.server is None:
        if chosen.state is not None:
            raise UsageError("--state is for --server")
        return choose(
            chosen.output, chosen.format, pretty=chosen.pretty, overwrite=chosen.overwrite, dry_run=chosen.dry_run
        )
    if chosen.output is not None:
        raise UsageError("--server and --output exclude each other; `dicom2fhir send` sends what --output wrote")
    if chosen.format != "bundles" or chosen.bundle_type == "collection" or chosen.pretty:
        raise UsageError("--server is sent a transaction or a batch a study: no --format, --pretty or collection")
    return _server(chosen, options, talk)


def _server(chosen: Convert, options: Options, talk: Talk) -> Sink:
    from dicom2fhir.cli import serving
    from dicom2fhir.fhir.versions import DIALECTS
    from dicom2fhir.server.preflight import needs
    from dicom2fhir.sinks.server import FhirServer

    dialect = DIALECTS[options.to]
    asked = needs(dialect, options.policy, chosen.requests)
    delivery = serving.delivery(chosen, asked, dialect, talk, dry_run=chosen.dry_run)
    return FhirServer(delivery)


def _report_paths(chosen: Convert, sink: Sink) -> tuple[str, ...]:
    """The report's file and its temporary name, after checking that it can be written."""
    from dicom2fhir.report import check_report_path
    from dicom2fhir.sinks.files import outlet

    if chosen.report is None:
        return ()
    if chosen.report == "-":
        if _to_stdout(chosen) and not chosen.dry_run:
            raise UsageError("--report - and the output cannot both be standard output")
        return ()
    own = outlet(chosen.report, overwrite=True).own_paths
    if own and own[0] in sink.own_paths:
        raise UsageError("--report and --output are the same")
    folder = os.path.dirname(os.path.realpath(chosen.report))
    if not os.path.isdir(folder) and folder not in sink.own_paths:
        raise UsageError("the report's folder does not exist")
    check_report_path(chosen.report, overwrite=chosen.overwrite)
    return own


def _summarise(report: Report, talk: Talk, lines: list[str]) -> None:
    from dicom2fhir.problems import MEANINGS

    for line in lines:
        talk.info(line, event="summary")
    for code, rows in sorted(report.problem_counts.items()):
        talk.debug(f"{code} ({rows}): {MEANINGS[code].sentence}", event="problem", code=str(code), rows=rows)
    numbers = {name: value for name, value in report.to_json().items() if name != "problems"}
    if talk.form == "json":
        talk.info("finished", event="finished", **numbers)
