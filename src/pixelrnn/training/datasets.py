"""What a run learns from and is validated on: datasets of the folders that were named, and batches of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from ..data import BinarisedDigits, CoarseCases, EpochShuffle, OccludedPhotographs, PairedDataset, is_coarse, is_mnist
from ..errors import PixelRNNError
from ..folders import list_photographs
from ..pair_checks import check_pairs
from ..pairs import Pair, find_pairs, is_paired, split, split_by_number
from .on_device import DevicePhotographs
from .recipe import Recipe


def make_datasets(
    folders: Sequence[Path], recipe: Recipe, out: Path | None = None
) -> tuple[ConcatDataset[dict[str, Any]], ConcatDataset[dict[str, Any]]]:
    """(training, validation) from folders in the paired layout or of clean photographs, or one of MNIST or coarse cases.
    out: a folder of results, none of which is a photograph."""
    pairs: tuple[list[Pair], list[Pair]] = ([], [])
    photographs: tuple[list[Path], list[Path]] = ([], [])
    for known, kind in ((is_mnist, BinarisedDigits), (is_coarse, CoarseCases)):
        if len(folders) == 1 and known(folders[0]):
            return ConcatDataset([kind(folders[0], "train")]), ConcatDataset([kind(folders[0], "valid")])
    for folder in folders:
        if not folder.is_dir():
            raise PixelRNNError(
                f"{folder}: no such folder. Give a folder of photographs or of pairs, "
                f"or render bedrooms there: pixelrnn demo-data {folder}/"
            )
        if is_paired(folder):
            found = find_pairs(folder)
            if recipe.check_pairs:
                check_pairs(found)
            parts = (
                split(found, recipe.valid_fraction, recipe.seed)
                if recipe.valid_from is None
                else split_by_number(found, recipe.valid_from)
            )
            if recipe.occlusion in ("given", "square"):
                pairs[0].extend(parts[0])
            else:
                photographs[0].extend(pair.original for pair in parts[0])
            pairs[1].extend(parts[1])
        elif recipe.valid_from is None:
            for whole, part in zip(
                photographs, split(list_photographs(folder, out), recipe.valid_fraction, recipe.seed), strict=True
            ):
                whole.extend(part)
        else:
            photographs[0].extend(list_photographs(folder, out))
    if not pairs[1] and not photographs[1]:
        raise PixelRNNError("no pictures to validate on: valid_from needs a folder in the paired layout.")

    if recipe.share < 1 and photographs[0]:
        drawn = np.random.default_rng(recipe.seed).permutation(len(photographs[0]))
        kept = drawn[: max(1, round(recipe.share * len(drawn)))]
        photographs[0][:] = [photographs[0][i] for i in sorted(kept)]
    style = "random" if recipe.occlusion == "given" else recipe.occlusion
    clean = recipe.clean if recipe.clean is not None else 0.05 * (style == "random")

    def join(i: int, augment: bool) -> ConcatDataset[dict[str, Any]]:
        sources: list[Dataset[dict[str, Any]]] = []
        if pairs[i]:
            sources.append(PairedDataset(pairs[i], recipe.size))
        if photographs[i]:
            sources.append(
                OccludedPhotographs(photographs[i], recipe.size, recipe.seed, augment, clean, style, recipe.headroom)
            )
        return ConcatDataset(sources)

    return join(0, augment=True), join(1, augment=False)


def make_loaders(
    training: ConcatDataset[Any],
    validation: ConcatDataset[Any],
    recipe: Recipe,
    device: torch.device,
    rank: int = 0,
    world: int = 1,
) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """(training, validation) batches of such datasets, in the order that the seed and the epoch decide."""
    options: dict[str, Any] = {
        "batch_size": recipe.batch_size // world,
        "num_workers": recipe.workers,
        "pin_memory": device.type == "cuda",
    }
    if recipe.mask_bank:
        batches = DataLoader(_on_device(training, recipe, device), batch_size=None)
    else:
        shuffle, drop = EpochShuffle(len(training), recipe.seed, rank, world), len(training) > recipe.batch_size
        batches = DataLoader(training, sampler=shuffle, drop_last=drop, **options)
    return batches, DataLoader(validation, sampler=range(rank, len(validation), world), **options)


def steps_an_epoch(training: ConcatDataset[Any], recipe: Recipe) -> int | None:
    """Where an epoch is cut; None: at the end of the data. Batches made on the device have no end."""
    return recipe.epoch_steps or (max(1, len(training) // recipe.batch_size) if recipe.mask_bank else None)


def _on_device(data: ConcatDataset[Any], recipe: Recipe, device: torch.device) -> DevicePhotographs:
    """The photographs of `data` in the memory of the device that trains."""
    sources = [part for part in data.datasets if isinstance(part, OccludedPhotographs)]
    if len(sources) < len(data.datasets) or recipe.occlusion not in ("random", "squares") or recipe.part != "filler":
        raise PixelRNNError("mask_bank: needs photographs, occlusion random or squares, and part filler.")
    paths = [path for source in sources for path in source.paths]
    return DevicePhotographs(
        paths,
        recipe.size,
        recipe.batch_size,
        recipe.mask_bank,
        device,
        seed=recipe.seed,
        headroom=recipe.headroom,
        style=recipe.occlusion,
        processes=recipe.workers,
    )
