"""All studies in one Bundle, streamed: memory does not grow with the number of studies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicom2fhir.encode import compact, indented
from dicom2fhir.fhir.bundle import shell
from dicom2fhir.sinks.files import Outlet
from dicom2fhir.sinks.once import only_new

if TYPE_CHECKING:
    from dicom2fhir.fhir.bundle import Emission
    from dicom2fhir.fhir.policy import Policy
    from dicom2fhir.problems import Problem
    from dicom2fhir.sinks.base import Seen


class OneBundle:
    """The bytes are those of the whole Bundle encoded at once. Each identity is in it once.

    Without a study there is no Bundle to write, for an empty `entry` is not allowed (hl7.org/fhir/R4/json.html).
    """

    def __init__(self, outlet: Outlet, *, pretty: bool = False) -> None:
        self._outlet = outlet
        self._pretty = pretty
        self._started = False
        self._seen: Seen | None = None

    @property
    def own_paths(self) -> tuple[str, ...]:
        """See `Sink`."""
        return self._outlet.own_paths

    def open(self, seen: Seen) -> None:
        """See `Sink`."""
        self._seen = seen
        self._outlet.open()

    def write(self, emission: Emission, policy: Policy) -> tuple[Problem, ...]:
        """The entries of one study that are new."""
        assert self._seen is not None
        entries, problems = only_new(emission, self._seen)
        for entry, _ in entries:
            self._outlet.write(self._separator(policy) + self._encode(emission.wrap(entry, policy)))
        return problems

    def _separator(self, policy: Policy) -> bytes:
        if self._started:
            return b",\n" if self._pretty else b","
        self._started = True
        head = shell(policy)
        opened = indented(head, 0)[:-2] if self._pretty else compact(head)[:-1]
        return opened + (b',\n  "entry": [\n' if self._pretty else b',"entry":[')

    def _encode(self, value: object) -> bytes:
        return indented(value, 2) if self._pretty else compact(value)

    def finish(self) -> None:
        """See `Sink`."""
        if self._started:
            self._outlet.write(b"\n  ]\n}\n" if self._pretty else b"]}\n")
        self._outlet.commit()

    def abort(self) -> None:
        """See `Sink`."""
        self._outlet.abort()
