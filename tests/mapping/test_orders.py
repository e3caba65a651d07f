"""Orders: whose numbers are one request, which source of reasons and codes counts, visits and performed steps."""

from __future__ import annotations

from typing import Any

import pytest
from records import REPORT, code, issuer, notes, record, study

from dicom2fhir.model import Code, Concept, Encounter, Identifier, Procedure, Request
from dicom2fhir.problems import Code as ProblemCode

LOINC = "http://loinc.org"
ACC = Identifier("A-1", "accession")
CHEST = Concept((Code("1", LOINC, "Chest"),), "Chest")
HEAD = Concept((Code("2", LOINC, "Head"),), "Head")


def accession(number: str, system: str | None = None, assigner: str | None = None) -> Identifier:
    return Identifier(number, "accession", system, assigner)


@pytest.mark.parametrize(
    ("settings", "values", "found"),
    [
        ({}, {"AccessionNumber": "A-1"}, accession("A-1")),
        ({"systems": {"accession": "urn:x:acc"}}, {"AccessionNumber": "A-1"}, accession("A-1", "urn:x:acc")),
        (
            {"systems": {"accession": "urn:x:acc"}},
            {"AccessionNumber": "A-1", "IssuerOfAccessionNumberSequence": issuer("a.example", "DNS")},
            accession("A-1", None, "a.example"),
        ),
        (
            {"issuers": {"RIS": "urn:x:ris"}},
            {"AccessionNumber": "A-1", "IssuerOfAccessionNumberSequence": [{"LocalNamespaceEntityID": "RIS"}]},
            accession("A-1", "urn:x:ris"),
        ),
        (
            {},
            {
                "RequestAttributesSequence": [{"AccessionNumber": "A-1"}],
                "IssuerOfAccessionNumberSequence": issuer("1.2.3"),
            },
            accession("A-1", "urn:oid:1.2.3"),
        ),
    ],
)
def test_an_accession_number_and_its_issuer(
    settings: dict[str, Any], values: dict[str, Any], found: Identifier
) -> None:
    assert study(record(**values), **settings).accessions == (found,)


def test_a_number_without_issuer_is_the_same_where_one_other_has_an_issuer() -> None:
    known = {"AccessionNumber": "A-1", "IssuerOfAccessionNumberSequence": issuer("1.2.3")}
    other = {"AccessionNumber": "A-1", "IssuerOfAccessionNumberSequence": issuer("1.2.4")}
    bare = record(3, AccessionNumber="A-1")
    assert study(record(1, **known), bare).accessions == (accession("A-1", "urn:oid:1.2.3"),)
    assert len(study(record(1, **known), record(2, **other), bare).accessions) == 3


def test_an_item_without_accession_number_takes_the_data_sets() -> None:
    found = study(record(AccessionNumber="A-1", RequestAttributesSequence=[{"RequestedProcedureID": "RP"}]))
    assert found.requests == (Request((ACC, Identifier("RP", "requested-procedure"))),)


def test_what_instances_say_of_one_request_is_taken_together() -> None:
    item = {"AccessionNumber": "A-1", "RequestedProcedureID": "RP"}
    full = record(1, RequestAttributesSequence=[{**item, "RequestedProcedureCodeSequence": [code("1", "LN", "Chest")]}])
    reason = record(2, RequestAttributesSequence=[{**item, "ReasonForTheRequestedProcedure": "Cough"}])
    bare = record(3, AccessionNumber="A-1", RequestedProcedurePriority="STAT")
    (request,) = study(full, reason, bare).requests
    assert request == Request(
        (ACC, Identifier("RP", "requested-procedure")), CHEST, (Concept((), "Cough"),), None, "stat"
    )


def test_a_bare_number_that_two_requests_have_says_nothing_of_either() -> None:
    items = [{"AccessionNumber": "A-1", "RequestedProcedureID": number} for number in ("RP-1", "RP-2")]
    bare = record(2, AccessionNumber="A-1", RequestedProcedurePriority="STAT")
    requests = study(record(1, RequestAttributesSequence=items), bare).requests
    assert [request.identifiers[1].value for request in requests] == ["RP-1", "RP-2"]
    assert [request.priority for request in requests] == [None, None]


def test_orders_of_two_accession_numbers_keep_their_own_codes() -> None:
    first = record(1, 1, AccessionNumber="A-1", RequestedProcedureCodeSequence=[code("1", "LN", "Chest")])
    second = record(1, 2, AccessionNumber="A-2", RequestedProcedureDescription="Head")
    assert [(request.identifiers[0].value, request.code) for request in study(first, second).requests] == [
        ("A-1", CHEST),
        ("A-2", Concept((), "Head")),
    ]


def test_requests_for_another_study_are_not_this_ones() -> None:
    items = [{"StudyInstanceUID": uid, "AccessionNumber": f"A-{uid}"} for uid in ("1.2", "1.3")]
    found = study(record(sop_class=REPORT, ReferencedRequestSequence=items))
    assert [number.value for number in found.accessions] == ["A-1.2"]


@pytest.mark.parametrize(
    ("stated", "priority"),
    [("STAT", "stat"), ("HIGH", "urgent"), ("routine ", "routine"), ("MEDIUM", "routine"), ("LOW", "routine"),
     ("SOON", None), ("", None)],
)  # fmt: skip
def test_priorities(stated: str, priority: str | None) -> None:
    (request,) = study(record(AccessionNumber="A-1", RequestedProcedurePriority=stated)).requests
    assert request.priority == priority


def test_the_items_requester_comes_before_the_data_sets() -> None:
    items = [
        {"RequestedProcedureID": "RP-1", "RequestingPhysician": "Inside^I"},
        {"RequestedProcedureID": "RP-2"},
    ]
    requests = study(record(RequestAttributesSequence=items, RequestingPhysician="Outside^O")).requests
    assert [request.requester.names[0].family for request in requests if request.requester] == ["Inside", "Outside"]


REASONS: dict[str, Any] = {
    "RequestAttributesSequence": [{"ReasonForRequestedProcedureCodeSequence": [code("1", "LN", "Chest")]}],
    "ReasonForStudy": "Of the study",
    "ReasonForVisitCodeSequence": [code("2", "LN", "Head")],
    "ReasonForVisit": "Of the visit",
    "ReasonForPerformedProcedureCodeSequence": [code("3", "LN")],
}


@pytest.mark.parametrize(
    ("left_out", "found"),
    [
        (0, (CHEST,)),
        (1, (Concept((), "Of the study"),)),
        (2, (HEAD,)),
        (3, (Concept((), "Of the visit"),)),
        (4, (Concept((Code("3", LOINC),)),)),
        (5, ()),
    ],
)
def test_the_first_source_of_reasons_that_says_anything_counts(left_out: int, found: tuple[Concept, ...]) -> None:
    assert study(record(**dict(list(REASONS.items())[left_out:]))).reasons == found


def test_words_are_the_text_of_a_single_coded_reason_and_one_of_their_own_beside_several() -> None:
    keyword = "ReasonForRequestedProcedureCodeSequence"
    single = {keyword: [code("1", "LN", "Chest")], "ReasonForTheRequestedProcedure": "Cough"}
    double = {keyword: [code("1", "LN", "Chest"), code("2", "LN", "Head")], "ReasonForTheRequestedProcedure": "Cough"}
    assert study(record(RequestAttributesSequence=[single])).reasons == (Concept(CHEST.codes, "Cough"),)
    assert study(record(RequestAttributesSequence=[double])).reasons == (CHEST, HEAD, Concept((), "Cough"))
    assert study(record(**single)).reasons == (Concept(CHEST.codes, "Cough"),)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"ProcedureCodeSequence": [code("1", "LN", "Chest")]}, (CHEST,)),
        ({"RequestedProcedureCodeSequence": [code("2", "LN", "Head")]}, (HEAD,)),
        (
            {
                "AccessionNumber": "A-1",
                "RequestAttributesSequence": [{"RequestedProcedureCodeSequence": [code("2", "LN", "Head")]}],
            },
            (HEAD,),
        ),
        ({"AccessionNumber": "A-1", "RequestedProcedureDescription": "Words"}, ()),
    ],
)
def test_procedure_codes_fall_back_to_what_was_requested(values: dict[str, Any], found: tuple[Concept, ...]) -> None:
    assert study(record(**values)).procedure_codes == found


def uid_of(value: str) -> Identifier:
    return Identifier(value, "uid", "urn:dicom:uid")


@pytest.mark.parametrize(
    ("uids", "step", "found"),
    [
        (["1.2.3"], "PPS", [(uid_of("1.2.3"), Identifier("PPS", "performed-procedure"))]),
        (["1.2.3"], None, [(uid_of("1.2.3"),)]),
        ([], "PPS", [(Identifier("PPS", "performed-procedure"),)]),
        (["1.2.4", "1.2.3"], "PPS", [(uid_of("1.2.3"),), (uid_of("1.2.4"),)]),
        ([], None, []),
    ],
)
def test_performed_steps(uids: list[str], step: str | None, found: list[tuple[Identifier, ...]]) -> None:
    items = [{"ReferencedSOPInstanceUID": uid} for uid in uids]
    values = {"ReferencedPerformedProcedureStepSequence": items, "PerformedProcedureStepID": step}
    assert study(record(**values)).procedures == tuple(map(Procedure, found))


def test_a_performed_step_of_no_uid_is_noted() -> None:
    instance = record(ReferencedPerformedProcedureStepSequence=[{"ReferencedSOPInstanceUID": "1.x"}, {}])
    assert study(instance).procedures == ()
    assert notes(instance)[ProblemCode.VALUE_INVALID, "ReferencedPerformedProcedureStepSequence"] == 1


def test_visit_and_episode() -> None:
    values = {"AdmissionID": "V", "IssuerOfAdmissionIDSequence": issuer("1.2.3"), "CurrentPatientLocation": "Ward"}
    assert study(record(**values)).encounter == Encounter(Identifier("V", "visit", "urn:oid:1.2.3"), None, "Ward")
    assert study(record(ServiceEpisodeID="E")).encounter == Encounter(None, Identifier("E", "episode"))
    assert study(record(CurrentPatientLocation="Ward")).encounter is None
