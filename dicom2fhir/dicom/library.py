"""The door to pydicom, which is loaded when a file first needs it: most runs read every file without.

Loading takes as long as reading ten thousand files, and memory that is no file's fault.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from dicom2fhir.dicom.elements import Element
    from dicom2fhir.dicom.raws import Elements, Encoding, Item

_WALK = "dicom2fhir.dicom.walk"
_quiet = False


def quiet() -> None:
    """Keep pydicom from warning about or raising for values: for processes that only read (hostile input is data)."""
    global _quiet
    _quiet = True
    if _WALK in sys.modules:
        load()


def load() -> None:
    """Load pydicom. The memory limit grows by what that takes."""
    with _room():
        from dicom2fhir.dicom import walk
    if _quiet:
        walk.quiet()


def find_elements(fp: BinaryIO, size: int, tags: Collection[int]) -> Elements:
    """The wanted elements of the file of `size` bytes that `fp` (unbuffered) stands at the start of; raises Skipped."""
    if _WALK not in sys.modules:
        load()
    from dicom2fhir.dicom import walk

    return walk.find_elements(fp, size, tags)


def items(element: Element, value: bytes | None, encoding: Encoding) -> list[Item]:
    """The items of a sequence's bytes. Raises whatever pydicom does, ValueError, and Skipped for too many."""
    if _WALK not in sys.modules:
        load()
    from dicom2fhir.dicom import walk

    return walk.items(element, value, encoding)


@cache
def is_sequence(tag: int) -> bool | None:
    """Whether the data dictionary (PS3.6) has a tag as a sequence; None where it does not have the tag."""
    if _WALK not in sys.modules:
        load()
    from pydicom.datadict import dictionary_VR

    try:
        return dictionary_VR(tag) == "SQ"
    except KeyError:
        return None


@contextmanager
def _room() -> Iterator[None]:
    """Lift the limit of address space, and set it again with what was taken in between on top."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft in (resource.RLIM_INFINITY, hard):
        yield
        return
    before = _address_space()
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    try:
        yield
    finally:
        raised = soft + _address_space() - before
        resource.setrlimit(resource.RLIMIT_AS, (raised if hard == resource.RLIM_INFINITY else min(raised, hard), hard))


def _address_space() -> int:
    with open("/proc/self/statm", "rb") as statm:
        return int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
