"""`pixelrnn train`."""

from pathlib import Path
from typing import Annotated

import typer

from .common import console, say


def train(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DATA]... [KEY=VALUE]...",
            help="Folders of pairs or photographs (data/ by default), and changes to the recipe.",
        ),
    ] = None,
    recipe: Annotated[Path | None, typer.Option(help="A YAML file, as in recipes/; the described run by default.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for results; outputs/ by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in the folder for results.")] = False,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Begin from fresh weights, not from the bundled ones.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Train a model, from the bundled weights where there are some; saves optimized_pixelrnn.pth and draws the loss curve."""
    from .. import training

    words = inputs or []
    overrides = [word for word in words if "=" in word] + ["start_from=scratch"] * from_scratch
    folders = [Path(word) for word in words if "=" not in word] or [Path("data")]
    chosen, options = training.read_recipe(recipe, overrides)
    out = out or training.default_out()
    weights = training.train(folders, chosen, options, out, resume, device, console())
    say(
        f"Saved {weights.with_suffix('.pth')} and {weights}; the curve is {out / 'loss_curve.png'}.\n"
        f"Complete a picture with them: pixelrnn complete PICTURE --weights {weights}"
    )
