"""PixelCNN (van den Oord et al. 2016, section 3.5): fifteen residual blocks of masked convolutions, the fast one to train.

The block is the paper's figure 5, left. Departure: the condition, where there is one, is added inside each block.
"""

import torch
from torch import nn
from torch.nn import functional as F

from .autoregressive import Autoregressive, AutoregressiveConfig
from .masked import ConditionCache, ConvCache, MaskedConv2d, Part
from .registry import register


class PixelCNNBlock(nn.Module):
    """1 x 1 from 2 h to h features, 3 x 3, 1 x 1 back to 2 h, each with mask B and a ReLU before it, added to the input."""

    def __init__(self, config: AutoregressiveConfig) -> None:
        super().__init__()
        narrow, channels = config.features, config.channels
        self.reduce = MaskedConv2d("B", 2 * narrow, narrow, channels=channels)
        self.look = MaskedConv2d("B", narrow, narrow, (3, 3), channels)
        self.expand = MaskedConv2d("B", narrow, 2 * narrow, channels=channels)
        self.condition = nn.Conv2d(config.encoder_features, narrow, 1) if config.encoder_features else None

    def forward(self, x: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
        y = self.look(F.relu(self.reduce(F.relu(x))))
        if self.condition is not None:
            y = y + self.condition(condition)
        y = self.expand(F.relu(y))
        return x + y

    def incremental(self, condition: torch.Tensor | None, batch: int, width: int) -> "IncrementalPixelCNNBlock":
        told = None if self.condition is None or condition is None else self.condition(condition)
        return IncrementalPixelCNNBlock(self, told, batch, width)


class IncrementalPixelCNNBlock:
    """A PixelCNNBlock position by position; see IncrementalBlock."""

    def __init__(self, block: PixelCNNBlock, told: torch.Tensor | None, batch: int, width: int) -> None:
        self.layers = [ConvCache(layer, batch, width) for layer in (block.reduce, block.look, block.expand)]
        self.told = ConditionCache(told, block.look)

    def next_row(self) -> None:
        self.told.next_row()
        for layer in self.layers:
            layer.next_row()

    def __call__(self, x: torch.Tensor, start: int, part: Part) -> torch.Tensor:
        reduce, look, expand = self.layers
        y = look(F.relu(reduce(F.relu(x), start, part)), start, part)
        y = self.told.add(y, start, part)
        return x + expand(F.relu(y), start, part)


@register("pixelcnn", AutoregressiveConfig, kind="autoregressive")
class PixelCNN(Autoregressive):
    """An Autoregressive model of PixelCNNBlocks."""

    block = PixelCNNBlock
