"""Make the element tables beside this file: `python -m dicom2fhir.fhir.definitions.make SHARED JAR_0_5_0 JAR_1_0_2`.

SHARED holds the project's facts (`definitions/`, `mapping/`); the jars are HAPI's `hapi-fhir-structures-dstu2` 1.1
(it carries the XML schema of 0.5.0) and `hapi-fhir-validation-resources-dstu2` (data types, Bundle and value sets of
1.0.2). README.md says more. Nothing of this is needed at run time.
"""

from __future__ import annotations

import csv
import json
import sys
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
RESOURCES = (
    "ImagingStudy", "ImagingObjectSelection", "Patient", "Practitioner", "Organization", "Device", "Specimen",
    "BodySite", "DiagnosticOrder", "Encounter", "Procedure", "Location", "Bundle",
)  # fmt: skip
"""What the tables of DSTU2 and its second ballot describe; the other resources stand there by name alone."""

_F = "{http://hl7.org/fhir}"
_X = "{http://www.w3.org/2001/XMLSchema}"
_SPECIFIC = "http://hl7.org/fhir/StructureDefinition/"
_LANGUAGES = frozenset(("http://tools.ietf.org/html/bcp47", "http://www.rfc-editor.org/bcp/bcp13.txt"))
_OPEN = [  # Extension.value[x] of 1.0.2
    "boolean", "integer", "decimal", "base64Binary", "instant", "string", "uri", "date", "dateTime", "time", "code",
    "oid", "id", "unsignedInt", "positiveInt", "markdown", "Annotation", "Attachment", "Identifier", "CodeableConcept",
    "Coding", "Quantity", "Range", "Period", "Ratio", "SampledData", "Signature", "HumanName", "Address",
    "ContactPoint", "Timing", "Reference", "Meta",
]  # fmt: skip


Codes = Mapping[str, tuple[str, ...]]  # system -> codes


class Row(NamedTuple):
    """One element. `codes` are blank-separated; for concepts `system|code code;system|code`."""

    path: str
    min: str
    max: str
    type: str
    codes: str = ""
    targets: str = ""


_BASE = (
    Row("Element", "0", "*", ""),
    Row("Element.fhir_comments", "0", "*", "string"),
    Row("Element.id", "0", "1", "id"),
    Row("Element.extension", "0", "*", "Extension"),
    Row("BackboneElement", "0", "*", "Element"),
    Row("BackboneElement.modifierExtension", "0", "*", "Extension"),
    Row("Resource", "0", "*", ""),
    Row("Resource.fhir_comments", "0", "*", "string"),
    Row("Resource.id", "0", "1", "id"),
    Row("Resource.meta", "0", "1", "Meta"),
    Row("Resource.implicitRules", "0", "1", "uri"),
    Row("Resource.language", "0", "1", "code"),
    Row("DomainResource", "0", "*", "Resource"),
    Row("DomainResource.text", "0", "1", "Narrative"),
    Row("DomainResource.contained", "0", "*", "Resource"),
    Row("DomainResource.extension", "0", "*", "Extension"),
    Row("DomainResource.modifierExtension", "0", "*", "Extension"),
)
_OF_ALL = frozenset(("id", "extension", "modifierExtension"))
_OF_RESOURCES = _OF_ALL | {"meta", "implicitRules", "language", "text", "contained"}


def main(shared: Path, ballot_jar: Path, dstu2_jar: Path) -> None:
    """Write every table."""
    jar = zipfile.ZipFile(dstu2_jar)
    dstu2 = list(_dstu2(shared, jar))
    _write("dstu2", dstu2)
    with zipfile.ZipFile(ballot_jar) as ballot:
        schema = ET.fromstring(ballot.read("ca/uhn/fhir/model/dstu2/schema/fhir-single.xsd"))
    targets = {row.path: row.targets for row in dstu2} | _ballot_targets(shared, "R2-ballot2")
    _write("dstu2-ballot2", _Schema(schema, targets).rows())
    statuses = _statuses(shared)
    _write("r6", _r6(shared, statuses))
    _write("r6-ballot2", _r6_ballot2(shared, statuses))


def _write(name: str, rows: Iterable[Row]) -> None:
    with (HERE / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Row._fields)
        writer.writerows(rows)


# 1.0.2: StructureDefinitions --------------------------------------------------------------------------


def _dstu2(shared: Path, jar: zipfile.ZipFile) -> Iterator[Row]:
    root = "org/hl7/fhir/instance/model/"
    tables = (f"{root}valueset/{name}" for name in ("valuesets.xml", "v3-codesystems.xml"))
    codes = _value_sets(ET.fromstring(jar.read(name)) for name in tables)
    wanted, known = list(RESOURCES), set[str]()
    yield from _BASE
    known.update(row.path for row in _BASE)
    wanted += ["Extension", "Meta", "Narrative"]
    while wanted:
        name = wanted.pop(0)
        if name in known:
            continue
        known.add(name)
        path = shared / "definitions/R2" / f"StructureDefinition-{name}.json"
        if path.exists():
            elements = json.loads(path.read_text("utf-8"))["snapshot"]["element"]
        else:
            profile = ET.fromstring(jar.read(f"{root}profile/{name.lower()}.profile.xml"))
            elements = [_plain(one) for one in profile.findall(f"{_F}snapshot/{_F}element")]
        rows = list(_rows(elements, codes))
        wanted.extend(sorted({kind for row in rows for kind in row.type.split("|") if kind[:1].isupper()}))
        yield from rows
    schema = ET.fromstring(jar.read(root + "schema/fhir-single.xsd"))
    for name in sorted(_resource_names(schema) - known):
        yield Row(name, "0", "*", "DomainResource")


def _plain(element: ET.Element) -> dict[str, Any]:
    """An `element` of a StructureDefinition in XML, in the shape that JSON gives it."""

    def value(node: ET.Element, name: str) -> str | None:
        found = node.find(_F + name)
        return None if found is None else found.get("value")

    made: dict[str, Any] = {name: value(element, name) for name in ("path", "min", "max", "nameReference", "name")}
    made["type"] = [
        {"code": value(one, "code"), "profile": [p.get("value") for p in one.findall(_F + "profile")]}
        for one in element.findall(_F + "type")
    ]
    binding = element.find(_F + "binding")
    if binding is not None:
        reference = binding.find(f"{_F}valueSetReference/{_F}reference")
        made["binding"] = {"strength": value(binding, "strength")}
        if reference is not None:
            made["binding"]["valueSetReference"] = {"reference": reference.get("value")}
    return made


def _rows(elements: list[dict[str, Any]], codes: Mapping[str, Codes]) -> Iterator[Row]:
    names = {one["name"]: one["path"] for one in elements if one.get("name")}
    for index, one in enumerate(elements):
        path = one["path"]
        if _is_inherited(path):
            continue
        types = one.get("type") or []
        kinds = list(dict.fromkeys(kind["code"] for kind in types))
        if index == 0:
            yield Row(path, "0", "*", _base(kinds, path))
            continue
        if one.get("nameReference"):
            kinds = ["=" + names[one["nameReference"]]]
        if kinds == ["*"]:
            kinds = _OPEN
        bound = _bound(one.get("binding") or {}, codes)
        yield Row(path, str(one["min"]), one["max"], "|".join(kinds), _codes(bound, kinds), _targets(types))


def _is_inherited(path: str) -> bool:
    parent, _, name = path.rpartition(".")
    return bool(parent) and name in (_OF_RESOURCES if parent in RESOURCES else _OF_ALL)


def _base(kinds: list[str], path: str) -> str:
    """What a resource or a data type inherits from; a data type names itself or nothing in 1.0.2."""
    return kinds[0] if kinds and kinds[0] != path and kinds[0][:1].isupper() else "Element"


def _targets(types: list[dict[str, Any]]) -> str:
    found: list[str] = []
    for kind in types:
        if kind["code"] in ("Reference", "CodeableReference"):
            profile = kind.get("profile") or kind.get("targetProfile") or []
            found += [profile] if isinstance(profile, str) else profile
    names = [one.removeprefix(_SPECIFIC) for one in found]
    return "" if "Resource" in names else " ".join(dict.fromkeys(names))


def _bound(binding: Mapping[str, Any], codes: Mapping[str, Codes]) -> Codes:
    url = (binding.get("valueSetReference") or {}).get("reference", "")
    return codes[url] if binding.get("strength") == "required" and url not in _LANGUAGES and url else {}


def _codes(bound: Codes, kinds: list[str]) -> str:
    if kinds in (["CodeableConcept"], ["Coding"]):
        return ";".join(f"{system}|{' '.join(codes)}" for system, codes in bound.items())
    return " ".join(dict.fromkeys(code for codes in bound.values() for code in codes))


def _value_sets(bundles: Iterable[ET.Element]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Value set -> system -> codes, for those that say which codes they hold."""
    sets = {_text(one, "url"): one for bundle in bundles for one in bundle.iter(_F + "ValueSet")}
    systems: dict[str, tuple[str, ...]] = {}
    for one in sets.values():
        for defined in one.findall(_F + "codeSystem"):
            concepts = tuple(c.get("value", "") for c in defined.findall(f".//{_F}concept/{_F}code"))
            systems[_text(defined, "system")] = concepts
    return {url: _expand(one, systems) for url, one in sets.items()}


def _expand(value_set: ET.Element, systems: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    found = {}
    for defined in value_set.findall(_F + "codeSystem"):
        found[_text(defined, "system")] = systems[_text(defined, "system")]
    for include in value_set.findall(f"{_F}compose/{_F}include"):
        listed = tuple(c.get("value", "") for c in include.findall(f"{_F}concept/{_F}code"))
        found[_text(include, "system")] = listed or systems.get(_text(include, "system"), ())
    return found


def _text(node: ET.Element, name: str) -> str:
    found = node.find(_F + name)
    return "" if found is None else found.get("value", "")


# 0.5.0: one XML schema --------------------------------------------------------------------------------


class _Schema:
    """The schema of 0.5.0; it knows everything but what references may point to."""

    def __init__(self, root: ET.Element, targets: Mapping[str, str]) -> None:
        self._types = {one.get("name", ""): one for one in root.findall(_X + "complexType")}
        self._lists = {
            one.get("name", ""): " ".join(e.get("value", "") for e in one.iter(_X + "enumeration"))
            for one in root.findall(_X + "simpleType")
        }
        self._targets = targets
        self._places: dict[str, str] = {}  # name of a nested type -> the path where it is spelt out
        self._wanted = [*RESOURCES, "Extension", "Meta", "Narrative"]
        self._names = _resource_names(root)

    def rows(self) -> Iterator[Row]:
        yield from _BASE
        known = {row.path for row in _BASE}
        while self._wanted:
            name = self._wanted.pop(0)
            if name not in known:
                known.add(name)
                yield from self._type(name)
        for name in sorted(self._names - known):
            yield Row(name, "0", "*", "DomainResource")

    def _type(self, name: str) -> Iterator[Row]:
        base = self._types[name].find(f"{_X}complexContent/{_X}extension")
        if base is None:
            base = self._types[name].find(f"{_X}complexContent/{_X}restriction")
        parent = "Element" if base is None else base.get("base", "Element")
        yield Row(name, "0", "*", parent)
        self._want(parent)
        if name == "Extension":  # an attribute in XML, and so the first of its elements
            yield Row("Extension.url", "1", "1", "uri")
        yield from self._children(name, self._types[name])
        if name == "Narrative":
            yield Row("Narrative.div", "1", "1", "xhtml")

    def _children(self, path: str, kind: ET.Element) -> Iterator[Row]:
        for group in kind.iter(_X + "sequence"):
            for one in group:
                if one.tag == _X + "choice":
                    yield self._choice(path, one)
                elif one.tag == _X + "element" and one.get("name"):
                    yield from self._element(path, one)

    def _choice(self, path: str, group: ET.Element) -> Row:
        names = [(one.get("name", ""), one.get("type", "")) for one in group.findall(_X + "element")]
        name, kind = names[0]
        stem = name[: -len(kind)]
        for _, one in names:
            self._want(one)
        place = f"{path}.{stem}[x]"
        kinds = "|".join(one for _, one in names)
        return Row(place, group.get("minOccurs", "1"), "1", kinds, "", self._targets.get(place, ""))

    def _element(self, path: str, one: ET.Element) -> Iterator[Row]:
        place, kind = f"{path}.{one.get('name')}", one.get("type", "")
        many = "*" if one.get("maxOccurs") == "unbounded" else "1"
        start = one.get("minOccurs", "1")
        if "." in kind and kind in self._places:
            yield Row(place, start, many, "=" + self._places[kind])
        elif "." in kind:
            self._places[kind] = place
            yield Row(place, start, many, "BackboneElement")
            yield from self._children(place, self._types[kind])
        elif listed := self._lists.get(kind + "-list"):
            yield Row(place, start, many, "code", listed)
        else:
            kind = "Resource" if kind == "ResourceContainer" else kind
            self._want(kind)
            yield Row(place, start, many, kind, "", self._targets.get(place, "") if kind == "Reference" else "")

    def _want(self, kind: str) -> None:
        if kind[:1].isupper():
            self._wanted.append(kind)


def _resource_names(schema: ET.Element) -> set[str]:
    container = next(one for one in schema.findall(_X + "complexType") if one.get("name") == "ResourceContainer")
    return {one.get("ref", "") for one in container.iter(_X + "element")} - {""}


def _ballot_targets(shared: Path, fhir: str) -> dict[str, str]:
    return {row.path: row.targets for row in _ballot_rows(shared, fhir)}


def _ballot_rows(shared: Path, fhir: str) -> Iterator[Row]:
    with (shared / "mapping/ballot_elements.csv").open(encoding="utf-8", newline="") as file:
        for one in csv.DictReader(file):
            if one["fhir"] == fhir:
                kind, _, targets = one["type"].rstrip(")").partition("(")
                yield Row(one["path"], one["min"], one["max"], kind, "", targets.replace("|", " "))


# R6: hand-transcribed StructureDefinitions, and the build that ballot 2 shows ----------------------------


def _statuses(shared: Path) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    with (shared / "mapping/statuses.csv").open(encoding="utf-8", newline="") as file:
        for one in csv.DictReader(file):
            key = (one["resource_element"], one["fhir"])
            found[key] = f"{found.get(key, '')} {one['code']}".strip()
    return found


_SHAPES = {  # DICOM's graphic types, PS3.3 C.10.5.2 and C.18.9
    "ImagingSelection.instance.imageRegion2D.regionType": "point polyline interpolated circle ellipse",
    "ImagingSelection.imageRegion3D.regionType": "point multipoint polyline polygon ellipse ellipsoid",
}


def _r6(shared: Path, statuses: Mapping[tuple[str, str], str]) -> Iterator[Row]:
    codes = {place: listed for (place, fhir), listed in statuses.items() if fhir == "R6"} | _SHAPES
    for name in ("ImagingStudy", "ImagingSelection"):
        text = (shared / f"definitions/R6/StructureDefinition-{name}.json").read_text("utf-8")
        for one in json.loads(text)["snapshot"]["element"]:
            types = one.get("type", [])
            kinds = "|".join(kind["code"] for kind in types) or "DomainResource"
            yield Row(one["path"], str(one["min"]), one["max"], kinds, codes.get(one["path"], ""), _targets(types))
    yield from _r6_companions(shared)


def _r6_ballot2(shared: Path, statuses: Mapping[tuple[str, str], str]) -> Iterator[Row]:
    codes = {place: listed for (place, fhir), listed in statuses.items() if fhir == "R5"} | _SHAPES
    for row in _ballot_rows(shared, "R6-ballot2"):
        yield row._replace(codes=codes.get(row.path, ""))
    text = (shared / "definitions/R6/json-schema-facts-6.0.0-ballot2.json").read_text("utf-8")
    facts = json.loads(text)["definitions"]
    text = (shared / "definitions/R5/StructureDefinition-ImagingSelection.json").read_text("utf-8")
    older = {one["path"]: one for one in json.loads(text)["snapshot"]["element"]}
    yield Row("ImagingSelection", "0", "*", "DomainResource")
    for place, many, kind in _facts(facts, "ImagingSelection", "ImagingSelection"):
        before = older.get(place) or older.get(place.replace("imageRegion3D", "instance.imageRegion3D"), {})
        start, targets = str(before.get("min", 0)), _targets(before.get("type", []))
        yield Row(place, start, "*" if many else "1", kind, codes.get(place, ""), targets)
    yield from _r6_companions(shared)


_R6_CODES = {  # required lists of elements that the companions of a study fill, or that have not changed since R5
    "Device.udiCarrier.entryType": "barcode rfid manual card self-reported electronic-transmission unknown",
    "Encounter.status":
        "planned in-progress on-hold discharged completed cancelled discontinued entered-in-error unknown",
    "Patient.contact.gender": "male female other unknown",
    "Patient.gender": "male female other unknown",
    "Patient.link.type": "replaced-by replaces refer seealso",
    "Practitioner.gender": "male female other unknown",
    "Procedure.status": "preparation in-progress not-done on-hold stopped completed entered-in-error unknown",
    "ServiceRequest.priority": "routine urgent asap stat",
    "ServiceRequest.status": "draft active on-hold revoked completed ended entered-in-error unknown",
    "Specimen.status": "available unavailable unsatisfactory entered-in-error",
}  # fmt: skip

_EPISODE_OF_CARE = (  # since the third draft of R6 it has a subject; the ballot's facts leave it out
    Row("EpisodeOfCare", "0", "*", "DomainResource"),
    Row("EpisodeOfCare.identifier", "0", "*", "Identifier"),
    Row("EpisodeOfCare.status", "1", "1", "code", "planned waitlist active onhold finished cancelled entered-in-error"),
    Row("EpisodeOfCare.statusHistory", "0", "*", "BackboneElement"),
    Row("EpisodeOfCare.statusHistory.status", "1", "1", "code"),
    Row("EpisodeOfCare.statusHistory.period", "1", "1", "Period"),
    Row("EpisodeOfCare.type", "0", "*", "CodeableConcept"),
    Row("EpisodeOfCare.reason", "0", "*", "BackboneElement"),
    Row("EpisodeOfCare.reason.use", "0", "*", "CodeableConcept"),
    Row("EpisodeOfCare.reason.value", "0", "*", "CodeableReference"),
    Row("EpisodeOfCare.diagnosis", "0", "*", "BackboneElement"),
    Row("EpisodeOfCare.diagnosis.condition", "0", "*", "CodeableReference", "", "Condition"),
    Row("EpisodeOfCare.diagnosis.use", "0", "*", "CodeableConcept"),
    Row("EpisodeOfCare.subject", "1", "1", "Reference", "", "Patient Group"),
    Row("EpisodeOfCare.managingOrganization", "0", "1", "Reference", "", "Organization"),
    Row("EpisodeOfCare.period", "0", "1", "Period"),
    Row("EpisodeOfCare.referralRequest", "0", "*", "Reference", "", "ServiceRequest"),
    Row("EpisodeOfCare.careManager", "0", "1", "Reference", "", "Practitioner PractitionerRole"),
    Row("EpisodeOfCare.careTeam", "0", "*", "Reference", "", "CareTeam"),
    Row("EpisodeOfCare.account", "0", "*", "Reference", "", "Account"),
)


def _r6_companions(shared: Path) -> Iterator[Row]:
    """Companions as the JSON schema of the second ballot has them; what a schema does not tell is R5's."""
    text = (shared / "definitions/R6/json-schema-facts-6.0.0-ballot2.json").read_text("utf-8")
    facts = json.loads(text)["definitions"]
    for name in sorted(one for one in facts if "_" not in one and one not in ("ImagingStudy", "ImagingSelection")):
        text = (shared / f"definitions/R5/StructureDefinition-{name}.json").read_text("utf-8")
        older = {one["path"]: one for one in json.loads(text)["snapshot"]["element"]}
        yield Row(name, "0", "*", "DomainResource")
        yield from _companion(facts, older, name, name)
    yield from _EPISODE_OF_CARE


def _companion(facts: Mapping[str, Any], older: Mapping[str, Any], name: str, path: str) -> Iterator[Row]:
    own, seen = facts[name], set[str]()
    for key, one in own["properties"].items():
        place, kind = f"{path}.{key}", one["type"]
        if key in _OF_RESOURCES or key == "resourceType":
            continue
        choice = next((p for p in older if not one["array"] and _kind_of_choice(place, p)), None)
        if choice is not None:
            if choice not in seen:
                seen.add(choice)
                kinds = filter(None, (_kind_of_choice(f"{path}.{other}", choice) for other in own["properties"]))
                targets = _targets(older[choice]["type"])
                yield Row(choice, str(older[choice]["min"]), "1", "|".join(kinds), "", targets)
            continue
        before = older.get(place, {})
        start = str(int(key in own["required"])) if kind[:1].isupper() else str(before.get("min", 0))
        nested = kind in facts and "_" in kind
        many, shown = "*" if one["array"] else "1", "BackboneElement" if nested else kind
        yield Row(place, start, many, shown, _R6_CODES.get(place, ""), _targets(before.get("type", [])))
        if nested:
            yield from _companion(facts, older, kind, place)


def _kind_of_choice(place: str, choice: str) -> str:
    """The type that a name such as deceasedBoolean ends in, where it is one of a choice; else nothing."""
    stem = choice.removesuffix("[x]")
    if stem == choice or not place.startswith(stem):
        return ""
    kind = place.removeprefix(stem)
    lower = kind[:1].lower() + kind[1:]
    known = (*_OPEN, "canonical", "Age", "Count", "Duration")
    return next((one for one in (lower, kind) if one in known), "")


def _facts(facts: Mapping[str, Any], name: str, path: str) -> Iterator[tuple[str, bool, str]]:
    for key, one in facts[name]["properties"].items():
        if key in _OF_RESOURCES or key == "resourceType":
            continue
        nested = one["type"] in facts and "_" in one["type"]
        yield f"{path}.{key}", one["array"], "BackboneElement" if nested else one["type"]
        if nested:
            yield from _facts(facts, one["type"], f"{path}.{key}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
