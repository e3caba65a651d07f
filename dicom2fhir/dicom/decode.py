"""From raw elements to the values of a header record: decoded text, and what was wrong with it as notes."""

from __future__ import annotations

import json
from collections.abc import Callable, Container
from typing import Any, Literal

from dicom2fhir.dicom.charsets import Charset, decoder
from dicom2fhir.dicom.elements import BY_TAG, KEY_OBJECT_ELEMENTS, Element
from dicom2fhir.dicom.nested import PER_FRAME, limited
from dicom2fhir.dicom.raws import CHARSET, EXPLICIT_LITTLE, TEXT_LIMIT, Elements, Encoding, Item, Raw, Skipped
from dicom2fhir.dicom.records import Note, Values
from dicom2fhir.problems import Code

TEXT_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""The VRs of values that (0008,0005) concerns."""
NO_TEXT = frozenset({"SQ", "US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT", "OW", "OF", "OD", "OL", "OV"})
"""VRs whose values are no text at all, whatever element they are written for (who does not know it writes OB or UN)."""

Items = Callable[[Element, bytes | None, Encoding], list[Item]]
"""Gives the items of a sequence's bytes; raises Skipped for too many, anything for what is damaged."""


KEY_OBJECT_BY_TAG = BY_TAG | {element.tag: element for element in KEY_OBJECT_ELEMENTS}
"""What is wanted of a Key Object Selection; of other objects the same without its last elements."""

_REMEMBERED = 4096
"""Elements whose decoded values are remembered: a series says of its patient what the series before it said."""
_LONGEST_REMEMBERED = 1024
_remembered: dict[tuple[Any, ...], Any] = {}

_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def decoded(tags: Container[int], elements: Elements, items: Items) -> tuple[Values, list[Note]]:
    """What elements of these tags say, and what was wrong with them; raises Skipped."""
    decode = _Decoder(elements, items)
    values: Values = {}
    raws = elements.raws
    for tag in sorted(raws):
        if tag in tags:
            decode.into(values, KEY_OBJECT_BY_TAG[tag], raws[tag])
    return values, decode.notes


class _Decoder:
    """Decodes the raw elements of one data set; collects (code, keyword) notes."""

    def __init__(self, elements: Elements, items: Items) -> None:
        self._encoding, self._items = elements.encoding, items
        charset = elements.raws.get(CHARSET)
        self._charset = decoder(charset.value if charset else None)
        self._how = items, elements.encoding, charset
        self.notes: list[Note] = []
        self._noted = False

    def into(self, values: Values, element: Element, raw: Raw) -> None:
        """Put the decoded value under its keyword, unless it is blank or unusable."""
        kind = element.tag, raw, self._how
        found = _remembered.get(kind)
        if found is None:
            found = self._found(element, raw, kind)
        if found:
            values[element.keyword] = found

    def _found(self, element: Element, raw: Raw, kind: tuple[Any, ...]) -> Any:
        """The decoded value; what made no notes is remembered."""
        self._noted = False
        if element.vr == "SQ":
            found: Any = self._sequence(element, raw, self._encoding, self._charset)
        else:
            found = self._text(element, raw, self._charset)
        if found and not self._noted and len(raw.value or b"") <= _LONGEST_REMEMBERED:
            if len(_remembered) >= _REMEMBERED:
                _remembered.clear()
            _remembered[kind] = found
        return found

    def _note(self, code: Code, element: Element) -> None:
        self._noted = True
        note = (code.value, element.keyword)
        if note not in self.notes:
            self.notes.append(note)

    def _text(self, element: Element, raw: Raw, charset: Charset) -> str:
        vr, value, undefined = raw
        if value is None or len(value) > TEXT_LIMIT or undefined or vr in NO_TEXT:
            self._note(Code.VALUE_INVALID, element)
            return ""
        if element.vr not in TEXT_VRS or (value.isascii() and b"\x1b" not in value):
            return value.decode("latin-1").strip("\0 ")
        text, code = charset.decode(value, element.vr)
        if code is not None:
            self._note(code, element)
        return text.strip("\0 ")

    def _sequence(self, element: Element, raw: Raw, encoding: Encoding, charset: Charset) -> list[Values]:
        if raw.vr == "UN":  # PS3.5 6.2.2: its items are implicit, as will be seen
            encoding = EXPLICIT_LITTLE
        try:
            items = self._items(element, raw.value, encoding)
        except (MemoryError, Skipped):
            raise
        except Exception:  # pydicom raises fourteen types on damaged sequences
            self._note(Code.VALUE_INVALID, element)
            return []
        return self._decoded(element, items, charset)

    def _decoded(self, element: Element, items: list[Item], charset: Charset) -> list[Values]:
        """The items' values. Empty items keep their place among others: names belong to items by position."""
        decoded = [self._item(element, item, charset) for item in items]
        if element.tag == PER_FRAME:  # thousands of frames mostly say one thing
            unique = {_encode(item): item for item in decoded if item}
            return [unique[key] for key in sorted(unique)]
        return decoded if any(decoded) else []

    def _item(self, element: Element, item: Item, charset: Charset) -> Values:
        found, encoding = item
        own = found.get(CHARSET)
        if isinstance(own, Raw):
            charset = decoder(own.value)
        values: Values = {}
        for wanted in element.items:
            value = self._nested(wanted, found[wanted.tag], encoding, charset) if wanted.tag in found else None
            if value:
                values[wanted.keyword] = value
        return values

    def _nested(self, element: Element, found: Raw | list[Item], encoding: Encoding, charset: Charset) -> Any:
        if not isinstance(found, Raw):
            return self._decoded(element, limited(element, found), charset)
        if element.vr == "SQ":
            return self._sequence(element, found, encoding, charset)
        if element.vr == "US":
            return self._numbers(element, found, encoding)
        return self._text(element, found, charset)

    def _numbers(self, element: Element, raw: Raw, encoding: Encoding) -> str:
        """Unsigned shorts as a text of decimal numbers."""
        value = raw.value
        if value is None or len(value) > TEXT_LIMIT or raw.vr not in ("US", None) or len(value) % 2:
            self._note(Code.VALUE_INVALID, element)
            return ""
        order: Literal["little", "big"] = "little" if encoding.little else "big"
        return "\\".join(str(int.from_bytes(value[at : at + 2], order)) for at in range(0, len(value), 2))
