"""Every field that an attribute feeds has its rule in words, and no other."""

from __future__ import annotations

from dicom2fhir.dicom.elements import ELEMENTS, KEY_OBJECT_ELEMENTS
from dicom2fhir.mapping.rules import RULES


def test_every_fed_field_has_a_rule() -> None:
    fed = {field for element in (*ELEMENTS, *KEY_OBJECT_ELEMENTS) for field in element.feeds.split(", ") if field}
    assert fed == set(RULES)
