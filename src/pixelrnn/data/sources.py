"""Photographs to learn from, wherever they lie, behind one interface: a length, and a picture and a key by number.

A source costs the process that holds it, and every process that it is sent to, a few bytes a picture at most: of millions there
is no list of Python objects, and nothing is opened before it is read. What has no numbers is a stream: see streams.py.
"""

import io
import os
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import PixelRNNError


class Source(ABC):
    """Photographs by number. One may be sent to other processes, pickled or forked, at any time."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def key(self, index: int) -> str:
        """The name of a photograph within its source, which stays whatever number it gets."""

    @abstractmethod
    def open(self, index: int) -> Path | BinaryIO:
        """What decode.read_picture takes; errors name it. Raises PixelRNNError where it cannot be read."""


@dataclass(frozen=True)
class Buffer:
    """Many short bytes as one, and where each ends, (N,) int64."""

    whole: bytes
    ends: np.ndarray

    @classmethod
    def of(cls, parts: Iterable[bytes]) -> "Buffer":
        whole, ends = bytearray(), array("q")
        for part in parts:
            whole += part
            ends.append(len(whole))
        return cls(bytes(whole), np.array(ends, np.int64))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> bytes:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.whole[int(self.ends[index - 1]) if index else 0 : int(self.ends[index])]


class Named(io.BytesIO):
    """Bytes with the name that errors give them."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name


class Files(Source):
    """Files by their paths, which are kept as one buffer; keys are relative to `root`."""

    def __init__(self, paths: Iterable[Path], root: Path | None = None) -> None:
        prefix = b"" if root is None else os.path.join(os.fsencode(root), b"")
        self.root, self.names = root, Buffer.of(os.fsencode(path).removeprefix(prefix) for path in paths)

    def __len__(self) -> int:
        return len(self.names)

    def key(self, index: int) -> str:
        return Path(os.fsdecode(self.names[index])).as_posix()

    def open(self, index: int) -> Path:
        return Path(self.root or "", os.fsdecode(self.names[index]))


class Memory(Source):
    """Pictures whose files are kept in memory, from (key, bytes); errors name them `name`: key."""

    def __init__(self, pictures: Sequence[tuple[str, bytes]], name: str) -> None:
        self.keys, self.files = Buffer.of(key.encode() for key, _ in pictures), Buffer.of(file for _, file in pictures)
        self.name = name

    def __len__(self) -> int:
        return len(self.keys)

    def key(self, index: int) -> str:
        return self.keys[index].decode()

    def open(self, index: int) -> BinaryIO:
        return Named(self.files[index], f"{self.name}: {self.key(index)}")


class Part(Source):
    """Those of a source whose numbers are in `indices`, (N,) int, in that order."""

    def __init__(self, source: Source, indices: np.ndarray) -> None:
        self.source, self.indices = source, np.asarray(indices, np.uint32 if len(source) < 2**32 else np.uint64)

    def __len__(self) -> int:
        return len(self.indices)

    def key(self, index: int) -> str:
        return self.source.key(int(self.indices[index]))

    def open(self, index: int) -> Path | BinaryIO:
        return self.source.open(int(self.indices[index]))


class Joined(Source):
    """Sources one after the other. folders: of each, put before its keys."""

    def __init__(self, sources: Sequence[Source], folders: Sequence[str] = ()) -> None:
        self.sources, self.ends = list(sources), np.cumsum([len(source) for source in sources])
        self.folders = list(folders) or [""] * len(self.sources)

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def _place(self, index: int) -> tuple[int, int]:
        """Which source, and the number in it."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = int(np.searchsorted(self.ends, index, side="right"))
        return number, index - (int(self.ends[number - 1]) if number else 0)

    def key(self, index: int) -> str:
        number, inside = self._place(index)
        return self.folders[number] + self.sources[number].key(inside)

    def open(self, index: int) -> Path | BinaryIO:
        number, inside = self._place(index)
        return self.sources[number].open(inside)


def as_source(photographs: Source | Sequence[Path]) -> Source:
    """A source as it is; of paths, their files."""
    return photographs if isinstance(photographs, Source) else Files(photographs)


def parted(source: Source, fraction: float, seed: int) -> tuple[Part, Part]:
    """(training, validation): the parts that pairs.split makes of a list, without one.

    Raises PixelRNNError for less than two pictures or a fraction outside (0, 1).
    """
    if len(source) < 2 or not 0 < fraction < 1:
        raise PixelRNNError(
            f"cannot keep {fraction:.0%} of {len(source)} pictures for validation. "
            "Give at least 2 pictures and a fraction between 0 and 1."
        )
    count = min(len(source) - 1, max(1, round(fraction * len(source))))
    validates = np.zeros(len(source), bool)
    validates[np.random.default_rng(seed).permutation(len(source))[:count]] = True
    return Part(source, np.flatnonzero(~validates)), Part(source, np.flatnonzero(validates))


def content(opened: Path | BinaryIO) -> bytes:
    """The bytes of what a source opened. Raises PixelRNNError where it cannot be read."""
    if not isinstance(opened, Path):
        return opened.read()
    try:
        return opened.read_bytes()
    except OSError as error:
        raise PixelRNNError(f"{opened}: cannot be read ({error.strerror}).") from None
