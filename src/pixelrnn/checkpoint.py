"""Checkpoints: networks and their weights on disk. Nothing here runs code from a file.

Our format is one .safetensors file, whose header holds all that is needed to rebuild and to trust the network. A plain .pth
state dict loads, too; its network is recognised from its keys.
"""

import io
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors.numpy import save_file
from torch import nn

from .encode import write_atomically
from .errors import PixelRNNError
from .models import create_model, list_models, model_config
from .weights import DEFAULT, DETECTOR, checksum, find_weights, read_tensors

RENAMED = {"enter": "input_to_state", "carry": "state_to_state"}  # parts of tensors' names up to 0.1.0
NESTED = ("state_dict", "model_state_dict", "model", "net", "params")  # keys under which training programs keep the weights
PREFIXES = ("module.", "_orig_mod.", "model.")  # of DataParallel, torch.compile and Lightning


@dataclass(frozen=True)
class Checkpoint:
    """A network with its weights and their metadata."""

    model: nn.Module  # in eval mode, on the CPU
    name: str  # of the registered model
    metadata: dict[str, Any] = field(default_factory=dict)  # free JSON, such as data, time, figures, recipe


def save(path: Path, model: nn.Module, metadata: dict[str, Any], part: str = "all") -> None:
    """Write a checkpoint atomically: the weights and a header with name, config, `metadata` and a checksum.

    Args:
        path: The .safetensors file.
        model: A model from `create_model`.
        metadata: Free JSON.
        part: "all"; "filler" for a model to be bundled, in float16 and without its detector, which the bundled one replaces;
            or "detector" for the detector alone.
    """
    config = model_config(model)
    header: dict[str, Any] = {"model": model.name, "config": config, "about": metadata}
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    if part == "filler":
        header["detector"] = DETECTOR
        state = {key: value.half() for key, value in state.items() if not key.startswith("detector.")}
    elif part == "detector":
        state = {key: value for key, value in state.items() if key.startswith("detector.")}
    tensors = {key: value.numpy() for key, value in state.items()}
    header = json.loads(json.dumps(header))  # tuples become lists, as they are read back
    header["sha256"] = checksum(header, tensors)
    write_atomically(path, lambda temporary: save_file(tensors, temporary, metadata={"pixelrnn": json.dumps(header)}))


def save_plain(path: Path, model: nn.Module) -> None:
    """Write a plain state dict atomically, which `torch.load(path, weights_only=True)` reads."""
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    buffer = io.BytesIO()  # torch.save writes a file's own name into it, and the temporary one is random
    torch.save(state, buffer)
    write_atomically(path, lambda temporary: temporary.write_bytes(buffer.getvalue()))


def load(weights: str | Path = DEFAULT) -> Checkpoint:
    """Rebuild a network from its weights.

    Args:
        weights: A bundled name, a .safetensors file of ours, or a .pth file with a plain state dict.

    Raises:
        PixelRNNError: There is no such file, the file is of another program or holds more than plain tensors, its keys or
            shapes are of no registered model, or a weight is not finite.
    """
    path = find_weights(weights)
    checkpoint = _load_safetensors(path) if path.suffix == ".safetensors" else _load_plain(path)
    checkpoint.model.eval()
    if spoilt := [key for key, value in checkpoint.model.state_dict().items() if not value.isfinite().all()]:
        raise PixelRNNError(f"{path}: weights that are not finite, {spoilt[0]} first: their training diverged. Give others.")
    return checkpoint


def _load_safetensors(path: Path) -> Checkpoint:
    """Load a file of ours."""
    header, tensors = read_tensors(path)
    state = {_renamed(key): torch.from_numpy(value).float() for key, value in tensors.items()}
    try:
        if unknown := header.keys() - {"model", "config", "about"}:
            raise PixelRNNError(f"it also holds {', '.join(sorted(unknown))}")
        config = {key: tuple(value) if isinstance(value, list) else value for key, value in header["config"].items()}
        name, metadata = header["model"], dict(header["about"])
        model = create_model(name, **config)
        # today's default of an option may describe another network than the one that was trained, unless the option says
        # what held before it existed
        newer = [
            option.name
            for option in fields(model.config)  # type: ignore[arg-type]
            if option.name not in config and option.metadata.get("before", option) != option.default
        ]
        if newer:
            raise PixelRNNError(f"it was saved by a version without {', '.join(newer)}")
    except (KeyError, TypeError, ValueError, AttributeError, PixelRNNError) as error:
        raise PixelRNNError(f"{path}: its header does not describe a network of ours ({error}).") from None
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()[:200]
        raise PixelRNNError(f"{path}: its weights do not fit its own model {name} ({reason}).") from None
    return Checkpoint(model, name, metadata)


def _renamed(key: str) -> str:
    """Today's name of a tensor."""
    return ".".join(RENAMED.get(part, part) for part in key.split("."))


def _state_dict(content: Any) -> dict[str, torch.Tensor] | None:
    """The tensors by name in a .pth file's content, at the top or under one of NESTED; None if there are none."""
    if not isinstance(content, dict):
        return None
    if all(isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in content.items()):
        return content
    nested = (_state_dict(content[name]) for name in NESTED if name in content)
    return next((state for state in nested if state is not None), None)


def _without_prefixes(state: dict[str, torch.Tensor]) -> Iterator[dict[str, torch.Tensor]]:
    """The state dict, and what is left of it after removing any sequence of PREFIXES."""
    yield state
    for prefix in PREFIXES:
        if stripped := {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}:
            yield from _without_prefixes(stripped)


def _load_plain(path: Path) -> Checkpoint:
    """Load a plain state dict as the first registered model that it fits."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of pickles that it did not write; the error below covers them
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # on a damaged file, torch raises whatever its parsers raise
        content = None
    state = _state_dict(content)
    if state is None:
        raise PixelRNNError(
            f"{path}: not a plain state dict of tensors, which is all that is read from a .pth (anything else could run code). "
            "Save it with torch.save(model.state_dict(), path)."
        )
    shares: dict[str, float] = {}  # of each model's tensors that the file has, by model
    for name in list_models():
        model = create_model(name)
        own = model.state_dict()
        for candidate in _without_prefixes(state):
            if own.keys() == candidate.keys() and all(own[key].shape == candidate[key].shape for key in own):
                model.load_state_dict(candidate)
                return Checkpoint(model, name, {"note": f"plain state dict, recognised as {name} from its keys"})
            share = sum(key in candidate and own[key].shape == candidate[key].shape for key in own) / len(own)
            shares[name] = max(share, shares.get(name, 0))
    best = max(shares, key=lambda name: shares[name])
    raise PixelRNNError(
        f"{path}: weights of another model; the nearest of ours, {best}, shares {shares[best]:.0%} of its tensors. "
        f"Expected the state dict of one of: {', '.join(list_models())}."
    )
