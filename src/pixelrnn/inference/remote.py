"""Files on any file system that fsspec knows: s3://, gs://, hdfs://, sftp:// and others.

For each of them fsspec asks for a package of its own.
"""

import io
import secrets
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from ..encode import write_atomically
from ..errors import PixelRNNError
from ..folders import by_folder, in_order, no_folder
from .files import LOCAL, Files

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

# protocols where a file is always put whole or not at all, and where moving a file means copying it
OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "r2", "memory"}


@dataclass(frozen=True)
class RemoteFiles:
    """A file system of fsspec; see files.Files. Paths are those of fsspec, without the protocol."""

    system: "AbstractFileSystem"

    def url(self, path: PurePath) -> str:
        return str(self.system.unstrip_protocol(str(path)))

    def is_dir(self, path: PurePath) -> bool:
        with _as_our_error(self.url(path), "cannot be reached"):
            return bool(self.system.isdir(str(path)))

    def exists(self, path: PurePath) -> bool:
        with _as_our_error(self.url(path), "cannot be reached"):
            return bool(self.system.exists(str(path)))

    def names(self, folder: PurePath) -> set[str]:
        with _as_our_error(self.url(folder), "cannot be listed"), suppress(FileNotFoundError, NotADirectoryError):
            return {PurePosixPath(path).name for path in self.system.ls(str(folder), detail=False)}
        return set()

    def find(self, folder: PurePath, without: Sequence[PurePath]) -> tuple[list[PurePath], Counter[str]]:
        if not self.is_dir(folder):
            raise no_folder(self.url(folder))
        places: defaultdict[PurePath, list[str]] = defaultdict(list)
        left_out = tuple(f"{path}/" for path in without)
        with _as_our_error(self.url(folder), "cannot be listed"):
            paths = self.system.find(str(folder))
        for path in paths:
            if not path.startswith(left_out) and "/." not in path[len(str(folder)) :]:
                parent, _, name = path.rpartition("/")
                places[PurePosixPath(parent)].append(name)
        images, left = by_folder(self.url(folder), places.items())
        return list(in_order(images)), left


def place(given: str) -> tuple[Files, PurePath]:
    """Find the file system and the path of a word; a local path is made absolute. Raises PixelRNNError where that fails."""
    if "://" not in given:
        return LOCAL, Path(given).absolute()
    from fsspec.core import url_to_fs

    if "::" in given:
        raise PixelRNNError(f"{given}: a chain of file systems, which cannot be read. Unpack it first.")
    try:
        system, path = url_to_fs(given)
    except (ImportError, ValueError) as error:  # the package is missing, or the protocol is unknown
        raise PixelRNNError(f"{given}: cannot be reached ({error}).") from None
    if "file" in _protocols(system):
        return LOCAL, Path(path)
    return RemoteFiles(system), PurePosixPath(path)


def fetch(given: str) -> Path | BinaryIO:
    """The path of a local file, or the content of a remote one with its URL as its name. Raises PixelRNNError."""
    files, path = place(given)
    if not isinstance(files, RemoteFiles):
        return Path(path)
    with _as_our_error(given, "cannot be read"):
        file = io.BytesIO(files.system.cat_file(str(path)))
    file.name = given
    return file


def put(given: str, data: bytes) -> None:
    """Write a file, local or remote, whole or not at all. Raises PixelRNNError."""
    files, path = place(given)
    if not isinstance(files, RemoteFiles):
        return write_atomically(Path(path), lambda temporary: temporary.write_bytes(data))
    system = files.system
    with _as_our_error(given, "cannot write there"):
        if OBJECT_STORES & set(_protocols(system)):
            system.pipe_file(str(path), data)
            return None
        temporary = str(path.with_name(f".{path.stem[:40]}-{secrets.token_hex(4)}"))
        system.makedirs(str(path.parent), exist_ok=True)
        try:
            system.pipe_file(temporary, data)
            system.mv(temporary, str(path))
        except BaseException:
            with suppress(Exception):  # the file may not exist
                system.rm_file(temporary)
            raise
    return None


@contextmanager
def _as_our_error(given: str, what: str) -> Iterator[None]:
    """Turn any error of a file system's package into a PixelRNNError that says what failed."""
    try:
        yield
    except FileNotFoundError:
        raise PixelRNNError(f"{given}: no such file. Check the path.") from None
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise PixelRNNError(f"{given}: {what} ({reason}).") from None


def _protocols(system: "AbstractFileSystem") -> tuple[str, ...]:
    """The names of a file system's protocol."""
    return (system.protocol,) if isinstance(system.protocol, str) else tuple(system.protocol)
