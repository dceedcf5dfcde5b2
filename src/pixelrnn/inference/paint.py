"""Where paint ends: the edge of a detected occlusion, found to the pixel by the colours of the paint itself."""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from ..image import dilate

BAND = 3  # a detector is off by so many pixels at most
REACH = 8  # paint is compared with what lies within so many pixels
FLAT = 0.04, 0.9  # an exact colour holds so much of the paint; all of them hold so much of it near its edge
DISTINCT = 8  # grey levels between two exact colours: compression makes neighbours of one
SMOOTH, ALIKE = 6.0, 36  # grey levels from the local mean: the paint's mean distance, and how far a painted pixel may be
ROUGHER = 2.5  # times as rough as what lies around: noise, whose edge shows in that
COLOURED = 48  # grey levels between the channels
SQUARE = 0.96  # intersection over union with an upright box: an outline is that of the box
TINT = 0.2  # of the way from what is around to the paint's colour: a pixel that has come so far is tinted


class Paint(NamedTuple):
    """An occlusion to the pixel."""

    mask: np.ndarray  # (H, W) bool, what is painted over
    tinted: np.ndarray  # (H, W) bool, the same with the ring around it that holds some of the paint's colour


def refine_mask(picture: np.ndarray, seen: np.ndarray) -> Paint | None:
    """The occlusion of uint8 (H, W, 3) of which a detector has `seen`, bool (H, W), all but the edge; None for paint with
    nothing to go by, such as another picture.

    Paint in a few exact colours ends where they do. Smooth paint (one colour after compression, a gradient) ends where the
    picture differs from its local mean, or is nearer to that of what lies around. JPEG keeps colour at half the resolution, so
    coloured paint may have tinted the pixels next to it, and grey paint has not. Noise ends where the picture is less rough.
    """
    if not seen.any():
        return None
    inside, near = seen & ~dilate(~seen, BAND), dilate(seen, BAND)
    if not inside.any():
        return None
    thin = seen & ~dilate(inside, 2 * BAND)  # words beside a box, say, whose edge is not the box's
    broad = _trace_broad(picture, seen & ~thin, inside, near & ~thin)
    return None if broad is None else Paint(broad.mask | thin, broad.tinted | dilate(thin, 1))


def _trace_broad(picture: np.ndarray, seen: np.ndarray, inside: np.ndarray, near: np.ndarray) -> Paint | None:
    within = seen & ~dilate(~seen, 2)  # as far out as compression shows and the paint is sure
    colours = _exact_colours(picture, within, within & dilate(~seen, 5))
    if colours is not None:
        mask = inside | near & _is_one_of(picture, colours)
        return Paint(mask, mask)
    local, known = _local_mean(picture, inside)
    distance = _distance(picture, local)
    if distance[inside].mean() > SMOOTH:
        return _rough(picture, inside, near)
    outside, beside = _local_mean(picture, dilate(near, BAND) & ~near)
    further = np.where(beside, _distance(picture, outside), 255)
    alike = near & (distance < ALIKE) & (seen | (distance < further))
    mask = inside | np.where(known, alike, seen)
    return Paint(mask, mask | _tinted(picture, mask, local, outside, known & beside) | dilate(mask & ~known, 1))


def _rough(picture: np.ndarray, inside: np.ndarray, near: np.ndarray) -> Paint | None:
    """Noise ends where the picture is about half as rough as it; None for what is no rougher than what lies around."""
    grey = picture.mean(axis=2, dtype=np.float32)
    steps = np.abs(np.diff(grey, axis=0, append=grey[-1:])) + np.abs(np.diff(grey, axis=1, append=grey[:, -1:]))
    roughness = np.asarray(Image.fromarray((steps / 2).astype(np.uint8)).filter(ImageFilter.BoxBlur(2))).astype(int)
    beyond = dilate(near, 2 * BAND) & ~near
    if not beyond.any():
        return None
    within, around = np.median(roughness[inside]), np.median(roughness[beyond])
    if within < ROUGHER * around:
        return None
    # the steps over the edge itself are as large as those within
    mask = inside | near & (roughness > 0.65 * within + 0.35 * around)
    box = squared(mask)
    return Paint(box, box if box is not mask else dilate(mask, 2))


def squared(mask: np.ndarray) -> np.ndarray:
    """An upright box that is ragged at its edges, made straight; any other mask as it is."""
    box = np.zeros_like(mask)
    rows, columns = (np.flatnonzero(mask.sum(axis=axis) > 0.5 * mask.any(axis=1 - axis).sum()) for axis in (1, 0))
    if not len(rows) or not len(columns):
        return mask
    box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return box if (box & mask).sum() >= SQUARE * (box | mask).sum() else mask


def _tinted(picture: np.ndarray, mask: np.ndarray, paint: np.ndarray, outside: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Bool (H, W), which pixels within 2 of the `mask` hold some of the colour of coloured `paint`, beside what is further
    `outside`.
    """
    ring = dilate(mask, 2) & ~mask & known & (np.ptp(paint, axis=2) > COLOURED)
    found = np.zeros_like(mask)
    step, way = (part[ring] - outside[ring] for part in (picture, paint))
    for each in (step, way):  # of their colour alone: a step in brightness is no tint
        each -= each.mean(axis=1, keepdims=True)
    found[ring] = (step * way).sum(axis=1) > TINT * np.square(way).sum(axis=1)
    return found


def _distance(picture: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.abs(picture - other).max(axis=2)


def _exact_colours(picture: np.ndarray, within: np.ndarray, edge: np.ndarray) -> np.ndarray | None:
    """The few colours (N, 3) of the pixels `within` the paint, and of those at its `edge`; None where it has more."""
    codes, counts = np.unique(picture[within] @ np.array([65536, 256, 1]), return_counts=True)  # faster than by rows
    colours = (codes[counts >= FLAT[0] * counts.sum(), None] >> np.array([16, 8, 0]) & 255).astype(np.uint8)
    apart = np.abs(colours[:, None].astype(int) - colours[None]).max(axis=2)
    if not len(colours) or not edge.any() or (apart[np.triu_indices(len(colours), 1)] < DISTINCT).any():
        return None
    return colours if _is_one_of(picture[edge], colours).mean() >= FLAT[1] else None


def _is_one_of(pixels: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Bool (...): which of `pixels` (..., 3) have one of `colours` (N, 3)."""
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
