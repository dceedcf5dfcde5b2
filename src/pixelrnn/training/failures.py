"""Failures of processes during training, as one line for the user, and Lightning's output without what no user needs."""

import logging
import re
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import PixelRNNError
from .processes import Processes
from .recipe import Recipe

# Lightning's warnings about what is intended here
INTENDED = ("LeafSpec", "does not have many workers", "Checkpoint directory", "mid-epoch", "broadcast_buffers", "in eval mode")


class LostError(PixelRNNError):
    """The other processes of a run have ended."""

    exit_code = 1


def silence_hints() -> None:
    """Suppress Lightning's hints about devices and about its own services."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)


@contextmanager
def without_warnings() -> Iterator[None]:
    """Suppress those of Lightning's warnings that are about what is intended."""
    with warnings.catch_warnings():
        for message in INTENDED:
            warnings.filterwarnings("ignore", f".*{message}")
        yield


@contextmanager
def one_line_errors(recipe: Recipe, processes: Processes) -> Iterator[None]:
    """Turn torch's errors about processes that ended into one line.

    Raises:
        PixelRNNError: A process that reads images ended, or shared memory ran out.
        LostError: Another process that trains ended.
    """
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if recipe.workers and re.search(r"shared memory|\bshm\b|bus error|No space left|torch_\d+_\d+", text, re.I):
            free = shutil.disk_usage("/dev/shm").free / 2**20 if Path("/dev/shm").is_dir() else 0
            raise PixelRNNError(
                f"workers={recipe.workers}: workers pass pictures in shared memory, of which {free:.0f} MB are free. "
                "Give workers=0, or more shared memory (docker run --shm-size=2g)."
            ) from None
        if recipe.workers and "DataLoader worker" in text:
            raise PixelRNNError(
                f"workers={recipe.workers}: one of them was killed, as happens when memory runs out. "
                "Give fewer workers; --resume goes on."
            ) from None
        if processes.count > 1 and re.search(r"gloo|nccl|closed by peer|Connection|timed out", text, re.I):
            raise LostError("another process of this training has ended. --resume goes on from the last checkpoint.") from None
        raise
