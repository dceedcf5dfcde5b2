"""Completer and Completion: the entry point to inference.

Images are RGB uint8 (H, W, 3). Masks are bool (H, W), True where missing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from .. import decode
from ..decode import Picture, read_picture
from ..errors import PixelRNNError
from ..image import dilate, resize, to_float, to_uint8
from ..masks import MaskLike, as_mask
from ..weights import DEFAULT, SHARP, TEMPERATURE, find_weights
from .backends import Backend, open_backend
from .detail import add_detail
from .detection import Detection, Region, detect
from .grain import add_grain, read_grain
from .tiling import WORK_SIDE, cut, fill

if TYPE_CHECKING:
    from .sampling import Sampler

__all__ = ["WORK_SIDE", "Completer", "Completion"]

Source = decode.Source | np.ndarray | Picture


@dataclass(frozen=True)
class Completion:
    """A completed image, and what is known about it."""

    image: np.ndarray  # (H, W, 3) uint8, known pixels byte for byte; of several samples the first
    mask: np.ndarray  # (H, W) bool, True where pixels were taken as missing
    uncertainty: np.ndarray | None  # (H, W) float32, standard deviation in units of [0, 1], 0 where known; None if unknown
    samples: list[np.ndarray]  # (H, W, 3) uint8 each, the most likely first; only `image` unless several were asked for
    log_likelihood: list[float] | None  # of each sample, nats per missing pixel of the coarse image; None if none was drawn
    # "given", "transparent", "detected", "detected by NAME" of the weights, or "transparent and detected", with NAME as well
    mask_source: str
    regions: tuple[Region, ...] = ()  # the detected regions, the surest first, with those too unsure to count


class Completer:
    """Completes images with one network.

        completer = Completer.from_pretrained()
        result = completer("photo.jpg")

    Args:
        backend: the network that completes.
        detector: the network that detects occlusions where `backend` cannot; by default the bundled weights.
        name: what errors call the network.
        sampler: draws the coarse images from which several samples are completed; by default the bundled weights.
        detail: whether fills get fine detail from known patches, unless a call says otherwise.
    """

    def __init__(
        self,
        backend: Backend,
        detector: Backend | None = None,
        name: str = "",
        sampler: "Sampler | None" = None,
        detail: bool = False,
    ) -> None:
        self.backend, self.detector, self.name, self.sampler, self.detail = backend, detector, name, sampler, detail

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"sampler": None}  # a copy loads it again when it is asked for samples

    @classmethod
    def from_pretrained(cls, weights: str | Path = DEFAULT, device: str = "cpu", backend: str = "auto") -> "Completer":
        """Load a network.

        Args:
            weights: a bundled name, a .safetensors file that pixelrnn saved, a plain .pth state dict, an exported .onnx file,
                or a name on the Hugging Face hub, which needs `pixelrnn[hub]`: `OWNER/NAME[@REVISION]` or
                `hf://OWNER/NAME[@REVISION][/FILE]`.
            device: "cpu" or "cuda".
            backend: "onnx" (ONNX Runtime), "torch", or "auto": ONNX Runtime on the CPU for bundled weights and .onnx files,
                torch for all others.

        Raises:
            PixelRNNError: the weights cannot be found or read, or the backend or the device is not available.
        """
        opened = open_backend(weights, device, backend)
        return cls(opened, name=opened.name, detail=find_weights(weights).stem == SHARP)

    def __call__(
        self,
        image: Source,
        mask: MaskLike | None = None,
        samples: int = 1,
        seed: int = 0,
        guide: Source | None = None,
        grown: int = 0,
        temperature: float = TEMPERATURE,
        progress: Callable[[float], Any] = lambda share: None,
        level: str = "normal",
        invert_mask: bool = False,
        resize_mask: bool = False,
        grain: str | float = "auto",
        detail: bool | None = None,
    ) -> Completion:
        """Complete one image.

        Args:
            image: a path, a file's bytes, an open binary file, a Pillow image, uint8 (H, W, 3), or a Picture.
            mask: what is missing: an image that `masks.read_mask` understands (white is missing), bool (H, W), or a box
                (x, y, width, height) in pixels. With None, what is painted over is detected, and transparent pixels are
                missing.
            samples: 1 for the network's own completion. More are drawn by the sampler, and completed with what was drawn as
                their guides.
            seed: of the samples and the grain, 0 to 2**63 - 1; the same seed gives the same result.
            guide: what belongs in the hole, as a coarse image of the whole (a path, a Pillow image or uint8 (h, w, 3)), best 32
                to 64 pixels a side.
            grown: pixels by which the mask is dilated.
            temperature: of the samples, above 0; below 1, samples are more likely and more alike.
            progress: called with the share of the samples that is drawn, in (0, 1].
            level: one of detection.LEVELS, how sure a detection must be.
            invert_mask: black is missing in the mask.
            resize_mask: bring a mask of another size to the size of the image.
            grain: "auto" gives filled pixels the grain of their surroundings where the photograph has grain, "none" leaves them
                smooth, and a number is the standard deviation of the grain in grey levels.
            detail: draw the finest detail of filled pixels anew, from known patches of the photograph that look alike. By
                default for "bedrooms-sharp" alone, and never for a network that reads no mask.

        Raises:
            PixelRNNError: an input cannot be read or has the wrong shape, the mask has another size, nothing is known, or
                several samples are asked for where a guide is given, the network takes no guide, or torch or the sampler is not
                installed.
        """
        self._check(samples, seed, guide is not None)
        strength = read_grain(grain)
        picture = _as_picture(image)
        missing, source, regions = self._missing(picture, mask, level, invert_mask, resize_mask, grown)
        if not missing.any():
            std = np.zeros(missing.shape, np.float32)
            return Completion(picture.pixels, missing, std, [picture.pixels], None, source, regions)
        coarse = None if guide is None else to_float(_as_picture(guide).pixels)
        completed = picture.pixels.copy()
        if not self.backend.reads_mask:
            # it has learned what paint looks like, and a mask that was given may cover something else
            uncertainty = self._redraw(completed, missing, coarse, show_covered=source.startswith("detected"))
        elif coarse is None:
            uncertainty = fill(self.backend, completed, missing)
        else:
            uncertainty = fill(self.backend, completed, missing, partial(cut, coarse, missing.shape))
        images, nats = [completed], None
        if samples > 1:
            images, nats = self._samples(picture.pixels, missing, samples, seed, temperature, progress)
        if self.backend.reads_mask and (self.detail if detail is None else detail):
            for sample in images:
                add_detail(sample, missing)
        images = [add_grain(sample, missing, seed, strength) for sample in images]
        if picture.grey:
            for sample in images:
                sample[missing] = np.rint(sample[missing].mean(axis=1, keepdims=True))
        return Completion(images[0], missing, uncertainty, images, nats, source, regions)

    @property
    def can_sample(self) -> bool:
        """Whether several samples can be asked for."""
        return self.backend.reads_mask and (self.sampler is not None or find_spec("torch") is not None)

    def _check(self, samples: int, seed: int, guided: bool) -> None:
        """Raise PixelRNNError for a number of samples or a seed that cannot be."""
        if samples < 1:
            raise PixelRNNError(f"{samples} samples: expected 1 or more.")
        if not 0 <= seed < 2**63:
            raise PixelRNNError(f"seed {seed}: expected 0 to 2**63 - 1.")
        if samples > 1 and (guided or not self.backend.reads_mask):
            why = "a guide was given" if guided else f"the model {self.name} takes no guide"
            raise PixelRNNError(f"{samples} samples: {why}, so there is one completion. Ask for 1.")

    def _missing(
        self, picture: Picture, mask: MaskLike | None, level: str, invert: bool, resize_mask: bool, grown: int
    ) -> tuple[np.ndarray, str, tuple[Region, ...]]:
        """What is missing, bool (H, W); Completion.mask_source; and the detected regions.

        Raises PixelRNNError for a mask that cannot be used, and where no pixel is known.
        """
        regions: tuple[Region, ...] = ()
        if mask is not None:
            missing, source = as_mask(mask, picture.pixels.shape[:2], invert, resize_mask), "given"
        else:
            missing, source, detection = self.find(picture, level)
            regions = detection.regions
        if grown:
            missing = dilate(missing, grown)
        if missing.all():
            advice = "Give a mask of what is missing."
            if source == "given":
                advice = "Give a mask that leaves some pixels known, or --invert-mask if black is missing."
            raise PixelRNNError(f"the whole picture is missing, so there is nothing to complete it from. {advice}")
        return missing, source, regions

    def _samples(
        self,
        image: np.ndarray,
        mask: np.ndarray,
        samples: int,
        seed: int,
        temperature: float,
        progress: Callable[[float], Any],
    ) -> tuple[list[np.ndarray], list[float]]:
        """The completions of coarse samples, and their log-likelihoods, the most likely first."""
        if self.sampler is None:
            from .sampling import Sampler

            self.sampler = Sampler()
        drawn = self.sampler(image, mask, samples, seed, temperature, progress)
        completed = [image.copy() for _ in drawn.guides]
        for sample, guides in zip(completed, drawn.guides, strict=True):
            fill(self.backend, sample, mask, guides.__getitem__)
        order = sorted(range(samples), key=lambda i: -drawn.log_likelihood[i])
        return [completed[i] for i in order], [drawn.log_likelihood[i] for i in order]

    def find(self, picture: Picture, level: str = "normal") -> tuple[np.ndarray, str, Detection]:
        """Find what is missing where no mask says it: what is painted over, and what is transparent.

        Args:
            picture: the decoded image.
            level: one of detection.LEVELS.

        Returns:
            The mask to fill, bool (H, W); Completion.mask_source; and what is painted over.

        Raises:
            PixelRNNError: the level is not one of detection.LEVELS.
        """
        detection = self.detect(picture.pixels, level)
        transparent = picture.transparent
        if transparent is None:
            return detection.tinted, self.source, detection
        mask = transparent | detection.beside(transparent)
        return mask, f"transparent and {self.source}" if mask.sum() > transparent.sum() else "transparent", detection

    def detect(self, image: np.ndarray, level: str = "normal") -> Detection:
        """Detect what is painted over uint8 (H, W, 3).

        Args:
            image: uint8 (H, W, 3).
            level: "strict" where nothing may be altered in vain, "normal", or "eager" where nothing may be missed.

        Raises:
            PixelRNNError: the level is another one.
        """
        return detect(self._logits, image, level)

    @property
    def source(self) -> str:
        """Completion.mask_source for a mask that this completer detects."""
        return "detected" if self.backend.detects else f"detected by {DEFAULT}"

    def _logits(self, image: np.ndarray, evidence: np.ndarray) -> np.ndarray:
        """The detector's logits; the bundled detector is opened where the network has none."""
        if self.backend.detects:
            return self.backend.detect(image, evidence)
        if self.detector is None:
            self.detector = open_backend(DEFAULT)
        return self.detector.detect(image, evidence)

    def _redraw(self, image: np.ndarray, mask: np.ndarray, guide: np.ndarray | None, show_covered: bool) -> np.ndarray | None:
        """Fill an image in place by a network that reads no mask and redraws the whole, at its working size.

        Returns the standard deviation, float32 (H, W), 0 where known; None where the network cannot say. Unless
        `show_covered`, the covered pixels are blackened first.
        """
        height, width = mask.shape
        scale = min(1.0, WORK_SIDE / max(width, height))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        if not show_covered:
            image[mask] = 0
        output = self.backend(to_float(resize(image, *size)), resize(mask, *size), guide)
        image[mask] = resize(to_uint8(output.image), width, height)[mask]
        if output.log_std is None:
            return None
        std = Image.fromarray(np.exp(output.log_std)).resize((width, height), Image.Resampling.BILINEAR)
        return np.where(mask, np.asarray(std), np.float32(0))


def _as_picture(image: Source) -> Picture:
    """Read an image from any source. Raises PixelRNNError for one that cannot be read or has the wrong shape."""
    if isinstance(image, Picture):
        return image
    if not isinstance(image, np.ndarray):
        if not isinstance(image, (str, Path, bytes, Image.Image)) and not hasattr(image, "read"):
            kinds = "a path, bytes, a file, a PIL picture or an array"
            raise PixelRNNError(f"expected a picture as {kinds}, got {type(image).__name__}.")
        return read_picture(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise PixelRNNError(f"expected a picture as uint8 (H, W, 3), got {image.dtype} {image.shape}.")
    return Picture(image)
