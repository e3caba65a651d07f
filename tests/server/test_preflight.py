"""What the options ask of a server: each lack in one sentence that names what helps, and no lack out of silence."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policies import policies
from statements import TYPES, Json, resource, statement

from dicom2fhir.errors import UsageError
from dicom2fhir.fhir.policy import CREATABLE, Policy, parse_create
from dicom2fhir.fhir.versions import DIALECTS
from dicom2fhir.fhir.ways import STUDY, Way
from dicom2fhir.server.capability import Capabilities, read
from dicom2fhir.server.manner import Requests
from dicom2fhir.server.preflight import OWN_IDS_DENIED, Needs, check, needs

SILENT = read({"resourceType": "CapabilityStatement"})


def lacks(said: Json, policy: Policy | None = None, to: str = "r4", requests: Requests = "auto") -> dict[str, str]:
    """topic -> sentence, for a server that says this."""
    found = check(read(said), needs(DIALECTS[to], policy or Policy(), requests))
    assert len({each.topic for each in found}) == len(found)
    return {each.topic: each.sentence for each in found}


def every(without: tuple[str, ...] = (), **changes: Any) -> list[Json]:
    return [resource(name, without=without, **changes) for name in TYPES]


@pytest.mark.parametrize("to", DIALECTS)
@given(policy=policies)
def test_nothing_is_lacking_where_nothing_is_said(to: str, policy: Policy) -> None:
    for requests in ("auto", "bundle", "single"):
        assert check(SILENT, needs(DIALECTS[to], policy, requests)) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("to", DIALECTS)
@pytest.mark.parametrize("write", ["put", "conditional-update", "conditional-create", "create"])
def test_hapi_lacks_nothing(to: str, write: Any) -> None:
    for bundle_type in ("transaction", "batch"):
        if (write, bundle_type) != ("create", "batch"):
            policy = Policy(write=write, bundle_type=bundle_type, create=CREATABLE)  # type: ignore[arg-type]
            assert lacks(statement(DIALECTS[to].release), policy, to) == {}


# Version and format


@pytest.mark.parametrize(
    ("version", "to", "option"),
    [
        ("3.0.1", "r4", "--to stu3, or"),
        ("4.0.1", "r4b", "--to r4, or"),
        ("6.0.0", "r5", "--to r6-ballot2 or --to r6, or"),
        ("1.0.2", "dstu2-ballot2", "--to dstu2, or"),
    ],
)
def test_another_version_is_all_that_is_said(version: str, to: str, option: str) -> None:
    found = lacks(statement(version, format=["xml"]), to=to)
    assert list(found) == ["version"]
    assert f"{version}, not {DIALECTS[to].release}: {option}" in found["version"]


def test_a_version_that_nobody_writes_names_no_option() -> None:
    assert "--to" not in lacks(statement("9.1.0"))["version"]


@pytest.mark.parametrize("version", ["4.0.0", "4.0", "newest", None])
def test_a_patch_or_an_unknown_version_is_no_lack(version: Any) -> None:
    assert lacks(statement(version)) == {}


def test_a_server_without_json() -> None:
    assert list(lacks(statement(format=["application/fhir+xml"]))) == ["format"]


# Ways of writing


def test_clients_may_not_choose_ids() -> None:
    found = lacks(statement("4.0.1", *every(updateCreate=False)))
    assert found == {
        "update-create": "The server does not let clients choose the ids of Endpoint and ImagingStudy (updateCreate is "
        "off): --write conditional-update, or allow update-as-create on the server."
    }
    assert lacks(statement("4.0.1", *every(updateCreate=False)), Policy(write="conditional-update")) == {}
    assert "--write conditional-update, or allow update-as-create" in OWN_IDS_DENIED.sentence


@pytest.mark.parametrize(
    ("write", "changes", "topic", "option"),
    [
        ("put", {"updateCreate": False, "conditionalUpdate": False}, "update-create", "--write conditional-create"),
        ("put", {"without": ("update",)}, "update", "--write conditional-create"),
        ("conditional-update", {"conditionalUpdate": False}, "conditional-update", "--write put"),
        ("conditional-create", {"without": ("create",), "updateCreate": True}, "create", "--write put"),
        ("create", {"without": ("create",)}, "create", "--write put"),
    ],
)
def test_another_way_of_writing_is_named_only_where_it_works(
    write: Any, changes: dict[str, Any], topic: str, option: str
) -> None:
    said = statement("4.0.1", *every(**changes))
    assert f"{option}, or allow" in lacks(said, Policy(write=write, create=frozenset()))[topic]
    helped = Policy(write=option.split()[1], create=frozenset())  # type: ignore[arg-type]
    assert lacks(said, helped) == {}


def test_no_option_is_named_where_none_helps() -> None:
    said = statement("4.0.1", *every(updateCreate=False, conditionalUpdate=False, conditionalCreate=False))
    found = lacks(said, Policy(create=frozenset()))
    assert "--" not in found["update-create"]
    assert found["update-create"].endswith(": allow update-as-create on the server.")


@pytest.mark.parametrize("write", ["put", "conditional-update"])
def test_companions_that_cannot_be_created_conditionally_are_left_out(write: Any) -> None:
    said = statement("4.0.1", *(resource(name, conditionalCreate=False) for name in ("Patient", "Device")))
    found = lacks(said, Policy(write=write))
    assert list(found) == ["conditional-create"]
    assert "no conditional create of Device and Patient: --create " in found["conditional-create"]
    assert follow(found, Policy(write=write)).create == Policy().create - {"Patient", "Device"}


@pytest.mark.parametrize("patient", ["contained", "identifier", "Patient/5"])
def test_where_no_companion_is_created_no_conditional_create_is_needed(patient: str) -> None:
    said = statement("4.0.1", *every(conditionalCreate=False))
    assert lacks(said, Policy(patient=patient, create=frozenset(("Endpoint", "Patient")))) == {}
    assert list(lacks(said, Policy(create=frozenset(("Endpoint", "Patient"))))) == ["conditional-create"]


def test_types_that_the_server_does_not_have() -> None:
    said = statement(types=("ImagingStudy", "Patient", "Practitioner"))
    found = lacks(said)
    assert "does not list Device and Endpoint and Organization and Specimen" in found["unlisted"]
    assert lacks(said, follow(found, Policy())) == {}


def test_a_server_without_studies_or_key_objects() -> None:
    found = lacks(statement(types=("Patient",)), Policy(create=frozenset()))
    assert found["unlisted"].endswith("not list ImagingStudy among its resources: add what is missing on the server.")
    found = lacks(statement("5.0.0", types=("ImagingStudy", "Patient")), Policy(create=frozenset()), "r5")
    assert "--key-objects off and no --manifest, or" in found["unlisted"]
    assert lacks(statement("5.0.0", types=("ImagingStudy",)), Policy(create=frozenset(), key_objects="off"), "r5") == {}


def test_each_option_helps_with_its_own_lack_alone() -> None:
    """What `--write` makes possible stays in `--create`; what is not there at all does not stand in its way."""
    said = statement("4.0.1", resource("Patient", conditionalCreate=False), resource("Endpoint", updateCreate=False))
    policy = Policy(create=frozenset(("Endpoint", "Patient")))
    assert "--create Endpoint, or" in lacks(said, policy)["conditional-create"]
    said = statement("4.0.1", resource(STUDY, updateCreate=False), types=(STUDY, "Patient"))
    assert "--write conditional-update, or" in lacks(said, policy)["update-create"]
    assert "--create Patient, or" in lacks(said, policy)["unlisted"]


def test_a_patient_that_must_be_created_is_not_left_out_alone() -> None:
    found = lacks(statement("4.0.1", resource("Patient", conditionalCreate=False)), Policy(patient="create"))
    assert "--patient auto --create " in found["conditional-create"]


def follow(found: dict[str, str], policy: Policy) -> Policy:
    """The policy after the advice of one sentence."""
    changes: dict[str, Any] = {}
    for option, value in re.findall(r"--([a-z-]+) ([A-Za-z,-]+[A-Za-z])", next(iter(found.values()))):
        if option == "create":
            changes["create"] = parse_create(value)
        elif option in ("write", "patient"):
            changes[option] = value
        elif option == "key-objects":
            changes |= {"key_objects": value, "manifest": False}
    fields = {name: getattr(policy, name) for name in Policy.__dataclass_fields__}
    return Policy(**(fields | changes))


flags = st.sampled_from((None, True, True, False))
servers = st.builds(
    lambda drawn: statement("5.0.0", *drawn, types=tuple(each["type"] for each in drawn)),
    st.tuples(
        *(
            st.builds(
                lambda without, create, update, own, name=name: resource(
                    name, without=without, conditionalCreate=create, conditionalUpdate=update, updateCreate=own
                ),
                st.sampled_from(((), (), (), ("create",), ("update",))),
                flags,
                flags,
                flags,
            )
            for name in (STUDY, "Patient", "Endpoint", "Device", "ImagingSelection", "Practitioner")
        )
    ).flatmap(lambda listed: st.integers(1, len(listed)).map(lambda count: listed[:count])),
)


@given(servers, policies)
def test_following_the_advice_ends_well(said: Json, policy: Policy) -> None:
    """Whoever does what the sentences say comes to a policy without lacks, or to sentences for the server alone."""
    dialect = DIALECTS["r5"]
    for _ in range(6):
        found = {each.topic + each.sentence: each.sentence for each in check(read(said), needs(dialect, policy))}
        advised = {topic: sentence for topic, sentence in found.items() if " --" in sentence.partition(":")[2]}
        if not advised:
            break
        before, policy = policy, follow(advised, policy)
        assert policy != before
        try:
            policy.check()
        except UsageError as error:  # batches and `create` exclude each other; `create` is never advised
            raise AssertionError(str(error)) from error
    else:
        raise AssertionError("the advice goes round in circles")


# Looking up, and Bundles


@pytest.mark.parametrize(
    ("write", "without", "expected"),
    [
        ("put", ("search-type",), None),
        ("put", ("read",), "read ImagingStudy"),
        ("conditional-update", ("search-type",), "--write put, or"),
        ("create", ("search-type",), "search ImagingStudy"),
    ],
)
def test_stored_studies_must_be_found(write: Any, without: tuple[str, ...], expected: str | None) -> None:
    found = lacks(statement("4.0.1", resource(STUDY, without=without)), Policy(write=write))
    assert list(found) == (["lookup"] if expected else [])
    assert expected is None or expected in found["lookup"]


@pytest.mark.parametrize(
    ("bundle_type", "requests", "system", "expected"),
    [
        ("transaction", "auto", ("batch",), None),
        ("transaction", "single", ("batch",), None),
        ("transaction", "bundle", ("batch",), "--requests auto"),
        ("transaction", "bundle", None, None),
        ("batch", "auto", ("transaction",), None),
        ("batch", "auto", ("history-system",), "--requests single"),
        ("batch", "single", ("history-system",), None),
    ],
)
def test_bundles(bundle_type: Any, requests: Requests, system: tuple[str, ...] | None, expected: str | None) -> None:
    found = lacks(statement(system=system), Policy(bundle_type=bundle_type), requests=requests)
    assert list(found) == ([bundle_type] if expected else [])
    assert expected is None or expected in found[bundle_type]


def test_a_server_that_takes_transactions_and_surely_no_batches() -> None:
    can = Capabilities(transaction=True, batch=False)
    found = check(can, needs(DIALECTS["r4"], Policy(bundle_type="batch")))
    assert [each.topic for each in found] == ["batch"]
    assert "--bundle-type transaction, or" in found[0].sentence


# Bundles that were made earlier


def test_ready_bundles_are_checked_and_only_the_server_can_help() -> None:
    asked = Needs("4.0.1", frozenset((Way(STUDY, "put", True), Way("Patient", "conditional-create", False))))
    assert asked.types == ["ImagingStudy", "Patient"]
    said = statement("4.0.1", *every(updateCreate=False, conditionalCreate=False))
    sentences = [each.sentence for each in check(read(said), asked)]
    assert len(sentences) == 2
    assert all("--" not in sentence and "on the server" in sentence for sentence in sentences)


def test_of_bundles_not_seen_yet_only_version_and_reading_are_asked() -> None:
    asked = Needs("4.0.1", frozenset())
    assert asked.types == [STUDY]
    searchless = statement("4.0.1", *every(without=("search-type", "create", "update")))
    assert check(read(searchless), asked) == []
    assert [each.topic for each in check(read(statement("4.0.1", *every(without=("read",)))), asked)] == ["lookup"]
    assert [each.topic for each in check(read(statement("5.0.0")), asked)] == ["version"]
