"""Give filled holes fine detail from the known part of the photograph.

Where a network does not know what was there, its finest detail is faint, or dots. The photograph itself has the right textures
beside the hole. So the finest band of the fill, what a Gaussian of SIGMA takes away, is drawn anew: each patch gets that of the
known patch that looks most like it without the band, and overlapping patches are averaged. A second pass looks for known
patches that also agree with the band so far, so that neighbours fit together. Averaging weakens the band; it is amplified to
the energy that its patches had. All coarser structure stays the network's.

This is texture synthesis by patches (Efros and Leung 1999; Kwatra et al. 2005, "Texture optimization for example-based
synthesis"), guided by a coarse image as in image analogies (Hertzmann et al. 2001). Images are RGB uint8 (H, W, 3). Masks are
bool (H, W), True where missing. Known pixels stay as they are; equal inputs give equal results.
"""

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..image import dilate
from .tiling import FINE, groups, parts, thickness, widened

SIGMA = 1.2  # pixels; the band is what a Gaussian of this standard deviation takes away
PATCH, STRIDE = 7, 3  # side in pixels of the patches, and the distance of those that are drawn
PASSES = 2
AROUND = 96  # pixels around a part of a hole in which known patches are looked for
FEWEST, MOST = 256, 4096  # known patches: with fewer the fill stays as it is; of more a random choice is looked at,
COMPARISONS = 8_000_000  # and of fewer still where so many pairs of patches would be compared
COLOUR = 0.3  # weight of a patch's mean colour against its structure
NEARNESS = 0.006  # weight of a pixel of distance, where intensities are in [0, 1]: of equal patches the nearer one
SPREAD, LIMIT = 4.0, 1.5  # standard deviation in pixels over which energy is averaged; the greatest amplification
REACH = 3  # standard deviations at which Gaussians end


class Patches(NamedTuple):
    """Patches by their upper left pixels."""

    y: np.ndarray  # int (N,)
    x: np.ndarray  # int (N,)

    def of(self, pixels: np.ndarray) -> np.ndarray:
        """Their pixels in (H, W, C), as (N, C, PATCH, PATCH)."""
        return np.asarray(sliding_window_view(pixels, (PATCH, PATCH), axis=(0, 1))[self.y, self.x])


def add_detail(image: np.ndarray, mask: np.ndarray) -> None:
    """Draw the finest detail of filled holes anew, from known patches that look alike.

    Holes wider than tiling.FINE stay as they are: they were filled at a smaller scale, and the finest band says nothing there.

    Args:
        image: uint8 (H, W, 3), its holes filled; changed in place, but for its known pixels.
        mask: bool (H, W), True where the image was filled.
    """
    drawn = []
    for box in groups(mask):
        if thickness(mask, box) > FINE:
            continue
        for part in parts(mask, box):
            view = widened(part, AROUND, mask.shape)
            inside = part.within(view).slices
            hole = mask[view.slices]
            wanted = np.zeros_like(hole)
            wanted[inside] = hole[inside]
            drawn.append((part, _detailed(image[view.slices].astype(np.float32) / 255, hole, wanted)[inside]))
    for part, detailed in drawn:  # only now: a part beside another sees the network's fill there
        np.copyto(image[part.slices], detailed, where=mask[part.slices][..., None])


def _detailed(pixels: np.ndarray, mask: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Draw the finest band anew where `wanted`: float32 (H, W, 3) in [0, 1] to uint8 (H, W, 3)."""
    coarse = _blurred(pixels, SIGMA)
    band = pixels - coarse
    if min(mask.shape) >= PATCH:
        drawn = _drawn(wanted)
        known = _known(mask, min(MOST, max(FEWEST, COMPARISONS // max(1, len(drawn.y)))))
        if len(known.y) >= FEWEST:
            band = np.where(wanted[..., None], _synthesised(coarse, band, wanted, known, drawn), band)
    return np.asarray(np.rint(255 * np.clip(coarse + band, 0, 1)), np.uint8)


def _known(mask: np.ndarray, most: int) -> Patches:
    """The patches whose band no filled pixel has a part in; of more than `most` a random choice, the same for equal masks."""
    touched = dilate(mask, round(2 * SIGMA))
    y, x = np.nonzero(~sliding_window_view(touched, (PATCH, PATCH)).any(axis=(2, 3)))
    if len(y) > most:
        some = np.sort(np.random.default_rng(0).choice(len(y), most, replace=False))
        y, x = y[some], x[some]
    return Patches(y, x)


def _drawn(wanted: np.ndarray) -> Patches:
    """One patch of every STRIDE x STRIDE, and those at the borders, as far as they hold a wanted pixel.

    Which one is random, though the same for equal masks: the same known patch drawn again and again on a grid would show.
    """
    touched = np.asarray(sliding_window_view(wanted, (PATCH, PATCH)).any(axis=(2, 3)))
    grid = np.meshgrid(*([*range(0, side - 1, STRIDE), side - 1] for side in touched.shape), indexing="ij")
    shifts = np.random.default_rng(0).integers(0, STRIDE, (2, *grid[0].shape))
    y, x = (
        np.where(place > 0, np.minimum(place + shift, side - 1), 0).ravel()
        for place, shift, side in zip(grid, shifts, touched.shape, strict=True)
    )
    y, x = np.unravel_index(np.unique(np.ravel_multi_index((y, x), touched.shape)), touched.shape)
    inside = touched[y, x]
    return Patches(y[inside], x[inside])


def _synthesised(coarse: np.ndarray, band: np.ndarray, wanted: np.ndarray, known: Patches, drawn: Patches) -> np.ndarray:
    """The band, float32 (H, W, 3), drawn where `wanted`; what is elsewhere means nothing."""
    bands = known.of(band)
    near, far = _looks(known, coarse), _looks(drawn, coarse)
    alike, current = _nearest(near, far), band
    for turn in range(PASSES):
        if turn:
            alike = _nearest(np.hstack([near, _grey(bands)]), np.hstack([far, _grey(drawn.of(current))]))
        votes, energy = _voted(bands[alike], drawn, wanted.shape)
        current = np.where(wanted[..., None], votes, band)
    inside = wanted.astype(np.float32)[..., None]
    before, after = (_blurred(power * inside, SPREAD) for power in (energy, np.square(votes).mean(axis=2, keepdims=True)))
    return np.asarray(votes * np.clip(np.sqrt(before / np.maximum(after, 1e-8)), 1, LIMIT), np.float32)


def _looks(patches: Patches, coarse: np.ndarray) -> np.ndarray:
    """What patches are compared by, float32 (N, D): structure, mean colour at a weight of COLOUR, and place of NEARNESS.

    Every second pixel is enough of what is blurred.
    """
    pixels = patches.of(coarse)[:, :, ::2, ::2]
    mean = pixels.mean(axis=(2, 3))
    structure = (pixels - mean[..., None, None]).reshape(len(pixels), -1) * (PATCH / pixels.shape[-1])
    return np.hstack([structure, COLOUR * PATCH * mean, NEARNESS * np.stack(patches, axis=1)]).astype(np.float32)


def _grey(bands: np.ndarray) -> np.ndarray:
    """Bands (N, 3, PATCH, PATCH) without colour, float32 (N, D), of about the same distances."""
    return np.asarray(np.sqrt(np.float32(3)) * bands.mean(axis=1).reshape(len(bands), -1))


def _nearest(known: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """For each row of `drawn`, the index of the nearest row of `known`, by Euclidean distance."""
    # the nearest has the greatest product less half its own square, which goes in as one more column
    known = np.hstack([known, -np.square(known).sum(axis=1, keepdims=True) / 2])
    drawn = np.hstack([drawn, np.ones_like(drawn[:, :1])])
    return np.concatenate([(drawn[start : start + 512] @ known.T).argmax(axis=1) for start in range(0, len(drawn), 512)])


def _voted(bands: np.ndarray, drawn: Patches, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The average of overlapping patches (N, 3, PATCH, PATCH), (H, W, 3), and of their energy, (H, W, 1).

    A patch weighs less towards its borders, so that no grid of patches is seen.
    """
    window = np.hanning(PATCH + 2)[1:-1].astype(np.float32)
    sums = np.zeros((*shape, 5), np.float32)  # the band, its energy, and the weights
    voices = np.concatenate([bands, np.square(bands).mean(axis=1, keepdims=True), np.ones_like(bands[:, :1])], axis=1)
    for y in range(PATCH):
        for x in range(PATCH):
            sums[drawn.y + y, drawn.x + x] += window[y] * window[x] * voices[..., y, x]
    means = sums[..., :4] / np.maximum(sums[..., 4:], 1e-6)
    return means[..., :3], means[..., 3:]


def _blurred(pixels: np.ndarray, sigma: float) -> np.ndarray:
    """Blur float32 (H, W, C) with a Gaussian; the border is repeated."""
    reach = int(np.ceil(REACH * sigma))
    kernel = np.exp(-np.square(np.arange(-reach, reach + 1) / sigma) / 2)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    for axis in (0, 1):
        padding = [(reach, reach) if i == axis else (0, 0) for i in range(3)]
        padded = np.moveaxis(np.pad(pixels, padding, mode="edge"), axis, 0)
        side = pixels.shape[axis]
        total = sum((weight * padded[i : i + side] for i, weight in enumerate(kernel)), np.float32(0))
        pixels = np.moveaxis(np.asarray(total), 0, axis)
    return pixels
