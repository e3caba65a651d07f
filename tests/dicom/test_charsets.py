from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.charset import python_encoding
from pydicom.data import get_charset_files

from dicom2fhir.dicom.charsets import decoder
from dicom2fhir.problems import Code

TEXT = ("LO", "SH", "PN", "ST", "LT", "UC", "UT")
OTHER = ("CS", "UI", "DA", "AE", "IS", "UR")


# --- which character set


@pytest.mark.parametrize("term", [term for term in python_encoding if term])
def test_every_term_that_pydicom_knows_is_known(term):
    assert decoder(term.encode()).code is None


@pytest.mark.parametrize(
    ("written", "term"),
    [
        ("ISO IR 100", "ISO_IR 100"),
        ("ISO_IR_100", "ISO_IR 100"),
        ("iso-ir-100 ", "ISO_IR 100"),
        ("ISO_IR_192", "ISO_IR 192"),
        ("UTF-8", "ISO_IR 192"),
        ("utf8", "ISO_IR 192"),
        ("latin1", "ISO_IR 100"),
        ("ISO-8859-1", "ISO_IR 100"),
        ("ISO_8859-5", "ISO_IR 144"),
        ("ISO 2022-IR-6", "ISO 2022 IR 6"),
        ("ISO2022 IR 149", "ISO 2022 IR 149"),
        ("ISO_2022_IR_87", "ISO 2022 IR 87"),
        ("\\ISO-2022-IR-87\0", "\\ISO 2022 IR 87"),
        ("GB2312", "GB18030"),
        ("ISO 2022 GBK", "GBK"),
        ("Shift_JIS", "ISO_IR 13"),
        ("ISO_IR 192\\ISO 2022 IR 87", "ISO_IR 192"),
        ("", "ISO_IR 6"),
    ],
)
def test_the_usual_misspellings(written, term):
    assert decoder(written.encode()) == decoder(term.encode())
    assert decoder(written.encode()).code is None


@pytest.mark.parametrize(
    "term",
    ["bz2", "punycode", "zlib", "rot13", "idna", "utf-16", "unicode_escape", "ISO_IR 999", "ISO_IR 100" * 200],
)
def test_nothing_else_reaches_a_codec(term):
    charset = decoder(term.encode())
    assert (charset.codec, charset.spare) == ("ascii", ())
    assert charset.decode("Bücher".encode(), "LO") == ("Bücher", Code.CHARSET_UNKNOWN)
    assert charset.decode(b"B\xfccher", "LO") == ("Bücher", Code.CHARSET_UNKNOWN)
    assert charset.decode(b"books", "LO") == ("books", None)


def test_an_unknown_second_term_spoils_nothing():
    charset = decoder(b"ISO_IR 100\\ISO_IR 999")
    assert charset.code is Code.CHARSET_UNKNOWN
    assert charset.decode(b"J\xe9r\xf4me", "PN") == ("Jérôme", None)


@pytest.mark.parametrize("term", ["ISO_IR 192", "GB18030", "GBK"])
def test_a_term_that_must_stand_alone_adds_nothing_after_another(term):
    assert decoder(f"ISO 2022 IR 100\\{term}".encode()) == decoder(b"ISO 2022 IR 100")


def test_the_same_bytes_give_the_same_charset():
    assert decoder(b"ISO_IR 100 ") is decoder(b"ISO_IR 100")
    assert decoder(None) is decoder(b"")


# --- one character set


@pytest.mark.parametrize(
    ("term", "text", "codec"),
    [
        ("ISO_IR 100", "Jérôme", "latin_1"),
        ("ISO_IR 101", "Łódź", "iso8859_2"),
        ("ISO_IR 109", "Ĥaŭ", "iso8859_3"),
        ("ISO_IR 110", "Ķē", "iso8859_4"),
        ("ISO_IR 126", "Διονυσιος", "iso8859_7"),
        ("ISO_IR 127", "قباني", "iso8859_6"),
        ("ISO_IR 138", "שרון", "iso8859_8"),
        ("ISO_IR 144", "Люксембург", "iso8859_5"),
        ("ISO_IR 148", "Çavuşoğlu", "iso8859_9"),
        ("ISO_IR 166", "นามสกุล", "iso8859_11"),
        ("ISO_IR 203", "œ€", "iso8859_15"),
        ("ISO_IR 13", "ﾔﾏﾀﾞ", "shift_jis"),
        ("ISO_IR 192", "王小東", "utf_8"),
        ("GB18030", "王小东", "gb18030"),
        ("GBK", "王小东", "gbk"),
        ("ISO 2022 IR 149", "김희중", "euc_kr"),
        ("ISO 2022 IR 58", "王小东", "gb2312"),
    ],
)
@pytest.mark.parametrize("vr", TEXT)
def test_text_of_one_character_set(term, text, codec, vr):
    assert decoder(term.encode()).decode(text.encode(codec), vr) == (text, None)


def test_a_backslash_inside_a_character_is_none():
    raw = "誠\\数".encode("gb18030") + b"\\" + b"\x81\x5c"
    text, code = decoder(b"GB18030").decode(raw, "LO")
    assert (text.count("\\"), code) == (2, None)


@pytest.mark.parametrize("vr", OTHER)
def test_other_values_are_ascii(vr):
    assert decoder(b"ISO_IR 100").decode(b"HEAD", vr) == ("HEAD", None)
    assert decoder(b"ISO_IR 100").decode(b"SCH\xc4DEL", vr) == ("SCHÄDEL", Code.CHARSET_INVALID)


@pytest.mark.parametrize("term", [b"", b"ISO_IR 6", None])
def test_undeclared_text_is_utf_8_or_latin_1(term):
    assert decoder(term).decode("山田".encode(), "PN") == ("山田", Code.CHARSET_INVALID)
    assert decoder(term).decode(b"J\xe9r\xf4me", "PN") == ("Jérôme", Code.CHARSET_INVALID)


def test_text_that_does_not_fit_its_character_set():
    assert decoder(b"ISO_IR 192").decode(b"J\xe9r\xf4me", "PN") == ("Jérôme", Code.CHARSET_INVALID)
    assert decoder(b"ISO_IR 127").decode("é€".encode(), "PN") == ("é€", Code.CHARSET_INVALID)


def test_shift_jis_under_the_name_of_its_katakana_is_read_and_noted():
    assert decoder(b"ISO_IR 13").decode("山田^ｱｲ".encode("shift_jis"), "PN") == ("山田^ｱｲ", Code.CHARSET_INVALID)


# --- several character sets


@pytest.mark.parametrize(
    ("terms", "raw", "text"),
    [
        ("\\ISO 2022 IR 87", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", "Yamada^Tarou=山田^太郎"),
        ("ISO 2022 IR 6\\ISO 2022 IR 87", b"\x1b$B;3ED\x1b(B", "山田"),
        ("ISO 2022 IR 13\\ISO 2022 IR 87", b"\xd4\xcf\xc0\xde=\x1b$B;3ED\x1b(J^x", "ﾔﾏﾀﾞ=山田^x"),
        ("\\ISO 2022 IR 159", b"\x1b$(D\x30\x21\x1b(B!", "丂!"),
        ("\\ISO 2022 IR 149", b"Hong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7", "Hong=洪^吉洞"),
        ("\\ISO 2022 IR 58", b"Zhang=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=", "Zhang=张^小东="),
        ("ISO 2022 IR 100\\ISO 2022 IR 144", b"\xc4neas=\x1b-L\xbb\xee\xda", "Äneas=Люк"),
        ("ISO 2022 IR 100\\ISO 2022 IR 126", b"\x1b-F\xc4\xe9^\xc4", "Δι^Ä"),
        ("\\ISO 2022 IR 87", b"\x1b$B=U;R\x1b(B=x", "春子=x"),  # 3D 55: an equals sign inside a character
        ("\\ISO 2022 IR 87", b"\x1b$B\x3d\x5e\x30\x5c\x1b(B^x", "殉移^x"),  # a caret and a backslash inside characters
        ("\\ISO 2022 IR 87", b"\x1b$B;3ED\x1b(B \0", "山田"),
        ("\\ISO 2022 IR 87", b"", ""),
    ],
)
def test_escape_sequences(terms, raw, text):
    found, code = decoder(terms.encode()).decode(raw, "PN")
    assert (found.rstrip(" \0"), code) == (text, None)


@pytest.mark.parametrize(
    ("vr", "resetting", "others"),
    [
        ("PN", "^=\\\r\n\t\f", " "),
        ("LO", "\\\r\n\t\f", "^= "),
        ("SH", "\\\r\n\t\f", "^= "),
        ("UC", "\\\r\n\t\f", "^= "),
        ("ST", "\r\n\t\f", "\\^= "),
        ("LT", "\r\n\t\f", "\\^= "),
        ("UT", "\r\n\t\f", "\\^= "),
    ],
)
def test_a_delimiter_ends_an_escape_sequence(vr, resetting, others):
    charset = decoder(b"ISO 2022 IR 100\\ISO 2022 IR 144")
    for delimiter in resetting + others:
        text = f"Л{delimiter}{'Л' if delimiter in others else '»'}"
        assert charset.decode(b"\x1b-L\xbb" + delimiter.encode() + b"\xbb", vr) == (text, None)


def test_an_escape_sequence_given_once_is_read_and_noted():
    raw = b"\x1b$)C\xb1\xe8^\xc8\xf1\xc1\xdf"
    assert decoder(b"\\ISO 2022 IR 149").decode(raw, "PN") == ("김^희중", Code.CHARSET_INVALID)


def test_a_declared_set_without_its_escape_sequence_is_read_and_noted():
    raw = "김^희중".encode("euc_kr")
    assert decoder(b"\\ISO 2022 IR 149").decode(raw, "PN") == ("김^희중", Code.CHARSET_INVALID)


@pytest.mark.parametrize("terms", [b"", b"ISO_IR 100", b"ISO_IR 192", b"ISO_IR 999", b"\\ISO 2022 IR 149"])
def test_an_escape_sequence_that_is_not_declared_is_read_and_noted(terms):
    assert decoder(terms).decode(b"\x1b$B;3ED\x1b(B", "PN") == ("山田", Code.CHARSET_INVALID)


@pytest.mark.parametrize("raw", [b"\x1b", b"a\x1b%Gb", b"\x1b$", b"\x1b$B;\x1b(B", b"\x1b$B\xff\xff", b"\x1b$)C\xff"])
def test_a_broken_escape_sequence_is_noted(raw):
    text, code = decoder(b"\\ISO 2022 IR 87\\ISO 2022 IR 149").decode(raw, "LO")
    assert code is Code.CHARSET_INVALID
    assert "\ufffd" not in text


# --- everything


PIECES = [b"\x1b$B", b"\x1b(B", b"\x1b-L", b"\x1b$)C", b"\x1b", b"^", b"\\", b"\xbb\xee", b"ab"]


@given(
    st.lists(st.sampled_from(["", *python_encoding, "UTF-8", "bz2"]), max_size=4).map("\\".join),
    st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join) | st.binary(max_size=20),
    st.sampled_from([*TEXT, *OTHER]),
)
def test_any_bytes_give_text_and_never_an_error(terms, raw, vr):
    text, code = decoder(terms.encode()).decode(raw, vr)
    text.encode("utf-8")  # no lone surrogates
    assert code in {None, Code.CHARSET_INVALID, Code.CHARSET_UNKNOWN}
    assert code is None or not raw.isascii() or b"\x1b" in raw


NAMES = {
    "chrArab.dcm": "قباني^لنزار",
    "chrFren.dcm": "Buc^Jérôme",
    "chrFrenMulti.dcm": "Buc^Jérôme",
    "chrGerm.dcm": "Äneas^Rüdiger",
    "chrGreek.dcm": "Διονυσιος",
    "chrH31.dcm": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "chrH32.dcm": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    "chrHbrw.dcm": "שרון^דבורה",
    "chrI2.dcm": "Hong^Gildong=洪^吉洞=홍^길동",
    "chrJapMulti.dcm": "やまだ^たろう",
    "chrJapMultiExplicitIR6.dcm": "やまだ^たろう",
    "chrKoreanMulti.dcm": "김희중",
    "chrRuss.dcm": "Люкceмбypг",
    "chrX1.dcm": "Wang^XiaoDong=王^小東=",
    "chrX2.dcm": "Wang^XiaoDong=王^小东=",
}


@pytest.mark.parametrize("path", get_charset_files("*.dcm"), ids=lambda path: Path(path).stem)
def test_pydicoms_samples(path):
    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    charset = decoder(raw_charset(dataset))
    name = NAMES.get(Path(path).name)
    if name is None:  # the name lies in an item, with a character set of its own or its parent's
        (dataset,) = dataset[0x00321064].value
        name = NAMES["chrH32.dcm"]
        charset = decoder(raw_charset(dataset)) if "SpecificCharacterSet" in dataset else charset
    text, code = charset.decode(dataset.get_item(0x00100010).value, "PN")
    assert (text.rstrip(), code) == (name, None)


def raw_charset(dataset):
    terms = dataset.get("SpecificCharacterSet") or ""
    return (terms if isinstance(terms, str) else "\\".join(terms)).encode()
