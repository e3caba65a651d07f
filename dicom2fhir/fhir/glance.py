"""The referee's glance: whether a resource is plainly right, and of which structure it is.

Nothing is found wrong here: what is not plainly right is left to the walk, which says what it is. What follows from
the names of an object alone (elements that are not known, or missing, or exclude each other) is worked out once for
each set of names; then only the values are asked, by the very checks that the walk goes by, and the objects of long
lists column by column. Objects of one structure have the same names and kinds of values, whatever they say; the
models hear each structure once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import count, repeat
from typing import Any, NamedTuple

from dicom2fhir.fhir import alike
from dicom2fhir.fhir.invariants import Rule, Rules
from dicom2fhir.fhir.primitives import Check, takes_text
from dicom2fhir.fhir.primitives import column as column_of
from dicom2fhir.fhir.shapes import Element, Shape

LITERAL = re.compile(r"(?:.*/)?([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?")
"""A literal reference that names its kind of resource."""

_STRUCTURES = 4096
_SETS_OF_NAMES = 256
_SAID = 512
"""What is remembered at most, of a version, a shape and a set of names: then all is forgotten, and learnt again."""

_NOT_CONTAINED = frozenset(("versionId", "lastUpdated", "security"))

Kind = Any
"""What stands for a value in the structure of the object around it: something hashable, and no list."""


class Doubt(Exception):
    """It is not plainly right."""


class _Sight:
    """One resource that is not contained, while it is looked at."""

    def __init__(self, kind: str, entries: Mapping[str, str] | None) -> None:
        self.kind, self.entries = kind, entries
        self.contained: dict[str, str] = {}
        self.used: set[str] = set()
        self.contained_ids: dict[int, str] = {}  # by the object's identity
        self.inside: str | None = None  # the id of the contained resource that is being looked at
        self.resources: list[tuple[int, str, Any]] = []
        self.known: dict[tuple[int, int], Kind] = {}  # an object may lie at several places


class _Asked(NamedTuple):
    """How an element's value is asked, and how a column of them is: the kind of each, or the one that all have."""

    one: Callable[[Any, _Sight], Kind]
    column: Callable[[list[Any], _Sight], list[Kind] | Kind]


class _Plan(NamedTuple):
    """How objects of one set of names are asked; the number tells it from all others."""

    number: int
    elements: tuple[_Asked, ...]
    one: tuple[Callable[[Any, _Sight], Kind], ...]
    said: dict[tuple[str, ...], int] | None
    """For objects that hold texts alone: what right ones said, and the number of their structure. See `_texts`."""


class _Objects:
    """The objects of one shape."""

    def __init__(self, shape: Shape, rules: tuple[Rule, ...]) -> None:
        self.shape, self.rules = shape, rules
        self.elements: dict[str, _Asked] = {}
        self.plans: dict[tuple[str, ...], _Plan] = {}


class Glance:
    """Looks at the resources of one version and remembers structures that were heard."""

    def __init__(
        self,
        resource: Callable[[str], Shape | None],
        rules: Rules,
        accepts: Callable[[str, Any], bool],
        *,
        early: bool,
    ) -> None:
        """`resource` gives the shape of a kind of resource; `accepts` asks the models; `early`: see `Version`."""
        self._resource, self._rules, self._accepts, self._early = resource, rules, accepts, early
        self._objects: dict[int, _Objects] = {}
        self._numbers: dict[Kind, int] = {}
        self._heard: set[int] = set()
        self._count = count()

    def finds_right(self, resource: Any, of: Shape, entries: Mapping[str, str] | None = None) -> bool:
        """Whether a resource is without fault, for all that the walk and the models would say; else nobody knows.

        `entries` are the kinds of resources by the fullUrls that it may refer to; None: it lies in no Bundle.
        """
        sight = _Sight(of.name, entries)
        try:
            self._admit(resource, sight)
            self._body(resource, of, sight)
            if sight.contained.keys() - sight.used:
                return False
            return all(self._hears(*each) for each in sight.resources)
        except (Doubt, RecursionError):
            return False

    def _hears(self, number: int, kind: str, resource: Any) -> bool:
        """Whether the models accept a structure, which they are asked once."""
        if number in self._heard:
            return True
        accepted = self._accepts(kind, resource)
        if accepted:
            self._heard.add(number)
        return accepted

    def _admit(self, resource: Any, sight: _Sight) -> None:
        """What is contained is known before anything refers to it (dom-1 to dom-5)."""
        contained = resource.get("contained", [])
        if type(contained) is not list:
            raise Doubt
        for one in contained:
            if type(one) is not dict or type(one.get("id")) is not str or one["id"] in sight.contained:
                raise Doubt
            if "contained" in one or (self._early and "text" in one) or not _NOT_CONTAINED.isdisjoint(_meta(one)):
                raise Doubt
            sight.contained[one["id"]] = str(one.get("resourceType"))
            sight.contained_ids[id(one)] = one["id"]

    def _body(self, resource: Any, of: Shape, sight: _Sight) -> None:
        if of.by_name_only or of.name == "Bundle":  # whose entries are documents of their own
            raise Doubt
        sight.resources.append((self._number(resource, self._of(of), sight), of.name, resource))

    # Objects ----------------------------------------------------------------------------------------

    def _of(self, shape: Shape) -> _Objects:
        found = self._objects.get(id(shape))
        if found is None:
            found = self._objects[id(shape)] = _Objects(shape, self._rules.get(shape.name, ()))
        return found

    def _number(self, body: Any, objects: _Objects, sight: _Sight) -> int:
        """The number of an object's structure."""
        if type(body) is not dict:
            raise Doubt
        names = tuple(body)
        plan = objects.plans.get(names) or self._plan(names, objects)
        return (
            self._structure(plan, body, objects, sight)
            if plan.said is None
            else self._texts(plan, body, objects, sight)
        )

    def _texts(self, plan: _Plan, body: dict[str, Any], objects: _Objects, sight: _Sight) -> int:
        """The same for an object that holds texts alone: codes and their systems come again and again."""
        assert plan.said is not None
        said = tuple(body.values())
        try:
            known = plan.said.get(said)
        except TypeError:  # a list or an object among them
            raise Doubt from None
        if known is None:
            known = self._structure(plan, body, objects, sight)
            if len(plan.said) >= _SAID:
                plan.said.clear()
            plan.said[said] = known
        return known

    def _structure(self, plan: _Plan, body: dict[str, Any], objects: _Objects, sight: _Sight) -> int:
        kinds = [one(value, sight) for one, value in zip(plan.one, body.values(), strict=True)]
        for rule in objects.rules:
            if rule(body):
                raise Doubt
        return self._numbered((plan.number, *kinds))

    def _numbered(self, structure: Kind) -> int:
        number = self._numbers.get(structure)
        if number is None:
            if len(self._numbers) >= _STRUCTURES:
                self._numbers.clear()
                self._heard.clear()
            number = self._numbers[structure] = next(self._count)  # never given twice
        return number

    def _plan(self, names: tuple[str, ...], objects: _Objects) -> _Plan:
        """How objects of these names are asked, if the names are right."""
        found = [objects.shape.elements.get(name) for name in names]
        choices = [element.choice for element in found if element is not None and element.choice]
        there = {name.removeprefix("_") for name in names}
        if not names or None in found or len(set(choices)) < len(choices):
            raise Doubt
        if any(group.isdisjoint(there) for group in objects.shape.required):
            raise Doubt
        elements = tuple(self._asked(name, objects) for name in names)
        if len(objects.plans) >= _SETS_OF_NAMES:
            objects.plans.clear()
        checks = [element.check for element in found if element is not None and not element.many]
        texts = len(checks) == len(names) and all(check is not None and takes_text(check) for check in checks)
        ones = tuple(each.one for each in elements)
        plan = objects.plans[names] = _Plan(next(self._count), elements, ones, {} if texts else None)
        return plan

    def _asked(self, name: str, objects: _Objects) -> _Asked:
        if name not in objects.elements:
            objects.elements[name] = self._asking(objects.shape.elements[name])
        return objects.elements[name]

    def _asking(self, element: Element) -> _Asked:
        if element.check is not None:
            return _each(_primitives(element.check)) if element.many else _primitive(element.check)
        if element.shape is None:
            return _each(self._whole_ones if element.many else self._whole_one)
        return self._many(element, element.shape) if element.many else self._single(element, element.shape)

    # Elements that are objects --------------------------------------------------------------------------

    def _single(self, element: Element, shape: Callable[[], Shape]) -> _Asked:
        """An object, which may lie at several places of the resource."""
        kinds, targets = element.codes, element.targets

        def one(value: Any, sight: _Sight) -> Kind:
            key = (id(value), id(element))
            known = sight.known.get(key)
            if known is not None:
                return known
            if type(value) is not dict or (kinds and not element.lists(value)):
                raise Doubt
            if "reference" in value:
                self._refer(value["reference"], targets, sight)
            if targets and "type" in value and not element.may_be(value["type"]):
                raise Doubt
            found = sight.known[key] = self._number(value, self._of(shape()), sight)
            return found

        def column(values: list[Any], sight: _Sight) -> list[Kind] | Kind:
            once = {id(value): value for value in values}
            found = {key: one(value, sight) for key, value in once.items()}
            return _one_or_all(found.values(), lambda: [found[id(value)] for value in values])

        return _Asked(one, column)

    def _many(self, element: Element, shape: Callable[[], Shape]) -> _Asked:
        """A list of objects: those of the same names are asked together, unless they take more than checks."""
        single = self._single(element, shape).one
        alone = bool(element.codes or element.targets)

        def whole(values: Any, sight: _Sight) -> Kind:
            key = (id(values), id(element))
            known = sight.known.get(key)
            if known is not None:
                return known
            if type(values) is not list or not values:
                raise Doubt
            found = sight.known[key] = tuple(items(values, sight))
            return found

        def items(values: list[Any], sight: _Sight) -> Iterable[Kind]:
            if alone or len(values) <= alike.FEW:
                return dict.fromkeys([single(value, sight) for value in values])
            slices = (values[start : start + alike.AT_ONCE] for start in range(0, len(values), alike.AT_ONCE))
            return dict.fromkeys(kind for part in slices for kind in together(part, sight))

        def together(values: list[Any], sight: _Sight) -> Iterable[Kind]:
            if set(map(type, values)) != {dict}:
                raise Doubt
            for names, bodies in alike.by_names(values).items():
                if "reference" in names:
                    yield from [single(body, sight) for body in bodies]
                else:
                    yield from self._column(names, bodies, self._of(shape()), sight)

        return _each(whole)

    def _column(self, names: tuple[str, ...], bodies: list[Any], objects: _Objects, sight: _Sight) -> Iterable[Kind]:
        """The structures of objects of the same names."""
        plan = objects.plans.get(names) or self._plan(names, objects)
        columns = ([body[name] for body in bodies] for name in names)
        kinds = [asked.column(column, sight) for asked, column in zip(plan.elements, columns, strict=True)]
        if any(rule(body) for rule in objects.rules for body in bodies):
            raise Doubt
        if not any(type(kind) is list for kind in kinds):
            return (self._numbered((plan.number, *kinds)),)
        rows = zip(*(kind if type(kind) is list else repeat(kind) for kind in kinds), strict=False)
        return [self._numbered((plan.number, *row)) for row in dict.fromkeys(rows)]

    # Whole resources, and references ----------------------------------------------------------------------

    def _whole_ones(self, resources: Any, sight: _Sight) -> Kind:
        if type(resources) is not list or not resources:
            raise Doubt
        for resource in resources:
            self._whole_one(resource, sight)
        return None

    def _whole_one(self, resource: Any, sight: _Sight) -> Kind:
        """A resource inside another, whose structure is its own: contained, or a parameter."""
        of = self._resource(str(resource.get("resourceType"))) if type(resource) is dict else None
        if of is None:
            raise Doubt
        sight.inside = sight.contained_ids.get(id(resource))
        self._body(resource, of, sight)
        sight.inside = None
        return None

    def _refer(self, literal: Any, targets: frozenset[str], sight: _Sight) -> None:
        """A literal reference, or the Reference in a CodeableReference."""
        if type(literal) is dict:
            literal = literal.get("reference")
        if type(literal) is not str:
            return
        found = self._target(literal, sight)
        if found and targets and found not in targets:
            raise Doubt

    def _target(self, literal: str, sight: _Sight) -> str | None:
        """The kind of resource that is referred to, as far as it can be told."""
        if literal.startswith("#"):
            return self._contained(literal, sight)
        if literal.startswith("urn:"):
            if sight.entries is not None and literal not in sight.entries:
                raise Doubt
            return sight.entries[literal] if sight.entries else None
        match = LITERAL.fullmatch(literal)
        if match and self._resource(match[1]) is None:
            raise Doubt
        return match[1] if match else None

    def _contained(self, literal: str, sight: _Sight) -> str:
        if literal == "#" and sight.inside is not None and not self._early:
            sight.used.add(sight.inside)  # a contained resource that refers to its container is one that is used
        sight.used.add(literal[1:])
        found = sight.contained.get(literal[1:], sight.kind if literal == "#" else None)
        if found is None:
            raise Doubt
        return found


def _meta(resource: dict[str, Any]) -> Iterable[str]:
    meta = resource.get("meta")
    return meta if isinstance(meta, dict) else ()


def _primitive(check: Check) -> _Asked:
    def one(value: Any, sight: _Sight) -> Kind:
        if check(value):
            raise Doubt
        return type(value)

    are_right = column_of(check)

    def column(values: list[Any], sight: _Sight) -> list[Kind] | Kind:
        if not are_right(values):
            raise Doubt
        return _one_or_all(set(map(type, values)), lambda: list(map(type, values)))

    return _Asked(one, column)


def _primitives(check: Check) -> Callable[[Any, _Sight], Kind]:
    def many(values: Any, sight: _Sight) -> Kind:
        if type(values) is not list or not values or any(map(check, values)):
            raise Doubt
        return tuple(dict.fromkeys(map(type, values)))

    return many


def _each(one: Callable[[Any, _Sight], Kind]) -> _Asked:
    """What is asked one by one in a column, too."""

    def column(values: list[Any], sight: _Sight) -> list[Kind] | Kind:
        return [one(value, sight) for value in values]

    return _Asked(one, column)


def _one_or_all(distinct: Iterable[Kind], every: Callable[[], list[Any]]) -> list[Kind] | Kind:
    kinds = set(distinct)
    return kinds.pop() if len(kinds) == 1 else every()
