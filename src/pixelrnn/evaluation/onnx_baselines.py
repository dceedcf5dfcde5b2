"""Learned baselines from ONNX files of other programs: LaMa, MI-GAN, and inpainters exported like them.

Such files declare the names, types and sizes of their inputs, but not what the numbers mean. What that leaves open is guessed,
where possible by trying the graph out, and reported. Options after the file's name settle it:

FILE.onnx[:missing=1][:known=0][:picture=0..1][:output=0..255][:first=mask]

missing, known   the mask's values; 1 and 0 in LaMa (Suvorov and others 2022), 0 and 255 in MI-GAN's pipeline (Sargsyan and
                 others 2023), -0.5 and 0.5 in its bare network
picture, output  the ranges of the image that goes in and of the one that comes out: 0..1, 0..255 or -1..1
first            which comes first in one input that holds both: the picture, 0 where missing, or the mask
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import PixelRNNError, nearest
from ..image import paste_known, resize
from ..inference.backends import start_session

RANGES = {"0..1": (0.0, 1.0), "0..255": (0.0, 255.0), "-1..1": (-1.0, 1.0)}
KEYS = ("missing", "known", "picture", "output", "first")
STEP = 8  # pixels: a graph that takes any size gets sides that are multiples of it
TRIED = 256  # pixels: the side of the square that such a graph is tried out on
KEPT = 0.95  # correlation with the known pixels from which on an answer keeps them
TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


@dataclass(frozen=True)
class Input:
    """An input of a graph: its name, its axes, such as "BCHW", its type and its fixed size."""

    name: str
    axes: str
    type: type[np.generic]
    size: tuple[int, int] | None  # height, width; None where it takes any

    def __str__(self) -> str:
        size = "any size" if self.size is None else f"{self.size[1]} x {self.size[0]}"
        return f"{self.name} ({self.type.__name__}, {self.axes}, {size})"

    def pack(self, planes: np.ndarray) -> np.ndarray:
        """Bring planes (C, H, W) into the axes and the type that the graph takes."""
        planes = np.rint(planes) if np.issubdtype(self.type, np.integer) else planes
        order = ["CHW".index(axis) for axis in self.axes if axis != "B"] if "C" in self.axes else [0, 1]
        turned = (planes if "C" in self.axes else planes[0]).transpose(order).astype(self.type)
        return np.ascontiguousarray(turned[None] if "B" in self.axes else turned)


@dataclass(frozen=True)
class Encoding:
    """What the numbers of a graph's inputs and output mean, as the options of the file's name say it."""

    missing: float
    known: float
    picture: str
    output: str
    mask_first: bool


@dataclass(frozen=True)
class OnnxBaseline:
    """A callable (image (H, W, 3) uint8, mask (H, W) bool, True where missing) -> (H, W, 3) uint8, known pixels byte for byte.

    It takes any size. A graph of a fixed size sees the image resized, and its answer is resized back. Any other graph sees the
    image padded with its edge pixels to multiples of STEP.
    """

    path: Path
    session: Any
    inputs: tuple[Input, ...]  # the image and the mask, or one that holds both
    encoding: Encoding
    reading: str = ""  # one line: how the file is read

    def __call__(self, image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        if mask is None:
            raise PixelRNNError(f"{self.path.name} cannot find the occlusion itself. Give a mask, or leave it out.")
        if not mask.any():
            return image.copy()
        height, width = mask.shape
        fixed = self.inputs[0].size
        if fixed is not None:
            filled = self._filled(resize(image, *fixed[::-1]), resize(mask, *fixed[::-1]))
        else:
            more = (0, -height % STEP), (0, -width % STEP)
            filled = self._filled(np.pad(image, (*more, (0, 0)), "edge"), np.pad(mask, more))[:height, :width]
        return paste_known(image, resize(filled, width, height), mask)

    def _filled(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        low, high = RANGES[self.encoding.output]
        output = (self.run(image, mask) - low) / (high - low)
        return np.rint(np.clip(output, 0, 1) * 255).astype(np.uint8)

    def run(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Return the graph's answer to an image of a size that it takes, as float64 (H, W, 3) in the output's range."""
        low, high = RANGES[self.encoding.picture]
        image_planes = low + (high - low) * image.transpose(2, 0, 1) / 255
        mask_planes = np.where(mask, self.encoding.missing, self.encoding.known)[None]
        if len(self.inputs) == 1:
            parts = [image_planes * ~mask, mask_planes]
            planes = [np.concatenate(parts[::-1] if self.encoding.mask_first else parts)]
        else:
            planes = [image_planes, mask_planes]
        try:
            feeds = {graph_input.name: graph_input.pack(part) for graph_input, part in zip(self.inputs, planes, strict=True)}
            output = self.session.run(None, feeds)[0]
        except Exception as error:  # ONNX Runtime's errors have no other common base
            raise PixelRNNError(f"{self.path}: ONNX Runtime cannot run it ({str(error).splitlines()[0][:200]}).") from None
        answer = np.asarray(output, np.float64)
        answer = answer[0] if answer.ndim == 4 else answer
        answer = answer.transpose(1, 2, 0) if answer.ndim == 3 and answer.shape[0] == 3 else answer
        if answer.ndim != 3 or answer.shape[2] != 3 or not np.isfinite(answer).all():
            raise PixelRNNError(f"{self.path}: its first output is {output.dtype} {output.shape}, not one finite RGB picture.")
        return answer


def onnx_baseline(given: str) -> OnnxBaseline:
    """Load the inpainter of a file.

    Args:
        given: The file's path, with the options that the module describes after it or without.

    Raises:
        PixelRNNError: The file cannot be run, or the graph or the options are not understood.
    """
    path, options = _options(given)
    if not path.is_file():
        raise PixelRNNError(f"{path}: no such file. Check the path.")
    session = start_session(str(path), path)
    inputs = _inputs(path, session)
    meanings = _meanings(inputs[-1].type)
    missing, known = meanings[0]
    if "missing" in options or "known" in options:
        missing = float(options.get("missing", missing))
        known = float(options.get("known", max(meanings[0]) if missing == 0 else 0))
    encoding = Encoding(
        missing,
        known,
        picture=options.get("picture", "0..255" if np.issubdtype(inputs[0].type, np.integer) else "0..1"),
        output=options.get("output", "0..1"),
        mask_first=options.get("first") == "mask",
    )
    baseline, mask_how, output_how = OnnxBaseline(path, session, inputs, encoding), "as told", "as told"
    if "missing" not in options and "known" not in options:
        baseline, mask_how = _try_mask(baseline, meanings) if len(inputs) == 2 else (baseline, "assumed")
    if "output" not in options:
        baseline, output_how = _try_output(baseline), "tried out"
    return replace(baseline, reading=_reading(baseline, mask_how, output_how))


def _meanings(kind: type[np.generic]) -> list[tuple[float, float]]:
    """List what a mask of this type may hold where pixels are missing and where they are known, the most usual first."""
    if np.issubdtype(kind, np.integer):
        return [(0, 255), (255, 0), (1, 0), (0, 1)]
    return [(1, 0), (0, 1)] if kind is np.bool_ else [(1, 0), (0, 1), (255, 0), (0, 255)]


def is_onnx(name: str) -> bool:
    """Return whether a method's name is that of an ONNX file, with options or without."""
    return re.search(r"\.onnx(:|$)", name, re.IGNORECASE) is not None


def _options(given: str) -> tuple[Path, dict[str, str]]:
    """Parse FILE.onnx:key=value:key=value. The file's own path may hold colons too."""
    match = re.match(r"(.*?\.onnx)((?::.*)?)$", given, re.IGNORECASE)
    if match is None:
        raise PixelRNNError(f"{given}: expected FILE.onnx, then options such as :missing=1.")
    path, options = Path(match[1]), {}
    for word in filter(None, match[2].split(":")):
        key, _, value = word.partition("=")
        if key not in KEYS:
            raise PixelRNNError(f"{path.name}: no such option {key!r}{nearest(key, list(KEYS))} Choose of {', '.join(KEYS)}.")
        allowed = {"picture": tuple(RANGES), "output": tuple(RANGES), "first": ("picture", "mask")}.get(key)
        if allowed is not None and value not in allowed:
            raise PixelRNNError(f"{path.name}: {key}={value}: expected {', '.join(allowed)}.")
        options[key] = value if allowed else str(_number(path, key, value))
    return path, options


def _number(path: Path, key: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise PixelRNNError(f"{path.name}: {key}={value}: expected a number, such as 0, 1 or 255.") from None


def _inputs(path: Path, session: Any) -> tuple[Input, ...]:
    """Recognise the image and the mask, in this order, or the one input that holds both."""
    declared = session.get_inputs()
    described = ", ".join(f"{value.name} {value.type} {value.shape}" for value in declared)
    error = PixelRNNError(
        f"{path}: its inputs are {described[:300]}. Expected a picture (3 channels) and a mask (1 channel), or one input of "
        "both (4 channels). Weights of pixelrnn are given by --weights."
    )
    if len(declared) not in (1, 2) or any(value.type not in TYPES for value in declared):
        raise error
    if len(declared) == 1:
        both = _input(declared[0], 4)
        if both is None:
            raise error
        return (both,)
    images = [_input(value, 3) for value in declared]
    masks = [_input(value, 1) for value in declared]
    called_mask = ["mask" in value.name.lower() for value in declared]
    for image_index, mask_index in ((0, 1), (1, 0)) if called_mask != [True, False] else ((1, 0),):
        image, mask = images[image_index], masks[mask_index]
        if image is not None and mask is not None:
            return image, replace(mask, size=image.size)
    raise error


def _input(value: Any, channels: int) -> Input | None:
    """Read a declared input as one of so many channels; None where its shape is of another number."""
    shape = [size if isinstance(size, int) and size > 0 else None for size in value.shape]
    layouts = ("BCHW", "BHWC", "CHW", "HWC", *(("BHW", "HW") if channels == 1 else ()))
    sizes = {axes: dict(zip(axes, shape, strict=True)) for axes in layouts if len(axes) == len(shape)}
    # a declared number of channels counts for more than one that is left open
    for sure in (True, False):
        for axes, by_axis in sizes.items():
            declared = by_axis.get("C", channels)
            fits = declared == channels if sure else declared is None and not {1, 3, 4} & {by_axis["H"], by_axis["W"]}
            if fits and by_axis.get("B") in (None, 1):
                size = (by_axis["H"], by_axis["W"]) if by_axis["H"] and by_axis["W"] else None
                return Input(value.name, axes, TYPES[value.type], size)
    return None


def _example(baseline: OnnxBaseline) -> tuple[np.ndarray, np.ndarray]:
    """Make a bright image and a mask to try a graph out on."""
    height, width = baseline.inputs[0].size or (TRIED, TRIED)
    coarse = np.random.default_rng(0).integers(90, 230, (8, 8, 3), dtype=np.uint8)
    mask = np.zeros((height, width), bool)
    mask[height // 3 : height // 2, width // 3 : width // 2] = True
    return resize(coarse, width, height), mask


def _try_mask(baseline: OnnxBaseline, meanings: list[tuple[float, float]]) -> tuple[OnnxBaseline, str]:
    """Find the mask's values with which the graph ignores what is missing and keeps most of what is known."""
    image, mask = _example(baseline)
    changed, best, most = paste_known(image, 255 - image, mask), None, -2.0
    for missing, known in meanings:
        candidate = replace(baseline, encoding=replace(baseline.encoding, missing=missing, known=known))
        first, second = (candidate.run(example, mask) for example in (image, changed))
        if first.shape != image.shape or np.abs(first - second)[mask].max() > 1e-3 * max(1.0, float(np.ptp(first))):
            continue
        kept = 0.0 if first[~mask].std() == 0 else float(np.corrcoef(first[~mask].ravel(), image[~mask].ravel())[0, 1])
        if kept > most:
            best, most = candidate, kept
        if kept > KEPT:
            break
    return (best, "tried out") if best is not None else (baseline, "assumed")


def _try_output(baseline: OnnxBaseline) -> OnnxBaseline:
    """Find the range that the graph's answers lie in."""
    low, high = np.quantile(baseline.run(*_example(baseline)), (0.01, 0.99))
    kind = "0..255" if high > 2 else "-1..1" if low < -0.1 else "0..1"
    return replace(baseline, encoding=replace(baseline.encoding, output=kind))


def _reading(baseline: OnnxBaseline, mask_how: str, output_how: str) -> str:
    """Describe in one line how the graph is read."""
    encoding = baseline.encoding
    order = (", the mask first" if encoding.mask_first else ", the mask last") if len(baseline.inputs) == 1 else ""
    return (
        f"{baseline.path.name}: takes {' and '.join(map(str, baseline.inputs))}{order}; picture {encoding.picture}; "
        f"mask {encoding.missing:g} where missing, {encoding.known:g} where known ({mask_how}); "
        f"output {encoding.output} ({output_how})"
    )
