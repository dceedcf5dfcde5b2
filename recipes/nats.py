"""Measure nats per image on binarised MNIST's test set, 10,000 digits drawn once, and print each run's validation curve.

python recipes/nats.py MNIST RUN_OR_WEIGHTS ... [--count 10000]
"""

import argparse
import csv
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Subset

from pixelrnn import checkpoint
from pixelrnn.data.datasets import BinarisedDigits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mnist", type=Path)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs, or weights")
    parser.add_argument("--count", type=int, default=10_000, help="digits of the test set, from the first on")
    args = parser.parse_args()
    digits = BinarisedDigits(args.mnist, "test")
    loader = DataLoader(Subset(digits, range(min(args.count, len(digits)))), batch_size=200)
    print("| weights | model | parameters | steps | minutes | nats | +- |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    curves = []
    for run in args.runs:
        loaded = checkpoint.load(run / "optimized_pixelrnn.safetensors" if run.is_dir() else run)
        with torch.inference_mode():
            nats = -torch.cat([loaded.model.log_prob(batch["target"]) for batch in loader])  # type: ignore[operator]
        last = (loaded.metadata.get("history") or [{}])[-1]
        print(
            f"| {run.name} | {loaded.name} | {sum(p.numel() for p in loaded.model.parameters()):,} | {last.get('step', '')} "
            f"| {last.get('minutes', 0):.1f} | {nats.mean():.2f} | {nats.std() / len(nats) ** 0.5:.2f} |",
            flush=True,
        )
        if (run / "metrics.csv").is_file():
            with (run / "metrics.csv").open() as file:
                curves.append((run.name, [(row["step"], float(row["nats"])) for row in csv.DictReader(file)]))
    for name, curve in curves:
        print(
            f"\n{name}, validation: " + ", ".join(f"{nats:.1f} at {step}" for step, nats in curve[:: max(1, len(curve) // 8)])
        )


if __name__ == "__main__":
    main()
