"""What the options ask of a server, and a sentence for each thing that it is known to lack."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from dicom2fhir.fhir.dialect import Dialect
from dicom2fhir.fhir.policy import Policy, Write
from dicom2fhir.fhir.versions import DIALECTS
from dicom2fhir.fhir.ways import STUDY, Way, ways
from dicom2fhir.server.capability import Capabilities, Support, same_release
from dicom2fhir.server.manner import Requests


@dataclass(frozen=True, slots=True)
class Needs:
    """All that a run asks of a server.

    `release` is the FHIR version in figures. `policy` is what the sentences advise to change. Where the Bundles are
    made already there is none, and `ways` may be empty: then the server alone can help.
    """

    release: str
    ways: frozenset[Way]
    bundle_type: str = "transaction"
    requests: Requests = "auto"
    policy: Policy | None = None

    @property
    def types(self) -> list[str]:
        """The types that are written, the study first."""
        return sorted({way.type for way in self.ways} | {STUDY}, key=lambda name: (name != STUDY, name))


@dataclass(frozen=True, slots=True)
class Lack:
    """One thing that the server is known not to do; `sentence` names the option or the setting that helps."""

    topic: str
    sentence: str


OWN_IDS_DENIED = Lack(
    "update-create",
    "The server does not let clients choose ids, as it says only now: "
    "--write conditional-update, or allow update-as-create on the server.",
)
"""For what `/metadata` did not mention and an answer shows (`verdict.denies_own_ids`)."""


def needs(dialect: Dialect, policy: Policy, requests: Requests = "auto") -> Needs:
    """What studies in one FHIR version, written as the policy says, may ask of a server."""
    return Needs(dialect.release, ways(dialect, policy), policy.bundle_type, requests, policy)


def check(can: Capabilities, asked: Needs) -> list[Lack]:
    """Everything that the server is known to lack, the weightiest first; what it does not mention is no lack."""
    if same_release(can.fhir_version, asked.release) is False:
        return [Lack("version", _another_version(can.fhir_version or "", asked.release))]
    found = (_format(can), *_writing(can, asked), _lookup(can, asked), _envelope(can, asked))
    return [each for each in found if each is not None]


def _another_version(version: str, release: str) -> str:
    names = " or ".join(f"--to {name}" for name, one in DIALECTS.items() if same_release(version, one.release))
    options = f"{names}, or " if names else ""
    return f"The server speaks FHIR {version}, not {release}: {options}the address of its base for {release}."


def _format(can: Capabilities) -> Lack | None:
    if can.json is not False:
        return None
    return Lack("format", "The server does not list JSON among its formats, and nothing else is sent: allow it there.")


# Writing --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Fault:
    """A question about one type of resource; and, where the answer is no, what is said of it and what helps there."""

    ask: Callable[[Capabilities, str], Support]
    said: str
    setting: str


_FAULTS: Mapping[str, _Fault] = {
    "unlisted": _Fault(
        lambda can, name: can.lists(name),
        "does not list {} among its resources",
        "add what is missing on the server",
    ),
    "create": _Fault(
        lambda can, name: can.of(name).does("create"),
        "takes no new {}",
        "allow the interaction create on the server",
    ),
    "update": _Fault(
        lambda can, name: can.of(name).does("update"),
        "takes no updates of {}",
        "allow the interaction update on the server",
    ),
    "update-create": _Fault(
        lambda can, name: can.of(name).update_create,
        "does not let clients choose the ids of {} (updateCreate is off)",
        "allow update-as-create on the server",
    ),
    "conditional-create": _Fault(
        lambda can, name: can.of(name).conditional_create,
        "has no conditional create of {}",
        "allow conditional creates on the server",
    ),
    "conditional-update": _Fault(
        lambda can, name: can.of(name).conditional_update,
        "has no conditional update of {}",
        "allow conditional updates on the server",
    ),
}
_TAKES: Mapping[Write, tuple[str, ...]] = {
    "put": ("unlisted", "update", "update-create"),
    "conditional-update": ("unlisted", "update", "conditional-update"),
    "conditional-create": ("unlisted", "create", "conditional-create"),
    "create": ("unlisted", "create"),
}
"""What a way of writing takes (hl7.org/fhir/R4/http#upsert, #ccreate, #cond-update), in the order of asking."""
_SAFE: tuple[Write, ...] = ("put", "conditional-update", "conditional-create")
"""Ways to advise: `create` may write a study twice."""


def _fault(can: Capabilities, way: Way) -> str | None:
    """The topic of the first thing that keeps resources from being written in a way."""
    return next((topic for topic in _TAKES[way.write] if _FAULTS[topic].ask(can, way.type) is False), None)


def _writing(can: Capabilities, asked: Needs) -> Iterator[Lack]:
    """One lack for each topic and remedy, those of the study first."""
    faulty = {way: topic for way in asked.ways if (topic := _fault(can, way))}
    other = _other_write(can, asked)
    groups: dict[tuple[str, str], set[str]] = {}
    for way, topic in faulty.items():
        groups.setdefault((topic, _remedy(asked.policy, way, faulty, other)), set()).add(way.type)
    for (topic, remedy), types in sorted(groups.items(), key=lambda group: (STUDY not in group[1], group[0])):
        said = _FAULTS[topic].said.format(" and ".join(sorted(types)))
        yield Lack(topic, f"The server {said}: {remedy}{_FAULTS[topic].setting}.")


def _other_write(can: Capabilities, asked: Needs) -> Write | None:
    """A way in which all that is ours could be written, as far as the server has such resources at all."""
    ours = [way for way in asked.ways if way.ours and can.lists(way.type) is not False]
    return next((each for each in _SAFE if not any(_fault(can, replace(way, write=each)) for way in ours)), None)


def _remedy(policy: Policy | None, way: Way, faulty: Mapping[Way, str], other: Write | None) -> str:
    """The option that makes do without a way of writing; empty where there is none."""
    if policy is None:
        return ""
    if _is_rewritten(way, faulty[way], other):
        return f"--write {other}, or "
    if way.create is not None:
        left_out = {each.create for each, topic in faulty.items() if not _is_rewritten(each, topic, other)}
        return f"{_without(policy, left_out)}, or "
    return "" if way.type == STUDY else "--key-objects off and no --manifest, or "


def _is_rewritten(way: Way, topic: str, other: Write | None) -> bool:
    """Whether another `--write` helps: for what is ours, where the server has the resource."""
    return way.ours and topic != "unlisted" and other is not None


def _without(policy: Policy, names: set[str | None]) -> str:
    left = ",".join(sorted(policy.create - names)) or "none"
    # `--patient create` insists on Patient, the others make do with a reference.
    patient = "--patient auto " if policy.patient == "create" and "Patient" in names else ""
    return f"{patient}--create {left}"


# Reading, and Bundles -------------------------------------------------------------------------------


def _lookup(can: Capabilities, asked: Needs) -> Lack | None:
    """A stored study is always looked up before it is written: it may have more, or be another patient's."""
    study = can.of(STUDY)
    searched = any(way.type == STUDY and way.write != "put" for way in asked.ways)
    sentence = "The server lets nobody {} {}, so stored studies cannot be looked up: {}allow that on the server."
    if study.does("read") is False:
        return Lack("lookup", sentence.format("read", STUDY, ""))
    if study.does("search-type") is False and searched:
        return Lack("lookup", sentence.format("search", STUDY, "--write put, or " if asked.policy else ""))
    return None


def _envelope(can: Capabilities, asked: Needs) -> Lack | None:
    """Whether the server takes Bundles as they are asked for; without transactions `auto` makes do."""
    if asked.requests == "single":
        return None
    if asked.bundle_type == "batch" and can.batch is False:
        option = "--requests single" if can.transaction is False or not asked.policy else "--bundle-type transaction"
        return Lack("batch", f"The server takes no batches: {option}, or allow them on the server.")
    if asked.bundle_type == "transaction" and can.transaction is False and asked.requests == "bundle":
        return Lack("transaction", "The server takes no transactions: --requests auto, or allow them on the server.")
    return None
