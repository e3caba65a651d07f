"""Makes the referee's own facts out of lists: `python tests/referee/facts.py DEFINITIONS MODALITIES TITLES`.

DEFINITIONS is a folder that holds R6/StructureDefinition-*.json (HL7's content, CC0), MODALITIES a CSV file with
the columns term and code_meaning, TITLES one of key objects' titles with code, meaning and scheme. Written are, in
src/main/resources/referee, r6.json (the element lists of 6.0.0-snapshot1's imaging resources) and codes.json (codes
that came after the libraries: all of DICOM's modalities, the retired ones included, all titles of key objects, and
a few more).
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

RESOURCES = Path(__file__).parent / "src/main/resources/referee"
STRUCTURES = "http://hl7.org/fhir/StructureDefinition/"
# Invariants that the lists tell in words only, as FHIRPath.
WORDS = {
    "ist-7": (
        "modality.exists() implies"
        " (modality.coding.code.distinct().subsetOf(series.modality.coding.code.distinct())"
        " and series.modality.coding.code.distinct().subsetOf(modality.coding.code.distinct())"
        " and modality.text.distinct().subsetOf(series.modality.text.distinct())"
        " and series.modality.text.distinct().subsetOf(modality.text.distinct()))"
    ),
    "isl-7": "instance.imageRegion2D.all(coordinate.count() mod 2 = 0)",
    "isl-8": "imageRegion3D.all(coordinate.count() mod 3 = 0)",
    "isl-10": (
        "instance.all(iif(frameNumber.exists(), 1, 0) + iif(referencedContentItemIdentifier.exists(), 1, 0)"
        " + iif(segmentNumber.exists(), 1, 0) + iif(regionOfInterest.exists(), 1, 0)"
        " + iif(waveFormChannel.exists(), 1, 0) < 2)"
    ),
    "isl-11": "instance.all(waveFormChannel.count() mod 2 = 0)",
}
DCM = "http://dicom.nema.org/resources/ontology/DCM"
# Codes that the definitions in the libraries lack: HL7's terminology 7.0.1 has the first again, R6 adds the second.
LATER = {
    "r5": {"http://terminology.hl7.org/CodeSystem/endpoint-connection-type": {"ihe-iid": "IHE IID"}},
    "r6": {"http://hl7.org/fhir/imagingstudy-status": {"inactive": "Inactive"}},
}


def resource(definition: dict[str, Any]) -> dict[str, Any]:
    """A resource's invariants and its elements as rows: path, cardinality, type, binding."""
    root, *elements = definition["snapshot"]["element"]
    rules = {rule["key"]: WORDS.get(rule["key"], rule["expression"]) for rule in root["constraint"]}
    return {"invariants": rules, "elements": [row(element) for element in elements]}


def row(element: dict[str, Any]) -> list[str]:
    """One element."""
    (kind,) = element["type"]
    targets = "|".join(target.removeprefix(STRUCTURES) for target in kind.get("targetProfile", ()))
    binding = element.get("binding")
    return [
        element["path"].partition(".")[2],
        f"{element['min']}..{element['max']}",
        f"{kind['code']}({targets})" if targets else kind["code"],
        f"{binding['strength']} {binding['valueSet']}" if binding else "",
    ]


def text(facts: Any, depth: int) -> str:
    """JSON with one line for each thing below `depth` levels of names."""
    if depth == 0 or not isinstance(facts, dict | list):
        return json.dumps(facts, ensure_ascii=False)
    if isinstance(facts, list):
        return "[\n" + ",\n".join(text(each, 0) for each in facts) + "\n]"
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {text(each, depth - 1)}" for name, each in facts.items()) + "\n}"


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def main(definitions: Path, modalities: Path, titles: Path) -> None:
    """Write both files."""
    paths = sorted((definitions / "R6").glob("StructureDefinition-*.json"))
    read = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    r6 = {each["name"]: resource(each) for each in read}
    terms = {row["term"]: row["code_meaning"] for row in rows(modalities)}
    terms |= {row["code"]: row["meaning"] for row in rows(titles) if row["scheme"] == "DCM"}
    RESOURCES.mkdir(parents=True, exist_ok=True)
    (RESOURCES / "r6.json").write_text(text(r6, 3) + "\n", encoding="utf-8")
    codes = {"every": {DCM: terms}} | LATER
    (RESOURCES / "codes.json").write_text(text(codes, 3) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
