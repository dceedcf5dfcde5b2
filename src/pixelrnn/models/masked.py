"""Masked convolutions, and how to evaluate them one position at a time (van den Oord et al. 2016, section 3.4).

Pixels come in raster order, and the channels of a pixel one after the other, R before G before B. The features of a layer are
split into as many groups as there are channels. Features of group c depend on earlier pixels and, at their own pixel, on the
channels before c (mask A, on the image itself) or up to c (mask B, on features, which hold no more than mask A let in).
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

ChannelGroup = slice | int  # the number of one group of features, or slice(None) for all groups


def group_bounds(features: int, channels: int) -> list[tuple[int, int]]:
    """Split features into one group per channel, as evenly as possible: the first and last + 1 feature of each."""
    edges = [-(-number * features // channels) for number in range(channels + 1)]
    return list(pairwise(edges))


def group_of(features: int, channels: int, repeats: int = 1) -> torch.Tensor:
    """Return the group of each feature, int64 (repeats x features,)."""
    sizes = torch.tensor([end - start for start, end in group_bounds(features, channels)])
    return torch.arange(channels).repeat_interleave(sizes).repeat(repeats)


class MaskedConv2d(nn.Conv2d):
    """A convolution that sees no later pixel or channel; maps (B, inputs, H, W) to (B, repeats x outputs, H, W).

    Args:
        kind: "A" or "B".
        inputs: Features of the input.
        outputs: Features of each set of the output.
        kernel_size: (height, width), both odd. A kernel of height 1 sees no pixel above.
        channels: Number of groups.
        repeats: Number of sets of `outputs` features that are grouped alike, such as the gates of an LSTM.
    """

    mask: torch.Tensor

    def __init__(
        self, kind: str, inputs: int, outputs: int, kernel_size: tuple[int, int] = (1, 1), channels: int = 1, repeats: int = 1
    ) -> None:
        height, width = kernel_size
        super().__init__(inputs, repeats * outputs, kernel_size, padding=(height // 2, width // 2))
        self.channels, self.repeats, self.outputs = channels, repeats, outputs
        before, after = group_of(inputs, channels), group_of(outputs, channels, repeats)
        mask = torch.zeros_like(self.weight)
        mask[:, :, : height // 2] = 1
        mask[:, :, height // 2, : width // 2] = 1
        centre = before < after[:, None] if kind == "A" else before <= after[:, None]
        mask[:, :, height // 2, width // 2] = centre.to(mask.dtype)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)

    def at(self, x: torch.Tensor) -> torch.Tensor:
        """Apply a 1 x 1 kernel to single positions: (..., inputs) to (..., repeats x outputs)."""
        return F.linear(x, (self.weight * self.mask)[:, :, 0, 0], self.bias)


class ConvCache:
    """A masked convolution whose input comes position by position; it keeps the rows that its kernel reaches.

    Tensors are (B, columns, features).

    Args:
        conv: The convolution.
        batch: Images in the batch.
        width: Width of the images in pixels.
    """

    def __init__(self, conv: MaskedConv2d, batch: int, width: int) -> None:
        self.above, self.left = conv.weight.shape[2] // 2, conv.weight.shape[3] // 2
        inputs = conv.weight.shape[1]
        weight = (conv.weight * conv.mask).detach()
        flat = [weight[:, :, row].flatten(1) for row in range(self.above)]  # all columns of the rows above
        flat.append(weight[:, :, self.above, : self.left + 1].flatten(1))  # its own row up to its own column
        weights = torch.cat(flat, dim=1).view(conv.repeats, conv.outputs, -1)
        biases = conv.bias.detach().view(conv.repeats, conv.outputs)  # type: ignore[union-attr]
        self.bounds = group_bounds(inputs, conv.channels)
        groups = [slice(*bounds) for bounds in group_bounds(conv.outputs, conv.channels)]
        self.weights = [
            (weights[:, group].flatten(0, 1).contiguous(), biases[:, group].flatten()) for group in [*groups, slice(None)]
        ]
        self.rows = weight.new_zeros(self.above + 1, batch, width + 2 * self.left, inputs)

    def next_row(self) -> None:
        """Go to the start of the next row."""
        self.rows = self.rows.roll(-1, 0)
        self.rows[-1] = 0

    def write(self, x: torch.Tensor, start: int, group: ChannelGroup) -> None:
        """Take in the features `group` of the input (B, n, features of the group) at the columns from `start` on."""
        first, last = self.bounds[group] if isinstance(group, int) else (0, self.rows.shape[-1])
        self.rows[-1, :, self.left + start : self.left + start + x.shape[1], first:last] = x

    def read(self, start: int, end: int, group: ChannelGroup) -> torch.Tensor:
        """Return the features `group` of the output at columns [start, end): (B, n, repeats x features of the group)."""
        weight, bias = self.weights[group if isinstance(group, int) else -1]
        if self.left == 0 and self.above == 0:
            return F.linear(self.rows[-1, :, start:end], weight, bias)
        side = 2 * self.left + 1
        above = [row[:, start : end + 2 * self.left].unfold(1, side, 1).flatten(2) for row in self.rows[:-1]]
        own = self.rows[-1, :, start : end + self.left].unfold(1, self.left + 1, 1).flatten(2)
        return F.linear(torch.cat([*above, own], dim=2), weight, bias)

    def __call__(self, x: torch.Tensor, start: int, group: ChannelGroup) -> torch.Tensor:
        """Take in the features `group` from column `start` on, and return the same group of the output there.

        With mask B a group depends on itself and on those before it, which must have been written already.
        """
        self.write(x, start, group)
        return self.read(start, start + x.shape[1], group)


class ConditionCache:
    """A condition that is known before the first pixel, added position by position to the output of a ConvCache.

    Args:
        maps: (B, repeats x outputs of `conv`, H, W); None for no condition.
        conv: The convolution to whose output the condition is added.
    """

    def __init__(self, maps: torch.Tensor | None, conv: MaskedConv2d) -> None:
        self.row = 0
        self.maps: torch.Tensor | None = None
        if maps is not None:
            self.maps = maps.permute(0, 2, 3, 1).unflatten(3, (conv.repeats, conv.outputs))  # (B, H, W, repeats, outputs)
        self.groups = [slice(*bounds) for bounds in group_bounds(conv.outputs, conv.channels)]

    def next_row(self) -> None:
        self.row += 1

    def add(self, y: torch.Tensor, start: int, group: ChannelGroup) -> torch.Tensor:
        """Add the condition to `y` (B, n, repeats x features of the group) at the columns from `start` on."""
        if self.maps is None:
            return y
        columns = self.maps[:, self.row, start : start + y.shape[1]]
        return y + columns[..., self.groups[group] if isinstance(group, int) else group].flatten(2)
