"""Finding what is painted over a picture, or nothing. Pictures are RGB uint8 (H, W, 3), masks bool (H, W), True where covered.

A network says of each pixel whether it is painted over: first of the picture reduced to DETECT_SIDE, then again, nearer, of
what it found; with the evidence of the single pixels, see evidence.py. What hangs together is a region; its outline is traced
to the pixel, see paint.py, and it has a confidence, by which it is kept or left.
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

DETECT_SIDE = 768  # pixels, of the reduced picture in which paint is looked for first
NEAR_SIDE = 512  # of what is looked at again
# Of the odds that a region is paint, by its kind: logistic regressions on `traits`, by recipes/confidence.py; last the bias
WEIGHTS: dict[str, tuple[float, ...]] = {
    "rough": (0.012, 0.160, 1.723, -1.342, 2.485, 1.928, 0.000, 4.227, 3.688, -13.456),
    "flat": (-0.043, 0.382, 1.832, -1.574, 7.728, 58.775, -5.116, -0.909, 4.633, -13.515),
    "other": (0.110, 0.135, 1.665, -1.539, 17.111, -7.757, 2.399, 2.524, -0.007, -10.929),
}
# What is neither flat nor rough and takes so much of the picture, with logits of less: a wall in half-light, most likely
LARGE = 0.01, 3.9
FLAT, ROUGH = 0.15, 0.12  # flatter, and rougher, than what lies around by so much: of that kind
CELL, MOST = 8, 48  # pixels of a cell, neighbours of which hang together; regions, the largest
# A photograph has at most so much of it painted over, and of the rest at most so many pixels like their neighbours. Of 240
# photographs the flattest has 0.43; drawings, screenshots and pictures of 16 colours have 0.6 to 1.
MOST_COVERED, MOST_FLAT = 0.65, 0.5
MARGIN = 48  # pixels around a region, in the view of the whole, that are looked at again
# Where paint has nothing to find its edge by, what is possibly covered around it is filled as well; no more, since the pixels
# at its edge say most of what was behind it.
POSSIBLE, GROWTH = -2.0, 1  # logit, and pixels
LOOKS = 24  # pixels around what is seen that tracing looks at
TRACED = 2_000_000  # pixels; the outline of a larger region is traced in a reduced view
LEVELS = {"strict": 0.8, "normal": 0.6, "eager": 0.3}  # --detect: the confidence that a region must have

Look = Callable[[np.ndarray, np.ndarray], np.ndarray]  # image float32 (3, H, W), evidence (4, H, W) to logits float32 (H, W)


@dataclass(frozen=True, eq=False)
class Region:
    """Something painted over, as far as it hangs together."""

    box: Box  # in pixels of the picture
    mask: np.ndarray  # bool, of the box's size: what is covered
    tinted: np.ndarray  # the same with the ring around it that may hold some of its colour
    traits: np.ndarray  # what speaks for its being paint, see `traits`

    @property
    def confidence(self) -> float:
        """That it is paint, in [0, 1]."""
        kind, large = kind_of(self.traits), self.traits[3] > np.log10(LARGE[0])
        *weights, bias = WEIGHTS[kind]
        odds = float(self.traits @ np.array(weights)) + bias
        if kind == "other" and large and self.traits[0] < LARGE[1]:
            odds = min(odds, 0.0)
        return float(1 / (1 + np.exp(-np.clip(odds, -30, 30))))


@dataclass(frozen=True)
class Detection:
    """What was found in a picture of `shape`; of the regions those count whose confidence is `threshold` or more."""

    shape: tuple[int, int]
    regions: tuple[Region, ...]  # the surest first
    threshold: float

    @property
    def kept(self) -> list[Region]:
        return [region for region in self.regions if region.confidence >= self.threshold]

    @cached_property
    def mask(self) -> np.ndarray:
        """Bool (H, W), what is covered."""
        return self._union("mask")

    @cached_property
    def tinted(self) -> np.ndarray:
        """Bool (H, W), the same with the ring around it that may hold some of its colour, as filling needs it."""
        return self._union("tinted")

    def beside(self, hidden: np.ndarray) -> np.ndarray:
        """Bool (H, W), what is tinted apart from the regions that are `hidden`, bool (H, W), for the most part."""
        others = [region for region in self.kept if hidden[region.box.slices][region.mask].mean() < 0.5]
        return self._union("tinted", others)

    def _union(self, part: str, regions: list[Region] | None = None) -> np.ndarray:
        whole = np.zeros(self.shape, bool)
        for region in self.kept if regions is None else regions:
            whole[region.box.slices] |= getattr(region, part)
        return whole


def detect(look: Look, picture: np.ndarray, level: str = "normal") -> Detection:
    """What is painted over uint8 (H, W, 3), of which `look` gives the odds. level: of LEVELS. Raises PixelRNNError."""
    if level not in LEVELS:
        raise PixelRNNError(f"detect {level!r}: expected {', '.join(LEVELS)}.")
    factor = max(1.0, max(picture.shape[:2]) / DETECT_SIDE)
    view = View.of(look, picture, factor)
    if not _is_photograph(view):
        return Detection(picture.shape[:2], (), LEVELS[level])
    found = sorted(clusters(view.logits > 0, CELL), key=lambda one: -one[1].sum())[:MOST]
    regions = [_region(look, picture, view, box, own) for box, own in found]
    kept = sorted((region for region in regions if region is not None), key=lambda region: -region.confidence)
    return Detection(picture.shape[:2], tuple(kept), LEVELS[level])


def _is_photograph(view: "View") -> bool:
    """Whether there is something, apart from what may be painted over, that is not flat: else it is a drawing, a screenshot, or
    of one colour, where paint is like everything else.
    """
    rest = view.logits <= 0
    return bool(rest.mean() > 1 - MOST_COVERED and view.seen[2][rest].mean() < MOST_FLAT)


@dataclass(frozen=True)
class View:
    """A picture, or a part of it, reduced by `factor`, and what is seen there."""

    pixels: np.ndarray
    seen: np.ndarray  # evidence
    logits: np.ndarray
    factor: float

    @classmethod
    def of(cls, look: Look, picture: np.ndarray, factor: float) -> "View":
        height, width = (max(1, round(side / factor)) for side in picture.shape[:2])
        pixels, seen = reduced(picture, width, height), evidence(picture, width, height)
        return cls(pixels, seen, look(to_float(pixels), seen), factor)

    def part(self, box: Box) -> "View":
        return View(self.pixels[box.slices], self.seen[:, *box.slices], self.logits[box.slices], self.factor)


def _region(look: Look, picture: np.ndarray, whole: View, box: Box, own: np.ndarray) -> Region | None:
    """The region of which `own`, in `box` of the view of the whole, was seen; None where a nearer look sees nothing there."""
    margin = max(MARGIN, max(box.size) // 3)
    around = Box(
        *(max(0, edge - margin) for edge in box[:2]),
        *(min(side, edge + margin) for edge, side in zip(box[2:], whole.logits.shape, strict=True)),
    )
    near = np.zeros(around.size[::-1], bool)
    near[box.top - around.top : box.bottom - around.top, box.left - around.left : box.right - around.left] = own
    part = Box(
        *(int(edge * whole.factor) for edge in around[:2]),
        *(min(side, int(np.ceil(edge * whole.factor))) for edge, side in zip(around[2:], picture.shape[:2], strict=True)),
    )
    pixels = picture[part.slices]
    factor = max(1.0, max(part.size) / NEAR_SIDE)
    if factor > 0.8 * whole.factor:
        view, seen = whole.part(around), near
    else:
        view = View.of(look, pixels, factor)
        height, width = view.logits.shape
        inside = near & ~dilate(~near, 2)  # a nearer look may lose it: the middle of what fills the view is like any surface
        seen = (view.logits > 0) & resize(dilate(near, 2), width, height) | resize(inside, width, height)
    if not seen.any():
        return None
    speaks = traits(view, seen, own.sum() / whole.logits.size)
    mask, tinted = _outlined(view, seen, pixels)
    inside = bounds(tinted)
    place = Box(*(edge + first for edge, first in zip(inside, part[:2] * 2, strict=True)))
    return Region(place, mask[inside.slices], tinted[inside.slices], speaks)


def _outlined(view: View, seen: np.ndarray, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is covered, and tinted, of the `pixels` of which `view` is the reduced picture: bool (H, W) each."""
    height, width = pixels.shape[:2]
    paint = refine_mask(view.pixels, seen)
    exact = seen.shape == (height, width)
    if not exact and height * width <= TRACED:
        closer = _trace_closely(pixels, resize(seen if paint is None else paint.mask, width, height))
        paint, exact = (closer, True) if closer is not None else (paint, False)
    if paint is not None:
        mask, tinted = paint.mask, paint.tinted
    else:
        mask, tinted = seen, dilate(seen, GROWTH) | (view.logits > POSSIBLE) & dilate(seen, 2 * GROWTH)
    if exact:
        mask, tinted = squared(mask), squared(tinted)
    else:
        mask, tinted = resize(mask, width, height), resize(tinted, width, height)
    return mask, tinted | mask


def _trace_closely(pixels: np.ndarray, seen: np.ndarray) -> Paint | None:
    """`trace` in what lies around what is seen alone, which is as far as it looks."""
    top, left, bottom, right = bounds(seen)
    near = slice(max(0, top - LOOKS), bottom + LOOKS), slice(max(0, left - LOOKS), right + LOOKS)
    found = refine_mask(pixels[near], seen[near])
    if found is None:
        return None
    mask, tinted = np.zeros((2, *seen.shape), bool)
    mask[near], tinted[near] = found
    return Paint(mask, tinted)


def traits(view: View, seen: np.ndarray, share: float) -> np.ndarray:
    """What speaks for and against a region being paint: `seen` in the view, `share` of the picture. float (9,): the mean of the
    upper half of the network's logits, and the highest; log10 of its pixels in the view, and of its share of the picture; by
    how much it is flatter, rougher and smoother than what lies around it; and how large, and how often large, the steps along
    its outline are that stand alone.
    """
    logits = np.sort(view.logits[seen])
    inner = seen & ~dilate(~seen, 2)
    inner = inner if inner.sum() > 10 else seen
    outline = dilate(seen, 1) & ~(seen & ~dilate(~seen, 1))
    around = dilate(seen, 4) & ~dilate(seen, 1)
    around = around if around.any() else seen
    rough, _, flat, alone = view.seen
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
    """Of WEIGHTS: noise and patterns, one colour, or all else, such as words."""
    return "rough" if traits[5] > ROUGH else "flat" if traits[4] > FLAT else "other"
