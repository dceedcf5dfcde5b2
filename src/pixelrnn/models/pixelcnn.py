"""PixelCNN (van den Oord et al. 2016, section 3.5): residual blocks of masked convolutions; it trains fastest of the three.

The paper has fifteen blocks of its figure 5, left. Departure: the condition, if there is one, is added inside each block.
"""

import torch
from torch import nn
from torch.nn import functional as F

from .autoregressive import Autoregressive, AutoregressiveConfig
from .masked import ChannelGroup, ConditionCache, ConvCache, MaskedConv2d
from .registry import register


class PixelCNNBlock(nn.Module):
    """1 x 1 from 2 h to h features, 3 x 3, 1 x 1 back to 2 h, added to the input; each has mask B and a ReLU before it."""

    def __init__(self, config: AutoregressiveConfig) -> None:
        super().__init__()
        narrow, channels = config.features, config.channels
        self.reduce = MaskedConv2d("B", 2 * narrow, narrow, channels=channels)
        self.look = MaskedConv2d("B", narrow, narrow, (3, 3), channels)
        self.expand = MaskedConv2d("B", narrow, 2 * narrow, channels=channels)
        self.condition = nn.Conv2d(config.encoder_features, narrow, 1) if config.encoder_features else None

    def forward(self, x: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
        y: torch.Tensor = self.look(F.relu(self.reduce(F.relu(x))))
        if self.condition is not None:
            y = y + self.condition(condition)
        y = self.expand(F.relu(y))
        return x + y

    def incremental(self, condition: torch.Tensor | None, batch: int, width: int) -> "IncrementalPixelCNNBlock":
        maps = None if self.condition is None or condition is None else self.condition(condition)
        return IncrementalPixelCNNBlock(self, maps, batch, width)


class IncrementalPixelCNNBlock:
    """A PixelCNNBlock evaluated position by position; see IncrementalBlock."""

    def __init__(self, block: PixelCNNBlock, maps: torch.Tensor | None, batch: int, width: int) -> None:
        self.layers = [ConvCache(layer, batch, width) for layer in (block.reduce, block.look, block.expand)]
        self.condition = ConditionCache(maps, block.look)

    def next_row(self) -> None:
        self.condition.next_row()
        for layer in self.layers:
            layer.next_row()

    def __call__(self, x: torch.Tensor, start: int, group: ChannelGroup) -> torch.Tensor:
        reduce, look, expand = self.layers
        y = look(F.relu(reduce(F.relu(x), start, group)), start, group)
        y = self.condition.add(y, start, group)
        return x + expand(F.relu(y), start, group)


@register("pixelcnn", AutoregressiveConfig, kind="autoregressive")
class PixelCNN(Autoregressive):
    """The autoregressive model of PixelCNNBlocks."""

    block = PixelCNNBlock
