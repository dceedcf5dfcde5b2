"""The described paired layout: which files belong together, and pairs made of clean photographs."""

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
    """One training pair and the number or name it was matched by."""

    key: str
    occluded: Path
    original: Path

    @property
    def number(self) -> int | None:
        return int(self.key) if re.fullmatch(r"[0-9]+", self.key) else None


def is_paired(root: Path) -> bool:
    """Whether `root` has the folders of the paired layout."""
    return any(_inside(root, "train", part) is not None for part in PARTS[:2])


def _inside(root: Path, *names: str) -> Path | None:
    """The folder of these names below `root`, in any case; None where there is none."""
    for name in names:
        found = [path for path in root.iterdir() if path.name.lower() == name and path.is_dir()] if root.is_dir() else []
        if not found:
            return None
        root = next((path for path in found if path.name == name), found[0])
    return root


def find_pairs(root: str | Path) -> list[Pair]:
    """The pairs below `root` in the layout above, by number, in numerical order; by name where names have no number.

    Raises PixelRNNError that names the files and shows the layout: no such folder, no pictures, a file without partner, two
    files with one number.
    """
    root = Path(root)
    found = {part: _inside(root, "train", part) for part in PARTS[:2]}
    for part, folder in found.items():
        if folder is None:
            raise PixelRNNError(f"{root / 'train' / part}: no such folder; {LAYOUT}")
    occluded, original = (_by_key(folder) for folder in found.values() if folder is not None)
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
    """Occlude clean pictures, uint8 (H, W, 3), and write them to `out` in the paired layout, as JPEG and numbered from 0.

    test: that many of the first go to occluded_test/, without their originals. style: "square", one black square as the
    described dataset has, or "random", any shape and paint. Raises PixelRNNError where `out` holds something already.
    """
    if out.exists() and any(out.iterdir()):
        raise PixelRNNError(f"{out}: not empty, and nothing is overwritten. Name a new folder.")
    for number, picture in enumerate(pictures):
        rng = np.random.default_rng([seed, number])
        if style == "square":  # compressed as it is written
            occluded = np.where(described_square(rng, *picture.shape[:2])[..., None], np.uint8(0), picture)
        else:
            occluded, _ = occlude(rng, picture)
        if number < test:
            write_image(out / "occluded_test" / f"occluded_{name}_{number}.jpg", occluded)
        else:
            write_image(out / "train" / "occluded_images" / f"occluded_{name}_{number}.jpg", occluded)
            write_image(out / "train" / "original_images" / f"{name}_{number}.jpg", picture)


def _by_key(folder: Path) -> dict[str, Path]:
    """Pictures directly in `folder` by the last number in their name, or by the name less its `occluded_` prefix."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        numbers = re.findall(r"[0-9]+", path.stem)
        key = str(int(numbers[-1])) if numbers else path.stem.removeprefix("occluded_")
        if key in found:
            raise PixelRNNError(f"{found[key]}, {path.name}: two pictures with the same number {key}; {LAYOUT}")
        found[key] = path
    if not found:
        raise PixelRNNError(f"{folder}: no pictures in this folder; {LAYOUT}")
    return found


def _some(paths: Sequence[Path]) -> str:
    names = ", ".join(str(path) for path in paths[:5])
    return names if len(paths) <= 5 else f"{names} and {len(paths) - 5} more"


def split(items: Sequence[Any], fraction: float, seed: int) -> tuple[list[Any], list[Any]]:
    """Shuffle by `seed` and part `items` into (training, validation), at least one of each, order kept.

    Raises PixelRNNError for fewer than two items or a fraction outside (0, 1).
    """
    if len(items) < 2 or not 0 < fraction < 1:
        raise PixelRNNError(
            f"cannot keep {fraction:.0%} of {len(items)} pictures for validation. "
            "Give at least 2 pictures and a fraction between 0 and 1."
        )
    count = min(len(items) - 1, max(1, round(fraction * len(items))))
    chosen = set(np.random.default_rng(seed).permutation(len(items))[:count].tolist())
    return [x for i, x in enumerate(items) if i not in chosen], [x for i, x in enumerate(items) if i in chosen]


def split_by_number(pairs: Sequence[Pair], valid_from: int) -> tuple[list[Pair], list[Pair]]:
    """Part pairs into (training, validation): those numbered `valid_from` and more validate.

    Raises PixelRNNError where a part is empty or a pair has no number.
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
