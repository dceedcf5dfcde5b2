"""Development: from radiance to the bytes of a photograph, with tone, glare, vignette, colour cast and grain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from .scene import Array, Scene


def develop(scene: Scene, radiance: Array, factor: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Expose, tone-map, reduce by `factor`, and add what a camera adds: glare, vignette, colour cast and grain."""
    size = radiance.shape[0] // factor
    brightness = radiance.reshape(size, factor, size, factor, 3).mean((1, 3, 4))
    key = np.exp(np.log(brightness + 1e-3).mean())
    lit = np.minimum(radiance * (scene.balance * np.float32(scene.exposure / key)), 24)
    toned = lit * (2.51 * lit + 0.03) / (lit * (2.43 * lit + 0.59) + 0.14)  # Narkowicz's fit of the ACES film curve
    toned = np.clip(toned, 0, 1) ** np.float32(1 / 2.2)
    picture = toned.reshape(size, factor, size, factor, 3).mean((1, 3))
    bright = Image.fromarray((np.clip(picture - 0.82, 0, 1) * 1400).clip(0, 255).astype(np.uint8))
    glare = np.asarray(bright.filter(ImageFilter.GaussianBlur(size / 28)), np.float32) / 255
    picture += (1 - picture) * glare * 0.16
    side = np.linspace(-1, 1, size, dtype=np.float32)
    picture *= 1 - scene.vignette * (side[:, None, None] ** 2 + side[None, :, None] ** 2) / 2
    picture += rng.normal(0, scene.grain, picture.shape).astype(np.float32) * (1.2 - 0.7 * picture)
    picture = picture[:, ::-1] if scene.mirrored else picture
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
