"""Means over images, and how sure they are: 95% confidence intervals by the percentile bootstrap (Efron 1979)."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

DRAWS = 2000


class Estimate(NamedTuple):
    """A mean over images and its 95% confidence interval; nan where there is none."""

    mean: float
    low: float = np.nan
    high: float = np.nan


def estimates(rows: Sequence[dict[str, float]]) -> dict[str, Estimate]:
    """Estimate the mean of each figure over the images.

    Args:
        rows: One row per image, all with the same figures. A figure that is nan is left out of its mean.

    Returns:
        The estimates by the figures' names. There is no interval for fewer than two images, and below some twenty it is too
        narrow.
    """
    return {name: bootstrap(np.mean, np.array([row[name] for row in rows])) for name in (rows[0] if rows else ())}


def bootstrap(statistic: Callable[..., Any], *columns: np.ndarray) -> Estimate:
    """Estimate a statistic of paired columns. Images are drawn with replacement 2,000 times, with a fixed seed.

    Args:
        statistic: Maps the columns (..., N), along `axis=-1`, to (...). Draws for which it is nan are left out.
        *columns: Values (N,), one per image; an image that is nan in any column is left out.
    """
    counted = ~np.isnan(columns).any(axis=0)
    columns = tuple(column[counted] for column in columns)
    value = float(statistic(*columns)) if counted.any() else np.nan
    if counted.sum() < 2 or np.isnan(value):
        return Estimate(value)
    # the warning is about SciPy's own interval, which is not used
    with warnings.catch_warnings(action="ignore", category=stats.DegenerateDataWarning):
        resampled = stats.bootstrap(
            columns, statistic, n_resamples=DRAWS, batch=200, paired=True, vectorized=True, method="percentile", rng=0
        )
    low, high = np.nanpercentile(resampled.bootstrap_distribution, (2.5, 97.5))
    return Estimate(value, float(low), float(high))
