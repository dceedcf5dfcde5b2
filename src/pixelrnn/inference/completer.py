"""Completer and Completion: the one door to inference. Pictures are RGB uint8 (H, W, 3); masks bool (H, W), True is missing."""

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
from ..weights import DEFAULT
from .backends import Backend, open_backend
from .detection import Detection, Region, detect
from .grain import add_grain, read_grain
from .tiling import WORK_SIDE, cut, fill

if TYPE_CHECKING:
    from .sampling import Sampler

__all__ = ["WORK_SIDE", "Completer", "Completion"]

Source = decode.Source | np.ndarray | Picture


@dataclass(frozen=True)
class Completion:
    """A completed picture and what is known about it."""

    image: np.ndarray  # (H, W, 3) uint8, known pixels byte for byte; of several samples the first
    mask: np.ndarray  # (H, W) bool, what was taken as missing
    uncertainty: np.ndarray | None  # (H, W) float32, standard deviation in units of [0, 1], 0 where known; None where unknown
    samples: list[np.ndarray]  # (H, W, 3) uint8 each, the most likely first; one, not drawn, unless several were asked for
    log_likelihood: list[float] | None  # per sample, nats per missing pixel of the coarse picture; None where none was drawn
    # "given", "transparent", "detected", "detected by" and the weights that did, or "transparent and" what was detected
    mask_source: str
    regions: tuple[Region, ...] = ()  # what was looked for and found, the surest first, in doubt included


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

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"sampler": None}  # loaded again where it is asked for

    @classmethod
    def from_pretrained(cls, weights: str | Path = DEFAULT, device: str = "cpu", backend: str = "auto") -> "Completer":
        """Load a bundled name, a .safetensors file of ours, a plain .pth state dict, an exported .onnx file, or from the
        Hugging Face hub `OWNER/NAME[@REVISION]`, also as `hf://OWNER/NAME[@REVISION][/FILE]`, which needs `pixelrnn[hub]`.

        device: cpu or cuda. backend: "onnx" (ONNX Runtime), "torch", or "auto": ONNX Runtime on the CPU for bundled weights and
        .onnx files, torch for all else. Raises PixelRNNError.
        """
        opened = open_backend(weights, device, backend)
        return cls(opened, name=opened.name)

    def __call__(
        self,
        image: Source,
        mask: MaskLike | None = None,
        samples: int = 1,
        seed: int = 0,
        guide: Source | None = None,
        grown: int = 0,
        temperature: float = 1.0,
        progress: Callable[[float], Any] = lambda share: None,
        level: str = "normal",
        invert_mask: bool = False,
        resize_mask: bool = False,
        grain: str | float = "auto",
    ) -> Completion:
        """Complete one picture.

        image: a path, a file's bytes, an open binary file, a PIL picture, uint8 (H, W, 3), or a Picture.
        mask: the same, of what masks.read_mask understands (white is missing), bool (H, W), or a box (x, y, width, height) in
        pixels; None finds what is painted over, and takes transparent pixels as missing. invert_mask: black is missing.
        resize_mask: bring a mask of another size to the picture's.
        samples: 1 for the completion itself; more are drawn by the sampler, one seed giving the same ones each time, and
        completed with what was drawn as their guides. guide: what belongs in the hole, as a coarse picture of
        the whole (a path, a PIL picture or uint8 (h, w, 3)), best 32 to 64 pixels a side. grown: pixels by which what is
        missing is grown. temperature: of the samples, above 0; below 1 they are likelier and more alike. progress: told the
        share of them that is drawn, in (0, 1]. level: of detection.LEVELS, how sure a find must be. grain: "auto" gives what is
        filled in the grain of what lies around it where the photograph has some, "none" leaves it smooth, a number is the
        grain's standard deviation in grey levels; drawn from `seed`.
        Raises PixelRNNError: unreadable or mis-shaped input, a mask of another size, nothing known, samples where the weights
        take no guide, torch or the sampler is not there, or a guide is given.
        """
        if samples < 1:
            raise PixelRNNError(f"{samples} samples: expected 1 or more.")
        if not 0 <= seed < 2**63:
            raise PixelRNNError(f"seed {seed}: expected 0 to 2**63 - 1.")
        if samples > 1 and (guide is not None or not self.backend.reads_mask):
            why = "a guide was given" if guide is not None else f"the model {self.name} takes no guide"
            raise PixelRNNError(f"{samples} samples: {why}, so there is one completion. Ask for 1.")
        strength = read_grain(grain)
        opened = _as_picture(image)
        picture = opened.pixels
        regions: tuple[Region, ...] = ()
        if mask is not None:
            missing, source = as_mask(mask, picture.shape[:2], invert_mask, resize_mask), "given"
        else:
            missing, source, found = self.find(opened, level)
            regions = found.regions
        if grown:
            missing = dilate(missing, grown)
        if missing.all():
            raise PixelRNNError(
                "the whole picture is missing, there is nothing to complete it from. "
                + (
                    "Give a mask that leaves some pixels known, or --invert-mask if black is missing."
                    if source == "given"
                    else "Give a mask of what is missing."
                )
            )
        if not missing.any():
            deviation = np.zeros(missing.shape, np.float32)
            return Completion(picture, missing, deviation, [picture], None, source, regions)
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
            every, nats = self._samples(picture, missing, samples, seed, temperature, progress)
        every = [add_grain(one, missing, seed, strength) for one in every]
        if opened.grey:
            for one in every:
                one[missing] = np.rint(one[missing].mean(axis=1, keepdims=True))
        return Completion(every[0], missing, uncertainty, every, nats, source, regions)

    @property
    def can_sample(self) -> bool:
        """Whether several samples can be asked for."""
        return self.backend.reads_mask and (self.sampler is not None or find_spec("torch") is not None)

    def _samples(
        self,
        picture: np.ndarray,
        missing: np.ndarray,
        samples: int,
        seed: int,
        temperature: float,
        progress: Callable[[float], Any],
    ) -> tuple[list[np.ndarray], list[float]]:
        """Completions of coarse samples and their log-likelihoods, the most likely first."""
        if self.sampler is None:
            from .sampling import Sampler

            self.sampler = Sampler()
        drawn = self.sampler(picture, missing, samples, seed, temperature, progress)
        every = [picture.copy() for _ in drawn.guides]
        for one, guides in zip(every, drawn.guides, strict=True):
            fill(self.backend, one, missing, guides.__getitem__)
        order = sorted(range(samples), key=lambda i: -drawn.log_likelihood[i])
        return [every[i] for i in order], [drawn.log_likelihood[i] for i in order]

    def find(self, picture: Picture, level: str = "normal") -> tuple[np.ndarray, str, Detection]:
        """What is missing where no mask says it: bool (H, W), as filling needs it, what is painted over and what is
        transparent; Completion.mask_source; and what was painted over. Raises what `detect` does.
        """
        found = self.detect(picture.pixels, level)
        hidden = picture.transparent
        if hidden is None:
            return found.tinted, self.source, found
        missing = hidden | found.beside(hidden)
        return missing, f"transparent and {self.source}" if missing.sum() > hidden.sum() else "transparent", found

    def detect(self, picture: np.ndarray, level: str = "normal") -> Detection:
        """Find what is painted over uint8 (H, W, 3). level: "strict" where nothing may be altered in vain, "normal", or "eager"
        where nothing may be missed. Raises PixelRNNError for another level.
        """
        return detect(self._look, picture, level)

    @property
    def source(self) -> str:
        """Of what it finds, as Completion.mask_source says it."""
        return "detected" if self.backend.detects else f"detected by {DEFAULT}"

    def _look(self, image: np.ndarray, seen: np.ndarray) -> np.ndarray:
        if self.backend.detects:
            return self.backend.detect(image, seen)
        if self.detector is None:
            self.detector = open_backend(DEFAULT)
        return self.detector.detect(image, seen)

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


def _as_picture(image: Source) -> Picture:
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
