"""What is alike in a resource is judged together: the referee's quick look, and what it shows to the models.

A study lists thousands of instances of the same few elements. Objects of the same names are asked column by column,
by the checks of the very shapes that the walk goes by. Nothing is found wrong here: what is not plainly right, or
takes more than checks to judge (lists, choices, references, invariants), is left to the walk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dicom2fhir.fhir.shapes import Element, Shape

FEW = 8
"""Items of a list that are sooner looked at one by one."""

_AT_ONCE = 1024
"""Items that are looked at together, so that little memory is needed for many."""

Body = dict[str, Any]
Names = tuple[str, ...]


def in_doubt(values: list[Any], of: Shape, ruled: Mapping[str, Any]) -> Iterator[int]:
    """The places of the items that are not plainly right; `ruled` are the shapes that have invariants, by name."""
    for start in range(0, len(values), _AT_ONCE):
        for place in _doubtful(values[start : start + _AT_ONCE], of, ruled):
            yield start + place


def _doubtful(values: list[Any], of: Shape, ruled: Mapping[str, Any]) -> Sequence[int]:
    if set(map(type, values)) != {dict}:
        return range(len(values))
    doubtful = {names for names, bodies in _alike(values).items() if not _are_right(bodies, names, of, ruled)}
    return [place for place, value in enumerate(values) if tuple(value) in doubtful] if doubtful else ()


def _alike(bodies: list[Body]) -> dict[Names, list[Body]]:
    """The objects by their names."""
    names = set(map(tuple, bodies))
    if len(names) == 1:
        return {names.pop(): bodies}
    alike: dict[Names, list[Body]] = {one: [] for one in names}
    for body in bodies:
        alike[tuple(body)].append(body)
    return alike


def _are_right(bodies: list[Any], names: Names, of: Shape, ruled: Mapping[str, Any]) -> bool:
    if of.name in ruled or "reference" in names or any(group.isdisjoint(names) for group in of.required):
        return False
    elements = (of.elements.get(name) for name in names)
    columns = ([body[name] for body in bodies] for name in names)
    return bool(names) and all(_is_right(*pair, ruled) for pair in zip(columns, elements, strict=True))


def _is_right(column: list[Any], element: Element | None, ruled: Mapping[str, Any]) -> bool:
    if element is None or element.many or element.choice or element.codes or element.targets:
        return False
    if element.check is not None:
        return not any(map(element.check, column))
    return element.shape is not None and not _doubtful(_each_once(column), element.shape(), ruled)


def _each_once(column: list[Any]) -> list[Any]:
    """The objects of a column: instances of one class share the object that names it."""
    return list({id(one): one for one in column}.values())


def thin(resource: Body, of: Shape) -> Body:
    """A copy of a faultless resource without those inside it; of the items of a list only one of each structure.

    Of one structure are values of the same names and kinds, whatever they say.
    """
    return _Thinner().thinned(resource, of)[1]


class _Thinner:
    """Makes each object thin once, wherever it lies."""

    def __init__(self) -> None:
        self._done: dict[int, tuple[Any, Body]] = {}

    def thinned(self, body: Body, of: Shape) -> tuple[Any, Body]:
        """(structure, thin copy); the structure is hashable."""
        if id(body) not in self._done:
            self._done[id(body)] = self._thinned(body, of)
        return self._done[id(body)]

    def _thinned(self, body: Body, of: Shape) -> tuple[Any, Body]:
        copy: Body = {}
        kinds: list[Any] = []
        for name, value in body.items():
            element = of.elements[name]
            if element.check is not None or name.startswith("_"):
                copy[name] = value
                kinds.append(structure(value))
            elif element.shape is not None and element.many:
                items = self._items(value, element.shape())
                copy[name] = list(items.values())
                kinds.append(tuple(items))
            elif element.shape is not None:
                kind, copy[name] = self.thinned(value, element.shape())
                kinds.append(kind)
        return (tuple(body), *kinds), copy

    def _items(self, values: list[Any], of: Shape) -> dict[Any, Body]:
        slices = (values[start : start + _AT_ONCE] for start in range(0, len(values), _AT_ONCE))
        few = (one for part in slices for one in (part if len(part) <= FEW else _distinct(part)))
        return dict(self.thinned(one, of) for one in few)


def _distinct(values: list[Body]) -> list[Body]:
    """One item at least of each structure."""
    found: list[Body] = []
    for names, bodies in _alike(values).items():
        kinds = (_structures([body[name] for body in bodies]) for name in names)
        found += dict(zip(zip(*kinds, strict=True), bodies, strict=True)).values()
    return found


def _structures(column: list[Any]) -> list[Any]:
    kinds: list[Any] = list(map(type, column))
    if dict not in kinds and list not in kinds:
        return kinds
    known = {id(one): structure(one) for one in _each_once(column)}
    return [known[id(one)] for one in column]


def structure(value: Any) -> Any:
    """Something hashable that is the same for values of the same names and kinds."""
    if isinstance(value, dict):
        return tuple([(name, structure(one)) for name, one in value.items()])
    if isinstance(value, list):
        return tuple(dict.fromkeys(map(structure, value)))
    return type(value)
