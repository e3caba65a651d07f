"""`dicom2fhir send`: Bundles that lie in files, to a FHIR server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from time import monotonic
from typing import TYPE_CHECKING

from dicom2fhir import __version__
from dicom2fhir.cli import serving, settings
from dicom2fhir.cli.fhirfiles import read
from dicom2fhir.cli.logs import Talk
from dicom2fhir.cli.options import Send
from dicom2fhir.cli.progress import watch
from dicom2fhir.errors import Exit, UsageError
from dicom2fhir.problems import Code, Problem

if TYPE_CHECKING:
    from dicom2fhir.server.delivery import Delivery
    from dicom2fhir.server.parcels import Parcel

_SUFFIXES = (".json", ".json.gz", ".ndjson", ".ndjson.gz")
_NOT_OURS_TO_SEND = ("manifest.json",)


def send(chosen: Send, talk: Talk) -> Exit:
    """Send what `chosen` says; the summary goes to `talk`."""
    from dicom2fhir.fhir.versions import DIALECTS
    from dicom2fhir.pipeline import send as send_all
    from dicom2fhir.report import SendReport, check_report_path, send_lines, write_report
    from dicom2fhir.server.preflight import Needs

    dialect = DIALECTS[settings.version(chosen.to)]
    if not chosen.files and (chosen.state is None or chosen.dry_run):
        raise UsageError("a FILE says what is sent, or --state what earlier runs left")
    if chosen.report not in (None, "-"):
        check_report_path(chosen.report, overwrite=chosen.overwrite)
    asked = Needs(dialect.release, frozenset(), requests=chosen.requests)
    delivery = serving.delivery(chosen, asked, dialect, talk, dry_run=chosen.dry_run)
    report = SendReport(__version__, chosen.to)
    started = monotonic()
    with watch(talk, wanted=not chosen.no_progress) as on_event:
        problems = send_all(_letters(chosen, delivery), delivery, report, on_event)
    report.seconds = monotonic() - started
    if chosen.report is not None:
        write_report(chosen.report, report.to_json(), problems)
    for line in send_lines(report, dry_run=chosen.dry_run):
        talk.info(line, event="summary")
    return report.exit_code


def _letters(chosen: Send, delivery: Delivery) -> Iterator[Parcel | Problem]:
    if not chosen.files:
        yield from delivery.left_behind()
    for name in chosen.files or ():
        for path in _files(name):
            yield from _in_file(path)


def _files(name: str) -> list[str]:
    """The files of a FILE; of a folder those that hold FHIR, of a state folder its refused Bundles."""
    from dicom2fhir.server.deadletters import letters
    from dicom2fhir.server.journal import REFUSED, is_state

    if name == "-" or not os.path.isdir(name):
        return [name]
    if is_state(name):
        return letters(os.path.join(name, REFUSED))
    if os.path.basename(os.path.realpath(name)) == REFUSED:
        return letters(name)
    names = (each for each in os.listdir(name) if each.endswith(_SUFFIXES) and not each.startswith("."))
    return [os.path.join(name, each) for each in sorted(names, key=_rank) if each not in _NOT_OURS_TO_SEND]


def _rank(name: str) -> tuple[int, str]:
    """Files of one type each are sent in the order in which their resources refer to one another."""
    from dicom2fhir.server.letters import ORDER

    kind = name.partition(".")[0]
    return (ORDER.index(kind) if kind in ORDER else len(ORDER), name)


def _in_file(path: str) -> Iterator[Parcel | Problem]:
    from dicom2fhir.server.letters import NoFhir, Sorting

    sorting = Sorting()
    for record in read(path):
        try:
            yield from sorting.feed(record.value)
        except NoFhir as wrong:
            yield Problem(Code.MALFORMED, path=f"{path}:{record.line}", message=str(wrong))
    yield from sorting.end()
