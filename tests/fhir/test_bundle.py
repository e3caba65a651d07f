"""Entries of Bundles."""

from __future__ import annotations

from typing import Any

import pytest
from studies import study

from dicom2fhir.fhir import bundle, dialect
from dicom2fhir.fhir.policy import Policy
from dicom2fhir.fhir.versions import DIALECTS
from dicom2fhir.model import Endpoint, Identifier, Patient

ONE = study(
    Patient(identifiers=(Identifier("1", "patient", "urn:oid:1.2"),)), endpoints=(Endpoint("iid", "https://a.test"),)
)
STUDY_QUERY = "identifier=urn%3Adicom%3Auid%7Curn%3Aoid%3A1.2.3"
CREATE_PATIENT = {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=urn%3Aoid%3A1.2%7C1"}


def build(**choices: Any) -> tuple[bundle.Emission, dict[str, Any]]:
    policy = Policy(**choices)
    emission = dialect.render(ONE, DIALECTS["r4"], policy)
    return emission, bundle.bundle(emission, policy)


@pytest.mark.parametrize("kind", ["transaction", "batch"])
@pytest.mark.parametrize(
    ("write", "request_of_study"),
    [
        ("put", {"method": "PUT", "url": "ImagingStudy/ddrak4l4ddup7ihz6yi45pszkvczxflz"}),
        ("conditional-update", {"method": "PUT", "url": f"ImagingStudy?{STUDY_QUERY}"}),
        ("conditional-create", {"method": "POST", "url": "ImagingStudy", "ifNoneExist": STUDY_QUERY}),
        ("create", {"method": "POST", "url": "ImagingStudy"}),
    ],
)
def test_requests(kind: str, write: str, request_of_study: dict[str, str]) -> None:
    _, found = build(bundle_type=kind, write=write)
    assert (found["resourceType"], found["type"]) == ("Bundle", kind)
    patient, endpoint, imaging = (entry["request"] for entry in found["entry"])
    assert imaging == request_of_study
    assert patient == CREATE_PATIENT
    assert endpoint["method"] == imaging["method"]
    assert endpoint["url"].startswith("Endpoint")
    assert endpoint.keys() == imaging.keys()


def test_a_collection_asks_for_nothing() -> None:
    emission, found = build(bundle_type="collection")
    for wrapped, entry in zip(found["entry"], emission.entries, strict=True):
        assert wrapped == {"fullUrl": entry.full_url, "resource": entry.resource}
        assert list(wrapped) == ["fullUrl", "resource"]


def test_keys_stand_in_fhirs_order() -> None:
    _, found = build()
    assert list(found) == ["resourceType", "type", "entry"]
    assert all(list(entry) == ["fullUrl", "resource", "request"] for entry in found["entry"])


def test_a_shell_can_be_filled_piece_by_piece() -> None:
    emission, found = build(shape="bundle")
    policy = Policy(shape="bundle")
    assert {**bundle.shell(policy), "entry": [emission.wrap(one, policy) for one in emission.entries]} == found


def test_what_cannot_be_found_is_never_created_blindly() -> None:
    lost = bundle.Entry({"resourceType": "Practitioner"}, "a", "urn:uuid:a", ours=False, condition=None)
    with pytest.raises(ValueError, match="Practitioner"):
        bundle.request(lost, Policy())
