"""Delivery to HAPI, version by version. Every claim is checked by reading the server back, not by what the run says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from builders import FAULTS, code, issuer, uid, write
from dicomdata import Case
from servers import Hapi
from stock import (
    ORDER,
    SAID,
    SYSTEMS,
    Json,
    Stock,
    all_kinds,
    bundles,
    convert,
    counts,
    entries,
    run,
    versions,
)

WAYS = {
    "conditional-update": ("--write", "conditional-update"),
    "conditional-create": ("--write", "conditional-create"),
    "create": ("--write", "create"),
    "batch": ("--bundle-type", "batch"),
    "single": ("--requests", "single"),
    "single, create": ("--requests", "single", "--write", "create"),
}
"""Ways of writing other than the stock's, each tried with a study of its own."""

UNLIKE = ("dstu2", "stu3", "r4", "r5")
"""The versions that are written by code of their own: R4B is R4 by another name (fhir/r4b.py). What else a real server
of R4B has to show, it shows: what is stored, found, merged and created, and a trial."""


def image(folder: Path, case: Case, series: int, number: int, **keywords: Any) -> None:
    """Writes one image of a case's study."""
    write(folder / f"{series}-{number}.dcm", case("ct", 1, series, number, **keywords))


def stored(server: Hapi, uid: str) -> list[Json]:
    """The studies of a Study Instance UID that the server holds, by a search of the tests' own."""
    by_uid = {"identifier": f"urn:dicom:uid|urn:oid:{uid}"} if server.version[0] == "r" else {"study": f"urn:oid:{uid}"}
    return server.client.search("ImagingStudy", by_uid)


def only(server: Hapi, uid: str) -> Json:
    """The one study of a UID."""
    (found,) = stored(server, uid)
    return found


def subject(study: Json) -> Json:
    """Whom a study says it is of."""
    found: Json = study.get("subject") or study["patient"]
    return found


def instances(study: Json) -> list[str]:
    """The SOP Instance UIDs that a study lists, without a prefix, sorted."""
    listed = (one["uid"] for series in study["series"] for one in series["instance"])
    return sorted(one.removeprefix("urn:oid:") for one in listed)


def references(node: Any) -> set[str]:
    """All literal references in a resource, those to what is contained left out."""
    if isinstance(node, list):
        return {each for one in node for each in references(one)}
    if not isinstance(node, dict):
        return set()
    own = {node["reference"]} if isinstance(node.get("reference"), str) and node["reference"][0] != "#" else set()
    return own | references(list(node.values()))


def test_the_server_holds_what_was_emitted(stock: Stock) -> None:
    assert stock.counts == stock.emitted
    accepted = {"accepted": len(stock.studies), "pending": 0, "unknown": 0, "refused": 0}
    assert stock.run.delivery | accepted == stock.run.delivery
    numbers = sorted(f"{kind} {number}" for kind, number in stock.counts.items())
    SAID.append(f"{stock.server.version:5} holds {', '.join(numbers)}; {stock.run.delivery['requests']} requests")


def test_sending_again_changes_nothing(stock: Stock) -> None:
    kinds = all_kinds(stock.server)
    before = versions(stock.server, kinds)
    assert set(before) >= {stock.place(one["fullUrl"]) for one in entries(stock.bundles)}
    again = stock.send()
    after = versions(stock.server, kinds)
    assert again.code == 0, again.said
    assert after == before
    assert {version for name, version in after.items() if name.rpartition("/")[2] in stock.studies} == {"1"}
    assert again.delivery["accepted"] == len(stock.studies)
    assert again.delivery["bytes"] == 0
    SAID.append(
        f"{stock.server.version:5} sent again: {len(after) - len(before)} created, "
        f"{sum(after[name] != before[name] for name in before)} changed, {again.delivery['requests']} requests"
    )


def test_a_study_grows_and_never_shrinks_by_accident(stock: Stock, tmp_path: Path) -> None:
    server, case = stock.server, Case("delivery-grown")
    whole, part = tmp_path / "whole", tmp_path / "part"
    image(whole, case, 1, 1)
    sent = [convert(server, whole, *SYSTEMS, folder=tmp_path)]
    first = only(server, case.uid(1))
    image(whole, case, 1, 2)
    image(whole, case, 2, 1, Modality="PT")
    sent.append(convert(server, whole, *SYSTEMS, folder=tmp_path))
    grown = only(server, case.uid(1))
    image(part, case, 1, 3)
    sent.append(convert(server, part, *SYSTEMS, folder=tmp_path))
    more = only(server, case.uid(1))
    for existing in ("skip", "merge"):
        sent.append(convert(server, whole, *SYSTEMS, "--on-existing", existing, folder=tmp_path))
    kept = only(server, case.uid(1))
    sent.append(convert(server, part, *SYSTEMS, "--on-existing", "replace", folder=tmp_path))
    replaced = only(server, case.uid(1))
    assert [each.code for each in sent] == [0] * 6
    assert {each["id"] for each in (first, grown, more, kept, replaced)} == {first["id"]}
    numbers = [(each["meta"]["versionId"], each["numberOfInstances"], each["numberOfSeries"])
               for each in (first, grown, more, kept, replaced)]  # fmt: skip
    assert numbers == [("1", 1, 1), ("2", 3, 2), ("3", 4, 2), ("3", 4, 2), ("4", 1, 1)]
    assert instances(more) == [case.uid(1, 1, 1), case.uid(1, 1, 2), case.uid(1, 1, 3), case.uid(1, 2, 1)]
    assert instances(replaced) == [case.uid(1, 1, 3)]
    assert subject(replaced) == subject(first)


def ordered(folder: Path) -> Case:
    """A study of a patient, for an order, within an admission, referred by a physician: each known by a number."""
    case = Case("delivery-masters")
    request = {
        "AccessionNumber": "MASTER-1",
        "RequestedProcedureID": "MASTER-RP",
        "RequestedProcedureCodeSequence": [code("24627-2", "LN", "CT Chest")],
    }
    image(
        folder,
        case,
        1,
        1,
        AccessionNumber="MASTER-1",
        RequestAttributesSequence=[request],
        AdmissionID="MASTER-ADM",
        IssuerOfAdmissionIDSequence=issuer(uid(7)),
        ReferringPhysicianName="Referrer^Rolf",
        ReferringPhysicianIdentificationSequence=[{"PersonIdentificationCodeSequence": [code("M-1", "99PERSON", "R")]}],
        CodingSchemeIdentificationSequence=[{"CodingSchemeDesignator": "99PERSON", "CodingSchemeUID": uid(8)}],
    )
    return case


def master(server: Hapi, entry: Json, places: dict[str, str]) -> str:
    """Puts a master on the server before us, with the identifiers that we would give it and words of its own."""
    own = {name: _placed(value, places) for name, value in entry["resource"].items()} | {"language": "en"}
    if own["resourceType"] == "Patient":
        own |= {"name": [{"family": "Kept"}], "birthDate": "1930-04-05"}
    answer = server.client.post(own["resourceType"], own)
    assert answer.status == 201, answer.body
    return f"{own['resourceType']}/{answer.json['id']}"


def _placed(node: Any, places: dict[str, str]) -> Any:
    if isinstance(node, list):
        return [_placed(one, places) for one in node]
    if isinstance(node, dict):
        return {name: _placed(value, places) for name, value in node.items()}
    return places.get(node, node)


def test_masters_that_are_there_stay_as_they_are(stock: Stock, tmp_path: Path) -> None:
    server = stock.server
    case = ordered(tmp_path / "in")
    options = (*SYSTEMS, "--create", "Patient,Practitioner,ServiceRequest,Encounter")
    places: dict[str, str] = {}
    for entry in entries(bundles(server, tmp_path / "in", *options, folder=tmp_path)):
        if entry["request"]["method"] == "POST":
            places[entry["fullUrl"]] = master(server, entry, places)
    before = {place: server.client.get(place).json for place in places.values()}
    kinds = {place.partition("/")[0] for place in before}
    assert kinds == {"Patient", "Practitioner", ORDER.get(server.version, "ServiceRequest")} | (
        set() if server.version == "dstu2" else {"Encounter"}
    )
    for _ in range(2):
        sent = convert(server, tmp_path / "in", *options, folder=tmp_path)
        assert sent.code == 0, sent.said
    assert {place: server.client.get(place).json for place in before} == before
    assert {one["meta"]["versionId"] for one in before.values()} == {"1"}
    study = only(server, case.uid(1))
    assert study["meta"]["versionId"] == "1"
    assert references(study) >= set(places.values())


def test_one_number_without_a_system_is_two_patients(stock: Stock, tmp_path: Path) -> None:
    server = stock.server
    before = counts(server, ["Patient"])
    folder = FAULTS / "no-issuer-two-folders"
    for _ in range(2):
        sent = convert(server, folder, folder=tmp_path)
        assert sent.code == 0, sent.said
    found = [only(server, Case(folder.name).uid(number)) for number in (1, 2)]
    assert counts(server, ["Patient"]) == before
    people = [_contained(study) for study in found]
    assert [one["gender"] for one in people] == ["female", "male"]
    assert {one["identifier"][0]["value"] for one in people} == {"12345"}
    assert [study["meta"]["versionId"] for study in found] == ["1", "1"]


def _contained(study: Json) -> Json:
    """The Patient inside a study."""
    (one,) = [each for each in study["contained"] if each["resourceType"] == "Patient"]
    assert subject(study)["reference"] == f"#{one['id'].removeprefix('#')}"
    found: Json = one
    return found


@pytest.mark.parametrize("stock", UNLIKE, indirect=True)
@pytest.mark.parametrize("way", WAYS)
def test_each_way_of_writing_writes_once(stock: Stock, way: str, tmp_path: Path) -> None:
    server, case = stock.server, Case(f"delivery-{way}")
    address = f"http://pacs.example/{case.uid()}"  # `create` makes an Endpoint that a condition finds beside another
    image(tmp_path / "in", case, 1, 1, PatientID=case.name)
    again = [
        convert(server, tmp_path / "in", *SYSTEMS, "--wado-rs", address, *WAYS[way], folder=tmp_path) for _ in range(2)
    ]
    assert [one.code for one in again] == [0, 0], again[-1].said
    study = only(server, case.uid(1))
    assert study["meta"]["versionId"] == "1"
    assert subject_number(server, study) == case.name
    if server.version != "dstu2":
        (endpoint,) = study["endpoint"]
        assert server.client.get(endpoint["reference"]).json["address"] == address


def subject_number(server: Hapi, study: Json) -> str:
    """The PatientID that a study leads to: by a Patient of its own, one inside it, or an identifier."""
    who = subject(study)
    if "reference" not in who:
        patient = who | {"identifier": [who["identifier"]]}
    elif who["reference"][0] == "#":
        patient = _contained(study)
    else:
        patient = server.client.get(who["reference"]).json
    number: str = patient["identifier"][0]["value"]
    return number


def test_a_trial_leaves_nothing_behind(stock: Stock, tmp_path: Path) -> None:
    server = stock.server
    before = versions(server, all_kinds(server))
    told = run("doctor", "--server", server.base, "--to", server.version, "--trial", folder=tmp_path)
    assert told.code == 0, told.output
    assert "failed" not in told.output
    assert "send it again" in told.output
    assert versions(server, all_kinds(server)) == before


def test_a_server_that_gives_ids_itself(tmp_path: Path) -> None:
    case = Case("delivery-no-ids")
    image(tmp_path / "in", case, 1, 1)
    with Hapi("r4", "--no-update-as-create") as server:
        refused = convert(server, tmp_path / "in", *SYSTEMS, folder=tmp_path)
        assert refused.code == 4
        assert "--write conditional-update" in refused.said
        assert "update-as-create" in refused.said
        assert counts(server, all_kinds(server)) == {}
        sent = convert(server, tmp_path / "in", *SYSTEMS, "--write", "conditional-update", folder=tmp_path)
        assert sent.code == 0, sent.said
        again = convert(server, tmp_path / "in", *SYSTEMS, "--write", "conditional-update", folder=tmp_path)
        assert again.code == 0, again.said
        assert only(server, case.uid(1))["meta"]["versionId"] == "1"
        assert counts(server, all_kinds(server)) == {"ImagingStudy": 1, "Patient": 1}
