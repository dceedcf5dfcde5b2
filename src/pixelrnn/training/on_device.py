"""Training batches made on the device from photographs and masks in its memory, so that a GPU never waits for files."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset

from ..data.datasets import read_fitting
from ..data.jpeg import compress
from ..data.occluders import random_mask, squares
from ..data.sources import Source, as_source

CHUNK = 250  # masks, or photographs, that a process makes at a time


class DevicePhotographs(IterableDataset[dict[str, torch.Tensor]]):
    """Endless batches of random crops with masks.

    Half of the crops are mirrored, and half get other light. In a third of each batch, the missing pixels are painted and the
    whole image is JPEG-compressed, so that known pixels show ringing at the mask's edge.

    Each item is a batch: "image" and "target" (B, 3, size, size) in [0, 1], "mask" (B, 1, size, size) in {0, 1}. An epoch
    (`set_epoch`) is repeatable.

    Args:
        photographs: A source, or paths.
        size: Side of the crops in pixels.
        batch_size: B.
        masks: Number of masks that are drawn once and then used at random.
        device: The device that trains.
        seed: Seed of masks and batches.
        crop_scale: Photographs are reduced to at most this multiple of `size`.
        style: "random", or "squares" for square masks alone.
        processes: Processes that read photographs and draw masks at the start; 0 for none besides this one.
        rank: Rank of this process; each rank gets other batches.
    """

    def __init__(
        self,
        photographs: Source | Sequence[Path],
        size: int,
        batch_size: int,
        masks: int,
        device: torch.device,
        seed: int = 0,
        crop_scale: float = 1.25,
        style: str = "random",
        processes: int = 0,
        rank: int = 0,
    ) -> None:
        self.size, self.batch_size, self.device, self.seed, self.epoch = size, batch_size, device, seed, 0
        self.rank, source = rank, as_source(photographs)
        read = partial(_read_squares, size=size, crop_scale=crop_scale)
        chunks = [range(i, min(i + CHUNK, len(source))) for i in range(0, len(source), CHUNK)]
        jobs = [(seed, i, min(CHUNK, masks - i), size, style) for i in range(0, masks, CHUNK)]
        by_side: dict[int, list[np.ndarray]] = {}
        with _Map(processes, source) as run:
            for views in run(read, chunks):
                for view in views:
                    by_side.setdefault(len(view), []).append(view)
            bank = np.concatenate(list(run(_draw_masks, jobs)))
        # one tensor (N, side, side, 3) uint8 for each side
        self.photographs = [torch.from_numpy(np.stack(by_side[side])).to(device) for side in sorted(by_side)]
        self.masks = torch.from_numpy(bank)[:, None].to(device)  # (N, 1, size, size) bool

    def set_epoch(self, epoch: int) -> None:
        """Select the batches of an epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        rank = [self.rank] if self.rank else []
        seed = int(np.random.SeedSequence([self.seed, self.epoch, *rank]).generate_state(1)[0])
        generator = torch.Generator(self.device).manual_seed(seed)
        while True:
            target, mask = self._crops(generator), self._masks(generator)
            yield {"image": self._occluded(target, mask, generator), "target": target, "mask": mask}

    def _rand(self, generator: torch.Generator, *shape: int) -> torch.Tensor:
        return torch.rand(*shape, device=self.device, generator=generator)

    def _crops(self, generator: torch.Generator) -> torch.Tensor:
        """Random crops (B, 3, size, size) in [0, 1]."""
        counts = torch.tensor([len(group) for group in self.photographs], dtype=torch.float, device=self.device)
        drawn = torch.multinomial(counts, self.batch_size, replacement=True, generator=generator).tolist()
        views = []
        for number, group in enumerate(self.photographs):
            if count := drawn.count(number):
                index = torch.randint(len(group), (count, 1, 1), device=self.device, generator=generator)
                slack, offsets = group.shape[1] - self.size + 1, torch.arange(self.size, device=self.device)
                rows, columns = (
                    torch.randint(slack, (count, 1), device=self.device, generator=generator) + offsets for _ in "yx"
                )
                views.append(group[index, rows[:, :, None], columns[:, None, :]])
        image = torch.cat(views).permute(0, 3, 1, 2).float() / 255
        image = torch.where(self._rand(generator, len(image), 1, 1, 1) < 0.5, image.flip(3), image)
        relit = self._rand(generator, len(image), 1, 1, 1) < 0.5
        light = 0.3 * self._rand(generator, len(image), 3, 1, 1) + 0.7 * self._rand(generator, len(image), 1, 1, 1) - 0.5
        return (image * (1 + 0.3 * relit * light)).clamp(0, 1)

    def _masks(self, generator: torch.Generator) -> torch.Tensor:
        """Random masks (B, 1, size, size) in {0, 1}, flipped and transposed at random."""
        index = torch.randint(len(self.masks), (self.batch_size,), device=self.device, generator=generator)
        mask = self.masks[index].float()
        mask = torch.where(self._rand(generator, len(mask), 1, 1, 1) < 0.5, mask.flip(2), mask)
        return torch.where(self._rand(generator, len(mask), 1, 1, 1) < 0.5, mask.transpose(2, 3), mask)

    def _occluded(self, target: torch.Tensor, mask: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """`target` with its last third painted, six times in ten black, and compressed.

        The others need no paint, because a filler sees nothing under the mask anyway.
        """
        third = len(target) // 3
        if not third:
            return target
        colour = self._rand(generator, third, 3, 1, 1) * (self._rand(generator, third, 1, 1, 1) < 0.4)
        painted = torch.where(mask[-third:] > 0, colour, target[-third:])
        return torch.cat([target[:-third], compress(painted, 60 + 35 * self._rand(generator, third))])


_shared: list[Source] = []  # the photographs, sent once to each process


class _Map:
    """`map` for functions that read `source`, in `processes` other processes if there are any."""

    def __init__(self, processes: int, source: Source) -> None:
        _share(source)
        self.pool = ProcessPoolExecutor(processes, initializer=_share, initargs=(source,)) if processes else None

    def __enter__(self) -> Callable[..., Any]:
        return self.pool.map if self.pool else map

    def __exit__(self, *_: object) -> None:
        _shared.clear()
        if self.pool:
            self.pool.shutdown()


def _share(source: Source) -> None:
    _shared[:] = [source]


def _read_squares(indices: Sequence[int], size: int, crop_scale: float) -> list[np.ndarray]:
    """Squares of photographs from `read_fitting`: the central one, or one at each end of a long photograph.

    Their side is as large as `crop_scale` allows, or `size` if the photograph is smaller.
    """
    views = []
    for index in indices:
        image = read_fitting(_shared[0].open(index), size, crop_scale)
        height, width = image.shape[:2]
        side = limit if min(height, width) >= (limit := round(crop_scale * size)) else size
        ends = [(0, 0), (height - side, width - side)]
        if max(height, width) < 1.2 * side:
            ends = [((height - side) // 2, (width - side) // 2)]
        views += [np.ascontiguousarray(image[top : top + side, left : left + side]) for top, left in ends]
    return views


def _draw_masks(job: tuple[int, int, int, int, str]) -> np.ndarray:
    """Masks, bool (count, size, size): a quarter are squares, or all with style "squares"; the rest have any shape."""
    seed, start, count, size, style = job
    rng = np.random.default_rng([seed, 11, start])
    shapes = [squares if style == "squares" or rng.random() < 0.25 else random_mask for _ in range(count)]
    return np.stack([shape(rng, size, size) for shape in shapes])
