"""Whether the two pictures of a pair belong together, and where they differ."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from ..decode import read_image
from ..errors import PixelRNNError
from ..image import resize
from .pairs import Pair

SIDE = 128  # at which pairs are compared
LOOKED_AT = 1000  # pairs at most, spread evenly
ALIKE = 12  # grey levels by which compression alone makes two pictures differ
MOSTLY = 0.25  # of the picture is alike at least in a pair; the largest occlusions leave 0.4
SURELY = 0.8  # of the picture is alike in no other two


class Fault(NamedTuple):
    """A pair that is none, and why."""

    pair: Pair
    reason: str


def difference_mask(occluded: np.ndarray, original: np.ndarray, threshold: int = 25) -> np.ndarray:
    """Where two uint8 (H, W, 3) pictures differ, as a solid mask: bool (H, W).

    Compression noise below `threshold` grey levels, and specks, do not count; gaps where the original has the occlusion's own
    colour are closed when they are small.
    """
    picture = Image.fromarray((_difference(occluded, original) > threshold).astype(np.uint8) * 255)
    # opening takes specks out, closing fills small gaps; square windows keep the corners of boxes
    picture = picture.filter(ImageFilter.MinFilter(3)).filter(ImageFilter.MaxFilter(3))
    picture = picture.filter(ImageFilter.MaxFilter(11)).filter(ImageFilter.MinFilter(11))
    return np.asarray(picture) > 0


def check_pairs(pairs: Sequence[Pair]) -> None:
    """Look at the pictures of all pairs, or of 1,000 of many. Raises PixelRNNError that names the first pairs that differ over
    most of the picture or nowhere, are mirrored, moved, swapped, of other shapes, or belong to another pair.
    """
    step = -(-len(pairs) // LOOKED_AT)
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
    """Those of `pairs` whose two pictures do not belong together."""
    small: list[tuple[np.ndarray, np.ndarray]] = []
    reasons: dict[int, str] = {}
    for number, pair in enumerate(pairs):
        whole = [read_image(path) for path in (pair.occluded, pair.original)]
        occluded, original = (resize(picture, SIDE, SIDE) for picture in whole)
        small.append((_thumbnail(occluded), _thumbnail(original)))
        aspects = [picture.shape[1] / picture.shape[0] for picture in whole]
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
    """What is wrong with a pair of uint8 (SIDE, SIDE, 3)."""
    alike = _alike(occluded, original)
    if alike < SURELY and (reason := _misplaced(occluded, original, alike)):
        return reason
    mask = difference_mask(occluded, original)
    if not mask.any():
        return "are the same picture"
    return SWAPPED if _step(original, mask) > 2 * _step(occluded, mask) + 10 else None


def _misplaced(occluded: np.ndarray, original: np.ndarray, alike: float) -> str | None:
    """How the pixels of such a pair, of which the share `alike` is, lie elsewhere."""
    for name, turned in (("mirrored", occluded[:, ::-1]), ("upside down", occluded[::-1]), ("turned", occluded[::-1, ::-1])):
        if _alike(turned, original) > max(MOSTLY, alike + 0.1):
            return f"are {name}"
    down, right = _shift(occluded, original)
    if (down or right) and _alike(*_overlap(occluded, original, down, right)) > max(MOSTLY, alike + 0.1):
        scale = 100 / SIDE
        return f"are moved, by {right * scale:+.1f}% of the width and {down * scale:+.1f}% of the height"
    return MOST if alike < MOSTLY else None


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs(a.astype(np.int16) - b).max(axis=2)


def _alike(a: np.ndarray, b: np.ndarray) -> float:
    """Share of the pixels that differ by compression at most."""
    return float((_difference(a, b) <= ALIKE).mean())


def _shift(a: np.ndarray, b: np.ndarray) -> tuple[int, int]:
    """By how many pixels down and right `b` shows what `a` does; phase correlation (Kuglin and Hines 1975)."""
    spectra = [np.fft.rfft2(picture.mean(axis=2) - picture.mean()) for picture in (a, b)]
    cross = spectra[1] * spectra[0].conj()
    peak = np.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-9), s=(SIDE, SIDE))
    down, right = (int(found) for found in np.unravel_index(peak.argmax(), peak.shape))
    return (down + SIDE // 2) % SIDE - SIDE // 2, (right + SIDE // 2) % SIDE - SIDE // 2  # above the half it is negative


def _overlap(a: np.ndarray, b: np.ndarray, down: int, right: int) -> tuple[np.ndarray, np.ndarray]:
    """What both show where `b` is `a` moved."""
    rows, columns = (slice(max(0, by), SIDE + min(0, by)) for by in (down, right))
    return np.roll(a, (down, right), (0, 1))[rows, columns], b[rows, columns]


def _step(picture: np.ndarray, mask: np.ndarray) -> float:
    """Mean difference across the outline of `mask`, in grey levels: of paint it is large."""
    steps = []
    for axis in (0, 1):
        inside, beyond = (np.take(mask, range(*ends), axis) for ends in ((0, SIDE - 3), (3, SIDE)))
        near, far = (np.take(picture, range(*ends), axis) for ends in ((0, SIDE - 3), (3, SIDE)))
        steps.append(_difference(near, far)[inside != beyond])
    found = np.concatenate(steps)
    return float(found.mean()) if found.size else 0.0


def _thumbnail(picture: np.ndarray) -> np.ndarray:
    return resize(picture, 16, 16).astype(np.float32)
