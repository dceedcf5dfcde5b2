"""Optimized PixelRNN: an encoder, a recurrence for spatial memory, a PixelShuffle decoder.

`baseline` is the network of the system's description, kept as it is described. `optimized_pixelrnn` is the default: it takes a
mask or finds the occlusion itself, keeps known pixels out of its way, and carries memory across the picture by scans.
Papers: PixelRNN (van den Oord et al. 2016), ConvLSTM (Shi et al. 2015), sub-pixel convolution (Shi et al. 2016).
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from .base import EVIDENCE, CompletionModel, Prediction, evidence
from .convlstm import ConvLSTMCell, ConvLSTMScan
from .layers import Block, ChannelNorm, GatedScan, pad_to_multiple, pull_push
from .registry import register


@dataclass(frozen=True)
class BaselineConfig:
    """The described network has no options."""


@register("baseline", BaselineConfig)
class Baseline(CompletionModel):
    """The described network: three strided convolutions, one ConvLSTM step, three PixelShuffles; 6,643,555 parameters.

    Its flaw is part of the description: a single step from a zero state, so the hidden half of the gate convolution and the
    forget gate never get a gradient (2,949,376 parameters). It regenerates the whole picture and has no use for a mask.
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
        """`mask` changes nothing: the network was described without."""
        if guide is not None:
            raise ValueError("this model takes no guide: pass guide=None")
        height, width = image.shape[-2:]
        features = self.encoder(pad_to_multiple(image, 8))  # (B, 256, H/8, W/8)
        hidden, _ = self.convlstm(features)
        return Prediction(self.decoder(hidden)[..., :height, :width])


class UNet(nn.Module):
    """Encoder and decoder with skip connections (Ronneberger et al. 2015) over grids of 1/stride, 1/(2 stride), ... of the
    picture, PixelShuffle on the way up (Shi et al. 2016).

    (B, inputs, H, W), sides multiples of `multiple`, to what `head` makes of (B, widths[0], H / stride, W / stride). widths,
    depths: features and blocks per grid, finest first. scan: what stands amid the blocks of the coarsest grid. kernel_size: of
    the first convolution, in cells of the finest grid, odd.
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
        """What decodes on the two finest grids, and the head."""
        return [*self.up[-2:], *self.decode[-2:], self.head]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x, skipped = self.stem(x), []
        for encode, down in zip(self.encode, self.down, strict=True):
            skipped.append(encode(x))
            x = down(skipped[-1])
        x = self.bottom(x)  # (B, widths[-1], H / multiple, W / multiple)
        for up, decode in zip(self.up, self.decode, strict=True):
            x = decode(up(x) + skipped.pop())
        out: torch.Tensor = self.head(x)
        return out


def _blocks(channels: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*(Block(channels) for _ in range(depth)))


class Detector(nn.Module):
    """Sees an occlusion: a U-Net says roughly where, two convolutions at half the resolution find its edge to the pixel.

    (B, 3, H, W) in [0, 1] and its `evidence` (B, 4, H, W), with sides that are multiples of `multiple`, to logits (B, 1, H, W),
    above 0 where more likely covered.
    """

    def __init__(self, widths: tuple[int, ...], depths: tuple[int, ...]) -> None:
        super().__init__()
        head = nn.Sequential(ChannelNorm(widths[0]), nn.Conv2d(widths[0], 4 * 8, 1), nn.PixelShuffle(2))
        self.rough = UNet(3 + EVIDENCE, widths, depths, 4, nn.Identity(), head, kernel_size=1)  # to (B, 8, H/2, W/2)
        self.fine = nn.Conv2d(3 + EVIDENCE, 16, 6, stride=2, padding=2, bias=False)
        self.merge = nn.Conv2d(8, 16, 3, padding=1)
        self.edge = nn.Sequential(nn.GELU(), nn.Conv2d(16, 4, 3, padding=1), nn.PixelShuffle(2))
        self.multiple = self.rough.multiple

    def forward(self, image: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        x = torch.cat([image, seen], dim=1)  # (B, 7, H, W)
        logits: torch.Tensor = self.edge(self.fine(x) + self.merge(self.rough(x)))
        return logits


SCANS: dict[str, Callable[[int, int], nn.Module]] = {
    "convlstm": ConvLSTMScan,
    "lstm": lambda channels, hidden: GatedScan(channels, hidden, nn.LSTM),
    "gru": lambda channels, hidden: GatedScan(channels, hidden, nn.GRU),
    "none": lambda channels, hidden: nn.Identity(),
}


@dataclass(frozen=True)
class OptimizedPixelRNNConfig:
    """widths, depths: features and blocks on the grids of the network that fills, of 1/stride, 1/(2 stride), ... of the
    picture. detector_widths, detector_depths: those of 1/4, 1/8, ... of the one that detects. scan: the recurrence amid the
    blocks of the coarsest grid; "lstm", over the rows and then the columns, is a ConvLSTM whose state-to-state kernel is 1 x 1;
    "convlstm" has one of 3 x 3; "gru" and "none". scan_hidden: its features. head_features: at full resolution, before the last
    convolution. smooth_start: begin from a smooth fill and learn what is missing from it, else from black and learn all of it.
    """

    widths: tuple[int, ...] = (48, 96, 192, 384)
    depths: tuple[int, ...] = (1, 2, 3, 12)
    stride: int = 2
    detector_widths: tuple[int, ...] = (24, 48, 64, 96)
    detector_depths: tuple[int, ...] = (2, 2, 2, 2)
    scan: str = "lstm"
    scan_hidden: int = 128
    head_features: int = 8
    smooth_start: bool = True


@register("optimized_pixelrnn", OptimizedPixelRNNConfig)
class OptimizedPixelRNN(CompletionModel):
    """The default network. One U-Net sees the occlusion, another fills it from the known pixels around."""

    takes_mask = detects = True

    def __init__(self, config: OptimizedPixelRNNConfig) -> None:
        super().__init__()
        self.config = config
        if config.scan not in SCANS:
            raise ValueError(f"scan must be {', '.join(SCANS)}, got {config.scan!r}")
        if not len(config.widths) == len(config.depths) > 1:
            raise ValueError(f"expected as many depths as widths, 2 or more, got {config.depths} and {config.widths}")
        # from RGB, the mask, and the mask again where a guide fills it; to RGB and the log standard deviation of its error
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
        if config.smooth_start:  # an untrained network leaves the smooth fill as it is
            nn.init.normal_(last.weight, std=1e-3)
            nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def fine_grids(self) -> list[nn.Module]:
        return self.filler.fine_grids()

    def detect(self, image: torch.Tensor, seen: torch.Tensor | None = None) -> torch.Tensor:
        height, width = image.shape[-2:]
        seen = evidence(image) if seen is None else seen
        image, seen = (pad_to_multiple(part, self.detector.multiple) for part in (image, seen))
        logits: torch.Tensor = self.detector(image, seen)
        return logits[..., :height, :width]

    def fill(
        self,
        image: torch.Tensor,
        mask: torch.Tensor | None,
        guide: torch.Tensor | None = None,
        guided: torch.Tensor | None = None,
    ) -> Prediction:
        if mask is None:
            raise ValueError("this model fills what a mask says: give one")
        height, width = image.shape[-2:]
        image, mask = (pad_to_multiple(part, self.filler.multiple) for part in (image, mask))
        start, told = image * (1 - mask), torch.zeros_like(mask)
        if self.config.smooth_start and (guide is None or guided is not None):
            start = pull_push(image, mask)
        if guide is not None:
            told = mask if guided is None else mask * guided.to(mask.dtype).view(-1, 1, 1, 1)
            # the guide covers the picture, not its padding
            coarse = F.interpolate(guide, size=(height, width), mode="bilinear", align_corners=False)
            start = start * (1 - told) + pad_to_multiple(coarse, self.filler.multiple) * told
        # an eighth: Adam moves all weights of the last layer at once, by far too much for a picture in [0, 1]
        filled = self.filler(torch.cat([start, mask, told], dim=1)) / 8
        mean = (start + filled[:, :3] if self.config.smooth_start else torch.sigmoid(filled[:, :3]))[..., :height, :width]
        # the deviation is bounded to [e^-6, 1]: nothing in [0, 1] is further off, and the loss stays finite
        log_std = -6 * torch.sigmoid(filled[:, 3:4])[..., :height, :width]
        return Prediction(mean.clamp(0, 1), None, log_std, mean)
