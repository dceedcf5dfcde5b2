"""Compare runs: python recipes/compare.py PAIRS PHOTOGRAPHS OUT.png runs/FIRST runs/SECOND ...

All runs get the occlusions of the described network's training, at 128 px: PAIRS from number 1100 on as they are, and the
central squares of clean PHOTOGRAPHS under the described black square, compressed. A network that reads a mask gets it.

Prints for each run's exported weights: PSNR, SSIM and GMS of the missing pixels (known pixels pasted), PSNR and SSIM of the
image as the network draws it, and by how much the first run is better, with the 95% interval over images. Also prints the mean
PSNR of the last five epochs, and when the first run passed the other's last one. Draws the PSNR on PAIRS over minutes and over
steps.
"""

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch.utils.data import DataLoader, Dataset

from pixelrnn import checkpoint
from pixelrnn.data.datasets import OccludedPhotographs, PairedDataset
from pixelrnn.data.pairs import find_pairs, split_by_number
from pixelrnn.evaluation.scores import score_case
from pixelrnn.folders import list_images
from pixelrnn.image import to_uint8

SIZE, VALID_FROM = 128, 1100
MEASURES = ("hole_psnr", "hole_ssim", "gms", "raw_psnr", "raw_ssim")


def scores(run: Path, dataset: Dataset[dict[str, Any]]) -> np.ndarray:
    """The MEASURES of every image (N, 5)."""
    model = checkpoint.load(run / "optimized_pixelrnn.safetensors").model.eval()
    rows = []
    for item in DataLoader(dataset):
        with torch.inference_mode():
            prediction = model(item["image"], item["mask"]).image
        out, given, target = (to_uint8(image[0].numpy()) for image in (prediction, item["image"], item["target"]))
        score = score_case(out, given, target, item["mask"][0, 0].numpy() > 0)
        rows.append([getattr(score, measure) for measure in MEASURES])
    return np.array(rows)


def curve(run: Path) -> dict[str, np.ndarray]:
    """The columns of the run's metrics.csv that are drawn."""
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {key: np.array([float(row[key]) for row in rows]) for key in ("minutes", "step", "hole_psnr")}


def draw(runs: list[Path], out: Path) -> None:
    figure = Figure(figsize=(11, 4), layout="constrained")
    for axes, key in zip(figure.subplots(1, 2, sharey=True), ("minutes", "step"), strict=True):
        for run in runs:
            columns = curve(run)
            axes.plot(columns[key], columns["hole_psnr"], marker=".", label=run.name)
        axes.set(xlabel=key, ylabel="hole PSNR in dB", title=f"Validation at {SIZE} px, by {key}")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(out, dpi=90)


def main(pairs: Path, photographs: Path, out: Path, runs: list[Path]) -> None:
    draw(runs, out)
    for run in runs:
        psnr = curve(run)["hole_psnr"]
        passed = curve(runs[0])["minutes"][curve(runs[0])["hole_psnr"] >= psnr[-1]]
        print(f"{run}: last epoch {psnr[-1]:.2f}, last five {psnr[-5:].mean():.2f}; passed by the first at minute {passed[:1]}")
    sets = {
        "pairs": PairedDataset(split_by_number(find_pairs(pairs), VALID_FROM)[1], SIZE),
        "square": OccludedPhotographs(list_images(photographs), SIZE, augment=False, style="square"),
    }
    print("set, run:", *MEASURES)
    for name, dataset in sets.items():
        values = [scores(run, dataset) for run in runs]
        for run, value in zip(runs, values, strict=True):
            lead = values[0] - value
            interval = 1.96 * lead.std(axis=0) / len(lead) ** 0.5
            shown = (f"{m:.3f} ({a:+.3f} +- {i:.3f})" for m, a, i in zip(value.mean(0), lead.mean(0), interval, strict=True))
            print(name, run, *shown, sep="  ")


if __name__ == "__main__":
    first, second, third, *rest = (Path(word) for word in sys.argv[1:])
    main(first, second, third, rest)
