"""The config file (TOML): every option by its long name, and the tables of the site's own terms.

A key of one command may stand in the file of another: one file serves all commands. What no command knows
is refused, because a misspelt option that is silently ignored is worse than a stop.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from dicom2fhir.errors import ConfigurationError

TABLES = ("issuers", "coding-schemes", "body-parts", "modalities")
_TAKES = {
    "flag": "true or false",
    "text": "a text",
    "choice": "one of its choices",
    "integer": "a whole number",
    "number": "a number",
    "list": "a list of texts",
}


class Kind(NamedTuple):
    """What an option takes: a key of `_TAKES`, and for a choice its choices."""

    name: str
    choices: tuple[str, ...] = ()


@cache
def load(path: str) -> dict[str, Any]:
    """The file's content. Raises `ConfigurationError` where it cannot be read or is not TOML."""
    import tomllib

    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as failure:
        raise ConfigurationError(f"the config file cannot be read: {failure.strerror}") from failure
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as failure:
        place = getattr(failure, "lineno", None)
        raise ConfigurationError(f"the config file is not TOML{f' (line {place})' if place else ''}") from failure


def tables(content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The tables of the site's terms, each a dict, empty where it is missing."""
    found = {}
    for name in TABLES:
        table = content.get(name, {})
        if not isinstance(table, dict):
            raise ConfigurationError(f"{name} in the config is a table")
        found[name] = table
    return found


def defaults(content: Mapping[str, Any], kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """The options in the file, checked against `kinds` (long name -> what it takes)."""
    unknown = sorted(set(content) - set(kinds) - set(TABLES))
    if unknown:
        raise ConfigurationError(f"the config file has an unknown key: {unknown[0]}")
    return {name: _value(name, kinds[name], content[name]) for name in content if name in kinds}


def _value(name: str, kind: Kind, value: Any) -> Any:
    if kind.name == "list":
        value = _listed(value)
    if not _fits(kind, value):
        raise ConfigurationError(f"{name} in the config file takes {', '.join(kind.choices) or _TAKES[kind.name]}")
    return value


def _fits(kind: Kind, value: Any) -> bool:
    if kind.name == "list":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if kind.name == "choice":
        return value in kind.choices
    wanted: dict[str, tuple[type, ...]] = {"flag": (bool,), "text": (str,), "integer": (int,), "number": (int, float)}
    return isinstance(value, wanted[kind.name]) and isinstance(value, bool) == (kind.name == "flag")


def _listed(value: Any) -> Any:
    """One text for a list of one; a table (`[system]`) for a list of name=value."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict) and all(isinstance(item, str) for item in value.values()):
        return [f"{key}={item}" for key, item in value.items()]
    return value
