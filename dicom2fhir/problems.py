"""What can be wrong with an input: a closed list of codes, each with its bucket and its sentence.

One bad file is data, not an exception: whoever meets it makes a `Problem` and goes on.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Bucket(StrEnum):
    """Where the accounting puts a file or an instance that has a problem of a kind."""

    NOT_DICOM = "not_dicom"
    REJECTED = "rejected"
    UNREADABLE = "unreadable"
    EXCLUDED = "excluded"
    OUT_OF_SCOPE = "out_of_scope"
    DUPLICATE = "duplicate"
    WITHHELD = "withheld"
    UNDELIVERED = "undelivered"
    NOTE = "note"


class Severity(StrEnum):
    """How much a problem matters to whoever runs the command."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Code(StrEnum):
    """Every kind of problem there is; `MEANINGS` says what each one means."""

    NOT_DICOM = "not-dicom"
    EMPTY_FILE = "empty-file"

    TRUNCATED_HEADER = "truncated-header"
    BAD_UID = "bad-uid"
    NO_STUDY_UID = "no-study-uid"
    NO_SERIES_UID = "no-series-uid"
    NO_INSTANCE_UID = "no-instance-uid"
    NO_SOP_CLASS = "no-sop-class"
    MALFORMED = "malformed"
    HEADER_TOO_LARGE = "header-too-large"
    TOO_DEEP = "too-deep"
    TOO_MANY_ITEMS = "too-many-items"
    INFLATE_LIMIT = "inflate-limit"
    DEADLINE = "deadline"
    MEMORY_LIMIT = "memory-limit"
    WORKER_DIED = "worker-died"

    PERMISSION = "permission"
    IO_ERROR = "io-error"
    VANISHED = "vanished"

    SPECIAL_FILE = "special-file"
    SYMLINK = "symlink"
    EXCLUDED = "excluded"
    OWN_OUTPUT = "own-output"

    DICOMDIR = "dicomdir"
    NOT_A_PATIENT_OBJECT = "not-a-patient-object"
    EXCLUDED_MODALITY = "excluded-modality"
    EXCLUDED_SOP_CLASS = "excluded-sop-class"

    DUPLICATE_IDENTICAL = "duplicate-identical"
    DUPLICATE_CONFLICTING = "duplicate-conflicting"

    PATIENT_CONFLICT = "patient-conflict"
    UID_NOT_AN_OID = "uid-not-an-oid"
    INVALID_RESOURCE = "invalid-resource"

    SERVER_REFUSED = "server-refused"
    TOO_LARGE_FOR_SERVER = "too-large-for-server"
    AMBIGUOUS_MATCH = "ambiguous-match"
    MERGE_IMPOSSIBLE = "merge-impossible"
    OUTCOME_UNKNOWN = "outcome-unknown"
    NOT_SENT = "not-sent"

    TRUNCATED_PIXELS = "truncated-pixels"
    INSTANCE_IN_TWO_SERIES = "instance-in-two-series"
    VALUE_INVALID = "value-invalid"
    VALUE_CONFLICT = "value-conflict"
    CHARSET_UNKNOWN = "charset-unknown"
    CHARSET_INVALID = "charset-invalid"
    DATE_INVALID = "date-invalid"
    TIME_INVALID = "time-invalid"
    TIME_PRECISION = "time-precision"
    OFFSET_INVALID = "offset-invalid"
    NO_TIME_ZONE = "no-time-zone"
    MODALITY_UNKNOWN = "modality-unknown"
    MODALITY_DERIVED = "modality-derived"
    MODALITY_CONFLICT = "modality-conflict"
    BODY_PART_UNMAPPED = "body-part-unmapped"
    BODY_PART_CONFLICT = "body-part-conflict"
    LATERALITY_MIXED = "laterality-mixed"
    CODE_WITHOUT_SYSTEM = "code-without-system"
    PATIENT_WITHOUT_SYSTEM = "patient-without-system"
    PATIENT_DIFFERS = "patient-differs"
    PATIENT_FORCED = "patient-forced"
    COMPANION_DIFFERS = "companion-differs"
    INSTANCES_OMITTED = "instances-omitted"
    NOT_IN_THIS_VERSION = "not-in-this-version"
    TITLE_NOT_IN_THIS_VERSION = "title-not-in-this-version"
    KEY_OBJECT_PATIENTS = "key-object-patients"
    KEY_OBJECT_UNRESOLVED = "key-object-unresolved"


class Meaning(NamedTuple):
    """What a code stands for: its bucket, its severity and one sentence for the user."""

    bucket: Bucket
    severity: Severity
    sentence: str


def _meanings(bucket: Bucket, severity: Severity, **sentences: str) -> dict[Code, Meaning]:
    return {Code[name]: Meaning(bucket, severity, text) for name, text in sentences.items()}


MEANINGS: dict[Code, Meaning] = {
    **_meanings(
        Bucket.NOT_DICOM,
        Severity.INFO,
        NOT_DICOM="The file is not a DICOM object.",
        EMPTY_FILE="The file has no bytes.",
    ),
    **_meanings(
        Bucket.REJECTED,
        Severity.ERROR,
        TRUNCATED_HEADER="The file ends inside an element of its header.",
        BAD_UID="A UID that identifies the object is not digits and dots of at most 64 characters.",
        NO_STUDY_UID="The object has no Study Instance UID.",
        NO_SERIES_UID="The object has no Series Instance UID.",
        NO_INSTANCE_UID="The object has no SOP Instance UID.",
        NO_SOP_CLASS="The object has no SOP Class UID.",
        MALFORMED="The file's elements cannot be followed to the end of its header.",
        HEADER_TOO_LARGE="The header is larger than the limit.",
        TOO_DEEP="Sequences are nested deeper than the limit.",
        TOO_MANY_ITEMS="A sequence has more items than the limit.",
        INFLATE_LIMIT="The deflated data set grows beyond the limit.",
        DEADLINE="Reading the file took longer than the deadline.",
        MEMORY_LIMIT="Reading the file took more memory than the limit.",
        WORKER_DIED="The file ended the process that read it.",
    ),
    **_meanings(
        Bucket.UNREADABLE,
        Severity.ERROR,
        PERMISSION="The file or folder may not be read by this user.",
        IO_ERROR="The file system failed while the file or folder was read.",
        VANISHED="The file or folder was listed and is not there any more.",
    ),
    **_meanings(
        Bucket.EXCLUDED,
        Severity.INFO,
        SPECIAL_FILE="Not a regular file (a FIFO, socket or device); it was not opened.",
        SYMLINK="A symbolic link that was not followed (--follow-symlinks follows them).",
        EXCLUDED="Left out by --exclude.",
        OWN_OUTPUT="The command's own output, lying inside its input.",
    ),
    **_meanings(
        Bucket.OUT_OF_SCOPE,
        Severity.INFO,
        DICOMDIR="A DICOMDIR: an index of files, not an instance of a study.",
        NOT_A_PATIENT_OBJECT="An object that belongs to no patient's study (a protocol, palette or template).",
        EXCLUDED_MODALITY="Left out by --exclude-modality.",
        EXCLUDED_SOP_CLASS="Left out by --exclude-sop-class.",
    ),
    **_meanings(
        Bucket.DUPLICATE,
        Severity.INFO,
        DUPLICATE_IDENTICAL="The same instance again, with the same header.",
    ),
    **_meanings(
        Bucket.DUPLICATE,
        Severity.WARNING,
        DUPLICATE_CONFLICTING="The same SOP Instance UID again, with another header; one of them was kept.",
    ),
    **_meanings(
        Bucket.WITHHELD,
        Severity.ERROR,
        PATIENT_CONFLICT="The study's instances name different patients (--force-patient takes the majority).",
        UID_NOT_AN_OID="The UID is not an OID, and this FHIR version has no other place for it.",
        INVALID_RESOURCE="The resource does not pass the FHIR model, so its study was not written.",
    ),
    **_meanings(
        Bucket.UNDELIVERED,
        Severity.ERROR,
        SERVER_REFUSED="The server refused the study; the report has its codes, the state folder its whole answer.",
        TOO_LARGE_FOR_SERVER="One resource is larger than the server takes (--max-instances N lists fewer).",
        AMBIGUOUS_MATCH="The server holds several resources for one search; none was written over.",
        MERGE_IMPOSSIBLE="The stored study or the new one does not list its instances (--on-existing replace or skip).",
        OUTCOME_UNKNOWN="The server may or may not have taken the study; sending again settles it.",
        NOT_SENT="The study was not sent, or not answered; sending again settles it.",
    ),
    **_meanings(
        Bucket.NOTE,
        Severity.WARNING,
        TRUNCATED_PIXELS="The file ends inside its pixel data; its header is whole.",
        INSTANCE_IN_TWO_SERIES="One SOP Instance UID lies in more than one series; it stays in each.",
        VALUE_INVALID="A value does not fit its element; it was left out, or kept as far as it fits.",
        VALUE_CONFLICT="Instances disagree about a value; the most frequent one was taken.",
        CHARSET_UNKNOWN="The character set is not one of DICOM's; the text was read as UTF-8 or Latin-1.",
        CHARSET_INVALID="The text does not fit its character set; it was read as UTF-8 or Latin-1.",
        DATE_INVALID="A date cannot be read or is a placeholder; it was left out, or kept where it may be real.",
        TIME_INVALID="A time cannot be read or does not exist; it was left out.",
        OFFSET_INVALID="The time zone offset is not written as DICOM asks; it counts where its meaning is clear.",
        MODALITY_UNKNOWN="The modality is not one of DICOM's terms; it was written as OT.",
        MODALITY_CONFLICT="Instances of one series disagree about the modality; the majority's was taken.",
        BODY_PART_UNMAPPED="The body part is not in the table ([body-parts] in the config adds it).",
        BODY_PART_CONFLICT="Instances or attributes disagree about the body part.",
        LATERALITY_MIXED="The series holds both sides; no laterality was written.",
        CODE_WITHOUT_SYSTEM="A code's scheme has no known URI ([coding-schemes] in the config adds it).",
        PATIENT_WITHOUT_SYSTEM="The PatientID has no issuer with a URI (--system patient=URI or [issuers] links it).",
        PATIENT_DIFFERS="Instances or studies describe one patient differently; one description was taken.",
        PATIENT_FORCED="The study's instances name different patients; --force-patient took the majority's.",
        COMPANION_DIFFERS="Two studies describe one companion resource differently; the first was taken.",
        NOT_IN_THIS_VERSION="A value that this FHIR version has no place for.",
        TITLE_NOT_IN_THIS_VERSION="A key object's title that this FHIR version's list does not have.",
        KEY_OBJECT_PATIENTS="A key object refers to studies of different patients; it was not written.",
        KEY_OBJECT_UNRESOLVED="A key object refers to an instance that its evidence does not place.",
    ),
    **_meanings(
        Bucket.NOTE,
        Severity.INFO,
        TIME_PRECISION="The time has no seconds; FHIR asks for them and :00 was written.",
        NO_TIME_ZONE="The study's time has no offset; only its date was written (--timezone gives one).",
        MODALITY_DERIVED="The modality is missing; it was taken from the SOP class.",
        INSTANCES_OMITTED="The study's instances are counted but not listed, as asked.",
    ),
}


class Problem(NamedTuple):
    """One thing that is wrong.

    `where` is `StudyUID/SeriesUID/SOPInstanceUID/element` as far as it applies, `path` the file
    as the user would type it. `message` never holds a value from the file.
    """

    code: Code
    where: str = ""
    path: str = ""
    message: str = ""
    count: int = 1  # type: ignore[assignment]  # nobody counts in it as in a tuple

    @property
    def bucket(self) -> Bucket:
        """The bucket of the accounting that this problem belongs to."""
        return MEANINGS[self.code].bucket

    @property
    def severity(self) -> Severity:
        """The severity of this problem's code."""
        return MEANINGS[self.code].severity
