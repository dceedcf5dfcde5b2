"""Detect what is painted over an image.

A network decides for each pixel whether it is painted over: first in the image reduced to DETECT_SIDE, then in a closer view of
what it detected. It also gets evidence from the single pixels (see evidence.py). Connected pixels form a region. The outline of
a region is refined to the pixel (see paint.py), and its confidence decides whether it is kept. Images are RGB uint8 (H, W, 3).
Masks are bool (H, W), True where covered.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import PixelRNNError
from ..image import dilate, resize, to_float
from .evidence import evidence, reduced
from .paint import Paint, refine_mask, squared
from .tiling import Box, bounds, clusters

DETECT_SIDE = 768  # pixels; the longer side of the reduced image, which is searched first
NEAR_SIDE = 512  # pixels; the longer side of the closer view of a region
# For each kind of region, the logistic regression of its being paint on its `traits`, by recipes/confidence.py; last the bias
WEIGHTS: dict[str, tuple[float, ...]] = {
    "rough": (0.012, 0.160, 1.723, -1.342, 2.485, 1.928, 0.000, 4.227, 3.688, -13.456),
    "flat": (-0.043, 0.382, 1.832, -1.574, 7.728, 58.775, -5.116, -0.909, 4.633, -13.515),
    "other": (0.110, 0.135, 1.665, -1.539, 17.111, -7.757, 2.399, 2.524, -0.007, -10.929),
}
# A region that is neither flat nor rough, takes a larger share of the image than this and has lower logits than this is most
# likely a wall in half-light
LARGE = 0.01, 3.9
FLAT, ROUGH = 0.15, 0.12  # a region is flat, or rough, if it is flatter or rougher than its surroundings by more than this
CELL, MAX_REGIONS = 8, 48  # pixels of a cell, where neighbouring cells are connected; only the largest regions are looked at
# At most this share of a photograph is painted over, and of the rest at most this share of pixels equals its neighbours. The
# flattest of 240 photographs has 0.43; drawings, screenshots and images of 16 colours have 0.6 to 1.
MOST_COVERED, MOST_FLAT = 0.65, 0.5
MARGIN = 48  # pixels around a region, in the view of the whole image, that the closer view shows
# Where the edge of paint cannot be refined, pixels around it that may be covered count as covered, too; but only a few, since
# the pixels at the edge say most of what was behind the paint.
POSSIBLE, GROWTH = -2.0, 1  # logit, and pixels
CONTEXT = 24  # pixels around a region that the refinement of its outline looks at
MAX_REFINED = 2_000_000  # pixels; the outline of a larger region is refined in a reduced view
LEVELS = {"strict": 0.8, "normal": 0.6, "eager": 0.3}  # --detect: the confidence that a region must have

# image float32 (3, H, W) in [0, 1] and evidence float32 (4, H, W) to logits float32 (H, W), above 0 where covered
Detector = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Region:
    """A connected area that is painted over."""

    box: Box  # in pixels of the image
    mask: np.ndarray  # bool, of the box's size: the covered pixels
    tinted: np.ndarray  # the same with the pixels around them that may hold some of the paint's colour
    traits: np.ndarray  # the figures from which the confidence is computed, see `traits`

    @property
    def confidence(self) -> float:
        """The probability that the region is paint, in [0, 1]."""
        kind, large = kind_of(self.traits), self.traits[3] > np.log10(LARGE[0])
        *weights, bias = WEIGHTS[kind]
        odds = float(self.traits @ np.array(weights)) + bias
        if kind == "other" and large and self.traits[0] < LARGE[1]:
            odds = min(odds, 0.0)
        return float(1 / (1 + np.exp(-np.clip(odds, -30, 30))))


@dataclass(frozen=True)
class Detection:
    """The regions that were detected in an image; those below the threshold do not count."""

    shape: tuple[int, int]  # height and width of the image
    regions: tuple[Region, ...]  # the surest first
    threshold: float  # the confidence that a region must have

    @property
    def kept(self) -> list[Region]:
        """The regions that count."""
        return [region for region in self.regions if region.confidence >= self.threshold]

    @cached_property
    def mask(self) -> np.ndarray:
        """Bool (H, W), the covered pixels."""
        return self._union("mask")

    @cached_property
    def tinted(self) -> np.ndarray:
        """Bool (H, W), the covered pixels and those around them that may hold some of the paint's colour: the mask to fill."""
        return self._union("tinted")

    def beside(self, hidden: np.ndarray) -> np.ndarray:
        """Like `tinted`, but without the regions of which `hidden`, bool (H, W), covers half or more."""
        others = [region for region in self.kept if hidden[region.box.slices][region.mask].mean() < 0.5]
        return self._union("tinted", others)

    def _union(self, attribute: str, regions: list[Region] | None = None) -> np.ndarray:
        """The union of the regions' masks of that name, bool (H, W)."""
        union = np.zeros(self.shape, bool)
        for region in self.kept if regions is None else regions:
            union[region.box.slices] |= getattr(region, attribute)
        return union


def detect(detector: Detector, image: np.ndarray, level: str = "normal") -> Detection:
    """Detect what is painted over an image.

    Args:
        detector: a network that gives the logits of being covered.
        image: uint8 (H, W, 3).
        level: one of LEVELS, how sure a detection must be.

    Returns:
        All regions, those below the level's threshold included. There are none in an image that is not a photograph.

    Raises:
        PixelRNNError: the level is not one of LEVELS.
    """
    if level not in LEVELS:
        raise PixelRNNError(f"detect {level!r}: expected {', '.join(LEVELS)}.")
    factor = max(1.0, max(image.shape[:2]) / DETECT_SIDE)
    view = View.of(detector, image, factor)
    if not _is_photograph(view):
        return Detection(image.shape[:2], (), LEVELS[level])
    candidates = sorted(clusters(view.logits > 0, CELL), key=lambda candidate: -candidate[1].sum())[:MAX_REGIONS]
    regions = [_region(detector, image, view, box, mask) for box, mask in candidates]
    confirmed = sorted((region for region in regions if region is not None), key=lambda region: -region.confidence)
    return Detection(image.shape[:2], tuple(confirmed), LEVELS[level])


def _is_photograph(view: "View") -> bool:
    """Whether enough of the image is neither covered nor flat.

    In a drawing, a screenshot or an image of one colour, paint looks like everything else.
    """
    rest = view.logits <= 0
    return bool(rest.mean() > 1 - MOST_COVERED and view.evidence[2][rest].mean() < MOST_FLAT)


@dataclass(frozen=True)
class View:
    """A reduced image, or a part of one, and what the detector says of it."""

    pixels: np.ndarray  # (h, w, 3) uint8
    evidence: np.ndarray  # (4, h, w) float32, see evidence.evidence
    logits: np.ndarray  # (h, w) float32, above 0 where covered
    factor: float  # by which each side is reduced

    @classmethod
    def of(cls, detector: Detector, image: np.ndarray, factor: float) -> "View":
        """Reduce an image by `factor`, and run the detector on it."""
        height, width = (max(1, round(side / factor)) for side in image.shape[:2])
        pixels, planes = reduced(image, width, height), evidence(image, width, height)
        return cls(pixels, planes, detector(to_float(pixels), planes), factor)

    def part(self, box: Box) -> "View":
        """The part of the view in `box`, without running the detector again."""
        return View(self.pixels[box.slices], self.evidence[:, *box.slices], self.logits[box.slices], self.factor)


def _region(detector: Detector, image: np.ndarray, whole: View, box: Box, detected: np.ndarray) -> Region | None:
    """Examine a candidate in a closer view.

    Args:
        detector: the network.
        image: the image in full size.
        whole: the view of the whole image.
        box: around the candidate, in pixels of that view.
        detected: the candidate's mask, of the box's size.

    Returns:
        The region, or None where the closer view shows nothing.
    """
    margin = max(MARGIN, max(box.size) // 3)
    around = Box(
        *(max(0, edge - margin) for edge in box[:2]),
        *(min(side, edge + margin) for edge, side in zip(box[2:], whole.logits.shape, strict=True)),
    )
    near = np.zeros(around.size[::-1], bool)
    near[box.top - around.top : box.bottom - around.top, box.left - around.left : box.right - around.left] = detected
    part = Box(
        *(int(edge * whole.factor) for edge in around[:2]),
        *(min(side, int(np.ceil(edge * whole.factor))) for edge, side in zip(around[2:], image.shape[:2], strict=True)),
    )
    pixels = image[part.slices]
    factor = max(1.0, max(part.size) / NEAR_SIDE)
    if factor > 0.8 * whole.factor:
        view, mask = whole.part(around), near
    else:
        view = View.of(detector, pixels, factor)
        height, width = view.logits.shape
        # the closer view may lose the middle of a region that fills it, since that looks like any surface
        middle = near & ~dilate(~near, 2)
        mask = (view.logits > 0) & resize(dilate(near, 2), width, height) | resize(middle, width, height)
    if not mask.any():
        return None
    figures = traits(view, mask, detected.sum() / whole.logits.size)
    covered, tinted = _refined(view, mask, pixels)
    tight = bounds(tinted)
    place = Box(*(edge + first for edge, first in zip(tight, part[:2] * 2, strict=True)))
    return Region(place, covered[tight.slices], tinted[tight.slices], figures)


def _refined(view: View, detected: np.ndarray, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The covered and the tinted pixels, bool (H, W) each, of the full-size `pixels` that `view` shows reduced."""
    height, width = pixels.shape[:2]
    paint = refine_mask(view.pixels, detected)
    exact = detected.shape == (height, width)
    if not exact and height * width <= MAX_REFINED:
        closer = _refine_in_full(pixels, resize(detected if paint is None else paint.mask, width, height))
        paint, exact = (closer, True) if closer is not None else (paint, False)
    if paint is not None:
        mask, tinted = paint.mask, paint.tinted
    else:
        mask, tinted = detected, dilate(detected, GROWTH) | (view.logits > POSSIBLE) & dilate(detected, 2 * GROWTH)
    if exact:
        mask, tinted = squared(mask), squared(tinted)
    else:
        mask, tinted = resize(mask, width, height), resize(tinted, width, height)
    return mask, tinted | mask


def _refine_in_full(pixels: np.ndarray, detected: np.ndarray) -> Paint | None:
    """Run `refine_mask` on the surroundings of the detected pixels only: it looks no further."""
    top, left, bottom, right = bounds(detected)
    near = slice(max(0, top - CONTEXT), bottom + CONTEXT), slice(max(0, left - CONTEXT), right + CONTEXT)
    paint = refine_mask(pixels[near], detected[near])
    if paint is None:
        return None
    mask, tinted = np.zeros((2, *detected.shape), bool)
    mask[near], tinted[near] = paint
    return Paint(mask, tinted)


def traits(view: View, mask: np.ndarray, share: float) -> np.ndarray:
    """Compute the figures that speak for and against a region being paint.

    Args:
        view: the closer view of the region.
        mask: the region in that view, bool (h, w).
        share: the region's share of the image.

    Returns:
        float (9,): the mean of the upper half of the region's logits, and the highest of them; log10 of its pixels in the view,
        and of its share of the image; how much it is flatter, rougher and smoother than its surroundings; and the 0.9 quantile
        of the isolated steps along its outline, and the share of large ones among them.
    """
    logits = np.sort(view.logits[mask])
    inner = mask & ~dilate(~mask, 2)
    inner = inner if inner.sum() > 10 else mask
    outline = dilate(mask, 1) & ~(mask & ~dilate(~mask, 1))
    around = dilate(mask, 4) & ~dilate(mask, 1)
    around = around if around.any() else mask
    rough, _, flat, alone = view.evidence
    ends, rougher, size = alone[outline], rough[inner].mean() - rough[around].mean(), np.log10(len(logits))
    return np.array(
        [
            logits[-max(1, len(logits) // 2) :].mean(),
            logits[-1],
            size,
            np.log10(share),
            max(0.0, flat[inner].mean() - flat[around].mean()),
            max(0.0, rougher),
            max(0.0, -rougher),
            np.quantile(ends, 0.9),
            (ends > 0.5).mean(),
        ]
    )


def kind_of(traits: np.ndarray) -> str:
    """The kind of a region, a key of WEIGHTS: "rough" (noise, patterns), "flat" (one colour), or "other" (such as words)."""
    return "rough" if traits[5] > ROUGH else "flat" if traits[4] > FLAT else "other"
