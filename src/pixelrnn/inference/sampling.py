"""Draw several completions of one hole.

A PixelRNN draws them coarsely, pixel after pixel, around what bedrooms-expected expects in the hole. The completion network
takes each as a guide, and brings it to full resolution. Images are RGB uint8 (H, W, 3). Masks are bool (H, W), True where
missing.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import PixelRNNError
from ..image import to_float
from ..weights import EXPECTED, SAMPLER, TEMPERATURE
from .backends import Backend, open_backend
from .tiling import Box, any_of, at_scale, fill, resize_map, shrink, views

if TYPE_CHECKING:
    import torch


class Drawn(NamedTuple):
    """Samples of all holes of an image."""

    guides: list[dict[Box, np.ndarray]]  # for each sample, by part (see tiling.View), float32 (3, h, w) in [0, 1]
    log_likelihood: list[float]  # nats per missing pixel of the coarse picture


def reduced(picture: np.ndarray, missing: np.ndarray, cell: int) -> tuple[np.ndarray, np.ndarray]:
    """Reduce an image and its mask to cells of `cell` x `cell` pixels: averages, and True where any pixel is missing."""
    return shrink(picture, cell), any_of(missing, cell)


def coarse_std(std: np.ndarray, cell: int) -> np.ndarray:
    """Reduce standard deviations to cells, on a scale that spreads out small values.

    Args:
        std: float32 (H, W) in units of [0, 1], 0 where known.
        cell: side of a cell in pixels.

    Returns:
        float32 (h, w) in [0, 1], the square root of the mean of each cell.
    """
    height, width = std.shape
    padded = np.pad(std, ((0, -height % cell), (0, -width % cell)))
    means: np.ndarray = padded.reshape(padded.shape[0] // cell, cell, -1, cell).mean(axis=(1, 3))
    roots: np.ndarray = np.sqrt(means.clip(0, 1))
    return roots


class Sampler:
    """Draws coarse samples with an autoregressive model, run by torch on the CPU.

    Args:
        weights: a file or a bundled name.
        expected: the network that gives the expected content of a hole; by default, as in training, bedrooms-expected.

    Raises:
        PixelRNNError: the weights cannot be read or are no autoregressive model's, or torch is not installed.
    """

    def __init__(self, weights: str | Path = SAMPLER, expected: Backend | None = None) -> None:
        try:
            from ..checkpoint import load
            from ..models import model_config, model_kind
        except ImportError:
            raise PixelRNNError("several samples need torch. Install it: pip install 'pixelrnn[train]'.") from None
        loaded = load(weights)
        if model_kind(loaded.model) != "autoregressive":
            raise PixelRNNError(f"{weights}: {loaded.name} draws no samples. Give weights of pixelcnn or another PixelRNN.")
        self.name = loaded.name
        self.model: Any = loaded.model  # an Autoregressive, which cannot be named without torch
        self.cell: int = model_config(loaded.model)["cell"]  # pixels a side, at the scale at which a hole is filled first
        self.expected = expected or open_backend(EXPECTED)

    def __call__(
        self,
        picture: np.ndarray,
        missing: np.ndarray,
        samples: int,
        seed: int = 0,
        temperature: float = TEMPERATURE,
        progress: Callable[[float], Any] = lambda share: None,
    ) -> Drawn:
        """Draw the missing pixels of an image several times.

        Args:
            picture: uint8 (H, W, 3).
            missing: bool (H, W), True where missing.
            samples: how many samples to draw.
            seed: the same seed draws the same samples.
            temperature: above 0; below 1, likely pixels become likelier, and samples more alike.
            progress: called with the share that is done, in (0, 1].

        Raises:
            PixelRNNError: the temperature is 0 or less.
        """
        import torch

        if not temperature > 0:
            raise PixelRNNError(f"temperature {temperature}: must be above 0.")
        generator = torch.Generator().manual_seed(seed)
        guides: list[dict[Box, np.ndarray]] = [{} for _ in range(samples)]
        nats, count, parts = torch.zeros(samples), 0, list(self._coarse(picture, missing))
        for number, (part, *inputs) in enumerate(parts):
            known, mask, guess = (one.expand(samples, -1, -1, -1) for one in inputs)

            def tell(share: float, number: int = number) -> None:
                progress((number + share) / len(parts))

            with torch.inference_mode():
                drawn = self.model.sample(known, mask, generator, temperature, guess, progress=tell)
                nats += self.model.log_prob(drawn, mask, guess)
            count += int(mask[0].sum())
            for guide, one in zip(guides, drawn.numpy(), strict=True):
                guide[part] = one
        return Drawn(guides, (nats / count).tolist())

    def log_likelihood(self, picture: np.ndarray, missing: np.ndarray, truth: np.ndarray) -> float:
        """The log-likelihood of the true content of the holes.

        Args:
            picture: uint8 (H, W, 3).
            missing: bool (H, W), True where missing.
            truth: uint8 (H, W, 3), the image without holes.

        Returns:
            Nats per missing pixel of the coarse image.
        """
        import torch

        nats, count, nothing = 0.0, 0, np.zeros_like(missing)
        for (part, known, mask, guess), view in zip(self._coarse(picture, missing), views(missing), strict=True):
            coarse, _ = reduced(*at_scale(truth[part.slices], nothing[part.slices], view.scale), self.cell)
            seen = torch.from_numpy(to_float(coarse))[None]
            with torch.inference_mode():
                nats += float(self.model.log_prob(torch.where(mask > 0, seen, known), mask, guess))
            count += int(mask.sum())
        return nats / count

    def _coarse(
        self, picture: np.ndarray, missing: np.ndarray
    ) -> Iterator[tuple[Box, "torch.Tensor", "torch.Tensor", "torch.Tensor"]]:
        """Yield the coarse inputs of the model for each group of holes.

        These are the part of the image (see tiling.View); the image (1, 3, h, w); the mask (1, 1, h, w) in {0, 1}; and the
        expected content (1, 3, h, w), with its standard deviation as a fourth channel where the model reads it.
        """
        import torch

        expected = picture.copy()
        std = fill(self.expected, expected, missing)
        if std is None:
            raise PixelRNNError("several samples need weights that give an uncertainty, as bedrooms-expected does.")
        for _, part, scale, _ in views(missing):
            small, hole = at_scale(picture[part.slices], missing[part.slices], scale)
            known, cells = reduced(small, hole, self.cell)
            guess, _ = reduced(at_scale(expected[part.slices], np.zeros_like(missing[part.slices]), scale)[0], hole, self.cell)
            image, first = (torch.from_numpy(to_float(one))[None] for one in (known, guess))
            if self.model.config.anchored:
                spread = coarse_std(resize_map(std[part.slices], *hole.shape[::-1]), self.cell)
                first = torch.cat([first, torch.from_numpy(spread)[None, None]], dim=1)
            yield part, image, torch.from_numpy(cells)[None, None].float(), first
