"""The table of servers."""

from __future__ import annotations

import pytest

from dicom2fhir.errors import UsageError
from dicom2fhir.server.capability import Capabilities
from dicom2fhir.server.profiles import PROFILES, Profile, profile


def test_only_what_the_tests_run_is_said_to_be_tested() -> None:
    assert [name for name, one in PROFILES.items() if one.tested] == ["hapi"]


def test_without_a_profile_nothing_is_limited() -> None:
    assert profile("generic") == Profile()
    hapi = profile("hapi")
    assert (hapi.max_entries, hapi.max_conditional, hapi.max_bytes) == (None, None, None)


@pytest.mark.parametrize("one", PROFILES.values(), ids=PROFILES)
def test_limits_are_numbers_that_leave_room(one: Profile) -> None:
    for limit in (one.max_entries, one.max_conditional, one.max_bytes):
        assert limit is None or limit > 0
    assert one.max_conditional is None or one.max_conditional < (one.max_entries or 0)
    assert all(note.endswith(".") for note in one.notes)


def test_a_profile_may_know_better_than_the_statement() -> None:
    can = Capabilities(transaction=True, batch=True)
    assert profile("oracle").told(can) == Capabilities(transaction=False, batch=True)
    assert profile("hapi").told(can) == can


def test_an_unknown_profile_is_a_usage_error_that_names_the_known() -> None:
    with pytest.raises(UsageError, match=r"generic, hapi, .*oracle"):
        profile("nothing")
