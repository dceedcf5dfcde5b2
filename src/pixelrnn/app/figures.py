"""What a visit keeps of a photograph, and the pictures of it that the page shows.

No full-size array is kept here: previews for the browser, packed masks, and the colours of the missing pixels alone.
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

PREVIEW_SIDE = 1280  # pixels of what is shown of a whole photograph; what is enlarged is cut out anew, see crop
CROP_SIDE = 2048  # pixels, the largest cutting
MOST_FINDS = 12  # are offered to be taken or left, the surest
HEAT = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]])  # dark to bright


@dataclass(frozen=True)
class PackedMask:
    """A bool mask (H, W) in an eighth of its bytes."""

    bits: bytes
    shape: tuple[int, int]

    @classmethod
    def of(cls, mask: np.ndarray) -> "PackedMask":
        height, width = mask.shape
        return cls(np.packbits(mask).tobytes(), (height, width))

    def unpack(self) -> np.ndarray:
        flat = np.unpackbits(np.frombuffer(self.bits, np.uint8), count=self.shape[0] * self.shape[1])
        return flat.reshape(self.shape).astype(bool)


@dataclass(frozen=True)
class Find:
    """Something that was found, to be taken or left."""

    box: Box
    mask: PackedMask  # of the box's size
    taken: bool  # without being asked
    confidence: float
    tint: bytes  # a PNG of the box, white where missing, else transparent


@dataclass(frozen=True)
class DetectionView:
    """A photograph, and what was found to be missing in it or given as missing."""

    revision: str  # names both
    mask: PackedMask
    source: str  # see Completion.mask_source
    sure: bool  # so that it is filled in without being asked
    photograph: bytes  # a JPEG
    tint: bytes  # a PNG, white where missing, else transparent
    finds: tuple[Find, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        return self.mask.shape[1], self.mask.shape[0]


@dataclass(frozen=True)
class Fill:
    """What a completion adds to a photograph, from which its files are made."""

    mask: PackedMask
    holes: tuple[np.ndarray, ...]  # per sample, uint8 (N, 3), the colours of the N missing pixels
    deviations: np.ndarray | None  # uint8 (N,), their standard deviations in grey levels; None where the network has none

    @classmethod
    def of(cls, result: Completion) -> "Fill":
        deviations = None
        if result.uncertainty is not None:
            deviations = np.rint(np.clip(result.uncertainty[result.mask] * 255, 0, 255)).astype(np.uint8)
        return cls(PackedMask.of(result.mask), tuple(sample[result.mask] for sample in result.samples), deviations)

    @classmethod
    def of_picture(cls, pixels: np.ndarray, filled: np.ndarray) -> "Fill":
        """Of a finished picture, and where it was filled, bool (H, W)."""
        return cls(PackedMask.of(filled), (pixels[filled],), None)

    def apply(self, picture: np.ndarray, sample: int = 0) -> np.ndarray:
        """A sample at full size; `picture` is what was completed, uint8 (H, W, 3), whose known pixels it keeps."""
        filled = picture.copy()
        filled[self.mask.unpack()] = self.holes[sample]
        return filled


@dataclass(frozen=True)
class CompletionView:
    """A completion, or several to choose from, the most likely first."""

    fill: Fill
    source: str  # see Completion.mask_source
    likelihoods: tuple[float, ...] | None  # per sample, nats per missing pixel
    after: tuple[bytes, ...]  # JPEG, per sample
    doubt: bytes | None  # the uncertainty from dark to bright, known pixels in dim grey
    largest: int  # standard deviation, in grey levels of 255, which is the brightest in `doubt`
    share: float  # of the picture, missing
    seconds: float
    notes: tuple[str, ...]  # what was lost in reading the photograph


def detection_view(
    picture: np.ndarray, mask: np.ndarray, source: str, name: str, detection: Detection | None = None
) -> DetectionView:
    """What the editor starts from; picture uint8 (H, W, 3), mask bool (H, W); `name` tells this photograph from others.
    detection: where the mask is of what was found.
    """
    packed = PackedMask.of(mask)
    scale = min(1, PREVIEW_SIDE / max(mask.shape))
    finds = () if detection is None else _finds(detection, scale)
    boxes = repr([(one.box, one.taken) for one in finds])
    revision = hashlib.sha256(name.encode() + packed.bits + boxes.encode()).hexdigest()[:16]
    sure = detection is None or all(one.confidence >= LEVELS["strict"] for one in detection.kept)
    photograph = jpeg(_small(picture, *_fit(mask.shape, PREVIEW_SIDE)))
    return DetectionView(revision, packed, source, sure, photograph, _tint(mask, scale), finds)


def _finds(detection: Detection, scale: float) -> tuple[Find, ...]:
    """The surest regions, their tints reduced by `scale`."""
    shown = detection.regions[:MOST_FINDS]
    masks = [PackedMask.of(one.tinted) for one in shown]
    taken = [one.confidence >= detection.threshold for one in shown]
    return tuple(
        Find(one.box, mask, sure, one.confidence, _tint(one.tinted, scale))
        for one, mask, sure in zip(shown, masks, taken, strict=True)
    )


def _tint(mask: np.ndarray, scale: float) -> bytes:
    """A mask, reduced, as a PNG, white where it is True and else transparent."""
    height, width = (max(1, round(side * scale)) for side in mask.shape)
    small = _small_mask(mask, width, height)
    tint = Image.fromarray(np.stack([np.full_like(small, True), small], axis=2).astype(np.uint8) * np.uint8(255))  # mode LA
    buffer = io.BytesIO()
    tint.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def completion_view(picture: Picture, result: Completion, seconds: float) -> CompletionView:
    """What is kept of `result`, which completed `picture` in `seconds`."""
    size = _fit(result.mask.shape, PREVIEW_SIDE)
    doubt, largest = None, 0.0
    if result.uncertainty is not None:
        largest = float(result.uncertainty.max())
        levels = (result.uncertainty * np.float32(255 / max(largest, 1e-6))).astype(np.uint8)
        level = _small(levels, *size) / 255
        heat = np.stack([np.interp(level, np.linspace(0, 1, len(HEAT)), HEAT[:, channel]) for channel in range(3)], axis=2)
        dim = _small(picture.pixels, *size).mean(2, keepdims=True) * 0.35
        doubt = jpeg(np.where(_small_mask(result.mask, *size)[..., None], heat, dim))
    return CompletionView(
        fill=Fill.of(result),
        source=result.mask_source,
        likelihoods=None if result.log_likelihood is None else tuple(result.log_likelihood),
        after=tuple(jpeg(_small(sample, *size)) for sample in result.samples),
        doubt=doubt,
        largest=round(largest * 255),
        share=float(result.mask.mean()),
        seconds=seconds,
        notes=picture.notes,
    )


def crop(pixels: np.ndarray, left: int, top: int, width: int, height: int, most: int) -> bytes:
    """A part of uint8 (H, W, 3), as far as there is one, as a JPEG brought to `most` pixels across where it is wider."""
    left, top = (min(max(0, start), side - 1) for start, side in ((left, pixels.shape[1]), (top, pixels.shape[0])))
    part = np.ascontiguousarray(pixels[top : top + max(1, height), left : left + max(1, width)])
    return jpeg(resize(part, *_fit(part.shape[:2], max(1, min(most, CROP_SIDE)), axis=1)))


def thumbnail(picture: np.ndarray, side: int) -> str:
    """uint8 (H, W, 3) as a data URL of at most `side` pixels."""
    small = _small(picture, *_fit(picture.shape[:2], side))
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg(small, 85)).decode()}"


def jpeg(pixels: np.ndarray, quality: int = 90) -> bytes:
    """(H, W, 3) of values 0 to 255."""
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def _small(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """uint8 (H, W, 3) or (H, W) reduced to be looked at: in a quarter of the time that image.resize takes."""
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC, reducing_gap=1.0))


def _small_mask(mask: np.ndarray, width: int, height: int) -> np.ndarray:
    """The same of a mask, bool (H, W), of which no missing pixel is lost."""
    return resize(any_of(mask, max(1, min(mask.shape[0] // height, mask.shape[1] // width))), width, height)


def _fit(shape: tuple[int, ...], side: int, axis: int | None = None) -> tuple[int, int]:
    """Width and height of a (height, width) shape brought to at most `side`, either or that of `axis`."""
    shrink = max(1, max(shape) / side if axis is None else shape[axis] / side)
    return max(1, round(shape[1] / shrink)), max(1, round(shape[0] / shrink))
