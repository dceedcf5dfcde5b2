"""What the sampler learns from: photographs with holes, what the expected completion says of them, and the truth, coarsely.

python recipes/coarse.py PAIRS PHOTOGRAPHS ... OUT [--epochs 3] [--cell 8] [--valid-from 1100] [--processes 2]

Each photograph gives EPOCHS cases of 256 px, a crop with random occlusions or with squares by turns, which the bundled weights
complete with the mask given. OUT/train.npy and OUT/valid.npy are uint8 (N, 7, 256 / CELL, 256 / CELL): the truth averaged over
cells of CELL x CELL pixels, the completion likewise, and 255 where any pixel of the cell is missing.
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

from pixelrnn.completion import Completer
from pixelrnn.data import OccludedPhotographs
from pixelrnn.image import to_uint8
from pixelrnn.sampling import CELL, reduced
from pixelrnn.training import Recipe, make_datasets


@cache
def completer() -> Completer:
    return Completer.from_pretrained()


def case(data: Dataset[dict[str, Any]], cell: int, index: int) -> np.ndarray:
    """One case, uint8 (7, S, S)."""
    item = data[index]
    mask = item["mask"][0].numpy() > 0
    completed = completer()(to_uint8(item["image"].numpy()), mask).image if mask.any() else to_uint8(item["target"].numpy())
    truth, missing = reduced(to_uint8(item["target"].numpy()), mask, cell)
    guess, _ = reduced(completed, mask, cell)
    return np.concatenate([truth, guess, 255 * missing[..., None].astype(np.uint8)], axis=2).transpose(2, 0, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="pairs and photographs, then OUT")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--cell", type=int, default=CELL)
    parser.add_argument("--valid-from", type=int, default=1100)
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    *folders, out = asked.folders
    out.mkdir(parents=True)
    parts: dict[str, list[np.ndarray]] = {"train": [], "valid": []}
    for epoch in range(asked.epochs):
        recipe = Recipe(occlusion=("random", "squares")[epoch % 2], clean=0.0, valid_from=asked.valid_from)
        for name, data in zip(parts, make_datasets(folders, recipe), strict=True):
            if name == "valid" and epoch:
                continue  # its pictures are the same each time
            for one in data.datasets:
                if isinstance(one, OccludedPhotographs):
                    one.set_epoch(epoch)
            with ProcessPoolExecutor(asked.processes) as pool:  # they inherit the data, and its epoch
                cases = pool.map(partial(case, data, asked.cell), range(len(data)), chunksize=64)
                parts[name] += track(cases, f"{name}, epoch {epoch + 1}", total=len(data))
    for name, cases in parts.items():
        np.save(out / f"{name}.npy", np.stack(cases))


if __name__ == "__main__":
    main()
