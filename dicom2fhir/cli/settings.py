"""From chosen options to what the pipeline takes. Everything is checked here, before a file is opened."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from io import BufferedIOBase
from typing import TYPE_CHECKING, cast

from dicom2fhir.cli import config, parse
from dicom2fhir.cli.options import Convert, Crawl
from dicom2fhir.errors import UsageError

if TYPE_CHECKING:
    from dicom2fhir.fhir.policy import Policy
    from dicom2fhir.mapping import Settings
    from dicom2fhir.model import Endpoint
    from dicom2fhir.pipeline import Options, Source


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_options(chosen: Crawl) -> Options:
    """Everything the pipeline needs besides its input and output."""
    from dicom2fhir.dicom.records import Scope
    from dicom2fhir.pipeline import Options
    from dicom2fhir.workers import Limits

    scope = Scope(
        modalities=parse.modality_terms(chosen.exclude_modality or ()),
        sop_classes=parse.class_uids(chosen.exclude_sop_class or ()),
    )
    limits = Limits(deadline=chosen.deadline, memory=chosen.memory_limit << 20)
    mapping = site(chosen)
    jobs = chosen.jobs or processors()
    if not isinstance(chosen, Convert):
        return Options(mapping=mapping, scope=scope, limits=limits, reader=chosen.reader, jobs=jobs)
    version(chosen.to)
    return Options(
        to=chosen.to,
        policy=policy(chosen),
        mapping=mapping,
        scope=scope,
        limits=limits,
        reader=chosen.reader,
        jobs=jobs,
        validate=not chosen.no_validate,
        report=chosen.report,
    )


def version(name: str) -> str:
    """A FHIR version that there is."""
    from dicom2fhir.fhir.versions import DIALECTS

    if name not in DIALECTS:
        raise UsageError(f"--to knows {', '.join(DIALECTS)}")
    return name


def policy(chosen: Convert) -> Policy:
    """How resources are written; that it can be done is checked."""
    from dicom2fhir.fhir.policy import DEFAULT_CREATE, Policy, parse_create
    from dicom2fhir.fhir.versions import DIALECTS

    made = Policy(
        write=chosen.write,
        bundle_type=chosen.bundle_type,
        shape=chosen.format,
        patient=chosen.patient,
        create=DEFAULT_CREATE if chosen.create is None else parse_create(",".join(chosen.create)),
        id_key=parse.id_key(chosen.id_key_file),
        availability=chosen.availability,
        key_objects=chosen.key_objects,
        manifest=chosen.manifest,
    )
    DIALECTS[chosen.to].check(made)
    return made


def site(chosen: Crawl) -> Settings:
    """What the user says about the site, on the command line and in the config's tables."""
    from dicom2fhir.mapping import Settings

    tables = config.tables(config.load(chosen.config) if chosen.config else {})
    settings = Settings(
        timezone=parse.zone(chosen.timezone),
        systems=parse.systems(chosen.system or ()),
        issuers=parse.uri_table("issuers", tables["issuers"]),
        coding_schemes=parse.uri_table("coding-schemes", tables["coding-schemes"]),
        body_parts=parse.body_part_table(tables["body-parts"]),
        modalities=parse.modality_table(tables["modalities"]),
        patient_map=parse.patient_map(chosen.patient_map),
        force_patient=chosen.force_patient,
    )
    if not isinstance(chosen, Convert):
        return settings
    return replace(
        settings,
        endpoints=endpoints(chosen),
        series_only=chosen.series_only,
        max_instances=chosen.max_instances,
        key_objects=chosen.key_objects != "off",
    )


def endpoints(chosen: Convert) -> tuple[Endpoint, ...]:
    """Where the images can be had, as far as the user says."""
    from dicom2fhir.model import Endpoint

    addresses = (
        Endpoint("wado-rs", parse.address(chosen.wado_rs, "--wado-rs") or ""),
        Endpoint("wado-uri", parse.address(chosen.wado_uri, "--wado-uri") or ""),
        Endpoint("iid", parse.address(chosen.iid, "--iid") or ""),
    )
    return tuple(endpoint for endpoint in addresses if endpoint.address)


def source(chosen: Crawl, own_output: tuple[str, ...] = ()) -> Source:
    """The crawl; raises `UsageError` for a PATH that does not exist or that the output would write over."""
    from dicom2fhir.sources.directory import Paths, Selection
    from dicom2fhir.sources.filelist import FileList

    selection = Selection(tuple(chosen.exclude or ()), chosen.follow_symlinks, own_output)
    if "-" in chosen.paths:
        if len(chosen.paths) > 1:
            raise UsageError("- stands alone: standard input names all paths")
        return FileList(cast(BufferedIOBase, sys.stdin.buffer), b"\0" if chosen.null else b"\n", selection)
    _keep_apart(chosen.paths, own_output)
    return Paths(chosen.paths, selection)


def _keep_apart(paths: list[str], own_output: tuple[str, ...]) -> None:
    for path in map(os.path.realpath, paths):
        for own in map(os.path.realpath, own_output):
            if path == own or path.startswith(own.rstrip("/") + "/"):
                raise UsageError("a PATH lies in the output; choose another --output, --report or --state")
