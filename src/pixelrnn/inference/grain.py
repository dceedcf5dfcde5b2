"""Add film grain to filled holes, and even out their seams.

A network draws no noise, so that a filled hole shows in a grainy photograph. The grain of the surroundings is measured in their
flattest patches: its strength, the covariance of the channels, and its spectrum. Noise of that kind is drawn, and added to a
hole as far as its fill has none. The pixels just inside the border of the hole are brought to the level of those just outside.
Known pixels stay as they are. Images are RGB uint8 (H, W, 3). Masks are bool (H, W), True where missing. Strengths are standard
deviations in grey levels of 255.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..errors import PixelRNNError
from ..image import dilate
from .tiling import Box, groups, parts, widened

PATCH = 16  # side in pixels of the patches in which grain is measured
AROUND = 96  # pixels around a hole whose grain the hole gets
MAX_PATCHES, MAX_FLAT = 600, 150  # how many patches are measured, and how many of the flat ones are used
FLOOR, FLAT = 0.1, 1.35  # a patch is flat if its variance is at most FLAT times this quantile of all variances
LOWEST, EVEN = 0.02, 1.6  # grain is everywhere, so the FLOOR quantile is at most EVEN times the LOWEST quantile
LEAST, GREATEST = 2.0, 32.0  # grey levels: weaker grain is invisible or JPEG's own; stronger grain is no photograph's
MAX_CORRELATION = 0.6  # of pixels two apart: more is texture, or light
LOCAL = 1.5  # the grain around a hole is at most so many times the photograph's own: more is texture
TILE = 384  # side in pixels of the noise tile; it is repeated, which nobody sees
RING, REACH = 2, 12  # pixels on each side of a border that are compared; pixels over which the step is evened out
CELL = 4  # side in pixels of the cells in which steps are averaged first
STEP = 10.0  # grey levels: a larger step at a border is content


def _basis() -> np.ndarray:
    """A basis of slowly changing light: orthonormal polynomials of degree 2 over a patch, (PATCH ** 2, 6)."""
    y, x = (np.mgrid[:PATCH, :PATCH] / PATCH - 0.5).reshape(2, -1)
    return np.asarray(np.linalg.qr(np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1))[0], np.float32)


BASIS = _basis()


@dataclass(frozen=True)
class Grain:
    """The noise of a photograph."""

    covariance: np.ndarray  # float (3, 3), of the channels, in squared grey levels
    spectrum: np.ndarray  # float (PATCH, PATCH), power by frequency, 1 on average
    unevenness: float = 1.0  # ratio of two low quantiles of the patches' variances; 1 where grain is everywhere

    @property
    def strength(self) -> float:
        """Standard deviation in grey levels, over all channels."""
        return float(np.sqrt(np.trace(self.covariance) / 3))

    @property
    def correlation(self) -> float:
        """The correlation of pixels two apart, averaged over rows and columns."""
        shape = np.fft.ifft2(self.spectrum).real
        return float((shape[0, 2] + shape[2, 0]) / (2 * shape[0, 0]))

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Draw such noise, float32 (TILE, TILE, 3), of strength 1, which continues seamlessly on all sides."""
        kernel = np.zeros((TILE, TILE), np.float32)
        kernel[:PATCH, :PATCH] = np.fft.fftshift(np.fft.ifft2(np.sqrt(self.spectrum)).real)
        response, (values, vectors) = np.fft.rfft2(kernel), np.linalg.eigh(self.covariance)
        white = rng.standard_normal((3, TILE, TILE), dtype=np.float32)
        noise = np.fft.irfft2(np.fft.rfft2(white) * response, (TILE, TILE)).reshape(3, -1)
        mix = vectors * np.sqrt(np.clip(values, 0, None)) / (noise.std() * self.strength)
        return np.ascontiguousarray((mix.astype(np.float32) @ noise).T).reshape(TILE, TILE, 3)


GREY = Grain(np.ones((3, 3)), np.ones((PATCH, PATCH)))  # white noise, for a photograph that has no grain of its own


def read_grain(grain: str | float) -> float | None:
    """Read the option for grain.

    Args:
        grain: "auto" for the photograph's own, "none", or a strength in grey levels, 0 to 64.

    Returns:
        The strength; None for "auto", 0 for "none".

    Raises:
        PixelRNNError: it is none of these.
    """
    if grain in ("auto", "none"):
        return None if grain == "auto" else 0.0
    try:
        strength = float(grain)
    except ValueError:
        strength = -1.0
    if not 0 <= strength <= 64:
        raise PixelRNNError(f"grain {grain!r}: expected auto, none, or its strength in grey levels, 0 to 64.")
    return strength


def measure(image: np.ndarray, where: np.ndarray) -> Grain | None:
    """Measure the noise in the flattest patches of an image.

    Args:
        image: uint8 (H, W, 3).
        where: bool (H, W); only patches that are True throughout are measured.

    Returns:
        The noise; None where there are fewer than four patches.
    """
    height, width = (side // PATCH for side in where.shape)
    step = max(1, -(-height * width // (4 * MAX_PATCHES)))
    ys, xs = np.divmod(np.arange(0, height * width, step), max(1, width))
    blocks = (height, PATCH, width, PATCH)
    whole = where[: height * PATCH, : width * PATCH].reshape(blocks)[ys, :, xs].all(axis=(1, 2))
    ys, xs = ys[whole], xs[whole]
    if len(ys) < 4:
        return None
    some = slice(None, None, -(-len(ys) // MAX_PATCHES))  # at most so many patches, from all over the image
    pixels = image[: height * PATCH, : width * PATCH].reshape(*blocks, 3)[ys[some], :, xs[some]]
    patches = pixels.astype(np.float32).reshape(-1, PATCH * PATCH, 3)  # (N, PATCH ** 2, 3)
    level = patches.mean(axis=(1, 2))
    patches = patches[(level > 8) & (level < 247)]  # where the light is clipped, the noise is clipped, too
    if len(patches) < 4:
        return None
    slow = BASIS.T @ patches  # (N, 6, 3)
    rest = patches - BASIS @ slow
    variance = np.square(rest).mean(axis=(1, 2))
    floor = float(np.quantile(variance, FLOOR))
    unevenness = floor / max(float(np.quantile(variance, LOWEST)), 1e-6)
    flat = rest[variance <= FLAT * floor][:: -(-int((variance <= FLAT * floor).sum()) // MAX_FLAT)]
    residuals = flat.reshape(-1, 3)
    covariance = residuals.T @ residuals / (len(flat) * (PATCH * PATCH - BASIS.shape[1]))
    window = np.hanning(PATCH + 2)[1:-1].astype(np.float32)
    windowed = flat.reshape(-1, PATCH, PATCH, 3).transpose(0, 3, 1, 2) * (window[:, None] * window)  # (N, 3, PATCH, PATCH)
    power = (np.abs(np.fft.fft2(windowed)) ** 2).mean(axis=(0, 1))
    return Grain(covariance + 1e-6 * np.eye(3), power / max(float(power.mean()), 1e-6), unevenness)


def is_grain(noise: Grain | None) -> bool:
    """Whether measured noise is film grain: visible, uncorrelated, and everywhere in the image."""
    return (
        noise is not None
        and LEAST <= noise.strength <= GREATEST
        and noise.correlation <= MAX_CORRELATION
        and noise.unevenness <= EVEN
    )


def add_grain(image: np.ndarray, mask: np.ndarray, seed: int, strength: float | None = None) -> np.ndarray:
    """Give filled holes the grain of their surroundings, and even out their seams.

    Args:
        image: uint8 (H, W, 3), its holes filled.
        mask: bool (H, W), True where the image was filled.
        seed: the same seed draws the same grain.
        strength: of the grain, in grey levels; None for the photograph's own.

    Returns:
        uint8 (H, W, 3), the known pixels byte for byte. The given image itself, where no grain is to be added.
    """
    general = measure(image, ~mask)
    if strength == 0 or (strength is None and not is_grain(general)):
        return image
    kind = general if general is not None and is_grain(general) else GREY
    result, noise = image.copy(), kind.draw(np.random.default_rng(seed))
    for box in groups(mask):
        wanted = _around(image, mask, box, kind) if strength is None else strength
        own = measure(image[box.slices], mask[box.slices])
        level = np.float32(np.sqrt(max(0.0, wanted**2 - (0.0 if own is None else own.strength**2))))
        for part in parts(mask, box):
            rows, columns = np.arange(part.top, part.bottom) % TILE, np.arange(part.left, part.right) % TILE
            grained = level * noise[rows[:, None], columns] + _evened(image, mask, part)
            np.rint(grained, out=grained)
            np.clip(grained, 0, 255, out=grained)
            np.copyto(result[part.slices], grained.astype(np.uint8), where=mask[part.slices][..., None])
    return result


def _around(image: np.ndarray, mask: np.ndarray, box: Box, general: Grain) -> float:
    """The strength of the grain around a hole."""
    near = widened(box, AROUND, mask.shape)
    local = measure(image[near.slices], ~mask[near.slices])
    if local is None or local.correlation > MAX_CORRELATION:
        return general.strength
    return min(local.strength, LOCAL * general.strength)


def _evened(image: np.ndarray, mask: np.ndarray, part: Box) -> np.ndarray:
    """A part of the image, float32 (h, w, 3), without the step at the borders of holes.

    The step is the difference between the rings just outside and just inside a border, averaged along it. It is added to the
    pixels inside, less and less further in.
    """
    view = widened(part, 2 * REACH, mask.shape)
    hole, pixels = mask[view.slices], image[view.slices].astype(np.float32)
    own = part.within(view).slices
    if hole.all():
        return pixels[own]
    outer_ring, inner_ring = dilate(hole, RING) & ~hole, hole & dilate(~hole, RING)
    (outer, has_outer), (inner, has_inner) = (_mean(pixels, ring) for ring in (outer_ring, inner_ring))
    step = np.where((has_outer & has_inner)[..., None], outer - inner, np.float32(0))
    step *= np.clip(2 - np.abs(step).max(axis=2, keepdims=True) / STEP, 0, 1)
    weight = np.zeros(hole.shape, np.float32)
    for depth in range(REACH, 0, -1):
        weight[dilate(~hole, depth)] = 0.5 + 0.5 * np.cos(np.pi * (depth - 0.5) / REACH)
    return np.asarray(pixels[own] + _enlarged(step, hole.shape)[own] * weight[own][..., None], np.float32)


def _mean(pixels: np.ndarray, ring: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each CELL x CELL pixels, the mean colour of the pixels in `ring` within REACH, and whether there are any."""
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
    """Enlarge cells (h, w, 3) to pixels, float32 (H, W, 3) of `shape`."""
    height, width = shape
    part = (0, 0, width / CELL, height / CELL)
    channels = [Image.fromarray(np.ascontiguousarray(cells[..., i])) for i in range(3)]
    return np.dstack([np.asarray(channel.resize((width, height), Image.Resampling.BILINEAR, box=part)) for channel in channels])
