"""What the tests with the official referee share: their own building blocks, and the table at the end."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the referee was given and what groups of warnings it gave."""
    from verdicts import SUMMARY

    terminalreporter.section("official referee")
    for line in SUMMARY:
        terminalreporter.write_line(line)
