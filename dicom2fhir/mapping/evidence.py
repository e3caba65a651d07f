"""What a study's records say, and what is wrong with it: elections among contexts, and the notebook.

Instances of one study contradict each other. Whatever the order of the files, the most frequent value wins, image
instances before others (key objects, reports and presentation states copy study attributes with values of their
own), ties going to the lowest (series number, instance number, SOP Instance UID).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from dicom2fhir import codes
from dicom2fhir.dicom.records import Context, InstanceRecord, Values
from dicom2fhir.dicom.values import MAX_INTEGER, BadValue, clean_text, first_value, joined, parse_integer, split_values
from dicom2fhir.problems import Code, Problem

T = TypeVar("T", bound=Hashable)
Rank = tuple[int, int, str]
_LAST = MAX_INTEGER + 1


class Notebook:
    """Collects the problems of one study; one code at one place is one problem with a count."""

    def __init__(self, study: str) -> None:
        self._study = study
        self._counts: dict[tuple[Code, str], int] = {}

    def add(self, code: Code, *place: str, count: int = 1) -> None:
        """Note a problem at series, instance or element `place`, below the study."""
        key = (code, "/".join((self._study, *place)))
        self._counts[key] = self._counts.get(key, 0) + count

    def problems(self) -> list[Problem]:
        """Everything noted, in the order in which it was noted."""
        return [Problem(code, where, count=count) for (code, where), count in self._counts.items()]


@dataclass(frozen=True, slots=True, eq=False)
class Voter:
    """A context with the instances that share it: how many they are, and the first of them."""

    context: Context
    count: int
    rank: Rank
    is_image: bool

    @property
    def values(self) -> Values:
        """The context's values."""
        return self.context.values

    def text(self, keyword: str) -> str | None:
        """A text attribute as FHIR takes it; of several values all, joined."""
        return clean_text(joined(self.values.get(keyword, "")))

    def first(self, keyword: str) -> str | None:
        """The first value of an attribute."""
        value = first_value(self.values.get(keyword, ""))
        return clean_text(value) if value else None

    def items(self, keyword: str) -> list[Values]:
        """The items of a sequence."""
        found = self.values.get(keyword, [])
        return found if isinstance(found, list) else []


def voters(instances: Sequence[InstanceRecord]) -> list[Voter]:
    """The contexts of these instances, by rank."""
    shared: dict[int, list[InstanceRecord]] = {}
    for instance in instances:
        shared.setdefault(id(instance.context), []).append(instance)
    found = [_voter(members) for members in shared.values()]
    return sorted(found, key=lambda voter: voter.rank)


def _voter(members: list[InstanceRecord]) -> Voter:
    context = members[0].context
    series = quiet_integer(context.values.get("SeriesNumber", ""))
    number, uid = min((quiet_integer(m.values.get("InstanceNumber", "")), m.uid) for m in members)
    return Voter(context, len(members), (series, number, uid), codes.is_image(context.sop_class))


def quiet_integer(text: str) -> int:
    """A number to sort by: what is none comes last."""
    try:
        number = parse_integer(first_value(text) or "")
    except BadValue:
        return _LAST
    return _LAST if number is None else number


@dataclass(frozen=True, slots=True)
class Election(Generic[T]):
    """What won, and whether there was anything else among its peers."""

    value: T | None
    contested: bool = False


def elect(
    electorate: Iterable[Voter], value_of: Callable[[Voter], T | None], tie: Callable[[T], Any] | None = None
) -> Election[T]:
    """The most frequent value that is not None or empty, among images if they have any.

    Equal counts go to the lowest `tie(value)` where given, else to the first by rank.
    """
    pools: dict[bool, dict[T, int]] = {True: {}, False: {}}
    for voter in electorate:
        value = value_of(voter)
        if value is not None and value != ():
            pool = pools[voter.is_image]
            pool[value] = pool.get(value, 0) + voter.count
    for pool in (pools[True], pools[False]):
        if pool:
            most = max(pool.values())
            winners = [value for value, count in pool.items() if count == most]
            return Election(min(winners, key=tie) if tie else winners[0], len(pool) > 1)
    return Election(None)


class Evidence:
    """The records of a study or of one of its series, with the notebook and the place for notes."""

    def __init__(self, instances: Sequence[InstanceRecord], notebook: Notebook, *place: str) -> None:
        self.instances = instances
        self.voters = voters(instances)
        self.notebook = notebook
        self.place = place

    def note(self, code: Code, keyword: str, count: int = 1) -> None:
        """Note a problem with an attribute of this study or series."""
        self.notebook.add(code, *self.place, keyword, count=count)

    def elect(
        self,
        keyword: str,
        value_of: Callable[[Voter], T | None],
        tie: Callable[[T], Any] | None = None,
        conflict: Code = Code.VALUE_CONFLICT,
    ) -> T | None:
        """The winner; a contested one is noted under `keyword`."""
        election = elect(self.voters, value_of, tie)
        if election.contested:
            self.note(conflict, keyword)
        return election.value

    def text(self, keyword: str) -> str | None:
        """The most frequent text of an attribute that has one value; more of them are joined and noted."""
        value = self.elect(keyword, lambda voter: voter.text(keyword))
        if any(len([v for v in split_values(voter.values.get(keyword, "")) if v]) > 1 for voter in self.voters):
            self.note(Code.VALUE_INVALID, keyword)
        return value

    def distinct(self, values_of: Callable[[Voter], Iterable[T]]) -> list[T]:
        """All distinct values of all contexts, by rank of the context that first has them."""
        return list(dict.fromkeys(value for voter in self.voters for value in values_of(voter)))
