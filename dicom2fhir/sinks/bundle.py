"""All studies in one Bundle, streamed: memory does not grow with the number of studies."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from dicom2fhir.encode import Encoder, compact, indented
from dicom2fhir.fhir.bundle import shell
from dicom2fhir.sinks.files import Outlet
from dicom2fhir.sinks.once import Resources, digest, only_new

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
        self._separator = b",\n" if pretty else b","
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

    def encode(self, emission: Emission, policy: Policy) -> tuple[bytes, Resources]:
        """How the Bundle begins, and the entries of one study."""
        say: Encoder = partial(indented, depth=2) if self._pretty else compact
        parts = [
            (entry.type, entry.id, digest(compact(entry.resource)), say(emission.wrap(entry, policy)))
            for entry in emission.entries
        ]
        return self._opening(policy), (emission.study_uid, parts)

    def _opening(self, policy: Policy) -> bytes:
        if self._pretty:
            return indented(shell(policy), 0)[:-2] + b',\n  "entry": [\n'
        return compact(shell(policy))[:-1] + b',"entry":['

    def write(self, encoded: tuple[bytes, Resources]) -> tuple[Problem, ...]:
        """Those of the entries that are new."""
        assert self._seen is not None
        opening, entries = encoded
        parts, problems = only_new(entries, self._seen)
        for _, data in parts:
            self._outlet.write((self._separator if self._started else opening) + data)
            self._started = True
        return problems

    def finish(self) -> None:
        """See `Sink`."""
        if self._started:
            self._outlet.write(b"\n  ]\n}\n" if self._pretty else b"]}\n")
        self._outlet.commit()

    def abort(self) -> None:
        """See `Sink`."""
        self._outlet.abort()
