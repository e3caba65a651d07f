"""Who and what made a series: persons, devices, the institution, specimens (PS3.3 C.7.3, C.7.5.1, C.7.6.22)."""

from __future__ import annotations

from dataclasses import replace

from dicom2fhir.dicom.records import Values
from dicom2fhir.dicom.values import BadValue, clean_text, parse_uid, split_values
from dicom2fhir.mapping.evidence import Evidence, Voter
from dicom2fhir.mapping.people import People
from dicom2fhir.mapping.terms import Terms
from dicom2fhir.model import Device, Identifier, Modality, Organization, Performer, Practitioner, Role, Specimen
from dicom2fhir.problems import Code


class Equipment:
    """Reads the performers and specimens of one series."""

    def __init__(self, evidence: Evidence, terms: Terms, people: People) -> None:
        self._evidence, self._terms, self._people = evidence, terms, people

    def performers(self, modality: Modality) -> tuple[Performer, ...]:
        """Performing physicians, operators, devices and the institution, in this order."""
        evidence = self._evidence
        actors: list[tuple[Role, Practitioner | Device | Organization | None]] = [
            *(
                ("performer", p)
                for p in self._persons("PerformingPhysicianName", "PerformingPhysicianIdentificationSequence")
            ),
            *(("operator", p) for p in self._persons("OperatorsName", "OperatorIdentificationSequence")),
            ("device", evidence.elect("Manufacturer", lambda v: self._device(v, modality))),
            ("device", evidence.elect("SecondaryCaptureDeviceID", _capturing_device)),
            ("institution", evidence.elect("InstitutionName", self._institution)),
        ]
        return tuple(Performer(role, actor) for role, actor in actors if actor is not None)

    def _persons(self, names: str, identification: str) -> tuple[Practitioner, ...]:
        return self._evidence.elect(names, lambda v: self._people.persons(v, v.values, names, identification)) or ()

    def _institution(self, voter: Voter) -> Organization | None:
        return self._people.organization(voter, voter.values, "InstitutionCodeSequence")

    def _device(self, voter: Voter, modality: Modality) -> Device | None:
        device = Device(
            manufacturer=voter.text("Manufacturer"),
            model=voter.text("ManufacturerModelName"),
            serial=voter.text("DeviceSerialNumber"),
            versions=_values(voter.values.get("SoftwareVersions", "")),
            uid=self._uid(voter, voter.first("DeviceUID"), "DeviceUID"),
            number=voter.text("DeviceID") or voter.text("GantryID"),
            station=voter.text("StationName"),
            udi=_udi(voter),
        )
        return None if device == Device() else replace(device, modality=modality)

    def _uid(self, voter: Voter, text: str | None, keyword: str) -> str | None:
        if not text:
            return None
        try:
            return parse_uid(text)
        except BadValue:
            self._evidence.note(Code.VALUE_INVALID, keyword, voter.count)
            return None

    def specimens(self) -> tuple[Specimen, ...]:
        """Every specimen that an instance of the series shows."""
        return tuple(self._evidence.distinct(self._specimens))

    def _specimens(self, voter: Voter) -> list[Specimen]:
        found = [self._specimen(voter, item) for item in voter.items("SpecimenDescriptionSequence")]
        return [specimen for specimen in found if specimen.identifiers or specimen.type or specimen.description]

    def _specimen(self, voter: Voter, item: Values) -> Specimen:
        types = self._terms.of_items(voter, item.get("SpecimenTypeCodeSequence", ()), "SpecimenTypeCodeSequence")
        containers = self._terms.concepts(voter, "ContainerTypeCodeSequence")
        return Specimen(
            identifiers=self._specimen_numbers(voter, item),
            type=types[0] if types else None,
            description=clean_text(item.get("SpecimenShortDescription", "")),
            notes=tuple(filter(None, [clean_text(item.get("SpecimenDetailedDescription", ""))])),
            container=self._container(voter),
            container_type=containers[0] if containers else None,
        )

    def _specimen_numbers(self, voter: Voter, item: Values) -> tuple[Identifier, ...]:
        number = clean_text(item.get("SpecimenIdentifier", ""))
        uid = self._uid(voter, item.get("SpecimenUID"), "SpecimenUID")
        issuers = item.get("IssuerOfTheSpecimenIdentifierSequence", ())
        found = [self._terms.identifier(number, "specimen", issuers)] if number else []
        return (*found, Identifier(uid, "uid", "urn:dicom:uid")) if uid else tuple(found)

    def _container(self, voter: Voter) -> Identifier | None:
        number = voter.text("ContainerIdentifier")
        issuers = voter.items("IssuerOfTheContainerIdentifierSequence")
        return self._terms.identifier(number, "container", issuers) if number else None


def _values(text: str) -> tuple[str, ...]:
    return tuple(filter(None, map(clean_text, split_values(text))))


def _udi(voter: Voter) -> str | None:
    udis = (clean_text(item.get("UniqueDeviceIdentifier", "")) for item in voter.items("UDISequence"))
    return next(filter(None, udis), None)


def _capturing_device(voter: Voter) -> Device | None:
    """The digitiser or grabber of a secondary capture: a device of its own."""
    device = Device(
        manufacturer=voter.text("SecondaryCaptureDeviceManufacturer"),
        model=voter.text("SecondaryCaptureDeviceManufacturerModelName"),
        versions=_values(voter.values.get("SecondaryCaptureDeviceSoftwareVersions", "")),
        number=voter.text("SecondaryCaptureDeviceID"),
    )
    return None if device == Device() else device
