"""Where paint ends: the edge of a detected occlusion, found to the pixel by the colours of the paint itself."""

from typing import NamedTuple

import numpy as np

from .image import grow

BAND = 3  # a detector is off by so many pixels at most
REACH = 8  # paint is compared with what lies within so many pixels
FLAT = 0.04, 0.9  # an exact colour holds so much of the paint; all of them hold so much of it near its edge
DISTINCT = 8  # grey levels between two exact colours: compression makes neighbours of one
SMOOTH, ALIKE = 6.0, 36  # grey levels from the local mean: the paint's mean distance, and how far a painted pixel may be
COLOURED = 32  # grey levels between the channels


class Paint(NamedTuple):
    """An occlusion to the pixel."""

    mask: np.ndarray  # (H, W) bool, what is painted over
    tinted: np.ndarray  # (H, W) bool, the same with the ring around it that holds some of the paint's colour


def trace(picture: np.ndarray, seen: np.ndarray) -> Paint | None:
    """The occlusion of uint8 (H, W, 3) of which a detector has `seen`, bool (H, W), all but the edge; None for paint with no
    colours to go by, such as noise or another picture.

    Paint in a few exact colours ends where they do. Smooth paint (one colour after compression, a gradient) ends where the
    picture differs from its local mean; JPEG keeps colour at half the resolution, so coloured paint has tinted the pixels next
    to it, and grey paint has not.
    """
    if not seen.any():
        return None
    inside, near = seen & ~grow(~seen, BAND), grow(seen, BAND)
    within = seen & ~grow(~seen, 2)  # as far out as compression shows and the paint is sure
    colours = _exact_colours(picture, within, within & grow(~seen, 5))
    if colours is not None:
        mask = inside | near & _is_one_of(picture, colours)
        return Paint(mask, mask)
    local, known = _local_mean(picture, inside)
    distance = np.abs(picture - local).max(axis=2)
    if not inside.any() or distance[inside].mean() > SMOOTH:
        return None
    mask = inside | np.where(known, near & (distance < ALIKE), seen)
    coloured = np.ptp(local, axis=2) > COLOURED
    return Paint(mask, mask | grow(mask & coloured, 1) | grow(mask & ~known, BAND))


def _exact_colours(picture: np.ndarray, within: np.ndarray, edge: np.ndarray) -> np.ndarray | None:
    """The few colours (N, 3) of the pixels `within` the paint, and of those at its `edge`; None where it has more."""
    codes, counts = np.unique(picture[within] @ np.array([65536, 256, 1]), return_counts=True)  # faster than by rows
    colours = (codes[counts >= FLAT[0] * counts.sum(), None] >> np.array([16, 8, 0]) & 255).astype(np.uint8)
    apart = np.abs(colours[:, None].astype(int) - colours[None]).max(axis=2)
    if not len(colours) or not edge.any() or (apart[np.triu_indices(len(colours), 1)] < DISTINCT).any():
        return None
    return colours if _is_one_of(picture[edge], colours).mean() >= FLAT[1] else None


def _is_one_of(pixels: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """bool (...): which of `pixels` (..., 3) have one of `colours` (N, 3)."""
    found = np.zeros(pixels.shape[:-1], bool)
    for colour in colours:
        found |= (pixels == colour).all(axis=-1)
    return found


def _local_mean(picture: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean colour (H, W, 3) of the pixels `inside` within REACH, and where there are any, bool (H, W)."""
    total = np.concatenate([np.where(inside[..., None], picture, 0), inside[..., None]], axis=2).astype(np.int64)
    for axis in (0, 1):
        padding = [(0, 0)] * 3
        padding[axis] = (REACH + 1, REACH)
        running = np.pad(total, padding).cumsum(axis=axis)
        side = total.shape[axis]
        total = running.take(range(2 * REACH + 1, side + 2 * REACH + 1), axis) - running.take(range(side), axis)
    return total[..., :3] / np.maximum(total[..., 3:], 1), total[..., 3] > 0
