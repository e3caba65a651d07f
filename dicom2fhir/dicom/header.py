"""One object's header record: what is wanted of a DICOM file, as text.

A record has two parts. The *context* is what a series' files share (patient, study, series, equipment,
SOP class), as canonical JSON; the *own* part is the instance's alone. Both say keyword -> value, where a
value is the decoded text (backslashes kept between values) or, for a sequence, a list of such objects.
What is absent or blank has no key. Values are interpreted later (`mapping`), never here.

A file is read in the quickest way that fits it, and the record is the same: as `layout` predicts from files of its
series, by the walk of `scan`, or by pydicom (`walk`), which reads whatever the other two decline.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection
from typing import Any, Final, Literal, NamedTuple

from dicom2fhir.codes import modality, sop_class
from dicom2fhir.dicom import library, nested
from dicom2fhir.dicom.decode import KEY_OBJECT_BY_TAG, decoded
from dicom2fhir.dicom.elements import BY_TAG, ELEMENTS, Level
from dicom2fhir.dicom.keyobjects import KEY_OBJECT_SELECTION
from dicom2fhir.dicom.predict import Predictions
from dicom2fhir.dicom.raws import (
    CHARSET,
    DICOMDIR,
    SERIES,
    SOP_CLASS,
    SOP_INSTANCE,
    STUDY,
    Elements,
    Raws,
    Skipped,
)
from dicom2fhir.dicom.record import Given, Record, Skip, digest_of, plain_own, record_of
from dicom2fhir.dicom.records import PIXELS_CUT, Scope, canonical
from dicom2fhir.dicom.scan import FIRST_READ, Plans, Scan, Span, Window, scan
from dicom2fhir.dicom.values import BadValue, first_value, parse_uid
from dicom2fhir.problems import Code

_SHARED_TAGS: Final = tuple(e.tag for e in ELEMENTS if e.level is not Level.INSTANCE)
_SHARED: Final = frozenset(_SHARED_TAGS)
_CONTEXT_TAGS: Final = _SHARED - {CHARSET}
_OWN_TAGS: Final = KEY_OBJECT_BY_TAG.keys() - _SHARED - {SOP_INSTANCE}
_MODALITY: Final = 0x00080060
_KEY_OBJECT: Final = Plans(KEY_OBJECT_BY_TAG)
_KEY_OBJECT_UID: Final = KEY_OBJECT_SELECTION.encode()
_UID_PADDING: Final = b"\0 \t\r\n"
_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
"""Open without ever waiting: a FIFO would block for ever."""
_CONTEXTS_KEPT = 1024
_BYTES_KEPT = 16 * 1024 * 1024

Reader = Literal["auto", "pydicom"]


def quiet() -> None:
    """Prepare a process that does nothing but read."""
    library.quiet()


_readers: dict[Reader, _Reader] = {}
"""By name, what reads in this process; a new scope is a new reader."""


class Fetched(NamedTuple):
    """A file that was opened: its descriptor, which its reader closes, its size and its first bytes."""

    fd: int
    size: int
    head: bytes


def fetch_file(path: str) -> Fetched | Skip:
    """The part of reading that waits for a disk or a network, or why there is nothing to read."""
    try:
        fd = os.open(path, _FLAGS)
    except OSError as error:
        return ("skip", _os_code(error).value, "", "")
    try:
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode):
            return Fetched(fd, status.st_size, os.pread(fd, FIRST_READ, 0))
        code = Code.SPECIAL_FILE
    except OSError as error:
        code = _os_code(error)
    os.close(fd)
    return ("skip", code.value, "", "")


def read_fetched(fetched: Fetched | Skip, scope: Scope, reader: Reader = "auto") -> Record | Skip:
    """The record of one file, or why there is none. Raises nothing for what is in the file but MemoryError.

    `reader` says whether pydicom reads what is unusual ("auto") or every file; the records are the same.
    """
    if not isinstance(fetched, Fetched):
        return fetched
    reads = _readers.get(reader)
    if reads is None or not reads.is_for(scope):
        reads = _readers[reader] = _Reader(scope, reader)
    try:
        return reads.read(*fetched)
    except Skipped as skipped:
        return ("skip", skipped.code.value, skipped.message, skipped.where)
    except OSError as error:
        return ("skip", _os_code(error).value, "", "")
    finally:
        os.close(fetched.fd)


def read_file(path: str, scope: Scope, reader: Reader = "auto") -> Record | Skip:
    """Both in one: see `read_fetched`."""
    return read_fetched(fetch_file(path), scope, reader)


def _os_code(error: OSError) -> Code:
    if error.errno in (errno.EACCES, errno.EPERM):
        return Code.PERMISSION
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE):
        return Code.VANISHED
    return Code.SPECIAL_FILE if error.errno in (errno.ENXIO, errno.ENODEV, errno.EISDIR) else Code.IO_ERROR


class _Reader:
    """Reads files in one scope, and remembers the contexts that it has given and how series are laid out."""

    def __init__(self, scope: Scope, name: Reader) -> None:
        self._scope, self._name = scope, name
        self._items = library.items if name == "pydicom" else nested.items
        self._contexts = _Contexts()
        self._predictions = Predictions()

    def is_for(self, scope: Scope) -> bool:
        """Whether this is what it reads in."""
        return self._scope is scope or self._scope == scope

    def read(self, fd: int, size: int, head: bytes) -> Record:
        """The record of an open file; raises Skipped and OSError."""
        if self._name == "pydicom":
            return self._by_library(fd, size)
        return self._quickly(Window(head, size, fd)) or self._by_library(fd, size)

    def _quickly(self, window: Window) -> Record | None:
        """The record of a file without pydicom; None where it takes pydicom."""
        if len(window.data) > window.size > 0:
            return None  # it grows while it is read
        return self._predictions.record(window) or self._walked(window)

    def _walked(self, window: Window) -> Record | None:
        """The record of a file that `scan` reads. A key object is walked once more, for its content."""
        found = scan(window)
        if found is None:
            return None
        key, own, is_key_object = _parts(found)
        if is_key_object:
            again = scan(window, _KEY_OBJECT)
            return self._record(again.elements(), key) if again else None
        plain = None if found.pixels_cut else plain_own(found, own)
        if plain is None:
            return self._record(found.elements(), key)
        known = self._contexts.get(key)
        context = known or self._new_context(found.elements())
        if known is None:
            self._contexts.keep(key, context, len(key[1]))
        self._predictions.learn(window, found, context)
        return record_of(context, *plain, given=known is not None)

    def _by_library(self, fd: int, size: int) -> Record:
        """The record as pydicom reads the file. A key object is read once more, for its content."""
        elements = _elements(fd, size, BY_TAG)
        if _plain(elements.raws, SOP_CLASS) == KEY_OBJECT_SELECTION:
            elements = _elements(fd, size, KEY_OBJECT_BY_TAG)
        return self._record(elements, (elements.encoding, *map(elements.raws.get, _SHARED_TAGS)))

    def _record(self, elements: Elements, key: tuple[Any, ...]) -> Record:
        raws = elements.raws
        known = self._contexts.get(key)
        context = known or self._new_context(elements)
        uid = _checked_uid(raws, SOP_INSTANCE, Code.NO_INSTANCE_UID, context.where)
        values, notes = decoded(_OWN_TAGS, elements, self._items)
        if elements.pixels_cut:
            notes.append(PIXELS_CUT)
        if known is None:  # last of all, so that what is kept as given will be given
            self._contexts.keep(key, context, sum(len(raw.value or b"") for raw in raws.values()))
        return record_of(context, {**values, "": notes} if notes else values, uid, given=known is not None)

    def _new_context(self, elements: Elements) -> Given:
        raws = elements.raws
        _check_scope(raws, self._scope)
        values, notes = decoded(_CONTEXT_TAGS, elements, self._items)
        study = _checked_uid(raws, STUDY, Code.NO_STUDY_UID, "")
        series = _checked_uid(raws, SERIES, Code.NO_SERIES_UID, study)
        values["StudyInstanceUID"], values["SeriesInstanceUID"] = study, series
        where = f"{study}/{series}"
        values["SOPClassUID"] = _checked_uid(raws, SOP_CLASS, Code.NO_SOP_CLASS, where)
        body = canonical(values, notes)
        return Given(digest_of(body.encode("utf-8", "surrogatepass")), body, where)


def _elements(fd: int, size: int, tags: Collection[int]) -> Elements:
    os.lseek(fd, 0, os.SEEK_SET)
    with open(fd, "rb", buffering=0, closefd=False) as fp:
        return library.find_elements(fp, size, tags)


class _Contexts:
    """The contexts that this process has given, by the raw values that they were made of."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Any, ...], Given] = {}
        self._bytes = 0
        self.get = self._kept.get

    def keep(self, key: tuple[Any, ...], context: Given, size: int) -> None:
        """Remember one of so many bytes as given; all are forgotten when they become many, and are given again."""
        self._bytes += size
        if len(self._kept) >= _CONTEXTS_KEPT or self._bytes > _BYTES_KEPT:
            self._kept.clear()
            self._bytes = 0
            return
        self._kept[key] = context


def _parts(found: Scan) -> tuple[tuple[Any, ...], list[Span], bool]:
    """What stands for a file's context; its own elements; whether it is a key object."""
    data = found.data
    shared, own = [], []
    key_object = False
    for span in found.spans:
        tag, start, value, end = span
        if tag not in _SHARED:
            own.append(span)
            continue
        shared.append(data[start:end])
        if tag == SOP_CLASS:
            key_object = data[value:end].strip(_UID_PADDING) == _KEY_OBJECT_UID
    return (found.encoding, b"".join(shared)), own, key_object


def _check_scope(raws: Raws, scope: Scope) -> None:
    """Raises Skipped for what is no instance of a study, or what the user left out."""
    uid = _plain(raws, SOP_CLASS)
    known = sop_class(uid)
    if uid == DICOMDIR:
        raise Skipped(Code.DICOMDIR)
    if known is not None and known.family == "non-patient":
        raise Skipped(Code.NOT_A_PATIENT_OBJECT)
    if uid in scope.sop_classes:
        raise Skipped(Code.EXCLUDED_SOP_CLASS)
    if scope.modalities and _modality(_plain(raws, _MODALITY), uid) in scope.modalities:
        raise Skipped(Code.EXCLUDED_MODALITY)


def _modality(text: str, sop_class_uid: str) -> str | None:
    stated = first_value(text)
    if stated:
        return stated if modality(stated) else stated.upper()
    known = sop_class(sop_class_uid)
    return known.modality if known else None


def _plain(raws: Raws, tag: int) -> str:
    """A value of plain characters without its padding; empty where there is none."""
    raw = raws.get(tag)
    return (raw.value or b"").decode("latin-1").strip("\0 \t\r\n") if raw else ""


def _checked_uid(raws: Raws, tag: int, missing: Code, where: str) -> str:
    text = _plain(raws, tag)
    if not text:
        raw = raws.get(tag)
        raise Skipped(Code.BAD_UID if raw and raw.value is None else missing, "", where)
    try:
        return parse_uid(text)
    except BadValue as bad:
        raise Skipped(bad.code, BY_TAG[tag].keyword, where) from None
