"""Studies to a FHIR server: each Bundle is handed over, and what becomes of it is told when it is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicom2fhir.fhir.bundle import bundle
from dicom2fhir.server.parcels import Parcel, parcel

if TYPE_CHECKING:
    from dicom2fhir.fhir.bundle import Emission
    from dicom2fhir.fhir.policy import Policy
    from dicom2fhir.problems import Problem
    from dicom2fhir.server.delivery import Delivery
    from dicom2fhir.server.tally import Delivered
    from dicom2fhir.sinks.base import Seen, Waiting


class FhirServer:
    """One server."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery

    @property
    def own_paths(self) -> tuple[str, ...]:
        """See `Sink`: the state folder, where there is one."""
        return self._delivery.own_paths

    def open(self, seen: Seen) -> None:
        """See `Sink`. Raises `NotAuthorized`, `ServerMisconfigured`, `ServerAway` before a file is read."""
        self._delivery.open()

    def encode(self, emission: Emission, policy: Policy) -> Parcel:
        """One Bundle."""
        return parcel(bundle(emission, policy))

    def write(self, encoded: Parcel) -> tuple[Problem, ...]:
        """Hand it over; the problems are those of studies that were handed over before."""
        self._delivery.hand_over(encoded)
        return self.problems()

    def problems(self) -> tuple[Problem, ...]:
        """See `Sender`."""
        return tuple(self._delivery.problems())

    def settle(self, waiting: Waiting) -> Delivered:
        """See `Sender`."""
        return self._delivery.close(waiting)

    def finish(self) -> None:
        """See `Sink`; everything is settled by now."""

    def abort(self) -> None:
        """See `Sink`."""
        self._delivery.abort()
