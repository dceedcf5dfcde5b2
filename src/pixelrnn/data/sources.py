"""Photographs to learn from, wherever they lie, behind one interface: a length, and an image and a key by number.

A source costs the process that holds it, and every process that it is sent to, at most a few bytes per image: there is no list
of Python objects for millions of them, and nothing is opened before it is read. What cannot be read by number is a stream: see
streams.py.
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
    """Photographs by number. A source may be sent to other processes, pickled or forked, at any time."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def key(self, index: int) -> str:
        """Return the name of a photograph within its source, which stays whatever number it gets."""

    @abstractmethod
    def open(self, index: int) -> Path | BinaryIO:
        """Return what decode.read_picture takes; errors name it. Raises PixelRNNError where it cannot be read."""


@dataclass(frozen=True)
class Buffer:
    """Many short byte strings in one, and where each ends, (N,) int64."""

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
    """Bytes with a name, which errors show."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name


class Files(Source):
    """Files by their paths, which are kept in one buffer; keys are relative to `root`."""

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
    """Images whose files are kept in memory, from (key, bytes); errors name them `name`: key."""

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
    """The photographs of a source whose numbers are in `indices`, (N,) int, in that order."""

    def __init__(self, source: Source, indices: np.ndarray) -> None:
        self.source, self.indices = source, np.asarray(indices, np.uint32 if len(source) < 2**32 else np.uint64)

    def __len__(self) -> int:
        return len(self.indices)

    def key(self, index: int) -> str:
        return self.source.key(int(self.indices[index]))

    def open(self, index: int) -> Path | BinaryIO:
        return self.source.open(int(self.indices[index]))


class Joined(Source):
    """Several sources, one after the other; each one's keys get the prefix in `folders`."""

    def __init__(self, sources: Sequence[Source], folders: Sequence[str] = ()) -> None:
        self.sources, self.ends = list(sources), np.cumsum([len(source) for source in sources])
        self.folders = list(folders) or [""] * len(self.sources)

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def _place(self, index: int) -> tuple[int, int]:
        """Return the number of the source, and the photograph's number in it."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = int(np.searchsorted(self.ends, index, side="right"))
        return number, index - (int(self.ends[number - 1]) if number else 0)

    def key(self, index: int) -> str:
        number, offset = self._place(index)
        return self.folders[number] + self.sources[number].key(offset)

    def open(self, index: int) -> Path | BinaryIO:
        number, offset = self._place(index)
        return self.sources[number].open(offset)


def as_source(photographs: Source | Sequence[Path]) -> Source:
    """Return a source as it is, and paths as `Files`."""
    return photographs if isinstance(photographs, Source) else Files(photographs)


def parted(source: Source, fraction: float, seed: int) -> tuple[Part, Part]:
    """Split a source at random as pairs.split does a list, without making one.

    Args:
        source: At least two photographs.
        fraction: The share to keep for validation, in (0, 1).
        seed: Decides which.

    Returns:
        The parts for training and for validation, at least one photograph each, their order kept.

    Raises:
        PixelRNNError: There are fewer than two photographs, or the fraction is outside (0, 1).
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
    """Read the bytes of what a source opened. Raises PixelRNNError where it cannot be read."""
    if not isinstance(opened, Path):
        return opened.read()
    try:
        return opened.read_bytes()
    except OSError as error:
        raise PixelRNNError(f"{opened}: cannot be read ({error.strerror}).") from None
