"""Hypothesis strategies for every value of the model that mapping could make, and a plain study to start from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from dicom2fhir import model
from dicom2fhir.model import Instance, Modality, Patient, Series, Study

CT = Modality("CT", "Computed Tomography", acquires=True)
SR = Modality("SR", "Structured report document", acquires=False)
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"


def study(patient: Patient | None = None, one: Series | None = None, **changes: Any) -> Study:
    """A study of one patient without an ID, one series, one instance; `changes` are fields of the study."""
    return replace(Study("1.2.3", patient or Patient(), (one or series(),)), **changes)


def series(**changes: Any) -> Series:
    """A CT series of one instance; `changes` are fields of the series."""
    return replace(Series("1.2.3.4", CT, 1, instances=(Instance("1.2.3.4.5", CT_IMAGE),)), **changes)


# Atoms come from small pools: one draw each keeps a whole study cheap, and equal values meet one another.
texts = st.sampled_from(
    (
        "Müller",
        "山田",
        "Ιωάννης",
        "O'Neil",
        "a,b|c$d\\e",
        "#1",
        "urn:x",
        "<b>&amp;",
        "%41?x=1",
        "٣",
        "🙂",
        "J",
        "x" * 80,
        '"',
    )
)
words = texts | st.tuples(texts, texts).map(" ".join)
codes_of_text = st.sampled_from(("1", "T-D1100", "MR", "a.b-C", "0"))
uids = st.sampled_from(("1.2.3", "1.2.840.10008.5.1.4.1.1.2", "2.25.329800735698586629295641978511506172918", "0.0.1"))
systems = st.sampled_from(("urn:oid:1.2.3", "http://example.org/ids", "https://b.test/a|b,c$d"))
dates = st.sampled_from(("1999-12-31", "2024-02-29", "1801-01-01"))
times = st.sampled_from(("00:00:00", "23:59:60", "12:30:01.5", "12:30:01.123456"))
offsets = st.sampled_from(("+00:00", "+05:45", "-11:30", "+14:00"))
numbers = st.sampled_from((0, 1, 7, 2**31 - 1))


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def several(strategy: st.SearchStrategy[Any], most: int = 2) -> st.SearchStrategy[Any]:
    return st.lists(strategy, max_size=most).map(tuple)


partial_dates = dates | dates.map(lambda text: text[:7]) | dates.map(lambda text: text[:4])
moments = st.builds(model.Moment, dates, maybe(times), maybe(offsets)) | st.builds(model.Moment, partial_dates)
codes = st.builds(model.Code, codes_of_text, maybe(systems), maybe(words), maybe(codes_of_text))
concepts = st.builds(model.Concept, several(codes), maybe(words)).filter(lambda one: one.codes or one.text)
modalities = st.sampled_from((CT, SR, Modality("OT", "Other", acquires=True, text="XX")))


def identifiers(kind: model.IdentifierKind) -> st.SearchStrategy[model.Identifier]:
    return st.builds(model.Identifier, words, st.just(kind), maybe(systems), maybe(words), maybe(codes_of_text))


uid_identifiers = uids.map(lambda uid: model.Identifier(uid, "uid", "urn:dicom:uid"))
names = st.builds(
    model.PersonName,
    st.sampled_from(("alphabetic", "ideographic", "phonetic")),
    maybe(texts),
    several(texts),
    maybe(texts),
    maybe(texts),
    maybe(words),
    st.sampled_from((None, "official", "maiden")),
).filter(lambda name: name.family or name.given or name.text)
organizations = st.builds(model.Organization, maybe(words), several(identifiers("organization")), maybe(words))
practitioners = st.builds(
    model.Practitioner,
    several(names),
    several(identifiers("practitioner")),
    maybe(organizations),
    maybe(words),
    maybe(words),
    several(words),
)
devices = st.builds(
    model.Device,
    maybe(words),
    maybe(words),
    maybe(words),
    several(words),
    maybe(uids),
    maybe(words),
    maybe(words),
    maybe(words),
    maybe(modalities),
)
patients = st.builds(
    Patient,
    st.sampled_from(("person", "person", "phantom", "group")),
    st.tuples(several(identifiers("patient"), 1), several(identifiers("other"))).map(lambda pair: pair[0] + pair[1]),
    several(names),
    st.sampled_from((None, "male", "unknown")),
    maybe(partial_dates),
    maybe(moments),
    maybe(concepts),
    several(concepts),
    maybe(st.booleans()),
    maybe(st.builds(model.Owner, several(names), maybe(words))),
    st.booleans(),
    several(identifiers("patient")),
    st.sampled_from((None, None, None, "Patient/77")),
)
orders = st.builds(
    model.Request,
    st.tuples(
        several(identifiers("accession"), 1), several(identifiers("placer"), 1), several(identifiers("filler"), 1)
    ).map(lambda groups: sum(groups, ())),
    maybe(concepts),
    several(concepts),
    maybe(practitioners),
    st.sampled_from((None, "routine", "stat")),
)
specimens = st.builds(
    model.Specimen,
    several(identifiers("specimen") | uid_identifiers),
    maybe(concepts),
    maybe(words),
    several(words),
    maybe(identifiers("container")),
    maybe(concepts),
)
endpoints = st.builds(
    model.Endpoint,
    st.sampled_from(("wado-rs", "wado-uri", "iid")),
    st.sampled_from(("https://pacs.test/rs", "http://b.test/x")),
)
performers = (
    st.builds(model.Performer, st.sampled_from(("performer", "operator")), practitioners)
    | st.builds(model.Performer, st.just("device"), devices)
    | st.builds(model.Performer, st.just("institution"), organizations)
)
instances = st.builds(Instance, uids, uids, maybe(numbers), maybe(words), maybe(numbers), maybe(texts))


@st.composite
def all_series(draw: st.DrawFn) -> Series:
    listed = draw(st.lists(instances, min_size=1, max_size=3).map(tuple))
    return Series(
        uid=draw(uids),
        modality=draw(modalities),
        instance_count=len(listed),
        number=draw(maybe(numbers)),
        description=draw(maybe(words)),
        started=draw(maybe(moments)),
        body_sites=draw(several(concepts)),
        laterality=draw(st.sampled_from((None, "left", "right", "both"))),
        specimens=draw(several(specimens)),
        performers=draw(several(performers)),
        endpoints=draw(several(endpoints)),
        instances=listed,
    )


def _as_asked(study: Study, listed: bool) -> Study:
    """A study lists the instances of all its series, or of none (`--series-only`)."""
    return study if listed else replace(study, series=tuple(replace(one, instances=()) for one in study.series))


_whole = st.builds(
    Study,
    uids,
    patients,
    st.lists(all_series(), min_size=1, max_size=2).map(tuple),
    maybe(identifiers("study-id")),
    several(identifiers("accession")),
    maybe(moments),
    maybe(words),
    several(orders),
    maybe(practitioners),
    several(practitioners),
    several(concepts),
    several(st.builds(model.Procedure, several(identifiers("performed-procedure") | uid_identifiers), maybe(concepts))),
    several(concepts),
    maybe(
        st.builds(model.Encounter, maybe(identifiers("visit")), maybe(identifiers("episode")), maybe(words)),
    ),
    maybe(st.builds(model.Location, maybe(words), several(concepts), maybe(organizations))),
    several(endpoints),
)
studies = st.builds(_as_asked, _whole, st.sampled_from((True, True, True, False)))
