"""What a visit keeps of a photograph, and the images of it that the page shows.

No full-size array is kept: only previews for the browser, packed masks, and the colours of the missing pixels.
"""

import base64
import hashlib
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..decode import Picture
from ..image import resize
from ..inference.completer import Completion
from ..inference.detection import LEVELS, Detection
from ..inference.tiling import Box, any_of

PREVIEW_SIDE = 1280  # pixels, the longer side of a preview; what is zoomed into is sent as a crop, see crop
CROP_SIDE = 2048  # pixels, the largest crop
MOST_FINDS = 12  # detected regions that are offered, the most certain first
HEAT = np.array(
    [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]]
)  # colours of the uncertainty, from dark to bright


@dataclass(frozen=True)
class PackedMask:
    """A bool mask (H, W) with one bit for each pixel."""

    bits: bytes
    shape: tuple[int, int]

    @classmethod
    def of(cls, mask: np.ndarray) -> "PackedMask":
        """Pack a bool mask (H, W)."""
        height, width = mask.shape
        return cls(np.packbits(mask).tobytes(), (height, width))

    def unpack(self) -> np.ndarray:
        """Return the mask, bool (H, W)."""
        flat = np.unpackbits(np.frombuffer(self.bits, np.uint8), count=self.shape[0] * self.shape[1])
        return flat.reshape(self.shape).astype(bool)


@dataclass(frozen=True)
class Find:
    """A detected region, which a user can select or deselect."""

    box: Box
    mask: PackedMask  # of the size of the box
    taken: bool  # selected from the start
    confidence: float  # in [0, 1]
    tint: bytes  # a PNG of the size of the box, white where missing, else transparent


@dataclass(frozen=True)
class DetectionView:
    """A photograph and its initial mask, detected or given."""

    revision: str  # identifies both
    mask: PackedMask
    source: str  # see Completion.mask_source
    sure: bool  # certain enough to be filled in at once
    photograph: bytes  # a JPEG
    tint: bytes  # a PNG, white where missing, else transparent
    finds: tuple[Find, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.mask.shape[1], self.mask.shape[0]


@dataclass(frozen=True)
class Fill:
    """What a completion adds to a photograph, from which its files are made."""

    mask: PackedMask
    colours: tuple[np.ndarray, ...]  # per sample, uint8 (N, 3), of the N missing pixels
    stds: np.ndarray | None  # uint8 (N,), their standard deviations in grey levels; None if the network predicts none

    @classmethod
    def of(cls, result: Completion) -> "Fill":
        """Keep the filled pixels of a completion."""
        stds = None
        if result.uncertainty is not None:
            stds = np.rint(np.clip(result.uncertainty[result.mask] * 255, 0, 255)).astype(np.uint8)
        return cls(PackedMask.of(result.mask), tuple(sample[result.mask] for sample in result.samples), stds)

    @classmethod
    def of_picture(cls, pixels: np.ndarray, filled: np.ndarray) -> "Fill":
        """Keep the filled pixels of a finished image, uint8 (H, W, 3), with the mask `filled`, bool (H, W)."""
        return cls(PackedMask.of(filled), (pixels[filled],), None)

    def apply(self, image: np.ndarray, sample: int = 0) -> np.ndarray:
        """Return a sample at full size: a copy of `image`, uint8 (H, W, 3), with its missing pixels filled in."""
        filled = image.copy()
        filled[self.mask.unpack()] = self.colours[sample]
        return filled


@dataclass(frozen=True)
class CompletionView:
    """A completion, or several to choose from, the most likely first."""

    fill: Fill
    source: str  # see Completion.mask_source
    likelihoods: tuple[float, ...] | None  # per sample, nats per missing pixel
    after: tuple[bytes, ...]  # JPEG, per sample
    uncertainty: bytes | None  # JPEG: the uncertainty from dark to bright, known pixels in dim grey; None if there is none
    largest: int  # the largest standard deviation, in grey levels of 255, which is the brightest in `uncertainty`
    share: float  # of the pixels that are missing, in [0, 1]
    seconds: float
    notes: tuple[str, ...]  # what was lost in reading the photograph


def detection_view(
    image: np.ndarray, mask: np.ndarray, source: str, name: str, detection: Detection | None = None
) -> DetectionView:
    """Prepare what the editor starts from.

    Args:
        image: The photograph, uint8 (H, W, 3).
        mask: The missing pixels, bool (H, W).
        source: Where the mask comes from, see Completion.mask_source.
        name: Identifies this photograph among others.
        detection: The detection from which the mask was made, if it was.
    """
    packed = PackedMask.of(mask)
    scale = min(1, PREVIEW_SIDE / max(mask.shape))
    finds = () if detection is None else _finds(detection, scale)
    boxes = repr([(find.box, find.taken) for find in finds])
    revision = hashlib.sha256(name.encode() + packed.bits + boxes.encode()).hexdigest()[:16]
    sure = detection is None or all(region.confidence >= LEVELS["strict"] for region in detection.kept)
    photograph = jpeg(_small(image, *_fit(mask.shape, PREVIEW_SIDE)))
    return DetectionView(revision, packed, source, sure, photograph, _tint(mask, scale), finds)


def _finds(detection: Detection, scale: float) -> tuple[Find, ...]:
    """Return the most certain regions, with tints reduced by `scale`."""
    shown = detection.regions[:MOST_FINDS]
    return tuple(
        Find(
            region.box,
            PackedMask.of(region.tinted),
            region.confidence >= detection.threshold,
            region.confidence,
            _tint(region.tinted, scale),
        )
        for region in shown
    )


def _tint(mask: np.ndarray, scale: float) -> bytes:
    """Return a mask, reduced by `scale`, as a PNG: white where it is True, else transparent."""
    height, width = (max(1, round(side * scale)) for side in mask.shape)
    small = _small_mask(mask, width, height)
    tint = Image.fromarray(np.stack([np.full_like(small, True), small], axis=2).astype(np.uint8) * np.uint8(255))  # mode LA
    buffer = io.BytesIO()
    tint.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def completion_view(picture: Picture, result: Completion, seconds: float) -> CompletionView:
    """Prepare what the page shows of a completion of `picture`, which took `seconds`."""
    size = _fit(result.mask.shape, PREVIEW_SIDE)
    uncertainty, largest = None, 0.0
    if result.uncertainty is not None:
        largest = float(result.uncertainty.max())
        levels = (result.uncertainty * np.float32(255 / max(largest, 1e-6))).astype(np.uint8)
        level = _small(levels, *size) / 255
        heat = np.stack([np.interp(level, np.linspace(0, 1, len(HEAT)), HEAT[:, channel]) for channel in range(3)], axis=2)
        dim = _small(picture.pixels, *size).mean(2, keepdims=True) * 0.35
        uncertainty = jpeg(np.where(_small_mask(result.mask, *size)[..., None], heat, dim))
    return CompletionView(
        fill=Fill.of(result),
        source=result.mask_source,
        likelihoods=None if result.log_likelihood is None else tuple(result.log_likelihood),
        after=tuple(jpeg(_small(sample, *size)) for sample in result.samples),
        uncertainty=uncertainty,
        largest=round(largest * 255),
        share=float(result.mask.mean()),
        seconds=seconds,
        notes=picture.notes,
    )


def crop(pixels: np.ndarray, left: int, top: int, width: int, height: int, most: int) -> bytes:
    """Return a part of an image as a JPEG.

    Args:
        pixels: The image, uint8 (H, W, 3).
        left: Left edge of the part in pixels; a part that reaches beyond the image is cut to it.
        top: Top edge.
        width: Width of the part.
        height: Height of the part.
        most: The JPEG's largest width in pixels; a wider part is reduced to it.
    """
    left, top = (min(max(0, start), side - 1) for start, side in ((left, pixels.shape[1]), (top, pixels.shape[0])))
    part = np.ascontiguousarray(pixels[top : top + max(1, height), left : left + max(1, width)])
    return jpeg(resize(part, *_fit(part.shape[:2], max(1, min(most, CROP_SIDE)), axis=1)))


def thumbnail(image: np.ndarray, side: int) -> str:
    """Return an image, uint8 (H, W, 3), as a data URL of at most `side` pixels a side."""
    small = _small(image, *_fit(image.shape[:2], side))
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg(small, 85)).decode()}"


def jpeg(pixels: np.ndarray, quality: int = 90) -> bytes:
    """Encode an image, (H, W, 3) with values from 0 to 255, as a JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def _small(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Reduce an image, uint8 (H, W, 3) or (H, W), for display; takes a quarter of the time of image.resize."""
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC, reducing_gap=1.0))


def _small_mask(mask: np.ndarray, width: int, height: int) -> np.ndarray:
    """Reduce a mask, bool (H, W), so that no missing pixel is lost."""
    return resize(any_of(mask, max(1, min(mask.shape[0] // height, mask.shape[1] // width))), width, height)


def _fit(shape: tuple[int, ...], side: int, axis: int | None = None) -> tuple[int, int]:
    """Return width and height of a (height, width) shape reduced to at most `side` pixels, on both axes or on `axis` only."""
    shrink = max(1, max(shape) / side if axis is None else shape[axis] / side)
    return max(1, round(shape[1] / shrink)), max(1, round(shape[0] / shrink))
