"""Pictures in folders, in an order that people expect; where their completions go, and which mask is whose."""

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from .errors import PixelRNNError

SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".gif")
HEIC = (".heic", ".heif")  # with pixelrnn[heic]
# beside the picture's own name, as other programs call its mask
MASK_NAME = re.compile(r"(?:mask_)?(?P<name>.+?)(?:_mask\d*)?")


def natural_key(path: Path) -> tuple[list[int | str], str]:
    """Sort key that puts bed_9 before bed_10."""
    # split() alternates text and digits, so keys of two names compare str with str and int with int
    return [int(part) if i % 2 else part for i, part in enumerate(re.split(r"([0-9]+)", path.stem))], path.name


@cache
def suffixes() -> tuple[str, ...]:
    """Of files that are read, in lower case."""
    return SUFFIXES + (HEIC if find_spec("pillow_heif") else ())


def list_images(folder: Path, without: Sequence[Path] = ()) -> list[Path]:
    """Picture files in `folder` and its subfolders, in natural order, but for hidden ones and those in the folders `without`.

    Raises PixelRNNError where the folder is missing or holds no picture.
    """
    return find_images(folder, without)[0]


def find_images(
    folder: Path, without: Sequence[Path] = (), closed: Callable[[Path], bool] = lambda place: False
) -> tuple[list[Path], Counter[str]]:
    """The same, and how many files there are besides, by suffix; also without the subfolders that are `closed`."""
    if not folder.is_dir():
        raise PixelRNNError(f"{folder}: no such folder. Give a folder of pictures ({', '.join(suffixes())}).")
    shut = {path.resolve() for path in without}
    found, left = [], Counter[str]()
    for place, folders, files in os.walk(folder):
        inside = {name: Path(place, name) for name in folders if name[0] != "."}
        folders[:] = [name for name, path in inside.items() if not (shut and path.resolve() in shut) and not closed(path)]
        for path in (Path(place, name) for name in files if name[0] != "."):
            if path.suffix.lower() in suffixes():
                found.append(path)
            else:
                left[path.suffix.lower() or "without suffix"] += 1
    if not found:
        others = f" It has {_counted(left)}." if left else ""
        raise PixelRNNError(f"{folder}: no pictures in this folder. Expected files ending in {', '.join(suffixes())}.{others}")
    return sorted(found, key=lambda path: (path.parent, natural_key(path))), left


def list_photographs(folder: Path, out: Path | None) -> list[Path]:
    """Pictures to learn from, or to make pairs of for `out`: without what is in that folder, and without subfolders that
    training runs and made pairs fill. Raises what list_images raises."""

    def made(place: Path) -> bool:
        return (place / "optimized_pixelrnn.pth").is_file() or (place / "train" / "occluded_images").is_dir()

    return find_images(folder, [] if out is None else [out], made)[0]


def _counted(left: Counter[str]) -> str:
    most = sorted(left.items(), key=lambda one: (-one[1], one[0]))[:6]
    return ", ".join(f"{count} {suffix}" for suffix, count in most)


def left_out(left: Counter[str]) -> str:
    """A line on files that are no pictures or of a kind that is not read; "" where there are none."""
    if not left:
        return ""
    hint = " pip install 'pixelrnn[heic]' reads HEIC." if any(suffix in HEIC for suffix in left) else ""
    return f"left out: {_counted(left)}.{hint}"


class MaskFolder:
    """Masks by the name of their picture: NAME, NAME_mask, NAME_mask001 or mask_NAME; listed once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._masks: dict[tuple[Path, str], list[Path]] = {}
        for path in list_images(folder):
            whole = MASK_NAME.fullmatch(path.stem)
            for name in {path.stem, whole["name"] if whole else path.stem}:
                self._masks.setdefault((path.parent.relative_to(folder), name), []).append(path)

    def of(self, picture: Path, inside: Path) -> Path:
        """That of a picture that lies in the folder `inside` of those that were given; by its own folder, or else directly in
        the masks' folder. Raises PixelRNNError unless there is one."""
        found = self._masks.get((inside, picture.stem)) or self._masks.get((Path(), picture.stem), [])
        exact = [path for path in found if path.stem == picture.stem] or found
        if len(exact) != 1:
            raise PixelRNNError(f"{picture}: {len(exact)} masks named {picture.stem} in {self.folder}, expected one.")
        return exact[0]
