"""Baselines that are not trained on images: OpenCV's, scikit-image's, PatchMatch, the mean colour.

Each is a callable (image (H, W, 3) uint8, mask (H, W) bool, True where missing) -> (H, W, 3) uint8.
"""

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..errors import PixelRNNError
from ..image import dilate


def _opencv(cv2: Any, image: np.ndarray, mask: np.ndarray, flag: str) -> np.ndarray:
    return np.asarray(cv2.inpaint(image, mask.astype(np.uint8) * 255, 5, getattr(cv2, flag)))


def _biharmonic(restoration: Any, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    filled = restoration.inpaint_biharmonic(image / 255.0, mask, channel_axis=-1)
    scaled: np.ndarray = np.rint(np.clip(filled, 0, 1) * 255)
    return scaled.astype(np.uint8)


def _patchmatch(patchmatch: Any, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    patchmatch.set_random_seed(0)  # the library's own state, which every call starts from
    return np.asarray(patchmatch.inpaint(image, mask, patch_size=3))  # 3 is the radius


# name: the module it needs, the library's title, and the call (module, image, mask) -> completed
_BASELINES: dict[str, tuple[str, str, Callable[[Any, np.ndarray, np.ndarray], np.ndarray]]] = {
    "telea": ("cv2", "OpenCV", partial(_opencv, flag="INPAINT_TELEA")),
    "ns": ("cv2", "OpenCV", partial(_opencv, flag="INPAINT_NS")),
    "biharmonic": ("skimage.restoration", "scikit-image", _biharmonic),
    "patchmatch": ("patchmatch", "pypatchmatch", _patchmatch),
}
CLASSICAL = (*_BASELINES, "mean")
GROWTH = 2  # pixels by which the hole is dilated for all but the mean


def classical(name: str) -> Callable[[np.ndarray, np.ndarray | None], np.ndarray]:
    """Return a method that needs no training.

    All need a mask. All but the mean see the hole dilated by 2 px, which keeps the ringing that a JPEG leaves around it from
    bleeding in.

    Args:
        name: One of
            telea, ns: OpenCV's inpainting, radius 5 (Telea 2004; Bertalmio, Bertozzi, Sapiro 2001);
            biharmonic: scikit-image's `inpaint_biharmonic`, channel by channel (Damelin and Hoang 2018);
            patchmatch: pypatchmatch, patches of 7 x 7, seeded (Barnes, Shechtman, Finkelstein, Goldman 2009);
            mean: the mean colour of the known pixels.

    Raises:
        PixelRNNError: The name is unknown, or the library is not installed or does not load.
    """
    if name not in CLASSICAL:
        raise PixelRNNError(f"{name}: no such classical method. Choose one of {', '.join(CLASSICAL)}.")
    module: Any = None
    if name != "mean":
        package, title, fill = _BASELINES[name]
        try:
            module = importlib.import_module(package)
        except ImportError:
            raise PixelRNNError(f"{name} needs {title}, which is not installed: pip install 'pixelrnn[evaluate]'") from None
        # without a compiler it is installed all the same, but cannot run
        if not getattr(module, "patchmatch_available", True):
            raise PixelRNNError(f"{name}: the compiled library of {title} does not load here. Leave {name} out.")

    def complete(image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        if mask is None:
            raise PixelRNNError(
                f"{name} cannot find the occlusion itself. Give a mask, or leave {name} out of a blind evaluation."
            )
        if not mask.any():
            return image.copy()
        if name == "mean" or mask.all():
            # where nothing is known, the middle of the range
            colour = image[~mask].mean(0).round() if not mask.all() else 128
            return np.where(mask[..., None], colour, image).astype(np.uint8)
        dilated = dilate(mask, GROWTH)
        return fill(module, image, mask if dilated.all() else dilated)

    return complete
