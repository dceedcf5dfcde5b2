"""What the sampler learns from: photographs with holes, what the expected completion says of them, and the truth, coarsely.

python recipes/coarse.py PAIRS PHOTOGRAPHS ... OUT [--epochs 2] [--cell 8] [--side 160] [--valid-from 1100] [--processes 2]

Each photograph gives EPOCHS cases, random occlusions or squares by turns on a crop of 256 px, of which SIDE px around a group
of holes are kept, about as much as the sampler is shown of a hole, and completed by bedrooms-expected. OUT/train.npy and
OUT/valid.npy are uint8 (N, 8, SIDE / CELL, SIDE / CELL): the truth averaged over cells of CELL x CELL pixels, the completion
likewise and its uncertainty (see sampling.reduced), and 255 where any pixel of the cell is missing.
"""

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # processes share the cores

import numpy as np
from rich.progress import track
from torch.utils.data import Dataset

from pixelrnn.data.datasets import OccludedPhotographs
from pixelrnn.image import to_uint8
from pixelrnn.inference.completer import Completer
from pixelrnn.inference.sampling import coarse_std, reduced
from pixelrnn.inference.tiling import views
from pixelrnn.training import Recipe, make_datasets
from pixelrnn.weights import EXPECTED


@cache
def completer() -> Completer:
    return Completer.from_pretrained(EXPECTED)


def window(rng: np.random.Generator, mask: np.ndarray, side: int) -> tuple[slice, slice]:
    """`side` pixels around one of the groups of holes, or of it where it is larger."""
    every = [view.part for view in views(mask)]
    part = every[rng.integers(len(every))]
    starts = []
    for low, high, full in ((part.top, part.bottom, mask.shape[0]), (part.left, part.right, mask.shape[1])):
        slack = high - low - side
        start = low + (int(rng.integers(0, slack, endpoint=True)) if slack > 0 else slack // 2)
        starts.append(min(max(start, 0), full - side))
    return slice(starts[0], starts[0] + side), slice(starts[1], starts[1] + side)


def case(data: Dataset[dict[str, Any]], cell: int, side: int, seed: int, index: int) -> np.ndarray:
    """One case, uint8 (8, S, S)."""
    item = data[index]
    target, mask = to_uint8(item["target"].numpy()), item["mask"][0].numpy() > 0
    part = window(np.random.default_rng([seed, index]), mask, side) if mask.any() else (slice(side), slice(side))
    target, mask = target[part], mask[part] & ~mask[part].all()  # without anything known there is nothing to learn
    result = completer()(target, mask)
    truth, missing = reduced(target, mask, cell)
    guess, _ = reduced(result.image, mask, cell)
    std = np.rint(255 * coarse_std(result.uncertainty, cell)).astype(np.uint8)
    return np.concatenate([truth, guess, std[..., None], 255 * missing[..., None].astype(np.uint8)], axis=2).transpose(2, 0, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="pairs and photographs, then OUT")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--cell", type=int, default=8)
    parser.add_argument("--side", type=int, default=160)
    parser.add_argument("--valid-from", type=int, default=1100)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--limit", type=int, help="photographs at most, to try it")
    asked = parser.parse_args()
    *folders, out = asked.folders
    out.mkdir(parents=True)
    parts: dict[str, list[np.ndarray]] = {"train": [], "valid": []}
    for epoch in range(asked.epochs):
        recipe = Recipe(occlusion=("random", "squares")[epoch % 2], clean_prob=0.0, valid_from=asked.valid_from)
        for name, data in zip(parts, make_datasets(folders, recipe), strict=True):
            if name == "valid" and epoch:
                continue  # its pictures are the same each time
            for one in data.datasets:
                if isinstance(one, OccludedPhotographs):
                    one.set_epoch(epoch)
            count = min(len(data), asked.limit or len(data))
            with ProcessPoolExecutor(asked.processes) as pool:  # they inherit the data, and its epoch
                cases = pool.map(partial(case, data, asked.cell, asked.side, epoch), range(count), chunksize=64)
                parts[name] += track(cases, f"{name}, epoch {epoch + 1}", total=count)
        for name, cases in parts.items():
            np.save(out / f"{name}.npy", np.stack(cases))


if __name__ == "__main__":
    main()
