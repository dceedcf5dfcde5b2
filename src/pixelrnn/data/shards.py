"""Photographs in tar files of WebDataset's layout (KEY.jpg, or .png, .webp; shard-000000.tar and so on), read by number.

Beside each NAME.tar lies its index NAME.idx, so that neither opening nor reading passes over a shard: 64 bytes of MAGIC, the
size of the tar, how many pictures it has, the length of their names, the number in its source at which the next shard begins,
and 16 bytes that say what was packed how; then for each picture three uint64, where its bytes begin, how many there are, and
where its name ends; the names; and a line on each picture that was left out. Numbers are little-endian.
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
PARTIAL = ".partial"  # ends the name of what is being written
OPEN = 64  # shards that are held open at a time


class Index(NamedTuple):
    """What an index file says of a shard besides where its pictures are."""

    size: int  # of the tar, in bytes
    pictures: int
    names: int  # bytes of all names together
    following: int  # number in the source at which the next shard begins
    made: bytes  # 16 that say what was packed how; zeros where that is not known

    @property
    def start(self) -> int:
        """Where the names begin."""
        return HEADER.size + PLACE.size * self.pictures


def index_path(shard: Path) -> Path:
    return shard.with_suffix(".idx")


def read_index(shard: Path) -> Index | None:
    """None where the shard has no index, or that of another file."""
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
    """The index of a shard whose pictures' (name, begin, size) are `places`, whole or not at all."""
    names = [os.fsencode(name) for name, _, _ in places]
    ends = np.cumsum([len(name) for name in names], dtype="<u8")
    table = np.column_stack([np.array([place[1:] for place in places], "<u8").reshape(-1, 2), ends])
    header = HEADER.pack(MAGIC, shard.stat().st_size, len(places), int(ends[-1]) if names else 0, following, made)
    content = header + table.tobytes() + b"".join(names) + "\n".join(lost).encode()
    # by a name that the next run writes again, should this one be killed
    temporary = index_path(shard).with_name(f".{index_path(shard).name}{PARTIAL}")
    try:
        temporary.write_bytes(content)
        temporary.replace(index_path(shard))
    except OSError as error:
        raise PixelRNNError(f"{index_path(shard)}: cannot write there ({error.strerror}).") from None


def left_out(shard: Path, index: Index) -> list[str]:
    """Why each picture is not in the shard that was to be."""
    return index_path(shard).read_bytes()[index.start + index.names :].decode().splitlines()


def index_shard(shard: Path) -> int:
    """Pass over a shard from elsewhere once, and write its index; how many pictures it has.

    Of the members of one name that are pictures, the first whose name has no second suffix counts. Raises PixelRNNError for
    what is no uncompressed tar file or holds no pictures.
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
    """Key and suffix as WebDataset parts them: at the first dot of a member's own name."""
    folder, slash, own = name.rpartition("/")
    stem, _, suffix = own.partition(".")
    return folder + slash + stem, suffix


class Shards(Source):
    """Indexed shards by number, in the order in which they are given; keys are their members' names."""

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
        return self.__dict__ | {"_open": OrderedDict()}  # files that are open stay with their process

    def _place(self, index: int) -> tuple[int, str, int, int]:
        """The shard, and the picture's name, begin and size."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = int(np.searchsorted(self.ends, index, side="right"))
        inside, start = index - (int(self.ends[number - 1]) if number else 0), self.indexes[number].start
        _, file = self._files(number)
        before = PLACE.size if inside else 0
        record = os.pread(file, before + PLACE.size, HEADER.size + PLACE.size * inside - before)
        begin, size, end = PLACE.unpack(record[before:])
        first = PLACE.unpack(record[:before])[2] if before else 0
        return number, os.fsdecode(os.pread(file, end - first, start + first)), begin, size

    def _files(self, number: int) -> tuple[int, int]:
        """Descriptors of a shard and its index: reading at a place moves none, so that forked processes may share them."""
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
