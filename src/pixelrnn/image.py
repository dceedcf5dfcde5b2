"""Operations on images and masks: resize, paste, dilate, and convert to and from the arrays that networks take.

An image is RGB `uint8 (H, W, 3)`. A mask is `bool (H, W)`, True where the pixel is missing.
"""

from importlib import import_module
from typing import Any

import numpy as np
from PIL import Image

# names that used to be defined here, and the module that defines them now: programs may still import them from here
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
    """Resize an image with an antialiased bicubic filter, or a mask so that no missing pixel is lost.

    Args:
        image: uint8 (H, W, 3), or a bool mask (H, W).
        width: new width in pixels.
        height: new height in pixels.

    Returns:
        uint8 (height, width, 3). Of a mask, bool (height, width): True where any pixel that contributes is missing.
    """
    if image.shape[:2] == (height, width):
        return image
    if image.dtype == bool:
        # in floats: with 8-bit values the filter would round a lone pixel away
        coverage = Image.fromarray(image.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(coverage) > 0
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def to_float(image: np.ndarray) -> np.ndarray:
    """Convert uint8 (H, W, 3) to float32 (3, H, W) in [0, 1]."""
    return np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32) / np.float32(255)


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Convert float (3, H, W) in [0, 1] to uint8 (H, W, 3), clipped and rounded."""
    return np.ascontiguousarray(np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))


def paste_known(image: np.ndarray, filled: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Take `filled` where `mask` (H, W) is True, and `image` byte for byte elsewhere; both are uint8 (H, W, 3)."""
    return np.where(mask[..., None], filled, image)


def mask_out(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Blacken uint8 (H, W, 3) where `mask` (H, W) is True."""
    masked: np.ndarray = image * ~mask[..., None]
    return masked


def dilate(mask: np.ndarray, pixels: int) -> np.ndarray:
    """Dilate a bool mask (H, W): every missing region grows by `pixels` in all eight directions."""
    dilated = mask.copy()
    for view in (dilated, dilated.T):
        reach = 0
        while reach < pixels:
            # a region that has grown by `reach` leaves no gap when it moves so far, even if it is cut off at the border
            step = min(reach + 1, pixels - reach)
            before = view.copy(order="K")  # not transposed: that takes longer than all the rest
            view[step:] |= before[:-step]
            view[:-step] |= before[step:]
            reach += step
    return dilated
