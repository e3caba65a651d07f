"""The options of every command: one class of fields a command, from which the parser, the environment's names, the
config file's keys and the help are made.

The long name of an option is its field's name with dashes; `DICOM2FHIR_<NAME>` is its environment variable.

Annotations are not postponed here: they are read in every run, and as texts each would be compiled for that.
"""

import importlib
import inspect
from collections.abc import Callable
from types import UnionType
from typing import Annotated, Any, Literal, Union, dataclass_transform, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand

from dicom2fhir.cli import config
from dicom2fhir.cli.guard import guarded
from dicom2fhir.cli.logs import Talk
from dicom2fhir.cli.plain import spare
from dicom2fhir.errors import Exit

# As fhir/policy.py and sinks/base.py have them, which are not imported for `--help` (a test holds them equal).
Write = Literal["put", "conditional-update", "conditional-create", "create"]
BundleType = Literal["transaction", "batch", "collection"]
Format = Literal["bundles", "bundle", "ndjson"]
Availability = Literal["ONLINE", "OFFLINE", "NEARLINE", "UNAVAILABLE"]
KeyObjects = Literal["auto", "off", "basic", "document"]
# As server/manner.py has them.
OnExisting = Literal["merge", "replace", "skip"]
Requests = Literal["auto", "bundle", "single"]
AuthKind = Literal["none", "basic", "bearer", "client-credentials"]

VERSIONS = "FHIR version: dstu2-ballot2, dstu2, stu3, r4 (default), r4b, r5, r6-ballot2, r6."
OUTPUT = "Output"
WRITING = "Resources and identity"
SITE = "The site"
SERVER = "The server"
PATIENCE = "Patience with the server (seconds)"
SCOPE = "What is read"
READING = "How it is read"
TALKING = "What is said"


def option(panel: str, help: str, *names: str, **more: Any) -> Any:
    """One option. The last of `names` is the long one; without names it is made from the field (by Typer)."""
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=False, show_envvar=False, **more)


def _use_config(ctx: typer.Context, value: str | None) -> str | None:
    """Make the file's options the defaults of this command; flags and the environment still win."""
    if value is not None and not ctx.resilient_parsing:
        found = config.defaults(config.load(value), kinds())
        ctx.default_map = {name.replace("-", "_"): setting for name, setting in found.items()}
    return value


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Options:
    """Fields as of a dataclass, given by name. Making seven real ones would take a third of the time of `--help`."""

    def __init__(self, **given: Any) -> None:
        self.__dict__.update(given)


class Common(Options):
    """What every command that works on input takes."""

    config: Annotated[
        str | None,
        option(
            TALKING, "TOML: options by long name, [issuers], [coding-schemes], [body-parts], [modalities].",
            "--config", metavar="FILE", is_eager=True, callback=_use_config,
        ),
    ] = None  # fmt: skip
    quiet: Annotated[bool, option(TALKING, "Say nothing but why it failed.", "-q", "--quiet")] = False
    verbose: Annotated[bool, option(TALKING, "Say more.", "-v", "--verbose")] = False
    log_format: Annotated[
        Literal["text", "json"], option(TALKING, "How it is said on standard error.", "--log-format")
    ] = "text"
    log_identifiers: Annotated[
        bool, option(TALKING, "Let file names, UIDs and values into what is said.", "--log-identifiers")
    ] = False


class Crawl(Common):
    """What every command that reads DICOM takes."""

    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH", help="Files and folders; - reads paths from standard input.", show_default=False
        ),
    ]
    null: Annotated[bool, option(SCOPE, "Paths on standard input end with NUL.", "-0", "--null")] = False
    exclude: Annotated[
        list[str] | None,
        option(SCOPE, "Leave out files and folders whose name or path matches.", "--exclude", metavar="GLOB"),
    ] = None
    exclude_modality: Annotated[
        list[str] | None, option(SCOPE, "Leave out instances, e.g. SR,KO.", "--exclude-modality", metavar="LIST")
    ] = None
    exclude_sop_class: Annotated[
        list[str] | None, option(SCOPE, "Leave out instances of a class.", "--exclude-sop-class", metavar="UID")
    ] = None
    follow_symlinks: Annotated[bool, option(SCOPE, "Follow symbolic links.", "--follow-symlinks")] = False

    jobs: Annotated[
        int | None,
        option(READING, "Processes that read and convert (default: the processors).", "--jobs", metavar="N", min=1),
    ] = None
    deadline: Annotated[
        float, option(READING, "How long one file may take (default: 30).", "--deadline", metavar="SECONDS", min=0.01)
    ] = 30.0
    memory_limit: Annotated[
        int, option(READING, "What one file may take (default: 1024).", "--memory-limit", metavar="MB", min=1)
    ] = 1024
    reader: Annotated[
        Literal["auto", "pydicom"],
        option(READING, "Let pydicom read what is unusual (auto), or every file: slower, same output.", "--reader"),
    ] = "auto"
    no_progress: Annotated[bool, option(TALKING, "No progress bar and no lines instead.", "--no-progress")] = False

    timezone: Annotated[
        str | None,
        option(SITE, "The zone of times without an offset, e.g. Europe/Berlin.", "--timezone", metavar="ZONE"),
    ] = None
    system: Annotated[
        list[str] | None,
        option(SITE, "Where a number names no issuer: accession=URI, patient=URI.", "--system", metavar="NAME=URI"),
    ] = None
    patient_map: Annotated[
        str | None,
        option(SITE, "CSV: system,value,reference,new_system,new_value.", "--patient-map", metavar="FILE"),
    ] = None
    force_patient: Annotated[
        bool, option(SITE, "Where a study names several patients, take the majority's.", "--force-patient")
    ] = False


class Serving(Options):
    """What every command that speaks to a FHIR server takes. Its defaults are those of server/target.py."""

    server: Annotated[
        str | None, option(SERVER, "Base address of a FHIR server: studies are sent to it.", "--server", metavar="URL")
    ] = None
    server_profile: Annotated[
        str, option(SERVER, "What is known of a kind of server (default: generic).", "--server-profile", metavar="NAME")
    ] = "generic"
    auth: Annotated[AuthKind, option(SERVER, "How we say who we are (default: none).", "--auth")] = "none"
    user: Annotated[str | None, option(SERVER, "Whose password it is.", "--user", metavar="NAME")] = None
    client_id: Annotated[str | None, option(SERVER, "For client-credentials.", "--client-id", metavar="ID")] = None
    token_url: Annotated[
        str | None, option(SERVER, "Where tokens are had, for client-credentials.", "--token-url", metavar="URL")
    ] = None
    token_scope: Annotated[str | None, option(SERVER, "What they are for.", "--token-scope", metavar="SCOPE")] = None
    secret_file: Annotated[
        str | None,
        option(
            SERVER,
            "Holds password, token or secret (else: DICOM2FHIR_SECRET).",
            "--secret-file",
            metavar="FILE",
        ),
    ] = None
    secret_command: Annotated[str | None, option(SERVER, "Prints it.", "--secret-command", metavar="COMMAND")] = None
    header: Annotated[
        list[str] | None,
        option(
            SERVER, "A header of every request; a value @FILE is read from there.", "--header", metavar="NAME:VALUE"
        ),
    ] = None
    cacert: Annotated[str | None, option(SERVER, "Certificates to trust, PEM.", "--cacert", metavar="FILE")] = None
    insecure_tls: Annotated[bool, option(SERVER, "Trust any certificate.", "--insecure-tls")] = False
    allow_http: Annotated[bool, option(SERVER, "Let data travel unencrypted.", "--allow-http")] = False
    proxy: Annotated[str | None, option(SERVER, "An HTTP proxy.", "--proxy", metavar="URL")] = None
    gzip: Annotated[bool, option(SERVER, "Compress what is sent.", "--gzip")] = False
    media_type: Annotated[
        str | None, option(SERVER, "Instead of the version's own.", "--media-type", metavar="TYPE")
    ] = None
    max_answer: Annotated[
        int, option(SERVER, "The longest answer that is read (default: 8).", "--max-answer", metavar="MB", min=1)
    ] = 8

    connect_timeout: Annotated[
        float, option(PATIENCE, "For a connection (default: 10).", "--connect-timeout", metavar="S", min=0.01)
    ] = 10.0
    read_timeout: Annotated[
        float,
        option(PATIENCE, "Between two pieces of an answer (default: 60).", "--read-timeout", metavar="S", min=0.01),
    ] = 60.0
    request_deadline: Annotated[
        float,
        option(PATIENCE, "For one request, all told (default: 300).", "--request-deadline", metavar="S", min=0.01),
    ] = 300.0
    backoff_min: Annotated[
        float, option(PATIENCE, "First wait before another try (default: 1).", "--backoff-min", metavar="S", min=0)
    ] = 1.0
    backoff_max: Annotated[
        float, option(PATIENCE, "Longest such wait (default: 60).", "--backoff-max", metavar="S", min=0)
    ] = 60.0
    retry_after_max: Annotated[
        float,
        option(
            PATIENCE, "Longest wait that a server may ask for (default: 300).", "--retry-after-max", metavar="S", min=0
        ),
    ] = 300.0
    give_up_after: Annotated[
        float,
        option(
            PATIENCE, "Silence after which the server is away (default: 300).", "--give-up-after", metavar="S", min=0
        ),
    ] = 300.0
    tries: Annotated[
        int, option(PATIENCE, "How often one request is made, a number (default: 8).", "--tries", metavar="N", min=1)
    ] = 8


class Delivering(Serving):
    """What every command that sends studies takes."""

    state: Annotated[
        str | None,
        option(SERVER, "A folder that remembers what was sent: the same command resumes.", "--state", metavar="DIR"),
    ] = None
    on_existing: Annotated[
        OnExisting, option(SERVER, "What becomes of a stored study (default: merge).", "--on-existing")
    ] = "merge"
    connections: Annotated[
        int | None, option(SERVER, "Requests at once (default: 4).", "--connections", metavar="N", min=1)
    ] = None
    requests: Annotated[
        Requests, option(SERVER, "A Bundle a study, or a resource a request (default: what it can).", "--requests")
    ] = "auto"
    max_entries: Annotated[
        int | None, option(SERVER, "The most resources in one Bundle.", "--max-entries", metavar="N", min=1)
    ] = None
    max_bytes: Annotated[
        int | None, option(SERVER, "The most bytes in one Bundle.", "--max-bytes", metavar="N", min=1)
    ] = None


class Convert(Crawl, Delivering):
    """Turn DICOM files into FHIR.

    One transaction Bundle a study, one a line, on standard output: studies, series and instances as ImagingStudy,
    with the patient and what else they refer to. Every file is accounted for; the end of standard error says what
    was lost and which option helps. Each option can be set as DICOM2FHIR_<NAME> in the environment, too.

    With --server the Bundles are sent instead: a stored study only grows, masters are never changed, and what was
    not accepted is counted and named.

    Exit codes: 0 all converted, 2 usage, 3 some input was lost, 4 configuration or authorization, 5 the machine
    failed or the server is away, 6 the server refused something, 9 nothing found, 11 output or state is held by
    another run.
    """

    output: Annotated[
        str | None,
        option(
            OUTPUT, "A folder (ends in / or exists) or a file (.gz compresses); - or nothing: standard output.",
            "-o", "--output", metavar="DEST",
        ),
    ] = None  # fmt: skip
    to: Annotated[str, option(OUTPUT, VERSIONS, "--to", metavar="VERSION")] = "r4"
    format: Annotated[
        Format, option(OUTPUT, "A Bundle a study (default), one Bundle, or bare resources.", "--format")
    ] = "bundles"
    pretty: Annotated[bool, option(OUTPUT, "Indent; for one Bundle, and Bundles in a folder.", "--pretty")] = False
    overwrite: Annotated[bool, option(OUTPUT, "Write over a file, or into a folder of others.", "--overwrite")] = False
    report: Annotated[
        str | None, option(OUTPUT, "JSON account of every file and problem.", "--report", metavar="FILE")
    ] = None
    dry_run: Annotated[bool, option(OUTPUT, "Do everything but write output.", "--dry-run")] = False

    bundle_type: Annotated[
        BundleType, option(WRITING, "What a server does with a Bundle (default: transaction).", "--bundle-type")
    ] = "transaction"
    write: Annotated[Write, option(WRITING, "How a server writes a study (default: put).", "--write")] = "put"
    patient: Annotated[
        str,
        option(WRITING, "auto (default), create, identifier, contained, or Patient/ID.", "--patient", metavar="MODE"),
    ] = "auto"
    create: Annotated[
        list[str] | None,
        option(WRITING, "The companions that may become resources, e.g. Patient,Endpoint.", "--create", metavar="LIST"),
    ] = None
    id_key_file: Annotated[
        str | None, option(WRITING, "A secret that keys the ids.", "--id-key-file", metavar="FILE")
    ] = None
    no_validate: Annotated[bool, option(WRITING, "Leave the referee out.", "--no-validate")] = False
    series_only: Annotated[bool, option(WRITING, "Count the instances, list none.", "--series-only")] = False
    max_instances: Annotated[
        int | None,
        option(WRITING, "List no instances of a study with more.", "--max-instances", metavar="N", min=0),
    ] = None
    key_objects: Annotated[
        KeyObjects,
        option(WRITING, "Key objects as the version has them (auto), or for r4: basic, document.", "--key-objects"),
    ] = "auto"
    manifest: Annotated[bool, option(WRITING, "For every study the manifest of what is written.", "--manifest")] = False

    wado_rs: Annotated[str | None, option(SITE, "Base address of WADO-RS.", "--wado-rs", metavar="URL")] = None
    wado_uri: Annotated[str | None, option(SITE, "Address of WADO-URI.", "--wado-uri", metavar="URL")] = None
    iid: Annotated[str | None, option(SITE, "Address of an IHE IID viewer.", "--iid", metavar="URL")] = None
    availability: Annotated[
        Availability | None,
        option(SITE, "How soon the images can be had; for versions up to STU3.", "--availability"),
    ] = None


class Inspect(Crawl):
    """Show the studies, series and problems below PATHs.

    The same crawl as convert; nothing is written. The patient is shown with --show-patient only.
    """

    json: Annotated[bool, option(OUTPUT, "One JSON document instead of a tree.", "--json")] = False
    show_patient: Annotated[bool, option(OUTPUT, "Show who was imaged.", "--show-patient")] = False


class Send(Common, Delivering):
    """Send Bundles that lie in files to a FHIR server.

    What convert wrote: Bundles, a Bundle a line, bare resources a line; folders of these; the refused ones in a state
    folder. Without a FILE, with --state: what earlier runs left there.

    Exit codes: 0 all accepted, 2 usage, 3 a FILE is no FHIR, 4 configuration or authorization, 5 the machine failed
    or the server is away, 6 the server refused something, 9 nothing to send, 11 the state is held by another run.
    """

    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE", help="JSON, NDJSON, .gz too, or folders; - is standard input.", show_default=False
        ),
    ] = None
    to: Annotated[str, option(OUTPUT, VERSIONS, "--to", metavar="VERSION")] = "r4"
    report: Annotated[
        str | None, option(OUTPUT, "JSON account of every Bundle and problem.", "--report", metavar="FILE")
    ] = None
    overwrite: Annotated[bool, option(OUTPUT, "Write the report over a file that is none.", "--overwrite")] = False
    dry_run: Annotated[bool, option(OUTPUT, "Do everything but write to the server.", "--dry-run")] = False
    no_progress: Annotated[bool, option(TALKING, "No progress bar and no lines instead.", "--no-progress")] = False


class Doctor(Common, Serving):
    """Ask a FHIR server what it can, and say what it lacks for the options given.

    Exit codes: 0 nothing is lacking, 2 usage, 4 something is, 5 the server is away.
    """

    to: Annotated[str, option(OUTPUT, VERSIONS, "--to", metavar="VERSION")] = "r4"
    bundle_type: Annotated[BundleType, option(WRITING, "As for convert (default: transaction).", "--bundle-type")] = (
        "transaction"
    )
    write: Annotated[Write, option(WRITING, "As for convert (default: put).", "--write")] = "put"
    patient: Annotated[str, option(WRITING, "As for convert (default: auto).", "--patient", metavar="MODE")] = "auto"
    create: Annotated[list[str] | None, option(WRITING, "As for convert.", "--create", metavar="LIST")] = None
    requests: Annotated[
        Requests, option(SERVER, "A Bundle a study, or a resource a request (default: what it can).", "--requests")
    ] = "auto"
    trial: Annotated[bool, option(OUTPUT, "Send a throwaway Bundle, read it, remove it.", "--trial")] = False
    json: Annotated[bool, option(OUTPUT, "One JSON document instead of a table.", "--json")] = False


class Validate(Common):
    """Check FHIR files: JSON, NDJSON, Bundles, compressed or not.

    One line a fault on standard output: file:line path message. Exit code 3 where there is one.
    """

    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="JSON or NDJSON, .gz too; - is standard input.", show_default=False),
    ]
    to: Annotated[str, option(OUTPUT, VERSIONS, "--to", metavar="VERSION")] = "r4"


class Problems(Options):
    """List every problem code with its bucket and its meaning."""

    json: Annotated[bool, option(OUTPUT, "A JSON list instead of a table.", "--json")] = False


class Map(Options):
    """Print the mapping: which attribute goes to which element, by which rule."""

    to: Annotated[str, option(OUTPUT, VERSIONS, "--to", metavar="VERSION")] = "r4"
    json: Annotated[bool, option(OUTPUT, "A JSON list instead of a table.", "--json")] = False


COMMANDS: tuple[type, ...] = (Convert, Send, Doctor, Inspect, Validate, Map, Problems)
_ONLY_HERE = frozenset(("config", "paths", "files"))


def long_name(field: str) -> str:
    """The config file's key, and the long option without its dashes."""
    return field.replace("_", "-")


def hints(options: type) -> dict[str, Any]:
    """Field -> its annotation, each with its environment variable."""
    found = get_type_hints(options, include_extras=True)
    for name, annotation in found.items():
        info = get_args(annotation)[1]
        if info.envvar is None and name not in ("paths", "files"):
            info.envvar = f"DICOM2FHIR_{name.upper()}"
    return found


def kinds() -> dict[str, config.Kind]:
    """What the config file may hold: long name -> kind of value, over all commands."""
    return {
        long_name(name): _kind(get_args(annotation)[0])
        for options in COMMANDS
        for name, annotation in hints(options).items()
        if name not in _ONLY_HERE
    }


def _kind(annotation: Any) -> config.Kind:
    if get_origin(annotation) in (UnionType, Union):  # `Literal[...] | None` is a Union
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Literal:
        return config.Kind("choice", get_args(annotation))
    if get_origin(annotation) is list:
        return config.Kind("list")
    return config.Kind({bool: "flag", int: "integer", float: "number", str: "text"}[annotation])


def command_name(options: type) -> str:
    """What the user calls the command that takes these options."""
    return options.__name__.lower()


def command(options: type) -> Callable[..., None]:
    """A command for Typer: its parameters are the fields of `options`, its help their docstring.

    The work is `dicom2fhir.cli.<name>.<name>(chosen, talk) -> Exit`, imported when it is called.
    """
    called = command_name(options)

    def run(**values: Any) -> None:
        chosen = options(**values)
        talk = _talk(values)
        raise typer.Exit(int(guarded(lambda: _work(called)(chosen, talk), talk)))

    annotations = hints(options)
    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=getattr(options, name, inspect.Parameter.empty),
            annotation=annotation,
        )
        for name, annotation in annotations.items()
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = annotations
    run.__name__ = called
    run.__doc__ = options.__doc__
    return run


def _work(name: str) -> Callable[[Any, Talk], Exit]:
    module = importlib.import_module(f"dicom2fhir.cli.{name}")
    work: Callable[[Any, Talk], Exit] = getattr(module, name)
    return work


def _talk(values: dict[str, Any]) -> Talk:
    verbosity = -1 if values.get("quiet") else int(values.get("verbose", False))
    return Talk(verbosity, values.get("log_format", "text"), values.get("log_identifiers", False))


class GroupedCommand(TyperCommand):
    """A command whose plain help shows the options in groups; drawing it with rich would cost 0.15 s."""

    def get_params(self, ctx: Any) -> Any:
        """The parameters, `--help` among them."""
        parameters = super().get_params(ctx)
        for parameter in parameters:
            spare(parameter)
        return parameters

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The arguments, then each group in the order of its first option."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                groups.setdefault(_group(parameter), []).append(record)
        for name in sorted(groups, key=_ORDER.index):
            with formatter.section(name):
                formatter.write_dl(groups[name])


_ORDER = ("Arguments", OUTPUT, WRITING, SERVER, SITE, SCOPE, READING, PATIENCE, TALKING)


def _group(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return "Arguments"
    return getattr(parameter, "rich_help_panel", None) or TALKING
