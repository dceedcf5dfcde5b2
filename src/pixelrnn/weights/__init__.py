"""The bundled checkpoints: the network that completes twice, once for the lowest error and once with texture, their ONNX files,
and the PixelRNN that draws samples for either."""

from pathlib import Path

from ..errors import PixelRNNError, nearest

EXPECTED, SHARP, SAMPLER = "bedrooms-expected", "bedrooms-sharp", "bedrooms-sampler"
DEFAULT = EXPECTED  # what people would choose by eye: misplaced strokes stand out more than a soft patch does
DETECTOR = ".detector.onnx"  # ends the name of the file beside NAME.onnx that has the detector alone


def bundled_weights() -> dict[str, Path]:
    """Those that complete pictures, their files by name."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.safetensors")) if path.stem != SAMPLER}


def find_weights(weights: str | Path) -> Path:
    """The file of a bundled name or a path. Raises PixelRNNError, naming the bundled ones, where there is none."""
    bundled = bundled_weights()
    if str(weights) in bundled:
        return bundled[str(weights)]
    path = Path(__file__).parent / f"{SAMPLER}.safetensors" if str(weights) == SAMPLER else Path(weights)
    if path.is_file():
        return path
    raise PixelRNNError(
        f"{weights}: no such weights{nearest(str(weights), list(bundled))} "
        f"Give a .safetensors, .onnx or .pth file, or a bundled name: {', '.join(bundled) or 'none here'}."
    )
