"""Resumable states on disk: one file, or an index and parts small enough for whatever carries them elsewhere."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO

from ..errors import PixelRNNError
from ..image import write_atomically

PART_BYTES = 15 * 2**20


def save(state: dict[str, Any], path: Path, part_bytes: int = PART_BYTES) -> None:
    """Write `state`, whole or not at all: as torch.save does where that takes one part, else as parts beside `path`, which then
    lists them. Whenever the writing is stopped, `path` names parts that are there: the old ones are removed last."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content, before = buffer.getvalue(), _parts(path)
    if len(content) <= part_bytes:
        write_atomically(path, lambda temporary: temporary.write_bytes(content))
        parts = []
    else:
        digest = hashlib.sha256(content).hexdigest()
        chunks = [content[start : start + part_bytes] for start in range(0, len(content), part_bytes)]
        # named by their content, so that no part of an older state is ever overwritten
        parts = [f"{path.name}.{digest[:12]}.{number:03d}" for number in range(len(chunks))]
        for name, chunk in zip(parts, chunks, strict=True):
            write_atomically(path.with_name(name), lambda temporary, chunk=chunk: temporary.write_bytes(chunk))  # type: ignore[misc]
        index = json.dumps({"parts": parts, "sha256": digest})
        write_atomically(path, lambda temporary: temporary.write_text(index))
    for name in set(before) - set(parts):
        path.with_name(name).unlink(missing_ok=True)


def load(path: Path, weights_only: bool = True) -> dict[str, Any]:
    """Read what `save` wrote; tensors on the CPU. Raises PixelRNNError where a part is missing or damaged."""
    parts = _parts(path)
    if not parts:
        return torch.load(path, map_location="cpu", weights_only=weights_only)
    try:
        content = b"".join(path.with_name(name).read_bytes() for name in parts)
    except OSError as error:
        raise PixelRNNError(f"{path}: {error.filename} cannot be read. Bring all {len(parts)} parts along.") from None
    if hashlib.sha256(content).hexdigest() != json.loads(path.read_text())["sha256"]:
        raise PixelRNNError(f"{path}: its parts are damaged, or of several states. Bring all {len(parts)} along again.")
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=weights_only)


def _parts(path: Path) -> list[str]:
    """The names that `path` lists; none where it is a state itself, or is not there."""
    if not path.is_file():
        return []
    with path.open("rb") as file:
        if file.read(1) != b"{":  # a state is a zip file
            return []
    return list(json.loads(path.read_text())["parts"])


class SplitCheckpointIO(CheckpointIO):
    """Lightning's door to `save` and `load`."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        save(checkpoint, Path(path))

    def load_checkpoint(self, path: Any, map_location: Any | None = None, weights_only: bool | None = None) -> dict[str, Any]:
        return load(Path(path), weights_only=bool(weights_only))

    def remove_checkpoint(self, path: Any) -> None:
        for name in [*_parts(Path(path)), Path(path).name]:
            Path(path).with_name(name).unlink(missing_ok=True)
