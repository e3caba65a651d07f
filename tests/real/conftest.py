"""What the tests with real programs share: their own building blocks, the servers, and the table at the end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.append(str(Path(__file__).parent))

if TYPE_CHECKING:
    from servers import Fleet, Orthanc
    from stock import Stock


@pytest.fixture(scope="session")
def hapi() -> Iterator[Fleet]:
    """`hapi(version)` is a FHIR server of the version; every test of the run gets the same one."""
    from servers import Fleet

    fleet = Fleet()
    yield fleet
    fleet.end()


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """A DICOM archive, empty for every module."""
    from servers import Orthanc

    with Orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture(scope="session", params=["dstu2", "stu3", "r4", "r5", "r4b"])
def stock(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stock]:
    """testdata/clean on a server of its own, one version after the other: tests of a version follow each other.

    Last comes the version that not every test asks for: pytest groups tests by a version's place among those asked for.
    """
    from servers import Hapi
    from stock import Stock

    with Hapi(request.param) as server:
        yield Stock(server, tmp_path_factory.mktemp("stock"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the referee was given and what groups of warnings it gave, and what real servers answered."""
    from shown import SHOWN
    from verdicts import SUMMARY

    for title, lines in (("official referee", SUMMARY), *SHOWN.items()):
        if lines:
            terminalreporter.section(title)
        for line in lines:
            terminalreporter.write_line(line)
