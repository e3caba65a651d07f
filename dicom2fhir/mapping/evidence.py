"""What a study's records say, and what is wrong with it: elections among contexts, and the notebook.

Instances of one study contradict each other. Whatever the order of the files, the most frequent value wins, image
instances before others (key objects, reports and presentation states copy study attributes with values of their
own), ties going to the lowest (series number, instance number, SOP Instance UID).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any, Generic, TypeVar

from dicom2fhir import codes
from dicom2fhir.dicom.records import Context, InstanceRecord, Values
from dicom2fhir.dicom.values import MAX_INTEGER, BadValue, clean_text, first_value, joined, parse_integer, split_values
from dicom2fhir.problems import Code, Problem

T = TypeVar("T", bound=Hashable)
Rank = tuple[int, int, str]
_LAST = MAX_INTEGER + 1
_LATEST = 4
_UID, _CONTEXT, _OWN = itemgetter(0), itemgetter(1), itemgetter(2)  # of an `InstanceRecord`


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
    """A context with the instances that share it: which and how many they are, and the rank of the first of them.

    It may stand for several contexts that say the same (see `agreeing`).
    """

    context: Context
    members: Sequence[InstanceRecord]
    count: int
    rank: Rank
    is_image: bool
    contexts: int = 1

    @property
    def values(self) -> Values:
        """The context's values."""
        return self.context.values

    def text(self, keyword: str) -> str | None:
        """A text attribute as FHIR takes it; of several values all, joined."""
        value = self.context.values.get(keyword)
        return _text(value) if value else None

    def first(self, keyword: str) -> str | None:
        """The first value of an attribute."""
        value = self.context.values.get(keyword)
        return _first_text(value) if value else None

    def items(self, keyword: str) -> list[Values]:
        """The items of a sequence."""
        found = self.context.values.get(keyword)
        return found if isinstance(found, list) else []


@lru_cache(maxsize=512)  # what a study's contexts share is read once
def _text(value: str) -> str | None:
    return clean_text(joined(value))


@lru_cache(maxsize=512)
def _first_text(value: str) -> str | None:
    found = first_value(value)
    return clean_text(found) if found else None


def voters(instances: Sequence[InstanceRecord]) -> list[Voter]:
    """The contexts of these instances, by rank."""
    if len(set(map(id, map(_CONTEXT, instances)))) == 1:  # as in most series
        return [_voter(instances)]
    shared: dict[int, list[InstanceRecord]] = {}
    for instance in instances:
        shared.setdefault(id(instance.context), []).append(instance)
    return sorted(map(_voter, shared.values()), key=attrgetter("rank"))


def _voter(members: Sequence[InstanceRecord]) -> Voter:
    context = members[0].context
    series = quiet_integer(context.values.get("SeriesNumber", ""))
    numbers = [values.get("InstanceNumber", "") for values in map(_OWN, members)]
    number, uid = min(zip(map(quiet_integer, numbers), map(_UID, members), strict=True))
    return Voter(context, members, len(members), (series, number, uid), codes.is_image(context.sop_class))


def agreeing(electorate: Iterable[Voter], unasked: frozenset[str]) -> list[Voter]:
    """Those that differ in nothing but `unasked` keywords as one, which does not have these.

    Their counts and what is noted of them add up, so that elections and notes end as they would have. Who agrees with
    none of the latest few stays alone: it costs a little time and changes nothing.
    """
    alike: list[tuple[Values, list[Voter]]] = []
    for voter in electorate:
        said = {keyword: value for keyword, value in voter.values.items() if keyword not in unasked}
        agreed = (known for other, known in alike[-_LATEST:] if known[0].is_image is voter.is_image and other == said)
        known = next(agreed, None)
        if known is None:
            alike.append((said, [voter]))
        else:
            known.append(voter)
    return [_joined(*each) for each in alike]


def _joined(said: Values, voters: list[Voter]) -> Voter:
    first = min(voters, key=attrgetter("rank"))
    context = Context(first.context.study, first.context.series, first.context.sop_class, said)
    members = list(chain.from_iterable(voter.members for voter in voters))
    return Voter(context, members, len(members), first.rank, first.is_image, len(voters))


@lru_cache(maxsize=1024)  # the numbers of one series are those of another
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
    images: dict[T, int] = {}
    others: dict[T, int] = {}
    for voter in electorate:
        value = value_of(voter)
        if value is not None and value != ():
            pool = images if voter.is_image else others
            pool[value] = pool.get(value, 0) + voter.count
    for pool in (images, others):
        if pool:
            most = max(pool.values())
            winners = [value for value, count in pool.items() if count == most]
            return Election(min(winners, key=tie) if tie else winners[0], len(pool) > 1)
    return Election(None)


class Evidence:
    """The records of a study or of one of its series, with the notebook and the place for notes."""

    def __init__(
        self, instances: Sequence[InstanceRecord], notebook: Notebook, *place: str, known: Iterable[Voter] | None = None
    ) -> None:
        """`known` are the voters of these instances, in any order, where somebody has them."""
        self.instances = instances
        self.voters = voters(instances) if known is None else sorted(known, key=attrgetter("rank"))
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
        if len(self.voters) == 1:  # as in most series
            only = value_of(self.voters[0])
            return None if only == () else only
        election = elect(self.voters, value_of, tie)
        if election.contested:
            self.note(conflict, keyword)
        return election.value

    def text(self, keyword: str) -> str | None:
        """The most frequent text of an attribute that has one value; more of them are joined and noted."""
        said = {value for voter in self.voters if (value := voter.values.get(keyword))}
        if not said:
            return None
        if any(len(list(filter(None, split_values(value)))) > 1 for value in said):
            self.note(Code.VALUE_INVALID, keyword)
        return self.elect(keyword, lambda voter: voter.text(keyword))

    def distinct(self, values_of: Callable[[Voter], Iterable[T]]) -> list[T]:
        """All distinct values of all contexts, by rank of the context that first has them."""
        return list(dict.fromkeys(value for voter in self.voters for value in values_of(voter)))
