"""What a FHIR version says about its resources and data types, in the form that the referee walks by.

A shape comes from a model of fhir.resources (validate.py) or from an element table in `definitions/`, where the
versions stand that the package lacks.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from dicom2fhir.fhir.primitives import Check, one_of

ANY_RESOURCE = "Resource"


@dataclass(frozen=True, slots=True)
class Element:
    """One element: a primitive has a `check`, anything else a `shape`, but for the places of whole resources."""

    many: bool = False
    check: Check | None = None
    shape: Callable[[], Shape] | None = None
    codes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """For a concept or coding with a required list: system -> codes."""
    targets: frozenset[str] = frozenset()
    """The kinds of resources that a reference may point to; none named: any."""
    choice: str = ""
    """The element's name before its type, where it is one of several (`deceased` for deceasedBoolean)."""

    def lists(self, value: dict[str, Any]) -> bool:
        """Whether a concept, or a coding by itself, has a code of the required list."""
        codings = value.get("coding", [value])
        return isinstance(codings, list) and any(map(self._lists, codings))

    def _lists(self, coding: Any) -> bool:
        return isinstance(coding, dict) and coding.get("code") in self.codes.get(str(coding.get("system")), ())

    def may_be(self, told: Any) -> bool:
        """Whether a reference may say by its `type` that its target is of this kind."""
        return not isinstance(told, str) or told.rpartition("/")[2] in self.targets


@dataclass(frozen=True, slots=True)
class Shape:
    """A resource, a data type or a nested element, by its name in one word (`PatientContact`)."""

    name: str
    elements: Mapping[str, Element]
    required: tuple[frozenset[str], ...] = ()
    """Of each group one name must be there."""
    simply: frozenset[str] = frozenset()
    """The names of the groups of one, for a quick look."""
    by_name_only: bool = False
    """The version has this resource, and nothing more is known of it here."""


def shape(name: str, elements: Mapping[str, Element], required: Iterator[frozenset[str]]) -> Shape:
    """A shape, with the siblings `_name` that hold the extensions of its primitives."""
    groups = tuple(required)
    return Shape(name, elements, groups, frozenset(next(iter(group)) for group in groups if len(group) == 1))


class _Row(NamedTuple):
    path: str
    min: str
    max: str
    type: str
    codes: str
    targets: str


@dataclass(frozen=True, slots=True)
class Table:
    """The element table of one version. Types that it does not have are asked of `elsewhere`."""

    name: str
    types: Mapping[str, Check]
    elsewhere: Callable[[str], Shape | None]
    _made: dict[str, Shape] = field(default_factory=dict)

    def resource(self, kind: str) -> Shape | None:
        """The shape of a kind of resource; None: the table has none of that name."""
        base = next((row.type for row in _rows(self.name).get(kind, ()) if row.path == kind), "")
        return self._shape(kind) if base in ("DomainResource", "Resource") else None

    def _shape(self, path: str) -> Shape:
        """The shape of a type, or of a nested element by its path."""
        if path not in self._made:
            self._made[path] = self._make(path) if path in _rows(self.name) else self._foreign(path)
        return self._made[path]

    def _foreign(self, name: str) -> Shape:
        found = self.elsewhere(name)
        if found is None:
            raise LookupError(f"no version describes the type {name}")
        return found

    def _make(self, path: str) -> Shape:
        own, *children = _rows(self.name)[path]
        base = self._shape(own.type) if own.type else Shape("", {})
        elements = dict(base.elements)
        for row in children:
            elements.update(self._elements(row))
        if base.name == "DomainResource" and not children:
            return Shape(path, {}, by_name_only=True)
        if base.name in ("Resource", "DomainResource"):
            elements["resourceType"] = Element(check=self.types["code"])
        required = (_names(row) for row in children if row.min != "0")
        name = "".join(step[:1].upper() + step[1:] for step in path.split("."))
        return shape(name, elements, iter((*base.required, *required)))

    def _elements(self, row: _Row) -> Iterator[tuple[str, Element]]:
        kinds = row.type.split("|")
        stem = row.path.rsplit(".", 1)[1]
        for name, kind in zip(_spellings(stem, kinds), kinds, strict=True):
            yield name, self._element(row, kind, stem.removesuffix("[x]") if stem.endswith("[x]") else "")
            if kind in self.types:
                yield f"_{name}", Element(many=row.max == "*", shape=lambda: self._shape("Element"))

    def _element(self, row: _Row, kind: str, choice: str) -> Element:
        many, listed = row.max == "*", row.codes
        if kind == ANY_RESOURCE:
            return Element(many)
        if kind in self.types:
            return Element(many, one_of(frozenset(listed.split())) if listed else self.types[kind], choice=choice)
        place = kind[1:] if kind.startswith("=") else row.path if kind in _NESTED else kind
        targets = frozenset(row.targets.split()) if kind in ("Reference", "CodeableReference") else frozenset[str]()
        return Element(many, None, cache(lambda: self._shape(place)), _systems(listed), targets, choice)


_NESTED = frozenset(("BackboneElement", "Element"))


def _systems(listed: str) -> Mapping[str, frozenset[str]]:
    """`system|code code;system|code` as a mapping."""
    pairs = (one.split("|", 1) for one in listed.split(";") if one)
    return {system: frozenset(codes.split()) for system, codes in pairs}


def _spellings(stem: str, kinds: list[str]) -> list[str]:
    if not stem.endswith("[x]"):
        return [stem]
    return [stem[:-3] + kind[:1].upper() + kind[1:] for kind in kinds]


def _names(row: _Row) -> frozenset[str]:
    return frozenset(_spellings(row.path.rsplit(".", 1)[1], row.type.split("|")))


@cache
def _rows(name: str) -> Mapping[str, list[_Row]]:
    """Path of a type or nested element -> its own row, and those of its children."""
    rows: dict[str, list[_Row]] = {}
    with files(__package__).joinpath("definitions", f"{name}.csv").open("r", encoding="utf-8") as file:
        lines = csv.reader(file)
        next(lines)
        for row in map(_Row._make, lines):
            parent, _, _ = row.path.rpartition(".")
            if parent:
                rows[parent].append(row)
            if not parent or row.type in _NESTED:
                rows[row.path] = [row]
    return rows
