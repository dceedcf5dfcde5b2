"""The records of many cases as one line of figures: by set, by the share of the image that is missing, and by difference."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import NamedTuple

import numpy as np

from .bootstrap import Estimate, bootstrap, estimates
from .scores import Record, Score

SHARES = (*(f"{low}-{low + 10} %" for low in range(0, 60, 10)), "60+ %")  # groups by missing share, the lower end included
PAIRED = ("hole_psnr", "hole_ssim", "gms", "perceptual")  # the figures whose differences between methods are reported

# "count", the figures of a group of Records by name, and their `ratios` to the truth; of "seconds" the median, which a slow
# first call does not move, and of "memory" the greatest
Summary = dict[str, Estimate]


class Summaries(NamedTuple):
    """One Summary per group, by the group's name, in order; groups without a case are left out."""

    by_set: dict[str, Summary]
    by_missing: dict[str, Summary]  # "10-20 %" holds the shares 0.1 <= share < 0.2 of all sets together


def summarise(records: Sequence[Record]) -> Summaries:
    """Summarise records by set, in the order the sets came, and by the missing share of the image, in steps of 10 %."""
    shares: dict[str, list[Record]] = {name: [] for name in SHARES}
    for record in records:
        shares[SHARES[min(int(record.missing * 10), 6)]].append(record)
    return Summaries(
        {name: _summary(group) for name, group in by_set(records).items()},
        {name: _summary(group) for name, group in shares.items() if group},
    )


def by_set(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Group records by set, in the order the sets came."""
    sets: dict[str, list[Record]] = {}
    for record in records:
        sets.setdefault(record.set, []).append(record)
    return sets


def differences(first: Iterable[Record], other: Sequence[Record]) -> dict[str, Summary]:
    """Summarise `first` minus `other` by set, over the cases that both have.

    The intervals are those of paired differences. They are far narrower than the two methods' own where cases differ in
    difficulty.

    Returns:
        By set, "count" and the figures of PAIRED.
    """
    by_case = {(record.set, record.id): asdict(record.score) for record in first}
    summaries = {}
    for name, group in by_set(record for record in other if (record.set, record.id) in by_case).items():
        rows = [{key: by_case[name, record.id][key] - getattr(record.score, key) for key in PAIRED} for record in group]
        summaries[name] = {"count": Estimate(len(rows)), **estimates(rows)}
    return summaries


def _summary(records: Sequence[Record]) -> Summary:
    peaks = [record.memory for record in records if not math.isnan(record.memory)]
    return {
        "count": Estimate(len(records)),
        **estimates([record.figures() for record in records]),
        "seconds": Estimate(float(np.median([record.seconds for record in records]))),
        "memory": Estimate(max(peaks, default=math.nan)),
        **ratios([record.score for record in records]),
    }


def ratios(scores: Sequence[Score]) -> Summary:
    """Compare the sharpness with that of the truth; a ratio of 1 means that they are equal.

    Returns:
        energy_ratio: The sum of the images' gradient energies over the sum of the truth's. Images rich in detail count most.
        energy_ratio_median: The median of the images' own ratios, which no single image can move. A truth without any detail
            is left out.
        step_ratio: The sum of the images' steps across the hole's border over the sum of the truth's.
    """
    names = ("energy", "true_energy", "step", "true_step")
    energy, true_energy, step, true_step = (np.array([getattr(score, name) for score in scores]) for name in names)
    detailed = true_energy > 0
    return {
        "energy_ratio": bootstrap(_pooled, energy, true_energy),
        "energy_ratio_median": bootstrap(_median, energy[detailed], true_energy[detailed]),
        "step_ratio": bootstrap(_pooled, step, true_step),
    }


def _pooled(values: np.ndarray, truths: np.ndarray, axis: int = -1) -> np.ndarray:
    """Divide the sum by the truths' sum; nan where all truths are 0."""
    total, true_total = values.sum(axis), truths.sum(axis)
    ratio: np.ndarray = np.divide(total, true_total, out=np.full(total.shape, np.nan), where=true_total > 0)
    return ratio


def _median(values: np.ndarray, truths: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.asarray(np.median(values / truths, axis))
