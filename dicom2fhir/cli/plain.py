"""Plain values of options: texts, choices, small numbers and defaults as they stand.

For everything but a flag Typer imports pydantic and builds a validator, 0.1 s in every run, to give back the value.
Here it is asked for what is not plain only: it converts that, or says what is wrong with it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, get_args, get_origin

_DIGITS = 9
"""As many of a number are converted here: always an integer of the machine."""


class NotPlain(Exception):
    """A value that Typer has to look at."""


def spare(parameter: Any) -> None:
    """Let a parameter of Typer's take plain values as they are."""
    typers = getattr(type(parameter), "get_runtime_param", None)
    if typers is not None:
        parameter.get_runtime_param = lambda: _Coercion(partial(typers, parameter))


class _Coercion:
    """What Typer asks to coerce a value, in its words."""

    def __init__(self, typers: Callable[[], Any]) -> None:
        self._typers = typers

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value as the command takes it."""
        wanted = param.type_descriptor
        try:
            if isinstance(value, (int, float)) and value is param.default:
                return value
            return plain(wanted.annotation, wanted.parameter_info.min, value)
        except NotPlain:
            return self._typers().coerce(value, param=param, ctx=ctx)


def plain(annotation: Any, least: float | None, value: Any) -> Any:
    """What a plain value is for an option of this type. Raises NotPlain for what is none."""
    if get_origin(annotation) is list:
        return _texts(annotation, value)
    if value is None:
        return None
    if isinstance(value, str):
        if annotation is str or (get_origin(annotation) is Literal and value in get_args(annotation)):
            return value
        if annotation is int and len(value) <= _DIGITS and value.isascii() and value.isdigit():
            return _at_least(least, int(value))
    raise NotPlain


def _texts(annotation: Any, value: Any) -> list[str]:
    if value is None:
        return []
    if get_args(annotation) == (str,) and isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value):
        return list(value)
    raise NotPlain


def _at_least(least: float | None, number: int) -> int:
    if least is not None and number < least:
        raise NotPlain
    return number
