"""What in the single pixels of a picture marks paint, taken before the picture is reduced: a reduced one no longer shows
whether it was exactly flat, noisy, or ended within a pixel.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from ..image import resize
from .tiling import shrink

SCALE = np.rint(np.log2(1 + np.arange(256)) * 255 / 8).astype(np.uint8)  # of the size of a step
STRIP = 2**21  # pixels whose evidence is taken at once


def reduced(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """The picture at a smaller size."""
    factor = min(picture.shape[0] / height, picture.shape[1] / width)
    return resize(shrink(picture, max(1, int(factor / 2))), width, height)


def evidence(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """Of a picture that is reduced to `width` x `height`: float32 (4, height, width) in [0, 1].

    models.base.evidence says what the planes are; here the first and third are means over what becomes a pixel, the second and
    fourth maxima.
    """
    factor = max(1, min(picture.shape[0] // height, picture.shape[1] // width))
    rows = max(1, STRIP // (picture.shape[1] * factor)) * factor
    starts = range(0, len(picture), rows)

    def strip(top: int) -> np.ndarray:
        # a row more before and two after: the steps around those of the strip itself
        return _planes(picture[max(0, top - 1) : top + rows + 2, :, 1], min(1, top), min(rows, len(picture) - top), factor)

    with ThreadPoolExecutor(2) as pool:
        whole = np.concatenate(list(pool.map(strip, starts) if len(starts) > 1 else map(strip, starts)), axis=1)
    if whole.shape[1:] != (height, width):
        whole = np.stack([np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BOX)) for plane in whole])
    return whole.astype(np.float32) / np.float32(255)


def _planes(green: np.ndarray, above: int, rows: int, factor: int) -> np.ndarray:
    """uint8 (4, ceil(rows / factor), ceil(W / factor)) of the `rows` of uint8 (., W) that have `above` others above them."""
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
    np.subtract(np.maximum(one, other), np.minimum(one, other), out=out)


def _excess(steps: np.ndarray) -> np.ndarray:
    """By how much each step exceeds those before and after it along the first axis; 0 where it does not."""
    beside = np.zeros_like(steps)
    beside[1:] = steps[:-1]
    np.maximum(beside[:-1], steps[1:], out=beside[:-1])
    return np.maximum(steps, beside) - beside


def _pooled(plane: np.ndarray, factor: int, by: np.ufunc) -> np.ndarray:
    """uint8 (H, W), the mean (np.add) or maximum of every `factor` x `factor` pixels, (ceil(H / factor), ceil(W / factor))."""
    for axis in (0, 1):
        side = plane.shape[axis]
        plane = np.pad(plane, [(0, -side % factor if axis == i else 0) for i in (0, 1)], mode="edge")
        parts = [plane[i::factor] if axis == 0 else plane[:, i::factor] for i in range(factor)]
        total = parts[0].astype(np.uint16 if by is np.add else np.uint8)
        for part in parts[1:]:
            by(total, part, out=total)
        plane = (total // factor).astype(np.uint8) if by is np.add else total
    return plane
