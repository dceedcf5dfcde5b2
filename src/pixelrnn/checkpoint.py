"""Weights on disk: one .safetensors file whose header holds all that is needed to rebuild and to trust the network; or a plain
.pth state dict, whose network is recognised from its keys. Nothing here runs code from a file.
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
NESTED = ("state_dict", "model_state_dict", "model", "net", "params")  # under which training programs keep the weights
PREFIXES = ("module.", "_orig_mod.", "model.")  # of DataParallel, torch.compile and Lightning


@dataclass(frozen=True)
class Checkpoint:
    """A network with its weights, and what is known of them: `metadata` is free JSON (data, time, figures, recipe)."""

    model: nn.Module  # in eval mode, on the CPU
    name: str  # of the registered model
    metadata: dict[str, Any] = field(default_factory=dict)


def save(path: Path, model: nn.Module, metadata: dict[str, Any], part: str = "all") -> None:
    """Write the weights of a model from create_model, with name, config and `metadata` in the header, and a checksum of all,
    whole or not at all.

    part: "all"; of a model to be bundled the "filler" alone, in float16, whose detector is the bundled one, whatever the
    model's own; or the "detector" alone.
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
    """Write the plain state dict that `torch.load(path, weights_only=True)` gives back, whole or not at all."""
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    buffer = io.BytesIO()  # torch.save writes a file's own name into it, and the temporary one is random
    torch.save(state, buffer)
    write_atomically(path, lambda temporary: temporary.write_bytes(buffer.getvalue()))


def load(weights: str | Path = DEFAULT) -> Checkpoint:
    """Rebuild a network from a bundled name, our .safetensors file, or a plain .pth state dict.

    Raises PixelRNNError: no such file, not ours, more than plain tensors inside, keys or shapes of no registered model.
    """
    path = find_weights(weights)
    checkpoint = _load_safetensors(path) if path.suffix == ".safetensors" else _load_plain(path)
    checkpoint.model.eval()
    if spoilt := [key for key, value in checkpoint.model.state_dict().items() if not value.isfinite().all()]:
        raise PixelRNNError(f"{path}: weights that are not finite, {spoilt[0]} first: their training diverged. Give others.")
    return checkpoint


def _load_safetensors(path: Path) -> Checkpoint:
    header, tensors = read_tensors(path)
    state = {_renamed(key): torch.from_numpy(value).float() for key, value in tensors.items()}
    try:
        if unknown := header.keys() - {"model", "config", "about"}:
            raise PixelRNNError(f"it holds {', '.join(sorted(unknown))} besides")
        config = {key: tuple(value) if isinstance(value, list) else value for key, value in header["config"].items()}
        name, metadata = header["model"], dict(header["about"])
        model = create_model(name, **config)
        # an option's default may mean another network than the one that was trained, unless it says what was before it came
        later = [
            option.name
            for option in fields(model.config)  # type: ignore[arg-type]
            if option.name not in config and option.metadata.get("before", option) != option.default
        ]
        if later:
            raise PixelRNNError(f"it was saved by a version without {', '.join(later)}")
    except (KeyError, TypeError, ValueError, AttributeError, PixelRNNError) as error:
        raise PixelRNNError(f"{path}: its header does not describe a network of ours ({error}).") from None
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()[:200]
        raise PixelRNNError(f"{path}: its weights do not fit its own model {name} ({reason}).") from None
    return Checkpoint(model, name, metadata)


def _renamed(key: str) -> str:
    """The name of a tensor today."""
    return ".".join(RENAMED.get(part, part) for part in key.split("."))


def _state_dict(found: Any) -> dict[str, torch.Tensor] | None:
    """The tensors by name in what a .pth file holds: themselves, or under one of NESTED beside what else was saved; or None."""
    if not isinstance(found, dict):
        return None
    if all(isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in found.items()):
        return found
    inside = (_state_dict(found[name]) for name in NESTED if name in found)
    return next((state for state in inside if state is not None), None)


def _without_prefixes(state: dict[str, torch.Tensor]) -> Iterator[dict[str, torch.Tensor]]:
    """The state dict, and what is left of it below each of PREFIXES, one in another included."""
    yield state
    for prefix in PREFIXES:
        if below := {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}:
            yield from _without_prefixes(below)


def _load_plain(path: Path) -> Checkpoint:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of pickles it did not write; what it refuses is told below
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch's reader meets damage with whatever its parsers raise
        state = None
    state = _state_dict(state)
    if state is None:
        raise PixelRNNError(
            f"{path}: not a plain state dict of tensors, which is all that is read from a .pth (anything else could run code). "
            "Save it with torch.save(model.state_dict(), path)."
        )
    shared: dict[str, float] = {}
    for name in list_models():
        model = create_model(name)
        own = model.state_dict()
        for fitting in _without_prefixes(state):
            if own.keys() == fitting.keys() and all(own[key].shape == fitting[key].shape for key in own):
                model.load_state_dict(fitting)
                return Checkpoint(model, name, {"note": f"plain state dict, recognised as {name} from its keys"})
            share = sum(key in fitting and own[key].shape == fitting[key].shape for key in own) / len(own)
            shared[name] = max(share, shared.get(name, 0))
    best = max(shared, key=lambda name: shared[name])
    raise PixelRNNError(
        f"{path}: weights of another model; the nearest of ours, {best}, shares {shared[best]:.0%} of its tensors. "
        f"Expected the state dict of one of: {', '.join(list_models())}."
    )
