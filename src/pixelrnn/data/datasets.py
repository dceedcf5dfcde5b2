"""Paired, test-only and clean photographs as PyTorch datasets.

Items are dicts. `image` is what the model sees and `target` what it should return, float32 (3, H, W) in [0, 1]; `mask` is
float32 (1, H, W), 1 where missing; `name` is a string. Datasets without a ground truth leave out what they do not have.
"""

import gzip
import struct
import zlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from ..decode import Source as File
from ..decode import read_image
from ..errors import PixelRNNError
from ..folders import list_images
from ..image import resize, to_float
from .occluders import occlude, occlude_as_described, random_mask, squares
from .pair_checks import difference_mask
from .pairs import LAYOUT, Pair
from .sources import Source, as_source

CACHE_BYTES = 4 * 2**30  # of decoded images, in all processes together that read for one loader


class _ImageCache:
    """Decoded images, kept as uint8 while they fit in memory; at size x size, or with `crop_scale` as `read_fitting` reads."""

    def __init__(self, size: int, crop_scale: float | None = None) -> None:
        self.size, self.crop_scale = size, crop_scale
        self.kept: dict[Hashable, np.ndarray] = {}
        self.bytes = 0

    def __call__(self, key: Hashable, file: Callable[[], File]) -> np.ndarray:
        """Return the image of a key; `file` opens it where it is not kept."""
        if key in self.kept:
            return self.kept[key]
        image = self.read(file())
        worker = get_worker_info()
        if self.bytes + image.nbytes <= CACHE_BYTES // (worker.num_workers if worker else 1):
            self.kept[key] = image
            self.bytes += image.nbytes
        return image

    def read(self, file: File) -> np.ndarray:
        if self.crop_scale is None:
            return resize(read_image(file), self.size, self.size)
        return read_fitting(file, self.size, self.crop_scale)


def read_fitting(file: File, size: int, crop_scale: float) -> np.ndarray:
    """Read a photograph and reduce it, its aspect kept, so that crops of size x size fit into it.

    Args:
        file: What read_image takes.
        size: The side of the crops in pixels.
        crop_scale: The short side becomes `crop_scale * size`, or less where that would enlarge it, but never below `size`.

    Returns:
        uint8 (H, W, 3).
    """
    image = read_image(file)
    height, width = image.shape[:2]
    short = min(height, width)
    scale = max(size, min(round(crop_scale * size), short)) / short
    return resize(image, max(size, round(width * scale)), max(size, round(height * scale)))


def _tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(to_float(image))


def _item(image: np.ndarray, target: np.ndarray, mask: np.ndarray, name: str) -> dict[str, Any]:
    return {
        "image": _tensor(image),
        "target": _tensor(target),
        "mask": torch.from_numpy(mask[None].astype(np.float32)),
        "name": name,
    }


class EpochShuffle(Sampler[int]):
    """Yields every index below `count` once, in an order that only the seed and the epoch decide.

    So a run that was stopped continues with the order that it would have had. Process `rank` of `world` takes every `world`-th
    index of that order, beginning with its own, and all take equally many: what they read at a time is together what one
    process would have read. The last `count % world` are left out.
    """

    def __init__(self, count: int, seed: int = 0, rank: int = 0, world: int = 1) -> None:
        self.count, self.seed, self.rank, self.world, self.epoch = count, seed, rank, world, 0

    def __len__(self) -> int:
        return self.count // self.world

    def set_epoch(self, epoch: int) -> None:
        """Draw another order from now on."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng([self.seed, self.epoch, self.count]).permutation(self.count)
        return map(int, order[self.rank : len(self) * self.world : self.world])


class Batches(DataLoader[Any]):
    """torch's loader, except that an error for the user stays one line where a worker raised it."""

    def __iter__(self) -> Any:
        return self._reworded(super().__iter__())

    def _reworded(self, batches: Iterator[Any]) -> Iterator[Any]:
        try:
            yield from batches
        except PixelRNNError as error:  # torch puts the worker's traceback before it
            raise PixelRNNError(str(error).strip().rpartition("PixelRNNError: ")[2]) from None


class PairedDataset(Dataset[dict[str, Any]]):
    """Occluded photographs and their originals at size x size; the mask is where the two differ."""

    def __init__(self, pairs: Sequence[Pair], size: int = 256) -> None:
        self.pairs, self.pictures = list(pairs), _ImageCache(size)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        pair = self.pairs[index]
        occluded, original = (self.pictures(path, partial(Path, path)) for path in (pair.occluded, pair.original))
        return _item(occluded, original, difference_mask(occluded, original), pair.key)


class OccludedTestDataset(Dataset[dict[str, Any]]):
    """Occluded photographs without ground truth, from DATA/occluded_test, at size x size."""

    def __init__(self, root: str | Path, size: int = 256) -> None:
        folder = Path(root) / "occluded_test"
        if not folder.is_dir():
            raise PixelRNNError(f"{folder}: no such folder; {LAYOUT}")
        self.paths, self.size = list_images(folder), size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        path = self.paths[index]
        return {"image": _tensor(resize(read_image(path), self.size, self.size)), "name": path.stem}


@dataclass(frozen=True)
class Occluder:
    """Makes samples of photographs: a square of size x size, with something in the way.

    Attributes:
        size: The side in pixels.
        augment: Whether to draw a random crop and mirror it half the time, for training; else the central square is taken.
        clean_prob: The share of training samples without an occlusion.
        style: "random", any shape, paint or foreign patch; "squares", any paint in squares; "square", the described one.
        crop_scale: For training, the photograph's short side is at most this multiple of `size`.
    """

    size: int = 256
    augment: bool = True
    clean_prob: float = 0.0
    style: str = "random"
    crop_scale: float = 1.25

    def pictures(self) -> _ImageCache:
        """Return a reader of the photographs in the size that it takes."""
        return _ImageCache(self.size, self.crop_scale if self.augment else 1)

    def __call__(
        self,
        rng: np.random.Generator,
        image: np.ndarray,
        other: Callable[[np.random.Generator], np.ndarray | None],
        name: str,
    ) -> dict[str, Any]:
        """Make a sample.

        Args:
            rng: The source of all randomness.
            image: The photograph, uint8 (H, W, 3), as `pictures` reads it.
            other: Returns another photograph, of which a patch may be, or None.
            name: The sample's name.
        """
        target = self._view(rng, image)
        if self.augment and rng.random() < self.clean_prob:
            return _item(target, target, np.zeros(target.shape[:2], bool), name)
        if self.style == "square":
            occluded, mask = occlude_as_described(rng, target)
        else:
            foreign = other(rng) if rng.random() < 0.1 else None
            foreign = foreign if foreign is None else self._view(rng, foreign)
            occluded, mask = occlude(rng, target, foreign, squares if self.style == "squares" else random_mask)
        return _item(occluded, target, mask, name)

    def _view(self, rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
        """Cut a square out of the photograph, uint8 (size, size, 3)."""
        size = self.size
        room = [side - size for side in image.shape[:2]]
        top, left = (int(rng.integers(0, slack, endpoint=True)) if self.augment else slack // 2 for slack in room)
        view = image[top : top + size, left : left + size].copy()
        if self.augment and rng.random() < 0.5:
            # torch mirrors an image's planes many times faster than numpy
            return torch.from_numpy(view).permute(2, 0, 1).flip(2).permute(1, 2, 0).numpy()
        return view


class OccludedPhotographs(Dataset[dict[str, Any]]):
    """Clean photographs, from a source or by their paths, that an `Occluder` occludes as they are read.

    For training (`augment`) each epoch (`set_epoch`) has other crops and occlusions; else they are always the same.
    """

    def __init__(
        self,
        photographs: Source | Sequence[Path],
        size: int = 256,
        seed: int = 0,
        augment: bool = True,
        clean_prob: float = 0.0,
        style: str = "random",
        crop_scale: float = 1.25,
    ) -> None:
        self.source, self.seed, self.epoch = as_source(photographs), seed, 0
        self.occluder = Occluder(size, augment, clean_prob, style, crop_scale)
        self.pictures = self.occluder.pictures()

    def __len__(self) -> int:
        return len(self.source)

    def set_epoch(self, epoch: int) -> None:
        """Draw other crops and occlusions from now on."""
        self.epoch = epoch

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        rng = np.random.default_rng([self.seed, self.epoch if self.occluder.augment else 0, index])
        name = PurePosixPath(self.source.key(index)).stem
        return self.occluder(rng, self._picture(index), lambda rng: self._picture(int(rng.integers(len(self)))), name)

    def _picture(self, index: int) -> np.ndarray:
        return self.pictures(index, lambda: self.source.open(index))


class BinarisedDigits(Dataset[dict[str, Any]]):
    """MNIST as black and white images (1, 28, 28), everything missing: each pixel is white with the probability of its grey.

    Args:
        root: A folder with train-images-idx3-ubyte.gz and t10k-images-idx3-ubyte.gz.
        part: "train", the first 59,000, drawn afresh at each epoch (`set_epoch`); "valid", the last 1,000, or "test", the
            10,000, both drawn once.

    Raises:
        PixelRNNError: The file is missing or not of that format.
    """

    def __init__(self, root: str | Path, part: str = "train") -> None:
        path = Path(root) / f"{'t10k' if part == 'test' else 'train'}-images-idx3-ubyte.gz"
        try:
            content = gzip.decompress(path.read_bytes())
            kind, count, height, width = struct.unpack(">4i", content[:16])
            digits = np.frombuffer(content, np.uint8, offset=16).reshape(count, height, width)
        except (OSError, EOFError, zlib.error, struct.error, ValueError) as error:
            raise PixelRNNError(f"{path}: no readable pictures in MNIST's format ({error}).") from None
        if kind != 0x803:
            raise PixelRNNError(f"{path}: expected MNIST's pictures, which begin with 00 00 08 03, got {kind:08x}.")
        self.digits = {"train": digits[:59_000], "valid": digits[59_000:], "test": digits}[part]
        self.part, self.epoch = part, 0

    def __len__(self) -> int:
        return len(self.digits)

    def set_epoch(self, epoch: int) -> None:
        """Draw other pixels from now on."""
        self.epoch = epoch

    def __getitem__(self, index: int) -> dict[str, Any]:
        rng = np.random.default_rng([self.epoch if self.part == "train" else 0, index])
        digit = self.digits[index]
        target = (rng.random(digit.shape) < digit / 255)[None].astype(np.float32)
        return {"target": torch.from_numpy(target), "mask": torch.ones(target.shape), "name": f"{self.part}_{index}"}


def is_mnist(root: Path) -> bool:
    """Return whether `root` holds the digits of MNIST."""
    return (root / "train-images-idx3-ubyte.gz").is_file()


class CoarseCases(Dataset[dict[str, Any]]):
    """Coarse images with holes, and a first guess of what is in them, `guess`. recipes/coarse.py writes them.

    Args:
        root: A folder with train.npy and valid.npy, uint8 (N, 7, H, W): the truth, the guess, and 255 where missing. In
            (N, 8, H, W) the square root of the guess's standard deviation comes before the mask and belongs to `guess`.
        part: "train", where an image is mirrored half the time, or "valid".

    Raises:
        PixelRNNError: The file is missing or not of that form.
    """

    def __init__(self, root: str | Path, part: str = "train") -> None:
        path = Path(root) / f"{part}.npy"
        try:
            self.cases = np.load(path, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise PixelRNNError(f"{path}: no readable array ({error}). Write it: python recipes/coarse.py") from None
        if self.cases.ndim != 4 or self.cases.shape[1] not in (7, 8) or self.cases.dtype != np.uint8:
            raise PixelRNNError(f"{path}: expected uint8 (N, 7 or 8, H, W), got {self.cases.dtype} {self.cases.shape}.")
        self.part, self.epoch = part, 0

    def __len__(self) -> int:
        return len(self.cases)

    def set_epoch(self, epoch: int) -> None:
        """Mirror other images from now on."""
        self.epoch = epoch

    def __getitem__(self, index: int) -> dict[str, Any]:
        case = torch.from_numpy(self.cases[index].astype(np.float32) / 255)
        if self.part == "train" and np.random.default_rng([self.epoch, index]).random() < 0.5:
            case = case.flip(2)
        return {"target": case[:3], "guess": case[3:-1], "mask": case[-1:], "name": f"{self.part}_{index}"}


def is_coarse(root: Path) -> bool:
    """Return whether `root` holds coarse cases."""
    return (root / "train.npy").is_file()
