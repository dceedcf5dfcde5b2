"""Photographs of a stream as samples and batches without an end, which an epoch cuts and a resumed run goes on with."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from torch.utils.data import IterableDataset, get_worker_info

from .datasets import Batches, Occluder
from .sources import Named
from .streams import Sample, Stream, order

MIXED = 1000  # files that a reader holds, of which it draws the next


class StreamedPhotographs(IterableDataset[dict[str, Any]]):
    """Photographs of some shards of a stream, occluded as they are read; samples are as those of OccludedPhotographs, and
    `place` besides, where in the order of shards each was read.

    A photograph's crop and occlusion are drawn by the seed, the pass over the data and its key, whichever process reads it; a
    foreign patch is of the one before it in its shard. start: a place to go on from, at the beginning of its shard.
    """

    def __init__(
        self, stream: Stream, shards: Sequence[int], occluder: Occluder, seed: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        self.stream, self.shards, self.occluder, self.seed = stream, shards, occluder, seed
        self.rank, self.world, self.start = rank, world, 0
        self.pictures = occluder.pictures()

    def lanes(self, workers: int) -> tuple[range, int]:
        """The readers' numbers of this process, each of `workers`, and how many readers there are in all."""
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
        """(place, pass, sample, the one before it in its shard) as they come."""
        for place, number, shard in order(self.shards, self.seed, lane, lanes, self.start):
            before = None
            for sample in self.stream.read(shard):
                yield place, number, sample, before
                before = sample

    def _mixed(self, lane: int, lanes: int) -> Iterator[tuple[int, int, Sample, Sample | None]]:
        """The same, each drawn of the next MIXED, or of those that are left of a pass."""
        rng = np.random.default_rng([self.seed, lane, lanes, self.start])
        held: list[tuple[int, int, Sample, Sample | None]] = []

        def draw() -> tuple[int, int, Sample, Sample | None]:
            drawn = int(rng.integers(len(held)))
            held[drawn], held[-1] = held[-1], held[drawn]
            return held.pop()

        for one in self._read_in_order(lane, lanes):
            while held and (len(held) == MIXED or held[0][1] != one[1]):
                yield draw()
            held.append(one)


class EndlessBatches:
    """Batches of a StreamedPhotographs, `steps` of them an epoch; the next epoch goes on where one ended.

    Its state is the place that its slowest worker has reached: a run that is resumed from it begins that shard again, and what
    was held of those before it is passed over. In training of several processes that is the first one's place, and about that
    of the others, which read as many.
    """

    dataset = None  # of which Lightning would warn that its length is unknown

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
    """A number of 64 bits that is the same in every process."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little")
