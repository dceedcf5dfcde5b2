"""Measure what several samples of a hole are worth, on cases whose truth is known.

python recipes/samples.py CASES/SET [--sampler FILE ...] [--weights bedrooms-expected] [--samples 4] [--seed 1] [--count N]
    [--temperature 1] [--sheet OUT.png]

Prints for each sampler the nats per missing pixel of the coarse truth given the known pixels, and bits per dimension.

Prints for the first sampler, as means over the cases:
- PSNR of the missing pixels in dB, of a mean fill, of the expected completion, of the average sample, the most likely and the
  best;
- how far two samples of a case are apart, as RMS over the missing pixels in grey levels;
- seconds per case.
"""

import argparse
import time
from itertools import combinations
from pathlib import Path

import numpy as np

from pixelrnn import Completer
from pixelrnn.encode import write_image
from pixelrnn.evaluation.baselines import classical
from pixelrnn.evaluation.cases import read_cases
from pixelrnn.inference.sampling import Sampler
from pixelrnn.models.likelihood import bits_per_dimension
from pixelrnn.weights import EXPECTED, SAMPLER


def hole_psnr(image: np.ndarray, target: np.ndarray, mask: np.ndarray) -> float:
    error = np.square(image[mask].astype(float) - target[mask]).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--sampler", action="append", help="several if repeated; the bundled one by default")
    parser.add_argument("--weights", default=EXPECTED)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--count", type=int, help="cases, from the first on")
    parser.add_argument("--sheet", type=Path, help="write an image of the first twelve: given, truth, expected, samples")
    args = parser.parse_args()
    samplers = {name: Sampler(name) for name in args.sampler or [SAMPLER]}
    completer, mean = Completer.from_pretrained(args.weights), classical("mean")
    completer.sampler = next(iter(samplers.values()))
    nats: dict[str, list[float]] = {name: [] for name in samplers}
    rows, likelihoods = [], []
    images: list[np.ndarray] = []
    for case in read_cases(args.cases)[: args.count]:
        given, mask, target = case.read()
        expected = completer(given, mask).image
        for name, sampler in samplers.items():
            nats[name].append(-sampler.log_likelihood(given, mask, target))
        start = time.perf_counter()
        result = completer(given, mask, samples=args.samples, seed=args.seed, temperature=args.temperature)
        seconds = time.perf_counter() - start
        scores = [hole_psnr(sample, target, mask) for sample in result.samples]
        pairs = combinations([sample[mask].astype(float) for sample in result.samples], 2)
        apart = np.mean([np.sqrt(np.square(a - b).mean()) for a, b in pairs])
        baselines = [hole_psnr(image, target, mask) for image in (mean(given, mask), expected)]
        rows.append([*baselines, np.mean(scores), scores[0], max(scores), apart, seconds])
        likelihoods.append(result.log_likelihood or [])
        if len(images) < 12:
            images.append(np.hstack([given, target, expected, *result.samples]))
    print(f"{args.cases.name}, {len(rows)} cases, {args.samples} samples, temperature {args.temperature:g}")
    for name, values in nats.items():
        error = np.std(values) / len(values) ** 0.5
        bits = bits_per_dimension(float(np.mean(values)))
        print(f"{name}: {np.mean(values):.3f} +- {error:.3f} nats per missing pixel, {bits:.3f} bits per dimension")
    names = ["mean fill", "expected", "average sample", "most likely", "best", "apart", "seconds"]
    for name, value in zip(names, np.mean(rows, axis=0), strict=True):
        print(f"{name}: {value:.2f}")
    print(f"log-likelihood of the samples, first to last: {np.round(np.mean(likelihoods, axis=0), 2).tolist()}")
    if args.sheet:
        write_image(args.sheet, np.vstack(images))


if __name__ == "__main__":
    main()
