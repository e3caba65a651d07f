"""Names of persons as the model has them (PN, PS3.5 6.2.1), in the convention of `values`."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from dicom2fhir.dicom.values import BadValue, clean_text, first_value, split_values
from dicom2fhir.model import PersonName, Representation
from dicom2fhir.problems import Code

_EAST_ASIAN: Final = 0x2E80
"""The first code point of CJK radicals; kana, ideographs and Hangul follow."""
_REPRESENTATIONS: Final[tuple[Representation, ...]] = ("alphabetic", "ideographic", "phonetic")


def parse_names(text: str) -> list[tuple[PersonName, ...]]:
    """All values of a PN, one entry a value; an empty value is an empty tuple, so that positions stay."""
    return [_one_name(value) for value in split_values(text)]


def parse_name(text: str) -> tuple[PersonName, ...]:
    """A PN as up to three representations of one name (PS3.5 6.2.1); of several values the first.

    Groups that say nothing (empty, or only `^`) are left out, so an empty tuple means no name.

    Raises:
        BadValue: more than three component groups.
    """
    return _one_name(first_value(text) or "")


@lru_cache(maxsize=256)
def _one_name(value: str) -> tuple[PersonName, ...]:
    groups = value.split("=")
    if any(group.strip(" ^") for group in groups[3:]):
        raise BadValue(Code.VALUE_INVALID)
    names = map(_representation, _REPRESENTATIONS, groups)
    return tuple(name for name in names if name is not None)


def _representation(representation: Representation, group: str) -> PersonName | None:
    parts = [clean_text(component) for component in group.split("^")]
    while parts and parts[-1] is None:
        parts.pop()
    if not parts:
        return None
    if _is_words(parts):
        return PersonName(representation, text=" ".join(filter(None, parts)))
    family, first, middle, prefix, suffix = parts + [None] * (5 - len(parts))
    given = tuple(filter(None, (first, middle)))
    written = _written(representation, (prefix, suffix), family, given)
    return PersonName(representation, family, given, prefix, suffix, written)


def _written(
    representation: Representation, around: tuple[str | None, str | None], family: str | None, given: tuple[str, ...]
) -> str:
    """A name as its own script has it: East Asian names begin with the family, ideographic ones without blanks.

    The second group holds Cyrillic or Arabic too, and the first one Chinese characters.
    """
    eastern = all(ord(char) >= _EAST_ASIAN for part in (family or "", *given) for char in part if not char.isspace())
    order = (*given, family) if representation == "alphabetic" and not eastern else (family, *given)
    blank = "" if representation == "ideographic" and eastern else " "
    return blank.join(filter(None, (around[0], *order, around[1])))


def _is_words(parts: list[str | None]) -> bool:
    """Whether nobody can tell which word is what: one component of several words, or more than five components."""
    if len(parts) > 5:
        return True
    return len(parts) == 1 and any(char.isspace() or char == "," for char in parts[0] or "")
