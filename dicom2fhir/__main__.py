"""`python -m dicom2fhir`, and what the command `dicom2fhir` runs."""

from __future__ import annotations


def main() -> None:
    """Run the command line and end the process with its exit code."""
    import atexit
    import gc

    # Importing makes a great many objects and no garbage; looking for some every 700 of them takes a tenth of its time.
    gc.set_threshold(20_000)
    atexit.register(gc.freeze)  # at the end all objects go with the process: nobody need look which were garbage
    from dicom2fhir.cli.app import run

    run()


if __name__ == "__main__":
    main()
