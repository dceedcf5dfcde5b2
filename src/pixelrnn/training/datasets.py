"""The training and the validation dataset of a run, made from what was named on the command line, and batches of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
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

HELD_OUT = 1000  # images of a stream's first shard that validate, at most

Training = ConcatDataset[dict[str, Any]] | StreamedPhotographs


def make_datasets(
    folders: Sequence[str | Path], recipe: Recipe, out: Path | None = None
) -> tuple[Training, ConcatDataset[dict[str, Any]]]:
    """Make the datasets of a run.

    Some images validate and the rest train. Of photographs, the seed draws the share that validates; of a stream, the first
    shard does, of which at most HELD_OUT images are read.

    Args:
        folders: Folders in the paired layout or of clean photographs, LMDB folders and indexed shards; or one stream; or one
            folder of MNIST or of coarse cases.
        recipe: The recipe.
        out: A folder of results, none of which is taken as a photograph.

    Returns:
        The training and the validation dataset.

    Raises:
        PixelRNNError: No images validate, or the recipe does not go with a stream.
    """
    for is_kind, kind in ((is_mnist, BinarisedDigits), (is_coarse, CoarseCases)):
        if len(folders) == 1 and is_kind(Path(folders[0])):
            return ConcatDataset([kind(folders[0], "train")]), ConcatDataset([kind(folders[0], "valid")])
    given = recognise([str(folder) for folder in folders])
    if any(entry.kind == "stream" for entry in given):
        return _streamed(given, recipe)
    training, validation = _split_all(given, recipe, out)
    if not validation.pairs and not validation.photographs:
        raise PixelRNNError("no pictures to validate on: valid_from needs a folder in the paired layout.")
    if recipe.train_fraction < 1 and training.photographs:
        source = Joined(training.photographs)
        drawn = np.random.default_rng(recipe.seed).permutation(len(source))
        training.photographs = [Part(source, np.sort(drawn[: max(1, round(recipe.train_fraction * len(drawn)))]))]
    return training.dataset(recipe, augment=True), validation.dataset(recipe, augment=False)


@dataclass
class _Images:
    """The images of one dataset."""

    pairs: list[Pair] = field(default_factory=list)
    photographs: list[Source] = field(default_factory=list)  # which are occluded as they are read

    def dataset(self, recipe: Recipe, augment: bool) -> ConcatDataset[dict[str, Any]]:
        datasets: list[Dataset[dict[str, Any]]] = []
        if self.pairs:
            datasets.append(PairedDataset(self.pairs, recipe.size))
        if self.photographs:
            datasets.append(_occluded(Joined(self.photographs), recipe, augment))
        return ConcatDataset(datasets)


def _split_all(given: list[Given], recipe: Recipe, out: Path | None) -> tuple[_Images, _Images]:
    """The images to train on, and those to validate on."""
    training, validation = _Images(), _Images()
    for entry in given:
        if entry.kind == "folder" and is_paired(Path(entry.words[0])):
            train_pairs, valid_pairs = _split_pairs(Path(entry.words[0]), recipe)
            if recipe.occlusion in ("given", "square"):
                training.pairs += train_pairs
            else:
                training.photographs.append(Files(pair.original for pair in train_pairs))
            validation.pairs += valid_pairs
        elif recipe.valid_from is None:
            train_part, valid_part = parted(open_source(entry, out), recipe.valid_fraction, recipe.seed)
            training.photographs.append(train_part)
            validation.photographs.append(valid_part)
        else:
            training.photographs.append(open_source(entry, out))
    return training, validation


def _split_pairs(folder: Path, recipe: Recipe) -> tuple[list[Pair], list[Pair]]:
    """The pairs of a folder to train on, and those to validate on."""
    pairs = find_pairs(folder)
    if recipe.check_pairs:
        check_pairs(pairs)
    if recipe.valid_from is None:
        return split(pairs, recipe.valid_fraction, recipe.seed)
    return split_by_number(pairs, recipe.valid_from)


def _style(recipe: Recipe) -> tuple[float, str]:
    """The share of photographs that stay whole, and the style of the others' occlusions."""
    style = "random" if recipe.occlusion == "given" else recipe.occlusion
    return recipe.clean_prob if recipe.clean_prob is not None else 0.05 * (style == "random"), style


def _occluded(source: Source, recipe: Recipe, augment: bool) -> OccludedPhotographs:
    return OccludedPhotographs(source, recipe.size, recipe.seed, augment, *_style(recipe), recipe.crop_scale)


def _streamed(given: list[Given], recipe: Recipe) -> tuple[StreamedPhotographs, ConcatDataset[dict[str, Any]]]:
    """`make_datasets` for a stream."""
    name = next(entry for entry in given if entry.kind == "stream").name
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
    held_out = Memory(list(islice(stream.read(0), HELD_OUT)), name)
    occluder = Occluder(recipe.size, True, *_style(recipe), recipe.crop_scale)
    training = StreamedPhotographs(stream, range(1, len(stream)), occluder, recipe.seed)
    return training, ConcatDataset([_occluded(held_out, recipe, augment=False)])


def size_in_words(data: Training) -> str:
    """Return the size of a training dataset for a message, such as "18 pictures"."""
    return f"{len(data.shards)} shards" if isinstance(data, StreamedPhotographs) else f"{len(data)} pictures"


def make_loaders(
    training: Training,
    validation: ConcatDataset[Any],
    recipe: Recipe,
    device: torch.device,
    rank: int = 0,
    world: int = 1,
) -> tuple[DataLoader[Any] | EndlessBatches, DataLoader[Any]]:
    """Make the batches of a run, in an order that the seed and the epoch decide.

    Each process gets its part of every training batch, and every `world`-th image of validation. No image validates twice, so
    that some processes may have one image less.

    Args:
        training: From `make_datasets`.
        validation: From `make_datasets`.
        recipe: The recipe; its batch_size must be divisible by `world`.
        device: The device that trains.
        rank: Rank of this process.
        world: Number of processes.

    Returns:
        The training and the validation batches.

    Raises:
        PixelRNNError: There are fewer images than processes.
    """
    options: dict[str, Any] = {
        "batch_size": recipe.batch_size // world,
        "num_workers": recipe.workers,
        "pin_memory": device.type == "cuda",
    }
    if len(validation) < world:
        raise PixelRNNError(f"{len(validation)} pictures to validate on, less than {world} processes.")
    valid_batches = Batches(validation, sampler=range(rank, len(validation), world), **options)
    if isinstance(training, StreamedPhotographs):
        training.rank, training.world = rank, world
        return EndlessBatches(training, recipe.epoch_steps or 1, **options), valid_batches
    if len(training) < world:
        raise PixelRNNError(f"{len(training)} pictures to train on, less than {world} processes.")
    if recipe.mask_bank:
        return Batches(_on_device(training, recipe, device, rank, world), batch_size=None), valid_batches
    shuffle, drop = EpochShuffle(len(training), recipe.seed, rank, world), len(training) > recipe.batch_size
    return Batches(training, sampler=shuffle, drop_last=drop, **options), valid_batches


def steps_an_epoch(training: Training, recipe: Recipe) -> int | None:
    """Return the number of steps after which an epoch ends; None for the end of the data.

    Streams and batches made on the device have no end.
    """
    if recipe.epoch_steps or not recipe.mask_bank or isinstance(training, StreamedPhotographs):
        return recipe.epoch_steps
    return max(1, len(training) // recipe.batch_size)


def _on_device(data: ConcatDataset[Any], recipe: Recipe, device: torch.device, rank: int, world: int) -> DevicePhotographs:
    """The photographs of `data` in the memory of the device that trains."""
    datasets = [dataset for dataset in data.datasets if isinstance(dataset, OccludedPhotographs)]
    if len(datasets) < len(data.datasets) or recipe.occlusion not in ("random", "squares") or recipe.trainable not in FILLING:
        raise PixelRNNError("mask_bank: needs photographs, occlusion random or squares, and trainable=filler.")
    return DevicePhotographs(
        Joined([dataset.source for dataset in datasets]),
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
