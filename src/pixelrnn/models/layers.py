"""Layers that the models share."""

import torch
from torch import nn
from torch.nn import functional as F


def pad_to_multiple(x: torch.Tensor, multiple: int) -> torch.Tensor:
    """Repeat the last row and column of (B, C, H, W) until both sides are multiples of `multiple`."""
    height, width = x.shape[-2:]
    # replicated, not reflected: reflection cannot pad an image by more than its own size
    return F.pad(x, (0, -width % multiple, 0, -height % multiple), mode="replicate")


def pull_push(image: torch.Tensor, mask: torch.Tensor, levels: int = 7) -> torch.Tensor:
    """Fill missing pixels smoothly from the known ones by pull-push (Gortler et al. 1996, "The Lumigraph", section 3.4).

    Known colours are averaged down a pyramid until every cell has one (pull). They are then interpolated back up to where
    finer levels have none (push). An image without any known pixel becomes grey.

    Args:
        image: (B, 3, H, W) in [0, 1].
        mask: (B, 1, H, W) in {0, 1}, 1 where missing; the values there are ignored.
        levels: Number of times that the pyramid halves the image.

    Returns:
        The filled image (B, 3, H, W).
    """
    weight = 1 - mask
    colour = image * weight  # premultiplied, which removes what is under the mask
    pyramid = [(colour, weight)]
    for _ in range(levels):
        colour, weight = (F.avg_pool2d(part, 2, ceil_mode=True, count_include_pad=False) for part in (colour, weight))
        # a cell counts as fully known once a quarter of it is known
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
    """Layer norm over the channels of each position; maps (B, C, H, W) to the same shape."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Block(nn.Module):
    """The ConvNeXt block (Liu et al. 2022, figure 4) without stochastic depth; maps (B, C, H, W) to the same shape.

    Depthwise 7 x 7 convolution, layer norm over channels, 1 x 1 expansion, GELU, 1 x 1 projection, added to the input.

    Args:
        channels: C.
        expansion: Hidden features per channel.
        kernel_size: Side of the depthwise kernel, odd.
    """

    def __init__(self, channels: int, expansion: int = 2, kernel_size: int = 7) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, expansion * channels)
        self.reduce = nn.Linear(expansion * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), 0.1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.depthwise(x).permute(0, 2, 3, 1)  # (B, H, W, C): layer norm is fast over the last axis
        # scaling the weights instead of the features gives the same result in fewer passes over memory
        weight, bias = self.scale[:, None] * self.reduce.weight, self.scale * self.reduce.bias
        y = F.linear(F.gelu(self.expand(self.norm(y))), weight, bias)
        return x + y.permute(0, 3, 1, 2)


class GatedScan(nn.Module):
    """Memory across an image by gated recurrent units; maps (B, C, H, W) to the same shape.

    A bidirectional recurrence reads every row. A second one reads every column of its outputs, so that each position depends
    on all others. A 1 x 1 layer mixes both into the input. This is the layer of ReNet (Visin et al. 2015) on single positions.

    With nn.LSTM this is the recurrence of ConvLSTMScan with a 1 x 1 state-to-state convolution: all rows (columns) run at
    once, and inference engines have it as one operation.

    Args:
        channels: C.
        hidden: Features of the state in each direction.
        cell: nn.GRU (Cho et al. 2014) or nn.LSTM.
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
        # explicit sizes, because a -1 after a recurrence fixes the example's size in an ONNX export
        rows = rows.reshape(batch, height, width, 2 * self.hidden)
        columns, _ = self.columns(rows.transpose(1, 2).reshape(batch * width, height, 2 * self.hidden))
        columns = columns.reshape(batch, width, height, 2 * self.hidden).transpose(1, 2)
        mixed: torch.Tensor = self.mix(torch.cat([rows, columns], dim=3))
        return x + mixed.permute(0, 3, 1, 2)
