"""Where values stand in a JSON text."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dicom2fhir.cli.places import places

TEXT = """{
  "resourceType": "X", "a": {
    "b": [
      1,
      {"c": "}\\"]"},
      [
        2
      ]
    ],
    "a": null
  },
  "d": 1,
  "d": {"e": 2,
    "e": 3}
}"""


def test_lines_of_keys_and_items() -> None:
    found = places(TEXT, "X")
    assert found.lines == {
        "X": 0,
        "X.resourceType": 1,
        "X.a": 1,
        "X.a.b": 2,
        "X.a.b[0]": 3,
        "X.a.b[1]": 4,
        "X.a.b[1].c": 4,
        "X.a.b[2]": 5,
        "X.a.b[2][0]": 6,
        "X.a.a": 9,
        "X.d": 11,
        "X.d.e": 12,
    }
    assert found.twice == [("X.d", 12), ("X.d.e", 13)]


def test_what_is_not_there_has_the_line_of_what_it_is_missing_from() -> None:
    found = places(TEXT, "X")
    assert found.line("X.a.b[1].uid") == 4
    assert found.line("X.a.b[7].uid.value") == 2
    assert found.line("X.gone") == found.line("$") == found.line("") == found.line("no path at all") == 0


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def paths(node: Any, path: str) -> list[str]:
    found = [path]
    if isinstance(node, dict):
        for key, value in node.items():
            found += paths(value, f"{path}.{key}")
    if isinstance(node, list):
        for index, value in enumerate(node):
            found += paths(value, f"{path}[{index}]")
    return found


@given(tree=trees, indent=st.sampled_from([None, 0, 2]), escaped=st.booleans())
def test_every_value_has_a_place(tree: Any, indent: int | None, escaped: bool) -> None:
    text = json.dumps(tree, indent=indent, ensure_ascii=escaped)
    found = places(text, "$")
    assert set(found.lines) == set(paths(tree, "$"))
    assert found.twice == []
    assert max(found.lines.values()) <= text.count("\n")
