"""Masked convolutions, and how to evaluate them one position at a time (van den Oord et al. 2016, section 3.4).

Pixels come in raster order, and the channels of a pixel one after the other, R before G before B. The features of a layer are
split in as many groups as there are channels; those of group c may know earlier pixels and the channels of their own pixel
before c (mask A, on the picture itself) or up to c (mask B, on features, which hold no more than mask A let in).
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

Part = slice | int  # features of one group by its number, or slice(None) for those of all


def group_bounds(features: int, channels: int) -> list[tuple[int, int]]:
    """First and last + 1 feature of each group, as even as can be."""
    edges = [-(-number * features // channels) for number in range(channels + 1)]
    return list(pairwise(edges))


def group_of(features: int, channels: int, repeats: int = 1) -> torch.Tensor:
    """The group of each of `repeats` times `features` features, int64."""
    sizes = torch.tensor([end - start for start, end in group_bounds(features, channels)])
    return torch.arange(channels).repeat_interleave(sizes).repeat(repeats)


class MaskedConv2d(nn.Conv2d):
    """A convolution that sees no later pixel nor channel: (B, inputs, H, W) to (B, repeats x outputs, H, W), zeros around.

    kind: "A" or "B". kernel_size: (height, width), both odd. repeats: sets of `outputs` features that are grouped alike, as the
    gates of an LSTM. A row of height 1 sees no pixel above.
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
        """A 1 x 1 kernel on loose positions: (..., inputs) to (..., repeats x outputs)."""
        return F.linear(x, (self.weight * self.mask)[:, :, 0, 0], self.bias)


class ConvCache:
    """A masked convolution evaluated as its input comes, position by position: it keeps the rows that its kernel reaches.

    conv: what is evaluated; batch, width: of the pictures. Everything here is (B, columns, features).
    """

    def __init__(self, conv: MaskedConv2d, batch: int, width: int) -> None:
        self.above, self.left = conv.weight.shape[2] // 2, conv.weight.shape[3] // 2
        inputs = conv.weight.shape[1]
        weight = (conv.weight * conv.mask).detach()
        flat = [weight[:, :, row].flatten(1) for row in range(self.above)]  # all columns of the rows above
        flat.append(weight[:, :, self.above, : self.left + 1].flatten(1))  # and up to its own column
        weights = torch.cat(flat, dim=1).view(conv.repeats, conv.outputs, -1)
        biases = conv.bias.detach().view(conv.repeats, conv.outputs)  # type: ignore[union-attr]
        self.bounds = group_bounds(inputs, conv.channels)
        parts = [slice(*bounds) for bounds in group_bounds(conv.outputs, conv.channels)]
        self.weights = [
            (weights[:, part].flatten(0, 1).contiguous(), biases[:, part].flatten()) for part in [*parts, slice(None)]
        ]
        self.rows = weight.new_zeros(self.above + 1, batch, width + 2 * self.left, inputs)

    def next_row(self) -> None:
        """Go to the start of the next row."""
        self.rows = self.rows.roll(-1, 0)
        self.rows[-1] = 0

    def write(self, x: torch.Tensor, start: int, part: Part) -> None:
        """Take in the features `part` of the columns from `start` on: (B, n, features of the part)."""
        first, last = self.bounds[part] if isinstance(part, int) else (0, self.rows.shape[-1])
        self.rows[-1, :, self.left + start : self.left + start + x.shape[1], first:last] = x

    def read(self, start: int, end: int, part: Part) -> torch.Tensor:
        """The features `part` of the output at the columns [start, end): (B, n, repeats x features of the part)."""
        weight, bias = self.weights[part if isinstance(part, int) else -1]
        if self.left == 0 and self.above == 0:
            return F.linear(self.rows[-1, :, start:end], weight, bias)
        side = 2 * self.left + 1
        reached = [row[:, start : end + 2 * self.left].unfold(1, side, 1).flatten(2) for row in self.rows[:-1]]
        own = self.rows[-1, :, start : end + self.left].unfold(1, self.left + 1, 1).flatten(2)
        return F.linear(torch.cat([*reached, own], dim=2), weight, bias)

    def __call__(self, x: torch.Tensor, start: int, part: Part) -> torch.Tensor:
        """Take in the features `part` from column `start` on, and give the same part of the output there. With mask B a part
        knows those before it and itself, so they must have come.
        """
        self.write(x, start, part)
        return self.read(start, start + x.shape[1], part)


class ConditionCache:
    """Maps that are known before the first pixel, read position by position, as a ConvCache is.

    maps: (B, repeats x outputs of `conv`, H, W), None for nothing; what is read fits what `conv` gives.
    """

    def __init__(self, maps: torch.Tensor | None, conv: MaskedConv2d) -> None:
        self.row, self.maps = 0, None
        if maps is not None:
            self.maps = maps.permute(0, 2, 3, 1).unflatten(3, (conv.repeats, conv.outputs))  # (B, H, W, repeats, outputs)
        self.parts = [slice(*bounds) for bounds in group_bounds(conv.outputs, conv.channels)]

    def next_row(self) -> None:
        self.row += 1

    def add(self, y: torch.Tensor, start: int, part: Part) -> torch.Tensor:
        """`y` (B, n, repeats x features of the part), of the columns from `start` on, and what the maps say there."""
        if self.maps is None:
            return y
        some = self.maps[:, self.row, start : start + y.shape[1]]
        return y + some[..., self.parts[part] if isinstance(part, int) else part].flatten(2)
