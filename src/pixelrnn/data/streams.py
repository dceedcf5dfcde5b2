"""Photographs that come one after the other, from the Hugging Face hub, a URL or files without an index, shard by shard.

A stream has no numbers, so its order is one of shards: permutations of them by the seed, one for each pass over the data, one
after the other and without an end. Reader `lane` of `lanes`, which are all workers of all processes, takes every `lanes`-th
shard of that order. So no two read the same, all read as many, and where each is, is said by one number: the place in that
order.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from ..errors import PixelRNNError
from ..folders import suffixes

SHARDS = 4096  # at most: a hub's folder of a million files is read in so many parts
READERS = {".tar": "webdataset", ".parquet": "parquet"}


class Sample(NamedTuple):
    """One picture's name in its stream, which does not depend on who reads it, and its file."""

    key: str
    content: bytes


class Stream:
    """A data set that `datasets` streams: hf://OWNER/NAME, or files that all end in .tar (WebDataset's layout) or .parquet, by
    paths, URLs or patterns.

    Raises PixelRNNError for what cannot be found or has no column of pictures, ModuleNotFoundError without datasets.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.name = words[0] if len(words) == 1 else f"{words[0]} and {len(words) - 1} more"
        try:
            self.data, self.columns = _load(list(words))
        except (PixelRNNError, ModuleNotFoundError):
            raise
        except Exception as error:  # whatever its file systems and parsers raise
            raise self._error(error) from None

    def __len__(self) -> int:
        """How many shards there are."""
        return min(SHARDS, int(self.data.num_shards))

    def read(self, shard: int) -> Iterator[Sample]:
        """The pictures of one shard in order."""
        try:
            # in batches: one by one, the data set would part itself once more between torch's workers
            batches = self.data.shard(len(self), shard).iter(16)
            rows = (dict(zip(batch, row, strict=True)) for batch in batches for row in zip(*batch.values(), strict=True))
            found = 0
            for number, row in enumerate(rows):
                samples = (_sample(row, column, f"{shard}/{number}") for column in self.columns)
                for sample in islice(filter(None, samples), 1):
                    found += 1
                    yield sample
        except Exception as error:
            raise self._error(error) from None
        if not found:
            raise PixelRNNError(f"{self.name}: no pictures in shard {shard + 1} of {len(self)}.")

    def _error(self, error: Exception) -> PixelRNNError:
        return PixelRNNError(f"{self.name}: cannot be streamed ({' '.join(str(error).split())[:300]}). Check name and network.")


def order(shards: Sequence[int], seed: int, lane: int, lanes: int, start: int = 0) -> Iterator[tuple[int, int, int]]:
    """(place, pass over the data, shard) of one reader, without an end, from the first place that is its own and not before
    `start`.
    """
    place = start + (lane - start) % lanes
    drawn, mixed = -1, np.empty(0, int)
    while True:
        number, inside = divmod(place, len(shards))
        if number != drawn:
            drawn, mixed = number, np.random.default_rng([seed, number, len(shards)]).permutation(len(shards))
        yield place, number, shards[int(mixed[inside])]
        place += lanes


def _load(words: list[str]) -> tuple[Any, list[str]]:
    """The data set, and its columns that may hold the picture."""
    import datasets

    datasets.disable_progress_bars()
    path = words[0].removeprefix("hf://")
    if path != words[0] and len(words) == 1 and path.count("/") == 1:
        data = datasets.load_dataset(path, split="train", streaming=True)
        return _undecoded(data, words[0])
    kinds = {READERS.get(_suffix(word)) for word in words}
    if len(kinds) > 1 or None in kinds:
        raise PixelRNNError(f"{', '.join(words[:3])}: expected hf://OWNER/NAME, or files that all end in .tar or .parquet.")
    kind = kinds.pop()
    if kind == "parquet":
        return _undecoded(datasets.load_dataset(kind, data_files=words, split="train", streaming=True), words[0])
    # said beforehand, so that no shard is opened for it, and pictures may be of several kinds
    names = [suffix[1:] for suffix in suffixes()]
    columns = [*names, *map(str.upper, names)]
    image, text = datasets.Image(decode=False), datasets.Value("string")
    features = datasets.Features({"__key__": text, "__url__": text, **dict.fromkeys(columns, image)})
    return datasets.load_dataset(kind, data_files=words, split="train", streaming=True, features=features), columns


def _undecoded(data: Any, name: str) -> tuple[Any, list[str]]:
    """The data set with pictures as bytes, and the name of the column that has them."""
    import datasets

    kinds = data.features or {}
    pictures = [column for column, kind in kinds.items() if isinstance(kind, datasets.Image)]
    pictures = pictures or [column for column, kind in kinds.items() if isinstance(kind, dict) and "bytes" in kind]
    chosen = "image" if "image" in pictures else pictures[0] if len(pictures) == 1 else None
    if chosen is None:
        raise PixelRNNError(f"{name}: expected one column of pictures, or one that is called image, got {', '.join(kinds)}.")
    if isinstance(kinds[chosen], datasets.Image):
        data = data.cast_column(chosen, datasets.Image(decode=False))
    return data.select_columns([chosen]), [chosen]


def _sample(row: dict[str, Any], column: str, place: str) -> Sample | None:
    """The picture in a column; None where there is none."""
    cell = row.get(column)
    if cell is None:
        return None
    if cell["bytes"] is None:
        import fsspec

        with fsspec.open(cell["path"], "rb") as file:
            return Sample(cell["path"], file.read())
    key = f"{row['__key__']}.{column.lower()}" if "__key__" in row else cell.get("path") or place
    return Sample(key, cell["bytes"])


def _suffix(word: str) -> str:
    """Of the file that a path or a URL names, in lower case."""
    name = word.split("?")[0].split("#")[0].rpartition("/")[2]
    return f".{name.rpartition('.')[2].lower()}"
