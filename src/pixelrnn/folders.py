"""List the images in folders, in the order that people expect, and match masks to images by name."""

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
PARTS = ("occluded_images", "original_images", "occluded_test")  # the folders of the paired layout, in upper or lower case
HEIC = (".heic", ".heif")  # read with pixelrnn[heic]
# the names that programs give to the mask of an image NAME
MASK_NAME = re.compile(r"(?:mask_)?(?P<name>.+?)(?:_mask\d*)?")
Place = TypeVar("Place", bound=PurePath)


def natural_key(path: PurePath) -> tuple[list[int | str], str]:
    """A sort key that puts bed_9 before bed_10."""
    return _natural(path.stem), path.name


def _natural(stem: str) -> list[int | str]:
    # split() alternates text and digits, so keys of two names compare str with str and int with int
    return [int(part) if i % 2 else part for i, part in enumerate(re.split(r"([0-9]+)", stem))]


@cache
def suffixes() -> tuple[str, ...]:
    """The suffixes of the files that are read, in lower case."""
    return SUFFIXES + (HEIC if find_spec("pillow_heif") else ())


def list_images(folder: Path, without: Sequence[Path] = ()) -> list[Path]:
    """List the images in `folder` and its subfolders, in natural order.

    Args:
        folder: the folder to search.
        without: folders to leave out. Hidden files and folders are always left out.

    Raises:
        PixelRNNError: the folder is missing or holds no image.
    """
    return find_images(folder, without)[0]


def find_images(
    folder: Path, without: Sequence[Path] = (), closed: Callable[[Path], bool] = lambda place: False
) -> tuple[list[Path], Counter[str]]:
    """List the images as `list_images` does, and count the other files.

    Args:
        folder: the folder to search.
        without: folders to leave out.
        closed: says of a subfolder whether it is left out.

    Returns:
        The images in natural order, and the number of other files for each suffix.

    Raises:
        PixelRNNError: the folder is missing or holds no image.
    """
    if not folder.is_dir():
        raise no_folder(folder)
    places, left = by_folder(folder, _walk(folder, {path.resolve() for path in without}, closed))
    return list(in_order(places)), left


def _walk(folder: Path, without: set[Path], closed: Callable[[Path], bool]) -> Iterator[tuple[Path, list[str]]]:
    """Each folder with the names of its files, without hidden folders and those that are left out."""
    for place, folders, files in os.walk(folder):
        paths = {name: Path(place, name) for name in folders if name[0] != "."}
        folders[:] = [name for name, path in paths.items() if not (without and path.resolve() in without) and not closed(path)]
        yield Path(place), files


def no_folder(folder: object) -> PixelRNNError:
    """The error for a folder that is missing."""
    return PixelRNNError(f"{folder}: no such folder. Give a folder of pictures ({', '.join(suffixes())}).")


def by_folder(folder: object, walked: Iterable[tuple[Place, list[str]]]) -> tuple[dict[Place, list[str]], Counter[str]]:
    """Sort the files of walked folders into images and others.

    Args:
        folder: what an error calls the folder: a path or a URL.
        walked: each folder with the names of its files.

    Returns:
        The names of the images in natural order, by their folder; and the number of other files for each suffix. Hidden files
        are not counted.

    Raises:
        PixelRNNError: there is no image.
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
    """Yield the paths one by one, since millions of them at once take gigabytes."""
    return (place / name for place in sorted(places) for name in places[place])


def list_photographs(folder: Path, out: Path | None, originals: bool = False) -> list[Path]:
    """List the photographs to learn from, or to make pairs of.

    Args:
        folder: the folder to search, in natural order.
        out: the folder that the results go to, which is left out. Subfolders that training runs or made pairs fill are left
            out, too.
        originals: whether `folder` may itself be the original_images of a paired layout.

    Raises:
        PixelRNNError: the folder is missing, holds no image, is one half of pairs, or holds nothing but pairs: occluded
            images would be learned as truth. The error names the folder to give.
    """
    return list(each_photograph(folder, out, originals))


def each_photograph(folder: Path, out: Path | None, originals: bool = False) -> Iterator[Path]:
    """Yield what `list_photographs` lists, one by one. Takes the same arguments and raises the same errors."""
    if not folder.is_dir():
        raise no_folder(folder)
    absolute = folder.resolve()
    if absolute.name.lower() in PARTS and not (originals and absolute.name.lower() == PARTS[1]):
        raise PixelRNNError(f"{folder}: one half of pairs, not photographs. {_give(absolute)}")
    if parts := _parts(absolute):
        raise PixelRNNError(f"{folder}: holds the halves of pairs, not photographs. {_give(parts[0])}")
    pairs: list[Path] = []

    def filled_by_us(place: Path) -> bool:
        trained = (place / "optimized_pixelrnn.pth").is_file()
        if not trained and (parts := _parts(place)):
            pairs.append(parts[0])
        return trained or bool(parts)

    try:
        images, _ = by_folder(folder, _walk(folder, set() if out is None else {out.resolve()}, filled_by_us))
    except PixelRNNError:
        if pairs:
            raise PixelRNNError(f"{folder}: no photographs, but pairs below it. {_give(pairs[0])}") from None
        raise
    if loose := [place for place in pairs if place.parent.name.lower() != "train"]:
        raise PixelRNNError(f"{loose[0]}: one half of pairs among photographs. {_give(loose[0])}")
    return in_order(images)


def _parts(place: Path) -> list[Path]:
    """The halves of pairs that lie in a folder or in its train/."""
    subfolders = _folders(place)
    below_train = [path for train in subfolders if train.name.lower() == "train" for path in _folders(train)]
    return sorted(path for path in subfolders + below_train if path.name.lower() in PARTS[:2])


def _folders(place: Path) -> list[Path]:
    """The subfolders of a folder."""
    with os.scandir(place) as entries:  # knows which entries are folders without asking the disk again for each file
        return [place / entry.name for entry in entries if entry.is_dir()]


def _give(part: Path) -> str:
    """What to do instead of giving this half of pairs."""
    if part.name.lower() == PARTS[2]:
        return f"Give {part.parent}, the folder that it lies in."
    if part.parent.name.lower() == "train":
        return f"Give {part.parents[1]}, the folder above train/."
    return f"Move it and its other half into {part.parent / 'train'}, and give {part.parent}."


def _counted(left: Counter[str]) -> str:
    """The six most frequent suffixes with their counts."""
    most = sorted(left.items(), key=lambda item: (-item[1], item[0]))[:6]
    return ", ".join(f"{count} {suffix}" for suffix, count in most)


def left_out(left: Counter[str]) -> str:
    """Say in one line which files were left out because they are not read; "" where there are none."""
    if not left:
        return ""
    hint = " pip install 'pixelrnn[heic]' reads HEIC." if any(suffix in HEIC for suffix in left) else ""
    return f"left out: {_counted(left)}.{hint}"


class MaskFolder:
    """A folder of masks, found by the name of their image: NAME, NAME_mask, NAME_mask001 or mask_NAME.

    The folder is listed once.

    Args:
        folder: the folder of the masks.
        masks: the files in the folder, where it is not on this machine; by default it is listed.
    """

    def __init__(self, folder: PurePath, masks: Iterable[PurePath] | None = None) -> None:
        self.folder = folder
        self._masks: dict[tuple[PurePath, str], list[PurePath]] = {}
        for path in list_images(Path(folder)) if masks is None else masks:
            match = MASK_NAME.fullmatch(path.stem)
            for name in {path.stem, match["name"] if match else path.stem}:
                self._masks.setdefault((path.parent.relative_to(folder), name), []).append(path)

    def of(self, image: PurePath, subfolder: PurePath) -> PurePath:
        """Find the mask of an image.

        Args:
            image: the path of the image.
            subfolder: where the image lies below the folder of images. The mask is looked for in the same subfolder of the
                masks' folder, then directly in the masks' folder.

        Raises:
            PixelRNNError: there is no mask, or there are several.
        """
        kind = type(self.folder)
        named = self._masks.get((kind(subfolder), image.stem)) or self._masks.get((kind(), image.stem), [])
        exact = [path for path in named if path.stem == image.stem] or named
        if len(exact) != 1:
            raise PixelRNNError(f"{image}: {len(exact)} masks named {image.stem} in {self.folder}, expected one.")
        return exact[0]
