"""Addresses that may be used: absolute, without credentials, and encrypted unless the wire is this machine's own."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, unquote, urlsplit

from dicom2fhir.errors import UsageError

_HOST = re.compile(r"[0-9A-Za-z_-]{1,63}(\.[0-9A-Za-z_-]{1,63})*\.?")
_PRINTABLE = re.compile(r"[\x21-\x7e]+")
_PORTS = {"http": 80, "https": 443}


def check_base(url: str, allow_http: bool = False) -> str:
    """The base of a FHIR server, in one spelling: scheme and host in lower case, no default port, no slash at its end.

    Raises UsageError; the sentence never repeats the address, which may hold what was not meant to be shown.
    """
    parts = _split(url, "the server's address", allow_http)
    if "?" in url:
        raise UsageError("the server's address is the FHIR base, without ?")
    return f"{parts.scheme}://{_authority(parts)}{parts.path}".rstrip("/")


def check_token_url(url: str, allow_http: bool = False) -> str:
    """The address of a token endpoint; it may have a query (RFC 6749 section 3.2). Raises UsageError."""
    _split(url, "the token endpoint's address", allow_http)
    return url


def check_proxy(url: str) -> str:
    """The address of an HTTP proxy: scheme, host and port. Raises UsageError."""
    parts = _split(url, "the proxy's address", allow_http=True)
    if parts.path not in ("", "/") or "?" in url:
        raise UsageError("the proxy's address is http://host:port, without a path")
    return f"{parts.scheme}://{_authority(parts)}"


def below(base: str, path: str) -> str:
    """The address of `path` (with its query) below a base; "" is the base itself.

    Raises UsageError where it would be another place: what is sent may come from a file of anybody's making.
    """
    if not path:
        return base
    segments = unquote(path.partition("?")[0]).replace("\\", "/").split("/")
    if not _PRINTABLE.fullmatch(path) or "#" in path or any(segment in (".", "..", "") for segment in segments):
        raise UsageError("an entry's request.url is not an address below the server's base")
    return f"{base}/{path}"


def _split(url: str, what: str, allow_http: bool) -> SplitResult:
    """The parts of an absolute http(s) address that carries no credentials."""
    try:
        parts = urlsplit(url)
        absolute = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        absolute = False
    if not absolute or not _PRINTABLE.fullmatch(url) or "\\" in url or not _has_host(parts):
        raise UsageError(f"{what} is absolute: https://host/...")
    if "@" in parts.netloc:
        raise UsageError(f"{what} holds credentials: they come from a file, a command or the environment (--auth)")
    if "#" in url:
        raise UsageError(f"{what} has no #")
    if parts.scheme == "http" and not allow_http and not is_loopback(parts.hostname or ""):
        raise UsageError(f"{what} is http, so that everybody on the way can read and change what is sent: --allow-http")
    return parts


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, as it is written: 127.0.0.0/8, ::1 or localhost (RFC 6761 section 6.3)."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _has_host(parts: SplitResult) -> bool:
    """Whether the host is a name or an address; names in other scripts are given in their ASCII form (RFC 5891)."""
    host = parts.hostname or ""
    try:
        if "[" in parts.netloc:
            return bool(ipaddress.IPv6Address(host))
        if re.fullmatch(r"[0-9.]+", host):
            return bool(ipaddress.IPv4Address(host))
    except ValueError:
        return False
    return _HOST.fullmatch(host) is not None


def _authority(parts: SplitResult) -> str:
    """Host and port in lower case, the port only where it is not the scheme's own."""
    host = (parts.hostname or "").lower()
    shown = f"[{host}]" if ":" in host else host
    return shown if parts.port in (None, _PORTS[parts.scheme]) else f"{shown}:{parts.port}"
