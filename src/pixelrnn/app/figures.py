"""A completion as the pictures that the page shows and the files that it hands out."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..completion import Completion
from ..image import resize

PREVIEW_SIDE = 1280  # the browser gets pictures of at most this side; the download has every pixel
TINT = np.array([214, 40, 110], np.float32)
HEAT = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]])  # dark to bright


@dataclass(frozen=True)
class Figures:
    """Encoded once, so that a session keeps these and no full-size arrays. Previews are JPEG, files PNG."""

    width: int
    height: int
    share: float  # of the picture that was taken as missing
    source: str  # see Completion.mask_source
    uploaded: bytes
    completed: bytes
    overlay: bytes  # the upload with what was taken as missing tinted
    doubt: bytes | None  # the uncertainty from dark to bright, known pixels in dim grey; None where the network has none
    largest: float  # standard deviation, in units of [0, 1], which is the brightest in `doubt`
    picture_file: bytes
    mask_file: bytes


def draw(image: np.ndarray, result: Completion) -> Figures:
    """The figures of `result`, which completed `image`, uint8 (H, W, 3)."""
    height, width = result.mask.shape
    shrink = max(1, width / PREVIEW_SIDE, height / PREVIEW_SIDE)
    size = max(1, round(width / shrink)), max(1, round(height / shrink))
    before, after, hidden = resize(image, *size), resize(result.image, *size), resize(result.mask, *size)[..., None]
    doubt, largest = None, 0.0
    if result.uncertainty is not None:
        largest = float(result.uncertainty.max())
        level = np.asarray(Image.fromarray(result.uncertainty / max(largest, 1e-6)).resize(size))
        stops = np.linspace(0, 1, len(HEAT))
        heat = np.stack([np.interp(level, stops, HEAT[:, channel]) for channel in range(3)], axis=2)
        doubt = _encode(np.where(hidden, heat, before.mean(2, keepdims=True) * 0.35), "JPEG")
    return Figures(
        width=width,
        height=height,
        share=float(result.mask.mean()),
        source=result.mask_source,
        uploaded=_encode(before, "JPEG"),
        completed=_encode(after, "JPEG"),
        overlay=_encode(np.where(hidden, before * 0.35 + TINT * 0.65, before), "JPEG"),
        doubt=doubt,
        largest=largest,
        picture_file=_encode(result.image, "PNG"),
        mask_file=_encode(result.mask * np.uint8(255), "PNG"),
    )


def _encode(pixels: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    # the smallest PNG of a large photograph takes four times as long as one that is a fifth larger
    options = {"quality": 92, "subsampling": 0} if kind == "JPEG" else {"compress_level": 1}
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, kind, **options)
    return buffer.getvalue()
