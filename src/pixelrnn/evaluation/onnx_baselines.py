"""Learned inpainters to compare with, from ONNX files of other programs: LaMa, MI-GAN, and what is exported like them.

Such files say what their inputs are called, of which type and size they are, but not what the numbers mean. What that leaves
open is guessed, where possible by trying the graph out, and told; options after the file's name settle it:

FILE.onnx[:missing=1][:known=0][:picture=0..1][:output=0..255][:first=mask]

missing, known  the mask's values; 1 and 0 in LaMa (Suvorov and others 2022), 0 and 255 in MI-GAN's pipeline (Sargsyan and
                others 2023), -0.5 and 0.5 in its bare network
picture, output their ranges: 0..1, 0..255 or -1..1
first           of one input that holds both: the picture, 0 where missing, then the mask, or else the mask first
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
STEP, TRIED = 8, 256  # pixels: sides of a graph of any size are multiples of the one; it is tried out on a square of the other
KEPT = 0.95  # correlation with what is known, of an answer that keeps it
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
    """An input of a graph: what its axes are, as "BCHW", and of which type and fixed size."""

    name: str
    axes: str
    type: type[np.generic]
    size: tuple[int, int] | None  # height, width; None where it takes any

    def __str__(self) -> str:
        size = "any size" if self.size is None else f"{self.size[1]} x {self.size[0]}"
        return f"{self.name} ({self.type.__name__}, {self.axes}, {size})"

    def pack(self, planes: np.ndarray) -> np.ndarray:
        """(C, H, W) as the graph takes it."""
        planes = np.rint(planes) if np.issubdtype(self.type, np.integer) else planes
        order = ["CHW".index(axis) for axis in self.axes if axis != "B"] if "C" in self.axes else [0, 1]
        turned = (planes if "C" in self.axes else planes[0]).transpose(order).astype(self.type)
        return np.ascontiguousarray(turned[None] if "B" in self.axes else turned)


@dataclass(frozen=True)
class Numbers:
    """What the numbers mean: see above."""

    missing: float
    known: float
    picture: str
    output: str
    mask_first: bool


@dataclass(frozen=True)
class OnnxPeer:
    """A callable (image (H, W, 3) uint8, mask (H, W) bool, True where missing) -> (H, W, 3) uint8, known pixels byte for byte.

    Any size is taken: a graph of a fixed size sees the picture resized, and its answer is resized back; another sees it padded
    by its own edge to multiples of STEP.
    """

    path: Path
    session: Any
    inputs: tuple[Input, ...]  # the picture and the mask, or one that holds both
    numbers: Numbers
    told: str = ""

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
        low, high = RANGES[self.numbers.output]
        output = (self.run(image, mask) - low) / (high - low)
        return np.rint(np.clip(output, 0, 1) * 255).astype(np.uint8)

    def run(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """What the graph says of a picture of a size that it takes, as float64 (H, W, 3)."""
        low, high = RANGES[self.numbers.picture]
        picture = low + (high - low) * image.transpose(2, 0, 1) / 255
        hole = np.where(mask, self.numbers.missing, self.numbers.known)[None]
        if len(self.inputs) == 1:
            parts = [picture * ~mask, hole]
            feeds = [np.concatenate(parts[::-1] if self.numbers.mask_first else parts)]
        else:
            feeds = [picture, hole]
        try:
            given = {one.name: one.pack(planes) for one, planes in zip(self.inputs, feeds, strict=True)}
            output = self.session.run(None, given)[0]
        except Exception as error:  # ONNX Runtime's own have no common base but this
            raise PixelRNNError(f"{self.path}: ONNX Runtime cannot run it ({str(error).splitlines()[0][:200]}).") from None
        answer = np.asarray(output, np.float64)
        answer = answer[0] if answer.ndim == 4 else answer
        answer = answer.transpose(1, 2, 0) if answer.ndim == 3 and answer.shape[0] == 3 else answer
        if answer.ndim != 3 or answer.shape[2] != 3 or not np.isfinite(answer).all():
            raise PixelRNNError(f"{self.path}: its first output is {output.dtype} {output.shape}, not one finite RGB picture.")
        return answer


def onnx_peer(given: str) -> OnnxPeer:
    """The inpainter of a file, with options after its name or without, see above. Raises PixelRNNError for a file that cannot
    be run, and a graph or options that are not understood.
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
    numbers = Numbers(
        missing,
        known,
        picture=options.get("picture", "0..255" if np.issubdtype(inputs[0].type, np.integer) else "0..1"),
        output=options.get("output", "0..1"),
        mask_first=options.get("first") == "mask",
    )
    peer, mask_how, output_how = OnnxPeer(path, session, inputs, numbers), "as told", "as told"
    if "missing" not in options and "known" not in options:
        peer, mask_how = _try_mask(peer, meanings) if len(inputs) == 2 else (peer, "assumed")
    if "output" not in options:
        peer, output_how = _try_output(peer), "tried out"
    return replace(peer, told=_told(peer, mask_how, output_how))


def _meanings(kind: type[np.generic]) -> list[tuple[float, float]]:
    """What a mask of this type may hold where pixels are missing and where they are known, the most usual first."""
    if np.issubdtype(kind, np.integer):
        return [(0, 255), (255, 0), (1, 0), (0, 1)]
    return [(1, 0), (0, 1)] if kind is np.bool_ else [(1, 0), (0, 1), (255, 0), (0, 255)]


def is_onnx(name: str) -> bool:
    """Whether a method's name is that of a file, with options or without."""
    return re.search(r"\.onnx(:|$)", name, re.IGNORECASE) is not None


def _options(given: str) -> tuple[Path, dict[str, str]]:
    """FILE.onnx:key=value:key=value; the file's own path may hold colons before."""
    found = re.match(r"(.*?\.onnx)((?::.*)?)$", given, re.IGNORECASE)
    if found is None:
        raise PixelRNNError(f"{given}: expected FILE.onnx, then options such as :missing=1.")
    path, options = Path(found[1]), {}
    for word in filter(None, found[2].split(":")):
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
    """The picture and the mask, in this order, or what holds both."""
    found = session.get_inputs()
    described = ", ".join(f"{one.name} {one.type} {one.shape}" for one in found)
    wrong = PixelRNNError(
        f"{path}: its inputs are {described[:300]}. Expected a picture (3 channels) and a mask (1 channel), or one input of "
        "both (4 channels). Weights of pixelrnn are given by --weights."
    )
    if len(found) not in (1, 2) or any(one.type not in TYPES for one in found):
        raise wrong
    if len(found) == 1:
        both = _input(found[0], 4)
        if both is None:
            raise wrong
        return (both,)
    pictures = [_input(one, 3) for one in found]
    masks = [_input(one, 1) for one in found]
    named = ["mask" in one.name.lower() for one in found]
    for picture, mask in ((0, 1), (1, 0)) if named != [True, False] else ((1, 0),):
        first, second = pictures[picture], masks[mask]
        if first is not None and second is not None:
            return first, replace(second, size=first.size)
    raise wrong


def _input(one: Any, channels: int) -> Input | None:
    """An input as one of so many channels; None where its shape is of another."""
    shape = [size if isinstance(size, int) and size > 0 else None for size in one.shape]
    forms = ("BCHW", "BHWC", "CHW", "HWC", *(("BHW", "HW") if channels == 1 else ()))
    sizes = {axes: dict(zip(axes, shape, strict=True)) for axes in forms if len(axes) == len(shape)}
    # a number of channels that is told counts for more than one that is not
    for sure in (True, False):
        for axes, by in sizes.items():
            told = by.get("C", channels)
            fits = told == channels if sure else told is None and not {1, 3, 4} & {by["H"], by["W"]}
            if fits and by.get("B") in (None, 1):
                return Input(one.name, axes, TYPES[one.type], (by["H"], by["W"]) if by["H"] and by["W"] else None)
    return None


def _example(peer: OnnxPeer) -> tuple[np.ndarray, np.ndarray]:
    """A bright picture and a mask to try a graph out on."""
    height, width = peer.inputs[0].size or (TRIED, TRIED)
    coarse = np.random.default_rng(0).integers(90, 230, (8, 8, 3), dtype=np.uint8)
    mask = np.zeros((height, width), bool)
    mask[height // 3 : height // 2, width // 3 : width // 2] = True
    return resize(coarse, width, height), mask


def _try_mask(peer: OnnxPeer, meanings: list[tuple[float, float]]) -> tuple[OnnxPeer, str]:
    """The same with the mask's values by which it does not look at what is missing, and keeps most of what is known."""
    image, mask = _example(peer)
    other, best, most = paste_known(image, 255 - image, mask), None, -2.0
    for missing, known in meanings:
        tried = replace(peer, numbers=replace(peer.numbers, missing=missing, known=known))
        first, second = (tried.run(one, mask) for one in (image, other))
        if first.shape != image.shape or np.abs(first - second)[mask].max() > 1e-3 * max(1.0, float(np.ptp(first))):
            continue
        kept = 0.0 if first[~mask].std() == 0 else float(np.corrcoef(first[~mask].ravel(), image[~mask].ravel())[0, 1])
        if kept > most:
            best, most = tried, kept
        if kept > KEPT:
            break
    return (best, "tried out") if best is not None else (peer, "assumed")


def _try_output(peer: OnnxPeer) -> OnnxPeer:
    """The same with the range that its answers lie in."""
    low, high = np.quantile(peer.run(*_example(peer)), (0.01, 0.99))
    kind = "0..255" if high > 2 else "-1..1" if low < -0.1 else "0..1"
    return replace(peer, numbers=replace(peer.numbers, output=kind))


def _told(peer: OnnxPeer, mask_how: str, output_how: str) -> str:
    """One line: how the graph is read."""
    numbers = peer.numbers
    order = (", the mask first" if numbers.mask_first else ", the mask last") if len(peer.inputs) == 1 else ""
    return (
        f"{peer.path.name}: takes {' and '.join(map(str, peer.inputs))}{order}; picture {numbers.picture}; "
        f"mask {numbers.missing:g} where missing, {numbers.known:g} where known ({mask_how}); "
        f"output {numbers.output} ({output_how})"
    )
