"""Two ImagingStudies of one study, the stored and the new, as one: nothing that is stored is lost.

A PACS is exported in parts and again. What the server has of a study is therefore joined by what is new: series by
their UID, instances by theirs, lists by what their items say. Where both say a thing differently the new study wins
if it lists every stored instance, for then it has seen all that the stored one was made of; otherwise what is stored
stays and the new one fills what is absent. The same is asked of each series by itself. Who was imaged is never
changed (see `stored.same_patient`); a narrative, which nobody would keep up to date, is dropped.

All FHIR versions call the same things the same, but for the few names that stand here.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Set
from itertools import chain, count
from typing import Any

from dicom2fhir.fhir.elements import DICOM_UID, Json
from dicom2fhir.fhir.invariants import at_or_after
from dicom2fhir.fhir.stored import (
    GIVEN_BY_SERVERS,
    LABELS,
    Contained,
    labels,
    literals,
    objects,
    redirected,
    same,
    subject_name,
)

_MODALITIES = ("modality", "modalityList")
_APART = frozenset(("contained", "series", "instance", "text"))
"""What is not joined as other elements are."""


class MergeImpossible(Exception):
    """A study does not list what it counts, or lists it in a way that cannot be joined; the message says which."""


def merge(stored: Json, ours: Json) -> Json:
    """The stored study joined by ours, whose references are resolved; under the stored id, without its version.

    Merging again changes nothing. Parts of the result are parts of the arguments: none of them is to be written to.

    Raises:
        MergeImpossible: one of them has instances or series that it does not list.
    """
    try:
        if same(stored, ours):
            return _filled(stored | {"meta": _meta(stored, ours), "text": None})
        _check(stored, "The stored study")
        _check(ours, "The new study")
        return _merged(stored, ours)
    except RecursionError:
        raise MergeImpossible("The stored study is nested too deeply.") from None


def _merged(stored: Json, ours: Json) -> Json:
    shelf = _Shelf(stored)
    ours = shelf.take_in(_about_one_subject(stored, ours))
    full = _uids(stored) <= _uids(ours)
    series = _all_series(stored, ours, shelf)
    body: Json = dict.fromkeys(("resourceType", "id", "meta", "contained")) | _joined(stored, ours, full, shelf)
    body |= {"id": stored.get("id"), "meta": _meta(stored, ours)}
    body |= {"numberOfSeries": len(series), "numberOfInstances": sum(one["numberOfInstances"] for one in series)}
    body |= {name: _modalities(stored, ours, name, full, series) for name in _MODALITIES if name in body}
    body |= {name: stored[name] for name in (subject_name(stored),) if name}
    body["identifier"] = _identifiers(stored, ours, body.get("accession"), full, shelf)
    body["series"] = _started_in_time(body, series)
    body["contained"] = shelf.used(stored, body)
    return _filled(body)


def _filled(body: Json) -> Json:
    return {name: value for name, value in body.items() if value not in (None, [], {})}


# May they be joined? --------------------------------------------------------------------------------


def _check(study: Json, which: str) -> None:
    series = _listed(study, "series", which)
    instances = sum(_listed_instances(one, which) for one in series)
    if _number(study, "numberOfSeries") > len(series) or _number(study, "numberOfInstances") > instances:
        raise MergeImpossible(f"{which} does not list all that it counts.")


def _listed_instances(series: Json, which: str) -> int:
    listed = len(_listed(series, "instance", which))
    if _number(series, "numberOfInstances") > listed or (not listed and "numberOfInstances" not in series):
        raise MergeImpossible(f"{which} does not list its instances.")
    return listed


def _listed(node: Json, name: str, which: str) -> list[Json]:
    items = node.get(name, [])
    uids = {_uid(one) for one in objects(items)}
    if not isinstance(items, list) or len(uids) != len(items) or "" in uids:
        raise MergeImpossible(f"{which} lists something twice, or without its UID.")
    return items


def _number(node: Json, name: str) -> int:
    value = node.get(name)
    return value if isinstance(value, int) else 0


# Series and instances -------------------------------------------------------------------------------


def _uid(one: Json) -> str:
    return str(one.get("uid") or "").removeprefix("urn:oid:")


def _uids(study: Json) -> set[tuple[str, str]]:
    return {(_uid(one), _uid(each)) for one in study.get("series", ()) for each in one.get("instance", ())}


def _all_series(stored: Json, ours: Json, shelf: _Shelf) -> list[Json]:
    theirs, mine = _by_uid(stored.get("series", ())), _by_uid(ours.get("series", ()))
    return sorted((_one_series(theirs.get(uid, {}), mine.get(uid, {}), shelf) for uid in theirs | mine), key=_rank)


def _one_series(stored: Json, ours: Json, shelf: _Shelf) -> Json:
    theirs, mine = _by_uid(stored.get("instance", ())), _by_uid(ours.get("instance", ()))
    instances = sorted((_one_instance(theirs.get(uid, {}), mine.get(uid, {})) for uid in theirs | mine), key=_rank)
    body = _joined(stored, ours, theirs.keys() <= mine.keys(), shelf)
    body |= {"numberOfInstances": len(instances), "instance": instances}
    return _filled(body | _anatomy(stored, ours, theirs.keys(), mine.keys(), shelf))


def _anatomy(stored: Json, ours: Json, theirs: Set[str], mine: Set[str], shelf: _Shelf) -> Json:
    """What a series shows, which is said of all its instances: none may be called left because others are.

    A side stays where both say it, or where the one that says it lists all instances. Body sites that are a list (R6:
    each with its side) are those of whoever lists all; if neither does, all of them, none as another's richer form.
    """
    sites, more = stored.get("bodySite"), ours.get("bodySite")
    found: Json = {}
    if isinstance(sites, list) and isinstance(more, list) and theirs != mine:
        found["bodySite"] = more if theirs < mine else sites if mine < theirs else _once([*sites, *more])
    told = [(one.get("laterality"), own >= theirs | mine) for one, own in ((ours, mine), (stored, theirs))]
    (side, _), (other, _) = told
    if side is None or other is None or not (shelf.says(side, other) or shelf.says(other, side)):
        found["laterality"] = next((one for one, all_listed in told if one and all_listed), None)
    return found


def _one_instance(stored: Json, ours: Json) -> Json:
    """Ours, with what only the stored one has: somebody's extension, a number that the file has lost."""
    if not stored or not ours or stored == ours:
        return ours or stored
    return {name: ours.get(name, stored.get(name)) for name in _names(stored, ours)}


def _by_uid(items: Iterable[Json]) -> dict[str, Json]:
    return {_uid(one): one for one in items}


def _rank(one: Json) -> tuple[bool, int, str]:
    """By number, then UID; what has no number comes last."""
    return "number" not in one, _number(one, "number"), str(one["uid"])


def _started_in_time(study: Json, series: list[Json]) -> list[Json]:
    """The series; in R6 without the start of one that may have begun before the study, which its ist-8 forbids.

    A study of R6 is known by its SOP classes, which are oids while the one who was imaged is a `subject`.
    """
    classes = (each.get("sopClass") for one in series for each in one.get("instance", ()))
    if "subject" not in study or "started" not in study or not isinstance(next(classes, None), str):
        return series
    began = study["started"]
    early = ("started", "_started")
    return [
        one if "started" not in one or at_or_after(one["started"], began) else _without(one, early) for one in series
    ]


def _without(body: Json, names: Iterable[str]) -> Json:
    return {name: value for name, value in body.items() if name not in names}


# The elements that are not like the others ----------------------------------------------------------


def _meta(stored: Json, ours: Json) -> Json:
    """The labels of both, and what somebody wrote beside them."""
    theirs, mine = (one if isinstance(one, dict) else {} for one in (stored.get("meta"), ours.get("meta")))
    found = {**labels(stored), **labels(ours), **labels(stored)}
    united = {name: [label for key, label in found.items() if key[0] == name] for name in LABELS}
    return _filled(_without({**mine, **theirs}, GIVEN_BY_SERVERS) | united)


def _identifiers(stored: Json, ours: Json, accession: Any, full: bool, shelf: _Shelf) -> list[Json]:
    """The identifiers of both, and the accession number for which its element, up to STU3, has no room.

    The Study Instance UID stands there once, for R6 allows no second (ist-2): as it is stored, if ours says no more.
    """
    theirs = _numbers(stored, accession, stored.get("accession") == accession, shelf)
    mine = _numbers(ours, accession, False, shelf)
    uids = [one for one in theirs if one.get("system") == DICOM_UID]
    mine = [one for one in mine if not any(_is_other_form(one, uid) and not shelf.says(one, uid) for uid in uids)]
    return _united(theirs, mine, full, shelf)


def _numbers(study: Json, accession: Any, again: bool, shelf: _Shelf) -> list[Json]:
    listed = [one for one in objects(study.get("identifier")) if again or one != accession]
    own = study.get("accession")
    return listed if own is None or own in listed or shelf.says(accession, own) else [own, *listed]


def _is_other_form(one: Json, other: Json) -> bool:
    return all(one.get(name) == other.get(name) for name in ("system", "value"))


def _modalities(stored: Json, ours: Json, name: str, full: bool, series: list[Json]) -> list[Json]:
    """The modalities of both, without those that some series had and none has any more (R6: ist-7)."""
    now = _once(one.get("modality") for one in series)
    before = _once(one.get("modality") for one in chain(stored.get("series", ()), ours.get("series", ())))
    sides = (ours, stored) if full else (stored, ours)
    both = _once(one for side in sides for one in objects(side.get(name)))
    left = [one for one in both if one in now or one not in before]
    theirs = objects(stored.get(name))
    return theirs if len(left) == len(theirs) and all(one in theirs for one in left) else left


def _once(items: Iterable[Any]) -> list[Any]:
    kept: list[Any] = []
    for one in items:
        if one not in kept:
            kept.append(one)
    return kept


def _about_one_subject(stored: Json, ours: Json) -> Json:
    """Ours, in which every reference to the one who was imaged is the stored one, with what it refers to inside."""
    theirs, mine = subject_name(stored), subject_name(ours)
    if theirs is None or mine is None:
        return ours
    shelf, own = Contained(stored), Contained(ours)
    old, new = ours[mine], {name: value for name, value in stored[theirs].items() if name != "display"}
    if not new or shelf.plain(new) == own.plain(old):
        return ours
    names: dict[str, str] = {}
    for local in shelf.reached(new):
        names[local] = _free(local, shelf.bodies[local], {*own.bodies, *names.values()})
    brought = [redirected(shelf.bodies[local] | {"id": name}, _renaming(names)) for local, name in names.items()]
    changed: Json = _exchanged(ours, old, redirected(new, _renaming(names)))
    return changed | {"contained": [*changed.get("contained", ()), *brought]} if brought else changed


def _exchanged(node: Any, old: Json, new: Json) -> Any:
    if isinstance(node, list):
        return [_exchanged(one, old, new) for one in node]
    if not isinstance(node, dict):
        return node
    return new if node == old else {name: _exchanged(value, old, new) for name, value in node.items()}


# What is contained ----------------------------------------------------------------------------------


class _Shelf(Contained):
    """What both studies contain, under local ids of its own; values are judged with what they refer to here."""

    def __init__(self, stored: Json) -> None:
        super().__init__(stored)
        self._judged: dict[tuple[str, str], bool] = {}

    def take_in(self, ours: Json) -> Json:
        """Ours with the local ids that what it contains has here: that of a stored twin, its own, or a free one."""
        own = Contained(ours)
        twins: dict[str, list[str]] = {}
        for local in self.bodies:
            twins.setdefault(self.mark(local), []).append(local)
        names: dict[str, str] = {}
        for local, body in own.bodies.items():
            left = twins.get(own.mark(local))
            names[local] = left.pop(0) if left else _free(local, body, {*self.bodies, *names.values()})
        for local, body in own.bodies.items():
            self.bodies.setdefault(names[local], redirected(body | {"id": names[local]}, _renaming(names)))
        changed: Json = redirected(_without(ours, ("contained",)), _renaming(names))
        return changed

    def used(self, stored: Json, body: Json) -> list[Json]:
        """What the body refers to; and what refers to the study itself (dom-3), as it was stored."""
        about = [one for one in objects(stored.get("contained")) if "#" in literals(one)]
        names = {*self.reached([_without(body, ("contained",)), about]), *(one.get("id") for one in about)}
        return [one for local, one in self.bodies.items() if local in names]

    def says(self, more: Any, less: Any) -> bool:
        """Whether all that one value says is said by another, be it more; lists in any order."""
        if isinstance(less, dict):
            return isinstance(more, dict) and all(
                name in more
                and (self._leads(more[name], value) if name == "reference" else self.says(more[name], value))
                for name, value in less.items()
            )
        if isinstance(less, list):
            return isinstance(more, list) and all(any(self.says(one, each) for one in more) for each in less)
        return bool(more == less)

    def _leads(self, more: Any, less: Any) -> bool:
        """Whether a reference leads to what another leads to, or to something contained that says all of it."""
        if not isinstance(more, str) or not isinstance(less, str):
            return self.says(more, less)
        if self.plain({"reference": more}) == self.plain({"reference": less}):
            return True
        pair = more[1:], less[1:]
        if more[:1] != "#" or less[:1] != "#" or not self.bodies.keys() >= set(pair):
            return False
        if pair not in self._judged:
            self._judged[pair] = False  # until it is known: they may lead back to themselves
            self._judged[pair] = self.says(self.body(pair[0]), self.body(pair[1]))
        return self._judged[pair]


def _free(local: str, body: Json, taken: Container[str]) -> str:
    stem = str(body.get("resourceType")).lower()
    return next(name for name in chain((local,), (f"{stem}-{n}" for n in count(1))) if name not in taken)


def _renaming(names: Mapping[str, str]) -> Callable[[str], str]:
    return lambda reference: "#" + names.get(reference[1:], reference[1:]) if reference[:1] == "#" else reference


# All other elements ---------------------------------------------------------------------------------


def _joined(stored: Json, ours: Json, ours_wins: bool, shelf: _Shelf) -> Json:
    """The elements of both, in the order of ours, each that only the stored one has behind its neighbour there."""
    return {
        name: None if name in _APART else _value(stored.get(name), ours.get(name), ours_wins, shelf)
        for name in _names(stored, ours)
    }


def _names(stored: Json, ours: Json) -> list[str]:
    names = list(ours)
    place = 0
    for name in stored:
        if name in ours:
            place = names.index(name)
        else:
            names.insert(place, name)
        place += 1
    return names


def _value(stored: Any, ours: Any, ours_wins: bool, shelf: _Shelf) -> Any:
    if stored is None or ours is None or stored == ours:
        return ours if stored is None else stored
    if isinstance(stored, list) and isinstance(ours, list):
        return _united(stored, ours, ours_wins, shelf)
    if shelf.says(stored, ours):
        return stored
    return ours if ours_wins or shelf.says(ours, stored) else stored


def _united(stored: list[Any], ours: list[Any], ours_first: bool, shelf: _Shelf) -> list[Any]:
    """The items of both lists; one of which an item of the other list says all and more is no item of its own.

    Within one list nothing is taken for a repetition: who wrote it knew both. Where ours adds nothing the stored list
    stays as it is.
    """
    final = [old for old in stored if old not in ours and not any(_says_more(one, old, shelf) for one in ours)]
    new = [one for one in _once(ours) if one not in stored and not any(shelf.says(old, one) for old in final)]
    if not new:
        return stored
    heirs = [[one for one in new if old not in ours and shelf.says(one, old)] for old in stored]
    if not ours_first:
        joined = _once(one for old, found in zip(stored, heirs, strict=True) for one in found or [old])
        return [*joined, *(one for one in new if one not in joined)]
    first = [one for one in ours if one in new or one in stored]
    return [*first, *(old for old, found in zip(stored, heirs, strict=True) if not found and old not in first)]


def _says_more(one: Any, other: Any, shelf: _Shelf) -> bool:
    return shelf.says(one, other) and not shelf.says(other, one)
