"""Photographs that come one after the other, shard by shard: from the Hugging Face hub, a URL, or files without an index.

A stream has no numbers, so only its shards are ordered. For each pass over the data the seed decides a permutation of them;
one pass follows the other without an end. The readers are all workers of all processes. Reader `lane` of `lanes` takes every
`lanes`-th shard of that order. So no two read the same shard, all read equally many, and a single number says where each of
them is: its place in that order.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from ..errors import PixelRNNError
from ..folders import suffixes

SHARDS = 4096  # at most: a folder of a million files on a hub is read in that many parts
READERS = {".tar": "webdataset", ".parquet": "parquet"}


class Sample(NamedTuple):
    """One image's name in its stream, which does not depend on who reads it, and its file."""

    key: str
    content: bytes


class Stream:
    """A data set that the package datasets streams.

    Args:
        words: hf://OWNER/NAME, or paths, URLs or patterns of files that all end in .tar (WebDataset's layout) or .parquet.

    Raises:
        PixelRNNError: The data set cannot be found or has no column of images.
        ModuleNotFoundError: The package datasets is not installed.
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
        """Return how many shards there are."""
        return min(SHARDS, int(self.data.num_shards))

    def read(self, shard: int) -> Iterator[Sample]:
        """Yield the images of one shard in order."""
        try:
            # in batches: read one by one, the data set would divide itself once more between torch's workers
            batches = self.data.shard(len(self), shard).iter(16)
            rows = (dict(zip(batch, row, strict=True)) for batch in batches for row in zip(*batch.values(), strict=True))
            count = 0
            for number, row in enumerate(rows):
                samples = (_sample(row, column, f"{shard}/{number}") for column in self.columns)
                for sample in islice(filter(None, samples), 1):
                    count += 1
                    yield sample
        except Exception as error:
            raise self._error(error) from None
        if not count:
            raise PixelRNNError(f"{self.name}: no pictures in shard {shard + 1} of {len(self)}.")

    def _error(self, error: Exception) -> PixelRNNError:
        return PixelRNNError(f"{self.name}: cannot be streamed ({' '.join(str(error).split())[:300]}). Check name and network.")


def order(shards: Sequence[int], seed: int, lane: int, lanes: int, start: int = 0) -> Iterator[tuple[int, int, int]]:
    """Yield which shards one reader reads, without an end.

    Args:
        shards: The numbers of the shards.
        seed: Decides the order of each pass.
        lane: The reader's number.
        lanes: How many readers there are.
        start: The first place that may be read.

    Yields:
        The place in the order, the number of the pass over the data, and the shard.
    """
    place = start + (lane - start) % lanes
    current, permutation = -1, np.empty(0, int)
    while True:
        number, offset = divmod(place, len(shards))
        if number != current:
            current, permutation = number, np.random.default_rng([seed, number, len(shards)]).permutation(len(shards))
        yield place, number, shards[int(permutation[offset])]
        place += lanes


def _load(words: list[str]) -> tuple[Any, list[str]]:
    """Open the data set; return it with the names of its columns that may hold the image."""
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
    # declared beforehand, so that no shard is opened for it, and images may be of several formats
    names = [suffix[1:] for suffix in suffixes()]
    columns = [*names, *map(str.upper, names)]
    image, text = datasets.Image(decode=False), datasets.Value("string")
    features = datasets.Features({"__key__": text, "__url__": text, **dict.fromkeys(columns, image)})
    return datasets.load_dataset(kind, data_files=words, split="train", streaming=True, features=features), columns


def _undecoded(data: Any, name: str) -> tuple[Any, list[str]]:
    """Return the data set with images as bytes, and the name of the column that holds them."""
    import datasets

    kinds = data.features or {}
    images = [column for column, kind in kinds.items() if isinstance(kind, datasets.Image)]
    images = images or [column for column, kind in kinds.items() if isinstance(kind, dict) and "bytes" in kind]
    chosen = "image" if "image" in images else images[0] if len(images) == 1 else None
    if chosen is None:
        raise PixelRNNError(f"{name}: expected one column of pictures, or one that is called image, got {', '.join(kinds)}.")
    if isinstance(kinds[chosen], datasets.Image):
        data = data.cast_column(chosen, datasets.Image(decode=False))
    return data.select_columns([chosen]), [chosen]


def _sample(row: dict[str, Any], column: str, place: str) -> Sample | None:
    """Return the image in a column; None where there is none."""
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
    """Return the suffix of the file that a path or a URL names, in lower case."""
    name = word.split("?")[0].split("#")[0].rpartition("/")[2]
    return f".{name.rpartition('.')[2].lower()}"
