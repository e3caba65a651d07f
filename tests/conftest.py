"""What every test shares: test data's own building blocks can be imported, generated values are the same every time,
and one option says what reads DICOM wherever a test does not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import by_pydicom
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "house", deadline=None, derandomize=True, database=None, max_examples=40, suppress_health_check=list(HealthCheck)
)
settings.register_profile("search", parent=settings.get_profile("house"), derandomize=False, max_examples=400)
settings.load_profile("house")

sys.path.append(str(Path(__file__).parent.parent / "testdata"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--reader", choices=("auto", "pydicom"), default="auto", help="what reads DICOM where a test does not say it"
    )


def _by_pydicom(config: pytest.Config) -> bool:
    return config.getoption("--reader") == "pydicom"


def pytest_configure(config: pytest.Config) -> None:
    if _by_pydicom(config):
        by_pydicom.begin()


def pytest_unconfigure(config: pytest.Config) -> None:
    if _by_pydicom(config):
        by_pydicom.end()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Whether a module is left out; None leaves it to others to say."""
    a_test = collection_path.match("test_*.py")
    return True if a_test and _by_pydicom(config) and not by_pydicom.reads(collection_path) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is about the scanner."""
    if _by_pydicom(config):
        left_out = [item for item in items if item.get_closest_marker("scanner")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("scanner")]


@pytest.fixture(autouse=True)
def _one_reader(request: pytest.FixtureRequest) -> Iterator[None]:
    """With the option no test lets the scanner read; without, those that it leaves out let no command read at all."""
    if _by_pydicom(request.config):
        yield
        assert by_pydicom.scanner_calls() == ""
        return
    with pytest.MonkeyPatch.context() as patch:
        if not by_pydicom.reads(request.path):
            patch.setenv("DICOM2FHIR_READER", "none: by_pydicom.reads() does not see that this reads")
        yield
