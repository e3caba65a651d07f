"""How fast studies go to a real server: HAPI R4 with its database in memory, studies of three sizes, and 1, 2 and 4
connections. `python tests/real/throughput.py [--studies 200,30,5]` prints a row each.

The Bundles are prepared, so that what is measured is `dicom2fhir send` and the server. `server` is the share of the
time in which the server was at work on any request.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[up] / room) for up, room in ((1, ""), (2, "testdata"))]

from builders import tree, uid  # noqa: E402
from dicomdata import Case  # noqa: E402
from servers import Hapi  # noqa: E402
from stock import SYSTEMS, Json, run  # noqa: E402

SIZES = (10, 500, 5000)
CONNECTIONS = (1, 2, 4)
_HEADER = "instances   studies   connections   seconds   studies/s   instances/s   requests   MB   server"


def prototype(folder: Path, instances: int) -> str:
    """The Bundle of a study of so many instances, as the command writes it."""
    tree(folder / "dicom", instances=instances)
    done = run("convert", folder / "dicom", *SYSTEMS, "--wado-rs", "http://pacs.example/dicom-web", folder=folder)
    assert done.code == 0, done.said
    return done.output


def copies(text: str, first: int, number: int) -> list[str]:
    """Bundles of other patients, studies and series that look like the prototype."""
    (study,) = [one for one in json.loads(text)["entry"] if one["resource"]["resourceType"] == "ImagingStudy"]
    return [_copy(text, study, each) for each in range(first, first + number)]


def _copy(text: str, study: Json, number: int) -> str:
    """One Bundle: its UIDs, the study's id and the patient's number are its own."""
    url = study["fullUrl"]
    renamed = {
        Case("tree").uid(): uid(number),
        study["resource"]["id"]: f"s{number:031}",
        url: f"{url[:-12]}{number:012}",
        "TREE-00001": f"THROUGHPUT-{number}",
        "ACC-000001": f"ORDER-{number}",
    }
    for old, new in renamed.items():
        text = text.replace(old, new)
    return text


def measure(server: Hapi, folder: Path, bundles: list[str], connections: int, size: int) -> str:
    """One row of the table."""
    (folder / "bundles.ndjson").write_text("".join(bundles), encoding="utf-8")
    before, began = server.timing(), time.monotonic()
    sent = run(
        "send", folder / "bundles.ndjson", "--server", server.base, "--connections", str(connections), folder=folder
    )
    seconds, worked = time.monotonic() - began, server.timing().since(before)
    assert sent.code == 0, sent.said
    assert sent.delivery["accepted"] == len(bundles)
    row = (
        f"{size:9,}   {len(bundles):7}   {connections:11}   {seconds:7.1f}   {len(bundles) / seconds:9.1f}"
        f"   {len(bundles) * size / seconds:11,.0f}   {sent.delivery['requests']:8}"
        f"   {sent.delivery['bytes'] / 1e6:2.0f}   {worked.busy / seconds:6.0%}"
    )
    return row


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description="Studies and instances a second to HAPI R4.")
    parser.add_argument("--studies", default="200,30,5", help="how many of 10, 500 and 5,000 instances")
    numbers = [int(each) for each in parser.parse_args().studies.split(",")]
    first = 1
    with tempfile.TemporaryDirectory() as scratch, Hapi("r4") as server:
        print(_HEADER, flush=True)
        for size, number in zip(SIZES, numbers, strict=True):
            folder = Path(scratch, str(size))
            folder.mkdir()
            text = prototype(folder, size)
            if first == 1:  # the first transaction of all pays for what the server loads then
                measure(server, folder, copies(text, 10**6, 20), 1, size)
            for connections in CONNECTIONS:
                print(measure(server, folder, copies(text, first, number), connections, size), flush=True)
                first += number


if __name__ == "__main__":
    main()
