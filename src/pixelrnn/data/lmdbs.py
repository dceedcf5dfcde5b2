"""Photographs in an LMDB folder, as LSUN's are kept: a picture's file for each key. Read by number, without a list of keys.

LMDB finds what is at a key, not what is at a number. So every EVERYth key is kept in a file beside the data, or in the
user's cache where nothing can be written there: 2 MB for LSUN's 3 million bedrooms, written once, in one pass over the keys
that touches no picture. The key of a number is then at most EVERY - 1 steps of a cursor away from one of these.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import BadZipFile

import numpy as np

from ..encode import write_atomically
from ..errors import PixelRNNError
from .sources import Buffer, Named, Source

EVERY = 64
SIDECAR = "pixelrnn-keys.npz"

# LMDB opens a folder once in a process, and what was opened before a fork is of no use after it
_environments: dict[Path, tuple[int, Any]] = {}


def is_lmdb(folder: Path) -> bool:
    return (folder / "data.mdb").is_file()


class Lmdb(Source):
    """The pictures of an LMDB folder in the order of their keys, which may lie on a read-only file system.

    Raises PixelRNNError where it cannot be read, ModuleNotFoundError without lmdb.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        environment = self._environment()
        self.count = int(environment.stat()["entries"])
        self.keys = self._every(environment)

    def __len__(self) -> int:
        return self.count

    def _environment(self) -> Any:
        import lmdb

        process, opened = _environments.get(self.folder, (0, None))
        if process != os.getpid():
            if opened is not None:
                opened.close()
            try:
                opened = lmdb.open(str(self.folder), readonly=True, lock=False, readahead=False, create=False)
            except lmdb.Error as error:
                raise PixelRNNError(f"{self.folder}: not a readable LMDB folder ({error}).") from None
            _environments[self.folder] = os.getpid(), opened
        return opened

    def _every(self, environment: Any) -> Buffer:
        """Every EVERYth key, from the file that keeps them, or else from a pass over all of them, which writes it."""
        about = np.array([EVERY, self.count, environment.info()["last_txnid"]], np.int64)
        name = hashlib.blake2b(os.fsencode(self.folder), digest_size=12).hexdigest()
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "pixelrnn", f"{name}.npz")
        places = [self.folder / SIDECAR, cache]
        for path in places:
            if (kept := _read(path, about)) is not None:
                return kept
        found = Buffer.of(_listed(environment, self.count, self.folder))
        place = places[0] if os.access(self.folder, os.W_OK) else cache
        with suppress(PixelRNNError):  # where nothing can be written at all, each run passes over the keys
            write_atomically(place, lambda path: _write(path, about, found))
        return found

    def _cursor(self, transaction: Any, index: int) -> Any:
        """A cursor that stands at a number."""
        if not 0 <= index < self.count:
            raise IndexError(index)
        cursor = transaction.cursor()
        found = cursor.set_key(self.keys[index // EVERY])
        for _ in range(index % EVERY):
            found = found and cursor.next()
        if not found:
            raise PixelRNNError(f"{self.folder}: has changed while it was read.")
        return cursor

    def key(self, index: int) -> str:
        with self._environment().begin() as transaction:
            return self._cursor(transaction, index).key().decode(errors="backslashreplace")

    def open(self, index: int) -> BinaryIO:
        with self._environment().begin() as transaction:
            key, content = self._cursor(transaction, index).item()
        return Named(content, f"{self.folder}: {key.decode(errors='backslashreplace')}")


def _listed(environment: Any, count: int, folder: Path) -> Iterator[bytes]:
    """Every EVERYth key in order, with a bar where somebody looks."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    options: dict[str, Any] = {"console": console, "transient": True, "disable": not console.is_terminal}
    with environment.begin() as transaction:
        keys = transaction.cursor().iternext(values=False)
        for number, key in enumerate(track(keys, f"Listing the keys of {folder.name}, once", count, **options)):
            if number % EVERY == 0:
                yield key


def _write(path: Path, about: np.ndarray, keys: Buffer) -> None:
    with path.open("wb") as file:
        np.savez(file, about=about, whole=np.frombuffer(keys.whole, np.uint8), ends=keys.ends)


def _read(path: Path, about: np.ndarray) -> Buffer | None:
    """The keys in a file; None where there is none, or it is of other data."""
    try:
        with np.load(path) as kept:
            if not np.array_equal(kept["about"], about):
                return None
            return Buffer(kept["whole"].tobytes(), kept["ends"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
