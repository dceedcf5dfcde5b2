"""Packs photographs into tar shards of WebDataset's layout, with their indexes. A run that was stopped can be continued.

The bytes do not depend on who writes them, when, or in how many runs.
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

SUFFIXES = {"JPEG": ".jpg", "TIFF": ".tif"}  # of formats whose name is not their suffix
AHEAD = 32  # images that are read together; twice as many are held


class Checked(NamedTuple):
    """An image and the name of its member, or why it cannot be read."""

    name: str
    content: bytes
    error: str = ""


class Packed(NamedTuple):
    """What a folder of shards holds."""

    pictures: int
    shards: int
    errors: list[str]  # of the images that could not be read and are in no shard


def pack(
    source: Source,
    out: Path,
    megabytes: float = 256,
    max_side: int | None = None,
    processes: int | None = None,
    tell: Callable[[int], None] = lambda count: None,
) -> Packed:
    """Write the photographs of a source, in order, to out/shard-000000.tar and so on.

    Images are decoded to check that they can be read, but their files are kept byte for byte, unless they exceed `max_side`.
    Finished shards of the same source and options are kept; one that is not complete is written again.

    Args:
        source: The photographs.
        out: The folder of the shards.
        megabytes: A shard ends with the image that makes it so long.
        max_side: Pixels; an image with a longer side is reduced and becomes a JPEG of quality 95.
        processes: How many read; by default as many as there are cores.
        tell: Called with how many images of the source are done.

    Raises:
        PixelRNNError: The folder holds something else.
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
    """List the complete shards, from the first on. Raises PixelRNNError where the folder holds something else."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PixelRNNError(f"{out}: cannot write there ({error.strerror}). Choose another output.") from None
    for path in out.iterdir():
        if not path.name.lstrip(".").startswith("shard-"):
            raise PixelRNNError(f"{path}: a file that no packing wrote, and nothing is overwritten. Name a new folder.")
    finished: list[Index] = []
    while index := read_index(_shard(out, len(finished))):
        if index.made != made:
            raise PixelRNNError(f"{_shard(out, len(finished))}: made of other photographs or options. Name a new folder.")
        finished.append(index)
    return finished


def _fingerprint(source: Source, megabytes: float, max_side: int | None) -> bytes:
    """Return 16 bytes that differ where other shards would be made, judging by the number of images and some names."""
    count = len(source)
    names = [source.key(i * (count - 1) // 64) for i in range(65)] if count else []
    return hashlib.blake2b(repr((count, names, float(megabytes), max_side)).encode(), digest_size=16).digest()


def _numbered(checked: Iterable[Checked], start: int, tell: Callable[[int], None]) -> Iterator[tuple[int, Checked]]:
    for number, image in enumerate(checked, start + 1):
        yield number, image
        tell(number)


def _write_shard(
    shard: Path, checked: Iterator[tuple[int, Checked]], size: int
) -> tuple[list[tuple[str, int, int]], list[str], int]:
    """Write the tar under a temporary name until it has `size` bytes.

    Returns:
        Name, first byte and size of each image; a line on each one that could not be read; and the number in the source at
        which the next shard begins.
    """
    places: list[tuple[str, int, int]] = []
    lost: list[str] = []
    following = 0
    with _partial(shard).open("wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for number, image in checked:
            following = number
            if image.error:
                lost.append(image.error)
                continue
            info = tarfile.TarInfo(image.name)  # without time or owner
            info.size = len(image.content)
            tar.addfile(info, io.BytesIO(image.content))
            padded = -(-info.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
            places.append((image.name, tar.offset - padded, info.size))
            if tar.offset >= size:
                break
    return places, lost, following


def _put(shard: Path, places: list[tuple[str, int, int]], following: int, made: bytes, lost: list[str]) -> None:
    """Move a finished shard to its place, then write its index, without which it does not count."""
    with _partial(shard).open("rb") as file:
        os.fsync(file.fileno())
    _partial(shard).replace(shard)
    write_index(shard, places, following, made, lost)


def _check_all(source: Source, start: int, max_side: int | None, processes: int | None) -> Iterator[Checked]:
    """Check the images from `start` on, in order."""
    waiting: deque[Iterator[Checked]] = deque()
    with ProcessPoolExecutor(processes, initializer=_begin, initargs=(source,)) as pool:
        for first in range(start, len(source), AHEAD):
            block = range(first, min(first + AHEAD, len(source)))
            waiting.append(pool.map(partial(_check, max_side=max_side), block, chunksize=4))
            if len(waiting) > 1:
                yield from waiting.popleft()
        while waiting:
            yield from waiting.popleft()


_source: list[Source] = []  # what a worker process reads


def _begin(source: Source) -> None:
    _source[:] = [source]
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End with the parent process; otherwise a worker would wait for ever for one that was killed."""
    if parent := multiprocessing.parent_process():
        wait([parent.sentinel])
        os._exit(1)


def _check(index: int, max_side: int | None) -> Checked:
    source = _source[0]
    key = source.key(index)
    try:
        opened = source.open(index)
        file = content(opened)
        decoded = read_picture(Named(file, str(opened) if isinstance(opened, Path) else opened.name))
    except PixelRNNError as error:
        return Checked(key, b"", str(error))
    stem, suffix = _split(key)
    if index and _split(source.key(index - 1))[0] == stem:
        stem += f"%2E{suffix[1:]}"  # in WebDataset's layout a sample has one key, and one picture of a kind
    suffix = suffix or SUFFIXES.get(decoded.format, f".{decoded.format.lower()}")
    height, width = decoded.pixels.shape[:2]
    if max_side is not None and max(height, width) > max_side:
        scale, suffix = max_side / max(height, width), ".jpg"
        file = encode_image(resize(decoded.pixels, max(1, round(width * scale)), max(1, round(height * scale))), suffix)
    return Checked(stem + suffix, file)


def _split(key: str) -> tuple[str, str]:
    """Split a key into that of a sample, which may hold no dot, and the suffix of an image, or ""."""
    folder, slash, own = key.lstrip("/").rpartition("/")
    stem, suffix = os.path.splitext(own)
    if suffix.lower() not in suffixes():
        stem, suffix = own, ""
    return folder + slash + stem.replace(".", "%2E"), suffix.lower()
