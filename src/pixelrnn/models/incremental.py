"""The distributions of an autoregressive model at one position after the other, as sampling needs them.

`IncrementalEvaluation` computes each position once and caches what later ones need. `FullEvaluation` computes the whole image
every time, which is the reference.
"""

from typing import TYPE_CHECKING, Protocol

import torch
from torch.nn import functional as F

from .likelihood import Anchor
from .masked import ChannelGroup, ConvCache

if TYPE_CHECKING:
    from .autoregressive import Autoregressive


class IncrementalBlock(Protocol):
    """A block that is evaluated position by position and row by row, as ConvCache is; tensors are (B, columns, features)."""

    def next_row(self) -> None: ...

    def __call__(self, x: torch.Tensor, start: int, group: ChannelGroup) -> torch.Tensor: ...


class FullEvaluation:
    """Evaluates the whole image again for each channel of each pixel.

    Args:
        model: The model.
        image: (B, C, H, W) with levels in [0, 1], in which the caller writes what it draws.
        condition: From `Autoregressive.condition`.
        anchor: From `Autoregressive.anchor`.
    """

    def __init__(
        self, model: "Autoregressive", image: torch.Tensor, condition: torch.Tensor | None, anchor: Anchor | None
    ) -> None:
        self.model, self.image, self.condition, self.anchor = model, image, condition, anchor

    def next_row(self, row: int) -> None:
        pass

    def skip(self, row: int, start: int, end: int, drawn: bool = False) -> None:
        pass

    def parameters(self, row: int, column: int, channel: int) -> torch.Tensor:
        """Return the distribution (B, P) of one channel of one pixel."""
        features = self.model.features(self.image, self.condition, self.anchor)[:, :, row, column]
        return self.model.parameters_at(features, self.anchor and self.anchor.at(row, column))[:, channel]


class IncrementalEvaluation:
    """Evaluates one position at a time; arguments as in FullEvaluation.

    Every layer caches what later positions need of it. Each group of features is computed once, as soon as the channels before
    it are known.
    """

    def __init__(
        self, model: "Autoregressive", image: torch.Tensor, condition: torch.Tensor | None, anchor: Anchor | None
    ) -> None:
        batch, width = len(image), image.shape[3]
        self.model, self.image, self.anchor = model, image, anchor
        self.first = ConvCache(model.first, batch, width)
        self.blocks: list[IncrementalBlock] = [block.incremental(condition, batch, width) for block in model.blocks]  # type: ignore[operator]
        self.head, self.last = ConvCache(model.head, batch, width), ConvCache(model.last, batch, width)
        self.begun = False

    def next_row(self, row: int) -> None:
        """Go to the next row, the first time to row 0."""
        if self.begun:
            for layer in (self.first, *self.blocks, self.head, self.last):
                layer.next_row()
        self.begun = True

    def _pixels(self, row: int, start: int, end: int) -> torch.Tensor:
        """The network's input (B, end - start, C) at some columns of the row."""
        anchor = self.anchor and self.anchor.at(row, slice(start, end))
        return self.model.network_input(self.image[:, :, row, start:end], anchor).transpose(1, 2)

    def skip(self, row: int, start: int, end: int, drawn: bool = False) -> None:
        """Take in the pixels [start, end) of the row.

        They are known, or `drawn` by now; the features of drawn pixels were computed on the way.
        """
        self.first.write(self._pixels(row, start, end), start, slice(None))
        if not drawn:
            x = self.first.read(start, end, slice(None))
            for block in self.blocks:
                x = block(x, start, slice(None))

    def parameters(self, row: int, column: int, channel: int) -> torch.Tensor:
        """Return the distribution (B, P) of one channel of one pixel, whose earlier channels are in the image."""
        if channel:
            self.first.write(self._pixels(row, column, column + 1), column, slice(None))
        x = self.first.read(column, column + 1, channel)
        for block in self.blocks:
            x = block(x, column, channel)
        x = F.relu(self.head(F.relu(x), column, channel))
        last = self.last(x, column, channel)  # (B, 1, P)
        anchor = self.anchor and Anchor(
            self.anchor.centre[:, channel : channel + 1, row, column], self.anchor.scale[:, :, row, column]
        )
        return self.model.apply_anchor(last, anchor)[:, 0]
