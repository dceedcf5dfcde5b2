"""Refine a detected occlusion to the pixel, by the colours of the paint itself."""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from ..image import dilate

BAND = 3  # a detector is off by at most so many pixels
REACH = 8  # paint is compared with the pixels within this distance
FLAT = 0.04, 0.9  # the least share of the paint that one exact colour has, and that all of them have near the edge
DISTINCT = 8  # grey levels between two exact colours: compression makes close neighbours of one colour
SMOOTH, ALIKE = 6.0, 36  # grey levels from the local mean: at most the mean of smooth paint, and at most a painted pixel
ROUGHER = 2.5  # noise is at least so many times as rough as its surroundings, which shows its edge
COLOURED = 48  # grey levels between the channels of coloured paint
SQUARE = 0.96  # least intersection over union with an upright box for an outline that is made straight
TINT = 0.2  # a pixel is tinted if its colour is so far on the way from the surroundings to the paint


class Paint(NamedTuple):
    """An occlusion, exact to the pixel."""

    mask: np.ndarray  # (H, W) bool, the pixels that are painted over
    tinted: np.ndarray  # (H, W) bool, the same with the pixels around it that hold some of the paint's colour


def refine_mask(image: np.ndarray, detected: np.ndarray) -> Paint | None:
    """Find the exact edge of an occlusion of which a detector has found all but the edge.

    Paint in a few exact colours ends where these end. Smooth paint (one colour after compression, or a gradient) ends where the
    image differs from the paint's local mean, or is closer to that of the surroundings. JPEG stores colour at half the
    resolution, so coloured paint may tint the pixels beside it; grey paint does not. Noise ends where the image is less rough.

    Args:
        image: uint8 (H, W, 3).
        detected: bool (H, W), off by at most BAND pixels.

    Returns:
        The exact occlusion; None for paint that has nothing to go by, such as another image.
    """
    if not detected.any():
        return None
    core, near = detected & ~dilate(~detected, BAND), dilate(detected, BAND)
    if not core.any():
        return None
    thin = detected & ~dilate(core, 2 * BAND)  # for example words beside a box, which have another edge than the box
    broad = _refine_broad(image, detected & ~thin, core, near & ~thin)
    return None if broad is None else Paint(broad.mask | thin, broad.tinted | dilate(thin, 1))


def _refine_broad(image: np.ndarray, detected: np.ndarray, core: np.ndarray, near: np.ndarray) -> Paint | None:
    """Refine paint that is broader than the detector's error. It covers all of `core`, and nothing outside of `near`."""
    sure = detected & ~dilate(~detected, 2)  # surely paint, and broad enough to show compression at its edge
    colours = _exact_colours(image, sure, sure & dilate(~detected, 5))
    if colours is not None:
        mask = core | near & _is_one_of(image, colours)
        return Paint(mask, mask)
    paint, has_paint = _local_mean(image, core)
    paint_distance = _distance(image, paint)
    if paint_distance[core].mean() > SMOOTH:
        return _refine_noise(image, core, near)
    outside, has_outside = _local_mean(image, dilate(near, BAND) & ~near)
    outside_distance = np.where(has_outside, _distance(image, outside), 255)
    alike = near & (paint_distance < ALIKE) & (detected | (paint_distance < outside_distance))
    mask = core | np.where(has_paint, alike, detected)
    tinted = _tinted(image, mask, paint, outside, has_paint & has_outside)
    return Paint(mask, mask | tinted | dilate(mask & ~has_paint, 1))


def _refine_noise(image: np.ndarray, core: np.ndarray, near: np.ndarray) -> Paint | None:
    """Noise ends where the image is about half as rough as the noise; None for paint as smooth as its surroundings."""
    grey = image.mean(axis=2, dtype=np.float32)
    steps = np.abs(np.diff(grey, axis=0, append=grey[-1:])) + np.abs(np.diff(grey, axis=1, append=grey[:, -1:]))
    roughness = np.asarray(Image.fromarray((steps / 2).astype(np.uint8)).filter(ImageFilter.BoxBlur(2))).astype(int)
    beyond = dilate(near, 2 * BAND) & ~near
    if not beyond.any():
        return None
    within, around = np.median(roughness[core]), np.median(roughness[beyond])
    if within < ROUGHER * around:
        return None
    # the steps across the edge are as large as those within the noise
    mask = core | near & (roughness > 0.65 * within + 0.35 * around)
    box = squared(mask)
    return Paint(box, box if box is not mask else dilate(mask, 2))


def squared(mask: np.ndarray) -> np.ndarray:
    """Straighten the edges of a mask (H, W) that is nearly an upright box; any other mask is returned as it is."""
    box = np.zeros_like(mask)
    rows, columns = (np.flatnonzero(mask.sum(axis=axis) > 0.5 * mask.any(axis=1 - axis).sum()) for axis in (1, 0))
    if not len(rows) or not len(columns):
        return mask
    box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return box if (box & mask).sum() >= SQUARE * (box | mask).sum() else mask


def _tinted(image: np.ndarray, mask: np.ndarray, paint: np.ndarray, outside: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Mark the pixels within 2 of the mask that hold some of the paint's colour, bool (H, W); grey paint tints none.

    `paint` and `outside` are the local mean colours (H, W, 3) of the paint and of what lies around it, where `known`.
    """
    ring = dilate(mask, 2) & ~mask & known & (np.ptp(paint, axis=2) > COLOURED)
    tinted = np.zeros_like(mask)
    step, full_step = (colour[ring] - outside[ring] for colour in (image, paint))
    for difference in (step, full_step):  # of the colour alone: a step in brightness is no tint
        difference -= difference.mean(axis=1, keepdims=True)
    tinted[ring] = (step * full_step).sum(axis=1) > TINT * np.square(full_step).sum(axis=1)
    return tinted


def _distance(image: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The largest difference of the channels, (H, W)."""
    largest: np.ndarray = np.abs(image - other).max(axis=2)
    return largest


def _exact_colours(image: np.ndarray, within: np.ndarray, edge: np.ndarray) -> np.ndarray | None:
    """The few exact colours (N, 3) of the pixels `within` the paint and at its `edge`; None where it has more."""
    codes, counts = np.unique(image[within] @ np.array([65536, 256, 1]), return_counts=True)  # faster than by rows
    colours = (codes[counts >= FLAT[0] * counts.sum(), None] >> np.array([16, 8, 0]) & 255).astype(np.uint8)
    apart = np.abs(colours[:, None].astype(int) - colours[None]).max(axis=2)
    if not len(colours) or not edge.any() or (apart[np.triu_indices(len(colours), 1)] < DISTINCT).any():
        return None
    return colours if _is_one_of(image[edge], colours).mean() >= FLAT[1] else None


def _is_one_of(pixels: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Bool (...), True where `pixels` (..., 3) have one of `colours` (N, 3)."""
    match = np.zeros(pixels.shape[:-1], bool)
    for colour in colours:
        match |= (pixels == colour).all(axis=-1)
    return match


def _local_mean(image: np.ndarray, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean colour (H, W, 3) of the pixels within REACH that are in `where`, and bool (H, W), True where there are any."""
    total = np.concatenate([np.where(where[..., None], image, 0), where[..., None]], axis=2).astype(np.int64)
    for axis in (0, 1):
        padding = [(0, 0)] * 3
        padding[axis] = (REACH + 1, REACH)
        running = np.pad(total, padding).cumsum(axis=axis)
        side = total.shape[axis]
        total = running.take(range(2 * REACH + 1, side + 2 * REACH + 1), axis) - running.take(range(side), axis)
    return total[..., :3] / np.maximum(total[..., 3:], 1), total[..., 3] > 0
