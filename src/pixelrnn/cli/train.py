"""The command `pixelrnn train`."""

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
            "shards; and recipe values to change, such as epochs=5.",
        ),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="A YAML file such as those in recipes/; by default 20 epochs of the default model.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The folder for results; outputs/ by default.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in the folder for results, with its own recipe.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in the folder for results.")] = False,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Start from fresh weights instead of the bundled ones.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[
        int | None,
        typer.Option(min=1, help="Processes on each machine, one for each GPU; by default 1, or what torchrun or SLURM set."),
    ] = None,
    nodes: Annotated[
        int | None, typer.Option("--num-nodes", min=1, help="Machines; by default 1, or what torchrun or SLURM set.")
    ] = None,
) -> None:
    """Train a model, starting from bundled weights if it has any. Saves optimized_pixelrnn.pth and draws the loss curve."""
    from .. import training

    words = inputs or []
    changes = [word for word in words if "=" in word and "://" not in word.split("=")[0]]  # a URL may contain = too
    overrides = changes + ["init_from=scratch"] * from_scratch
    named = [word for word in words if word not in changes]
    out = out or training.default_out()
    values = training.read_values(recipe, overrides)
    if resume and overwrite:
        raise PixelRNNError("--resume, --overwrite: one continues a run, the other replaces it. Give only one of them.")
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
