"""Does a predicted standard deviation say how wrong a completion is? Coverage, and rank correlation with the error.

Errors are per colour channel, in units of [0, 1], over pixels of the holes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

PIXELS = 4000  # of the hole, at most, drawn from each image: what is kept of thousands of images stays small


class Pixels(NamedTuple):
    """Missing pixels of one image: the predicted standard deviation (N,) and the absolute error (N, 3), both float32."""

    std: np.ndarray
    error: np.ndarray


@dataclass(frozen=True)
class Calibration:
    """How predicted standard deviations compare with errors. For normal errors of these `within` is 0.683 throughout."""

    pixels: int
    deviation: float  # root mean square of the predicted standard deviations
    error: float  # root mean square of the errors
    within: float  # share in [0, 1] of the errors that are at most one standard deviation
    fifths: tuple[float, ...]  # the same in each fifth of the pixels, from the smallest predicted deviations to the largest
    correlation: float  # Spearman's, in [-1, 1], of deviation and error over all pixels; nan for a constant
    correlation_per_image: float  # the median of the images' own


def sample(out: np.ndarray, std: np.ndarray, target: np.ndarray, mask: np.ndarray) -> Pixels:
    """Draw at most 4,000 missing pixels, with a fixed seed.

    Args:
        out: The completion, uint8 (H, W, 3).
        std: The predicted standard deviation, float (H, W) in units of [0, 1].
        target: The truth, uint8 (H, W, 3).
        mask: The hole, bool (H, W), True where missing.
    """
    places = np.flatnonzero(mask)
    if places.size > PIXELS:
        places = np.random.default_rng(0).choice(places, PIXELS, replace=False)
    truth, completed = (image.reshape(-1, 3)[places].astype(np.float32) for image in (target, out))
    return Pixels(std.reshape(-1)[places].astype(np.float32), np.abs(completed - truth) / 255)


def calibrate(samples: Sequence[Pixels], constant: bool = False) -> Calibration | None:
    """Pool the samples of several images and compare deviations with errors; every pixel counts alike.

    Args:
        samples: One per image.
        constant: Judge one number for all pixels, the root mean square of the errors, in place of the predictions. The fifths
            stay those of the predictions, so that the two can be compared.

    Returns:
        The calibration; None where the samples hold no pixel.
    """
    predicted, error = (np.concatenate(parts) for parts in zip(*samples, strict=True)) if samples else (np.zeros(0),) * 2
    if not predicted.size:
        return None
    rms = float(np.sqrt(np.mean(error.astype(np.float64) ** 2)))
    std = np.full_like(predicted, rms) if constant else predicted
    within = (error <= std[:, None]).mean(1)  # (N,)
    fifths = [within[part] for part in np.array_split(np.argsort(predicted, kind="stable"), 5)]
    per_image = [] if constant else [spearman(*pixels) for pixels in samples]
    defined = [correlation for correlation in per_image if not np.isnan(correlation)]
    return Calibration(
        pixels=predicted.size,
        deviation=float(np.sqrt(np.mean(std.astype(np.float64) ** 2))),
        error=rms,
        within=float(within.mean()),
        fifths=tuple(float(part.mean()) if part.size else np.nan for part in fifths),
        correlation=np.nan if constant else spearman(predicted, error),
        correlation_per_image=float(np.median(defined)) if defined else np.nan,
    )


def spearman(std: np.ndarray, error: np.ndarray) -> float:
    """Return Spearman's rank correlation, in [-1, 1], of `std` (N,) with `error` (N, C); nan where either is constant."""
    repeated, errors = np.repeat(std, error.shape[1]), error.ravel()
    if not errors.size or np.ptp(repeated) == 0 or np.ptp(errors) == 0:
        return np.nan
    return float(stats.spearmanr(repeated, errors).statistic)
