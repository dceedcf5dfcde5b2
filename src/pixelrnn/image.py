"""The arithmetic of pictures and masks: resize, paste, grow, to and from what networks see.

A picture is RGB `uint8 (H, W, 3)`. A mask is `bool (H, W)`, True where the pixel is missing.
"""

from importlib import import_module
from typing import Any

import numpy as np
from PIL import Image

# where names went that programs may import from here
MOVED = {
    **dict.fromkeys(("Picture", "read_picture", "read_image", "as_rgb", "MAX_PIXELS"), "decode"),
    **dict.fromkeys(("write_image", "write_atomically"), "encode"),
    **dict.fromkeys(("list_images", "natural_key", "SUFFIXES"), "folders"),
    "read_mask": "masks",
}


def __getattr__(name: str) -> Any:
    if name not in MOVED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"pixelrnn.{MOVED[name]}"), name)


def resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize uint8 (H, W, 3) with an antialiased bicubic filter, or a bool mask (H, W) so that no missing pixel is lost."""
    if image.shape[:2] == (height, width):
        return image
    if image.dtype == bool:
        # in floats: 8-bit filter weights would round a lone pixel away
        share = Image.fromarray(image.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(share) > 0
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def to_float(image: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) to float32 (3, H, W) in [0, 1]."""
    return np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32) / np.float32(255)


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Float (3, H, W) in [0, 1] to uint8 (H, W, 3), rounded."""
    return np.ascontiguousarray(np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))


def paste_known(image: np.ndarray, filled: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """`filled` where `mask` (H, W) is True, `image` byte for byte elsewhere; both uint8 (H, W, 3)."""
    return np.where(mask[..., None], filled, image)


def mask_out(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3), black where `mask` (H, W) is True."""
    return image * ~mask[..., None]


def dilate(mask: np.ndarray, pixels: int) -> np.ndarray:
    """The bool mask (H, W) with every missing region grown by `pixels` in all eight directions."""
    grown = mask.copy()
    for turned in (grown, grown.T):
        reach = 0
        while reach < pixels:
            step = min(2 * reach + 1, pixels - reach)  # what has grown by `reach` leaves no gap when moved so far
            before = turned.copy(order="K")  # not transposed: that takes longer than all the rest
            turned[step:] |= before[:-step]
            turned[:-step] |= before[step:]
            reach += step
    return grown
