"""Files on any file system that fsspec knows: s3://, gs://, hdfs://, sftp:// and others, each with the package it asks for."""

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

# where what is put is there whole or not at all, and to move is to copy
OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "r2", "memory"}


@dataclass(frozen=True)
class RemoteFiles:
    """As files.Files says; paths are those of fsspec, without the protocol."""

    system: "AbstractFileSystem"

    def url(self, path: PurePath) -> str:
        return str(self.system.unstrip_protocol(str(path)))

    def is_dir(self, path: PurePath) -> bool:
        with _telling(self.url(path), "cannot be reached"):
            return bool(self.system.isdir(str(path)))

    def exists(self, path: PurePath) -> bool:
        with _telling(self.url(path), "cannot be reached"):
            return bool(self.system.exists(str(path)))

    def names(self, folder: PurePath) -> set[str]:
        with _telling(self.url(folder), "cannot be listed"), suppress(FileNotFoundError, NotADirectoryError):
            return {PurePosixPath(path).name for path in self.system.ls(str(folder), detail=False)}
        return set()

    def find(self, folder: PurePath, without: Sequence[PurePath]) -> tuple[list[PurePath], Counter[str]]:
        if not self.is_dir(folder):
            raise no_folder(self.url(folder))
        places: defaultdict[PurePath, list[str]] = defaultdict(list)
        shut = tuple(f"{path}/" for path in without)
        with _telling(self.url(folder), "cannot be listed"):
            found = self.system.find(str(folder))
        for path in found:
            if not path.startswith(shut) and "/." not in path[len(str(folder)) :]:
                parent, _, name = path.rpartition("/")
                places[PurePosixPath(parent)].append(name)
        pictures, left = by_folder(self.url(folder), places.items())
        return list(in_order(pictures)), left


def place(given: str) -> tuple[Files, PurePath]:
    """The file system and the path of what is given, a local one whole. Raises PixelRNNError where fsspec cannot go there."""
    if "://" not in given:
        return LOCAL, Path(given).absolute()
    from fsspec.core import url_to_fs

    if "::" in given:
        raise PixelRNNError(f"{given}: a chain of file systems, of which one is read. Unpack it first.")
    try:
        system, path = url_to_fs(given)
    except (ImportError, ValueError) as error:  # a package that is missing, a protocol that is unknown
        raise PixelRNNError(f"{given}: cannot be reached ({error}).") from None
    if "file" in _protocols(system):
        return LOCAL, Path(path)
    return RemoteFiles(system), PurePosixPath(path)


def fetch(given: str) -> Path | BinaryIO:
    """A local file's path, or what another one holds, with its URL as its name. Raises PixelRNNError."""
    files, path = place(given)
    if not isinstance(files, RemoteFiles):
        return Path(path)
    with _telling(given, "cannot be read"):
        file = io.BytesIO(files.system.cat_file(str(path)))
    file.name = given
    return file


def put(given: str, data: bytes) -> None:
    """Write a file, whole or not at all. Raises PixelRNNError."""
    files, path = place(given)
    if not isinstance(files, RemoteFiles):
        return write_atomically(Path(path), lambda temporary: temporary.write_bytes(data))
    system = files.system
    with _telling(given, "cannot write there"):
        if OBJECT_STORES & set(_protocols(system)):
            system.pipe_file(str(path), data)
            return None
        beside = str(path.with_name(f".{path.stem[:40]}-{secrets.token_hex(4)}"))
        system.makedirs(str(path.parent), exist_ok=True)
        try:
            system.pipe_file(beside, data)
            system.mv(beside, str(path))
        except BaseException:
            with suppress(Exception):  # it may not be there
                system.rm_file(beside)
            raise
    return None


@contextmanager
def _telling(given: str, what: str) -> Iterator[None]:
    """Whatever the package of a file system raises, as our error."""
    try:
        yield
    except FileNotFoundError:
        raise PixelRNNError(f"{given}: no such file. Check the path.") from None
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise PixelRNNError(f"{given}: {what} ({reason}).") from None


def _protocols(system: "AbstractFileSystem") -> tuple[str, ...]:
    return (system.protocol,) if isinstance(system.protocol, str) else tuple(system.protocol)
