"""SNOMED RT ids (`T-A0100`), which DICOM once wrote, as SNOMED CT codes: pydicom's dictionary, read when needed."""

from __future__ import annotations


def srt_to_sct(code: str) -> str | None:
    """The SNOMED CT code of an SRT, SNM3 or 99SDM id (PS3.16 Annex O), if it has one."""
    from pydicom.sr._snomed_dict import mapping  # 0.3 s, and few exports need it

    found: str | None = mapping["SRT"].get(code)
    return found
