"""File systems, as planning sees them: the one of this machine here, others in remote.py."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Protocol

from ..errors import PixelRNNError
from ..folders import find_images


class Files(Protocol):
    """Where files are; two are equal where they are one file system. Paths are pure: they can be read through this alone."""

    def url(self, path: PurePath) -> str:
        """By which all processes find it."""
        ...

    def is_dir(self, path: PurePath) -> bool: ...

    def exists(self, path: PurePath) -> bool: ...

    def names(self, folder: PurePath) -> set[str]:
        """What lies directly in a folder; nothing where there is none."""
        ...

    def find(self, folder: PurePath, without: Sequence[PurePath]) -> tuple[list[PurePath], Counter[str]]:
        """As folders.find_images."""
        ...


@dataclass(frozen=True)
class LocalFiles:
    """Of this machine."""

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
        found, left = find_images(Path(folder), [Path(path) for path in without])
        return [*found], left


LOCAL = LocalFiles()


def local_place(given: str) -> tuple[Files, PurePath]:
    """The file system and the path of what is given. Raises PixelRNNError for one that is not on this machine."""
    if "://" in given:
        raise PixelRNNError(f"{given}: not on this machine. --engine ray reads and writes there.")
    return LOCAL, Path(given)
