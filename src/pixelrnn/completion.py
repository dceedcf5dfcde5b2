"""Completer and Completion: the one door to inference. Pictures are RGB uint8 (H, W, 3); masks bool (H, W), True is missing."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from .backends import Backend, open_backend
from .errors import PixelRNNError
from .image import Picture, as_rgb, grow, read_mask, read_picture, resize, to_float, to_uint8
from .paint import trace
from .tiling import GRAIN, MARGIN, WORK_SIDE, Box, cut, fill, groups, shrink
from .weights import DEFAULT

if TYPE_CHECKING:
    from .sampling import Sampler

__all__ = ["WORK_SIDE", "Completer", "Completion"]

DETECT_SIDE = 512  # occlusions are looked for in pictures of at most this long side, then again around each that was found
# Where the paint has no colours to find its edge by, the occlusion takes in, for filling, what is possibly covered around it;
# no more, since the pixels at its edge say most of what was behind it.
POSSIBLE, GROWTH = -2.0, 3  # logit, and pixels
# An occlusion is what is more likely covered than not, near a core of 5 x 5 pixels that is surely so: that takes most false
# alarms away, and hardly anything that is painted.
SURE, CORE, NEAR = 3.0, 2, 8  # logit, and radii in pixels


Source = str | Path | Image.Image | np.ndarray | Picture


@dataclass(frozen=True)
class Completion:
    """A completed picture and what is known about it."""

    image: np.ndarray  # (H, W, 3) uint8, known pixels byte for byte; of several samples the first
    mask: np.ndarray  # (H, W) bool, what was taken as missing
    uncertainty: np.ndarray | None  # (H, W) float32, standard deviation in units of [0, 1], 0 where known; None where unknown
    samples: list[np.ndarray]  # (H, W, 3) uint8 each, the most likely first; one, not drawn, unless several were asked for
    log_likelihood: list[float] | None  # per sample, nats per missing pixel of the coarse picture; None where none was drawn
    mask_source: str  # "given", "transparent", "detected", or "detected by" and the weights that did


class Completer:
    """Completes pictures with one network.

    completer = Completer.from_pretrained()
    result = completer("photo.jpg")

    detector: sees the occlusion where the network itself cannot; by default the bundled weights. sampler: draws what several
    samples are completed from; by default the bundled weights.
    """

    def __init__(
        self, backend: Backend, detector: Backend | None = None, name: str = "", sampler: "Sampler | None" = None
    ) -> None:
        self.backend, self.detector, self.name, self.sampler = backend, detector, name, sampler

    @classmethod
    def from_pretrained(cls, weights: str | Path = DEFAULT, device: str = "cpu", backend: str = "auto") -> "Completer":
        """Load a bundled name, a .safetensors file of ours, a plain .pth state dict or an exported .onnx file.

        device: cpu or cuda. backend: "onnx" (ONNX Runtime), "torch", or "auto": ONNX Runtime on the CPU for bundled weights and
        .onnx files, torch for all else. Raises PixelRNNError.
        """
        opened = open_backend(weights, device, backend)
        return cls(opened, name=opened.name)

    def __call__(
        self,
        image: Source,
        mask: str | Path | Image.Image | np.ndarray | tuple[int, int, int, int] | None = None,
        samples: int = 1,
        seed: int = 0,
        guide: Source | None = None,
        grown: int = 0,
        temperature: float = 1.0,
        progress: Callable[[float], Any] = lambda share: None,
    ) -> Completion:
        """Complete one picture.

        image: a path, a PIL picture, uint8 (H, W, 3), or a Picture. mask: a path, a PIL picture (white is missing), bool
        (H, W), or a box (x, y, width, height) in pixels; None takes transparent pixels as missing, or finds the occlusion
        where there are none. samples: 1 for the completion itself; more are drawn by the sampler, one seed giving the same ones
        each time, and completed with what was drawn as their guides. guide: what belongs in the hole, as a coarse picture of
        the whole (a path, a PIL picture or uint8 (h, w, 3)), best 32 to 64 pixels a side. grown: pixels by which what is
        missing is grown. temperature: of the samples, above 0; below 1 they are likelier and more alike. progress: told the
        share of them that is drawn, in (0, 1].
        Raises PixelRNNError: unreadable or mis-shaped input, a mask of another size, nothing known, samples where the weights
        take no guide, torch or the sampler is not there, or a guide is given.
        """
        if samples < 1:
            raise PixelRNNError(f"{samples} samples: expected 1 or more.")
        if samples > 1 and (guide is not None or not self.backend.reads_mask):
            why = "a guide was given" if guide is not None else f"the model {self.name} takes no guide"
            raise PixelRNNError(f"{samples} samples: {why}, so there is one completion. Ask for 1.")
        opened = _as_picture(image)
        picture = opened.pixels
        if mask is not None:
            missing, source = _as_mask(mask, picture.shape[:2]), "given"
        elif opened.transparent is not None:
            missing, source = opened.transparent, "transparent"
        else:
            missing, source = self.detect(picture)
        if grown:
            missing = grow(missing, grown)
        if missing.all():
            raise PixelRNNError(
                "the whole picture is missing, there is nothing to complete it from. "
                + ("Give a mask that leaves some pixels known." if source == "given" else "Give a mask of what is missing.")
            )
        if not missing.any():
            deviation = np.zeros(missing.shape, np.float32)
            return Completion(picture, missing, deviation, [picture], None, source)
        coarse = None if guide is None else to_float(_as_picture(guide).pixels)
        completed = picture.copy()
        if not self.backend.reads_mask:
            # it has learned what paint looks like; what is given as missing may not look like it
            uncertainty = self._redraw(completed, missing, coarse, as_it_is=source.startswith("detected"))
        elif coarse is None:
            uncertainty = fill(self.backend, completed, missing)
        else:
            uncertainty = fill(self.backend, completed, missing, partial(cut, coarse, missing.shape))
        every, nats = [completed], None
        if samples > 1:
            every, nats = self._samples(picture, missing, completed, samples, seed, temperature, progress)
        if opened.grey:
            for one in every:
                one[missing] = np.rint(one[missing].mean(axis=1, keepdims=True))
        return Completion(every[0], missing, uncertainty, every, nats, source)

    @property
    def can_sample(self) -> bool:
        """Whether several samples can be asked for."""
        return self.backend.reads_mask and (self.sampler is not None or find_spec("torch") is not None)

    def _samples(
        self,
        picture: np.ndarray,
        missing: np.ndarray,
        expected: np.ndarray,
        samples: int,
        seed: int,
        temperature: float,
        progress: Callable[[float], Any],
    ) -> tuple[list[np.ndarray], list[float]]:
        """Completions of coarse samples and their log-likelihoods, the most likely first."""
        if self.sampler is None:
            from .sampling import Sampler

            self.sampler = Sampler()
        drawn = self.sampler(picture, missing, expected, samples, seed, temperature, progress)
        every = [picture.copy() for _ in drawn.guides]
        for one, guides in zip(every, drawn.guides, strict=True):
            fill(self.backend, one, missing, guides.__getitem__)
        order = sorted(range(samples), key=lambda i: -drawn.log_likelihood[i])
        return [every[i] for i in order], [drawn.log_likelihood[i] for i in order]

    def detect(self, picture: np.ndarray, grown: bool = True) -> tuple[np.ndarray, str]:
        """Find the occlusion of uint8 (H, W, 3): (bool (H, W), who found it); all False where none is seen.

        grown: with the ring around it that may hold some of its colour, as filling needs it; else the occlusion itself.
        """
        factor = max(1.0, max(picture.shape[:2]) / DETECT_SIDE)
        seen, source = self._look(_reduced(picture, factor), grown and factor == 1)
        if factor == 1:
            return seen, source
        found = np.zeros(picture.shape[:2], bool)
        inside = seen & ~grow(~seen, 2)  # a nearer look may lose it: the middle of what fills the view is like any surface
        for box in groups(seen):
            self._look_closer(picture, box, factor, grown, found)
            top, left, bottom, right = (int(edge * factor) for edge in box)
            # a side of less than `factor` was one pixel there
            bottom, right = min(bottom, picture.shape[0]), min(right, picture.shape[1])
            found[top:bottom, left:right] |= resize(inside[box.slices], right - left, bottom - top)
        return found, source

    def _look_closer(self, picture: np.ndarray, box: Box, factor: float, grown: bool, found: np.ndarray) -> None:
        """Find the occlusion again that was seen in `box` of the picture reduced by `factor`, as near as the detector can see
        it whole, and add it to `found`."""
        full = [int(edge * factor) for edge in box]
        margin = max(MARGIN[0], max(full[2] - full[0], full[3] - full[1]) // 3, int(2 * factor))
        top, left = (max(0, edge - margin) // GRAIN * GRAIN for edge in full[:2])
        part = picture[top : full[2] + margin, left : full[3] + margin]
        closer = max(1.0, max(part.shape[:2]) / DETECT_SIDE)
        if closer > 0.8 * factor:
            closer = factor
        seen, _ = self._look(_reduced(part, closer), grown or closer > 1)
        if closer > 1 and grown:
            seen = grow(seen, 1)
        height, width = part.shape[:2]
        found[top : top + height, left : left + width] |= resize(seen, width, height)

    def _look(self, small: np.ndarray, grown: bool) -> tuple[np.ndarray, str]:
        """The occlusion in a picture of moderate size."""
        logits, source = self.backend.detect(to_float(small)), "detected"
        if logits is None:
            if self.detector is None:
                self.detector = open_backend(DEFAULT)
            logits, source = self.detector.detect(to_float(small)), f"detected by {DEFAULT}"
        if logits is None:
            raise PixelRNNError("neither these weights nor the detector can find an occlusion. Give a mask.")
        core = grow(~grow(logits <= SURE, CORE), CORE)
        seen = (logits > 0) & grow(core, NEAR)
        paint = trace(small, seen)
        if paint is not None:
            return paint.tinted if grown else paint.mask, source
        if grown:
            seen = grow(seen, GROWTH) | (logits > POSSIBLE) & grow(seen, 2 * GROWTH)
        return seen, source

    def _redraw(self, picture: np.ndarray, missing: np.ndarray, guide: np.ndarray | None, as_it_is: bool) -> np.ndarray | None:
        """Fill `picture` in place by a network that draws the whole anew, at its working size; the deviation, or None."""
        height, width = missing.shape
        scale = min(1.0, WORK_SIDE / max(width, height))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        if not as_it_is:
            picture[missing] = 0
        output = self.backend(to_float(resize(picture, *size)), resize(missing, *size), guide)
        picture[missing] = resize(to_uint8(output.image), width, height)[missing]
        if output.log_std is None:
            return None
        deviation = Image.fromarray(np.exp(output.log_std)).resize((width, height), Image.Resampling.BILINEAR)
        return np.where(missing, np.asarray(deviation), np.float32(0))


def _reduced(picture: np.ndarray, factor: float) -> np.ndarray:
    """The picture at 1 / `factor` of its sides."""
    if factor == 1:
        return picture
    height, width = (max(1, round(side / factor)) for side in picture.shape[:2])
    return resize(shrink(picture, max(1, int(factor / 2))), width, height)


def _as_picture(image: Source) -> Picture:
    if isinstance(image, Picture):
        return image
    if isinstance(image, (str, Path)):
        return read_picture(image)
    if isinstance(image, Image.Image):
        return Picture(as_rgb(image))
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise PixelRNNError(f"expected a picture as uint8 (H, W, 3), got {image.dtype} {image.shape}.")
    return Picture(image)


def _as_mask(mask: str | Path | Image.Image | np.ndarray | tuple[int, int, int, int], shape: tuple[int, ...]) -> np.ndarray:
    height, width = shape
    if isinstance(mask, tuple):
        x, y, w, h = mask
        if w < 1 or h < 1 or x < 0 or y < 0 or x + w > width or y + h > height:
            raise PixelRNNError(f"box {x},{y},{w},{h} (x, y, width, height) does not lie in a picture of {width} x {height}.")
        missing = np.zeros((height, width), bool)
        missing[y : y + h, x : x + w] = True
        return missing
    if isinstance(mask, (str, Path)):
        missing = read_mask(mask)
    elif isinstance(mask, Image.Image):
        missing = as_rgb(mask).mean(axis=2) >= 127.5
    else:
        missing = mask
    if missing.dtype != bool or missing.ndim != 2:
        raise PixelRNNError(f"expected a mask as bool (H, W), True where missing, got {missing.dtype} {missing.shape}.")
    if missing.shape != (height, width):
        raise PixelRNNError(
            f"the mask is {missing.shape[1]} x {missing.shape[0]}, the picture {width} x {height}. Give a mask of that size."
        )
    return missing
