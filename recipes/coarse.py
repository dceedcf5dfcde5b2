"""Make the sampler's training data: coarse photographs with missing pixels, their completion and the truth.

python recipes/coarse.py PAIRS PHOTOGRAPHS ... OUT [--epochs 2] [--cell 8] [--side 160] [--valid-from 1100] [--processes 2]

Each photograph gives one case per epoch, by turns with random occlusions and with squares. A case is a window of SIDE px in a
crop of 256 px, around one group of missing pixels, about as much as the sampler sees of a hole; bedrooms-expected completes it.

OUT/train.npy and OUT/valid.npy are uint8 (N, 8, SIDE / CELL, SIDE / CELL): the truth averaged over cells of CELL x CELL pixels
(3 channels), the completion likewise (3), its standard deviation (see sampling.coarse_std), and 255 where any pixel of the cell
is missing.
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
from torch.utils.data import ConcatDataset, Dataset

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
    """A window of `side` pixels around one group of missing pixels, or within the group if it is larger."""
    boxes = [view.part for view in views(mask)]
    box = boxes[rng.integers(len(boxes))]
    starts = []
    for low, high, full in ((box.top, box.bottom, mask.shape[0]), (box.left, box.right, mask.shape[1])):
        slack = high - low - side
        start = low + (int(rng.integers(0, slack, endpoint=True)) if slack > 0 else slack // 2)
        starts.append(min(max(start, 0), full - side))
    return slice(starts[0], starts[0] + side), slice(starts[1], starts[1] + side)


def case(data: Dataset[dict[str, Any]], cell: int, side: int, seed: int, index: int) -> np.ndarray:
    """One case, uint8 (8, side / cell, side / cell)."""
    item = data[index]
    target, mask = to_uint8(item["target"].numpy()), item["mask"][0].numpy() > 0
    place = window(np.random.default_rng([seed, index]), mask, side) if mask.any() else (slice(side), slice(side))
    target, mask = target[place], mask[place] & ~mask[place].all()  # without known pixels there is nothing to learn
    result = completer()(target, mask)
    assert result.uncertainty is not None  # bedrooms-expected has one
    truth, coarse_mask = reduced(target, mask, cell)
    guess, _ = reduced(result.image, mask, cell)
    std = np.rint(255 * coarse_std(result.uncertainty, cell)).astype(np.uint8)
    channels = [truth, guess, std[..., None], 255 * coarse_mask[..., None].astype(np.uint8)]
    return np.concatenate(channels, axis=2).transpose(2, 0, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="pairs and photographs, then OUT")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--cell", type=int, default=8)
    parser.add_argument("--side", type=int, default=160)
    parser.add_argument("--valid-from", type=int, default=1100)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--limit", type=int, help="photographs at most, for a trial")
    args = parser.parse_args()
    *folders, out = args.folders
    out.mkdir(parents=True)
    parts: dict[str, list[np.ndarray]] = {"train": [], "valid": []}
    for epoch in range(args.epochs):
        recipe = Recipe(occlusion=("random", "squares")[epoch % 2], clean_prob=0.0, valid_from=args.valid_from)
        for name, data in zip(parts, make_datasets(folders, recipe), strict=True):
            if name == "valid" and epoch:
                continue  # its images are the same in each epoch
            assert isinstance(data, ConcatDataset)  # folders, no stream
            for dataset in data.datasets:
                if isinstance(dataset, OccludedPhotographs):
                    dataset.set_epoch(epoch)
            count = min(len(data), args.limit or len(data))
            with ProcessPoolExecutor(args.processes) as pool:  # the processes inherit the data and its epoch
                cases = pool.map(partial(case, data, args.cell, args.side, epoch), range(count), chunksize=64)
                parts[name] += track(cases, f"{name}, epoch {epoch + 1}", total=count)
        for name, part in parts.items():
            np.save(out / f"{name}.npy", np.stack(part))


if __name__ == "__main__":
    main()
