"""The quick way to a record says what the slow one says, or leaves it alone."""

from __future__ import annotations

import pytest
from builders import EXPLICIT, IMPLICIT, dataset, encode
from hypothesis import given
from hypothesis import strategies as st

from dicom2fhir.dicom.decode import decoded
from dicom2fhir.dicom.elements import BY_TAG
from dicom2fhir.dicom.nested import items
from dicom2fhir.dicom.raws import SOP_INSTANCE, TEXT_LIMIT
from dicom2fhir.dicom.record import PLAIN, plain_own, plain_text, plain_uid
from dicom2fhir.dicom.scan import Window, scan
from dicom2fhir.dicom.values import BadValue, parse_uid

OWN = [BY_TAG[tag].keyword for tag in PLAIN if tag != SOP_INSTANCE]
TEXT = st.one_of(
    st.binary(max_size=20),
    st.text(st.characters(max_codepoint=0x7F), max_size=30).map(str.encode),
    st.sampled_from([b"", b" ", b"\0\0", b'"', b"\\", b"\x1b$B;3ED", "ä".encode(), b"\x7f\x1f", b"12", b"20240115"]),
)
UID = st.one_of(
    TEXT, st.from_regex(rb"\A[0-9.]{1,70}\Z"), st.sampled_from([b"1.2\0", b" 1.2 ", b"1.2\n", b"1..2", b"1"])
)


@given(st.dictionaries(st.sampled_from(OWN), TEXT, max_size=6), st.sampled_from([EXPLICIT, IMPLICIT]))
def test_plain_values_come_out_as_the_decoder_has_them(values: dict[str, bytes], syntax: str) -> None:
    content = encode(dataset(**{"InstanceNumber": None, **values}), syntax)
    found = scan(Window(content, len(content)))
    assert found is not None
    own = [span for span in found.spans if span[0] in PLAIN]
    plain = plain_own(found, own)
    said, notes = decoded([tag for tag in PLAIN if tag != SOP_INSTANCE], found.elements(), items)
    if plain is not None:
        assert plain == (said, content_uid(found.elements().raws[SOP_INSTANCE].value))
        assert not notes
    if all(value.isascii() and b"\x1b" not in value for value in values.values()):
        assert plain is not None


def content_uid(value: bytes | None) -> str:
    return parse_uid((value or b"").decode())


@given(UID)
def test_a_plain_uid_is_a_uid(value: bytes) -> None:
    try:
        uid: str | None = parse_uid(value.decode("latin-1"))
    except BadValue:
        uid = None
    assert plain_uid(value) == uid


@pytest.mark.parametrize(
    ("value", "charset", "text"),
    [
        (b"a" * TEXT_LIMIT, True, "a" * TEXT_LIMIT),
        (b"a" * TEXT_LIMIT + b"a", True, None),
        (b"\xe4", True, None),
        (b"\xe4", False, "ä"),
        (b"\x1b", True, None),
        (b" \0a b\0 ", True, "a b"),
    ],
)
def test_a_text_is_plain_where_no_character_set_matters(value: bytes, charset: bool, text: str | None) -> None:
    assert plain_text(value, charset) == text


@pytest.mark.parametrize("vr", [b"US", b"SQ", b"OW", b"UN"])
def test_a_number_for_a_text_is_not_plain(vr: bytes) -> None:
    long = vr in (b"SQ", b"OW", b"UN")
    content = encode(dataset(InstanceNumber="12"))
    value = b"\0\0\2\0\0\0" if long else b"\2\0"
    content = content.replace(b"\x20\0\x13\0IS\2\0", b"\x20\0\x13\0" + vr + value)
    found = scan(Window(content, len(content)))
    assert found is not None
    assert plain_own(found, [span for span in found.spans if span[0] in PLAIN]) is None
