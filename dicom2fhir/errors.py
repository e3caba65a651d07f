"""The exception tree, and the exit code that each leaf ends a run with.

Dicom2FhirError
├── UsageError                2   the options ask for something impossible
│   └── OutputExists          2   the destination holds something that is not ours
├── ConfigurationError        4   a config, key or map file cannot be used
│   ├── NotAuthorized         4   the server does not accept who we are
│   └── ServerMisconfigured   4   the server cannot, or may not, do what the options ask for
├── EnvironmentFailed         5   disk full, mount gone: the same command resumes
│   └── ServerAway            5   the server did not answer for longer than we may wait
├── OutputLocked             11   another run holds the output, or the state
└── AccountingBroken         70   an identity of the accounting does not hold
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What the process says when it ends."""

    OK = 0
    USAGE = 2
    INPUT_LOST = 3
    CONFIGURATION = 4
    ENVIRONMENT = 5
    REFUSED = 6
    NOTHING_FOUND = 9
    LOCKED = 11
    BUG = 70
    INTERRUPTED = 130
    PIPE_CLOSED = 141
    TERMINATED = 143


class Dicom2FhirError(Exception):
    """Everything that ends a run before its time."""

    exit_code: Exit = Exit.BUG


class UsageError(Dicom2FhirError):
    """The options ask for something that cannot be done."""

    exit_code = Exit.USAGE


class OutputExists(UsageError):
    """The destination holds something that is not this command's output."""


class ConfigurationError(Dicom2FhirError):
    """A config file, key file or patient map cannot be used."""

    exit_code = Exit.CONFIGURATION


class NotAuthorized(ConfigurationError):
    """The server does not accept the credentials, and there are no others."""


class ServerMisconfigured(ConfigurationError):
    """The server, at this address and with its settings, does not do what the options ask for."""


class EnvironmentFailed(Dicom2FhirError):
    """The machine failed: no space, no mount, no permission to write."""

    exit_code = Exit.ENVIRONMENT


class ServerAway(EnvironmentFailed):
    """The server gave no answer for longer than the options allow."""


class OutputLocked(Dicom2FhirError):
    """Another run holds the output, or the state of a delivery."""

    exit_code = Exit.LOCKED


class AccountingBroken(Dicom2FhirError):
    """An identity of the accounting does not hold: a bug."""

    exit_code = Exit.BUG
