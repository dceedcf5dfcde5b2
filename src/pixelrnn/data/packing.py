"""Photographs to tar shards in WebDataset's layout with their indexes, shard by shard: a run that is stopped goes on.

What is written is the same bytes whoever writes it, whenever, in however many runs.
"""

import hashlib
import io
import multiprocessing
import os
import tarfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain
from multiprocessing.connection import wait
from pathlib import Path
from typing import NamedTuple

from ..decode import read_picture
from ..encode import encode_image
from ..errors import PixelRNNError
from ..folders import suffixes
from ..image import resize
from .shards import PARTIAL, Index, left_out, read_index, write_index
from .sources import Named, Source, content

SUFFIXES = {"JPEG": ".jpg", "TIFF": ".tif"}  # of formats that are not called as their suffix
AHEAD = 32  # pictures that are read together; twice as many are held


class Checked(NamedTuple):
    """A picture that can be read, by the name of its member, or why it cannot."""

    name: str
    content: bytes
    error: str = ""


class Packed(NamedTuple):
    """What lies in a folder of shards."""

    pictures: int
    shards: int
    errors: list[str]  # of the pictures that could not be read and are in no shard


def pack(
    source: Source,
    out: Path,
    megabytes: float = 256,
    max_side: int | None = None,
    processes: int | None = None,
    tell: Callable[[int], None] = lambda count: None,
) -> Packed:
    """Write the photographs of `source` in order to out/shard-000000.tar and so on, each of which ends with the picture that
    makes it `megabytes` long. Pictures are decoded to see that they can be read; their bytes are kept as they are, but for
    those with a side longer than `max_side` pixels, which are reduced and become JPEG of quality 95.

    Shards that are there already are kept where they were made of the same; one that is not whole is written again. processes:
    that read, by default as many as there are cores. tell: called with how many pictures of the source are done. Raises
    PixelRNNError for a folder that holds something else.
    """
    made = _fingerprint(source, megabytes, max_side)
    finished = _finished(out, made)
    done = finished[-1].following if finished else 0
    written, number = sum(index.pictures for index in finished), len(finished)
    errors = [line for i, index in enumerate(finished) for line in left_out(_shard(out, i), index)]
    tell(done)
    checked = _numbered(_check_all(source, done, max_side, processes), done, tell)
    first = next(checked, None)
    while first is not None:
        places, lost, following = _write_shard(_shard(out, number), chain([first], checked), round(megabytes * 10**6))
        if places:
            _put(_shard(out, number), places, following, made, lost)
        written, number, errors = written + len(places), number + bool(places), errors + lost
        first = next(checked, None)
    return Packed(written, number, errors)


def _shard(out: Path, number: int) -> Path:
    return out / f"shard-{number:06d}.tar"


def _partial(shard: Path) -> Path:
    return shard.with_name(f".{shard.name}{PARTIAL}")


def _finished(out: Path, made: bytes) -> list[Index]:
    """The shards that are whole, from the first on. Raises PixelRNNError where the folder is of something else."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PixelRNNError(f"{out}: cannot write there ({error.strerror}). Choose another output.") from None
    for path in out.iterdir():
        if not path.name.lstrip(".").startswith("shard-"):
            raise PixelRNNError(f"{path}: a file that no packing wrote, and nothing is overwritten. Name a new folder.")
    found: list[Index] = []
    while index := read_index(_shard(out, len(found))):
        if index.made != made:
            raise PixelRNNError(f"{_shard(out, len(found))}: made of other photographs or options. Name a new folder.")
        found.append(index)
    return found


def _fingerprint(source: Source, megabytes: float, max_side: int | None) -> bytes:
    """16 bytes that differ where other shards would be made, as far as the number and some of the names tell."""
    count = len(source)
    names = [source.key(i * (count - 1) // 64) for i in range(65)] if count else []
    return hashlib.blake2b(repr((count, names, float(megabytes), max_side)).encode(), digest_size=16).digest()


def _numbered(checked: Iterable[Checked], start: int, tell: Callable[[int], None]) -> Iterator[tuple[int, Checked]]:
    for number, one in enumerate(checked, start + 1):
        yield number, one
        tell(number)


def _write_shard(
    shard: Path, checked: Iterator[tuple[int, Checked]], size: int
) -> tuple[list[tuple[str, int, int]], list[str], int]:
    """Write the tar beside its place until it has `size` bytes: the places of its pictures, what could not be read, and where
    the next one begins.
    """
    places: list[tuple[str, int, int]] = []
    lost: list[str] = []
    following = 0
    with _partial(shard).open("wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for number, one in checked:
            following = number
            if one.error:
                lost.append(one.error)
                continue
            info = tarfile.TarInfo(one.name)  # of no time, and nobody's
            info.size = len(one.content)
            tar.addfile(info, io.BytesIO(one.content))
            padded = -(-info.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
            places.append((one.name, tar.offset - padded, info.size))
            if tar.offset >= size:
                break
    return places, lost, following


def _put(shard: Path, places: list[tuple[str, int, int]], following: int, made: bytes, lost: list[str]) -> None:
    """Move a shard that is written to its place, then write its index, without which it does not count."""
    with _partial(shard).open("rb") as file:
        os.fsync(file.fileno())
    _partial(shard).replace(shard)
    write_index(shard, places, following, made, lost)


def _check_all(source: Source, start: int, max_side: int | None, processes: int | None) -> Iterator[Checked]:
    """The pictures from `start` on, in order."""
    waiting: deque[Iterator[Checked]] = deque()
    with ProcessPoolExecutor(processes, initializer=_begin, initargs=(source,)) as pool:
        for first in range(start, len(source), AHEAD):
            block = range(first, min(first + AHEAD, len(source)))
            waiting.append(pool.map(partial(_check, max_side=max_side), block, chunksize=4))
            if len(waiting) > 1:
                yield from waiting.popleft()
        while waiting:
            yield from waiting.popleft()


_source: list[Source] = []  # of a process that checks


def _begin(source: Source) -> None:
    _source[:] = [source]
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Or a process that checks would wait for ever for one that was killed."""
    if parent := multiprocessing.parent_process():
        wait([parent.sentinel])
        os._exit(1)


def _check(index: int, max_side: int | None) -> Checked:
    source = _source[0]
    key = source.key(index)
    try:
        opened = source.open(index)
        file = content(opened)
        picture = read_picture(Named(file, str(opened) if isinstance(opened, Path) else opened.name))
    except PixelRNNError as error:
        return Checked(key, b"", str(error))
    stem, suffix = _split(key)
    if index and _split(source.key(index - 1))[0] == stem:
        stem += f"%2E{suffix[1:]}"  # in WebDataset's layout a sample has one key, and one picture of a kind
    suffix = suffix or SUFFIXES.get(picture.format, f".{picture.format.lower()}")
    height, width = picture.pixels.shape[:2]
    if max_side is not None and max(height, width) > max_side:
        scale, suffix = max_side / max(height, width), ".jpg"
        file = encode_image(resize(picture.pixels, max(1, round(width * scale)), max(1, round(height * scale))), suffix)
    return Checked(stem + suffix, file)


def _split(key: str) -> tuple[str, str]:
    """The key of a sample, in which no dot may be, and the suffix of a picture, or ""."""
    folder, slash, own = key.lstrip("/").rpartition("/")
    stem, suffix = os.path.splitext(own)
    if suffix.lower() not in suffixes():
        stem, suffix = own, ""
    return folder + slash + stem.replace(".", "%2E"), suffix.lower()
