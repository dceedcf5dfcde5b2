"""What the commands share: the application, common options, and output to the terminal."""

from collections.abc import Collection
from functools import cache
from typing import TYPE_CHECKING, Annotated

import typer

from .. import __version__
from ..errors import PixelRNNError
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
        "OWNER/NAME or OWNER/NAME@REVISION on the Hugging Face hub."
    ),
]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]


def _print_version(asked: bool) -> None:
    """Print the version and exit, if --version is given."""
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


@cache
def console(stderr: bool = False) -> "Console":
    """Return the shared rich console for standard output, or for standard error."""
    from rich.console import Console

    shared = Console(stderr=stderr)
    if not shared.is_terminal:
        shared.width = 120  # for tables in a log or a pipe, where rich's own default is 80
    return shared


def progress_bar(hidden: bool = False) -> "Progress":
    """Return a bar with the count and the remaining time; it shows nothing if `hidden`, or if the output is no terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    out = console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=out, disable=hidden or not out.is_terminal)


def say(text: str) -> None:
    """Print text, with unprintable characters escaped."""
    typer.echo("\n".join(printable(line) for line in text.split("\n")))


def complain(text: str) -> None:
    """Print an error as one line, even if a file name holds line breaks."""
    typer.secho(f"error: {printable(text)}", fg="red", err=True)


def printable(text: str) -> str:
    """Return the text with unprintable characters, such as line breaks and terminal codes, as escape sequences."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def check_choice(option: str, value: str, choices: Collection[str]) -> None:
    """Raise PixelRNNError if the value of an option is none of its choices."""
    if value not in choices:
        raise PixelRNNError(f"{option} {value}: expected {', '.join(choices)}.")
