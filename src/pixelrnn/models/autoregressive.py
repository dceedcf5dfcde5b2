"""PixelRNN: an image as a product of conditional probabilities, one pixel and channel after the other.

After van den Oord, Kalchbrenner and Kavukcuoglu, "Pixel Recurrent Neural Networks" (2016): a 7 x 7 convolution with mask A,
residual blocks, 1 x 1 layers, a distribution over the levels of each channel, R before G before B. The three models differ in
their blocks alone: row_lstm.py, diagonal_bilstm.py, pixelcnn.py.

Beyond the paper, an image may have missing pixels. An encoder reads the known pixels on all sides of them, which raster order
alone cannot, and its features are added inside every block. The model then gives p(missing pixels | known pixels) exactly: each
missing pixel depends on all known ones and on the missing ones before it. Without an encoder, it gives p(image) as in the
paper.

Departures from the paper:

- Groups of features are as even as possible, which allows widths that three does not divide.
- Levels enter as numbers in [-1, 1].
- The distribution may be a mixture of logistics.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from .incremental import FullEvaluation, IncrementalEvaluation
from .layers import Block, GatedScan, pull_push
from .likelihood import Anchor, LogisticMixture, create_likelihood, uniform
from .masked import MaskedConv2d

MIN_SCALE = 0.02  # of an anchor
DEFAULT_STD = 0.15  # of a guess that comes without one


@dataclass(frozen=True)
class AutoregressiveConfig:
    """Options of the autoregressive models; a field's "before" is what weights without that field were trained with."""

    channels: int = 3  # of the image
    levels: int = 256  # of each channel
    features: int = 32  # h: the blocks pass on 2 h features, LSTMs hold h
    depth: int = 7  # number of blocks
    head_features: int = 64  # of the 1 x 1 layer before the distribution
    likelihood: str = "softmax"  # or "logistics"
    components: int = 8  # of the mixture of logistics
    encoder_features: int = 48  # of the encoder that reads the known pixels; 0 for no encoder
    encoder_depth: int = 4  # blocks of the encoder
    # False hides the pixels before from each pixel, so that all are independent given the encoder: this measures what the
    # order is worth
    ordered: bool = field(default=True, metadata={"before": True})
    # True: a guess comes with its standard deviation, and pixels are modelled by their distance from the guess in units of
    # it; needs an encoder and "logistics"
    anchored: bool = field(default=False, metadata={"before": False})
    cell: int = field(default=8, metadata={"before": 8})  # for a sampler: pixels a side of the photograph per pixel here


class Encoder(nn.Module):
    """Features of the known pixels for every position: ConvNeXt blocks around a scan over rows and columns.

    The input (B, inputs, H, W) holds the image with zeros where pixels are missing, a first guess of the whole image, the mask
    and, for an anchored model, the standard deviation of the guess. The output is (B, features, H, W).
    """

    def __init__(self, inputs: int, features: int, depth: int) -> None:
        super().__init__()
        blocks = [Block(features) for _ in range(depth)]
        scan = GatedScan(features, features // 2, nn.GRU)
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, features, 3, padding=1), *blocks[: depth // 2], scan, *blocks[depth // 2 :]
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.layers(x)
        return features


class Autoregressive(nn.Module):
    """Base class of the three models.

    Images are (B, C, H, W) with levels k / (levels - 1) in [0, 1]. Masks are (B, 1, H, W) in {0, 1}, 1 where missing; no mask
    means that all pixels are missing.

    A subclass sets `block`, which builds a block from the config: a Module that maps x (B, 2 h, H, W) and a condition
    (B, encoder_features, H, W) or None to the shape of x. Its `incremental(condition, batch, width)` gives the
    IncrementalBlock with the same weights.

    Raises:
        ValueError: Options of the config do not fit together.
    """

    block: Callable[[AutoregressiveConfig], nn.Module]

    def __init__(self, config: AutoregressiveConfig) -> None:
        super().__init__()
        if config.features < config.channels:
            raise ValueError(f"features must be at least the {config.channels} channels, got {config.features}")
        self.config = config
        self.likelihood = create_likelihood(config.likelihood, config.levels, config.components)
        if config.anchored and not (config.encoder_features and config.likelihood == "logistics"):
            raise ValueError("anchored needs encoder_features above 0 and likelihood 'logistics'")
        wide, channels, outputs = 2 * config.features, config.channels, config.channels * self.likelihood.parameters
        self.first = MaskedConv2d("A", channels * (1 + config.anchored), wide, (7, 7), channels)
        self.blocks = nn.ModuleList(type(self).block(config) for _ in range(config.depth))
        self.head = MaskedConv2d("B", wide, config.head_features, channels=channels)
        self.last = MaskedConv2d("B", config.head_features, outputs, channels=channels)
        inputs = 2 * channels + 1 + config.anchored
        self.encoder = Encoder(inputs, config.encoder_features, config.encoder_depth) if config.encoder_features else None
        if config.likelihood == "logistics":  # components that start at the same mean would all learn the same
            with torch.no_grad():
                means = torch.linspace(-0.8, 0.8, config.components).repeat(channels, 1)
                self.last.bias.view(channels, 3, -1)[:, 1] += means  # type: ignore[union-attr]

    def condition(
        self, image: torch.Tensor, mask: torch.Tensor | None, guess: torch.Tensor | None = None
    ) -> torch.Tensor | None:
        """Compute the encoder's features of the known pixels.

        Args:
            image: (B, C, H, W); missing pixels are ignored and may be NaN.
            mask: (B, 1, H, W), 1 where missing.
            guess: (B, C, H, W) in [0, 1], a completion made from known pixels alone; a smooth fill by default. For an anchored
                model (B, C + 1, H, W), whose last channel is the square root of the standard deviation of the guess, by
                default that of 0.15.

        Returns:
            (B, encoder_features, H, W); None without an encoder.

        Raises:
            ValueError: The guess has the wrong number of channels.
        """
        if self.encoder is None:
            return None
        mask = torch.ones_like(image[:, :1]) if mask is None else mask
        known = torch.where(mask > 0, 0, 2 * image - 1)  # not a product, which would keep NaN
        centre, root = self._expected(image, mask, guess)
        features: torch.Tensor = self.encoder(torch.cat([known, centre, mask, root], dim=1))
        return features

    def _expected(
        self, image: torch.Tensor, mask: torch.Tensor, guess: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The image in [-1, 1] with the guess where it is missing, and the guess's other channel, (B, 0 or 1, H, W)."""
        expected = self.config.channels + self.config.anchored
        if guess is None:
            guess = pull_push(torch.where(mask > 0, 0, image), mask)
            if self.config.anchored:
                guess = torch.cat([guess, torch.full_like(mask, DEFAULT_STD**0.5)], dim=1)
        if guess.shape[1] != expected:
            raise ValueError(f"guess must have {expected} channels, got {guess.shape[1]}")
        mean, root = guess[:, : self.config.channels], guess[:, self.config.channels :]
        return torch.where(mask > 0, 2 * mean - 1, 2 * image - 1), root

    def anchor(self, image: torch.Tensor, mask: torch.Tensor | None, guess: torch.Tensor | None = None) -> Anchor | None:
        """Return the anchor of an anchored model's distributions, None for other models; arguments as in `condition`."""
        if not self.config.anchored:
            return None
        mask = torch.ones_like(image[:, :1]) if mask is None else mask
        centre, root = self._expected(image, mask, guess)
        return Anchor(centre, (2 * root.square()).clamp_min(MIN_SCALE))

    def network_input(self, image: torch.Tensor, anchor: Anchor | None) -> torch.Tensor:
        """Scale `image` (B, C, ...) to [-1, 1] and, with an anchor, add each channel's distance from it: (B, C or 2 C, ...)."""
        x = 2 * image - 1
        if anchor is not None:
            distance = ((x - anchor.centre) / anchor.scale).clamp(-5, 5)
            x = torch.stack([x, distance], dim=2).flatten(1, 2)  # both in the channel's own group
        return x if self.config.ordered else torch.zeros_like(x)

    def features(self, image: torch.Tensor, condition: torch.Tensor | None, anchor: Anchor | None = None) -> torch.Tensor:
        """Return the output of the last block (B, 2 h, H, W).

        Each position depends on the pixels before it and, by groups of features, on channels of its own pixel.
        """
        x: torch.Tensor = self.first(self.network_input(image, anchor))
        for block in self.blocks:
            x = block(x, condition)
        return x

    def parameters_at(self, features: torch.Tensor, anchor: Anchor | None = None) -> torch.Tensor:
        """Map features (N, 2 h) of single positions, and an anchor (N, C), (N, 1), to distributions (N, C, P)."""
        last = self.last.at(F.relu(self.head.at(F.relu(features))))
        return self.apply_anchor(last.view(-1, self.config.channels, self.likelihood.parameters), anchor)

    def apply_anchor(self, parameters: torch.Tensor, anchor: Anchor | None) -> torch.Tensor:
        """Move and widen distributions (N, C, P) by an anchor (N, C), (N, 1)."""
        if anchor is None or not isinstance(self.likelihood, LogisticMixture):
            return parameters
        return self.likelihood.transform(parameters, *anchor)

    def log_prob(
        self, image: torch.Tensor, mask: torch.Tensor | None = None, guess: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Compute the log-likelihood of the missing pixels given the known ones.

        Args:
            image: (B, C, H, W) with the true values of the missing pixels, which are rounded to levels.
            mask: (B, 1, H, W), 1 where missing.
            guess: As in `condition`.

        Returns:
            Nats (B,); 0 where nothing is missing.
        """
        last_level = self.config.levels - 1
        pixels = _pixel_mask(image, mask)
        anchor = self.anchor(image, mask, guess)
        features = self.features(image, self.condition(image, mask, guess), anchor).permute(0, 2, 3, 1)  # (B, H, W, 2 h)
        anchor = None if anchor is None else Anchor(*(x.permute(0, 2, 3, 1)[pixels] for x in anchor))
        level = (image * last_level).round().long().clamp(0, last_level).permute(0, 2, 3, 1)
        with torch.autocast(image.device.type, enabled=False):  # half precision would round the likelihood
            parameters = self.parameters_at(features[pixels].to(image.dtype), anchor)
            nats = self.likelihood.log_prob(parameters, level[pixels]).sum(dim=1)  # (N,)
        owner = pixels.nonzero()[:, 0]
        return nats.new_zeros(len(image)).index_add(0, owner, nats)

    @torch.no_grad()
    def sample(
        self,
        image: torch.Tensor,
        mask: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        guess: torch.Tensor | None = None,
        cached: bool = True,
        progress: Callable[[float], Any] = lambda share: None,
    ) -> torch.Tensor:
        """Draw the missing pixels.

        Args:
            image: (B, C, H, W); values of missing pixels are ignored.
            mask: (B, 1, H, W), 1 where missing.
            generator: A generator on the CPU.
            temperature: Above 0; below 1, likely pixels become likelier.
            guess: As in `condition`.
            cached: Whether each pixel costs one position. Otherwise the whole image is evaluated for every channel of every
                pixel, which serves as the reference.
            progress: Called with the share that is done, in (0, 1].

        Returns:
            `image` with its missing pixels drawn and known ones unchanged.

        Raises:
            ValueError: The temperature is not positive.
        """
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, got {temperature}")
        with _one_thread() if cached else nullcontext():
            condition, anchor = self.condition(image, mask, guess), self.anchor(image, mask, guess)
            pixels = _pixel_mask(image, mask)
            image = torch.where(pixels[:, None], 0, image)
            evaluation = (IncrementalEvaluation if cached else FullEvaluation)(self, image, condition, anchor)
            for share in self._draw(image, pixels, evaluation, generator, temperature):
                progress(share)
        return image

    def _draw(
        self,
        image: torch.Tensor,
        pixels: torch.Tensor,
        evaluation: FullEvaluation | IncrementalEvaluation,
        generator: torch.Generator | None,
        temperature: float,
    ) -> Iterator[float]:
        """Draw `pixels`, bool (B, H, W), of `image` in place, position after position; yield the share that is done."""
        wanted = pixels.any(dim=0)  # (H, W), positions missing in any image of the batch
        rows, done, total = wanted.any(dim=1).nonzero().flatten().tolist(), 0, int(wanted.sum())
        for row in range(rows[-1] + 1 if rows else 0):
            evaluation.next_row(row)
            for start, end, is_wanted in _runs(wanted[row].tolist()):
                if not is_wanted:
                    evaluation.skip(row, start, end)
                    continue
                for column in range(start, end):
                    for channel in range(self.config.channels):
                        parameters = evaluation.parameters(row, column, channel)  # (B, P)
                        noise = uniform(tuple(parameters.shape), generator).to(parameters)
                        level = self.likelihood.sample(parameters, noise, temperature)
                        value = level.to(image.dtype) / (self.config.levels - 1)
                        old = image[:, channel, row, column]
                        image[:, channel, row, column] = torch.where(pixels[:, row, column], value, old)
                    evaluation.skip(row, column, column + 1, drawn=True)
                    done += 1
                    yield done / total


def _pixel_mask(image: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """The missing pixels as bool (B, H, W)."""
    return torch.ones_like(image[:, 0]).bool() if mask is None else mask[:, 0] > 0


def _runs(values: list[bool]) -> Iterator[tuple[int, int, bool]]:
    """Runs of equal values as (start, end, value)."""
    start = 0
    for end in range(1, len(values) + 1):
        if end == len(values) or values[end] != values[start]:
            yield start, end, values[start]
            start = end


@contextmanager
def _one_thread() -> Iterator[None]:
    """Use one thread: one position is too little work to share, and waiting for a second thread can take 50 times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
