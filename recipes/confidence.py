"""Fit how sure the detector is of a region: python recipes/confidence.py SMALL LARGE [--leave NAMES] [--count N]

SMALL, LARGE as for recipes/detection.py, but photographs that were trained on; --leave: a file of names that were not. Two in
three are left untouched, the others get an overlay or what recipes/detection.py paints. Prints the weights of a logistic
regression for detection.TRAITS and BIAS, and what each threshold gives.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
from detection import PAINTS, SIZES, boxed, photograph, stored, written

from pixelrnn import Completer
from pixelrnn.detection import TRAITS
from pixelrnn.image import list_images
from pixelrnn.overlays import COVERED, overlay


def occluded(rng: np.random.Generator, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    kind = rng.random()
    if kind < 0.4:
        return written(rng, picture, float(rng.choice([1, 0.7])))
    if kind < 0.7:
        return boxed(rng, picture, str(rng.choice(list(PAINTS))))
    painted, cover = overlay(rng, picture)
    return painted, cover > COVERED


def gather(completer: Completer, small: list[Path], large: list[Path], count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every region: its traits, whether it is paint, and which untouched photograph (or -1) it lies in."""
    rng, rows, truths, sources = np.random.default_rng(0), [], [], []
    for number in range(count):
        size = int(rng.choice(SIZES))
        paths = small if size == SIZES[0] else large
        picture = photograph(paths[rng.integers(len(paths))], size, number)
        clean = number % 3 > 0
        mask = np.zeros(picture.shape[:2], bool)
        if not clean:
            picture, mask = occluded(rng, picture)
        for region in completer.detect(stored(picture, int(rng.integers(12)))).regions:
            covered = mask[region.box.slices][region.mask].mean()
            if covered < 0.2 or covered > 0.5:
                rows.append(region.traits)
                truths.append(covered > 0.5)
                sources.append(number if clean else -1)
    return np.array(rows), np.array(truths), np.array(sources)


def fit(x: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, float]:
    """Logistic regression by Newton's method with a slight ridge, both classes weighing the same."""
    middle, spread = x.mean(axis=0), x.std(axis=0) + 1e-6
    z = np.column_stack([(x - middle) / spread, np.ones(len(x))])
    weight = np.where(truth, 0.5 / truth.mean(), 0.5 / (1 - truth.mean()))
    beta = np.zeros(z.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-z @ beta))
        gradient = z.T @ (weight * (p - truth)) + 0.5 * beta
        beta -= np.linalg.solve((z * (weight * p * (1 - p))[:, None]).T @ z + 0.5 * np.eye(len(beta)), gradient)
    return beta[:-1] / spread, float(beta[-1] - (beta[:-1] / spread) @ middle)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("small", type=Path)
    parser.add_argument("large", type=Path)
    parser.add_argument("--leave", type=Path)
    parser.add_argument("--count", type=int, default=2400)
    args = parser.parse_args()
    left = set(args.leave.read_text().split()) if args.leave else set()
    large = [path for path in list_images(args.large) if path.name not in left]
    x, truth, sources = gather(Completer.from_pretrained(), list_images(args.small), large, args.count)
    weights, bias = fit(x, truth)
    for (name, _), weight in zip(TRAITS, weights, strict=True):
        print(f'    ("{name}", {weight:.3f}),')
    print(f"BIAS = {bias:.3f}")
    sure, clean = 1 / (1 + np.exp(-(x @ weights + bias))), sum(number % 3 > 0 for number in range(args.count))
    for threshold in (0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98):
        alarms = len(set(sources[(sure > threshold) & ~truth & (sources >= 0)]))
        print(
            f"{threshold}: {(sure[truth] > threshold).mean():.3f} of regions kept, {alarms} of {clean} untouched with an alarm"
        )


if __name__ == "__main__":
    main()
