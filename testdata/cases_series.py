"""Clean cases about series and instances: modality, anatomy, sides, equipment, specimens, titles."""

from __future__ import annotations

from typing import Any

from dicomdata import ROOT, STORAGE, Case, Files, Maker, code, issuer, numbered
from pydicom.dataset import Dataset

LEFT = code("7771000", "SCT", "Left")
RIGHT = code("24028007", "SCT", "Right")
LUNG = code("39607008", "SCT", "Lung")
KNEE = code("72696002", "SCT", "Knee")
PERSON_SCHEME = [{"CodingSchemeDesignator": "99PERSON", "CodingSchemeUID": f"{ROOT}.9.6"}]


def one(ds: Dataset) -> Files:
    """A case of one file."""
    return numbered([ds])


# Modality


def modality_lower_case(case: Case) -> Files:
    """A modality in lower case."""
    return one(case(Modality="ct"))


def modality_several(case: Case) -> Files:
    """Modalities of two values: the first that is a term."""
    return numbered([case("pt", 1, 1, Modality="PT\\CT"), case("ct", 1, 2, Modality="SCANNER\\CT")])


def modality_retired(case: Case) -> Files:
    """Retired modalities (DS, OPR), which are still DICOM's own codes."""
    return numbered([case("xa", 1, 1, 1, Modality="DS"), case("photo", 1, 2, 1, Modality="OPR")])


def modalities_of_a_study(case: Case) -> Files:
    """PET, CT and a report in one study: the study's modalities are those that acquire."""
    return numbered([case("pt", 1, 1), case("ct", 1, 2), case("sr", 1, 3)])


def modality_none_that_acquires(case: Case) -> Files:
    """A study of a report and a key object alone, which has no acquisition modality."""
    return numbered([case("sr", 1, 1), case("ko", 1, 2)])


def us(case: Case) -> Files:
    """An ultrasound study of an image and a loop of three frames."""
    more = {"StudyDescription": "Ultrasound of the abdomen", "BodyPartExamined": "ABDOMEN"}
    loop = {"NumberOfFrames": 3, "PixelData": bytes(48), "FrameTime": "33.3"}
    return numbered([case("us", 1, 1, 1, **more), case("us-frames", 1, 1, 2, **more, **loop)])


def sr_ko_pr_pdf(case: Case) -> Files:
    """A CT image, a report, a key object, a presentation state and a PDF in one study, with their titles."""
    return {
        "ct.dcm": case("ct", 1, 1, 1, StudyDescription="CT of the chest", SeriesDescription="Axial 5 mm"),
        "sr.dcm": case("sr", 1, 2, 1, **_titled("11528-7", "LN", "Radiology Report")),
        "ko.dcm": case("ko", 1, 3, 1, **_titled("113000", "DCM", "Of Interest"), **_evidence(case)),
        "pr.dcm": case("pr", 1, 4, 1, ContentLabel="LUNG_WINDOW", ContentDescription="Lung window"),
        "pdf.dcm": case("pdf", 1, 5, 1, DocumentTitle="Letter to the referrer", **PDF),
    }


PDF: dict[str, Any] = {
    "MIMETypeOfEncapsulatedDocument": "application/pdf",
    "EncapsulatedDocument": b"%PDF-1.4\n%%EOF\n",
    "ConceptNameCodeSequence": [code("18748-4", "LN", "Diagnostic Imaging Report")],
}


def _titled(value: str, scheme: str, meaning: str) -> dict[str, Any]:
    return {"ValueType": "CONTAINER", "ConceptNameCodeSequence": [code(value, scheme, meaning)]}


def _evidence(case: Case) -> dict[str, Any]:
    """The evidence and the content tree of a key object that points at instance 1 of series 1."""
    image = {"ReferencedSOPClassUID": STORAGE + "2", "ReferencedSOPInstanceUID": case.uid(1, 1, 1)}
    series = {"SeriesInstanceUID": case.uid(1, 1), "ReferencedSOPSequence": [image]}
    return {
        "CurrentRequestedProcedureEvidenceSequence": [
            {"StudyInstanceUID": case.uid(1), "ReferencedSeriesSequence": [series]}
        ],
        "ContentSequence": [
            {"RelationshipType": "CONTAINS", "ValueType": "IMAGE", "ReferencedSOPSequence": [image]},
        ],
    }


def rejection_note(case: Case) -> Files:
    """A key object that rejects the study's only image, whose status stays what it is."""
    note = _titled("113001", "DCM", "Rejected for Quality Reasons")
    return numbered([case("ct", 1, 1, 1), case("ko", 1, 2, 1, **note, **_evidence(case))])


def private_sop_class(case: Case) -> Files:
    """An object of a private SOP class with a modality of its own."""
    return one(case("raw", SOPClassUID=f"{ROOT}.9.20", Modality="MR"))


# Titles


def title_none_for_images(case: Case) -> Files:
    """Image type and comments of a plain image, which are no title."""
    return one(case(ImageType="ORIGINAL\\PRIMARY\\AXIAL", ImageComments="not a title", ContentLabel="NOR_THIS"))


def titles_of_radiotherapy(case: Case) -> Files:
    """Radiotherapy plan, structure set, image and dose: the name before the label."""
    return numbered(
        [
            case("rt-plan", 1, 1, 1, RTPlanLabel="PLAN1", RTPlanName="Plan for the left lung"),
            case("rt-struct", 1, 2, 1, StructureSetLabel="SET1", StructureSetName="Organs at risk"),
            case("rt-image", 1, 3, 1, RTImageLabel="DRR1", RTImageName="Reconstructed radiograph"),
            case("rt-dose", 1, 4, 1),
        ]
    )


def titles_by_label(case: Case) -> Files:
    """Radiotherapy plan, structure set, image and presentation state with labels alone."""
    return numbered(
        [
            case("rt-plan", 1, 1, 1, RTPlanLabel="PLAN2"),
            case("rt-struct", 1, 2, 1, StructureSetLabel="SET2"),
            case("rt-image", 1, 3, 1, RTImageLabel="DRR2"),
            case("pr", 1, 4, 1, ContentLabel="BONE_WINDOW"),
        ]
    )


def titles_of_derived_objects(case: Case) -> Files:
    """Segmentation, registration and real world value mapping: the description before the label."""
    kinds = {"seg": "Lung lobes", "reg": "PET to CT", "rwvm": "Hounsfield units"}
    return numbered(
        case(kind, 1, series, 1, ContentLabel="LABEL", ContentDescription=words)
        for series, (kind, words) in enumerate(kinds.items(), 1)
    )


def title_of_a_pdf_by_code(case: Case) -> Files:
    """An encapsulated PDF without a title but with a concept name."""
    return one(case("pdf", **PDF))


def ecg(case: Case) -> Files:
    """A waveform, which has neither frames nor a title."""
    return one(case("ecg", ContentDescription="not a title", StudyDescription="ECG at rest"))


# Numbers, descriptions, dates


def number_decimal(case: Case) -> Files:
    """Series and instance numbers with a decimal point, a sign and leading zeros."""
    return numbered(
        [case("ct", 1, 1, 1, SeriesNumber="1.0", InstanceNumber="+2"), case("ct", 1, 2, 1, SeriesNumber="007")]
    )


def number_absent(case: Case) -> Files:
    """Series and instances without numbers, which come last, and the number 0."""
    return numbered(
        [
            case("ct", 1, 1, 1, SeriesNumber="", InstanceNumber=None),
            case("ct", 1, 2, 1, SeriesNumber=0, InstanceNumber=0),
            case("ct", 1, 2, 2, SeriesNumber=0, InstanceNumber=""),
            case("ct", 1, 3, 10, SeriesNumber=10),
        ]
    )


def number_repeated(case: Case) -> Files:
    """Instances of one number, and numbers 2 and 10, whose order is not that of their digits."""
    numbers = {1: 10, 2: 2, 3: 2}
    return numbered([case(number=uid, InstanceNumber=number) for uid, number in numbers.items()])


def series_description_from_the_code(case: Case) -> Files:
    """No series description but a code of it (0008,103F)."""
    return one(case(SeriesDescriptionCodeSequence=[code("AX5", "99TEST", "Axial 5 mm")], ProtocolName="Protocol 7"))


def series_description_from_the_protocol(case: Case) -> Files:
    """No series description but the name of a protocol (0018,1030)."""
    return one(case(SeriesDescription="", ProtocolName="Protocol 7"))


def series_started(case: Case) -> Files:
    """A series that starts at its own date and time, not at the study's or the acquisition's."""
    own = {"SeriesDate": "20240115", "SeriesTime": "094500"}
    return one(case(**own, AcquisitionDate="20240115", AcquisitionTime="094700"))


def series_started_by_acquisition(case: Case) -> Files:
    """Series without a date: the earliest acquisition date and time of their instances."""
    times = {1: "094700", 2: "094600", 3: "094800"}
    return numbered(
        case(number=number, AcquisitionDate="20240115", AcquisitionTime=time) for number, time in times.items()
    )


def series_started_by_acquisition_datetime(case: Case) -> Files:
    """Acquisition dates and times as one value (0008,002A): with an offset of its own, without seconds, of a month."""
    return numbered(
        [
            case("ct", 1, 1, 1, AcquisitionDateTime="20240115094700.25+0200"),
            case("ct", 1, 2, 1, AcquisitionDateTime="202401150950"),
            case("ct", 1, 3, 1, AcquisitionDateTime="202401"),
        ]
    )


def series_started_by_frames(case: Case) -> Files:
    """Enhanced multi-frame CT that says when it was acquired in its frames alone: the earliest of them."""
    times = ("20240115094702", "20240115094701", "20240115094703")
    groups = [{"FrameContentSequence": [{"FrameAcquisitionDateTime": time}]} for time in times]
    more = {"SOPClassUID": STORAGE + "2.1", "NumberOfFrames": 3, "PixelData": bytes(48)}
    return one(case("ct", SharedFunctionalGroupsSequence=[{}], PerFrameFunctionalGroupsSequence=groups, **more))


def series_date_without_time(case: Case) -> Files:
    """A series date without a time."""
    return one(case(SeriesDate="20240115"))


def frames(case: Case) -> Files:
    """Numbers of frames, one of them 0, which R4 has no place for."""
    return numbered(
        [
            case("xa", number=1, NumberOfFrames=2, PixelData=bytes(32)),
            case("xa", number=2, NumberOfFrames=0),
        ]
    )


def series_in_two_studies(case: Case) -> Files:
    """One Series UID in two studies of one patient: it is a series of each."""
    same = {"PatientID": "TWICE-1", "PatientName": "Testperson^Tessa", "SeriesInstanceUID": case.uid(9, 9)}
    return numbered([case("ct", 1, 1, 1, **same), case("ct", 2, 1, 1, **same)])


# Anatomy and sides


def ct_anatomic_region(case: Case) -> Files:
    """A CT whose coded region with its side and a retired code disagree with the body part of the protocol."""
    more = {
        "StudyDescription": "CT of the lung",
        "BodyPartExamined": "HEAD",
        "PatientSex": "F",
        "PatientBirthDate": "19700102",
    }
    lung = {**LUNG, "AnatomicRegionModifierSequence": [RIGHT]}
    retired = code("T-28000", "SRT", "Lung", AnatomicRegionModifierSequence=[code("G-A101", "SRT", "Left")])
    return numbered(
        [
            case("ct", 1, 1, 1, AnatomicRegionSequence=[lung], **more),
            case("ct", 1, 1, 2, AnatomicRegionSequence=[lung], **more),
            case("ct", 1, 2, 1, AnatomicRegionSequence=[retired], **more),
        ]
    )


def anatomic_region_equivalents(case: Case) -> Files:
    """A coded region with an equivalent code, and a region of a private scheme."""
    local = code("LNG", "99TEST", "Lung, local")
    return numbered(
        [
            case("ct", 1, 1, 1, AnatomicRegionSequence=[{**LUNG, "EquivalentCodeSequence": [local]}]),
            case("ct", 1, 2, 1, AnatomicRegionSequence=[local]),
        ]
    )


def anatomic_regions_several(case: Case) -> Files:
    """A coded region of two items, of which R4 has room for one."""
    return one(case(AnatomicRegionSequence=[LUNG, code("80891009", "SCT", "Heart")]))


def body_part_by_table(case: Case) -> Files:
    """Body parts by DICOM's terms, which have SNOMED CT codes."""
    terms = ("KNEE", "CHEST", "TSPINE")
    return numbered([case("dx", 1, series, 1, BodyPartExamined=term) for series, term in enumerate(terms, 1)])


def body_part_by_alias(case: Case) -> Files:
    """Body parts by older terms, in lower case and with blanks, dashes and underscores."""
    terms = ("LEG", "ARM", "Upper Arm", "lower_leg")
    return numbered([case("dx", 1, series, 1, BodyPartExamined=term) for series, term in enumerate(terms, 1)])


def body_part_fetal(case: Case) -> Files:
    """A fetal body part, which has no SNOMED CT code: its words are all."""
    return one(case("us", BodyPartExamined="FETALHEART"))


def body_part_unknown(case: Case) -> Files:
    """A body part that is no DICOM term."""
    return one(case("dx", BodyPartExamined="LEFT BIG TOE XYZ"))


def body_part_varies(case: Case) -> Files:
    """A series of three images with two body parts: the most frequent is taken."""
    terms = ("NECK", "CHEST", "CHEST")
    return numbered([case(number=number, BodyPartExamined=term) for number, term in enumerate(terms, 1)])


def mg_bilateral(case: Case) -> Files:
    """A mammography of both breasts: a series for each side and one with both."""
    more = {"StudyDescription": "Screening mammography", "BodyPartExamined": "BREAST", "PatientSex": "F"}
    sides = {(1, 1): "L", (2, 1): "R", (3, 1): "L", (3, 2): "R"}
    return numbered(
        case("mg", 1, series, number, ImageLaterality=side, **more) for (series, number), side in sides.items()
    )


def laterality_of_the_series(case: Case) -> Files:
    """A side at the series alone (0020,0060)."""
    return one(case("dx", BodyPartExamined="KNEE", Laterality="R"))


def laterality_of_the_image(case: Case) -> Files:
    """A side at the image (0020,0062) that beats the series' other one."""
    return one(case("dx", BodyPartExamined="KNEE", Laterality="R", ImageLaterality="L"))


def laterality_both(case: Case) -> Files:
    """An image of both sides (B)."""
    return one(case("dx", BodyPartExamined="KNEE", ImageLaterality="B"))


def laterality_unpaired(case: Case) -> Files:
    """An image of an unpaired part (U), for which there is no code."""
    return one(case("dx", BodyPartExamined="HEART", ImageLaterality="U"))


def laterality_by_modifier(case: Case) -> Files:
    """A side that stands only in the modifier of the region, of SNOMED CT and of SNOMED RT."""
    knee = {**KNEE, "AnatomicRegionModifierSequence": [LEFT]}
    retired = {**KNEE, "AnatomicRegionModifierSequence": [code("G-A100", "SRT", "Right")]}
    both = {**KNEE, "AnatomicRegionModifierSequence": [code("51440002", "SCT", "Bilateral")]}
    one_sided = {**KNEE, "AnatomicRegionModifierSequence": [code("66459002", "SCT", "Unilateral")]}
    return numbered(
        case("dx", 1, series, 1, AnatomicRegionSequence=[region])
        for series, region in enumerate((knee, retired, both, one_sided), 1)
    )


def laterality_in_the_body_site(case: Case) -> Files:
    """A region whose code names the side already: the side is not said twice."""
    return one(case("mg", ImageLaterality="L", AnatomicRegionSequence=[code("80248007", "SCT", "Left breast")]))


def laterality_of_a_measurement(case: Case) -> Files:
    """An ophthalmic measurement with its side in (0024,0113)."""
    return one(case("keratometry", MeasurementLaterality="R", BodyPartExamined="EYE"))


def mr_enhanced(case: Case) -> Files:
    """Enhanced multi-frame MR: region and side in the shared and, in another series, in the per-frame groups."""
    knee = _frame("72696002", "Knee", "L")
    own = [{**_frame("72696002", "Knee", "R"), "FrameContentSequence": [{"StackID": "1"}]} for _ in range(2)]
    more = {"StudyDescription": "MRI of the knees", "NumberOfFrames": 2, "PixelData": bytes(32)}
    return numbered(
        [
            case(
                "enhanced-mr",
                1,
                1,
                1,
                SharedFunctionalGroupsSequence=[knee],
                PerFrameFunctionalGroupsSequence=[{}, {}],
                **more,
            ),
            case(
                "enhanced-mr",
                1,
                2,
                1,
                SharedFunctionalGroupsSequence=[{}],
                PerFrameFunctionalGroupsSequence=own,
                AcquisitionDateTime="20240115094700",
                **more,
            ),
        ]
    )


def _frame(value: str, meaning: str, side: str) -> dict[str, Any]:
    region = {"AnatomicRegionSequence": [code(value, "SCT", meaning)], "FrameLaterality": side}
    return {"FrameAnatomySequence": [region]}


def mr_enhanced_frames_differ(case: Case) -> Files:
    """Enhanced multi-frame MR whose frames name different regions and sides: there is no single one."""
    groups = [_frame("72696002", "Knee", "L"), _frame("85562004", "Hand", "R")]
    more = {"NumberOfFrames": 2, "PixelData": bytes(32)}
    return one(
        case("enhanced-mr", SharedFunctionalGroupsSequence=[{}], PerFrameFunctionalGroupsSequence=groups, **more)
    )


def mr_enhanced_and_root(case: Case) -> Files:
    """Enhanced multi-frame MR with a region at the root of the object, which comes before the groups."""
    more = {"NumberOfFrames": 1, "AnatomicRegionSequence": [KNEE], "Laterality": "R"}
    groups = [_frame("85562004", "Hand", "L")]
    return one(
        case("enhanced-mr", SharedFunctionalGroupsSequence=groups, PerFrameFunctionalGroupsSequence=[{}], **more)
    )


def concatenation(case: Case) -> Files:
    """One enhanced image in two parts (a concatenation), each an instance of its own."""
    parts = (1, 2)
    whole = {"ConcatenationUID": case.uid(800), "InConcatenationTotalNumber": 2, "NumberOfFrames": 1}
    return numbered(
        [case("enhanced-mr", number=part, InstanceNumber=1, InConcatenationNumber=part, **whole) for part in parts]
    )


# Performers and equipment


def performers_named(case: Case) -> Files:
    """Performing physician and two operators by name alone."""
    return one(case(PerformingPhysicianName="Performer^Petra", OperatorsName="Operator^Otto\\Operator^Olga"))


def performers_identified(case: Case) -> Files:
    """Performing physician and operator with numbers of a registered scheme, the operator at an institution."""
    operator = {
        "PersonIdentificationCodeSequence": [code("OP-1", "99PERSON", "Otto Operator")],
        "InstitutionName": "Sample Hospital",
    }
    return one(
        case(
            PerformingPhysicianName="Performer^Petra",
            PerformingPhysicianIdentificationSequence=[
                {"PersonIdentificationCodeSequence": [code("PERF-1", "99PERSON", "Petra Performer")]}
            ],
            OperatorsName="Operator^Otto",
            OperatorIdentificationSequence=[operator],
            CodingSchemeIdentificationSequence=PERSON_SCHEME,
        )
    )


def performer_identified_unnamed(case: Case) -> Files:
    """An operator known by number and by the words of the code alone."""
    operator = {"PersonIdentificationCodeSequence": [code("OP-2", "99PERSON", "Operator, Olga")]}
    return one(case(OperatorIdentificationSequence=[operator], CodingSchemeIdentificationSequence=PERSON_SCHEME))


def performers_vary(case: Case) -> Files:
    """Operators who change within one series, and with the series."""
    names = {(1, 1): "Operator^Otto", (1, 2): "Operator^Olga", (2, 1): "Operator^Otto"}
    return numbered(case("ct", 1, series, number, OperatorsName=name) for (series, number), name in names.items())


def institution_named(case: Case) -> Files:
    """An institution with a name and nothing else."""
    return one(case(InstitutionName="Sample Hospital"))


def institution_coded(case: Case) -> Files:
    """An institution with a name, an address and a code of a registered scheme."""
    return one(
        case(
            InstitutionName="Sample Hospital",
            InstitutionAddress="1 Nowhere Street\r\nSampletown",
            InstitutionCodeSequence=[code("HOSP-1", "99PERSON", "Sample Hospital")],
            CodingSchemeIdentificationSequence=PERSON_SCHEME,
        )
    )


def institution_with_address(case: Case) -> Files:
    """An institution with an address and no code."""
    return one(case(InstitutionName="Sample Hospital", InstitutionAddress="1 Nowhere Street"))


def device_full(case: Case) -> Files:
    """A device with maker, model, serial number, UID, versions, UDI, gantry and station."""
    return one(
        case(
            Manufacturer="Example Imaging",
            ManufacturerModelName="Scanner One",
            DeviceSerialNumber="SN-0001",
            DeviceUID=f"{ROOT}.9.30",
            DeviceID="DEV-1",
            GantryID="GANTRY-1",
            StationName="CT-1",
            SoftwareVersions="1.0\\recon 2.5",
            UDISequence=[{"UniqueDeviceIdentifier": "(01)09999999999994(21)SN-0001", "DeviceDescription": "Scanner"}],
        )
    )


def device_by_serial_number(case: Case) -> Files:
    """A device without a UID: maker and serial number tell it from others."""
    return one(case(Manufacturer="Example Imaging", ManufacturerModelName="Scanner Two", DeviceSerialNumber="SN-0002"))


def device_by_station(case: Case) -> Files:
    """A device of which maker, model and station are known, in two series of two stations."""
    same = {"Manufacturer": "Example Imaging", "ManufacturerModelName": "Scanner Three"}
    return numbered([case("ct", 1, series, 1, StationName=f"CT-{series}", **same) for series in (1, 2)])


def device_by_maker(case: Case) -> Files:
    """A device of which the maker alone is known."""
    return one(case(Manufacturer="Example Imaging"))


def device_of_secondary_capture(case: Case) -> Files:
    """A secondary capture with the device that captured beside the one that acquired."""
    return one(
        case(
            "sc",
            Manufacturer="Example Imaging",
            ManufacturerModelName="Scanner Four",
            SecondaryCaptureDeviceID="CAPTURE-1",
            SecondaryCaptureDeviceManufacturer="Example Grabbers",
            SecondaryCaptureDeviceManufacturerModelName="Grabber One",
            SecondaryCaptureDeviceSoftwareVersions="0.1",
        )
    )


def specimen(case: Case) -> Files:
    """A slide with two specimens, with issuer, UID, type and descriptions, in a container with a type."""
    first = {
        "SpecimenIdentifier": "SPEC-1",
        "IssuerOfTheSpecimenIdentifierSequence": issuer(f"{ROOT}.9.40"),
        "SpecimenUID": case.uid(700),
        "SpecimenTypeCodeSequence": [code("119376003", "SCT", "tissue specimen")],
        "SpecimenShortDescription": "Biopsy, left",
        "SpecimenDetailedDescription": "Needle biopsy of an invented lesion",
    }
    second = {"SpecimenIdentifier": "SPEC-2", "IssuerOfTheSpecimenIdentifierSequence": [], "SpecimenUID": case.uid(701)}
    return one(
        case(
            "slide",
            ContainerIdentifier="SLIDE-1",
            IssuerOfTheContainerIdentifierSequence=issuer(f"{ROOT}.9.41"),
            ContainerTypeCodeSequence=[code("433466003", "SCT", "Microscope slide")],
            SpecimenDescriptionSequence=[first, second],
        )
    )


def specimen_without_uid(case: Case) -> Files:
    """A specimen with a number whose issuer is only a local namespace."""
    item = {
        "SpecimenIdentifier": "SPEC-3",
        "IssuerOfTheSpecimenIdentifierSequence": [{"LocalNamespaceEntityID": "SAMPLE LAB"}],
    }
    return one(case("slide", SpecimenDescriptionSequence=[item]))


CASES: tuple[Maker, ...] = (
    modality_lower_case,
    modality_several,
    modality_retired,
    modalities_of_a_study,
    modality_none_that_acquires,
    us,
    sr_ko_pr_pdf,
    rejection_note,
    private_sop_class,
    title_none_for_images,
    titles_of_radiotherapy,
    titles_by_label,
    titles_of_derived_objects,
    title_of_a_pdf_by_code,
    ecg,
    number_decimal,
    number_absent,
    number_repeated,
    series_description_from_the_code,
    series_description_from_the_protocol,
    series_started,
    series_started_by_acquisition,
    series_started_by_acquisition_datetime,
    series_started_by_frames,
    series_date_without_time,
    frames,
    series_in_two_studies,
    ct_anatomic_region,
    anatomic_region_equivalents,
    anatomic_regions_several,
    body_part_by_table,
    body_part_by_alias,
    body_part_fetal,
    body_part_unknown,
    body_part_varies,
    mg_bilateral,
    laterality_of_the_series,
    laterality_of_the_image,
    laterality_both,
    laterality_unpaired,
    laterality_by_modifier,
    laterality_in_the_body_site,
    laterality_of_a_measurement,
    mr_enhanced,
    mr_enhanced_frames_differ,
    mr_enhanced_and_root,
    concatenation,
    performers_named,
    performers_identified,
    performer_identified_unnamed,
    performers_vary,
    institution_named,
    institution_coded,
    institution_with_address,
    device_full,
    device_by_serial_number,
    device_by_station,
    device_by_maker,
    device_of_secondary_capture,
    specimen,
    specimen_without_uid,
)
