"""Sequences: what is read here is what pydicom reads, and the rest is left to it."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from builders import BIG_ENDIAN, EXPLICIT, IMPLICIT, bare, code, encode, put
from reading import as_in_a_worker

from dicom2fhir.dicom import library, nested
from dicom2fhir.dicom.elements import BY_TAG
from dicom2fhir.dicom.nested import Strange, items, sequence_end
from dicom2fhir.dicom.raws import EXPLICIT_LITTLE, Encoding, Item, Raw, Skipped

REQUESTS = BY_TAG[0x00400275]
UNDEFINED = b"\xff\xff\xff\xff"
ITEM, ITEM_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0" + bytes(4)
SEQUENCE_END = b"\xfe\xff\xdd\xe0" + bytes(4)
ENCODINGS = {
    EXPLICIT: EXPLICIT_LITTLE,
    IMPLICIT: Encoding(implicit=True, little=True),
    BIG_ENDIAN: Encoding(implicit=False, little=False),
}


@pytest.fixture(autouse=True)
def _worker() -> Iterator[None]:
    with as_in_a_worker():
        yield


def sequence(syntax: str = EXPLICIT, *, undefined: bool = False, charset: bool = True) -> bytes:
    """The bytes of a request sequence's items, with sequences in them that are wanted and some that are not."""
    inner = code("1", "99X", "One", EquivalentCodeSequence=[code("2", "99Y"), {}])
    request = bare(AccessionNumber="A1", RequestedProcedureCodeSequence=[inner, code("3", "99X")])
    put(request, 0x00091001, "SQ", [{"StudyDescription": "not this one"}])
    if charset:
        put(request, 0x00080005, "CS", "ISO_IR 192")
    written = encode(bare(RequestAttributesSequence=[request, {}]), syntax, meta=False, undefined=undefined)
    return written[8 if syntax == IMPLICIT else 12 :]


def resolved(found: list[Item], element: Any = REQUESTS) -> list[Any]:
    """Items with the sequences inside as items too, whoever read them."""
    return [{tag: _resolved(raw, tag, element, item) for tag, raw in item.found.items()} for item in found]


def _resolved(raw: Any, tag: int, element: Any, item: Item) -> Any:
    wanted = next((each for each in element.items if each.tag == tag), None)
    if wanted is None or wanted.vr != "SQ":
        return raw.value if isinstance(raw, Raw) else None
    return resolved(items(wanted, raw.value, item.encoding) if isinstance(raw, Raw) else raw, wanted)


@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("syntax", ENCODINGS)
def test_items_are_those_of_pydicom(syntax: str, undefined: bool) -> None:
    value = sequence(syntax, undefined=undefined)
    found = nested._items(REQUESTS, value, ENCODINGS[syntax])
    assert resolved(found) == resolved(library.items(REQUESTS, value, ENCODINGS[syntax]))
    assert found[0].found[0x00080050] == Raw(None if syntax == IMPLICIT else "SH", b"A1")
    assert found[1].found == {}


@pytest.mark.parametrize("syntax", ENCODINGS)
def test_an_undefined_sequence_ends_where_its_delimiter_does(syntax: str) -> None:
    value = sequence(syntax, undefined=True)
    assert sequence_end(value + b"and more", 0, ENCODINGS[syntax]) == len(value)
    for length in range(len(value)):
        with pytest.raises(struct.error):
            sequence_end(value[:length], 0, ENCODINGS[syntax])


def test_items_may_be_implicit_in_an_explicit_data_set() -> None:
    value = sequence(IMPLICIT, undefined=True)
    assert sequence_end(value, 0, EXPLICIT_LITTLE) == len(value)
    assert resolved(nested._items(REQUESTS, value, EXPLICIT_LITTLE)) == resolved(
        nested._items(REQUESTS, value, ENCODINGS[IMPLICIT])
    )


def element(tag: bytes, value: bytes = b"12") -> bytes:
    return tag + struct.pack("<H", len(value)) + value


STRANGE = [
    ITEM + UNDEFINED + element(b"\x08\0\x50\0SH") + element(b"\x08\0\x51\0??") + ITEM_END,
    ITEM + UNDEFINED + b"\x09\0\x01\x10OB\0\0" + UNDEFINED + ITEM + bytes(4) + SEQUENCE_END + ITEM_END,
    ITEM + struct.pack("<I", 9) + element(b"\x08\0\x50\0SH"),
    ITEM + struct.pack("<I", 18) + element(b"\x08\0\x50\0SH") + ITEM_END,
    ITEM + UNDEFINED + element(b"\x08\0\x50\0SH") + ITEM_END[:-1] + b"\1",
    ITEM + UNDEFINED + element(b"\x08\0\x50\0SH") + ITEM + bytes(4) + ITEM_END,
    ITEM + UNDEFINED + element(b"\x08\0\x05\0US") + ITEM_END,
    ITEM + UNDEFINED + element(b"\x08\0\x05\0CS", b"") + ITEM_END,
    ITEM_END,
    element(b"\x08\0\x50\0SH") + bytes(8),
]


@pytest.mark.parametrize("value", STRANGE)
def test_what_is_unusual_is_left_to_pydicom(value: bytes) -> None:
    with pytest.raises(Strange):
        sequence_end(value + SEQUENCE_END, 0, EXPLICIT_LITTLE)
    with pytest.raises((Strange, struct.error)):
        nested._items(REQUESTS, value, EXPLICIT_LITTLE)


def test_depth_is_bounded_and_takes_no_recursion() -> None:
    start = b"\x09\0\x01\x10SQ\0\0" + UNDEFINED + ITEM + UNDEFINED
    for depth, fits in ((20, True), (30, True), (40, False), (100_000, False)):
        value = ITEM + UNDEFINED + start * depth + (ITEM_END + SEQUENCE_END) * depth + ITEM_END + SEQUENCE_END
        if fits:
            assert sequence_end(value, 0, EXPLICIT_LITTLE) == len(value)
        else:
            with pytest.raises(Strange):
                sequence_end(value, 0, EXPLICIT_LITTLE)


def test_the_dictionary_says_what_is_a_sequence_where_nothing_else_does() -> None:
    little = {"data": ITEM, "value": 0, "little": True}
    assert nested.is_sequence(0x00081140, b"", **little)  # type: ignore[arg-type]
    assert nested.is_sequence(0x00400275, b"", **little)  # type: ignore[arg-type]
    assert nested.is_sequence(0x00091001, b"", **little)  # type: ignore[arg-type]
    assert not nested.is_sequence(0x00091001, b"", b"text", 0, True)
    assert not nested.is_sequence(0x00280010, b"", **little)  # type: ignore[arg-type]
    assert not nested.is_sequence(0x00081140, b"OB", **little)  # type: ignore[arg-type]


def said(value: bytes, encoding: Encoding, how: Any) -> Any:
    try:
        return resolved(how(REQUESTS, value, encoding))
    except Skipped as skipped:
        return skipped.code
    except Exception:
        return "damaged"


@pytest.mark.parametrize("syntax", ENCODINGS)
def test_no_mutant_is_read_in_two_ways(syntax: str) -> None:
    chance = random.Random(20240116)
    originals = [sequence(syntax, undefined=one, charset=two) for one in (True, False) for two in (True, False)]
    read = 0
    for _ in range(1500):
        value = bytearray(chance.choice(originals))
        for _ in range(chance.choice((1, 1, 2))):
            at = chance.randrange(len(value))
            if chance.random() < 0.3:
                del value[at : at + chance.choice((1, 2, 8, 100))]
            else:
                value[at : at + 1] = chance.choice((b"\0", b"\xff", bytes([chance.randrange(256)]), UNDEFINED))
        mutant = bytes(value)
        mine = said(mutant, ENCODINGS[syntax], items)
        assert mine == said(mutant, ENCODINGS[syntax], library.items), mutant
        read += mine != "damaged"
    assert read > 150
