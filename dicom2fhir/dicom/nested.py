"""Sequences by their bytes: where one of undefined length ends, and what items hold (PS3.5 7.5).

What is read here pydicom would read in the same way; what is unusual is `Strange`, and left to it. Nothing recurses.
"""

from __future__ import annotations

import struct
from typing import Any, Final, NamedTuple

from dicom2fhir.dicom import library
from dicom2fhir.dicom.elements import BY_TAG, LISTS, Element
from dicom2fhir.dicom.raws import CHARSET, LONG_VRS, SHORT_VRS, UNDEFINED, Encoding, Item, Raw, Skipped
from dicom2fhir.problems import Code

ITEM_LIMIT: Final = 1000
PER_FRAME: Final = 0x52009230
DELIMITERS: Final = {
    True: (b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"),
    False: (b"\xff\xfe\xe0\x00", b"\xff\xfe\xe0\xdd"),
}
"""The tags that an item and the end of a sequence begin with, by whether the encoding is little endian."""
_DEPTH: Final = 64
_GROUP: Final = 0xFFFE
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD


class Strange(Exception):
    """Bytes that are left to pydicom."""


class _Order(NamedTuple):
    """What takes numbers out of bytes in one byte order."""

    little: bool
    head: Any
    short: Any
    long: Any


_ORDERS: Final = {
    little: _Order(little, *(struct.Struct(order + form).unpack_from for form in ("HHI", "H", "I")))
    for little, order in ((True, "<"), (False, ">"))
}


def limited(element: Element, items: Any) -> Any:
    """The items of a sequence, unless they are too many; raises Skipped."""
    if len(items) > ITEM_LIMIT and element.tag != PER_FRAME and element.tag not in LISTS:
        raise Skipped(Code.TOO_MANY_ITEMS, element.keyword)
    return items


def sequence_end(data: bytes, at: int, encoding: Encoding) -> int:
    """Where the sequence of undefined length whose first item starts at a position ends, delimiter included.

    Raises Strange, and struct.error where the data end before.
    """
    order = _ORDERS[encoding.little]
    # what has not ended: whether it is an item, where it ends if that is known, whether its encoding is implicit
    within: list[tuple[bool, int | None, bool]] = [(False, None, encoding.implicit)]
    while within:
        in_item, end, implicit = within[-1]
        if at == end:
            within.pop()
            continue
        tag, _, value, length = _element(data, at, implicit, order)
        at = value
        if in_item and tag >> 16 != _GROUP:
            if length == UNDEFINED:
                within.append((False, None, implicit))
            else:
                at += length
        elif tag == (_ITEM_END if in_item else _SEQUENCE_END) and not length and end is None:
            within.pop()
        elif tag == _ITEM and not in_item:
            if length:
                within.append((True, _end(value, length), implicit or not _shows_vr(data, value)))
        else:
            raise Strange
        if len(within) > _DEPTH or (end is not None and at > end):
            raise Strange
    return at


def items(element: Element, value: bytes | None, encoding: Encoding) -> list[Item]:
    """The items of a sequence's bytes. Raises Skipped for too many, and for what is damaged whatever pydicom does."""
    if value is None:
        raise ValueError("longer than the limit")
    try:
        return _items(element, value, encoding)
    except (Strange, struct.error):
        return library.items(element, value, encoding)


def _items(element: Element, data: bytes, encoding: Encoding) -> list[Item]:
    order = _ORDERS[encoding.little]
    start, end = DELIMITERS[encoding.little]
    wanted = {CHARSET, *(each.tag for each in element.items)}
    found: list[Item] = []
    at = 0
    while at < len(data) and not data.startswith(end, at):
        if not data.startswith(start, at):
            raise Strange
        (length,) = order.long(data, at + 4)
        at += 8
        how = Encoding(encoding.implicit or not _shows_vr(data, at), encoding.little)
        end_of_item = _end(at, length)
        if end_of_item is not None and end_of_item > len(data):
            raise Strange
        inside, at = _item(data, at, end_of_item, how, wanted) if length else ({}, at)
        found.append(Item(inside, how))
        limited(element, found)
    return found


def _item(
    data: bytes, at: int, end: int | None, how: Encoding, wanted: set[int]
) -> tuple[dict[int, Raw | list[Item]], int]:
    """What is wanted of the item whose first element starts at a position, and where it ends."""
    order = _ORDERS[how.little]
    found: dict[int, Raw | list[Item]] = {}
    while at != end:
        tag, vr, value, length = _element(data, at, how.implicit, order)
        if tag == _ITEM_END and end is None and not length:
            return found, value
        at = sequence_end(data, value, how) if length == UNDEFINED else value + length
        if tag >> 16 == _GROUP or at > (len(data) if end is None else end):
            raise Strange
        if tag in wanted:
            undefined = length == UNDEFINED
            found[tag] = Raw("SQ" if undefined else vr.decode("ascii") or None, data[value:at], undefined)
    return found, at


def _element(data: bytes, at: int, implicit: bool, order: _Order) -> tuple[int, bytes, int, int]:
    """An element or delimiter in a sequence: its tag, its VR where it has one, its value's start and length.

    One of undefined length is a sequence or an item.
    """
    group, number, length = order.head(data, at)
    tag, vr, value = group << 16 | number, b"", at + 8
    if not implicit and group != _GROUP:
        vr = data[at + 4 : at + 6]
        if vr in SHORT_VRS:
            (length,) = order.short(data, at + 6)
        elif vr in LONG_VRS:
            (length,) = order.long(data, at + 8)
            value = at + 12
        else:
            raise Strange
    if tag == CHARSET and (vr not in (b"", b"CS") or length in (0, UNDEFINED)):
        raise Strange
    if length == UNDEFINED and group != _GROUP and not is_sequence(tag, vr, data, value, order.little):
        raise Strange
    return tag, vr, value, length


def is_sequence(tag: int, vr: bytes, data: bytes, value: int, little: bool) -> bool:
    """Whether pydicom takes an element of undefined length as a sequence (PS3.5 6.2.2); no VR where it is implicit.

    The value decides where the dictionary cannot; raises struct.error where the data end before.
    """
    if vr:
        return vr in (b"SQ", b"UN")
    wanted = BY_TAG.get(tag)
    private = tag >> 16 & 1
    known = wanted.vr == "SQ" if wanted else None if private else library.is_sequence(tag)
    if known is not None:
        return known
    if value + 4 > len(data):
        raise struct.error
    return data.startswith(DELIMITERS[little][0], value)


def _end(start: int, length: int) -> int | None:
    return None if length == UNDEFINED else start + length


def _shows_vr(data: bytes, at: int) -> bool:
    """Whether an item's first element has a VR: items may be implicit where the data set is not."""
    return all(0x40 < letter < 0x5B for letter in data[at + 4 : at + 6])
