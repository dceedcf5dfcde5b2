"""Cases: images to complete whose truth is known, in folders SET/{input,mask,target}/ID.png."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from ..decode import read_image
from ..errors import PixelRNNError
from ..folders import list_images
from ..image import resize
from ..masks import read_mask

PARTS = ("input", "mask", "target")
LAYOUT = "Expected SET/input/ID.png, SET/mask/ID.png (white where missing) and SET/target/ID.png, one of each for every ID."


@dataclass(frozen=True)
class Case:
    """One image to complete: the occluded photograph, the mask and the truth; with `size`, resized to size x size when read."""

    set: str
    id: str
    input: Path
    mask: Path
    target: Path
    size: int | None = None

    def read(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the given image uint8 (H, W, 3), the mask bool (H, W), True where missing, and the truth uint8 (H, W, 3)."""
        given, mask, target = read_image(self.input), read_mask(self.mask), read_image(self.target)
        return squared(given, self.size), squared(mask, self.size), squared(target, self.size)


def squared(image: np.ndarray, size: int | None) -> np.ndarray:
    """Resize an image or a mask to size x size; None leaves it. Images are antialiased, and a mask loses no missing pixel."""
    return image if size is None else resize(image, size, size)


def read_cases(*folders: str | Path, size: int | None = None) -> list[Case]:
    """List the cases of some folders. Image sizes are read, but nothing is decoded yet.

    Args:
        *folders: Each is one set or a folder of several; a set is named after its folder.
        size: Pixels a side to which all images are resized when read, whatever their aspect; None leaves them.

    Raises:
        PixelRNNError: A folder has another layout, an ID is not in all three parts, the parts of a case differ in size, or two
            sets have one name.
    """
    sets: dict[str, Path] = {}
    for folder in map(Path, folders):
        for path in _sets(folder):
            name = path.resolve().name
            if name in sets:
                raise PixelRNNError(f"{sets[name]} and {path}: two sets of cases named {name}. Rename one of them.")
            sets[name] = path
    return [case for name, folder in sets.items() for case in _read_set(name, folder, size)]


def _sets(folder: Path) -> list[Path]:
    """Return `folder` where it is a set, and otherwise its subfolders, all of which must be sets."""
    if not folder.is_dir():
        raise PixelRNNError(f"{folder}: no such folder. Give a folder of cases. {LAYOUT}")
    if any((folder / part).is_dir() for part in PARTS):
        sets = [folder]
    else:
        sets = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not sets:
        raise PixelRNNError(f"{folder}: no set of cases in this folder. {LAYOUT}")
    for path in sets:
        absent = [part for part in PARTS if not (path / part).is_dir()]
        if absent:
            raise PixelRNNError(f"{path}: not a set of cases, it has no folder {' or '.join(absent)}. {LAYOUT}")
    return sets


def _read_set(name: str, folder: Path, size: int | None) -> list[Case]:
    files: dict[str, dict[str, Path]] = {part: {} for part in PARTS}
    for part, by_id in files.items():
        for path in list_images(folder / part):
            id_ = path.relative_to(folder / part).with_suffix("").as_posix()
            if id_ in by_id:
                raise PixelRNNError(f"{by_id[id_]} and {path}: two files for the case {id_}. Keep one of them.")
            by_id[id_] = path
    every = dict.fromkeys(id_ for by_id in files.values() for id_ in by_id)
    lonely = [f"{part}/{id_}" for id_ in every for part in PARTS if id_ not in files[part]]
    if lonely:
        more = f" and {len(lonely) - 5} more" if len(lonely) > 5 else ""
        raise PixelRNNError(f"{folder}: no {', '.join(lonely[:5])}{more}. {LAYOUT}")
    cases = [Case(name, id_, files["input"][id_], files["mask"][id_], files["target"][id_], size) for id_ in every]
    for case in cases:
        sizes = {path: _size(path) for path in (case.input, case.mask, case.target)}
        if len(set(sizes.values())) > 1:
            listed = ", ".join(f"{path} is {width} x {height}" for path, (width, height) in sizes.items())
            raise PixelRNNError(f"case {name}/{case.id}: input, mask and target must be of one size, but {listed}.")
    return cases


def _size(path: Path) -> tuple[int, int]:
    """Read the width and height of the upright image from its header alone, so that thousands of cases are checked at once."""
    try:
        with Image.open(path) as image:
            # orientations 5 to 8 are turned by 90 degrees
            return image.size if image.getexif().get(ExifTags.Base.Orientation, 1) < 5 else image.size[::-1]
    except Exception:  # whatever a damaged header raises; decoding says it in our words
        return read_image(path).shape[1::-1]
