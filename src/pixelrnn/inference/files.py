"""File systems as planning needs them: the one of this machine; remote.py has the others."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Protocol

from ..errors import PixelRNNError
from ..folders import find_images


class Files(Protocol):
    """A file system; two are equal where they are the same one.

    Paths are pure paths, since only the file system can read them.
    """

    def url(self, path: PurePath) -> str:
        """The path or URL by which all processes find a file."""
        ...

    def is_dir(self, path: PurePath) -> bool: ...

    def exists(self, path: PurePath) -> bool: ...

    def names(self, folder: PurePath) -> set[str]:
        """The names of what lies directly in a folder; none where the folder is missing."""
        ...

    def find(self, folder: PurePath, without: Sequence[PurePath]) -> tuple[list[PurePath], Counter[str]]:
        """List images and count other files, as folders.find_images does."""
        ...


@dataclass(frozen=True)
class LocalFiles:
    """The file system of this machine; see Files."""

    def url(self, path: PurePath) -> str:
        return str(path)

    def is_dir(self, path: PurePath) -> bool:
        return Path(path).is_dir()

    def exists(self, path: PurePath) -> bool:
        return Path(path).exists()

    def names(self, folder: PurePath) -> set[str]:
        try:
            return set(os.listdir(folder))
        except (FileNotFoundError, NotADirectoryError):
            return set()

    def find(self, folder: PurePath, without: Sequence[PurePath]) -> tuple[list[PurePath], Counter[str]]:
        images, left = find_images(Path(folder), [Path(path) for path in without])
        return [*images], left


LOCAL = LocalFiles()


def local_place(given: str) -> tuple[Files, PurePath]:
    """Find the file system and the path of a word. Raises PixelRNNError for a URL, which is not on this machine."""
    if "://" in given:
        raise PixelRNNError(f"{given}: not on this machine. --engine ray reads and writes there.")
    return LOCAL, Path(given)
