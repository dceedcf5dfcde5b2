"""The described paired layout: finds which files belong together, and makes pairs of clean photographs."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..encode import write_image
from ..errors import PixelRNNError
from ..folders import PARTS, SUFFIXES, natural_key
from .occluders import described_square, occlude

LAYOUT = """expected layout:
  DATA/train/occluded_images/occluded_NAME_N.jpg   with something in the way
  DATA/train/original_images/NAME_N.jpg            the same photograph without it, the same number N
  DATA/occluded_test/occluded_NAME_N.jpg           without ground truth (optional)"""


class Pair(NamedTuple):
    """One training pair, and the number or name that it was matched by."""

    key: str
    occluded: Path
    original: Path

    @property
    def number(self) -> int | None:
        return int(self.key) if re.fullmatch(r"[0-9]+", self.key) else None


def is_paired(root: Path) -> bool:
    """Return whether `root` has the folders of the paired layout."""
    return any(_subfolder(root, "train", part) is not None for part in PARTS[:2])


def _subfolder(root: Path, *names: str) -> Path | None:
    """Return the folder of these names below `root`, in upper or lower case; None where there is none."""
    for name in names:
        folders = [path for path in root.iterdir() if path.name.lower() == name and path.is_dir()] if root.is_dir() else []
        if not folders:
            return None
        root = next((path for path in folders if path.name == name), folders[0])
    return root


def find_pairs(root: str | Path) -> list[Pair]:
    """Find the pairs below `root` in the paired layout.

    Files are matched by their number, and where names have none by their name.

    Returns:
        The pairs in numerical order.

    Raises:
        PixelRNNError: There is no such folder or no image, a file has no partner, or two files have one number. The message
            names the files and shows the layout.
    """
    root = Path(root)
    folders = {part: _subfolder(root, "train", part) for part in PARTS[:2]}
    for part, folder in folders.items():
        if folder is None:
            raise PixelRNNError(f"{root / 'train' / part}: no such folder; {LAYOUT}")
    occluded, original = (_by_key(folder) for folder in folders.values() if folder is not None)
    alone = sorted(
        [*(occluded[k] for k in occluded.keys() - original.keys()), *(original[k] for k in original.keys() - occluded.keys())]
    )
    if alone:
        raise PixelRNNError(f"{_some(alone)}: no partner with the same number in the other folder; {LAYOUT}")
    pairs = [Pair(key, occluded[key], original[key]) for key in occluded]
    return sorted(pairs, key=lambda pair: natural_key(Path(pair.key)))


def write_pairs(
    pictures: Iterable[np.ndarray], out: Path, seed: int, test: int = 0, style: str = "square", name: str = "bed"
) -> None:
    """Occlude clean images and write them in the paired layout, as JPEG and numbered from 0.

    Args:
        pictures: Images uint8 (H, W, 3).
        out: The folder, which must be new or empty.
        seed: Decides the occlusions.
        test: That many of the first go to occluded_test/, without their originals.
        style: "square", one black square as in the described dataset, or "random", any shape and paint.
        name: The NAME in the files' names.

    Raises:
        PixelRNNError: `out` holds something already.
    """
    if out.exists() and any(out.iterdir()):
        raise PixelRNNError(f"{out}: not empty, and nothing is overwritten. Name a new folder.")
    for number, image in enumerate(pictures):
        rng = np.random.default_rng([seed, number])
        if style == "square":  # compressed as it is written
            occluded = np.where(described_square(rng, *image.shape[:2])[..., None], np.uint8(0), image)
        else:
            occluded, _ = occlude(rng, image)
        if number < test:
            write_image(out / "occluded_test" / f"occluded_{name}_{number}.jpg", occluded)
        else:
            write_image(out / "train" / "occluded_images" / f"occluded_{name}_{number}.jpg", occluded)
            write_image(out / "train" / "original_images" / f"{name}_{number}.jpg", image)


def _by_key(folder: Path) -> dict[str, Path]:
    """List the images directly in `folder` by the last number in their name, or else by the name without `occluded_`."""
    by_key: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        numbers = re.findall(r"[0-9]+", path.stem)
        key = str(int(numbers[-1])) if numbers else path.stem.removeprefix("occluded_")
        if key in by_key:
            raise PixelRNNError(f"{by_key[key]}, {path.name}: two pictures with the same number {key}; {LAYOUT}")
        by_key[key] = path
    if not by_key:
        raise PixelRNNError(f"{folder}: no pictures in this folder; {LAYOUT}")
    return by_key


def _some(paths: Sequence[Path]) -> str:
    names = ", ".join(str(path) for path in paths[:5])
    return names if len(paths) <= 5 else f"{names} and {len(paths) - 5} more"


def split(items: Sequence[Any], fraction: float, seed: int) -> tuple[list[Any], list[Any]]:
    """Split items at random, their order kept.

    Args:
        items: At least two.
        fraction: The share to keep for validation, in (0, 1).
        seed: Decides which.

    Returns:
        The items for training and for validation, at least one of each.

    Raises:
        PixelRNNError: There are fewer than two items, or the fraction is outside (0, 1).
    """
    if len(items) < 2 or not 0 < fraction < 1:
        raise PixelRNNError(
            f"cannot keep {fraction:.0%} of {len(items)} pictures for validation. "
            "Give at least 2 pictures and a fraction between 0 and 1."
        )
    count = min(len(items) - 1, max(1, round(fraction * len(items))))
    chosen = set(np.random.default_rng(seed).permutation(len(items))[:count].tolist())
    return [item for i, item in enumerate(items) if i not in chosen], [item for i, item in enumerate(items) if i in chosen]


def split_by_number(pairs: Sequence[Pair], valid_from: int) -> tuple[list[Pair], list[Pair]]:
    """Split pairs into those for training and those numbered `valid_from` and above, for validation.

    Raises:
        PixelRNNError: One of the two is empty, or a pair has no number.
    """
    unnumbered = [pair.original for pair in pairs if pair.number is None]
    if unnumbered:
        raise PixelRNNError(f"{_some(unnumbered)}: no number in the name, so valid_from={valid_from} cannot part the pairs.")
    parts = [
        [pair for pair in pairs if (pair.number or 0) < valid_from],
        [pair for pair in pairs if (pair.number or 0) >= valid_from],
    ]
    if not all(parts):
        numbers = [pair.number or 0 for pair in pairs]
        raise PixelRNNError(
            f"valid_from={valid_from} leaves one part empty: the numbers go from {min(numbers)} to {max(numbers)}. "
            "Choose one between."
        )
    return parts[0], parts[1]
