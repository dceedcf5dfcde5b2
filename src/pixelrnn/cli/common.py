"""What the commands share: the application, options of several, and how they speak."""

from functools import cache
from typing import TYPE_CHECKING, Annotated

import typer

from .. import __version__
from ..weights import EXPECTED, SHARP

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

NAMES = {"help_option_names": ["-h", "--help"]}
app = typer.Typer(
    no_args_is_help=True,
    context_settings=NAMES,
    pretty_exceptions_enable=False,
    help="Complete occluded photographs, bedrooms first.",
)
Weights = Annotated[
    str,
    typer.Option(
        help=f"{SHARP} (default), {EXPECTED} (least error, softer), a .safetensors file, a plain .pth state dict, or "
        "OWNER/NAME[@REVISION] on the Hugging Face hub."
    ),
]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_tell_version, is_eager=True)
    ] = False,
) -> None:
    pass


@cache
def console(stderr: bool = False) -> "Console":
    from rich.console import Console

    made = Console(stderr=stderr)
    if not made.is_terminal:
        made.width = 120  # tables in a log or a pipe, where rich would take 80
    return made


def progress_bar(hidden: bool = False) -> "Progress":
    """A bar with the count, the rate and the remaining time; nothing where the output is no terminal, or `hidden`."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    out = console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=out, disable=hidden or not out.is_terminal)


def say(text: str) -> None:
    typer.echo("\n".join(printable(line) for line in text.split("\n")))


def complain(text: str) -> None:
    """An error as one line, whatever a file's name holds."""
    typer.secho(f"error: {printable(text)}", fg="red", err=True)


def printable(text: str) -> str:
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
