"""Every search parameter of ImagingStudy on HAPI, version by version: what is there is found, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import searches
from builders import write
from dicomdata import Case
from searches import COMMON, DAYS, MISSING, NO_DAYS, PARAMETERS, Parameter
from stock import SAID, Stock, bundles, studies

BRIEF = {"_count": "500", "_elements": "identifier"}


def found(stock: Stock, name: str, value: str) -> list[str]:
    """The ids of what a search finds; other tests' studies are not of the stock."""
    return [one for one in stock.server.client.ids("ImagingStudy", {name: value, **BRIEF}) if one in stock.studies]


def none_at_all(stock: Stock, name: str, value: str) -> bool:
    """Whether a search finds nothing, of whomever."""
    return stock.server.client.ids("ImagingStudy", {name: value, **BRIEF}) == []


def say(stock: Stock, name: str, answers: Sequence[tuple[str, int]], why: str = "") -> None:
    """A line for the end of the run."""
    told = ", ".join(f"{value} {number}" for value, number in answers)
    SAID.append(f"{stock.server.version:5} {name:14} {told}{f' ({why})' if why else ''}")


def asked(stock: Stock, value: str) -> str:
    """A value as a client would ask for it: what the Bundles call by a fullUrl has a place on the server."""
    return stock.place(value) if value.startswith("urn:uuid:") else value


def mistaken(stock: Stock, one: Parameter) -> dict[str, tuple[list[str], list[str]]]:
    """What is asked for by one parameter with another answer than it should have: (found, expected)."""
    there = searches.expected(stock.studies, one.paths)
    wanted = {asked(stock, value): there[value] for value in searches.samples(there)}
    codes = sorted({value.rpartition("|")[2] for value in wanted if "|" in value})
    wanted |= {code: searches.code_alone(there, code) for code in codes}
    if one.unindexed:
        wanted = {value: [] for value in wanted}
    got = {value: found(stock, one.name, value) for value in wanted}
    say(stock, one.name, [*((value, len(ids)) for value, ids in got.items()), (one.absent, 0)], one.unindexed)
    return {value: (got[value], ids) for value, ids in wanted.items() if got[value] != ids}


def test_each_parameter_finds_what_is_there(stock: Stock) -> None:
    wrong = {one.name: mistaken(stock, one) for one in PARAMETERS[stock.server.version]}
    assert {name: each for name, each in wrong.items() if each} == {}


def test_each_parameter_finds_nothing_by_what_is_not_there(stock: Stock) -> None:
    parameters = PARAMETERS[stock.server.version]
    assert [one.name for one in parameters if not none_at_all(stock, one.name, one.absent)] == []


def test_each_parameter_has_values_to_be_found_by(stock: Stock) -> None:
    unwritten = {
        one.name for one in PARAMETERS[stock.server.version] if not searches.expected(stock.studies, one.paths)
    }
    assert unwritten == searches.UNWRITTEN.get(stock.server.version, set())


def test_days_are_found_by_when_a_study_started(stock: Stock) -> None:
    expected = {day: searches.started(stock.studies, day) for day in DAYS}
    got = {day: found(stock, "started", day) for day in DAYS}
    say(stock, "started", [*((day, len(ids)) for day, ids in got.items()), *((day, 0) for day in NO_DAYS)])
    assert got == expected
    assert len(set(map(tuple, expected.values()))) > 4
    assert all(none_at_all(stock, "started", day) for day in NO_DAYS)


def test_what_all_resources_are_searched_by(stock: Stock) -> None:
    for name in sorted(offered(stock) & set(COMMON)):
        value, outcome = COMMON[name]
        asked_by = "_has:Provenance:target:_id" if name == "_has" else name
        if outcome in ("all", "none"):
            expected = sorted(stock.studies) if outcome == "all" else []
            assert found(stock, asked_by, value) == expected, name
            say(stock, name, [(value, len(expected))])
        else:
            assert stock.server.client.get("ImagingStudy", {name: value}).status == 400, name
            say(stock, name, [(value, 400)], outcome)


def offered(stock: Stock) -> set[str]:
    """The parameters of ImagingStudy that the server says it has."""
    resources = stock.server.client.get("metadata").json["rest"][0]["resource"]
    (study,) = [one for one in resources if one["type"] == "ImagingStudy"]
    return {one["name"] for one in study["searchParam"]}


def test_no_parameter_is_forgotten(stock: Stock) -> None:
    ours = {"started", *(one.name for one in PARAMETERS[stock.server.version])}
    assert offered(stock) - set(COMMON) == ours


def test_what_a_version_lacks_is_refused(stock: Stock) -> None:
    for name, why in MISSING[stock.server.version].items():
        assert stock.server.client.get("ImagingStudy", {name: "x"}).status == 400, (name, why)
        say(stock, name, [("any value", 400)], why)


def test_the_patients_compartment(stock: Stock) -> None:
    there = searches.expected(stock.studies, "subject|patient")
    full_url = max(there, key=lambda one: (len(there[one]), one))
    patient, client = stock.place(full_url), stock.server.client
    # HAPI JPA serves a compartment by $everything alone.
    assert client.get(f"{patient}/ImagingStudy").status == 400
    everything = client.search(f"{patient}/$everything")
    assert sorted(one["id"] for one in everything if one["resourceType"] == "ImagingStudy") == there[full_url]
    say(stock, "$everything", [(patient, len(there[full_url]))], f"GET {patient}/ImagingStudy is unknown to HAPI: 400")


def test_summaries(stock: Stock) -> None:
    client, name = stock.server.client, min(stock.studies)
    assert client.get("ImagingStudy", {"_id": name, "_summary": "count"}).json["total"] == 1
    (short,) = client.search("ImagingStudy", {"_id": name, "_summary": "true"})
    if stock.server.version in searches.WITHOUT_SUMMARY:
        assert set(short) == {"resourceType", "id", "meta"}
    else:
        assert short["numberOfInstances"] == stock.studies[name]["numberOfInstances"]
        assert all("instance" not in series for series in short["series"])
    assert all("instance" in series for series in client.get(f"ImagingStudy/{name}").json["series"])
    everything = client.get("ImagingStudy", {"_summary": "count"}).json["total"]
    assert everything >= len(stock.studies)
    say(stock, "_summary", [("count", everything)], searches.WITHOUT_SUMMARY.get(stock.server.version, ""))


def test_a_bare_study_is_posted_and_found(stock: Stock, tmp_path: Path) -> None:
    server, patient = stock.server, f"Patient/bare-{stock.server.version}"
    assert server.client.put(patient, {"resourceType": "Patient", "id": patient.partition("/")[2]}).status == 201
    write(tmp_path / "in/1.dcm", (case := Case("posted-bare"))())
    options = ("--patient", patient, "--create", "none")
    (study,) = studies(bundles(server, tmp_path / "in", *options, folder=tmp_path))
    posted = server.client.post("ImagingStudy", {name: value for name, value in study.items() if name != "id"})
    assert posted.status == 201
    place = posted.headers["Location"].split("/_history")[0].rpartition("/")[2]
    series = case.uid(1, 1) if server.version[0] == "r" else f"urn:oid:{case.uid(1, 1)}"
    for name, value in (("patient", patient), ("series", series)):
        assert server.client.ids("ImagingStudy", {name: value}) == [place], name
    say(stock, "patient", [(patient, 1)], f"after POST ImagingStudy: {posted.status}")
