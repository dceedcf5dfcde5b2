"""What a visit keeps of a photograph, as the pictures that the page shows and the files that it hands out.

No full-size array is kept: previews for the browser, packed masks, and the colours of the missing pixels alone. The photograph
itself is decoded anew for a file to download.
"""

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..completion import Completion
from ..decode import Picture
from ..detection import Detection
from ..encode import encode_image
from ..image import paste_known, resize
from ..tiling import Box

BRUSH_SIDE = 768  # the brush is sent again at every stroke; a larger preview would make strokes slow
PREVIEW_SIDE = 1280
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
    tint: str  # data URL of a PNG of the box, white where missing, else transparent


@dataclass(frozen=True)
class Found:
    """A photograph, and what was found to be missing in it or given as missing."""

    revision: str  # names both
    mask: PackedMask
    source: str  # see Completion.mask_source
    photograph: str  # data URL of a JPEG
    tint: str  # data URL of a PNG, white where missing, else transparent
    finds: tuple[Find, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        return self.mask.shape[1], self.mask.shape[0]


@dataclass(frozen=True)
class Fill:
    """What a completion adds to a photograph, from which its files are made."""

    mask: PackedMask
    holes: tuple[np.ndarray, ...]  # per candidate, uint8 (N, 3), the colours of the N missing pixels
    deviations: np.ndarray | None  # uint8 (N,), their standard deviations in grey levels; None where the network has none

    @classmethod
    def of(cls, result: Completion) -> "Fill":
        deviations = None
        if result.uncertainty is not None:
            deviations = np.rint(np.clip(result.uncertainty[result.mask] * 255, 0, 255)).astype(np.uint8)
        return cls(PackedMask.of(result.mask), tuple(sample[result.mask] for sample in result.samples), deviations)

    def apply(self, picture: np.ndarray, candidate: int = 0) -> np.ndarray:
        """A candidate at full size; `picture` is what was completed, uint8 (H, W, 3), whose known pixels it keeps."""
        mask = self.mask.unpack()
        filled = np.zeros_like(picture)
        filled[mask] = self.holes[candidate]
        return paste_known(picture, filled, mask)


@dataclass(frozen=True)
class Completed:
    """A completion, or several to choose from, the most likely first."""

    fill: Fill
    source: str  # see Completion.mask_source
    likelihoods: tuple[float, ...] | None  # per candidate, nats per missing pixel
    before: str  # data URLs of JPEG
    after: tuple[str, ...]
    doubt: str | None  # the uncertainty from dark to bright, known pixels in dim grey
    largest: int  # standard deviation, in grey levels of 255, which is the brightest in `doubt`
    share: float  # of the picture, missing
    seconds: float
    notes: tuple[str, ...]  # what was lost in reading the photograph


def found(picture: np.ndarray, mask: np.ndarray, source: str, name: str, detection: Detection | None = None) -> Found:
    """What the brush starts from; picture uint8 (H, W, 3), mask bool (H, W); `name` tells this photograph from others.
    detection: where the mask is of what was found."""
    packed = PackedMask.of(mask)
    scale = min(1, BRUSH_SIDE / max(mask.shape))
    finds = () if detection is None else _finds(detection, scale)
    boxes = repr([(one.box, one.taken) for one in finds])
    revision = hashlib.sha256(name.encode() + packed.bits + boxes.encode()).hexdigest()[:16]
    photograph = data_url(resize(picture, *_fit(mask.shape, BRUSH_SIDE)), quality=88)
    return Found(revision, packed, source, photograph, _tint(mask, scale), finds)


def _finds(detection: Detection, scale: float) -> tuple[Find, ...]:
    """The surest regions, their tints reduced by `scale`."""
    shown = detection.regions[:MOST_FINDS]
    tints = [_tint(one.tinted, scale) for one in shown]
    sure = [one.confidence >= detection.threshold for one in shown]
    return tuple(
        Find(one.box, PackedMask.of(one.tinted), taken, one.confidence, tint)
        for one, taken, tint in zip(shown, sure, tints, strict=True)
    )


def _tint(mask: np.ndarray, scale: float) -> str:
    """A mask, reduced, as the data URL of a PNG, white where it is True and else transparent."""
    height, width = (max(1, round(side * scale)) for side in mask.shape)
    small = resize(mask, width, height)
    tint = Image.fromarray(np.stack([np.full_like(small, True), small], axis=2).astype(np.uint8) * np.uint8(255))  # mode LA
    return f"data:image/png;base64,{base64.b64encode(encode(tint)).decode()}"


def completed(picture: Picture, result: Completion, seconds: float) -> Completed:
    """What is kept of `result`, which completed `picture` in `seconds`."""
    size = _fit(result.mask.shape, PREVIEW_SIDE)
    before, doubt, largest = resize(picture.pixels, *size), None, 0.0
    if result.uncertainty is not None:
        largest = float(result.uncertainty.max())
        level = np.asarray(Image.fromarray(result.uncertainty / max(largest, 1e-6)).resize(size))
        heat = np.stack([np.interp(level, np.linspace(0, 1, len(HEAT)), HEAT[:, channel]) for channel in range(3)], axis=2)
        doubt = data_url(np.where(resize(result.mask, *size)[..., None], heat, before.mean(2, keepdims=True) * 0.35))
    return Completed(
        fill=Fill.of(result),
        source=result.mask_source,
        likelihoods=None if result.log_likelihood is None else tuple(result.log_likelihood),
        before=data_url(before),
        after=tuple(data_url(resize(sample, *size)) for sample in result.samples),
        doubt=doubt,
        largest=round(largest * 255),
        share=float(result.mask.mean()),
        seconds=seconds,
        notes=picture.notes,
    )


def picture_file(picture: Picture, fill: Fill, candidate: int = 0) -> bytes:
    """A candidate at full size as PNG, with all that the photograph's file says besides, as the command writes it."""
    return encode_image(fill.apply(picture.pixels, candidate), ".png", picture, fill.mask.unpack())


def zip_file(picture: Picture, fill: Fill, stem: str) -> bytes:
    """Every candidate, the mask and the uncertainty (in grey levels), as PNG in a ZIP."""
    mask = fill.mask.unpack()
    names = [f"{stem}_completed.png", *(f"{stem}_completed_{number}.png" for number in range(2, len(fill.holes) + 1))]
    files = {name: picture_file(picture, fill, candidate) for candidate, name in enumerate(names)}
    files[f"{stem}_mask.png"] = encode_image(mask)
    if fill.deviations is not None:
        deviation = np.zeros(mask.shape, np.uint8)
        deviation[mask] = fill.deviations
        files[f"{stem}_uncertainty.png"] = encode_image(deviation)
    return pack(files.items())


def pack(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Files by name, which are compressed already, as a ZIP."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files:
            archive.writestr(name, data)
    return buffer.getvalue()


def thumbnail(picture: np.ndarray, side: int) -> str:
    """uint8 (H, W, 3) as a data URL of at most `side` pixels."""
    return data_url(resize(picture, *_fit(picture.shape[:2], side)), quality=85)


def data_url(pixels: np.ndarray, quality: int = 92) -> str:
    """(H, W, 3) of values 0 to 255 as a data URL of a JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "JPEG", quality=quality, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def encode(picture: Image.Image) -> bytes:
    """A PNG; the smallest one of a large photograph would take four times as long as this, which is a fifth larger."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _fit(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """Width and height of a (height, width) shape brought to at most `side`."""
    shrink = max(1, shape[0] / side, shape[1] / side)
    return max(1, round(shape[1] / shrink)), max(1, round(shape[0] / shrink))
