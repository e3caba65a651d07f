"""Every group of warnings that the official referee gives on our output, and why it stays. Errors are never explained.

A row is matched by the message's id, the element without indices (its end) and the text (its end).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from official import Message


class Explained(NamedTuple):
    """A group of warnings and the reason for them."""

    id: str
    element: str
    text: str
    reason: str

    def matches(self, message: Message) -> bool:
        """Whether a message belongs to the group."""
        return bool(
            message.id == self.id
            and re.search(rf"(?:^|\.)(?:{self.element})$", message.location)
            and re.search(rf"(?:{self.text})$", message.text, re.DOTALL)
        )


_NOT_ACQUIRED = "KO|PR|SR|DOC|SEG|REG|RTPLAN|RTDOSE|RTSTRUCT|RTRECORD|RTIMAGE|PLAN|OT|ECG|HC|SMR|FID|RWV"
_RETIRED = "DS"
_NO_SYSTEM = "A code with no system has no defined meaning, and it cannot be validated. A system should be provided"

EXPLAINED = (
    Explained(
        "Terminology_TX_NoValid_2_CC",
        "identifier.type",
        r"ontology/DCM#(?:110180|112002)\)",
        "The value set may be extended: MADO and HL7 Europe ask for these types at the UIDs of study and series.",
    ),
    Explained(
        "Terminology_TX_NoValid_2_CC",
        "(?:identifier|accession).type",
        r"v2[-/]0203#(?:ACSN|ANON|MCN|PI|SID|VN)\)",
        "The value set may be extended: HL7's own table 0203 has the code, the value set lists a part of the table.",
    ),
    Explained(
        "Terminology_TX_NoValid_2_CC",
        "performer.function",
        r"v3-ParticipationType#(?:DEV|LOC)\)",
        "The value set may be extended: R6 names these functions for the device and the institution.",
    ),
    Explained(
        "Terminology_TX_NoValid_13",
        "class",
        r"v3-NullFlavor#UNK.*",
        "The value set may be extended: a class is required, and DICOM does not know it.",
    ),
    Explained(
        "Terminology_TX_NoValid_2_CC",
        "type",
        r"snomed.info/sct#225728007\)",
        "The value set may be extended: the code of the department stands in the file.",
    ),
    Explained(
        "Terminology_TX_Code_ValueSet_Ext",
        "contact.relationship",
        "PatientContactRelationship.*|Patient Contact Relationship.*|v2 Contact Role.*",
        "The value set may be extended: DICOM has words for the role of an animal's owner, of which no code is made.",
    ),
    Explained(
        "Terminology_TX_NoValid_13",
        "modalityList|series.modality",
        rf"#(?:{_NOT_ACQUIRED}|{_RETIRED})\) was not found in the value set 'Acquisition Modality Codes'.*",
        "The value set may be extended: it lists what acquires images today, and these series hold other things.",
    ),
    Explained(
        "(none)",
        r"procedureCode|concept|breed|category|code|value.ofType\(CodeableConcept\)",
        f"Coding has no system. {_NO_SYSTEM}",
        "The file's coding scheme is not known, and no address is invented for it.",
    ),
    Explained(
        "TERMINOLOGY_TX_SYSTEM_NO_CODE",
        "bodySite",
        _NO_SYSTEM,
        "The file's coding scheme is not known, and no address is invented for it.",
    ),
    Explained(
        "Terminology_PassThrough_TX_Message",
        "sopClass",
        r"Not the form of an OID: 'urn:oid:[0-9.]+\.0[0-9.]+'",
        "The file's UID has a leading zero, and is handed on as it stands where the element allows it.",
    ),
    Explained(
        "BUNDLE_BUNDLE_POSSIBLE_MATCH_WRONG_FU",
        "endpoint|imagingStudy|derivedFrom",
        "by Bundle resolution rules",
        "A batch resolves no urn:uuid, so what is put under our id is referred to by its address on the server.",
    ),
)
"""The one table of reasons."""
