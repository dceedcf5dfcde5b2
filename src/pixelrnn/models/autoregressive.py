"""PixelRNN: a picture as a product of conditional probabilities, one pixel and channel after the other.

After van den Oord, Kalchbrenner and Kavukcuoglu, "Pixel Recurrent Neural Networks" (2016): a 7 x 7 convolution with mask A,
residual blocks, 1 x 1 layers, a distribution over the levels of each channel, R before G before B. The three models differ in
their blocks alone: row_lstm.py, diagonal_bilstm.py, pixelcnn.py.

Beyond the paper, a picture may have a hole. An encoder reads what is known on every side of it, which raster order alone cannot
see, and its features are added inside every block. So the model gives p(missing pixels | known pixels), exactly: each missing
pixel given all known ones and the missing ones before it. Without an encoder it gives p(picture), as in the paper.

Departures: groups of features are as even as can be, for widths that three does not divide; levels enter as numbers in [-1, 1];
the distribution may be a mixture of logistics.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import nn
from torch.nn import functional as F

from .layers import Block, GatedScan, pull_push
from .likelihood import LogisticMixture, create_likelihood, uniform
from .masked import ConvCache, MaskedConv2d, Part


@dataclass(frozen=True)
class AutoregressiveConfig:
    """channels, levels: of the pictures. features: h, where blocks pass on 2 h and LSTMs hold h; depth: blocks. head_features:
    of the 1 x 1 layer before the distribution. likelihood: "softmax", or "logistics" with `components`. encoder_features,
    encoder_depth: of the encoder that reads the known pixels; 0 features for none. ordered: False hides the pixels before from
    each, which leaves independent ones given what the encoder knows: what order is worth. anchored: a guess comes with its
    standard deviation, and pixels are modelled by their distance from it in that unit; needs an encoder and "logistics".
    cell: pixels a side of the photograph that one pixel here stands for, where a sampler is what is trained.
    """

    channels: int = 3
    levels: int = 256
    features: int = 32
    depth: int = 7
    head_features: int = 64
    likelihood: str = "softmax"
    components: int = 8
    encoder_features: int = 48
    encoder_depth: int = 4
    ordered: bool = field(default=True, metadata={"before": True})
    anchored: bool = field(default=False, metadata={"before": False})
    cell: int = field(default=8, metadata={"before": 8})


class IncrementalBlock(Protocol):
    """A block evaluated position by position, row after row; see ConvCache. Everything is (B, columns, features)."""

    def next_row(self) -> None: ...

    def __call__(self, x: torch.Tensor, start: int, part: Part) -> torch.Tensor: ...


class Encoder(nn.Module):
    """What is known of a picture, for every position: ConvNeXt blocks around a scan over rows and columns.

    (B, inputs, H, W), of a picture with nothing under the hole, a first guess of the whole, the mask and, for an anchored
    model, the guess's standard deviation, to (B, features, H, W).
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


class Anchor(NamedTuple):
    """What pixels are measured from, and in which unit: (B, C, ...) in [-1, 1] and (B, 1, ...), above 0."""

    centre: torch.Tensor
    scale: torch.Tensor

    def at(self, *index: Any) -> "Anchor":
        """The places `index` of rows and columns."""
        return Anchor(self.centre[(..., *index)], self.scale[(..., *index)])


class Autoregressive(nn.Module):
    """What the three models share. Pictures are (B, C, H, W) with levels k / (levels - 1) in [0, 1]; masks (B, 1, H, W) in
    {0, 1}, 1 where missing, and None where all is.

    block(config) builds a block: a Module from (x (B, 2 h, H, W), condition (B, encoder_features, H, W) or None) to the same
    shape as x, whose `incremental(condition, batch, width)` is its IncrementalBlock twin.
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
        if config.likelihood == "logistics":  # apart from the start, or all components learn the same
            with torch.no_grad():
                spread = torch.linspace(-0.8, 0.8, config.components).repeat(channels, 1)
                self.last.bias.view(channels, 3, -1)[:, 1] += spread  # type: ignore[union-attr]

    def condition(
        self, image: torch.Tensor, mask: torch.Tensor | None, guess: torch.Tensor | None = None
    ) -> torch.Tensor | None:
        """The encoder's features (B, encoder_features, H, W), which nothing under the mask has an effect on; None without one.

        guess: (B, C, H, W) in [0, 1], what may be in the hole, made from known pixels alone; a smooth fill by default. For an
        anchored model (B, C + 1, H, W), the square root of its standard deviation at the end; by default, that of 0.15.
        """
        if self.encoder is None:
            return None
        mask = torch.ones_like(image[:, :1]) if mask is None else mask
        shown = torch.where(mask > 0, 0, 2 * image - 1)  # not a product: what is missing may be anything, NaN too
        guess = self._guess(image, mask, guess)
        centre = torch.where(mask > 0, 2 * guess[:, : self.config.channels] - 1, 2 * image - 1)
        features: torch.Tensor = self.encoder(torch.cat([shown, centre, mask, guess[:, self.config.channels :]], dim=1))
        return features

    def _guess(self, image: torch.Tensor, mask: torch.Tensor, guess: torch.Tensor | None) -> torch.Tensor:
        """`guess`, or what it is by default."""
        expected = self.config.channels + self.config.anchored
        if guess is None:
            guess = pull_push(torch.where(mask > 0, 0, image), mask)
            if self.config.anchored:
                guess = torch.cat([guess, torch.full_like(mask, 0.15**0.5)], dim=1)
        if guess.shape[1] != expected:
            raise ValueError(f"guess must have {expected} channels, got {guess.shape[1]}")
        return guess

    def anchor(self, image: torch.Tensor, mask: torch.Tensor | None, guess: torch.Tensor | None = None) -> Anchor | None:
        """What the distributions of an anchored model stand on; None for others. Arguments as in `condition`."""
        if not self.config.anchored:
            return None
        mask = torch.ones_like(image[:, :1]) if mask is None else mask
        guess = self._guess(image, mask, guess)
        mean, root = guess.split([self.config.channels, 1], dim=1)
        return Anchor(torch.where(mask > 0, 2 * mean - 1, 2 * image - 1), (2 * root.square()).clamp_min(0.02))

    def shown(self, image: torch.Tensor, anchor: Anchor | None) -> torch.Tensor:
        """`image` (B, C, ...) as the first convolution reads it: in [-1, 1], and each channel's distance from the anchor."""
        shown = 2 * image - 1
        if anchor is not None:
            apart = ((shown - anchor.centre) / anchor.scale).clamp(-5, 5)
            shown = torch.stack([shown, apart], dim=2).flatten(1, 2)  # both in the channel's own group
        return shown if self.config.ordered else torch.zeros_like(shown)

    def features(self, image: torch.Tensor, condition: torch.Tensor | None, anchor: Anchor | None = None) -> torch.Tensor:
        """What the last block says, (B, 2 h, H, W), each position of the pixels before it and, in groups, of its own."""
        x: torch.Tensor = self.first(self.shown(image, anchor))
        for block in self.blocks:
            x = block(x, condition)
        return x

    def parameters_at(self, features: torch.Tensor, anchor: Anchor | None = None) -> torch.Tensor:
        """The distributions of loose positions: (N, 2 h) and an anchor (N, C), (N, 1) to (N, C, P)."""
        last = self.last.at(F.relu(self.head.at(F.relu(features))))
        return self.around(last.view(-1, self.config.channels, self.likelihood.parameters), anchor)

    def around(self, parameters: torch.Tensor, anchor: Anchor | None) -> torch.Tensor:
        """Distributions (N, C, P) that an anchor (N, C), (N, 1) moves and widens."""
        if anchor is None or not isinstance(self.likelihood, LogisticMixture):
            return parameters
        return self.likelihood.around(parameters, *anchor)

    def log_prob(
        self, image: torch.Tensor, mask: torch.Tensor | None = None, guess: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Nats (B,) of the missing pixels of `image` given the known ones; `image` shows the missing ones, too, and is rounded
        to levels there. 0 where nothing is missing. guess: as in `condition`.
        """
        levels = self.config.levels - 1
        missing = torch.ones_like(image[:, 0]).bool() if mask is None else mask[:, 0] > 0  # (B, H, W)
        anchor = self.anchor(image, mask, guess)
        features = self.features(image, self.condition(image, mask, guess), anchor).permute(0, 2, 3, 1)  # (B, H, W, 2 h)
        loose = None if anchor is None else Anchor(*(part.permute(0, 2, 3, 1)[missing] for part in anchor))
        level = (image * levels).round().long().clamp(0, levels).permute(0, 2, 3, 1)
        nats = self.likelihood.log_prob(self.parameters_at(features[missing], loose), level[missing]).sum(dim=1)  # (N,)
        owner = missing.nonzero()[:, 0]
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
        """`image` with its missing pixels drawn, (B, C, H, W); known ones as they are, and what lies under the mask is not
        looked at.

        generator: on the CPU. temperature: above 0; below 1, likely pixels become likelier. cached: each pixel costs one
        position; without, a whole picture for each channel, the plain loop to check against. progress: told the share that is
        done, in (0, 1]. Raises ValueError for a temperature that is not positive.
        """
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, got {temperature}")
        with _one_thread() if cached else nullcontext():
            return self._sample(image, mask, generator, temperature, guess, cached, progress)

    def _sample(
        self,
        image: torch.Tensor,
        mask: torch.Tensor | None,
        generator: torch.Generator | None,
        temperature: float,
        guess: torch.Tensor | None,
        cached: bool,
        progress: Callable[[float], Any],
    ) -> torch.Tensor:
        missing = torch.ones_like(image[:, 0]).bool() if mask is None else mask[:, 0] > 0  # (B, H, W)
        condition, anchor = self.condition(image, mask, guess), self.anchor(image, mask, guess)
        image = torch.where(missing[:, None], 0, image)
        wanted = missing.any(dim=0)  # (H, W), by any picture of the batch
        evaluation = (_Cached if cached else _Plain)(self, image, condition, anchor)
        rows, done, total = wanted.any(dim=1).nonzero().flatten().tolist(), 0, int(wanted.sum())
        for row in range(rows[-1] + 1 if rows else 0):
            evaluation.next_row(row)
            column = 0
            while column < wanted.shape[1]:
                if not wanted[row, column]:
                    end = column + 1
                    while end < wanted.shape[1] and not wanted[row, end]:
                        end += 1
                    evaluation.skip(row, column, end)
                    column = end
                    continue
                here = missing[:, row, column]
                for channel in range(self.config.channels):
                    parameters = evaluation.parameters(row, column, channel)  # (B, P)
                    noise = uniform(tuple(parameters.shape), generator).to(parameters)
                    level = self.likelihood.sample(parameters, noise, temperature)
                    value = level.to(image.dtype) / (self.config.levels - 1)
                    image[:, channel, row, column] = torch.where(here, value, image[:, channel, row, column])
                evaluation.skip(row, column, column + 1, drawn=True)
                column, done = column + 1, done + 1
                progress(done / total)
        return image


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread: a position is too little work to share; on a busy machine, waiting for a second takes fifty times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Plain:
    """The whole picture, again for each channel of each pixel."""

    def __init__(
        self, model: Autoregressive, image: torch.Tensor, condition: torch.Tensor | None, anchor: Anchor | None
    ) -> None:
        self.model, self.image, self.condition, self.anchor = model, image, condition, anchor

    def next_row(self, row: int) -> None:
        pass

    def skip(self, row: int, start: int, end: int, drawn: bool = False) -> None:
        pass

    def parameters(self, row: int, column: int, channel: int) -> torch.Tensor:
        features = self.model.features(self.image, self.condition, self.anchor)[:, :, row, column]
        return self.model.parameters_at(features, self.anchor and self.anchor.at(row, column))[:, channel]


class _Cached:
    """One position at a time: every layer keeps what later positions need of it, and each group of features is computed once,
    as soon as the channels before it are known.
    """

    def __init__(
        self, model: Autoregressive, image: torch.Tensor, condition: torch.Tensor | None, anchor: Anchor | None
    ) -> None:
        batch, width = len(image), image.shape[3]
        self.model, self.image, self.anchor = model, image, anchor
        self.first = ConvCache(model.first, batch, width)
        self.blocks: list[IncrementalBlock] = [block.incremental(condition, batch, width) for block in model.blocks]  # type: ignore[operator]
        self.head, self.last = ConvCache(model.head, batch, width), ConvCache(model.last, batch, width)
        self.begun = False

    def next_row(self, row: int) -> None:
        if self.begun:
            for layer in (self.first, *self.blocks, self.head, self.last):
                layer.next_row()
        self.begun = True

    def _pixels(self, row: int, start: int, end: int) -> torch.Tensor:
        here = self.anchor and self.anchor.at(row, slice(start, end))
        return self.model.shown(self.image[:, :, row, start:end], here).transpose(1, 2)

    def skip(self, row: int, start: int, end: int, drawn: bool = False) -> None:
        """Take in pixels that are known, or `drawn` by now, whose features were computed on the way."""
        self.first.write(self._pixels(row, start, end), start, slice(None))
        if not drawn:
            x = self.first.read(start, end, slice(None))
            for block in self.blocks:
                x = block(x, start, slice(None))

    def parameters(self, row: int, column: int, channel: int) -> torch.Tensor:
        if channel:
            self.first.write(self._pixels(row, column, column + 1), column, slice(None))
        x = self.first.read(column, column + 1, channel)
        for block in self.blocks:
            x = block(x, column, channel)
        x = F.relu(self.head(F.relu(x), column, channel))
        last = self.last(x, column, channel)  # (B, 1, P)
        here = self.anchor and Anchor(
            self.anchor.centre[:, channel : channel + 1, row, column], self.anchor.scale[:, :, row, column]
        )
        return self.model.around(last, here)[:, 0]
