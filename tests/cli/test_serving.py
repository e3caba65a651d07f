"""From options to a delivery: each has its place, and what is missing or unsafe is said in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dicom2fhir.cli import serving
from dicom2fhir.cli.logs import Talk
from dicom2fhir.cli.options import Send
from dicom2fhir.errors import ConfigurationError, Dicom2FhirError, ServerMisconfigured, UsageError
from dicom2fhir.fhir.versions import DIALECTS
from dicom2fhir.server.auth import Basic, Bearer, ClientCredentials, NoAuth
from dicom2fhir.server.capability import Capabilities
from dicom2fhir.server.journal import Journal
from dicom2fhir.server.ledger import Memory
from dicom2fhir.server.manner import Manner
from dicom2fhir.server.preflight import Needs
from dicom2fhir.server.target import Target, Timing

BASE = "https://fhir.example/r4"
R4 = DIALECTS["r4"]
QUIET = Talk(verbosity=-1)


def chosen(**options: Any) -> Send:
    return Send(**{"server": BASE, **options})


def test_the_defaults_are_those_of_the_library() -> None:
    assert serving.target(chosen(), R4) == Target(BASE)
    assert serving.timing(chosen()) == Timing()
    assert serving.manner(chosen(), Capabilities(), Needs("4.0.1", frozenset()), QUIET, dry_run=False) == Manner()


def test_every_option_has_its_place(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("x")
    given = chosen(
        media_type="application/json", header=["X-A: b"], max_answer=1, cacert=str(tmp_path / "ca.pem"), gzip=True,
        insecure_tls=True, proxy="http://proxy.example:3128", connect_timeout=1.0, read_timeout=2.0,
        request_deadline=3.0, backoff_min=4.0, backoff_max=5.0, retry_after_max=6.0, tries=7, give_up_after=8.0,
    )  # fmt: skip
    found = serving.target(given, R4, 9)
    assert (found.media_type, found.headers, found.max_answer) == ("application/json", (("X-A", "b"),), 1 << 20)
    assert (found.cacert, found.gzip, found.insecure_tls) == (str(tmp_path / "ca.pem"), True, True)
    assert (found.connections, found.proxy) == (9, "http://proxy.example:3128")
    assert found.timing == Timing(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7, 8.0)


def test_dstu2_has_a_media_type_of_its_own() -> None:
    assert serving.target(chosen(), DIALECTS["dstu2"]).media_type == "application/json+fhir"


def test_a_profile_gives_limits_that_options_overrule() -> None:
    asked = Needs("4.0.1", frozenset())
    found = serving.manner(chosen(server_profile="medplum"), Capabilities(), asked, QUIET, dry_run=False)
    assert (found.most_entries, found.most_conditional) == (50, 8)
    told = chosen(server_profile="firely", max_entries=3, max_bytes=4, on_existing="skip")
    found = serving.manner(told, Capabilities(), asked, QUIET, dry_run=True)
    assert found == Manner("skip", most_entries=3, most_bytes=4, trial=True)
    with pytest.raises(UsageError):
        serving.target(chosen(server_profile="nobody"), R4)


@pytest.mark.parametrize(
    ("requests", "transaction", "bundle_type", "single"),
    [
        ("auto", False, "transaction", True),
        ("auto", None, "transaction", False),
        ("auto", True, "transaction", False),
        ("auto", False, "batch", False),
        ("single", True, "transaction", True),
        ("bundle", False, "transaction", False),
    ],
)
def test_when_each_resource_is_a_request(requests: Any, transaction: Any, bundle_type: str, single: bool) -> None:
    can, asked = Capabilities(transaction=transaction), Needs("4.0.1", frozenset(), bundle_type, requests)
    assert serving.one_by_one(requests, can, asked) is single


def test_what_the_server_lacks_is_said_before_anything_is_sent() -> None:
    with pytest.raises(ServerMisconfigured, match="the address of its base"):
        serving.demand(Capabilities(fhir_version="5.0.0"), Needs("4.0.1", frozenset()))


def test_a_header_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k3y \nmore\n")
    assert serving.headers([f"X-Api-Key:@{tmp_path}/key"]) == (("X-Api-Key", "k3y"),)
    assert serving.headers(["A:b:c", "B: "]) == (("A", "b:c"), ("B", ""))


@pytest.mark.parametrize(
    ("header", "error"),
    [
        ("nothing", UsageError),
        ("Authorization: Bearer x", UsageError),
        ("proxy-authorization:x", UsageError),
        ("Cookie: a", UsageError),
        ("X:@/nowhere/at/all", ConfigurationError),
    ],
)
def test_headers_that_are_refused(header: str, error: type[Dicom2FhirError]) -> None:
    with pytest.raises(error) as raised:
        serving.headers([header])
    assert "Bearer x" not in str(raised.value)


@pytest.mark.parametrize(
    "options",
    [
        {"server": None},
        {"server": "http://fhir.example/r4"},
        {"server": "https://me:pw@fhir.example/r4"},
        {"server": "fhir.example"},
        {"server": BASE, "proxy": "nonsense"},
    ],
)
def test_addresses_that_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as raised:
        serving.target(chosen(**options), R4)
    assert "pw" not in str(raised.value)


def test_what_is_allowed_on_demand(tmp_path: Path) -> None:
    assert (
        serving.target(chosen(server="http://fhir.example/r4/", allow_http=True), R4).base == "http://fhir.example/r4"
    )
    assert serving.target(chosen(server="http://127.0.0.1:8080/r4"), R4).base == "http://127.0.0.1:8080/r4"
    with pytest.raises(ConfigurationError, match="cacert"):
        serving.target(chosen(cacert=str(tmp_path / "none")), R4)


def test_who_we_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DICOM2FHIR_SECRET", "s")
    where = Target(BASE)
    grant = {"auth": "client-credentials", "client_id": "c", "token_url": "https://auth.example/token"}
    assert isinstance(serving.auth(chosen(), where), NoAuth)
    assert isinstance(serving.auth(chosen(auth="bearer"), where), Bearer)
    assert isinstance(serving.auth(chosen(auth="basic", user="me"), where), Basic)
    assert isinstance(serving.auth(chosen(**grant), where), ClientCredentials)


@pytest.mark.parametrize(
    "options",
    [
        {"auth": "basic"},
        {"auth": "client-credentials", "client_id": "c"},
        {"auth": "client-credentials", "token_url": "https://auth.example/token"},
        {"auth": "client-credentials", "client_id": "c", "token_url": "http://auth.example/token"},
        {"auth": "bearer", "secret_file": "a", "secret_command": "b"},
    ],
)
def test_what_is_missing_to_say_who_we_are(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DICOM2FHIR_SECRET", "s")
    with pytest.raises(UsageError):
        serving.auth(chosen(**options), Target(BASE))


def test_without_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DICOM2FHIR_SECRET", raising=False)
    with pytest.raises(UsageError, match="DICOM2FHIR_SECRET"):
        serving.auth(chosen(auth="bearer"), Target(BASE))


def test_what_remembers(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    assert isinstance(serving.ledger(chosen(), BASE, "r4", dry_run=False), Memory)
    assert isinstance(serving.ledger(chosen(state=state), BASE, "r4", dry_run=True), Memory)
    assert isinstance(serving.ledger(chosen(state=state), BASE, "r4", dry_run=False), Journal)
    assert not (tmp_path / "state").exists()
