"""Scores a Completer, or any callable (image, mask) -> image, on cases whose truth is known.

Images are RGB uint8 (H, W, 3); masks are bool (H, W), True where the pixel is missing (255 in a file). A figure that has no
meaning for a case, such as the hole's PSNR where nothing is missing, is nan, and means leave it out.
"""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from ..errors import PixelRNNError
from ..image import dilate, resize, to_float, to_uint8
from ..inference.completer import WORK_SIDE, Completer
from ..models.efficientnet import MULTIPLE, EfficientNetFeatures, has_features, load_features
from . import calibration, memory, metrics
from .cases import Case
from .detection import Detection, score_mask

NEAR = 4  # pixels around the hole that a method may touch: blending, and the ringing that a JPEG leaves there
PSNR_CEILING = 10 * np.log10(255**2 / 1e-9)  # two equal images, 138.13 dB

# (image (H, W, 3) uint8, mask (H, W) bool or None: find it) -> (H, W, 3) uint8, or anything that has it as `.image`
Method = Callable[[np.ndarray, np.ndarray | None], Any]


@dataclass(frozen=True)
class Score:
    """How one completion compares with the truth; `score_case` defines each figure."""

    hole_psnr: float
    hole_ssim: float
    gms: float
    psnr: float
    ssim: float
    raw_psnr: float
    raw_ssim: float
    changed: float
    energy: float
    true_energy: float
    step: float
    true_step: float
    perceptual: float = math.nan


@dataclass(frozen=True)
class Record:
    """One completed case: the share of its pixels that is missing, in [0, 1], the method's seconds, and the scores."""

    set: str
    id: str
    missing: float
    seconds: float
    score: Score
    memory: float = math.nan  # MB by which resident memory rose, at its peak, while the method ran; nan where not measured
    mask: Detection | None = None  # of the mask that a blind method completed under
    ungrown: Detection | None = None  # of what its detector saw, before that was dilated
    pixels: calibration.Pixels | None = field(default=None, compare=False, repr=False)  # where an uncertainty was predicted

    def figures(self) -> dict[str, float]:
        """Return all figures by name; those of `mask` and `ungrown` as mask_iou, ungrown_iou and so on."""
        named = {"missing": self.missing, **asdict(self.score), "seconds": self.seconds, "memory": self.memory}
        for prefix, detection in (("mask", self.mask), ("ungrown", self.ungrown)):
            named |= {f"{prefix}_{figure.name}": getattr(detection, figure.name, math.nan) for figure in fields(Detection)}
        return named


def score_case(out: np.ndarray, given: np.ndarray, target: np.ndarray, mask: np.ndarray) -> Score:
    """Compare a completion with the truth.

    Most figures are of the pasted image: the completion in the hole, and the truth around it, so that only the hole counts.
    PSNR is at most 138.13 dB, for equal images.

    Args:
        out: The completion of `given`, uint8 (H, W, 3).
        given: The occluded image, uint8 (H, W, 3).
        target: The truth, uint8 (H, W, 3).
        mask: The hole, bool (H, W), True where missing.

    Returns:
        hole_psnr: PSNR in dB over the missing pixels, all channels; nan where no pixel is missing.
        psnr: PSNR of the pasted image.
        ssim: SSIM of the pasted image, in [-1, 1]; nan for images smaller than its window of 11 x 11.
        hole_ssim: The same over the windows whose centre is missing; nan also where there is none.
        gms: Gradient magnitude similarity of the pasted image over the missing pixels, in (0, 1].
        raw_psnr: PSNR of `out` as it is.
        raw_ssim: SSIM of `out` as it is; nan for small images.
        changed: % of the known pixels, more than 4 px away from the hole, that differ from `given`; nan where there is none.
        energy: Gradient energy of the pasted image in the hole, `true_energy` that of `target`; nan where no two neighbours
            are missing.
        step: Mean step of the pasted image across the hole's border, `true_step` that of `target`; nan where it has none.
        perceptual: Distance of the pasted image's EfficientNet features in the hole from the truth's, lower is closer; nan
            where no pixel is missing, or without the extra `perceptual`.

    Raises:
        PixelRNNError: An array has another type or shape.
    """
    if not isinstance(out, np.ndarray) or out.dtype != np.uint8 or out.shape != target.shape:
        came = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise PixelRNNError(f"expected a completion of uint8 {target.shape}, the shape of the target, got {came}")
    if given.shape != target.shape or mask.shape != target.shape[:2] or mask.dtype != bool:
        raise PixelRNNError(
            f"expected the given picture of shape {target.shape} and a bool mask {target.shape[:2]}, as the target has, "
            f"got {given.shape} and {mask.dtype} {mask.shape}"
        )
    pasted, raw, truth = (_tensor(image) for image in (np.where(mask[..., None], out, target), out, target))
    mask_tensor = torch.from_numpy(mask)[None, None]
    known = ~dilate(mask, NEAR)
    differs = (out != given).any(-1)[known]
    ssim, hole_ssim = _ssim(pasted, truth, mask_tensor)
    return Score(
        hole_psnr=_psnr(pasted, truth, mask_tensor),
        hole_ssim=hole_ssim,
        gms=float(metrics.gms(pasted, truth, mask_tensor)),
        psnr=_psnr(pasted, truth),
        ssim=ssim,
        raw_psnr=_psnr(raw, truth),
        raw_ssim=_ssim(raw, truth, mask_tensor)[0],
        changed=100 * float(differs.mean()) if differs.size else np.nan,
        energy=float(metrics.gradient_energy(pasted, mask_tensor)),
        true_energy=float(metrics.gradient_energy(truth, mask_tensor)),
        step=float(metrics.border_step(pasted, mask_tensor)),
        true_step=float(metrics.border_step(truth, mask_tensor)),
        perceptual=_perceptual(pasted.float(), truth.float(), mask_tensor),
    )


def _tensor(image: np.ndarray) -> torch.Tensor:
    """Convert uint8 (H, W, 3) to float64 (1, 3, H, W) in [0, 1]; float32 would blur the last digits of a good score."""
    return torch.from_numpy(image.transpose(2, 0, 1)[None] / 255.0)


def _psnr(x: torch.Tensor, y: torch.Tensor, mask: torch.Tensor | None = None) -> float:
    return float(metrics.psnr(x, y, mask).clamp(max=PSNR_CEILING))


def _ssim(x: torch.Tensor, y: torch.Tensor, mask: torch.Tensor) -> tuple[float, float]:
    """SSIM of two images (1, 3, H, W) over all windows, and over those whose centre is True in `mask` (1, 1, H, W)."""
    if min(mask.shape[-2:]) < metrics.WINDOW:
        return np.nan, np.nan
    edge = metrics.WINDOW // 2
    centre = mask[0, 0, edge:-edge, edge:-edge]
    # channel by channel: a third of the memory, which counts for photographs of many megapixels
    maps = (metrics.ssim_map(x[:, [c]], y[:, [c]])[0, 0] for c in range(3))
    overall, in_hole = np.mean([(float(ssim.mean()), float(ssim[centre].mean())) for ssim in maps], axis=0)
    return float(overall), float(in_hole)


@cache
def _features() -> EfficientNetFeatures | None:
    return load_features() if has_features() else None


@torch.inference_mode()
def _perceptual(x: torch.Tensor, y: torch.Tensor, mask: torch.Tensor) -> float:
    """The distance of two images (1, 3, H, W), seen up to 64 px around the hole."""
    features = _features()
    if features is None or not mask.any():
        return math.nan
    sides = []
    for axis in (3, 2):
        places = mask.any(dim=axis).nonzero()[:, 2]
        sides.append(slice(max(0, int(places.min()) - 64) // MULTIPLE * MULTIPLE, int(places.max()) + 65))
    x, y, mask = (part[..., sides[0], sides[1]] for part in (x, y, mask.float()))
    padding = (0, -x.shape[3] % MULTIPLE, 0, -x.shape[2] % MULTIPLE)
    features_x, features_y = (features(F.pad(part, padding, mode="replicate")) for part in (x, y))
    return float(metrics.perceptual_distance(features_x, features_y, F.pad(mask, padding)))


def evaluate(
    method: Method,
    cases: Iterable[Case],
    *,
    blind: bool = False,
    detect: Callable[[np.ndarray], np.ndarray] | None = None,
    progress: Callable[[Case, Record, np.ndarray], object] | None = None,
) -> list[Record]:
    """Complete every case with `method` and score it.

    The seconds, and the memory, which is measured on the first case of each set, are the method's alone: reading and scoring
    do not count.

    Args:
        method: What completes. Where it is given the mask and its result has an `.uncertainty`, some of the missing pixels are
            kept for calibration.
        cases: What to complete.
        blind: Give the method no mask. Where its result has a `.mask`, the record compares that with the true one.
        detect: For a blind method, maps an image to what its detector sees before that is dilated, bool (H, W). The record
            compares that with the true mask too.
        progress: Called with the case, its record and the completed image after each case, for a bar or to keep images.

    Returns:
        One record per case, in order.

    Raises:
        PixelRNNError: The method's own error, or a result that cannot be scored; the message names the case.
    """
    records: list[Record] = []
    measured: set[str] = set()
    for case in cases:
        given, mask, target = case.read()
        # copies, so that a method which writes into its arguments is scored against what it was given
        arguments = given.copy(), None if blind else mask.copy()
        try:
            before = math.nan if case.set in measured else memory.at_rest()
            start = time.perf_counter()
            result = method(*arguments)
            seconds = time.perf_counter() - start
            rise = memory.peak() - before
            out: Any = getattr(result, "image", result)
            score = score_case(out, given, target, mask)
            ungrown = detect(given.copy()) if blind and detect is not None else None
        except PixelRNNError as error:
            raise PixelRNNError(f"case {case.set}/{case.id}: {error}") from None
        predicted: np.ndarray | None = getattr(result, "mask", None) if blind else None
        std: np.ndarray | None = getattr(result, "uncertainty", None) if not blind else None
        measured.add(case.set)
        record = Record(
            case.set,
            case.id,
            float(mask.mean()),
            seconds,
            score,
            rise,
            None if predicted is None else score_mask(predicted, mask),
            None if ungrown is None else score_mask(ungrown, mask),
            None if std is None else calibration.sample(out, std, target, mask),
        )
        records.append(record)
        if progress is not None:
            progress(case, record, out)
    return records


def raw(completer: Completer) -> Method:
    """Return a method that gives the network's own image, the known pixels redrawn as well. It needs a mask.

    A Completer pastes the known pixels back instead.
    """

    def draw(image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        if mask is None:
            raise PixelRNNError("the raw picture is drawn with a mask. Give one.")
        height, width = mask.shape
        # as the completer does it: the hole black, at its working size
        scale = min(1.0, WORK_SIDE / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        given = np.where(mask[..., None], np.uint8(0), image)
        output = completer.backend(to_float(resize(given, *size)), resize(mask, *size))
        return resize(to_uint8(output.image), width, height)

    return draw
