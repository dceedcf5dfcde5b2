"""Does a predicted standard deviation say how wrong a completion is? Coverage, and rank correlation with the error.

Errors are per colour channel, in units of [0, 1], over pixels of the holes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

PIXELS = 4000  # of the hole, at most, drawn from each image: what is kept of thousands of images stays small


class Pixels(NamedTuple):
    """Missing pixels of one image: the deviation (N,) float32 that was predicted, the absolute error (N, 3) float32."""

    deviation: np.ndarray
    error: np.ndarray


@dataclass(frozen=True)
class Calibration:
    """How predicted deviations stand to errors; for normal errors of the predicted deviations `within` is 0.683 throughout."""

    pixels: int
    deviation: float  # root mean square of the deviations
    error: float  # root mean square of the errors
    within: float  # share in [0, 1] of the errors that are at most one deviation
    fifths: tuple[float, ...]  # the same in each fifth of the pixels, by the predicted deviation from small to large
    correlation: float  # Spearman's, in [-1, 1], of deviation and error over all pixels; nan for a constant
    correlation_per_image: float  # the median of the images' own


def sample(out: np.ndarray, deviation: np.ndarray, target: np.ndarray, mask: np.ndarray) -> Pixels:
    """At most 4,000 missing pixels, drawn with a fixed seed.

    `out` and `target` uint8 (H, W, 3); `deviation` float (H, W) in units of [0, 1]; `mask` bool (H, W), True where missing.
    """
    places = np.flatnonzero(mask)
    if places.size > PIXELS:
        places = np.random.default_rng(0).choice(places, PIXELS, replace=False)
    truth, drawn = (picture.reshape(-1, 3)[places].astype(np.float32) for picture in (target, out))
    return Pixels(deviation.reshape(-1)[places].astype(np.float32), np.abs(drawn - truth) / 255)


def calibrate(samples: Sequence[Pixels], constant: bool = False) -> Calibration | None:
    """Pool the samples of several images, every pixel counted alike; None where they hold no pixel.

    constant: judge one number for all pixels, the root mean square of the errors, instead of the deviations; the fifths stay
    those of the deviations, so that the two can be compared.
    """
    predicted, error = (np.concatenate(parts) for parts in zip(*samples, strict=True)) if samples else (np.zeros(0),) * 2
    if not predicted.size:
        return None
    rms = float(np.sqrt(np.mean(error.astype(np.float64) ** 2)))
    used = np.full_like(predicted, rms) if constant else predicted
    inside = (error <= used[:, None]).mean(1)  # (N,)
    fifths = [inside[part] for part in np.array_split(np.argsort(predicted, kind="stable"), 5)]
    own = [] if constant else [spearman(*one) for one in samples]
    defined = [value for value in own if not np.isnan(value)]
    return Calibration(
        pixels=predicted.size,
        deviation=float(np.sqrt(np.mean(used.astype(np.float64) ** 2))),
        error=rms,
        within=float(inside.mean()),
        fifths=tuple(float(part.mean()) if part.size else np.nan for part in fifths),
        correlation=np.nan if constant else spearman(predicted, error),
        correlation_per_image=float(np.median(defined)) if defined else np.nan,
    )


def spearman(deviation: np.ndarray, error: np.ndarray) -> float:
    """Rank correlation in [-1, 1] of `deviation` (N,) with `error` (N, C), equal values sharing a rank; nan for a constant."""
    ranks = []
    for values in (np.repeat(deviation, error.shape[1]), error.ravel()):
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(counts) - (counts - 1) / 2)[inverse])
    if any(np.ptp(rank) == 0 if rank.size else True for rank in ranks):
        return np.nan
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])
