"""The bundled checkpoints, and a reader of .safetensors files that needs no torch.

Two completion networks are bundled, NAME.safetensors each. They hold the filling network in float16, and share one detector.
The graphs that ONNX Runtime runs, FILL and DETECT, hold no weights: the weights come from the checkpoints, so that each number
is stored once.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import PixelRNNError, nearest
from ..hub import fetch, read_address

EXPECTED, SHARP, SAMPLER, DETECTOR = "bedrooms-expected", "bedrooms-sharp", "bedrooms-sampler", "bedrooms-detector"
DEFAULT = SHARP
TEMPERATURE = 0.7  # of samples: at 1 they are as diverse as the truth, and people prefer calmer ones
TRAINED = "optimized_pixelrnn"  # the stem of the weights that a run writes
FOLDER = Path(__file__).parent
FILL, DETECT = (FOLDER / f"optimized_pixelrnn.{part}.onnx" for part in ("fill", "detect"))


def bundled_weights() -> dict[str, Path]:
    """The files of the bundled completion networks, by name."""
    return {name: path for name in (EXPECTED, SHARP) if (path := FOLDER / f"{name}.safetensors").is_file()}


def find_weights(weights: str | Path) -> Path:
    """Find the file of weights.

    Args:
        weights: a bundled name, a path, the folder of a run, or a name on the hub: `OWNER/NAME[@REVISION]` or
            `hf://OWNER/NAME[@REVISION][/FILE]`. Bundled names come first, then files on this machine.

    Returns:
        The path of the file; one on the hub is downloaded, unless it is in the cache.

    Raises:
        PixelRNNError: there are no such weights. The error names the bundled ones.
    """
    bundled = bundled_weights()
    if str(weights) in bundled:
        return bundled[str(weights)]
    path = FOLDER / f"{SAMPLER}.safetensors" if str(weights) == SAMPLER else Path(weights)
    if (run := path / f"{TRAINED}.safetensors").is_file():
        return run
    if path.is_file():
        return path
    if isinstance(weights, str) and not path.exists() and (address := read_address(weights)) is not None:
        return fetch(address)
    raise PixelRNNError(
        f"{weights}: no such weights{nearest(str(weights), list(bundled))} Give a .safetensors, .onnx or .pth file, OWNER/NAME "
        f"on the Hugging Face hub, or a bundled name: {', '.join(bundled) or 'none here'}."
    )


def read_tensors(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a .safetensors file that `checkpoint.save` wrote.

    Returns:
        The header, and the tensors by name as they are stored, with those of a shared detector.

    Raises:
        PixelRNNError: the file is damaged, or another program wrote it.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as opened:
            header = json.loads((opened.metadata() or {}).get("pixelrnn", "null"))
            names = opened.keys()
            tensors = {name: opened.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise PixelRNNError(
            f"{path}: not a readable .safetensors file ({error}). Train or download the weights again."
        ) from None
    if header is None:
        raise PixelRNNError(f"{path}: weights of another program, without our header. Give a file that pixelrnn saved.")
    # older files have no checksum
    if isinstance(header, dict) and "sha256" in header and header.pop("sha256") != checksum(header, tensors):
        raise PixelRNNError(f"{path}: damaged: its checksum is wrong. Train or download the weights again.")
    if isinstance(header, dict) and header.pop("detector", None) == DETECTOR:
        shared, detector = read_tensors(FOLDER / f"{DETECTOR}.safetensors")
        tensors |= detector
        header["config"] |= {key: value for key, value in shared["config"].items() if key.startswith("detector_")}
    return header, tensors


def checksum(header: dict[str, Any], tensors: dict[str, np.ndarray]) -> str:
    """SHA-256 of a header and tensors, in hexadecimal digits."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for key, value in sorted(tensors.items()):
        digest.update(f"{key} torch.{value.dtype} {list(value.shape)}".encode())
        digest.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
