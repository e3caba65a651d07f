"""Options: where they come from, which wins, and what the help costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.testing import CliRunner

from dicom2fhir import __version__
from dicom2fhir.cli import options
from dicom2fhir.cli.app import app
from dicom2fhir.errors import ConfigurationError, Exit
from dicom2fhir.fhir import policy
from dicom2fhir.sinks import base

PROMISED = """to format pretty bundle-type write patient patient-map create id-key-file wado-rs wado-uri iid timezone
    system config exclude exclude-modality exclude-sop-class series-only max-instances follow-symlinks force-patient
    jobs dry-run report overwrite quiet verbose log-format no-progress log-identifiers deadline memory-limit null
    no-validate output"""


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command line up to the work; what was chosen, or the exit code and what was said."""

    def run(*arguments: str, env: dict[str, str] | None = None) -> Any:
        caught: list[Any] = []

        def work(name: str) -> Any:
            return lambda values, talk: caught.append(values) or Exit.OK

        monkeypatch.setattr(options, "_work", work)
        result = CliRunner().invoke(app, arguments, env=env)
        if isinstance(result.exception, ConfigurationError):
            raise result.exception
        return caught[0] if caught else result.exit_code

    return run


def config(tmp_path: Path, text: str) -> str:
    path = tmp_path / f"config{len(list(tmp_path.iterdir()))}.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", PROMISED.split())
def test_every_promised_option_is_there(name: str) -> None:
    shown = CliRunner().invoke(app, ["convert", "--help"], terminal_width=200).stdout
    assert f"--{name} " in shown or f"--{name}\n" in shown


@pytest.mark.parametrize("command", ["convert", "inspect", "validate", "problems"])
def test_every_command_and_option_has_help(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    for cls in options.COMMANDS:
        for name, annotation in options.hints(cls).items():
            assert get_args(annotation)[1].help, name


def test_the_choices_are_those_of_the_rooms_that_know_them() -> None:
    assert get_args(options.Write) == get_args(policy.Write)
    assert get_args(options.BundleType) == get_args(policy.BundleType)
    assert get_args(options.Availability) == get_args(policy.Availability)
    assert get_args(options.KeyObjects) == get_args(policy.KeyObjects)
    assert get_args(options.Format) == get_args(base.Format) == get_args(policy.Shape)


def test_the_defaults_are_the_policys() -> None:
    made, default = options.Convert(paths=["x"]), policy.Policy()
    assert (made.write, made.bundle_type, made.format, made.patient) == (
        default.write,
        default.bundle_type,
        default.shape,
        default.patient,
    )


def test_flags_beat_the_environment_beats_the_config_beats_the_default(chosen: Any, tmp_path: Path) -> None:
    file = config(
        tmp_path, 'timezone = "Europe/Rome"\nformat = "ndjson"\njobs = 3\nexclude = ["a", "b"]\npretty = true\n'
    )
    flags = ("convert", "x", "--config", file)
    assert chosen("convert", "x").timezone is None
    assert chosen(*flags).timezone == "Europe/Rome"
    assert chosen(*flags, env={"DICOM2FHIR_TIMEZONE": "Asia/Tokyo"}).timezone == "Asia/Tokyo"
    both = chosen(*flags, "--timezone", "UTC", env={"DICOM2FHIR_TIMEZONE": "Asia/Tokyo"})
    assert both.timezone == "UTC"
    assert (both.format, both.jobs, both.exclude, both.pretty) == ("ndjson", 3, ["a", "b"], True)
    assert chosen("convert", "x", env={"DICOM2FHIR_CONFIG": file}).jobs == 3


def test_every_option_has_its_variable(chosen: Any) -> None:
    env = {"DICOM2FHIR_EXCLUDE": "a b", "DICOM2FHIR_DRY_RUN": "1", "DICOM2FHIR_MEMORY_LIMIT": "64"}
    values = chosen("convert", "x", env=env)
    assert (values.exclude, values.dry_run, values.memory_limit) == (["a", "b"], True, 64)


def test_one_config_serves_all_commands(chosen: Any, tmp_path: Path) -> None:
    file = config(
        tmp_path, 'format = "ndjson"\ntimezone = "UTC"\n[system]\npatient = "urn:oid:1.2"\n[issuers]\nA = "urn:x:y"\n'
    )
    assert chosen("inspect", "x", "--config", file).system == ["patient=urn:oid:1.2"]
    assert chosen("validate", "x", "--config", file).to == "r4"


@pytest.mark.parametrize(
    "text",
    [
        'timezon = "UTC"',
        'timezone = 1',
        'pretty = "yes"',
        'jobs = "two"',
        "jobs = true",
        "deadline = [1]",
        "exclude = [1]",
        'format = "xml"',
        "[unknown]",
        'paths = ["a"]',
        "no toml",
    ],
)  # fmt: skip
def test_no_config(chosen: Any, tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError):
        chosen("convert", "x", "--config", config(tmp_path, text))


def test_a_config_that_cannot_be_read(chosen: Any, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ConfigurationError) as failure:
            chosen("convert", "x", "--config", str(path))
        assert str(tmp_path) not in str(failure.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ("convert",),
        ("convert", "x", "--format", "xml"),
        ("convert", "x", "--write", "delete"),
        ("convert", "x", "--jobs", "0"),
        ("convert", "x", "--deadline", "0"),
        ("convert", "x", "--max-instances", "-1"),
        ("convert", "x", "--unknown"),
        ("bogus",),
    ],
)
def test_usage(chosen: Any, arguments: tuple[str, ...]) -> None:
    assert chosen(*arguments) == Exit.USAGE


def test_paths_may_be_any_bytes(chosen: Any) -> None:
    name = b"scan\xff\n.dcm".decode("utf-8", "surrogateescape")
    values = chosen("convert", name, "-0", "-o", name)
    assert (values.paths, values.output, values.null) == ([name], name, True)


def test_version() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout == f"dicom2fhir {__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["convert", "--help"], ["--version"], ["problems"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; sys.argv = ['dicom2fhir', *sys.argv[1:]]\n"
        "from dicom2fhir.cli.app import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        "heavy = {'pydicom', 'fhir', 'rich', 'pydantic', 'sqlite3', 'numpy'} & set(sys.modules)\n"
        "print(sorted(heavy), file=sys.stderr)\n"
    )
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert result.stderr == "[]\n"
