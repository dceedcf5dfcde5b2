"""Blocks shared by the models."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.grad import conv2d_input


def pad_to_multiple(x: torch.Tensor, multiple: int) -> torch.Tensor:
    """(B, C, H, W) with its last row and column repeated until both sides are multiples of `multiple`."""
    height, width = x.shape[-2:]
    # replicated, not reflected: reflection cannot pad a picture by more than its own size
    return F.pad(x, (0, -width % multiple, 0, -height % multiple), mode="replicate")


def unshuffled_conv(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, factor: int) -> torch.Tensor:
    """A convolution (outputs, C factor^2, k, k), k odd, stride 1, over F.pixel_unshuffle(x, factor), zeros around: (B, C, H, W)
    to (B, outputs, H / factor, W / factor).

    Done as one convolution of stride `factor`, whose kernel is the same weights in another order: engines spend longer on
    moving the pixels than on the convolution.
    """
    outputs, inputs, side, _ = weight.shape
    channels = inputs // factor**2
    kernel = weight.view(outputs, channels, factor, factor, side, side).permute(0, 1, 4, 2, 5, 3)
    kernel = kernel.reshape(outputs, channels, side * factor, side * factor)
    return F.conv2d(x, kernel, bias, stride=factor, padding=side // 2 * factor)


def pull_push(image: torch.Tensor, mask: torch.Tensor, levels: int = 7) -> torch.Tensor:
    """`image` (B, 3, H, W) with the pixels where `mask` (B, 1, H, W) is 1 filled smoothly from the others.

    Pull-push (Gortler et al. 1996, "The Lumigraph", section 3.4): known colours are averaged down a pyramid until every cell
    knows one, then brought up where finer levels know none. Grey where nothing is known at all.
    """
    weight = 1 - mask
    colour = image * weight  # premultiplied: what is under the mask is gone
    pyramid = [(colour, weight)]
    for _ in range(levels):
        colour, weight = (F.avg_pool2d(part, 2, ceil_mode=True, count_include_pad=False) for part in (colour, weight))
        # a cell is sure of its colour once a quarter of it is known
        scale = weight.mul(4).clamp(1e-6, 1) / weight.clamp_min(1e-6)
        colour, weight = colour * scale, weight * scale
        pyramid.append((colour, weight))
    known = weight.mean(dim=(2, 3), keepdim=True)
    filled = (colour.mean(dim=(2, 3), keepdim=True) + 1e-6 * 0.5) / (known + 1e-6)
    for colour, weight in reversed(pyramid):
        coarser = F.interpolate(filled, size=colour.shape[-2:], mode="bilinear", align_corners=False)
        filled = colour + (1 - weight) * coarser
    return filled


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each position: (B, C, H, W) to the same."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


@cache
def _compiled_taps() -> Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]:
    """`_taps`, compiled: one kernel that runs over the channels, several times as fast as the engine's own on a CPU."""
    return torch.compile(_taps, dynamic=False)


def _taps(padded: torch.Tensor, gradient: torch.Tensor, side: int) -> torch.Tensor:
    """Sums over all positions of `padded` (B, H + side - 1, W + side - 1, C), shifted by each tap of a kernel, times `gradient`
    (B, H, W, C): (side^2, C)."""
    _, height, width, _ = gradient.shape
    shifts = [(top, left) for top in range(side) for left in range(side)]
    return torch.stack([(padded[:, y : y + height, x : x + width] * gradient).sum(dim=(0, 1, 2)) for y, x in shifts])


class _CompiledGradient(torch.autograd.Function):
    """A depthwise convolution with stride 1 whose gradient by its weights is `_compiled_taps`, always summed in float32."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        (gradient,), (x, weight) = gradients, ctx.saved_tensors
        channels, _, side, _ = weight.shape
        edge = side // 2
        to_input = conv2d_input(x.shape, weight.to(gradient.dtype), gradient, padding=edge, groups=channels)
        gradient = gradient.float().permute(0, 2, 3, 1).contiguous()  # (B, H, W, C)
        padded = F.pad(x.float().permute(0, 2, 3, 1), (0, 0, edge, edge, edge, edge))
        to_weight = _compiled_taps()(padded, gradient, side).T.reshape(weight.shape)
        return to_input.to(x.dtype), to_weight.to(weight.dtype), gradient.sum(dim=(0, 1, 2))


class DepthwiseConv2d(nn.Conv2d):
    """A convolution of every channel by itself, stride 1, odd kernel, zeros around: (B, C, H, W) to the same.

    compiled: in training, take the gradient by the weights, half of a training step on a CPU, from a kernel that torch.compile
    makes; that needs a C++ compiler, and a quarter of a minute at the first step for each new shape.
    """

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__(channels, channels, kernel_size, padding=kernel_size // 2, groups=channels)
        self.compiled = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.compiled and torch.is_grad_enabled():
            return _CompiledGradient.apply(x, self.weight, self.bias)
        return super().forward(x)


class Block(nn.Module):
    """Depthwise 7 x 7 convolution, layer norm over channels, 1 x 1 expansion, GELU, 1 x 1 back, added to the input.

    The ConvNeXt block (Liu et al. 2022, figure 4) without stochastic depth; (B, C, H, W) to the same.
    """

    def __init__(self, channels: int, expansion: int = 2, kernel_size: int = 7) -> None:
        super().__init__()
        self.depthwise = DepthwiseConv2d(channels, kernel_size)
        self.norm = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, expansion * channels)
        self.reduce = nn.Linear(expansion * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), 0.1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.depthwise(x).permute(0, 2, 3, 1)  # (B, H, W, C): layer norm is fast over the last axis
        # the scale goes into the weights, not over the picture: the same result in fewer passes over memory
        weight, bias = self.scale[:, None] * self.reduce.weight, self.scale * self.reduce.bias
        y = F.linear(F.gelu(self.expand(self.norm(y))), weight, bias)
        return x + y.permute(0, 3, 1, 2)


class GatedScan(nn.Module):
    """Memory across a picture by gated recurrent units: a bidirectional one reads every row, a second reads every column of
    what the first says, so that each position hears of all others, and a 1 x 1 layer mixes both into the input; (B, C, H, W)
    to the same. The layer of ReNet (Visin et al. 2015) on single positions.

    cell: nn.GRU (Cho et al. 2014) or nn.LSTM. With nn.LSTM it is ConvLSTMScan's recurrence with a 1 x 1 state-to-state
    convolution: all rows (columns) run at once, and engines have it as one operation.
    """

    def __init__(self, channels: int, hidden: int, cell: type[nn.GRU] | type[nn.LSTM]) -> None:
        super().__init__()
        self.hidden = hidden
        self.norm = nn.LayerNorm(channels)
        self.rows = cell(channels, hidden, batch_first=True, bidirectional=True)
        self.columns = cell(2 * hidden, hidden, batch_first=True, bidirectional=True)
        self.mix = nn.Linear(4 * hidden, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = x.shape
        y = self.norm(x.permute(0, 2, 3, 1))  # (B, H, W, C)
        rows, _ = self.rows(y.reshape(batch * height, width, channels))
        # explicit sizes: a -1 after a recurrence freezes the example's size in an ONNX export
        rows = rows.reshape(batch, height, width, 2 * self.hidden)
        columns, _ = self.columns(rows.transpose(1, 2).reshape(batch * width, height, 2 * self.hidden))
        columns = columns.reshape(batch, width, height, 2 * self.hidden).transpose(1, 2)
        return x + self.mix(torch.cat([rows, columns], dim=3)).permute(0, 3, 1, 2)
