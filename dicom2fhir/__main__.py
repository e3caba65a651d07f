"""`python -m dicom2fhir`, and what the command `dicom2fhir` runs."""

from __future__ import annotations


def main() -> None:
    """Run the command line and end the process with its exit code."""
    from dicom2fhir.cli.app import run

    run()


if __name__ == "__main__":
    main()
