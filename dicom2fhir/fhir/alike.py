"""What is alike in a resource is taken together, and what of it is shown to the models.

A study lists thousands of instances of the same few elements. The glance asks those of the same names column by
column; the models are shown one of each structure.
"""

from __future__ import annotations

from typing import Any

from dicom2fhir.fhir.shapes import Shape

FEW = 8
"""Items of a list that are sooner looked at one by one."""

AT_ONCE = 1024
"""Items that are looked at together, so that little memory is needed for many."""

Body = dict[str, Any]
Names = tuple[str, ...]


def by_names(bodies: list[Body]) -> dict[Names, list[Body]]:
    """The objects by their names."""
    names = dict.fromkeys(map(tuple, bodies))
    if len(names) == 1:
        return dict.fromkeys(names, bodies)
    alike: dict[Names, list[Body]] = {one: [] for one in names}
    for body in bodies:
        alike[tuple(body)].append(body)
    return alike


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
        slices = (values[start : start + AT_ONCE] for start in range(0, len(values), AT_ONCE))
        few = (one for part in slices for one in (part if len(part) <= FEW else _distinct(part)))
        return dict(self.thinned(one, of) for one in few)


def _distinct(values: list[Body]) -> list[Body]:
    """One item at least of each structure."""
    found: list[Body] = []
    for names, bodies in by_names(values).items():
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
