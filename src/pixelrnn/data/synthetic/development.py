"""Development: from radiance to the bytes of a photograph, with tone, glare, vignette, colour cast and grain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from .scene import Array, Scene


def develop(scene: Scene, radiance: Array, factor: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Turn radiance into a photograph: expose, tone-map, reduce, and add glare, vignette, colour cast and grain.

    Args:
        scene: What was rendered, and how its image is finished.
        radiance: Linear RGB (n, n, 3).
        factor: By which the sides are reduced.
        rng: Draws the grain.

    Returns:
        An RGB image, uint8 (n / factor, n / factor, 3).
    """
    size = radiance.shape[0] // factor
    brightness = radiance.reshape(size, factor, size, factor, 3).mean((1, 3, 4))
    key = np.exp(np.log(brightness + 1e-3).mean())
    lit = np.minimum(radiance * (scene.balance * np.float32(scene.exposure / key)), 24)
    toned = lit * (2.51 * lit + 0.03) / (lit * (2.43 * lit + 0.59) + 0.14)  # Narkowicz's fit of the ACES film curve
    toned = np.clip(toned, 0, 1) ** np.float32(1 / 2.2)
    image = toned.reshape(size, factor, size, factor, 3).mean((1, 3))
    bright = Image.fromarray((np.clip(image - 0.82, 0, 1) * 1400).clip(0, 255).astype(np.uint8))
    glare = np.asarray(bright.filter(ImageFilter.GaussianBlur(size / 28)), np.float32) / 255
    image += (1 - image) * glare * 0.16
    side = np.linspace(-1, 1, size, dtype=np.float32)
    image *= 1 - scene.vignette * (side[:, None, None] ** 2 + side[None, :, None] ** 2) / 2
    image += rng.normal(0, scene.grain, image.shape).astype(np.float32) * (1.2 - 0.7 * image)
    image = image[:, ::-1] if scene.mirrored else image
    scaled: Array = np.clip(image, 0, 1) * 255 + 0.5
    return scaled.astype(np.uint8)
