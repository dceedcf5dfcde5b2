"""Fit the detector's confidence in a region: python recipes/confidence.py SMALL LARGE [--leave NAMES] [--count N]

SMALL and LARGE are folders as for recipes/detection.py, but of photographs that were trained on; --leave names a file of names
that were not. Two in three photographs stay untouched; the others get an overlay or a paint of recipes/detection.py. Prints the
weights of logistic regressions for detection.WEIGHTS, and the effect of each threshold.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
from detection import PAINTS, SIZES, boxed, photograph, stored, written

from pixelrnn import Completer
from pixelrnn.data.overlays import COVERED, overlay
from pixelrnn.folders import list_images
from pixelrnn.inference.detection import WEIGHTS, kind_of

NORMAL, EASY, ALARMS = 0.6, 0.3, 0.008


def occluded(rng: np.random.Generator, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The image with a text, a box or an overlay, and the mask of it."""
    kind = rng.random()
    if kind < 0.3:
        return written(rng, image, float(rng.choice([1, 0.7])))
    if kind < 0.5:
        return boxed(rng, image, str(rng.choice(list(PAINTS))))
    painted, cover = overlay(rng, image)
    return painted, cover > COVERED


def gather(
    completer: Completer, small: list[Path], large: list[Path], count: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The traits of every region, whether it is paint, and the number of the untouched photograph it lies in, or -1."""
    rng, rows, truths, sources = np.random.default_rng(seed), [], [], []
    for number in range(count):
        size = int(rng.choice(SIZES))
        paths = small if size == SIZES[0] else large
        image = photograph(paths[rng.integers(len(paths))], size, number)
        clean = number % 3 > 0
        mask = np.zeros(image.shape[:2], bool)
        if not clean:
            image, mask = occluded(rng, image)
        for region in completer.detect(stored(image, int(rng.integers(12)))).regions:
            covered = mask[region.box.slices][region.mask].mean()
            if covered < 0.2 or covered > 0.5:
                rows.append(region.traits)
                truths.append(covered > 0.5)
                sources.append(number if clean else -1)
    return np.array(rows), np.array(truths), np.array(sources)


def fit(x: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights and bias of a logistic regression by Newton's method with a slight ridge; both classes weigh the same."""
    mean, std = x.mean(axis=0), x.std(axis=0) + 0.02
    z = np.column_stack([(x - mean) / std, np.ones(len(x))])
    weight = np.where(truth, 0.5 / truth.mean(), 0.5 / (1 - truth.mean()))
    beta = np.zeros(z.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-z @ beta))
        gradient = z.T @ (weight * (p - truth)) + 0.5 * beta
        beta -= np.linalg.solve((z * (weight * p * (1 - p))[:, None]).T @ z + 0.5 * np.eye(len(beta)), gradient)
    return beta[:-1] / std, float(beta[-1] - (beta[:-1] / std) @ mean)


def shifted(odds: np.ndarray, truth: np.ndarray, sources: np.ndarray, clean: int) -> float:
    """The shift to add to a kind's odds.

    At a confidence of NORMAL, a share ALARMS of the untouched photographs has an alarm of this kind. The shift is at most
    the distance from EASY to NORMAL, even if fewer photographs then have one.
    """
    worst: dict[int, float] = {}  # odds in each untouched photograph
    for value, source in zip(odds[~truth], sources[~truth], strict=True):
        if source >= 0:
            worst[source] = max(worst.get(source, -99.0), float(value))
    allowed = sorted(worst.values(), reverse=True)[int(ALARMS * clean) :]
    logit = [float(np.log(p / (1 - p))) for p in (EASY, NORMAL)]
    return logit[1] - max(logit[0], allowed[0] if allowed else -99.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("small", type=Path)
    parser.add_argument("large", type=Path)
    parser.add_argument("--leave", type=Path)
    parser.add_argument("--count", type=int, default=2000)
    args = parser.parse_args()
    left = set(args.leave.read_text().split()) if args.leave else set()
    large = [path for path in list_images(args.large) if path.name not in left]
    parts = [gather(Completer.from_pretrained(), list_images(args.small), large, args.count // 2, seed) for seed in (0, 1)]
    x, truth = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    sources = np.concatenate([np.where(part[2] >= 0, part[2] + 10**6 * i, -1) for i, part in enumerate(parts)])
    report(x, truth, sources, clean=2 * sum(number % 3 > 0 for number in range(args.count // 2)))


def report(x: np.ndarray, truth: np.ndarray, sources: np.ndarray, clean: int) -> None:
    """Fit and print the weights for detection.WEIGHTS, and the effect of each threshold."""
    kinds, confidence = np.array([kind_of(traits) for traits in x]), np.zeros(len(x))
    for kind in WEIGHTS:
        own = kinds == kind
        weights, bias = fit(x[own], truth[own])
        odds = x[own] @ weights + bias
        shift = shifted(odds, truth[own], sources[own], clean)
        confidence[own] = 1 / (1 + np.exp(-odds - shift))
        print(f'    "{kind}": ({", ".join(f"{value:.3f}" for value in (*weights, bias + shift))}),')
    for threshold in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        alarms = len(set(sources[(confidence > threshold) & ~truth & (sources >= 0)]))
        kept = ", ".join(f"{(confidence[truth & (kinds == kind)] > threshold).mean():.3f} {kind}" for kind in WEIGHTS)
        print(f"{threshold}: of {truth.sum()} regions {kept} kept, {alarms} of {clean} untouched with an alarm")


if __name__ == "__main__":
    main()
