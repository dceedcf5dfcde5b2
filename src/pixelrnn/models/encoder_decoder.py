"""Optimized PixelRNN: an encoder, a recurrence for spatial memory, a PixelShuffle decoder.

`baseline` is the network of the system's description, unchanged. `optimized_pixelrnn` is the default. It takes a mask or
detects the occlusion itself, spends nothing on known pixels, and carries memory across the image by scans.

Papers: PixelRNN (van den Oord et al. 2016), ConvLSTM (Shi et al. 2015), sub-pixel convolution (Shi et al. 2016).
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from .base import EVIDENCE, CompletionModel, Prediction, evidence
from .convlstm import ConvLSTMCell, ConvLSTMScan
from .layers import Block, ChannelNorm, GatedScan, pad_to_multiple, pull_push
from .registry import register


@dataclass(frozen=True)
class BaselineConfig:
    """The baseline has no options."""


@register("baseline", BaselineConfig)
class Baseline(CompletionModel):
    """The network of the description: three strided convolutions, one ConvLSTM step, three PixelShuffles.

    It has 6,643,555 parameters. It regenerates the whole image and makes no use of a mask.

    Its flaw is part of the description: the ConvLSTM takes a single step from a zero state, so the hidden half of the gate
    convolution and the forget gate never get a gradient (2,949,376 parameters).
    """

    def __init__(self, config: BaselineConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 64, 5, stride=2, padding=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(64, 128, 3, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(128, 256, 3, stride=2, padding=1),
            nn.ReLU(inplace=True),
        )
        self.convlstm = ConvLSTMCell(256, 256)
        self.decoder = nn.Sequential(
            nn.Conv2d(256, 512, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.PixelShuffle(2),
            nn.Conv2d(128, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.PixelShuffle(2),
            nn.Conv2d(64, 128, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.PixelShuffle(2),
            nn.Conv2d(32, 3, 3, padding=1),
            nn.Sigmoid(),
        )

    def fill(
        self,
        image: torch.Tensor,
        mask: torch.Tensor | None,
        guide: torch.Tensor | None = None,
        guided: torch.Tensor | None = None,
    ) -> Prediction:
        """Complete images; `mask` has no effect, because the description has none."""
        if guide is not None:
            raise ValueError("this model takes no guide: pass guide=None")
        height, width = image.shape[-2:]
        features = self.encoder(pad_to_multiple(image, 8))  # (B, 256, H/8, W/8)
        hidden, _ = self.convlstm(features)
        return Prediction(self.decoder(hidden)[..., :height, :width])


class UNet(nn.Module):
    """Encoder and decoder with skip connections (Ronneberger et al. 2015), PixelShuffle on the way up (Shi et al. 2016).

    The grids have 1/stride, 1/(2 stride), ... of the image's sides. The network maps (B, inputs, H, W), with sides that are
    multiples of `multiple`, to the output of `head` for (B, widths[0], H / stride, W / stride).

    Args:
        inputs: Channels of the input.
        widths: Features per grid, finest first.
        depths: Blocks per grid, finest first.
        stride: Pixels per cell of the finest grid.
        scan: The module in the middle of the coarsest grid's blocks.
        head: The module after the decoder.
        kernel_size: Side of the first convolution in cells of the finest grid, odd.
    """

    def __init__(
        self,
        inputs: int,
        widths: tuple[int, ...],
        depths: tuple[int, ...],
        stride: int,
        scan: nn.Module,
        head: nn.Module,
        kernel_size: int = 3,
    ) -> None:
        super().__init__()
        self.multiple = stride * 2 ** (len(widths) - 1)
        stem = nn.Conv2d(inputs, widths[0], kernel_size * stride, stride=stride, padding=kernel_size // 2 * stride)
        self.stem = nn.Sequential(stem, ChannelNorm(widths[0]))
        steps = list(pairwise(widths))
        self.encode = nn.ModuleList(_blocks(width, depth) for width, depth in zip(widths[:-1], depths[:-1], strict=True))
        self.down = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in steps)
        half = depths[-1] // 2
        self.bottom = nn.Sequential(_blocks(widths[-1], half), scan, _blocks(widths[-1], depths[-1] - half))
        self.up = nn.ModuleList(
            nn.Sequential(nn.Conv2d(coarse, 4 * fine, 1), nn.PixelShuffle(2)) for fine, coarse in reversed(steps)
        )
        self.decode = nn.ModuleList(_blocks(width, depth) for width, depth in zip(widths[-2::-1], depths[-2::-1], strict=True))
        self.head = head

    def fine_grids(self) -> list[nn.Module]:
        """The decoder's modules on the two finest grids, and the head."""
        return [*self.up[-2:], *self.decode[-2:], self.head]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x, skips = self.stem(x), []
        for encode, down in zip(self.encode, self.down, strict=True):
            skips.append(encode(x))
            x = down(skips[-1])
        x = self.bottom(x)  # (B, widths[-1], H / multiple, W / multiple)
        for up, decode in zip(self.up, self.decode, strict=True):
            x = decode(up(x) + skips.pop())
        output: torch.Tensor = self.head(x)
        return output


def _blocks(channels: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*(Block(channels) for _ in range(depth)))


class Detector(nn.Module):
    """Detects the occlusion: a U-Net finds the rough place, two convolutions at half the resolution find the exact edge.

    Args:
        widths: Features of the U-Net per grid, finest first.
        depths: Blocks of the U-Net per grid, finest first.
    """

    def __init__(self, widths: tuple[int, ...], depths: tuple[int, ...]) -> None:
        super().__init__()
        head = nn.Sequential(ChannelNorm(widths[0]), nn.Conv2d(widths[0], 4 * 8, 1), nn.PixelShuffle(2))
        self.rough = UNet(3 + EVIDENCE, widths, depths, 4, nn.Identity(), head, kernel_size=1)  # to (B, 8, H/2, W/2)
        self.fine = nn.Conv2d(3 + EVIDENCE, 16, 6, stride=2, padding=2, bias=False)
        self.merge = nn.Conv2d(8, 16, 3, padding=1)
        self.edge = nn.Sequential(nn.GELU(), nn.Conv2d(16, 4, 3, padding=1), nn.PixelShuffle(2))
        self.multiple = self.rough.multiple

    def forward(self, image: torch.Tensor, planes: torch.Tensor) -> torch.Tensor:
        """Map an image (B, 3, H, W) in [0, 1] and its evidence (B, 4, H, W) to logits (B, 1, H, W), positive where covered.

        Both sides must be multiples of `multiple`.
        """
        x = torch.cat([image, planes], dim=1)  # (B, 7, H, W)
        logits: torch.Tensor = self.edge(self.fine(x) + self.merge(self.rough(x)))
        return logits


OUTPUT_SCALE = 8  # the network's output is divided by it
LOG_STD = 3  # channel of the output, after RGB
SCANS: dict[str, Callable[[int, int], nn.Module]] = {
    "convlstm": ConvLSTMScan,
    "lstm": lambda channels, hidden: GatedScan(channels, hidden, nn.LSTM),
    "gru": lambda channels, hidden: GatedScan(channels, hidden, nn.GRU),
    "none": lambda channels, hidden: nn.Identity(),
}


@dataclass(frozen=True)
class OptimizedPixelRNNConfig:
    """Options of the default network."""

    # of the network that fills, on its grids of 1/stride, 1/(2 stride), ... of the image, finest first
    widths: tuple[int, ...] = (48, 96, 192, 384)  # features
    depths: tuple[int, ...] = (1, 2, 3, 12)  # blocks
    stride: int = 2  # pixels per cell of the finest grid
    # of the network that detects, on its grids of 1/4, 1/8, ...
    detector_widths: tuple[int, ...] = (24, 48, 64, 96)
    detector_depths: tuple[int, ...] = (2, 2, 2, 2)
    # the recurrence in the middle of the coarsest grid's blocks: "lstm" scans the rows and then the columns, as a ConvLSTM
    # with a 1 x 1 state-to-state kernel; "convlstm" has a kernel of 3 x 3; or "gru", or "none"
    scan: str = "lstm"
    scan_hidden: int = 128  # features of the recurrence in each direction
    head_features: int = 8  # at full resolution, before the last convolution
    # True: start from a smooth fill and learn the difference to the image; False: start from black and learn the whole image
    smooth_start: bool = True


@register("optimized_pixelrnn", OptimizedPixelRNNConfig)
class OptimizedPixelRNN(CompletionModel):
    """The default network: one U-Net detects the occlusion, another fills it from the known pixels around it.

    Raises:
        ValueError: The config names an unknown scan, or has not as many depths as widths, 2 or more.
    """

    takes_mask = detects = True

    def __init__(self, config: OptimizedPixelRNNConfig) -> None:
        super().__init__()
        self.config = config
        if config.scan not in SCANS:
            raise ValueError(f"scan must be {', '.join(SCANS)}, got {config.scan!r}")
        if not len(config.widths) == len(config.depths) > 1:
            raise ValueError(f"expected as many depths as widths, 2 or more, got {config.depths} and {config.widths}")
        # 5 inputs: RGB, the mask, and the mask where a guide fills it; 4 outputs: RGB and the log std of its error
        last = nn.Conv2d(config.head_features, 4, 3, padding=1)
        head = nn.Sequential(
            ChannelNorm(config.widths[0]),
            nn.Conv2d(config.widths[0], config.stride**2 * config.head_features, 3, padding=1),
            nn.PixelShuffle(config.stride),
            nn.GELU(),
            last,
        )
        scan = SCANS[config.scan](config.widths[-1], config.scan_hidden)
        self.filler = UNet(5, config.widths, config.depths, config.stride, scan, head)
        self.detector = Detector(config.detector_widths, config.detector_depths)
        if config.smooth_start:  # so that an untrained network returns the smooth fill
            nn.init.normal_(last.weight, std=1e-3)
            nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def fine_grids(self) -> list[nn.Module]:
        return self.filler.fine_grids()

    @torch.no_grad()
    def rescale_log_std(self, gain: float, shift: float) -> None:
        """Calibrate `log_std`, which is -6 sigmoid(x): x becomes gain * x + shift, by a change of the last layer's weights."""
        last: Any = list(self.filler.head.children())[-1]
        last.weight[LOG_STD] *= gain
        last.bias[LOG_STD] = last.bias[LOG_STD] * gain + OUTPUT_SCALE * shift

    def detect(self, image: torch.Tensor, planes: torch.Tensor | None = None) -> torch.Tensor:
        height, width = image.shape[-2:]
        planes = evidence(image) if planes is None else planes
        image, planes = (pad_to_multiple(x, self.detector.multiple) for x in (image, planes))
        logits: torch.Tensor = self.detector(image, planes)
        return logits[..., :height, :width]

    def fill(
        self,
        image: torch.Tensor,
        mask: torch.Tensor | None,
        guide: torch.Tensor | None = None,
        guided: torch.Tensor | None = None,
    ) -> Prediction:
        if mask is None:
            raise ValueError("this model needs a mask to fill: expected (B, 1, H, W), got None")
        height, width = image.shape[-2:]
        image, mask = (pad_to_multiple(x, self.filler.multiple) for x in (image, mask))
        start, guide_mask = image * (1 - mask), torch.zeros_like(mask)
        if self.config.smooth_start and (guide is None or guided is not None):
            start = pull_push(image, mask)
        if guide is not None:
            guide_mask = mask if guided is None else mask * guided.to(mask.dtype).view(-1, 1, 1, 1)
            # the guide covers the image, not its padding
            coarse = F.interpolate(guide, size=(height, width), mode="bilinear", align_corners=False)
            start = start * (1 - guide_mask) + pad_to_multiple(coarse, self.filler.multiple) * guide_mask
        # scaled down, because a step of Adam moves all weights of the last layer at once, too far for an image in [0, 1]
        output = self.filler(torch.cat([start, mask, guide_mask], dim=1)) / OUTPUT_SCALE
        rgb = output[:, :LOG_STD]
        mean = (start + rgb if self.config.smooth_start else torch.sigmoid(rgb))[..., :height, :width]
        # the std lies in [e^-6, 1]: no error in [0, 1] is larger, and the loss stays finite
        log_std = -6 * torch.sigmoid(output[:, LOG_STD : LOG_STD + 1])[..., :height, :width]
        return Prediction(mean.clamp(0, 1), None, log_std, mean)
