"""From chosen options to a delivery: where it goes, who we are, how patient we are, what is remembered."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dicom2fhir.cli.logs import Talk
from dicom2fhir.cli.options import Delivering, Requests, Serving
from dicom2fhir.errors import ConfigurationError, ServerMisconfigured, UsageError

if TYPE_CHECKING:
    from dicom2fhir.fhir.dialect import Dialect
    from dicom2fhir.server.auth import Auth
    from dicom2fhir.server.capability import Capabilities
    from dicom2fhir.server.delivery import Delivery
    from dicom2fhir.server.ledger import Ledger
    from dicom2fhir.server.manner import Manner
    from dicom2fhir.server.preflight import Needs
    from dicom2fhir.server.secrets import Secret
    from dicom2fhir.server.target import Target, Timing

SECRET = "DICOM2FHIR_SECRET"
_OPEN_SECRETS = frozenset(("authorization", "proxy-authorization", "cookie"))


def delivery(chosen: Delivering, asked: Needs, dialect: Dialect, talk: Talk, *, dry_run: bool = False) -> Delivery:
    """A delivery that was not opened yet. Raises UsageError, ConfigurationError."""
    from dicom2fhir.server.delivery import Delivery
    from dicom2fhir.server.profiles import profile

    where = target(chosen, dialect, chosen.connections)
    kept = ledger(chosen, where.base, dialect.name, dry_run=dry_run)
    if chosen.state is None and not dry_run:
        talk.info("Without --state nothing is remembered: a run that is stopped begins anew.", event="no-state")

    def preflight(can: Capabilities) -> Manner:
        told = profile(chosen.server_profile).told(can)
        demand(told, asked)
        return manner(chosen, told, asked, talk, dry_run=dry_run)

    return Delivery(where, auth(chosen, where), kept, preflight)


def demand(can: Capabilities, asked: Needs) -> None:
    """Raises ServerMisconfigured for the first thing that the server is known to lack."""
    from dicom2fhir.server.preflight import check

    lacks = check(can, asked)
    if lacks:
        raise ServerMisconfigured(lacks[0].sentence)


def manner(chosen: Delivering, can: Capabilities, asked: Needs, talk: Talk, *, dry_run: bool) -> Manner:
    """How studies are delivered to a server that can do what is asked."""
    from dicom2fhir.server.manner import Manner
    from dicom2fhir.server.profiles import profile

    known = profile(chosen.server_profile)
    single = one_by_one(chosen.requests, can, asked)
    if single and chosen.requests == "auto":
        talk.info("The server has no transactions: each resource is a request of its own.", event="single-requests")
    return Manner(
        on_existing=chosen.on_existing,
        single=single,
        most_entries=chosen.max_entries or known.max_entries,
        most_conditional=known.max_conditional,
        most_bytes=chosen.max_bytes or known.max_bytes,
        trial=dry_run,
    )


def one_by_one(requests: Requests, can: Capabilities, asked: Needs) -> bool:
    """Whether each resource is a request of its own: as the user says, or because the server has no transactions."""
    return requests == "single" or (
        requests == "auto" and asked.bundle_type == "transaction" and can.transaction is False
    )


def target(chosen: Serving, dialect: Dialect, connections: int | None = None) -> Target:
    """Where requests go."""
    from dicom2fhir.server.address import check_base, check_proxy
    from dicom2fhir.server.profiles import profile
    from dicom2fhir.server.target import Target

    if chosen.server is None:
        raise UsageError("--server URL says which server")
    if chosen.cacert is not None and not os.path.isfile(chosen.cacert):
        raise ConfigurationError("--cacert is no file")
    return Target(
        base=check_base(chosen.server, chosen.allow_http),
        media_type=chosen.media_type or profile(chosen.server_profile).media_type or dialect.media_type,
        headers=headers(chosen.header or ()),
        connections=connections or 4,
        max_answer=chosen.max_answer << 20,
        cacert=chosen.cacert,
        insecure_tls=chosen.insecure_tls,
        proxy=None if chosen.proxy is None else check_proxy(chosen.proxy),
        gzip=chosen.gzip,
        timing=timing(chosen),
    )


def timing(chosen: Serving) -> Timing:
    """How patient we are."""
    from dicom2fhir.server.target import Timing

    return Timing(
        connect=chosen.connect_timeout,
        read=chosen.read_timeout,
        total=chosen.request_deadline,
        backoff_min=chosen.backoff_min,
        backoff_max=chosen.backoff_max,
        retry_after_max=chosen.retry_after_max,
        tries=chosen.tries,
        give_up=chosen.give_up_after,
    )


def headers(given: list[str] | tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """NAME:VALUE, or NAME:@FILE for what others must not see in a list of processes."""
    found = []
    for each in given:
        name, colon, value = each.partition(":")
        value = value.strip()
        if not colon:
            raise UsageError("--header takes NAME:VALUE")
        if value.startswith("@"):
            value = _first_line(value[1:])
        elif name.strip().lower() in _OPEN_SECRETS:
            raise UsageError("--header: a secret does not belong into the argument list; --auth, or NAME:@FILE")
        found.append((name.strip(), value))
    return tuple(found)


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError("the file of a --header cannot be read") from None


def auth(chosen: Serving, where: Target) -> Auth:
    """Who we are. Raises UsageError where something is missing for that."""
    from dicom2fhir.server.auth import Basic, Bearer, NoAuth

    if chosen.auth == "none":
        return NoAuth()
    if chosen.auth == "bearer":
        return Bearer(secret(chosen))
    if chosen.auth == "basic":
        if chosen.user is None:
            raise UsageError("--auth basic needs --user")
        return Basic(chosen.user, secret(chosen))
    return _client_credentials(chosen, where)


def _client_credentials(chosen: Serving, where: Target) -> Auth:
    from dataclasses import replace

    from dicom2fhir.server.address import check_token_url
    from dicom2fhir.server.auth import ClientCredentials

    if chosen.token_url is None or chosen.client_id is None:
        raise UsageError("--auth client-credentials needs --token-url and --client-id")
    endpoint = replace(where, base=check_token_url(chosen.token_url, chosen.allow_http), headers=())
    return ClientCredentials(endpoint, chosen.client_id, secret(chosen), chosen.token_scope)


def secret(chosen: Serving) -> Secret:
    """Where the secret is to be had."""
    from dicom2fhir.server.secrets import Secret

    if chosen.secret_file is not None and chosen.secret_command is not None:
        raise UsageError("--secret-file and --secret-command exclude each other")
    if chosen.secret_file is not None:
        return Secret("file", chosen.secret_file)
    if chosen.secret_command is not None:
        return Secret("command", chosen.secret_command)
    if SECRET not in os.environ:
        raise UsageError(f"--auth {chosen.auth} needs --secret-file, --secret-command or {SECRET} in the environment")
    return Secret("environment", SECRET)


def ledger(chosen: Delivering, base: str, to: str, *, dry_run: bool) -> Ledger:
    """What remembers the parcels: the state folder, or nothing that lasts."""
    from dicom2fhir.server.journal import Journal
    from dicom2fhir.server.ledger import Memory

    return Memory() if chosen.state is None or dry_run else Journal(chosen.state, base, to)
