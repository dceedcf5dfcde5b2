"""`pixelrnn train`."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import PixelRNNError
from .common import console


def train(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DATA]... [KEY=VALUE]...",
            help="Folders of pairs or photographs (data/ by default), LMDB folders, tar shards, hf://OWNER/NAME or a URL of "
            "shards, and changes to the recipe.",
        ),
    ] = None,
    recipe: Annotated[Path | None, typer.Option(help="A YAML file, as in recipes/; the described run by default.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for results; outputs/ by default.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the folder for results, by its own recipe.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Remove the run that is in the folder for results.")] = False,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Begin from fresh weights, not from the bundled ones.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[
        int | None, typer.Option(min=1, help="Processes on each machine, one for each GPU; 1, or as torchrun or SLURM say.")
    ] = None,
    nodes: Annotated[int | None, typer.Option("--num-nodes", min=1, help="Machines; 1, or as torchrun or SLURM say.")] = None,
) -> None:
    """Train a model, from the bundled weights where there are some; saves optimized_pixelrnn.pth and draws the loss curve."""
    from .. import training

    words = inputs or []
    changes = [word for word in words if "=" in word and "://" not in word.split("=")[0]]  # a URL may hold one
    overrides = changes + ["init_from=scratch"] * from_scratch
    named = [word for word in words if word not in changes]
    out = out or training.default_out()
    values = training.read_values(recipe, overrides)
    if resume and overwrite:
        raise PixelRNNError("--resume, --overwrite: goes on with a run, or removes it. Give one of the two.")
    if resume:
        named, values = training.go_on(out, named, values)
    chosen, options = training.make_recipe(values)
    weights = training.train(named or ["data"], chosen, options, out, resume, device, console(), overwrite, devices, nodes)
    console().print(
        f"Saved {weights.with_suffix('.pth')} and {weights}; the curve is {out / 'loss_curve.png'}.\n"
        f"Complete a picture with them: pixelrnn complete PICTURE --weights {weights}",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )
