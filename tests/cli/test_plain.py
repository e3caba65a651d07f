"""Plain values come out as Typer's own coercion gives them; what is not plain is Typer's to say."""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated, Any, Literal

import pytest
import typer
from typer.testing import CliRunner

from dicom2fhir.cli.app import app
from dicom2fhir.cli.options import GroupedCommand
from dicom2fhir.cli.plain import NotPlain, plain

CHOICE = Literal["a", "b"]


@pytest.mark.parametrize(
    ("annotation", "least", "value", "expected"),
    [
        (str, None, None, None),
        (str, None, "", ""),
        (str, None, " x\udcff", " x\udcff"),
        (CHOICE, None, "b", "b"),
        (int, None, "007", 7),
        (int, 1, "1", 1),
        (list[str], None, None, []),
        (list[str], None, ("x", "y"), ["x", "y"]),
    ],
)
def test_plain(annotation: Any, least: float | None, value: Any, expected: Any) -> None:
    found = plain(annotation, least, value)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("annotation", "least", "value"),
    [
        (str, None, 1),
        (CHOICE, None, "A"),
        (CHOICE, None, 1),
        (int, 1, "0"),
        (int, None, "-1"),
        (int, None, " 1"),
        (int, None, "1_0"),
        (int, None, "٣"),
        (int, None, "1" * 10),
        (int, None, True),
        (float, None, "1"),
        (bool, None, "yes"),
        (list[str], None, "x"),
        (list[int], None, ("1",)),
    ],
)
def test_not_plain(annotation: Any, least: float | None, value: Any) -> None:
    with pytest.raises(NotPlain):
        plain(annotation, least, value)


ARGUMENTS = (
    (),
    ("x",),
    ("x", "y", "--number", "12", "--choice", "b", "--text", "t", "--more", "m", "--more", "n", "--flag"),
    ("x", "--number", "0"),
    ("x", "--number", "1_0"),
    ("x", "--number", "one"),
    ("x", "--number", "99999999999999999999"),
    ("x", "--choice", "c"),
    ("x", "--ratio", "0.5"),
    ("x", "--ratio", "nan"),
    ("x", "--flag", "--help"),
)
VARIABLES = ({}, {"FLAG": "yes"}, {"FLAG": "perhaps"}, {"NUMBER": " 7"}, {"MORE": "a b"}, {"CHOICE": ""})


@pytest.mark.parametrize("env", VARIABLES)
@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_a_command_takes_and_says_what_a_plain_one_of_typers_does(
    arguments: tuple[str, ...], env: dict[str, str]
) -> None:
    ours, theirs = typer.Typer(add_completion=False), typer.Typer(add_completion=False)
    ours.command(cls=GroupedCommand)(_command)
    theirs.command()(_command)
    found, expected = (CliRunner().invoke(each, arguments, env=env) for each in (ours, theirs))
    assert found.exit_code == expected.exit_code
    if "--help" not in arguments:
        assert found.output == expected.output


def _command(
    paths: list[str],
    number: Annotated[int, typer.Option(min=1, envvar="NUMBER")] = 3,
    ratio: Annotated[float, typer.Option(min=0.01)] = 1.5,
    text: str | None = None,
    choice: Annotated[CHOICE, typer.Option(envvar="CHOICE")] = "a",
    more: Annotated[list[str] | None, typer.Option(envvar="MORE")] = None,
    flag: Annotated[bool, typer.Option(envvar="FLAG")] = False,
) -> None:
    typer.echo(repr((paths, number, ratio, text, choice, more, flag)))


@pytest.mark.parametrize("arguments", [["convert", "x", "--jobs", "2", "--format", "ndjson"], ["inspect", "x"]])
def test_usual_options_are_read_without_pydantic(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from dicom2fhir.cli import app, options\n"
        "options._work = lambda name: lambda chosen, talk: print('pydantic' in sys.modules) or 0\n"
        "app.app()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_command_line_says_what_is_wrong_with_a_value() -> None:
    result = CliRunner().invoke(app, ["convert", "x", "--jobs", "0"])
    assert result.exit_code == 2
    assert "--jobs" in result.output
