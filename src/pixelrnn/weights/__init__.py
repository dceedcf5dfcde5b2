"""The bundled checkpoints, and how the tensors of a .safetensors file are read without torch.

The two networks that complete, NAME.safetensors each, hold what fills in float16; they share one detector. The graphs that ONNX
Runtime runs, FILL and DETECT, hold no weights: those come from the checkpoints, so that each number is stored once.
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
TRAINED = "optimized_pixelrnn"  # of the files that a run writes
FOLDER = Path(__file__).parent
FILL, DETECT = (FOLDER / f"optimized_pixelrnn.{part}.onnx" for part in ("fill", "detect"))


def bundled_weights() -> dict[str, Path]:
    """Those that complete pictures, their files by name."""
    return {name: path for name in (EXPECTED, SHARP) if (path := FOLDER / f"{name}.safetensors").is_file()}


def find_weights(weights: str | Path) -> Path:
    """The file of a bundled name, a path, the folder of a run, or what a text names on the hub: `OWNER/NAME[@REVISION]` or
    `hf://OWNER/NAME[@REVISION][/FILE]`, downloaded where it is not in the cache.

    What is bundled comes first, then what is here. Raises PixelRNNError where there is none, naming the bundled ones.
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
    """The header that `checkpoint.save` wrote, and the tensors as they are stored, those of a shared part included.

    Raises PixelRNNError for a file that is not ours, or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as opened:
            header = json.loads((opened.metadata() or {}).get("pixelrnn", "null"))
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118  safe_open is no dict
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise PixelRNNError(
            f"{path}: not a readable .safetensors file ({error}). Train or download the weights again."
        ) from None
    if header is None:
        raise PixelRNNError(f"{path}: weights of another program, without our header. Give a file that pixelrnn saved.")
    # files from before there were checksums have none
    if isinstance(header, dict) and "sha256" in header and header.pop("sha256") != checksum(header, tensors):
        raise PixelRNNError(f"{path}: damaged: its checksum does not hold. Train or download the weights again.")
    if isinstance(header, dict) and header.pop("detector", None) == DETECTOR:
        shared, more = read_tensors(FOLDER / f"{DETECTOR}.safetensors")
        tensors |= more
        header["config"] |= {key: value for key, value in shared["config"].items() if key.startswith("detector_")}
    return header, tensors


def checksum(header: dict[str, Any], tensors: dict[str, np.ndarray]) -> str:
    """SHA-256 over header and tensors, in hexadecimal digits."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for key, value in sorted(tensors.items()):
        digest.update(f"{key} torch.{value.dtype} {list(value.shape)}".encode())
        digest.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
