"""Scores a Completer, or any callable (image, mask) -> image, on cases whose truth is known.

Pictures are RGB uint8 (H, W, 3); masks are bool (H, W), True where the pixel is missing (255 in a file). A figure that has no
meaning for a case, such as the hole's PSNR where nothing is missing, is nan, and means leave it out.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import ExifTags, Image

from . import metrics
from .errors import PixelRNNError
from .image import grow, list_images, read_image, read_mask

PARTS = ("input", "mask", "target")
LAYOUT = "Expected SET/input/ID.png, SET/mask/ID.png (white where missing) and SET/target/ID.png, one of each for every ID."
CLASSICAL = ("telea", "ns", "mean")
NEAR = 4  # pixels around the hole that a method may touch: blending, and the ringing that a JPEG leaves there
SHARES = (*(f"{low}-{low + 10} %" for low in range(0, 60, 10)), "60+ %")  # groups by missing share, the lower end included
PSNR_CEILING = 10 * np.log10(255**2 / 1e-9)  # two equal pictures, 138.13 dB

# (image (H, W, 3) uint8, mask (H, W) bool or None: find it) -> (H, W, 3) uint8, or anything that has it as `.image`
Method = Callable[[np.ndarray, np.ndarray | None], Any]


@dataclass(frozen=True)
class Case:
    """One picture to complete: the occluded photograph, what is missing, the truth."""

    set: str
    id: str
    input: Path
    mask: Path
    target: Path

    def read(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The given picture (H, W, 3) uint8, the mask (H, W) bool and the truth (H, W, 3) uint8."""
        return read_image(self.input), read_mask(self.mask), read_image(self.target)


@dataclass(frozen=True)
class Score:
    """How one completion compares with the truth; `score_case` says how each is taken."""

    hole_psnr: float
    psnr: float
    ssim: float
    changed: float


@dataclass(frozen=True)
class Record:
    """One case completed: the share of its pixels that is missing, in [0, 1], the method's seconds, the scores."""

    set: str
    id: str
    missing: float
    seconds: float
    score: Score
    mask_iou: float  # of the mask a blind method found with the true one, in [0, 1]; nan where none was to be found


@dataclass(frozen=True)
class Summary:
    """Means over `count` cases, and the median of the seconds, which a slow first call does not move."""

    count: int
    missing: float
    hole_psnr: float
    psnr: float
    ssim: float
    changed: float
    mask_iou: float
    seconds: float
    without_ssim: int  # cases smaller than SSIM's window, which its mean leaves out


class Summaries(NamedTuple):
    """One Summary per group, keyed by its name, in order; groups without a case are left out."""

    by_set: dict[str, Summary]
    by_missing: dict[str, Summary]  # "10-20 %" holds the shares 0.1 <= share < 0.2 of all sets together


def read_cases(*folders: str | Path) -> list[Case]:
    """The cases in `folders`, each of which is one set or a folder of several; a set is named after its folder.

    Pictures are not decoded yet, but their sizes are read. Raises PixelRNNError for another layout, an ID that is not in all
    three parts, parts of different sizes, and two sets of one name.
    """
    sets: dict[str, Path] = {}
    for folder in map(Path, folders):
        for path in _sets(folder):
            name = path.resolve().name
            if name in sets:
                raise PixelRNNError(f"{sets[name]} and {path}: two sets of cases named {name}. Rename one of them.")
            sets[name] = path
    return [case for name, folder in sets.items() for case in _read_set(name, folder)]


def _sets(folder: Path) -> list[Path]:
    """`folder` where it is a set, otherwise its subfolders, all of which must be sets."""
    if not folder.is_dir():
        raise PixelRNNError(f"{folder}: no such folder. Give a folder of cases. {LAYOUT}")
    if any((folder / part).is_dir() for part in PARTS):
        found = [folder]
    else:
        found = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not found:
        raise PixelRNNError(f"{folder}: no set of cases in this folder. {LAYOUT}")
    for path in found:
        absent = [part for part in PARTS if not (path / part).is_dir()]
        if absent:
            raise PixelRNNError(f"{path}: not a set of cases, it has no folder {' or '.join(absent)}. {LAYOUT}")
    return found


def _read_set(name: str, folder: Path) -> list[Case]:
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
    cases = [Case(name, id_, *(files[part][id_] for part in PARTS)) for id_ in every]
    for case in cases:
        sizes = {path: _size(path) for path in (case.input, case.mask, case.target)}
        if len(set(sizes.values())) > 1:
            told = ", ".join(f"{path} is {width} x {height}" for path, (width, height) in sizes.items())
            raise PixelRNNError(f"case {name}/{case.id}: input, mask and target must be of one size, but {told}.")
    return cases


def _size(path: Path) -> tuple[int, int]:
    """Width and height of an upright picture, from its header alone, so that thousands of cases are checked at once."""
    try:
        with Image.open(path) as opened:
            # orientations 5 to 8 are turned by 90 degrees
            return opened.size if opened.getexif().get(ExifTags.Base.Orientation, 1) < 5 else opened.size[::-1]
    except Exception:  # whatever a damaged header raises; decoding says it in our words
        return read_image(path).shape[1::-1]


def classical(name: str) -> Method:
    """A method that needs no training: "telea" or "ns" (OpenCV's inpainting), or "mean", the mean colour of the known pixels.

    OpenCV's two see the hole grown by 2 px, which keeps a JPEG's ringing around it from bleeding in. All three need a mask.
    Raises PixelRNNError for an unknown name, and for telea and ns where OpenCV is not installed.
    """
    if name not in CLASSICAL:
        raise PixelRNNError(f"{name}: no such classical method. Choose one of {', '.join(CLASSICAL)}.")
    if name != "mean":
        try:
            import cv2
        except ImportError:
            raise PixelRNNError(f"{name} needs OpenCV, which is not installed: pip install 'pixelrnn[evaluate]'") from None

    def complete(image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        if mask is None:
            raise PixelRNNError(
                f"{name} cannot find the occlusion itself. Give a mask, or leave {name} out of a blind evaluation."
            )
        if name == "mean":
            # where nothing is known, the middle of the range
            colour = image[~mask].mean(0).round() if not mask.all() else 128
            return np.where(mask[..., None], colour, image).astype(np.uint8)
        flag = cv2.INPAINT_TELEA if name == "telea" else cv2.INPAINT_NS
        return np.asarray(cv2.inpaint(image, grow(mask, 2).astype(np.uint8) * 255, 5, flag))

    return complete


def score_case(out: np.ndarray, given: np.ndarray, target: np.ndarray, mask: np.ndarray) -> Score:
    """Compare `out`, the completion of `given`, with `target`; all uint8 (H, W, 3), `mask` bool (H, W), True where missing.

    hole_psnr  dB over the missing pixels, all channels; nan where none is missing
    psnr       dB of the picture with the truth pasted outside the hole, so that only the hole counts
    ssim       of the same picture, in [-1, 1]; nan for pictures smaller than its window of 11 x 11
    changed    % of the known pixels, more than 4 px away from the hole, that differ from `given`; nan where there is none

    Both PSNR end at 138.13 dB, for equal pictures. Raises PixelRNNError for another type or shape.
    """
    if not isinstance(out, np.ndarray) or out.dtype != np.uint8 or out.shape != target.shape:
        came = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise PixelRNNError(f"expected a completion of uint8 {target.shape}, the shape of the target, got {came}")
    if given.shape != target.shape or mask.shape != target.shape[:2] or mask.dtype != bool:
        raise PixelRNNError(
            f"expected the given picture of shape {target.shape} and a bool mask {target.shape[:2]}, as the target has, "
            f"got {given.shape} and {mask.dtype} {mask.shape}"
        )
    pasted, truth = (_tensor(image) for image in (np.where(mask[..., None], out, target), target))
    hole = torch.from_numpy(mask)[None, None]
    hole_psnr, psnr = (float(metrics.psnr(pasted, truth, only).clamp(max=PSNR_CEILING)) for only in (hole, None))
    # channel by channel: a third of the memory, which counts for photographs of many megapixels
    small = min(mask.shape) < metrics.WINDOW
    ssim = np.nan if small else np.mean([float(metrics.ssim(pasted[:, [c]], truth[:, [c]])) for c in range(3)])
    known = ~grow(mask, NEAR)
    differs = (out != given).any(-1)[known]
    return Score(hole_psnr, psnr, float(ssim), 100 * float(differs.mean()) if differs.size else np.nan)


def _tensor(image: np.ndarray) -> torch.Tensor:
    """uint8 (H, W, 3) to float64 (1, 3, H, W) in [0, 1]; float32 would blur the last digits of a good score."""
    return torch.from_numpy(image.transpose(2, 0, 1)[None] / 255.0)


def evaluate(
    method: Method,
    cases: Iterable[Case],
    *,
    blind: bool = False,
    progress: Callable[[Case, Record, np.ndarray], object] | None = None,
) -> list[Record]:
    """Complete every case with `method` and score it, one Record per case.

    With `blind` the method gets no mask, and where its result has a `.mask` the record has that one's IoU with the true mask.
    `progress(case, record, completed)` is called after each case, for a bar or to keep pictures. The seconds are those of the
    method alone, without reading and scoring. A PixelRNNError, the method's own or for a result that cannot be scored, names
    the case.
    """
    records = []
    for case in cases:
        given, mask, target = case.read()
        # copies, so that a method which writes into its arguments is scored against what it was given
        question, asked = given.copy(), None if blind else mask.copy()
        try:
            start = time.perf_counter()
            result = method(question, asked)
            seconds = time.perf_counter() - start
            out: Any = getattr(result, "image", result)
            score = score_case(out, given, target, mask)
        except PixelRNNError as error:
            raise PixelRNNError(f"case {case.set}/{case.id}: {error}") from None
        found: np.ndarray | None = getattr(result, "mask", None)
        iou = mask_iou(found, mask) if blind and found is not None else np.nan
        records.append(Record(case.set, case.id, float(mask.mean()), seconds, score, iou))
        if progress is not None:
            progress(case, records[-1], out)
    return records


def mask_iou(found: np.ndarray, mask: np.ndarray) -> float:
    """Intersection over union, in [0, 1], of two bool masks (H, W); 1 where both are empty."""
    union = (found | mask).sum()
    return float((found & mask).sum() / union) if union else 1.0


def summarise(records: Sequence[Record]) -> Summaries:
    """Means by set, in the order the sets came, and by the share of the picture that is missing, in steps of 10 %."""
    sets: dict[str, list[Record]] = {}
    shares: dict[str, list[Record]] = {name: [] for name in SHARES}
    for record in records:
        sets.setdefault(record.set, []).append(record)
        shares[SHARES[min(int(record.missing * 10), 6)]].append(record)
    return Summaries(
        {name: _summary(group) for name, group in sets.items()},
        {name: _summary(group) for name, group in shares.items() if group},
    )


def _summary(records: Sequence[Record]) -> Summary:
    scores = [record.score for record in records]
    return Summary(
        count=len(records),
        missing=_mean(record.missing for record in records),
        hole_psnr=_mean(score.hole_psnr for score in scores),
        psnr=_mean(score.psnr for score in scores),
        ssim=_mean(score.ssim for score in scores),
        changed=_mean(score.changed for score in scores),
        mask_iou=_mean(record.mask_iou for record in records),
        seconds=float(np.median([record.seconds for record in records])),
        without_ssim=sum(math.isnan(score.ssim) for score in scores),
    )


def _mean(values: Iterable[float]) -> float:
    """Mean of the values that are not nan; nan, without numpy's warning, where there is none."""
    counted = [value for value in values if not math.isnan(value)]
    return float(np.mean(counted)) if counted else np.nan
