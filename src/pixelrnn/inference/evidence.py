"""Measure what in the single pixels of an image marks paint, before the image is reduced.

A reduced image no longer shows whether an area was exactly flat or noisy, or whether it ended within a pixel.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from ..image import resize
from .tiling import shrink

SCALE = np.rint(np.log2(1 + np.arange(256)) * 255 / 8).astype(
    np.uint8
)  # a step between pixels, 0 to 255, to its logarithm in the same range
STRIP = 2**21  # pixels that are measured at once


def reduced(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Reduce uint8 (H, W, 3) to uint8 (height, width, 3)."""
    factor = min(image.shape[0] / height, image.shape[1] / width)
    return resize(shrink(image, max(1, int(factor / 2))), width, height)


def evidence(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Measure the evidence of an image that is reduced to `width` x `height`.

    Args:
        image: uint8 (H, W, 3), not reduced yet.
        width: width of the reduced image.
        height: height of the reduced image.

    Returns:
        float32 (4, height, width) in [0, 1]. models.base.evidence describes the planes. Over the pixels that become one, the
        first and third planes are means, the second and fourth maxima.
    """
    factor = max(1, min(image.shape[0] // height, image.shape[1] // width))
    rows = max(1, STRIP // (image.shape[1] * factor)) * factor
    starts = range(0, len(image), rows)

    def strip(top: int) -> np.ndarray:
        # with one more row above and two below, which the steps at the strip's ends need
        return _planes(image[max(0, top - 1) : top + rows + 2, :, 1], min(1, top), min(rows, len(image) - top), factor)

    with ThreadPoolExecutor(2) as pool:
        whole = np.concatenate(list(pool.map(strip, starts) if len(starts) > 1 else map(strip, starts)), axis=1)
    if whole.shape[1:] != (height, width):
        whole = np.stack([np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BOX)) for plane in whole])
    return whole.astype(np.float32) / np.float32(255)


def _planes(green: np.ndarray, above: int, rows: int, factor: int) -> np.ndarray:
    """Evidence uint8 (4, ceil(rows / factor), ceil(W / factor)) of `rows` rows of uint8 (., W), after the first `above`."""
    green = np.ascontiguousarray(green)
    right, below = np.zeros_like(green), np.zeros_like(green)
    _distance(green[:, 1:], green[:, :-1], out=right[:, :-1])
    _distance(green[1:], green[:-1], out=below[:-1])
    own = slice(above, above + rows)
    step = np.maximum(right[own], below[own])
    alone = np.maximum(_excess(right.T)[:, own].T, _excess(below)[own])
    flat = (step == 0).view(np.uint8) * np.uint8(255)
    size = SCALE[step]
    if factor == 1:
        return np.stack([size, size, flat, SCALE[alone]])
    return np.stack(
        [
            _pooled(size, factor, np.add),
            _pooled(size, factor, np.maximum),
            _pooled(flat, factor, np.add),
            SCALE[_pooled(alone, factor, np.maximum)],
        ]
    )


def _distance(one: np.ndarray, other: np.ndarray, out: np.ndarray) -> None:
    """The absolute difference of uint8 arrays, which does not wrap around."""
    np.subtract(np.maximum(one, other), np.minimum(one, other), out=out)


def _excess(steps: np.ndarray) -> np.ndarray:
    """How much each step exceeds both its neighbours along the first axis; 0 where it does not."""
    neighbours = np.zeros_like(steps)
    neighbours[1:] = steps[:-1]
    np.maximum(neighbours[:-1], steps[1:], out=neighbours[:-1])
    excess: np.ndarray = np.maximum(steps, neighbours) - neighbours
    return excess


def _pooled(plane: np.ndarray, factor: int, by: np.ufunc) -> np.ndarray:
    """Pool uint8 (H, W) to (ceil(H / factor), ceil(W / factor)), by the mean (np.add) or the maximum (np.maximum)."""
    for axis in (0, 1):
        side = plane.shape[axis]
        plane = np.pad(plane, [(0, -side % factor if axis == i else 0) for i in (0, 1)], mode="edge")
        parts = [plane[i::factor] if axis == 0 else plane[:, i::factor] for i in range(factor)]
        total = parts[0].astype(np.uint16 if by is np.add else np.uint8)
        for part in parts[1:]:
            by(total, part, out=total)
        plane = (total // factor).astype(np.uint8) if by is np.add else total
    return plane
