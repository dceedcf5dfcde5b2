"""Photographs of a stream as endless samples and batches. Epochs cut them, and a resumed run continues them."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from torch.utils.data import IterableDataset, get_worker_info

from .datasets import Batches, Occluder
from .sources import Named
from .streams import Sample, Stream, order

MIXED = 1000  # files that a reader holds and draws the next one from


class StreamedPhotographs(IterableDataset[dict[str, Any]]):
    """Photographs of some shards of a stream, occluded as they are read.

    Samples are those of OccludedPhotographs, and `place`: where in the order of shards each was read. A photograph's crop and
    occlusion are drawn from the seed, the pass over the data and its key, whichever process reads it. A foreign patch is of the
    photograph before it in its shard.

    Args:
        stream: What is read.
        shards: The numbers of the shards to read.
        occluder: Makes the samples.
        seed: Decides the order and the samples.
        rank: The number of this process.
        world: How many processes there are.

    Attributes:
        start: The place to continue from, at the beginning of its shard.
    """

    def __init__(
        self, stream: Stream, shards: Sequence[int], occluder: Occluder, seed: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        self.stream, self.shards, self.occluder, self.seed = stream, shards, occluder, seed
        self.rank, self.world, self.start = rank, world, 0
        self.pictures = occluder.pictures()

    def lanes(self, workers: int) -> tuple[range, int]:
        """Return the numbers of this process's readers, one for each of `workers`, and how many readers there are in all."""
        workers = max(1, workers)
        return range(self.rank * workers, (self.rank + 1) * workers), self.world * workers

    def __iter__(self) -> Iterator[dict[str, Any]]:
        info = get_worker_info()
        own, lanes = self.lanes(info.num_workers if info else 0)
        lane = own[info.id if info else 0]
        for place, number, sample, before in self._mixed(lane, lanes):
            rng = np.random.default_rng([self.seed, number, _hash(sample.key)])
            other = partial(self._foreign, before)
            yield self.occluder(rng, self._picture(sample), other, sample.key) | {"place": place}

    def _picture(self, sample: Sample) -> np.ndarray:
        return self.pictures.read(Named(sample.content, f"{self.stream.name}: {sample.key}"))

    def _foreign(self, before: Sample | None, rng: np.random.Generator) -> np.ndarray | None:
        return None if before is None else self._picture(before)

    def _read_in_order(self, lane: int, lanes: int) -> Iterator[tuple[int, int, Sample, Sample | None]]:
        """Yield the place, the pass, the sample and the one before it in its shard, in the order of the stream."""
        for place, number, shard in order(self.shards, self.seed, lane, lanes, self.start):
            before = None
            for sample in self.stream.read(shard):
                yield place, number, sample, before
                before = sample

    def _mixed(self, lane: int, lanes: int) -> Iterator[tuple[int, int, Sample, Sample | None]]:
        """Yield the same, each drawn from the next MIXED, or from those that are left of a pass."""
        rng = np.random.default_rng([self.seed, lane, lanes, self.start])
        held: list[tuple[int, int, Sample, Sample | None]] = []

        def draw() -> tuple[int, int, Sample, Sample | None]:
            drawn = int(rng.integers(len(held)))
            held[drawn], held[-1] = held[-1], held[drawn]
            return held.pop()

        for entry in self._read_in_order(lane, lanes):
            while held and (len(held) == MIXED or held[0][1] != entry[1]):
                yield draw()
            held.append(entry)


class EndlessBatches:
    """Batches of a StreamedPhotographs, `steps` of them per epoch; each epoch continues where the one before it ended.

    The state is the place that the slowest worker has reached. A run that is resumed from it begins that shard again, and skips
    what was held from the shards before it. With several processes it is the first one's place; the others read equally many
    and are near it.
    """

    dataset = None  # Lightning would warn that the stream's length is unknown

    def __init__(self, photographs: StreamedPhotographs, steps: int, **options: Any) -> None:
        self.photographs, self.steps = photographs, steps
        self.loader = Batches(photographs, **options)
        self.reached: dict[int, int] = {}  # by reader
        self.batches: Iterator[Any] | None = None

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if self.batches is None:
            self.batches = iter(self.loader)
        _, lanes = self.photographs.lanes(self.loader.num_workers)
        for _ in range(self.steps):
            batch = next(self.batches)
            for place in batch.pop("place").tolist():
                self.reached[place % lanes] = max(place, self.reached.get(place % lanes, 0))
            yield batch

    def state_dict(self) -> dict[str, Any]:
        own, _ = self.photographs.lanes(self.loader.num_workers)
        return {"place": min((self.reached.get(lane, self.photographs.start) for lane in own), default=0)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.photographs.start, self.reached, self.batches = state["place"], {}, None


def _hash(key: str) -> int:
    """Return a 64-bit number that is the same in every process."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little")
