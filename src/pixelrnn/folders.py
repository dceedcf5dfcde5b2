"""Pictures in folders, in an order that people expect; where their completions go, and which mask is whose."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import TypeVar

from .errors import PixelRNNError

SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".gif")
PARTS = ("occluded_images", "original_images", "occluded_test")  # of the paired layout, in any case
HEIC = (".heic", ".heif")  # with pixelrnn[heic]
# beside the picture's own name, as other programs call its mask
MASK_NAME = re.compile(r"(?:mask_)?(?P<name>.+?)(?:_mask\d*)?")
Place = TypeVar("Place", bound=PurePath)


def natural_key(path: PurePath) -> tuple[list[int | str], str]:
    """Sort key that puts bed_9 before bed_10."""
    return _natural(path.stem), path.name


def _natural(stem: str) -> list[int | str]:
    # split() alternates text and digits, so keys of two names compare str with str and int with int
    return [int(part) if i % 2 else part for i, part in enumerate(re.split(r"([0-9]+)", stem))]


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
        raise no_folder(folder)
    places, left = by_folder(folder, _walk(folder, {path.resolve() for path in without}, closed))
    return list(in_order(places)), left


def _walk(folder: Path, shut: set[Path], closed: Callable[[Path], bool]) -> Iterator[tuple[Path, list[str]]]:
    """Folders and the names of their files, but for hidden and shut ones."""
    for place, folders, files in os.walk(folder):
        inside = {name: Path(place, name) for name in folders if name[0] != "."}
        folders[:] = [name for name, path in inside.items() if not (shut and path.resolve() in shut) and not closed(path)]
        yield Path(place), files


def no_folder(folder: object) -> PixelRNNError:
    return PixelRNNError(f"{folder}: no such folder. Give a folder of pictures ({', '.join(suffixes())}).")


def by_folder(folder: object, walked: Iterable[tuple[Place, list[str]]]) -> tuple[dict[Place, list[str]], Counter[str]]:
    """The names of the pictures by their folder, in natural order, and how many other files there are, by suffix. Raises
    PixelRNNError, naming `folder`, where there is no picture.
    """
    places: dict[Place, list[str]] = {}
    left = Counter[str]()
    for place, names in walked:
        for name in names:
            suffix = os.path.splitext(name)[1].lower()
            if name[0] == ".":
                continue
            if suffix in suffixes():
                places.setdefault(place, []).append(name)
            else:
                left[suffix or "without suffix"] += 1
    if not places:
        others = f" It has {_counted(left)}." if left else ""
        raise PixelRNNError(f"{folder}: no pictures in this folder. Expected files ending in {', '.join(suffixes())}.{others}")
    for names in places.values():
        names.sort(key=lambda name: (_natural(os.path.splitext(name)[0]), name))
    return places, left


def in_order(places: dict[Place, list[str]]) -> Iterator[Place]:
    """The paths one by one: millions of them at once take gigabytes."""
    return (place / name for place in sorted(places) for name in places[place])


def list_photographs(folder: Path, out: Path | None, originals: bool = False) -> list[Path]:
    """Pictures to learn from, or to make pairs of for `out`: without what is in that folder, and without subfolders that
    training runs and made pairs fill. originals: whether a folder original_images may be given itself.

    Raises what list_images raises, and where the folder is a part of pairs, or has nothing but pairs below it: occluded
    pictures would be learned as truth. The error names the folder to give.
    """
    return list(each_photograph(folder, out, originals))


def each_photograph(folder: Path, out: Path | None, originals: bool = False) -> Iterator[Path]:
    """The same, one by one."""
    if not folder.is_dir():
        raise no_folder(folder)
    whole = folder.resolve()
    if whole.name.lower() in PARTS and not (originals and whole.name.lower() == PARTS[1]):
        raise PixelRNNError(f"{folder}: one half of pairs, not photographs. {_give(whole)}")
    if parts := _parts(whole):
        raise PixelRNNError(f"{folder}: holds the halves of pairs, not photographs. {_give(parts[0])}")
    pairs: list[Path] = []

    def made(place: Path) -> bool:
        trained = (place / "optimized_pixelrnn.pth").is_file()
        if not trained and (parts := _parts(place)):
            pairs.append(parts[0])
        return trained or bool(parts)

    try:
        found, _ = by_folder(folder, _walk(folder, set() if out is None else {out.resolve()}, made))
    except PixelRNNError:
        if pairs:
            raise PixelRNNError(f"{folder}: no photographs, but pairs below it. {_give(pairs[0])}") from None
        raise
    if loose := [place for place in pairs if place.parent.name.lower() != "train"]:
        raise PixelRNNError(f"{loose[0]}: one half of pairs among photographs. {_give(loose[0])}")
    return in_order(found)


def _parts(place: Path) -> list[Path]:
    """The halves of pairs in a folder: directly, or in its train/."""
    inside = _folders(place)
    within = [path for train in inside if train.name.lower() == "train" for path in _folders(train)]
    return sorted(path for path in inside + within if path.name.lower() in PARTS[:2])


def _folders(place: Path) -> list[Path]:
    with os.scandir(place) as entries:  # which knows without asking the disk again, for each of a million files
        return [place / entry.name for entry in entries if entry.is_dir()]


def _give(part: Path) -> str:
    """What to do instead of giving this half."""
    if part.name.lower() == PARTS[2]:
        return f"Give {part.parent}, the folder that it lies in."
    if part.parent.name.lower() == "train":
        return f"Give {part.parents[1]}, the folder above train/."
    return f"Move it and its other half into {part.parent / 'train'}, and give {part.parent}."


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

    def __init__(self, folder: PurePath, masks: Iterable[PurePath] | None = None) -> None:
        """masks: the files in the folder, where it is no local one."""
        self.folder = folder
        self._masks: dict[tuple[PurePath, str], list[PurePath]] = {}
        for path in list_images(Path(folder)) if masks is None else masks:
            whole = MASK_NAME.fullmatch(path.stem)
            for name in {path.stem, whole["name"] if whole else path.stem}:
                self._masks.setdefault((path.parent.relative_to(folder), name), []).append(path)

    def of(self, picture: PurePath, inside: PurePath) -> PurePath:
        """That of a picture that lies in the folder `inside` of those that were given; by its own folder, or else directly in
        the masks' folder. Raises PixelRNNError unless there is one.
        """
        here = type(self.folder)
        found = self._masks.get((here(inside), picture.stem)) or self._masks.get((here(), picture.stem), [])
        exact = [path for path in found if path.stem == picture.stem] or found
        if len(exact) != 1:
            raise PixelRNNError(f"{picture}: {len(exact)} masks named {picture.stem} in {self.folder}, expected one.")
        return exact[0]
