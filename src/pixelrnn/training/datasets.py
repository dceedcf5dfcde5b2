"""What a run learns from and is validated on: datasets of the photographs that were named, and batches of them."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from ..data.catalogue import Given, open_source, recognise
from ..data.datasets import (
    Batches,
    BinarisedDigits,
    CoarseCases,
    EpochShuffle,
    OccludedPhotographs,
    Occluder,
    PairedDataset,
    is_coarse,
    is_mnist,
)
from ..data.pair_checks import check_pairs
from ..data.pairs import Pair, find_pairs, is_paired, split, split_by_number
from ..data.sources import Files, Joined, Memory, Part, Source, parted
from ..data.streamed import EndlessBatches, StreamedPhotographs
from ..data.streams import Stream
from ..errors import PixelRNNError
from .on_device import DevicePhotographs
from .recipe import FILLING, Recipe

HELD = 1000  # pictures of a stream's first shard that validate, at most

Training = ConcatDataset[dict[str, Any]] | StreamedPhotographs


def make_datasets(
    folders: Sequence[str | Path], recipe: Recipe, out: Path | None = None
) -> tuple[Training, ConcatDataset[dict[str, Any]]]:
    """(training, validation) from folders in the paired layout or of clean photographs, LMDB folders and indexed shards, from
    streams, or from one folder of MNIST or coarse cases. out: a folder of results, none of which is a photograph.

    Of photographs a share validates that the seed draws; of a stream, its first shard, of which at most HELD pictures are read.
    """
    for known, kind in ((is_mnist, BinarisedDigits), (is_coarse, CoarseCases)):
        if len(folders) == 1 and known(Path(folders[0])):
            return ConcatDataset([kind(folders[0], "train")]), ConcatDataset([kind(folders[0], "valid")])
    given = recognise([str(folder) for folder in folders])
    if any(one.kind == "stream" for one in given):
        return _streamed(given, recipe)
    pairs: tuple[list[Pair], list[Pair]] = ([], [])
    photographs: tuple[list[Source], list[Source]] = ([], [])
    for one in given:
        folder = Path(one.words[0])
        if one.kind == "folder" and is_paired(folder):
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
                photographs[0].append(Files(pair.original for pair in parts[0]))
            pairs[1].extend(parts[1])
        elif recipe.valid_from is None:
            for whole, part in zip(photographs, parted(open_source(one, out), recipe.valid_fraction, recipe.seed), strict=True):
                whole.append(part)
        else:
            photographs[0].append(open_source(one, out))
    if not pairs[1] and not photographs[1]:
        raise PixelRNNError("no pictures to validate on: valid_from needs a folder in the paired layout.")

    if recipe.train_fraction < 1 and photographs[0]:
        every = Joined(photographs[0])
        drawn = np.random.default_rng(recipe.seed).permutation(len(every))
        photographs[0][:] = [Part(every, np.sort(drawn[: max(1, round(recipe.train_fraction * len(drawn)))]))]

    def join(i: int, augment: bool) -> ConcatDataset[dict[str, Any]]:
        datasets: list[Dataset[dict[str, Any]]] = []
        if pairs[i]:
            datasets.append(PairedDataset(pairs[i], recipe.size))
        if photographs[i]:
            datasets.append(_occluded(Joined(photographs[i]), recipe, augment))
        return ConcatDataset(datasets)

    return join(0, augment=True), join(1, augment=False)


def _style(recipe: Recipe) -> tuple[float, str]:
    """The share of photographs that stay whole, and what is in the way on the others."""
    style = "random" if recipe.occlusion == "given" else recipe.occlusion
    return recipe.clean_prob if recipe.clean_prob is not None else 0.05 * (style == "random"), style


def _occluded(source: Source, recipe: Recipe, augment: bool) -> OccludedPhotographs:
    return OccludedPhotographs(source, recipe.size, recipe.seed, augment, *_style(recipe), recipe.crop_scale)


def _streamed(given: list[Given], recipe: Recipe) -> tuple[StreamedPhotographs, ConcatDataset[dict[str, Any]]]:
    """The same of a stream. Raises PixelRNNError for what is not possible without numbers."""
    name = next(one for one in given if one.kind == "stream").name
    if len(given) > 1:
        raise PixelRNNError(f"{name}: a stream, which trains alone. Leave out the rest, or make shards of all: pixelrnn pack")
    if recipe.epoch_steps is None:
        raise PixelRNNError(
            f"{name}: a stream, which says no length. Give epoch_steps=N, the steps after which to validate; "
            "or, of tar files that lie here, write an index: pixelrnn pack --index SHARDS"
        )
    if recipe.train_fraction < 1 or recipe.mask_bank or recipe.valid_from is not None:
        raise PixelRNNError(f"{name}: a stream: leave out train_fraction, mask_bank and valid_from.")
    stream = Stream(given[0].words)
    if len(stream) < 2:
        raise PixelRNNError(f"{name}: one shard alone. A stream needs two or more: the first validates, the others train.")
    held = Memory(list(islice(stream.read(0), HELD)), name)
    occluder = Occluder(recipe.size, True, *_style(recipe), recipe.crop_scale)
    training = StreamedPhotographs(stream, range(1, len(stream)), occluder, recipe.seed)
    return training, ConcatDataset([_occluded(held, recipe, augment=False)])


def told(data: Training) -> str:
    """How much there is to learn from, in words."""
    return f"{len(data.shards)} shards" if isinstance(data, StreamedPhotographs) else f"{len(data)} pictures"


def make_loaders(
    training: Training,
    validation: ConcatDataset[Any],
    recipe: Recipe,
    device: torch.device,
    rank: int = 0,
    world: int = 1,
) -> tuple[DataLoader[Any] | EndlessBatches, DataLoader[Any]]:
    """(training, validation) batches of such datasets, in the order that the seed and the epoch decide.

    Process `rank` of `world` gets its part of each batch, which must be divisible by `world`, and every `world`-th picture of
    validation, without any twice: some processes may have one less. Raises PixelRNNError for less pictures than processes.
    """
    options: dict[str, Any] = {
        "batch_size": recipe.batch_size // world,
        "num_workers": recipe.workers,
        "pin_memory": device.type == "cuda",
    }
    if len(validation) < world:
        raise PixelRNNError(f"{len(validation)} pictures to validate on, less than {world} processes.")
    part = Batches(validation, sampler=range(rank, len(validation), world), **options)
    if isinstance(training, StreamedPhotographs):
        training.rank, training.world = rank, world
        return EndlessBatches(training, recipe.epoch_steps or 1, **options), part
    if len(training) < world:
        raise PixelRNNError(f"{len(training)} pictures to train on, less than {world} processes.")
    if recipe.mask_bank:
        return Batches(_on_device(training, recipe, device, rank, world), batch_size=None), part
    shuffle, drop = EpochShuffle(len(training), recipe.seed, rank, world), len(training) > recipe.batch_size
    return Batches(training, sampler=shuffle, drop_last=drop, **options), part


def steps_an_epoch(training: Training, recipe: Recipe) -> int | None:
    """Where an epoch is cut; None: at the end of the data. Batches made on the device, and streams, have no end."""
    if recipe.epoch_steps or not recipe.mask_bank or isinstance(training, StreamedPhotographs):
        return recipe.epoch_steps
    return max(1, len(training) // recipe.batch_size)


def _on_device(data: ConcatDataset[Any], recipe: Recipe, device: torch.device, rank: int, world: int) -> DevicePhotographs:
    """The photographs of `data` in the memory of the device that trains."""
    datasets = [part for part in data.datasets if isinstance(part, OccludedPhotographs)]
    if len(datasets) < len(data.datasets) or recipe.occlusion not in ("random", "squares") or recipe.trainable not in FILLING:
        raise PixelRNNError("mask_bank: needs photographs, occlusion random or squares, and trainable=filler.")
    return DevicePhotographs(
        Joined([part.source for part in datasets]),
        recipe.size,
        recipe.batch_size // world,
        recipe.mask_bank,
        device,
        seed=recipe.seed,
        crop_scale=recipe.crop_scale,
        style=recipe.occlusion,
        processes=recipe.workers,
        rank=rank,
    )
