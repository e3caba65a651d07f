"""Where requests go, and how patient we are. Plain data."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from dicom2fhir.errors import UsageError

FHIR_JSON = "application/fhir+json"
"""The media type since STU3 (hl7.org/fhir/R4/http#mime-type)."""
FHIR_JSON_DSTU2 = "application/json+fhir"

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x20-\x7e\t]*")
# What says where a message ends and who gets it is not the user's to set.
_FRAMING = frozenset(
    ("connection", "content-encoding", "content-length", "expect", "host", "te", "transfer-encoding", "upgrade")
)


@dataclass(frozen=True, slots=True)
class Timing:
    """Every deadline, backoff and budget. All in seconds, but for `tries`.

    connect: for a connection, TLS included. read: between two pieces of an answer, and for writing one piece.
    total: one request from its first byte to the last of its answer, however busily the server drips.
    backoff_min, backoff_max: the bounds of the waits between two tries. retry_after_max: the longest wait that
    a server may ask for. tries: how often one request is made that the server answers with a fault.
    give_up: how long nothing at all may be answered until the server counts as away.
    """

    connect: float = 10.0
    read: float = 60.0
    total: float = 300.0
    backoff_min: float = 1.0
    backoff_max: float = 60.0
    retry_after_max: float = 300.0
    tries: int = 8
    give_up: float = 300.0


@dataclass(frozen=True, slots=True)
class Target:
    """A FHIR server, or a token endpoint, and how it is spoken to.

    `base` is an address as `address.check_base` gives it. `headers` go with every request; as they may hold keys
    they are never shown. `max_answer` bounds an answer's body in bytes, before and after unpacking.
    `cacert` is a PEM file that takes the place of the system's certificates. `gzip` packs what is sent.

    Raises UsageError where a header is none, or belongs to the protocol.
    """

    base: str
    media_type: str = FHIR_JSON
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    connections: int = 4
    max_answer: int = 8 << 20
    cacert: str | None = None
    insecure_tls: bool = False
    proxy: str | None = None
    gzip: bool = False
    timing: Timing = Timing()

    def __post_init__(self) -> None:
        for name, value in self.headers:
            if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
                raise UsageError("a header is a name of letters, digits and hyphens, a colon, and a value in ASCII")
            if name.lower() in _FRAMING:
                raise UsageError(f"the header {name.lower()} cannot be set")
