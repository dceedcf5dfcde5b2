"""Sets two runs side by side: python recipes/versus.py runs/versus-optimized runs/versus-baseline PAIRS PHOTOGRAPHS OUT.png

Both see what the described network was trained to see: PAIRS from number 1100 on as they are, and the central squares of clean
PHOTOGRAPHS under the described black square, compressed, at 128 px; with the mask, where the network reads one. Prints the hole
PSNR of each run's kept weights, the last five epochs' mean on PAIRS, the difference with its 95% interval over pictures, and
when the first run passed the second's last; draws the hole PSNR on PAIRS over minutes and over steps.
"""

import csv
import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch.utils.data import DataLoader, Dataset

from pixelrnn import checkpoint
from pixelrnn.data import OccludedPhotographs, PairedDataset, find_pairs, split_by_number
from pixelrnn.image import list_images
from pixelrnn.metrics import psnr

SIZE, VALID_FROM = 128, 1100


def hole_psnr(run: Path, pictures: Dataset) -> np.ndarray:
    """Of every picture, in dB."""
    model = checkpoint.load(run / "optimized_pixelrnn.safetensors").model.eval()
    found = []
    for batch in DataLoader(pictures, batch_size=16):
        with torch.inference_mode():
            picture = model(batch["image"], batch["mask"]).image
        found.append(psnr(torch.where(batch["mask"] > 0, picture, batch["target"]), batch["target"], batch["mask"]))
    return torch.cat(found).numpy()


def curve(run: Path) -> dict[str, np.ndarray]:
    """The columns of its metrics.csv that are drawn."""
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {key: np.array([float(row[key]) for row in rows]) for key in ("minutes", "step", "hole_psnr")}


def main(runs: list[Path], pairs: Path, photographs: Path, out: Path) -> None:
    curves = [curve(run) for run in runs]
    figure = Figure(figsize=(11, 4), layout="constrained")
    for axes, key in zip(figure.subplots(1, 2, sharey=True), ("minutes", "step"), strict=True):
        for run, columns in zip(runs, curves, strict=True):
            axes.plot(columns[key], columns["hole_psnr"], marker=".", label=run.name)
        axes.set(xlabel=key, ylabel="hole PSNR in dB", title=f"Validation at {SIZE} px, by {key}")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(out, dpi=90)
    last = [float(columns["hole_psnr"][-5:].mean()) for columns in curves]
    passed = curves[0]["minutes"][curves[0]["hole_psnr"] >= curves[1]["hole_psnr"][-1]]
    print("last five epochs", *(f"{value:.2f}" for value in last), "first passed second's last at minutes", passed[:1])
    sets = {
        "pairs": PairedDataset(split_by_number(find_pairs(pairs), VALID_FROM)[1], SIZE),
        "square": OccludedPhotographs(list_images(photographs), SIZE, augment=False, style="square"),
    }
    for name, pictures in sets.items():
        values = [hole_psnr(run, pictures) for run in runs]
        difference = values[0] - values[1]
        interval = 1.96 * difference.std() / len(difference) ** 0.5
        print(name, *(f"{value.mean():.2f}" for value in values), f"difference {difference.mean():+.2f} +- {interval:.2f}")


if __name__ == "__main__":
    first, second, *rest = (Path(word) for word in sys.argv[1:])
    main([first, second], *rest)
