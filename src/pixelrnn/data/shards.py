"""Photographs in tar files of WebDataset's layout (KEY.jpg, or .png, .webp; shard-000000.tar and so on), read by number.

Beside each NAME.tar lies its index NAME.idx, so that nothing has to pass over a shard. All numbers in it are little-endian:

    64 bytes     a header: MAGIC; the tar's size; the number of images; the length of all names; the number in its source at
                 which the next shard begins; 16 bytes that identify what was packed, and how
    24 per image three uint64: where the image's bytes begin, how many there are, and where its name ends
    the names    one after the other
    text         a line on each image that was left out
"""

import os
import struct
import tarfile
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ..errors import PixelRNNError
from ..folders import suffixes
from .sources import Named, Source

MAGIC = b"pixelrnn shard 1"
HEADER = struct.Struct("<16s4Q16s")
PLACE = struct.Struct("<3Q")
PARTIAL = ".partial"  # the end of the name of a file that is being written
OPEN = 64  # shards that are open at a time


class Index(NamedTuple):
    """The header of an index file."""

    size: int  # of the tar, in bytes
    pictures: int  # how many images it has
    names: int  # bytes of all names together
    following: int  # number in the source at which the next shard begins
    made: bytes  # 16 that identify what was packed, and how; zeros where that is not known

    @property
    def start(self) -> int:
        """Where in the file the names begin."""
        return HEADER.size + PLACE.size * self.pictures


def index_path(shard: Path) -> Path:
    """Return the path of a shard's index."""
    return shard.with_suffix(".idx")


def read_index(shard: Path) -> Index | None:
    """Read the header of a shard's index; None where it has none, or that of another file."""
    try:
        with index_path(shard).open("rb") as file:
            magic, size, pictures, names, following, made = HEADER.unpack(file.read(HEADER.size))
        index = Index(size, pictures, names, following, made)
        whole = index_path(shard).stat().st_size >= index.start + index.names
        return index if magic == MAGIC and whole and index.size == shard.stat().st_size else None
    except (OSError, struct.error):
        return None


def write_index(
    shard: Path, places: Sequence[tuple[str, int, int]], following: int = 0, made: bytes = bytes(16), lost: Iterable[str] = ()
) -> None:
    """Write the index of a shard, whole or not at all.

    Args:
        shard: The tar file.
        places: Name, first byte and size of each image.
        following: The number in the source at which the next shard begins.
        made: 16 bytes that identify what was packed, and how.
        lost: A line on each image that was left out.

    Raises:
        PixelRNNError: The file cannot be written.
    """
    names = [os.fsencode(name) for name, _, _ in places]
    ends = np.cumsum([len(name) for name in names], dtype="<u8")
    table = np.column_stack([np.array([place[1:] for place in places], "<u8").reshape(-1, 2), ends])
    header = HEADER.pack(MAGIC, shard.stat().st_size, len(places), int(ends[-1]) if names else 0, following, made)
    content = header + table.tobytes() + b"".join(names) + "\n".join(lost).encode()
    # under a name that the next run writes again, should this one be killed
    temporary = index_path(shard).with_name(f".{index_path(shard).name}{PARTIAL}")
    try:
        temporary.write_bytes(content)
        temporary.replace(index_path(shard))
    except OSError as error:
        raise PixelRNNError(f"{index_path(shard)}: cannot write there ({error.strerror}).") from None


def left_out(shard: Path, index: Index) -> list[str]:
    """Read the lines on the images that were left out of a shard."""
    return index_path(shard).read_bytes()[index.start + index.names :].decode().splitlines()


def index_shard(shard: Path) -> int:
    """Write the index of a shard from elsewhere, in one pass over it.

    Of the members with one key, the first image counts. A member with a second suffix, such as .seg.png, is no image.

    Returns:
        How many images it has.

    Raises:
        PixelRNNError: The file is no uncompressed tar file or holds no images.
    """
    places: list[tuple[str, int, int]] = []
    last = None
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                key, suffix = split_name(member.name)
                if member.isreg() and f".{suffix.lower()}" in suffixes() and key != last:
                    places.append((member.name, member.offset_data, member.size))
                    last = key
    except (OSError, tarfile.TarError) as error:
        raise PixelRNNError(f"{shard}: not a readable tar file ({error}). Expected an uncompressed one.") from None
    if not places:
        raise PixelRNNError(f"{shard}: no pictures in this tar file. Expected members such as 000001.jpg.")
    write_index(shard, places)
    return len(places)


def split_name(name: str) -> tuple[str, str]:
    """Split a member's name into key and suffix as WebDataset does: at the first dot after the last slash."""
    folder, slash, own = name.rpartition("/")
    stem, _, suffix = own.partition(".")
    return folder + slash + stem, suffix


class Shards(Source):
    """Indexed shards, in the order in which they are given; keys are their members' names."""

    def __init__(self, paths: Sequence[Path]) -> None:
        indexes = [read_index(path) for path in paths]
        for path, index in zip(paths, indexes, strict=True):
            if index is None:
                raise PixelRNNError(f"{path}: no index of this shard. Write it: pixelrnn pack --index {path.parent}")
        self.paths, self.indexes = list(paths), [index for index in indexes if index]
        self.ends = np.cumsum([index.pictures for index in self.indexes])
        self._open: OrderedDict[int, tuple[int, int]] = OrderedDict()

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": OrderedDict()}  # open files stay with their process

    def _place(self, index: int) -> tuple[int, str, int, int]:
        """Return the number of the shard, and the image's name, first byte and size."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = int(np.searchsorted(self.ends, index, side="right"))
        offset, start = index - (int(self.ends[number - 1]) if number else 0), self.indexes[number].start
        _, file = self._files(number)
        before = PLACE.size if offset else 0
        record = os.pread(file, before + PLACE.size, HEADER.size + PLACE.size * offset - before)
        begin, size, end = PLACE.unpack(record[before:])
        first = PLACE.unpack(record[:before])[2] if before else 0
        return number, os.fsdecode(os.pread(file, end - first, start + first)), begin, size

    def _files(self, number: int) -> tuple[int, int]:
        """Return descriptors of a shard and its index. Reads do not move them, so forked processes may share them."""
        if number not in self._open:
            if len(self._open) >= OPEN:
                for descriptor in self._open.popitem(last=False)[1]:
                    os.close(descriptor)
            path = self.paths[number]
            try:
                self._open[number] = os.open(path, os.O_RDONLY), os.open(index_path(path), os.O_RDONLY)
            except OSError as error:
                raise PixelRNNError(f"{path}: cannot be read ({error.strerror}).") from None
        self._open.move_to_end(number)
        return self._open[number]

    def __del__(self) -> None:
        for pair in getattr(self, "_open", {}).values():
            for descriptor in pair:
                os.close(descriptor)

    def key(self, index: int) -> str:
        return self._place(index)[1]

    def open(self, index: int) -> BinaryIO:
        number, name, begin, size = self._place(index)
        content = os.pread(self._files(number)[0], size, begin)
        if len(content) < size:
            raise PixelRNNError(f"{self.paths[number]}: {name} is cut short. The file has changed since it was indexed.")
        return Named(content, f"{self.paths[number]}: {name}")
