"""Completer and Completion: the one door to inference. Pictures are RGB uint8 (H, W, 3); masks bool (H, W), True is missing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from .backends import Output, TorchBackend
from .errors import PixelRNNError
from .image import as_rgb, grow, paste_known, read_image, read_mask, resize, to_float, to_uint8
from .paint import trace
from .weights import DEFAULT

WORK_SIDE = 640  # a larger picture is completed at this long side, then brought to its size: memory stays bounded
# Where the paint has no colours to find its edge by, the occlusion takes in, for filling, what is possibly covered around it;
# no more, since the pixels at its edge say most of what was behind it.
POSSIBLE, GROWTH = -2.0, 3  # logit, and pixels
# An occlusion is what is more likely covered than not, near a core of 5 x 5 pixels that is surely so: that takes most false
# alarms away, and hardly anything that is painted.
SURE, CORE, NEAR = 3.0, 2, 8  # logit, and radii in pixels


class Backend(Protocol):
    """A network on one picture; see backends."""

    reads_mask: bool

    def __call__(self, image: np.ndarray, mask: np.ndarray, guide: np.ndarray | None = None) -> Output: ...

    def detect(self, image: np.ndarray) -> np.ndarray | None: ...


@dataclass(frozen=True)
class Completion:
    """A completed picture and what is known about it."""

    image: np.ndarray  # (H, W, 3) uint8, known pixels byte for byte
    mask: np.ndarray  # (H, W) bool, what was taken as missing
    uncertainty: np.ndarray | None  # (H, W) float32, standard deviation in units of [0, 1], 0 where known; None where unknown
    samples: list[np.ndarray]  # (H, W, 3) uint8 each; one unless several were asked for
    log_likelihood: list[float] | None  # per sample, nats per missing pixel; None for a model that has none
    mask_source: str  # "given", "detected", or "detected by" and the weights that did


class Completer:
    """Completes pictures with one network.

    completer = Completer.from_pretrained()
    result = completer("photo.jpg")

    detector: sees the occlusion where the network itself cannot; by default the bundled weights.
    """

    def __init__(self, backend: Backend, detector: Backend | None = None, name: str = "") -> None:
        self.backend, self.detector, self.name = backend, detector, name

    @classmethod
    def from_pretrained(cls, weights: str | Path = DEFAULT, device: str = "cpu") -> "Completer":
        """Load a bundled name, a .safetensors file of ours, or a plain .pth state dict. Raises PixelRNNError."""
        backend = TorchBackend(weights, device)
        return cls(backend, name=backend.name)

    def __call__(
        self,
        image: str | Path | Image.Image | np.ndarray,
        mask: str | Path | Image.Image | np.ndarray | tuple[int, int, int, int] | None = None,
        samples: int = 1,
        seed: int = 0,
        guide: str | Path | Image.Image | np.ndarray | None = None,
    ) -> Completion:
        """Complete one picture.

        image: a path, a PIL picture, or uint8 (H, W, 3). mask: a path, a PIL picture (white is missing), bool (H, W), or a box
        (x, y, width, height) in pixels; None finds the occlusion. seed: for models that draw samples. guide: what belongs in
        the hole, as a coarse picture of the whole (a path, a PIL picture or uint8 (h, w, 3)), best 32 to 64 pixels a side.
        Raises PixelRNNError: unreadable or mis-shaped input, a mask of another size, nothing known, more samples than one.
        """
        if samples != 1:
            raise PixelRNNError(f"{samples} samples: these weights give one completion. Ask for 1.")
        picture = _as_image(image)
        if mask is None:
            missing, source = self.detect(picture)
        else:
            missing, source = _as_mask(mask, picture.shape[:2]), "given"
        if missing.all():
            raise PixelRNNError(
                "the whole picture is missing, there is nothing to complete it from. "
                + ("Give a mask that leaves some pixels known." if source == "given" else "Give a mask of what is missing.")
            )
        if not missing.any():
            deviation = np.zeros(missing.shape, np.float32)
            return Completion(picture, missing, deviation, [picture], None, source)
        # a network that reads no mask has learned what paint looks like; what is given as missing may not look like it
        as_it_is = source != "given" and not self.backend.reads_mask
        shown = picture if as_it_is else paste_known(picture, np.zeros_like(picture), missing)
        filled, uncertainty = self._fill(shown, missing, None if guide is None else to_float(_as_image(guide)))
        completed = paste_known(picture, filled, missing)
        return Completion(completed, missing, uncertainty, [completed], None, source)

    def detect(self, picture: np.ndarray, grown: bool = True) -> tuple[np.ndarray, str]:
        """Find the occlusion of uint8 (H, W, 3): (bool (H, W), who found it); all False where none is seen.

        grown: with the ring around it that may hold some of its colour, as filling needs it; else the occlusion itself.
        """
        height, width = picture.shape[:2]
        small = resize(picture, *_work_size(width, height))
        logits, source = self.backend.detect(to_float(small)), "detected"
        if logits is None:
            if self.detector is None:
                self.detector = TorchBackend(DEFAULT)
            logits, source = self.detector.detect(to_float(small)), f"detected by {DEFAULT}"
        if logits is None:
            raise PixelRNNError("neither these weights nor the detector can find an occlusion. Give a mask.")
        core = grow(~grow(logits <= SURE, CORE), CORE)
        seen = (logits > 0) & grow(core, NEAR)
        paint = trace(small, seen)
        if paint is not None:
            seen = paint.tinted if grown else paint.mask
        elif grown:
            seen = grow(seen, GROWTH) | (logits > POSSIBLE) & grow(seen, 2 * GROWTH)
        if grown and small.shape != picture.shape:  # there its edge is sharper than in the small picture
            seen = grow(seen, 1)
        return resize(seen, width, height), source

    def _fill(self, shown: np.ndarray, missing: np.ndarray, guide: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
        """(uint8 (H, W, 3), deviation float32 (H, W) or None) from the network at its working size."""
        height, width = missing.shape
        size = _work_size(width, height)
        output = self.backend(to_float(resize(shown, *size)), resize(missing, *size), guide)
        filled = resize(to_uint8(output.image), width, height)
        if output.log_std is None:
            return filled, None
        deviation = Image.fromarray(np.exp(output.log_std)).resize((width, height), Image.Resampling.BILINEAR)
        return filled, np.where(missing, np.asarray(deviation), np.float32(0))


def _work_size(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, WORK_SIDE / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _as_image(image: str | Path | Image.Image | np.ndarray) -> np.ndarray:
    if isinstance(image, (str, Path)):
        return read_image(image)
    if isinstance(image, Image.Image):
        return as_rgb(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise PixelRNNError(f"expected a picture as uint8 (H, W, 3), got {image.dtype} {image.shape}.")
    return image


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
