"""Weights that there are, and in other formats: `pixelrnn export` and `pixelrnn models`."""

from pathlib import Path
from typing import Annotated

import typer

from ..weights import DEFAULT, SAMPLER, bundled_weights
from .common import say


def export(
    weights: Annotated[str, typer.Argument(help="A bundled name, a .safetensors file, or a plain .pth state dict.")] = DEFAULT,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The ONNX file; beside the weights by default.")] = None,
    bundled: Annotated[
        bool, typer.Option("--bundled", help="Write those of all bundled weights anew, after a checkpoint was replaced.")
    ] = False,
) -> None:
    """Write a network as an ONNX file of any batch, height and width, checked against torch; needs pixelrnn[train]."""
    from .. import export as exporting
    from ..checkpoint import load
    from ..weights import find_weights

    if bundled:
        for path in exporting.export_bundled():
            say(str(path))
        return
    path = find_weights(weights)
    target = out or path.with_suffix(".onnx")
    exporting.export_onnx(load(path).model, target)
    say(str(target))


def models() -> None:
    """List the bundled weights, and, where torch is installed, the models that can be trained."""
    from importlib.util import find_spec

    say(f"bundled weights: {', '.join(bundled_weights())}; {SAMPLER}, which draws samples for both")
    if find_spec("torch") is not None:
        from ..models import list_models

        say(f"models: {', '.join(list_models())}")
