"""A Hypothesis strategy for every policy that the command line lets through."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import note
from hypothesis import strategies as st

from dicom2fhir.errors import UsageError
from dicom2fhir.fhir import bundle, dialect
from dicom2fhir.fhir.policy import CREATABLE, DEFAULT_CREATE, Policy, check_study
from dicom2fhir.fhir.versions import DIALECTS
from dicom2fhir.model import Study


def _refused(policy: Policy) -> bool:
    try:
        policy.check()
    except UsageError:
        return True
    return False


policies = st.builds(
    Policy,
    write=st.sampled_from(("put", "conditional-update", "conditional-create", "create")),
    bundle_type=st.sampled_from(("transaction", "batch", "collection")),
    shape=st.sampled_from(("bundles", "bundle", "ndjson")),
    patient=st.sampled_from(("auto", "auto", "contained", "identifier", "create", "Patient/5")),
    create=st.sampled_from((DEFAULT_CREATE, CREATABLE, frozenset(("Patient",)))) | st.sets(
        st.sampled_from(sorted(CREATABLE))
    ).map(frozenset),
    availability=st.sampled_from((None, None, "ONLINE")),
).filter(lambda policy: not _refused(policy))  # fmt: skip


def emit(study: Study, policy: Policy, version: str) -> bundle.Emission | None:
    """What a study becomes, None where the pipeline would have refused it under this policy."""
    try:
        DIALECTS[version].check(policy)
        check_study(study, policy)
    except UsageError:
        return None
    return dialect.render(study, DIALECTS[version], policy)


def emissions(study: Study, policy: Policy) -> Iterator[tuple[str, bundle.Emission]]:
    """What a study becomes in each version that lets it through: to draw a study takes longer than to render it in all.

    What Hypothesis notes of a failure ends with its version.
    """
    for version in DIALECTS:
        note(f"in {version}")
        emission = emit(study, policy, version)
        if emission is not None:
            yield version, emission
