"""Stable, opaque names: the ids of resources, their fullUrls, and searches that find them.

An id depends on (resource type, namespace, identity) and on nothing else: not on paths, options,
runs or the FHIR version. PatientIDs are short enough to be guessed from a plain hash, so a key
(`--id-key-file`) turns the hash into an HMAC.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from functools import lru_cache
from urllib.parse import quote

_NAMESPACE = uuid.UUID("b6c5f3b0-6f0e-5d5c-9a3e-4f1d0c2a7e91")
_ESCAPES = str.maketrans({character: "\\" + character for character in "\\,|$"})


def resource_id(resource_type: str, namespace: str, identity: str, key: bytes | None = None) -> str:
    """The id of a resource: 32 characters, a letter and then base32 (155 bits) of SHA-256, or of the HMAC.

    The three parts are length-prefixed, so that no two triples share their bytes.
    """
    parts = (part.encode() for part in (resource_type, namespace, identity))
    message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    digest = hmac.digest(key, message, "sha256") if key is not None else hashlib.sha256(message).digest()
    return "d" + base64.b32encode(digest)[:31].decode().lower()


def resource_uuid(identifier: str) -> uuid.UUID:
    """The UUIDv5 of a resource's id."""
    return uuid.uuid5(_NAMESPACE, identifier)


def full_url(identifier: str) -> str:
    """The fullUrl of the entry of the resource with this id."""
    return f"urn:uuid:{resource_uuid(identifier)}"


@lru_cache(maxsize=256)  # systems come again with every study
def search_value(text: str) -> str:
    """A value for a search: `\\ , | $` escaped with a backslash, then percent-encoded.

    See hl7.org/fhir/R4/search#escaping. Unescaped, `12,34` would ask for 12 of this system or 34 of any.
    """
    return quote(text.translate(_ESCAPES), safe="")


def identifier_query(system: str, value: str) -> str:
    """The search `identifier=system|value`; without a system there is none that could be trusted."""
    return f"identifier={search_value(system)}%7C{search_value(value)}"
