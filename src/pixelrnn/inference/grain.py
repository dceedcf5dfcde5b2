"""Film grain for what was filled in, and its seam: a network draws no noise, so that in a grainy photograph a hole shows.

The grain of the surroundings is measured in their flattest patches: its strength, the covariance of the channels, and its
spectrum. Noise of that kind is drawn, and added to a hole as far as its fill has none; and what lies just inside of the hole's
border is brought to the level of what lies just outside. Known pixels stay as they are. Pictures are RGB uint8 (H, W, 3), masks
bool (H, W), True is missing; strengths are standard deviations in grey levels of 255.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..errors import PixelRNNError
from ..image import dilate
from .tiling import Box, groups

PATCH = 16  # pixels a side, in which grain is measured
AROUND = 96  # pixels around a hole whose grain it gets
MOST, FLATTEST = 600, 150  # patches that are looked at, and of the flat ones
FLOOR, FLAT = 0.1, 1.35  # quantile of their variances, and times that: up to there they are flat
LOWEST, EVEN = 0.02, 1.6  # grain is everywhere: the variance at FLOOR is at most so many times that of this quantile
LEAST, GREATEST = 2.0, 32.0  # grey levels: less is no grain that anyone sees, or JPEG's own; more is no photograph
WHITE = 0.6  # correlation of pixels two apart: more is texture, or light
LOCAL = 1.5  # times the photograph's own grain, at most, is what lies around a hole: more is texture
TILE = 384  # pixels a side of the noise, which is repeated: nobody sees that
RING, REACH = 2, 12  # pixels on each side of a border that are compared, and over which that is evened out, along and inwards
CELL = 4  # pixels a side, over which they are averaged first
STEP = 10.0  # grey levels, of which a larger step at a border is content
PART = 256  # pixels a side of the parts in which borders are worked on


def _basis() -> np.ndarray:
    """Light that changes slowly: orthonormal polynomials of the second degree over a patch, (PATCH ** 2, 6)."""
    y, x = (np.mgrid[:PATCH, :PATCH] / PATCH - 0.5).reshape(2, -1)
    return np.asarray(np.linalg.qr(np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1))[0], np.float32)


BASIS = _basis()


@dataclass(frozen=True)
class Grain:
    """Noise of a photograph."""

    covariance: np.ndarray  # float (3, 3), of the channels, in squared grey levels
    spectrum: np.ndarray  # float (PATCH, PATCH), power by frequency, 1 on average
    unevenness: float = 1.0  # of the variance in the flattest places

    @property
    def strength(self) -> float:
        return float(np.sqrt(np.trace(self.covariance) / 3))

    @property
    def correlation(self) -> float:
        """Of pixels two apart, in rows and columns."""
        shape = np.fft.ifft2(self.spectrum).real
        return float((shape[0, 2] + shape[2, 0]) / (2 * shape[0, 0]))

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """float32 (TILE, TILE, 3) of such noise, of strength 1, which continues itself on all sides."""
        kernel = np.zeros((TILE, TILE), np.float32)
        kernel[:PATCH, :PATCH] = np.fft.fftshift(np.fft.ifft2(np.sqrt(self.spectrum)).real)
        response, (values, vectors) = np.fft.rfft2(kernel), np.linalg.eigh(self.covariance)
        white = rng.standard_normal((3, TILE, TILE), dtype=np.float32)
        noise = np.fft.irfft2(np.fft.rfft2(white) * response, (TILE, TILE)).reshape(3, -1)
        mix = vectors * np.sqrt(np.clip(values, 0, None)) / (noise.std() * self.strength)
        return np.ascontiguousarray((mix.astype(np.float32) @ noise).T).reshape(TILE, TILE, 3)


GREY = Grain(np.ones((3, 3)), np.ones((PATCH, PATCH)))  # where a photograph has none to go by


def read_grain(grain: str | float) -> float | None:
    """The strength that is asked for; None for the photograph's own ("auto"), 0 for none ("none"). Raises PixelRNNError."""
    if grain in ("auto", "none"):
        return None if grain == "auto" else 0.0
    try:
        strength = float(grain)
    except ValueError:
        strength = -1.0
    if not 0 <= strength <= 64:
        raise PixelRNNError(f"grain {grain!r}: expected auto, none, or its strength in grey levels, 0 to 64.")
    return strength


def measure(picture: np.ndarray, where: np.ndarray) -> Grain | None:
    """The noise of the flattest patches that lie in `where`, bool (H, W); None where there are fewer than four."""
    height, width = (side // PATCH for side in where.shape)
    step = max(1, -(-height * width // (4 * MOST)))
    ys, xs = np.divmod(np.arange(0, height * width, step), max(1, width))
    blocks = (height, PATCH, width, PATCH)
    whole = where[: height * PATCH, : width * PATCH].reshape(blocks)[ys, :, xs].all(axis=(1, 2))
    ys, xs = ys[whole], xs[whole]
    if len(ys) < 4:
        return None
    few = slice(None, None, -(-len(ys) // MOST))
    pixels = picture[: height * PATCH, : width * PATCH].reshape(*blocks, 3)[ys[few], :, xs[few]]
    patches = pixels.astype(np.float32).reshape(-1, PATCH * PATCH, 3)  # (N, PATCH ** 2, 3)
    level = patches.mean(axis=(1, 2))
    patches = patches[(level > 8) & (level < 247)]  # where light is cut off so is noise
    if len(patches) < 4:
        return None
    slow = BASIS.T @ patches  # (N, 6, 3)
    rest = patches - BASIS @ slow
    variance = np.square(rest).mean(axis=(1, 2))
    floor = float(np.quantile(variance, FLOOR))
    unevenness = floor / max(float(np.quantile(variance, LOWEST)), 1e-6)
    flat = rest[variance <= FLAT * floor][:: -(-int((variance <= FLAT * floor).sum()) // FLATTEST)]
    all_of_them = flat.reshape(-1, 3)
    covariance = all_of_them.T @ all_of_them / (len(flat) * (PATCH * PATCH - BASIS.shape[1]))
    window = np.hanning(PATCH + 2)[1:-1].astype(np.float32)
    seen = flat.reshape(-1, PATCH, PATCH, 3).transpose(0, 3, 1, 2) * (window[:, None] * window)  # (N, 3, PATCH, PATCH)
    power = (np.abs(np.fft.fft2(seen)) ** 2).mean(axis=(0, 1))
    return Grain(covariance + 1e-6 * np.eye(3), power / max(float(power.mean()), 1e-6), unevenness)


def is_grain(found: Grain | None) -> bool:
    """Whether that is seen, is noise, and is everywhere."""
    return found is not None and LEAST <= found.strength <= GREATEST and found.correlation <= WHITE and found.unevenness <= EVEN


def add_grain(picture: np.ndarray, missing: np.ndarray, seed: int, strength: float | None = None) -> np.ndarray:
    """`picture`, whose `missing` pixels are filled in, with the grain of what lies around each hole, and without its seam; the
    same picture where it has no grain. strength: of the grain; None for the photograph's own.
    """
    general = measure(picture, ~missing)
    if strength == 0 or (strength is None and not is_grain(general)):
        return picture
    kind = general if general is not None and is_grain(general) else GREY
    done, noise = picture.copy(), kind.draw(np.random.default_rng(seed))
    for box in groups(missing):
        wanted = _around(picture, missing, box, kind) if strength is None else strength
        own = measure(picture[box.slices], missing[box.slices])
        level = np.float32(np.sqrt(max(0.0, wanted**2 - (0.0 if own is None else own.strength**2))))
        for part in _parts(missing, box):
            rows, columns = np.arange(part.top, part.bottom) % TILE, np.arange(part.left, part.right) % TILE
            grained = level * noise[rows[:, None], columns] + _evened(picture, missing, part)
            np.rint(grained, out=grained)
            np.clip(grained, 0, 255, out=grained)
            np.copyto(done[part.slices], grained.astype(np.uint8), where=missing[part.slices][..., None])
    return done


def _around(picture: np.ndarray, missing: np.ndarray, box: Box, general: Grain) -> float:
    """The strength of the grain around a hole."""
    near = _grown(box, AROUND, missing.shape)
    local = measure(picture[near.slices], ~missing[near.slices])
    if local is None or local.correlation > WHITE:
        return general.strength
    return min(local.strength, LOCAL * general.strength)


def _evened(picture: np.ndarray, missing: np.ndarray, part: Box) -> np.ndarray:
    """A part of the picture, float32 (h, w, 3), without the step at the border of holes: what the ring just outside is lighter
    than the one just inside, on average along the border, is added inside, and less and less of it further in.
    """
    view = _grown(part, 2 * REACH, missing.shape)
    hole, pixels = missing[view.slices], picture[view.slices].astype(np.float32)
    own = Box(*(edge - first for edge, first in zip(part, view[:2] * 2, strict=True))).slices
    if hole.all():
        return pixels[own]
    outside, inside = dilate(hole, RING) & ~hole, hole & dilate(~hole, RING)
    (outer, some), (inner, others) = (_mean(pixels, ring) for ring in (outside, inside))
    step = np.where((some & others)[..., None], outer - inner, np.float32(0))
    step *= np.clip(2 - np.abs(step).max(axis=2, keepdims=True) / STEP, 0, 1)
    weight = np.zeros(hole.shape, np.float32)
    for depth in range(REACH, 0, -1):
        weight[dilate(~hole, depth)] = 0.5 + 0.5 * np.cos(np.pi * (depth - 0.5) / REACH)
    return np.asarray(pixels[own] + _enlarged(step, hole.shape)[own] * weight[own][..., None], np.float32)


def _parts(missing: np.ndarray, box: Box) -> Iterator[Box]:
    """Parts of `box` that hold something missing."""
    for top in range(box.top, box.bottom, PART):
        for left in range(box.left, box.right, PART):
            part = Box(top, left, min(box.bottom, top + PART), min(box.right, left + PART))
            if missing[part.slices].any():
                yield part


def _mean(pixels: np.ndarray, ring: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of float32 (H, W, 3) where `ring` is, the mean within REACH, for each CELL x CELL pixels; and where there is some."""
    sums = np.dstack([pixels * ring[..., None], ring])
    for axis in (0, 1):
        sums = np.add.reduceat(sums, np.arange(0, sums.shape[axis], CELL), axis=axis)
        padded = np.cumsum(np.insert(sums, 0, 0, axis=axis), axis=axis, dtype=np.float64)
        places, far = np.arange(sums.shape[axis]), REACH // CELL
        ends = np.minimum(places + far + 1, sums.shape[axis]), np.maximum(places - far, 0)
        sums = (padded.take(ends[0], axis) - padded.take(ends[1], axis)).astype(np.float32)
    count = sums[..., 3:]
    return sums[..., :3] / np.maximum(count, 1), count[..., 0] > 0.5


def _enlarged(cells: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """float32 (h, w, 3) of cells as (H, W, 3) of pixels, `shape` of them."""
    height, width = shape
    part = (0, 0, width / CELL, height / CELL)
    channels = [Image.fromarray(np.ascontiguousarray(cells[..., channel])) for channel in range(3)]
    return np.dstack([np.asarray(one.resize((width, height), Image.Resampling.BILINEAR, box=part)) for one in channels])


def _grown(box: Box, margin: int, shape: tuple[int, ...]) -> Box:
    ends = (min(side, end + margin) for side, end in zip(shape, box[2:], strict=True))
    return Box(*(max(0, start - margin) for start in box[:2]), *ends)
