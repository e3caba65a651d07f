"""Why one study does not get into the server. An exception within the delivery, a problem in the report."""

from __future__ import annotations

from typing import Any

from dicom2fhir.problems import Code


class Refused(Exception):
    """The study cannot be written as asked, whoever tries again; `outcome` is the server's OperationOutcome."""

    def __init__(self, code: Code, message: str, status: int | None = None, outcome: Any = None) -> None:
        super().__init__(code.value)
        self.code, self.message, self.status, self.outcome = code, message, status, outcome


class Changed(Exception):
    """The server says that the stored study, or the number of matches, is not what was seen: look again."""

    def __init__(self, refusal: Refused) -> None:
        super().__init__(refusal.code.value)
        self.refusal = refusal


class Unsettled(Exception):
    """Nobody knows whether the study was written: look, then decide."""
