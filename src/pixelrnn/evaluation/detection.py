"""How well an occlusion is found: predicted masks against true ones, and false alarms where there is no occlusion.

A mask is bool (H, W), True where the pixel is missing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..decode import read_image
from .bootstrap import Estimate, estimates
from .cases import squared

ALTERED = 0.05  # % of the pixels: from here on a photograph counts as altered


@dataclass(frozen=True)
class Detection:
    """A predicted mask against the true one: the first three figures in [0, 1], the last in %."""

    iou: float  # intersection over union; 1 where both are empty
    precision: float  # share of the pixels predicted as missing that are missing; nan where none is predicted
    recall: float  # share of the missing pixels that are predicted; nan where none is missing
    false_positive: float  # % of the known pixels that are predicted as missing; nan where none is known


def score_mask(predicted: np.ndarray, mask: np.ndarray) -> Detection:
    """Compare a predicted mask with the true one, both bool (H, W)."""
    hits = float((predicted & mask).sum())
    precision, recall = (hits / total if (total := pixels.sum()) else np.nan for pixels in (predicted, mask))
    known = predicted[~mask]
    return Detection(mask_iou(predicted, mask), precision, recall, 100 * float(known.mean()) if known.size else np.nan)


def mask_iou(predicted: np.ndarray, mask: np.ndarray) -> float:
    """Return the intersection over union, in [0, 1], of two masks, bool (H, W); 1 where both are empty."""
    union = (predicted | mask).sum()
    return float((predicted & mask).sum() / union) if union else 1.0


@dataclass(frozen=True)
class FalseAlarms:
    """What a detector sees in photographs without an occlusion."""

    pictures: int
    altered: int  # photographs in which it takes more than ALTERED for an occlusion
    left_alone: int  # photographs in which it sees nothing
    called_missing: Estimate  # mean % of a photograph's pixels


def false_alarms(
    detect: Callable[[np.ndarray], np.ndarray],
    paths: Sequence[Path],
    size: int | None = None,
    progress: Callable[[], object] | None = None,
) -> FalseAlarms:
    """Run a detector on photographs without an occlusion.

    Args:
        detect: Maps an image uint8 (H, W, 3) to the mask it sees, bool (H, W).
        paths: The photographs.
        size: Pixels a side to which all are resized first; None leaves them.
        progress: Called after each photograph.
    """
    shares = []
    for path in paths:
        shares.append(100 * float(detect(squared(read_image(path), size)).mean()))
        if progress is not None:
            progress()
    called = estimates([{"called": share} for share in shares])["called"]
    altered, alone = sum(share > ALTERED for share in shares), sum(share == 0 for share in shares)
    return FalseAlarms(len(shares), altered, alone, called)
