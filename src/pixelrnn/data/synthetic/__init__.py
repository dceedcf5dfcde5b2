"""Procedural bedrooms: a seed becomes a furnished room, and a small numpy ray caster photographs it.

The images stand in for photographs wherever none may be downloaded: as examples, as test data and as training data. A scene is
sampled first (`room`, `furnish`) and only then rendered (`raytrace`, `development`), so a seed shows the same room at every
size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...errors import PixelRNNError
from .development import develop
from .furnish import Decorator
from .raytrace import trace

__all__ = ["MIN_SIZE", "render_bedroom"]

MIN_SIZE = 16


def render_bedroom(rng: np.random.Generator, size: int = 256) -> NDArray[np.uint8]:
    """Draw one bedroom.

    Args:
        rng: The source of all randomness. The same state gives the same bytes, and the same room at any other `size`.
        size: Pixels a side.

    Returns:
        An RGB image, uint8 (size, size, 3).

    Raises:
        PixelRNNError: `size` is below 16.
    """
    if size < MIN_SIZE:
        raise PixelRNNError(f"a bedroom needs at least {MIN_SIZE} pixels a side, not {size}: ask for a larger size")
    scene = Decorator(rng).furnish()
    factor = 2 if size >= 128 else 4
    return develop(scene, trace(scene, size * factor, rng), factor, rng)
