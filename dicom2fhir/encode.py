"""The one place where JSON becomes bytes.

UTF-8 without ASCII escapes, keys in the order given, LF only. `orjson` is used where it is installed
(the extra `[fast]`); the standard library writes the same bytes, only slower.
"""

from __future__ import annotations

import json
from collections.abc import Callable

Encoder = Callable[[object], bytes]


def standard(value: object) -> bytes:
    """`value` as compact JSON, by the standard library."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def standard_pretty(value: object) -> bytes:
    """`value` as JSON with two blanks of indentation, by the standard library."""
    return json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False).encode()


def _encoders() -> tuple[Encoder, Encoder]:
    try:
        import orjson
    except ImportError:
        return standard, standard_pretty
    return orjson.dumps, lambda value: orjson.dumps(value, option=orjson.OPT_INDENT_2)


compact, pretty = _encoders()


def indented(value: object, depth: int) -> bytes:
    """`value` as pretty JSON whose every line is moved right by `depth` levels.

    A line break inside a JSON string is always escaped, so that only real lines are touched.
    """
    margin = b"  " * depth
    return margin + pretty(value).replace(b"\n", b"\n" + margin)
