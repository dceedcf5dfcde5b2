"""The commands `pixelrnn export` and `pixelrnn models`."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import PixelRNNError
from ..hub import read_address
from ..weights import DEFAULT, SAMPLER, bundled_weights
from .common import say


def export(
    weights: Annotated[str, typer.Argument(help="A bundled name, a .safetensors file, or a plain .pth state dict.")] = DEFAULT,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The ONNX file to write; beside the weights by default.")
    ] = None,
    pipeline: Annotated[
        Path | None,
        typer.Option(
            help="Instead write detector and completion as one graph to this file, for a browser. Its inputs are bytes: image "
            "uint8 (H, W, 3) and mask uint8 (H, W), all 0 to detect the occlusion; its output is the completed image. Crop, "
            "resize and paste are part of the graph."
        ),
    ] = None,
    bundled: Annotated[
        bool, typer.Option("--bundled", help="Rewrite the graphs of the bundled weights, after a checkpoint was replaced.")
    ] = False,
) -> None:
    """Export a network as an ONNX file for any batch, height and width, and check it against torch. Needs the train extra."""
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
        raise PixelRNNError(
            f"{weights}: comes from the hub's own cache, where nothing else is written. Choose a file: --out FILE.onnx."
        )
    target = out or path.with_suffix(".onnx")
    exporting.export_onnx(load(path).model, target)
    say(str(target))


def models() -> None:
    """List the bundled weights and, if torch is installed, the models that can be trained."""
    from importlib.util import find_spec

    say(f"bundled weights: {', '.join(bundled_weights())}; {SAMPLER}, which draws samples for both")
    if find_spec("torch") is not None:
        from ..models import list_models

        say(f"models: {', '.join(list_models())}")
