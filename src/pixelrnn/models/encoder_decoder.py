"""Optimized PixelRNN: an encoder, a recurrence for spatial memory, a PixelShuffle decoder.

`baseline` is the network of the system's description, kept as it is described. `optimized_pixelrnn` is the default: it takes a
mask or finds the occlusion itself, keeps known pixels out of its way, and carries memory across the picture by scans.
Papers: PixelRNN (van den Oord et al. 2016), ConvLSTM (Shi et al. 2015), sub-pixel convolution (Shi et al. 2016).
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from .convlstm import ConvLSTMCell, ConvLSTMScan
from .layers import Block, GRUScan, pad_to_multiple, pull_push
from .registry import Prediction, register


def _no_guide(guide: torch.Tensor | None) -> None:
    if guide is not None:
        raise ValueError("this model takes no guide: pass guide=None")


@dataclass(frozen=True)
class BaselineConfig:
    """The described network has no options."""


@register("baseline", BaselineConfig)
class Baseline(nn.Module):
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

    def forward(self, image: torch.Tensor, mask: torch.Tensor | None = None, guide: torch.Tensor | None = None) -> Prediction:
        """image (B, 3, H, W) in [0, 1]; `mask` changes nothing: the network was described without."""
        _no_guide(guide)
        height, width = image.shape[-2:]
        features = self.encoder(pad_to_multiple(image, 8))  # (B, 256, H/8, W/8)
        hidden, _ = self.convlstm(features)
        return Prediction(self.decoder(hidden)[..., :height, :width])


class Hourglass(nn.Module):
    """Encoder and PixelShuffle decoder over three grids, 1/4, 1/8 and 1/16 of the picture, with the recurrence on the last.

    (B, inputs, H, W) with sides that are multiples of 16 to (B, outputs, H, W). widths, depths: features and blocks per grid.
    """

    def __init__(self, inputs: int, outputs: int, widths: tuple[int, ...], depths: tuple[int, ...], scan: nn.Module) -> None:
        super().__init__()
        first, second, third = widths
        self.stem = nn.Sequential(nn.PixelUnshuffle(4), nn.Conv2d(16 * inputs, first, 3, padding=1))
        self.encode = nn.ModuleList(self._blocks(width, depth) for width, depth in zip(widths[:2], depths[:2], strict=True))
        self.down = nn.ModuleList(nn.Conv2d(before, after, 2, stride=2) for before, after in ((first, second), (second, third)))
        half = depths[2] // 2
        self.bottom = nn.Sequential(self._blocks(third, half), scan, self._blocks(third, depths[2] - half))
        self.up = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, 4 * after, 1), nn.PixelShuffle(2))
            for before, after in ((third, second), (second, first))
        )
        self.decode = nn.ModuleList(self._blocks(width, depth) for width, depth in ((second, depths[1]), (first, depths[0])))
        self.head = nn.Sequential(nn.Conv2d(first, 16 * outputs, 3, padding=1), nn.PixelShuffle(4))

    @staticmethod
    def _blocks(channels: int, depth: int) -> nn.Sequential:
        return nn.Sequential(*(Block(channels) for _ in range(depth)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        quarter = self.encode[0](self.stem(x))  # (B, first, H/4, W/4)
        eighth = self.encode[1](self.down[0](quarter))  # (B, second, H/8, W/8)
        x = self.bottom(self.down[1](eighth))  # (B, third, H/16, W/16)
        x = self.decode[0](self.up[0](x) + eighth)
        x = self.decode[1](self.up[1](x) + quarter)
        return self.head(x)  # (B, outputs, H, W)


@dataclass(frozen=True)
class OptimizedPixelRNNConfig:
    """widths, depths: features and blocks on the grids of 1/4, 1/8 and 1/16, of the network that fills and of the one that
    detects. scan: the recurrence amid the blocks of the last grid, "convlstm", "gru" or "none"; scan_hidden: its features.
    smooth_start: begin from a smooth fill and learn what is missing from it, else from black and learn all of it."""

    widths: tuple[int, ...] = (48, 96, 192)
    depths: tuple[int, ...] = (2, 2, 6)
    detector_widths: tuple[int, ...] = (24, 48, 64)
    detector_depths: tuple[int, ...] = (1, 1, 2)
    scan: str = "convlstm"
    scan_hidden: int = 64
    smooth_start: bool = True


@register("optimized_pixelrnn", OptimizedPixelRNNConfig)
class OptimizedPixelRNN(nn.Module):
    """The default network. One hourglass sees the occlusion, another fills it from the known pixels around."""

    def __init__(self, config: OptimizedPixelRNNConfig) -> None:
        super().__init__()
        self.config = config
        # four outputs: RGB and the log standard deviation of its error
        self.filler = Hourglass(4, 4, config.widths, config.depths, self._scan(config.widths[2]))
        self.detector = Hourglass(3, 1, config.detector_widths, config.detector_depths, nn.Identity())
        if config.smooth_start:
            head: nn.Conv2d = self.filler.head[0]  # type: ignore[assignment]
            nn.init.normal_(head.weight, std=1e-3)  # an untrained network leaves the smooth fill as it is
            nn.init.zeros_(head.bias)  # type: ignore[arg-type]

    def detect(self, image: torch.Tensor) -> torch.Tensor:
        """The occlusion alone, at a fifth of the cost: image (B, 3, H, W) in [0, 1] to mask_logits (B, 1, H, W)."""
        height, width = image.shape[-2:]
        logits: torch.Tensor = self.detector(pad_to_multiple(image, 16))
        return logits[..., :height, :width]

    def _scan(self, channels: int) -> nn.Module:
        if self.config.scan == "gru":
            return GRUScan(channels, self.config.scan_hidden)
        if self.config.scan == "convlstm":
            return ConvLSTMScan(channels, self.config.scan_hidden)
        if self.config.scan == "none":
            return nn.Identity()
        raise ValueError(f"scan must be 'gru', 'convlstm' or 'none', got {self.config.scan!r}")

    def forward(self, image: torch.Tensor, mask: torch.Tensor | None = None, guide: torch.Tensor | None = None) -> Prediction:
        """image (B, 3, H, W) in [0, 1]; mask (B, 1, H, W) in {0, 1}, 1 where missing; without it, what the detector sees."""
        _no_guide(guide)
        height, width = image.shape[-2:]
        image = pad_to_multiple(image, 16)
        mask_logits = self.detector(image)
        if mask is None:
            # grown by 2 px: compression leaves a ring of the painted colour around an occlusion
            mask = F.max_pool2d((mask_logits > 0).to(image.dtype), 5, stride=1, padding=2)
        else:
            mask = pad_to_multiple(mask, 16)
        start = pull_push(image, mask) if self.config.smooth_start else image * (1 - mask)
        filled = self.filler(torch.cat([start, mask], dim=1))
        picture = (start + filled[:, :3]).clamp(0, 1) if self.config.smooth_start else torch.sigmoid(filled[:, :3])
        crop = (..., slice(height), slice(width))
        # the deviation is bounded to [e^-6, 1]: nothing in [0, 1] is further off, and the loss stays finite
        log_std = -6 * torch.sigmoid(filled[:, 3:])
        return Prediction(picture[crop], mask_logits[crop], log_std[crop])
