"""What a server says it can: silence is no refusal, and nothing that it says can break the reading."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statements import INTERACTIONS, Json, resource, statement

from dicom2fhir.errors import ServerMisconfigured
from dicom2fhir.server.capability import Capabilities, TypeSupport, describe, read, same_release


def rest(**changes: Any) -> Capabilities:
    """The capabilities of a statement whose `rest` is exactly this."""
    return read({"resourceType": "CapabilityStatement", "rest": [{"mode": "server", **changes}]})


def test_a_statement_as_hapi_makes_it() -> None:
    can = read(statement())
    assert (can.fhir_version, can.software, can.json) == ("4.0.1", "HAPI FHIR Server 8.8.0", True)
    assert (can.transaction, can.batch) == (True, None)
    study = can.of("ImagingStudy")
    assert study.interactions == frozenset(INTERACTIONS)
    assert (study.conditional_create, study.conditional_update, study.update_create) == (True, True, None)
    assert study.searches == {"_id", "identifier"}
    assert study.if_match is True
    assert can.lists("ImagingStudy") is True
    assert can.lists("Account") is False


def test_silence_is_unknown() -> None:
    can = rest()
    assert can == Capabilities()
    assert can.lists("Patient") is None
    assert can.of("Patient") == TypeSupport()
    assert can.of("Patient").does("create") is None
    assert can.of("Patient").if_match is None


def test_a_list_that_lacks_an_interaction_says_no() -> None:
    study = read(statement("4.0.1", resource("ImagingStudy", without=("update",)))).of("ImagingStudy")
    assert study.does("update") is False
    assert study.does("create") is True


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (None, (None, None)),
        ((), (None, None)),
        (("transaction",), (True, None)),
        (("transaction", "batch"), (True, True)),
        (("batch",), (False, True)),
        (("history-system",), (False, False)),
    ],
)
def test_bundles_by_the_system_interactions(listed: tuple[str, ...] | None, expected: tuple[bool, bool]) -> None:
    can = read(statement(system=listed))
    assert (can.transaction, can.batch) == expected


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("not-supported", (False, False)),
        ("batch", (False, True)),
        ("transaction", (True, None)),
        ("both", (True, True)),
        ("sometimes", (None, None)),
    ],
)
def test_bundles_by_the_mode_of_dstu2(mode: str, expected: tuple[bool, bool]) -> None:
    can = read({"resourceType": "Conformance", "rest": [{"mode": "server", "transactionMode": mode}]})
    assert (can.transaction, can.batch) == expected


def test_what_a_server_says_as_a_client_is_not_meant() -> None:
    as_client = {"mode": "client", "interaction": [{"code": "batch"}]}
    can = read({"resourceType": "CapabilityStatement", "rest": [as_client, statement()["rest"][0]]})
    assert (can.transaction, can.batch) == (True, None)
    assert read({"resourceType": "CapabilityStatement", "rest": [as_client]}) == Capabilities()


@pytest.mark.parametrize(
    ("formats", "expected"),
    [
        (["application/json+fhir"], True),
        (["application/fhir+json; charset=UTF-8"], True),
        (["JSON"], True),
        (["application/fhir+xml", "application/fhir+ndjson"], False),
        ([], None),
        (None, None),
        ("json", None),
    ],
)
def test_json_among_the_formats(formats: Any, expected: bool | None) -> None:
    assert read(statement(format=formats)).json is expected


@pytest.mark.parametrize("document", [None, [], "x", {}, {"resourceType": "OperationOutcome"}, {"rest": []}])
def test_another_document_is_the_wrong_address(document: Any) -> None:
    with pytest.raises(ServerMisconfigured, match="--server is a FHIR base address"):
        read(document)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.data())
def test_no_statement_breaks_the_reading(data: st.DataObject) -> None:
    """Any value in the place of any other: still capabilities, and still of the right kinds."""
    body = statement("4.0.1", types=("ImagingStudy", "Patient"))
    node: Any = body
    path: list[Any] = []
    while isinstance(node, dict | list) and node and (not path or data.draw(st.integers(0, 3))):
        path.append(data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node)))))
        above, node = node, node[path[-1]]
    if path == ["resourceType"]:
        return
    above[path[-1]] = data.draw(junk)
    can = read(body)
    assert can.fhir_version is None or can.fhir_version[0].isdigit()
    for name, known in (can.types or {}).items():
        assert isinstance(name, str)
        flags = (known.conditional_create, known.conditional_update, known.update_create, known.if_match)
        assert set(flags) <= {True, False, None}
        assert all(isinstance(each, str) for each in (known.interactions or ()))
    assert {row.answer for row in describe(can, ("ImagingStudy",))} <= {"yes", "no", "unknown"}


def test_a_name_cannot_speak_to_the_terminal() -> None:
    can = read(statement(software={"name": "\x1b[2J\x07Good\n", "version": "x" * 200}))
    assert can.software is not None
    assert can.software.isprintable()
    assert len(can.software) <= 80
    assert read(statement(fhirVersion="\x1b[2J4.0")).fhir_version is None
    assert read(statement(software={"version": ""})).software is None


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("4.0.0", "4.0.1", True),
        ("4.0", "4.0.1", True),
        ("4.3.0", "4.0.1", False),
        ("3.0.1", "3.0.2", True),
        ("6.0.0-ballot3", "6.0.0-snapshot1", True),
        ("1.0.2", "0.5.0", False),
        (None, "4.0.1", None),
        ("latest", "4.0.1", None),
    ],
)
def test_versions_are_compared_on_major_and_minor(one: str | None, other: str, expected: bool | None) -> None:
    assert same_release(one, other) is expected


def test_a_description_for_people() -> None:
    shy: Json = {"type": "Patient", "conditionalCreate": False, "versioning": "no-version"}
    can = read(statement("4.0.1", shy, types=("ImagingStudy", "Patient")))
    rows = describe(can, ("ImagingStudy", "Patient", "Device"))
    answers = {row.what: row.answer for row in rows}
    assert rows[0].detail == "4.0.1"
    assert (answers["transaction"], answers["batch"]) == ("yes", "unknown")
    assert answers["ImagingStudy: ids chosen by the client"] == "unknown"
    assert (answers["Patient: create"], answers["Patient: conditional create"]) == ("unknown", "no")
    assert (answers["ImagingStudy: If-Match"], answers["Patient: If-Match"]) == ("yes", "no")
    assert [row.answer for row in rows if row.what.startswith("Device")] == ["no"]
