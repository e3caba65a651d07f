"""The command line: `dicom2fhir convert | send | doctor | inspect | validate | map | problems`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup
from typer.main import get_command

from dicom2fhir import __version__
from dicom2fhir.cli.guard import explain
from dicom2fhir.cli.logs import Talk
from dicom2fhir.cli.options import COMMANDS, GroupedCommand, command, command_name


class Commands(TyperGroup):
    """The commands, by name and help; one is made with its parameters when it is called. All would take 0.05 s."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments begin with, and the arguments left for it."""
        name, _, rest = super().resolve_command(ctx, args)
        options = next(each for each in COMMANDS if command_name(each) == name)
        alone = typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)
        alone.command(cls=GroupedCommand)(command(options))
        return name, get_command(alone), rest


app = typer.Typer(
    name="dicom2fhir",
    cls=Commands,
    rich_markup_mode=None,
    no_args_is_help=True,
    # Typer's own options of the group have no default, and for such a one it imports pydantic: 0.1 s of every `--help`.
    add_completion=False,
    add_help_option=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dicom2fhir {__version__}")
        raise typer.Exit


def _show_help(ctx: typer.Context, wanted: bool) -> None:
    if wanted:
        typer.echo(ctx.get_help())
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version)
    ] = False,
    help: Annotated[
        bool, typer.Option("-h", "--help", help="Show this message.", is_eager=True, callback=_show_help)
    ] = False,
) -> None:
    """Turn DICOM files into FHIR ImagingStudy resources: every file accounted for, nothing invented."""


def _unmade(options: type) -> Callable[[], None]:
    """What stands for a command in lists: its name and its help."""

    def run() -> None: ...

    run.__name__, run.__doc__ = command_name(options), options.__doc__
    return run


for _options in COMMANDS:
    app.command()(_unmade(_options))


def run() -> NoReturn:
    """Run the command line; ends the process."""
    try:
        app(prog_name="dicom2fhir")
    except Exception as failure:  # what was wrong before a command began, such as the config file
        sys.exit(int(explain(failure, Talk())))
    sys.exit(0)
