"""Scores a Completer, or any callable (image, mask) -> image, on cases whose truth is known.

Pictures are RGB uint8 (H, W, 3); masks are bool (H, W), True where the pixel is missing (255 in a file). A figure that has no
meaning for a case, such as the hole's PSNR where nothing is missing, is nan, and means leave it out.
"""

import ctypes
import math
import re
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from ..decode import read_image
from ..errors import PixelRNNError
from ..image import dilate, resize, to_float, to_uint8
from ..inference.completer import WORK_SIDE, Completer
from ..models.efficientnet import MULTIPLE, EfficientNetFeatures, has_features, load_features
from . import calibration, metrics
from .cases import Case, squared

NEAR = 4  # pixels around the hole that a method may touch: blending, and the ringing that a JPEG leaves there
SHARES = (*(f"{low}-{low + 10} %" for low in range(0, 60, 10)), "60+ %")  # groups by missing share, the lower end included
PAIRED = ("hole_psnr", "hole_ssim", "gms", "perceptual")  # the figures whose differences between methods are told
PSNR_CEILING = 10 * np.log10(255**2 / 1e-9)  # two equal pictures, 138.13 dB
PROCESS = Path("/proc/self")  # where Linux tells of the memory

# (image (H, W, 3) uint8, mask (H, W) bool or None: find it) -> (H, W, 3) uint8, or anything that has it as `.image`
Method = Callable[[np.ndarray, np.ndarray | None], Any]


@dataclass(frozen=True)
class Score:
    """How one completion compares with the truth; `score_case` says how each is taken."""

    hole_psnr: float
    hole_ssim: float
    gms: float
    psnr: float
    ssim: float
    raw_psnr: float
    raw_ssim: float
    changed: float
    energy: float
    true_energy: float
    step: float
    true_step: float
    perceptual: float = math.nan


@dataclass(frozen=True)
class Detection:
    """A mask that was found, against the true one: the first three in [0, 1], the last in %."""

    iou: float  # intersection over union; 1 where both are empty
    precision: float  # share of the found pixels that are missing; nan where none was found
    recall: float  # share of the missing pixels that were found; nan where none is missing
    false_positive: float  # % of the known pixels that were called missing; nan where none is known


@dataclass(frozen=True)
class Record:
    """One case completed: the share of its pixels that is missing, in [0, 1], the method's seconds, the scores."""

    set: str
    id: str
    missing: float
    seconds: float
    score: Score
    memory: float = math.nan  # MB by which resident memory rose, at its peak, while the method ran; nan where not measured
    mask: Detection | None = None  # of the mask that a blind method completed under
    ungrown: Detection | None = None  # of what its detector saw, before that was grown
    pixels: calibration.Pixels | None = field(default=None, compare=False, repr=False)  # where a deviation was predicted

    def figures(self) -> dict[str, float]:
        """All figures by name; those of `mask` and `ungrown` as mask_iou, ungrown_iou and so on."""
        named = {"missing": self.missing, **asdict(self.score), "seconds": self.seconds, "memory": self.memory}
        for prefix, detection in (("mask", self.mask), ("ungrown", self.ungrown)):
            named |= {f"{prefix}_{one.name}": getattr(detection, one.name, math.nan) for one in fields(Detection)}
        return named


class Estimate(NamedTuple):
    """A mean over images and its 95% confidence interval; nan where there is none."""

    mean: float
    low: float = math.nan
    high: float = math.nan


# "count", the figures of a group of Records by name, and their `ratios` to the truth; of "seconds" the median, which a slow
# first call does not move, and of "memory" the greatest
Summary = dict[str, Estimate]


class Summaries(NamedTuple):
    """One Summary per group, keyed by its name, in order; groups without a case are left out."""

    by_set: dict[str, Summary]
    by_missing: dict[str, Summary]  # "10-20 %" holds the shares 0.1 <= share < 0.2 of all sets together


@cache
def _features() -> EfficientNetFeatures | None:
    return load_features() if has_features() else None


@torch.inference_mode()
def _perceptual(x: torch.Tensor, y: torch.Tensor, hole: torch.Tensor) -> float:
    """The distance of two pictures (1, 3, H, W), seen up to 64 px around the hole."""
    features = _features()
    if features is None or not hole.any():
        return math.nan
    sides = []
    for axis in (3, 2):
        places = hole.any(dim=axis).nonzero()[:, 2]
        sides.append(slice(max(0, int(places.min()) - 64) // MULTIPLE * MULTIPLE, int(places.max()) + 65))
    x, y, hole = (part[..., sides[0], sides[1]] for part in (x, y, hole.float()))
    padding = (0, -x.shape[3] % MULTIPLE, 0, -x.shape[2] % MULTIPLE)
    here, there = (features(F.pad(part, padding, mode="replicate")) for part in (x, y))
    return float(metrics.perceptual_distance(here, there, F.pad(hole, padding)))


def score_case(out: np.ndarray, given: np.ndarray, target: np.ndarray, mask: np.ndarray) -> Score:
    """Compare `out`, the completion of `given`, with `target`; all uint8 (H, W, 3), `mask` bool (H, W), True where missing.

    hole_psnr  dB over the missing pixels, all channels; nan where none is missing
    psnr       dB of the picture with the truth pasted outside the hole, so that only the hole counts
    ssim       of the same picture, in [-1, 1]; nan for pictures smaller than its window of 11 x 11
    hole_ssim  of the same picture, over the windows whose centre is missing; nan also where there is none
    gms        of the same picture, gradient magnitude similarity over the missing pixels, in (0, 1]
    raw_psnr   dB of `out` as it is
    raw_ssim   of `out` as it is; nan for small pictures
    changed    % of the known pixels, more than 4 px away from the hole, that differ from `given`; nan where there is none
    energy     of the pasted picture, gradient energy in the hole, true_energy that of `target`; nan where no two neighbours
               are missing
    step       of the pasted picture, mean step across the hole's border, true_step that of `target`; nan where it has none
    perceptual of the same picture, distance of its EfficientNet features in the hole from the truth's, lower is closer; nan
               where nothing is missing, or without the extra `perceptual`

    PSNR ends at 138.13 dB, for equal pictures. Raises PixelRNNError for another type or shape.
    """
    if not isinstance(out, np.ndarray) or out.dtype != np.uint8 or out.shape != target.shape:
        came = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise PixelRNNError(f"expected a completion of uint8 {target.shape}, the shape of the target, got {came}")
    if given.shape != target.shape or mask.shape != target.shape[:2] or mask.dtype != bool:
        raise PixelRNNError(
            f"expected the given picture of shape {target.shape} and a bool mask {target.shape[:2]}, as the target has, "
            f"got {given.shape} and {mask.dtype} {mask.shape}"
        )
    pasted, raw, truth = (_tensor(image) for image in (np.where(mask[..., None], out, target), out, target))
    hole = torch.from_numpy(mask)[None, None]
    known = ~dilate(mask, NEAR)
    differs = (out != given).any(-1)[known]
    ssim, hole_ssim = _ssim(pasted, truth, hole)
    return Score(
        hole_psnr=_psnr(pasted, truth, hole),
        hole_ssim=hole_ssim,
        gms=float(metrics.gms(pasted, truth, hole)),
        psnr=_psnr(pasted, truth),
        ssim=ssim,
        raw_psnr=_psnr(raw, truth),
        raw_ssim=_ssim(raw, truth, hole)[0],
        changed=100 * float(differs.mean()) if differs.size else np.nan,
        energy=float(metrics.gradient_energy(pasted, hole)),
        true_energy=float(metrics.gradient_energy(truth, hole)),
        step=float(metrics.border_step(pasted, hole)),
        true_step=float(metrics.border_step(truth, hole)),
        perceptual=_perceptual(pasted.float(), truth.float(), hole),
    )


def _psnr(x: torch.Tensor, y: torch.Tensor, mask: torch.Tensor | None = None) -> float:
    return float(metrics.psnr(x, y, mask).clamp(max=PSNR_CEILING))


def _ssim(x: torch.Tensor, y: torch.Tensor, mask: torch.Tensor) -> tuple[float, float]:
    """SSIM of two pictures (1, 3, H, W) over all windows, and over those whose centre is True in `mask` (1, 1, H, W)."""
    if min(mask.shape[-2:]) < metrics.WINDOW:
        return np.nan, np.nan
    edge = metrics.WINDOW // 2
    centre = mask[0, 0, edge:-edge, edge:-edge]
    # channel by channel: a third of the memory, which counts for photographs of many megapixels
    maps = (metrics.ssim_map(x[:, [c]], y[:, [c]])[0, 0] for c in range(3))
    every, inside = np.mean([(float(one.mean()), float(one[centre].mean())) for one in maps], axis=0)
    return float(every), float(inside)


def _tensor(image: np.ndarray) -> torch.Tensor:
    """uint8 (H, W, 3) to float64 (1, 3, H, W) in [0, 1]; float32 would blur the last digits of a good score."""
    return torch.from_numpy(image.transpose(2, 0, 1)[None] / 255.0)


def evaluate(
    method: Method,
    cases: Iterable[Case],
    *,
    blind: bool = False,
    detect: Callable[[np.ndarray], np.ndarray] | None = None,
    progress: Callable[[Case, Record, np.ndarray], object] | None = None,
) -> list[Record]:
    """Complete every case with `method` and score it, one Record per case.

    With `blind` the method gets no mask, and where its result has a `.mask` the record compares that with the true one;
    `detect`, picture to bool (H, W), is what the method sees before it grows it, and is compared as well. With the mask, where
    the result has an `.uncertainty`, some of its pixels are kept for calibration. `progress(case, record, completed)` is called
    after each case, for a bar or to keep pictures. The seconds, and the memory, taken on the first case of each set, are the
    method's alone, without reading and scoring. A PixelRNNError, the method's own or for a result that cannot be scored, names
    the case.
    """
    records: list[Record] = []
    measured: set[str] = set()
    for case in cases:
        given, mask, target = case.read()
        # copies, so that a method which writes into its arguments is scored against what it was given
        question, asked = given.copy(), None if blind else mask.copy()
        try:
            before = math.nan if case.set in measured else _resident_at_rest()
            start = time.perf_counter()
            result = method(question, asked)
            seconds = time.perf_counter() - start
            memory = _resident("VmHWM") - before
            out: Any = getattr(result, "image", result)
            score = score_case(out, given, target, mask)
            seen = detect(given.copy()) if blind and detect is not None else None
        except PixelRNNError as error:
            raise PixelRNNError(f"case {case.set}/{case.id}: {error}") from None
        found: np.ndarray | None = getattr(result, "mask", None) if blind else None
        deviation: np.ndarray | None = getattr(result, "uncertainty", None) if not blind else None
        measured.add(case.set)
        record = Record(
            case.set,
            case.id,
            float(mask.mean()),
            seconds,
            score,
            memory,
            None if found is None else score_mask(found, mask),
            None if seen is None else score_mask(seen, mask),
            None if deviation is None else calibration.sample(out, deviation, target, mask),
        )
        records.append(record)
        if progress is not None:
            progress(case, record, out)
    return records


def _resident(name: str) -> float:
    """MB of this process in memory: now, "VmRSS", or at their peak, "VmHWM"; nan where the system has no /proc."""
    try:
        found = re.search(rf"{name}:\s*(\d+) kB", (PROCESS / "status").read_text())
    except OSError:
        return math.nan
    return int(found[1]) * 1024 / 1e6 if found else math.nan


def _resident_at_rest() -> float:
    """MB in memory now, the peak forgotten; nan where it cannot be forgotten, for then the next one is not that of one call.

    What was freed but kept for reuse is given back first, or the next call would seem to need nothing. That makes it slower.
    """
    with suppress(AttributeError, OSError, TypeError):  # another C library than glibc, which alone is known to keep so much
        ctypes.CDLL(None).malloc_trim(0)
    try:
        (PROCESS / "clear_refs").write_text("5")  # man 5 proc: resets the peak resident set size
    except OSError:
        return math.nan
    return _resident("VmRSS")


def raw(completer: Completer) -> Method:
    """The network's own picture, the known pixels redrawn as well, where a Completer pastes them back; it needs a mask."""

    def draw(image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        if mask is None:
            raise PixelRNNError("the raw picture is drawn with a mask. Give one.")
        height, width = mask.shape
        # asked as the completer asks: the hole black, at its working size
        scale = min(1.0, WORK_SIDE / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        given = np.where(mask[..., None], np.uint8(0), image)
        output = completer.backend(to_float(resize(given, *size)), resize(mask, *size))
        return resize(to_uint8(output.image), width, height)

    return draw


def score_mask(found: np.ndarray, mask: np.ndarray) -> Detection:
    """Compare two bool masks (H, W), True where missing: the one that was found and the true one."""
    hit = float((found & mask).sum())
    precision, recall = (hit / total if (total := one.sum()) else np.nan for one in (found, mask))
    known = found[~mask]
    return Detection(mask_iou(found, mask), precision, recall, 100 * float(known.mean()) if known.size else np.nan)


def mask_iou(found: np.ndarray, mask: np.ndarray) -> float:
    """Intersection over union, in [0, 1], of two bool masks (H, W); 1 where both are empty."""
    union = (found | mask).sum()
    return float((found & mask).sum() / union) if union else 1.0


ALTERED = 0.05  # % of the pixels: a photograph counts as altered


@dataclass(frozen=True)
class FalseAlarms:
    """What a detector sees on photographs where nothing is in the way."""

    pictures: int
    altered: int  # pictures of which it takes more than ALTERED for an occlusion
    left_alone: int  # pictures in which it sees nothing
    called_missing: Estimate  # mean % of a picture's pixels


def false_alarms(
    detect: Callable[[np.ndarray], np.ndarray],
    paths: Sequence[Path],
    size: int | None = None,
    progress: Callable[[], object] | None = None,
) -> FalseAlarms:
    """Run `detect`, picture uint8 (H, W, 3) to bool (H, W), on unoccluded photographs; `size` as for `read_cases`."""
    shares = []
    for path in paths:
        shares.append(100 * float(detect(squared(read_image(path), size)).mean()))
        if progress is not None:
            progress()
    called = estimates([{"called": share} for share in shares])["called"]
    altered, alone = sum(share > ALTERED for share in shares), sum(share == 0 for share in shares)
    return FalseAlarms(len(shares), altered, alone, called)


def summarise(records: Sequence[Record]) -> Summaries:
    """By set, in the order the sets came, and by the share of the picture that is missing, in steps of 10 %."""
    shares: dict[str, list[Record]] = {name: [] for name in SHARES}
    for record in records:
        shares[SHARES[min(int(record.missing * 10), 6)]].append(record)
    return Summaries(
        {name: _summary(group) for name, group in by_set(records).items()},
        {name: _summary(group) for name, group in shares.items() if group},
    )


def by_set(records: Iterable[Record]) -> dict[str, list[Record]]:
    """The records of each set, in the order the sets came."""
    sets: dict[str, list[Record]] = {}
    for record in records:
        sets.setdefault(record.set, []).append(record)
    return sets


def differences(first: Iterable[Record], other: Sequence[Record]) -> dict[str, Summary]:
    """By set, over the cases that both have, `first` minus `other`: "count" and the figures of PAIRED.

    Its intervals are those of paired differences, far narrower than the two methods' own where cases differ in difficulty.
    """
    mine = {(record.set, record.id): asdict(record.score) for record in first}
    made = {}
    for name, group in by_set(record for record in other if (record.set, record.id) in mine).items():
        rows = [{key: mine[name, one.id][key] - getattr(one.score, key) for key in PAIRED} for one in group]
        made[name] = {"count": Estimate(len(rows)), **estimates(rows)}
    return made


def _summary(records: Sequence[Record]) -> Summary:
    summary = estimates([record.figures() for record in records])
    peaks = [record.memory for record in records if not math.isnan(record.memory)]
    special = {"seconds": float(np.median([record.seconds for record in records])), "memory": max(peaks, default=math.nan)}
    return {
        "count": Estimate(len(records)),
        **summary,
        **{name: Estimate(value) for name, value in special.items()},
        **ratios([record.score for record in records]),
    }


def ratios(scores: Sequence[Score]) -> Summary:
    """Sharpness over that of the truth, 1 where they are equal, with intervals as `estimates` has them.

    energy_ratio         sum of the pictures' gradient energies over the sum of the truth's: pictures rich in detail count most
    energy_ratio_median  of the pictures' own ratios, which one picture cannot move; a truth without any detail left out
    step_ratio           sum of the pictures' steps across the hole's border over the sum of the truth's
    """
    energy = np.array([(one.energy, one.true_energy) for one in scores]).reshape(-1, 2)
    step = np.array([(one.step, one.true_step) for one in scores]).reshape(-1, 2)
    return {
        "energy_ratio": _bootstrapped(_pooled, energy),
        "energy_ratio_median": _bootstrapped(_median, energy[energy[:, 1] > 0]),
        "step_ratio": _bootstrapped(_pooled, step),
    }


def _pooled(pairs: np.ndarray) -> np.ndarray:
    """(..., N, 2) to (...): nan where all truths are 0."""
    total = pairs.sum(axis=-2)
    return np.divide(total[..., 0], total[..., 1], out=np.full(total.shape[:-1], np.nan), where=total[..., 1] > 0)


def _median(pairs: np.ndarray) -> np.ndarray:
    """(..., N, 2) to (...)."""
    return np.asarray(np.median(pairs[..., 0] / pairs[..., 1], axis=-1))


def _bootstrapped(statistic: Callable[[np.ndarray], np.ndarray], pairs: np.ndarray) -> Estimate:
    """`statistic` of the pairs (N, 2) that are not nan, and its percentile bootstrap over them: 2,000 draws, a fixed seed."""
    pairs = pairs[~np.isnan(pairs).any(axis=1)]
    value = float(statistic(pairs)) if len(pairs) else np.nan
    if len(pairs) < 2 or np.isnan(value):
        return Estimate(value)
    drawn = pairs[np.random.default_rng(0).integers(len(pairs), size=(2000, len(pairs)))]  # (2000, N, 2)
    low, high = np.nanpercentile(statistic(drawn), (2.5, 97.5))
    return Estimate(value, float(low), float(high))


def estimates(rows: Sequence[dict[str, float]]) -> Summary:
    """Mean and 95% confidence interval of each figure over `rows`, one row of the same figures per image; nan left out.

    The interval is the percentile bootstrap's: images drawn with replacement, 2,000 times, with a fixed seed. With fewer than
    two images there is none; with fewer than some twenty it is too narrow.
    """
    values = np.array([list(row.values()) for row in rows]).reshape(len(rows), -1)  # (N, K)
    counted = ~np.isnan(values)
    # how often each image is drawn, (2000, N)
    drawn = np.random.default_rng(0).multinomial(len(rows), np.full(len(rows), 1 / max(len(rows), 1)), 2000).astype(float)
    made = {}
    for k, name in enumerate(rows[0] if rows else ()):
        only, weights = values[counted[:, k], k], drawn[:, counted[:, k]]
        if only.size < 2:
            made[name] = Estimate(float(only[0]) if only.size else np.nan)
            continue
        totals = weights.sum(1)
        means = (weights @ only)[totals > 0] / totals[totals > 0]
        low, high = np.percentile(means, (2.5, 97.5))
        made[name] = Estimate(float(only.mean()), float(low), float(high))
    return made
