"""Text of DICOM files: Specific Character Set (0008,0005) and its code extensions (PS3.3 C.12.1.1.2, PS3.5 6.1).

What a file writes as its character set is looked up in this module's own tables and never reaches Python's
codecs: some of those are no character sets, and some take minutes. Values are decoded whole and split by the caller
afterwards, since the second byte of a Chinese or Japanese character may look like a backslash.

Why pydicom's own decoding is not used (3.0.2): it splits text at backslashes and names at `=` before decoding,
which cuts characters in two (JIS 3D 55 holds a `=`), leaves ISO 2022 IR 58's escape sequences in the text, and
reads 8-bit text of an ASCII file as Latin-1 without a word.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from dicom2fhir.problems import Code

_ESC: Final = b"\x1b"
_LONGEST: Final = 1024
"""Bytes of (0008,0005) beyond which nobody means it: all defined terms together are shorter."""

_RIGHT_HALF: Final = {
    13: ("shift_jis", b")I"),
    58: ("gb2312", b"$)A"),
    100: ("latin_1", b"-A"),
    101: ("iso8859_2", b"-B"),
    109: ("iso8859_3", b"-C"),
    110: ("iso8859_4", b"-D"),
    126: ("iso8859_7", b"-F"),
    127: ("iso8859_6", b"-G"),
    138: ("iso8859_8", b"-H"),
    144: ("iso8859_5", b"-L"),
    148: ("iso8859_9", b"-M"),
    149: ("euc_kr", b"$)C"),
    166: ("iso8859_11", b"-T"),
    203: ("iso8859_15", b"-b"),
}
"""ISO-IR number -> Python codec and escape sequence, of sets in the upper 128 codes (G1). All codecs hold ASCII."""
_LEFT_HALF: Final = {87: ("iso2022_jp", b"$B"), 159: ("iso2022_jp_2", b"$(D")}
"""The same of sets that take ASCII's place (G0), two bytes a character."""
_STAND_ALONE: Final = {"ISOIR192": "utf_8", "GB18030": "gb18030", "GBK": "gbk"}
"""Terms that allow no code extensions."""
_OTHER_SPELLINGS: Final = {
    "UTF8": "ISOIR192",
    "ISO2022IR192": "ISOIR192",
    "ISO2022GBK": "GBK",
    "ISO2022GB18030": "GB18030",
    "GB2312": "GB18030",
    "ISO202258": "ISO2022IR58",
    "ASCII": "ISOIR6",
    "USASCII": "ISOIR6",
    "ISO646": "ISOIR6",
    "SHIFTJIS": "ISOIR13",
    "SJIS": "ISOIR13",
    "ISO2022JP": "ISO2022IR87",
    "EUCKR": "ISO2022IR149",
    "KSC5601": "ISO2022IR149",
    "KSX1001": "ISO2022IR149",
    "LATIN1": "ISOIR100",
    "LATIN2": "ISOIR101",
    "LATIN3": "ISOIR109",
    "LATIN4": "ISOIR110",
    "LATIN5": "ISOIR148",
    "LATIN9": "ISOIR203",
    "ISO88591": "ISOIR100",
    "ISO88592": "ISOIR101",
    "ISO88593": "ISOIR109",
    "ISO88594": "ISOIR110",
    "ISO88595": "ISOIR144",
    "ISO88596": "ISOIR127",
    "ISO88597": "ISOIR126",
    "ISO88598": "ISOIR138",
    "ISO88599": "ISOIR148",
    "ISO885911": "ISOIR166",
    "ISO885915": "ISOIR203",
}
"""What else is written, without blanks, `_` and `-`, and the term that it stands for."""
_REGISTERED: Final = r"ISO(?:2022)?IR([0-9]{1,3})"

_G1: Final = {escape: codec for codec, escape in _RIGHT_HALF.values()}
_G0: Final = {escape: codec for codec, escape in _LEFT_HALF.values()} | {b"$@": "iso2022_jp"}
_ASCII_AGAIN: Final = frozenset({b"(B", b"(J"})
_ESCAPES: Final = (
    b"\x1b(" + b"|".join(re.escape(e) for e in sorted({*_G1, *_G0, *_ASCII_AGAIN}, key=len, reverse=True)) + b")"
)
_RESETS: Final = {
    **dict.fromkeys(("ST", "LT", "UT"), rb"[\r\n\t\f]"),
    **dict.fromkeys(("LO", "SH", "UC"), rb"[\\\r\n\t\f]"),
    "PN": rb"[\\^=\r\n\t\f]",
}
"""The VRs that (0008,0005) concerns, and what ends an escape sequence's effect in each (PS3.5 6.1.2.5.3)."""
_NOT_KATAKANA: Final = rb"[\x80-\xa0\xe0-\xff]"


class Charset(NamedTuple):
    """What a data set says of its character sets.

    `codec` reads text before the first escape sequence. `declared` are the escape sequences that the data set
    may use, `spare` the codecs behind them. `code` is CHARSET_UNKNOWN where a term is none that is known.
    """

    codec: str = "ascii"
    declared: frozenset[bytes] = frozenset()
    spare: tuple[str, ...] = ()
    code: Code | None = None

    def decode(self, raw: bytes, vr: str) -> tuple[str, Code | None]:
        """A value's text, all its values at once, and what was wrong with it.

        Text that does not fit is read as UTF-8 if it is that, else by a set that the data set declares, else as
        Latin-1. Padding is the caller's.
        """
        if raw.isascii() and _ESC not in raw:
            return raw.decode("ascii"), None
        resets = _RESETS.get(vr)
        if resets is None:
            return _as_it_looks(raw, ()), Code.CHARSET_INVALID
        try:
            if _ESC in raw:
                return self._extended(raw, resets)
            return raw.decode(self.codec), self._misfit(raw)
        except UnicodeDecodeError:
            return _as_it_looks(raw, self.spare), self.code or Code.CHARSET_INVALID

    def _misfit(self, raw: bytes) -> Code | None:
        # Shift-JIS is often declared as the katakana set that is a part of it.
        wrong = self.codec == "shift_jis" and re.search(_NOT_KATAKANA, raw)
        return Code.CHARSET_INVALID if wrong else None

    def _extended(self, raw: bytes, resets: bytes) -> tuple[str, Code | None]:
        first, *rest = re.split(_ESCAPES, raw.rstrip(b" \0"))
        if any(_ESC in segment for segment in (first, *rest[1::2])):
            raise UnicodeDecodeError("iso2022", raw, 0, len(raw), "unknown escape sequence")
        escapes = list(zip([b"(B", *rest[::2]], [first, *rest[1::2]], strict=True))
        used = {escape for escape, _ in escapes} - self.declared - _ASCII_AGAIN
        code = Code.CHARSET_INVALID if used else None
        try:
            return _segments(escapes, self.codec, resets), code
        except UnicodeDecodeError:  # some writers give the escape sequence once, not again after each delimiter
            return _segments(escapes, self.codec, None), Code.CHARSET_INVALID


def _segments(escapes: list[tuple[bytes, bytes]], initial: str, resets: bytes | None) -> str:
    """Text of segments, each after its escape sequence; a delimiter in one goes back to the initial codec."""
    text, right, left = [], initial, b""
    for escape, segment in escapes:
        if escape in _G1:
            right = _G1[escape]
        else:
            left = b"" if escape in _ASCII_AGAIN else escape
        if left:  # Python's codec wants to see the escape sequence; a delimiter's byte is half a character here
            text.append((_ESC + left + segment).decode(_G0[left]))
            continue
        end = re.search(resets, segment) if resets else None
        at = end.start() if end else len(segment)
        text.append(segment[:at].decode(right))
        if end:
            right = initial
            text.append(segment[at:].decode(right))
    return "".join(text)


def _as_it_looks(raw: bytes, codecs: tuple[str, ...]) -> str:
    for codec in ("utf_8", *codecs):
        try:
            return raw.decode(codec)
        except UnicodeDecodeError:
            continue
    return raw.decode("latin_1")


def decoder(specific_character_set: bytes | None) -> Charset:
    """What a raw (0008,0005) means; none, or an empty one, is ASCII."""
    raw = (specific_character_set or b"").strip(b" \0")
    return _UNKNOWN if len(raw) > _LONGEST else _parsed(raw)


_UNKNOWN: Final = Charset(code=Code.CHARSET_UNKNOWN)


@lru_cache(maxsize=128)
def _parsed(raw: bytes) -> Charset:
    terms = [_squeezed(term) for term in raw.decode("latin_1").split("\\")]
    if terms[0] in _STAND_ALONE:
        return Charset(_STAND_ALONE[terms[0]])
    numbers = [_number(term) for term in terms]
    code = Code.CHARSET_UNKNOWN if None in numbers else None
    codec = _RIGHT_HALF[numbers[0]][0] if numbers[0] in _RIGHT_HALF else "ascii"
    halves = [(_RIGHT_HALF | _LEFT_HALF)[number] for number in numbers if number in {*_RIGHT_HALF, *_LEFT_HALF}]
    return Charset(codec, frozenset(escape for _, escape in halves), tuple(name for name, _ in halves), code)


def _squeezed(term: str) -> str:
    squeezed = re.sub(r"[\s\0_-]", "", term.upper())
    return _OTHER_SPELLINGS.get(squeezed, squeezed)


def _number(term: str) -> int | None:
    """The ISO-IR number of a term; 6 (ASCII) of one that adds nothing, `None` of an unknown one."""
    if not term or term in _STAND_ALONE:
        return 6
    match = re.fullmatch(_REGISTERED, term)
    number = int(match[1]) if match else None
    return number if number == 6 or number in _RIGHT_HALF or number in _LEFT_HALF else None
