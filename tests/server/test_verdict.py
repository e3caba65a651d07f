"""What an answer says of each entry: what surely was done, what may pass, and what is no answer at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom2fhir.server.answer import Answer
from dicom2fhir.server.verdict import (
    EntryVerdict,
    denies_own_ids,
    describe_outcome,
    judge,
    judge_single,
    kind_of,
    outcome_facts,
    outcome_of,
    own_words,
    too_large,
)

Json = dict[str, Any]

STUDY: Json = {
    "resource": {"resourceType": "ImagingStudy", "id": "d1"},
    "request": {"method": "PUT", "url": "ImagingStudy/d1"},
}
PATIENT: Json = {
    "resource": {"resourceType": "Patient"},
    "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=urn:x%7C1"},
}
SECRET = "Doe-12345"


def outcome(*issues: Json, named: bool = True) -> Json:
    return ({"resourceType": "OperationOutcome"} if named else {}) | {"issue": list(issues)}


def issue(code: str = "processing", **changes: Any) -> Json:
    return {"severity": "error", "code": code, "diagnostics": f"HAPI-0450: {SECRET}"} | changes


def answer(body: Any, status: int = 200, **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def responses(*entries: Any, kind: str | None = "transaction-response") -> Json:
    typed = {} if kind is None else {"type": kind}
    return {"resourceType": "Bundle", **typed, "entry": list(entries)}


def response(status: Any, **more: Any) -> Json:
    return {"response": {"status": status, **more}}


CREATED = response("201 Created", location="Patient/1000/_history/1", etag="1")
UPDATED = response("200 OK", location="ImagingStudy/d1/_history/2", etag='W/"2"')


# Statuses


@pytest.mark.parametrize(
    ("kind", "statuses"),
    [
        ("done", (200, 201, 204, 304)),
        ("retry", (408, 409, 425, 429, 500, 502, 503, 504, 507, 520)),
        ("conflict", (412,)),
        ("refused", (301, 400, 401, 403, 404, 405, 410, 413, 415, 422, 501, 505)),
    ],
)
def test_what_a_status_means(kind: str, statuses: tuple[int, ...]) -> None:
    assert {kind_of(status) for status in statuses} == {kind}


# Bundles


@pytest.mark.parametrize("kind", ["transaction-response", "batch-response", None])
def test_a_bundle_of_two(kind: str | None) -> None:
    assert judge(answer(responses(CREATED, UPDATED, kind=kind)), [PATIENT, STUDY]) == [
        EntryVerdict("done", 201, "Patient/1000", "1"),
        EntryVerdict("done", 200, "ImagingStudy/d1", 'W/"2"'),
    ]


@pytest.mark.parametrize("status", ["201", "201 Created", "201Created", " 201 ", 201])
def test_a_status_however_it_is_written(status: Any) -> None:
    (verdict,) = judge(answer(responses(response(status))), [STUDY]) or []
    assert (verdict.kind, verdict.status, verdict.location) == ("done", 201, "ImagingStudy/d1")


@pytest.mark.parametrize("status", ["OK", "", None, "2011", "99", True, {}])
def test_without_a_status_nobody_knows(status: Any) -> None:
    assert judge(answer(responses(CREATED, response(status))), [PATIENT, STUDY]) is None


def test_a_batch_of_which_parts_failed() -> None:
    told = outcome(issue("invalid"))
    body = responses(
        response("429 Too Many Requests"),
        response("422", outcome=told),
        {"response": {"status": "400"}, "resource": told},  # as in DSTU2
        response("412"),
        CREATED,
        kind="batch-response",
    )
    assert judge(answer(body), [PATIENT, STUDY, STUDY, STUDY, PATIENT]) == [
        EntryVerdict("retry", 429),
        EntryVerdict("refused", 422, outcome=told),
        EntryVerdict("refused", 400, outcome=told),
        EntryVerdict("conflict", 412),
        EntryVerdict("done", 201, "Patient/1000", "1"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>200 OK</body></html>",
        b"[]",
        b"\xff\xfe",
        {},
        outcome(issue()),
        responses(CREATED),
        responses(CREATED, UPDATED, UPDATED),
        responses(CREATED, UPDATED, kind="transaction"),
        responses(CREATED, UPDATED, kind="searchset"),
        responses(CREATED, None),
        responses(CREATED, {}),
        responses(CREATED, {"response": "200"}),
        {"resourceType": "Bundle", "type": "transaction-response"},
        {"resourceType": "Bundle", "type": "transaction-response", "entry": {"0": 1}},
        responses(UPDATED, CREATED),
    ],
)
def test_what_is_no_answer_to_these_entries(body: Any) -> None:
    assert judge(answer(body), [PATIENT, STUDY]) is None


def test_a_body_that_was_cut_is_no_answer() -> None:
    assert judge(Answer(200, {}, b"", cut=True), [STUDY]) is None


@pytest.mark.parametrize(("status", "kind"), [(400, "refused"), (412, "conflict"), (503, "retry"), (409, "retry")])
def test_an_error_is_for_all_entries(status: int, kind: Any) -> None:
    told = outcome(issue())
    assert judge(answer(told, status), [PATIENT, STUDY]) == [EntryVerdict(kind, status, outcome=told)] * 2
    assert judge(answer(b"<html>", status), [STUDY]) == [EntryVerdict(kind, status)]


@pytest.mark.parametrize(
    ("answered", "location"),
    [
        (response("201", location="https://a.test/fhir/Patient/1.2-b/_history/x-1"), "Patient/1.2-b"),
        (response("201", location="/Patient/7/"), "Patient/7"),
        (response("201", location="Patient/7?x"), None),
        (response("201", location="Patient"), None),
        (response("201", location=7), None),
        (response("201") | {"resource": {"resourceType": "Patient", "id": "8"}}, "Patient/8"),
        (response("201") | {"resource": {"resourceType": "Patient"}}, None),
        (response("201") | {"resource": outcome()}, None),
    ],
)
def test_where_a_new_resource_is(answered: Json, location: str | None) -> None:
    (verdict,) = judge(answer(responses(answered)), [PATIENT]) or []
    assert verdict == EntryVerdict("done", 201, location)


answers = st.recursive(
    st.none() | st.integers() | st.sampled_from(("200", "Patient/1", "Bundle", "transaction-response", "x")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ("resourceType", "type", "entry", "response", "status", "outcome", "issue", "location", "code")
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(answers, st.sampled_from((200, 201, 400, 500)))
def test_whatever_a_server_answers_is_judged(body: Any, status: int) -> None:
    for told in (body, responses(body), responses({"response": body})):
        verdicts = judge(answer(told, status), [PATIENT])
        assert verdicts is None or len(verdicts) == 1
        judge_single(answer(told, status), PATIENT)
        assert describe_outcome(told) is not None
        assert too_large(status, told) in (True, False)


# Single requests


def test_a_request_of_its_own() -> None:
    made = answer(b"", 201, location="https://a.test/fhir/Patient/9/_history/1", etag='W/"1"')
    assert judge_single(made, PATIENT) == EntryVerdict("done", 201, "Patient/9", 'W/"1"')
    assert judge_single(answer(b"", 200), STUDY) == EntryVerdict("done", 200, "ImagingStudy/d1")
    found = answer(b"", 200, content_location="https://a.test/fhir/Patient/9/_history/1")
    assert judge_single(found, PATIENT).location == "Patient/9"
    assert judge_single(answer({"resourceType": "Patient", "id": "4"}, 200), PATIENT).location == "Patient/4"
    assert judge_single(answer(b"", 201, location="https://a.test/fhir/Basic/9"), PATIENT).location is None


def test_a_request_of_its_own_that_is_refused() -> None:
    told = outcome(issue("invalid"))
    assert judge_single(answer(told, 422), STUDY) == EntryVerdict("refused", 422, outcome=told)
    assert judge_single(answer(b"<html>", 412), STUDY) == EntryVerdict("conflict", 412)


# OperationOutcome


def test_an_outcome_may_lack_its_type() -> None:
    told = outcome(issue(), named=False)
    assert outcome_of(told) == told
    assert outcome_of({"resourceType": "Bundle", "issue": []}) is None
    assert outcome_of({"resourceType": "OperationOutcome"}) is None
    assert outcome_of("x") is None


def test_codes_and_paths_of_errors_alone() -> None:
    told = outcome(
        issue("invalid", expression=["Patient.birthDate"]),
        issue("invalid", expression=["Patient.birthDate", "Patient.name[0].given[1]"]),
        issue("required", location=["/f:ImagingStudy/f:series[2]/f:uid"]),
        issue("informational", severity="information", expression=["Patient.active"]),
        issue("business-rule", severity="warning"),
    )
    assert outcome_facts(told) == (
        ("invalid", "required"),
        ("Patient.birthDate", "Patient.name[0].given[1]", "/f:ImagingStudy/f:series[2]/f:uid"),
    )
    assert (
        describe_outcome(outcome(issue("invalid", expression=["Patient.birthDate"]))) == "invalid at Patient.birthDate"
    )
    assert describe_outcome(outcome(issue("duplicate"))) == "duplicate"
    assert describe_outcome(None) == ""


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("Bundle.entry[1].resource.ofType(Patient).name", "Bundle.entry[1].resource.ofType(Patient).name"),
        ("Bundle.entry[1].resource/*Patient/Doe-12345*/.name", "Bundle.entry[1].resource.name"),
        ("Patient.identifier.where(value='Doe-12345')", None),
        ("Patient.extension('Doe-12345').value[x]", "Patient.extension().value[x]"),
        ("Doe-12345", None),
        ("Patient/Doe-12345", None),
        ("Patient.name = Doe", None),
        ("Patient.name[12345678]", None),
        ("Patient.name" * 200, None),
    ],
)
def test_paths_hold_no_values(path: str, kept: str | None) -> None:
    for name in ("expression", "location"):
        assert outcome_facts(outcome(issue(**{name: [path]})))[1] == ((kept,) if kept else ())


def test_what_is_shown_holds_nothing_of_a_patient() -> None:
    told = outcome(
        issue(
            SECRET,
            expression=[SECRET, f"Patient.name('{SECRET}')"],
            details={"text": SECRET, "coding": [{"code": SECRET}]},
        )
    )
    assert describe_outcome(told) == "Patient.name()"
    assert SECRET not in repr(EntryVerdict("refused", 422, outcome=told))


def test_what_is_shown_is_short() -> None:
    many = outcome(
        *(
            issue(f"code-{'abcdefghijklmnopqrst'[n]}", expression=[f"Patient.{'abcdefghijklmnopqrst'[n]}"])
            for n in range(20)
        )
    )
    codes, paths = outcome_facts(many)
    assert len(codes) == len(paths) == 10


def test_the_servers_own_words_are_one_bounded_line_about_errors() -> None:
    told = outcome(
        issue(diagnostics="one\n  two\x1b[2J", details={"text": "three"}),
        issue(diagnostics="same", details={"text": "same"}),
        issue(diagnostics=None),
        issue(severity="warning", diagnostics="nothing of this"),
    )
    assert own_words(told) == "one two[2J three; same"
    assert len(own_words(outcome(issue(diagnostics="x" * 1000)))) == 500
    assert own_words(None) == ""


@pytest.mark.parametrize(
    ("status", "told", "expected"),
    [
        (413, None, True),
        (400, outcome(issue("too-costly")), True),
        (
            400,
            outcome(issue("invalid", diagnostics="The number of entries in the bundle exceeded the limit of 500.")),
            True,
        ),
        (422, outcome(issue("invalid", diagnostics=None, details={"text": "Too many bundle entries"})), True),
        (400, outcome(issue("invalid")), False),
        (400, outcome(issue("too-long")), False),
        (400, None, False),
        (200, outcome(issue("too-costly")), False),
        (503, outcome(issue("too-costly")), False),
    ],
)
def test_too_large(status: int, told: Any, expected: bool) -> None:
    assert too_large(status, told) is expected


def test_a_server_that_does_not_let_clients_choose_ids() -> None:
    told = outcome(issue())
    assert denies_own_ids(404, told, [PATIENT, STUDY])
    assert denies_own_ids(405, told, [STUDY])
    assert not denies_own_ids(404, None, [STUDY])
    assert not denies_own_ids(400, told, [STUDY])
    assert not denies_own_ids(404, told, [PATIENT])
    replaced = STUDY | {"request": STUDY["request"] | {"ifMatch": 'W/"1"'}}
    assert not denies_own_ids(404, told, [replaced])
