"""Photographs in an LMDB folder, as LSUN's are kept: an image's file for each key, read by number without a list of keys.

LMDB finds a value by its key, not by a number. So every EVERYth key is kept in a file beside the data, or in the user's cache
where nothing can be written there. For LSUN's 3 million bedrooms that is 2 MB, written once, in one pass over the keys that
reads no image. The key of any number is then at most EVERY - 1 steps of a cursor away from one of these.
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

# LMDB opens a folder only once per process, and what was opened before a fork cannot be used after it
_environments: dict[Path, tuple[int, Any]] = {}


def is_lmdb(folder: Path) -> bool:
    """Return whether a folder holds an LMDB database."""
    return (folder / "data.mdb").is_file()


class Lmdb(Source):
    """The images of an LMDB folder in the order of their keys. The folder may lie on a read-only file system.

    Raises:
        PixelRNNError: The folder cannot be read.
        ModuleNotFoundError: The package lmdb is not installed.
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
        """Read every EVERYth key from the file that keeps them; without one, pass over all keys and write it."""
        state = np.array([EVERY, self.count, environment.info()["last_txnid"]], np.int64)
        name = hashlib.blake2b(os.fsencode(self.folder), digest_size=12).hexdigest()
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "pixelrnn", f"{name}.npz")
        places = [self.folder / SIDECAR, cache]
        for path in places:
            if (kept := _read(path, state)) is not None:
                return kept
        keys = Buffer.of(_listed(environment, self.count, self.folder))
        place = places[0] if os.access(self.folder, os.W_OK) else cache
        with suppress(PixelRNNError):  # where nothing can be written at all, each run passes over the keys
            write_atomically(place, lambda path: _write(path, state, keys))
        return keys

    def _cursor(self, transaction: Any, index: int) -> Any:
        """Return a cursor that stands at the key of a number."""
        if not 0 <= index < self.count:
            raise IndexError(index)
        cursor = transaction.cursor()
        exists = cursor.set_key(self.keys[index // EVERY])
        for _ in range(index % EVERY):
            exists = exists and cursor.next()
        if not exists:
            raise PixelRNNError(f"{self.folder}: has changed while it was read.")
        return cursor

    def key(self, index: int) -> str:
        with self._environment().begin() as transaction:
            key: bytes = self._cursor(transaction, index).key()
        return key.decode(errors="backslashreplace")

    def open(self, index: int) -> BinaryIO:
        with self._environment().begin() as transaction:
            key, content = self._cursor(transaction, index).item()
        return Named(content, f"{self.folder}: {key.decode(errors='backslashreplace')}")


def _listed(environment: Any, count: int, folder: Path) -> Iterator[bytes]:
    """Yield every EVERYth key in order, with a progress bar on a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    options: dict[str, Any] = {"console": console, "transient": True, "disable": not console.is_terminal}
    with environment.begin() as transaction:
        keys = transaction.cursor().iternext(values=False)
        for number, key in enumerate(track(keys, f"Listing the keys of {folder.name}, once", count, **options)):
            if number % EVERY == 0:
                yield key


def _write(path: Path, state: np.ndarray, keys: Buffer) -> None:
    with path.open("wb") as file:
        np.savez(file, about=state, whole=np.frombuffer(keys.whole, np.uint8), ends=keys.ends)


def _read(path: Path, state: np.ndarray) -> Buffer | None:
    """Read the keys from a file; None where there is none, or it belongs to other data."""
    try:
        with np.load(path) as kept:
            if not np.array_equal(kept["about"], state):
                return None
            return Buffer(kept["whole"].tobytes(), kept["ends"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
