"""Weights that there are, and in other formats: `pixelrnn export` and `pixelrnn models`."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import PixelRNNError
from ..hub import read_address
from ..weights import DEFAULT, SAMPLER, bundled_weights
from .common import say


def export(
    weights: Annotated[str, typer.Argument(help="A bundled name, a .safetensors file, or a plain .pth state dict.")] = DEFAULT,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The ONNX file; beside the weights by default.")] = None,
    pipeline: Annotated[
        Path | None,
        typer.Option(
            help="Write finder and fill as one graph with bytes in and out instead, to this file: image uint8 (H, W, 3) and "
            "mask uint8 (H, W), 0 everywhere to have it found, to the picture; crop, resize and paste inside, for a browser."
        ),
    ] = None,
    bundled: Annotated[
        bool, typer.Option("--bundled", help="Write those of all bundled weights anew, after a checkpoint was replaced.")
    ] = False,
) -> None:
    """Write a network as an ONNX file of any batch, height and width, checked against torch; needs pixelrnn[train]."""
    from ..checkpoint import load
    from ..inference import export as exporting
    from ..weights import find_weights

    if bundled:
        for path in exporting.export_bundled():
            say(str(path))
        return
    path = find_weights(weights)
    if pipeline is not None:
        from ..inference.pipeline import export_pipeline

        export_pipeline(load(path).model, pipeline)
        say(str(pipeline))
        return
    if out is None and not Path(weights).exists() and read_address(weights) is not None:
        raise PixelRNNError(f"{weights}: comes from the hub, beside it is the hub's own cache. Say where to: --out FILE.onnx.")
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
