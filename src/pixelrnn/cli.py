"""The command `pixelrnn`. Imports that take seconds happen inside the commands."""

import os

# two threads that spin while they wait are slower than one on a busy machine; must be set before torch is imported
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .errors import PixelRNNError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="Complete occluded photographs, bedrooms first.")
console = Console()


@app.command()
def train(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DATA]... [KEY=VALUE]...", help="Folders of pairs or photographs (data/ by default), and changes to the recipe."
        ),
    ] = None,
    recipe: Annotated[Path | None, typer.Option(help="A YAML file, as in recipes/; the described run by default.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for results; outputs/ by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in the folder for results.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Train a model; saves optimized_pixelrnn.pth and draws the loss curve."""
    from . import training

    words = inputs or []
    overrides = [word for word in words if "=" in word]
    folders = [Path(word) for word in words if "=" not in word] or [Path("data")]
    chosen, options = training.read_recipe(recipe, overrides)
    out = out or training.default_out()
    weights = training.train(folders, chosen, options, out, resume, device, console)
    console.print(
        f"Saved {weights.with_suffix('.pth')} and {weights}; the curve is {out / 'loss_curve.png'}.\n"
        f"Complete a picture with them: pixelrnn complete PICTURE --weights {weights}",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def models() -> None:
    """List the bundled weights and the registered models."""
    from .checkpoint import bundled_weights
    from .models import list_models

    console.print(f"bundled weights: {', '.join(bundled_weights())}\nmodels: {', '.join(list_models())}", highlight=False)


def main() -> None:
    """Run the command; an error for the user is one line and exit code 2."""
    try:
        app()
    except PixelRNNError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
