"""Checks whether the two images of a pair belong together, and finds where they differ."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from ..decode import read_image
from ..errors import PixelRNNError
from ..image import resize
from .pairs import Pair

SIDE = 128  # pixels a side at which pairs are compared
CHECKED = 1000  # pairs at most, spread evenly
ALIKE = 12  # grey levels by which compression alone makes two images differ
MOSTLY = 0.25  # the least share of alike pixels in a pair; the largest occlusions leave 0.4
SURELY = 0.8  # the share of alike pixels that only a pair reaches


class Fault(NamedTuple):
    """A pair whose images do not belong together, and why."""

    pair: Pair
    reason: str


def difference_mask(occluded: np.ndarray, original: np.ndarray, threshold: int = 25) -> np.ndarray:
    """Find where two images differ, as a solid mask.

    Compression noise and specks do not count. Small gaps, where the original has the occlusion's own colour, are closed.

    Args:
        occluded: uint8 (H, W, 3).
        original: uint8 (H, W, 3).
        threshold: Grey levels below which a difference is compression noise.

    Returns:
        bool (H, W), True where they differ.
    """
    mask = Image.fromarray((_difference(occluded, original) > threshold).astype(np.uint8) * 255)
    # opening takes specks out, closing fills small gaps; square windows keep the corners of boxes
    mask = mask.filter(ImageFilter.MinFilter(3)).filter(ImageFilter.MaxFilter(3))
    mask = mask.filter(ImageFilter.MaxFilter(11)).filter(ImageFilter.MinFilter(11))
    return np.asarray(mask) > 0


def check_pairs(pairs: Sequence[Pair]) -> None:
    """Check that the images of each pair belong together; of more than 1,000 pairs, check about 1,000.

    Raises:
        PixelRNNError: Some pairs differ over most of the image or nowhere, are mirrored, moved, swapped, of other shapes, or
            belong to another pair. The message names the first of them.
    """
    step = -(-len(pairs) // CHECKED)
    faults = find_faults(pairs[:: max(1, step)])
    if not faults:
        return
    shown = "; ".join(f"{fault.pair.occluded} and {fault.pair.original.name} {fault.reason}" for fault in faults[:3])
    more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
    raise PixelRNNError(
        f"{shown}{more}. Pairs show the same photograph, with and without something in the way. Mend them, or give "
        "check_pairs=false to train on them as they are."
    )


def find_faults(pairs: Sequence[Pair]) -> list[Fault]:
    """Return those pairs whose two images do not belong together."""
    small: list[tuple[np.ndarray, np.ndarray]] = []
    reasons: dict[int, str] = {}
    for number, pair in enumerate(pairs):
        whole = [read_image(path) for path in (pair.occluded, pair.original)]
        occluded, original = (resize(image, SIDE, SIDE) for image in whole)
        small.append((_thumbnail(occluded), _thumbnail(original)))
        aspects = [image.shape[1] / image.shape[0] for image in whole]
        if not 0.95 < aspects[0] / aspects[1] < 1.05:
            reasons[number] = "have different shapes"
        elif reason := _fault(occluded, original):
            reasons[number] = reason
    originals = np.stack([original for _, original in small])
    for number, reason in reasons.items():
        if reason == MOST:
            distance = np.abs(originals - small[number][0]).mean(axis=(1, 2, 3))
            nearest = int(distance.argmin())
            if nearest != number and distance[nearest] < 0.5 * distance[number]:
                reasons[number] = f"show different photographs: the first is of {pairs[nearest].original.name}"
    swapped = [number for number, reason in reasons.items() if reason == SWAPPED]
    if 2 * len(swapped) > len(pairs):
        reasons |= dict.fromkeys(swapped, "are swapped, as those of most pairs are: the occluded ones lie in original_images")
    return [Fault(pairs[number], reason) for number, reason in reasons.items()]


MOST = "differ over most of the picture"
SWAPPED = "are swapped: the second is the occluded one"


def _fault(occluded: np.ndarray, original: np.ndarray) -> str | None:
    """Say what is wrong with a pair of uint8 (SIDE, SIDE, 3); None where nothing is."""
    alike = _alike(occluded, original)
    if alike < SURELY and (reason := _misplaced(occluded, original, alike)):
        return reason
    mask = difference_mask(occluded, original)
    if not mask.any():
        return "are the same picture"
    return SWAPPED if _step(original, mask) > 2 * _step(occluded, mask) + 10 else None


def _misplaced(occluded: np.ndarray, original: np.ndarray, alike: float) -> str | None:
    """Say how the pixels of a pair are displaced, where the share `alike` of them is alike; None where they are not."""
    for name, turned in (("mirrored", occluded[:, ::-1]), ("upside down", occluded[::-1]), ("turned", occluded[::-1, ::-1])):
        if _alike(turned, original) > max(MOSTLY, alike + 0.1):
            return f"are {name}"
    down, right = _shift(occluded, original)
    if (down or right) and _alike(*_overlap(occluded, original, down, right)) > max(MOSTLY, alike + 0.1):
        scale = 100 / SIDE
        return f"are moved, by {right * scale:+.1f}% of the width and {down * scale:+.1f}% of the height"
    return MOST if alike < MOSTLY else None


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    largest: np.ndarray = np.abs(a.astype(np.int16) - b).max(axis=2)
    return largest


def _alike(a: np.ndarray, b: np.ndarray) -> float:
    """Return the share of the pixels that differ by no more than compression."""
    return float((_difference(a, b) <= ALIKE).mean())


def _shift(a: np.ndarray, b: np.ndarray) -> tuple[int, int]:
    """Find by how many pixels, down and right, `b` is `a` moved, by phase correlation (Kuglin and Hines 1975)."""
    spectra = [np.fft.rfft2(image.mean(axis=2) - image.mean()) for image in (a, b)]
    cross = spectra[1] * spectra[0].conj()
    peak = np.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-9), s=(SIDE, SIDE))
    down, right = (int(index) for index in np.unravel_index(peak.argmax(), peak.shape))
    return (down + SIDE // 2) % SIDE - SIDE // 2, (right + SIDE // 2) % SIDE - SIDE // 2  # above the half it is negative


def _overlap(a: np.ndarray, b: np.ndarray, down: int, right: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut out what both show where `b` is `a` moved."""
    rows, columns = (slice(max(0, by), SIDE + min(0, by)) for by in (down, right))
    return np.roll(a, (down, right), (0, 1))[rows, columns], b[rows, columns]


def _step(image: np.ndarray, mask: np.ndarray) -> float:
    """Return the mean difference across the outline of `mask` in grey levels; paint makes it large."""
    steps = []
    for axis in (0, 1):
        mask_near, mask_far = (np.take(mask, range(*ends), axis) for ends in ((0, SIDE - 3), (3, SIDE)))
        near, far = (np.take(image, range(*ends), axis) for ends in ((0, SIDE - 3), (3, SIDE)))
        steps.append(_difference(near, far)[mask_near != mask_far])
    across = np.concatenate(steps)
    return float(across.mean()) if across.size else 0.0


def _thumbnail(image: np.ndarray) -> np.ndarray:
    return resize(image, 16, 16).astype(np.float32)
